"""The figures of a report (Bokeh)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, FixedTicker, LabelSet, NumeralTickFormatter, Range1d
from bokeh.models import Span as Line
from bokeh.plotting import figure

from mmlab.events import GateAction, Switch
from mmlab.lab.downsample import BUCKETS, m4
from mmlab.lab.episodes import GATES
from mmlab.lab.figure_style import (
    BAD,
    FONT,
    GOOD,
    INK,
    INK_COLOR,
    MUTED,
    SIDE_COLOR,
    WARN,
    Panels,
    hover,
    legend,
    styled,
    to_ms,
)
from mmlab.lab.money import bridge, to_quote
from mmlab.lab.numbers import bps
from mmlab.lab.record import Record

Array = np.ndarray[Any, Any]

MANY_FILLS = 400
"""Beyond, they are drawn small."""
MOST_FILLS = 6000
"""Fills drawn; of more, the extreme prices of each pixel column."""
MARKERS = {"bid": "triangle", "ask": "inverted_triangle"}


def time_panels(record: Record) -> dict[str, figure]:
    """Every figure over time, by name, one under the other on a shared axis."""
    facts = record.facts
    panels = Panels(int(facts["start_ns"]), max(record.end_ns, int(facts["end_ns"])))
    metrics = metrics_source(record)
    makers = {
        "price": price,
        "position": position,
        "pnl": pnl,
        "markout": rolling_markout,
        "fill_rate": fill_rate,
        "flip_rate": flip_rate,
        "age": inventory_age,
        "ladder": ladder_level,
    }
    figures = {name: make(record, panels, metrics) for name, make in makers.items()}
    figures["gates"] = gate_timeline(record, panels)
    return figures


SHOWN = (
    "mid", "position", "net", "fees", "level", "flip_rate", "flip_rate_10s", "markout_bid_bps", "markout_ask_bps",
    "fill_rate_bid", "fill_rate_ask", "fill_rate_p95_bid", "fill_rate_p95_ask", "inventory_age_s", "lot_age_s",
)  # fmt: skip


def metrics_source(record: Record) -> dict[str, tuple[Array, Array]]:
    """Times (ms) and values of each metric drawn, all rows."""
    rows = record.tables.metrics
    x = to_ms(rows["local_ns"])
    derived = {
        "net": to_quote(record, rows["net_pnl"]),
        "fees": to_quote(record, rows["fees"]),
        "position": rows["position_lots"] * record.instrument.lot_size,
    }
    return {
        name: (x, np.asarray(derived.get(name, rows[name] if name in rows.dtype.names else 0), float)) for name in SHOWN
    }


def thinned(metrics: dict[str, tuple[Array, Array]], names: Sequence[str]) -> ColumnDataSource:
    """The named metrics, as few points as show them (see `m4`)."""
    x = metrics[names[0]][0]
    keep = m4(x, [metrics[name][1] for name in names])
    return ColumnDataSource({"x": x[keep], **{name: metrics[name][1][keep] for name in names}})


def price(record: Record, panels: Panels, metrics: dict[str, tuple[Array, Array]]) -> figure:
    """Mid, our quotes, our fills."""
    middle = thinned(metrics, ["mid"])
    decisions = record.decisions
    x = to_ms(record.tables.decisions["local_ns"])
    quotes = [decisions[name].to_numpy() for name in ("target_bid", "target_ask")]
    keep = m4(x, quotes)
    ours = ColumnDataSource({"x": x[keep], "bid": quotes[0][keep], "ask": quotes[1][keep]})
    fills = {side: fill_source(record, side) for side in SIDE_COLOR}
    series = [(middle, ["x", "mid"]), (ours, ["x", "bid", "ask"])] + [
        (source, ["x", "price"]) for source in fills.values()
    ]
    plot = panels.panel(series, height=340, name="price")
    line = plot.line("x", "mid", source=middle, color=INK_COLOR, line_width=1, legend_label="mid", tags=[INK])
    hover(plot, line, [("mid", "@mid{0,0.[00000000]}")])
    for side, color in SIDE_COLOR.items():
        plot.step(
            "x", side, source=ours, mode="after", color=color, alpha=0.55, line_width=1, legend_label=f"our {side}"
        )
    size = 8 if len(record.fills) < MANY_FILLS else 5
    for side, color in SIDE_COLOR.items():
        drawn = plot.scatter(
            "x", "price", source=fills[side], marker=MARKERS[side], size=size, fill_color=color, fill_alpha=0.9,
            line_color="white", line_width=0.6, legend_label=f"{side} fills",
        )  # fmt: skip
        rows = [
            ("fill", f"{side} @price{{0,0.[00000000]}} x @size{{0,0.[00000000]}}"),
            ("kind", "@kind"),
            ("markout 1 s", "@markout{0.000} bps"),
            ("position after", "@after{0,0.[00000000]}"),
        ]
        hover(plot, drawn, rows, line=False)
    legend(plot)
    return plot


def fill_source(record: Record, side: str) -> ColumnDataSource:
    """Fills of one side; of very many only the lowest and highest price of each pixel column."""
    fills = record.fills[record.fills["side"] == side]
    x, at = to_ms(fills["exch_ns"].to_numpy()), fills["price"].to_numpy()
    keep = m4(x, [at], BUCKETS) if len(fills) > MOST_FILLS else np.arange(len(fills))
    kept = fills.iloc[keep]
    return ColumnDataSource(
        {
            "x": x[keep],
            "price": at[keep],
            "size": kept["size"].to_numpy(),
            "kind": kept["fill_kind"].astype(str).tolist(),
            "markout": kept["markout_1s_bps"].to_numpy(),
            "after": kept["inventory_after"].to_numpy(),
        }
    )


def position(record: Record, panels: Panels, metrics: dict[str, tuple[Array, Array]]) -> figure:
    """Position over time, filled to zero."""
    source = thinned(metrics, ["position"])
    plot = panels.panel([(source, ["x", "position"])], name="position", keep=[0.0])
    plot.varea_step("x", 0, "position", source=source, step_mode="after", color=MUTED, alpha=0.25)
    line = plot.step("x", "position", source=source, mode="after", color=INK_COLOR, line_width=1, tags=[INK])
    hover(plot, line, [("position", "@position{0,0.[00000000]}")])
    zero(plot)
    return plot


def pnl(record: Record, panels: Panels, metrics: dict[str, tuple[Array, Array]]) -> figure:
    """Net P&L, and fees paid so far."""
    source = thinned(metrics, ["net", "fees"])
    plot = panels.panel([(source, ["x", "net"])], height=170, name="pnl", keep=[0.0])
    line = plot.line("x", "net", source=source, color=INK_COLOR, line_width=1.6, tags=[INK])
    hover(plot, line, [("net P&L", "@net{0,0.[000000]}"), ("fees so far", "@fees{0,0.[000000]}")])
    zero(plot)
    return plot


def by_side(
    panels: Panels, metrics: dict[str, tuple[Array, Array]], name: str, columns: dict[str, tuple[str, str]],
    unit: str, keep: Sequence[float] = (),
) -> figure:  # fmt: skip
    """One line a side for each of `columns`: legend -> (column of bid, column of ask); all but the last are faint."""
    names = [column for pair in columns.values() for column in pair]
    source = thinned(metrics, names)
    plot = panels.panel([(source, ["x", *names])], name=name, keep=keep)
    rows = []
    for what, pair in columns.items():
        strong = what == list(columns)[-1]
        for column, (side, color) in zip(pair, SIDE_COLOR.items(), strict=True):
            line = plot.step(
                "x", column, source=source, mode="after", color=color, alpha=1.0 if strong else 0.35, line_width=1.5,
                legend_label=f"{side} {what}".strip(),
            )  # fmt: skip
            rows.append((f"{side} {what}".strip(), f"@{column}{{0.000}} {unit}"))
    hover(plot, line, rows)
    legend(plot)
    return plot


def rolling_markout(record: Record, panels: Panels, metrics: dict[str, tuple[Array, Array]]) -> figure:
    """Rolling 1-s markout a side, with the kill switch's threshold."""
    columns = {"": ("markout_bid_bps", "markout_ask_bps")}
    plot = by_side(panels, metrics, "markout", columns, "bps", [0.0])
    zero(plot)
    return plot


