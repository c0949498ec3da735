"""The REST endpoints."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from mmlab.events import NS_PER_S
from mmlab.paper_server.auth import check_token
from mmlab.paper_server.candles import RESOLUTIONS_MS
from mmlab.paper_server.core import Core
from mmlab.paper_server.frames import encode
from mmlab.paper_server.judge import TOO_MANY
from mmlab.paper_server.ledger import USDC_ASSET, Account
from mmlab.paper_server.limits import Rolling
from mmlab.paper_server.orders import Order
from mmlab.paper_server.transactions import Refusal
from mmlab.wire.lighter_terms import ALL_KEYS, ALL_MARKETS, API, OTHER_WEIGHT, WEIGHTS, Code

Answer = dict[str, Any]
CONTRACT = "0x" + "0" * 40


class Question:
    """Parameters of a request, with their types checked."""

    def __init__(self, values: dict[str, str], token: str) -> None:
        self._values, self.token = values, token

    def text(self, name: str, default: str | None = None) -> str:
        """A text; refused if it is missing and has no default."""
        value = self._values.get(name)
        if value is not None:
            return value
        if default is None:
            raise Refusal(Code.INVALID_PARAMETER, f"invalid param: {name} is missing")
        return default

    def number(self, name: str, default: int | None = None, most: int | None = None) -> int:
        """A whole number."""
        text = self.text(name, None if default is None else str(default))
        try:
            value = int(text)
        except ValueError:
            raise Refusal(Code.INVALID_PARAMETER, f"invalid param: {name} = {text[:40]}") from None
        if most is not None and not 1 <= value <= most:
            raise Refusal(Code.INVALID_PARAMETER, f"invalid param: {name} = {value}: must be 1 to {most}")
        return value


class Rest:
    """Answers questions and takes transactions.

    Parameters
    ----------
    core : Core
    chain_id : int
    """

    def __init__(self, core: Core, chain_id: int) -> None:
        self._core, self._views, self._chain_id = core, core.views, chain_id
        self._accounts, self._market_id = core.desk.accounts, core.views.market_id
        self._reads = Rolling(core.tier.reads_per_min)

    def routes(self) -> list[web.RouteDef]:
        """All endpoints."""
        gets: dict[str, Callable[[Question], Answer]] = {
            "orderBooks": self._order_books, "orderBookDetails": self._order_book_details,
            "orderBookOrders": self._order_book_orders, "recentTrades": self._recent_trades, "trades": self._trades,
            "candles": self._candles, "markPriceCandles": self._candles, "fundings": self._fundings,
            "funding-rates": self._funding_rates, "exchangeStats": self._exchange_stats,
            "assetDetails": self._asset_details, "account": self._account, "accountLimits": self._account_limits,
            "accountsByL1Address": self._by_l1, "apikeys": self._apikeys, "nextNonce": self._next_nonce,
            "accountActiveOrders": self._active, "accountInactiveOrders": self._inactive,
            "accountOrders": self._account_orders, "tx": self._tx, "accountTxs": self._account_txs,
            "transferFeeInfo": self._transfer_fee, "getMakerOnlyApiKeys": self._maker_only,
            "positionFunding": self._position_funding, "currentHeight": self._height,
            "systemConfig": self._system_config, "announcement": lambda _: {"announcements": []},
        }  # fmt: skip
        posts: dict[str, Callable[[Question], Awaitable[Answer]]] = {
            "sendTx": self._send, "sendTxBatch": self._send_batch, "setMakerOnlyApiKeys": self._set_maker_only,
            "changeAccountTier": self._change_tier,
        }  # fmt: skip
        return [
            web.get("/", self._bare(self._status)), web.get("/info", self._bare(self._info)),
            *(web.get(f"{API}/{name}", self._get(name, answer)) for name, answer in gets.items()),
            *(web.post(f"{API}/{name}", self._post(name, answer)) for name, answer in posts.items()),
        ]  # fmt: skip

    # --- Shells ------------------------------------------------------------------------------------------------------

    def _bare(self, answer: Callable[[], Answer]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(_: web.Request) -> web.Response:
            return respond(answer())

        return handle

    def _get(self, name: str, answer: Callable[[Question], Answer]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                self._spend(name)
                question = Question(dict(request.query), _token(request))
                self._core.desk.advance(self._core.now_ns)
                return respond({"code": int(Code.OK), **answer(question)})
            except Refusal as refusal:
                return refuse(refusal)

        return handle

    def _post(
        self, name: str, answer: Callable[[Question], Awaitable[Answer]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                self._spend(name)
                form = {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
                return respond(await answer(Question(form | dict(request.query), _token(request))))
            except Refusal as refusal:
                return refuse(refusal)

        return handle

    def _spend(self, name: str) -> None:
        weight = WEIGHTS.get(name, OTHER_WEIGHT) if self._core.tier.weighed else 1
        if not self._reads.take(weight, self._core.now_ns):
            raise Refusal(Code.TOO_MANY_REQUESTS, "too many requests", TOO_MANY)

    # --- Transactions ------------------------------------------------------------------------------------------------

    async def _send(self, question: Question) -> Answer:
        return await self._core.send([(question.number("tx_type"), question.text("tx_info"))], single=True)

    async def _send_batch(self, question: Question) -> Answer:
        try:
            types = msgspec.json.decode(question.text("tx_types"), type=list[int])
            infos = msgspec.json.decode(question.text("tx_infos"), type=list[str])
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise Refusal(Code.BAD_TX_INFO, f"invalid tx info: {error}") from None
        if len(types) != len(infos):
            raise Refusal(Code.BATCH_LENGTHS, "tx_types and tx_infos differ in length")
        return await self._core.send(list(zip(types, infos, strict=True)), single=False)

    # --- Market ------------------------------------------------------------------------------------------------------

    def _status(self) -> Answer:
        return {"status": 200, "network_id": self._chain_id, "timestamp": self._core.now_ns // NS_PER_S}

    def _info(self) -> Answer:
        return {"contract_address": CONTRACT}

    def _market(self, question: Question) -> bool:
        """Whether the question is about our market, or all."""
        asked = question.number("market_id", ALL_MARKETS)
        if asked not in (self._market_id, ALL_MARKETS):
            raise Refusal(Code.MARKET_INDEX, f"invalid market index: {asked}")
        return question.text("filter", "all") in ("all", "perp")

    def _order_books(self, question: Question) -> Answer:
        return {"order_books": [self._views.order_book()] if self._market(question) else []}

    def _order_book_details(self, question: Question) -> Answer:
        ours = [self._views.order_book_detail(self._core.now_ns)] if self._market(question) else []
        return {"order_book_details": ours, "spot_order_book_details": []}

    def _order_book_orders(self, question: Question) -> Answer:
        question.text("market_id")
        self._market(question)
        return self._views.levels(question.number("limit", most=250))

    def _recent_trades(self, question: Question) -> Answer:
        question.text("market_id")
        self._market(question)
        return {"trades": list(self._views.trades)[-question.number("limit", most=100) :][::-1]}

    def _trades(self, question: Question) -> Answer:
        limit, account_index = question.number("limit", most=100), question.number("account_index", -1)
        self._market(question)
        found = list(self._views.trades)
        if account_index >= 0:
            found = list(self._owner(question).trades)
        order = question.number("order_index", 0)
        ask = question.number("ask_filter", -1)
        role = question.text("role", "all")
        chosen = [
            one for one in found
            if (not order or order in (one.ask_id, one.bid_id))
            and (ask < 0 or account_index < 0 or (one.ask_account_id == account_index) == bool(ask))
            and (role == "all" or account_index < 0 or _makes(one, account_index) == (role == "maker"))
        ]  # fmt: skip
        chosen.sort(key=lambda one: one.trade_id, reverse=question.text("sort_dir", "desc") != "asc")
        page, cursor = _page(chosen, question.text("cursor", ""), limit)
        return {"trades": page, "next_cursor": cursor}

    def _candles(self, question: Question) -> Answer:
        question.text("market_id")
        self._market(question)
        resolution = question.text("resolution")
        if resolution not in RESOLUTIONS_MS:
            raise Refusal(Code.INVALID_PARAMETER, f"invalid param: resolution = {resolution[:40]}")
        start, end = question.number("start_timestamp"), question.number("end_timestamp")
        found = self._views.candles.get(resolution, start, end, question.number("count_back", 500, most=500))
        return {"r": resolution, "c": [one.view() for one in found]}

    def _fundings(self, question: Question) -> Answer:
        self._market(question)
        return {"resolution": question.text("resolution", "1h"), "fundings": []}

    def _funding_rates(self, _: Question) -> Answer:
        funding = self._core.desk.market.book.funding
        rate = 0.0 if funding is None else funding[1] / 1e9
        one = {"market_id": self._market_id, "exchange": "lighter", "symbol": self._views.symbol, "rate": rate}
        return {"funding_rates": [one]}

    def _exchange_stats(self, _: Question) -> Answer:
        day = self._views.day(self._core.now_ns)
        names = ("daily_trades_count", "daily_base_token_volume", "daily_quote_token_volume", "daily_price_change")
        one = {"symbol": self._views.symbol, "last_trade_price": self._views.last_price, **{n: day[n] for n in names}}
        return {
            "total": 1, "order_book_stats": [one], "daily_usd_volume": day["daily_quote_token_volume"],
            "daily_trades_count": day["daily_trades_count"],
        }  # fmt: skip

    def _asset_details(self, _: Question) -> Answer:
        return {"asset_details": [{
            "asset_id": USDC_ASSET, "symbol": "USDC", "l1_decimals": 6, "decimals": 6,
            "min_transfer_amount": "1.000000", "min_withdrawal_amount": "1.000000", "margin_mode": "enabled",
            "index_price": "1.000000", "l1_address": CONTRACT, "global_supply_cap": "0", "liquidation_fee": "0",
            "liquidation_threshold": "0", "loan_to_value": "0", "price_decimals": 6, "total_supplied": "0",
            "user_supply_cap": "0", "liquidation_factor": "0", "multiplier": "1",
        }]}  # fmt: skip

    def _height(self, _: Question) -> Answer:
        return {"height": self._core.now_ns // (100 * 10**6)}

    def _system_config(self, _: Question) -> Answer:
        return {
            "liquidity_pool_index": 0, "staking_pool_index": 0, "funding_fee_rebate_account_index": 0,
            "liquidity_pool_cooldown_period": 0, "staking_pool_lockup_period": 0, "max_integrator_perps_maker_fee": 0,
            "max_integrator_perps_taker_fee": 0, "max_integrator_spot_maker_fee": 0,
            "max_integrator_spot_taker_fee": 0, "fee_collector_account_index": 0,
        }  # fmt: skip

    # --- Accounts ----------------------------------------------------------------------------------------------------

    def _known(self, index: int) -> Account:
        if index not in self._accounts:
            raise Refusal(Code.ACCOUNT_NOT_FOUND, f"account not found: {index}")
        return self._accounts[index]

    def _owner(self, question: Question) -> Account:
        """The account asked about, by one who has its token."""
        account = self._known(question.number("account_index"))
        token = question.token or question.text("auth", "")
        check_token(token, account.index, self._accounts, time.time())
        return account

    def _account(self, question: Question) -> Answer:
        by, value = question.text("by"), question.text("value")
        if by == "index":
            found = [self._known(question.number("value"))]
        else:
            found = [one for one in self._accounts.values() if one.l1_address.lower() == value.lower()]
            if not found:
                raise Refusal(Code.ACCOUNT_NOT_FOUND, "account not found")
        return {
            "total": len(found), "accounts": [self._views.account(one, detailed=True) for one in found],
            "next_cursor": "",
        }  # fmt: skip

    def _by_l1(self, question: Question) -> Answer:
        address = question.text("l1_address")
        found = [one for one in self._accounts.values() if one.l1_address.lower() == address.lower()]
        if not found:
            raise Refusal(Code.ACCOUNT_NOT_FOUND, "account not found")
        accounts = [self._views.account(one, detailed=False) for one in found]
        return {"l1_address": address, "sub_accounts": accounts}

    def _apikeys(self, question: Question) -> Answer:
        account, wanted = self._known(question.number("account_index")), question.number("api_key_index", ALL_KEYS)
        keys = {i: key for i, key in account.keys.items() if wanted in (i, ALL_KEYS)}
        if not keys:
            raise Refusal(Code.KEY_NOT_FOUND, f"api key not found: {wanted}")
        return {"api_keys": [
            {"account_index": account.index, "api_key_index": i, "nonce": key.nonce, "public_key": key.public_key,
             "transaction_time": key.used_ns // 1000} for i, key in keys.items()
        ]}  # fmt: skip

    def _next_nonce(self, question: Question) -> Answer:
        account, index = self._known(question.number("account_index")), question.number("api_key_index")
        if index not in account.keys:
            raise Refusal(Code.KEY_NOT_FOUND, f"api key not found: {index}")
        return {"nonce": account.keys[index].nonce}

    def _ours(self, question: Question) -> bool:
        return question.number("market_id", ALL_MARKETS) in (self._market_id, ALL_MARKETS)

    def _active(self, question: Question) -> Answer:
        live = list(self._owner(question).orders.values()) if self._ours(question) else []
        return {"orders": [self._views.order(one) for one in live]}

    def _inactive(self, question: Question) -> Answer:
        over = list(self._owner(question).over.values())[::-1] if self._ours(question) else []
        ask = question.number("ask_filter", -1)
        over = [one for one in over if ask < 0 or (one.side < 0) == bool(ask)]
        between = question.text("between_timestamps", "")
        if between:
            over = _between(over, between)
        page, cursor = _page(over, question.text("cursor", ""), question.number("limit", most=100))
        return {"orders": [self._views.order(one) for one in page], "next_cursor": cursor}

    def _account_orders(self, question: Question) -> Answer:
        account, names = self._owner(question), question.text("client_order_indexes").strip("[]").split(",")
        if len(names) > 20 or not all(name.strip().isdecimal() for name in names):
            raise Refusal(Code.INVALID_PARAMETER, "invalid param: client_order_indexes: at most 20 whole numbers")
        found = []
        for name in names:
            order = account.find(int(name)) or account.over.get(account.over_clients.get(int(name), 0))
            if order is not None:
                found.append(self._views.order(order))
        return {"orders": found}

    def _account_limits(self, question: Question) -> Answer:
        tier = self._owner(question).tier
        return {
            "max_llp_percentage": 25, "max_llp_amount": "0", "user_tier": tier.name, "user_tier_name": tier.name,
            "can_create_public_pool": False, "current_maker_fee_tick": tier.maker_fee,
            "current_taker_fee_tick": tier.taker_fee, "effective_lit_stakes": "0", "leased_lit": "0",
            "bo_user_tier_name": tier.name, "bo_fee_rate": 0.0,
        }  # fmt: skip

    def _tx(self, question: Question) -> Answer:
        by, value = question.text("by"), question.text("value")
        for account in self._accounts.values():
            for one in account.txs:
                if value == (one.hash if by == "hash" else str(one.sequence_index)):
                    return {**msgspec.structs.asdict(one), "committed_at": 0, "verified_at": 0}
        raise Refusal(Code.TX_NOT_FOUND, "transaction not found")

    def _account_txs(self, question: Question) -> Answer:
        if question.text("by") != "account_index":
            raise Refusal(Code.INVALID_PARAMETER, "invalid param: by: must be account_index")
        account, begin = self._known(question.number("value")), question.number("index", 0)
        check_token(question.token or question.text("auth", ""), account.index, self._accounts, time.time())
        newest = list(account.txs)[::-1]
        return {"txs": newest[begin : begin + question.number("limit", most=100)]}

    def _transfer_fee(self, _: Question) -> Answer:
        return {"transfer_fee_usdc": 0}

    def _position_funding(self, question: Question) -> Answer:
        self._owner(question)
        return {"position_fundings": []}

    def _maker_only(self, question: Question) -> Answer:
        return {"api_key_indexes": [i for i, key in self._owner(question).keys.items() if key.maker_only]}

    async def _set_maker_only(self, question: Question) -> Answer:
        account = self._owner(question)
        try:
            chosen = set(msgspec.json.decode(question.text("api_key_indexes"), type=list[int]))
        except msgspec.DecodeError as error:
            raise Refusal(Code.INVALID_PARAMETER, f"invalid param: api_key_indexes: {error}") from None
        for index, key in account.keys.items():
            key.maker_only = index in chosen
        return {"code": int(Code.OK)}

    async def _change_tier(self, question: Question) -> Answer:
        self._owner(question)
        raise Refusal(Code.UNSUPPORTED, "the paper server's tier is set with --tier")


def respond(answer: Answer, status: int = 200) -> web.Response:
    """An answer as JSON."""
    return web.Response(body=encode(answer), status=status, content_type="application/json")


def refuse(refusal: Refusal) -> web.Response:
    """A refusal as JSON."""
    return respond({"code": int(refusal.code), "message": refusal.message}, refusal.status)


def _token(request: web.Request) -> str:
    return request.headers.get("authorization", "") or request.query.get("auth", "")


def _page(found: list[Any], cursor: str, limit: int) -> tuple[list[Any], str]:
    """A page, and the cursor of the next one; empty at the end."""
    if cursor and not (cursor.isascii() and cursor.isdecimal()):
        raise Refusal(Code.INVALID_PARAMETER, "invalid param: cursor")
    begin = int(cursor or 0)
    end = begin + limit
    return found[begin:end], str(end) if end < len(found) else ""


def _between(orders: list[Order], text: str) -> list[Order]:
    try:
        first, last = (int(part) for part in text.split("-"))
    except ValueError:
        raise Refusal(Code.INVALID_PARAMETER, "invalid param: between_timestamps: write first-last, ms") from None
    return [one for one in orders if first <= one.updated_ns // 10**6 <= last]


def _makes(trade: Any, account: int) -> bool:
    """Whether the account made the trade, rather than took it."""
    return (trade.ask_account_id == account) == trade.is_maker_ask
