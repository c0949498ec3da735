"""A replay in parts, on a tape that grows, does what a replay does at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmlab
from mmlab.events import NS_PER_S, Kind
from mmlab.feeds.slicing import cut
from mmlab.lab.demo import SAMPLE
from mmlab.lab.warm_up import calibrate, warm_up
from mmlab.resolve import resolve
from mmlab.simulator import build_tape, replay
from mmlab.simulator.growing import WHOLE, GrowingTape, moved
from mmlab.simulator.playback import Playback

LAG_NS = NS_PER_S
TABLES = ("fills", "orders", "decisions", "targets", "gates", "metrics")
SPAN_NS = 180 * NS_PER_S


@pytest.fixture(scope="module")
def market():
    """The sample's first minutes, with a gap and a snapshot in it, and their replay at once."""
    feed = mmlab.load_feed(SAMPLE)
    config = mmlab.Config().with_(**{"strategy.warmup_s": 20.0, "ladder.thresholds": [0.1, 0.2, 0.4, 1.0]})
    begin_ns = int(feed.events["local_ns"][0])
    first, second = feed[begin_ns : begin_ns + SPAN_NS // 2], feed[begin_ns + SPAN_NS // 2 + 1 : begin_ns + SPAN_NS]
    gap = np.zeros(1, mmlab.EVENT)
    gap["kind"], gap["local_ns"] = Kind.GAP, first.events["local_ns"][-1]
    gap["exch_ns"] = first.events["exch_ns"].max()
    events = np.concatenate([first.events, gap, second.events])
    feed = mmlab.Feed(feed.instrument, events)
    fit = warm_up(calibrate(feed, config))
    params, _ = resolve(config, feed.instrument, fit)
    return feed, params, feed.instrument.to_ticks(fit.mid), replay(build_tape(events), feed.instrument, params)


def same_tapes(a, b, n):
    """Whether two tapes hold the same."""
    for name in ("book", "prints", "others"):
        assert getattr(a, name).tolist() == getattr(b, name).tolist(), name
    named = a.steps["cell"] >= 0
    assert (a.steps["cell"] == b.steps["cell"]).all()
    assert (a.steps["lots"][named] == b.steps["lots"][named]).all()
    assert (a.steps["since_ns"] == b.steps["since_ns"]).all()
    blocks = -(-n // 8)
    assert (a.times[:blocks] == b.times[:blocks]).all()


@settings(max_examples=15)
@given(st.data())
def test_in_parts_as_at_once(market, data):
    feed, params, mid, whole = market
    events = feed.events
    cuts = sorted(data.draw(st.lists(st.integers(1, events.size - 1), max_size=8)))
    at_once = GrowingTape(mid, WHOLE)
    at_once.extend(events, over=True)
    tape, play, at = GrowingTape(mid, WHOLE), None, 0
    for end in [*cuts, events.size]:
        over = end == events.size
        tape.extend(events[at:end], over=over)
        at = end
        if tape.read:
            view = tape.tape()
            play = play or Playback(view, feed.instrument, params)
            play.advance(view, int(events["local_ns"][end - 1]) - (0 if over else LAG_NS))
            so_far = play.result()
            for name in ("fills", "decisions", "metrics"):
                rows = getattr(so_far, name)
                assert getattr(whole, name)[: rows.size].tobytes() == rows.tobytes(), name
    same_tapes(at_once.tape(), tape.tape(), events.size)
    result = play.result()
    for name in TABLES:
        rows = getattr(result, name)
        rest = getattr(whole, name)[rows.size :]
        assert getattr(whole, name)[: rows.size].tobytes() == rows.tobytes(), name
        assert name == "orders" or not rest.size  # the end of the feed cancels orders; a pause does not
    assert result.fills.size > 3


def test_book_of_a_growing_tape_is_that_of_the_feed(market):
    feed, _, mid, _ = market
    tape, whole = GrowingTape(mid, WHOLE), build_tape(feed.events)
    for begin in range(0, feed.events.size, 997):
        tape.extend(feed.events[begin : begin + 997])
    assert tape.read == feed.events.size - 1, "the last row waits for the next one"
    tape.extend(feed.events[:0], over=True)
    for name in ("book", "prints", "others"):
        assert getattr(tape.tape(), name).tolist() == getattr(whole, name).tolist(), name


def test_a_position_from_the_start(market):
    feed, params, mid, _ = market
    tape = GrowingTape(mid, WHOLE)
    tape.extend(feed.events, over=True)
    view, begin_ns = tape.tape(), int(feed.events["local_ns"][0])
    play = Playback(view, feed.instrument, params)
    assert not play.adopt(5, 0), "no book yet: nothing to value it at"
    at_ns = begin_ns + 15 * NS_PER_S
    play.advance(view, at_ns)
    assert play.adopt(-7, at_ns - 4 * NS_PER_S)
    play.advance(view, begin_ns + 19 * NS_PER_S)
    rows = play.result().metrics
    last = rows[-1]
    assert last["position_lots"] == -7
    before = rows[rows["local_ns"] <= at_ns][-1]
    size = -7 * feed.instrument.lot_size
    mids = [r["mid"] for r in rows[rows["local_ns"] >= at_ns]]
    assert last["net_pnl"] == pytest.approx(size * (mids[-1] - _mid_at(feed, at_ns)), abs=1e-9)
    assert before["net_pnl"] == 0
    assert last["lot_age_s"] == pytest.approx((last["local_ns"] - at_ns) / 1e9 + 4.0)
    assert last["volume"] == 0
    play.advance(view, int(feed.events["local_ns"][-1]))
    fills = play.result().fills
    assert fills["position_before_lots"][0] == -7


def _mid_at(feed, ns):
    book = feed.book()
    row = book[np.searchsorted(book["local_ns"], ns, "right") - 1]
    return 0.5 * (row["bid_ticks"] + row["ask_ticks"]) * feed.instrument.tick_size


def test_what_was_forgotten_is_not_missed(market):
    feed, params, mid, whole = market
    tape = GrowingTape(mid, WHOLE)
    tape.extend(feed.events, over=True)
    view, play = tape.tape(), None
    decided = 0
    for second in range(10, 181, 10):
        play = play or Playback(view, feed.instrument, params)
        play.advance(view, int(feed.events["local_ns"][0]) + second * NS_PER_S)
        decided += play.result().decisions.size
        play.forget()
    result = play.result()
    assert result.fills.tobytes() == whole.fills.tobytes()
    assert result.metrics.tobytes() == whole.metrics.tobytes()
    assert result.orders.size == 0
    assert decided >= whole.decisions.size, "the first one after a `forget` is written even if nothing changed"


@pytest.mark.parametrize("queue", ["risk_averse", "power"])
@pytest.mark.parametrize("moves", [(60,), (40, 75, 76, 130)])
def test_moving_to_a_tape_that_begins_later_changes_nothing(market, queue, moves):
    feed, params, mid, _ = market
    events, begin_ns = feed.events, int(feed.events["local_ns"][0])
    whole = replay(build_tape(events), feed.instrument, params, queue=queue)
    tape, at = GrowingTape(mid, WHOLE), 0
    play = None
    for second in range(10, 181, 5):
        until = int(np.searchsorted(events["local_ns"], begin_ns + second * NS_PER_S, "right"))
        tape.extend(events[at:until], over=until == events.size)
        at = until
        play = play or Playback(tape.tape(), feed.instrument, params, queue=queue)
        play.advance(tape.tape(), begin_ns + (second - 2) * NS_PER_S)
        if any(second - 5 < move <= second for move in moves):
            first = int(np.searchsorted(tape.events["local_ns"], begin_ns + (second - 8) * NS_PER_S, "right"))
            old, (tape, opening) = tape, moved(tape, first, rest(tape, first))
            play.move(old.tape(), tape.tape(), first, opening)
    play.advance(tape.tape(), int(events["local_ns"][-1]))
    result = play.result()
    for name in ("fills", "decisions", "metrics", "gates"):
        assert getattr(result, name).tobytes() == getattr(whole, name).tobytes(), name
    assert tape.size < events.size


def test_a_tape_without_a_book_is_not_moved(market):
    feed, _, mid, _ = market
    gap = int(np.flatnonzero(feed.events["kind"] == Kind.GAP)[0])
    tape = GrowingTape(mid, WHOLE)
    tape.extend(feed.events[: gap + 1])
    tape.extend(feed.events[gap + 1 :][:100], over=True)
    assert moved(tape, gap + 1, rest(tape, gap + 1)) is None


def rest(tape, first):
    """A tape's rows from `first` on, after a snapshot."""
    return cut(tape.events, first, tape.size, int(tape.events["local_ns"][first]))
