"""Lighter's numbers and words, in one place: enums, codes, limits, and what is uncertain about the venue.

Each constant that could not be read in the official client carries ``to verify``; `docs/lighter.md` lists them under
"to verify on testnet" with what would change.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum

from mmlab.events import NS_PER_MS, NS_PER_S

SEND_TX, SEND_TX_BATCH = "jsonapi/sendtx", "jsonapi/sendtxbatch"
API = "/api/v1"
STREAM = "/stream"


class TxType(IntEnum):
    """Types of transaction that are traded with or that the paper server takes."""

    CHANGE_PUB_KEY = 8
    CREATE_ORDER = 14
    CANCEL_ORDER = 15
    CANCEL_ALL_ORDERS = 16
    MODIFY_ORDER = 17
    UPDATE_LEVERAGE = 20
    CREATE_GROUPED_ORDERS = 28
    UPDATE_MARGIN = 29
    UPDATE_ACCOUNT_CONFIG = 41
    UPDATE_ACCOUNT_ASSET_CONFIG = 42


class OrderType(IntEnum):
    """Kinds of order in a transaction."""

    LIMIT = 0
    MARKET = 1
    STOP_LOSS = 2
    STOP_LOSS_LIMIT = 3
    TAKE_PROFIT = 4
    TAKE_PROFIT_LIMIT = 5
    TWAP = 6


ORDER_TYPE_WORDS = ("limit", "market", "stop-loss", "stop-loss-limit", "take-profit", "take-profit-limit", "twap")


class TimeInForce(IntEnum):
    """Time in force in a transaction."""

    IOC = 0
    GTT = 1
    POST_ONLY = 2


TIME_IN_FORCE_WORDS = ("immediate-or-cancel", "good-till-time", "post-only")


class CancelAll(IntEnum):
    """Time in force of a cancel-all."""

    IMMEDIATE = 0
    SCHEDULED = 1
    ABORT = 2


class Attribute(IntEnum):
    """Keys of ``L2TxAttributes``."""

    SKIP_NONCE = 4
    CANCEL_ALL_MARKET = 5
    SELF_TRADE_BEHAVIOUR = 6
    SELF_TRADE_SCOPE = 7
    ORDER_VERSION = 8


class SelfTrade(IntEnum):
    """What happens to an order that would trade with one's own."""

    EXPIRE_MAKER = 0
    EXPIRE_TAKER = 1
    EXPIRE_BOTH = 2
    REDUCE = 3


class OrderStatus(StrEnum):
    """Words of an order's ``status``."""

    IN_PROGRESS = "in-progress"
    PENDING = "pending"
    OPEN = "open"
    FILLED = "filled"
    CANCELED = "canceled"
    CANCELED_POST_ONLY = "canceled-post-only"
    CANCELED_REDUCE_ONLY = "canceled-reduce-only"
    CANCELED_POSITION_NOT_ALLOWED = "canceled-position-not-allowed"
    CANCELED_MARGIN_NOT_ALLOWED = "canceled-margin-not-allowed"
    CANCELED_TOO_MUCH_SLIPPAGE = "canceled-too-much-slippage"
    CANCELED_NOT_ENOUGH_LIQUIDITY = "canceled-not-enough-liquidity"
    CANCELED_SELF_TRADE = "canceled-self-trade"
    CANCELED_EXPIRED = "canceled-expired"
    CANCELED_OCO = "canceled-oco"
    CANCELED_CHILD = "canceled-child"
    CANCELED_LIQUIDATION = "canceled-liquidation"
    CANCELED_INVALID_BALANCE = "canceled-invalid-balance"


class Code(IntEnum):
    """The venue's codes of refusals, and 200."""

    OK = 200
    INVALID_PARAMETER = 20001  # to verify: seen in threads only
    INVALID_AUTH = 20013  # to verify: as above
    ACCOUNT_NOT_FOUND = 21100
    NO_NONCE = 21101
    INVALID_ACCOUNT_INDEX = 21102
    INVALID_NONCE = 21104
    NONCE_NOT_INCREASING = 21105
    BAD_PUBLIC_KEY = 21108
    KEY_NOT_FOUND = 21109
    INVALID_SIGNATURE = 21120
    MIXED_KEYS = 21121
    DEAD_MAN_IS_DUE = 21122
    SIGNER_TOO_OLD = 21136
    COLLATERAL = 21301
    TX_NOT_FOUND = 21500
    BAD_TX_INFO = 21501
    UNSUPPORTED_TYPE = 21505
    TOO_MANY_PENDING = 21506
    BELOW_INITIAL_MARGIN = 21508
    BATCH_LENGTHS = 21513
    BATCH_TOO_LARGE = 21514
    CANCEL_OF_INACTIVE = 21600
    BOOK_FULL = 21601
    MARKET_INDEX = 21602
    MARKET_STATUS = 21605
    ORDER_INDEX = 21700
    BASE_AMOUNT = 21701
    PRICE = 21702
    SIDE = 21703
    ORDER_TYPE = 21704
    TIME_IN_FORCE = 21705
    TOO_SMALL = 21706
    NOT_OWNER = 21707
    INACTIVE_ORDER = 21709
    EXPIRY = 21711
    SCHEDULED_EXISTS = 21712
    CANCEL_ALL_TIME_IN_FORCE = 21713
    CANCEL_ALL_TIME = 21714
    INACTIVE = 21715
    NOT_EXPIRED = 21716
    MAX_ORDERS = 21717
    MAX_ORDERS_MARKET = 21718
    MAX_PENDING = 21719
    MAX_PENDING_MARKET = 21720
    CLIENT_INDEX = 21727
    CLIENT_INDEX_EXISTS = 21728
    TRIGGER = 21729
    REDUCE_ONLY = 21732
    FAT_FINGER = 21733
    TOO_FAR_FROM_MARK = 21734
    MARGIN = 21739
    TOO_MANY_REQUESTS = 23000
    TOO_MANY_SUBSCRIPTIONS = 23001
    TOO_MANY_ACCOUNTS = 23002
    TOO_MANY_CONNECTIONS = 23003
    NOT_FOUND = 29404
    INTERNAL = 29500
    TIMED_OUT = 29501
    BAD_JSON = 30000
    BAD_TYPE = 30001
    NOT_SUBSCRIBED = 30002
    ALREADY_SUBSCRIBED = 30003
    FETCH_FAILED = 30004
    BAD_CHANNEL = 30005
    UNSUPPORTED = 30006
    BAD_DATA = 30007
    ACCOUNT_TYPE = 30008
    TOO_MANY_MESSAGES = 30009
    TOO_MANY_IN_FLIGHT = 30010
    CONNECT_FAILED = 30011
    SUBSCRIBE_FAILED = 30012
    MAKER_ONLY = 62007


