"""The engine's process: a session driven by a plan from stdin, steered by its control server, watched for its owner."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import Any

from mmlab.engine.control import ControlServer
from mmlab.engine.engine import Engine
from mmlab.engine.owner import OwnerWatch
from mmlab.errors import MMLabError
from mmlab.lab.addresses import Address, publish, withdraw
from mmlab.lab.ledger import Ledger
from mmlab.lab.plan import Plan
from mmlab.lab.trade import Trade

BUDGET_S = 0.25
"""Between two reservations of notional."""
HEADROOM_ORDERS = 4
"""Orders that may be placed until the next reservation."""
LAG_S = 0.05
"""Between two looks at how late the loop is."""
LOOK_S = 0.2
"""How often the owner's signs of life are looked at."""


def main() -> int:
    """Take the plan, trade, end; returns the exit status."""
    values = json.loads(sys.stdin.buffer.read())
    sys.path[:] = values["path"]  # what the notebook can import, we can
    try:
        asyncio.run(EngineProcess(values).run())
    except MMLabError as error:
        tell(failed=str(error), kind=type(error).__name__)
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


class EngineProcess:
    """One session and its control server.

    Parameters
    ----------
    values : dict
        The plan (`Plan.to_json`) with ``run_dir``, ``duration_s`` and whether the feed's file is ours to remove.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self._values, self._run_dir = values, Path(values["run_dir"])
        self._guardian = os.getppid()
        try:
            self.trade = Trade(Plan.from_json(values))
        finally:
            if values["remove_feed"]:
                Path(values["feed"]).unlink(missing_ok=True)
        self._token = secrets.token_urlsafe(32)
        self._server = ControlServer(self.trade, self._token)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Trade to the end."""
        try:
            info = await self.trade.open()
            self._started = info.started
            await self.trade.run(self._run_dir, info, self._values["duration_s"], begun=self._begun)
        finally:
            withdraw(self._run_dir)
            await self._server.close()

    def _begun(self, engine: Engine) -> None:
        owner = engine.setup.config.owner
        self.trade.owner = OwnerWatch(owner.on_owner_lost, owner.grace_s, time.monotonic())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, engine.stop, f"signal {number.name}")
        engine.supervisor.start("control", self._serve, restart=False)
        engine.supervisor.start("owner", self._watch_owner, restart=True)
        if engine.setup.config.risk.max_total_notional is not None:
            engine.cap(0)  # nothing before the first reservation
        engine.supervisor.start("budget", lambda: _keep_budget(engine, self._run_dir), restart=True)
        engine.supervisor.start("lag", lambda: _measure_lag(engine), restart=True)

    async def _serve(self) -> None:
        """Open the control server, and say where it is."""
        url = await self._server.start()
        publish(Address(str(self._run_dir), url, self._token, os.getpid(), self._started))
        gc.collect()
        gc.freeze()  # what is there by now stays: collections need not look at it again
        self.trade.heartbeat()  # from now on the owner can be heard
        tell(url=url, pid=os.getpid())

    async def _watch_owner(self) -> None:
        engine, owner = self.trade.engine, self.trade.owner
        assert engine is not None  # noqa: S101  both were made before this task
        assert owner is not None  # noqa: S101
        while True:
            await asyncio.sleep(LOOK_S)
            todo = owner.step(time.monotonic())
            if todo != "keep":
                engine.log.warning("owner_lost", ts_ns=engine.now(), grace_s=owner.grace_s, then=todo)
                if todo == "stop":
                    engine.stop("owner lost")
                else:
                    engine.kill("owner lost")
            if os.getppid() != self._guardian:
                engine.log.error("supervisor_lost", ts_ns=engine.now())
                engine.stop("supervisor process lost")
                return


async def _keep_budget(engine: Engine, run_dir: Path) -> None:
    """Reserve what this session may come to hold, and hold it to that: `risk.max_total_notional`."""
    ledger = Ledger(run_dir)
    try:
        while True:
            total = engine.setup.config.risk.max_total_notional
            engine.cap(None if total is None else _granted_lots(engine, ledger, total))
            await asyncio.sleep(BUDGET_S)
    finally:
        ledger.release()


def _granted_lots(engine: Engine, ledger: Ledger, total: float) -> int:
    """Most lots that may be held until the next look."""
    instrument, book = engine.setup.instrument, engine.decider.book[0]
    if not book["valid"]:
        return engine.worst_lots()  # nothing more before there is a price
    lot = instrument.notional(1, instrument.to_price(int(book["ask_ticks"])))
    held = engine.worst_lots()
    order = int(engine.decider.params[0]["quoting"]["order_lots"])
    return int(ledger.reserve((held + HEADROOM_ORDERS * order) * lot, held * lot, total) / lot)


async def _measure_lag(engine: Engine) -> None:
    """How late the loop comes to what is due."""
    while True:
        due_ns = time.perf_counter_ns() + round(LAG_S * 1e9)
        await asyncio.sleep(LAG_S)
        engine.stopwatch.add("lag", max(0, time.perf_counter_ns() - due_ns))


def tell(**values: Any) -> None:
    """One line to the notebook, if it is still there; then the pipe is closed."""
    try:
        sys.stdout.write(json.dumps(values) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)


if __name__ == "__main__":
    sys.exit(main())
