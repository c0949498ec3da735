"""A synthetic market: Hawkes order flow around a mean-reverting efficient price, with a queue-reactive book.

The model, its parameters and what its output looks like are described in ``docs/synthetic.md``. The same seed gives the
same bytes. Nothing here is market data, and feeds made here say so.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from mmlab.errors import ConfigError, MMLabError
from mmlab.events import EVENT, NS_PER_S
from mmlab.feeds import _synthetic_kernel as market
from mmlab.feeds._synthetic_book import SYNTHETIC_STATE
from mmlab.feeds.feed import Feed
from mmlab.instrument import Instrument
from mmlab.kernels.policy import one_row, records

Array = np.ndarray[Any, Any]

START_NS = 1_704_109_500_000_000_000
"""Time of the first row: 2024-01-01 11:45 UTC, a quarter of an hour before a funding instant."""
HOUR_S = 3600.0
MAX_HALF_WINDOW_TICKS = 4096
CHUNK_ROWS = 1 << 17
MAX_DURATION_S = 30 * 86400.0
SYNTHETIC_INSTRUMENT = Instrument(
    "SYNTHETIC-BTC-PERP", tick_size=1.0, lot_size=0.001, min_notional=10.0, maker_fee_bps=0.0, taker_fee_bps=2.0,
    settle="USD",
)  # fmt: skip
"""A perpetual on bitcoin at about 60,000 a coin, with a tick of 1: so a tick is 0.17 bps, wide enough for a queue."""


def _parameter(default: float, unit: str, low: float, high: float, meaning: str) -> Any:
    """A field of `SyntheticParameters` with its unit, allowed range and meaning."""
    return field(default=default, metadata={"unit": unit, "low": low, "high": high, "meaning": meaning})


@dataclass(frozen=True, slots=True)
class SyntheticParameters:
    """Parameters of the synthetic market. Units and ranges are in each field's metadata, and in ``docs/synthetic.md``.

    Raises
    ------
    ConfigError
        Listing every value that is out of range.
    """

    price_ticks: float = _parameter(60_000, "ticks", 2000, 1e12, "price about which the efficient price moves")
    sigma_ticks: float = _parameter(1.6, "ticks/sqrt(s)", 0, 20, "volatility of the slow efficient price")
    reversion_s: float = _parameter(900, "s", 1, 1e6, "time constant with which the slow price returns")
    transient_ticks: float = _parameter(0.8, "ticks", 0, 100, "standard deviation of the fast price component")
    transient_s: float = _parameter(4.0, "s", 0.01, 1e4, "time constant of the fast price component")
    trade_rate: float = _parameter(5.0, "1/s", 0.01, 1000, "market orders, both sides, with their excitation")
    self_excitation: float = _parameter(0.45, "1", 0, 0.7, "market orders of the same side that one brings about")
    cross_excitation: float = _parameter(0.15, "1", 0, 0.25, "market orders of the other side that one brings about")
    excitation_s: float = _parameter(0.2, "s", 1e-3, 100, "time constant of the excitation")
    informed: float = _parameter(0.35, "1/tick", 0, 10, "tilt of market orders towards the efficient price")
    informed_cap: float = _parameter(5.0, "1", 1, 100, "largest tilt")
    impact_ticks: float = _parameter(0.12, "ticks", 0, 10, "permanent impact of a market order of typical size")
    trade_lots: float = _parameter(80, "lots", 1, 1e9, "typical market order")
    large_share: float = _parameter(0.05, "1", 0, 1, "share of market orders that are large and may take levels")
    large_factor: float = _parameter(8.0, "1", 1, 1000, "size of a large market order, in typical ones")
    order_lots: float = _parameter(200, "lots", 1, 1e9, "typical limit order and cancellation")
    queue_lots: float = _parameter(800, "lots", 1, 1e9, "scale of queue lengths")
    depth_ticks: float = _parameter(40, "ticks", 5, 200, "distance within which orders arrive and are canceled")
    near_ticks: float = _parameter(2.5, "ticks", 0.1, 200, "scale of the distance of limit orders and cancellations")
    limit_rate: float = _parameter(16.0, "1/s", 0.1, 1000, "candidate limit orders, a side")
    cancel_rate: float = _parameter(14.0, "1/s", 0.1, 1000, "candidate cancellations, a side")
    pull_rate: float = _parameter(12.0, "1/(s tick)", 0, 1000, "withdrawal of levels the efficient price left behind")
    edge_ticks: float = _parameter(0.5, "ticks", -5, 20, "edge at which half of the limit orders are willing")
    edge_width_ticks: float = _parameter(1.0, "ticks", 0.01, 20, "width of the willingness ramp")
    pull_edge_ticks: float = _parameter(0.0, "ticks", -20, 20, "edge below which a level may be withdrawn")
    latency_ms: float = _parameter(2.0, "ms", 0, 1e4, "least feed latency")
    latency_jitter_ms: float = _parameter(1.5, "ms", 0, 1e4, "mean of the random part of the feed latency")
    latency_spike_share: float = _parameter(0.005, "1", 0, 1, "share of messages with a latency spike")
    latency_spike_ms: float = _parameter(25.0, "ms", 0, 1e4, "mean latency spike")
    mark_every_s: float = _parameter(1.0, "s", 0, 1e9, "interval of MARK rows; 0: none")
    funding_every_s: float = _parameter(HOUR_S, "s", 0, 1e9, "interval of FUNDING rows; 0: none")
    funding_rate: float = _parameter(1.25e-5, "1", -1, 1, "funding rate a FUNDING row books")
    flip_every_s: float = _parameter(240, "s", 0, 1e9, "one flip-flop episode in each such period; 0: none")
    flip_s: float = _parameter(0.6, "s", 0, 1e6, "its length")
    toggle_rate: float = _parameter(80.0, "1/s", 0, 1e4, "toggles of the best queue in a flip-flop episode")
    toggle_factor: float = _parameter(6.0, "1", 0, 1000, "toggled size, in queue scales")
    burst_every_s: float = _parameter(1800, "s", 0, 1e9, "one volatility burst in each such period; 0: none")
    burst_s: float = _parameter(25, "s", 0, 1e6, "its length")
    burst_factor: float = _parameter(10.0, "1", 0, 20, "volatility in a burst, times the ordinary one")
    burst_activity: float = _parameter(2.0, "1", 0.1, 100, "limit orders and cancellations in a burst, likewise")
    trend_every_s: float = _parameter(450, "s", 0, 1e9, "one trend in each such period; 0: none")
    trend_s: float = _parameter(60, "s", 0, 1e6, "its length")
    trend_ticks_per_s: float = _parameter(0.8, "ticks/s", 0, 100, "drift of the efficient price in a trend")
    sweep_every_s: float = _parameter(180, "s", 0, 1e9, "one episode of one-sided sweeps in each such period; 0: none")
    sweep_s: float = _parameter(3, "s", 0, 1e6, "its length")
    sweep_rate: float = _parameter(5.0, "1/s", 0, 1000, "extra market orders of the sweeping side")
    sweep_ticks_per_s: float = _parameter(3.0, "ticks/s", 0, 100, "drift of the efficient price while sweeping")
    stale_every_s: float = _parameter(1800, "s", 0, 1e9, "one pause of the venue in each such period; 0: none")
    stale_s: float = _parameter(3, "s", 0, 1e6, "its length")
    gap_every_s: float = _parameter(1800, "s", 0, 1e9, "one loss of messages (GAP, then a snapshot); 0: none")
    gap_s: float = _parameter(0.4, "s", 0, 1e6, "its length")

    def __post_init__(self) -> None:
        wrong = []
        for f in fields(self):
            value, low, high = getattr(self, f.name), f.metadata["low"], f.metadata["high"]
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                wrong.append(f"{f.name} = {value!r}: must be a number from {low:g} to {high:g} ({f.metadata['unit']})")
        if wrong:
            raise ConfigError("synthetic feed: " + "; ".join(wrong))


_OURS = ("half_window", "low_ticks", "start_ns", "first_funding_s")
_EPISODES = ("flip", "burst", "trend", "sweep", "stale", "gap")
"""In the order of the kernel's episode numbers."""
_INTEGERS = ("half_window", "low_ticks", "start_ns", "price_ticks", "depth_ticks")
SYNTHETIC_PARAMS = np.dtype(
    [(name, "i8" if name in _INTEGERS else "f8") for name in (*(f.name for f in fields(SyntheticParameters)), *_OURS)]
    + [("every_s", "f8", (len(_EPISODES),)), ("length_s", "f8", (len(_EPISODES),))],
    align=True,
)
"""`SyntheticParameters` as the kernel reads them."""


