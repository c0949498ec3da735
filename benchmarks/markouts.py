"""`mmlab.markouts` against `pandas.merge_asof`: many fills, many quotes, six horizons, one core.

    python benchmarks/markouts.py --fills 1000000 --quotes 10000000

prints one JSON line: CPU seconds of each (median of `--repeats`), their ratio, and the largest difference in bps.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

import mmlab

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


def with_merge_asof(fills: pd.DataFrame, quotes: pd.DataFrame) -> pd.DataFrame:
    """Markouts the pandas way: one `merge_asof` a horizon."""
    sign = np.where(fills["side"] == "bid", 1.0, -1.0)
    right = pd.DataFrame({"at": quotes.index, "reference": quotes["mid"].to_numpy()})
    out = {}
    for horizon_s in HORIZONS_S:
        left = pd.DataFrame({"at": fills.index + pd.Timedelta(seconds=horizon_s)})
        mid = pd.merge_asof(left, right, on="at", tolerance=MAX_AGE)["reference"].to_numpy()
        mid = np.where(left["at"] < quotes.index[-1], mid, np.nan)
        out[f"markout_{horizon_s:g}s_bps"] = 1e4 * sign * (mid - fills["price"].to_numpy()) / fills["price"].to_numpy()
    return pd.DataFrame(out, index=fills.index)


def cpu_seconds(run: Callable[[], pd.DataFrame], repeats: int) -> tuple[float, pd.DataFrame]:
    """Median CPU time of `repeats` runs, and the last result."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = run()
        times.append(time.process_time() - start)
    return statistics.median(times), result


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
    ours, mine = cpu_seconds(lambda: mmlab.markouts(fills, quotes, HORIZONS_S), args.repeats)
    theirs, other = cpu_seconds(lambda: with_merge_asof(fills, quotes), args.repeats)
    difference = (mine[other.columns] - other).abs().max().max()
    same_nan = bool((mine[other.columns].isna() == other.isna()).all().all())
    print(
        json.dumps(
            {
                "fills": args.fills,
                "quotes": args.quotes,
                "horizons_s": HORIZONS_S,
                "mmlab_cpu_s": round(ours, 4),
                "merge_asof_cpu_s": round(theirs, 4),
                "ratio": round(theirs / ours, 2),
                "max_abs_difference_bps": float(difference),
                "same_nan": same_nan,
            }
        )
    )


if __name__ == "__main__":
    main()
