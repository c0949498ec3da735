"""A session's facts in Prometheus' text format, metric by metric as `mmlab.telemetry.metrics_registry` says.

Written here and not by ``prometheus_client``, which takes ten times as long, and the engine pays for every scrape. A
test holds the text to what that library writes and reads.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from mmlab.telemetry.metrics_registry import COMMON, METRICS, Metric

SIDES = ("bid", "ask")
Labels = tuple[str, ...]
Found = list[tuple[Labels, Any]]

_SESSIONS = 16
"""Sessions whose series are kept from scrape to scrape; a process has one."""
_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})
_LABEL = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_GO = {"inf": "+Inf", "-inf": "-Inf"}


def samples(facts: dict[str, Any], source: str) -> Found:
    """Values at a path, with the label values met on the way; nothing where the path leads nowhere."""
    found: Found = [((), facts)]
    for step in _steps(source):
        found = step(found)
    return found


@cache
def _steps(source: str) -> list[Callable[[Found], Found]]:
    """A path's steps, each from what was found to what is found one key further."""
    return [_step(key) for key in source.split(".")]


def _step(key: str) -> Callable[[Found], Found]:
    def every(found: Found) -> Found:
        return [
            ((*labels, str(name)), value)
            for labels, node in found if isinstance(node, dict) for name, value in node.items()
        ]  # fmt: skip

    def by_side(found: Found) -> Found:
        return [
            ((*labels, side), node[name])
            for labels, node in found if isinstance(node, dict) for side, name in names if name in node
        ]  # fmt: skip

    def one(found: Found) -> Found:
        return [(labels, node[key]) for labels, node in found if isinstance(node, dict) and key in node]

    names = [(side, key.replace("{side}", side)) for side in SIDES]
    return every if key == "*" else by_side if "{side}" in key else one


class _Series(dict[Labels, str]):
    """Values of a metric's own labels -> name and all labels of that sample, up to its value; made when first asked."""

    def __init__(self, name: str, names: Labels, common: Labels) -> None:
        super().__init__()
        self._name, self._names, self._common = name, (*COMMON, *names), common

    def __missing__(self, labels: Labels) -> str:
        pairs = sorted(zip(self._names, (*self._common, *labels), strict=True))
        text = ",".join([f'{name}="{value.translate(_LABEL)}"' for name, value in pairs])
        self[labels] = f"{self._name}{{{text}}} "
        return self[labels]


class _Gauge:
    """A gauge or counter of one session."""

    def __init__(self, metric: Metric, common: Labels) -> None:
        self.source, self.head = metric.source, _head(metric)
        self._series = _Series(metric.name, metric.labels, common)

    def lines(self, found: Found) -> list[str]:
        """A line each, but for what is undefined."""
        series = self._series
        return [series[labels] + _number(value) for labels, value in found if value is not None and value == value]  # noqa: PLR0124  NaN


class _Histogram:
    """A histogram of one session."""

    def __init__(self, metric: Metric, common: Labels) -> None:
        self.source, self.head = metric.source, _head(metric)
        self._buckets = _Series(f"{metric.name}_bucket", (*metric.labels, "le"), common)
        self._count, self._sum = (_Series(f"{metric.name}_{of}", metric.labels, common) for of in ("count", "sum"))

    def lines(self, found: Found) -> list[str]:
        """Of each: its buckets, count and sum."""
        lines: list[str] = []
        for labels, value in found:
            lines += [self._buckets[*labels, bound] + _number(n) for bound, n in value["buckets"]]
            lines.append(self._count[labels] + _number(value["buckets"][-1][1]))
            lines.append(self._sum[labels] + _number(value["sum"]))
        return lines


def _head(metric: Metric) -> str:
    return f"# HELP {metric.name} {metric.help.translate(_HELP)}\n# TYPE {metric.name} {metric.kind}"


@lru_cache(_SESSIONS)
def _metrics(common: Labels) -> list[_Gauge | _Histogram]:
    """Every metric, for one session."""
    return [(_Histogram if metric.kind == "histogram" else _Gauge)(metric, common) for metric in METRICS]


def _number(value: float) -> str:
    text = repr(float(value))
    return _GO.get(text, text)


def exposition(facts: dict[str, Any]) -> str:
    """The text that Prometheus scrapes: every metric that has a value; what is undefined is left out.

    Parameters
    ----------
    facts : dict
        From `mmlab.lab.trade.Trade.facts`.
    """
    text: list[str] = []
    for metric in _metrics((str(facts["session"]), str(facts["market"]))):
        if lines := metric.lines(samples(facts, metric.source)):
            text.append(metric.head)
            text += lines
    return "\n".join([*text, ""])
