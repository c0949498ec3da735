"""Write the command that asks for a transaction's payload."""

from __future__ import annotations

from mmlab.exchange import TxKind
from mmlab.orders.commands import Sign
from mmlab.orders.order import Tx
from mmlab.orders.state import State


def sign_command(s: State, tx: Tx) -> Sign:
    """`Sign` for the present round and nonce of `tx`. Orders are named by our own id, which is known from the start."""
    order = s.orders.known.get(tx.client_id)
    if order is None:
        return Sign(s.now_ns, tx.tx_id, tx.round, tx.kind, tx.key, tx.nonce)
    if tx.kind == TxKind.CANCEL:
        return Sign(s.now_ns, tx.tx_id, tx.round, tx.kind, tx.key, tx.nonce, order.client_id, 0, order.side)
    changing = tx.kind == TxKind.MODIFY
    return Sign(
        s.now_ns, tx.tx_id, tx.round, tx.kind, tx.key, tx.nonce, order.client_id, 0, order.side,
        order.new_price_ticks if changing else order.price_ticks,
        order.new_size_lots if changing else order.size_lots, order.flags,
    )  # fmt: skip
