"""From an importer's raw rows to a `Feed`: the one pipeline all formats share.

    check values -> infer or check tick and lot -> drop repeated trades -> order each stream by exchange time
    -> correct the local clock -> merge the streams by local time -> `EVENT`

Whatever is changed is counted in the feed's report; whatever cannot be right is a `FeedError` naming file and line.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from mmlab.errors import FeedError
from mmlab.events import EVENT, NS_PER_S, Kind
from mmlab.feeds.feed import Feed
from mmlab.feeds.grid import Grid, divided, given, inferred, on_grid
from mmlab.feeds.rows import UNKNOWN_NS, Rows, Sources, no_rows
from mmlab.instrument import Instrument

Array = np.ndarray[Any, Any]

MAX_LATE_NS = NS_PER_S
"""A trade that comes later than this after a newer one is dropped; a less late one is put in its place."""
EARLIEST_NS, LATEST_NS = 631_152_000 * NS_PER_S, 4_102_444_800 * NS_PER_S  # 1990, 2100
ABSURD_FACTOR = 100
"""A trade this many times above or below the median trade is refused."""
MOST_CELLS = 10**8
"""Most ticks between the lowest and the highest price a book may take: it is kept in arrays."""
PRICED = (Kind.DEPTH, Kind.TRADE, Kind.ADD, Kind.CANCEL, Kind.EXECUTE)


@dataclass(slots=True)
class Raw:
    """What an importer read.

    Attributes
    ----------
    book, trades, marks : Rows
        Streams in arrival order. `marks` holds MARK and FUNDING rows; their prices are rounded to ticks, and the size
        of a FUNDING row is the rate.
    clocks : {1, 2}
        1: only one time is known, `local_ns` repeats `exch_ns`.
    hidden_prices : bool
        Trades may print between ticks (hidden and midpoint executions); they are rounded away from the aggressor's
        side, so that no replay fills more by them.
    """

    sources: Sources
    book: Rows
    trades: Rows = field(default_factory=no_rows)
    marks: Rows = field(default_factory=no_rows)
    symbol: str = ""
    contract: Literal["linear", "inverse", "quanto"] = "linear"
    contract_size: float = 1.0
    settle: str = ""
    source: str = ""
    clocks: Literal[1, 2] = 2
    hidden_prices: bool = False
    report: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def normalise(raw: Raw, instrument: Instrument | None = None) -> Feed:
    """The feed of what an importer read.

    Parameters
    ----------
    raw : Raw
    instrument : Instrument, optional
        Checked against the data; without it tick and lot are the greatest common divisors of prices and sizes.

    Raises
    ------
    FeedError
        A value that cannot be right, or an instrument that contradicts the data, with file and line.
    """
    if not len(raw.book):
        raise FeedError("no order book rows were found", path=raw.sources.paths[0] if raw.sources.paths else None)
    for rows in (raw.book, raw.trades):
        _check_values(rows, raw.sources)
    instrument, tick, lot, inferences = _grids(raw, instrument)
    trades, counts = _order_trades(_drop_repeats(raw.trades))
    book, book_late = _order_book(raw.book, trades, raw.marks)
    streams = [_events(rows, tick, lot, raw) for rows in (trades, raw.marks, book)]
    skew_ns = min(int((e["local_ns"] - e["exch_ns"]).min()) for e in streams if e.size)
    shift_ns = max(0, -skew_ns)
    _check_prices(streams[0], trades, streams[2], book, raw)
    events = merge(merge(streams[0], streams[1]), streams[2])
    events["local_ns"] += shift_ns
    _check_snapshots(events, instrument, raw)
    report = {
        **raw.report,
        **inferences,
        "duplicates": raw.report.get("duplicates", 0) + len(raw.trades) - len(trades) - counts["late_dropped"],
        "out_of_order": raw.report.get("out_of_order", 0) + counts["out_of_order"] + book_late,
        "late_dropped": counts["late_dropped"],
        "skew_ns": skew_ns,
        "shift_ns": shift_ns,
        "clocks": raw.clocks,
        "synthetic": False,
        "files": [path.name for path in raw.sources.paths],
        "notes": [*raw.notes, *_notes(counts, shift_ns, instrument, inferences)],
    }
    return Feed(instrument, events, raw.source, report)


def _check_values(rows: Rows, sources: Sources) -> None:
    """Refuse prices, sizes and times that cannot be right."""
    kind = rows.kind
    for column in (rows.exch_ns, rows.local_ns):
        wrong = ((column < EARLIEST_NS) | (column > LATEST_NS)) & (column != UNKNOWN_NS)
        if wrong.any():
            i = int(np.argmax(wrong))
            reason = f"time {column[i]} ns is absurd: not between 1990 and 2100; is its unit right?"
            raise sources.error(reason, rows.place[i])
    wrong = np.isin(kind, PRICED) & (rows.price.mantissa <= 0)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise sources.error(f"price {rows.price.text(i)} must be > 0", rows.place[i])
    wrong = np.isin(kind, PRICED) & ((rows.size.mantissa < 0) | ((rows.size.mantissa == 0) & (kind != Kind.DEPTH)))
    if wrong.any():
        i = int(np.argmax(wrong))
        least = ">= 0" if kind[i] == Kind.DEPTH else "> 0"
        raise sources.error(f"size {rows.size.text(i)} must be {least}", rows.place[i])


def _grids(raw: Raw, instrument: Instrument | None) -> tuple[Instrument, Grid, Grid, dict[str, Any]]:
    """The instrument, its two grids, and what was inferred."""
    if instrument is not None:
        return instrument, given(instrument.tick_size), given(instrument.lot_size), {}
    priced = [rows[np.isin(rows.kind, PRICED)] for rows in (raw.book, raw.trades)]
    if raw.contract == "quanto":
        reason = (
            f"{raw.symbol} is a quanto contract, whose P&L needs a third price: not supported; "
            "give instrument= to import its ticks all the same, or another symbol="
        )
        raise FeedError(reason, path=raw.sources.paths[0])
    prices = [priced[0].price] if raw.hidden_prices else [rows.price for rows in priced]
    tick, lot = inferred(prices), inferred([rows.size for rows in priced])
    if tick is None or lot is None:
        reason = "tick and lot cannot be inferred from an empty book: give instrument="
        raise FeedError(reason, path=raw.sources.paths[0])
    found = Instrument(
        raw.symbol or "unknown", tick.size, lot.size,
        contract=raw.contract, contract_size=raw.contract_size, settle=raw.settle,
    )  # fmt: skip
    return found, tick, lot, {"tick_inferred": True, "lot_inferred": True}


def _drop_repeats(trades: Rows) -> Rows:
    """Without the second and later rows of a match id (0: unknown, kept)."""
    _, first = np.unique(trades.order_id, return_index=True)
    keep = trades.order_id == 0
    keep[first] = True
    return trades if keep.all() else trades[keep]


def _order_trades(trades: Rows) -> tuple[Rows, dict[str, int]]:
    """Trades by exchange time. One that moves keeps its exchange time and is known no earlier than it came."""
    newest = np.maximum.accumulate(trades.exch_ns) if len(trades) else trades.exch_ns
    too_late = trades.exch_ns < newest - MAX_LATE_NS
    counts = {
        "out_of_order": int(np.count_nonzero(trades.exch_ns < newest)),
        "late_dropped": int(np.count_nonzero(too_late)),
    }
    if counts["out_of_order"]:
        trades = trades[~too_late]
        trades = trades[np.argsort(trades.exch_ns, kind="stable")]
        trades.local_ns = np.maximum.accumulate(trades.local_ns)
    return trades, counts


def _order_book(book: Rows, trades: Rows, marks: Rows) -> tuple[Rows, int]:
    """Book rows with exchange times that are known and never decrease; and how many messages had an older one."""
    exch_ns = book.exch_ns.copy()
    unknown = exch_ns == UNKNOWN_NS
    if unknown.any():
        exch_ns = _guess_times(book, [rows for rows in (book[~unknown], trades, marks) if len(rows)])
    newest = np.maximum.accumulate(exch_ns)
    late = exch_ns < newest
    messages = int(np.unique(book.place[late]).size)
    return replace(book, exch_ns=newest), messages


def _guess_times(book: Rows, known: list[Rows]) -> Array:
    """Exchange times with the unknown ones set: when received (clock corrected), but before the next known one."""
    if not known:
        return book.local_ns.copy()
    skew_ns = min(int((rows.local_ns - rows.exch_ns).min()) for rows in known)
    received = book.local_ns + max(0, -skew_ns)
    unknown = book.exch_ns == UNKNOWN_NS
    following = np.minimum.accumulate(np.where(unknown, np.iinfo(np.int64).max, book.exch_ns)[::-1])[::-1]
    return np.where(unknown, np.minimum(received, following), book.exch_ns)


def _events(rows: Rows, tick: Grid, lot: Grid, raw: Raw) -> Array:
    """`EVENT` rows of one stream, in its order."""
    events = np.zeros(len(rows), EVENT)
    for name in ("exch_ns", "local_ns", "kind", "side", "order_id"):
        events[name] = getattr(rows, name)
    marks = np.isin(rows.kind, (Kind.MARK, Kind.FUNDING))
    if marks.any():
        events["price_ticks"] = divided(rows.price, tick, rows, raw.sources, "price")[0]
        billionths = np.rint(rows.size.mantissa * 10.0 ** (9 - rows.size.places.astype(np.float64)))
        events["size_lots"] = np.where(rows.kind == Kind.FUNDING, billionths, 0)
    elif raw.hidden_prices and len(rows) and rows.kind[0] == Kind.TRADE:
        down, between = divided(rows.price, tick, rows, raw.sources, "price")
        events["price_ticks"] = down + (between & (rows.side < 0))
        events["size_lots"] = on_grid(rows.size, lot, rows, raw.sources, "size")
    else:
        events["price_ticks"] = on_grid(rows.price, tick, rows, raw.sources, "price")
        events["size_lots"] = on_grid(rows.size, lot, rows, raw.sources, "size")
    return events


def merge(first: Array, second: Array) -> Array:
    """Two arrays of EVENT sorted by local time as one; at equal times the rows of `first` come first."""
    if not first.size or not second.size:
        return second if not first.size else first
    out = np.zeros(first.size + second.size, EVENT)
    from_first = np.zeros(out.size, bool)
    from_first[np.searchsorted(second["local_ns"], first["local_ns"], "left") + np.arange(first.size)] = True
    out[from_first], out[~from_first] = first, second
    return out


def _check_prices(trade_events: Array, trades: Rows, book_events: Array, book: Rows, raw: Raw) -> None:
    """Refuse trades far from all others, and grids so fine that no book can be kept on them."""
    executed = book_events["kind"] == Kind.EXECUTE
    ticks = np.concatenate([trade_events["price_ticks"], book_events["price_ticks"][executed]])
    levels = book_events["price_ticks"][book_events["price_ticks"] > 0]
    low, high = (levels.min(), levels.max()) if levels.size else (0, 0)
    if ticks.size:
        middle = float(np.median(ticks))
        far = (ticks > middle * ABSURD_FACTOR) | (ticks * ABSURD_FACTOR < middle)
        if far.any():
            i = int(np.argmax(far))
            rows, i = (trades, i) if i < len(trades) else (book, int(np.flatnonzero(executed)[i - len(trades)]))
            reason = f"trade at {rows.price.text(i)} is absurd: more than {ABSURD_FACTOR} times off the median trade"
            raise raw.sources.error(reason, rows.place[i])
        low, high = max(low, ticks.min() // 2), min(high, ticks.max() * 2)
    if high - low > MOST_CELLS:  # through a price of too many decimals, or, without trades, one far from the others
        finest = max((book, trades), key=lambda rows: int(rows.price.places.max(initial=0)))
        rows, measure = (finest, finest.price.places) if ticks.size else (book, book_events["price_ticks"])
        i = int(np.argmax(measure))
        reason = f"price {rows.price.text(i)} is absurd: the book would span {high - low:,} ticks"
        raise raw.sources.error(reason, rows.place[i])


def _check_snapshots(events: Array, instrument: Instrument, raw: Raw) -> None:
    """Refuse a snapshot whose bids reach its asks."""
    begins = np.flatnonzero(events["kind"] == Kind.SNAPSHOT_BEGIN)
    ends = np.flatnonzero(events["kind"] == Kind.SNAPSHOT_END)
    for n, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        rows = events[begin:end]
        rows = rows[rows["size_lots"] > 0]
        bids, asks = (rows["price_ticks"][rows["side"] == side] for side in (1, -1))
        if bids.size and asks.size and bids.max() >= asks.min():
            place = raw.book.place[np.flatnonzero(raw.book.kind == Kind.SNAPSHOT_BEGIN)[n]]
            bid, ask = (round(instrument.to_price(int(t)), 12) for t in (bids.max(), asks.min()))
            raise raw.sources.error(f"crossed snapshot: best bid {bid:g} is not below best ask {ask:g}", place)


def _notes(counts: dict[str, int], shift_ns: int, instrument: Instrument, inferences: dict[str, Any]) -> list[str]:
    notes = []
    if shift_ns:
        notes.append(f"the local clock ran behind the exchange: {shift_ns / NS_PER_S:.6f} s were added to local times")
    if counts["late_dropped"]:
        late_s = MAX_LATE_NS // NS_PER_S
        notes.append(f"{counts['late_dropped']} trades came more than {late_s} s late and were dropped")
    if inferences:
        kind = f"{instrument.contract}, contract size {instrument.contract_size:g}"
        notes.append(f"instrument inferred: tick {instrument.tick_size!r}, lot {instrument.lot_size!r}, {kind}")
    return notes
