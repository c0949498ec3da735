"""Draw the gates and kill switches at work on real recordings: docs/images/gates/recording_*.svg.

Run ``python -m docs.gate_recordings`` in the repository's root, with the recordings under ``../shared/data`` or where
``MMLAB_SHARED_DATA`` says. Each picture is one backtest, cut to the time round a trigger.
"""

from __future__ import annotations

import os
from functools import cache
from math import nan
from pathlib import Path
from typing import Any

import numpy as np

import mmlab
from docs.gate_svg import ASK, BID, GATE, GOOD, GREY, KILL, Band, Lanes, Line, Marks, Panel, cause, draw, side_lanes
from mmlab.events import NS_PER_S
from mmlab.lab.run import Run

OUT = Path(__file__).parent / "images" / "gates"
DATA = Path(os.environ.get("MMLAB_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
RECORDINGS = {
    "usdm": ["binance_hftbacktest_raw/usdm_btcusdt_20240808.gz"],
    "coinm": ["binance_hftbacktest_raw/cm_btcusd_perp_20240808.gz"],
    "nexo": [f"binance_spot_nexousdt_2024-07/nexousdt_202407{day}.dat.gz" for day in (23, 24, 25)],
}
AT_TOUCH = {"strategy.model": "fixed", "strategy.half_spread_ticks": 0.5}
"""Quotes at the touch of a market one tick wide: many fills, most of them bad."""
SIDES = ("toxic", "burst", "flip", "pull", "age_exit", "ladder")
"""Rows of the gate log that are no global switch."""
LATENCY = mmlab.Latency(entry_ms=20.0, response_ms=20.0)


@cache
def feed(name: str) -> mmlab.Feed:
    """A recording."""
    paths = [DATA / path for path in RECORDINGS[name]]
    return mmlab.import_feed(paths, format="hftbacktest")


class Scene:
    """A backtest, looked at from `before` seconds before an instant to `after` seconds after it."""

    def __init__(self, recording: str, changes: dict[str, Any], **at: Any) -> None:
        self.run: Run = mmlab.backtest(feed(recording), mmlab.Config().with_(**changes), latency=LATENCY)
        self.at(**at)

    def at(self, switch: str, action: str, nth: int = 0, before: float = 5.0, after: float = 10.0) -> Scene:
        """Look at the `nth` trigger of its kind."""
        rows = self.run.gates
        quoting = self.run.decisions["target_bid"].first_valid_index()  # the warm-up is over
        begin_ns = int(self.run.decisions["local_ns"].loc[quoting:quoting].iloc[0])
        rows = rows[(rows["switch"] == switch) & (rows["action"] == action) & (rows["local_ns"] > begin_ns)]
        self.zero_ns = int(rows["local_ns"].iloc[nth]) - round(before * NS_PER_S)
        self.end = before + after
        decisions = self.run.decisions
        self.first = max(0, int(np.searchsorted(decisions["local_ns"], self.zero_ns, "right")) - 1)
        self.decisions = decisions.iloc[self.first :]
        book = self.run.feed.book()
        part = book[max(0, int(np.searchsorted(book["local_ns"], self.zero_ns, "right")) - 1) :]
        self.book = part[part["local_ns"] <= self.zero_ns + round(self.end * NS_PER_S)]
        valid = self.book[self.book["valid"] != 0][0]
        self.mid = (int(valid["bid_ticks"]) + int(valid["ask_ticks"])) / 2
        return self

    def t(self, local_ns: Any) -> np.ndarray:
        """Seconds since the picture's begin."""
        return (np.asarray(local_ns, np.int64) - self.zero_ns) / NS_PER_S

    @property
    def times(self) -> np.ndarray:
        """Of the decisions."""
        return self.t(self.decisions["local_ns"])

    def price(self, title: str = "price, ticks", height: int = 150) -> Panel:
        """Best prices, our targets, our fills."""
        valid = self.book["valid"] != 0
        best = [np.where(valid, self.book[side] - self.mid, nan) for side in ("bid_ticks", "ask_ticks")]
        tick = self.run.feed.instrument.tick_size
        ours = [self.decisions[f"target_{side}"].to_numpy(float) / tick - self.mid for side in ("bid", "ask")]
        fills = self.run.fills
        t, y = self.t(fills["local_ns"]), fills["price"].to_numpy(float) / tick - self.mid
        taker, bought = (fills["liquidity"] == "taker").to_numpy(), (fills["side"] == "bid").to_numpy()
        return Panel(
            title,
            [
                Line(self.times, ours[0], BID, "our bid", width=1.8),
                Line(self.times, ours[1], ASK, "our ask", width=1.8),
            ],
            [Band(self.t(self.book["local_ns"]), *best, label="best bid and ask")],
            [
                Marks(t[m], y[m], color, shape, label)
                for m, color, shape, label in (
                    (bought & ~taker, BID, "up", "bought"),
                    (~bought & ~taker, ASK, "down", "sold"),
                    (taker, GOOD, "cross", "exit"),
                )
            ],
            height=height,
        )

    def decided(self, column: str, color: str, label: str = "", **kw: Any) -> Line:
        """A column of the decisions."""
        return Line(self.times, self.decisions[column].to_numpy(float), color, label, **kw)

    def measured(self, column: str, color: str, label: str = "", scale: float = 1.0, **kw: Any) -> Line:
        """A column of the metrics, once a second."""
        return Line(
            self.t(self.run.metrics["local_ns"]), self.run.metrics[column].to_numpy(float) * scale, color, label, **kw
        )

    def triggers(self, switch: str, action: str, color: str, label: str) -> Marks:
        """Inputs of the triggers of a kind."""
        rows = self.run.gates
        rows = rows[(rows["switch"] == switch) & (rows["action"] == action)]
        return Marks(self.t(rows["local_ns"]), rows["value"].to_numpy(float), color, "dot", label)

    def halted(self) -> np.ndarray:
        """Whether each decision was under a global trip."""
        rows = self.run.gates[~self.run.gates["switch"].isin(SIDES)]
        change = rows["action"].map({"trip": 1, "latch": 1, "rearm": -1}).fillna(0).cumsum().to_numpy()
        last = np.searchsorted(rows["local_ns"].to_numpy(), self.decisions["local_ns"].to_numpy(), "right") - 1
        return np.where(last >= 0, change[np.maximum(last, 0)] if change.size else 0, 0) > 0

    def lanes(self) -> Lanes:
        """State of each side."""
        reasons = [self.decisions[f"{side}_reasons"].to_numpy(np.int64) for side in ("bid", "ask")]
        quoted = [self.decisions[f"target_{side}"].notna().to_numpy() for side in ("bid", "ask")]
        halted = self.halted()
        names = [
            [
                cause(int(r), quoted=bool(q), halted=bool(h))
                for r, q, h in zip(reasons[k], quoted[k], halted, strict=True)
            ]
            for k in range(2)
        ]
        return side_lanes(self.times, names[0], names[1], max(self.end, float(self.times[-1]) + 1.0))

    def draw(self, name: str, *panels: Panel) -> None:
        """Write the picture."""
        draw(OUT / f"recording_{name}.svg", [*panels, self.lanes()], 0.0, self.end)


# ---------------------------------------------------------------------------------------------------------------------


def gates() -> None:
    """Ladder, flip gate, cooldown, age exit."""
    s = Scene("usdm", AT_TOUCH, switch="ladder", action="level_up", before=4.0, after=41.0)
    s.draw(
        "ladder",
        s.price(),
        Panel("position, lots", [s.decided("position_lots", "#111827", width=1.8)], height=80),
        Panel("ladder level", [s.decided("level", GATE, width=2)], low=0, high=4.2, height=70),
    )
    flips = {"gates.flip.threshold": 4, "gates.flip.hard_threshold": 8}
    for mode in ("skip", "widen", "adaptive"):
        s = Scene(
            "coinm",
            flips | {"gates.flip.mode": mode},
            switch="flip",
            action="skip" if mode != "widen" else "widen",
            nth=0 if mode == "adaptive" else 2,
            before=3.0,
            after=5.0,
        )
        marks = [s.triggers("flip", "widen", GATE, "widens"), s.triggers("flip", "skip", KILL, "pulls")]
        s.draw(
            f"flip_{mode}",
            Panel("flips in 200 ms at a trigger", marks=marks, low=0, high=10, height=70),
            s.price(),
            Panel("extra half-spread, ticks", [s.decided("flip_extra_ticks", GATE, width=2)], low=0, height=70),
        )
    s = Scene("usdm", AT_TOUCH | {"kill.toxic.enabled": False}, switch="pull", action="pause", before=4.0, after=4.0)
    lots = [s.decided("target_bid_size", BID, "bid", width=1.8), s.decided("target_ask_size", ASK, "ask", dash="5 3")]
    s.draw("cooldown", s.price(), Panel("quoted size", lots, low=0, height=80))
    s = Scene("usdm", AT_TOUCH, switch="age_exit", action="exit", nth=2, before=2.0, after=1.0)
    s.draw(
        "age_exit",
        s.price(),
        Panel("position, lots", [s.decided("position_lots", "#111827", width=1.8)], height=80),
        Panel("ladder level", [s.decided("level", GATE, width=2)], low=0, height=50),
        Panel(
            "quoted size",
            [s.decided("target_bid_size", BID, "bid"), s.decided("target_ask_size", ASK, "ask", dash="5 3")],
            low=0,
            height=80,
        ),
    )


def sides() -> None:
    """Toxic side, fill burst."""
    s = Scene("usdm", AT_TOUCH, switch="toxic", action="trip", before=25.0, after=12.0)
    s.draw(
        "kill_toxic",
        Panel(
            "rolling 1-s markout, bps",
            [
                s.measured("markout_bid_bps", BID, "bid"),
                s.measured("markout_ask_bps", ASK, "ask"),
            ],
            levels=[(-0.1, "threshold -0.10")],
            height=110,
        ),
        s.price(),
    )
    quick = AT_TOUCH | {"kill.toxic.enabled": False, "kill.losing.min_notional": 2000.0, "kill.losing.halt_s": 20.0}
    s = Scene("usdm", quick, switch="burst", action="trip", before=8.0, after=5.0)
    s.draw(
        "kill_burst",
        Panel(
            "same-side fill rate, 95th percentile of the last 200 hits, 1/s",
            [
                s.measured("fill_rate_p95_bid", BID, "bid"),
                s.measured("fill_rate_p95_ask", ASK, "ask"),
            ],
            levels=[(3, "3 /s")],
            low=0,
            height=90,
        ),
        s.price(),
    )


def money() -> None:
    """Losing, loss and drawdown."""
    quick = AT_TOUCH | {"kill.losing.min_notional": 2000.0, "kill.losing.halt_s": 20.0, "kill.toxic.enabled": False}
    s = Scene("usdm", quick, switch="losing", action="trip", before=15.0, after=200.0)
    s.draw(
        "kill_losing",
        Panel(
            "P&L per million at a trip",
            marks=[
                s.triggers("losing", "trip", KILL, "halts for 20 s"),
                s.triggers("losing", "latch", "#111827", "latches"),
            ],
            levels=[(-30, "-30")],
            high=0,
            height=90,
        ),
        Panel("net P&L, quote", [s.measured("net_pnl", GOOD)], height=80),
        s.price(height=120),
    )
    tight = AT_TOUCH | {"kill.loss.max_loss_quote": 0.5, "kill.drawdown.max_drawdown_quote": 0.4}
    s = Scene("usdm", tight, switch="drawdown", action="latch", before=10.0, after=15.0)
    s.draw(
        "kill_loss",
        Panel("net P&L, quote", [s.measured("net_pnl", GOOD, width=2)], levels=[(-0.5, "max_loss_quote")], height=100),
        s.price(),
    )


def market() -> None:
    """Volatility, stale."""
    s = Scene("nexo", {}, switch="volatility", action="trip", nth=10, before=120.0, after=420.0)
    s.draw(
        "kill_volatility",
        Panel(
            "sigma, ticks per sqrt(s)",
            [
                s.measured("sigma", "#111827", scale=1 / s.run.feed.instrument.tick_size),
            ],
            low=0,
            height=100,
        ),
        s.price(),
    )
    s = Scene("nexo", {"kill.stale.interval_multiple": 2.0}, switch="stale", action="trip", before=3.0, after=5.0)
    heard = s.run.feed.events["local_ns"]
    heard = (
        np.unique(heard[(heard >= s.zero_ns) & (heard <= s.zero_ns + round(s.end * NS_PER_S))] // 20_000_000)
        * 20_000_000
    )
    s.draw(
        "kill_stale",
        Panel("messages of the feed", marks=[Marks(s.t(heard), np.zeros(heard.size), GREY)], low=-1, high=1, height=26),
        s.price(height=120),
    )


def orders() -> None:
    """Collar, message rate."""
    s = Scene("usdm", {"risk.collar_bps": 1.27}, switch="collar", action="trip", before=30.0, after=65.0)
    s.draw("kill_collar", s.price(height=170))
    s = Scene("usdm", {"risk.max_messages_per_min": 60}, switch="messages", action="trip", before=150.0, after=75.0)
    sent = s.run.metrics["messages"].to_numpy(float)
    minute = sent - np.concatenate([np.zeros(60), sent[:-60]])
    s.draw(
        "kill_messages",
        Panel(
            "messages in the last minute",
            [Line(s.t(s.run.metrics["local_ns"]), minute, "#111827")],
            levels=[(60, "max_messages_per_min")],
            low=0,
            height=90,
        ),
        s.price(),
    )


def main() -> None:
    """Draw them all."""
    gates()
    sides()
    money()
    market()
    orders()


if __name__ == "__main__":
    main()
