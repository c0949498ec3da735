"""The fault plan on the wire: what goes wrong with transactions, answers, frames and connections. Seeded, pure."""

from __future__ import annotations

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from mmlab.errors import ConfigError
from mmlab.events import NEVER_NS, NS_PER_MS, NS_PER_S
from mmlab.paper_server.transactions import Refusal
from mmlab.simulator.faults import FaultPlan, milliseconds
from mmlab.simulator.network import Chance, Line
from mmlab.wire.lighter_terms import Code

VENUE, SENDING, ACKS, UPDATES, MARKET, JUNK, VIEWS, FIRST_OUTAGE = range(8)
"""Streams of chance."""
OUTAGES = ("disconnect", "market_disconnect", "stale", "restart")
NOT_HERE = ("rate_capacity", "rate_refill", "rate_told", "quota", "quota_earn_tick_lots")
"""The tier says these."""
JUNK_FRAMES = (
    '{"type":"update/order_book","channel":"order_book:0","order_book":{"asks":"none"}}', '{"type":', "[]", "null",
    '{"type":"update/account_all_orders","channel":"account_all_orders:x","orders":{"0":[{"order_index":"nine"}]}}',
    '{"type":"update/ticker","ticker":{"a":{"price":"-1","size":"NaN"}}}', '{"type":7}', "\u0000",
)  # fmt: skip
JUNK_BODIES = (b"<html>502 Bad Gateway</html>", b'{"code":"two hundred"}', b"{", b"[]", b"")


class WireFaults(FaultPlan):
    """A `FaultPlan` for the wire: codes of ``rejects`` are Lighter's, and latencies are 0 unless given."""

    CODES: ClassVar[type[Code]] = Code

    entry_ms: float = milliseconds(0.0, "latency from client to exchange")
    response_ms: float = milliseconds(0.0, "latency of replies and account frames")


def load_plan(path: Path) -> WireFaults:
    """A plan of a TOML file.

    Raises
    ------
    ConfigError
        The file cannot be read, or a value is out of range.
    """
    try:
        values = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"fault plan {path}: {error}") from None
    wrong = [name for name in NOT_HERE if name in values]
    if wrong:
        raise ConfigError(f"fault plan {path}: {', '.join(wrong)}: --tier decides that on the wire")
    return WireFaults(**values)


class Lost(Exception):  # noqa: N818 - an ordinary fault, not an error
    """Nobody will answer."""


