"""An engine that is none: it keeps the contract of `mmlab.lab.client.Client`, and a run directory that goes on."""

from __future__ import annotations

from pathlib import Path
from time import time

from mmlab.config import Config
from mmlab.errors import SessionError
from tests.lab.fabricated import make_run
from tests.telemetry.live_runs import begin, put_all


class FakeEngine:
    def __init__(self, run_dir, config=None):
        self.run_dir, self.config, self.version = Path(run_dir), config or Config(), 0
        self.history, self.deeds, self.dead = [], [], ""
        self.latched = False

    def _answer(self):
        if self.dead:
            raise SessionError(self.dead)

    def state(self):
        self._answer()
        order = {"client_order_id": 7, "rung": 0, "slot": "A", "size": 0.01, "filled": 0.0, "age_s": 1.5}
        orders = [
            {**order, "side": "bid", "state": "live", "map": "live", "price": 60000.0},
            {**order, "side": "ask", "state": "cancel_pending", "map": "pending", "price": 60002.5},
        ]
        stage = {"n": 3, "p50": 10.0, "p90": 20.0, "p99": 30.0, "max": 31.0}
        why = "manual: dashboard" if self.latched else ""
        return {
            "run_dir": str(self.run_dir), "name": "fake", "mode": "paper", "venue": "paper", "symbol": "TEST",
            "tick_size": 0.1, "lot_size": 0.001, "speed": 1.0, "pid": 1, "session_ns": 1, "wall_s": time(),
            "started_s": time() - 5, "market_age_s": 0.1, "why": why,
            "trading": "halted" if self.latched else "quoting",
            "bid": "quoting", "ask": "paused", "latched": self.latched, "ended": "", "parameter_version": self.version,
            "position": 0.01, "position_lots": 10, "net_pnl": 1.25, "fills": 4, "messages": 17, "best_bid": 60000.0,
            "best_ask": 60003.0, "orders": [] if self.latched else orders,
            "latency_us": dict.fromkeys(("decide", "order", "sign", "send", "total"), stage),
            "mailboxes": {"news": {"waiting": 1, "most": 4, "bound": 20000}}, "anomalies": {"late_reply": 2},
            "tasks_died": 0,
            "switches": [
                {"switch": "manual", "active": self.latched, "latched": self.latched, "why": why, "since_ns": 1}
            ],
            "owner": {"last_seen_s": 0.2, "on_owner_lost": "stop", "grace_s": 30.0},
        }  # fmt: skip

    def params(self):
        self._answer()
        return {"version": self.version, "config": self.config.model_dump(mode="json"), "history": list(self.history)}

    def update(self, changes, *, base_version=None, source="api"):
        self._answer()
        if base_version is not None and base_version != self.version:
            raise SessionError(
                f"version {base_version} is no longer the newest: changed by {self.history[-1]['source']}"
            )
        flat = self.config.flat()
        self.config = self.config.with_(**changes)
        self.version += 1
        old = {name: flat[name] for name in changes}
        self.history.append(
            {"time": "2026-01-01T00:00:00Z", "source": source, "version": self.version, "old": old, "new": changes}
        )
        return self.version

    def kill(self, reason="operator"):
        self._answer()
        self.deeds.append(("kill", reason))
        self.latched = True

    def rearm(self):
        self._answer()
        self.deeds.append(("rearm", ""))
        self.latched = False


def going(path, run=None, rows=1.0):
    """A run directory that is being written; returns its writer, to be closed."""
    run = run or make_run(300)
    live = begin(run, path, flush_s=0.02)
    if rows:
        put_all(live, run)
    return live


def nobody(run_dir):
    raise SessionError(f"{run_dir}: no engine of yours is running for it")
