"""Bad input: whatever comes in, nothing is raised, what is wrong is counted, and a book that is believed is right."""

from __future__ import annotations

import asyncio
import json
import os
from collections import Counter
from copy import deepcopy
from typing import Any

import msgspec
import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmlab.engine.inbound import Inbound
from mmlab.errors import VenueError
from mmlab.events import Kind
from mmlab.exchange import AccountView, Rejected, Unanswered
from mmlab.venues.clock import LoopClock
from mmlab.venues.lighter.account import FAMILIES as ACCOUNT_FAMILIES
from mmlab.venues.lighter.account import AccountTracker
from mmlab.venues.lighter.account_feed import AccountFeed
from mmlab.venues.lighter.log import Quiet
from mmlab.venues.lighter.market import FAMILIES, MarketTracker, as_array
from mmlab.venues.lighter.market_feed import MarketFeed
from mmlab.venues.lighter.rest import Rest
from mmlab.venues.lighter.views import Views
from tests.venues.lighter.server import ACCOUNT, MARKET, PRICE_DECIMALS, SIZE_DECIMALS, Server

MORE = int(os.environ.get("MMLAB_FUZZ", "1"))
"""Times as many examples, for a long run by hand."""
NOW_NS = 1_795_700_000_100_000_000
NASTY = st.sampled_from(
    [None, True, -1, 0, 2**53, 2**63, 10**400, 1e308, "", "-1", "1e5", "0x1", "NaN", "١٢", "1_0", " 1", "9" * 400,
     "1.23456789", "Infinity", "\x00", [], {}, [[]], {"a": 1}]
)  # fmt: skip
JSON = st.recursive(
    NASTY | st.integers() | st.text(max_size=8) | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=8,
)  # fmt: skip


def server() -> Server:
    """A server with orders and trades, without a socket."""
    made = Server()
    for index, ask, ticks in ((1, False, 99_900), (2, True, 100_100)):
        made.orders[made.index + index] = made.order(made.index + index, (1 << 47) + index, ask, ticks, 500, 100)
    made.fill(next(iter(made.orders.values())), 50)
    return made


def frames() -> list[bytes]:
    """One good frame of each kind, as first and as update."""
    made, found = server(), []
    bodies = {family: made.first(family) for family in (*FAMILIES, *ACCOUNT_FAMILIES)}
    bodies["account_all_trades"] = {"trades": {str(MARKET): made.trades}}
    bodies["trade"] = {"trades": made.trades, "liquidation_trades": None}
    for family, body in bodies.items():
        channel = f"{family}/{MARKET}" if family in FAMILIES else f"{family}/{ACCOUNT}"
        found += [made.encoded(body, f"{kind}/{family}", channel) for kind in ("subscribed", "update")]
    found.append(made.encoded(made.change(True, 100_005, 7, skip=True), "update/order_book", f"order_book/{MARKET}"))
    found.append(b'{"type":"jsonapi/sendtx","id":"aa","code":200,"tx_hash":"aa","volume_quota_remaining":5}')
    found.append(b'{"error":{"code":30003,"message":"already subscribed"}}')
    found.append(b'{"type":"shutdown","close_in_ms":100}')
    return found


