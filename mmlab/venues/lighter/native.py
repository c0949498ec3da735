"""Lighter's native signer, called directly: bytes in, bytes out, no network.

The library comes with the package ``lighter-sdk``, which is not imported: only its file is loaded. Numbers that do not
fit are truncated silently by the foreign call, so callers check ranges first (`signer`). Everything that the library
hands out is given back to it.
"""

from __future__ import annotations

import ctypes
import platform
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from mmlab.errors import SigningError

_BYTE, _INT, _LONG, _TEXT, _POINTER = ctypes.c_uint8, ctypes.c_int, ctypes.c_longlong, ctypes.c_char_p, ctypes.c_void_p
_ARM, _INTEL = ("arm64", "aarch64"), ("amd64", "x86_64")
_FILES = {
    "Linux": ("so", {"amd64": "linux-amd64", "arm64": "linux-arm64"}),
    "Darwin": ("dylib", {"amd64": "darwin-amd64", "arm64": "darwin-arm64"}),
    "Windows": ("dll", {"amd64": "windows-amd64"}),
}


class _Signed(ctypes.Structure):
    _fields_ = (
        ("tx_type", _BYTE), ("tx_info", _POINTER), ("tx_hash", _POINTER), ("message", _POINTER), ("error", _POINTER),
    )  # fmt: skip


class _TextOrError(ctypes.Structure):
    _fields_ = (("text", _POINTER), ("error", _POINTER))


_ORDER = (_LONG, _LONG, _LONG, _INT, _INT, _INT, _INT, _INT, _INT, _LONG, _LONG, _INT, _INT, _BYTE, _BYTE)
_END = (_BYTE, _LONG, _INT, _LONG)  # skip nonce, nonce, key, account
_SIGNATURES: dict[str, tuple[tuple[Any, ...], Any]] = {
    "CreateClient": ((_TEXT, _TEXT, _INT, _INT, _LONG), _POINTER),
    "SignCreateOrder": ((*_ORDER, *_END), _Signed),
    "SignCancelOrder": ((_LONG, _LONG, *_END), _Signed),
    "SignModifyOrder": (
        (_LONG, _LONG, _LONG, _LONG, _LONG, _LONG, _INT, _INT, _BYTE, _BYTE, _BYTE, _LONG, _LONG, _INT, _LONG), _Signed,
    ),
    "SignCancelAllOrders": ((_INT, _LONG, _LONG, *_END), _Signed),
    "CheckClient": ((_INT, _LONG), _POINTER),
    "CreateAuthToken": ((_LONG, _INT, _LONG), _TextOrError),
    "Free": ((_POINTER,), None),
}  # fmt: skip


class SignedTx(NamedTuple):
    """A transaction ready for the venue: type, JSON text, and hash (which the venue's answer names)."""

    tx_type: int
    tx_info: bytes
    tx_hash: bytes


def library_path() -> Path:
    """File of the native signer for this machine.

    Raises
    ------
    SigningError
        The package is not installed, or has no signer for this machine.
    """
    spec = find_spec("lighter")
    if spec is None or spec.origin is None:
        raise SigningError("Lighter's signer is not installed: pip install 'mmlab[lighter]'")
    machine = platform.machine().lower()
    ending, names = _FILES.get(platform.system(), ("", {}))
    name = names.get("arm64" if machine in _ARM else "amd64" if machine in _INTEL else "")
    path = Path(spec.origin).parent / "signers" / f"lighter-signer-{name}.{ending}"
    if name is None or not path.is_file():
        raise SigningError(f"lighter-sdk has no signer for {platform.system()} on {machine}")
    return path


@cache
def library() -> Any:
    """The native signer."""
    path = library_path()
    try:
        loaded = ctypes.CDLL(str(path))
        for name, (arguments, result) in _SIGNATURES.items():
            function = getattr(loaded, name)
            function.argtypes, function.restype = arguments, result
    except (OSError, AttributeError) as error:
        raise SigningError(f"Lighter's signer {path.name} cannot be used: {error}") from None
    return loaded


def _taken(pointer: int | None) -> bytes:
    """Text behind a pointer, which is given back."""
    if not pointer:
        return b""
    try:
        return ctypes.string_at(pointer)
    finally:
        library().Free(pointer)


def create_client(url: str, private_key: str, chain_id: int, key: int, account: int) -> None:
    """Make a private key known to the library, for (account, key)."""
    error = _taken(library().CreateClient(url.encode(), private_key.encode(), chain_id, key, account))
    if error:
        raise SigningError(f"API key {key} of account {account} is refused by the signer: {_shown(error, private_key)}")


def check_client(key: int, account: int) -> str:
    """Ask the venue whether a key is the account's; what is wrong, or "". Blocks for the network: only in a thread."""
    return _taken(library().CheckClient(key, account)).decode(errors="replace")


def _shown(error: bytes, secret: str) -> str:
    return error.decode(errors="replace").replace(secret, "...")


def signed(name: str, *arguments: int) -> SignedTx:
    """Call a signing function; all its arguments are whole numbers within their ranges."""
    result = getattr(library(), name)(*arguments)
    info, tx_hash, _, error = (_taken(getattr(result, f)) for f in ("tx_info", "tx_hash", "message", "error"))
    if error or not info or not tx_hash:
        raise SigningError(f"{name}: {error.decode(errors='replace') or 'the signer returned nothing'}")
    return SignedTx(result.tx_type, info, tx_hash)


def auth_token(deadline_s: int, key: int, account: int) -> str:
    """Token for private channels and answers, good until `deadline_s` (s since the epoch)."""
    result = library().CreateAuthToken(deadline_s, key, account)
    text, error = _taken(result.text), _taken(result.error)
    if error or not text:
        raise SigningError(f"no auth token: {error.decode(errors='replace') or 'the signer returned nothing'}")
    return text.decode()
