"""Every kill switch on a scripted tape; drawn by `docs.make_gate_pictures`."""

from __future__ import annotations

from math import nan

import numpy as np

from docs.gate_film import OUT, Film, filmed, lanes, price
from docs.gate_svg import ASK, BID, GOOD, GREY, KILL, Line, Marks, Panel, draw
from mmlab.kernels import decide as kernel
from mmlab.kernels.markout import effective_n, share_below
from tests.kernels.driver import Driver, simple
from tests.kernels.test_kill import lose, losing, off_centre, only, toxic_fill


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
    draw(
        OUT / "kill_toxic.svg",
        [
            Panel(
                "1-s markout of each fill of the bid, bps",
                marks=[Marks(t, marks, BID, "dot")],
                levels=[(-0.1, "threshold -0.10")],
                height=80,
            ),
            Panel(
                "share below the threshold, this epoch",
                [
                    Line(t, limit, KILL, "needed: 0.5 + z / (2 sqrt(n)), from 20 samples", dash="5 3"),
                    Line(t, share, "#111827", "share"),
                ],
                low=0,
                high=1.05,
                height=110,
            ),
            price(d, film, height=130),
            lanes(film, end),
        ],
        0,
        end,
    )


def kill_burst() -> None:
    d, film = filmed(only("burst"))
    rate: list[tuple[float, int]] = []
    for _ in range(45):
        d.fill(1, 1, after=0.2)
        rate.append((d.t, sum(d.t - 1 < t <= d.t + 1e-9 for t, *_ in d.fills)))
    end = 12.0
    d.calm(end - d.t)
    t, hits = (np.array(column) for column in zip(*rate, strict=True))
    draw(
        OUT / "kill_burst.svg",
        [
            Panel(
                "hits of the bid in the trailing second",
                marks=[Marks(t, hits, BID, "dot")],
                levels=[(3, "3 /s, for the 95th percentile of 20 hits or more")],
                low=0,
                height=90,
            ),
            price(d, film, height=120),
            lanes(film, end),
        ],
        0,
        end,
    )


def kill_money() -> None:
    d, film = filmed(losing())
    for _ in range(3):
        lose(d, 10, every=1.0)
        d.calm(75.0)
    end = 340.0
    d.calm(max(0.0, end - 35.0 - d.t))
    kernel.rearm(d.p, d.s, d.now_ns)
    d.settle().calm(end - d.t)
    draw(
        OUT / "kill_losing.svg",
        [
            Panel(
                "P&L per million traded, this epoch",
                [film.line("per_million", "#111827")],
                levels=[(-30, "-30")],
                height=100,
            ),
            Panel("net P&L, quote", [film.line("net", GOOD)], height=80),
            price(d, film, height=110),
            lanes(film, end),
        ],
        0,
        end,
    )
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
    draw(
        OUT / "kill_loss.svg",
        [
            Panel(
                "net P&L, quote",
                [
                    Line(film.t, np.maximum.accumulate(net), GREY, "peak", dash="5 3"),
                    Line(film.t, net, GOOD, "net P&L", width=2),
                ],
                levels=[(-8, "max_loss_quote")],
                height=130,
            ),
            price(d, film, height=120),
            lanes(film, end),
        ],
        0,
        end,
    )


def kill_market() -> None:
    d, film = filmed(only("volatility", **{"strategy.half_life_s": 5.0}))
    for i in range(640):
        d.book(9999 + i % 2, 10001 + i % 2, after=0.5)
    d.book(10020, 10022, after=0.5)
    for i in range(100):
        d.book(10020 + i % 2, 10022 + i % 2, after=0.4)
    draw(
        OUT / "kill_volatility.svg",
        [
            Panel(
                "sigma / its 30-min median (frozen while tripped)",
                [film.line("sigma", "#111827")],
                levels=[(3, "trips above 3"), (2, "re-arms below 2 for 2 s")],
                low=0,
                high=7,
                height=150,
            ),
            price(d, film, height=120),
            lanes(film, 360.0),
        ],
        310.0,
        360.0,
    )
    d, film = filmed(only("mark"))
    d.mark(10000).calm(1.0).silence(2.5).calm(4.0)
    marks = [(0.0, 0.0)]
    for ticks in (9950, 9890, 9890, 9960, 9890, 9960):
        d.calm(1.0).mark(ticks)
        marks.append((d.t, float(ticks - 10000)))
    end = 22.0
    d.calm(end - d.t)
    alive = np.arange(0, end, 0.5)
    alive = alive[(alive <= 1.0) | (alive >= 3.5)]
    draw(
        OUT / "kill_stale_mark.svg",
        [
            Panel(
                "messages of the feed",
                marks=[Marks(alive, np.zeros(alive.size), GREY, "dot", "a message")],
                low=-1,
                high=1,
                height=30,
            ),
            Panel(
                "mark price, ticks from 100.00",
                [Line(*zip(*marks, strict=True), KILL, "mark", width=2)],
                levels=[(-100, "100 bps from the mid")],
                height=80,
            ),
            price(d, film, height=110),
            lanes(film, end),
        ],
        0,
        end,
    )


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
    draw(
        OUT / "kill_messages.svg",
        [
            Panel(
                "messages in the last minute",
                [Line(t, minute, "#111827")],
                levels=[(30, "max_messages_per_min")],
                low=0,
                height=90,
            ),
            price(d, film, height=130),
            lanes(film, end),
        ],
        0,
        end,
    )


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
    draw(
        OUT / "kill_position.svg",
        [
            Panel(
                "position, lots",
                [film.line("position", "#111827", width=2)],
                levels=[(100, "max_position"), (125, "hard limit")],
                low=0,
                height=110,
            ),
            Panel(
                "quoted size, lots",
                [film.line("bid_lots", BID, "bid"), film.line("ask_lots", ASK, "ask", dash="5 3")],
                low=0,
                height=80,
            ),
            lanes(film, end),
        ],
        0,
        end,
    )


def draw_all() -> None:
    """Draw them all."""
    kill_toxic()
    kill_burst()
    kill_money()
    kill_market()
    kill_orders()
    kill_position()
