"""Facts of sessions in trouble, what a healthy engine says, changed where an alert looks, served by exporters."""

from __future__ import annotations

import asyncio
import copy
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmlab.engine.engine import Engine
from mmlab.engine.facts import engine_facts
from mmlab.lab.metrics import process_facts
from mmlab.lab.targets import publish_target
from mmlab.telemetry.exporter import Exporter
from mmlab.telemetry.ops.switches import KILL_SWITCHES
from tests.engine.rig import at, cut, play, quick

Facts = dict[str, Any]
Scene = Callable[[Facts, int], object]
"""Changes a session's facts; ``n`` rises with every scrape."""


def healthy() -> Facts:
    """Facts of an engine that trades on the paper venue, and those of parts that it has not."""
    seen: list[Facts] = []

    async def script(engine: Engine) -> None:
        await at(engine, 58)
        seen.append(copy.deepcopy(engine_facts(engine)))

    play(cut(300, 360), quick(), script=script)
    (facts,) = seen
    return {
        **facts,
        "market_age_s": 0.1,
        "share_of_volume": 0.01,
        "messages_per_fill": 9.0,
        "cancels_per_fill": 3.0,
        "files": {
            "behind_s": 0.4, "disk_errors": 0, "free_bytes": 1e11, "dropped": {"fills": 0}, "log_held": 0,
            "log_lines": {"info": 5, "warning": 0, "error": 0},
        },
        "process": process_facts(),
        "owner": {"last_seen_s": 1.0, "grace_s": 30.0},
        "presign": {"hits": 90, "misses": 10, "signed": 120, "wasted": 20, "expired": 1, "held": 8, "lacking": 0,
                    "age_s": 3.0},
        "venue": {"reconnects": 0, "gaps": 0, "clock_offset_s": 0.002},
        "quota": {"left": 5000.0},
        "rate": {"tokens": 60.0},
        "refused": {"9": 0},
        "bad_input": {"crossed": 0},
        "anomalies": {**facts["anomalies"], "sign_failed": 0},
        "gate_events": {"flip": {"widen": 3}, "ladder": {"level_up": 2}},
        "markout": {side: {"mean": 0.1, "weighted": 0.1} for side in ("bid", "ask")},
        "capture_bps": {"bid": 0.4, "ask": 0.5},
        "pnl_per_million": {"30m": 12.0, "60m": 11.0},
        "metric": {**facts["metric"], "markout_bid_bps": 0.1, "markout_ask_bps": 0.1, "lot_age_s": 1.0,
                   "fill_rate_p95_bid": 1.0, "fill_rate_p95_ask": 1.0, "mid": 60000.0},
    }  # fmt: skip


def put(path: str, value: Any) -> Scene:
    """Set one fact."""

    def change(facts: Facts, n: int) -> None:
        *parents, leaf = path.split(".")
        node = facts
        for name in parents:
            node = node[name]
        node[leaf] = value(n) if callable(value) else value

    return change


def both(*changes: Scene) -> Scene:
    return lambda facts, n: [change(facts, n) for change in changes]


def rising(n: int) -> int:
    return 3 * n


def slow(stage: str) -> Scene:
    """All samples of a stage took long."""
    return lambda facts, n: facts["latency"].__setitem__(
        stage, {"buckets": [("0.1", 0), ("0.5", 10 * n), ("+Inf", 10 * n)], "sum": 3.0 * n}
    )


def state(word: str) -> Scene:
    return lambda facts, n: facts["trading"].update({name: float(name == word) for name in facts["trading"]})


def not_quoting(facts: Facts, n: int) -> None:
    for side in facts["side"].values():
        side.update(dict.fromkeys(side, 0.0) | {"off": 1.0})


