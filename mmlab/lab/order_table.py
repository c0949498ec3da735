"""Working orders as a table."""

from __future__ import annotations

from typing import Any

import pandas as pd

COLUMNS = ["side", "rung", "slot", "version", "state", "map", "price", "size", "filled", "age_s", "order_index"]


def order_table(orders: list[dict[str, Any]]) -> pd.DataFrame:
    """Working orders, bids first, best first.

    Parameters
    ----------
    orders : list of dict
        ``orders`` of `mmlab.engine.overview`.

    Returns
    -------
    DataFrame
        Indexed by ``client_order_id``: ``side, rung`` (-1: an exit), ``slot`` (A or B), ``version, state, map``
        (pending, live or both), ``price, size, filled, age_s, order_index``.
    """
    return pd.DataFrame(orders, columns=["client_order_id", *COLUMNS]).set_index("client_order_id")
