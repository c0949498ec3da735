"""The text that Prometheus scrapes, against what ``prometheus_client`` writes and reads."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from mmlab.telemetry.metrics_registry import COMMON, METRICS
from mmlab.telemetry.prometheus import SIDES, exposition, samples

FAMILIES = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily, "histogram": HistogramMetricFamily}
TEXTS = st.text(max_size=8)
NUMBERS = st.one_of(st.floats(), st.integers(-(2**53), 2**53), st.none())


class Twin(Collector):
    """The same metrics, as that library has them."""

    def __init__(self, facts):
        self.facts = facts

    def collect(self):
        common = (self.facts["session"], self.facts["market"])
        for metric in METRICS:
            family = FAMILIES[metric.kind](metric.name, metric.help, labels=(*COMMON, *metric.labels))
            for labels, value in found(self.facts, metric.source.split(".")):
                if metric.kind == "histogram":
                    family.add_metric((*common, *labels), buckets=value["buckets"], sum_value=value["sum"])
                elif value is not None and not math.isnan(value):
                    family.add_metric((*common, *labels), value)
            if family.samples:
                yield family


def found(node, path, labels=()):
    """Values at a path, found one by one."""
    if not path:
        yield labels, node
    elif path[0] == "*":
        for key, value in node.items():
            yield from found(value, path[1:], (*labels, key))
    elif "{side}" in path[0]:
        for side in SIDES:
            if (key := path[0].replace("{side}", side)) in node:
                yield from found(node[key], path[1:], (*labels, side))
    elif path[0] in node:
        yield from found(node[path[0]], path[1:], labels)


def read(text):
    """Name and labels -> value; name -> kind and help."""
    families = list(text_string_to_metric_families(text))
    values = [(sample.name, sorted(sample.labels.items()), sample.value) for f in families for sample in f.samples]
    return values, [(family.name, family.type, family.documentation) for family in families]


@st.composite
def facts(draw):
    """Facts with something at a part of all places, and any text for a label."""
    tree = {"session": draw(TEXTS), "market": draw(TEXTS)}
    for metric in draw(st.lists(st.sampled_from(METRICS), max_size=30, unique=True)):
        node, (*way, last) = tree, metric.source.split(".")
        for key in way:
            name = draw(TEXTS) if key == "*" else key.replace("{side}", draw(st.sampled_from(SIDES)))
            node = node.setdefault(name, {})
        names = draw(st.lists(TEXTS, max_size=3, unique=True)) if last == "*" else [last.replace("{side}", "bid")]
        for name in names:
            node[name] = draw(histograms()) if metric.kind == "histogram" else draw(NUMBERS)
    return tree


@st.composite
def histograms(draw):
    counts = sorted(draw(st.lists(st.integers(0, 10**9), min_size=3, max_size=3)))
    return {"buckets": list(zip(("2.5e-05", "1", "+Inf"), counts, strict=True)), "sum": draw(st.floats(0, 1e6))}


@settings(max_examples=150, deadline=None)
@given(facts=facts())
def test_it_says_what_the_library_says(facts):
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Twin(facts))
    theirs, ours = generate_latest(registry).decode(), exposition(facts)
    assert [line.split(" ")[0] for line in ours.split("\n")] == [line.split(" ")[0] for line in theirs.split("\n")]
    assert read(ours) == read(theirs)
    assert exposition(facts) == ours, "the series that are kept"


def test_series_are_those_of_the_session_asked_for():
    for session in ("a", "b", "a"):
        text = exposition({"session": session, "market": "m", "latched": 1.0})
        assert f'mmlab_latched{{market="m",session="{session}"}} 1.0\n' in text


@pytest.mark.parametrize("source", ["linked.deeper", "orders.{side}.*", "latency.*", "missing"])
def test_a_path_that_leads_nowhere_finds_nothing(source):
    assert samples({"linked": 1.0, "orders": 3, "latency": None}, source) == []
