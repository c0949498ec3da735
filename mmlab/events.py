"""Record dtypes and enums that every room speaks.

Time is int64 nanoseconds since the epoch, prices are int64 ticks, sizes int64 lots. ``side`` is +1 for bid (we buy, or
a buying aggressor) and -1 for ask. Undefined floats are NaN, never 0.

How each `Kind` uses the columns of an `EVENT` row:

=============== ============ =================== ==================== ================================================
kind            side         price_ticks         size_lots            order_id
=============== ============ =================== ==================== ================================================
DEPTH           book side    level               new absolute size    venue update id (rows of one message share it)
TRADE           aggressor    trade price         traded size          venue match id, 0 if unknown
SNAPSHOT_BEGIN  0            0                   0                    update id; the book is emptied here
SNAPSHOT_END    0            0                   0                    update id; the book is valid again
GAP             0            0                   messages lost, or 0  0; the book is invalid until SNAPSHOT_END
FUNDING         0            mark price          rate in 1e-9         0; `-position * mark * rate` is booked
MARK            0            mark price          0                    0
ADD             book side    order's price       order's size         order id
CANCEL          book side    order's price       size taken away      order id
EXECUTE         resting side resting price       executed size        order id; a visible trade, aggressor = -side
=============== ============ =================== ==================== ================================================

Rows are sorted by ``local_ns``; at equal local time trades (`TRADE`, `EXECUTE`) come before book rows of another
message. A *venue message* is a maximal run of consecutive book rows (DEPTH, or ADD/CANCEL/EXECUTE) with equal
``exch_ns`` and, for DEPTH, equal ``order_id``; a snapshot from BEGIN to END is one message. Among book rows, and among
trades, ``exch_ns`` never decreases; between the two streams it may, since they are different channels.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
BID, ASK = 1, -1
MAX_RUNGS = 8
"""Most rungs a side."""
NO_PRICE = np.iinfo(np.int64).min
"""Price in ticks of a side that has no level."""
NEVER_NS = np.iinfo(np.int64).max
"""A deadline that is not set."""


class Kind(IntEnum):
    """What an `EVENT` row says."""

    DEPTH = 0
    TRADE = 1
    SNAPSHOT_BEGIN = 2
    SNAPSHOT_END = 3
    GAP = 4
    FUNDING = 5
    MARK = 6
    ADD = 7
    CANCEL = 8
    EXECUTE = 9


EVENT = np.dtype(
    [
        ("exch_ns", "i8"),
        ("local_ns", "i8"),
        ("kind", "u1"),
        ("side", "i1"),
        ("price_ticks", "i8"),
        ("size_lots", "i8"),
        ("order_id", "i8"),
    ],
    align=True,
)
"""One row of a feed."""


class InputKind(IntEnum):
    """What an `INPUT` row says; below these stand the values of `Kind`, for market rows."""

    FILL = 32
    ORDERS = 33  # our working orders
    DECIDE = 34
    PARAMS = 35  # a parameter version takes effect
    HALT = 36  # an operator's kill
    REARM = 37
    SECOND = 38  # the `METRIC` row of a second is written


INPUT = np.dtype(
    [
        ("exch_ns", "i8"),
        ("local_ns", "i8"),
        ("kind", "u1"),
        ("side", "i1"),
        ("rung", "i1"),
        ("liquidity", "u1"),
        ("price_ticks", "i8"),
        ("size_lots", "i8"),
        ("order_id", "i8"),
        ("client_order_id", "i8"),
        ("fee", "f8"),
        ("mid", "f8"),
    ],
    align=True,
)
"""One input of the decision kernel, in the order consumed. Market rows and FILL use the columns as `EVENT` and `FILL`
do. ORDERS: lots working a side in ``price_ticks`` (bid) and ``size_lots`` (ask), orders not terminal in ``order_id``,
messages sent in ``client_order_id``, ``side`` 1 while an age exit works. PARAMS: the version in ``order_id``. DECIDE,
HALT, REARM and SECOND: the time alone."""

BOOK = np.dtype(
    [
        ("exch_ns", "i8"),
        ("local_ns", "i8"),
        ("row", "i8"),
        ("bid_ticks", "i8"),
        ("ask_ticks", "i8"),
        ("bid_lots", "i8"),
        ("ask_lots", "i8"),
        ("valid", "u1"),
    ],
    align=True,
)
"""Best quotes after a venue message that changed them. ``row`` is the index in the feed of the message's last row;
``valid`` is 1 when both sides exist, uncrossed and unlocked, outside GAP and snapshot. A side that is empty has
`NO_PRICE` and 0 lots."""


class Liquidity(IntEnum):
    """Which side of the trade we were."""

    MAKER = 0
    TAKER = 1


class FillKind(IntEnum):
    """Why the simulator filled us (`terms.md`, Replay fidelity)."""

    QUEUE = 0
    THROUGH = 1
    CROSS = 2
    TAKER = 3


class OrderState(IntEnum):
    """Life of an order (`terms.md`, Orders)."""

    PLANNED = 0
    SIGNED = 1
    SENT = 2
    ACCEPTED = 3
    LIVE = 4
    PARTIALLY_FILLED = 5
    CANCEL_PENDING = 6
    MODIFY_PENDING = 7
    DRAINING = 8
    FILLED = 9
    CANCELED = 10
    REJECTED = 11
    EXPIRED = 12
    UNKNOWN = 13


class TargetFlag(IntFlag):
    """How a target is to be sent."""

    POST_ONLY = 1
    IOC = 2
    REDUCE_ONLY = 4


class Reason(IntFlag):
    """Everything that kept a side from its model quote, as bits (one set a side in a decision)."""

    BOOK = 1 << 0  # no valid book
    WARMUP = 1 << 1
    LADDER = 1 << 2  # offset or smaller size
    LADDER_FULL = 1 << 3  # |q_ratio| >= 1: heavy side off
    COOLDOWN = 1 << 4  # refill cooldown after a hit
    PULL = 1 << 5  # more than max_fills_per_s
    FLIP_SKIP = 1 << 6
    FLIP_WIDEN = 1 << 7
    AGE_EXIT = 1 << 8  # heavy side waits for the exit, or light size cut for it
    TOXIC = 1 << 9
    BURST = 1 << 10
    LIGHT_WIDEN = 1 << 11  # a pause of the light side softened to a widening
    LOSING = 1 << 12
    LOSS = 1 << 13
    DRAWDOWN = 1 << 14
    VOLATILITY = 1 << 15
    STALE = 1 << 16
    POSITION = 1 << 17
    HARD_LIMIT = 1 << 18
    COLLAR = 1 << 19
    SIZE = 1 << 20
    ORDER_COUNT = 1 << 21
    MESSAGES = 1 << 22
    MARK = 1 << 23
    MANUAL = 1 << 24
    REARM = 1 << 25  # a trip has run out, but its conditions for quoting do not hold yet
    MIN_SIZE = 1 << 26  # below min_size or min_notional
    FLOOR = 1 << 27
    CAP = 1 << 28
    CLAMP = 1 << 29  # post-only clamp moved the price
    CUT = 1 << 30  # size cut so that the position limit holds


class Switch(IntEnum):
    """Kill switches and gates that log triggers."""

    TOXIC = 0
    BURST = 1
    LOSING = 2
    LOSS = 3
    DRAWDOWN = 4
    VOLATILITY = 5
    STALE = 6
    POSITION = 7
    HARD_LIMIT = 8
    COLLAR = 9
    SIZE = 10
    ORDER_COUNT = 11
    MESSAGES = 12
    MARK = 13
    MANUAL = 14
    FLIP = 15
    PULL = 16
    AGE_EXIT = 17
    LADDER = 18
    LINK = 19
    REJECTS = 20
    MISMATCH = 21
    SESSION = 22  # the venue refuses us
    STATUS = 23  # the venue does not trade
    QUEUE = 24  # the engine cannot keep up with its own reports
    TASK = 25  # a part of the engine died
    CLOCK = 26  # ours and the venue's time differ (live only)
    DEAD_MAN = 27  # the venue's scheduled cancel-all could not be renewed (live only)
    MARGIN = 28  # liquidation is near (live only)


class GateAction(IntEnum):
    """What a `GATE` row reports."""

    TRIP = 0  # a kill switch acted
    OBSERVE = 1  # it would have acted (kill.mode = "observe")
    REARM = 2
    LATCH = 3
    SKIP = 4  # flip gate pulled both sides
    WIDEN = 5
    PAUSE = 6
    EXIT = 7  # age exit sent
    EXIT_SKIPPED = 8
    LEVEL_UP = 9
    LEVEL_DOWN = 10


TARGET = np.dtype(
    [("side", "i1"), ("rung", "i1"), ("flags", "u1"), ("price_ticks", "i8"), ("size_lots", "i8")], align=True
)
"""Where a quote should rest. ``flags``: `TargetFlag`."""

MARKET = np.dtype(
    [
        ("exch_ns", "i8"),
        ("local_ns", "i8"),
        ("bid_ticks", "i8"),
        ("ask_ticks", "i8"),
        ("bid_lots", "i8"),
        ("ask_lots", "i8"),
        ("bid", "f8"),
        ("ask", "f8"),
        ("bid_size", "f8"),
        ("ask_size", "f8"),
        ("mid", "f8"),
        ("micro", "f8"),
        ("tick_size", "f8"),
        ("lot_size", "f8"),
        ("valid", "u1"),
    ],
    align=True,
)
"""The market as the decision kernel, and a user's quoter, sees it on the local clock."""

