"""A running session in a notebook cell."""

from __future__ import annotations

import html
from typing import Any

import pandas as pd

from mmlab.lab.numbers import number
from mmlab.lab.report_text import rows_html

SHOWN = ["side", "rung", "slot", "version", "state", "map", "price", "size", "filled"]


def session_html(title: str, status: dict[str, Any], orders: pd.DataFrame) -> str:
    """State and why, position, P&L and working orders.

    Parameters
    ----------
    title : str
        What it is.
    status, orders
        ``state()`` and ``orders()`` of `mmlab.Session`.
    """
    state = status["trading"] + (f" ({status['why']})" if status["why"] else "")
    state += f", {status['ended']}" if status["ended"] else ""
    rows = [
        ("time", f"{pd.Timestamp(status['session_ns'], unit='ns'):%Y-%m-%d %H:%M:%S} UTC"),
        ("state", state),
        ("bid, ask", f"{status['bid']}, {status['ask']}"),
        ("position", number(status["position"])),
        ("net P&L", number(status["net_pnl"] or 0.0, sign=True)),
        ("fills", number(status["fills"])),
        ("messages", number(status["messages"])),
        ("orders", number(len(orders))),
    ]
    table = orders[SHOWN].to_html(index=False, border=0) if len(orders) else ""
    return f"<p><b>{html.escape(title)}</b></p>{rows_html(rows)}{table}"
