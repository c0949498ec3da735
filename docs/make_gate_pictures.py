"""Draw every gate and kill switch on a scripted tape: docs/images/gates/*.svg, explained in docs/gates.md.

Run ``python -m docs.make_gate_pictures`` in the repository's root. The tapes go through the decision kernel with the
tests' driver (ideal orders). ``docs.gate_recordings`` draws the same on real recordings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from pathlib import Path

import numpy as np

from docs.gate_svg import ASK, BID, GATE, GOOD, GREY, KILL, Band, Line, Marks, Panel, cause, draw, side_lanes
from mmlab.kernels import decide as kernel
from mmlab.kernels.flip_gate import flip_count, flip_extra_ticks
from mmlab.kernels.markout import effective_n, share_below
from mmlab.kernels.pnl_window import pnl_window
from mmlab.kernels.volatility import vol_median, vol_sigma
from tests.kernels.driver import Decision, Driver, simple
from tests.kernels.test_kill import lose, losing, off_centre, only, toxic_fill

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
        self.rows.append({
            "bid": bids[0].ticks if bids else nan, "ask": asks[0].ticks if asks else nan,
            "bid_lots": sum(o.lots for o in bids), "ask_lots": sum(o.lots for o in asks), "position": decision.position,
            "level": decision.level, "extra": flip_extra_ticks(p["flip"], st["flip"], d.now_ns),
            "ratio": decision.position / int(p["risk"]["max_long_lots"]), "net": float(st["account"]["net_quote"]),
            "per_million": net / volume * 1e6 if volume > 0 else nan,
            "sigma": vol_sigma(st["vol"], floor) / vol_median(st["vol"], floor), "messages": d.messages,
        })  # fmt: skip
        halted = bool(st["blocked"])
        self.causes.append(tuple(
            cause(int(r), quoted=bool(q), halted=halted) for r, q in zip(decision.reasons, (bids, asks), strict=True)
        ))  # fmt: skip

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


# ---------------------------------------------------------------------------------------------------------------------
# Gates


def oscillation(**changes) -> tuple[Driver, Film]:
    """q swings round 0.5, climbs to 1, and leaves."""
    d, film = filmed(simple(**({"gates.cooldown.enabled": False, "kill.burst.enabled": False} | changes)))
    d.fill(1, 48, after=0.5)
    for i in range(40):
        d.fill(1 if i % 2 == 0 else -1, 4, after=0.1)
    d.fill(1, 27, after=0.6).fill(1, 25, after=0.6).fill(-1, 3, after=1.0).fill(-1, 85, after=0.8).calm(3.0)
    return d, film


def ladder() -> None:
    _, held = oscillation()
    _, loose = oscillation(**{"ladder.hysteresis": 0.0, "ladder.min_dwell_ms": 0.0})
    counts = [int(np.count_nonzero(np.diff(film["level"]))) for film in (held, loose)]
    draw(OUT / "ladder.svg", [
        Panel("inventory ratio", [held.line("ratio", "#111827")], levels=LIMITS, height=110),
        Panel("ladder level", [
            loose.line("level", "#b8bec8", f"no hysteresis, no dwell: {counts[1]} changes", width=1.2),
            held.line("level", GATE, f"hysteresis 0.05, dwell 0.5 s: {counts[0]} changes", width=2.2),
        ], low=-0.2, high=4.3, height=100),
        Panel("our quotes, ticks from mid", [
            film_line(held, "bid", BID, "bid (heavy side)"), film_line(held, "ask", ASK, "ask (light side)"),
        ], height=120),
        Panel("quoted size, lots", [
            held.line("bid_lots", BID, "bid"), held.line("ask_lots", ASK, "ask", dash="5 3"),
        ], height=80, low=0),
        lanes(held, 11.5),
    ], 0, 11.5)  # fmt: skip


def flap(d: Driver, n: int, every: float, seen: list[tuple[float, float, int]]) -> None:
    """The microprice flips n times."""
    for i in range(n):
        d.book(9999, 10001, 300 if i % 2 == 0 else 100, 100 if i % 2 == 0 else 300, after=every)
        flips = flip_count(d.s["flip"][0]["flips"], d.now_ns, int(d.p["flip"]["window_ns"][0]))
        seen.append((d.t, (0.5 if i % 2 == 0 else -0.5), flips))


def flips(mode: str, bursts: list[tuple[float, int, float]], end: float) -> None:
    """Bursts of flips: (calm before, how many, how far apart)."""
    d, film = filmed(simple(**{"gates.flip.mode": mode}))
    d.book(9999, 10001, 100, 300, after=0.1)
    seen: list[tuple[float, float, int]] = [(d.t, -0.5, 0)]
    for calm, n, every in bursts:
        d.calm(calm)
        flap(d, n, every, seen)
    d.calm(end - d.t)
    t, micro, count = (np.array(column) for column in zip(*seen, strict=True))
    # the count falls by itself when the window leaves a burst
    grid = np.arange(0, end, 0.01)
    late = np.searchsorted(t, grid, "right") - 1
    shown = np.where(grid - t[np.maximum(late, 0)] < 0.2, count[np.maximum(late, 0)], 0)
    rows = [row for row in d.log if row.switch.name == "FLIP"]
    skips, widens = ([r for r in rows if r.action.name == name] for name in ("SKIP", "WIDEN"))
    levels = [(8, "threshold 8")] + ([(16, "hard threshold 16")] if mode == "adaptive" else [])
    panels = [
        Panel("microprice, ticks from mid", [Line(t, micro, GREY, width=1)], height=60),
        Panel("flips in 200 ms", [Line(grid, shown, "#111827")], levels=levels, marks=[
            Marks([r.t for r in widens], [r.value for r in widens], GATE, "dot", "widens"),
            Marks([r.t for r in skips], [r.value for r in skips], KILL, "dot", "pulls"),
        ], low=0, high=26 if mode == "adaptive" else 10.5, height=100),
        price(d, film, height=140),
    ]  # fmt: skip
    if mode == "adaptive":
        widening = Line(film.t, film["extra"], GATE, width=2)
        panels.insert(2, Panel("extra half-spread, ticks", [widening], levels=[(8, "max 8")], low=0, height=90))
    draw(OUT / f"flip_{mode}.svg", [*panels, lanes(film, end)], 0, end)


def cooldown() -> None:
    d, film = filmed(simple(**{"ladder.enabled": False}))
    d.fill(1, 10, after=0.5)  # filled in full
    d.calm(0.7).fill(1, 4)  # in part
    d.book(10001, 10003, after=0.1).book(9996, 9998, after=0.06).book(10000, 10002, after=0.06).calm(0.8)
    d.fill(1, 2).fill(1, 2, after=0.2).calm(0.9)  # a second hit restarts it
    for i in range(4):
        d.fill(1, 1, after=0.08 if i else 0.2)
    end = 5.5
    d.calm(end - d.t)
    hits = [t for t, *_ in d.fills]
    draw(OUT / "cooldown.svg", [
        price(d, film),
        Panel("quoted size, lots", [film.line("bid_lots", BID, "bid"), film.line("ask_lots", ASK, "ask", dash="5 3")],
              marks=[Marks(hits, [0.0] * len(hits), BID, "up", "hits of our bid")], low=0, height=90),
        lanes(film, end),
    ], 0, end)  # fmt: skip


def exits(depth: int) -> tuple[Driver, Film]:
    """Long 60 of 100, the market falls; exits trade 0.4 s after they are sent."""
    config = {"gates.age_exit.enabled": True, "gates.age_exit.adverse_bps": 0.0, "strategy.order_size": 3.0}
    d, film = filmed(simple(**config))
    d.depth[1] = depth
    d.fill(1, 60, ticks=9999, after=0.5)
    for i in range(8):
        d.book(9998 - i, 10000 - i, after=0.2)
    while d.t < 16.0:
        d.calm(0.05)
        if d.exit is not None:
            d.calm(0.4).fill_exit()
    return d, film


def age_exit() -> None:
    deep, film = exits(1000)
    thin, other = exits(24)
    rows = [r for r in deep.log if r.switch.name == "AGE_EXIT"]
    small = [r for r in thin.log if r.switch.name == "AGE_EXIT"]
    draw(OUT / "age_exit.svg", [
        price(deep, film, "deep book: price, ticks from 100.00", height=120, levels=[(-1, "entry"), (-7, "6 ticks below")]),
        Panel("position, lots", [
            other.line("position", GREY, "thin book (24 lots visible): 6 lots an exit", width=2),
            film.line("position", GOOD, "deep book (1,000): a third of the position", width=2.2),
        ], marks=[Marks([r.t for r in rows], [float(film["position"][np.searchsorted(film.t, r.t)]) for r in rows], GOOD),
                  Marks([r.t for r in small], [float(other["position"][np.searchsorted(other.t, r.t)]) for r in small], GREY)],
           low=0, height=110),
        Panel("deep book: ladder level", [film.line("level", GATE, width=2)], low=0, high=3, height=60),
        Panel("deep book: quoted size, lots", [
            film.line("bid_lots", BID, "bid: off until the exit is over"), film.line("ask_lots", ASK, "ask: cut to what the exit leaves"),
        ], low=0, height=90),
        lanes(film, 16.0),
    ], 0, 16.0)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Kill switches


def kill_toxic() -> None:
    d, film = filmed(only("toxic"))
    seen: list[tuple[float, float, float]] = []
    for i in range(46):
        at = d.t
        toxic_fill(d, adverse=i % 7 != 3)
        side = d.s[0]["side"][0]
        since = int(side["toxic"]["epoch_ns"])
        since = 0 if since > 2**62 else since
        n = effective_n(side["markout"], 200, 10**9, since)
        share = share_below(side["markout"], 200, -0.1, False, since)
        seen.append((at, share if n else nan, 0.5 + 1 / np.sqrt(n) if n >= 20 else nan))
    end = 100.0
    d.calm(end - d.t)
    t, share, limit = (np.array(column) for column in zip(*seen, strict=True))
    marks = [-2.0 if i % 7 != 3 else 3.0 for i in range(len(seen))]
    draw(OUT / "kill_toxic.svg", [
        Panel("1-s markout of each fill of the bid, bps", marks=[Marks(t, marks, BID, "dot")],
              levels=[(-0.1, "threshold -0.10")], height=80),
        Panel("share below the threshold, this epoch", [
            Line(t, limit, KILL, "needed: 0.5 + z / (2 sqrt(n)), from 20 samples", dash="5 3"), Line(t, share, "#111827", "share"),
        ], low=0, high=1.05, height=110),
        price(d, film, height=130),
        lanes(film, end),
    ], 0, end)  # fmt: skip


def kill_burst() -> None:
    d, film = filmed(only("burst"))
    rate: list[tuple[float, int]] = []
    for _ in range(45):
        d.fill(1, 1, after=0.2)
        rate.append((d.t, sum(d.t - 1 < t <= d.t + 1e-9 for t, *_ in d.fills)))
    end = 12.0
    d.calm(end - d.t)
    t, hits = (np.array(column) for column in zip(*rate, strict=True))
    draw(OUT / "kill_burst.svg", [
        Panel("hits of the bid in the trailing second", marks=[Marks(t, hits, BID, "dot")],
              levels=[(3, "3 /s, for the 95th percentile of 20 hits or more")], low=0, height=90),
        price(d, film, height=120),
        lanes(film, end),
    ], 0, end)  # fmt: skip


def kill_money() -> None:
    d, film = filmed(losing())
    for _ in range(3):
        lose(d, 10, every=1.0)
        d.calm(75.0)
    end = 340.0
    d.calm(max(0.0, end - 35.0 - d.t))
    kernel.rearm(d.p, d.s, d.now_ns)
    d.settle().calm(end - d.t)
    draw(OUT / "kill_losing.svg", [
        Panel("P&L per million traded, this epoch", [film.line("per_million", "#111827")], levels=[(-30, "-30")], height=100),
        Panel("net P&L, quote", [film.line("net", GOOD)], height=80),
        price(d, film, height=110),
        lanes(film, end),
    ], 0, end)  # fmt: skip
    d, film = filmed(
        only("loss", "drawdown", **{"kill.loss.max_loss_quote": 8.0, "kill.drawdown.max_drawdown_quote": 5.0})
    )
    d.fill(1, 100, ticks=10000, after=1.0)
    for move in [4] * 10 + [-6] * 17 + [0] * 8:
        bid = d.best[0] + move
        d.book(bid, bid + 2, after=0.4)
    d.calm(4.0)
    kernel.rearm(d.p, d.s, d.now_ns)
    d.settle().calm(3.0)
    for move in [-5] * 16:
        d.book(d.best[0] + move, d.best[1] + move, after=0.4)
    end = 32.0
    d.calm(end - d.t)
    net = film["net"]
    draw(OUT / "kill_loss.svg", [
        Panel("net P&L, quote", [Line(film.t, np.maximum.accumulate(net), GREY, "peak", dash="5 3"),
                                 Line(film.t, net, GOOD, "net P&L", width=2)],
              levels=[(-8, "max_loss_quote")], height=130),
        price(d, film, height=120),
        lanes(film, end),
    ], 0, end)  # fmt: skip


def kill_market() -> None:
    d, film = filmed(only("volatility", **{"strategy.half_life_s": 5.0}))
    for i in range(640):
        d.book(9999 + i % 2, 10001 + i % 2, after=0.5)
    d.book(10020, 10022, after=0.5)
    for i in range(100):
        d.book(10020 + i % 2, 10022 + i % 2, after=0.4)
    draw(OUT / "kill_volatility.svg", [
        Panel("sigma / its 30-min median (frozen while tripped)", [film.line("sigma", "#111827")],
              levels=[(3, "trips above 3"), (2, "re-arms below 2 for 2 s")], low=0, high=7, height=150),
        price(d, film, height=120),
        lanes(film, 360.0),
    ], 310.0, 360.0)  # fmt: skip
    d, film = filmed(only("mark"))
    d.mark(10000).calm(1.0).silence(2.5).calm(4.0)
    marks = [(0.0, 0.0)]
    for ticks in (9950, 9890, 9890, 9960, 9890, 9960):
        d.calm(1.0).mark(ticks)
        marks.append((d.t, float(ticks - 10000)))
    end = 22.0
    d.calm(end - d.t)
    heard = [t for t, *_ in d.books if t >= 0] + [x.t for x in d.decisions if x.t >= 0]
    alive = np.arange(0, end, 0.5)
    alive = alive[(alive <= 1.0) | (alive >= 3.5)]
    assert heard
    draw(OUT / "kill_stale_mark.svg", [
        Panel("messages of the feed", marks=[Marks(alive, np.zeros(alive.size), GREY, "dot", "a message")],
              low=-1, high=1, height=30),
        Panel("mark price, ticks from 100.00", [Line(*zip(*marks, strict=True), KILL, "mark", width=2)],
              levels=[(-100, "100 bps from the mid")], height=80),
        price(d, film, height=110),
        lanes(film, end),
    ], 0, end)  # fmt: skip


def kill_orders() -> None:
    film = Film()
    d = off_centre()
    d.watch = film
    d.book(9999, 10001, after=0.4)
    refused = []
    for shift in (0, 0, -150, 0, -150, -150, 0):
        d.p["user"][0, 0] = float(shift)
        d.book(9999, 10001, after=0.8)
        refused += [d.t] if shift else []
    end = 72.0
    d.calm(end - d.t)
    panel = price(d, film, height=150, levels=[(-100, "100 bps below the mid")])
    panel.marks.append(Marks(refused, [-151.0] * len(refused), KILL, "cross", "refused bids"))
    draw(OUT / "kill_collar.svg", [panel, lanes(film, end)], 0, end)
    film = Film()
    d = Driver(only(**{"risk.max_messages_per_min": 30}), watch=film).warm(95.0)
    rng, end = np.random.default_rng(3), 420.0
    while d.t < end:
        move = int(rng.integers(-2, 3)) if d.t % 100 < 45 else 0
        d.book(d.best[0] + move, d.best[1] + move, after=0.6)
    sent = film["messages"]
    t = np.array(film.t)
    minute = np.array([sent[i] - sent[np.searchsorted(t, t[i] - 60.0)] for i in range(t.size)])
    draw(OUT / "kill_messages.svg", [
        Panel("messages in the last minute", [Line(t, minute, "#111827")], levels=[(30, "max_messages_per_min")], low=0,
              height=90),
        price(d, film, height=130),
        lanes(film, end),
    ], 0, end)  # fmt: skip


def kill_position() -> None:
    d, film = filmed(simple(**{"risk.on_halt": "reduce", "gates.cooldown.enabled": False, "kill.burst.enabled": False}))
    for lots in (40, 40, 30):  # 110: over the limit, by orders that were given up for lost
        d.fill(1, lots, after=1.0)
    d.fill(1, 20, after=2.0)
    for _ in range(11):
        d.fill(-1, 10, after=0.5)
    d.calm(2.0)
    kernel.rearm(d.p, d.s, d.now_ns)
    d.settle().calm(3.0)
    kernel.trip_manual(d.p, d.s, d.now_ns)
    d.settle().calm(2.0)
    kernel.rearm(d.p, d.s, d.now_ns)
    end = 22.0
    d.settle().calm(end - d.t)
    draw(OUT / "kill_position.svg", [
        Panel("position, lots", [film.line("position", "#111827", width=2)], levels=[(100, "max_position"), (125, "hard limit")],
              low=0, height=110),
        Panel("quoted size, lots", [film.line("bid_lots", BID, "bid"), film.line("ask_lots", ASK, "ask", dash="5 3")], low=0,
              height=80),
        lanes(film, end),
    ], 0, end)  # fmt: skip


def main() -> None:
    """Draw them all."""
    ladder()
    flips("skip", [(0.8, 8, 0.02), (1.2, 8, 0.02)], 5.0)
    flips("widen", [(0.8, 8, 0.02), (0.3, 8, 0.02)], 4.0)
    flips("adaptive", [(0.8, 60, 0.022), (2.5, 24, 0.006)], 7.0)
    cooldown()
    age_exit()
    kill_toxic()
    kill_burst()
    kill_money()
    kill_market()
    kill_orders()
    kill_position()


if __name__ == "__main__":
    main()