def fill_rate(record: Record, panels: Panels, metrics: dict[str, tuple[Array, Array]]) -> figure:
    """Same-side fill rate at the last hit, and its 95th percentile."""
    columns = {
        "": ("fill_rate_bid", "fill_rate_ask"),
        "p95": ("fill_rate_p95_bid", "fill_rate_p95_ask"),
    }
    return by_side(panels, metrics, "fill_rate", columns, "/s", [0.0])


def flip_rate(record: Record, panels: Panels, metrics: dict[str, tuple[Array, Array]]) -> figure:
    """Flip rate over 10 s and over the gate's window."""
    source = thinned(metrics, ["flip_rate", "flip_rate_10s"])
    plot = panels.panel([(source, ["x", "flip_rate", "flip_rate_10s"])], name="flip_rate", keep=[0.0])
    window = record.config.gates.flip.window_ms
    plot.step(
        "x", "flip_rate", source=source, mode="after", color=MUTED, alpha=0.6, legend_label=f"{window:g} ms window"
    )
    line = plot.step(
        "x", "flip_rate_10s", source=source, mode="after", color=INK_COLOR, tags=[INK], legend_label="10 s window"
    )
    hover(plot, line, [(f"{window:g} ms", "@flip_rate{0.00} /s"), ("10 s", "@flip_rate_10s{0.00} /s")])
    legend(plot)
    return plot


