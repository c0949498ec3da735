"""Transactions as the signer makes them: JSON text -> typed, with their ranges checked. Pure.

Only what a transaction says of itself is checked here; nonces, orders and money are the desk's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from mmlab.wire.lighter_terms import (
    MAX_BASE,
    MAX_CLIENT_INDEX,
    MAX_ORDER_INDEX,
    MAX_PRICE,
    Attribute,
    CancelAll,
    Code,
    OrderType,
    TimeInForce,
    TxType,
)

SIGNATURE_BYTES, PUBLIC_KEY_BYTES = 80, 40


class Refusal(Exception):  # noqa: N818 - an ordinary answer, not an error
    """A transaction or question is refused with a code."""

    def __init__(self, code: Code, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class _Tx(msgspec.Struct, rename="pascal"):
    account_index: int
    api_key_index: int
    expired_at: int
    nonce: int
    sig: str
    l2_tx_attributes: dict[str, int] | None = None

    def attribute(self, key: Attribute, default: int = 0) -> int:
        """An attribute's value."""
        return (self.l2_tx_attributes or {}).get(str(int(key)), default)

    @property
    def units(self) -> int:
        """Messages it counts for."""
        return 1


class OrderInfo(msgspec.Struct, rename="pascal"):
    """An order in a transaction."""

    market_index: int
    client_order_index: int
    base_amount: int
    price: int
    is_ask: int
    type: int
    time_in_force: int
    reduce_only: int
    trigger_price: int
    order_expiry: int


class CreateOrder(_Tx, rename="pascal", kw_only=True):
    """14."""

    market_index: int
    client_order_index: int
    base_amount: int
    price: int
    is_ask: int
    type: int
    time_in_force: int
    reduce_only: int
    trigger_price: int
    order_expiry: int


class CancelOrder(_Tx, rename="pascal", kw_only=True):
    """15."""

    market_index: int
    index: int


class CancelAllOrders(_Tx, rename="pascal", kw_only=True):
    """16."""

    time_in_force: int
    time: int


class ModifyOrder(_Tx, rename="pascal", kw_only=True):
    """17."""

    market_index: int
    index: int
    base_amount: int
    price: int
    trigger_price: int


class UpdateLeverage(_Tx, rename="pascal", kw_only=True):
    """20."""

    market_index: int
    initial_margin_fraction: int
    margin_mode: int


class CreateGroupedOrders(_Tx, rename="pascal", kw_only=True):
    """28."""

    grouping_type: int
    orders: list[OrderInfo]


class UpdateMargin(_Tx, rename="pascal", kw_only=True):
    """29."""

    market_index: int
    usdc_amount: int = msgspec.field(name="USDCAmount")
    direction: int


class UpdateAccountConfig(_Tx, rename="pascal", kw_only=True):
    """41."""

    account_trading_mode: int


class UpdateAccountAssetConfig(_Tx, rename="pascal", kw_only=True):
    """42."""

    asset_index: int
    asset_margin_mode: int


class ChangePubKey(_Tx, rename="pascal", kw_only=True):
    """8."""

    pub_key: str


Tx = (
    CreateOrder
    | CancelOrder
    | CancelAllOrders
    | ModifyOrder
    | UpdateLeverage
    | CreateGroupedOrders
    | UpdateMargin
    | UpdateAccountConfig
    | UpdateAccountAssetConfig
    | ChangePubKey
)
_TYPES: dict[int, Any] = {
    TxType.CHANGE_PUB_KEY: ChangePubKey,
    TxType.CREATE_ORDER: CreateOrder,
    TxType.CANCEL_ORDER: CancelOrder,
    TxType.CANCEL_ALL_ORDERS: CancelAllOrders,
    TxType.MODIFY_ORDER: ModifyOrder,
    TxType.UPDATE_LEVERAGE: UpdateLeverage,
    TxType.CREATE_GROUPED_ORDERS: CreateGroupedOrders,
    TxType.UPDATE_MARGIN: UpdateMargin,
    TxType.UPDATE_ACCOUNT_CONFIG: UpdateAccountConfig,
    TxType.UPDATE_ACCOUNT_ASSET_CONFIG: UpdateAccountAssetConfig,
}
_DECODERS = {key: msgspec.json.Decoder(kind) for key, kind in _TYPES.items()}


@dataclass(frozen=True, slots=True)
class Received:
    """A transaction as it came."""

    tx_type: int
    tx: Tx
    info: str
    hash: str
    at_ns: int


