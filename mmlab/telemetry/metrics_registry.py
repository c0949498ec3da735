"""Every Prometheus metric of a session, in one table: from it come exposition, dashboards and the metric reference.

A metric's ``source`` says where its values stand in a session's facts (`mmlab.lab.trade.Trade.facts`): a dotted path in
which ``{side}`` stands for bid and ask and ``*`` for every key of a dictionary; each is the value of the next label.
Every sample has the labels ``session`` and ``market`` besides. No label is of unbounded variety: sides, states,
switches, stages, kinds of message, and codes of a venue up to a bound. Nothing is labelled by order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "counter", "histogram"]
Group = Literal["trading", "adverse", "execution", "infrastructure"]
GROUPS: dict[Group, str] = {
    "trading": "Trading",
    "adverse": "Adverse selection",
    "execution": "Execution",
    "infrastructure": "Infrastructure",
}
"""Dashboards: key and title."""
COMMON = ("session", "market")
"""Labels of every sample."""


@dataclass(frozen=True)
class Metric:
    """One metric.

    Parameters
    ----------
    name : str
        As Prometheus has it.
    kind : str
        ``gauge``, ``counter`` or ``histogram``.
    unit : str
        Of the value.
    help : str
        What it is, a sentence without a full stop.
    group, panel : str
        Dashboard and panel on which it is shown.
    source : str
        Path in the facts.
    labels : tuple of str
        Besides `COMMON`.
    optional : bool
        Not every session has it: without a source nothing is exposed.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    group: Group
    panel: str
    source: str
    labels: tuple[str, ...] = ()
    optional: bool = False


def _table(group: Group, panel: str, *rows: tuple[object, ...]) -> tuple[Metric, ...]:
    """Metrics of one panel: kind, name, unit, source, help, labels; an optional one has ``?`` before its source."""
    metrics = []
    for kind, name, unit, source, text, *labels in rows:
        path, optional = str(source).removeprefix("?"), str(source).startswith("?")
        names = tuple(str(label) for label in labels)
        metrics.append(Metric(f"mmlab_{name}", kind, str(unit), str(text), group, panel, path, names, optional))  # type: ignore[arg-type]
    return tuple(metrics)


