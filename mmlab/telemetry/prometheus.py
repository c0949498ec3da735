"""A session's facts in Prometheus' text format, metric by metric as `mmlab.telemetry.metrics_registry` says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from mmlab.telemetry.metrics_registry import COMMON, METRICS, Metric

SIDES = ("bid", "ask")
Labels = tuple[str, ...]
Family = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily


class FactsCollector(Collector):
    """Metrics of one look at a session.

    Parameters
    ----------
    facts : dict
        From `mmlab.lab.trade.Trade.facts`.
    """

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts

    def collect(self) -> Iterator[Family]:
        """Every metric that has a value; what is undefined is left out."""
        common = (str(self._facts["session"]), str(self._facts["market"]))
        for metric in METRICS:
            family = _family(metric)
            for labels, value in samples(self._facts, metric.source):
                if isinstance(family, HistogramMetricFamily):
                    family.add_metric((*common, *labels), buckets=value["buckets"], sum_value=value["sum"])
                elif value is not None and not math.isnan(value):
                    family.add_metric((*common, *labels), value)
            if family.samples:
                yield family


def _family(metric: Metric) -> Family:
    names = (*COMMON, *metric.labels)
    if metric.kind == "counter":
        return CounterMetricFamily(metric.name, metric.help, labels=names)
    if metric.kind == "histogram":
        return HistogramMetricFamily(metric.name, metric.help, labels=names)
    return GaugeMetricFamily(metric.name, metric.help, labels=names)


def samples(facts: dict[str, Any], source: str) -> Iterator[tuple[Labels, Any]]:
    """Values at a path, with the label values met on the way; nothing where the path leads nowhere."""
    yield from _walk(facts, source.split("."), ())


def _walk(node: Any, path: list[str], labels: Labels) -> Iterator[tuple[Labels, Any]]:
    if not path:
        yield labels, node
        return
    head, *rest = path
    if not isinstance(node, dict):
        return
    if head == "*":
        for key, value in node.items():
            yield from _walk(value, rest, (*labels, str(key)))
    elif "{side}" in head:
        for side in SIDES:
            key = head.replace("{side}", side)
            if key in node:
                yield from _walk(node[key], rest, (*labels, side))
    elif head in node:
        yield from _walk(node[head], rest, labels)


def exposition(facts: dict[str, Any]) -> str:
    """The text that Prometheus scrapes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FactsCollector(facts))
    return generate_latest(registry).decode()
