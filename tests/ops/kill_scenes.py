"""A scene for each kill switch: what trips it on the paper venue, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from mmlab.engine.engine import Engine
from mmlab.events import BID, Switch
from mmlab.exchange import Payload, PositionUpdate, Rejected, Status
from mmlab.venues.paper import FaultPlan
from mmlab.venues.paper.codes import Code
from tests.engine.rig import RISKY, MakeVenue, Watched, at, holding

LATER_S = 30.0
"""When things go wrong that a script does: quotes rest by then."""
REARM_S = 40.0
"""When an operator re-arms what is latched."""
GREEDY = {"strategy__model": "fixed", "strategy__half_spread_ticks": 0.0, "gates__cooldown__enabled": False}
"""Quotes at the touch, to be filled soon."""


@dataclass(frozen=True)
class Scene:
    """How a switch is tripped, and how it returns.

    Parameters
    ----------
    config : dict
        Changes, two underscores for the dot.
    returns : str
        ``time``: by itself; ``operator``: only by hand; ``never``: the session ends.
    seconds, begin : float
        Length of the tape, and where of the sample it begins.
    repeats : bool
        It trips again within `memory_s`, so that the back-off shows.
    side : bool
        One side only.
    then : dict
        Parameters changed at `LATER_S`.
    after : dict
        And at `REARM_S`, before an operator re-arms.
    settle_s : float
        So long after a trip nothing of ours may rest any more.
    """

    config: dict[str, Any] = field(default_factory=dict)
    faults: FaultPlan | None = None
    make: MakeVenue = Watched
    script: Callable[[Engine], Awaitable[object]] | None = None
    returns: str = "time"
    seconds: float = 60.0
    begin: float = 300.0
    repeats: bool = False
    side: bool = False
    then: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    settle_s: float = 0.5


# --- Venues and scripts that cause trouble ---------------------------------------------------------------------------


async def by_hand(engine: Engine) -> None:
    await at(engine, LATER_S)
    engine.kill("by hand")


async def failing_task(engine: Engine) -> None:
    await at(engine, LATER_S)
    engine.steering.trip(Switch.TASK, "planted")


def told(switch: Switch) -> Callable[[Engine], Awaitable[object]]:
    """Trips what only a live venue's watch would."""

    async def script(engine: Engine) -> None:
        await at(engine, LATER_S)
        engine.steering.trip(switch, "planted")

    return script


async def many_orders(engine: Engine) -> None:
    """Fewer orders may rest than are quoted, which the config does not let anybody ask for; only a quoter could."""
    risk = engine.decider.params["risk"]
    most = int(risk["max_live_orders"][0])
    await at(engine, LATER_S)
    risk["max_live_orders"] = 1
    await at(engine, REARM_S)
    risk["max_live_orders"] = most


class Shrinking(Watched):
    """From some time on the account's messages tell another position than the fills make."""

    async def view(self, since_trade_id: int) -> Any:
        view = await super().view(since_trade_id)
        if self.clock.now_ns() > self.clock.origin_ns + LATER_S * 1e9:  # type: ignore[attr-defined]
            return msgspec.structs.replace(view, position_lots=view.position_lots + 50)
        return view


class Refusing(Watched):
    """From some time on nothing that opens risk is taken."""

    code = int(Code.SUSPENDED)

    def send(self, payload: Payload) -> asyncio.Future[Any]:
        late = self.clock.now_ns() > self.clock.origin_ns + LATER_S * 1e9  # type: ignore[attr-defined]
        if late and payload.transaction.kind in RISKY:
            done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            soon_ns = self.clock.now_ns() + 5_000_000
            self.clock.call_at(soon_ns, done.set_result, Rejected(self.code, "planted"))
            return done
        return super().send(payload)


class Closing(Watched):
    """Says for ten seconds that it does not trade."""

    told = 0

    async def market(self) -> AsyncIterator[Any]:
        async for message in super().market():
            yield message
            seconds = (self.clock.now_ns() - self.clock.origin_ns) / 1e9  # type: ignore[attr-defined]
            if self.told == 0 and seconds > LATER_S:
                self.told = 1
                yield Status(trading=False, reason="halt of the market")
            elif self.told == 1 and seconds > LATER_S + 10:
                self.told = 2
                yield Status(trading=True)


