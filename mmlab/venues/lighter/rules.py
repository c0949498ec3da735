"""What Lighter allows, and what its refusals mean. Pure. `docs/lighter.md` has the table with reasons."""

from __future__ import annotations

import sys

from mmlab.events import NS_PER_S
from mmlab.exchange import Costs, ErrorClass, QuotaRule, RateRule, VenueRules
from mmlab.instrument import Instrument
from mmlab.wire.lighter_rest import Limits, Market
from mmlab.wire.lighter_terms import (
    MAX_BATCH,
    MAX_IN_FLIGHT,
    MODIFY_KEEPS_QUEUE,
    PREMIUM_TX_PER_MIN,
    QUOTA_CAP,
    QUOTA_FREE_NS,
    QUOTA_QUOTE_PER_UNIT,
    QUOTA_START,
    STANDARD_PER_MIN,
    TX_PER_MIN,
    Code,
)

E, C = ErrorClass, Code
FORBIDDEN, NOT_ALLOWED = 403, 405
"""HTTP answers of the firewall, which came before the exchange."""
ERRORS: dict[int, ErrorClass] = {
    **dict.fromkeys((C.INVALID_NONCE, C.NONCE_NOT_INCREASING, C.NO_NONCE), E.RESYNC_NONCE),
    **dict.fromkeys(
        (C.CANCEL_OF_INACTIVE, C.ORDER_INDEX, C.NOT_OWNER, C.INACTIVE_ORDER, C.INACTIVE, C.CLIENT_INDEX_EXISTS,
         C.NOT_FOUND), E.RESYNC_ORDERS,
    ),
    **dict.fromkeys(
        (C.INVALID_AUTH, C.ACCOUNT_NOT_FOUND, C.INVALID_ACCOUNT_INDEX, C.BAD_PUBLIC_KEY, C.KEY_NOT_FOUND,
         C.INVALID_SIGNATURE, C.SIGNER_TOO_OLD, C.MARKET_INDEX, C.ACCOUNT_TYPE), E.FATAL_SESSION,
    ),
    **dict.fromkeys(
        (C.DEAD_MAN_IS_DUE, C.TOO_MANY_PENDING, C.BOOK_FULL, C.MARKET_STATUS, C.MAX_ORDERS, C.MAX_ORDERS_MARKET,
         C.MAX_PENDING, C.MAX_PENDING_MARKET, C.TOO_MANY_REQUESTS, C.TOO_MANY_SUBSCRIPTIONS, C.TOO_MANY_ACCOUNTS,
         C.TOO_MANY_CONNECTIONS, C.TOO_MANY_MESSAGES, C.TOO_MANY_IN_FLIGHT, 429, FORBIDDEN, NOT_ALLOWED),
        E.RETRYABLE_BACKOFF,
    ),
    **dict.fromkeys(
        (C.INVALID_PARAMETER, C.MIXED_KEYS, C.COLLATERAL, C.TX_NOT_FOUND, C.BAD_TX_INFO, C.UNSUPPORTED_TYPE,
         C.BELOW_INITIAL_MARGIN, C.BATCH_LENGTHS, C.BATCH_TOO_LARGE, C.BASE_AMOUNT, C.PRICE, C.SIDE, C.ORDER_TYPE,
         C.TIME_IN_FORCE, C.TOO_SMALL, C.EXPIRY, C.SCHEDULED_EXISTS, C.CANCEL_ALL_TIME_IN_FORCE, C.CANCEL_ALL_TIME,
         C.NOT_EXPIRED, C.CLIENT_INDEX, C.TRIGGER, C.REDUCE_ONLY, C.FAT_FINGER, C.TOO_FAR_FROM_MARK, C.MARGIN,
         C.BAD_JSON, C.BAD_TYPE, C.BAD_DATA, C.UNSUPPORTED, C.MAKER_ONLY), E.FATAL_ORDER,
    ),
}  # fmt: skip
"""Code -> class. One that is not here is `FATAL_ORDER`: give this order up, and look at what there is."""
ERRORS = {int(code): kind for code, kind in ERRORS.items()}
UNCLEAR_CODES = frozenset({int(C.INTERNAL), int(C.TIMED_OUT)})
"""Codes after which nothing can be concluded."""
BUSY_NS, BLOCKED_NS = NS_PER_S, 60 * NS_PER_S
FLIGHT_NS = (5 if sys.platform == "linux" else 30) * NS_PER_S
"""Longest time a payload that left us may still reach the book.

On Linux the kernel ends a connection on which nothing is acknowledged for 3 s (`socket.UNACKNOWLEDGED_MS`), and what it
has not sent by then is thrown away; two more seconds are for the venue's own queues (taker orders wait 300 ms, at
most). Elsewhere only missing pongs tell, after 25 s. To verify: the venue's own longest delay.
"""


