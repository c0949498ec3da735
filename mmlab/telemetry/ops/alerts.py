"""Every alert: when it fires, how grave it is, its runbook page, and series that make it fire (for promtool)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mmlab.telemetry.ops.switches import KILL_SWITCHES, SIDES_ONLY, runbook_of
from mmlab.telemetry.ops.terms import JOB

Severity = Literal["critical", "warning", "info"]
LONG = "x400"
SESSION = 'session="s"'
HERE = f'job="{JOB}",{SESSION}'
"""Labels of the series in promtool's tests."""


@dataclass(frozen=True)
class Alert:
    """One alert.

    Parameters
    ----------
    name : str
        As Prometheus has it.
    expr : str
        Fires while it gives anything; ``$window`` stands for the window of rates.
    severity : str
        ``critical``: look now; ``warning``: today; ``info``: nothing runs.
    summary : str
        What is wrong, with Prometheus' placeholders.
    runbook : str
        Page, without folder and suffix.
    series : mapping
        Series that make it fire, in promtool's notation.
    waits : bool
        It fires only after the condition has held for the chosen duration.
    labels : mapping
        Labels it has in promtool's test besides ``session``.
    """

    name: str
    expr: str
    severity: Severity
    summary: str
    runbook: str
    series: Mapping[str, str] = field(default_factory=dict)
    waits: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)


def _constant(metric: str, value: float, labels: str = "") -> dict[str, str]:
    return {f"{metric}{{{HERE}{labels}}}": f"{value:g}{LONG}"}


def _rising(metric: str, step: float, labels: str = "") -> dict[str, str]:
    return {f"{metric}{{{HERE}{labels}}}": f"0+{step:g}{LONG}"}


def switch_alert(switch: str) -> Alert:
    """The alert of one kill switch: while it is tripped, and for a window after, since some trips are short."""
    where, side_only = f'{{switch="{switch}"}}', switch in SIDES_ONLY
    return Alert(
        "MmlabKill" + switch.title().replace("_", ""),
        f"mmlab_kill_switch_active{where} == 1 or increase(mmlab_kill_switch_trips_total{where}[$window]) > 0",
        "warning" if side_only else "critical",
        f"{{{{ $labels.session }}}}: kill switch {switch} has tripped"
        + (": a side pauses" if side_only else ": orders are cancelled"),
        runbook_of(switch),
        _constant("mmlab_kill_switch_active", 1, f',switch="{switch}"'),
        waits=False,
        labels={"switch": switch},
    )


def _quantile(stage: str) -> str:
    return (
        "histogram_quantile(0.99, sum by (session, le) "
        f'(rate(mmlab_stage_latency_seconds_bucket{{stage="{stage}"}}[$window])))'
    )


def _slow(stage: str) -> dict[str, str]:
    """Samples of a stage that are all between a quarter and half a second."""
    name = "mmlab_stage_latency_seconds_bucket"
    return {
        **_rising(name, 0, f',stage="{stage}",le="0.25"'),
        **_rising(name, 5, f',stage="{stage}",le="0.5"'),
        **_rising(name, 5, f',stage="{stage}",le="+Inf"'),
    }


