"""`mmlab.backtest`: warm-up, parameters, replay, `Run`. And `mmlab.what_if`: the same ticks with other parameters."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmlab.config import Config
from mmlab.errors import ConfigError, SessionError
from mmlab.events import NS_PER_MS
from mmlab.feeds.feed import Feed
from mmlab.instrument import Instrument
from mmlab.lab.quoters import Quoter
from mmlab.lab.run import Run
from mmlab.lab.run import load_run as read_run
from mmlab.lab.warm_up import calibrate, warm_up
from mmlab.params import QUOTER
from mmlab.resolve import resolve
from mmlab.simulator import Latency, Replay, Tape, build_tape, replay
from mmlab.telemetry.info import RunInfo, utc_now
from mmlab.telemetry.run_directory import read_record
from mmlab.telemetry.tables import Tables, record_to_dict

Queue = Literal["risk_averse", "power", "log", "l3"]


@dataclass(frozen=True)
class Setting:
    """How the market is simulated; with feed and config it determines a run, byte for byte."""

    latency: Latency = field(default_factory=Latency)
    queue: Queue = "risk_averse"
    queue_exponent: float = 3.0
    partial_fills: bool = True
    fill_on_cross: bool = False
    through_only: bool = False
    strategy: Quoter | None = None
    seed: int = 0


def backtest(
    feed: Feed,
    config: Config | None = None,
    *,
    instrument: Instrument | None = None,
    name: str = "backtest",
    **setting: Any,
) -> Run:
    """Trade a recorded market with a config, and report.

    Parameters
    ----------
    feed : Feed
        The market. Its warm-up calibrates what `config` leaves open; quotes start after it.
    config : Config, optional
        Default ``Config()``, which works on any feed.
    instrument : Instrument, optional
        Fees and minima other than the feed's; tick and lot must agree.
    name : str
        Short name of the run.
    **setting
        ``latency`` (`Latency`), ``queue`` ("risk_averse", "power", "log" or "l3"), ``queue_exponent`` (of "power"),
        ``partial_fills``, ``fill_on_cross``, ``through_only`` (only trades strictly through a quote fill it),
        ``strategy`` (a `quoter`), ``seed``.

    Returns
    -------
    Run

    Raises
    ------
    ConfigError
        The config contradicts itself or the market, or a setting is unknown.
    FeedError
        The feed never has a usable book.
    """
    unknown = sorted(set(setting) - {f.name for f in fields(Setting)})
    if unknown:
        raise ConfigError(f"backtest has no argument {unknown}: it takes {[f.name for f in fields(Setting)]}")
    config = Config() if config is None else config
    return run_once(feed, config, Setting(**setting), feed.instrument if instrument is None else instrument, name)


def what_if(run: Any, config: Config | dict[str, Any]) -> Run:
    """The same ticks with other parameters; latency, queue model and seed stay.

    Parameters
    ----------
    run : Run, Session or path
        A run that can be repeated; or a session, or the directory of a session: then what it recorded since its
        warm-up, with its own fit (`mmlab.lab.rehearsal.Rehearsal` looks at the last half hour, and compares).
    config : Config or dict
        Other parameters, or changes by dotted name of those in force.

    Raises
    ------
    ConfigError
        Every wrong field.
    SessionError
        The run cannot be repeated, or its directory is cut short or damaged.
    """
    if isinstance(run, Run):
        return _what_if(run, config)
    place = Path(run) if isinstance(run, str | Path) else run.run_dir
    if place is None:
        raise SessionError("the session has not begun: it has recorded nothing")
    if is_replay(place):
        return _what_if(load_run(place), config)
    from mmlab.lab.rehearsal import Rehearsal

    rehearsal = Rehearsal(place, math.inf, getattr(run, "strategy", None))
    try:
        rehearsal.refresh()
        return rehearsal.compare(config).then
    finally:
        rehearsal.close()


def is_replay(path: Path) -> bool:
    """Whether a run directory is a backtest's."""
    return read_record(path).get("mode", "replay") == "replay"


def _what_if(run: Run, config: Config | dict[str, Any]) -> Run:
    if run.rerun is None:
        raise SessionError("this run cannot be replayed: it was not made by a backtest")
    return run.rerun(run, config=config if isinstance(config, Config) else run.config.with_(**config))


def load_run(path: str | Path) -> Run:
    """Read a run directory; its feed is loaded when it is first asked for.

    Raises
    ------
    SessionError
        The directory is absent, cut short or damaged: which file, and what to do.
    """
    return read_run(path, lambda run, **changes: rerun(stored_setting(run.info), run, **changes))


