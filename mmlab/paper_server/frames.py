"""What the server says, as structures in Lighter's field names. Pure data."""

from __future__ import annotations

import msgspec

encode = msgspec.json.Encoder().encode


class Level(msgspec.Struct):
    """A price level."""

    price: str
    size: str


class BookBody(msgspec.Struct):
    """Body of an order book frame; times in µs."""

    code: int
    asks: list[Level]
    bids: list[Level]
    offset: int
    nonce: int
    last_updated_at: int
    begin_nonce: int


class BookFrame(msgspec.Struct):
    """Order book frame."""

    type: str
    channel: str
    offset: int
    order_book: BookBody
    last_updated_at: int
    timestamp: int


class TradeView(msgspec.Struct, omit_defaults=True):
    """A trade. Fields without a default are always sent."""

    trade_id: int
    trade_id_str: str
    tx_hash: str
    type: str
    market_id: int
    market_symbol: str
    market_kind: str
    size: str
    price: str
    usd_amount: str
    ask_id: int
    bid_id: int
    ask_id_str: str
    bid_id_str: str
    ask_client_id: int
    bid_client_id: int
    ask_client_id_str: str
    bid_client_id_str: str
    ask_account_id: int
    bid_account_id: int
    is_maker_ask: bool
    block_height: int
    timestamp: int
    transaction_time: int
    taker_fee: int = 0
    maker_fee: int = 0
    taker_position_size_before: str | None = None
    taker_entry_quote_before: str | None = None
    taker_initial_margin_fraction_before: int | None = None
    taker_position_sign_changed: bool | None = None
    maker_position_size_before: str | None = None
    maker_entry_quote_before: str | None = None
    maker_initial_margin_fraction_before: int | None = None
    maker_position_sign_changed: bool | None = None
    bid_account_pnl: str | None = None
    ask_account_pnl: str | None = None


class OrderView(msgspec.Struct):
    """An order as the venue shows it."""

    order_index: int
    client_order_index: int
    order_id: str
    client_order_id: str
    market_index: int
    market_symbol: str
    owner_account_index: int
    initial_base_amount: str
    price: str
    nonce: int
    remaining_base_amount: str
    is_ask: bool
    base_size: int
    base_price: int
    filled_base_amount: str
    filled_quote_amount: str
    side: str
    type: str
    time_in_force: str
    reduce_only: bool
    trigger_price: str
    order_expiry: int
    status: str
    block_height: int
    timestamp: int
    created_at: int
    updated_at: int
    transaction_time: int
    order_version: int
    market_kind: str = "perp"
    trigger_status: str = "na"
    trigger_time: int = 0
    parent_order_index: int = 0
    parent_order_id: str = "0"
    to_trigger_order_id_0: str = "0"
    to_trigger_order_id_1: str = "0"
    to_cancel_order_id_0: str = "0"
    integrator_fee_collector_index: str = "0"
    integrator_maker_fee: str = "0"
    integrator_taker_fee: str = "0"
    order_flags: int = 0


class PositionView(msgspec.Struct):
    """A position; ``position`` is never negative, ``sign`` says which way."""

    market_id: int
    symbol: str
    initial_margin_fraction: str
    open_order_count: int
    pending_order_count: int
    position_tied_order_count: int
    sign: int
    position: str
    avg_entry_price: str
    position_value: str
    unrealized_pnl: str
    realized_pnl: str
    liquidation_price: str
    total_funding_paid_out: str
    margin_mode: int
    allocated_margin: str
    total_discount: str = "0.000000"
    margin_set_flag: int = 0


class AssetView(msgspec.Struct):
    """A balance."""

    symbol: str
    asset_id: int
    balance: str
    locked_balance: str
    margin_balance: str
    margin_mode: str = "enabled"
    multiplier: str = "1"


class TxView(msgspec.Struct):
    """A transaction; ``status``: 0 failed, 1 pending, 2 executed."""

    hash: str
    type: int
    info: str
    event_info: str
    status: int
    transaction_index: int
    l1_address: str
    account_index: int
    nonce: int
    expire_at: int
    block_height: int
    queued_at: int
    executed_at: int
    sequence_index: int
    parent_hash: str
    api_key_index: int
    transaction_time: int