ENGINE = (
    Alert("MmlabEngineDown", f'up{{job="{JOB}"}} == 0', "critical",
          "{{ $labels.session }}: the engine does not answer; whatever its last figures were, they are old",
          "engine-down", _constant("up", 0)),
    Alert("MmlabNoEngine", f'absent(up{{job="{JOB}"}})', "info", "No session runs, or Prometheus finds none",
          "engine-down"),
    Alert("MmlabMetricsMissing", f'up{{job="{JOB}"}} == 1 unless on (session) mmlab_latched', "critical",
          "{{ $labels.session }}: the engine answers without metrics", "engine-down", _constant("up", 1)),
    Alert("MmlabStaleData", "mmlab_market_data_age_seconds > 5", "critical",
          "{{ $labels.session }}: no market message for {{ $value | humanizeDuration }}", "stale-data",
          _constant("mmlab_market_data_age_seconds", 9)),
    Alert("MmlabSlowEngine", f"{_quantile('total')} > 0.05", "warning",
          "{{ $labels.session }}: 99 % of orders leave within {{ $value | humanizeDuration }}", "slow-engine",
          _slow("total")),
    Alert("MmlabLoopLate", f"{_quantile('lag')} > 0.1", "warning",
          "{{ $labels.session }}: the event loop is late by {{ $value | humanizeDuration }}", "slow-engine",
          _slow("lag")),
    Alert("MmlabQueueFills", "mmlab_mailbox_waiting / mmlab_mailbox_bound > 0.5", "critical",
          "{{ $labels.session }}: mailbox {{ $labels.mailbox }} is {{ $value | humanizePercentage }} full",
          "slow-engine",
          _constant("mmlab_mailbox_waiting", 800, ',mailbox="news"')
          | _constant("mmlab_mailbox_bound", 1000, ',mailbox="news"'), labels={"mailbox": "news"}),
    Alert("MmlabTaskDied", "increase(mmlab_tasks_died_total[$window]) > 0", "critical",
          "{{ $labels.session }}: a task of the engine failed", "kill-task", _rising("mmlab_tasks_died_total", 1),
          waits=False),
    Alert("MmlabErrorsLogged", 'increase(mmlab_log_lines_total{level="error"}[$window]) > 0', "warning",
          "{{ $labels.session }}: errors in the log", "post-mortem",
          _rising("mmlab_log_lines_total", 1, ',level="error"'), waits=False, labels={"level": "error"}),
    Alert("MmlabOwnerLost", "mmlab_owner_last_seen_seconds > mmlab_owner_grace_seconds",
          "warning", "{{ $labels.session }}: nobody has looked after it for {{ $value | humanizeDuration }}",
          "start-of-day",
          _constant("mmlab_owner_last_seen_seconds", 99) | _constant("mmlab_owner_grace_seconds", 30)),
)  # fmt: skip

DISK = (
    Alert("MmlabDiskBehind", "mmlab_disk_behind_seconds > 5", "critical",
          "{{ $labels.session }}: the files are {{ $value | humanizeDuration }} behind", "disk-full",
          _constant("mmlab_disk_behind_seconds", 30)),
    Alert("MmlabDiskErrors", "increase(mmlab_disk_errors_total[$window]) > 0", "critical",
          "{{ $labels.session }}: the disk refuses writes", "disk-full", _rising("mmlab_disk_errors_total", 1),
          waits=False),
    Alert("MmlabRowsDropped", "increase(mmlab_rows_dropped_total[$window]) > 0", "critical",
          "{{ $labels.session }}: rows of {{ $labels.table }} are missing from the files", "disk-full",
          _rising("mmlab_rows_dropped_total", 1, ',table="fills"'), waits=False, labels={"table": "fills"}),
    Alert("MmlabDiskNearlyFull", "mmlab_disk_free_bytes < 1e9", "warning",
          "{{ $labels.session }}: {{ $value | humanize1024 }}B are left on the disk", "disk-full",
          _constant("mmlab_disk_free_bytes", 5e8)),
)  # fmt: skip

VENUE = (
    Alert("MmlabLinkDown", "mmlab_link_up == 0", "critical",
          "{{ $labels.session }}: no link to the venue's account feed", "venue-outage",
          _constant("mmlab_link_up", 0)),
    Alert("MmlabReconnects", "increase(mmlab_venue_reconnects_total[$window]) > 3", "warning",
          "{{ $labels.session }}: {{ $value | humanize }} new connections to the venue", "venue-outage",
          _rising("mmlab_venue_reconnects_total", 1), waits=False),
    Alert("MmlabGaps", "increase(mmlab_venue_gaps_total[$window]) > 3", "warning",
          "{{ $labels.session }}: {{ $value | humanize }} gaps in the venue's market data", "stale-data",
          _rising("mmlab_venue_gaps_total", 1), waits=False),
    Alert("MmlabClockSkew", "abs(mmlab_venue_clock_offset_seconds) > 0.25", "critical",
          "{{ $labels.session }}: the clock is {{ $value | humanizeDuration }} off the venue's", "clock-skew",
          _constant("mmlab_venue_clock_offset_seconds", -0.4)),
    Alert("MmlabQuotaLow", "mmlab_quota_left_messages < 100", "critical",
          "{{ $labels.session }}: {{ $value }} messages are left of the venue's quota", "quota-exhausted",
          _constant("mmlab_quota_left_messages", 7)),
)  # fmt: skip

