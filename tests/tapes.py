"""Random tapes for property tests: coarse times, so that equal times and window edges are common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from hypothesis import Phase, find, settings
from hypothesis import strategies as st

T0 = 1_700_000_000_000_000_000
STEP_NS = 250_000_000
TICK = 0.5


@dataclass
class Tape:
    """Quotes (time, mid, whether the row is the start of a gap) and fills (time, side, price, size in lots, fee)."""

    quote_ns: np.ndarray
    mid: np.ndarray
    gap: np.ndarray
    ns: np.ndarray
    side: np.ndarray
    price: np.ndarray
    lots: np.ndarray
    fee: np.ndarray

    def quotes(self) -> pd.DataFrame:
        """As `feed.quotes()`: a locked book has bid = ask; a gap keeps its quotes and loses its mid."""
        bid = np.where(np.isnan(self.mid), 100.0, self.mid - TICK / 2)
        ask = np.where(np.isnan(self.mid), np.where(self.gap, 101.0, 100.0), self.mid + TICK / 2)
        index = pd.DatetimeIndex(self.quote_ns, tz="UTC")
        columns = {"bid": bid, "ask": ask, "bid_size": 1.0, "ask_size": 1.0, "mid": self.mid, "micro": self.mid}
        return pd.DataFrame(columns, index=index)

    def fills(self) -> pd.DataFrame:
        """As a user has them."""
        side = np.where(self.side > 0, "bid", "ask").astype(object)
        columns = {"side": side, "price": self.price, "size": self.lots * 0.1, "fee": self.fee}
        return pd.DataFrame(columns, index=pd.DatetimeIndex(self.ns, tz="UTC"))


def times(steps):
    """Steps of a quarter of a second as ascending times."""
    return T0 + STEP_NS * np.cumsum(np.array(steps, np.int64))


@st.composite
def tapes(draw, max_quotes=25, max_fills=15, gaps=True):
    """A tape with moves, locked books, gaps, equal times; perhaps without quotes or fills."""
    kinds = ["move", "move", "move", "locked", "gap"] if gaps else ["move"]
    quote = st.tuples(st.sampled_from([0, 0, 1, 1, 2, 3]), st.sampled_from(kinds), st.integers(-4, 4))
    fill = st.tuples(
        st.sampled_from([0, 0, 1, 1, 2, 5]), st.sampled_from([1, -1]), st.integers(-4, 4), st.integers(1, 9),
        st.integers(-3, 3),
    )  # fmt: skip
    quotes = draw(st.lists(quote, max_size=max_quotes))
    fills = draw(st.lists(fill, max_size=max_fills))
    kind = np.array([q[1] for q in quotes], object)
    ticks = np.array([q[2] for q in quotes], float)
    return Tape(
        quote_ns=times([q[0] for q in quotes]),
        mid=np.where(kind == "move", 100 + TICK / 2 * ticks, np.nan).astype(float),
        gap=(kind == "gap").astype(bool),
        ns=times([f[0] for f in fills]),
        side=np.array([f[1] for f in fills], np.int8),
        price=np.array([100 + TICK * f[2] for f in fills], float),
        lots=np.array([f[3] for f in fills], np.int64),
        fee=np.array([f[4] * 0.01 for f in fills], float),
    )


def same(a, b, tolerance=1e-9):
    """Whether two arrays agree, NaN where the other is NaN, relative to their size."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True))


def find_any(strategy, condition):
    """Some example that meets the condition, not the smallest; NoSuchExample if none turns up."""
    quick = settings(phases=[Phase.generate], max_examples=1000, derandomize=True, database=None)
    return find(strategy, condition, settings=quick)
