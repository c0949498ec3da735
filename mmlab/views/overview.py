"""Overview: state, P&L, position, live orders, latency by stage, alarms."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from bokeh.plotting import figure

from mmlab.lab.figure_style import INK, MUTED, SIDE_COLOR
from mmlab.lab.numbers import bps, number
from mmlab.views.components import card, grid, html, set_html
from mmlab.views.derived import net_quote, pnl_per_million
from mmlab.views.figures import Derive, Follow, lines, pane
from mmlab.views.orders import orders_table
from mmlab.views.view import View
from mmlab.views.words import empty, money, table, tiles, tone_of

MARKERS = {"bid": "triangle", "ask": "inverted_triangle"}
STAGES = {
    "decide": "event to decision",
    "order": "decision to order",
    "sign": "signing",
    "send": "signed to sent",
    "total": "event to sender",
}
LOUD = ("warning", "error", "critical")


class Overview(View):
    """The whole run on one page."""

    name_, title = "overview", "Overview"

    def make(self) -> Any:
        """Build it."""
        inverse = self.store.inverse
        times = self.follow(
            {"net": lambda rows, first: net_quote(rows, inverse=inverse)[first:], "position": "position", "mid": "mid"}
        )
        self._million = pnl_per_million(30.0, inverse=inverse)
        follow = times.follows[0]
        pnl = times.make("pnl", height=170, keep_zero=True)
        lines(pnl, follow, [("net", "", INK, 1.0)], step=False)
        position = times.make("position", height=170, keep_zero=True)
        position.varea_step("x", 0, "position", source=follow.source, step_mode="after", color=MUTED, alpha=0.25)
        lines(position, follow, [("position", "", INK, 1.0)])
        mid = times.make("mid", height=190)
        lines(mid, follow, [("mid", "mid", INK, 1.0)], step=False)
        times.follows.append(self._fills(mid))
        self._tiles, self._alarms = html(wide=True), html(wide=True)
        self._orders, self._latency, self._facts = (html() for _ in range(3))
        return grid(
            self._alarms, self._tiles, self.windows(),
            card(pane(pnl), title="Net P&amp;L", note="quote currency, after fees"),
            card(pane(position), title="Position", note="base currency (contracts for inverse)"),
            card(pane(mid), title="Price", note="and our fills"),
            card(self._orders, title="Working orders"),
            card(self._latency, title="Latency by stage", note="microseconds, this engine"),
            card(self._facts, title="This run"),
        )  # fmt: skip

    def _fills(self, plot: figure) -> Follow:
        """Our fills, a column a side."""
        columns = {side: _of_side(sign) for side, sign in (("bid", 1), ("ask", -1))}
        follow = Follow(self.store.fills, columns)
        for side, color in SIDE_COLOR.items():
            plot.scatter(
                "x", side, source=follow.source, marker=MARKERS[side], size=7, fill_color=color, fill_alpha=0.9,
                line_color=None, legend_label=f"{side} fills",
            )  # fmt: skip
        return follow

    def refresh(self) -> None:
        """Show what is new."""
        self.advance()
        set_html(self._tiles, self._figures())
        set_html(self._alarms, self._alarm_text())
        set_html(self._orders, orders_table(self.store, short=True))
        set_html(self._latency, self._latency_table())
        set_html(self._facts, self._fact_table())

    def _figures(self) -> str:
        store, m = self.store, self.store.metrics
        if not m.total:
            return empty("No figures yet", "The engine writes its first row of metrics a second after its start.")
        rows = m.since(max(0, m.total - 8000))
        net = float(net_quote(rows, inverse=store.inverse)[-1]) if not store.inverse else m.last("net_pnl")
        million = float(self._million(rows, rows["t"].size - 1)[-1])
        uptime = " / ".join(f"{100 * min(1.0, m.last(f'quoting_{side}')):.0f}" for side in ("bid", "ask"))
        return tiles(
            [
                ("Net P&L", money(net), "settle currency" if store.inverse else "after fees", tone_of(net)),
                ("P&L per 1M", money(million), "traded, last 30 min", tone_of(million)),
                ("Position", number(m.last("position")), f"{100 * m.last('q_ratio'):.0f} % of the limit", ""),
                ("Fills", number(store.fills.total), f"volume {number(round(m.last('volume')))}", ""),
                ("Markout bid, 1 s", bps(m.last("markout_bid_bps")), f"bps, {m.last('n_bid'):.0f} hits", "bid"),
                ("Markout ask, 1 s", bps(m.last("markout_ask_bps")), f"bps, {m.last('n_ask'):.0f} hits", "ask"),
                ("Quoting", uptime, "% bid / ask, last second", ""),
                ("Trips", number(store.triggers.kills), f"kill switches; {store.triggers.total} triggers", ""),
            ]
        )  # fmt: skip

    def _alarm_text(self) -> str:
        lines_ = [
            f"{escape(one['switch'])}: {escape(str(one['why'] or 'tripped'))}"
            for one in self.store.state.get("switches", [])
            if one["active"] and self.store.live
        ]
        deaths = int(self.store.state.get("tasks_died", 0))
        if deaths:
            lines_.append(f"{deaths} part{'s' * (deaths > 1)} of the engine died and were started again: see the log")
        return f'<div class="alarm" role="alert">{"<br>".join(lines_)}</div>' if lines_ else ""

    def _latency_table(self) -> str:
        stages = self.store.state.get("latency_us", {})
        rows = [
            (words, number(one["n"]), *(number(round(one[q], 1), 3) for q in ("p50", "p90", "p99", "max")))
            for stage, words in STAGES.items()
            if (one := stages.get(stage)) and one["n"]
        ]  # fmt: skip
        empty_text = "Known while an engine answers." if not stages else "Nothing was sent yet."
        return table(("stage", "n", "p50", "p90", "p99", "max"), rows, numbers=range(1, 6), empty=empty_text)

    def _fact_table(self) -> str:
        record, state = self.store.record, self.store.state
        instrument = record.get("instrument", {})
        rows: list[tuple[Any, Any]] = [
            ("market", f"{instrument.get('symbol', '')} on {record.get('venue', '')}, {record.get('mode', '')}"),
            ("started", str(record.get("started", ""))[:19].replace("T", " ") + " UTC"),
            ("ended", self.store.ended),
        ]
        if self.store.live:
            rows += [
                ("engine", f"process {state.get('pid', '?')}, speed {number(state['speed'])}"),
                ("parameters", f"version {state['parameter_version']}"),
                ("owner", (_owner(state["owner"]), "wrap")),
            ]
        loud = [line for line in reversed(self.store.log) if line.get("level") in LOUD][:4]
        rows += [(str(line["level"]), (_log_words(line), "wrap")) for line in loud]
        return table(("", ""), rows)


def _of_side(sign: int) -> Derive:
    return lambda rows, first: np.where(rows["side"][first:] == sign, rows["price"][first:], np.nan)


def _owner(owner: dict[str, Any]) -> str:
    seen = owner["last_seen_s"]
    words = "no sign of life yet" if seen is None else f"seen {number(round(seen, 1), 2)} s ago"
    return f"{words}; when lost: {owner['on_owner_lost']} after {number(owner['grace_s'])} s"


def _log_words(line: dict[str, Any]) -> str:
    """A line of the log in words; what it does not know is left out."""
    event = str(line.get("event", ""))
    told = [
        f"{'' if name == event else name.replace('_', ' ') + ' '}{number(value) if type(value) is float else value}"
        for name, value in line.items()
        if name not in ("run", "level", "time", "event", "decision") and value not in (None, "")
    ]
    return f"{str(line.get('time', ''))[11:19]} {event.replace('_', ' ')}: {', '.join(told)}".removesuffix(": ")
