"""Whether a run's decisions follow from its recorded inputs, bit for bit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmlab.config import Config
from mmlab.engine.decider import QuoterAddress
from mmlab.engine.rerun import rerun
from mmlab.engine.setup import params_of
from mmlab.errors import SessionError
from mmlab.instrument import Instrument
from mmlab.lab.quoters import Quoter
from mmlab.resolve import WarmUp
from mmlab.telemetry.inputs import KERNEL, read_inputs
from mmlab.telemetry.run_directory import read_run

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Verdict:
    """Rows compared a table, and those that differ."""

    rows: dict[str, int]
    different: dict[str, int]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not any(self.different.values())


def verify_decisions(path: str | Path, strategy: Quoter | None = None) -> Verdict:
    """Make the decisions of a paper or live run again from its inputs, and compare.

    Parameters
    ----------
    path : path
        The run directory.
    strategy : Quoter, optional
        The run's own quoting function, if it had one.

    Raises
    ------
    SessionError
        The directory cannot be read, or its inputs were not recorded.
    """
    path = Path(path)
    stored = read_run(path)
    if stored.inputs["what"] != KERNEL:
        raise SessionError(f"{path}: a {stored.info.mode} run records no kernel inputs; they follow from its feed")
    dropped = stored.info.counters.get("dropped_inputs", 0)
    if dropped:
        raise SessionError(f"{path}: the disk did not keep up, {dropped} inputs are missing: nothing can be verified")
    instrument, fit = Instrument(**stored.instrument), WarmUp(**stored.info.warmup)
    quoter = None if strategy is None else QuoterAddress(strategy.function)
    user = None if strategy is None else strategy.numbers
    params = {
        version: params_of(config, instrument, fit, user) for version, config in versions(path, stored.config).items()
    }
    again = rerun(read_inputs(path, stored.inputs), params, instrument.to_ticks(fit.mid), quoter)
    tables = {name: getattr(stored.tables, name) for name in ("decisions", "targets")}
    return Verdict(
        {name: int(table.size) for name, table in tables.items()},
        {name: differing(again[name], table) for name, table in tables.items()},
    )


def versions(path: Path, config: Config) -> dict[int, Config]:
    """Parameter version -> config, by ``changes.jsonl``."""
    found = {0: config}
    for line in (path / "changes.jsonl").read_text(encoding="utf-8").splitlines():
        change = json.loads(line)
        config = config.with_(**change["new"])
        found[int(change["version"])] = config
    return found


def differing(a: Array, b: Array) -> int:
    """Rows that differ in any bit of any field; where one table is longer, its rest counts."""
    n = min(a.size, b.size)
    wrong = np.zeros(n, bool)
    for name in a.dtype.names or ():
        x, y = np.ascontiguousarray(a[name][:n]), np.ascontiguousarray(b[name][:n])
        wrong |= x.view(f"u{x.itemsize}") != y.view(f"u{y.itemsize}")
    return int(wrong.sum()) + abs(a.size - b.size)