# --- Integers that the signer takes (it truncates silently beyond them) ----------------------------------------------

MAX_PRICE = 2**32 - 1
MAX_BASE = 2**48 - 1
MAX_CLIENT_INDEX = 2**48 - 1
MIN_ORDER_INDEX, MAX_ORDER_INDEX = 2**48, 2**60 - 1
MAX_NONCE = 2**47 - 1
MIN_API_KEY, MAX_API_KEY = 0, 254
MIN_OWN_API_KEY = 4
"""Lower ones belong to the venue's web and mobile front-ends (documentation differs: 0-1, 0-2, 0-3)."""
ALL_KEYS = ALL_MARKETS = 255

# --- Times -----------------------------------------------------------------------------------------------------------

TX_LIFE_NS = 599 * NS_PER_S
"""``ExpiredAt`` is the signer's wall clock plus this, fixed inside the signer."""
MIN_SCHEDULE_NS = 300 * NS_PER_S
MAX_SCHEDULE_NS = 15 * 86_400 * NS_PER_S
MIN_ORDER_EXPIRY_NS = 300 * NS_PER_S
"""To verify: 5 minutes in the documentation, 10 in one client."""
MAX_ORDER_EXPIRY_NS = 30 * 86_400 * NS_PER_S
AUTH_LIFE_S = 600
MAX_AUTH_AHEAD_S = 8 * 3600
IDLE_S = 120
"""A client must send some frame this often."""
BOOK_BATCH_NS = 50 * NS_PER_MS

SIZE_OF_FRACTION = 10_000
"""Margin fractions of a market count so many to the whole."""
DEFAULT_MARGIN_FRACTION, MIN_MARGIN_FRACTION, MAINTENANCE_FRACTION, CLOSEOUT_FRACTION = 500, 200, 120, 80
"""Of the ETH market."""

# --- Limits ----------------------------------------------------------------------------------------------------------

MAX_BATCH = 15
"""To verify: 15 in newer documentation, 50 in older."""
MAX_IN_FLIGHT = 50
MAX_MESSAGES_PER_MIN = 200
MAX_SUBSCRIPTIONS = 500
MAX_CONNECTIONS = MAX_CONNECTIONS_PER_MIN = 255
PING_S = 60
"""To verify: how often the venue sends a ping of its own, to be answered before the next."""
MAX_ORDERS, MAX_ORDERS_PER_MARKET = 1500, 1000
WEIGHTS = {
    "sendTx": 6, "sendTxBatch": 6, "nextNonce": 6, "publicPools": 50, "accountInactiveOrders": 100, "apikeys": 150,
    "transferFeeInfo": 500, "trades": 600, "recentTrades": 600, "changeAccountTier": 3000,
}  # fmt: skip
OTHER_WEIGHT = 300
"""Weight of a REST call that `WEIGHTS` does not name."""
STANDARD_PER_MIN = 60
"""Requests of the standard tier, of all kinds together."""
TX_PER_MIN = {"standard": STANDARD_PER_MIN, "premium": 4000, "plus": 8000, "builder": 8000}
"""Transactions by tier. To verify: the words of ``user_tier``, and the builder's figure."""
PREMIUM_TX_PER_MIN = (
    (0, 4000), (1000, 5000), (3000, 6000), (10_000, 7000), (30_000, 8000), (100_000, 12_000), (300_000, 24_000),
    (500_000, 40_000),
)  # fmt: skip
"""Premium: (LIT staked, transactions a minute)."""
QUOTA_START, QUOTA_CAP, QUOTA_FREE_NS = 1000, 5_000_000, 15 * NS_PER_S
QUOTA_QUOTE_PER_UNIT = 3
"""To verify: one unit of volume quota for so many USD traded (older documentation: 7, 10)."""
QUOTA_TYPES = frozenset({14, 16, 17, 28})
"""To verify: older documentation leaves out 16, cancel-all."""

# --- What the venue may do otherwise ---------------------------------------------------------------------------------

MODIFY_KEEPS_QUEUE = True
"""To verify: a smaller size at the same price keeps its place in the queue."""
NONCE_TEXT, QUOTA_TEXT = "invalid nonce", "volume quota"
"""Words of refusals: the official client looks for the first; the second, of unknown code, is to verify."""
AGGREGATE = "false"
"""To verify: ``trades`` then lists every trade by itself, with the ids that the WebSocket tells."""
