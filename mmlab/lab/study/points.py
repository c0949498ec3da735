"""Points of a sweep: what a combination of values means for a run, checked as a whole before anything is run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, cached_property
from typing import Any

from mmlab.config import Config
from mmlab.errors import ConfigError, MMLabError
from mmlab.explain import nearest
from mmlab.feeds.feed import Feed
from mmlab.instrument import Instrument
from mmlab.lab.backtesting import Setting, setting_dict, tape_of
from mmlab.lab.quoters import Quoter
from mmlab.lab.study.grid import Grid, combinations, in_words
from mmlab.lab.warm_up import calibrate, warm_up
from mmlab.resolve import resolve
from mmlab.simulator import Latency
from mmlab.simulator.replay import check_setting

FEES = ("maker_fee_bps", "taker_fee_bps")
LATENCY = tuple(f.name for f in fields(Latency))
ELSEWHERE = ("latency", "instrument", "quoter")
"""Prefixes of names that are no parameters of the config."""
SETTING = tuple(f.name for f in fields(Setting) if f.name not in ("latency", "strategy"))
MOST_COMPLAINTS = 8


@dataclass(frozen=True)
class Point:
    """One combination: parameter -> value as given, and the run they mean."""

    given: dict[str, Any]
    config: Config
    setting: Setting
    instrument: Instrument

    @cached_property
    def key(self) -> str:
        """Hash of all that determines its run, but the feed."""
        about = {
            "config": self.config.model_dump(mode="json", exclude={"telemetry", "owner", "venue"}),
            "setting": setting_dict(self.setting),
            "instrument": self.instrument.to_dict(),
            "quoter": None if self.setting.strategy is None else _code(self.setting.strategy),
        }
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:24]


def _code(quoter: Quoter) -> str:
    """What a user's quoter does, as far as its own code tells."""
    code = quoter.function.__code__
    return repr((code.co_code.hex(), [c for c in code.co_consts if isinstance(c, int | float | str)], code.co_names))


def points_of(grid: Grid, config: Config, setting: Setting, instrument: Instrument, feed: Feed) -> list[Point]:
    """The points of a grid, in its order.

    A name is a parameter of the config (``strategy.gamma``), a setting of `mmlab.backtest` (``queue``, ``seed``, ...),
    ``latency.entry_ms`` and its like, ``instrument.maker_fee_bps``, ``instrument.taker_fee_bps``, or a number of the
    user's quoter (``quoter.<name>``).

    Raises
    ------
    ConfigError
        Naming every wrong parameter of every point.
    """
    complaints: dict[str, str] = {}
    points = []
    for values in combinations(grid):
        try:
            point = _point(values, config, setting, instrument)
            _check(point, feed)
            points.append(point)
        except MMLabError as error:
            complaints.setdefault(str(error), in_words(values))
    if complaints:
        told = [f"{what} (at {where})" for what, where in list(complaints.items())[:MOST_COMPLAINTS]]
        more = len(complaints) - len(told)
        raise ConfigError("grid: " + "; ".join(told) + (f"; and {more} more" if more else ""))
    return points


def _point(values: Mapping[str, Any], config: Config, setting: Setting, instrument: Instrument) -> Point:
    """Hand each value to what it belongs to."""
    to: dict[str, dict[str, Any]] = {name: {} for name in ("config", "setting", *ELSEWHERE)}
    for name, value in values.items():
        section, _, leaf = name.partition(".")
        if name in SETTING:
            to["setting"][name] = value
        elif section in ELSEWHERE:
            to[section][leaf] = value
        else:
            to["config"][name] = value
    wrong: list[str] = []
    changed = {
        "config": _config(wrong, config, to["config"]),
        "instrument": _try(wrong, lambda: _instrument(instrument, to["instrument"])),
        "setting": _try(wrong, lambda: _setting(setting, to)),
    }
    if wrong:
        raise ConfigError("; ".join(wrong))
    return Point(dict(values), **changed)


def _config(wrong: list[str], config: Config, changes: dict[str, Any]) -> Any:
    """The config with changes; names and values that are wrong are all told, not the names first."""
    strange = {name: value for name, value in changes.items() if name not in _config_names()}
    changed = _try(wrong, lambda: config.with_(**{name: v for name, v in changes.items() if name not in strange}))
    return _try(wrong, lambda: config.with_(**strange)) if strange else changed


@cache
def _config_names() -> frozenset[str]:
    return frozenset((*Config().flat(), *Config.model_fields))


def _try(wrong: list[str], make: Callable[[], Any]) -> Any:
    try:
        return make()
    except MMLabError as error:
        wrong.append(str(error))
        return None


def _instrument(instrument: Instrument, changes: dict[str, Any]) -> Instrument:
    _refuse("instrument", changes, FEES)
    for name, value in changes.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"instrument.{name} = {value!r}: must be a number between -100 and 100")
    return instrument.with_(**changes) if changes else instrument


def _setting(setting: Setting, to: dict[str, dict[str, Any]]) -> Setting:
    changes = dict(to["setting"])
    if to["latency"]:
        _refuse("latency", to["latency"], LATENCY)
        pairs = {name: tuple(value) if isinstance(value, list) else value for name, value in to["latency"].items()}
        changes["latency"] = Latency(**{**asdict(setting.latency), **pairs})
    if to["quoter"]:
        if setting.strategy is None:
            raise ConfigError(f"quoter.{next(iter(to['quoter']))}: no quoter was given: sweep(..., strategy=f)")
        _refuse("quoter", to["quoter"], tuple(setting.strategy.numbers))
        changes["strategy"] = setting.strategy.with_(**to["quoter"])
    return replace(setting, **changes)


def _refuse(section: str, given: dict[str, Any], known: tuple[str, ...]) -> None:
    """Refuse names that a section does not have."""
    wrong = [f"{section}.{name}: no such parameter{nearest(name, list(known))}" for name in given if name not in known]
    if wrong:
        raise ConfigError("; ".join(wrong))


def _check(point: Point, feed: Feed) -> None:
    """Refuse what a run of this point would refuse."""
    check_types(point.setting)
    params, _ = resolve(point.config, point.instrument, warm_up(calibrate(feed, point.config, point.instrument)))
    check_setting(tape_of(feed), point.instrument, params, point.setting.queue, point.setting.queue_exponent)


def check_types(setting: Setting) -> None:
    """Refuse values of a wrong kind in a setting."""
    wrong = [
        f"{name} = {value!r}: must be true or false"
        for name in ("partial_fills", "fill_on_cross", "through_only")
        if not isinstance(value := getattr(setting, name), bool)
    ]
    seed, exponent = setting.seed, setting.queue_exponent
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        wrong.append(f"seed = {seed!r}: must be a whole number, at least 0")
    if isinstance(exponent, bool) or not isinstance(exponent, int | float):
        wrong.append(f"queue_exponent = {exponent!r}: must be a number above 0 and at most 100")
    if not isinstance(setting.queue, str):
        wrong.append(f"queue = {setting.queue!r}: must be text")
    if not isinstance(setting.latency, Latency):
        wrong.append(f"latency = {setting.latency!r}: must be a mmlab.Latency")
    if wrong:
        raise ConfigError("; ".join(wrong))
