"""`mmlab record lighter`: a market's frames to files that `mmlab import --format lighter` reads back."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from mmlab.venues.lighter.endpoint import Endpoint, profile
from mmlab.venues.lighter.log import Log, Quiet
from mmlab.venues.lighter.recorder import Recorder
from mmlab.venues.lighter.rest import Rest
from mmlab.venues.lighter.rules import instrument_of
from mmlab.venues.lighter.venue import find_market


class Recorded(NamedTuple):
    """What a recording holds: its files, frames by kind and what went wrong, how to import it."""

    files: list[Path]
    counters: Counter[str]
    import_command: str


def record(
    market: str, folder: str | Path, *, venue: str | Endpoint = "mainnet", duration_s: float | None = None,
    look: Callable[[Recorder], object] | None = None, log: Log | None = None,
) -> Recorded:  # fmt: skip
    """Record until interrupted (Ctrl-C, SIGTERM), or for `duration_s`; goes on with what is in `folder`.

    Parameters
    ----------
    market : str
        Symbol, or the venue's number of it.
    folder : path
    venue : str or Endpoint
        Profile.
    duration_s : float, optional
    look : callable, optional
        Called every second.
    log : Log, optional
    """
    endpoint = venue if isinstance(venue, Endpoint) else profile(venue)
    return asyncio.run(_record(endpoint, market, Path(folder), duration_s, look, log or Quiet()))


def endpoint_of(name: str, rest: str | None = None, ws: str | None = None) -> Endpoint:
    """A profile, or another host that speaks like it (chain ids are for signatures, of which there are none)."""
    return profile(name) if rest is None or ws is None else Endpoint("other", rest, ws, profile(name).chain_id)


async def _record(
    endpoint: Endpoint, market: str, folder: Path, duration_s: float | None,
    look: Callable[[Recorder], object] | None, log: Log,
) -> Recorded:  # fmt: skip
    rest = Rest(endpoint, Counter())
    try:
        info = await find_market(rest, market)
    finally:
        await rest.close()
    recorder = Recorder(endpoint, info, folder, log)
    task = asyncio.ensure_future(recorder.run(duration_s, look))
    with _Interrupts(task):
        await asyncio.wait((task,))
    if not task.cancelled():
        task.result()
    instrument = instrument_of(info)
    files = recorder.files.paths()
    command = " ".join(
        ["mmlab import", *(str(path) for path in files), "--format lighter", f"--symbol {info.symbol}",
         f"--tick-size {instrument.tick_size:.{info.supported_price_decimals}f}",
         f"--lot-size {instrument.lot_size:.{info.supported_size_decimals}f}", f"-o market={info.market_id}",
         f"--out {info.symbol}.parquet"]
    )  # fmt: skip
    return Recorded(files, recorder.counters, command)


class _Interrupts:
    """Ctrl-C and SIGTERM end a task instead of the program."""

    def __init__(self, task: asyncio.Future[Any]) -> None:
        self._task, self._loop = task, asyncio.get_running_loop()
        self._set: list[int] = []

    def __enter__(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._loop.add_signal_handler(number, self._task.cancel)
            except (NotImplementedError, RuntimeError, ValueError):  # not in the main thread, or not POSIX
                continue
            self._set.append(number)

    def __exit__(self, *_: object) -> None:
        for number in self._set:
            self._loop.remove_signal_handler(number)
