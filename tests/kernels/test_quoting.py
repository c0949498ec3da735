"""The order of work, from the model's formula to whole ticks, against a plain twin written from terms.md."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mmlab.events import QUOTE, Reason
from mmlab.instrument import Instrument
from mmlab.kernels import decide as kernel
from mmlab.kernels.policy import records
from mmlab.kernels.quoting import floor_and_cap, part
from tests.kernels.driver import Driver, measured, simple

TICK = 0.01


def market_x(fee_bps: float = 0.0) -> Instrument:
    return Instrument("X", TICK, 0.1, maker_fee_bps=fee_bps)


def at_rest(d: Driver, sigma: float, position: int, extra_ticks: float = 0.0) -> Driver:
    """Put the state where the formulas are to be looked at: volatility, position and widening as given."""
    kernel.on_timer(d.p, d.s, d.now_ns)
    vol = d.s["vol"]
    vol["numerator"], vol["weight"], vol["n"] = sigma * sigma, 1.0, 1000
    d.s["account"]["position_lots"] = position
    d.s["ladder"]["level"] = 0
    d.s["flip"]["extra_ticks"], d.s["flip"]["since_ns"] = extra_ticks, d.now_ns
    d.decide()
    return d


# ---------------------------------------------------------------------------------------------------------------------
# The twin


def half_spreads(x: dict[str, Any]) -> tuple[float, float]:
    """Distances of bid and ask from mid as the model gives them, fee included."""
    fee = x["fee_bps"] * 1e-4 * x["mid"] if x["fee_in_model"] else 0.0
    q, gamma, kappa, sigma = x["q"], x["gamma"], x["kappa"], x["sigma"]
    if x["model"] == "fixed":
        return x["half_ticks"] * TICK, x["half_ticks"] * TICK
    if x["model"] == "avellaneda_stoikov":
        reservation = -q * gamma * sigma**2 * x["tau"]
        spread = gamma * sigma**2 * x["tau"] + 2 / gamma * math.log(1 + gamma / kappa)
        return spread / 2 - reservation + fee, spread / 2 + reservation + fee
    A = x["A"] * math.exp(-kappa * fee)
    c1 = 1 / gamma * math.log(1 + gamma / kappa)
    c2 = math.sqrt(gamma / (2 * A * kappa) * (1 + gamma / kappa) ** (1 + kappa / gamma))
    return c1 + (2 * q + 1) / 2 * sigma * c2 + fee, c1 - (2 * q - 1) / 2 * sigma * c2 + fee


def expected(x: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Ticks of the bids and asks, best first; raises `Unclear` where rounding decides."""
    bid, ask = half_spreads(x)
    mid, half = x["mid"], (bid + ask) / 2
    centre = mid + (ask - bid) / 2
    floor = max(x["min_spread_bps"], x["min_edge_bps"] + 2 * x["fee_bps"])
    half = min(max(half, floor * 1e-4 * mid / 2), x["max_spread_bps"] * 1e-4 * mid / 2)
    raw = {s: (centre - s * half) / TICK for s in (1, -1)}
    outward = {s: s * math.floor(s * raw[s]) for s in (1, -1)}
    if outward[1] >= outward[-1]:
        raw[-1] += 1.0  # two quotes on one tick would be one crossed book: the ask goes out
    heavy = int(np.sign(x["position"]))
    level = sum(abs(x["position"]) / 100 >= threshold for threshold in (0.25, 0.5, 0.75, 1.0))
    out = {}
    for s in (1, -1):
        rungs: list[int] = []
        away = x["extra_ticks"] + ((0, 1, 3, 5, 8)[level] if s == heavy else 0)
        for rung in range(x["rungs"]):
            price = raw[s] - s * (rung * x["spacing"] + away)
            assume(0.001 < price % 1 < 0.999)
            ticks = s * math.floor(s * price)
            behind = (x["ask"] - 1) if s > 0 else (x["bid"] + 1)
            ticks = s * min(s * ticks, s * behind)
            if rungs:
                ticks = s * min(s * ticks, s * rungs[-1] - 1)
            rungs.append(ticks)
        out[s] = rungs
    return out[1], out[-1]


case = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["avellaneda_stoikov", "glft", "fixed"]), "gamma": st.floats(1e-3, 2.0),
        "kappa": st.floats(1.0, 100.0), "A": st.floats(0.05, 5.0), "sigma": st.floats(0.001, 0.2),
        "horizon_s": st.floats(1.0, 60.0), "terminal": st.booleans(), "fee_bps": st.floats(-1.0, 5.0),
        "fee_in_model": st.booleans(), "half_ticks": st.floats(0.1, 20.0), "position": st.integers(-99, 99),
        "min_spread_bps": st.floats(0, 30), "min_edge_bps": st.floats(0, 5), "max_spread_bps": st.floats(31, 80),
        "rungs": st.integers(1, 3), "spacing": st.sampled_from([0.0, 0.5, 1.0, 2.7]), "extra_ticks": st.floats(0, 5),
        "bid": st.integers(9980, 9999), "ask": st.integers(10001, 10020),
    }
)  # fmt: skip


@given(case)
def test_order_of_work(x: dict[str, Any]) -> None:
    config = simple(
        **{
            "strategy.model": x["model"], "strategy.gamma": x["gamma"], "strategy.kappa": x["kappa"],
            "strategy.A": x["A"], "strategy.horizon_s": x["horizon_s"],
            "strategy.horizon": "terminal" if x["terminal"] else "rolling",
            "strategy.fee_in_model": x["fee_in_model"], "strategy.half_spread_ticks": x["half_ticks"],
            "strategy.min_spread_bps": x["min_spread_bps"], "strategy.min_edge_bps": x["min_edge_bps"],
            "strategy.max_spread_bps": x["max_spread_bps"], "strategy.rungs": x["rungs"],
            "strategy.rung_spacing_ticks": x["spacing"], "gates.flip.mode": "widen", "risk.collar_bps": 10000.0,
            "strategy.order_size": 0.1, "ladder.size_multipliers": (1.0,) * 4,
        }
    )  # fmt: skip
    d = Driver(config, market_x(x["fee_bps"]))
    d.best = (x["bid"], x["ask"])
    d.warm(6.0).calm(0.5)
    mid = (x["bid"] + x["ask"]) / 2 * TICK
    left = x["horizon_s"] - d.t if x["terminal"] else x["horizon_s"]
    at_rest(d, x["sigma"], x["position"], x["extra_ticks"])
    bids, asks = expected(x | {"mid": mid, "tau": left, "q": float(x["position"])})
    position = x["position"]
    for side, ticks, room in ((1, bids, 100 - position), (-1, asks, 100 + position)):
        assert [o.ticks for o in d.last.side(side)] == ticks[: min(len(ticks), room)]
        assert all(o.lots == 1 for o in d.last.side(side))


# ---------------------------------------------------------------------------------------------------------------------
# Known numbers, and single steps


@pytest.mark.parametrize(("q", "half"), [(-10, 2.634257), (0, 3.312915), (10, 3.991574)])
def test_glft_of_the_issue(q: int, half: float) -> None:
    """(sigma, A, kappa, gamma) = (0.3, 0.9, 0.3, 0.01): the bid's distance from mid."""
    config = simple(
        **{"strategy.model": "glft", "strategy.gamma": 0.01, "strategy.kappa": 0.3, "strategy.A": 0.9,
           "strategy.max_spread_bps": 10000.0, "risk.collar_bps": 10000.0, "ladder.enabled": False,
           "risk.max_position": 100.0}
    )  # fmt: skip
    d = at_rest(Driver(config, market_x()).warm(6.0).calm(0.1), 0.3, 10 * q)
    price = 100.0 - half
    assert d.bid.ticks == math.floor(price / TICK)
    raw = d.s["quotes"][0]
    assert raw[0]["price"] == pytest.approx(price, abs=5e-7)


def test_avellaneda_stoikov_by_hand() -> None:
    """gamma 0.1, sigma 2, tau 1, kappa 1.5 (the paper's): spread 1.4908 at tau = 1, reservation 0.4 per unit."""
    config = simple(
        **{"strategy.model": "avellaneda_stoikov", "strategy.gamma": 0.1, "strategy.kappa": 1.5, "strategy.A": 140.0,
           "strategy.horizon_s": 1.0, "strategy.max_spread_bps": 10000.0, "risk.collar_bps": 10000.0,
           "ladder.enabled": False}
    )  # fmt: skip
    d = at_rest(Driver(config, market_x()).warm(6.0).calm(0.1), 2.0, 30)
    half = (0.1 * 4 + 2 / 0.1 * math.log(1 + 0.1 / 1.5)) / 2
    assert half == pytest.approx(0.8454, abs=1e-4)
    assert d.bid.ticks == math.floor((100 - 3 * 0.4 - half) / TICK)
    assert d.ask.ticks == 10000, "100 - 1.2 + 0.845 is below the bid: one tick behind it"
    assert d.reasons(-1) & Reason.CLAMP


