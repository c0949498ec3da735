"""What the venue knows of us, under any sequence of transactions and market moves."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mmlab.events import NEVER_NS, NS_PER_MS, TargetFlag
from mmlab.exchange import Accepted, FillUpdate, OrderUpdate, PositionUpdate, Rejected, Transaction, TxKind
from mmlab.simulator import build_tape
from mmlab.simulator.exchange import Exchange
from mmlab.venues.paper import Code, FaultPlan
from mmlab.venues.paper.account import Account
from mmlab.venues.paper.desk import Desk
from mmlab.venues.paper.limits import Bucket, Quota, quota_rule, rate_rule
from mmlab.venues.paper.network import Chance
from mmlab.venues.paper.signers import PaperSigner
from tests.simulator.tapes import INSTRUMENT, T0, parameters
from tests.simulator.test_twin import tape

PARAMS = parameters([(0, 1, 999, 1)])
CLIENT_IDS, KEYS = st.integers(1, 40), st.sampled_from([0, 0, 0, 1, 2, 3])


class Machine(RuleBasedStateMachine):
    """A desk; what it said; and what must hold whatever it was asked."""

    @initialize(seed=st.integers(0, 50), plan_seed=st.integers(0, 3), faulty=st.booleans())
    def begin(self, seed: int, plan_seed: int, faulty: bool) -> None:
        shares = {"rejects": {9: 0.1}, "skip_nonce": 0.1, "fail_accepted": 0.1, "split_fill": 0.5} if faulty else {}
        plan = FaultPlan(seed=plan_seed, **shares)
        self.exchange = Exchange(build_tape(tape(np.random.default_rng(seed), 120)), INSTRUMENT, PARAMS, places=4)
        self.account = Account((0, 1, 2), 1, Bucket(rate_rule(plan)), Quota(quota_rule(plan)))
        self.said: list[Any] = []
        chance = Chance(plan_seed, 0, NEVER_NS, Counter())
        self.desk = Desk(self.exchange, self.account, plan, chance, lambda _, message: self.said.append(message))
        self.now_ns, self.accepted = T0, 0
        self.placed: set[int] = set()

    def send(self, kind: TxKind, key: int, off: int, **fields: int) -> None:
        before = dict(self.account.nonces)
        tx = Transaction(kind, key, before.get(key, 0) + off, **fields)
        reply = self.desk.receive(self.now_ns, PaperSigner().sign(tx).data)
        if isinstance(reply, Rejected):
            assert self.account.nonces == before
            assert off == 0 or key == 3 or reply.code == Code.BAD_NONCE
            said = len(self.said)
            self.desk.execute(self.now_ns)
            assert len(self.said) == said
            return
        assert isinstance(reply, Accepted)
        assert off == 0
        assert self.account.nonces[key] in (before[key] + 1, before[key] + 2)
        if kind == TxKind.PLACE:
            assert tx.client_id not in self.placed
            self.placed.add(tx.client_id)
        self.desk.execute(self.now_ns)

    @rule(key=KEYS, off=st.sampled_from([0, 0, 0, 0, 1, -1]), client_id=CLIENT_IDS, side=st.sampled_from([1, -1]),
          away=st.integers(-2, 4), lots=st.integers(0, 12), flags=st.sampled_from([0, 1, 2, 4, 5, 6]))  # fmt: skip
    def place(self, key: int, off: int, client_id: int, side: int, away: int, lots: int, flags: int) -> None:
        fields = {"client_id": client_id, "side": side, "price_ticks": 1000 - side * away, "size_lots": lots}
        self.send(TxKind.PLACE, key, off, flags=int(TargetFlag(flags)), **fields)

    def some_order(self, n: int) -> dict[str, int]:
        """An open order, by index; or any other, by client id."""
        indices = list(self.account.orders)
        return {"order_index": indices[n % len(indices)]} if indices and n < 30 else {"client_id": n}

    @rule(key=KEYS, n=CLIENT_IDS, ticks=st.integers(994, 1006), lots=st.integers(0, 12))
    def modify(self, key: int, n: int, ticks: int, lots: int) -> None:
        self.send(TxKind.MODIFY, key, 0, price_ticks=ticks, size_lots=lots, **self.some_order(n))

    @rule(key=KEYS, n=CLIENT_IDS)
    def cancel(self, key: int, n: int) -> None:
        self.send(TxKind.CANCEL, key, 0, **self.some_order(n))

    @rule()
    def cancel_all(self) -> None:
        self.send(TxKind.CANCEL_ALL, 2, 0)

    @rule(ms=st.integers(1, 30))
    def time_passes(self, ms: int) -> None:
        self.now_ns += ms * NS_PER_MS
        self.desk.advance(self.now_ns)

    @invariant()
    def the_account_is_the_exchanges(self) -> None:
        live = self.exchange.live
        assert set(live) == set(self.account.orders)
        for index, resting in live.items():
            order = self.account.orders[index]
            assert (order.side, order.price_ticks, order.filled_lots) == (
                resting.side,
                resting.price_ticks,
                resting.filled_lots,
            )
            assert order.size_lots - order.filled_lots == resting.leaves_lots > 0
        assert self.account.position_lots == self.exchange.position_lots

    @invariant()
    def every_lot_is_told(self) -> None:
        fills = [m.fill for m in self.said if isinstance(m, FillUpdate)]
        assert fills == self.account.trades
        assert [f.trade_id for f in fills] == list(range(1, len(fills) + 1))
        assert sum(f.side * f.size_lots for f in fills) == self.account.position_lots
        positions = [m.position_lots for m in self.said if isinstance(m, PositionUpdate)]
        assert positions == np.cumsum([f.side * f.size_lots for f in fills]).tolist()

    @invariant()
    def updates_tell_a_life(self) -> None:
        last: dict[int, Any] = {}
        for message in self.said:
            if isinstance(message, OrderUpdate):
                order, before = message.order, last.get(message.order.order_index)
                assert order.seq == (before.seq + 1 if before else 1)
                assert before is None or (before.status == "open" and order.filled_lots >= before.filled_lots)
                assert order.filled_lots <= order.size_lots
                last[order.order_index] = order
        assert {o.client_id for o in last.values()} == self.placed
        assert {i for i, o in last.items() if o.status == "open"} == set(self.account.orders)
        traded: Counter[int] = Counter()
        for fill in self.account.trades:
            traded[fill.order_index] += fill.size_lots
        assert {i: o.filled_lots for i, o in last.items() if o.filled_lots} == dict(traded)
        view = self.account.view(0)
        assert [o.seq for o in view.orders] == [last[o.order_index].seq for o in view.orders]


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestAccount = Machine.TestCase