def _checked(parameters: dict[str, float]) -> SyntheticParameters:
    """Parameters by name; an unknown name is an error that suggests the nearest one."""
    known = [f.name for f in fields(SyntheticParameters)]
    wrong = []
    for name in parameters:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            wrong.append(f"{name}: no such parameter" + (f", did you mean {near[0]}?" if near else ""))
    if wrong:
        raise ConfigError("synthetic feed: " + "; ".join(wrong))
    return SyntheticParameters(**parameters)


def _kernel_parameters(parameters: SyntheticParameters) -> Array:
    """The `SYNTHETIC_PARAMS` row of `parameters`."""
    row = one_row(SYNTHETIC_PARAMS)
    values = asdict(parameters)
    for name, value in values.items():
        row[name] = value
    row["every_s"] = [values[f"{episode}_every_s"] for episode in _EPISODES]
    row["length_s"] = [values[f"{episode}_s"] for episode in _EPISODES]
    half_window = min(MAX_HALF_WINDOW_TICKS, int(parameters.price_ticks) - 1)
    row["half_window"] = half_window
    row["low_ticks"] = int(parameters.price_ticks) - half_window
    row["start_ns"] = START_NS
    funding_ns = max(int(parameters.funding_every_s), 1) * NS_PER_S
    row["first_funding_s"] = (-START_NS % funding_ns) / NS_PER_S
    return row


