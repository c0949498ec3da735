"""Supervisor process of one engine: starts it, and cleans up should it die.

On a live venue it cancels all orders of the account first, with an API key of its own, so that no nonce of the dead
engine can stand in its way. Light: heavy imports only after a death, but for what the rescue needs.

notebook ── plan ──► guardian ── plan ──► engine ── one line ──► notebook. Guardian and engine are a process session of
their own, so that neither an interrupt nor the end of the kernel reaches them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

LAST_WORDS = 4000
"""Bytes of the engine's stderr that are kept in the log."""


def main() -> int:
    """Take the plan from stdin, run the engine, see to its death."""
    plan = sys.stdin.buffer.read()
    words = Path(json.loads(plan)["stderr"])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    engine = subprocess.Popen(
        [sys.executable, "-m", "mmlab.lab.engine_process"], stdin=subprocess.PIPE, stderr=descriptor
    )
    os.close(descriptor)
    signal.signal(signal.SIGTERM, lambda *_: engine.send_signal(signal.SIGTERM))
    assert engine.stdin is not None  # noqa: S101  it is a pipe
    rescue = rescue_of(json.loads(plan))
    try:
        engine.stdin.write(plan)
        engine.stdin.close()
    except BrokenPipeError:
        pass  # it died at once, which is told below
    status = engine.wait()
    if status != 0:
        left = None if rescue is None else rescue()
        died(json.loads(plan), status, words, left)
    words.unlink(missing_ok=True)
    return 0


def rescue_of(plan: dict[str, Any]) -> Callable[[], str] | None:
    """What cancels everything at a live venue and says what came of it; made ahead, imports and all.

    None for the paper venue, which lives in the engine: its orders go with it.
    """
    if plan.get("live") is None or plan["live"]["dry_run"]:
        return None
    from mmlab.lab.rescue import Rescue

    return Rescue.of(plan)


def died(plan: dict[str, Any], status: int, words: Path, rescued: str | None) -> None:
    """The engine is dead: put its run directory in order and say so."""
    from mmlab.lab.addresses import withdraw
    from mmlab.telemetry.files import json_line
    from mmlab.telemetry.info import utc_now
    from mmlab.telemetry.run_directory import read_run

    run_dir = Path(plan["run_dir"])
    withdraw(run_dir)
    if not (run_dir / "run.json").exists():
        tell(words)
        return
    read_run(run_dir)  # puts the directory in order
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    last = words.read_bytes()[-LAST_WORDS:].decode(errors="replace")
    line = {"time": utc_now(), "level": "error", "event": "engine_died", "how": how, "stderr": last}
    if rescued is not None:
        line["rescue"] = rescued
    with (run_dir / "log.jsonl").open("ab") as log:
        log.write(json_line(line))


def tell(words: Path) -> None:
    """Tell the notebook why the engine never stood; it hears the first line only, and that may be the engine's own."""
    last = words.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    line = {"failed": f"the engine died as it began: {''.join(last) or 'without a word'}", "kind": "SessionError"}
    with suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
