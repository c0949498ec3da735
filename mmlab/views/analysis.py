"""What needs a whole run: markouts by horizon with bands, fill by fill, and by gate state.

Worked out by `mmlab.lab` on a thread, once for all who look. Of a run that goes on, anew when there are new fills, and
never for more than a twentieth of the time.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from mmlab.errors import MMLabError

if TYPE_CHECKING:
    import pandas as pd

    from mmlab.views.store import Store

Array = np.ndarray[Any, Any]

LEAST_S, SHARE = 5.0, 20.0
POINTS = 3000
"""Fills of the scatter, the newest."""


@dataclass(frozen=True)
class Markouts:
    """Markouts of a run so far."""

    fills: int
    bands: pd.DataFrame
    by_gate: pd.DataFrame
    scatter: dict[str, Array]
    """Of fills with a complete 1-s markout: ``x`` (ms), ``markout``, ``size``, ``side`` ("bid", "ask"), ``kind``."""


def markouts_of(run_dir: Path) -> Markouts:
    """Read a run and work them out.

    Raises
    ------
    MMLabError
        The run cannot be read.
    """
    from mmlab.lab.gate_states import markouts_by_gate
    from mmlab.lab.run import load_run

    run = load_run(run_dir)
    fills = run.fills
    done = fills[np.isfinite(fills["markout_1s_bps"])].tail(POINTS)
    scatter = {
        "x": done["exch_ns"].to_numpy() / 1e6,
        "markout": done["markout_1s_bps"].to_numpy(),
        "size": done["size"].to_numpy(),
        "side": done["side"].to_numpy(dtype=object),
        "kind": done["fill_kind"].to_numpy(dtype=object),
    }
    return Markouts(len(fills), run.bands, markouts_by_gate(run), scatter)


class Analysis:
    """Markouts of one store, worked out when asked for and worth it.

    Parameters
    ----------
    store : Store
    pool : Executor

    Attributes
    ----------
    result : Markouts or None
    trouble : str
        Why there is none, in words.
    """

    def __init__(self, store: Store, pool: Executor) -> None:
        self._store, self._pool = store, pool
        self._future: Future[Markouts] | None = None
        self._began = self._not_before = 0.0
        self._of: tuple[int, str] | None = None
        self.result: Markouts | None = None
        self.trouble = ""

    def ask(self) -> Markouts | None:
        """The newest result; starts the next one if it is due."""
        now = monotonic()
        if self._future is not None and self._future.done():
            try:
                self.result, self.trouble = self._future.result(), ""
            except MMLabError as error:
                self.trouble = str(error)
            except Exception as error:  # noqa: BLE001  a run that is being written, or was by another mmlab
                self.trouble = f"markouts cannot be worked out: {type(error).__name__}: {error}"
            self._future, self._not_before = None, now + max(LEAST_S, SHARE * (now - self._began))
        here = (self._store.fills.total, self._store.ended)
        if self._future is None and now >= self._not_before and here != self._of and here[0]:
            self._of, self._began = here, now
            self._future = self._pool.submit(markouts_of, self._store.run_dir)
        return self.result

    @property
    def busy(self) -> bool:
        """Whether it is being worked out."""
        return self._future is not None