class Faults:
    """Draws from a plan.

    Parameters
    ----------
    plan : WireFaults
    now_ns : int
        Wall time at the server's start.

    Attributes
    ----------
    counts : Counter of str
        What happened, by name.
    down : set of str
        Outages that last (`OUTAGES`).
    """

    def __init__(self, plan: WireFaults, now_ns: int) -> None:
        self.plan, self.counts, self.down = plan, Counter[str](), set[str]()
        until_ns = NEVER_NS if plan.until_s is None else now_ns + round(plan.until_s * NS_PER_S)
        self._chances = [
            Chance(plan.seed, stream, until_ns, self.counts) for stream in range(FIRST_OUTAGE + len(OUTAGES))
        ]
        self._sending: dict[tuple[int, int], Line] = {}
        self._acks = Line(plan, self._chances[ACKS], "ack")
        self._updates = Line(plan, self._chances[UPDATES], "update")
        self._last: dict[tuple[int, int], int] = {}
        self._market_ns = 0

    def _happens(self, stream: int, name: str, now_ns: int) -> bool:
        return self._chances[stream].happens(name, getattr(self.plan, name), now_ns)

    # --- Transactions ------------------------------------------------------------------------------------------------

    @property
    def cut(self) -> bool:
        """Whether nothing of an account's comes through."""
        return not self.down.isdisjoint({"disconnect", "restart"})

    def arrival_ns(self, sender: tuple[int, int], now_ns: int) -> int:
        """When a transaction of an (account, key) arrives; raises `Lost`."""
        line = self._sending.get(sender)
        if line is None:
            line = self._sending[sender] = Line(self.plan, self._chances[SENDING], "send")
        times = line.carry(now_ns)
        if not times or self.cut:
            raise Lost
        at_ns = times[0]
        if not self.plan.reorder_send:  # one after the other, also at one time
            at_ns = max(at_ns, self._last.get(sender, -1) + 1)
        self._last[sender] = at_ns
        return at_ns

    def refuse(self, now_ns: int) -> None:
        """Refuse what is right, if it is its turn; raises `Refusal`."""
        chance = self._chances[VENUE]
        for code, share in self.plan.rejects.items():
            if chance.happens(f"reject_{code}", share, now_ns):
                name = Code(code).name.lower().replace("_", " ")
                raise Refusal(Code(code), name, 429 if code == Code.TOO_MANY_REQUESTS else 400)

    def skips_nonce(self, now_ns: int) -> bool:
        """Whether the counter of a key jumps after a transaction."""
        return self._happens(VENUE, "skip_nonce", now_ns)

    def fails(self, now_ns: int) -> bool:
        """Whether an accepted transaction fails."""
        return self._happens(VENUE, "fail_accepted", now_ns)

    def pieces(self, lots: int, now_ns: int) -> list[int]:
        """A fill as trades."""
        splits = lots > 1 and self._happens(VENUE, "split_fill", now_ns)
        return self._chances[VENUE].pieces(lots) if splits else [lots]

    def ack_times(self, now_ns: int) -> tuple[int, ...]:
        """When the reply is heard; never if it is lost."""
        return () if self.cut else self._acks.carry(now_ns)

    def unclear(self, now_ns: int) -> bool:
        """Whether the reply says nothing."""
        return self._happens(ACKS, "unclear_ack", now_ns)

    # --- Answers and frames ------------------------------------------------------------------------------------------

    def junk_body(self, name: str, now_ns: int) -> bytes | None:
        """Nonsense in place of an answer (`junk_reply`, `junk_view`)."""
        return self._pick(JUNK_BODIES) if self._happens(JUNK, name, now_ns) else None

    def junk_frame(self, name: str, now_ns: int) -> str | None:
        """Nonsense beside a frame (`junk_market`, `junk_account`)."""
        return self._pick(JUNK_FRAMES) if self._happens(JUNK, name, now_ns) else None

    def _pick(self, choices: tuple[Any, ...]) -> Any:
        return choices[int(self._chances[JUNK].rng.integers(len(choices)))]

    def view(self, now_ns: int) -> tuple[int, bool]:
        """How much later a question is answered, ns, and whether in full; raises `Refusal` if it fails."""
        plan, chance = self.plan, self._chances[VIEWS]
        if chance.happens("fail_view", plan.fail_view, now_ns):
            raise Refusal(Code.INTERNAL, "internal error", 500)
        slow = chance.happens("slow_view", plan.slow_view, now_ns)
        later_ns = round((plan.entry_ms + plan.response_ms + slow * plan.slow_view_ms) * NS_PER_MS)
        return later_ns, not chance.happens("partial_view", plan.partial_view, now_ns)

    def update_times(self, now_ns: int) -> tuple[int, ...]:
        """When an account frame is heard; never if it is lost."""
        return self._updates.carry(now_ns)

    def market_time(self, now_ns: int) -> int:
        """When a market frame is heard; frames keep their order."""
        extra_ns = self._chances[MARKET].exponential_ns(self.plan.market_spread_ms * NS_PER_MS, now_ns)
        due_ns = now_ns + round(self.plan.market_delay_ms * NS_PER_MS) + extra_ns
        self._market_ns = max(self._market_ns + 1, due_ns)
        return self._market_ns

    # --- Outages -----------------------------------------------------------------------------------------------------

    def episode(self, kind: str, after_ns: int) -> tuple[int, int] | None:
        """Begin and end of the next outage of a kind."""
        per_min, mean_s = getattr(self.plan, f"{kind}s_per_min"), getattr(self.plan, f"{kind}_s")
        return self._chances[FIRST_OUTAGE + OUTAGES.index(kind)].episode(after_ns, per_min, mean_s)


def without_every_second(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer whose orders are not complete."""
    return answer | {"orders": answer["orders"][::2]} if "orders" in answer else answer


def sender_of(info: str) -> tuple[int, int]:
    """(account, key) of a transaction's text; (0, 0) if it has none."""
    try:
        found = msgspec.json.decode(info)
        return int(found["AccountIndex"]), int(found["ApiKeyIndex"])
    except (msgspec.DecodeError, UnicodeEncodeError, KeyError, TypeError, ValueError):
        return 0, 0
