"""Each fill rule of `terms.md`, Replay fidelity, on a tape of a few rows whose outcome was worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmlab.events import FillKind, Kind, OrderReason, OrderState
from mmlab.simulator import Latency
from tests.simulator.tapes import (
    ASK,
    BID,
    INSTRUMENT,
    T0,
    Feed,
    filled,
    life,
    makers,
    ms,
    run,
)

QUEUE, THROUGH, CROSS, TAKER = (int(k) for k in (FillKind.QUEUE, FillKind.THROUGH, FillKind.CROSS, FillKind.TAKER))
SENT, LIVE, PARTIAL = int(OrderState.SENT), int(OrderState.LIVE), int(OrderState.PARTIALLY_FILLED)
FILLED, CANCELED, REJECTED = int(OrderState.FILLED), int(OrderState.CANCELED), int(OrderState.REJECTED)
CANCELING, MODIFYING = int(OrderState.CANCEL_PENDING), int(OrderState.MODIFY_PENDING)
SELLER, BUYER = ASK, BID
BID_999 = [(0, BID, 999, 5)]
"""A bid at the best price: decided at 1 ms, at the exchange at 6 ms, known to rest at 11 ms."""


def test_joins_behind_the_size_displayed_when_it_arrives():
    # 10 at the decision, 14 at arrival
    feed = Feed().book().depth(5, (BID, 999, 14)).trade(20, SELLER, 999, 14).trade(21, SELLER, 999, 2).wait(60)
    assert filled(run(feed, BID_999)) == [(21, BID, 999, 2, QUEUE)]


def test_a_size_displayed_after_arrival_is_behind_us():
    feed = Feed().book().depth(7, (BID, 999, 30)).trade(20, SELLER, 999, 10).trade(21, SELLER, 999, 2).wait(60)
    assert filled(run(feed, BID_999)) == [(21, BID, 999, 2, QUEUE)]


def test_trades_at_the_price_reduce_what_is_ahead():
    feed = Feed().book().trade(20, SELLER, 999, 4).trade(21, SELLER, 999, 5).trade(22, SELLER, 999, 3).wait(60)
    assert filled(run(feed, BID_999)) == [(22, BID, 999, 2, QUEUE)]


def test_a_trade_before_arrival_does_not_count():
    feed = Feed().book().trade(5, SELLER, 999, 4).trade(20, SELLER, 999, 9).trade(21, SELLER, 999, 2).wait(60)
    assert filled(run(feed, BID_999)) == [(21, BID, 999, 1, QUEUE)]


def test_trades_of_buyers_do_not_reach_a_bid():
    feed = Feed().book().trade(20, BUYER, 999, 40).trade(21, BUYER, 990, 40).wait(60)
    assert filled(run(feed, BID_999)) == []


def test_ahead_is_capped_by_the_displayed_size():
    feed = Feed().book().depth(15, (BID, 999, 3)).trade(20, SELLER, 999, 3).trade(21, SELLER, 999, 1).wait(60)
    assert filled(run(feed, BID_999)) == [(21, BID, 999, 1, QUEUE)]


def test_nothing_ahead_is_filled_by_the_next_trade():
    feed = Feed().book().depth(15, (BID, 999, 0)).trade(20, SELLER, 999, 1).wait(60)
    assert filled(run(feed, BID_999)) == [(20, BID, 999, 1, QUEUE)]
    assert filled(run(feed, BID_999, partial_fills=False)) == [(20, BID, 999, 5, QUEUE)]


def test_depth_alone_never_fills():
    feed = Feed().book().depth(15, (BID, 999, 0)).depth(20, (BID, 999, 8)).depth(25, (BID, 999, 0)).wait(60)
    assert filled(run(feed, BID_999)) == []
