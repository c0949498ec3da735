"""The config: defaults of terms.md, bounds, typos, contradictions, round trips."""

from __future__ import annotations

import math
from typing import Any, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from mmlab.config import Config
from mmlab.errors import ConfigError

TERMS = {
    # Ladder and gates
    "ladder.thresholds": (0.25, 0.50, 0.75, 1.00), "ladder.offset_ticks": (1, 3, 5, 8),
    "ladder.size_multipliers": (1.0, 0.5, 0.25, 0.1), "ladder.hysteresis": 0.05, "ladder.min_dwell_ms": 500,
    "strategy.rungs": 1, "strategy.rung_spacing_ticks": 1,
    "gates.cooldown.min_ms": 300, "gates.cooldown.max_ms": 800, "gates.cooldown.max_fills_per_s": 3,
    "gates.cooldown.pause_ms": 500, "gates.cooldown.pause_max_ms": 1000,
    "gates.flip.mode": "adaptive", "gates.flip.threshold": 8, "gates.flip.window_ms": 200, "gates.flip.widen_ticks": 2,
    "gates.flip.growth": 1.5, "gates.flip.max_widen_ticks": 8, "gates.flip.half_life_ms": 400,
    "gates.flip.hard_threshold": 16, "gates.flip.hold_ms": 600, "gates.flip.reference": "micro",
    "gates.flip.pause_ms": 500, "gates.flip.pause_max_ms": 1000,
    "gates.age_exit.age_s": 8, "gates.age_exit.adverse_ticks": 6, "gates.age_exit.adverse_bps": None,
    "gates.age_exit.fraction": 1 / 3, "gates.age_exit.depth_fraction": 0.25, "gates.age_exit.max_slippage_ticks": 5,
    "gates.age_exit.cooldown_ms": 2000, "gates.age_exit.exit_budget_bps": 5, "gates.age_exit.age_basis": "inventory",
    # Kill switches
    "kill.mode": "act", "kill.memory_s": 60, "kill.fresh_s": 2, "kill.pause_light_side": False,
    "kill.toxic.threshold_bps": -0.10, "kill.toxic.horizon_s": 1, "kill.toxic.window": 200, "kill.toxic.min_n": 20,
    "kill.toxic.z": 2, "kill.toxic.pause_s": 2, "kill.toxic.pause_max_s": 5,
    "kill.burst.threshold_per_s": 3, "kill.burst.percentile": 95, "kill.burst.min_n": 20, "kill.burst.pause_s": 0.5,
    "kill.burst.pause_max_s": 1.0,
    "kill.losing.threshold_quote": -30, "kill.losing.window_min": 30, "kill.losing.halt_s": 60,
    "kill.losing.max_rearms": 2, "kill.losing.z": 2, "kill.losing.min_notional": None,
    "kill.volatility.ratio": 3, "kill.volatility.rearm_ratio": 2,
    "kill.stale.max_age_s": 1, "kill.stale.interval_multiple": 10, "risk.collar_bps": 100,
    "risk.flat_band": 0.05, "risk.on_halt": "hold", "risk.on_stop": "keep", "risk.hard_limit": None,
    "strategy.half_life_s": 60, "strategy.volatility_clock_ms": 100, "strategy.fee_in_model": True,
    "execution.refresh_tolerance_ticks": 1,
}  # fmt: skip


@pytest.mark.parametrize("name", TERMS)
def test_defaults_are_those_of_terms_md(name: str) -> None:
    assert Config().flat()[name] == TERMS[name]


# ---------------------------------------------------------------------------------------------------------------------
# Bounds


