"""The venue while it runs: the market's pump, transactions on their way, and who is told when."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from mmlab.events import NS_PER_MS
from mmlab.paper_server.changes import News
from mmlab.paper_server.desk import Desk
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
from mmlab.wire.lighter_terms import BOOK_BATCH_NS, MAX_BATCH, Code, OrderType, TimeInForce

PUMP_S = 0.005
STATS_NS, CANDLES_NS, HEIGHT_NS = 1000 * NS_PER_MS, 500 * NS_PER_MS, 500 * NS_PER_MS
MS_PER_S = 1000


class Core:
    """Everything behind the wire.

    Parameters
    ----------
    desk, judge, tier
    keep : callable, optional
        Called after something of the accounts changed, before anybody is told.
    """

    def __init__(self, desk: Desk, judge: Judge, tier: Tier, keep: Callable[[], None] | None = None) -> None:
        self.desk, self.judge, self.tier = desk, judge, tier
        self.hub = Hub()
        self.views = Views(desk, judge.rules, tier)
        self.publisher = Publisher(self.views, self.hub)
        self.sends = {index: Rolling(tier.sends_per_min) for index in desk.accounts}
        self._keep = keep or (lambda: None)
        self._due: dict[Callable[[int], None], int] = {}
        self._told_soon = False
        self._lines: defaultdict[float, deque[Received]] = defaultdict(deque)

    @property
    def now_ns(self) -> int:
        """Wall time."""
        return self.desk.clock.now_ns()

    # --- The pump ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the market going, for ever."""
        while True:
            self.pump()
            await asyncio.sleep(PUMP_S)

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
            self._keep()
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
        self._keep()
        loop = asyncio.get_running_loop()
        for received in batch:
            latency_s = self._latency_s(received)
            line = self._lines[latency_s]
            line.append(received)
            loop.call_later(latency_s, self._execute, line)
        return account, batch

    async def send(self, texts: list[tuple[int, str]], *, single: bool) -> dict[str, Any]:
        """Take transactions by REST; the answer, or `Refusal`."""
        account, batch = self.submit(texts)
        return self.reply(account, batch, single=single)

    def carry(self, client: Client, texts: list[tuple[int, str]], answer: dict[str, Any], *, single: bool) -> None:
        """Take transactions by WebSocket, and answer there."""
        try:
            account, batch = self.submit(texts)
            answer |= self.reply(account, batch, single=single)
        except Refusal as refusal:
            answer |= {"code": int(refusal.code), "message": refusal.message}
        client.send(encode(answer).decode())

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
        self.desk.execute(received, now_ns)
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


async def stopped(task: asyncio.Task[Any]) -> None:
    """End a task."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