TRADING = (
    *_table(
        "trading", "State",
        ("gauge", "trading_state", "0 or 1", "trading.*", "1 for the state the session is in", "state"),
        ("gauge", "latched", "0 or 1", "latched", "1 while only an operator can re-arm"),
    ),
    *_table(
        "trading", "State of each side",
        ("gauge", "side_state", "0 or 1", "side.{side}.*", "1 for the state a side is in", "side", "state"),
    ),
    *_table(
        "trading", "Position",
        ("gauge", "position_base_units", "base", "position", "Position, long > 0; contracts where they are the unit"),
        ("gauge", "inventory_ratio", "ratio", "metric.q_ratio", "Position over its limit"),
        ("gauge", "ladder_level", "level", "metric.level", "Level of the inventory ladder"),
    ),
    *_table(
        "trading", "Inventory age",
        ("gauge", "inventory_age_seconds", "seconds", "metric.inventory_age_s", "Since the inventory was last opened"),
        ("gauge", "lot_age_seconds", "seconds", "metric.lot_age_s", "FIFO, size-weighted age of the open lots"),
    ),
    *_table(
        "trading", "P&L",
        ("gauge", "net_pnl_settle_units", "settle", "metric.net_pnl", "Net P&L: realised, unrealised, fees, funding"),
        ("gauge", "realised_pnl_settle_units", "settle", "metric.realised", "Realised P&L at average cost"),
        ("gauge", "unrealised_pnl_settle_units", "settle", "metric.unrealised", "P&L of the open position at the mid"),
        ("gauge", "fees_settle_units", "settle", "metric.fees", "Fees paid so far; rebates are < 0"),
        ("gauge", "funding_settle_units", "settle", "metric.funding", "Funding received so far"),
    ),
    *_table(
        "trading", "P&L per million",
        ("gauge", "pnl_per_million_quote", "quote/1M", "?pnl_per_million.*",
         "Change of net P&L over traded notional, times a million", "window"),
    ),
    *_table(
        "trading", "Fills",
        ("counter", "fills_total", "fills", "fills.{side}.*", "Fills", "side", "liquidity"),
    ),
    *_table(
        "trading", "Traded notional",
        ("counter", "fill_notional_quote_total", "quote", "notional.{side}", "Traded notional", "side"),
    ),
    *_table(
        "trading", "Participation",
        ("gauge", "share_of_volume_ratio", "ratio", "share_of_volume", "Our filled size over the market's in a minute"),
        ("gauge", "quoting_ratio", "ratio", "uptime.{side}.quoting", "Share of valid time with a quote", "side"),
        ("gauge", "at_touch_ratio", "ratio", "uptime.{side}.touch", "Share of valid time at the best price", "side"),
        ("counter", "quoting_seconds_total", "seconds", "uptime.{side}.quoting_s", "Time with a quote resting", "side"),
        ("counter", "at_touch_seconds_total", "seconds", "uptime.{side}.touch_s", "Time at the best price", "side"),
    ),
    *_table(
        "trading", "Kill switches active",
        ("gauge", "kill_switch_active", "0 or 1", "switches.*.active", "1 while the switch is tripped", "switch"),
        ("gauge", "kill_switch_latched", "0 or 1", "switches.*.latched", "1 while only an operator re-arms it",
         "switch"),
    ),
    *_table(
        "trading", "Kill switches armed",
        ("gauge", "kill_switch_armed", "0 or 1", "switches.*.armed", "1 where the switch acts when it trips", "switch"),
    ),
    *_table(
        "trading", "Kill switch trips",
        ("counter", "kill_switch_trips_total", "trips", "switches.*.trips", "Trips so far", "switch"),
        ("counter", "kill_switch_rearms_total", "re-arms", "switches.*.rearms", "Re-arms so far", "switch"),
        ("counter", "kill_switch_observed_total", "trips", "switches.*.observed", "Trips seen in observe mode",
         "switch"),
        ("counter", "kill_switch_back_offs_total", "trips", "switches.*.back_offs", "First trips that only backed off",
         "switch"),
    ),
)  # fmt: skip

ADVERSE = (
    *_table(
        "adverse", "Rolling markout",
        ("gauge", "markout_median_bps", "bps", "metric.markout_{side}_bps", "Median of the rolling markout", "side"),
        ("gauge", "markout_mean_bps", "bps", "markout.{side}.mean", "Mean of the rolling markout", "side"),
        ("gauge", "markout_weighted_bps", "bps", "markout.{side}.weighted", "Size-weighted mean of it", "side"),
    ),
    *_table(
        "adverse", "Samples of the rolling markout",
        ("gauge", "markout_samples", "hits", "metric.n_{side}", "Hits in the rolling markout", "side"),
    ),
    *_table(
        "adverse", "Spread capture",
        ("gauge", "spread_capture_bps", "bps", "?capture_bps.*", "Mean over the last fills of a side", "side"),
    ),
    *_table(
        "adverse", "Same-side fill rate",
        ("gauge", "fill_rate_per_second", "1/s", "metric.fill_rate_{side}", "Hits of the side in the last second",
         "side"),
        ("gauge", "fill_rate_p95_per_second", "1/s", "metric.fill_rate_p95_{side}",
         "95th percentile of the fill rate at each hit", "side"),
    ),
    *_table(
        "adverse", "Flips",
        ("gauge", "flips_per_second", "1/s", "metric.flip_rate", "Flips of the reference in the gate's window"),
        ("gauge", "flips_10s_per_second", "1/s", "metric.flip_rate_10s", "Flips of the reference in ten seconds"),
    ),
    *_table(
        "adverse", "Flip gate's widening",
        ("gauge", "flip_extra_ticks", "ticks", "metric.flip_extra_ticks", "Added to each half-spread by the flip gate"),
    ),
    *_table(
        "adverse", "Volatility",
        ("gauge", "volatility_quote", "quote/sqrt(s)", "metric.sigma", "Sigma in price per square root of a second"),
    ),
    *_table(
        "adverse", "Mid",
        ("gauge", "mid_price_quote", "quote", "metric.mid", "Mid price"),
    ),
    *_table(
        "adverse", "Gates",
        ("counter", "gate_events_total", "events", "?gate_events.*.*", "What gates did", "gate", "action"),
    ),
)  # fmt: skip