def read(tx_type: int, info: str, at_ns: int) -> Received:
    """Parse and check the shape.

    Raises
    ------
    Refusal
        With the venue's code.
    """
    decoder = _DECODERS.get(tx_type)
    if decoder is None:
        raise Refusal(Code.UNSUPPORTED_TYPE, f"unsupported transaction type {tx_type}")
    try:
        tx: Tx = decoder.decode(info)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise Refusal(Code.BAD_TX_INFO, f"invalid tx info: {error}") from None
    _check_signature(tx.sig)
    _check(tx)
    return Received(tx_type, tx, info, hash_of(tx_type, info), at_ns)


def hash_of(tx_type: int, info: str) -> str:
    """80 hex digits that name the transaction. Not the venue's hash, which is Poseidon2 of the fields."""
    return hashlib.blake2b(f"{tx_type}:{info}".encode(), digest_size=40).hexdigest()


def _check_signature(text: str) -> None:
    try:
        size = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if size != SIGNATURE_BYTES:
        raise Refusal(Code.INVALID_SIGNATURE, f"invalid signature: must be {SIGNATURE_BYTES} bytes as base64")


def _check(tx: Tx) -> None:
    if isinstance(tx, CreateOrder):
        check_order(tx)
    elif isinstance(tx, CreateGroupedOrders):
        if not 1 <= len(tx.orders) <= 3:
            raise Refusal(Code.BAD_TX_INFO, "invalid tx info: 1 to 3 grouped orders")
        for order in tx.orders:
            check_order(order)
    elif isinstance(tx, ModifyOrder):
        _check_index(tx.index)
        _check_amounts(tx.base_amount, tx.price, least=0)
    elif isinstance(tx, CancelOrder):
        _check_index(tx.index)
    elif isinstance(tx, CancelAllOrders):
        if tx.time_in_force not in tuple(CancelAll):
            raise Refusal(Code.CANCEL_ALL_TIME_IN_FORCE, "invalid cancel all time in force")
        if tx.time_in_force != CancelAll.SCHEDULED and tx.time != 0:
            raise Refusal(Code.CANCEL_ALL_TIME, "invalid cancel all time: must be 0 unless it is scheduled")
    elif isinstance(tx, ChangePubKey):
        public_key_hex(tx.pub_key)


def public_key_hex(text: str) -> str:
    """A public key, base64 or hex, as hex without 0x."""
    bare = text.removeprefix("0x")
    try:
        if len(bare) == 2 * PUBLIC_KEY_BYTES:
            return bytes.fromhex(bare).hex()
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if len(found) != PUBLIC_KEY_BYTES:
        raise Refusal(Code.BAD_PUBLIC_KEY, f"invalid public key: must be {PUBLIC_KEY_BYTES} bytes")
    return found.hex()


def _check_index(index: int) -> None:
    if not 1 <= index <= MAX_ORDER_INDEX:
        raise Refusal(Code.ORDER_INDEX, "invalid order index")


def _check_amounts(base: int, price: int, least: int) -> None:
    if not least <= base <= MAX_BASE:
        raise Refusal(Code.BASE_AMOUNT, "invalid base amount")
    if not 1 <= price <= MAX_PRICE:
        raise Refusal(Code.PRICE, "invalid price")


def check_order(order: CreateOrder | OrderInfo) -> None:
    """Refuse an order that is impossible whatever the market is."""
    market = order.type in (OrderType.MARKET, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT)
    _check_amounts(order.base_amount, order.price, least=0 if order.reduce_only else 1)
    if not 0 <= order.client_order_index <= MAX_CLIENT_INDEX:
        raise Refusal(Code.CLIENT_INDEX, "invalid client order index")
    if order.is_ask not in (0, 1):
        raise Refusal(Code.SIDE, "invalid side")
    if order.reduce_only not in (0, 1):
        raise Refusal(Code.REDUCE_ONLY, "invalid reduce only flag")
    if order.type not in tuple(OrderType) or order.type == OrderType.TWAP:
        raise Refusal(Code.ORDER_TYPE, "invalid order type: the paper server has none of this type")
    if order.time_in_force not in tuple(TimeInForce) or (market and order.time_in_force != TimeInForce.IOC):
        raise Refusal(Code.TIME_IN_FORCE, "invalid time in force")
    triggered = order.type not in (OrderType.LIMIT, OrderType.MARKET)
    if (order.trigger_price > 0) != triggered:
        raise Refusal(Code.TRIGGER, "invalid trigger price")
    dies_at_once = order.time_in_force == TimeInForce.IOC and not triggered
    if (order.order_expiry == 0) != dies_at_once:
        raise Refusal(Code.EXPIRY, "invalid order expiry: 0 for immediate-or-cancel, else a time")
