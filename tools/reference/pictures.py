"""Pictures of the docs that are boxes and arrows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from tools.reference import order_states
from tools.reference.svg import GREY, WARM, Arrow, Box, Frame, picture


def processes() -> str:
    """Who runs where, and who talks to whom."""
    boxes = {
        "venue": Box(470, 55, 300, 56, ("venue", "paper (inside the engine) or Lighter"), WARM),
        "engine": Box(470, 200, 260, 74, ("engine", "market, decide, order, sign, send", "control server on loopback")),
        "guardian": Box(800, 200, 180, 74, ("supervisor", "starts the engine;", "cleans up when it dies")),
        "files": Box(470, 355, 260, 60, ("run directory", "tables, log.jsonl, gates.jsonl"), GREY),
        "owner": Box(115, 110, 180, 60, ("owner", "notebook or command")),
        "people": Box(115, 335, 180, 74, ("others", "dashboard, mmlab kill,", "curl")),
        "prometheus": Box(115, 215, 180, 60, ("Prometheus", "scrapes /metrics")),
    }
    arrows = [
        Arrow("engine", "venue", "market, fills · orders", both=True),
        Arrow("owner", "engine", "heartbeat, steering", at=0.42),
        Arrow("people", "engine", "look, kill, re-arm", at=0.45),
        Arrow("prometheus", "engine", "scrape"),
        Arrow("guardian", "engine", "pipe", both=True),
        Arrow("engine", "files", "append, flush every second"),
        Arrow("guardian", "venue", "cancel all, should\nthe engine die", dashed=True, at=0.4),
        Arrow("people", "files", "read", dashed=True),
        Arrow("guardian", "files", "put in order", dashed=True),
    ]
    return picture(920, 405, "Processes of a session", boxes, arrows)


def tasks() -> str:
    """The engine's tasks and the mailboxes between them."""
    boxes = {
        "venue": Box(80, 150, 120, 150, ("venue",), WARM),
        "market": Box(260, 70, 110, 46, ("market",)),
        "account": Box(260, 230, 110, 46, ("account",)),
        "decide": Box(450, 70, 120, 46, ("decide",)),
        "order": Box(450, 230, 120, 46, ("order",)),
        "signer": Box(660, 310, 150, 46, ("signer", "thread, or quick")),
        "send": Box(660, 175, 150, 46, ("send", "last gate")),
        "watch": Box(660, 70, 150, 46, ("watch", "once a second")),
        "out": Box(840, 175, 120, 46, ("venue",), WARM),
        "files": Box(450, 345, 190, 46, ("run directory",), GREY),
    }  # fmt: skip
    arrows = [
        Arrow("venue", "market", "rows"),
        Arrow("venue", "account", "reports"),
        Arrow("market", "decide", "news"),
        Arrow("decide", "order", "newest\ntargets", shift=-32),
        Arrow("order", "decide", "fills,\nown orders", shift=-32),
        Arrow("account", "order", "reports"),
        Arrow("order", "signer", "sign · signed", both=True, at=0.45),
        Arrow("order", "send", "outbox"),
        Arrow("send", "out", ""),
        Arrow("watch", "decide", "tick"),
        Arrow("order", "files", "", dashed=True),
    ]
    return picture(920, 380, "Tasks of the engine", boxes, arrows)


def participation() -> str:
    """States of a session."""
    boxes = {
        "starting": Box(90, 80, 130, 48, ("starting",)),
        "quoting": Box(330, 80, 130, 48, ("quoting",)),
        "halting": Box(680, 80, 130, 48, ("halting",), WARM),
        "halted": Box(680, 230, 130, 48, ("halted",), WARM),
        "reducing": Box(330, 230, 130, 48, ("reducing",), GREY),
    }
    arrows = [
        Arrow("starting", "quoting", "linked,\nreconciled"),
        Arrow("quoting", "halting", "a switch, an operator, the stop"),
        Arrow("halting", "halted", "a full view proves\nthe book empty", shift=-50),
        Arrow("halted", "quoting", "cause gone,\nconditions hold", at=0.7),
        Arrow("halted", "reducing", 'on_halt = "reduce", or flatten'),
        Arrow("reducing", "halting", "flat, or\na new trip", at=0.24),
    ]
    return picture(800, 290, "Taking part", boxes, arrows)


def decision() -> str:
    """The way of the data, from a frame to an order."""
    names = ("feed", "normalise", "book", "metrics", "decide", "order manager", "signer", "sender", "venue")
    widths = (62, 84, 62, 74, 70, 116, 66, 68, 66)
    boxes, x = {}, 8.0
    for name, w in zip(names, widths, strict=True):
        boxes[name] = Box(x + w / 2, 60, w, 40, (name,), WARM if name in {"feed", "venue"} else "#e8f0f8")
        x += w + 28
    boxes["account feed"] = Box(640, 160, 130, 40, ("account feed",), GREY)
    arrows = [Arrow(a, b) for a, b in pairwise(names)]
    arrows += [
        Arrow("venue", "account feed", "acks, fills", at=0.45),
        Arrow("account feed", "order manager", "reports", at=0.45),
        Arrow("account feed", "decide", "fills", at=0.55),
    ]
    frames = [Frame(201, 14, 280, 76, "kernels: no clock, no I/O")]
    return picture(920, 200, "The way of the data", boxes, arrows, frames)


PICTURES: dict[str, Callable[[], str]] = {
    "processes": processes,
    "tasks": tasks,
    "participation": participation,
    "decision": decision,
    "order_life": order_states.diagram,
}
"""Name in docs/images -> drawing."""
