"""The words and tables of a report: headline, figures, method, notes."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mmlab.events import NS_PER_S, FillKind
from mmlab.lab.episodes import halts
from mmlab.lab.numbers import NONE, bps, number, percent, span
from mmlab.lab.record import Record
from mmlab.lab.sensitivity import AS_RUN, FIGURES, REPLAYED, THROUGH_ONLY


def utc(ns: int) -> str:
    """A time to the second."""
    return f"{pd.Timestamp(ns, tz='UTC'):%Y-%m-%d %H:%M:%S} UTC"


def headline(run: Any, table: pd.DataFrame | None) -> list[str]:
    """What a reader must know first, most important first: halted, not robust, then net P&L and where it came from."""
    summary = run.summary
    sentences = []
    halted = halts(run.episodes)
    if len(halted):
        last = halted.iloc[-1]
        ending = "never re-armed" if last["end_ns"] >= run.end_ns else "re-armed"
        sentences.append(
            f"Halted {len(halted)} time{'s' * (len(halted) > 1)} ({', '.join(halted['switch'].unique())};"
            f" last at {utc(int(last['start_ns']))}, {ending}):"
            f" it traded {percent(summary['traded_share'])} of the feed."
        )
    return [*sentences, *doubts(table), result(run, table)]


def doubts(table: pd.DataFrame | None) -> list[str]:
    """Where the sign of net P&L does not hold."""
    if table is None or len(table) < 2:
        return []
    flipping, replayed, sentences = table.index[table["flips"]], REPLAYED in table.index, []
    if REPLAYED in flipping:
        sentences.append("Replayed, without the venue's faults, what it heard gives net P&L of the other sign.")
    names = ", ".join(name for name in flipping if name != REPLAYED)
    if names:
        sentences.append(f"Not robust: {'replayed, ' * replayed}net P&L changes sign with {names}.")
    return sentences


def result(run: Any, table: pd.DataFrame | None) -> str:
    """Net P&L in a sentence; of through-only fills where queue positions cannot be followed."""
    summary = run.summary
    through = through_only(run, table)
    net, per_million, fills, volume = (summary if through is None else through)[list(FIGURES)]
    how = ""
    if through is not None:
        how = ", counting only fills traded through (queue fidelity is low)"
    elif is_coarse(run):
        how = f" with queue model {run.info.queue}, which this feed is too coarse for (queue fidelity is low)"
    settle = currency(run)
    if not fills:
        return f"No fills in {span(summary['feed_s'])}{how}."
    return (
        f"{'Made' if net >= 0 else 'Lost'} {number(abs(net))} {settle} net on {number(volume)} quote traded"
        f" ({bps(per_million / 100)} bps) with {number(fills)} fills in {span(summary['feed_s'])}{how}."
    )


def is_coarse(run: Any) -> bool:
    """Whether the queue model of a run asks more of its feed than it shows."""
    return run.facts["queue_fidelity"] == "low" and run.info.queue != "through_only"


def through_only(run: Any, table: pd.DataFrame | None) -> pd.Series | None:
    """Headline figures of a run on a coarse feed, if they were made."""
    known = is_coarse(run) and table is not None and THROUGH_ONLY in table.index
    return table.loc[THROUGH_ONLY] if known and table is not None else None


def currency(run: Any) -> str:
    """Name of the settle currency."""
    return run.instrument.settle or ("base" if run.instrument.inverse else "quote")


def key_figures(run: Any, table: pd.DataFrame | None) -> list[tuple[str, str, str]]:
    """The strip of key figures: label, value, what stands below; money of a coarse feed counts fills through only."""
    s = run.summary
    through = through_only(run, table)
    if through is None:
        money = [
            ("Net P&L", number(s["net_pnl"], sign=True), currency(run)),
            ("Per million traded", number(s["pnl_per_million"], 3, sign=True), "quote per 1M (100 = 1 bp)"),
            ("Fills", number(s["fills"]), f"{s['fills_bid']} bid, {s['fills_ask']} ask"),
        ]
    else:
        labels = (
            ("Net P&L", "net_pnl", True),
            ("Per million traded", "pnl_per_million", True),
            ("Fills", "fills", False),
        )
        money = [
            (label, number(through[name], 3, sign=sign), f"traded through; as run {number(s[name], 3, sign=sign)}")
            for label, name, sign in labels
        ]
    return [
        *money,
        ("Markout 1 s, bid", bps(s["markout_bid_bps"]), "bps, mean"),
        ("Markout 1 s, ask", bps(s["markout_ask_bps"]), "bps, mean"),
        ("Quote uptime", percent((s["uptime_bid"] + s["uptime_ask"]) / 2), "both sides, feed time less gaps"),
        ("Largest position", number(s["max_position"]), f"left at the end: {number(s['final_position'])}"),
        ("Max drawdown", number(s["max_drawdown_quote"], 3), "quote"),
        (
            "Fill rate p95",
            f"{number(s['fill_rate_p95_bid'], 2)} / {number(s['fill_rate_p95_ask'], 2)}",
            "per s, bid / ask",
        ),
        ("Gate triggers", number(s["gate_triggers"]), f"{s['kill_trips']} kill-switch trips"),
    ]


def method(run: Record) -> list[tuple[str, str]]:
    """How the figures came about: everything `terms.md` asks a report to show."""
    info, facts, instrument, summary = run.info, run.facts, run.instrument, summary_of(run)
    latency, fills = info.latency, max(1, summary["fills"])
    kinds = ", ".join(
        f"{kind.name.lower()} {summary[f'fills_{kind.name.lower()}']}"
        f" ({percent(summary[f'fills_{kind.name.lower()}'] / fills)})"
        for kind in FillKind
    )
    return [
        ("Queue model", f"{info.queue}{'' if info.partial_fills else ', whole-order fills'}"),
        (
            "Queue fidelity",
            f"{facts['queue_fidelity']} (median book interval {number(facts['book_interval_ms'], 3)} ms)",
        ),
        ("Fills by kind", kinds),
        ("Latency", latency_text(latency)),
        *([("Faults", faults_text(latency["faults"]))] if "faults" in latency else []),
        ("Feed latency", f"p50 {number(facts['latency_p50_ms'], 3)} ms, p99 {number(facts['latency_p99_ms'], 3)} ms"),
        ("Fee tier", f"maker {number(instrument.maker_fee_bps)} bps, taker {number(instrument.taker_fee_bps)} bps"),
        (
            "Coverage",
            f"{percent(facts['coverage'])} with a valid book; {plural(facts['gaps'], 'gap')} of {span(facts['gap_s'])}",
        ),
        (
            "Trips",
            f"{summary['kill_trips']}, {summary['halts']} of them halts; {summary['kill_observed']} only observed",
        ),
        ("Halt time", f"{span(summary['halt_s'])} halted; with passing stops {span(summary['stopped_s'])}"),
        ("Warm-up", f"{span(summary['warmup_s'])} at the start, not traded"),
        ("Configurations tried", number(info.configurations_tried)),
        ("Messages", f"{number(summary['messages'])}, {number(summary['messages_per_fill'], 3)} per fill"),
        ("Cancel-to-fill ratio", number(summary["cancel_to_fill"], 3)),
        ("Participation", f"{percent(summary['participation'])} of the market's traded size"),
        ("Seed", number(info.seed)),
        *([] if info.mode == "replay" else [("Ended", info.ended)]),
        ("Not modelled", "how others react to our quotes; liquidity we consume"),
    ]


def latency_text(latency: dict[str, Any]) -> str:
    """Source and quantiles of the order latency."""
    text = str(latency.get("source", "not recorded"))
    for way in ("entry", "response"):
        p50, p99 = latency.get(f"{way}_p50_ms"), latency.get(f"{way}_p99_ms")
        if p50 is not None:
            text += f"; {way} p50 {number(p50, 3)} ms, p99 {number(p99, 3)} ms"
    return text


def faults_text(faults: dict[str, Any]) -> str:
    """A fault plan's fields that differ from the defaults."""
    rejects = {f"rejects.{code}": share for code, share in faults.get("rejects", {}).items()}
    shown = {name: value for name, value in {**faults, **rejects}.items() if name != "rejects"}
    return ", ".join(f"{name} {value:g}" for name, value in shown.items()) or "none"


