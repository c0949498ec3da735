"""What is filmed of a scripted tape: quotes, state and causes after every decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from pathlib import Path

import numpy as np

from docs.gate_svg import ASK, BID, GOOD, Band, Line, Marks, Panel, cause, side_lanes
from mmlab.kernels.flip_gate import flip_extra_ticks
from mmlab.kernels.pnl_window import pnl_window
from mmlab.kernels.volatility import vol_median, vol_sigma
from tests.kernels.driver import Decision, Driver

OUT = Path(__file__).parent / "images" / "gates"
LIMITS = [(t, f"{t:g}") for t in (0.25, 0.5, 0.75, 1.0)]


@dataclass
class Film:
    """What is looked at after every decision."""

    t: list[float] = field(default_factory=list)
    rows: list[dict[str, float]] = field(default_factory=list)
    causes: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, d: Driver, decision: Decision) -> None:
        """Take one decision."""
        bids, asks = decision.side(1), decision.side(-1)
        st, p = d.s[0], d.p[0]
        floor = float(p["quoting"]["sigma_floor"])
        net, volume, *_ = pnl_window(st["pnl"], int(p["kill"]["losing_window_ns"]))
        self.t.append(decision.t)
        self.rows.append(
            {
                "bid": bids[0].ticks if bids else nan,
                "ask": asks[0].ticks if asks else nan,
                "bid_lots": sum(o.lots for o in bids),
                "ask_lots": sum(o.lots for o in asks),
                "position": decision.position,
                "level": decision.level,
                "extra": flip_extra_ticks(p["flip"], st["flip"], d.now_ns),
                "ratio": decision.position / int(p["risk"]["max_long_lots"]),
                "net": float(st["account"]["net_quote"]),
                "per_million": net / volume * 1e6 if volume > 0 else nan,
                "sigma": vol_sigma(st["vol"], floor) / vol_median(st["vol"], floor),
                "messages": d.messages,
            }
        )
        halted = bool(st["blocked"])
        self.causes.append(
            tuple(
                cause(int(r), quoted=bool(q), halted=halted)
                for r, q in zip(decision.reasons, (bids, asks), strict=True)
            )
        )

    def __getitem__(self, name: str) -> np.ndarray:
        return np.array([row[name] for row in self.rows], float)

    def line(self, name: str, color: str, label: str = "", **kw: object) -> Line:
        """One of the series."""
        return Line(self.t, self[name], color, label, **kw)


def filmed(config, **kw) -> tuple[Driver, Film]:
    film = Film()
    d = Driver(config, watch=film, **kw).warm()
    return d, film


def price(d: Driver, film: Film, title: str = "price, ticks from 100.00", height: int = 150, **kw: object) -> Panel:
    """Best prices, our best quotes, our fills."""
    book = np.array(d.books)
    valid = book[:, 4] > 0
    best = [np.where(valid, book[:, k] - 10000, nan) for k in (1, 2)]
    fills = [(t, ticks - 10000, side, rung) for t, side, ticks, _, rung in d.fills]
    mark = {
        key: [(t, y) for t, y, side, rung in fills if (rung < 0, side) == key]
        for key in ((False, 1), (False, -1), (True, -1))
    }
    return Panel(
        title,
        [film_line(film, "bid", BID, "our bid"), film_line(film, "ask", ASK, "our ask")],
        [Band(book[:, 0], best[0], best[1], label="best bid and ask")],
        [
            Marks([t for t, _ in mark[False, 1]], [y for _, y in mark[False, 1]], BID, "up"),
            Marks([t for t, _ in mark[False, -1]], [y for _, y in mark[False, -1]], ASK, "down"),
            Marks([t for t, _ in mark[True, -1]], [y for _, y in mark[True, -1]], GOOD, "cross"),
        ],
        height=height,
        **kw,
    )


def film_line(film: Film, name: str, color: str, label: str) -> Line:
    return Line(film.t, film[name] - 10000, color, label, width=2)


def lanes(film: Film, end: float):
    return side_lanes(film.t, [c[0] for c in film.causes], [c[1] for c in film.causes], end)
