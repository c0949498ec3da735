"""The venue while it runs: the market's pump, transactions on their way, and who is told when."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from mmlab.events import NS_PER_MS
from mmlab.paper_server.changes import News
from mmlab.paper_server.desk import Desk
from mmlab.paper_server.faulty import Faults, Lost
from mmlab.paper_server.frames import encode
from mmlab.paper_server.hub import Client, Hub
from mmlab.paper_server.judge import TOO_MANY, Judge
from mmlab.paper_server.ledger import Account
from mmlab.paper_server.limits import Rolling
from mmlab.paper_server.publisher import Publisher
from mmlab.paper_server.tiers import Tier
from mmlab.paper_server.transactions import (
    CancelAllOrders,
    CancelOrder,
    CreateOrder,
    Received,
    Refusal,
    read,
)
from mmlab.paper_server.views import Views
from mmlab.paper_server.wire import Wire, stopped
from mmlab.wire.lighter_terms import BOOK_BATCH_NS, MAX_BATCH, Code, OrderType, TimeInForce

PUMP_S = 0.005
STATS_NS, CANDLES_NS, HEIGHT_NS = 1000 * NS_PER_MS, 500 * NS_PER_MS, 500 * NS_PER_MS
MS_PER_S = 1000


class Core:
    """Everything behind the wire.

    Parameters
    ----------
    desk, judge, tier
    faults : Faults, optional
        What goes wrong.
    keep : callable, optional
        Called after something of the accounts changed, before anybody is told.
    """

    def __init__(
        self, desk: Desk, judge: Judge, tier: Tier, faults: Faults | None = None,
        keep: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self.desk, self.judge, self.tier = desk, judge, tier
        self.wire = None if faults is None else Wire(faults, desk.clock)
        self.hub = Hub() if self.wire is None else Hub(self.wire.carry)
        if faults is not None:
            desk.pieces = lambda lots: faults.pieces(lots, self.now_ns)
        self.views = Views(desk, judge.rules, tier)
        self.publisher = Publisher(self.views, self.hub)
        self.sends = {index: Rolling(tier.sends_per_min) for index in desk.accounts}
        self.keep = keep or (lambda: None)
        self._due: dict[Callable[[int], None], int] = {}
        self._told_soon = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: defaultdict[float, deque[Received]] = defaultdict(deque)

    @property
    def now_ns(self) -> int:
        """Wall time."""
        return self.desk.clock.now_ns()

    # --- The pump ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the market going, for ever."""
        outages = [] if self.wire is None else self.wire.outages(self.hub, self._cancel_everything)
        tasks = [asyncio.create_task(one) for one in outages]
        try:
            while True:
                self.pump()
                await asyncio.sleep(PUMP_S)
        finally:
            for task in tasks:
                await stopped(task)

    def _cancel_everything(self) -> None:
        now_ns = self.now_ns
        self.desk.advance(now_ns)
        for account in self.desk.accounts.values():
            self.desk.cancel_all(account, now_ns)

    def pump(self) -> None:
        """Take what is due, and tell it."""
        now_ns = self.now_ns
        self.desk.advance(now_ns)
        self.tell()
        self.publisher.ticker(now_ns)
        every = {self.publisher.book: BOOK_BATCH_NS, self.publisher.stats: STATS_NS,
                 self.publisher.candles: CANDLES_NS, self.publisher.height: HEIGHT_NS}  # fmt: skip
        for tell, period_ns in every.items():
            if now_ns >= self._due.get(tell, 0):
                self._due[tell] = now_ns + period_ns
                tell(now_ns)

    def tell(self) -> None:
        """Tell the news."""
        self._told_soon = False
        news, self.desk.news = self.desk.news, News()
        if news.accounts:
            self.keep()
        if news.accounts or news.trades:
            self.publisher.news(news, self.now_ns)

    # --- Transactions ------------------------------------------------------------------------------------------------

    def submit(self, texts: list[tuple[int, str]]) -> tuple[Account, list[Received]]:
        """Judge a batch of transactions that has arrived; what is accepted is carried out after its latency.

        Raises
        ------
        Refusal
            Nothing of it counts.
        """
        now_ns = self.now_ns
        if not texts:
            raise Refusal(Code.BATCH_LENGTHS, "no transactions")
        if len(texts) > MAX_BATCH:
            raise Refusal(Code.BATCH_TOO_LARGE, f"too many transactions in a batch: at most {MAX_BATCH}")
        batch = [read(tx_type, info, now_ns) for tx_type, info in texts]
        sends = self.sends.get(batch[0].tx.account_index)
        if sends is not None and not sends.take(1, now_ns):
            raise Refusal(Code.TOO_MANY_REQUESTS, "too many requests", TOO_MANY)
        self.desk.advance(now_ns)
        account = self.judge.admit(batch, now_ns)
        if self.wire is not None and self.wire.faults.skips_nonce(now_ns):
            account.keys[batch[0].tx.api_key_index].nonce += 1
        self.keep()
        loop = asyncio.get_running_loop()
        for received in batch:
            latency_s = self._latency_s(received)
            line = self._lines[latency_s]
            line.append(received)
            loop.call_later(latency_s, self._execute, line)
        return account, batch

    async def send(self, texts: list[tuple[int, str]], *, single: bool) -> dict[str, Any] | bytes:
        """Take transactions by REST; the answer (bytes: nonsense), or `Refusal` or `Lost`."""
        if self.wire is None:
            return self.reply(*self.submit(texts), single=single)
        await self.wire.arrive(texts)
        refusal: Refusal | None = None
        try:
            answer = self.reply(*self._judged(texts), single=single)
        except Refusal as found:
            refusal = found
        times = self.wire.faults.ack_times(self.now_ns)
        if not times:
            raise Lost
        await self.wire.wait(times[0])
        now_ns = self.now_ns
        if self.wire.faults.unclear(now_ns):
            raise Refusal(Code.INTERNAL, "internal error", 500)
        if refusal is not None:
            raise refusal
        return self.wire.faults.junk_body("junk_reply", now_ns) or answer

    def _judged(self, texts: list[tuple[int, str]]) -> tuple[Account, list[Received]]:
        assert self.wire is not None  # noqa: S101 - who calls has looked
        self.wire.faults.refuse(self.now_ns)
        return self.submit(texts)

    def take(self, client: Client, texts: list[tuple[int, str]], answer: dict[str, Any], *, single: bool) -> None:
        """Take transactions by WebSocket, and answer there."""
        if self.wire is not None:
            task = asyncio.get_running_loop().create_task(self._take_late(client, texts, answer, single=single))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        client.send(encode(answer | self._heard(lambda: self.submit(texts), single=single)).decode())

    async def _take_late(
        self, client: Client, texts: list[tuple[int, str]], answer: dict[str, Any], *, single: bool
    ) -> None:
        assert self.wire is not None  # noqa: S101 - who calls has looked
        client.in_flight += 1
        try:
            await self.wire.arrive(texts)
            answer |= self._heard(lambda: self._judged(texts), single=single)
            for at_ns in self.wire.faults.ack_times(self.now_ns):
                await self.wire.wait(at_ns)
                client.send(self.wire.reply_text(answer, self.now_ns))
        except Lost:
            return
        finally:
            client.in_flight -= 1

    def _heard(self, judge: Callable[[], tuple[Account, list[Received]]], *, single: bool) -> dict[str, Any]:
        try:
            return self.reply(*judge(), single=single)
        except Refusal as refusal:
            return {"code": int(refusal.code), "message": refusal.message}

    def _latency_s(self, received: Received) -> float:
        tx, tier = received.tx, self.tier
        if isinstance(tx, CancelOrder | CancelAllOrders):
            return tier.cancel_ms / MS_PER_S
        return (tier.taker_ms if isinstance(tx, CreateOrder) and self._takes(tx) else tier.maker_ms) / MS_PER_S

    def _takes(self, tx: CreateOrder) -> bool:
        """Whether an order comes to trade at once."""
        if tx.time_in_force == TimeInForce.POST_ONLY:
            return False
        book = self.desk.market.book
        best = book.best_bid if tx.is_ask else book.best_ask
        crosses = best is not None and (tx.price <= best if tx.is_ask else tx.price >= best)
        return crosses or tx.time_in_force == TimeInForce.IOC or tx.type == OrderType.MARKET

    def _execute(self, line: deque[Received]) -> None:
        received, now_ns = line.popleft(), self.now_ns  # first in, first out, whatever order timers end in
        self.desk.advance(now_ns)
        self.desk.execute(received, now_ns, fails=self.wire is not None and self.wire.faults.fails(now_ns))
        if not self._told_soon:
            self._told_soon = True
            asyncio.get_running_loop().call_soon(self.tell)

    def reply(self, account: Account, batch: list[Received], *, single: bool) -> dict[str, Any]:
        """What the sender hears of accepted transactions."""
        hashes = [one.hash for one in batch]
        latency_ms = max(self._latency_s(one) for one in batch) * MS_PER_S
        answer = {
            "code": int(Code.OK), "message": "{}", "tx_hash": hashes[0] if single else hashes,
            "predicted_execution_time_ms": self.now_ns // NS_PER_MS + int(latency_ms),
        }  # fmt: skip
        if account.quota.on:
            answer["message"] = f"{account.quota.left} volume quota remaining."
            answer["volume_quota_remaining"] = account.quota.left
        return answer
