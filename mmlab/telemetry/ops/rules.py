"""Prometheus' files: configuration, recording and alert rules, promtool's tests of them; Alertmanager's example."""

from __future__ import annotations

from typing import Any

from mmlab.telemetry.ops.alerts import ALERTS, HERE, SESSION, Alert
from mmlab.telemetry.ops.terms import JOB, Terms, duration

RECORDED = {
    "mmlab:refused:ratio": "sum by (session) (rate(mmlab_refusals_total[$window]))"
    " / (sum by (session) (rate(mmlab_messages_total[$window])) > 0)",
    "mmlab:messages_per_fill:ratio": "sum by (session) (increase(mmlab_messages_total[$window]))"
    " / (sum by (session) (increase(mmlab_fills_total[$window])) > 0)",
    "mmlab:fill_notional_quote:rate": "sum by (session, side) (rate(mmlab_fill_notional_quote_total[$window]))",
    "mmlab:stage_latency_seconds:p50": "histogram_quantile(0.5, sum by (session, stage, le)"
    " (rate(mmlab_stage_latency_seconds_bucket[$window])))",
    "mmlab:stage_latency_seconds:p99": "histogram_quantile(0.99, sum by (session, stage, le)"
    " (rate(mmlab_stage_latency_seconds_bucket[$window])))",
    "mmlab:quoting:ratio": "clamp_max(rate(mmlab_quoting_seconds_total[$window]), 1)",
    "mmlab:presign_hits:ratio": "sum by (session) (rate(mmlab_presign_hits_total[$window]))"
    " / (sum by (session) (rate(mmlab_presign_hits_total[$window]) + rate(mmlab_presign_misses_total[$window])) > 0)",
}
"""Recording rules: name -> expression."""

CALM = {
    f"up{{{HERE}}}": "1x400",
    f"mmlab_latched{{{HERE}}}": "0x400",
    f"mmlab_market_data_age_seconds{{{HERE}}}": "0.2x400",
    f"mmlab_link_up{{{HERE}}}": "1x400",
    f"mmlab_account_reconciled{{{HERE}}}": "1x400",
    f"mmlab_disk_behind_seconds{{{HERE}}}": "0.5x400",
    f"mmlab_disk_free_bytes{{{HERE}}}": "1e11x400",
    f"mmlab_position_base_units{{{HERE}}}": "1x400",
    f'mmlab_trading_state{{{HERE},state="halted"}}': "0x400",
    f'mmlab_trading_state{{{HERE},state="quoting"}}': "1x400",
    f'mmlab_side_state{{{HERE},side="bid",state="quoting"}}': "1x400",
    f'mmlab_messages_total{{{HERE},kind="place"}}': "0+5x400",
    f'mmlab_refusals_total{{{HERE},class="fatal_order"}}': "0x400",
    f'mmlab_log_lines_total{{{HERE},level="error"}}': "0x400",
    f'mmlab_kill_switch_active{{{HERE},switch="loss"}}': "0x400",
    f'mmlab_kill_switch_trips_total{{{HERE},switch="loss"}}': "0x400",
}
"""Series of a session with which all is well."""


def prometheus_config(terms: Terms) -> dict[str, Any]:
    """``prometheus.yml``: sessions are found by file, rules and Alertmanager beside it."""
    every = duration(terms.scrape_s)
    return {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": ["rules/recording.yml", "rules/alerts.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["127.0.0.1:9093"]}]}]},
        "scrape_configs": [
            {
                "job_name": JOB,
                "honor_labels": True,
                "file_sd_configs": [{"files": [f"{terms.targets}/*.json"], "refresh_interval": every}],
            }
        ],
    }


def recording_rules(terms: Terms) -> dict[str, Any]:
    """``rules/recording.yml``."""
    rules = [{"record": name, "expr": terms.fill(expr)} for name, expr in RECORDED.items()]
    return {"groups": [{"name": "mmlab-recording", "rules": rules}]}


