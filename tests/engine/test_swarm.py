"""Engine swarm: seeds x fault plans. Whatever went wrong meanwhile, at the end everybody agrees and the book is empty.

`MMLAB_ENGINE_SWARM=500` runs so many seeds instead of those of CI.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import numpy as np
import pytest

import mmlab
from mmlab.events import DECISION, FILL, METRIC, ORDER
from mmlab.venues.paper import FaultPlan
from mmlab.venues.paper.codes import Code
from tests.engine.driving import same_bits
from tests.engine.rig import Outcome, cut, kinds, play, quick

SEEDS = int(os.environ.get("MMLAB_ENGINE_SWARM", "12"))
SHARES = (
    "lose_send", "reorder_send", "drop_ack", "duplicate_ack", "reorder_ack", "unclear_ack", "drop_update",
    "duplicate_update", "reorder_update", "skip_nonce", "fail_accepted", "split_fill", "fail_view", "slow_view",
    "partial_view", "junk_market", "junk_account", "junk_reply", "junk_view",
)  # fmt: skip
OUTAGES = ("disconnects", "market_disconnects", "stales", "restarts")
REFUSALS = (Code.BAD_NONCE, Code.UNKNOWN_ORDER, Code.RATE_LIMITED, Code.BUSY, Code.BAD_REQUEST, Code.TOO_MANY_ORDERS)
FEED_S, FAULTS_S = 110, 85
"""Faults stop well before the feed ends."""
happened: dict[int, dict[str, int]] = {}
"""Faults by seed."""


def plan_of(seed: int) -> FaultPlan:
    """A fault plan with about a third of all faults; twelve in a row have them all."""
    rng = np.random.Generator(np.random.PCG64([seed, 2]))
    values: dict[str, Any] = {"seed": seed, "until_s": FAULTS_S}
    for i, name in enumerate(SHARES):
        if (i + seed) % 3 == 0:
            values[name] = float(rng.choice((0.01, 0.05, 0.2)))
    for i, name in enumerate(OUTAGES):
        if (i + seed) % 4 < 1 + seed % 2:
            values[f"{name}_per_min"] = float(rng.choice((1.0, 3.0)))
    values["restart_cancels"] = bool(rng.random() < 0.5)
    values["rejects"] = {int(REFUSALS[seed % len(REFUSALS)]): 0.03} if seed % 2 else {}
    values["entry_ms"], values["response_ms"] = (float(x) for x in rng.choice((0.5, 5.0, 60.0), 2))
    values["entry_spread_ms"], values["response_spread_ms"] = (float(x) for x in rng.choice((0.0, 3.0, 40.0), 2))
    values["market_delay_ms"], values["market_spread_ms"] = (float(x) for x in rng.choice((0.0, 2.0, 20.0), 2))
    values["latency_cap_ms"] = float(rng.choice((200.0, 1000.0)))
    if seed % 4 == 1:
        values |= {"rate_capacity": 40, "rate_refill": 20, "rate_told": bool(seed % 8 == 1)}
    if seed % 4 == 2:
        values |= {"quota": 300, "quota_earn_tick_lots": 1000}
    return FaultPlan(**values)


def config_of(seed: int) -> mmlab.Config:
    """Rungs, habits and sizes by seed."""
    return quick(
        strategy__rungs=1 + seed % 4,
        execution__ack_mode=("strict", "optimistic")[seed % 2],
        execution__slots=("single", "ab", "ab")[seed % 3],
        execution__replace=("modify", "cancel_place")[seed // 2 % 2],
        execution__retry__breaker_share=0.9,
        kill__losing__halt_s=3.0,
        kill__losing__max_rearms=1000,
    )


def session(seed: int) -> Outcome:
    """One session of the swarm."""
    begin_s = 300.0 + 100 * (seed % 12)
    outcome = play(cut(begin_s, begin_s + FEED_S), config_of(seed), faults=plan_of(seed), seed=seed)
    happened[seed] = outcome.truth.counts
    return outcome


@pytest.mark.parametrize("seed", range(SEEDS))
def test_everybody_agrees_at_the_end(seed: int) -> None:
    outcome = session(seed)
    assert outcome.ended == "end of feed"
    assert not outcome.log.of("not_proven_empty")
    outcome.check_settled()
    outcome.check_reproduced()
    assert sum(kinds(outcome.venue).values()) > 20


def test_every_fault_happened() -> None:
    """Else the swarm proves less than it says."""
    counts: Counter[str] = Counter()
    for seed in range(SEEDS):
        if seed not in happened:
            session(seed)
        counts.update(happened[seed])
    names = {*SHARES, *(name[:-1] for name in OUTAGES)}
    assert names <= set(counts), names - set(counts)
    assert {name for name in counts if name.startswith("reject_")}


def test_one_seed_one_course_of_events() -> None:
    a, b = session(4), session(4)
    assert a.truth == b.truth
    assert a.log.lines == b.log.lines
    assert set(a.tables.rows) == set(b.tables.rows) >= {"inputs", "decisions", "targets", "orders", "metrics"}
    for name in a.tables.rows:
        assert same_bits(a.tables[name], b.tables[name]), name
    assert a.tables["decisions"].dtype == DECISION
    assert a.tables["orders"].dtype == ORDER
    assert a.table("fills", FILL).dtype == FILL
    assert a.tables["metrics"].dtype == METRIC
