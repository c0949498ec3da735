"""Every event of ``log.jsonl``, in one table: name, levels, what it means, its fields.

A test keeps the table and the calls in step: each ``log.info("name", ...)`` of mmlab is in it with its level and its
fields, and nothing else is. Every line has `COMMON` besides.
"""

from __future__ import annotations

from dataclasses import dataclass

COMMON = {
    "time": "when, UTC: the session's time, or the wall clock's where nothing trades yet",
    "level": "info, warning or error",
    "event": "name of the event",
    "run": "id of the session, as in run.json and in the name of its folder",
    "decision": "row of decisions.parquet that was the newest when the line was written; -1 before the first",
    "held_back": "lines of this event that were counted and not written since the one before",
}
"""Fields of every line; ``held_back`` only where it is not 0."""


@dataclass(frozen=True)
class LogEvent:
    """One event.

    Parameters
    ----------
    levels : tuple of str
        It is written with.
    meaning : str
        A sentence.
    fields : tuple of str
        Besides `COMMON`. An order is named by ``client_id``, as in orders.parquet.
    apart : tuple of str
        Fields whose values are told apart where repeats are held back.
    """

    levels: tuple[str, ...]
    meaning: str
    fields: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()


def _event(levels: str, meaning: str, fields: str = "", apart: str = "") -> LogEvent:
    return LogEvent(tuple(levels.split()), meaning, tuple(fields.split()), tuple(apart.split()))


EVENTS = {
    # the run directory
    "run_started": _event("info", "The run directory was made", "mode venue seed"),
    "run_ended": _event("info", "The run is over; with every counter that is not 0", "how"),
    "note": _event("warning", "What a reader of the run should know", "text"),
    "lines_held_back": _event("info", "Repeats of an event that no later line has told of", "of n"),
    "disk_trouble": _event("error", "The disk is slow, full or failing; trading goes on", "what text", "what"),
    "disk_recovered": _event("info", "The files are up to date again", "behind_s"),
    "engine_died": _event("error", "The engine's process died; written by its supervisor", "how stderr"),
    # the engine's life
    "warming_up": _event(
        "info", "It listens to a live market, so long and so many trades of what it needs",
        "elapsed_s of_s trades of_trades",
    ),
    "engine_started": _event("info", "The engine's tasks run", "venue"),
    "engine_ended": _event("info", "The engine has stopped", "how position_lots"),
    "task_died": _event("error", "A task of the engine failed; it is started again, or the session goes safe",
                        "task error", "task"),
    "not_proven_empty": _event("error", "The session ended before the book was proven empty of our orders", "working"),
    "forecast_failed": _event("error", "Nothing more is signed ahead: what may come next could not be told", "error"),
    "metrics_served": _event("info", "Prometheus can scrape this session", "url"),
    "metrics_not_served": _event("warning", "The metrics listener could not be opened; trading goes on", "error"),
    # taking part
    "trading": _event("info", "The session's state changed", "state why"),
    "halted": _event("info", "After a halt a view of the venue has proven the book empty", "position_lots why"),
    "switch": _event("warning", "A kill switch tripped, latched, backed off or was re-armed",
                     "switch action detail side value threshold n effect_s", "switch action"),
    "position_open_while_halted": _event("error", "A position is open and nothing may trade; said once a minute",
                                         "position_lots why"),
    "position_adopted": _event("warning", "Lots of the position that no fill explains were taken over", "lots"),
    "flattened": _event("info", "An operator's flatten is over", "position_lots"),
    "emergency_cancel": _event("error", "Everything was cancelled without the order manager", "left"),
    # orders and venue
    "link_failed": _event("info", "A connection to the venue could not be made; it is tried again",
                          "link error wait_s", "link"),
    "link_lost": _event("info", "A connection to the venue was lost; it is made anew", "link reason", "link"),
    "no_limits": _event("info", "The venue does not tell the account's tier: the smallest is assumed", "error"),
    "no_status": _event("info", "The venue does not tell whether the market trades", "error"),
    "dry_payload": _event("info", "Dry run: this would have been sent", "tx_hash tx_type tx_info", "tx_hash"),
    "link": _event("info", "The account feed came or went", "up epoch reason"),
    "venue_status": _event("warning", "The venue says whether it trades", "trading reason"),
    "anomaly": _event("warning", "Something happened to an order that should not", "kind client_id detail", "kind"),
    "bad_input": _event("warning", "The venue handed in something absurd; it was left out", "kind detail", "kind"),
    "query_failed": _event("info warning", "A question to the venue had no answer", "what error", "what"),
    "no_payload": _event("error", "A signed payload was to be sent that is not there", "tx_id round"),
    "order_manager_failed": _event("error", "The order manager raised an error; the session goes safe", "on error"),
    # who watches
    "owner_lost": _event("warning", "No sign of life of notebook or command", "grace_s then"),
    "owner_back": _event("info", "The owner is heard again"),
    "supervisor_lost": _event("error", "The supervisor process is gone; the session ends"),
}  # fmt: skip
"""Name -> event."""
