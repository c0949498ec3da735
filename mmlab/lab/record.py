"""`Record`: the data of a run, as a driver left it or as its directory tells it, and the tables a user reads."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mmlab.config import Config
from mmlab.feeds.feed import Feed
from mmlab.instrument import Instrument
from mmlab.lab.episodes import episodes
from mmlab.lab.feed_facts import feed_facts
from mmlab.lab.fill_markouts import fill_markouts, wide
from mmlab.metrics.bands import markout_bands
from mmlab.telemetry.info import RunInfo
from mmlab.telemetry.tables import Scale, Tables, to_frame

Array = np.ndarray[Any, Any]


class Record:
    """Config, market, tables and facts of one run.

    Parameters
    ----------
    config : Config
        Effective configuration.
    feed : Feed or callable
        What was replayed; a callable loads it when it is first asked for.
    instrument : Instrument
        The market as traded: fees of the run, which may differ from the feed's.
    tables : Tables
        What the driver wrote: fills by exchange time, all others by local time. The last `METRIC` row is the state at
        the end of the run.
    info : RunInfo
        What else is known.
    markouts : ndarray of MARKOUT, optional
        Where they are known already; else they are worked out from the feed.

    Attributes
    ----------
    config, instrument, tables, info
        As given.
    """

    def __init__(
        self,
        config: Config,
        feed: Feed | Callable[[], Feed],
        instrument: Instrument,
        tables: Tables,
        info: RunInfo,
        *,
        markouts: Array | None = None,
    ) -> None:
        self.config, self.instrument, self.tables, self.info = config, instrument, tables, info
        self._feed, self._markouts = feed, markouts

    @property
    def feed(self) -> Feed:
        """The feed that was replayed."""
        if not isinstance(self._feed, Feed):
            self._feed = self._feed()
        return self._feed

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Facts about the feed (`feed_facts`); undefined figures are NaN, also after JSON, which has none."""
        known = self.info.feed or feed_facts(self.feed)
        return {name: np.nan if value is None else value for name, value in known.items()}

    @property
    def markouts(self) -> Array:
        """One row a fill and horizon, when complete: ndarray of MARKOUT."""
        if self._markouts is None:
            fees = (self.instrument.maker_fee_bps, self.instrument.taker_fee_bps)
            self._markouts = fill_markouts(self.feed, self.tables.fills, fees)
        return self._markouts

    @cached_property
    def fills(self) -> pd.DataFrame:
        """One row a fill, by exchange time.

        Index ``time`` (UTC); ``side`` ("bid": we bought), ``price, size, fee`` (> 0 paid, settle currency),
        ``liquidity, fill_kind, mid`` (just before), ``inventory_before, inventory_after, order_id, client_order_id,
        hit_id, rung``, ``markout_<h>s_bps`` for each horizon, ``spread_capture_bps, adverse_1s_bps``, and the integers
        ``exch_ns, local_ns, price_ticks, size_lots, ...``.
        """
        rows = self.tables.fills
        frame = self._frame("fills", rows)
        price = rows["price_ticks"] * self.instrument.tick_size
        edge = ["side", "price", "size", "fee", "liquidity", "mid", "inventory_before", "inventory_after"]
        edge += ["order_id", "client_order_id", "fill_kind", "hit_id", "rung"]
        markouts = wide(self.markouts, rows.size)
        markouts["spread_capture_bps"] = 1e4 * rows["side"] * (rows["mid"] - price) / price
        columns = {**frame[edge], **markouts, **frame.drop(columns=edge)}
        return pd.DataFrame(columns, index=frame.index)

    @cached_property
    def orders(self) -> pd.DataFrame:
        """One row an order's change of state, by local time: ``state, side, price, size, filled, reason, ...``."""
        return self._frame("orders", self.tables.orders)

    @cached_property
    def decisions(self) -> pd.DataFrame:
        """One row a decision that differs from the one before, by local time.

        Best quotes, ``mid, sigma, position, level``, reason bits (`mmlab.events.Reason`), and of its target quotes the
        best price and total size a side: ``target_bid, target_ask, target_bid_size, target_ask_size`` (NaN: none).
        """
        frame = self._frame("decisions", self.tables.decisions)
        best, size = best_targets(self.tables.decisions, self.tables.targets)
        tick, lot = self.instrument.tick_size, self.instrument.lot_size
        for column, side in enumerate(("bid", "ask")):
            frame[f"target_{side}"] = best[:, column] * tick
            frame[f"target_{side}_size"] = size[:, column] * lot
        return frame

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row a second, by local time (fields of `mmlab.events.METRIC`)."""
        return self._frame("metrics", self.tables.metrics)

    @cached_property
    def gates(self) -> pd.DataFrame:
        """One row a trigger of a gate or kill switch, by local time: ``switch, action, side, value, ...``."""
        return self._frame("gates", self.tables.gates)

    @cached_property
    def bands(self) -> pd.DataFrame:
        """Mean and median markout by side and horizon, with 95 % bands (`markout_bands`); empty without fills."""
        return markout_bands(self.fills, seed=self.info.seed) if len(self.fills) else pd.DataFrame()

    @property
    def end_ns(self) -> int:
        """Local time at which the run ended."""
        metrics = self.tables.metrics
        return int(metrics["local_ns"][-1]) if metrics.size else int(self.facts["end_ns"])

    @cached_property
    def episodes(self) -> pd.DataFrame:
        """Triggers and trips with their ends (`mmlab.lab.episodes`)."""
        return episodes(self.tables.gates, self.end_ns)

    def _frame(self, name: str, rows: Array) -> pd.DataFrame:
        return to_frame(name, rows, Scale(self.instrument.tick_size, self.instrument.lot_size))


def best_targets(decisions: Array, targets: Array) -> tuple[Array, Array]:
    """Best price in ticks and total lots each decision wanted, bid and ask; NaN where it wanted none.

    Returns
    -------
    best, size : ndarray of float64, shape (n, 2)
    """
    n = decisions.size
    counts = decisions["targets"].astype(np.int64)
    offsets = np.concatenate(([0], np.cumsum(counts)))
    chosen = targets[np.repeat(decisions["first_target"] - offsets[:-1], counts) + np.arange(offsets[-1])]
    decision = np.repeat(np.arange(n), counts)
    quote = chosen["rung"] >= 0
    best, size = np.full((n, 2), np.nan), np.full((n, 2), np.nan)
    for column, side in enumerate((1, -1)):
        here = quote & (chosen["side"] == side)
        at = decision[here]
        wanted = np.full(n, -np.inf)
        np.maximum.at(wanted, at, side * chosen["price_ticks"][here].astype(np.float64))
        lots = np.bincount(at, chosen["size_lots"][here], n)
        has = np.isfinite(wanted)
        best[has, column], size[has, column] = side * wanted[has], lots[has]
    return best, size
