"""``python -m mmlab.telemetry.ops OUT``: make what `ops/` holds.

python -m mmlab.telemetry.ops ops                                    what is committed
python -m mmlab.telemetry.ops /tmp/ops --for-s 2 --window-s 20       quick alerts, for a test
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from mmlab.telemetry.ops.compose import compose, grafana_provider, grafana_source
from mmlab.telemetry.ops.dashboards import dashboards
from mmlab.telemetry.ops.rules import alert_rules, alertmanager_config, prometheus_config, recording_rules, rule_tests
from mmlab.telemetry.ops.terms import Terms

HEAD = "# Made by `python -m mmlab.telemetry.ops`: change the code, not this file.\n"


def files(terms: Terms) -> dict[str, str]:
    """Every file, by its place in the folder."""
    texts = {
        "prometheus.yml": prometheus_config(terms),
        "alertmanager.yml": alertmanager_config(),
        "docker-compose.yml": compose(),
        "rules/recording.yml": recording_rules(terms),
        "rules/alerts.yml": alert_rules(terms),
        "rules/tests.yml": rule_tests(terms),
        "grafana/provisioning/datasources/mmlab.yml": grafana_source(),
        "grafana/provisioning/dashboards/mmlab.yml": grafana_provider(),
    }
    made = {name: HEAD + _yaml(values) for name, values in texts.items()}
    for name, board in dashboards().items():
        made[f"grafana/dashboards/{name}"] = json.dumps(board, indent=1) + "\n"
    return made


def write(folder: Path, terms: Terms) -> None:
    """Write every file."""
    for name, text in files(terms).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _yaml(values: dict[str, Any]) -> str:
    return str(yaml.safe_dump(values, sort_keys=False, width=120, allow_unicode=True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the files."""
    default = Terms()
    parser = argparse.ArgumentParser(
        prog="python -m mmlab.telemetry.ops", description="Make Prometheus' rules, Grafana's dashboards and the rest."
    )
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--for-s", type=float, default=default.for_s, help="a condition holds so long before it alerts")
    parser.add_argument("--window-s", type=float, default=default.window_s, help="window of rates and increases")
    parser.add_argument("--scrape-s", type=float, default=default.scrape_s, help="between two scrapes")
    parser.add_argument("--targets", default=default.targets, help="folder of the sessions' target files")
    parser.add_argument("--runbooks", default=default.runbooks, help="where the runbook pages are")
    options = parser.parse_args(arguments)
    write(options.out, Terms(options.for_s, options.window_s, options.scrape_s, options.targets, options.runbooks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