GOOD = frames()


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, inner in items for found in places(inner, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with another one at a path; ``...`` removes what is there."""
    if not path:
        return None if new is ... else new
    inner = value[path[0]]
    if len(path) == 1 and new is ...:
        del value[path[0]]
    else:
        value[path[0]] = put(inner, path[1:], new)
    return value


@st.composite
def mutated(draw: st.DrawFn, good: list[bytes] = GOOD) -> bytes:
    """A good frame with a few things wrong, or bytes cut or changed, or anything."""
    frame = draw(st.sampled_from(good))
    how = draw(st.integers(0, 5))
    if how == 0:
        return frame[: draw(st.integers(0, len(frame)))]
    if how == 1:
        at = draw(st.integers(0, len(frame) - 1))
        return frame[:at] + draw(st.binary(min_size=1, max_size=3)) + frame[at + 1 :]
    if how == 2:
        return draw(st.binary(max_size=30)) if draw(st.booleans()) else json.dumps(draw(JSON)).encode()
    value = json.loads(frame)
    for _ in range(draw(st.integers(1, 3))):
        value = put(value, draw(st.sampled_from(places(value))), ... if draw(st.booleans()) else deepcopy(draw(JSON)))
    return json.dumps(value).encode()


DEEP = b'{"type":"update/order_book","channel":' + b"[" * 100_000


def market() -> tuple[MarketTracker, Counter[str]]:
    """A tracker that has a book."""
    counters: Counter[str] = Counter()
    tracker = MarketTracker(MARKET, PRICE_DECIMALS, SIZE_DECIMALS, counters)
    book = next(frame for frame in GOOD if b"subscribed/order_book" in frame)
    tracker.frame("order_book", book, NOW_NS)
    return tracker, counters


@settings(max_examples=80 * MORE)
@given(st.lists(mutated(), min_size=1, max_size=4), st.sampled_from(FAMILIES))
@example([DEEP], "order_book")
def test_market_frames(found: list[bytes], family: str) -> None:
    """No frame raises; rows that come of it pass the engine's last look untouched; what cannot be read is counted."""
    tracker, counters = market()
    inbound = Inbound(lambda *_: None)
    for number, data in enumerate(found):
        now_ns = NOW_NS + number
        before = counters["bad_frames"]
        rows = tracker.frame(family, data, now_ns)
        if rows:
            array = as_array(rows)
            passed = inbound.market(array, now_ns)
            assert isinstance(passed, np.ndarray) and len(passed) == len(array), inbound.counts
        if counters["bad_frames"] > before and family == "order_book":
            assert not tracker.is_right and "order_book" in tracker.again
        bid, ask = tracker.best
        assert bid >= 0 and ask >= 0


@settings(max_examples=80 * MORE)
@given(mutated(), st.sampled_from(ACCOUNT_FAMILIES))
@example(DEEP, "account_orders")
def test_account_frames(data: bytes, family: str) -> None:
    """No frame raises; messages pass the engine's last look; what cannot be read casts doubt."""
    counters: Counter[str] = Counter()
    tracker = AccountTracker(ACCOUNT, MARKET, PRICE_DECIMALS, SIZE_DECIMALS, counters)
    inbound = Inbound(lambda *_: None)
    for message in tracker.frame(family, data):
        checked = inbound.account(message)
        assert checked is message or inbound.counts  # beyond 2**53 it is left to the last look
    assert tracker.doubt == (counters["bad_frames"] > 0 and family != "user_stats")


@settings(max_examples=50 * MORE)
@given(st.lists(mutated(), max_size=5))
@example([DEEP, b"", b"[]", b"null", b'{"type":5}', b'{"error":7}'])
def test_whole_links(found: list[bytes]) -> None:
    """Both connections take anything; waiting replies get an honest answer or none."""

    async def main() -> None:
        counters: Counter[str] = Counter()
        made, clock, decimals = Server(), LoopClock(NOW_NS), (PRICE_DECIMALS, SIZE_DECIMALS)
        tokens: Any = None
        feed = MarketFeed(made.endpoint, MARKET, decimals, clock, counters, Quiet())
        account = AccountFeed(made.endpoint, ACCOUNT, MARKET, decimals, tokens, counters, Quiet(), with_quota=True)
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        account._replies.expect("aa", reply)
        for data in found:
            feed.link._heard(data)
            account.link._heard(data)
        if reply.done():
            assert Inbound(lambda *_: None).reply(reply.result())

    asyncio.run(main())


class FedRest(Rest):
    """A REST client that is fed its answers."""

    def __init__(self, answers: dict[str, bytes]) -> None:
        self.answers, self.counters = answers, Counter()

    async def get(self, path: str, kind: Any, *, private: bool = False, **parameters: Any) -> Any:
        return self._decoded(path, kind, self.answers[path])


def answers() -> dict[str, bytes]:
    """Good answers of every question of a view."""
    made = server()
    query = {"api_key_index": "4", "limit": "100"}
    names = ("nextNonce", "accountActiveOrders", "account", "trades", "orderBooks", "accountLimits")
    return {name: msgspec.json.encode(getattr(made, f"get_{name}")(query)) for name in names}


ANSWERS = answers()


@settings(max_examples=50 * MORE)
@given(st.sampled_from(sorted(ANSWERS)), st.data())
def test_rest_answers(name: str, data: st.DataObject) -> None:
    """A view is right in type and sane, or there is none."""
    rest = FedRest(ANSWERS | {name: data.draw(mutated([ANSWERS[name]]))})
    tracker = AccountTracker(ACCOUNT, MARKET, PRICE_DECIMALS, SIZE_DECIMALS, rest.counters)
    try:
        view = asyncio.run(Views(rest, tracker, (4,), rest.counters).view(data.draw(st.sampled_from((0, 1, 5000)))))
    except VenueError:
        return
    assert isinstance(view, AccountView)
    inbound = Inbound(lambda *_: None)
    assert inbound.view(view) is view or inbound.counts


@settings(max_examples=50 * MORE)
@given(st.sampled_from((200, 400, 404, 500, 502)), mutated([b'{"code":21104,"message":"invalid nonce"}', GOOD[-3]]))
def test_answers_to_posts(status: int, data: bytes) -> None:
    """What is unclear is never taken for a refusal or an acceptance."""
    reply = FedRest({})._tx_reply(status, data, with_quota=True)
    assert Inbound(lambda *_: None).reply(reply) or isinstance(reply, Rejected)
    if status >= 404 or (status == 400 and not isinstance(reply, Rejected)):
        assert isinstance(reply, Unanswered)


@settings(max_examples=50 * MORE)
@given(st.lists(st.tuples(st.sampled_from(("keep", "lose", "twice", "late", "snapshot")), st.booleans(),
                          st.integers(1, 30), st.integers(0, 3)), max_size=30))  # fmt: skip
def test_a_believed_book_is_the_venues(steps: list[tuple[str, bool, int, int]]) -> None:
    """Frames that are lost, repeated, late or sent anew: whenever the book is whole it is the one of its nonce."""
    made = Server()
    tracker = MarketTracker(MARKET, PRICE_DECIMALS, SIZE_DECIMALS, Counter())
    history: dict[int, tuple[dict[int, int], dict[int, int]]] = {}
    rows: list[Any] = []
    held: list[bytes] = []
    number = 0

    def hear(frame: bytes) -> None:
        nonlocal number
        number += 1
        rows.extend(tracker.frame("order_book", frame, NOW_NS + number))
        if tracker.is_right:
            bids, asks = history[tracker._nonce or 0]
            assert (tracker._bids, tracker._asks) == (bids, asks)
            assert book_of(rows) == (bids, asks)

    def snapshot() -> bytes:
        history[made.nonce] = (dict(made.book[0]), dict(made.book[1]))
        return made.encoded(made.full_book(), "subscribed/order_book", f"order_book/{MARKET}")

    hear(snapshot())
    for how, ask, offset, lots in steps:
        ticks = 100_000 + offset if ask else 100_000 - offset
        if not lots and ticks not in made.book[ask]:
            continue
        if not lots and len(made.book[ask]) == 1:
            continue
        frame = made.encoded(made.change(ask, ticks, lots, skip=True), "update/order_book", f"order_book/{MARKET}")
        history[made.nonce] = (dict(made.book[0]), dict(made.book[1]))
        if how == "late":
            held.append(frame)
        if how in ("keep", "twice"):
            for _ in range(1 + (how == "twice")):
                hear(frame)
        if how == "snapshot":
            hear(snapshot())
        if held and how != "late":
            hear(held.pop())
    hear(snapshot())
    assert tracker.is_right


def book_of(rows: list[Any]) -> tuple[dict[int, int], dict[int, int]]:
    """The book that a reader of the rows has."""
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    for _, _, kind, side, price, lots, _ in rows:
        if kind == Kind.SNAPSHOT_BEGIN:
            sides[0].clear()
            sides[1].clear()
        if kind == Kind.DEPTH:
            levels = sides[side < 0]
            levels.pop(price, None)
            if lots:
                levels[price] = lots
    return sides
