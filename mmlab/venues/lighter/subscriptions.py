"""Which channels of a connection were asked for, have begun, or must be asked for again. Pure; times in s."""

from __future__ import annotations

from dataclasses import dataclass

from mmlab.wire.lighter_session import Head, subscribe, unsubscribe

ANSWER_S = 5.0
"""A channel that has not begun by then is asked for again."""
AGAIN_S = 1.0
"""Least time between two requests for one channel: the venue counts messages."""
MOST_TRIES = 5
"""Requests in a row without a first frame, after which another connection is wanted."""


@dataclass(slots=True)
class _Channel:
    token: str
    live: bool = False
    asked_s: float = float("-inf")
    due_s: float = float("inf")
    tries: int = 0


class Subscriptions:
    """Of one connection.

    Parameters
    ----------
    tokens : dict of str to str
        Channel -> auth token, "" for a public one.
    """

    def __init__(self, tokens: dict[str, str]) -> None:
        self._channels = {name: _Channel(token) for name, token in tokens.items()}
        self.rounds = 0

    @property
    def complete(self) -> bool:
        """Whether all have begun."""
        return all(channel.live for channel in self._channels.values())

    @property
    def hopeless(self) -> bool:
        """Whether one has been asked for too often."""
        return any(channel.tries > MOST_TRIES for channel in self._channels.values())

    def begin(self, now_s: float) -> list[bytes]:
        """Frames that ask for all."""
        return [frame for name in self._channels for frame in self._ask(name, now_s)]

    def began(self, head: Head) -> None:
        """A channel's first frame is here."""
        name = self._name(head)
        if name is not None:
            channel = self._channels[name]
            channel.live, channel.due_s, channel.tries = True, float("inf"), 0

    def again(self, family: str, now_s: float) -> list[bytes]:
        """Frames that have a channel begin again; none if that is under way, or later if it was but a moment ago."""
        frames: list[bytes] = []
        for name, channel in self._channels.items():
            if name.partition("/")[0] != family or not channel.live:
                continue
            channel.live = False
            if now_s - channel.asked_s >= AGAIN_S:
                frames += self._ask(name, now_s)
            else:
                channel.due_s = channel.asked_s + AGAIN_S
        return frames

    def refused(self, now_s: float) -> None:
        """The venue refused some request: those that have not begun are asked for again, soon."""
        for channel in self._channels.values():
            if not channel.live:
                channel.due_s = min(channel.due_s, max(now_s, channel.asked_s + AGAIN_S))

    def due(self, now_s: float) -> list[bytes]:
        """Frames to send by now."""
        late = [name for name, channel in self._channels.items() if not channel.live and channel.due_s <= now_s]
        return [frame for name in late for frame in self._ask(name, now_s)]

    def _ask(self, name: str, now_s: float) -> list[bytes]:
        channel = self._channels[name]
        first = channel.asked_s == float("-inf")
        channel.live, channel.asked_s, channel.due_s = False, now_s, now_s + ANSWER_S
        channel.tries += 1
        request = subscribe(name, channel.token)
        return [request] if first else [unsubscribe(name), request]

    def _name(self, head: Head) -> str | None:
        """The channel of a frame; account frames do not always name it in full."""
        channel = head.channel.replace(":", "/")
        if channel in self._channels:
            return channel
        found = [name for name in self._channels if name.partition("/")[0] == head.family]
        return found[0] if len(found) == 1 else None
