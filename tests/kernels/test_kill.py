"""Every kill switch on a scripted tape: it trips on its input, acts, backs off, returns, and says so (terms.md)."""

from __future__ import annotations

import math

import pytest

from mmlab.config import Config
from mmlab.events import GateAction, Reason, Switch, TargetFlag
from mmlab.kernels import decide as kernel
from tests.kernels.driver import Driver, measured, simple

MS, S = 1_000_000, 1_000_000_000
TRIP, LATCH, REARM, OBSERVE = GateAction.TRIP, GateAction.LATCH, GateAction.REARM, GateAction.OBSERVE
QUIET = {
    f"kill.{name}.enabled": False for name in ("toxic", "burst", "losing", "loss", "drawdown", "volatility", "mark")
}


def only(*switches: str, **changes) -> Config:
    """No switch but these (and stale), no cooldown, no ladder, room for 1,000 lots."""
    base = QUIET | {f"kill.{name}.enabled": True for name in switches}
    base |= {"gates.cooldown.enabled": False, "ladder.enabled": False, "risk.max_position": 100.0}
    return simple(**(base | changes))


def actions(d: Driver, switch: Switch) -> list[GateAction]:
    return [row.action for row in d.triggers(switch)]


# ---------------------------------------------------------------------------------------------------------------------
# Toxic side


def toxic_fill(d: Driver, side: int = 1, adverse: bool = True, lots: int = 1) -> None:
    """A fill of `side` at the touch, and the mid 2 ticks for or against us a second later, 2 s in all."""
    bid, _ = d.best
    d.fill(side, lots)
    bid += -side * 2 if adverse else side * 2
    d.book(bid, bid + 2, after=0.5)
    d.book(bid, bid + 2, after=0.6)  # the horizon lies before this book event
    d.calm(0.9)


def toxic_run(d: Driver, outcomes, side: int = 1) -> Driver:
    for adverse in outcomes:
        toxic_fill(d, side, adverse)
    return d


def test_toxic_trips_at_the_20th_sample_and_pulls_its_side() -> None:
    d = toxic_run(Driver(only("toxic")).warm(), [True] * 19)
    assert not d.triggers(Switch.TOXIC)
    d.fill(1, 1)
    d.book(d.best[0] - 2, d.best[1] - 2, after=0.5).book(*d.best, after=0.6)
    (row,) = d.triggers(Switch.TOXIC)
    assert (row.action, row.side, row.value, row.n, row.effect) == (TRIP, 1, 1.0, 20, 2.0)
    assert row.threshold == pytest.approx(0.5 + 2 / (2 * math.sqrt(20)))
    assert d.bid is None and d.reasons(1) & Reason.TOXIC and d.ask is not None
    d.calm(1.99)
    assert d.bid is None
    d.calm(0.02)
    assert d.bid is not None and actions(d, Switch.TOXIC) == [TRIP, REARM]


@pytest.mark.parametrize(("bad", "trips"), [(14, False), (15, True)])
def test_toxic_must_be_significant(bad: int, trips: bool) -> None:
    """z = 2 and 20 samples: a share of 0.7236 is needed."""
    d = toxic_run(Driver(only("toxic")).warm(), [False] * (20 - bad) + [True] * bad)
    assert bool(d.triggers(Switch.TOXIC)) == trips


@pytest.mark.parametrize(("bad", "trips"), [(10, False), (11, True)])
def test_toxic_plain_rule(bad: int, trips: bool) -> None:
    """z = 0: the median below the threshold; of 20, half above and half below, it lies between."""
    d = toxic_run(Driver(only("toxic", **{"kill.toxic.z": 0.0})).warm(), [False] * (20 - bad) + [True] * bad)
    assert bool(d.triggers(Switch.TOXIC)) == trips


def test_toxic_threshold_is_minus_a_tenth_of_a_basis_point() -> None:
    d = Driver(only("toxic", **{"strategy.half_spread_ticks": 0.0})).warm()
    for _ in range(30):  # filled at the mid and nothing moves: 0 is not below -0.10
        d.fill(1, 1, ticks=10000).calm(1.1)
        d.book(*d.best).calm(0.9)
    assert not d.triggers(Switch.TOXIC)


