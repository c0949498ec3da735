"""docs/reference/metrics.md, from the registry of metrics."""

from __future__ import annotations

from mmlab.telemetry.metrics_registry import COMMON, GROUPS, METRICS, Metric
from tools.reference.markdown import MADE, code, table

HEAD = """# Metric reference

Every Prometheus metric of a session, from the registry in `mmlab.telemetry.metrics_registry`, by dashboard. Each
sample has the labels {common} besides those named here. No label is of unbounded variety, and none is an order.
*Optional*: exposed only where the session has it.

- `_total` counts since the session's start; take `rate()` or `increase()` of it.
- Money is in the quote or the settle currency, as the name says.
- `_seconds` are seconds, `_bps` basis points, `_ratio` between 0 and 1 (an inventory ratio between -1 and 1).
- What cannot be known has no sample, which is not 0.
"""


def page() -> str:
    """The page."""
    common = ", ".join(code(label) for label in COMMON)
    parts = [MADE + HEAD.format(common=common)]
    for group, title in GROUPS.items():
        rows = [_row(metric) for metric in METRICS if metric.group == group]
        parts.append(f"## {title}\n\n" + table(("metric", "kind", "unit", "labels", "meaning", "panel"), rows))
    return "\n".join(parts)


def _row(metric: Metric) -> tuple[str, ...]:
    labels = ", ".join(code(label) for label in metric.labels)
    meaning = metric.help + (" (optional)" if metric.optional else "")
    return code(metric.name), metric.kind, metric.unit, labels, meaning, metric.panel