def inventory_age(record: Record, panels: Panels, metrics: dict[str, tuple[Array, Array]]) -> figure:
    """Inventory age and lot age."""
    source = thinned(metrics, ["inventory_age_s", "lot_age_s"])
    plot = panels.panel([(source, ["x", "inventory_age_s", "lot_age_s"])], name="age", keep=[0.0])
    line = plot.line("x", "inventory_age_s", source=source, color=INK_COLOR, tags=[INK], legend_label="inventory age")
    plot.line("x", "lot_age_s", source=source, color=WARN, legend_label="lot age (FIFO)")
    hover(plot, line, [("inventory age", "@inventory_age_s{0.00} s"), ("lot age", "@lot_age_s{0.00} s")])
    legend(plot)
    return plot


def ladder_level(record: Record, panels: Panels, metrics: dict[str, tuple[Array, Array]]) -> figure:
    """Ladder level."""
    source = thinned(metrics, ["level"])
    top = float(len(record.config.ladder.thresholds))
    plot = panels.panel([(source, ["x", "level"])], height=120, name="ladder", keep=[0.0, top])
    plot.varea_step("x", 0, "level", source=source, step_mode="after", color=WARN, alpha=0.35)
    line = plot.step("x", "level", source=source, mode="after", color=WARN, line_width=1.3)
    plot.yaxis.ticker = FixedTicker(ticks=list(range(int(top) + 1)))
    hover(plot, line, [("level", "@level{0}")])
    return plot


def zero(plot: figure) -> None:
    """A line at zero."""
    plot.add_layout(
        Line(location=0, dimension="width", line_color=MUTED, line_width=1, line_dash=[3, 3], level="underlay")
    )


def gate_timeline(record: Record, panels: Panels) -> figure:
    """When which gate or kill switch held something back."""
    frame = merge_dense(record.episodes, record.end_ns - int(record.facts["start_ns"]))
    lanes = [switch.name.lower() for switch in Switch if (frame["switch"] == switch.name.lower()).any()]
    lanes = lanes or ["no triggers"]
    gate_names = {switch.name.lower() for switch in GATES}
    colors = [
        MUTED if action == GateAction.OBSERVE.name.lower() else WARN if switch in gate_names else BAD
        for switch, action in zip(frame["switch"], frame["action"], strict=True)
    ]
    side = frame["side"].map({1: "bid", -1: "ask", 0: "both"})
    source = ColumnDataSource(
        {
            "x": to_ms(frame["start_ns"].to_numpy(np.int64)),
            "end": to_ms(frame["end_ns"].to_numpy(np.int64)),
            "lane": frame["switch"].tolist(),
            "what": (frame["action"] + ", " + side).tolist(),
            "seconds": (frame["end_ns"] - frame["start_ns"]).to_numpy(np.float64) / 1e9,
            "color": colors,
            "times": frame["times"].to_numpy(),
            **{name: frame[name].to_numpy(np.float64) for name in ("value", "threshold", "n", "effect")},
        }
    )
    plot = panels.panel([], height=60 + 24 * len(lanes), name="gates", y_range=list(reversed(lanes)))
    plot.yaxis.major_label_text_align = "right"
    bars = plot.hbar(
        y="lane",
        left="x",
        right="end",
        height=0.55,
        source=source,
        fill_color="color",
        line_color="color",
        line_width=1.5,
    )
    rows = [
        ("what", "@lane: @what"),
        ("for", "@seconds{0,0.00} s"),
        ("input", "@value{0.000} against @threshold{0.000} (n = @n{0,0})"),
        ("effect", "@effect{0.00}"),
        ("triggers", "@times"),
    ]
    hover(plot, bars, rows, line=False)
    return plot