def test_toxic_counts_horizon_long_buckets_not_fills() -> None:
    d = Driver(only("toxic")).warm()
    for _ in range(15):
        for _ in range(10):
            d.fill(1, 1, after=0.01)
        d.book(d.best[0] - 2, d.best[1] - 2, after=0.5).book(*d.best, after=0.6)
        d.calm(0.8)
    assert int(d.s["side"][0, 0]["markout"]["done"]) == 150
    assert not d.triggers(Switch.TOXIC), "150 samples in 15 buckets"


def test_toxic_epochs_and_back_off() -> None:
    """After the re-arm 20 new samples are needed; the second pause is twice the first, the third the cap."""
    d = Driver(only("toxic")).warm()
    for pause in (2.0, 4.0, 5.0, 5.0):
        toxic_run(d, [True] * 19)
        assert actions(d, Switch.TOXIC).count(TRIP) == actions(d, Switch.TOXIC).count(REARM), "19 new samples: no trip"
        toxic_run(d, [True])
        trip = [row for row in d.triggers(Switch.TOXIC) if row.action == TRIP][-1]
        assert trip.effect == pause
        d.calm(5.0)
        rearm = d.triggers(Switch.TOXIC)[-1]
        assert rearm.action == REARM
        assert rearm.t == pytest.approx(trip.t + pause)


def test_toxic_pause_is_not_prolonged_by_completions_during_it() -> None:
    d = toxic_run(Driver(only("toxic")).warm(), [True] * 19)
    d.fill(1, 1)
    for _ in range(6):
        d.fill(1, 1, after=0.1)  # still pending when the switch trips, and complete during the pause
    d.book(d.best[0] - 2, d.best[1] - 2, after=0.1)
    for _ in range(8):
        d.book(*d.best, after=0.1)
    trip = d.triggers(Switch.TOXIC)[0]
    d.calm(4.0)
    assert actions(d, Switch.TOXIC) == [TRIP, REARM]
    assert d.triggers(Switch.TOXIC)[1].t == pytest.approx(trip.t + 2.0)
    assert int(d.s["side"][0, 0]["markout"]["epoch_n"]) == 0, "none of them counts in the new epoch"


@pytest.mark.parametrize("pause_light_side", [False, True])
def test_toxic_light_side_is_widened_while_inventory_must_leave(pause_light_side: bool) -> None:
    d = Driver(only("toxic", **{"ladder.enabled": True, "kill.pause_light_side": pause_light_side})).warm()
    d.fill(1, 400)  # 0.4 long
    toxic_run(d, [True] * 20, side=-1)
    (row,) = (r for r in d.triggers(Switch.TOXIC) if r.action == TRIP)
    assert row.side == -1
    if pause_light_side:
        assert d.ask is None
    else:
        mid = sum(d.best) // 2
        assert d.ask.ticks == mid + 1 + 2 and d.reasons(-1) & Reason.LIGHT_WIDEN
    d.fill(-1, d.position - 200)  # 0.2: now it may be pulled
    assert d.ask is None


def test_toxic_rearm_needs_a_fresh_book() -> None:
    d = toxic_run(Driver(only("toxic")).warm(), [True] * 20)
    assert d.bid is None
    d.lose_book()
    d.book(*d.best, after=0.5)  # fresh 2 s from now, later than the pause
    lost = d.t
    d.calm(1.99)
    assert d.bid is None and d.reasons(1) & Reason.REARM
    d.calm(0.02)
    assert d.bid is not None
    assert d.triggers(Switch.TOXIC)[-1].t == pytest.approx(lost + 2.0)


# ---------------------------------------------------------------------------------------------------------------------
# Fill burst


def burst(d: Driver, hits: int, every: float = 0.2, side: int = 1) -> Driver:
    for _ in range(hits):
        d.fill(side, 1, after=every)
    return d


