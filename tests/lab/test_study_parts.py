"""Grids, folds and the journal of a study, against twins written from their definitions."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from bokeh.embed import file_html
from bokeh.resources import INLINE
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import mmlab
from mmlab.errors import ConfigError, SessionError
from mmlab.lab.progress import counter
from mmlab.lab.study.figures import fold_picture, heat_map
from mmlab.lab.study.folds import CHOSEN_BY, FIGURES, SMALL_T, Blocks, blocks_of, fold_columns, pooled, student
from mmlab.lab.study.grid import combinations, load_grid
from mmlab.lab.study.journal import Journal, decoded, encoded
from mmlab.lab.study.workers import check_workers, cores
from tests.lab.fabricated import START_NS, make_feed

# --- grids ----------------------------------------------------------------------------------------------------------

names = st.text("abc._", min_size=1, max_size=6)
one_value = st.integers() | st.booleans() | st.text(max_size=3)
grids = st.dictionaries(names, st.lists(one_value, min_size=1, max_size=4), min_size=1, max_size=3)


@given(grids)
def test_a_grid_is_every_combination_in_order(grid):
    points = combinations(grid)
    assert points == [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    assert combinations(points) == points  # and the points themselves are a grid


def test_values_become_plain():
    (point, _) = combinations({"a": np.array([1.5, 2.5]), "b": [np.array([1, 2])], "c": [np.int64(3)], "d": [np.True_]})
    assert point == {"a": 1.5, "b": [1, 2], "c": 3, "d": True}
    assert [type(value) for value in point.values()] == [float, list, int, bool]


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ({}, "is empty"), ([], "is empty"), ({"a": []}, "a: has no values"), ({"a": 0.1}, "a = 0.1: must be a list"),
        ({"a": "xy", "b": {}}, "a = 'xy': must be a list of values; b = {}"), ("grid.toml", "must be a dict"),
        ([{"a": 1}, 3], "has 3 in it"), ([{"a": 1}, {"b": 1}], "must set the same parameters"),
        ({"a": range(2000), "b": range(2000)}, "4,000,000 points"),
    ],
)  # fmt: skip
def test_what_is_no_grid_is_refused(grid, words):
    with pytest.raises(ConfigError, match="grid") as error:
        combinations(grid)
    assert words in str(error.value)


def test_a_grid_file(tmp_path):
    file = tmp_path / "grid.toml"
    file.write_text("seed = [1, 2]\nstrategy.gamma = [0.1]\n[ladder]\noffset_ticks = [[1, 2, 3, 4], [2, 3, 4, 5]]\n")
    grid = load_grid(file)
    assert grid == {"seed": [1, 2], "strategy.gamma": [0.1], "ladder.offset_ticks": [[1, 2, 3, 4], [2, 3, 4, 5]]}
    for text, words in (("a = ", "not valid TOML"), ("a = 1", "a = 1: must be a list"), ("", "is empty")):
        file.write_text(text)
        with pytest.raises(ConfigError, match=words) as error:
            load_grid(file)
        assert str(error.value).startswith(str(file))
    with pytest.raises(ConfigError, match="cannot read"):
        load_grid(tmp_path / "none.toml")


# --- folds ----------------------------------------------------------------------------------------------------------

amounts = st.floats(-1e6, 1e6)
count = st.integers(0, 1000)
sums = st.fixed_dictionaries(
    {
        "net_pnl_quote": amounts,
        "volume": st.just(0.0) | st.floats(1, 1e7),
        "fills": count,
        "markout_sum_bps": amounts,
        "markouts": count,
    }
)


@given(st.lists(sums, min_size=1, max_size=8), st.sampled_from(sorted(FIGURES)))
def test_pooled_figures_and_bands(blocks, figure):
    above, below, factor = FIGURES[figure]
    x = [b[above] for b in blocks]
    y = [b[below] if below else 1.0 for b in blocks]
    got = pooled(blocks, figure)
    if not sum(y):
        assert all(map(math.isnan, got))
        return
    ratio = sum(x) / sum(y)
    assert got.value == pytest.approx(factor * ratio, rel=1e-9, abs=1e-9)
    x, y = zip(*[(a, b) for a, b in zip(x, y, strict=True) if b], strict=True)
    n = len(x)
    if n < 3:
        assert math.isnan(got.low)
        return
    # The variance of a ratio estimator, cluster by cluster (Cochran 1977, 6.4).
    error = math.sqrt(n / (n - 1) * sum((a - ratio * b) ** 2 for a, b in zip(x, y, strict=True))) / sum(y)
    assert got.high - got.value == pytest.approx(factor * student(n - 1) * error, rel=1e-6, abs=1e-6)
    assert got.value - got.low == pytest.approx(got.high - got.value, rel=1e-6, abs=1e-6)


def test_bands_cover():
    rng, hits, n = np.random.default_rng(1), 0, 2000
    for _ in range(n):
        volume = rng.uniform(0.5, 1.5, 6)
        pnl = 3e-6 * volume + rng.normal(0, 1e-6, 6)
        band = pooled([{"net_pnl_quote": p, "volume": v} for p, v in zip(pnl, volume, strict=True)], "pnl_per_million")
        hits += band.low <= 3.0 <= band.high
    assert 0.93 < hits / n < 0.97


@pytest.mark.parametrize("degrees", [1, 2, 5, 8, 9, 20])
def test_student_quantiles(degrees):
    def density(x):
        return (1 + x * x / degrees) ** (-(degrees + 1) / 2)

    def mass(a, b):
        x = np.linspace(a, b, 200_001)
        return float(np.trapezoid(density(x), x))

    scale = math.sqrt(degrees * math.pi) * math.gamma(degrees / 2) / math.gamma((degrees + 1) / 2)
    assert 0.5 + mass(0, student(degrees)) / scale == pytest.approx(0.975, abs=2e-5)
    assert len(SMALL_T) == 8


def test_blocks_share_the_time_after_the_warm_up():
    feed, config = make_feed(600, gap=False), mmlab.Config().with_(**{"strategy.warmup_s": 30.0})
    blocks = blocks_of(feed, config, 3)
    edges = np.array(blocks.edges_ns)
    assert blocks.folds == 3
    assert edges[0] == pytest.approx(START_NS + 30e9, abs=1e8)
    assert edges[-1] == feed.events["local_ns"][-1]
    assert np.ptp(np.diff(edges)) <= 1
    for number in range(4):
        part = blocks.part(feed, number, 30.0)
        run = mmlab.backtest(part, config)
        first = run.orders["local_ns"].min()
        assert first >= edges[number], "a block trades in the time of the block before"
        assert part is blocks.part(feed, number, 30.0)
        assert number == 3 or part.events["local_ns"][-1] < edges[number + 1]
    assert Blocks((0, 10, 20)).folds == 1


@pytest.mark.parametrize("folds", [1, 0, -3, 2.5, True, "3", 101])
def test_folds_that_are_none(folds):
    with pytest.raises(ConfigError, match=r"folds = .*from 2 to 100"):
        blocks_of(make_feed(100), mmlab.Config(), folds)


def test_a_feed_too_short_for_its_folds():
    with pytest.raises(ConfigError, match=r"blocks of the feed would be .* at most"):
        blocks_of(make_feed(100), mmlab.Config().with_(**{"strategy.warmup_s": 30.0}), 9)


@settings(max_examples=25, phases=[Phase.generate])
@given(st.lists(st.lists(sums, min_size=4, max_size=4), min_size=1, max_size=5), st.sampled_from(CHOSEN_BY))
def test_walk_forward_chooses_on_the_past_only(points, by):
    folds = 3
    table = pd.DataFrame([{"p": i, **fold_columns(blocks, folds)} for i, blocks in enumerate(points)])
    table.attrs = {"folds": folds, "parameters": ["p"], "configurations_tried": len(points)}
    result = mmlab.walk_forward(table, by)

    def figure(blocks):
        x = sum(b["net_pnl_quote"] for b in blocks)
        if by == "net_pnl_quote":
            return x / len(blocks)
        y = sum(b["volume"] for b in blocks)
        return 1e6 * x / y if y else math.nan

    for fold in range(1, folds + 1):
        inside = [figure(blocks[:fold]) for blocks in points]
        row = result.loc[fold]
        if all(map(math.isnan, inside)):
            assert pd.isna(row["point"])
            continue
        best = max((v, -i) for i, v in enumerate(inside) if not math.isnan(v))
        assert row["in_sample"] == pytest.approx(best[0], nan_ok=True, abs=1e-6)
        chosen = points[int(row["point"])]
        assert inside[int(row["point"])] == pytest.approx(best[0], rel=1e-9, abs=1e-9)
        assert row["out_of_sample"] == pytest.approx(figure(chosen[fold : fold + 1]), nan_ok=True, rel=1e-9)
    assert result.attrs["configurations_tried"] == len(points)


def test_walk_forward_wants_folds():
    with pytest.raises(ConfigError, match="no folds"):
        mmlab.walk_forward(pd.DataFrame({"a": [1]}))
    table = pd.DataFrame({"a": [1]})
    table.attrs["folds"] = 3
    with pytest.raises(ConfigError, match="by = 'fills'"):
        mmlab.walk_forward(table, "fills")


# --- the journal ----------------------------------------------------------------------------------------------------

values = st.recursive(
    st.floats(allow_nan=False) | st.integers(-(2**60), 2**60) | st.text(max_size=4).filter(lambda t: "inf" not in t),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_what_is_written_down_comes_back_bit_for_bit(value):
    assert decoded(json.loads(json.dumps(encoded(value), allow_nan=False))) == value
    assert math.isnan(decoded(json.loads(json.dumps(encoded(math.nan), allow_nan=False))))


def test_a_journal_takes_up(tmp_path):
    out = tmp_path / "study"
    with Journal(out, "sweep", {"sha256": "x"}) as journal:
        journal.add("a", {"summary": {"v": 0.1, "w": math.nan}})
        journal.add("b", {"summary": {"v": 0.2}})
        with pytest.raises(SessionError, match="being written by another process"):
            Journal(out, "sweep", {"sha256": "x"})
    with (out / "points.jsonl").open("ab") as file:
        file.write(b'{"key": "c", "summ')  # its writer died
    with Journal(out, "sweep", {"sha256": "x"}) as journal:
        assert set(journal.stored) == {"a", "b"}
        assert journal.stored["b"] == {"summary": {"v": 0.2}}
        assert math.isnan(journal.stored["a"]["summary"]["w"])
        journal.add("c", {"summary": {"v": 0.3}})
    assert [json.loads(line)["key"] for line in (out / "points.jsonl").read_text().splitlines()] == ["a", "b", "c"]


def test_a_journal_refuses_what_is_not_its_own(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").touch()
    with pytest.raises(SessionError, match="holds no study"):
        Journal(other, "sweep", {})
    out = tmp_path / "study"
    Journal(out, "sweep", {"sha256": "x"}).close()
    for what, subject, words in (
        ("sweep", {"sha256": "y"}, "something else"),
        ("batch", {"sha256": "x"}, "another kind"),
    ):
        with pytest.raises(SessionError, match=words):
            Journal(out, what, subject)
    header = json.loads((out / "study.json").read_text())
    (out / "study.json").write_text(json.dumps({**header, "code": "old"}))
    with pytest.raises(SessionError, match="made with other code"):
        Journal(out, "sweep", {"sha256": "x"})
    (out / "study.json").write_text("{")
    with pytest.raises(SessionError, match="cannot be read"):
        Journal(out, "sweep", {"sha256": "x"})
    (out / "study.json").write_text(json.dumps(header))
    (out / "points.jsonl").write_text('{"key": "a"}\n{"nokey": 1}\n')
    with pytest.raises(SessionError, match="line 2: is damaged"):
        Journal(out, "sweep", {"sha256": "x"})
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SessionError, match="cannot be written"):
        Journal(file / "below", "sweep", {})


# --- workers and bars -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "2"])
def test_workers_that_are_no_number(workers):
    with pytest.raises(ConfigError, match="workers = "):
        check_workers(workers)


def test_workers_are_capped_to_the_cores():
    assert check_workers(10_000) == cores()
    assert check_workers(None) is None


def test_progress_is_told(capsys):
    seen = []
    with counter("Sweep", 3, lambda done, total: seen.append((done, total))) as advance:
        advance(1)
        advance(3)
    assert seen == [(1, 3), (3, 3)]
    with counter("Sweep", 3) as advance:  # no terminal
        advance(1)
    assert capsys.readouterr() == ("", "")
    with counter("Sweep", 3, progress=True) as advance:
        advance(2)
    assert "Sweep" in capsys.readouterr().err


# --- pictures -------------------------------------------------------------------------------------------------------


def test_pictures_show_the_table(caplog):
    points = [{"a": a, "b": b, "v": 10 * a - b, "w": a + b} for a in (0.1, 2.0) for b in (True, False)]
    table = pd.DataFrame(points)
    plot = heat_map(table, "a", "b", "v", chosen=3, title="figures")
    cells = plot.renderers[0].data_source.data
    assert list(zip(cells["x"], cells["y"], cells["text"], strict=True)) == [
        ("0.1", "True", "0"), ("0.1", "False", "1"), ("2", "True", "19"), ("2", "False", "20"),
    ]  # fmt: skip
    assert plot.renderers[2].data_source.data == {"x": ["2"], "y": ["False"]}
    assert plot.renderers[0].glyph.fill_color.transform.low == 0, "nothing is negative, so no red"
    negative = heat_map(table.assign(v=-table["v"]), "a", "b", "v")
    assert negative.renderers[0].glyph.fill_color.transform.low == -20
    walk = pd.DataFrame(
        {
            "in_sample": [2.0, 1.5],
            "out_of_sample": [-1.0, 0.5],
            "median": 0.1,
            "low": [np.nan, -1],
            "high": [np.nan, 2],
        },
        index=[1, "mean"],
    )
    folds = fold_picture(walk, "P&L")
    for one in (plot, negative, folds):
        assert len(file_html(one, INLINE)) > 1000
    assert not caplog.records, "Bokeh has something to say"
    with pytest.raises(ConfigError, match=r"no column \['c'\]"):
        heat_map(table, "a", "c", "v")