def _distance_quantiles(parameters: SyntheticParameters) -> Array:
    """Distances in ticks, i8[QUANTILES]: three quarters geometric near the touch, one quarter uniform over depth."""
    distance = np.arange(int(parameters.depth_ticks))
    near = np.exp(-distance / parameters.near_ticks)
    cumulative = np.cumsum(0.75 * near / near.sum() + 0.25 / distance.size)
    middle = (np.arange(market.QUANTILES) + 0.5) / market.QUANTILES
    return np.searchsorted(cumulative, middle).astype(np.int64)


class _Market:
    """One synthetic market: its book and state, and the generator that drives it."""

    def __init__(self, seed: int, parameters: SyntheticParameters) -> None:
        self.params = _kernel_parameters(parameters)
        self.state = one_row(SYNTHETIC_STATE)
        self.lots = np.zeros((2, 2 * int(self.params["half_window"][0]) + 1), np.int64)
        self.near = _distance_quantiles(parameters)
        self.rng = np.random.Generator(np.random.PCG64(seed))

    def rows(self, out: Array, until_s: float, *, exactly: bool) -> Array:
        """The rows written into `out`."""
        n = market.generate(self.state, self.params, self.lots, self.near, self.rng, records(out), until_s, exactly)
        return out[:n]


def synthetic_events(
    duration_s: float = 1800.0, seed: int = 0, *, events: int | None = None, **parameters: float
) -> Array:
    """Rows of a synthetic full-depth feed.

    Parameters
    ----------
    duration_s : float
        Length in seconds of exchange time; ignored when `events` is given.
    seed : int
        Seed of the market; equal seeds and parameters give equal bytes.
    events : int, optional
        Make exactly this many rows instead, at least four times `depth_ticks` plus 64.
    **parameters : float
        Fields of `SyntheticParameters`.

    Returns
    -------
    ndarray of EVENT, shape (n,)
        A snapshot, then DEPTH, TRADE, MARK, FUNDING and GAP rows sorted by ``local_ns``. A trade comes before the
        depth message it causes, at the same two times.

    Raises
    ------
    ConfigError
        A parameter is unknown or out of range.
    """
    checked = _checked(parameters)
    source = _Market(seed, checked)
    if events is not None:
        least = 4 * int(checked.depth_ticks) + 64
        if events < least:
            raise ConfigError(f"synthetic feed: events = {events}: must be at least {least}, for the first snapshot")
        return source.rows(np.zeros(events, EVENT), np.inf, exactly=True)
    if not 0 < duration_s <= MAX_DURATION_S:
        raise ConfigError(f"synthetic feed: duration_s = {duration_s!r}: must be > 0 and <= {MAX_DURATION_S:g} (s)")
    chunks = []
    while source.state["t_s"][0] < duration_s:
        chunks.append(source.rows(np.zeros(CHUNK_ROWS, EVENT), duration_s, exactly=False))
    # As bytes, so that the padding between columns stays zero and equal seeds give equal bytes.
    return np.concatenate([chunk.view(np.uint8) for chunk in chunks]).view(EVENT)


