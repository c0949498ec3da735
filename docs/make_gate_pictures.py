"""Draw every gate and kill switch on a scripted tape: docs/images/gates/*.svg, explained in docs/gates.md.

Run ``python -m docs.make_gate_pictures`` in the repository's root. The tapes go through the decision kernel with the
tests' driver (ideal orders). ``docs.gate_recordings`` draws the same on real recordings.
"""

from __future__ import annotations

import numpy as np

from docs import kill_pictures
from docs.gate_film import LIMITS, OUT, Film, film_line, filmed, lanes, price
from docs.gate_svg import ASK, BID, GATE, GOOD, GREY, KILL, Line, Marks, Panel, draw
from mmlab.kernels.flip_gate import flip_count
from tests.kernels.driver import Driver, simple


def oscillation(**changes) -> tuple[Driver, Film]:
    """Q swings round 0.5, climbs to 1, and leaves."""
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
    draw(
        OUT / "ladder.svg",
        [
            Panel("inventory ratio", [held.line("ratio", "#111827")], levels=LIMITS, height=110),
            Panel(
                "ladder level",
                [
                    loose.line("level", "#b8bec8", f"no hysteresis, no dwell: {counts[1]} changes", width=1.2),
                    held.line("level", GATE, f"hysteresis 0.05, dwell 0.5 s: {counts[0]} changes", width=2.2),
                ],
                low=-0.2,
                high=4.3,
                height=100,
            ),
            Panel(
                "our quotes, ticks from mid",
                [
                    film_line(held, "bid", BID, "bid (heavy side)"),
                    film_line(held, "ask", ASK, "ask (light side)"),
                ],
                height=120,
            ),
            Panel(
                "quoted size, lots",
                [
                    held.line("bid_lots", BID, "bid"),
                    held.line("ask_lots", ASK, "ask", dash="5 3"),
                ],
                height=80,
                low=0,
            ),
            lanes(held, 11.5),
        ],
        0,
        11.5,
    )


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
        Panel(
            "flips in 200 ms",
            [Line(grid, shown, "#111827")],
            levels=levels,
            marks=[
                Marks([r.t for r in widens], [r.value for r in widens], GATE, "dot", "widens"),
                Marks([r.t for r in skips], [r.value for r in skips], KILL, "dot", "pulls"),
            ],
            low=0,
            high=26 if mode == "adaptive" else 10.5,
            height=100,
        ),
        price(d, film, height=140),
    ]
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
    draw(
        OUT / "cooldown.svg",
        [
            price(d, film),
            Panel(
                "quoted size, lots",
                [film.line("bid_lots", BID, "bid"), film.line("ask_lots", ASK, "ask", dash="5 3")],
                marks=[Marks(hits, [0.0] * len(hits), BID, "up", "hits of our bid")],
                low=0,
                height=90,
            ),
            lanes(film, end),
        ],
        0,
        end,
    )


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
    draw(
        OUT / "age_exit.svg",
        [
            price(
                deep,
                film,
                "deep book: price, ticks from 100.00",
                height=120,
                levels=[(-1, "entry"), (-7, "6 ticks below")],
            ),
            Panel(
                "position, lots",
                [
                    other.line("position", GREY, "thin book (24 lots visible): 6 lots an exit", width=2),
                    film.line("position", GOOD, "deep book (1,000): a third of the position", width=2.2),
                ],
                marks=[
                    Marks(
                        [r.t for r in rows], [float(film["position"][np.searchsorted(film.t, r.t)]) for r in rows], GOOD
                    ),
                    Marks(
                        [r.t for r in small],
                        [float(other["position"][np.searchsorted(other.t, r.t)]) for r in small],
                        GREY,
                    ),
                ],
                low=0,
                height=110,
            ),
            Panel("deep book: ladder level", [film.line("level", GATE, width=2)], low=0, high=3, height=60),
            Panel(
                "deep book: quoted size, lots",
                [
                    film.line("bid_lots", BID, "bid: off until the exit is over"),
                    film.line("ask_lots", ASK, "ask: cut to what the exit leaves"),
                ],
                low=0,
                height=90,
            ),
            lanes(film, 16.0),
        ],
        0,
        16.0,
    )


def main() -> None:
    """Draw them all."""
    ladder()
    flips("skip", [(0.8, 8, 0.02), (1.2, 8, 0.02)], 5.0)
    flips("widen", [(0.8, 8, 0.02), (0.3, 8, 0.02)], 4.0)
    flips("adaptive", [(0.8, 60, 0.022), (2.5, 24, 0.006)], 7.0)
    cooldown()
    age_exit()
    kill_pictures.draw_all()


if __name__ == "__main__":
    main()
