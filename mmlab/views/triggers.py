"""What gates and kill switches did, from ``gates.jsonl`` as it grows: one entry a trip or trigger, with its end."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import Any

MOST = 5000
"""Entries held, the newest."""
GATES = ("flip", "pull", "age_exit", "ladder")
"""They hold back quotes trigger by trigger; every other switch is a kill switch."""
LEVELS = ("level_up", "level_down")
SHORT = ("exit", "exit_skipped", "observe")
"""What happens at one moment."""


@dataclass
class Trigger:
    """One trip of a kill switch or trigger of a gate. Times in ms; `end` None: it holds still."""

    number: int
    switch: str
    action: str
    side: str
    start: float
    end: float | None
    value: float
    threshold: float
    n: int
    effect: float

    @property
    def is_kill(self) -> bool:
        """Whether a kill switch acted."""
        return self.switch not in GATES and self.action in ("trip", "latch")


class Triggers:
    """Takes in lines, keeps the newest triggers.

    Attributes
    ----------
    total : int
        Triggers that came so far, ladder steps apart.
    kills, counts : int, dict
        Trips so far; triggers so far by switch.
    version : int
        Changes with every change of what is held.
    """

    def __init__(self) -> None:
        self.held: deque[Trigger] = deque(maxlen=MOST)
        self.total = self.kills = self.version = 0
        self.counts: dict[str, int] = {}
        self._open: dict[tuple[str, str], Trigger] = {}

    def add(self, lines: bytes) -> None:
        """Take in whole lines of ``gates.jsonl``."""
        for line in lines.splitlines():
            row = json.loads(line)
            if row["action"] == "rearm":
                opened = self._open.pop((row["switch"], row["side"]), None)
                if opened is not None:
                    opened.end = row["local_ns"] / 1e6
            elif row["action"] not in LEVELS:
                self._take(row)
            self.version += 1

    def _take(self, row: dict[str, Any]) -> None:
        start, action = row["local_ns"] / 1e6, row["action"]
        end: float | None = max(start, row["until_ns"] / 1e6)
        if action in ("trip", "latch"):
            before = self._open.pop((row["switch"], row["side"]), None)
            if before is not None:
                before.end = start
            end = None
        elif action in SHORT:
            end = start
        self.total += 1
        trigger = Trigger(
            self.total, row["switch"], action, row["side"], start, end, _float(row["value"]), _float(row["threshold"]),
            int(row["n"]), _float(row["effect"]),
        )  # fmt: skip
        if end is None:
            self._open[trigger.switch, trigger.side] = trigger
        self.kills += trigger.is_kill
        self.counts[trigger.switch] = self.counts.get(trigger.switch, 0) + 1
        self.held.append(trigger)

    def newest(self, n: int) -> list[Trigger]:
        """The newest triggers, newest first."""
        held = list(self.held)
        return held[: -n - 1 : -1]

    @property
    def holding(self) -> list[Trigger]:
        """Trips that hold still."""
        return list(self._open.values())


def _float(value: Any) -> float:
    return float("nan") if value is None else float(value)