def test_burst_pauses_its_side_and_doubles() -> None:
    d = burst(Driver(only("burst")).warm(), 19)
    assert not d.triggers(Switch.BURST)
    burst(d, 1)
    (row,) = d.triggers(Switch.BURST)
    assert (row.action, row.side, row.value, row.threshold, row.n, row.effect) == (TRIP, 1, 5.0, 3.0, 20, 0.5)
    assert d.bid is None and d.reasons(1) & Reason.BURST and d.ask is not None
    d.calm(0.49)
    assert d.bid is None
    d.calm(0.02)
    assert d.bid is not None
    burst(d, 19)
    assert actions(d, Switch.BURST) == [TRIP, REARM], "a new epoch needs 20 new samples"
    burst(d, 1)
    assert d.triggers(Switch.BURST)[-1].effect == 1.0


def test_burst_leaves_the_shown_fill_rate_alone() -> None:
    d = burst(Driver(only("burst")).warm(), 20).calm(2.0)
    assert int(d.s["side"][0, 0]["rate"]["n"]) == 20, "the p95 of the last 200 hits knows no epochs"


def test_burst_needs_a_rate_above_three() -> None:
    d = burst(Driver(only("burst")).warm(), 60, every=0.34)  # 2 or 3 in a second
    assert not d.triggers(Switch.BURST)


def test_burst_ignores_hits_during_the_pause() -> None:
    d = burst(Driver(only("burst")).warm(), 20)
    burst(d, 2, every=0.1)
    d.calm(1.0)
    burst(d, 19)
    assert actions(d, Switch.BURST) == [TRIP, REARM]


# ---------------------------------------------------------------------------------------------------------------------
# Money


def lose(d: Driver, times: int, ticks: int = 1, lots: int = 10, every: float = 0.5) -> Driver:
    """Buy above and sell below the mid: 2*ticks a round trip."""
    for _ in range(times):
        d.fill(1, lots, ticks=10000 + ticks, after=every).fill(-1, lots, ticks=10000 - ticks, after=every)
    return d


def losing(**changes) -> Config:
    return only("losing", **({"kill.losing.z": 0.0, "kill.losing.min_notional": 2000.0} | changes))


def test_losing_halts_returns_twice_and_latches() -> None:
    d = Driver(losing()).warm()
    lose(d, 9)
    assert not d.triggers(Switch.LOSING), "1,800 traded"
    d.fill(1, 10, ticks=10001)
    assert not d.triggers(Switch.LOSING)
    d.fill(-1, 10, ticks=9999)
    (row,) = d.triggers(Switch.LOSING)
    assert (row.action, row.side, row.effect) == (TRIP, 0, 60.0)
    assert row.value == pytest.approx(-100.0, rel=0.02) and row.threshold == -30.0
    assert d.bid is None and d.ask is None and d.reasons(1) & d.reasons(-1) & Reason.LOSING
    d.calm(59.9)
    assert d.bid is None
    d.calm(0.2)
    assert d.bid is not None and d.ask is not None
    lose(d, 9)
    assert actions(d, Switch.LOSING) == [TRIP, REARM], "what was lost before the re-arm counts no more"
    lose(d, 1)
    assert actions(d, Switch.LOSING) == [TRIP, REARM, TRIP]
    d.calm(61.0)
    lose(d, 10)
    assert actions(d, Switch.LOSING) == [TRIP, REARM, TRIP, REARM, LATCH], "max_rearms = 2"
    d.calm(3600.0)
    assert d.bid is None and d.reasons(1) & Reason.LOSING


def test_losing_needs_significance() -> None:
    """The same loss, with a position carried whose noise explains it."""
    noise = {"kill.losing.z": 2.0, "kill.losing.min_notional": 500.0}
    d = Driver(losing(**noise)).warm()
    lose(d, 5)
    assert d.triggers(Switch.LOSING), "flat most of the time and sigma at its floor: significant"
    d = Driver(losing(**noise)).warm()
    d.fill(1, 500, ticks=10000)
    for _ in range(20):
        d.book(10009, 10011, after=0.3).book(9999, 10001, after=0.3)  # noise
    lose(d, 5)
    assert not d.triggers(Switch.LOSING)