def test_floor_counts_both_maker_fees() -> None:
    config = simple(**{"strategy.min_edge_bps": 1.0, "strategy.half_spread_ticks": 0.0})
    d = Driver(config, market_x(fee_bps=2.0)).warm(6.0).calm(0.1)
    assert (d.bid.ticks, d.ask.ticks) == (9997, 10003), "1 + 2*2 = 5 bps in all, 2.5 ticks a side, outward"
    assert d.reasons(1) & Reason.FLOOR


def test_cap_keeps_the_centre() -> None:
    config = simple(**{"strategy.max_spread_bps": 10.0, "strategy.half_spread_ticks": 50.0})
    d = Driver(config, market_x()).warm(6.0).calm(0.1)
    assert (d.bid.ticks, d.ask.ticks) == (9995, 10005)
    assert d.reasons(1) & Reason.CAP


def test_ladder_and_flip_may_pass_the_cap() -> None:
    config = simple(**{"strategy.max_spread_bps": 2.0, "gates.flip.mode": "widen"})
    d = at_rest(Driver(config, market_x()).warm(6.0).calm(0.1), 0.01, 60, 2.0)
    assert (d.bid.ticks, d.ask.ticks) == (10000 - 1 - 3 - 2, 10000 + 1 + 2)


def test_quotes_on_one_tick_are_parted() -> None:
    d = Driver(simple(**{"strategy.half_spread_ticks": 0.0}), market_x()).warm(6.0).calm(0.1)
    assert (d.bid.ticks, d.ask.ticks) == (10000, 10001)


quotes = st.lists(
    st.tuples(st.sampled_from([1, -1]), st.integers(99_000, 101_000).map(lambda i: i / 10)), min_size=0, max_size=8
)


@given(quotes, st.floats(0, 100), st.floats(100, 300))
def test_floor_cap_and_parting_of_a_quoter(rows, floor: float, cap: float) -> None:
    """Both sides move alike; afterwards the total spread lies between floor and cap, and best bid < best ask."""
    out = records(np.zeros(16, QUOTE))
    for i, (side, price) in enumerate(rows):
        out[i]["side"], out[i]["price"], out[i]["size_lots"] = side, price / 100, 1
    before = out["price"].copy()
    p = Driver(simple(**{"strategy.min_spread_bps": floor, "strategy.max_spread_bps": cap})).p[0]
    reason = Reason(int(floor_and_cap(p, 100.0, out, len(rows))))
    best = {s: next((out["price"][i] for i, row in enumerate(rows) if row[0] == s), None) for s in (1, -1)}
    if best[1] is None or best[-1] is None:
        assert np.array_equal(out["price"], before)
        return
    first = {s: next(before[i] for i, row in enumerate(rows) if row[0] == s) for s in (1, -1)}
    spread, was = best[-1] - best[1], first[-1] - first[1]
    assert floor * 0.01 - 1e-9 <= spread <= cap * 0.01 + 1e-9
    assert best[1] + best[-1] == pytest.approx(first[1] + first[-1])
    assert (reason == Reason.FLOOR) == (was < floor * 0.01) and (reason == Reason.CAP) == (was > cap * 0.01)
    part(TICK, out, len(rows))
    best = {s: next(out["price"][i] for i, row in enumerate(rows) if row[0] == s) for s in (1, -1)}
    assert math.floor(best[1] / TICK + 1e-9) < math.ceil(best[-1] / TICK - 1e-9)


def test_measured_defaults_reach_the_model() -> None:
    d = Driver(simple(**{"strategy.model": "glft"}), warmup=measured(A=0.7, kappa=12.0, gamma=0.03))
    q = d.p["quoting"][0]
    assert (q["A"], q["kappa"], q["gamma"]) == (0.7, 12.0, 0.03)