class Flooding(Watched):
    """More news of our orders at once than the engine keeps up with."""

    flooded = False

    async def account(self) -> AsyncIterator[Any]:
        async for message in super().account():
            yield message
            if not self.flooded and self.clock.now_ns() > self.clock.origin_ns + LATER_S * 1e9:  # type: ignore[attr-defined]
                self.flooded = True
                for _ in range(15_000):
                    yield PositionUpdate(self.truth().position_lots)


# --- The scenes ------------------------------------------------------------------------------------------------------

SIDES = {**GREEDY, "kill__pause_light_side": True}
SHORT = {"kill__losing__halt_s": 5.0}

SCENES = {
    "toxic": Scene({**SIDES, "kill__toxic__threshold_bps": 100.0, "kill__toxic__z": 0.0, "kill__toxic__min_n": 1,
                    "kill__toxic__window": 10}, repeats=True, side=True),
    "burst": Scene({**SIDES, "kill__burst__threshold_per_s": 0.5, "kill__burst__min_n": 1}, repeats=True, side=True),
    "losing": Scene({**GREEDY, **SHORT, "kill__losing__threshold_quote": 0.0, "kill__losing__z": 0.0,
                     "kill__losing__min_notional": 0.0}, seconds=100),
    "loss": Scene(make=holding(BID), returns="operator", then={"kill.loss.max_loss_quote": 0.2}),
    "drawdown": Scene(make=holding(BID), returns="operator", then={"kill.drawdown.max_drawdown_quote": 0.2}),
    "volatility": Scene({"kill__volatility__ratio": 1.05, "kill__volatility__rearm_ratio": 1.04,
                         "kill__volatility__min_s": 5.0}, seconds=70),
    "stale": Scene(faults=FaultPlan(seed=3, stales_per_min=6, stale_s=6.0, until_s=60), seconds=70),
    "position": Scene({"risk__max_position": 0.05, "ladder__enabled": False}, make=holding(BID, 60), side=True,
                      returns="never"),
    "hard_limit": Scene({"gates__age_exit__enabled": False, "strategy__min_spread_bps": 20.0}, make=holding(BID, 60),
                        returns="operator", then={"risk.max_position": 0.02, "risk.hard_limit": 0.02},
                        after={"risk.max_position": 0.1, "risk.hard_limit": 0.2}),
    "collar": Scene({**SHORT, "strategy__min_spread_bps": 10.0}, then={"risk.collar_bps": 1.0},
                    after={"risk.collar_bps": 100.0}),
    "size": Scene(SHORT, begin=210, then={"risk.max_order_notional": 600.23}, after={"risk.max_order_notional": None}),
    "order_count": Scene(SHORT, script=many_orders),
    "messages": Scene({**SHORT, "risk__max_messages_per_min": 20}, seconds=160),
    "mark": Scene(then={"kill.mark.max_distance_bps": 0.2}, repeats=True, seconds=70),
    "manual": Scene(script=by_hand, returns="operator"),
    "link": Scene(faults=FaultPlan(seed=1, until_s=40, disconnects_per_min=12, disconnect_s=0.5), repeats=True,
                  settle_s=2.0),  # nothing can be cancelled before the link is back
    "rejects": Scene(SHORT, faults=FaultPlan(seed=1, rejects={9: 0.7}, until_s=15), settle_s=4.0),
    "mismatch": Scene({"execution__waits__reconcile_s": 1.0}, make=Shrinking, returns="operator", settle_s=3.0),
    "session": Scene(make=Refusing, returns="operator"),
    "status": Scene({"execution__waits__reconcile_s": 1.0}, make=Closing),
    "queue": Scene(SHORT, make=Flooding),
    "task": Scene(script=failing_task, returns="operator"),
    "clock": Scene(SHORT, script=told(Switch.CLOCK)),
    "dead_man": Scene(SHORT, script=told(Switch.DEAD_MAN)),
    "margin": Scene(SHORT, script=told(Switch.MARGIN)),
}  # fmt: skip
