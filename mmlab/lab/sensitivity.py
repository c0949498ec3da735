"""Is net P&L robust? The same run with another queue model, latency or fee (`terms.md`, "A report always shows").

The variants are replays. Those of a paper run replay what it heard, without the faults of its venue, so they are
compared with one more replay, of the run's own setting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from mmlab.errors import SessionError
from mmlab.lab.progress import track
from mmlab.lab.summary import summarise

EXTRA_MS = 50.0


def changes_of(run: Any, name: str) -> dict[str, Any]:
    """What ``run.rerun(run, **changes)`` must be given for a variant of `VARIANTS`."""
    return VARIANTS[name](run)


def _always(**changes: Any) -> Callable[[Any], dict[str, Any]]:
    return lambda _: changes


def _latency(scale: float, extra_ms: float) -> Callable[[Any], dict[str, Any]]:
    def changes(run: Any) -> dict[str, Any]:
        from mmlab.simulator import Latency  # brings the decision kernel with it

        base = asdict(Latency(**run.info.setting.get("latency", {})))
        for way in ("entry_ms", "response_ms"):
            given = base[way]
            added = extra_ms / base["scale"]  # the scale multiplies what is added too
            base[way] = tuple(ms + added for ms in given) if isinstance(given, tuple | list) else given + added
        return {"latency": Latency(**{**base, "scale": base["scale"] * scale})}

    return changes


def _fee(add_bps: float) -> Callable[[Any], dict[str, Any]]:
    return lambda run: {"instrument": run.instrument.with_(maker_fee_bps=run.instrument.maker_fee_bps + add_bps)}


THROUGH_ONLY = "queue through_only"
VARIANTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "queue risk_averse": _always(queue="risk_averse", through_only=False),
    "queue power": _always(queue="power", through_only=False),
    THROUGH_ONLY: _always(through_only=True),
    "latency x1": _always(),
    "latency x2": _latency(2.0, 0.0),
    "latency +50 ms": _latency(1.0, EXTRA_MS),
    "maker fee +1 bp": _fee(1.0),
    "maker fee \u22121 bp": _fee(-1.0),
}
"""Name -> changes to a run. 50 ms are added to order entry and to responses."""
FIGURES = ("net_pnl", "pnl_per_million", "fills", "volume")
AS_RUN, REPLAYED = "as run", "replayed"


def sensitivity(run: Any, only: list[str] | None = None) -> pd.DataFrame:
    """Run the variants.

    Parameters
    ----------
    run : Run
        The run as reported; its ``rerun`` makes the variants.
    only : list of str, optional
        Names of `VARIANTS`; default all.

    Returns
    -------
    DataFrame
        Index: "as run", of a paper or live run "replayed", then the variants; ``net_pnl`` (settle currency),
        ``pnl_per_million, fills, volume``, ``change`` of net P&L, ``flips`` (its sign is another). Variants are
        compared with the replay, the replay with the run.

    Raises
    ------
    SessionError
        The run cannot be repeated.
    """
    if run.rerun is None:
        raise SessionError("this run was not made by a backtest, so it cannot be repeated")
    base = run.summary
    rows = {AS_RUN: [base[name] for name in FIGURES]}
    if run.info.mode != "replay":
        base = summarise(run.rerun(run))
        rows[REPLAYED] = [base[name] for name in FIGURES]
    for name in track(only or list(VARIANTS), "Sensitivity"):
        figures = base if is_same(run, name) else summarise(run.rerun(run, **changes_of(run, name)))
        rows[name] = [figures[figure] for figure in FIGURES]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(FIGURES)).astype(float)
    net = table["net_pnl"]
    against = pd.Series(float(base["net_pnl"]), net.index)
    against[[name for name in (AS_RUN, REPLAYED) if name in net.index]] = net[AS_RUN]
    table["change"] = net - against
    table["flips"] = np.sign(net) != np.sign(against)
    return table


def is_same(run: Any, name: str) -> bool:
    """Whether a variant is the run itself."""
    return name in {"latency x1", f"queue {run.info.queue}"}