def test_losing_limit_is_that_of_terms_md() -> None:
    d = Driver(losing(**{"kill.losing.z": 2.0, "kill.losing.min_notional": 150.0})).warm()
    sigma = float(d.p["quoting"]["sigma_floor"][0])  # nothing has moved
    d.fill(1, 10, ticks=10050)
    d.calm(100.0)
    d.fill(-1, 10, ticks=9950)
    row = d.triggers(Switch.LOSING)[-1]
    seconds = 100.0
    position = 100.0  # 1.0 at 100.00 all the time
    traded = 1.0 * (100.5 + 99.5)
    sd_bps = 1e4 * sigma / 100.0 * math.sqrt(seconds) * position / traded
    expected = min(-30.0, -2 * sd_bps * 100)
    assert expected < -30.0
    assert row.threshold == pytest.approx(expected, rel=1e-6)


def test_losing_without_sigma_never_trips() -> None:
    d = Driver(losing(**{"kill.losing.z": 2.0, "kill.losing.min_notional": 0.0}))
    d.book(9999, 10001)  # no warm-up: sigma is NaN
    d.fill(1, 10, ticks=10500).fill(-1, 10, ticks=9500)
    assert not d.triggers(Switch.LOSING)


def test_loss_latches_and_rearms_by_hand() -> None:
    d = Driver(only("loss", **{"kill.loss.max_loss_quote": 5.0})).warm()
    d.fill(1, 100, ticks=10000)  # 10.0 long at 100.00: 0.1 a tick
    d.book(9949, 9951)
    assert d.bid is not None, "exactly 5.0 lost"
    d.book(9948, 9950)
    (row,) = d.triggers(Switch.LOSS)
    assert (row.action, row.value, row.threshold) == (LATCH, pytest.approx(-5.1), -5.0)
    assert d.bid is None and d.ask is None and d.reasons(1) & Reason.LOSS
    d.book(9999, 10001).calm(1000.0)
    assert d.bid is None, "latched, although the loss is gone"
    assert kernel.rearm(d.p, d.s, d.now_ns) == 1
    d.settle()
    assert d.bid is not None
    d.book(9951, 9953)
    assert d.bid is not None, "the next loss counts from the re-arm"
    d.book(9947, 9949)
    assert d.bid is None


def test_drawdown_counts_from_the_peak() -> None:
    d = Driver(only("drawdown", **{"kill.drawdown.max_drawdown_quote": 5.0})).warm()
    d.fill(1, 100, ticks=10000)
    d.book(10099, 10101)  # +10
    d.book(10050, 10052)  # -4.9 from the peak
    assert not d.triggers(Switch.DRAWDOWN)
    d.book(10048, 10050)
    (row,) = d.triggers(Switch.DRAWDOWN)
    assert (row.action, row.value) == (LATCH, pytest.approx(-5.1))
    d.calm(100.0)
    assert d.bid is None
    kernel.rearm(d.p, d.s, d.now_ns)
    d.settle()
    assert d.bid is not None


def test_default_limits_are_a_tenth_of_max_position() -> None:
    d = Driver(simple())
    assert d.p["kill"]["max_loss"][0] == pytest.approx(0.1 * 10.0 * 100.0)
    assert d.p["kill"]["max_drawdown"][0] == pytest.approx(0.1 * 10.0 * 100.0)


# ---------------------------------------------------------------------------------------------------------------------
# Data: volatility, stale, mark


def shaken(**changes) -> Driver:
    """Five minutes of small moves, then one big jump."""
    d = Driver(only("volatility", **({"strategy.half_life_s": 5.0} | changes))).warm(1.0)
    for i in range(700):
        d.book(9999 + i % 2, 10001 + i % 2, after=0.5)
    assert not d.triggers(Switch.VOLATILITY)
    return d