def retry_after_ns(code: int) -> int:
    """How long to wait after a refusal that does not say."""
    if code in (FORBIDDEN, NOT_ALLOWED):
        return BLOCKED_NS
    return BUSY_NS if ERRORS.get(code) == ErrorClass.RETRYABLE_BACKOFF else 0


def instrument_of(market: Market, limits: Limits | None = None) -> Instrument:
    """Ticks, lots, minimums and fees: the account's own where they are known, else the market's."""
    maker, taker = 100 * float(market.maker_fee), 100 * float(market.taker_fee)
    if limits is not None and limits.current_maker_fee_tick is not None and limits.current_taker_fee_tick is not None:
        maker, taker = limits.current_maker_fee_tick / 100, limits.current_taker_fee_tick / 100
    return Instrument(
        market.symbol, float(f"1e-{market.supported_price_decimals}"), float(f"1e-{market.supported_size_decimals}"),
        float(market.min_base_amount), float(market.min_quote_amount), maker, taker, settle="USDC",
    )  # fmt: skip


def tier_of(limits: Limits | None) -> str:
    """Name of the account's tier; the smallest if it is not known."""
    return (limits.user_tier if limits is not None else "").lower() or "standard"


def tx_per_minute(limits: Limits | None) -> int:
    """Transactions a minute that the account's tier allows; for the standard tier, all requests together."""
    tier = tier_of(limits)
    if tier != "premium" or limits is None:
        return TX_PER_MIN.get(tier, STANDARD_PER_MIN)
    staked = float(limits.effective_lit_stakes or 0)
    return max(rate for least, rate in PREMIUM_TX_PER_MIN if staked >= least)


def rate_rule(limits: Limits | None) -> RateRule:
    """Bucket that never breaks the venue's limit for any 60 s: what it holds and what comes back make up the limit.

    A quarter of the standard tier's few requests is left for questions.
    """
    most = tx_per_minute(limits)
    if most <= STANDARD_PER_MIN:
        most = most * 3 // 4
    capacity = max(1, most // 5)
    return RateRule(capacity, most - capacity)


def rules_of(
    market: Market, limits: Limits | None, quote_keys: tuple[int, ...], cancel_keys: tuple[int, ...]
) -> VenueRules:
    """The rules for one market and account."""
    instrument = instrument_of(market, limits)
    decimals = market.supported_price_decimals + market.supported_size_decimals
    return VenueRules(
        modify_keeps_queue=MODIFY_KEEPS_QUEUE,
        quote_keys=quote_keys,
        cancel_keys=cancel_keys,
        flight_ns=FLIGHT_NS,
        min_lots=instrument.min_size_lots,
        wall_clock=True,
        max_in_flight=MAX_IN_FLIGHT - 5,  # so that cancels find room
        max_batch=MAX_BATCH,
        rate=rate_rule(limits),
        quota=QuotaRule(
            on=tier_of(limits) != "standard",
            start=QUOTA_START,
            cap=QUOTA_CAP,
            costs=Costs(place=1, modify=1, cancel=0, cancel_all=1, query=0),
            earn_tick_lots=QUOTA_QUOTE_PER_UNIT * 10**decimals,
            free_ns=QUOTA_FREE_NS,
        ),
        errors=ERRORS,
    )
