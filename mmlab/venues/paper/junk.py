"""Nonsense for each inbound path: wrong types, and values that no venue can mean.

All of it contradicts `mmlab.venues.protocol` in itself, so that who looks can know; none of it may change anything.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmlab.events import EVENT, NEVER_NS, NO_PRICE, Kind
from mmlab.exchange import (
    Accepted,
    AccountView,
    Fill,
    FillUpdate,
    Linked,
    OrderUpdate,
    OrderView,
    PositionUpdate,
    Rejected,
    Status,
)

ABSURD = 1 << 62
NAN: Any = float("nan")
NOTHING: Any = None
TEXT: Any = "x"


def anything(rng: np.random.Generator) -> Any:
    """Something of a type that belongs on no path."""
    return _one(rng, (None, {}, {"type": "ping"}, [], "pong", b"\x00", 0, NAN, (0,) * 100_000, object()))


def market(rng: np.random.Generator, now_ns: int) -> Any:
    """For the market feed."""
    good = (now_ns, now_ns, int(Kind.DEPTH), 1, 1000, 1, 0)
    bad_rows = [
        _row(good, kind=255), _row(good, side=0), _row(good, side=7), _row(good, size_lots=-1),
        _row(good, size_lots=ABSURD), _row(good, price_ticks=NO_PRICE), _row(good, price_ticks=-5),
        _row(good, price_ticks=ABSURD), _row(good, local_ns=-1), _row(good, local_ns=NEVER_NS),
    ]  # fmt: skip
    bad_arrays = [
        np.full(3, NAN), np.zeros((2, 2)), np.zeros(1, "i8"), np.zeros((1, 1), EVENT), np.array(None, object),
    ]  # fmt: skip
    return _one(rng, (*bad_rows, *bad_arrays, Status(NOTHING), anything(rng)))


def account(rng: np.random.Generator) -> Any:
    """For the account feed."""
    order = OrderView(0, 1, 1, 1000, 1)
    bad: Any = (
        OrderUpdate(NOTHING), OrderUpdate(TEXT), OrderUpdate(_but(order, side=0)),
        OrderUpdate(_but(order, price_ticks=NAN)),
        OrderUpdate(_but(order, price_ticks=-ABSURD)), OrderUpdate(_but(order, filled_lots=2)),
        OrderUpdate(_but(order, status="happy")), OrderUpdate(_but(order, client_id="x")),
        FillUpdate(NOTHING), FillUpdate(Fill(-1, 0, 1, 1000, 1)), FillUpdate(Fill(ABSURD, 0, 7, 1000, 1)),
        FillUpdate(Fill(NAN, 0, 1, 1000, 1)), FillUpdate(Fill(ABSURD, 0, 1, 1000, -1)),
        FillUpdate(Fill(ABSURD, 0, 1, 1000, NAN)), FillUpdate(Fill(ABSURD, NOTHING, 1, 1000, 1)),
        PositionUpdate(NAN), PositionUpdate(NOTHING), PositionUpdate(TEXT), Linked(NOTHING), Linked(0),
    )  # fmt: skip
    return _one(rng, (*bad, anything(rng)))


def reply(rng: np.random.Generator) -> Any:
    """For a reply to a transaction."""
    bad: Any = (Accepted(NAN), Accepted(TEXT), Rejected(NOTHING), Rejected(NAN), Rejected(5, "", -ABSURD), Linked(1))
    return _one(rng, (*bad, anything(rng)))


def view(rng: np.random.Generator, true: Any) -> Any:
    """For a view or a nonce, whose true answer is `true`."""
    if not isinstance(true, AccountView):
        return _one(rng, (-1, NAN, "7", 1.5, True, anything(rng)))
    bad: Any = (
        {"position_lots": NAN}, {"position_lots": None}, {"last_trade_id": -1}, {"orders": None}, {"orders": (None,)},
        {"orders": ({},)}, {"fills": ({},)}, {"fills": (Fill(-1, 0, 1, 1000, 1),)}, {"nonces": ((0,),)},
        {"nonces": ((0, -1),)}, {"nonces": None}, {"nonces": ((0, NAN),)},
    )  # fmt: skip
    return _but(true, **_one(rng, bad)) if rng.random() < 0.7 else anything(rng)


def _one(rng: np.random.Generator, things: tuple[Any, ...]) -> Any:
    return things[int(rng.integers(len(things)))]


def _row(good: tuple[int, ...], **changes: int) -> Any:
    row = np.array([good], EVENT)
    for name, value in changes.items():
        row[name] = value
    return row


def _but(struct: Any, **changes: Any) -> Any:
    """A copy with changed fields, unchecked."""
    fields = {name: getattr(struct, name) for name in struct.__struct_fields__}
    return type(struct)(**{**fields, **changes})
