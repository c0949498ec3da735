"""Accounts and their API keys: throwaway ones made with the official signer, or given by file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmlab.errors import ConfigError
from mmlab.paper_server.transactions import Refusal, public_key_hex
from mmlab.wire.lighter_terms import MAX_API_KEY

Keys = dict[int, dict[int, tuple[str, str]]]
"""Account -> key index -> (private key, public key) in hex; a private key may be empty when only the other is known."""


def make_keys(accounts: int, keys_per_account: int, first_key: int) -> Keys:
    """Throwaway keys.

    Raises
    ------
    ConfigError
        Too many, or the official client is not installed.
    """
    if not 1 <= accounts <= 100 or not 1 <= keys_per_account <= MAX_API_KEY - first_key:
        raise ConfigError(
            f"accounts = {accounts}, keys = {keys_per_account}: must be 1 to 100 accounts, and 1 to 250 keys"
        )
    create = _signer()
    found: Keys = {}
    for account in range(1, accounts + 1):
        found[account] = {}
        for index in range(first_key, first_key + keys_per_account):
            private, public, error = create()
            if error:
                raise ConfigError(f"the official signer made no key: {error}")
            found[account][index] = (private.removeprefix("0x"), public_key_hex(public))
    return found


def _signer() -> Any:
    try:
        from lighter.signer_client import create_api_key
    except ImportError:
        raise ConfigError(
            "keys are made with the official client, which is not installed: pip install 'mmlab[lighter]',"
            " or give public keys with --keys FILE"
        ) from None
    return create_api_key


def load_keys(path: Path) -> Keys:
    """Keys of a JSON file: ``{"1": {"4": {"private": hex, "public": hex}}}``; private keys may be left out.

    Raises
    ------
    ConfigError
        The file cannot be read, or says something else.
    """
    try:
        read = json.loads(path.read_text())
        return {
            int(account): {
                int(index): (str(pair.get("private", "")).removeprefix("0x"), public_key_hex(pair["public"]))
                for index, pair in keys.items()
            }
            for account, keys in read.items()
        }
    except (OSError, ValueError, KeyError, AttributeError, TypeError, Refusal) as error:
        wanted = '{"1": {"4": {"private": "<hex>", "public": "<hex>"}}}'
        raise ConfigError(f"keys file {path}: {error}; write it as {wanted}") from None
