"""`mmlab.sweep`: a backtest for every point of a grid, one row each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from mmlab.config import Config
from mmlab.errors import ConfigError
from mmlab.feeds.feed import Feed
from mmlab.feeds.store import load_feed
from mmlab.instrument import Instrument
from mmlab.lab.backtesting import Setting, require_same_steps
from mmlab.lab.feed_facts import events_sha256
from mmlab.lab.progress import counter
from mmlab.lab.quoters import Quoter
from mmlab.lab.study.dask_pool import check_client, spread_on
from mmlab.lab.study.folds import Blocks, blocks_of, fold_columns, forget_blocks
from mmlab.lab.study.grid import Grid, cell, combinations
from mmlab.lab.study.journal import Journal
from mmlab.lab.study.points import Point, check_types, points_of
from mmlab.lab.study.task import Market, Outcome, mapped, work
from mmlab.lab.study.workers import Seat, check_workers, cores, seats, spread
from mmlab.lab.warm_up import calibrate

Outcomes = Generator[tuple[int, Outcome], None, None]
START_S, POINT_S, EVENT_S = 3.5, 0.03, 6e-8
"""About what the start of a worker, a run and each of its events cost: whether it is worth while to start any."""


def sweep(
    feed: Feed | str | Path,
    config: Config | None,
    grid: Grid,
    *,
    client: Any = None,
    folds: int | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    progress: bool | Callable[[int, int], object] | None = None,
    instrument: Instrument | None = None,
    **setting: Any,
) -> pd.DataFrame:
    """Backtest every point of a grid.

    Parameters
    ----------
    feed : Feed or path
        The market.
    config : Config or None
        What all points share; None is ``Config()``.
    grid : dict or sequence of dict
        Name -> list of values, of which all combinations are run, the last name changing fastest; or the points
        themselves. A name is a parameter of the config (``strategy.gamma``), a setting of `mmlab.backtest` (``queue``,
        ``seed``), ``latency.entry_ms`` and its like, ``instrument.maker_fee_bps``, or a number of the user's quoter
        (``quoter.half_spread_ticks``).
    client : dask.distributed.Client, optional
        Run on its cluster; default the cores of this machine.
    folds : int, optional
        Cut the time into walk-forward folds (`mmlab.lab.study.folds`) and add columns in and out of sample.
    workers : int, optional
        Processes on this machine, this one among them, at most one a core. Default: one a core, or 1 where starting
        more takes longer than the sweep. The table does not depend on it.
    out : path, optional
        A folder where every finished point is stored at once. The same call takes up what is there; so does one with
        another grid on the same feed.
    progress : bool or callable, optional
        A bar: default on a terminal and in a notebook. A callable is told ``(done, total)``.
    instrument : Instrument, optional
        Fees and minima other than the feed's.
    **setting
        As for `mmlab.backtest`: ``latency, queue, seed, strategy, ...``.

    Returns
    -------
    DataFrame
        One row a point, in the grid's order: its parameters, then the figures of ``run.summary``; with folds
        ``in_sample_<figure>`` and ``out_of_sample_<figure>`` with their 95 % bands ``..._low, ..._high``, and
        ``fold_<i>_in_sample_<figure>``, ``fold_<i>_out_of_sample_<figure>``, which `mmlab.walk_forward` chooses by. A
        point whose run was refused has NaN, and the reason in a column ``error``, which else is absent.
        ``attrs["configurations_tried"]`` counts the different points, with ``out`` those of earlier calls too.

    Raises
    ------
    ConfigError
        Something is wrong with config, grid or an argument: all of it is named, and nothing was run.
    FeedError
        The feed cannot be read, or never has a usable book.
    SessionError
        `out` holds something else, or workers die again and again.
    """
    ground = _ground(feed, config, grid, folds, workers, client, instrument, setting)
    try:
        with seats(ground.workers - 1 if client is None else 0, work.__module__) as pool:
            plan = _plan(ground, pool)
            if out is None:
                return _table(plan, _run(plan, {}, None, progress), {})
            with Journal(out, "sweep", plan.subject) as journal:
                stored = {key: row for key, row in journal.stored.items() if not row.get("error")}
                table = _table(plan, _run(plan, stored, journal, progress), journal.stored)
                journal.finish(table, {**table.attrs, "points": len(table)})
            return table
    finally:
        forget_blocks(ground.feed)


@dataclass
class Ground:
    """A sweep whose points are still to be checked."""

    feed: Feed
    config: Config
    instrument: Instrument
    base: Setting
    grid: list[dict[str, Any]]
    folds: int | None
    workers: int
    client: Any


@dataclass
class Plan:
    """A sweep that was found to be in order."""

    feed: Feed
    points: list[Point]
    blocks: Blocks | None
    pool: list[Seat]
    client: Any

    @property
    def market(self) -> Market:
        """The feed as workers get it."""
        feed = self.feed
        return Market(f"{self.sha256} {feed.instrument!r}", feed.instrument, feed.source, feed.report, feed.events)

    @property
    def sha256(self) -> str:
        """Hash of the feed's events."""
        if "sha256" not in self.feed.cache:
            self.feed.cache["sha256"] = events_sha256(self.feed.events)
        sha256: str = self.feed.cache["sha256"]
        return sha256

    @property
    def subject(self) -> dict[str, Any]:
        """What a study's folder is about."""
        return {"symbol": self.feed.instrument.symbol, "events": len(self.feed), "sha256": self.sha256}

    def key(self, point: Point) -> str:
        """Under which a point's figures are stored."""
        edges = "" if self.blocks is None else ":" + ",".join(map(str, self.blocks.edges_ns))
        return point.key + edges


