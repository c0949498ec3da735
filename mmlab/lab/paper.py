"""What ``mmlab paper`` and ``mmlab live`` need: a session from a command line's words, and what to say at its end."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from mmlab.config import Config
from mmlab.errors import ConfigError
from mmlab.lab.backtesting import load_run
from mmlab.lab.live import ready_line
from mmlab.lab.numbers import number
from mmlab.lab.run import Run
from mmlab.lab.safety import require_loopback
from mmlab.lab.session import Session
from mmlab.lab.trade import Progress
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


def live_session(
    config: Config, *, paper_url: str | None, paper_keys: str | None, remote: bool, dry_run: bool, warmup: str | None,
    **options: Any,
) -> Session:  # fmt: skip
    """A session on Lighter, or against a paper server at `paper_url` with the keys that it told.

    Raises
    ------
    SafetyError
        Not armed; a paper server that is not on this machine.
    ConfigError, FeedError
        What is wrong, in one line.
    """
    paper = None
    if paper_url is not None:
        require_loopback(paper_url, allow_remote=remote)
        if paper_keys is None:
            raise ConfigError("--paper needs --paper-keys FILE: the line that the server printed when it was ready")
        paper = {**ready_line(paper_keys), "url": paper_url.rstrip("/"), "ws": stream_of(paper_url)}
    elif paper_keys is not None or remote:
        raise ConfigError("--paper-keys and --allow-remote-paper go with --paper URL")
    return Session(
        config, venue="lighter", feed=warmup, paper=paper, dry_run=dry_run, allow_remote_paper=remote, **options
    )


def stream_of(url: str) -> str:
    """The WebSocket of a paper server."""
    return "ws" + url.removeprefix("http").rstrip("/") + "/stream"


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
        if isinstance(shares, dict):
            shares = {**values.get("rejects", {}), **{str(key): share for key, share in shares.items()}}
        values["rejects"] = shares
    return FaultPlan(**values)


def trade(session: Session, duration_s: float | None, progress: Progress | None) -> Run:
    """Trade to the end: in real time with an engine in a process of its own, else here. An interrupt ends it in order.

    Returns
    -------
    Run
        Of an interrupted one ``info.ended`` begins with "interrupted".

    Raises
    ------
    KeyboardInterrupt
        Interrupted before it began.
    """
    if session.fastest:
        try:
            return session.run(duration_s, progress)
        except KeyboardInterrupt:
            if session.run_dir is None or not session.began:
                raise
            return load_run(session.run_dir)
    session.start(duration_s)
    try:
        return session.wait(progress=progress)
    except KeyboardInterrupt:
        session.stop("interrupted")
        return session.wait()


def left_behind(run: Run) -> list[str]:
    """What an interrupted session leaves, in sentences."""
    when = run.metrics.index[-1] if len(run.metrics) else pd.Timestamp(run.info.finished)
    _, doubt, left = run.info.ended.partition("; ")
    position = run.info.counters.get("position_left_lots", 0) * run.instrument.lot_size
    return [
        f"Interrupted at {when:%Y-%m-%d %H:%M:%S} UTC of the feed: "
        + (f"{left}." if doubt else "all orders are cancelled."),
        f"Position left: {number(position)}." if position else "No position is left.",
    ]
