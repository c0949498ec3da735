"""`Feed`: market data of one instrument as `EVENT` rows, and the tables a user looks at."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from mmlab.errors import FeedError
from mmlab.events import EVENT, NO_PRICE, Kind
from mmlab.instrument import Instrument
from mmlab.kernels.book import book_table

if TYPE_CHECKING:
    from mmlab.feeds.description import Description

Array = np.ndarray[Any, Any]
Clock = Literal["exchange", "local"]


class Feed:
    """Recorded or generated market data of one instrument.

    Parameters
    ----------
    instrument : Instrument
    events : ndarray of EVENT, shape (n,)
        Sorted by ``local_ns``; see `mmlab.events` for what the rows mean.
    source : str
        Where the data comes from, for people.
    report : dict, optional
        What the import met, plain JSON values. Keys that `describe` reads: ``duplicates``, ``out_of_order``,
        ``skew_ns`` (least local - exchange as recorded), ``shift_ns`` (added to local time), ``clocks`` (1 if only one
        time is known), ``tick_inferred``, ``lot_inferred``, ``synthetic``, ``notes`` (list of sentences).

    Attributes
    ----------
    path : Path or None
        The file that holds exactly these events, once saved or loaded.
    cache : dict
        Derived tables, worked out once and shared by every run on this feed. Never stored in a file.
    """

    def __init__(
        self, instrument: Instrument, events: Array, source: str = "", report: dict[str, Any] | None = None
    ) -> None:
        if events.dtype != EVENT:
            raise FeedError(f"events have dtype {events.dtype}: build them as np.zeros(n, mmlab.EVENT)")
        if events.size and (np.diff(events["local_ns"]) < 0).any():
            row = int(np.argmax(np.diff(events["local_ns"]) < 0)) + 1
            raise FeedError(f"event {row} has an earlier local_ns than the one before: sort events by local_ns")
        self.instrument = instrument
        self.events = events if events.dtype is EVENT else events.view(EVENT)
        self.source = source
        self.report: dict[str, Any] = dict(report or {})
        self.path: Path | None = None
        self.cache: dict[Any, Any] = {}

    @property
    def synthetic(self) -> bool:
        """Whether the data was generated."""
        return bool(self.report.get("synthetic", False))

    def book(self) -> Array:
        """Best quotes after each venue message that changed them: ndarray of BOOK, shape (m,), worked out once."""
        if "book" not in self.cache:
            self.cache["book"] = book_table(self.events)
        return self.cache["book"]

    def quotes(self, clock: Clock = "exchange") -> pd.DataFrame:
        """Best quotes, one row a venue message after which a best price or size changed.

        Parameters
        ----------
        clock : {"exchange", "local"}
            Which time is the index.

        Returns
        -------
        DataFrame
            Indexed by UTC time: ``bid, ask`` (quote currency), ``bid_size, ask_size``, ``mid, micro``. NaN where a
            side is empty; ``mid`` and ``micro`` also where the book is locked, crossed, or inside a gap.
        """
        book = self.book()
        tick, lot = self.instrument.tick_size, self.instrument.lot_size
        bid, ask = (np.where(book[s] == NO_PRICE, np.nan, book[s] * tick) for s in ("bid_ticks", "ask_ticks"))
        bid_size, ask_size = (
            np.where(np.isnan(price), np.nan, book[s] * lot) for price, s in ((bid, "bid_lots"), (ask, "ask_lots"))
        )
        valid = book["valid"] == 1
        mid = np.where(valid, (bid + ask) / 2, np.nan)
        with np.errstate(invalid="ignore"):
            micro = np.where(valid, (bid * ask_size + ask * bid_size) / (bid_size + ask_size), np.nan)
        columns = {"bid": bid, "ask": ask, "bid_size": bid_size, "ask_size": ask_size, "mid": mid, "micro": micro}
        return pd.DataFrame(columns, index=_utc_index(book, clock))

    def trades(self, clock: Clock = "exchange") -> pd.DataFrame:
        """Trades, executions of order-by-order feeds included.

        Parameters
        ----------
        clock : {"exchange", "local"}
            Which time is the index.

        Returns
        -------
        DataFrame
            Indexed by UTC time: ``side`` (aggressor, "buy" or "sell"), ``price`` (quote currency), ``size``.
        """
        kind = self.events["kind"]
        rows = self.events[(kind == Kind.TRADE) | (kind == Kind.EXECUTE)]
        aggressor = np.where(rows["kind"] == Kind.EXECUTE, -rows["side"], rows["side"])
        columns = {
            "side": pd.Categorical.from_codes((aggressor < 0).astype(np.int8), ["buy", "sell"]).astype(str),
            "price": rows["price_ticks"] * self.instrument.tick_size,
            "size": rows["size_lots"] * self.instrument.lot_size,
        }
        return pd.DataFrame(columns, index=_utc_index(rows, clock))

    def describe(self) -> Description:
        """What is in the feed and what was met on import, as a table."""
        from mmlab.feeds.description import describe

        return describe(self)

    def save(self, path: str | Path) -> Path:
        """Write the feed as a Parquet file; nothing half-written is left behind. Returns the path."""
        from mmlab.feeds.store import save_feed

        return save_feed(self, path)

    def __len__(self) -> int:
        return self.events.size

    def __getitem__(self, key: slice) -> Feed:
        """The part with ``t0 <= local time < t1``, opened by a snapshot of the book as it stood at t0.

        Times are UTC: text, `datetime`, `pandas.Timestamp`, or int nanoseconds.
        """
        from mmlab.feeds.slicing import cut

        if not isinstance(key, slice) or key.step is not None:
            raise TypeError("a feed is sliced by time: feed[t0:t1]; its rows are feed.events")
        events = self.events
        first = 0 if key.start is None else int(np.searchsorted(events["local_ns"], to_ns(key.start), "left"))
        stop = len(events) if key.stop is None else int(np.searchsorted(events["local_ns"], to_ns(key.stop), "left"))
        start_ns = None if key.start is None else to_ns(key.start)
        return Feed(self.instrument, cut(events, first, max(first, stop), start_ns), self.source, self.report)

    def __repr__(self) -> str:
        if not len(self):
            return f"Feed({self.instrument.symbol!r}, empty)"
        first, last = (pd.Timestamp(int(self.events["local_ns"][i]), tz="UTC") for i in (0, -1))
        kind = "synthetic" if self.synthetic else "recorded"
        span = f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"
        return f"Feed({self.instrument.symbol!r}, {len(self):,} events, {span}, {kind})"

    def _repr_html_(self) -> str:
        return self.describe()._repr_html_()


def to_ns(time: str | datetime | pd.Timestamp | np.datetime64 | int) -> int:
    """Nanoseconds since the epoch of a UTC time (without a zone: UTC is meant)."""
    if isinstance(time, int | np.integer):
        return int(time)
    try:
        stamp = pd.Timestamp(time)
    except (ValueError, TypeError) as error:
        reason = f"{time!r} is not a time: give UTC text such as '2024-08-08 23:55', or int nanoseconds"
        raise FeedError(reason) from error
    if stamp is pd.NaT:
        raise FeedError("NaT is not a time")
    stamp = stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
    return int(stamp.as_unit("ns").value)


def _utc_index(rows: Array, clock: Clock) -> pd.DatetimeIndex:
    if clock not in ("exchange", "local"):
        raise ValueError(f"clock = {clock!r}: must be 'exchange' or 'local'")
    column = rows["exch_ns" if clock == "exchange" else "local_ns"]
    return pd.DatetimeIndex(pd.to_datetime(np.ascontiguousarray(column), utc=True), name="time")