def alert_rules(terms: Terms) -> dict[str, Any]:
    """``rules/alerts.yml``."""
    return {"groups": [{"name": "mmlab-alerts", "rules": [_rule(alert, terms) for alert in ALERTS]}]}


def _rule(alert: Alert, terms: Terms) -> dict[str, Any]:
    rule: dict[str, Any] = {"alert": alert.name, "expr": terms.fill(alert.expr)}
    if alert.waits:
        rule["for"] = duration(terms.for_s)
    return rule | {"labels": {"severity": alert.severity}, "annotations": notes_of(alert, terms)}


def notes_of(alert: Alert, terms: Terms) -> dict[str, str]:
    """What an alert says: its summary, and its runbook page."""
    return {"summary": alert.summary, "runbook_url": f"{terms.runbooks}/{alert.runbook}.md"}


def rule_tests(terms: Terms) -> dict[str, Any]:
    """``rules/tests.yml``: promtool sees each alert fire on its series, a session an alert, and none on calm ones."""
    late_s = 2 * terms.window_s + 2 * terms.for_s
    step = duration(max(terms.scrape_s, terms.window_s / 10))
    all_series = {_of(alert, name): values for alert in ALERTS for name, values in alert.series.items()}
    firing = [_expect(_ask(alert), late_s, [{"labels": _fired(alert), "value": 1}]) for alert in ALERTS if alert.series]
    silent = [alert for alert in ALERTS if not alert.series]
    return {
        "rule_files": ["recording.yml", "alerts.yml"],
        "evaluation_interval": step,
        "tests": [
            _test("each alert fires in a session of its own", step, all_series, firing),
            *(
                _test(
                    f"{alert.name}: nothing there", step, {},
                    [_expect(_ask(alert), late_s, [{"labels": _fired(alert), "value": 1}])],
                )
                for alert in silent
            ),
            _test("a session with which all is well", step, CALM, [_expect("ALERTS", late_s, [])]),
        ],
    }  # fmt: skip


def _test(name: str, step: str, series: dict[str, str], expectations: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "interval": step,
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "promql_expr_test": expectations,
    }


def _expect(expr: str, eval_s: float, samples: list[dict[str, Any]]) -> dict[str, Any]:
    return {"expr": expr, "eval_time": duration(eval_s), "exp_samples": samples}


def _of(alert: Alert, series: str) -> str:
    """The series in the session that has the alert's name."""
    return series.replace(SESSION, f'session="{alert.name}"')


def _ask(alert: Alert) -> str:
    where = f',session="{alert.name}"' if alert.series else ""
    return f'ALERTS{{alertname="{alert.name}",alertstate="firing"{where}}}'


def _fired(alert: Alert) -> str:
    """The `ALERTS` sample of an alert that fires in its test."""
    labels = {"alertname": alert.name, "alertstate": "firing", "severity": alert.severity, **alert.labels}
    if not alert.series:
        labels |= {"job": JOB}
    else:
        by_session = "by (session" in alert.expr or alert.expr.startswith("mmlab:")
        labels |= {"session": alert.name} | ({} if by_session else {"job": JOB})
    return "ALERTS{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"


def alertmanager_config() -> dict[str, Any]:
    """``alertmanager.yml``, an example: grave alerts to one place, the others to another, none of them real."""
    return {
        "route": {
            "receiver": "log",
            "group_by": ["alertname", "session"],
            "group_wait": "5s",
            "group_interval": "1m",
            "repeat_interval": "4h",
            "routes": [{"matchers": ['severity="critical"'], "receiver": "pager"}],
        },
        "inhibit_rules": [
            {  # a dead engine explains what else is wrong with it
                "source_matchers": ['alertname="MmlabEngineDown"'],
                "target_matchers": ['alertname=~"Mmlab.*"', 'alertname!="MmlabEngineDown"'],
                "equal": ["session"],
            }
        ],
        "receivers": [
            {"name": "log", "webhook_configs": [{"url": "http://127.0.0.1:9099/log"}]},
            {"name": "pager", "webhook_configs": [{"url": "http://127.0.0.1:9099/page"}]},
        ],
    }
