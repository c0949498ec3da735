"""A report is complete, honest and light."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.errors import SessionError
from mmlab.events import DECISION, FILL, METRIC, NS_PER_S, TARGET
from mmlab.lab.downsample import m4
from mmlab.lab.money import bridge
from mmlab.lab.numbers import bps, number, percent, span
from mmlab.lab.report import PANELS
from mmlab.lab.report_figures import merge_dense
from mmlab.lab.report_text import headline, key_figures
from mmlab.lab.sensitivity import VARIANTS, changes_of, sensitivity
from tests.lab.fabricated import INVERSE, LINEAR, START_NS, make_run

SETTING = {"latency": {"entry_ms": (1.0, 2.0), "response_ms": 3.0, "resample": False, "scale": 0.5}}


def losing(run, **changes):
    """A variant: other fills, and for a dearer fee a net P&L of the other sign."""
    other = make_run(60, seed=5, feed=run.feed, instrument=changes.get("instrument", run.instrument))
    if changes.get("instrument", run.instrument).maker_fee_bps > run.instrument.maker_fee_bps:
        other.tables.metrics["net_pnl"] = -run.summary["net_pnl"]
    return other


class Page(HTMLParser):
    """What a page points to, and its text outside scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.parts, self.hidden = [], [], 0
        self.feed(text)
        self.text = " ".join(" ".join(self.parts).split())

    def handle_starttag(self, tag, attributes):
        self.hidden += tag in {"script", "style"}
        self.addresses += [value for name, value in attributes if name in {"src", "href", "srcset", "action", "data"}]

    def handle_endtag(self, tag):
        self.hidden -= tag in {"script", "style"}

    def handle_data(self, data):
        if not self.hidden:
            self.parts.append(data)


@pytest.fixture(scope="module", params=[LINEAR, INVERSE], ids=["linear", "inverse"])
def run(request):
    return make_run(600, instrument=request.param, halted=True, rerun=losing, setting=SETTING)


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    return Page(run.report(tmp_path_factory.mktemp("report") / "x.html").read_text())


def test_it_needs_no_other_file(page):
    assert page.addresses == ["data:,"]


def test_it_shows_everything_asked_for(page, run):
    for title, _ in PANELS.values():
        assert title in page.text
    for label in (
        "Queue model risk_averse", "Queue fidelity high", "Fills by kind queue",
        "Latency made up; entry p50 2 ms, p99 3 ms",
        "Fee tier maker", "Coverage 99.7 %", "Trips 3, 2 of them halts", "Halt time", "Warm-up 10 s",
        "Configurations tried 1", "spread capture", "adverse (1 s)", "later drift and inventory", "less fees",
        "flip gate inactive: made up", "[ladder]", "mmlab 0",
    ):  # fmt: skip
        assert label in page.text, label
    for name in [*VARIANTS, *run.summary.index]:
        assert name in page.text, name


def test_bridge_on_the_page_sums_to_net(page, run):
    cells = re.search(r"bps of traded quote (spread capture .*? net \S+ \S+)", page.text)[1]
    shown = [float(text.replace("\u2212", "-")) for text in re.findall(r"([+\u2212]?\d+\.\d{3}) \S+", cells)]
    assert len(shown) == 6
    np.testing.assert_allclose(shown, bridge(run)["bps"], atol=5e-4)
    assert sum(shown[:-1]) == pytest.approx(shown[-1], abs=3e-3)


def test_what_matters_comes_first(run):
    table = sensitivity(run)
    first, second, last = headline(run, table)
    assert first.startswith("Halted 2 times (losing, loss; last at 2023-11-14")
    assert "never re-armed" in first
    assert f"traded {percent(run.summary['traded_share'])} of the feed" in first
    assert second.startswith("Not robust: net P&L changes sign with")
    assert "maker fee +1 bp" in second
    assert last.startswith("Made" if run.summary["net_pnl"] > 0 else "Lost")
    assert headline(run, table[~table["flips"]])[1] == last


