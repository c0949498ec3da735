"""The fault plan on the wire: each fault shows, and the venue's own books stay right."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections import Counter

import aiohttp
import pytest

from mmlab.errors import ConfigError
from mmlab.events import NS_PER_MS
from mmlab.paper_server.faulty import Faults, Lost, WireFaults, load_plan, sender_of, without_every_second
from mmlab.paper_server.transactions import Refusal

from .client import socket, trader
from .conftest import Server

PLAN = """
entry_ms = 10
response_ms = 10
seed = 3
drop_ack = 0.1
duplicate_ack = 0.1
unclear_ack = 0.2
skip_nonce = 0.1
fail_accepted = 0.3
duplicate_update = 0.2
drop_update = 0.2
junk_account = 0.2
junk_reply = 0.1
stales_per_min = 60
stale_s = 0.1
disconnects_per_min = 20
disconnect_s = 0.2
[rejects]
21739 = 0.3
"""


def test_a_session_under_faults(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    server = Server("--no-limits", "--latency-ms", "0", "--faults", str(plan), "--accounts", "1")

    async def suffer():
        heard, name = Counter(), 0
        async with trader(server) as t:
            price = await t.quiet_bid()
            while name < 400 and not {"200", "21739", "29500"} <= set(heard):
                try:
                    async with socket(server) as s:
                        await s.join("account_all_orders/1", t.token())
                        for _ in range(20):
                            name += 1
                            nonce = await asyncio.to_thread(next_nonce, server)
                            kind, info, _, _ = t.client.sign_create_order(
                                0, name, 100, price, 0, 0, 2, nonce=nonce, api_key_index=4
                            )
                            await s.say(type="jsonapi/sendtx", data={"tx_type": kind, "tx_info": json.loads(info)})
                            try:
                                frame = await s.socket.receive(0.2)
                            except TimeoutError:
                                heard["nothing"] += 1
                                continue
                            if frame.type is not aiohttp.WSMsgType.TEXT:
                                heard["cut"] += 1
                                break
                            heard[kind_of(frame.data)] += 1
                except (aiohttp.ClientError, AssertionError, json.JSONDecodeError, TypeError):
                    heard["cut"] += 1
                    await asyncio.sleep(0.2)
            await asyncio.sleep(0.3)
            live = [one.client_order_index for one in await t.live()]
            token = t.token()
            over = (await t.orders.account_inactive_orders(account_index=1, limit=100, authorization=token)).orders
            return heard, name, live, [(one.client_order_index, one.status) for one in over]

    try:
        heard, names, live, over = asyncio.run(suffer())
    finally:
        assert server.end() == 0
    assert {"200", "21739", "29500"} <= set(heard), heard
    assert len(set(live)) == len(live) and len(live) + len(over) <= names
    assert {status for _, status in over} <= {"canceled-invalid-balance"}  # accepted, and failed


def next_nonce(server) -> int:
    path = "/api/v1/nextNonce?account_index=1&api_key_index=4"
    return json.load(urllib.request.urlopen(server.url + path))["nonce"]


def kind_of(text: str) -> str:
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return "junk"
    return str(found.get("code", found.get("type"))) if isinstance(found, dict) else "junk"


def faults(**plan) -> Faults:
    return Faults(WireFaults(**plan), 0)


def test_without_a_plan_nothing_happens():
    one = faults()
    assert one.arrival_ns((1, 4), 7) == 7 and one.ack_times(7) == (7,) and one.update_times(7) == (7,)
    assert one.view(7) == (0, True) and one.pieces(10, 7) == [10] and not one.counts
    assert all(one.episode(kind, 0) is None for kind in ("disconnect", "market_disconnect", "stale", "restart"))


def test_every_share_of_one_happens():
    one = faults(skip_nonce=1, fail_accepted=1, unclear_ack=1, split_fill=1, partial_view=1, junk_view=1)
    assert one.skips_nonce(0) and one.fails(0) and one.unclear(0) and sum(one.pieces(10, 0)) == 10
    assert one.view(0) == (0, False) and one.junk_body("junk_view", 0) is not None
    with pytest.raises(Lost):
        faults(lose_send=1).arrival_ns((1, 4), 0)
    assert faults(drop_ack=1).ack_times(0) == () and len(faults(duplicate_ack=1).ack_times(0)) == 2
    with pytest.raises(Refusal, match="internal"):
        faults(fail_view=1).view(0)
    with pytest.raises(Refusal) as refused:
        faults(rejects={23000: 1}).refuse(0)
    assert refused.value.status == 429


def test_transactions_of_one_key_keep_their_order():
    one = faults(entry_ms=5, entry_spread_ms=50)
    times = [one.arrival_ns((1, 4), at) for at in (0, 0, 1, 2, 2, 3)]
    assert times == sorted(set(times)) and times[0] >= 5 * NS_PER_MS
    market = [faults(market_spread_ms=20).market_time(at) for at in (0, 0, 1)]
    assert min(market) >= 0


def test_faults_stop_when_the_plan_says():
    one = faults(drop_ack=1, until_s=1)
    assert one.ack_times(0) == () and one.ack_times(2 * 10**9) == (2 * 10**9,)


@pytest.mark.parametrize(
    ("text", "message"),
    [("drop_ack = 2", "drop_ack"), ("quota = 5", "--tier"), ("x = [", "fault plan"), ("[rejects]\n5 = 0.1", "rejects")],
)
def test_wrong_plans_are_named(tmp_path, text, message):
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_plan(path)
    with pytest.raises(ConfigError, match="fault plan"):
        load_plan(tmp_path / "none.toml")


def test_small_parts():
    assert sender_of('{"AccountIndex":3,"ApiKeyIndex":4}') == (3, 4) and sender_of("{") == (0, 0)
    assert without_every_second({"orders": [1, 2, 3]}) == {"orders": [1, 3]} and without_every_second({}) == {}
