"""Two runs side by side."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pandas as pd

from mmlab.config import Config


class Summarised(Protocol):
    """A run, as far as a comparison needs it."""

    config: Config

    @property
    def summary(self) -> pd.Series:
        """Its figures."""


def compare(this: Summarised, other: Summarised) -> pd.DataFrame:
    """Summaries, then the parameters that differ.

    Returns
    -------
    DataFrame
        Index: name of the figure or parameter; ``this, other, change`` (other - this; NaN where that is no number).
    """
    figures = pd.DataFrame({"this": this.summary, "other": other.summary})
    ours, theirs = this.config.flat(), other.config.flat()
    changed = {
        name: (ours.get(name), theirs.get(name)) for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)
    }
    parameters = pd.DataFrame(list(changed.values()), index=list(changed), columns=["this", "other"], dtype=object)
    table = pd.concat([figures, parameters]) if changed else figures
    table["change"] = [_change(a, b) for a, b in zip(table["this"], table["other"], strict=True)]
    return table


def _change(a: Any, b: Any) -> float:
    numbers = all(isinstance(v, int | float | np.number) and not isinstance(v, bool) for v in (a, b))
    return float(b - a) if numbers else np.nan
