"""The paper venue's inside: transactions come in, replies and account messages go out. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Callable

from mmlab.events import NS_PER_S, OrderReason
from mmlab.exchange import Accepted, AccountMessage, Rejected, Reply, Transaction, TxKind
from mmlab.simulator.exchange import Answer, AnswerKind, Exchange
from mmlab.venues.paper.account import Account
from mmlab.venues.paper.codes import Code
from mmlab.venues.paper.faults import FaultPlan
from mmlab.venues.paper.network import Chance
from mmlab.venues.paper.signers import decode

LOOK_AHEAD_NS = 10 * NS_PER_S


class Desk:
    """An account at an exchange.

    Parameters
    ----------
    exchange : Exchange
    account : Account
    plan : FaultPlan
        Refusals, failures and split fills are taken from it.
    chance : Chance
    tell : callable
        Told each account message, as ``tell(exch_ns, message)``.
    """

    def __init__(
        self,
        exchange: Exchange,
        account: Account,
        plan: FaultPlan,
        chance: Chance,
        tell: Callable[[int, AccountMessage], None],
    ) -> None:
        self._exchange, self._account, self._plan, self._chance, self._tell = exchange, account, plan, chance, tell
        self._accepted: Transaction | None = None

    def advance(self, at_ns: int) -> None:
        """Take everything of the market up to `at_ns`."""
        self._settle(self._exchange.advance(at_ns))

    def next_touch_ns(self) -> int:
        """When to look again: when a trade may reach an order of ours, or some time ahead; `NEVER_NS`: no need."""
        return self._exchange.next_touch_ns(self._exchange.now_ns + LOOK_AHEAD_NS)

    def receive(self, at_ns: int, data: bytes) -> Reply:
        """A transaction arrives and is judged; if it is accepted, `execute` it after the reply is on its way."""
        self.advance(at_ns)
        tx = decode(data)
        code, wait_ns = (int(Code.BAD_REQUEST), 0) if tx is None else self._judge(tx, data, at_ns)
        self._accepted = None if code else tx
        if code:
            name = Code(code).name.lower()
            self._chance.counts[f"refused_{name}"] += 1
            return Rejected(code, name, wait_ns)
        return Accepted(self._account.quota.left)

    def _judge(self, tx: Transaction, data: bytes, at_ns: int) -> tuple[int, int]:
        inject = 0
        for code, share in self._plan.rejects.items():
            if not inject and self._chance.happens(f"reject_{Code(code).name.lower()}", share, at_ns):
                inject = code
        code, wait_ns = self._account.check(tx, data, at_ns, inject=inject, full=self._exchange.full)
        if not code and self._chance.happens("skip_nonce", self._plan.skip_nonce, at_ns):
            self._account.skip_nonce(tx.key)
        return int(code), wait_ns

    def execute(self, at_ns: int) -> None:
        """What the transaction accepted last does."""
        tx, self._accepted = self._accepted, None
        if tx is None:
            return
        fails = self._chance.happens("fail_accepted", self._plan.fail_accepted, at_ns)
        if tx.kind == TxKind.PLACE:
            self._place(at_ns, tx, fails=fails)
        elif tx.kind == TxKind.CANCEL_ALL and not fails:
            self.cancel_all(at_ns)
        elif not fails:
            self._change(at_ns, tx)

    def _place(self, at_ns: int, tx: Transaction, *, fails: bool) -> None:
        if self._account.crosses_own(tx.side, tx.price_ticks):
            self._chance.counts["crosses_own"] += 1
        order = self._account.open(tx)
        if fails:
            self._tell(at_ns, self._account.fail(order, at_ns))
        else:
            self._settle(self._exchange.place(at_ns, order.index, tx.side, tx.price_ticks, tx.size_lots, tx.flags))

    def _change(self, at_ns: int, tx: Transaction) -> None:
        """Cancel or modify, unless the order is over."""
        index = self._account.index_of(tx)
        if index is None or not self._exchange.is_live(index):
            self._chance.counts["too_late"] += 1
        elif tx.kind == TxKind.CANCEL:
            self._settle(self._exchange.cancel(at_ns, index))
        else:
            self._settle(self._exchange.modify(at_ns, index, tx.price_ticks, tx.size_lots))

    def cancel_all(self, at_ns: int, reason: OrderReason = OrderReason.NONE) -> None:
        """Cancel every open order."""
        self.advance(at_ns)
        for index in list(self._exchange.live):
            self._settle([a._replace(reason=int(reason)) for a in self._exchange.cancel(at_ns, index)])

    def begin_again(self, at_ns: int, shift_ns: int) -> None:
        """The feed is over and begins again, all times later by `shift_ns` than recorded; open orders are canceled."""
        self.cancel_all(at_ns, OrderReason.END_OF_FEED)
        self._exchange.rewind(shift_ns)

    def _settle(self, answers: list[Answer]) -> None:
        """Book what happened at the exchange, and tell."""
        for answer in answers:
            pieces = None
            if (
                answer.kind == AnswerKind.FILLED
                and answer.size_lots > 1
                and self._chance.happens("split_fill", self._plan.split_fill, answer.exch_ns)
            ):
                pieces = self._chance.pieces(answer.size_lots)
            for message in self._account.apply(answer, pieces):
                self._tell(answer.exch_ns, message)
