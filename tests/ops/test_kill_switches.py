"""Each kill switch on the paper venue: it trips, acts on the book, is logged, counted and shown, backs off, returns."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest

from mmlab.engine.engine import Engine
from mmlab.engine.facts import KILL_SWITCHES as ENGINE_SWITCHES
from mmlab.engine.facts import engine_facts, switch_table
from mmlab.events import ASK, BID, GATE, NS_PER_S, GateAction, Switch
from mmlab.telemetry.ops.alerts import ALERTS
from mmlab.telemetry.ops.dashboards import dashboards
from mmlab.telemetry.ops.switches import KILL_SWITCHES, runbook_of
from mmlab.telemetry.prometheus import exposition
from tests.engine.rig import Outcome, Watched, at, cut, play, quick
from tests.ops.kill_scenes import LATER_S, REARM_S, SCENES, Scene

LOOK_NS = 100_000_000
TRIPS = (GateAction.TRIP, GateAction.LATCH)


@dataclass(frozen=True)
class Look:
    """What was seen at one moment."""

    ts_ns: int
    bids: int
    asks: int
    switches: dict[str, dict[str, float]]

    def active(self, name: str) -> bool:
        return self.switches[name]["active"] == 1


@dataclass(frozen=True)
class Played:
    """A scene that is over."""

    scene: Scene
    outcome: Outcome
    looks: list[Look]
    rows: Any
    """Lines of gates.jsonl of this switch."""

    def times(self, *actions: GateAction) -> list[int]:
        return [int(row["local_ns"]) for row in self.rows if row["action"] in actions]


def metric(text: str, name: str, switch: str) -> float:
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name}{{") and f'switch="{switch}"' in line]
    return float(line.rsplit(" ", 1)[1])


@cache
def played(name: str) -> Played:
    scene, looks = SCENES[name], list[Look]()

    async def script(engine: Engine) -> None:
        beside = asyncio.ensure_future(scene.script(engine)) if scene.script else None
        back = asyncio.ensure_future(by_operator(engine, scene))
        while not engine.ended:
            looks.append(look(engine))
            await engine.clock.sleep_until(engine.now() + LOOK_NS)
        for task in (beside, back):
            if task is not None:
                await task

    outcome = play(
        cut(scene.begin, scene.begin + scene.seconds),
        quick(**scene.config),
        make=scene.make,
        faults=scene.faults,
        script=script,
    )
    gates = outcome.table("gates", GATE)
    return Played(scene, outcome, looks, gates[gates["switch"] == Switch[name.upper()]])


async def by_operator(engine: Engine, scene: Scene) -> None:
    """What changes while the tape runs."""
    await at(engine, LATER_S)
    if scene.then:
        engine.update(scene.then)
    await at(engine, REARM_S)
    if scene.after:
        engine.update(scene.after)
    if scene.returns == "operator":
        engine.rearm()


def look(engine: Engine) -> Look:
    venue = engine.venue
    assert isinstance(venue, Watched)
    sides = [order.side for order in venue._account.orders.values()]
    return Look(engine.now(), sides.count(BID), sides.count(ASK), switch_table(engine))


def spells(run: Played) -> list[tuple[int, int, int]]:
    """From each trip to what ended it: begin, end, side."""
    found = []
    for i, row in enumerate(run.rows):
        if row["action"] in TRIPS:
            later = [
                int(r["local_ns"]) for r in run.rows[i:] if r["action"] == GateAction.REARM and r["side"] == row["side"]
            ]
            found.append((int(row["local_ns"]), later[0] if later else run.looks[-1].ts_ns, int(row["side"])))
    return found


def test_every_switch_has_a_scene():
    assert set(SCENES) == set(KILL_SWITCHES) == {switch.name.lower() for switch in ENGINE_SWITCHES}


TRIPPING = [name for name in SCENES if name != "position"]


@pytest.mark.parametrize("name", TRIPPING)
def test_it_trips_and_acts_on_the_book(name: str) -> None:
    run = played(name)
    assert any(look.bids or look.asks for look in run.looks), "nothing ever rested: the scene proves nothing"
    begins = spells(run)
    assert begins, "it never tripped"
    checked = 0
    for begin_ns, end_ns, side in begins:
        for seen in run.looks:
            if begin_ns + run.scene.settle_s * NS_PER_S < seen.ts_ns < end_ns:
                checked += 1
                resting = {BID: seen.bids, ASK: seen.asks}
                assert sum(resting.values()) == 0 if side == 0 else resting[side] == 0, (name, seen.ts_ns - begin_ns)
        if side == 0:
            risky = [
                t for t, tx in run.outcome.venue.sent if begin_ns < t < end_ns and tx.kind.name in ("PLACE", "MODIFY")
            ]
            assert risky == [], "something that opens risk has left"
    assert checked


@pytest.mark.parametrize("name", TRIPPING)
def test_log_line_and_metric(name: str) -> None:
    run = played(name)
    lines = [line for line in run.outcome.log.of("switch") if line["switch"] == name]
    rows = [row for row in run.rows if row["action"] in (*TRIPS, GateAction.REARM)]
    logged = {(line["ts_ns"], line["action"]) for line in lines}
    for row in rows:
        assert (int(row["local_ns"]), GateAction(int(row["action"])).name.lower()) in logged
    final = look_at_the_end(run)
    assert metric(final, "mmlab_kill_switch_trips_total", name) >= len({t for t, _, _ in spells(run)})
    seen = next((seen for seen in run.looks if seen.active(name)), None)
    assert seen, "never shown as active"
    text = exposition({"session": "s", "market": "m", "switches": seen.switches})
    assert metric(text, "mmlab_kill_switch_active", name) == 1
    for begin_ns, end_ns, _ in spells(run):
        during = [s for s in run.looks if begin_ns + LOOK_NS < s.ts_ns < end_ns - LOOK_NS]
        assert all(seen.active(name) for seen in during)


def look_at_the_end(run: Played) -> str:
    return exposition({"session": "s", **engine_facts(run.outcome.engine)})


@pytest.mark.parametrize("name", TRIPPING)
def test_it_returns(name: str) -> None:
    run = played(name)
    rearms = run.times(GateAction.REARM)
    origin_ns = int(run.outcome.engine.clock.origin_ns)
    if run.scene.returns == "time":
        assert rearms, "it never came back"
        assert any(s.bids or s.asks for s in run.looks if s.ts_ns > rearms[0]), "it does not quote again"
    elif run.scene.returns == "operator":
        assert all(t >= origin_ns + REARM_S * NS_PER_S - LOOK_NS for t in rearms), (
            "a latched switch came back by itself"
        )
        assert rearms, "the operator's re-arm had no effect"


@pytest.mark.parametrize("name", [name for name in TRIPPING if SCENES[name].repeats])
def test_repeats_back_off(name: str) -> None:
    run = played(name)
    for side in {int(row["side"]) for row in run.rows}:
        effects = np.array([row["effect"] for row in run.rows if row["action"] in TRIPS and row["side"] == side])
        cap = effects.max()
        assert effects.size > 1
        assert ((effects[1:] == np.minimum(2 * effects[:-1], cap)) | (effects[1:] == effects[0])).all(), effects
        assert cap > effects[0]


def test_position_takes_the_heavy_side_off() -> None:
    """No trip and so no line in gates.jsonl: the decisions' reasons say it, and the metric."""
    run = played("position")
    full = [seen for seen in run.looks if seen.active("position")]
    assert full
    assert all(seen.bids == 0 for seen in full[5:])
    assert run.rows.size == 0


@pytest.mark.parametrize("name", SCENES)
def test_dashboard_and_alert_show_it(name: str) -> None:
    (alert,) = [alert for alert in ALERTS if alert.runbook == runbook_of(name) and "kill_switch_active" in alert.expr]
    assert f'switch="{name}"' in alert.expr
    shown = [t["expr"] for panel in dashboards()["mmlab-trading.json"]["panels"] for t in panel["targets"]]
    assert any("mmlab_kill_switch_active" in expr for expr in shown)
    assert any("mmlab_kill_switch_trips_total" in expr for expr in shown)
