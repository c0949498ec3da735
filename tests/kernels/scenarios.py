"""Random tapes for the decision kernel, and the properties that hold on every one of them.

A tape is a config (`TOUCHY`, with some choices drawn) and a list of steps ``(what, a, b)`` of small integers, so that
hypothesis can draw and shrink it and a seeded generator can make it. Thresholds are so low that a few dozen steps trip
every switch.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from mmlab.config import Config
from mmlab.events import NO_PRICE, NS_PER_S, Switch, TargetFlag
from mmlab.instrument import Instrument
from mmlab.kernels import decide as kernel
from mmlab.kernels.age_exit import LOST_NS
from mmlab.kernels.volatility import vol_median, vol_sigma
from tests.kernels.driver import Decision, Driver, simple

TOUCHY: dict[str, Any] = {
    "strategy.rungs": 2, "strategy.half_life_s": 2.0, "strategy.gamma": 0.01, "strategy.kappa": 30.0, "strategy.A": 0.9,
    "kill.toxic.min_n": 2, "kill.toxic.window": 10, "kill.toxic.z": 0.0,
    "kill.burst.min_n": 4, "kill.burst.threshold_per_s": 1.5,
    "kill.losing.min_notional": 500.0, "kill.losing.z": 0.0, "kill.losing.threshold_quote": -100.0,
    "kill.loss.max_loss_quote": 4.0, "kill.drawdown.max_drawdown_quote": 3.0, "kill.volatility.min_s": 20.0,
    "gates.flip.threshold": 3, "gates.flip.hard_threshold": 6,
    "gates.age_exit.enabled": True, "gates.age_exit.age_s": 2.0, "gates.age_exit.adverse_ticks": 2.0,
    "gates.age_exit.adverse_bps": 0.0, "gates.age_exit.exit_budget_bps": 50.0, "risk.max_messages_per_min": 50,
}  # fmt: skip
CHOICES: dict[str, list[Any]] = {
    "strategy.model": ["fixed", "glft", "avellaneda_stoikov"],
    "gates.flip.mode": ["adaptive", "skip", "widen"],
    "risk.on_halt": ["hold", "reduce"],
    "ladder.min_dwell_ms": [500.0, 0.0],
    "ladder.hysteresis": [0.05, 0.0],
    "gates.cooldown.min_ms": [300.0, 0.0],
    "kill.pause_light_side": [False, True],
    "strategy.order_size": [1.0, 2.5],
    "kill.mode": ["act", "act", "observe"],
    "gates.age_exit.age_basis": ["inventory", "lot"],
}
LEAST = Instrument("X", 0.01, 0.1, min_size=0.1, taker_fee_bps=1.0)
STEPS = 13
WAITS = (0.0, 0.001, 0.02, 0.1, 0.5)
LATCHING = (Switch.LOSING, Switch.LOSS, Switch.DRAWDOWN, Switch.HARD_LIMIT, Switch.MANUAL)


def config_of(choices: dict[str, Any]) -> Config:
    """`TOUCHY` with these choices."""
    return simple(**(TOUCHY | choices))


def random_tape(seed: int, n: int = 60) -> tuple[dict[str, Any], list[tuple[int, int, int]]]:
    """A tape of `n` steps."""
    rng = np.random.default_rng(seed)
    choices = {name: values[rng.integers(len(values))] for name, values in CHOICES.items()}
    return choices, [tuple(int(i) for i in rng.integers((0, -5, 0), (STEPS, 6, 20))) for _ in range(n)]


def play(choices: dict[str, Any], steps: list[tuple[int, int, int]], watch: Any = None) -> Driver:
    """Run a tape from its start."""
    d = Driver(config_of(choices), LEAST, watch=watch).warm(25.0)
    for what, a, b in steps:
        step(d, what, a, b)
    return d


def step(d: Driver, what: int, a: int, b: int) -> None:
    """One step of a tape; `a` in -5..5, `b` in 0..19."""
    wait = WAITS[b % 5]
    if what <= 2:
        mid = sum(d.best) // 2 + (a if what < 2 else 12 * a)
        mid = max(mid, 2000)
        d.book(mid - 1 - b % 3, mid + 1 + b % 2, 10 + 7 * b, 10 + 5 * (a + 5), after=wait)
    elif what <= 5:
        hit(d, a, b, wait)
    elif what == 6:
        (d.lose_book if a > 2 else d.calm)(wait)
    elif what == 7:
        d.silence((0.2, 1.5, 5.0, 70.0)[b % 4])
    elif what == 8:
        d.calm((0.1, 1.0, 5.0, 31.0)[b % 4])
    elif what == 9:
        d.mark(round(sum(d.best) // 2 * (1.02 if a == 5 else 1.0)))
    elif what == 10:
        d.held = b % 2 == 0
        d.ack()
    elif what == 11:
        for i in range(8):
            d.book(*d.best, 10 + 90 * (i % 2), 50, after=0.004 * (1 + b % 5))
    elif b == 0:
        kernel.trip_manual(d.p, d.s, d.now_ns)
        d.settle()
    elif b < 6:
        kernel.rearm(d.p, d.s, d.now_ns)
        d.settle()
    elif b < 10 and abs(d.position) < 97:  # orders we had given up for lost
        side = 1 if a > 0 else -1
        d.fill(side, 97 - side * d.position if b < 8 else 8 * b, ticks=sum(d.best) // 2)
    finish_exit(d, a, b)


def hit(d: Driver, a: int, b: int, wait: float) -> None:
    """One of our resting quotes trades, in part or in full; what a calm feed says while we wait may change it."""
    d.calm(wait)
    if d.working:
        side, rung = sorted(d.working)[b % len(d.working)]
        lots = d.working[side, rung]
        d.fill(side, max(1, lots * (a + 6) // 11), ticks=d.prices.get((side, rung)), rung=rung)


def finish_exit(d: Driver, a: int, b: int) -> None:
    """An exit on its way trades in full, in part, not at all, or nobody hears of it for a while."""
    if d.exit is not None and b < 12:
        d.fill_exit(max(0, d.exit.lots * a // 5) if a >= 0 else 0)


# ---------------------------------------------------------------------------------------------------------------------
# Properties of every decision


def check_decision(d: Driver, decision: Decision) -> None:
    """Quotes never cross or lock the book or each other, are strictly ordered, tradeable, and within the limits."""
    st, risk = d.s[0], d.p[0]["risk"]
    exits = [o for o in decision.orders if o.rung < 0]
    quotes = [o for o in decision.orders if o.rung >= 0]
    assert len(exits) <= 1
    if not st["market"]["valid"]:
        assert not decision.orders
        return
    bids, asks = decision.side(1), decision.side(-1)
    bid, ask = int(st["market"]["bid_ticks"]), int(st["market"]["ask_ticks"])
    assert all(o.ticks < ask for o in bids), "a bid would take"
    assert all(o.ticks > bid for o in asks), "an ask would take"
    if bids and asks:
        assert bids[0].ticks < asks[0].ticks, "our own book is crossed"
    for orders in (bids, asks):
        ticks = [o.side * o.ticks for o in orders]
        assert all(a > b for a, b in itertools.pairwise(ticks)), "rungs are not strictly ordered"
        assert [o.rung for o in orders] == sorted(o.rung for o in orders)
    least = d.instrument.min_lots(min((o.ticks for o in quotes), default=1) * d.instrument.tick_size)
    assert all(o.lots >= least for o in quotes)
    inventory = decision.position + int(risk["offset_lots"])
    if bids:
        assert inventory + sum(o.lots for o in bids) <= risk["max_long_lots"]
    if asks:
        assert -inventory + sum(o.lots for o in asks) <= risk["max_short_lots"]
    for order in exits:
        assert order.flags & TargetFlag.REDUCE_ONLY and order.flags & TargetFlag.IOC
        assert order.side * decision.position < 0 and order.lots <= abs(decision.position)
        light = sum(lots for (side, _), lots in d.working.items() if side == order.side)
        assert order.lots + light <= abs(decision.position), "position, quote and exit pass through zero together"
        assert not any(side == -order.side for side, _ in d.working), "the exit could hit our own order"
    if st["blocked"]:
        reducing = [o for o in quotes if o.flags & TargetFlag.REDUCE_ONLY and o.side * decision.position < 0]
        assert len(reducing) == len(quotes)
        assert sum(o.lots for o in quotes) <= abs(decision.position)


def again(d: Driver) -> tuple[list[Any], list[Any]]:
    """The same decision twice, on copies: (targets, reasons) each."""
    p, s = d.p.copy(), d.s.copy()
    return [decided(d, p, s), decided(d, p, s)]


def decided(d: Driver, p: Any, s: Any) -> Any:
    """Quotes and reasons of one more decision now."""
    side = int(kernel.wants_depth(s))
    if side:
        kernel.set_depth(s, d.depth[side])
    n = int(kernel.decide(p, s, d.now_ns, d.out, d.call))
    rows = [tuple(row) for row in np.asarray(d.out[:n]).tolist() if row[1] >= 0]
    return rows, [int(s["side"][0, k]["reasons"]) for k in range(2)]


# ---------------------------------------------------------------------------------------------------------------------
# A lower gate only removes or worsens

GATES = ("ladder", "flip", "cooldown", "pull", "side_pause", "age_exit", "world")


def switch_off(gate: str, p: Any, s: Any) -> None:
    """Undo one gate, in parameters and state."""
    if gate == "ladder":
        p["ladder"]["offset_ticks"], p["ladder"]["offset_bps"], p["ladder"]["multiplier"] = 0.0, 0.0, 1.0
    elif gate == "flip":
        s["flip"]["extra_ticks"], s["flip"]["pull"]["active"] = 0.0, 0
    elif gate == "cooldown":
        p["cooldown"]["enabled"] = 0
    elif gate == "pull":
        s["side"]["cooldown"]["pull"]["active"] = 0
    elif gate == "side_pause":
        s["side"]["toxic"]["active"], s["side"]["burst"]["active"] = 0, 0
    elif gate == "age_exit":
        p["age_exit"]["enabled"], s["exit"]["phase"] = 0, 0
    else:
        s["world"]["active"], s["refusals"], p["kill"]["observe"] = 0, 0, 1
        p["age_exit"]["enabled"], s["exit"]["phase"] = 0, 0  # which a halt holds back


def supply(rows: list[Any], side: int) -> dict[int, int]:
    """Lots quoted at each price or better, by price (in units where larger is worse)."""
    out, total = {}, 0
    for row in sorted((r for r in rows if r[0] == side), key=lambda r: -side * r[3]):
        total += row[4]
        out[-side * row[3]] = total
    return out


def check_gates(d: Driver) -> None:
    """With any one gate undone, at least as much is quoted at every price or better.

    Without a mark: the collar round it is a limit, which may refuse a price and allow a worse one that is nearer to it.
    """
    free_of_mark = d.s.copy()
    free_of_mark["mark_ticks"] = NO_PRICE
    rows, _ = decided(d, d.p.copy(), free_of_mark.copy())
    for gate in GATES:
        p, s = d.p.copy(), free_of_mark.copy()
        switch_off(gate, p, s)
        free, _ = decided(d, p, s)
        for side in (1, -1):
            with_gate, without = supply(rows, side), supply(free, side)
            for price, lots in with_gate.items():
                most = max((n for at, n in without.items() if at <= price), default=0)
                assert lots <= most, f"{gate} added size on side {side}"


# ---------------------------------------------------------------------------------------------------------------------
# No dead-lock


def bound_s(d: Driver) -> float:
    """Sum of the configured durations, and of what sigma needs to fall: nothing may keep a side away for longer."""
    kill, flip, cool = d.p[0]["kill"], d.p[0]["flip"], d.p[0]["cooldown"]
    ns = (
        kill["fresh_ns"] + max(kill["halt_ns"], kill["losing_halt_ns"]) + kill["toxic_pause_max_ns"]
        + kill["burst_pause_max_ns"] + cool["max_ns"] + cool["pause_max_ns"] + flip["pause_max_ns"] + flip["hold_ns"]
        + d.p[0]["ladder"]["levels"] * d.p[0]["ladder"]["dwell_ns"] + LOST_NS + d.p[0]["age_exit"]["cooldown_ns"]
        + 61 * NS_PER_S  # messages of the last minute
    )  # fmt: skip
    floor = float(d.p[0]["quoting"]["sigma_floor"])
    ratio = vol_sigma(d.s["vol"][0], floor) / vol_median(d.s["vol"][0], floor)
    halvings = 2 * math.log2(max(1.0, ratio / float(kill["vol_rearm_ratio"])))
    return float(ns) / NS_PER_S + halvings * float(d.p[0]["quoting"]["half_life_s"]) + kill["fresh_ns"] / NS_PER_S + 1.0


def heal(d: Driver) -> None:
    """Healthy data and orders; an operator re-arms what is latched; the position leaves the limits."""
    d.held = False
    d.book(*d.best, 100, 100)
    d.mark(sum(d.best) // 2)
    d.ack()
    if d.exit is not None:
        d.fill_exit()
    limit = int(d.p["risk"]["max_long_lots"][0]) // 5
    if abs(d.position) > limit:
        side = -1 if d.position > 0 else 1
        d.fill(side, abs(d.position) - limit, ticks=sum(d.best) // 2)
    if any(d.s["world"]["latched"][0]):
        kernel.rearm(d.p, d.s, d.now_ns)
        d.settle()


def quotes_again_s(d: Driver, limit_s: float) -> float:
    """Seconds of calm until both sides quote; inf if not within `limit_s`."""
    begin = d.t
    while d.t - begin <= limit_s:
        if d.bid is not None and d.ask is not None:
            return d.t - begin
        d.calm(0.25)
        if d.exit is not None:
            d.fill_exit()
    return math.inf
