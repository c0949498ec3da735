"""Auth tokens: ``deadline:account:key:signature``. Pure. The signature's shape is checked, not the signature."""

from __future__ import annotations

from collections.abc import Mapping

from mmlab.paper_server.ledger import Account
from mmlab.paper_server.transactions import SIGNATURE_BYTES, Refusal
from mmlab.wire.lighter_terms import MAX_AUTH_AHEAD_S, Code


def check_token(token: str, account: int, accounts: Mapping[int, Account], now_s: float) -> None:
    """Refuse a token that does not open `account` now.

    Raises
    ------
    Refusal
        It is missing, malformed, expired, too far ahead, or another account's.
    """
    if not token:
        raise _refusal("an auth token is needed")
    parts = token.split(":")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() for part in parts[:3]):
        raise _refusal("invalid auth token")
    deadline, owner, key = (int(part) for part in parts[:3])
    if not _is_hex(parts[3]):
        raise _refusal("invalid auth token: signature")
    if owner != account:
        raise _refusal(f"token of account {owner} for account {account}")
    if account not in accounts or key not in accounts[account].keys:
        raise _refusal(f"no api key {key} of account {account}")
    if deadline <= now_s:
        raise _refusal("auth token expired")
    if deadline > now_s + MAX_AUTH_AHEAD_S:
        raise _refusal("auth token is not valid yet: its deadline is more than 8 hours ahead")


def _is_hex(text: str) -> bool:
    try:
        return len(bytes.fromhex(text)) == SIGNATURE_BYTES
    except ValueError:
        return False


def _refusal(why: str) -> Refusal:
    return Refusal(Code.INVALID_AUTH, f"invalid auth: {why}")