EXECUTION = (
    *_table(
        "execution", "Working orders",
        ("gauge", "working_orders", "orders", "orders.{side}.*", "Orders that are not over", "side", "state"),
    ),
    *_table(
        "execution", "Order transitions",
        ("counter", "order_transitions_total", "orders", "order_moves.*", "Orders that came into a state", "state"),
        ("counter", "unknown_orders_total", "orders", "unknowns", "Orders whose fate was unknown for a time"),
    ),
    *_table(
        "execution", "Messages",
        ("counter", "messages_total", "messages", "messages.*", "Messages handed to the venue", "kind"),
    ),
    *_table(
        "execution", "Messages per fill",
        ("gauge", "messages_per_fill", "ratio", "messages_per_fill", "Messages over fills since the start"),
        ("gauge", "cancels_per_fill", "ratio", "cancels_per_fill", "Cancels over fills since the start"),
    ),
    *_table(
        "execution", "Refusals by code",
        ("counter", "refusals_by_code_total", "messages", "?refused.*", "Refusals by the venue's code", "code"),
    ),
    *_table(
        "execution", "Refusals by class",
        ("counter", "refusals_total", "messages", "refusals.*", "Refusals by what they mean for us", "class"),
        ("counter", "retries_total", "messages", "retries", "Refusals that were followed by another try"),
    ),
    *_table(
        "execution", "Reconciliation",
        ("counter", "reconciliation_fixes_total", "fixes", "fixes.*", "What a full view of the account put right",
         "kind"),
        ("counter", "anomalies_total", "anomalies", "?anomalies.*", "What should not happen to orders", "kind"),
    ),
    *_table(
        "execution", "Presigned orders",
        ("counter", "presign_hits_total", "payloads", "?presign.hits", "Orders whose payload was ready"),
        ("counter", "presign_misses_total", "payloads", "?presign.misses", "Orders that had to be signed first"),
        ("counter", "presign_signed_total", "payloads", "?presign.signed", "Payloads signed ahead"),
        ("counter", "presign_wasted_total", "payloads", "?presign.wasted", "Payloads signed ahead and never sent"),
        ("counter", "presign_expired_total", "payloads", "?presign.expired", "Payloads that grew too old"),
    ),
    *_table(
        "execution", "Presigned payloads in the bank",
        ("gauge", "presign_held_payloads", "payloads", "?presign.held", "Payloads that are ready"),
        ("gauge", "presign_lacking_payloads", "payloads", "?presign.lacking", "Payloads that are wanted and not ready"),
    ),
    *_table(
        "execution", "Age of presigned payloads",
        ("gauge", "presign_age_seconds", "seconds", "?presign.age_s", "Age of the oldest payload in the bank"),
    ),
    *_table(
        "execution", "Quota left",
        ("gauge", "quota_left_messages", "messages", "?quota.left", "Messages the venue still allows for our volume"),
        ("gauge", "rate_tokens_left", "tokens", "?rate.tokens", "Tokens left of the venue's rate limit"),
    ),
)  # fmt: skip

