"""What can be asked of Lighter before trading there: whether keys, account, clock and market are as they should be."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

from mmlab.errors import MMLabError, VenueError
from mmlab.venues.lighter import native
from mmlab.venues.lighter.auth import Tokens
from mmlab.venues.lighter.endpoint import Endpoint
from mmlab.venues.lighter.keys import Credentials
from mmlab.venues.lighter.rest import Rest
from mmlab.venues.lighter.rules import instrument_of, tier_of, tx_per_minute
from mmlab.venues.lighter.signer import KeySigner
from mmlab.venues.lighter.venue import ACTIVE, find_market
from mmlab.wire import lighter_rest as wire
from mmlab.wire.lighter_terms import MIN_OWN_API_KEY, QUOTA_QUOTE_PER_UNIT

State = Literal["ok", "warn", "fail"]
MOST_SKEW_S = 2.0
"""The venue tells its time in whole seconds."""


class Finding(NamedTuple):
    """What one look found, and what to do about it."""

    name: str
    state: State
    found: str
    advice: str = ""


class Checkup:
    """Looks at one account through one endpoint."""

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials | None, account: int | None, market: str,
        supervisor_key: int | None = None,
    ) -> None:  # fmt: skip
        self.endpoint, self.credentials, self.account, self.market = endpoint, credentials, account, market
        self.supervisor_key = supervisor_key
        self.counters: Counter[str] = Counter()
        self._rest: Rest | None = None

    @property
    def _client(self) -> Rest:
        assert self._rest is not None  # noqa: S101  made by `run`
        return self._rest

    async def run(self) -> list[Finding]:
        """Every look, in order; one that fails does not keep others from being taken."""
        findings = [self._signer()]
        token: Callable[[], Awaitable[str]] | None = None
        if self.credentials is not None and findings[0].state == "ok":
            try:
                keys = await asyncio.to_thread(KeySigner, self.endpoint, self.credentials)
                token = Tokens(keys, keys.keys[0], time.time, self.counters).token
            except MMLabError as error:
                findings.append(Finding("API keys", "fail", str(error), "make the key anew at the venue"))
        self._rest = Rest(self.endpoint, self.counters, token)
        looks: list[tuple[str, Callable[[], Awaitable[list[Finding]]]]] = [("Clock", self._clock)]
        if self.market:
            looks.append(("Market", self._market))
        if self.account is not None:
            looks.append(("Account", self._account))
        if token is not None:
            looks += [("API keys", self._keys), ("Tier and limits", self._limits), ("Open orders", self._orders)]
        try:
            for name, look in looks:
                try:
                    findings += await look()
                except MMLabError as error:
                    findings.append(Finding(name, "fail", str(error), f"is {self.endpoint.rest} reachable from here?"))
        finally:
            await self._rest.close()
        return findings

    def _signer(self) -> Finding:
        try:
            native.library()
        except MMLabError as error:
            return Finding("Signer", "fail", str(error), "pip install 'mmlab[lighter]'")
        return Finding("Signer", "ok", native.library_path().name)

    async def _clock(self) -> list[Finding]:
        asked_s = time.time()
        answer = await self._client.get("", wire.Status)
        heard_s = time.time()
        way_ms = 1000 * (heard_s - asked_s)
        skew_s = answer.timestamp + 0.5 - 0.5 * (asked_s + heard_s)
        good = abs(skew_s) <= MOST_SKEW_S
        advice = "" if good else "set this machine's clock by NTP: signatures expire by it"
        found = f"{skew_s:+.1f} s from the venue's (told in whole seconds); answers in {way_ms:.0f} ms"
        return [Finding("Clock", "ok" if good else "fail", found, advice)]

    async def _market(self) -> list[Finding]:
        market = await find_market(self._client, self.market)
        instrument = instrument_of(market)
        active = market.status == ACTIVE
        return [Finding(
            "Market", "ok" if active else "fail",
            f"{market.symbol} (id {market.market_id}) is {market.status}: tick {instrument.tick_size:g}, lot"
            f" {instrument.lot_size:g}, at least {market.min_base_amount} and {market.min_quote_amount} USDC",
            "" if active else "wait, or choose another market",
        )]  # fmt: skip

    async def _account(self) -> list[Finding]:
        answer = await self._client.get("account", wire.Accounts, by="index", value=self.account)
        mine = [found for found in answer.accounts if self.account in (found.index, found.account_index)]
        if not mine:
            return [Finding("Account", "fail", f"{self.account} is not known", "which account index has your wallet?")]
        account = mine[0]
        held = [p for p in account.positions or [] if p.position.strip("0.")]
        plan = [] if not account.cancel_all_time else [Finding(
            "Dead man's switch", "warn", "a cancel-all is planned: " + time.strftime(
                "%H:%M:%S UTC", time.gmtime(account.cancel_all_time / 1000)),
            "an earlier session planned it; the next one puts it off",
        )]  # fmt: skip
        return [Finding("Account", "ok", f"{self.account}: collateral {account.collateral or '?'} USDC, available"
                        f" {account.available_balance or '?'}, {len(held)} positions"), *plan]  # fmt: skip

    async def _keys(self) -> list[Finding]:
        assert self.credentials is not None  # noqa: S101  asked only with keys
        account, findings = self.credentials.account_index, []
        try:
            maker_only = await self._client.get(
                "getMakerOnlyApiKeys", wire.MakerOnly, private=True, account_index=account
            )
            restricted = set(maker_only.api_key_indexes)
        except VenueError:
            restricted = set()
        for key in self.credentials.keys:
            wrong = await asyncio.to_thread(native.check_client, key, account)
            role = "cancels" if key in self.credentials.cancel_keys else "quotes"
            role = "supervisor's" if key == self.supervisor_key else role
            if wrong:
                findings.append(Finding(f"API key {key}", "fail", wrong, "the private key is not that of this index"))
                continue
            answer = await self._client.get("nextNonce", wire.NextNonce, account_index=account, api_key_index=key)
            only = ", maker-only: cannot take (age exit, flatten)" if key in restricted else ""
            low = key < MIN_OWN_API_KEY
            advice = f"indexes below {MIN_OWN_API_KEY} are the venue's own front-ends'" if low else ""
            findings.append(
                Finding(f"API key {key}", "warn" if low else "ok", f"{role}, next nonce {answer.nonce}{only}", advice)
            )
        return findings

    async def _limits(self) -> list[Finding]:
        limits = await self._client.get("accountLimits", wire.Limits, private=True, account_index=self.account)
        tier = tier_of(limits)
        maker_bps, taker_bps = (
            (tick or 0) / 100 for tick in (limits.current_maker_fee_tick, limits.current_taker_fee_tick)
        )
        fees = f"maker {maker_bps:g} bps, taker {taker_bps:g} bps"
        earned = f"1 transaction for {QUOTA_QUOTE_PER_UNIT} USD traded; what is left is told with every transaction"
        quota = "no volume quota" if tier == "standard" else f"a volume quota ({earned})"
        small = tier == "standard"
        advice = "60 requests a minute are hardly enough to quote; see docs/lighter.md" if small else ""
        return [Finding("Tier and limits", "warn" if small else "ok",
                        f"{tier}: {tx_per_minute(limits)} transactions a minute, {quota}; {fees}", advice)]  # fmt: skip

    async def _orders(self) -> list[Finding]:
        answer = await self._client.get(
            "accountActiveOrders", wire.Orders, private=True, account_index=self.account, market_id=255
        )
        count = len(answer.orders or ())
        advice = "'mmlab rescue' cancels all; a session adopts its own and reports others" if count else ""
        return [Finding("Open orders", "warn" if count else "ok", str(count), advice)]
