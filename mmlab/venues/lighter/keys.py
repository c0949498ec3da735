"""API keys: where they come from, and that nothing shows them.

From the environment (``MMLAB_LIGHTER_API_KEY_<index>``) or the system's keyring (service ``mmlab-lighter``, user
``<account>/<index>``), never from a file of settings.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from mmlab.errors import ConfigError
from mmlab.wire.lighter_terms import MAX_API_KEY, MIN_API_KEY

VARIABLE = "MMLAB_LIGHTER_API_KEY_"
SERVICE = "mmlab-lighter"
KEY_DIGITS = 80
"""Hexadecimal digits of a private key."""


class Secret:
    """Text that shows itself only when asked by `reveal`: not in repr, logs, tracebacks' values, copies or pickles."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return id(self)  # not of the text: hashes are shown, too

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key does not leave the process")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: Any) -> Secret:
        return self


@dataclass(frozen=True, slots=True)
class Credentials:
    """An account and its API keys.

    Parameters
    ----------
    account_index : int
        Of the (sub-)account.
    keys : dict of int to Secret
        API key index -> private key.
    cancel_keys : tuple of int
        Those kept for cancels; all others quote.

    Raises
    ------
    ConfigError
        No key, a key kept for cancels that is not there, an index out of range, or something that is no private key.
    """

    account_index: int
    keys: dict[int, Secret] = field(repr=False)
    cancel_keys: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.account_index <= 0:
            raise ConfigError(f"account index {self.account_index}: the venue's are greater than 0")
        for index, key in self.keys.items():
            if not MIN_API_KEY <= index <= MAX_API_KEY:
                raise ConfigError(f"API key index {index}: must be {MIN_API_KEY} to {MAX_API_KEY}")
            if not _is_private_key(key.reveal()):
                raise ConfigError(f"API key {index} is not a private key: {KEY_DIGITS} hexadecimal digits expected")
        missing = [index for index in self.cancel_keys if index not in self.keys]
        if missing or not self.keys:
            raise ConfigError(f"no private key for API keys {missing or '(none was given)'}")

    @property
    def quote_keys(self) -> tuple[int, ...]:
        """Indexes that quote."""
        return tuple(index for index in self.keys if index not in self.cancel_keys)

    @classmethod
    def from_environment(
        cls, account_index: int, indexes: Iterable[int], cancel_keys: Iterable[int],
        environ: Mapping[str, str] = os.environ,
    ) -> Credentials:  # fmt: skip
        """Keys from environment variables, else from the keyring.

        Raises
        ------
        ConfigError
            One is in neither.
        """
        keys = {index: find_key(account_index, index, environ) for index in indexes}
        return cls(account_index, keys, tuple(cancel_keys))

    @classmethod
    def from_paper(
        cls, ready: Mapping[str, Any], account_index: int, indexes: Iterable[int], cancel_keys: Iterable[int]
    ) -> Credentials:
        """Keys that a paper server told in its ready line: they open nothing but that server.

        Raises
        ------
        ConfigError
            It has no such account, or no such key of it.
        """
        accounts = {int(account["index"]): account["api_keys"] for account in ready["accounts"]}
        if account_index not in accounts:
            raise ConfigError(f"account {account_index} is not the paper server's: it has {sorted(accounts)}")
        found = {int(index): str(text) for index, text in accounts[account_index].items()}
        wanted = tuple(indexes)
        missing = [index for index in wanted if index not in found]
        if missing:
            raise ConfigError(f"the paper server's account {account_index} has no API keys {missing}: {sorted(found)}")
        keys = {index: Secret(_without_prefix(found[index])) for index in wanted}
        return cls(account_index, keys, tuple(cancel_keys))


def find_key(account_index: int, index: int, environ: Mapping[str, str] = os.environ) -> Secret:
    """A private key from the environment, else from the keyring.

    Raises
    ------
    ConfigError
        It is in neither.
    """
    text = environ.get(f"{VARIABLE}{index}") or _from_keyring(account_index, index)
    if not text:
        raise ConfigError(
            f"no private key for API key {index}: set {VARIABLE}{index}, or store it in the keyring with"
            f" 'keyring set {SERVICE} {account_index}/{index}'"
        )
    return Secret(_without_prefix(text.strip()))


def _from_keyring(account_index: int, index: int) -> str:
    try:
        keyring: Any = importlib.import_module("keyring")
    except ImportError:
        return ""
    try:
        return keyring.get_password(SERVICE, f"{account_index}/{index}") or ""
    except Exception as error:  # noqa: BLE001  a backend may raise anything
        raise ConfigError(f"the keyring cannot be read: {type(error).__name__}") from None


def _without_prefix(text: str) -> str:
    return text.removeprefix("0x")


def _is_private_key(text: str) -> bool:
    return len(text) == KEY_DIGITS and all(c in "0123456789abcdefABCDEF" for c in text)
