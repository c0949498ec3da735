"""What commands say to engines that run: which ones are meant, and what they do now in one line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmlab.errors import SessionError
from mmlab.lab.addresses import running
from mmlab.lab.client import Client
from mmlab.lab.numbers import number

PATIENCE_S = 30.0
LOOK_S = 0.5


def meant(run_dir: str | Path | None, *, every: bool = False) -> list[Client]:
    """The engines that a command is for: of `run_dir`, or the only one that runs, or `every` one.

    Raises
    ------
    SessionError
        None runs, or several do and none was named.
    """
    if run_dir is not None:
        return [Client.of(run_dir)]
    clients = [Client(address) for address in running()]
    if not clients:
        raise SessionError("no engine of yours is running: start one with 'mmlab paper FEED' or Session.start()")
    if len(clients) > 1 and not every:
        names = ", ".join(str(client.run_dir) for client in clients)
        raise SessionError(f"{len(clients)} engines are running: name one of {names}, or say --all")
    return clients


def kill(client: Client, reason: str) -> str:
    """Cancel all and halt; waits for proof, and says it."""
    client.kill(reason)
    until_s = time.monotonic() + PATIENCE_S
    state = client.state()
    while state["trading"] != "halted" and time.monotonic() < until_s:
        time.sleep(0.05)
        state = client.state()
    name = client.run_dir.name
    if state["trading"] != "halted":
        return f"{name}: {len(state['orders'])} orders are not proven to be cancelled after {PATIENCE_S:g} s"
    return f"{name}: halted, no order rests; position {number(state['position'])}"


def flatten(client: Client) -> str:
    """Leave the position; waits, and says what is left."""
    client.flatten()
    state = client.state()
    left = f"position left: {number(state['position'])}" if state["position"] else "no position is left"
    return f"{client.run_dir.name}: {left}"


def lines(client: Client) -> Iterator[str]:
    """What an engine does, a line whenever that changes, until it has ended."""
    last = ""
    while True:
        try:
            state = client.state()
        except SessionError as error:
            yield str(error)
            return
        line = line_of(state)
        if line != last:
            last = line
            yield line
        time.sleep(LOOK_S)


def line_of(state: dict[str, Any]) -> str:
    """One state in one line."""
    why = f" ({state['why']})" if state["why"] else ""
    ended = f", {state['ended']}" if state["ended"] else ""
    return (
        f"{state['trading']}{why}{ended} | position {number(state['position'])} | net P&L"
        f" {number(state['net_pnl'] or 0.0, sign=True)} | {state['fills']} fills | {len(state['orders'])} orders |"
        f" parameters {state['parameter_version']}"
    )
