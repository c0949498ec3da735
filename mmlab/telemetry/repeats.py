"""Repeats of a log event: the first ones of a while pass, further ones are counted. Pure."""

from __future__ import annotations

from collections import Counter

BURST = 20
"""Lines of one kind that pass in a window."""
WINDOW_NS = 10_000_000_000
MOST_KINDS = 1000
"""Kinds that are told apart; should there be more, the oldest is forgotten."""


class Repeats:
    """Says of each line whether it passes.

    Attributes
    ----------
    seen : Counter
        Lines by level, held back ones included.
    held : int
        Lines held back so far.
    """

    def __init__(self, burst: int = BURST, window_ns: int = WINDOW_NS) -> None:
        self._burst, self._window_ns = burst, window_ns
        self._kinds: dict[tuple[str, ...], list[int]] = {}  # start of the window, lines in it, held back
        self.seen: Counter[str] = Counter()
        self.held = 0

    def passes(self, kind: tuple[str, ...], level: str, now_ns: int) -> int | None:
        """None: hold this line back. Else how many of its kind were, since the last that passed."""
        self.seen[level] += 1
        row = self._kinds.get(kind)
        if row is None:
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.pop(next(iter(self._kinds)), None)
            row = self._kinds[kind] = [now_ns, 0, 0]
        if not 0 <= now_ns - row[0] < self._window_ns:
            row[0], row[1] = now_ns, 0
        if row[1] >= self._burst:
            row[2] += 1
            self.held += 1
            return None
        row[1] += 1
        before, row[2] = row[2], 0
        return before

    def rest(self) -> dict[str, int]:
        """Event -> lines held back that no line has told of."""
        rest: Counter[str] = Counter()
        for kind, row in list(self._kinds.items()):
            rest[kind[0]] += row[2]
            row[2] = 0
        return {event: n for event, n in rest.items() if n}