SCENES: dict[str, Scene] = {
    **{
        f"MmlabKill{name.title().replace('_', '')}": put(f"switches.{name}.active", 1.0) for name in KILL_SWITCHES
    },
    "MmlabMetricsMissing": lambda facts, n: facts.pop("latched"),
    "MmlabStaleData": put("market_age_s", 9.0),
    "MmlabSlowEngine": slow("total"),
    "MmlabLoopLate": slow("lag"),
    "MmlabQueueFills": put("mailboxes.news.waiting", 15_000),
    "MmlabTaskDied": put("tasks_died", rising),
    "MmlabErrorsLogged": put("files.log_lines.error", rising),
    "MmlabOwnerLost": put("owner.last_seen_s", 99.0),
    "MmlabDiskBehind": put("files.behind_s", 30.0),
    "MmlabDiskErrors": put("files.disk_errors", rising),
    "MmlabRowsDropped": put("files.dropped.fills", rising),
    "MmlabDiskNearlyFull": put("files.free_bytes", 5e8),
    "MmlabLinkDown": put("linked", 0.0),
    "MmlabReconnects": put("venue.reconnects", rising),
    "MmlabGaps": put("venue.gaps", rising),
    "MmlabClockSkew": put("venue.clock_offset_s", -0.4),
    "MmlabQuotaLow": put("quota.left", 7.0),
    "MmlabNotReconciled": put("reconciled", 0.0),
    "MmlabUnknownOrders": put("orders.bid.unknown", 1),
    "MmlabStuckHalting": state("halting"),
    "MmlabNonceTrouble": put("refusals.resync_nonce", rising),
    "MmlabKeyRefused": put("refusals.fatal_session", rising),
    "MmlabSigningFails": put("anomalies.sign_failed", rising),
    "MmlabRefusals": both(put("refusals.fatal_order", rising), put("messages.place", lambda n: 6 * n)),
    "MmlabPresignMisses": both(put("presign.misses", rising), put("presign.hits", lambda n: n)),
    "MmlabPositionWhileHalted": both(state("halted"), put("position", -2.0)),
    "MmlabNotQuoting": not_quoting,
    "MmlabAdverseSelection": both(put("metric.markout_bid_bps", -1.0), put("metric.n_bid", 50.0)),
    "MmlabSelfImpact": put("share_of_volume", 0.2),
}  # fmt: skip
"""Alert -> what makes it fire. A dead engine, and none at all, are real ones in the test."""
CALM = "calm"
"""Session with which all is well."""
APART = {"MmlabMetricsMissing": "bare", "MmlabStuckHalting": "unproven", "MmlabLinkDown": "unproven"}
"""Scenes that cannot be played in the session of the others; promtool's tests have each alert by itself."""
SESSION_OF = {name: APART.get(name, "killed" if name.startswith("MmlabKill") else "troubled") for name in SCENES}
SESSIONS = (*dict.fromkeys(SESSION_OF.values()), CALM)


class Stage(threading.Thread):
    """Serves every session's scenes by an exporter of its own.

    Parameters
    ----------
    base : dict
        What a healthy session says.
    targets : Path
        Where Prometheus finds targets.
    """

    def __init__(self, base: Facts, targets: Path) -> None:
        super().__init__(daemon=True)
        self._base, self._targets = base, targets
        self._loop = asyncio.new_event_loop()
        self._begun_s = time.monotonic()

    def run(self) -> None:
        self._loop.run_until_complete(self._open())
        self._loop.run_forever()
        self._loop.run_until_complete(self._close())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _open(self) -> None:
        self._exporters = []
        for name in SESSIONS:
            exporter = Exporter(lambda name=name: self._facts(name))
            target = await exporter.start()
            publish_target(self._targets, self._targets / name, target, name)
            self._exporters.append(exporter)

    def _facts(self, name: str) -> Facts:
        n = round(10 * (time.monotonic() - self._begun_s))
        facts = copy.deepcopy(self._base) | {"session": name}
        facts["messages"]["place"], facts["notional"]["bid"] = 100 + n, 1000.0 * n
        facts["fills"]["bid"]["maker"] = 10 + n // 5
        facts["presign"]["hits"] = 90 + n
        for alert, session in SESSION_OF.items():
            if session == name:
                SCENES[alert](facts, n)
        return facts

    async def _close(self) -> None:
        for exporter in self._exporters:
            await exporter.close()

    def close(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self.join(20)
