"""The order manager's maps as a table."""

from __future__ import annotations

import pandas as pd

from mmlab.instrument import Instrument
from mmlab.orders import OrderManager
from mmlab.orders.ids import EXIT_RUNG, unpack

COLUMNS = ("side", "rung", "slot", "version", "state", "maps", "price", "size", "filled", "order_index")


def order_table(manager: OrderManager, instrument: Instrument) -> pd.DataFrame:
    """Working orders, bids first, best first.

    Returns
    -------
    DataFrame
        Indexed by ``client_order_id``: ``side, rung`` (-1: an exit), ``slot`` (A or B), ``version, state, maps``
        (pending, live or both), ``price, size, filled, order_index``.
    """
    maps, rows = manager.state.orders, {}
    for order in sorted(manager.orders, key=lambda o: (-o.side, -o.side * o.price_ticks)):
        parts = unpack(order.client_id)
        assert parts is not None  # noqa: S101  the order manager takes only ids of ours
        held = [name for name, here in (("pending", order.client_id in maps.pending),
                                        ("live", order.order_index in maps.live)) if here]  # fmt: skip
        rows[order.client_id] = (
            "bid" if order.side > 0 else "ask", -1 if parts.rung == EXIT_RUNG else parts.rung, "AB"[parts.half],
            parts.version, order.state.name.lower(), "+".join(held), instrument.to_price(order.price_ticks),
            instrument.to_size(order.size_lots), instrument.to_size(order.filled_lots), order.order_index,
        )  # fmt: skip
    table = pd.DataFrame.from_dict(rows, orient="index", columns=list(COLUMNS))
    return table.rename_axis("client_order_id")
