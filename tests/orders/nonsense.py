"""Events that cannot be: one field of a sound one is not what it should be, or it is no event at all."""

from __future__ import annotations

from random import Random

import msgspec

from mmlab.orders import events as e
from tests.orders.world import World

JUNK = (None, "7", float("nan"), float("inf"), 2.5, 1 << 63, -(1 << 70), b"", [], {}, object)
NO_EVENTS = (None, "hello", 7, {"type": "Ack", "tx_id": 1}, e.OrderView(1, 1, 1, 1, 1), object(), [])
JUNK_SIDES = (0, 2, -3, *JUNK)
FIELDS = {
    e.Top: ("bid_ticks", "ask_ticks"), e.Ack: ("tx_id", "quota_left"), e.Refused: ("tx_id", "code"),
    e.Unclear: ("tx_id",), e.SendFailed: ("tx_id",), e.Signed: ("tx_id", "round"), e.SignFailed: ("tx_id", "round"),
    e.PositionReport: ("position_lots",), e.NonceReport: ("query_id", "key", "nonce"), e.QueryFailed: ("query_id",),
    e.LinkUp: ("epoch",), e.Configure: ("settings",), e.Timer: ("ts_ns",), e.CancelAll: ("ts_ns",),
    e.Snapshot: (
        "query_id", "epoch", "orders", "fills", "last_trade_id", "position_lots", "nonces", "complete", "quota_left",
    ),
    e.OrderView: (
        "client_id", "order_index", "side", "price_ticks", "size_lots", "filled_lots", "status", "seq", "reason",
        "flags",
    ),
    e.Fill: ("trade_id", "client_id", "side", "price_ticks", "size_lots", "order_index", "exch_ns"),
    e.Quote: ("side", "rung", "price_ticks", "size_lots", "flags"),
}  # fmt: skip
"""Fields of every type whose value matters."""


def broken(rng: Random, sound: msgspec.Struct) -> msgspec.Struct:
    """`sound` with one field that cannot be."""
    field = rng.choice(FIELDS[type(sound)])
    return msgspec.structs.replace(sound, **{field: rng.choice(JUNK_SIDES if field == "side" else JUNK)})


def nonsense(rng: Random, world: World) -> object:
    """A malformed event about what is there: an order, a transaction or a question of ours."""
    now, state = world.now_ns, world.om.state
    if rng.random() < 0.1:
        return rng.choice(NO_EVENTS)
    order = rng.choice(world.om.orders) if world.om.orders else None
    client_id, side, price = (order.client_id, order.side, order.price_ticks) if order else (1 << 47, 1, 990)
    tx_id = rng.choice(list(state.txs)) if state.txs else 7
    query_id = state.query[0] if state.query else 7
    view = e.OrderView(client_id, 12, side, price, 5, 1, rng.choice(("open", "filled", "canceled")), 99)
    fill = e.Fill(len(world.venue.trades) + 1, client_id, side, price, 1)
    sound = rng.choice(
        (
            e.Top(now, 999, 1001), e.Ack(now, tx_id), e.Refused(now, tx_id, 4), e.Unclear(now, tx_id),
            e.SendFailed(now, tx_id), e.Signed(now, tx_id, 0), e.SignFailed(now, tx_id, 0), e.LinkUp(now, world.epoch),
            e.PositionReport(now, 3), e.NonceReport(now, query_id, 0, 5), e.QueryFailed(now, query_id),
            e.Configure(now, world.settings), e.Timer(now), view, fill, e.Quote(1, 0, 990, 1),
            e.Snapshot(now, query_id, world.epoch, (view,), (fill,), fill.trade_id, 3, ((0, 7),)),
        )
    )  # fmt: skip
    bad = broken(rng, sound)
    if type(bad) is e.Quote:
        return e.Targets(now, (bad, e.Quote(-1, 0, world.venue.ask, 1)))
    if type(bad) is e.OrderView:
        inside = e.Snapshot(now, query_id, world.epoch, (bad,), (), 0, 0, ())
        foreign = type(bad.client_id) is int and not state.ids.owns(bad.client_id)
        return e.OrderReport(now, bad) if foreign or rng.random() < 0.5 else inside
    if type(bad) is e.Fill:
        inside = e.Snapshot(now, query_id, world.epoch, (), (bad,), 0, 0, ())
        return e.Trade(now, bad) if rng.random() < 0.5 else inside
    return bad
