"""docs/reference/alerts.md, from the rules that Prometheus loads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tools.reference.markdown import MADE, code, table

RULES = Path(__file__).parents[2] / "ops" / "rules" / "alerts.yml"
HEAD = """# Alerts

Every alert of `ops/rules/alerts.yml`, with the page that says what to do; the annotation `runbook_url` of
the alert names it too. *After*: how long the expression must hold. An engine that has died has no figures;
`MmlabEngineDown` and `MmlabMetricsMissing` fire then.
"""


def alerts() -> list[dict[str, Any]]:
    """Every alert as the file has it."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def page() -> str:
    """The page."""
    rows = [
        (
            code(alert["alert"]),
            alert["labels"]["severity"],
            alert.get("for", "0s"),
            _words(alert["annotations"]["summary"]),
            _link(alert["annotations"]["runbook_url"]),
        )
        for alert in alerts()
    ]
    expressions = [(code(alert["alert"]), code(" ".join(alert["expr"].split()))) for alert in alerts()]
    return (
        f"{MADE}{HEAD}\n{table(('alert', 'severity', 'after', 'says', 'runbook'), rows)}"
        f"\n## Expressions\n\n{table(('alert', 'expression'), expressions)}"
    )


def _words(summary: str) -> str:
    """A summary without its template."""
    text = re.sub(r"^\{\{ \$labels\.session \}\}: ", "", summary)
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"<\1>", text)
    return code(re.sub(r"\{\{.*?\}\}", "<value>", text)) if "<" in text else re.sub(r"\{\{.*?\}\}", "…", text)


def _link(url: str) -> str:
    name = url.rpartition("/")[2]
    return f"[{name.removesuffix('.md')}](../runbooks/{name})"
