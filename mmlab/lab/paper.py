"""What ``mmlab paper`` needs: a session from a command line's words, and what to say of one that was interrupted."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from mmlab.config import Config
from mmlab.errors import ConfigError
from mmlab.lab.numbers import number
from mmlab.lab.session import Session
from mmlab.venues.paper import FaultPlan

FASTEST = "max"


def paper_session(
    feed: str | None, config: Config, speed: str, faults: list[tuple[str, Any]], seed: int, **options: Any
) -> Session:
    """A session on the paper venue.

    Parameters
    ----------
    feed : str, optional
        A feed file; None: the synthetic sample.
    config : Config
    speed : str
        A number, or "max".
    faults : list of (name, value)
        Fields of `FaultPlan`; ``rejects.9`` is the share of refusals with code 9.
    seed : int
        Of the session, and of the faults unless they have one of their own.
    **options
        ``name, out, loop`` of `Session`.

    Raises
    ------
    ConfigError, FeedError
        What is wrong, in one line.
    """
    return Session(
        config, feed=feed, speed=speed_of(speed), faults=fault_plan(faults, seed), seed=seed, **options
    )  # fmt: skip


def speed_of(text: str) -> float:
    """Feed seconds a second; infinite for "max"."""
    if text == FASTEST:
        return math.inf
    try:
        speed = float(text)
    except ValueError:
        speed = math.nan
    if not 0 < speed < math.inf:
        raise ConfigError(f"--speed {text}: must be a number > 0, or {FASTEST}")
    return speed


def fault_plan(faults: list[tuple[str, Any]], seed: int) -> FaultPlan:
    """A plan from names and values."""
    values: dict[str, Any] = {"seed": seed}
    for name, value in faults:
        field, _, code = name.partition(".")
        if field != "rejects":
            values[name] = value
            continue
        shares = {code: value} if code else value
        if isinstance(shares, dict):  # TOML's keys are text
            shares = {int(key) if str(key).isdecimal() else key: share for key, share in shares.items()}
            shares = {**values.get("rejects", {}), **shares}
        values["rejects"] = shares
    return FaultPlan(**values)


def left_behind(session: Session) -> list[str]:
    """What an interrupted session leaves, in sentences."""
    if not session.began:
        return ["Interrupted before it began: nothing was sent."]
    status, left = session.state(), len(session.orders())
    proven = status["trading"] == "halted" and not left
    return [
        f"Interrupted at {pd.Timestamp(status['session_ns'], unit='ns'):%Y-%m-%d %H:%M:%S} UTC of the feed: "
        + ("all orders are cancelled." if proven else f"{left} orders are not proven to be cancelled."),
        f"Position left: {number(status['position'])}." if status["position"] else "No position is left.",
    ]