ORDERS = (
    Alert("MmlabNotReconciled", "mmlab_account_reconciled == 0 and on (session, market) mmlab_link_up == 1",
          "critical", "{{ $labels.session }}: linked, but the account could not be reconciled", "stuck-orders",
          _constant("mmlab_account_reconciled", 0) | _constant("mmlab_link_up", 1)),
    Alert("MmlabUnknownOrders", 'sum by (session) (mmlab_working_orders{state="unknown"}) > 0', "critical",
          "{{ $labels.session }}: nobody knows what became of {{ $value }} orders", "stuck-orders",
          _constant("mmlab_working_orders", 1, ',side="bid",state="unknown"')),
    Alert("MmlabStuckHalting", 'mmlab_trading_state{state="halting"} == 1', "critical",
          "{{ $labels.session }}: a halt is not proven: orders of ours may rest", "stuck-orders",
          _constant("mmlab_trading_state", 1, ',state="halting"'), labels={"state": "halting"}),
    Alert("MmlabNonceTrouble", 'increase(mmlab_refusals_total{class="resync_nonce"}[$window]) > 0', "critical",
          "{{ $labels.session }}: the venue refuses our nonces", "nonce-trouble",
          _rising("mmlab_refusals_total", 1, ',class="resync_nonce"'), waits=False,
          labels={"class": "resync_nonce"}),
    Alert("MmlabKeyRefused", 'increase(mmlab_refusals_total{class="fatal_session"}[$window]) > 0', "critical",
          "{{ $labels.session }}: the venue refuses this session: key, account or signature", "key-rotation",
          _rising("mmlab_refusals_total", 1, ',class="fatal_session"'), waits=False,
          labels={"class": "fatal_session"}),
    Alert("MmlabSigningFails", 'increase(mmlab_anomalies_total{kind=~"sign_failed|sign_timeout"}[$window]) > 0',
          "critical", "{{ $labels.session }}: transactions cannot be signed", "key-rotation",
          _rising("mmlab_anomalies_total", 1, ',kind="sign_failed"'), waits=False, labels={"kind": "sign_failed"}),
    Alert("MmlabRefusals", "mmlab:refused:ratio > 0.1", "warning",
          "{{ $labels.session }}: the venue refuses {{ $value | humanizePercentage }} of our messages",
          "kill-rejects",
          _rising("mmlab_refusals_total", 1, ',class="fatal_order"')
          | _rising("mmlab_messages_total", 2, ',kind="place"')),
    Alert("MmlabPresignMisses", "mmlab:presign_hits:ratio < 0.5", "warning",
          "{{ $labels.session }}: only {{ $value | humanizePercentage }} of orders were signed ahead", "slow-engine",
          _rising("mmlab_presign_hits_total", 1) | _rising("mmlab_presign_misses_total", 3)),
)  # fmt: skip

POSITION = (
    Alert("MmlabPositionWhileHalted",
          'mmlab_position_base_units != 0 and on (session, market) mmlab_trading_state{state="halted"} == 1',
          "critical", "{{ $labels.session }}: halted with a position of {{ $value }}", "left-with-a-position",
          _constant("mmlab_position_base_units", -2) | _constant("mmlab_trading_state", 1, ',state="halted"')),
    Alert("MmlabNotQuoting",
          'sum by (session, market) (mmlab_side_state{state=~"quoting|worsened"}) == 0', "warning",
          "{{ $labels.session }}: neither side has quoted for a while", "start-of-day",
          _constant("mmlab_side_state", 0, ',side="bid",state="quoting"')),
    Alert("MmlabAdverseSelection",
          "mmlab_markout_median_bps < -0.5 and on (session, market, side) mmlab_markout_samples >= 20", "warning",
          "{{ $labels.session }}: the {{ $labels.side }}'s rolling markout is {{ $value }} bps", "kill-toxic",
          _constant("mmlab_markout_median_bps", -1, ',side="bid"')
          | _constant("mmlab_markout_samples", 50, ',side="bid"'), labels={"side": "bid"}),
    Alert("MmlabSelfImpact", "mmlab_share_of_volume_ratio > 0.05", "warning",
          "{{ $labels.session }}: we are {{ $value | humanizePercentage }} of the market's volume", "going-live",
          _constant("mmlab_share_of_volume_ratio", 0.2)),
)  # fmt: skip

ALERTS: tuple[Alert, ...] = (*map(switch_alert, KILL_SWITCHES), *ENGINE, *DISK, *VENUE, *ORDERS, *POSITION)
