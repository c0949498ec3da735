"""`mmlab.markouts` against `pandas.merge_asof`: many fills, many quotes, six horizons.

    python benchmarks/markouts.py --fills 1000000 --quotes 10000000

prints one JSON line: CPU and wall seconds (median of `--repeats`) of `mmlab.markouts`, of the same table made with
`merge_asof` (one join a horizon, one for the mid before the fill), and of the six bare joins without a table; the
ratios of CPU time; and the largest difference between the tables.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pandas as pd

import mmlab

T = TypeVar("T")
HORIZONS_S = (0.1, 0.5, 1, 5, 30, 60)
MAX_AGE = pd.Timedelta(seconds=60)


def market(fills: int, quotes: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A random walk of quotes, 1 ms apart on average, and fills at random times about their mid."""
    rng = np.random.default_rng(seed)
    start = pd.Timestamp("2024-01-01", tz="UTC").value
    ns = start + np.cumsum(rng.exponential(1e6, quotes).astype(np.int64) + 1)
    mid = 60_000 + 0.05 * np.cumsum(rng.integers(-1, 2, quotes))
    book = pd.DataFrame(
        {"bid": mid - 0.05, "ask": mid + 0.05, "bid_size": 1.0, "ask_size": 1.0, "mid": mid, "micro": mid},
        index=pd.DatetimeIndex(ns, tz="UTC"),
    )
    at = np.sort(rng.integers(ns[0], ns[-1], fills))
    side = rng.integers(0, 2, fills)
    price = mid[np.searchsorted(ns, at, side="right") - 1] + np.where(side == 1, -0.05, 0.05)
    mine = pd.DataFrame(
        {"side": np.where(side == 1, "bid", "ask"), "price": price, "size": 1.0, "fee": 0.0},
        index=pd.DatetimeIndex(at, tz="UTC"),
    )
    return mine, book


def joins(fills: pd.DataFrame, quotes: pd.DataFrame) -> list[pd.DataFrame]:
    """Six bare joins: nothing but the mid at each horizon, stale or past the end as it may be."""
    right = quotes[["mid"]]
    later = [fills.index + pd.Timedelta(seconds=h) for h in HORIZONS_S]
    return [pd.merge_asof(pd.DataFrame(index=at), right, left_index=True, right_index=True) for at in later]


def with_merge_asof(fills: pd.DataFrame, quotes: pd.DataFrame) -> pd.DataFrame:
    """The table of `mmlab.markouts` the pandas way."""
    sign, price = np.where(fills["side"] == "bid", 1e4, -1e4), fills["price"].to_numpy()
    right = pd.DataFrame({"at": quotes.index, "mid": quotes["mid"].to_numpy()})
    before = pd.merge_asof(pd.DataFrame({"at": fills.index}), right, on="at", allow_exact_matches=False)["mid"]
    before = before.to_numpy()
    out = {"mid": before, "spread_capture_bps": sign * (before - price) / price}
    for horizon_s in HORIZONS_S:
        left = pd.DataFrame({"at": fills.index + pd.Timedelta(seconds=horizon_s)})
        mid = pd.merge_asof(left, right, on="at", tolerance=MAX_AGE)["mid"].to_numpy()
        mid = np.where(left["at"] < quotes.index[-1], mid, np.nan)
        out[f"markout_{horizon_s:g}s_bps"] = sign * (mid - price) / price
        out[f"adverse_{horizon_s:g}s_bps"] = sign * (mid - before) / price
    return pd.DataFrame(out, index=fills.index)


def timed(run: Callable[[], T], repeats: int) -> tuple[float, float, T]:
    """Median CPU and wall time of `repeats` runs, and the last result."""
    cpu, wall = [], []
    for _ in range(repeats):
        start = time.process_time(), time.perf_counter()
        result = run()
        cpu.append(time.process_time() - start[0])
        wall.append(time.perf_counter() - start[1])
    return statistics.median(cpu), statistics.median(wall), result


def main() -> None:
    """Run both and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fills", type=int, default=1_000_000)
    parser.add_argument("--quotes", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    mmlab.markouts(*market(10, 100, args.seed), HORIZONS_S)  # compiles, or loads the cache
    fills, quotes = market(args.fills, args.quotes, args.seed)
    ours, our_wall, mine = timed(lambda: mmlab.markouts(fills, quotes, HORIZONS_S), args.repeats)
    theirs, their_wall, other = timed(lambda: with_merge_asof(fills, quotes), args.repeats)
    bare, bare_wall, _ = timed(lambda: joins(fills, quotes), args.repeats)
    other = other[mine.columns]
    result = {
        "fills": args.fills,
        "quotes": args.quotes,
        "horizons_s": HORIZONS_S,
        "mmlab_cpu_s": ours,
        "merge_asof_cpu_s": theirs,
        "ratio": theirs / ours,
        "bare_joins_cpu_s": bare,
        "ratio_to_bare_joins": bare / ours,
        "mmlab_wall_s": our_wall,
        "merge_asof_wall_s": their_wall,
        "bare_joins_wall_s": bare_wall,
        "max_abs_difference": float((mine - other).abs().max().max()),
        "same_nan": bool((mine.isna() == other.isna()).all(axis=None)),
    }
    print(json.dumps({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in result.items()}))


if __name__ == "__main__":
    main()
