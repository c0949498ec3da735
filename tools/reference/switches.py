"""What each gate and kill switch is, in words: behind the reference, and the settings in the runbooks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Told:
    """One gate or kill switch.

    Parameters
    ----------
    name : str
        As in `mmlab.events.Switch`, lower case.
    watches, trips, does, returns : str
        Its input; when it acts; scope and action; how it comes back.
    settings : tuple of str
        Dotted names, or sections, of the config.
    """

    name: str
    watches: str
    trips: str
    does: str
    returns: str
    settings: tuple[str, ...] = ()

    @property
    def page(self) -> str:
        """Its runbook."""
        return f"kill-{self.name.replace('_', '-')}.md"


REARM = ("kill.fresh_s", "kill.memory_s")
HALT = ("kill.losing.halt_s", "kill.losing.max_rearms")
GATES = (
    Told("ladder", "inventory ratio", "it reaches a level's threshold",
         "heavy side: stands back by ticks and shrinks; off at the limit",
         "one level at a time, below threshold minus hysteresis, after the dwell", ("ladder",)),
    Told("flip", "flips of the reference price in the window", "at least `threshold` of them",
         "both sides: pulled (`skip`), or widened (`widen`, `adaptive`)", "by time, or with calm", ("gates.flip",)),
    Told("pull", "hits of a side in the last second", "more than `max_fills_per_s`", "side: pulled",
         "after 0.5 s, by repeats up to 1 s", ("gates.cooldown",)),
    Told("age_exit", "age of the inventory, and the mid against the entry price", "old and adverse",
         "one reduce-only IOC; the heavy side waits, the light side is cut", "when the exit is over",
         ("gates.age_exit",)),
)  # fmt: skip
"""Gates that write rows into `gates.jsonl`. The refill cooldown writes none; it shows as a reason bit."""

SWITCHES = (
    Told("toxic", "rolling 1-s markout of a side, at least 20 effective samples", "below the threshold, significantly",
         "side: pulled; the light side widens instead while inventory must leave",
         "by itself after the pause (2 s, doubling to 5 s), with fresh samples",
         ("kill.toxic", "kill.pause_light_side")),
    Told("burst", "p95 of a side's fill rate, at least 20 hits", "above 3 a second", "side: paused",
         "by itself after 0.5 s, doubling to 1 s", ("kill.burst", "kill.pause_light_side")),
    Told("losing", "P&L per million over 30 min, enough notional", "below -30 quote, significantly",
         "all: cancel, halt", "by itself after 60 s, twice a session; then latched", ("kill.losing",)),
    Told("loss", "net P&L since the start, or the last re-arm", "below -max_loss_quote", "all: cancel, halt, latched",
         "operator only; measured from there on", ("kill.loss",)),
    Told("drawdown", "net P&L from its peak", "below -max_drawdown_quote", "all: cancel, halt, latched",
         "operator only; measured from there on", ("kill.drawdown",)),
    Told("volatility", "sigma over its 30-minute median", "above 3", "all: cancel, halt",
         "by itself when below 2 for `fresh_s`", ("kill.volatility",)),
    Told("stale", "age of the last book event", "above 1 s, or 10 times the p99 interval if that is more",
         "all: cancel, halt", "by itself when the book has been whole for `fresh_s`", ("kill.stale",)),
    Told("position", "position against its limit", "above max_position", "heavy side: off; the light side goes on",
         "by itself when the position is back inside",
         ("risk.max_position", "risk.max_long", "risk.max_short")),
    Told("hard_limit", "position against the hard limit", "above 1.25 times the limit",
         "all: cancel, halt, latched; only reduce-only orders may leave", "operator, once the position is inside",
         ("risk.hard_limit", "risk.on_halt")),
    Told("collar", "distance of an order's price from the mid", "above collar_bps",
         "the order is refused; the third refusal within `memory_s`: cancel all, halt",
         "by itself after 60 s; where the order manager tripped it, latched after two", ("risk.collar_bps", *HALT)),
    Told("size", "notional of an order", "above max_order_notional", "as collar", "by itself after 60 s",
         ("risk.max_order_notional", *HALT)),
    Told("order_count", "live orders", "above max_live_orders", "quotes back off; the third time: cancel all, halt",
         "by itself after 60 s", ("risk.max_live_orders", *HALT)),
    Told("messages", "messages sent in the last minute", "at max_messages_per_min",
         "quotes neither come nor improve until the rate has halved; the third time: cancel all, halt",
         "by itself after 60 s", ("risk.max_messages_per_min", *HALT)),
    Told("mark", "mid against the venue's mark price", "further apart than 100 bps", "all: cancel, halt",
         "by itself when it is closer, after `fresh_s`, by repeats up to 60 s", ("kill.mark",)),
    Told("manual", "the operator", "`mmlab kill`, KILL on the dashboard, `session.kill`, `POST /kill`",
         "all: cancel, halt, latched", "operator only"),
    Told("link", "the connection to the venue", "lost; or more than 5 reconnects a minute", "all: cancel, halt",
         "by itself when it is back, after `fresh_s`, by repeats up to 60 s", (*REARM, *HALT)),
    Told("rejects", "share of refused messages; retries", "above 20 % of the last 50; above the budget of retries",
         "first time within `memory_s`: quotes back off; then all: cancel, halt",
         "by itself after 60 s, twice a session; then latched", ("execution.retry", *HALT)),
    Told("mismatch", "our position against the venue's", "different after reconciliation",
         "all: cancel, halt, latched", "operator only"),
    Told("session", "the venue's answers", "it refuses us as such: key, account, tier", "all: halt, nothing is placed",
         "operator only"),
    Told("status", "the venue's own word", "it does not trade", "all: cancel, halt, nothing is placed",
         "by itself when it trades again, after `fresh_s`", REARM),
    Told("queue", "a mailbox of the engine", "fuller than its bound", "all: cancel, halt",
         "by itself after 60 s, twice a session; then latched", HALT),
    Told("task", "the engine's own tasks", "one died that cannot be started again",
         "all: cancelled by a path of its own; the session ends", "a new session"),
    Told("margin", "mid against the liquidation price", "closer than 500 bps; 250 bps",
         "heavy side off; all: cancel, halt",
         "by itself after 60 s, once it is further away, twice a session; then latched", ("kill.margin", *HALT)),
    Told("dead_man", "the venue's scheduled cancel-all", "not renewed in time", "all: cancel, halt",
         "by itself when it is renewed, after `fresh_s`, by repeats up to 60 s",
         ("venue.dead_man_s", "venue.dead_man_renew_s")),
    Told("clock", "local time against the venue's (live only)", "more than 500 ms apart, twice in a row",
         "all: cancel, halt",
         "by itself after 60 s, once it is right, twice a session; then latched", ("kill.clock", *HALT)),
)  # fmt: skip
"""Kill switches. `margin`, `dead_man` and `clock` need a live venue."""
LIVE_ONLY = frozenset({"margin", "dead_man", "clock"})

REASONS = {
    "book": "no valid book",
    "warmup": "the warm-up is not over",
    "ladder": "a ladder level: further off, or smaller",
    "ladder_full": "the position is at its limit: heavy side off",
    "cooldown": "refill cooldown after a hit",
    "pull": "more than `max_fills_per_s` hits",
    "flip_skip": "flip gate: both sides pulled",
    "flip_widen": "flip gate: wider",
    "age_exit": "heavy side waits for an age exit, or the light side is cut for it",
    "toxic": "kill switch",
    "burst": "kill switch",
    "light_widen": "a pause of the light side, softened to a widening",
    "losing": "kill switch",
    "loss": "kill switch",
    "drawdown": "kill switch",
    "volatility": "kill switch",
    "stale": "kill switch",
    "position": "above max_position: heavy side off",
    "hard_limit": "kill switch",
    "collar": "kill switch, or a quote beyond the collar was left out",
    "size": "kill switch, or an order above max_order_notional was left out",
    "order_count": "kill switch, or backing off from max_live_orders",
    "messages": "kill switch, or backing off from max_messages_per_min",
    "mark": "kill switch",
    "manual": "an operator's halt",
    "rearm": "a trip has run out, but the conditions of a re-arm do not hold yet",
    "min_size": "below the smallest size or notional",
    "floor": "the spread was raised to its floor",
    "cap": "the spread was cut to its cap",
    "clamp": "post-only clamp: one tick behind the opposite best",
    "cut": "size cut so that the position limit holds",
}
"""By `mmlab.events.Reason`, lower case."""

ACTIONS = {
    "trip": "a kill switch acted",
    "observe": 'it would have acted (`kill.mode = "observe"`)',
    "rearm": "it is armed again",
    "latch": "it acted and needs an operator",
    "skip": "the flip gate pulled both sides",
    "widen": "the flip gate widened",
    "pause": "a side was pulled, or the engine backed off",
    "exit": "an age exit was sent",
    "exit_skipped": "an age exit was due, and not sent",
    "level_up": "ladder",
    "level_down": "ladder",
}
"""By `mmlab.events.GateAction`, lower case."""


def named(name: str) -> Told:
    """One of them."""
    return next(one for one in (*SWITCHES, *GATES) if one.name == name)