def test_a_coarse_feed_is_judged_by_fills_traded_through():
    run = make_run(60, rerun=losing)
    run.feed.cache["facts"] = {**run.facts, "queue_fidelity": "low"}
    del run.__dict__["facts"]
    run.__dict__.pop("summary", None)
    table = sensitivity(run, ["queue through_only"])
    (sentence,) = headline(run, table)[-1:]
    assert "counting only fills traded through" in sentence
    assert f"with {int(table.loc['queue through_only', 'fills'])} fills" in sentence
    assert "too coarse" in headline(run, None)[-1]
    label, value, note = key_figures(run, table)[2]
    assert (label, int(value)) == ("Fills", table.loc["queue through_only", "fills"])
    assert note == f"traded through; as run {run.summary['fills']}"
    assert key_figures(run, None)[2][1] == number(run.summary["fills"])


def test_variants_change_what_they_name(run):
    assert changes_of(run, "latency x1") == {}
    assert changes_of(run, "queue power") == {"queue": "power", "through_only": False}
    assert changes_of(run, "queue through_only") == {"through_only": True}
    doubled, later = (changes_of(run, name)["latency"] for name in ("latency x2", "latency +50 ms"))
    assert (doubled.entry_ms, doubled.response_ms, doubled.scale) == ((1.0, 2.0), 3.0, 1.0)
    assert (later.entry_ms, later.response_ms, later.scale) == ((101.0, 102.0), 103.0, 0.5)
    dearer = changes_of(run, "maker fee +1 bp")["instrument"]
    assert dearer == run.instrument.with_(maker_fee_bps=run.instrument.maker_fee_bps + 1)


def test_the_run_itself_is_not_repeated(run):
    calls = []

    def count(run, **changes):
        calls.append(changes)
        return run

    counted = make_run(20, rerun=count)
    table = sensitivity(counted)
    assert list(table.index) == ["as run", *VARIANTS]
    assert len(calls) == len(VARIANTS) - 2
    assert not table["flips"].any()


def test_a_paper_run_is_compared_with_a_replay_of_what_it_heard(tmp_path):
    calls = []

    def replayed(run, **changes):
        calls.append(changes)
        other = make_run(60, seed=5, feed=run.feed)
        other.tables.metrics["net_pnl"] = -5.0 if changes.get("queue") == "power" else 2.0
        return other

    latency = {"source": "fault plan", "faults": {"drop_ack": 0.1, "rejects": {"9": 0.05}}}
    run = make_run(60, rerun=replayed, mode="paper", latency=latency, setting=SETTING)
    run.tables.metrics["net_pnl"] = -1.0
    table = run.sensitivity
    assert calls[0] == {}
    assert list(table.index[:2]) == ["as run", "replayed"]
    assert len(calls) == len(VARIANTS) - 1  # "latency x1" and the run's queue model are the replay
    assert list(table.index[table["flips"]]) == ["replayed", "queue power"]
    assert table["change"].loc[["as run", "replayed", "latency x1", "queue power"]].tolist() == [0.0, 3.0, 0.0, -7.0]
    first, second, _ = headline(run, table)[-3:]  # an alarm about halts comes before
    assert first == "Replayed, without the venue's faults, what it heard gives net P&L of the other sign."
    assert second == "Not robust: replayed, net P&L changes sign with queue power."
    text = Page(run.report(tmp_path / "x.html").read_text()).text
    for words in (
        "Faults drop_ack 0.1, rejects.9 0.05",
        "Ended end of feed",
        "The other rows are replays of what it heard",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("rerun", "wanted", "says"),
    [(None, True, "not made by a backtest"), (losing, False, "made without it"), ("refuse", True, "Not run: no feed.")],
)
def test_without_sensitivity_it_says_why(tmp_path, rerun, wanted, says):
    def refuse(run, **changes):
        raise SessionError("no feed")

    run = make_run(20, rerun=refuse if rerun == "refuse" else rerun)
    assert says in Page(run.report(tmp_path / "x.html", sensitivity=wanted).read_text()).text


def test_a_run_in_which_nothing_happened(tmp_path):
    run = make_run(20)
    for name in ("fills", "orders", "decisions", "targets", "gates"):
        object.__setattr__(run.tables, name, getattr(run.tables, name)[:0])
    page = Page(run.report(tmp_path / "x.html").read_text())
    assert "No fills in" in page.text
    assert "nan" not in page.text.lower()