QUOTE = np.dtype([("side", "i8"), ("price", "f8"), ("size_lots", "i8")], align=True)
"""What a quoting model or a user's quoter writes: unrounded price in quote currency; best rung first, a side."""

GATE = np.dtype(
    [
        ("local_ns", "i8"),
        ("switch", "u1"),
        ("action", "u1"),
        ("side", "i1"),
        ("value", "f8"),
        ("threshold", "f8"),
        ("n", "i8"),
        ("effect", "f8"),
        ("until_ns", "i8"),
    ],
    align=True,
)
"""A trigger of a gate or kill switch: its input ``value`` against ``threshold`` on ``n`` samples; ``effect`` is the
extra half-spread in ticks, the pause in seconds, the exit's lots or the ladder level; ``side`` 0 means both."""

DECISION = np.dtype(
    [
        ("local_ns", "i8"),
        ("bid_ticks", "i8"),
        ("ask_ticks", "i8"),
        ("bid_lots", "i8"),
        ("ask_lots", "i8"),
        ("mid", "f8"),
        ("sigma", "f8"),
        ("position_lots", "i8"),
        ("level", "i1"),
        ("flip_extra_ticks", "f8"),
        ("bid_reasons", "u4"),
        ("ask_reasons", "u4"),
        ("first_target", "i8"),
        ("targets", "i8"),
    ],
    align=True,
)
"""A decision whose outcome differs from the one before. Its quotes are rows ``first_target : first_target + targets``
of the run's `TARGET` table."""