def test_volatility_trips_freezes_its_median_and_returns() -> None:
    d = shaken()
    median = kernel_median(d)
    d.book(10020, 10022, after=0.5)
    d.calm(0.2)
    (row,) = d.triggers(Switch.VOLATILITY)
    assert row.action == TRIP and row.value > row.threshold == 3.0
    assert d.bid is None and d.ask is None and d.reasons(1) & Reason.VOLATILITY
    calm_since = None
    for _ in range(400):
        d.calm(0.1)
        if d.bid is not None:
            break
        assert kernel_median(d) == median, "frozen"
        if calm_since is None and ratio(d) < 2.0:
            calm_since = d.t
    assert d.t == pytest.approx(calm_since + 2.0, abs=1.2), "below 2 for fresh_s (looked at every second)"
    assert actions(d, Switch.VOLATILITY) == [TRIP, REARM]
    assert d.s["vol"]["frozen"][0] == 0


def kernel_median(d: Driver) -> float:
    from mmlab.kernels.volatility import vol_median

    return vol_median(d.s["vol"][0], float(d.p["quoting"]["sigma_floor"][0]))


def ratio(d: Driver) -> float:
    from mmlab.kernels.volatility import vol_sigma

    return vol_sigma(d.s["vol"][0], float(d.p["quoting"]["sigma_floor"][0])) / kernel_median(d)


def test_volatility_needs_its_history() -> None:
    d = Driver(only("volatility", **{"strategy.half_life_s": 5.0})).warm(1.0)
    for i in range(100):
        d.book(9999 + i % 2, 10001 + i % 2, after=0.5)
    d.book(10100, 10102, after=0.5).calm(0.2)
    assert not d.triggers(Switch.VOLATILITY), "50 s of 300"


def test_stale_trips_by_its_timer_and_returns_when_fresh() -> None:
    d = Driver(only()).warm()
    spoke = d.t
    d.silence(0.999)
    assert d.bid is not None
    d.silence(0.002)
    assert d.bid is None and d.ask is None and d.reasons(1) & Reason.STALE
    (row,) = d.triggers(Switch.STALE)
    assert row.t == pytest.approx(spoke + 1.0)
    d.silence(30.0)
    assert d.bid is None
    d.calm(1.5)
    assert d.bid is None and d.reasons(1) & Reason.REARM, "it has spoken again, for less than fresh_s"
    d.calm(1.2)
    assert d.bid is not None
    assert actions(d, Switch.STALE) == [TRIP, REARM]
    assert d.log[-1].t == pytest.approx(spoke + 31.001 + 0.5 + 2.0, abs=1e-6)


def test_nothing_trips_before_there_is_anything_to_halt() -> None:
    d = Driver(only())
    d.now_ns -= 30 * S
    d.book(9999, 10001).silence(29.0).silence(1.5)
    (row,) = d.triggers(Switch.STALE)
    assert row.t == pytest.approx(0.0), "silent for half a minute of warm-up, stale when quoting would start"


def test_stale_limit_follows_the_feed() -> None:
    d = Driver(only(), warmup=measured(p99_interval_ns=0.7 * S)).warm()
    d.silence(6.9)
    assert d.bid is not None
    d.silence(0.2)
    assert d.bid is None


def test_mark_pulls_and_backs_off() -> None:
    d = Driver(only("mark")).warm()
    d.mark(10000)
    assert d.bid is not None
    d.mark(9900)  # 101 bps from the mark
    (row,) = d.triggers(Switch.MARK)
    assert row.value == pytest.approx(1e4 * 1.0 / 99.0) and row.threshold == 100.0 and row.effect == 2.0
    assert d.bid is None and d.ask is None and d.reasons(1) & Reason.MARK
    d.calm(10.0)
    assert d.bid is None, "as long as the mark is away"
    d.mark(9990)
    assert d.bid is not None
    d.mark(9900)
    assert d.triggers(Switch.MARK)[-1].effect == 4.0, "a repeat doubles"
    d.mark(9990).calm(3.9)
    assert d.bid is None
    d.calm(0.2)
    assert d.bid is not None


def test_mark_is_off_without_marks() -> None:
    assert Driver(only("mark"), warmup=measured(has_mark=False)).p["kill"]["mark"][0] == 0


# ---------------------------------------------------------------------------------------------------------------------
# Position and orders


