"""A server that was killed goes on where it was; one without a state file begins empty."""

from __future__ import annotations

import asyncio
import signal

import pytest

from mmlab.errors import ConfigError
from mmlab.paper_server import state_file

from .client import trader
from .conftest import Server

OPTIONS = ("--speed", "1", "--no-limits", "--latency-ms", "0")


def test_accounts_orders_and_nonces_outlive_a_kill(tmp_path):
    kept = ("--state", str(tmp_path / "state.json"))
    first = Server(*OPTIONS, *kept, "--accounts", "1", "--keys-per-account", "2")

    async def before():
        async with trader(first) as t:
            bid, ask = await t.best()
            await t.quote(1, bid * 9 // 10)
            await t.quote(2, bid * 9 // 10 - 1, key=5)
            await t.client.cancel_order(0, 2, api_key_index=5)
            await t.client.create_market_order(0, 3, 40, ask + 200, False, api_key_index=4)
            await t.until(3, "filled")
            await t.quote(4, ask - 1, size=90, tif=1)
            order, nonces = await t.one(1), [(await t.txs.next_nonce(1, key)).nonce for key in (4, 5)]
            await t.until(2, "canceled")
            live = [one.client_order_index for one in await t.live()]
            account = (await t.accounts.account(by="index", value="1")).accounts[0]  # if 4 has gone, nothing moves it
            return order, account, nonces, live

    order, account, nonces, live = asyncio.run(before())
    first.end(signal.SIGKILL)
    second = Server(*OPTIONS, *kept)
    assert [list(one["api_keys"]) for one in second.ready["accounts"]] == [["4", "5"]]
    assert second.keys() == first.keys()

    async def after():
        async with trader(second) as t:
            assert [(await t.txs.next_nonce(1, key)).nonce for key in (4, 5)] == nonces
            again = await t.one(1)
            assert (again.order_index, again.price, again.created_at) == (
                order.order_index, order.price, order.created_at,
            )  # fmt: skip
            assert 1 in live and 1 in [one.client_order_index for one in await t.live()]
            now = (await t.accounts.account(by="index", value="1")).accounts[0]
            if 4 not in live:
                assert (now.positions[0].position, now.collateral) == (
                    account.positions[0].position,
                    account.collateral,
                )
            assert (await t.one(2)).status == "canceled" and (await t.one(3)).status == "filled"
            assert (await t.client.cancel_order(0, 1, nonce=nonces[1], api_key_index=5))[2] is None
            await t.until(1, "canceled")

    try:
        asyncio.run(after())
    finally:
        assert second.end() == 0


@pytest.mark.parametrize("content", ["{", '{"version": 1}', "[]"])
def test_a_broken_state_file_is_named(tmp_path, content):
    path = tmp_path / "state.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"state file .*move it away"):
        state_file.read(path)
