"""What a paper server says of an account, asked with the official client's signer.

Shared by the tests of live sessions and by the benchmarks on the wire. Nothing here goes through mmlab's adapter.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.parse
import urllib.request
import warnings
from pathlib import Path
from typing import Any

ANSWER_S = 10.0


class PaperExchange:
    """A running paper server's own view of one account, by default of its first."""

    def __init__(self, ready: dict[str, Any], account: int | None = None) -> None:
        self.ready = ready
        self.account = int(ready["accounts"][0]["index"]) if account is None else account
        told = next(a["api_keys"] for a in ready["accounts"] if int(a["index"]) == self.account)
        self.keys = {int(index): key for index, key in told.items()}
        self._token, self._until_s = "", 0.0

    def token(self) -> str:
        """An auth token, made offline by the official signer."""
        if time.time() > self._until_s:
            self._token, self._until_s = asyncio.run(self._sign()), time.time() + 300
        return self._token

    async def _sign(self) -> str:
        with warnings.catch_warnings(action="ignore"):  # its own imports are deprecated ones
            import lighter

        index = max(self.keys)
        client = lighter.SignerClient(
            url=self.ready["url"], account_index=self.account, api_private_keys={index: self.keys[index]},
            chain_id=self.ready["chain_id"],
        )  # fmt: skip
        try:
            token, error = client.create_auth_token_with_expiry(600, api_key_index=index)
        finally:
            await client.close()
        if error:
            raise RuntimeError(error)
        return token

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """An answer of the REST API."""
        url = f"{self.ready['url']}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(url, headers={"authorization": self.token()})
        with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:
            return json.load(answer)

    def orders(self) -> list[dict[str, Any]]:
        """Open orders of the account."""
        return self.get("accountActiveOrders", account_index=self.account, market_id=255)["orders"]

    def position(self) -> float:
        """Position of the account in its one market."""
        account = self.get("account", by="index", value=self.account)["accounts"][0]
        return sum(p["sign"] * float(p["position"]) for p in account["positions"])

    def trades(self) -> list[dict[str, Any]]:
        """All trades of the account, oldest first."""
        found: list[dict[str, Any]] = []
        cursor = None
        while True:
            more = {} if cursor is None else {"cursor": cursor}
            page = self.get("trades", sort_by="trade_id", limit=100, account_index=self.account, **more)
            found += page["trades"]
            cursor = page.get("next_cursor")
            if not cursor or not page["trades"]:
                return sorted(found, key=lambda trade: trade["trade_id"])

    def empty_after_s(self, patience_s: float, since_s: float) -> float | None:
        """Seconds from `since_s` (`time.monotonic`) until no order is open; None: not within `patience_s`."""
        while time.monotonic() < since_s + patience_s:
            asked_s = time.monotonic()
            if not self.orders():
                return asked_s - since_s
            time.sleep(0.05)
        return None

    def ready_file(self, folder: Path) -> Path:
        """The ready line as a file that only its owner reads."""
        path = folder / "ready.json"
        path.touch(0o600)
        path.write_text(json.dumps(self.ready), encoding="utf-8")
        return path