def test_a_long_run_stays_light(tmp_path):
    """34 hours, 20,000 fills, half a million decisions."""
    run, rng = make_run(20), np.random.default_rng(0)
    seconds = 34 * 3600
    metrics, decisions = np.zeros(seconds, METRIC), np.zeros(4 * seconds, DECISION)
    for table, step in ((metrics, NS_PER_S), (decisions, NS_PER_S // 4)):
        table["local_ns"] = START_NS + np.arange(table.size) * step
    for name in METRIC.names:
        if METRIC[name].kind == "f":
            metrics[name] = rng.normal(size=seconds).cumsum()
    metrics["mid"] += 60_000
    targets = np.zeros(2 * decisions.size, TARGET)
    targets["side"] = np.tile([1, -1], decisions.size)
    targets["price_ticks"] = 600_000 + rng.integers(-1000, 1000, targets.size)
    decisions["first_target"], decisions["targets"] = 2 * np.arange(decisions.size), 2
    fills = np.zeros(20_000, FILL)
    fills["exch_ns"] = np.sort(rng.integers(START_NS, START_NS + seconds * NS_PER_S, fills.size))
    fills["side"], fills["price_ticks"], fills["size_lots"] = rng.choice([1, -1], fills.size), 600_000, 5
    for name, table in (("metrics", metrics), ("decisions", decisions), ("targets", targets), ("fills", fills)):
        object.__setattr__(run.tables, name, table)
    began = time.perf_counter()
    size = run.report(tmp_path / "x.html").stat().st_size
    assert size < 6e6
    assert time.perf_counter() - began < 15


def test_a_report_is_whole_or_absent(run, tmp_path):
    with pytest.raises(SessionError, match="cannot be written"):
        run.report(tmp_path / "absent" / "x.html", sensitivity=False)
    assert not any(tmp_path.iterdir())


def test_by_default_it_goes_to_the_run_directory(tmp_path):
    run = make_run(20)
    folder = run.save(tmp_path / "run")
    assert run.report() == folder / "report.html"
    assert (folder / "report.html").is_file()


def test_in_a_notebook(run):
    shown = run._repr_html_()
    assert "Net P&amp;L" in shown
    assert "<script" not in shown
    assert [figure.name for figure in run.plot().children] == ["price", "position", "pnl"]


def test_dense_episodes_are_merged_and_counted(run):
    frame = run.episodes
    merged = merge_dense(frame, 600 * NS_PER_S, most=1)
    assert merged["times"].sum() == len(frame)
    assert merged["end_ns"].max() == frame["end_ns"].max()
    assert (merge_dense(frame, 600 * NS_PER_S)["times"] == 1).all()


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 3000), buckets=st.integers(1, 50))
def test_thinning_keeps_what_a_pixel_shows(seed, n, buckets):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.random(n))
    y = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n).cumsum())
    keep = m4(x, [y], buckets)
    assert (np.diff(keep) > 0).all()
    if keep.size == n:
        return
    assert keep.size <= 5 * buckets
    bucket = np.minimum(((x - x[0]) / ((x[-1] - x[0]) / buckets)).astype(int), buckets - 1)
    for k in np.unique(bucket):
        mine, kept = y[bucket == k], y[keep[bucket[keep] == k]]
        assert np.isnan(mine).any() == np.isnan(kept).any()
        if not np.isnan(mine).all():
            assert (np.nanmin(mine), np.nanmax(mine)) == (np.nanmin(kept), np.nanmax(kept))
        np.testing.assert_array_equal(mine[[0, -1]], kept[[0, -1]])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1234567.0, "1,234,567"), (-0.00012345, "\u22120.0001234"), (12.5, "12.5"), (float("nan"), "\u2013"),
        (98765.4321, "98,765"), (-1e-17, "0"), (-0.0, "0"), ("l3", "l3"), (None, "\u2013"),
    ],
)  # fmt: skip
def test_numbers_for_people(value, text):
    assert number(value) == text


def test_signs_shares_and_spans():
    assert (number(2.5, sign=True), number(0.0, sign=True)) == ("+2.5", "0")
    assert (bps(-0.0001), bps(0.1234), bps(-2.5), bps(1.0, sign=False)) == ("0.000", "+0.123", "\u22122.500", "1.000")
    assert (percent(0.12345), percent(float("nan"))) == ("12.3 %", "\u2013")
    assert (span(90), span(1800), span(34 * 3600)) == ("90 s", "30 min", "34 h")
