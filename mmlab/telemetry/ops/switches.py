"""Kill switches for the operator: how each is named in alerts and which runbook page it has."""

from __future__ import annotations

from mmlab.events import Switch

GATES = (Switch.FLIP, Switch.PULL, Switch.AGE_EXIT, Switch.LADDER)
"""Members of `Switch` that are gates."""
SIDES_ONLY = ("toxic", "burst")
"""Switches that pause one side: a warning, not a halt."""
KILL_SWITCHES = tuple(switch.name.lower() for switch in Switch if switch not in GATES)


def runbook_of(switch: str) -> str:
    """Name of a switch's runbook page, without folder and suffix."""
    return f"kill-{switch.replace('_', '-')}"
