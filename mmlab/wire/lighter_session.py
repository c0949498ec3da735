"""Lighter's WebSocket session: what frames are about, greetings, keep-alive, errors, replies to transactions. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from mmlab.wire.lighter_terms import SEND_TX, SEND_TX_BATCH

PING, PONG = b'{"type":"ping"}', b'{"type":"pong"}'


class Fault(msgspec.Struct):
    """An error inside a frame."""

    code: int = 0
    message: str = ""


class Head(msgspec.Struct):
    """What every frame may say, whatever it is about."""

    type: str = ""
    channel: str = ""
    code: int = 0
    message: str = ""
    id: str | int | None = None
    error: Fault | str | None = None
    close_in_ms: int | float = 0

    @property
    def family(self) -> str:
        """Kind of a channel's frame: ``order_book`` of ``update/order_book``; "" for others."""
        return self.type.partition("/")[2]

    @property
    def is_first(self) -> bool:
        """Whether it is the first frame of a subscription."""
        return self.type.startswith("subscribed/")

    @property
    def is_error(self) -> bool:
        """Whether it is an error that belongs to no channel."""
        return self.error is not None or self.type == "error"

    @property
    def fault(self) -> Fault:
        """Code and words of an error, in either of the shapes that the venue uses."""
        if isinstance(self.error, Fault):
            return self.error
        return Fault(self.code, self.error or self.message)


class TxReply(msgspec.Struct):
    """Answer to a transaction, over WebSocket and REST."""

    code: int = 0
    message: str | None = ""
    tx_hash: str | list[str] = ""
    id: str | int | None = None
    error: Fault | str | None = None
    volume_quota_remaining: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """What may tell which transaction it answers: the id that we gave, and hashes."""
        hashes = [self.tx_hash] if isinstance(self.tx_hash, str) else self.tx_hash
        return tuple(name for name in (str(self.id or ""), *hashes) if name)


decode_head = msgspec.json.Decoder(Head).decode
decode_reply = msgspec.json.Decoder(TxReply).decode


def subscribe(channel: str, auth: str = "") -> bytes:
    """Ask for a channel."""
    request = {"type": "subscribe", "channel": channel}
    return msgspec.json.encode(request | {"auth": auth} if auth else request)


def unsubscribe(channel: str) -> bytes:
    """Give a channel up."""
    return msgspec.json.encode({"type": "unsubscribe", "channel": channel})


def transaction(name: bytes, tx_type: int, tx_info: bytes) -> bytes:
    """Frame of a signed transaction; `name` is what its answer is known by."""
    return b'{"type":"%s","data":{"id":"%s","tx_type":%d,"tx_info":%s}}' % (SEND_TX.encode(), name, tx_type, tx_info)


class _TxData(msgspec.Struct):
    id: str
    tx_type: int
    tx_info: msgspec.Raw


class _TxFrame(msgspec.Struct):
    data: _TxData


def opened(frame: bytes) -> tuple[str, int, bytes]:
    """Name, type and info of a frame made by `transaction`."""
    data: Any = msgspec.json.decode(frame, type=_TxFrame).data
    return data.id, data.tx_type, bytes(data.tx_info)


def batch(frames: Sequence[bytes]) -> bytes:
    """One frame of the transactions of several made by `transaction`; its answer is known by the first one's name."""
    names, types, infos = zip(*map(opened, frames), strict=True)
    texts = {"tx_types": list(types), "tx_infos": [info.decode() for info in infos]}
    data = {"id": names[0]} | {name: msgspec.json.encode(value).decode() for name, value in texts.items()}
    return msgspec.json.encode({"type": SEND_TX_BATCH, "data": data})


_NAME_AT = len(transaction(b"", 0, b"").partition(b'"id":"')[0]) + len(b'"id":"')


def name_of(frame: bytes) -> str:
    """Name of a frame made by `transaction`, without decoding it."""
    return frame[_NAME_AT : frame.index(b'"', _NAME_AT)].decode()