def plural(n: int, what: str) -> str:
    """A count and its noun."""
    return f"{n} {what}{'s' * (n != 1)}"


def summary_of(run: Any) -> pd.Series:
    """Summary of a run."""
    return run.summary


def rows_html(rows: Iterable[tuple[str, ...]], head: Sequence[str] = ()) -> str:
    """An HTML table; the first column names the row."""
    top = (
        "<thead><tr>" + "".join(f"<th scope='col'>{html.escape(text)}</th>" for text in head) + "</tr></thead>"
        if head
        else ""
    )
    body = "".join(
        f"<tr><th scope='row'>{html.escape(first)}</th>"
        + "".join(f"<td>{html.escape(cell)}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return f"<table>{top}<tbody>{body}</tbody></table>"


def summary_table(run: Any) -> str:
    """Every figure of the summary."""
    return rows_html((name, number(value, 5)) for name, value in run.summary.items())


def sensitivity_table(table: pd.DataFrame) -> str:
    """Net P&L of each variant."""
    rows = [
        (
            str(name),
            number(row["net_pnl"], 4, sign=True),
            bps(row["pnl_per_million"] / 100),
            number(row["change"], 3, sign=True) if name != AS_RUN else NONE,
            number(row["fills"]),
            "sign changes" if row["flips"] else "",
        )
        for name, row in table.iterrows()
    ]
    note = (
        "<p class='help'>The run was traded on the paper venue. The other rows are replays of what it heard, without"
        f" faults; &ldquo;{REPLAYED}&rdquo; has its queue model, latency and fees, and the rows below are compared"
        " with it.</p>"
    )
    shown = rows_html(rows, ("", "net P&L", "bps of traded", "change", "fills", ""))
    return shown + note * (REPLAYED in table.index)


def markout_table_html(run: Record) -> str:
    """Means and medians with their bands."""
    if not len(run.fills):
        return "<p>No fills.</p>"
    bands = run.bands.reset_index()
    rows = []
    for horizon, group in bands.groupby("horizon_s"):
        cells = [f"{horizon:g} s"]
        for side in ("bid", "ask", "both"):
            row = group[group["side"] == side].iloc[0]
            cells.append(_band(row, "mean"))
            cells.append(_band(row, "median"))
        cells.append(number(int(group["n"].max())))
        rows.append(tuple(cells))
    head = (
        ["horizon"] + [f"{side} {what}" for side in ("bid", "ask", "both") for what in ("mean", "median")] + ["fills"]
    )
    return rows_html(rows, head)


def _band(row: pd.Series, what: str) -> str:
    value, low, high = (row[f"{what}{end}_bps"] for end in ("", "_low", "_high"))
    if np.isnan(value):
        return NONE
    value, low, high = (bps(v, sign=False) for v in (value, low, high))
    return f"{value} [{low}, {high}]" if low != NONE else f"{value} [{NONE}]"


def subtitle(run: Record) -> str:
    """What ran on what, when."""
    facts, info = run.facts, run.info
    kind = "synthetic data" if facts["synthetic"] else "recorded data"
    length = span((facts["end_ns"] - facts["start_ns"]) / NS_PER_S)
    return f"{info.mode} on {kind}, {utc(facts['start_ns'])} to {utc(facts['end_ns'])} ({length}), {model_name(run)}"


def model_name(run: Record) -> str:
    """Quoting model of the config, or the user's own quoter."""
    quoter = run.info.setting.get("strategy")
    return f"quoter {quoter['name']}" if quoter else f"model {run.config.strategy.model}"
