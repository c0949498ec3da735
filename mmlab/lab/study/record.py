"""How a notebook hands figures to a batch: they stand in the executed notebook itself, as data of an output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmlab.errors import MMLabError
from mmlab.lab.study.grid import plain
from mmlab.lab.study.journal import decoded, encoded

MIME = "application/vnd.mmlab.figures+json"


def record(figures: Mapping[str, Any] | Any = None, /, **more: Any) -> None:
    """Put figures into the results table of `mmlab batch`; in a cell alone it shows them.

    Parameters
    ----------
    figures : mapping or Series, optional
        Name -> value, for example ``run.summary``.
    **more
        Further ones.

    Raises
    ------
    MMLabError
        A value is no number, text or list of them.

    Examples
    --------
    >>> mmlab.record(run.summary[["net_pnl", "fills"]], best_gamma=0.1)
    """
    from IPython.display import display

    values = {**dict({} if figures is None else figures), **more}
    named = {str(name): plain(value) for name, value in values.items()}
    wrong = [f"{name} = {value!r}" for name, value in named.items() if not _fits(value)]
    if wrong:
        raise MMLabError(f"record: {', '.join(wrong)}: must be numbers, text, or lists of them")
    text = "\n".join(f"{name} = {value}" for name, value in named.items())
    display({MIME: encoded(named), "text/plain": text}, raw=True)  # type: ignore[no-untyped-call]


def recorded(notebook: Any) -> dict[str, Any]:
    """Figures of an executed notebook, of the last output that has a name."""
    found: dict[str, Any] = {}
    for one in notebook.cells:
        for output in one.get("outputs", ()):
            found |= output.get("data", {}).get(MIME, {})
    return dict(decoded(found))


def _fits(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_fits, value))
    return isinstance(value, bool | int | float | str)
