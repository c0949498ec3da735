"""Transactions as signed WebSocket frames. Every number is checked before the native signer sees it."""

from __future__ import annotations

from mmlab.errors import SigningError
from mmlab.events import ASK, BID, TargetFlag
from mmlab.exchange import Payload, Transaction, TxKind
from mmlab.venues.lighter import native
from mmlab.venues.lighter.endpoint import Endpoint
from mmlab.venues.lighter.keys import Credentials
from mmlab.venues.lighter.native import SignedTx
from mmlab.wire.lighter_session import transaction as frame_of
from mmlab.wire.lighter_terms import (
    MAX_API_KEY,
    MAX_BASE,
    MAX_CLIENT_INDEX,
    MAX_NONCE,
    MAX_ORDER_INDEX,
    MAX_PRICE,
    MIN_API_KEY,
    MIN_ORDER_INDEX,
    CancelAll,
    OrderType,
    TimeInForce,
)

EXPIRY_28_DAYS, EXPIRY_NONE = -1, 0
ALL = 255
MAX_ACCOUNT = 2**48 - 1
MAX_MARKET = 2**15 - 1
MAX_MS = 2**47 - 1


def in_range(what: str, value: int, least: int, most: int) -> int:
    """`value`, if it is a whole number in its range; the foreign call would truncate it silently.

    Raises
    ------
    SigningError
        It is not.
    """
    if type(value) is not int or not least <= value <= most:
        raise SigningError(f"{what} {value!r}: must be a whole number from {least} to {most}")
    return value


class KeySigner:
    """Signs with the keys of one account. Calls wait for no network; from any thread."""

    def __init__(self, endpoint: Endpoint, credentials: Credentials) -> None:
        self.account = in_range("account index", credentials.account_index, 1, MAX_ACCOUNT)
        self.keys = tuple(credentials.keys)
        for index, secret in credentials.keys.items():
            native.create_client(endpoint.rest, secret.reveal(), endpoint.chain_id, index, self.account)

    def _ends(self, key: int, nonce: int) -> tuple[int, int]:
        in_range("API key", key, MIN_API_KEY, MAX_API_KEY)
        if key not in self.keys:
            raise SigningError(f"no private key for API key {key}: there are {self.keys}")
        return in_range("nonce", nonce, 0, MAX_NONCE), key

    def create(
        self, market: int, client_index: int, base: int, price: int, *, ask: bool, time_in_force: TimeInForce,
        reduce_only: bool, nonce: int, key: int,
    ) -> SignedTx:  # fmt: skip
        """A limit order."""
        nonce, key = self._ends(key, nonce)
        expiry = EXPIRY_NONE if time_in_force == TimeInForce.IOC else EXPIRY_28_DAYS
        return native.signed(
            "SignCreateOrder", in_range("market", market, 0, MAX_MARKET),
            in_range("client order index", client_index, 1, MAX_CLIENT_INDEX), in_range("size", base, 1, MAX_BASE),
            in_range("price", price, 1, MAX_PRICE), int(ask), int(OrderType.LIMIT), int(time_in_force),
            int(reduce_only), 0, expiry, 0, 0, 0, 0, 0, 0, nonce, key, self.account,
        )  # fmt: skip

    def cancel(self, market: int, index: int, *, nonce: int, key: int) -> SignedTx:
        """Cancel by client index or order index."""
        nonce, key = self._ends(key, nonce)
        index = in_range("order", index, 1, MAX_ORDER_INDEX)
        return native.signed(
            "SignCancelOrder", in_range("market", market, 0, MAX_MARKET), index, 0, nonce, key, self.account
        )

    def modify(self, market: int, index: int, base: int, price: int, *, nonce: int, key: int) -> SignedTx:
        """New total size and price."""
        nonce, key = self._ends(key, nonce)
        return native.signed(
            "SignModifyOrder", in_range("market", market, 0, MAX_MARKET),
            in_range("order", index, 1, MAX_ORDER_INDEX), in_range("size", base, 1, MAX_BASE),
            in_range("price", price, 1, MAX_PRICE), 0, 0, 0, 0, 0, 0, 0, nonce, 0, key, self.account,
        )  # fmt: skip

    def cancel_all(self, how: CancelAll, time_ms: int, market: int = ALL, *, nonce: int, key: int) -> SignedTx:
        """Cancel all orders of a market, or of the account: now, at a time, or call such a plan off."""
        nonce, key = self._ends(key, nonce)
        scheduled = how == CancelAll.SCHEDULED
        time_ms = in_range("time of cancel-all, ms,", time_ms, int(scheduled), MAX_MS if scheduled else 0)
        market = in_range("market", market, 0, MAX_MARKET)
        return native.signed("SignCancelAllOrders", int(how), time_ms, market, 0, nonce, key, self.account)

    def auth_token(self, deadline_s: int, key: int) -> str:
        """Token good until `deadline_s`, s since the epoch."""
        self._ends(key, 0)
        return native.auth_token(in_range("deadline, s,", deadline_s, 1, 2**40), key, self.account)


class LighterSigner:
    """The venue's `Signer`, for one market."""

    quick = False

    def __init__(self, keys: KeySigner, market: int) -> None:
        self._keys, self._market = keys, market

    def sign(self, transaction: Transaction) -> Payload:
        """Bytes for `transaction`: a frame ready for the socket; raises `SigningError`."""
        made = self._signed(transaction)
        return Payload(transaction, frame_of(made.tx_hash, made.tx_type, made.tx_info))

    def _signed(self, tx: Transaction) -> SignedTx:
        key, nonce, market = tx.key, tx.nonce, self._market
        if tx.kind == TxKind.PLACE:
            if tx.side not in (BID, ASK):
                raise SigningError(f"side {tx.side!r}: must be {BID} or {ASK}")
            return self._keys.create(
                market, tx.client_id, tx.size_lots, tx.price_ticks, ask=tx.side == ASK,
                time_in_force=time_in_force(tx.flags), reduce_only=bool(tx.flags & TargetFlag.REDUCE_ONLY),
                nonce=nonce, key=key,
            )  # fmt: skip
        if tx.kind == TxKind.MODIFY:
            return self._keys.modify(market, index_of(tx), tx.size_lots, tx.price_ticks, nonce=nonce, key=key)
        if tx.kind == TxKind.CANCEL:
            return self._keys.cancel(market, index_of(tx), nonce=nonce, key=key)
        if tx.kind == TxKind.CANCEL_ALL:
            return self._keys.cancel_all(CancelAll.IMMEDIATE, 0, market, nonce=nonce, key=key)
        raise SigningError(f"unknown kind of transaction {tx.kind!r}")


def time_in_force(flags: int) -> TimeInForce:
    """Of an order's `mmlab.events.TargetFlag`."""
    if flags & TargetFlag.IOC:
        return TimeInForce.IOC
    return TimeInForce.POST_ONLY if flags & TargetFlag.POST_ONLY else TimeInForce.GTT


def index_of(tx: Transaction) -> int:
    """Which order: by our own id, as the venue's may not be known yet."""
    if tx.client_id:
        return in_range("client order index", tx.client_id, 1, MAX_CLIENT_INDEX)
    return in_range("order index", tx.order_index, MIN_ORDER_INDEX, MAX_ORDER_INDEX)