def fields(model: type[BaseModel] = Config, prefix: str = ""):
    """Every parameter with its field."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from fields(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, field


FIELDS = dict(fields())
NUMBERS = {
    name: (
        next(m.ge for m in field.metadata if isinstance(m, Ge)),
        next(m.le for m in field.metadata if isinstance(m, Le)),
    )
    for name, field in FIELDS.items()
    if any(isinstance(m, Ge) for m in field.metadata)
}  # fmt: skip
WORDS = {name: get_args(field.annotation) for name, field in FIELDS.items() if "Literal" in str(field.annotation)}
LISTS = {name: field for name, field in FIELDS.items() if get_origin(field.annotation) is tuple}
SWITCHES = [name for name, field in FIELDS.items() if field.annotation is bool]
TEXTS = {name for name, field in FIELDS.items() if field.annotation is str}
"""Names of things at a venue, which only the venue can check."""


def refused(**changes: Any) -> str:
    with pytest.raises(ConfigError) as error:
        Config().with_(**changes)
    return str(error.value)


def test_every_parameter_is_bounded_and_described() -> None:
    assert set(NUMBERS) | set(WORDS) | set(LISTS) | set(SWITCHES) | TEXTS == set(FIELDS)
    assert {"venue.market"} == TEXTS
    assert all(field.description for field in FIELDS.values())


@pytest.mark.parametrize("name", NUMBERS)
def test_out_of_range_is_refused_naming_field_value_and_range(name: str) -> None:
    low, high = NUMBERS[name]
    for value in (low - 1 - abs(low), high * 2 + 1, math.nan, math.inf, -math.inf, "many", [1], {"a": 1}):
        message = refused(**{name: value})
        assert message.startswith(name), message
        assert isinstance(value, dict) or repr(value) in message
        assert f"between {low:g} and {high:g}" in message, message


@pytest.mark.parametrize("name", WORDS)
def test_unknown_words_are_refused_naming_what_is_allowed(name: str) -> None:
    message = refused(**{name: "sideways"})
    assert message.startswith(f"{name} = 'sideways': must be one of")
    assert all(repr(word) in message for word in WORDS[name])


@pytest.mark.parametrize("name", SWITCHES)
def test_flags_are_true_or_false(name: str) -> None:
    assert refused(**{name: "perhaps"}) == f"{name} = 'perhaps': must be true or false"


@pytest.mark.parametrize("name", LISTS)
def test_lists_name_the_place(name: str) -> None:
    inner = get_args(get_args(LISTS[name].annotation)[0])[1].metadata
    least = next(m.ge if isinstance(m, Ge) else m.gt for m in inner if isinstance(m, (Ge, Gt)))
    most = next(m.le for m in inner if isinstance(m, Le))
    good = list(getattr(Config(), name.split(".", maxsplit=1)[0]).model_dump()[name.split(".")[1]])
    for value in (least - 1, most + 1, math.nan, "x"):
        message = refused(**{name: [*good[:-1], value]})
        kind = "whole number" if isinstance(good[-1], int) else "number"
        assert message.startswith(f"{name}.{len(good) - 1} = {value!r}: must be a {kind}"), message
        assert f"{least:g}" in message
        assert f"{most:g}" in message
    assert "must be a list of numbers" in refused(**{name: 3})


def test_whole_numbers() -> None:
    assert "must be a whole number between 1 and 8" in refused(**{"strategy.rungs": 2.5})


def test_every_wrong_field_is_listed() -> None:
    message = refused(**{"ladder.hysteresis": 9, "gates.flip.mode": "up", "risk.collar_bps": -1, "kill.toxic.z": 99})
    assert message.count("; ") == 3
    for name in ("ladder.hysteresis", "gates.flip.mode", "risk.collar_bps", "kill.toxic.z"):
        assert name in message


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("ladder.hysteresiss", "ladder.hysteresis"), ("hysteresis", "ladder.hysteresis"),
        ("gates.flip.treshold", "gates.flip.threshold"), ("kill.toxic.pause", "kill.toxic.pause_s"),
        ("strategy.kapa", "strategy.kappa"), ("gate.flip.mode", "gates.flip.mode"),
    ],
)  # fmt: skip
def test_typos_are_answered_with_the_nearest_name(typo: str, meant: str) -> None:
    message = refused(**{typo: 1})
    assert message == f"{typo} = 1: no such parameter: did you mean {meant}?"


# ---------------------------------------------------------------------------------------------------------------------
# Contradictions

CONTRADICTIONS = {
    "strategy: min_spread_bps = 200.0 is above max_spread_bps": {"strategy.min_spread_bps": 200.0},
    "strategy: min_edge_bps = 200.0 is above max_spread_bps": {"strategy.min_edge_bps": 200.0},
    "rung_size_multipliers has 2 values: give 1, or one a rung (3)": {
        "strategy.rungs": 3, "strategy.rung_size_multipliers": [1, 2],
    },
    "warmup_max_s = 10.0 is below warmup_s = 60.0": {"strategy.warmup_max_s": 10},
    "offset_ticks has 3 values, thresholds 4": {"ladder.offset_ticks": [1, 2, 3]},
    "thresholds = (0.5, 0.25, 0.75, 1.0) must rise": {"ladder.thresholds": [0.5, 0.25, 0.75, 1.0]},
    "hysteresis = 0.3 must be below the first threshold": {"ladder.hysteresis": 0.3},
    "thresholds has 0 levels": {
        "ladder.thresholds": [], "ladder.offset_ticks": [], "ladder.offset_bps": [], "ladder.size_multipliers": [],
    },
    "hard_threshold = 5 is below threshold = 8": {"gates.flip.hard_threshold": 5},
    "flip: pause_max_ms = 1000.0 is below pause_ms = 2000.0": {"gates.flip.pause_ms": 2000},
    "max_ms = 800.0 is below min_ms = 900.0": {"gates.cooldown.min_ms": 900},
    "cooldown: pause_max_ms = 1000.0 is below pause_ms = 2000.0": {"gates.cooldown.pause_ms": 2000},
    "toxic: pause_max_s = 5.0 is below pause_s = 6.0": {"kill.toxic.pause_s": 6},
    "window = 10 is below min_n = 20": {"kill.toxic.window": 10},
    "burst: pause_max_s = 1.0 is below pause_s = 6.0": {"kill.burst.pause_s": 6},
    "rearm_ratio = 4.0 is not below ratio = 3.0": {"kill.volatility.rearm_ratio": 4},
}  # fmt: skip


@pytest.mark.parametrize("words", CONTRADICTIONS)
def test_contradictions_are_refused(words: str) -> None:
    assert words in refused(**CONTRADICTIONS[words])


def test_contradictions_are_all_listed() -> None:
    message = refused(**{"gates.flip.hard_threshold": 5, "gates.flip.pause_ms": 2000, "gates.cooldown.min_ms": 900})
    assert "hard_threshold = 5" in message
    assert "pause_max_ms = 1000.0 is below pause_ms = 2000.0" in message
    assert "max_ms = 800.0 is below min_ms = 900.0" in message


# ---------------------------------------------------------------------------------------------------------------------
# Files, copies, hash


def _kinds(name: str) -> tuple[Any, ...]:
    return get_args(FIELDS[name].annotation) or (FIELDS[name].annotation,)


def test_dotted_names_and_immutability() -> None:
    changed = Config().with_(**{"ladder.hysteresis": 0.1, "gates.flip.mode": "skip"})
    assert (changed.ladder.hysteresis, changed.gates.flip.mode) == (0.1, "skip")
    assert Config().ladder.hysteresis == 0.05
    with pytest.raises(Exception, match="frozen"):
        changed.ladder.hysteresis = 0.2
    assert changed.with_(ladder=Config().ladder).ladder.hysteresis == 0.05, "a section as a whole"


def test_other_levels_bring_their_own_twins() -> None:
    ladder = {"thresholds": [0.5, 1.0], "offset_ticks": [2, 4], "size_multipliers": [0.5, 0.2]}
    assert Config(ladder=ladder).ladder.offset_bps == (0, 0)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.floats(low, high) if float in _kinds(name) else st.integers(int(low), int(high))
            for name, (low, high) in NUMBERS.items()
            if name.startswith(("kill.", "risk.", "gates.age_exit"))
        },
    )
)  # fmt: skip
def test_round_trip_and_hash(tmp_path_factory, changes) -> None:
    try:
        config = Config().with_(**changes)
    except ConfigError:
        return  # the values contradict each other
    path = tmp_path_factory.mktemp("config") / "c.toml"
    config.save(path)
    back = Config.load(path)
    assert back == config
    assert back.hash == config.hash
    assert (config.hash == Config().hash) == (config == Config())


def test_hash_is_stable() -> None:
    assert Config().hash == Config().with_(**{"ladder.hysteresis": 0.05}).hash
    assert Config().hash != Config().with_(**{"ladder.hysteresis": 0.06}).hash
    assert len(Config().hash) == 16
    int(Config().hash, 16)


def test_a_file_holds_only_what_it_changes(tmp_path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[gates.flip]\nmode = "widen"\n')
    assert Config.load(path) == Config().with_(**{"gates.flip.mode": "widen"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[gates.flip]\nmode = widen", ["not valid TOML", "line 2"]),
        ("[gates.flip]\nmoode = 'widen'", ["gates.flip.moode = 'widen'", "did you mean gates.flip.mode?"]),
        ("[gats.flip]\nmode = 'widen'", ["gats: no such parameter", "did you mean gates?"]),
        ("[ladder]\nhysteresis = 7", ["ladder.hysteresis = 7: must be a number between 0 and 0.5"]),
        ("ladder = 7", ["ladder = 7: must be a table of parameters"]),
        ("[ladder]\nhysteresis = nan", ["ladder.hysteresis = nan"]),
    ],
)
def test_bad_files_are_named(tmp_path, text: str, words: list[str]) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as error:
        Config.load(path)
    assert str(error.value).startswith(str(path))
    assert all(word in str(error.value) for word in words), str(error.value)


def test_missing_and_binary_files(tmp_path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        Config.load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot read"):
        Config.load(tmp_path / "binary.toml")


def test_html_marks_what_was_changed() -> None:
    html = Config().with_(**{"ladder.hysteresis": 0.1})._repr_html_()
    assert "<td>ladder.hysteresis</td><td>0.1</td><td>*</td>" in html
    assert html.count("<td>*</td>") == 1
