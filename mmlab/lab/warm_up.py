"""What a run may know of its market before it quotes: the warm-up of a feed, measured once."""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.calibration import Calibration, calibrate_arrays, first_valid_ns, warmup_end_ns
from mmlab.config import Config
from mmlab.feeds.feed import Feed
from mmlab.instrument import Instrument
from mmlab.resolve import WarmUp, default_order_lots


def calibrate(feed: Feed, config: Config | None = None, instrument: Instrument | None = None) -> Calibration:
    """Fit A, kappa, sigma and gamma on the feed's warm-up, as a backtest with `config` does.

    Parameters
    ----------
    feed : Feed
    config : Config, optional
        Warm-up length, order size and quoting model; default ``Config()``.
    instrument : Instrument, optional
        Default: the feed's.

    Returns
    -------
    Calibration
        ``A, kappa, sigma, gamma, table`` and diagnostics.
    """
    config = Config() if config is None else config
    instrument = feed.instrument if instrument is None else instrument
    s, book = config.strategy, feed.book()
    start_ns, end_ns = warm_up_ns(feed, config)
    options: dict[str, Any] = {
        "start_ns": start_ns,
        "end_ns": end_ns,
        "clock_ms": s.volatility_clock_ms,
        "half_life_s": s.half_life_s,
        "order_lots": order_lots(config, instrument, first_mid(feed)),
        "model": "avellaneda_stoikov" if s.model == "avellaneda_stoikov" else "glft",
        "reservation_ticks": s.reservation_ticks,
        "reservation_bps": s.reservation_bps,
        "horizon_s": s.horizon_s,
        "fee_in_model": s.fee_in_model,
    }
    key = ("calibration", instrument, *options.items())
    if key not in feed.cache:
        feed.cache[key] = calibrate_arrays(book, feed.events, instrument, **options)
    calibration: Calibration = feed.cache[key]
    return calibration


def warm_up_ns(feed: Feed, config: Config) -> tuple[int, int]:
    """Local times of the first valid book, and at which a run with `config` may quote; worked out once per feed."""
    s = config.strategy
    key = ("warm-up", s.warmup_s, s.warmup_min_trades, s.warmup_max_s)
    if key not in feed.cache:
        start_ns = first_valid_ns(feed.book())
        feed.cache[key] = (
            start_ns,
            warmup_end_ns(
                feed.events, start_ns, warmup_s=s.warmup_s, min_trades=s.warmup_min_trades, max_s=s.warmup_max_s
            ),
        )
    times: tuple[int, int] = feed.cache[key]
    return times


def first_mid(feed: Feed) -> float:
    """The first valid mid of the feed."""
    book = feed.book()
    row = book[int(np.argmax(book["valid"] != 0))]
    return 0.5 * (int(row["bid_ticks"]) + int(row["ask_ticks"])) * feed.instrument.tick_size


def order_lots(config: Config, instrument: Instrument, mid: float) -> int:
    """Lots of one order: as configured, or the default at `mid`."""
    if config.strategy.order_size is None:
        return default_order_lots(config, instrument, mid)
    return max(1, instrument.to_lots(config.strategy.order_size))


def warm_up(calibration: Calibration) -> WarmUp:
    """The part of a calibration that parameters depend on."""
    return WarmUp(
        start_ns=calibration.start_ns,
        end_ns=calibration.end_ns,
        mid=calibration.mid,
        A=calibration.A,
        kappa=calibration.kappa,
        sigma=calibration.sigma,
        gamma=calibration.gamma,
        median_spread_ticks=calibration.median_spread_ticks,
        median_interval_ns=calibration.median_interval_ns,
        p99_interval_ns=calibration.p99_interval_ns,
        has_mark=calibration.has_mark,
    )
