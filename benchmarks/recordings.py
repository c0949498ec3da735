"""The real recordings that claims are measured on, and how each is imported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import mmlab

SHARED = Path(os.environ.get("MMLAB_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
BINANCE = "binance_hftbacktest_raw"
PAIR = "binance_btcusdt_spot_perp_2026-02-16"

RECORDINGS: dict[str, tuple[list[str], str, dict[str, Any]]] = {
    "COIN-M BTCUSD_PERP": (
        [f"{BINANCE}/cm_btcusd_perp_20240808.gz", f"{BINANCE}/cm_btcusd_perp_20240809.gz"], "hftbacktest", {}
    ),
    "COIN-M ETHUSD_PERP": (
        [f"{BINANCE}/cm_ethusd_perp_20240808.gz", f"{BINANCE}/cm_ethusd_perp_20240809.gz"], "hftbacktest", {}
    ),
    "USD-M BTCUSDT 2024-07": (
        [f"{BINANCE}/usdm_btcusdt_20240718.gz", f"{BINANCE}/usdm_btcusdt_20240719.gz"], "hftbacktest", {}
    ),
    "USD-M BTCUSDT 2024-08": ([f"{BINANCE}/usdm_btcusdt_20240808.gz"], "hftbacktest", {}),
    "spot BTCUSDT": ([f"{BINANCE}/spot_btcusdt_20240808.gz", f"{BINANCE}/spot_btcusdt_20240809.gz"], "hftbacktest", {}),
    "spot NEXOUSDT 34 h": (
        [f"binance_spot_nexousdt_2024-07/nexousdt_202407{day}.dat.gz" for day in (23, 24, 25)], "hftbacktest", {}
    ),
    "BitMEX XBTUSD": (
        ["bitmex_xbtusd_ethusd_2020-03-10/orderbooks.csv.gz", "bitmex_xbtusd_ethusd_2020-03-10/trades.csv.gz"],
        "bitmex", {"symbol": "XBTUSD"},
    ),
    "LOBSTER AMZN": (["lobster_2012-06-21/LOBSTER_SampleFile_AMZN_2012-06-21_5.zip"], "lobster", {}),
    "snapshots BTCUSDT perp": (
        [f"{PAIR}/lobdeep_btc_fut_2026-02-16_04.parquet", f"{PAIR}/trades_btc_fut_2026-02-16_04.parquet"],
        "snapshots", {},
    ),
    "snapshots BTCUSDT spot": (
        [f"{PAIR}/lobdeep_btc_spot_2026-02-16_04.parquet", f"{PAIR}/trades_btc_spot_2026-02-16_04.parquet"],
        "snapshots", {},
    ),
}  # fmt: skip
"""Name -> files, format, options."""
FOUR = ("COIN-M BTCUSD_PERP", "USD-M BTCUSDT 2024-08", "spot NEXOUSDT 34 h", "LOBSTER AMZN")
"""The ones whose reports are looked at."""


def load(name: str) -> mmlab.Feed:
    """Import a recording."""
    files, format_, options = RECORDINGS[name]
    return mmlab.import_feed([SHARED / file for file in files], format=format_, **options)