INFRASTRUCTURE = (
    *_table(
        "infrastructure", "Latency by stage",
        ("histogram", "stage_latency_seconds", "seconds", "latency.*", "Latency by stage of an order's way", "stage"),
    ),
    *_table(
        "infrastructure", "Mailboxes",
        ("gauge", "mailbox_waiting", "items", "mailboxes.*.waiting", "Items that wait in a mailbox", "mailbox"),
        ("gauge", "mailbox_peak", "items", "mailboxes.*.most", "Most that ever waited", "mailbox"),
        ("gauge", "mailbox_bound", "items", "mailboxes.*.bound", "Bound of a mailbox", "mailbox"),
        ("counter", "mailbox_overflows_total", "items", "mailboxes.*.overflows", "Items put above the bound",
         "mailbox"),
    ),
    *_table(
        "infrastructure", "Engine",
        ("counter", "market_batches_total", "messages", "batches", "Market messages heard"),
        ("counter", "decides_total", "decisions", "decides", "Decisions made"),
    ),
    *_table(
        "infrastructure", "Market data",
        ("gauge", "market_data_age_seconds", "seconds", "market_age_s", "Real time since the last market message"),
        ("gauge", "link_up", "0 or 1", "linked", "1 while the account feed is up"),
        ("gauge", "account_reconciled", "0 or 1", "reconciled", "1 while a full view of this link was seen"),
    ),
    *_table(
        "infrastructure", "Venue",
        ("counter", "venue_reconnects_total", "reconnects", "?venue.reconnects", "Connections made anew"),
        ("counter", "venue_gaps_total", "gaps", "?venue.gaps", "Gaps in the venue's sequence numbers"),
    ),
    *_table(
        "infrastructure", "Venue's clock",
        ("gauge", "venue_clock_offset_seconds", "seconds", "?venue.clock_offset_s", "Local time minus the venue's"),
    ),
    *_table(
        "infrastructure", "Faults",
        ("counter", "tasks_died_total", "tasks", "tasks_died", "Tasks of the engine that failed"),
        ("counter", "bad_input_total", "messages", "?bad_input.*", "Absurd messages of the venue, left out", "kind"),
    ),
    *_table(
        "infrastructure", "Log lines",
        ("counter", "log_lines_total", "lines", "files.log_lines.*", "Lines of the log, held back ones included",
         "level"),
        ("counter", "log_lines_held_back_total", "lines", "files.log_held", "Repeats that were counted, not written"),
    ),
    *_table(
        "infrastructure", "Files",
        ("gauge", "disk_behind_seconds", "seconds", "files.behind_s", "Since the files were last up to date"),
        ("counter", "disk_errors_total", "writes", "files.disk_errors", "Writes that failed"),
        ("counter", "rows_dropped_total", "rows", "files.dropped.*", "Rows missing from the files", "table"),
        ("gauge", "disk_free_bytes", "bytes", "files.free_bytes", "Free space where the run directory is"),
    ),
    *_table(
        "infrastructure", "Session",
        ("gauge", "parameter_version", "version", "parameter_version", "Version of the parameters in force"),
        ("gauge", "session_time_seconds", "seconds", "clock.session_s", "The session's own time, Unix epoch"),
    ),
    *_table(
        "infrastructure", "Process",
        ("counter", "process_cpu_seconds_total", "seconds", "process.cpu_s", "CPU time of the engine's process"),
        ("gauge", "process_resident_memory_bytes", "bytes", "process.memory_bytes", "Memory of the engine's process"),
    ),
    *_table(
        "infrastructure", "Owner",
        ("gauge", "owner_last_seen_seconds", "seconds", "?owner.last_seen_s", "Since the owner's last sign of life"),
        ("gauge", "owner_grace_seconds", "seconds", "?owner.grace_s", "How long it may be without one"),
    ),
)  # fmt: skip

METRICS: tuple[Metric, ...] = TRADING + ADVERSE + EXECUTION + INFRASTRUCTURE
BY_NAME = {metric.name: metric for metric in METRICS}