def test_position_beyond_the_limit_leaves_only_the_light_side() -> None:
    d = Driver(simple()).warm()
    d.fill(1, 110).calm(1.0)
    assert d.bid is None and d.reasons(1) & Reason.POSITION
    assert d.ask is not None and not d.triggers(Switch.HARD_LIMIT)


@pytest.mark.parametrize("on_halt", ["hold", "reduce"])
def test_hard_limit_latches_and_only_reduce_only_may_leave(on_halt: str) -> None:
    d = Driver(simple(**{"risk.on_halt": on_halt})).warm()
    d.fill(1, 125).calm(1.0)
    assert not d.triggers(Switch.HARD_LIMIT), "1.25x the limit, exactly"
    d.fill(1, 1)
    (row,) = d.triggers(Switch.HARD_LIMIT)
    assert (row.action, row.value, row.threshold) == (LATCH, 126, 125)
    assert d.bid is None
    if on_halt == "hold":
        assert d.ask is None
    else:
        assert d.ask.lots == 10 and d.ask.flags & TargetFlag.REDUCE_ONLY
    d.fill(-1, 120).calm(100.0)
    assert d.bid is None, "latched"
    if on_halt == "reduce":
        assert d.ask.lots == 6, "never through zero"
    kernel.rearm(d.p, d.s, d.now_ns)
    d.settle()
    assert d.bid is not None and d.ask is not None and not d.ask.flags & TargetFlag.REDUCE_ONLY


def test_hard_limit_does_not_rearm_beyond_the_limit() -> None:
    d = Driver(simple()).warm()
    d.fill(1, 126)
    kernel.rearm(d.p, d.s, d.now_ns)
    d.settle().calm(10.0)
    assert d.ask is None
    d.fill(-1, 2).calm(1.0)
    assert d.ask is not None


def test_reduce_obeys_the_side_gates() -> None:
    """A halt that lets the light side reduce is no licence to ignore what is below it."""
    d = Driver(simple(**{"risk.on_halt": "reduce"})).warm()
    d.fill(1, 60).calm(1.0)
    kernel.trip_manual(d.p, d.s, d.now_ns)
    d.settle()
    assert d.ask is not None and d.bid is None
    for _ in range(4):
        d.fill(-1, 1, after=0.05)
    assert d.ask is None and d.reasons(-1) & Reason.PULL and d.reasons(-1) & Reason.MANUAL


def shifted(market, metrics, position_lots, params, out):
    """Two quotes, one tick from a centre shifted by user[0] ticks."""
    for i in range(2):
        side = 1 - 2 * i
        out[i].side = side
        out[i].price = market.mid + (params.user[0] - side) * market.tick_size
        out[i].size_lots = params.quoting.order_lots
    return 2


def off_centre(**changes) -> Driver:
    d = Driver(only(**({"strategy.max_spread_bps": 10000.0} | changes)), quoter=shifted).warm()
    assert d.bid is not None
    return d


def test_collar_refuses_and_the_third_halts() -> None:
    d = off_centre()
    d.p["user"][0, 0] = -150.0  # a bid 151 ticks = 151 bps below the mid; the ask is clamped to the touch
    d.book(9999, 10001, after=0.1)
    assert d.bid is None and d.reasons(1) & Reason.COLLAR and d.ask is not None
    d.book(9999, 10001, after=0.1)
    assert not d.triggers(Switch.COLLAR)
    d.book(9999, 10001, after=0.1)
    (row,) = d.triggers(Switch.COLLAR)
    assert (row.action, row.n, row.threshold, row.effect) == (TRIP, 3, 100.0, 60.0)
    assert row.value == pytest.approx(151.0)
    assert d.ask is None, "in the decision that refused the third"
    d.p["user"][0, 0] = 0.0
    d.calm(59.9)
    assert d.ask is None
    d.calm(0.2)
    assert d.bid is not None and d.ask is not None


def test_collar_forgets_after_its_memory() -> None:
    d = off_centre()
    for _ in range(3):
        for shift in (-150.0, 0.0):
            d.p["user"][0, 0] = shift
            d.book(9999, 10001, after=0.1)
        d.calm(61.0)
    assert not d.triggers(Switch.COLLAR)