def rerun(
    setting: Setting, run: Run, *, config: Config | None = None, instrument: Instrument | None = None, **changes: Any
) -> Run:
    """The same run with another config or instrument, or with changed fields of its `Setting`."""
    other = run_once(
        run.feed, config or run.config, replace(setting, **changes), instrument or run.instrument, run.info.name
    )
    other.info.configurations_tried = run.info.configurations_tried + (config is not None)
    return other


def run_once(feed: Feed, config: Config, setting: Setting, instrument: Instrument, name: str) -> Run:
    """One replay, from feed and config to a `Run`."""
    require_same_steps(feed, instrument)
    started = utc_now()
    calibration = calibrate(feed, config, instrument)
    params, notes = resolve(config, instrument, warm_up(calibration))
    result = simulate(feed, config, setting, instrument, params)
    info = RunInfo(
        name=name,
        seed=setting.seed,
        queue="through_only" if setting.through_only else setting.queue,
        partial_fills=setting.partial_fills,
        latency=latency_facts(feed, setting),
        warmup={**asdict(warm_up(calibration)), "orders": calibration.n_orders, "fallback": calibration.fallback},
        params=record_to_dict(params[0]),
        notes=notes + ([f"calibration: {calibration.fallback}"] if calibration.fallback else []),
        counters=result.counters,
        setting=setting_dict(setting),
        started=started,
    )
    tables = Tables(result.fills, result.orders, result.decisions, result.targets, result.gates, result.metrics)
    return Run(config, feed, instrument, tables, info, rerun=partial(rerun, setting))


def require_same_steps(feed: Feed, instrument: Instrument) -> None:
    """Refuse (`ConfigError`) an instrument whose tick or lot is not the feed's."""
    steps = (feed.instrument.tick_size, feed.instrument.lot_size)
    if (instrument.tick_size, instrument.lot_size) != steps:
        raise ConfigError(
            f"instrument has tick {instrument.tick_size} and lot {instrument.lot_size}, the feed {steps[0]} and"
            f" {steps[1]}: import the feed again with this instrument"
        )


def simulate(
    feed: Feed, config: Config, setting: Setting, instrument: Instrument, params: np.ndarray[Any, Any]
) -> Replay:
    """Replay the feed with resolved parameters."""
    strategy = setting.strategy
    if strategy is not None:
        params["quoting"]["model"] = QUOTER
        params["watch_sigma"] = params["watch_sizes"] = 1
        params["user"][0, : len(strategy.numbers)] = list(strategy.numbers.values())
    return replay(
        tape_of(feed),
        instrument,
        params,
        setting.latency,
        queue=setting.queue,
        queue_exponent=setting.queue_exponent,
        partial_fills=setting.partial_fills,
        fill_on_cross=setting.fill_on_cross,
        through_only=setting.through_only,
        quoter=None if strategy is None else strategy.compiled,
        seed=setting.seed,
        record_decisions=config.telemetry.decisions,
        record_metrics=config.telemetry.metrics,
    )


def tape_of(feed: Feed) -> Tape:
    """What is worked out once per feed and shared by every run on it."""
    if "tape" not in feed.cache:
        tape = build_tape(feed.events)
        feed.cache["tape"], feed.cache["book"] = tape, tape.book
    return feed.cache["tape"]


def latency_facts(feed: Feed, setting: Setting) -> dict[str, Any]:
    """Where latencies come from and how large they are, for the report."""
    facts: dict[str, Any] = {"source": "resampled from the feed" if setting.latency.resample else "constant"}
    drawn = setting.latency.draw(tape_of(feed).latency_ns, setting.seed)
    for direction, values in zip(("entry", "response"), drawn, strict=True):
        for percentile in (50, 99):
            facts[f"{direction}_p{percentile}_ms"] = float(np.percentile(values, percentile)) / NS_PER_MS
    return facts


def setting_dict(setting: Setting) -> dict[str, Any]:
    """A setting as plain values, for ``run.json``."""
    plain = {f.name: getattr(setting, f.name) for f in fields(Setting)}
    strategy = setting.strategy
    named = None if strategy is None else {"name": strategy.__name__, "numbers": strategy.numbers}
    return {**plain, "latency": asdict(setting.latency), "strategy": named}


def stored_setting(info: RunInfo) -> Setting:
    """The setting of a run that was read from its directory."""
    if not info.setting or info.setting["strategy"] is not None:
        quoter = (info.setting.get("strategy") or {}).get("name")
        raise SessionError(
            "this run cannot be replayed from its directory: "
            + (f"its quoter {quoter!r} is not stored; run backtest(..., strategy={quoter})" if quoter else info.mode)
        )
    latency: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in info.setting["latency"].items()}
    return Setting(**{**info.setting, "latency": Latency(**latency)})
