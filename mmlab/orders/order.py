"""What we believe about one order."""

from __future__ import annotations

from dataclasses import dataclass, field

from mmlab.events import NEVER_NS, OrderState
from mmlab.exchange import TxKind
from mmlab.orders.states import Step


@dataclass(slots=True, eq=False)
class Tx:
    """A transaction from the moment it has a nonce until its fate is known.

    ``client_id`` 0: no single order (cancel-all). ``sent_ns`` is `NEVER_NS` while it has not left.
    """

    tx_id: int
    kind: TxKind
    key: int
    nonce: int
    client_id: int
    deadline_ns: int
    round: int = 0
    signed: bool = False
    risk: int = 0  # `State.risk` when it was planned
    sent_ns: int = NEVER_NS
    covers: list[int] = field(default_factory=list)  # client ids a cancel-all is meant for


@dataclass(slots=True, eq=False)
class Order:
    """An order of ours, from plan to grave.

    ``size_lots`` counts filled lots too. ``reported_lots`` is the venue's cumulative count, ``traded_lots`` ours from
    trades; the larger is the truth we act on. A modify in flight leaves the order at its old or its new price and size,
    so both are kept. ``born`` rises with the place in the queue. ``seen_ns`` is when we first knew it to be at the
    venue. ``ask_ns``: a full view asked for at or after this time would tell something we need to know.
    """

    client_id: int
    slot: int
    side: int
    rung: int
    price_ticks: int
    size_lots: int
    flags: int
    born: int
    state: OrderState = OrderState.PLANNED
    order_index: int = 0
    seq: int = -1
    reported_lots: int = 0
    reported_ns: int = NEVER_NS
    traded_lots: int = 0
    place: Tx | None = None
    modify: Tx | None = None
    cancel: Tx | None = None
    new_price_ticks: int = 0
    new_size_lots: int = 0
    sent_ns: int = NEVER_NS
    seen_ns: int = NEVER_NS
    ended_ns: int = NEVER_NS
    deadline_ns: int = NEVER_NS
    ask_ns: int = NEVER_NS
    retry_ns: int = 0  # no change of it before
    modify_ns: int = 0  # no modify of it before
    attempts: int = 0
    replaces: int = 0
    end: Step = Step.CANCEL
    end_reason: int = 0
    in_doubt: bool = False  # a cancel of it was refused: not again before new information

    @property
    def filled_lots(self) -> int:
        """Lots surely filled."""
        return self.reported_lots if self.reported_lots > self.traded_lots else self.traded_lots

    @property
    def most_lots(self) -> int:
        """Largest size it may have at the venue."""
        return max(self.size_lots, self.new_size_lots) if self.modify else self.size_lots

    @property
    def left_lots(self) -> int:
        """Lots that may still trade, in the worst case."""
        lots = self.size_lots
        if self.modify and self.new_size_lots > lots:
            lots = self.new_size_lots
        lots -= self.reported_lots if self.reported_lots > self.traded_lots else self.traded_lots
        return lots if lots > 0 else 0

    @property
    def aim_ticks(self) -> int:
        """Price once the modify in flight, if any, is done."""
        return self.new_price_ticks if self.modify else self.price_ticks

    @property
    def aim_lots(self) -> int:
        """Lots left once the modify in flight, if any, is done."""
        lots = self.new_size_lots if self.modify else self.size_lots
        lots -= self.reported_lots if self.reported_lots > self.traded_lots else self.traded_lots
        return lots if lots > 0 else 0

    @property
    def nearest_ticks(self) -> int:
        """Price nearest to the other side that it may have."""
        if not self.modify:
            return self.price_ticks
        return self.side * max(self.side * self.price_ticks, self.side * self.new_price_ticks)