def test_collar_looks_at_the_mark_too() -> None:
    d = off_centre()
    d.mark(10040)  # 40 bps from the mid: the mark switch is quiet
    d.p["user"][0, 0] = -70.0
    d.book(9999, 10001, after=0.1)
    assert d.bid is None and d.reasons(1) & Reason.COLLAR, "71 bps from the mid, 111 from the mark"


def test_collar_does_not_halt_for_what_gates_did() -> None:
    d = Driver(simple(**{"ladder.offset_ticks": (150, 150, 150, 150)})).warm()
    d.fill(1, 30)
    for _ in range(20):
        d.calm(1.0)
    assert d.bid is None and d.reasons(1) & Reason.COLLAR and d.ask is not None
    assert not d.triggers(Switch.COLLAR)


def not_a_number(market, metrics, position_lots, params, out):
    """A quoter with a bug."""
    out[0].side, out[0].price, out[0].size_lots = 1, market.mid * 0.0 / params.user[0], 10
    out[1].side, out[1].price, out[1].size_lots = -1, market.ask, 10
    return 2


def test_a_quoter_that_writes_nan_is_refused_and_halts() -> None:
    d = Driver(only(), quoter=not_a_number)
    d.p["user"][0, 0] = 0.0
    d.warm(2.0)
    assert not any(o.side > 0 for decision in d.decisions for o in decision.orders)
    d.calm(8.0)
    assert [r.action for r in d.triggers(Switch.COLLAR)][:1] == [TRIP]
    assert d.ask is None


def test_order_size_limit_refuses_and_halts() -> None:
    d = Driver(only(**{"risk.max_order_notional": 101.0})).warm()
    assert d.bid is not None
    d.book(10199, 10201)
    assert d.bid is None and d.ask is None and d.reasons(1) & Reason.SIZE
    d.book(10198, 10200, after=0.1)
    d.book(10197, 10199, after=0.1)
    (row,) = d.triggers(Switch.SIZE)
    assert (row.action, row.n) == (TRIP, 3)
    d.book(9999, 10001).calm(60.1)
    assert d.bid is not None