def synthetic_feed(
    duration_s: float = 1800.0, seed: int = 0, instrument: Instrument | None = None, **parameters: float
) -> Feed:
    """A synthetic market as a `Feed`.

    Parameters
    ----------
    duration_s, seed, **parameters
        As for `synthetic_events`.
    instrument : Instrument, optional
        What a tick and a lot are worth; the market itself is made in ticks and lots. Default: `SYNTHETIC_INSTRUMENT`.

    Returns
    -------
    Feed
        Its source and report say that it is synthetic.

    Raises
    ------
    ConfigError
        A parameter is unknown or out of range.
    """
    given = "".join(f", {name}={value!r}" for name, value in parameters.items())
    source = f"synthetic: mmlab.feeds.synthetic.synthetic_feed(duration_s={duration_s!r}, seed={seed!r}{given})"
    rows = synthetic_events(duration_s, seed, events=None, **parameters)
    report = {
        "synthetic": True,
        "clocks": 2,
        "skew_ns": int((rows["local_ns"] - rows["exch_ns"]).min()),
        "notes": ["Synthetic order flow made by mmlab; not market data."],
    }
    return Feed(instrument or SYNTHETIC_INSTRUMENT, rows, source, report)


def main(arguments: list[str] | None = None) -> None:
    """Write a synthetic feed to a file: what ``python -m mmlab.feeds.synthetic`` does."""
    parser = argparse.ArgumentParser(
        prog="python -m mmlab.feeds.synthetic",
        description="Make a synthetic feed. The same options give the same events; data/sample.parquet is the default.",
        epilog="example: python -m mmlab.feeds.synthetic --out data/sample.parquet --duration-s 1800 --seed 0",
    )
    parser.add_argument("--out", required=True, help="Parquet file to write")
    parser.add_argument("--duration-s", type=float, default=1800.0, help="length in seconds (default 1800)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the market (default 0)")
    options = parser.parse_args(arguments)
    try:
        feed = synthetic_feed(options.duration_s, options.seed)
        feed.save(options.out)
    except (MMLabError, OSError) as error:
        parser.error(str(error))
    sys.stdout.write(f"{options.out}: {len(feed)} rows, {options.duration_s:g} s, seed {options.seed}, synthetic\n")


if __name__ == "__main__":
    main()
