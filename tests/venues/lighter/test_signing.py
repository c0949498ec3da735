"""Keys that hide, and transactions as the venue's own signer makes them."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import sys
import types
import warnings
from typing import Any

import pytest

from mmlab.errors import ConfigError, SigningError
from mmlab.exchange import Transaction, TxKind
from mmlab.venues.lighter import PROFILES, Credentials, Secret, native, profile
from mmlab.venues.lighter.keys import VARIABLE, find_key
from mmlab.venues.lighter.signer import KeySigner, LighterSigner
from mmlab.wire.lighter_session import name_of, opened
from mmlab.wire.lighter_terms import MAX_BASE, MAX_CLIENT_INDEX, MAX_NONCE, MAX_PRICE, CancelAll
from tests.venues.lighter.helpers import credentials, private_key

PLACE = {"client_id": 1 << 47, "side": -1, "price_ticks": 236_130, "size_lots": 500, "flags": 1}
KEY = "ab" * 40


def signer(market: int = 2) -> LighterSigner:
    """A signer of the testnet."""
    return LighterSigner(KeySigner(PROFILES["testnet"], credentials()), market)


def info(transaction: Transaction) -> tuple[int, dict[str, Any]]:
    """Type and content of what is sent."""
    payload = signer().sign(transaction)
    assert payload.transaction is transaction
    frame = json.loads(payload.data)
    assert frame["type"] == "jsonapi/sendtx" and frame["data"]["id"] == name_of(payload.data)
    name, tx_type, tx_info = opened(payload.data)
    assert (name, tx_type) == (frame["data"]["id"], frame["data"]["tx_type"]) and len(name) == 80
    assert json.loads(tx_info) == frame["data"]["tx_info"]
    return tx_type, frame["data"]["tx_info"]


def test_an_order_says_what_was_asked() -> None:
    """Every field of a place, by flags."""
    tx_type, tx = info(Transaction(TxKind.PLACE, 4, 77, **PLACE))
    expected = {"AccountIndex": 7, "ApiKeyIndex": 4, "MarketIndex": 2, "ClientOrderIndex": 1 << 47, "BaseAmount": 500,
                "Price": 236_130, "IsAsk": 1, "Type": 0, "TimeInForce": 2, "ReduceOnly": 0, "TriggerPrice": 0,
                "Nonce": 77, "L2TxAttributes": None}  # fmt: skip
    assert tx_type == 14 and {name: tx[name] for name in expected} == expected
    assert 28 * 86_400_000 - 120_000 < tx["OrderExpiry"] - tx["ExpiredAt"] + 599_000 < 28 * 86_400_000 + 120_000
    _, ioc = info(Transaction(TxKind.PLACE, 4, 78, **PLACE | {"flags": 2 | 4, "side": 1}))
    assert (ioc["TimeInForce"], ioc["ReduceOnly"], ioc["IsAsk"], ioc["OrderExpiry"]) == (0, 1, 0, 0)
    _, resting = info(Transaction(TxKind.PLACE, 4, 79, **PLACE | {"flags": 0}))
    assert resting["TimeInForce"] == 1


def test_changes_say_what_was_asked() -> None:
    """Modify and cancel by our id, or by the venue's; cancel-all of this market only."""
    tx_type, tx = info(Transaction(TxKind.MODIFY, 5, 3, client_id=9, price_ticks=7, size_lots=8))
    assert tx_type == 17 and (tx["Index"], tx["Price"], tx["BaseAmount"], tx["L2TxAttributes"]) == (9, 7, 8, None)
    tx_type, tx = info(Transaction(TxKind.CANCEL, 6, 4, order_index=2**48 + 5))
    assert tx_type == 15 and (tx["Index"], tx["MarketIndex"]) == (2**48 + 5, 2)
    tx_type, tx = info(Transaction(TxKind.CANCEL_ALL, 6, 5))
    assert tx_type == 16 and (tx["TimeInForce"], tx["Time"], tx["L2TxAttributes"]) == (0, 0, {"5": 2})


@pytest.mark.parametrize(
    ("change", "word"),
    [({"price_ticks": MAX_PRICE + 8}, "price"), ({"price_ticks": -1}, "price"), ({"price_ticks": 0}, "price"),
     ({"size_lots": MAX_BASE + 1}, "size"), ({"size_lots": 0}, "size"), ({"client_id": 2**64 + 5}, "client order"),
     ({"client_id": MAX_CLIENT_INDEX + 1}, "client order"), ({"client_id": 0}, "client order"),
     ({"nonce": -1}, "nonce"), ({"nonce": MAX_NONCE + 1}, "nonce"), ({"key": 255}, "API key"),
     ({"key": 9}, "no private"), ({"price_ticks": 1.5}, "price"), ({"size_lots": True}, "size"), ({"side": 0}, "side")],
)  # fmt: skip
def test_what_the_native_signer_would_truncate_never_reaches_it(change: dict[str, Any], word: str) -> None:
    """Ranges are checked first."""
    facts = {"kind": TxKind.PLACE, "key": 4, "nonce": 7, **PLACE} | change
    with pytest.raises(SigningError, match=word):
        signer().sign(Transaction(**facts))