def _ground(
    feed: Feed | str | Path,
    config: Config | None,
    grid: Grid,
    folds: int | None,
    workers: int | None,
    client: Any,
    instrument: Instrument | None,
    setting: dict[str, Any],
) -> Ground:
    """Check everything but the points."""
    unknown = sorted(set(setting) - {f.name for f in fields(Setting)})
    if unknown:
        known = [*inspect.signature(sweep).parameters, *(f.name for f in fields(Setting))]
        raise ConfigError(f"sweep has no argument {unknown}: it takes {[k for k in known if k != 'setting']}")
    if config is not None and not isinstance(config, Config):
        raise ConfigError(f"config = {config!r}: must be a mmlab.Config, or none")
    config, base = config or Config(), Setting(**setting)
    check_types(base)
    chosen = check_workers(workers)
    if client is not None:
        check_client(client)
    feed = feed if isinstance(feed, Feed) else load_feed(feed)
    instrument = feed.instrument if instrument is None else instrument
    require_same_steps(feed, instrument)
    calibrate(feed, config, instrument)  # a feed that nothing can be quoted on is its own kind of error
    values = combinations(grid)
    chosen = min(chosen or _worthwhile(len(values), len(feed) * (1 if folds is None else 2)), len(values))
    if client is not None or chosen > 1:
        chosen = _reachable(base.strategy, chosen, may_choose=workers is None and client is None)
    return Ground(feed, config, instrument, base, values, folds, chosen, client)


def _plan(ground: Ground, pool: list[Seat]) -> Plan:
    """Check the points."""
    feed, config, folds = ground.feed, ground.config, ground.folds
    points = points_of(ground.grid, config, ground.base, ground.instrument, feed)
    blocks = None if folds is None else blocks_of(feed, config, folds)
    return Plan(feed, points, blocks, pool, ground.client)


def _worthwhile(points: int, events: int) -> int:
    """How many workers a sweep is worth."""
    return cores() if points * (POINT_S + events * EVENT_S) > 2 * START_S else 1


def _reachable(strategy: Quoter | None, workers: int, *, may_choose: bool) -> int:
    """Workers for a user's quoter: none can import one from a notebook."""
    if strategy is None or strategy.importable:
        return workers
    if may_choose:
        return 1
    raise ConfigError(
        f"strategy: the quoter {strategy.__name__} stands in a notebook or script, where no worker can import it:"
        " put it in a module, or give workers=1"
    )


def _run(
    plan: Plan,
    stored: dict[str, dict[str, Any]],
    journal: Journal | None,
    progress: bool | Callable[[int, int], object] | None,
) -> dict[str, dict[str, Any]]:
    """Run what is not stored yet; all rows by key."""
    rows = {key: stored[key] for key in map(plan.key, plan.points) if key in stored}
    todo = {key: point for point in plan.points if (key := plan.key(point)) not in rows}
    keys, total = list(todo), len(rows) + len(todo)
    outcomes = _outcomes(plan, list(todo.values()))
    with counter("Sweep", total, progress) as advance, closing(outcomes):  # workers do not outlive an interrupt
        advance(len(rows))
        for number, outcome in outcomes:
            row: dict[str, Any] = {"values": in_json(todo[keys[number]].given), **outcome.figures}
            if outcome.error:
                row["error"] = outcome.error
            if journal is not None:
                journal.add(keys[number], row)
            rows[keys[number]] = row
            advance(len(rows))
    return rows


def in_json(given: dict[str, Any]) -> dict[str, Any]:
    """The values of a point, for people who read the stored line."""
    return {
        name: value if isinstance(value, bool | int | float | str | list) else str(value)
        for name, value in given.items()
    }


def _outcomes(plan: Plan, points: list[Point]) -> Outcomes:
    """Run points where they are to be run; the first one here, so that kernels are compiled once for all workers."""
    if not points:
        return
    yield 0, _here(plan, points[0])
    rest = points[1:]
    if not rest:
        return
    if plan.client is not None:
        outcomes: Outcomes = spread_on(plan.client, plan.market, rest, plan.blocks)
    elif not plan.pool:
        outcomes = ((number, _here(plan, point)) for number, point in enumerate(rest))
    else:
        outcomes = _on_cores(plan, rest)
    with closing(outcomes):
        for number, outcome in outcomes:
            yield number + 1, outcome


def _here(plan: Plan, point: Point) -> Outcome:
    return work(plan.feed, point, plan.blocks)


def _on_cores(plan: Plan, points: list[Point]) -> Outcomes:
    with TemporaryDirectory(prefix="mmlab-sweep-") as folder:
        market = mapped(plan.market, Path(folder))
        yield from spread(partial(work, market, blocks=plan.blocks), points, plan.pool, partial(_here, plan))


def _table(plan: Plan, rows: dict[str, dict[str, Any]], known: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """One row a point, in the grid's order."""
    found = [rows[plan.key(point)] for point in plan.points]
    summaries = [row["summary"] for row in found if "summary" in row]
    names = list(summaries[0]) if summaries else []
    parameters = list(plan.points[0].given)
    lines = []
    for point, row in zip(plan.points, found, strict=True):
        line = {name: cell(value) for name, value in point.given.items()}
        summary = row.get("summary") or dict.fromkeys(names, np.nan)
        line |= {name: value for name, value in summary.items() if name not in line}
        if plan.blocks is not None:
            line |= fold_columns(row.get("blocks"), plan.blocks.folds)
        line["error"] = row.get("error", "")
        lines.append(line)
    table = pd.DataFrame(lines)
    if not table["error"].any():
        table = table.drop(columns="error")
    tried = {point.key for point in plan.points} | {key.partition(":")[0] for key in known}
    table.attrs = {
        "parameters": parameters,
        "folds": 0 if plan.blocks is None else plan.blocks.folds,
        "configurations_tried": len(tried),
    }
    return table
