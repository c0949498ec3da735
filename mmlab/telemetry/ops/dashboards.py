"""Grafana's dashboards from the registry: one a group of metrics, a panel a title, and figures on top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mmlab.telemetry.metrics_registry import GROUPS, METRICS, Group, Metric

SCHEMA_VERSION = 39
"""Of the dashboard's JSON; Grafana 10.4 and later read it, newer ones move it on themselves."""
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SELECT = 'session=~"$session"'
UNITS = {
    "seconds": "s", "ratio": "percentunit", "bytes": "bytes", "bps": "none", "1/s": "short", "ticks": "short",
}  # fmt: skip
"""Unit of the registry -> Grafana's name."""
WIDTH, HEIGHT = 12, 8
STAT_WIDTH, STAT_HEIGHT = 6, 4


@dataclass(frozen=True)
class Stat:
    """A figure on top of a dashboard."""

    title: str
    expr: str
    unit: str = "short"


STATS: dict[Group, tuple[Stat, ...]] = {
    "trading": (
        Stat("Alerts firing", f'count(ALERTS{{alertstate="firing",{SELECT}}}) or vector(0)'),
        Stat("Sessions quoting", f'sum(mmlab_trading_state{{state="quoting",{SELECT}}})'),
        Stat("Kill switches active", f"sum(mmlab_kill_switch_active{{{SELECT}}})"),
        Stat("Traded per hour, quote", f"sum(mmlab:fill_notional_quote:rate{{{SELECT}}}) * 3600"),
    ),
    "adverse": (
        Stat("Worst rolling markout, bps", f"min(mmlab_markout_median_bps{{{SELECT}}})"),
        Stat("Spread capture, bps", f"avg(mmlab_spread_capture_bps{{{SELECT}}})"),
        Stat("Flips a second", f"max(mmlab_flips_10s_per_second{{{SELECT}}})"),
        Stat("Fastest side, fills a second", f"max(mmlab_fill_rate_p95_per_second{{{SELECT}}})"),
    ),
    "execution": (
        Stat("Working orders", f"sum(mmlab_working_orders{{{SELECT}}})"),
        Stat("Unknown orders", f'sum(mmlab_working_orders{{state="unknown",{SELECT}}})'),
        Stat("Refused", f"max(mmlab:refused:ratio{{{SELECT}}})", "percentunit"),
        Stat("Messages per fill", f"max(mmlab:messages_per_fill:ratio{{{SELECT}}})"),
    ),
    "infrastructure": (
        Stat("Engines that answer", f'sum(up{{job="mmlab",{SELECT}}})'),
        Stat("Rows to sender, p99", f'max(mmlab:stage_latency_seconds:p99{{stage="total",{SELECT}}})', "s"),
        Stat("Market data age", f"max(mmlab_market_data_age_seconds{{{SELECT}}})", "s"),
        Stat("Files behind", f"max(mmlab_disk_behind_seconds{{{SELECT}}})", "s"),
    ),
}


def dashboards() -> dict[str, dict[str, Any]]:
    """File name -> dashboard."""
    return {f"mmlab-{group}.json": dashboard(group) for group in GROUPS}


def dashboard(group: Group) -> dict[str, Any]:
    """One dashboard."""
    titles = list(dict.fromkeys(metric.panel for metric in METRICS if metric.group == group))
    panels = [_stat(i, stat) for i, stat in enumerate(STATS[group])]
    for i, title in enumerate(titles):
        metrics = [metric for metric in METRICS if (metric.group, metric.panel) == (group, title)]
        panels.append(_panel(len(panels) + 1, i, title, metrics))
    return {
        "uid": f"mmlab-{group}",
        "title": f"mmlab: {GROUPS[group]}",
        "tags": ["mmlab"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "5s",
        "timezone": "utc",
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "annotations": {"list": []},
        "links": [_link()],
        "templating": {"list": _variables()},
        "panels": panels,
    }


def _variables() -> list[dict[str, Any]]:
    return [
        {
            "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "regex": "",
            "hide": 0, "refresh": 1, "includeAll": False, "multi": False, "current": {}, "options": [],
        },
        {
            "name": "session", "label": "Session", "type": "query", "datasource": SOURCE, "hide": 0,
            "query": {"query": "label_values(mmlab_latched, session)", "refId": "sessions"},
            "definition": "label_values(mmlab_latched, session)", "refresh": 2, "sort": 1, "regex": "",
            "includeAll": True, "multi": True, "allValue": ".*", "options": [],
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        },
    ]  # fmt: skip


def _link() -> dict[str, Any]:
    return {
        "title": "mmlab", "type": "dashboards", "tags": ["mmlab"], "asDropdown": False, "icon": "dashboard",
        "includeVars": True, "keepTime": True, "targetBlank": False, "tooltip": "", "url": "",
    }  # fmt: skip


def _stat(i: int, stat: Stat) -> dict[str, Any]:
    return {
        "id": i + 1,
        "type": "stat",
        "title": stat.title,
        "datasource": SOURCE,
        "gridPos": {"x": i * STAT_WIDTH, "y": 0, "w": STAT_WIDTH, "h": STAT_HEIGHT},
        "targets": [_target(0, stat.expr, "")],
        "fieldConfig": {"defaults": {"unit": stat.unit}, "overrides": []},
        "options": {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "textMode": "auto",
                    "colorMode": "value", "graphMode": "area", "justifyMode": "auto", "orientation": "auto"},
    }  # fmt: skip


def _panel(number: int, i: int, title: str, metrics: list[Metric]) -> dict[str, Any]:
    targets = [target for metric in metrics for target in queries(metric)]
    units = {unit_of(metric) for metric in metrics}
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "description": "\n".join(f"{metric.name} ({metric.unit}): {metric.help}." for metric in metrics),
        "datasource": SOURCE,
        "gridPos": {"x": i % 2 * WIDTH, "y": STAT_HEIGHT + i // 2 * HEIGHT, "w": WIDTH, "h": HEIGHT},
        "targets": [_target(k, expr, legend) for k, (expr, legend) in enumerate(targets)],
        "fieldConfig": {
            "defaults": {
                "unit": units.pop() if len(units) == 1 else "short",
                "custom": {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 0, "showPoints": "never"},
            },
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "none"},
        },
    }


def queries(metric: Metric) -> list[tuple[str, str]]:
    """Queries of a metric on its panel, each with its legend."""
    short = metric.name.removeprefix("mmlab_")
    legend = " ".join(["{{session}}", short, *(f"{{{{{label}}}}}" for label in metric.labels)])
    if metric.kind == "histogram":
        by = ", ".join(("session", *metric.labels, "le"))
        return [
            (f"histogram_quantile({q}, sum by ({by}) (rate({metric.name}_bucket{{{SELECT}}}[$__rate_interval])))",
             f"{legend} p{round(100 * q)}")
            for q in (0.5, 0.99)
        ]  # fmt: skip
    if metric.kind == "counter":
        return [(f"rate({metric.name}{{{SELECT}}}[$__rate_interval])", legend)]
    return [(f"{metric.name}{{{SELECT}}}", legend)]


def unit_of(metric: Metric) -> str:
    """Grafana's unit of what the panel shows; a counter is shown as its rate."""
    if metric.kind == "counter":
        return "percentunit" if metric.unit == "seconds" else "cps"
    return UNITS.get(metric.unit, "short")


def _target(i: int, expr: str, legend: str) -> dict[str, Any]:
    return {
        "refId": chr(ord("A") + i),
        "datasource": SOURCE,
        "expr": expr,
        "legendFormat": legend,
        "range": True,
        "instant": False,
        "editorMode": "code",
    }
