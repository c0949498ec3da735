"""`@mmlab.quoter`: a user's own quoting function, written in a notebook cell."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import Any

from mmlab.errors import ConfigError
from mmlab.kernels.quoter import compile_quoter
from mmlab.params import PARAMS

MOST_NUMBERS = PARAMS["user"].shape[0]


class Quoter:
    """A quoting function that ladder, gates, kill switches, metrics and reports work with unchanged.

    Parameters
    ----------
    function : callable
        ``f(market, metrics, position_lots, params, out) -> n``: writes ``out[i].side`` (+1 bid, -1 ask),
        ``out[i].price`` (unrounded, quote currency) and ``out[i].size_lots``, best first a side, and returns how many.
        `market` has the fields of `mmlab.events.MARKET`, `metrics` those of `mmlab.events.METRIC`, `params` those of
        `mmlab.params.PARAMS`; it must compile in Numba's nopython mode.
    numbers : float
        Numbers of its own, read as ``params.user[0]``, ``params.user[1]``, ... in the order given.
    """

    def __init__(self, function: Callable[..., int], numbers: dict[str, float]) -> None:
        if len(numbers) > MOST_NUMBERS:
            raise ConfigError(f"quoter {function.__name__}: {len(numbers)} numbers given, at most {MOST_NUMBERS} fit")
        self.function, self.numbers = function, dict(numbers)
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    @cached_property
    def compiled(self) -> Callable[..., int]:
        """The compiled function; raises `ConfigError` if Numba cannot compile it."""
        from numba.core.errors import NumbaError

        try:
            return compile_quoter(self.function)
        except NumbaError as error:
            raise ConfigError(f"quoter {self.__name__} does not compile: {_last_lines(error)}") from error

    def with_(self, **numbers: float) -> Quoter:
        """The same function with other numbers."""
        unknown = sorted(set(numbers) - set(self.numbers))
        if unknown:
            raise ConfigError(f"quoter {self.__name__} has no numbers {unknown}: it has {sorted(self.numbers)}")
        changed = Quoter(self.function, {**self.numbers, **numbers})
        changed.__dict__["compiled"] = self.compiled
        return changed

    @property
    def importable(self) -> bool:
        """Whether another process can import it: it stands in a module, under its own name."""
        module = self.function.__module__
        if module == "__main__":
            return False
        found = getattr(sys.modules.get(module), self.__name__, None)
        return isinstance(found, Quoter) and found.function is self.function

    def __reduce__(self) -> tuple[Any, ...]:
        """By the name of its module; its function compiles once in each process."""
        if not self.importable:
            raise ConfigError(f"quoter {self.__name__}: stands in a notebook or script: put it in a module")
        return _imported, (self.function.__module__, self.__name__, self.numbers)

    def __call__(self, *args: Any) -> int:
        """Call the plain Python function, for tests."""
        return self.function(*args)

    def __repr__(self) -> str:
        return f"Quoter({self.__name__}, {self.numbers})"


def quoter(function: Callable[..., int] | None = None, /, **numbers: float) -> Any:
    """Make a quoting function for `mmlab.backtest(..., strategy=f)`.

    Examples
    --------
    >>> @mmlab.quoter(half_spread_ticks=2.0)
    ... def at_a_distance(market, metrics, position_lots, params, out):
    ...     for i in range(2):
    ...         side = 1 - 2 * i
    ...         out[i].side = side
    ...         out[i].price = market.mid - side * params.user[0] * market.tick_size
    ...         out[i].size_lots = params.quoting.order_lots
    ...     return 2
    """
    return Quoter(function, {}) if function is not None else lambda f: Quoter(f, numbers)


def _imported(module: str, name: str, numbers: dict[str, float]) -> Quoter:
    found: Quoter = getattr(import_module(module), name)
    return found.with_(**numbers)


def _last_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:4])
