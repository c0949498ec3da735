"""Client order ids: 48 bits from which an order is known as ours after a crash, without any file.

    bit 47     46..43       42..16              15..10              9..0
    1 (mark)   instance     session             slot                version
               which mmlab  4 s steps from      side, rung, half    counts the orders
               of account   2024 (17 years)     (see `slot_code`)   of one slot

The mark makes every id larger than counters and millisecond times, which other programs use. A session is a step of
the clock that began *after* its process started, so no two lives of one instance share a session, and a slot that runs
out of versions moves on to the present step: ids never repeat.
"""

from __future__ import annotations

from typing import NamedTuple

from mmlab.events import ASK, BID, MAX_RUNGS, NS_PER_S

ORIGIN_NS = 1_704_067_200 * NS_PER_S
"""2024-01-01 UTC, where sessions are counted from."""
SESSION_NS = 4 * NS_PER_S
EXIT_RUNG = MAX_RUNGS
"""Rung number of orders that take instead of rest (age exit, flatten)."""
SLOTS = 64
_VERSION_BITS, _SESSION_AT, _INSTANCE_AT = 10, 16, 43
VERSIONS = 1 << _VERSION_BITS
INSTANCES = 16
_SESSIONS = 1 << 27
_MARK = 1 << 47


class ClientId(NamedTuple):
    """What an id of ours says. ``half`` is 0 for A and 1 for B."""

    instance: int
    session: int
    side: int
    rung: int
    half: int
    version: int


def slot_code(side: int, rung: int, half: int) -> int:
    """Number of a slot, 0..63: five bits of rung and half under the side's bit."""
    return (32 if side == BID else 0) | rung << 1 | half


def pack(instance: int, session: int, slot: int, version: int) -> int:
    """Make an id; all parts must be in range."""
    return _MARK | instance << _INSTANCE_AT | session << _SESSION_AT | slot << _VERSION_BITS | version


def unpack(client_id: int) -> ClientId | None:
    """Parts of an id of ours; None if it cannot be one."""
    if not _MARK <= client_id < 2 * _MARK:
        return None
    slot = client_id >> _VERSION_BITS & (SLOTS - 1)
    rung = slot >> 1 & 15
    if rung > EXIT_RUNG:
        return None
    side = BID if slot & 32 else ASK
    session, version = client_id >> _SESSION_AT & (_SESSIONS - 1), client_id & (VERSIONS - 1)
    return ClientId(client_id >> _INSTANCE_AT & (INSTANCES - 1), session, side, rung, slot & 1, version)


def session_at(ts_ns: int) -> int:
    """The step of the session clock that `ts_ns` lies in."""
    return max(0, (ts_ns - ORIGIN_NS) // SESSION_NS) % _SESSIONS


class IdSource:
    """Hands out the ids of one life of one instance.

    Parameters
    ----------
    instance : int
        0..15, which mmlab of the account this is.
    start_ns : int
        When this life began. No order may be sent before `opens_ns`, at most 4 s later.
    """

    def __init__(self, instance: int, start_ns: int) -> None:
        self.instance = instance
        self.session = (session_at(start_ns) + 1) % _SESSIONS
        self.opens_ns = start_ns + SESSION_NS - (start_ns - ORIGIN_NS) % SESSION_NS
        self._used = [0] * SLOTS

    def next(self, slot: int, now_ns: int) -> int | None:
        """A new id for `slot`; None if the slot used up all versions within one step of the clock."""
        if self._used[slot] >= VERSIONS:
            session = session_at(now_ns)
            if session <= self.session:
                return None
            self.session, self._used = session, [0] * SLOTS
        version = self._used[slot]
        self._used[slot] = version + 1
        return pack(self.instance, self.session, slot, version)

    def peek(self, slot: int) -> int | None:
        """The id that `next` would give for `slot` now; None if that depends on the time."""
        version = self._used[slot]
        return pack(self.instance, self.session, slot, version) if version < VERSIONS else None

    def owns(self, client_id: int) -> bool:
        """Whether this instance, in this life or an earlier one, made `client_id`."""
        parts = unpack(client_id)
        return parts is not None and parts.instance == self.instance and parts.session <= self.session

    def made(self, client_id: int) -> bool:
        """Whether this very life handed out `client_id` in its present session."""
        parts = unpack(client_id)
        if parts is None or parts.instance != self.instance or parts.session != self.session:
            return False
        return parts.version < self._used[slot_code(parts.side, parts.rung, parts.half)]
