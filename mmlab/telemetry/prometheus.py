"""A session's state in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

TRADING = ("starting", "quoting", "halting", "halted", "reducing")
GAUGES = {
    "position_base_units": ("position", "Position; in contracts where the contract is no unit of base"),
    "net_pnl_settle_units": ("net_pnl", "Net P&L in the settle currency"),
    "market_data_age_seconds": ("market_age_s", "Real seconds since the last market message"),
    "parameter_version": ("parameter_version", "Changes of parameters so far"),
    "tasks_died": ("tasks_died", "Tasks of the engine that failed"),
}
COUNTERS = {"fills": ("fills", "Fills"), "messages": ("messages", "Messages sent to the venue")}


class StateCollector(Collector):
    """Metrics of one picture of a session (`mmlab.engine.overview`)."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._state = state

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Every metric, labelled with the session's name and market."""
        state = self._state
        names, values = ("session", "market"), (state["name"], state["symbol"])
        for name, (key, text) in GAUGES.items():
            gauge = GaugeMetricFamily(f"mmlab_{name}", text, labels=names)
            if state[key] is not None:
                gauge.add_metric(values, state[key])
            yield gauge
        for name, (key, text) in COUNTERS.items():
            counter = CounterMetricFamily(f"mmlab_{name}", text, labels=names)
            counter.add_metric(values, state[key])
            yield counter
        orders = GaugeMetricFamily("mmlab_working_orders", "Working orders", labels=(*names, "side"))
        for side in ("bid", "ask"):
            orders.add_metric((*values, side), sum(order["side"] == side for order in state["orders"]))
        yield orders
        trading = GaugeMetricFamily("mmlab_trading_state", "1 for the state it is in", labels=(*names, "state"))
        for word in TRADING:
            trading.add_metric((*values, word), float(state["trading"] == word))
        yield trading
        latency = GaugeMetricFamily(
            "mmlab_stage_latency_seconds", "Newest latencies by stage", labels=(*names, "stage", "quantile")
        )
        for stage, row in state["latency_us"].items():
            for quantile, key in (("0.5", "p50"), ("0.9", "p90"), ("0.99", "p99")):
                latency.add_metric((*values, stage, quantile), row[key] * 1e-6)
        yield latency


def exposition(state: dict[str, Any]) -> str:
    """The text that Prometheus scrapes."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StateCollector(state))
    return generate_latest(registry).decode()
