"""Print the stylised facts of data/sample.parquet and draw docs/pictures/synthetic.svg.

Run ``python docs/synthetic_picture.py``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import mmlab
from mmlab.events import NS_PER_S, Kind

DOCS = Path(__file__).parent
WIDTH, HEIGHT, PAD = 860, 150, 46


def panel(top: int, title: str, y: np.ndarray, *, bars: bool, labels: tuple[str, str]) -> str:
    """One panel: a line or bars of `y`, its extremes written at the left."""
    low, high = (0.0, float(y.max())) if bars else (float(y.min()), float(y.max()))
    x = PAD + (np.arange(y.size) + 0.5 * bars) / (y.size - (not bars)) * (WIDTH - PAD - 8)
    up = top + HEIGHT - 22 - (y - low) / (high - low) * (HEIGHT - 46)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, up, strict=True))
    base, step = top + HEIGHT - 22, (WIDTH - PAD - 8) / y.size
    drawn = (
        "".join(f'<rect x="{a - 0.4 * step:.1f}" y="{b:.1f}" width="{0.8 * step:.1f}" height="{base - b:.1f}"/>'
                for a, b in zip(x, up, strict=True))
        if bars else f'<polyline points="{points}"/>'
    )  # fmt: skip
    style = 'fill="#3b6ea5"' if bars else 'fill="none" stroke="#3b6ea5" stroke-width="1"'
    return (
        f'<text x="{PAD}" y="{top + 14}" font-weight="bold">{title}</text><g {style}>{drawn}</g>'
        f'<text x="2" y="{top + 30}">{high:,.{6 if high > 1 else 2}g}</text><text x="2" y="{base}">{low:,.6g}</text>'
        f'<text x="{PAD}" y="{base + 14}">{labels[0]}</text>'
        f'<text x="{WIDTH - 8}" y="{base + 14}" text-anchor="end">{labels[1]}</text>'
    )


def facts(events: np.ndarray, book: np.ndarray) -> dict[str, float]:
    """Stylised facts by name; `book` holds the valid rows of the feed's book table."""
    seconds = (events["exch_ns"][-1] - events["exch_ns"][0]) / NS_PER_S
    trades = events[events["kind"] == Kind.TRADE]
    orders = trades[np.unique(trades["order_id"], return_index=True)[1]]
    counts = np.bincount((orders["exch_ns"] - orders["exch_ns"][0]) // NS_PER_S)
    mid = (book["bid_ticks"] + book["ask_ticks"]) / 2
    clock = np.arange(book["exch_ns"][0], book["exch_ns"][-1], NS_PER_S)
    prevailing = mid[np.searchsorted(book["exch_ns"], clock, "right") - 1]
    returns_bps = 1e4 * np.diff(prevailing) / prevailing[:-1]
    # The makers of prints at the touch, marked out after 1 s.
    trades = trades[trades["exch_ns"] < events["exch_ns"][-1] - NS_PER_S]
    maker, price = -trades["side"].astype(float), trades["price_ticks"]
    before = np.maximum(np.searchsorted(book["exch_ns"], trades["exch_ns"], "left") - 1, 0)
    after = np.searchsorted(book["exch_ns"], trades["exch_ns"] + NS_PER_S, "right") - 1
    touch = np.where(maker > 0, book["bid_ticks"][before], book["ask_ticks"][before]) == price
    capture, markout = ((1e4 * maker * (m - price) / price)[touch] for m in (mid[before], mid[after]))
    weight = trades["size_lots"][touch]
    return {
        "rows": len(events),
        "depth messages, 1/s": len(np.unique(events["order_id"][events["kind"] == Kind.DEPTH])) / seconds,
        "market orders, 1/s": len(orders) / seconds,
        "median spread, ticks": float(np.median(book["ask_ticks"] - book["bid_ticks"])),
        "dispersion of market orders in 1 s (Poisson: 1)": counts.var() / counts.mean(),
        "correlation of consecutive order sides": np.corrcoef(orders["side"][:-1], orders["side"][1:])[0, 1],
        "volatility, bps/sqrt(s)": returns_bps.std(),
        "the same, median over minutes": np.median([r.std() for r in np.array_split(returns_bps, 30)]),
        "autocorrelation of 1 s returns": np.corrcoef(returns_bps[:-1], returns_bps[1:])[0, 1],
        "kurtosis of 1 s returns (normal: 3)": ((returns_bps / returns_bps.std()) ** 4).mean(),
        "touch makers: spread capture, bps": capture.mean(),
        "touch makers: markout 1 s, bps": markout.mean(),
        "the same, size-weighted": np.average(markout, weights=weight),
    }


def main() -> None:
    feed = mmlab.load_feed(DOCS.parent / "data" / "sample.parquet")
    book = feed.book()
    book = book[book["valid"] == 1]
    for name, value in facts(feed.events, book).items():
        print(f"{name:48} {value:,.6g}" if value > 1000 else f"{name:48} {value:.3f}")
    held = np.diff(book["exch_ns"], append=book["exch_ns"][-1])
    clock = np.arange(book["exch_ns"][0], book["exch_ns"][-1], 2 * NS_PER_S)
    last = np.searchsorted(book["exch_ns"], clock, "right") - 1
    mid = (book["bid_ticks"] + book["ask_ticks"])[last] / 2
    shares = np.bincount(book["ask_ticks"] - book["bid_ticks"], held)[1:9] / held.sum()
    trades = feed.events[feed.events["kind"] == Kind.TRADE]["exch_ns"]
    counts = np.bincount((trades - book["exch_ns"][0]) // (5 * NS_PER_S))
    panels = (
        ("Mid, ticks", mid, False, ("0 min", "30 min")),
        ("Prints in each 5 seconds", counts.astype(float), True, ("0 min", "30 min")),
        ("Spread, share of time at 1 to 8 ticks", shares, True, ("1", "8 ticks")),
    )
    body = "".join(panel(i * HEIGHT, t, y, bars=b, labels=lab) for i, (t, y, b, lab) in enumerate(panels))
    (DOCS / "pictures" / "synthetic.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT * 3}" font-family="sans-serif" '
        f'font-size="11"><rect width="100%" height="100%" fill="white"/>{body}</svg>\n'
    )


if __name__ == "__main__":
    main()