def test_a_plan_to_cancel_needs_a_time() -> None:
    """Zero for now and for calling off; the native signer has the last word on the rest."""
    keys = KeySigner(PROFILES["testnet"], credentials())
    for how, time_ms in ((CancelAll.IMMEDIATE, 5), (CancelAll.SCHEDULED, 0), (CancelAll.ABORT, 1)):
        with pytest.raises(SigningError, match="time of cancel-all"):
            keys.cancel_all(how, time_ms, nonce=1, key=4)
    made = keys.cancel_all(CancelAll.ABORT, 0, nonce=1, key=4)
    assert json.loads(made.tx_info)["L2TxAttributes"] is None
    token = keys.auth_token(1_800_000_000, 4)
    assert token.startswith("1800000000:7:4:") and len(token.split(":")[3]) == 160


def test_the_official_client_agrees() -> None:
    """What the official client makes of the same order; only signature and times differ."""
    with warnings.catch_warnings(action="ignore"):  # it imports a name that websockets has deprecated
        import lighter

    async def official() -> str:
        client = lighter.SignerClient(PROFILES["testnet"].rest, 7, {4: private_key()}, chain_id=300)
        try:
            _, tx_info, _, error = client.sign_create_order(
                2, 1 << 47, 500, 236_130, True, 0, 2, nonce=77, api_key_index=4
            )
            assert error is None
            return str(tx_info)
        finally:
            await client.close()

    theirs = asyncio.run(official())
    _, ours = info(Transaction(TxKind.PLACE, 4, 77, **PLACE))
    differing = {"Sig", "ExpiredAt", "OrderExpiry"}
    found = json.loads(theirs)
    assert {k: v for k, v in found.items() if k not in differing} == {
        k: v for k, v in ours.items() if k not in differing
    }


def test_keys_hide() -> None:
    """No text of a key in repr, str, format, errors, copies that leave, or pickles."""
    secret = Secret(KEY)
    mine = Credentials(7, {4: secret, 5: Secret("cd" * 40)}, (5,))
    shown = f"{secret} {secret!r} {secret:>40} {mine} {mine!r} {[secret]}"
    assert "abab" not in shown and "cdcd" not in shown
    with pytest.raises(TypeError, match="does not leave"):
        pickle.dumps(mine)
    assert copy.deepcopy(mine) == mine and secret.reveal() == KEY
    with pytest.raises(SigningError) as caught:
        native.create_client("http://x", KEY + "zz", 300, 4, 7)
    assert "abab" not in str(caught.value)


@pytest.mark.parametrize(
    ("account", "keys", "cancel", "word"),
    [(0, {4: KEY}, (4,), "account"), (7, {4: KEY}, (5,), "API keys"), (7, {}, (), "API keys"),
     (7, {300: KEY}, (300,), "index 300"), (7, {4: "0x12"}, (4,), "not a private key")],
)  # fmt: skip
def test_wrong_credentials_are_refused(account: int, keys: dict[int, str], cancel: tuple[int, ...], word: str) -> None:
    """And the message does not show the key."""
    with pytest.raises(ConfigError, match=word) as caught:
        Credentials(account, {index: Secret(text) for index, text in keys.items()}, cancel)
    assert KEY not in str(caught.value) and "0x12" not in str(caught.value)


def test_keys_come_from_the_environment_or_the_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment first; the keyring only if it is there; else what to do."""
    environ = {f"{VARIABLE}4": f"0x{KEY}\n"}
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert find_key(7, 4, environ).reveal() == KEY
    with pytest.raises(ConfigError, match=f"{VARIABLE}5.*keyring set mmlab-lighter 7/5"):
        find_key(7, 5, environ)
    stored = {("mmlab-lighter", "7/5"): "cd" * 40}
    monkeypatch.setitem(sys.modules, "keyring", types.SimpleNamespace(get_password=lambda s, u: stored.get((s, u))))
    mine = Credentials.from_environment(7, (4, 5), (5,), environ)
    assert mine.quote_keys == (4,) and mine.keys[5].reveal() == "cd" * 40
    locked = types.SimpleNamespace(get_password=lambda s, u: 1 / 0)
    monkeypatch.setitem(sys.modules, "keyring", locked)
    with pytest.raises(ConfigError, match="keyring cannot be read"):
        find_key(7, 6, environ)


def test_a_paper_servers_keys() -> None:
    """As its ready line tells them."""
    ready = {"accounts": [{"index": 3, "api_keys": {str(i): KEY for i in (4, 5, 6, 7)}}]}
    assert Credentials.from_paper(ready, 3, (4, 5, 6), (6,)).quote_keys == (4, 5)
    assert Credentials.from_paper(ready, 3, (7,), ()).quote_keys == (7,)
    for account, keys, word in ((4, (4,), "account 4"), (3, (9,), "no API keys")):
        with pytest.raises(ConfigError, match=word):
            Credentials.from_paper(ready, account, keys, ())
    with pytest.raises(ConfigError, match="profile 'moon'"):
        profile("moon")