def four(market, metrics, position_lots, params, out):
    """Two rungs a side."""
    for i in range(4):
        side = 1 - 2 * (i // 2)
        out[i].side = side
        out[i].price = market.mid - side * (1 + i % 2) * market.tick_size
        out[i].size_lots = 10
    return 4


def test_order_count_refuses_and_halts() -> None:
    d = Driver(only(**{"risk.max_live_orders": 3}), quoter=four).warm().calm(5.0)
    assert [r.action for r in d.triggers(Switch.ORDER_COUNT)] == [TRIP]
    assert max(len(decision.orders) for decision in d.decisions) == 3


def test_live_orders_beyond_the_limit_freeze_the_quotes() -> None:
    d = Driver(only(**{"risk.max_live_orders": 4}), held=True).warm()
    d.ack()
    kernel.on_orders(d.p, d.s, d.now_ns, 20, 20, 5, d.messages, 0)  # one is being cancelled, one on its way
    d.settle()
    d.book(10009, 10011)
    assert d.bid.ticks == 9999 and d.reasons(1) & Reason.ORDER_COUNT, "no move towards mid"
    assert d.ask.ticks == 10011, "worsening is allowed"
    kernel.on_orders(d.p, d.s, d.now_ns, 20, 20, 4, d.messages, 0)
    d.settle()
    assert d.bid.ticks == 10009


def test_message_rate_backs_off_and_halts_at_the_third_time() -> None:
    d = Driver(only(**{"risk.max_messages_per_min": 10})).warm(90.0)
    start = d.messages
    for i in range(20):
        d.book(9999 + i, 10001 + i, after=0.05)
    assert 10 <= d.messages - start <= 10 + 2 + 20, "bids stay, asks still worsen"
    assert d.reasons(1) & Reason.MESSAGES and d.bid.ticks < 10018
    assert not d.triggers(Switch.MESSAGES), "an unbroken run of refusals is one"
    d.calm(62.0)
    assert d.bid.ticks == 10018 and not d.reasons(1) & Reason.MESSAGES
    for i in range(2):
        for k in range(12):
            d.book(9999 + k, 10001 + k, after=0.05)
        if i == 0:
            assert not d.triggers(Switch.MESSAGES)
            d.calm(61.9)
    assert [r.action for r in d.triggers(Switch.MESSAGES)] == [TRIP]
    d.calm(65.0)
    assert d.bid is not None and d.ask is not None


# ---------------------------------------------------------------------------------------------------------------------
# By hand, observe, several at once


def test_manual_latches_and_rearms_by_hand() -> None:
    d = Driver(simple()).warm()
    kernel.trip_manual(d.p, d.s, d.now_ns)
    d.settle()
    assert d.bid is None and d.ask is None and d.reasons(1) & d.reasons(-1) & Reason.MANUAL
    kernel.trip_manual(d.p, d.s, d.now_ns)
    d.settle().calm(100.0)
    assert d.bid is None and actions(d, Switch.MANUAL) == [LATCH], "a second press changes nothing"
    assert kernel.rearm(d.p, d.s, d.now_ns) == 1
    d.settle()
    assert d.bid is not None and actions(d, Switch.MANUAL) == [LATCH, REARM]


def test_manual_rearm_waits_for_the_book() -> None:
    d = Driver(simple()).warm()
    kernel.trip_manual(d.p, d.s, d.now_ns)
    d.settle().lose_book()
    kernel.rearm(d.p, d.s, d.now_ns)
    d.settle().calm(5.0)
    assert d.bid is None and d.reasons(1) & Reason.REARM
    d.book(9999, 10001).calm(1.9)
    assert d.bid is None
    d.calm(0.2)
    assert d.bid is not None


def test_manual_acts_in_observe_mode_too() -> None:
    d = Driver(simple(**{"kill.mode": "observe"})).warm()
    kernel.trip_manual(d.p, d.s, d.now_ns)
    d.settle()
    assert d.bid is None


def test_rearm_ends_a_halt_and_a_pause_early() -> None:
    d = Driver(losing()).warm()
    lose(d, 10)
    assert d.bid is None
    assert kernel.rearm(d.p, d.s, d.now_ns) == 1
    d.settle()
    assert d.bid is not None
    d = toxic_run(Driver(only("toxic")).warm(), [True] * 20)
    assert d.bid is None
    assert kernel.rearm(d.p, d.s, d.now_ns) == 1
    d.settle()
    assert d.bid is not None
    assert kernel.rearm(d.p, d.s, d.now_ns) == 0


def test_trips_that_wait_for_one_another_are_released_together() -> None:
    d = Driver(losing()).warm()
    lose(d, 10)
    d.silence(70.0)  # losing is over, stale is not
    assert d.reasons(1) & Reason.LOSING and d.reasons(1) & Reason.STALE
    d.calm(3.0)
    assert d.bid is not None and d.ask is not None


OBSERVED = [
    ("toxic", lambda d: toxic_run(d, [True] * 25), {}),
    ("burst", lambda d: burst(d, 25), {}),
    ("losing", lambda d: lose(d, 15), {"kill.losing.z": 0.0, "kill.losing.min_notional": 100.0}),
    ("loss", lambda d: d.fill(1, 100, ticks=10100), {"kill.loss.max_loss_quote": 5.0}),
    ("drawdown", lambda d: d.fill(1, 100, ticks=10100), {"kill.drawdown.max_drawdown_quote": 5.0}),
    ("mark", lambda d: d.mark(9000), {"risk.collar_bps": 5000.0}),
    ("stale", lambda d: d.silence(5.0), {}),
]


@pytest.mark.parametrize(("name", "tape", "changes"), OBSERVED, ids=[row[0] for row in OBSERVED])
def test_observe_mode_logs_and_does_nothing(name, tape, changes) -> None:
    d = Driver(only(name, **{"kill.mode": "observe", **changes})).warm()
    tape(d)
    rows = d.triggers(Switch[name.upper()])
    assert rows and {row.action for row in rows} == {OBSERVE}, "once a memory, not at every event"
    assert len(rows) == 1
    assert d.bid is not None and d.ask is not None