FILL = np.dtype(
    [
        ("exch_ns", "i8"),
        ("local_ns", "i8"),
        ("side", "i1"),
        ("rung", "i1"),
        ("liquidity", "u1"),
        ("fill_kind", "u1"),
        ("price_ticks", "i8"),
        ("size_lots", "i8"),
        ("fee", "f8"),
        ("mid", "f8"),
        ("position_before_lots", "i8"),
        ("position_after_lots", "i8"),
        ("order_id", "i8"),
        ("client_order_id", "i8"),
        ("hit_id", "i8"),
    ],
    align=True,
)
"""A fill. ``fee`` is in the settle currency, paid if > 0; ``mid`` is mid_before; ``hit_id`` groups fills of one side
with the same exchange time (or venue match id)."""

ORDER = np.dtype(
    [
        ("exch_ns", "i8"),
        ("local_ns", "i8"),
        ("state", "u1"),
        ("side", "i1"),
        ("rung", "i1"),
        ("flags", "u1"),
        ("price_ticks", "i8"),
        ("size_lots", "i8"),
        ("filled_lots", "i8"),
        ("order_id", "i8"),
        ("client_order_id", "i8"),
        ("reason", "u1"),
    ],
    align=True,
)
"""One transition of an order. ``exch_ns`` is when it happened at the exchange (0 while only we know of it),
``local_ns`` when we did it or heard of it; ``reason``: `OrderReason`."""


class OrderReason(IntEnum):
    """Why an order changed state."""

    NONE = 0
    POST_ONLY_WOULD_CROSS = 1
    REDUCE_ONLY = 2
    IOC_REMAINDER = 3
    TOO_LATE = 4  # cancel or modify of an order that was already gone
    REPLACED = 5
    END_OF_FEED = 6
    NOT_FOUND = 7  # a full view of the venue does not show it


METRIC = np.dtype(
    [
        ("local_ns", "i8"),
        ("mid", "f8"),
        ("position_lots", "i8"),
        ("q_ratio", "f8"),
        ("level", "i1"),
        ("cash", "f8"),
        ("realised", "f8"),
        ("unrealised", "f8"),
        ("fees", "f8"),
        ("funding", "f8"),
        ("net_pnl", "f8"),
        ("volume", "f8"),
        ("sigma", "f8"),
        ("flip_rate", "f8"),
        ("flip_rate_10s", "f8"),
        ("markout_bid_bps", "f8"),
        ("markout_ask_bps", "f8"),
        ("n_bid", "i8"),
        ("n_ask", "i8"),
        ("fill_rate_bid", "f8"),
        ("fill_rate_ask", "f8"),
        ("fill_rate_p95_bid", "f8"),
        ("fill_rate_p95_ask", "f8"),
        ("inventory_age_s", "f8"),
        ("lot_age_s", "f8"),
        ("market_volume", "f8"),
        ("messages", "i8"),
        ("quoting_bid", "f8"),
        ("quoting_ask", "f8"),
        ("at_touch_bid", "f8"),
        ("at_touch_ask", "f8"),
        ("bid_reasons", "u4"),
        ("ask_reasons", "u4"),
        ("flip_extra_ticks", "f8"),
    ],
    align=True,
)
"""One row a second. Money in the settle currency (see `mmlab.kernels.account`); ``quoting_*`` and ``at_touch_*`` are
the shares of that second in which the side had a resting quote, and one at the best price."""