def merge_dense(episodes: pd.DataFrame, span_ns: int, most: int = 3000) -> pd.DataFrame:
    """Episodes with a count ``times``; where there are more than `most`, those in one pixel column become one."""
    frame = episodes.assign(times=1)
    if len(frame) <= most:
        return frame
    column = frame["start_ns"] // max(1, span_ns // BUCKETS)
    grouped = frame.groupby([column, "switch", "action", "side"], sort=False, as_index=False)
    keep = {"start_ns": "min", "end_ns": "max", "value": "max", "threshold": "first", "n": "max", "effect": "max"}
    return grouped.agg({**keep, "times": "sum"})


def markout_curve(record: Record) -> figure:
    """Mean markout by horizon and side, with 95 % bands."""
    plot = styled(
        figure(
            x_axis_type="log", height=300, sizing_mode="stretch_width", tools="", toolbar_location=None, name="curve"
        )
    )
    plot.yaxis.axis_label = "mean markout, bps"
    plot.xaxis.axis_label = "seconds after the fill"
    bands = record.bands.reset_index()
    for side, color in SIDE_COLOR.items() if len(bands) else ():
        rows = bands[bands["side"] == side]
        source = ColumnDataSource({name: rows[name].to_numpy() for name in rows.columns if name != "side"})
        sure = rows.dropna(subset=["mean_low_bps"])
        plot.varea(sure["horizon_s"], sure["mean_low_bps"], sure["mean_high_bps"], color=color, alpha=0.16)
        plot.line("horizon_s", "mean_bps", source=source, color=color, line_width=2, legend_label=f"{side}")
        points = plot.scatter("horizon_s", "mean_bps", source=source, color=color, size=7)
        curve_hover(plot, points, side)
    plot.xaxis.ticker = FixedTicker(ticks=[0.1, 0.5, 1, 5, 30, 60])
    plot.xaxis.formatter = NumeralTickFormatter(format="0.[0]")
    zero(plot)
    legend(plot)
    return plot


def curve_hover(plot: figure, points: Any, side: str) -> None:
    """Tooltip of the markout curve."""
    from bokeh.models import HoverTool

    tips = [
        (side, "@horizon_s{0.0} s"),
        ("mean", "@mean_bps{0.000} (@mean_low_bps{0.000} to @mean_high_bps{0.000}) bps"),
        ("median", "@median_bps{0.000} (@median_low_bps{0.000} to @median_high_bps{0.000}) bps"),
        ("fills", "@n in @blocks blocks @note"),
    ]
    plot.add_tools(HoverTool(renderers=[points], tooltips=tips))


def bridge_figure(record: Record) -> figure:
    """From spread capture to net P&L, as a waterfall in bps of traded notional."""
    parts = bridge(record)["bps"].fillna(0.0)
    steps = parts.to_numpy()
    after = np.cumsum(steps[:-1])
    top = np.append(after, steps[-1])
    bottom = np.append(np.concatenate(([0.0], after[:-1])), 0.0)
    names = list(parts.index)
    source = ColumnDataSource(
        {
            "name": names,
            "left": np.minimum(top, bottom),
            "right": np.maximum(top, bottom),
            "color": [GOOD if step >= 0 else BAD for step in steps],
            "text": [bps(step) for step in steps],
        }
    )
    edge = np.concatenate([top, bottom, [0.0]])
    span = float(np.ptp(edge)) or 1.0
    plot = styled(
        figure(
            y_range=list(reversed(names)), x_range=Range1d(edge.min() - 0.06 * span, edge.max() + 0.36 * span),
            height=300, sizing_mode="stretch_width", tools="", toolbar_location=None, name="bridge",
        )
    )  # fmt: skip
    plot.ygrid.grid_line_color = None
    plot.xaxis.axis_label = "bps of traded notional"
    plot.hbar(y="name", left="left", right="right", height=0.6, source=source, color="color")
    plot.add_layout(
        LabelSet(
            x="right", y="name", text="text", source=source, x_offset=6, text_baseline="middle", text_font=value(FONT),
            text_font_size="12px", text_color=INK_COLOR, tags=[INK],
        )
    )  # fmt: skip
    plot.add_layout(Line(location=0, dimension="height", line_color=MUTED, line_width=1))
    return plot
