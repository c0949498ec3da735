"""A handle on a running engine: HTTP to its control server, from any thread and any process of the same user."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests

from mmlab import errors
from mmlab.errors import MMLabError, SessionError
from mmlab.lab.addresses import Address, find, is_alive, running

PATIENCE_S = (2.0, 10.0)
"""To connect, and for an answer."""
FLATTEN_PATIENCE_S = (2.0, 120.0)


class Client:
    """One running engine. Thread-safe; every call times out.

    Parameters
    ----------
    address : Address
        From `mmlab.lab.addresses`.
    """

    def __init__(self, address: Address) -> None:
        self.run_dir, self.url, self.pid = Path(address.run_dir), address.url, address.pid
        self._authorization = {"Authorization": f"Bearer {address.token}"}
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy between us and loopback, and no .netrc

    @classmethod
    def of(cls, run_dir: str | Path) -> Client:
        """The engine that writes a run directory.

        Raises
        ------
        SessionError
            No engine answers for it.
        """
        address = find(run_dir)
        if address is None or not is_alive(address.pid):
            names = ", ".join(Path(a.run_dir).name for a in running())
            raise SessionError(
                f"{run_dir}: no engine of yours is running for it; running now: {names or 'none'}."
                " A run that is over is read with mmlab.load_run"
            )
        return cls(address)

    def state(self) -> dict[str, Any]:
        """What the session does now; keys as in ``docs/control_api.md``."""
        return self._call("GET", "/state")

    def params(self) -> dict[str, Any]:
        """``version``, ``config`` in force, ``history`` of changes."""
        return self._call("GET", "/params")

    def update(self, changes: dict[str, Any], *, base_version: int | None = None, source: str = "api") -> int:
        """Change parameters, all of them or none; returns the new version.

        Raises
        ------
        ConfigError
            Every wrong field; nothing is applied.
        SessionError
            `base_version` is not the newest any more: who changed what.
        """
        body = {"changes": changes, "base_version": base_version, "source": source}
        return int(self._call("POST", "/params", body)["version"])

    def kill(self, reason: str = "operator") -> None:
        """Cancel all and halt, latched."""
        self._call("POST", "/kill", {"reason": reason})

    def rearm(self) -> None:
        """Quote again as soon as the conditions of a re-arm hold."""
        self._call("POST", "/rearm")

    def flatten(self) -> int:
        """Leave the position; waits, and returns the lots that are left."""
        return int(self._call("POST", "/flatten", patience_s=FLATTEN_PATIENCE_S)["position_lots"])

    def stop(self, reason: str = "stopped") -> None:
        """End the session."""
        self._call("POST", "/stop", {"reason": reason})

    def heartbeat(self) -> None:
        """A sign of life of the owner."""
        self._call("POST", "/heartbeat")

    def metrics_text(self) -> str:
        """The state in Prometheus' text format."""
        return self._ask("GET", "/metrics", None, PATIENCE_S).text

    def latencies_us(self, stage: str, newest: int = 1000) -> list[float]:
        """The newest latencies of a stage, oldest first, microseconds."""
        answer = self._ask("GET", f"/latency/{stage}?newest={newest}", None, PATIENCE_S)
        return [float(value) for value in answer.json()]

    def shadows(self) -> dict[str, dict[str, Any]]:
        """Shadow sets: name -> ``changes``, ``version``, ``alive``."""
        return self._call("GET", "/shadows")

    def add_shadow(self, name: str, changes: dict[str, Any]) -> None:
        """Let a parameter set run along."""
        self._call("POST", "/shadows", {"name": name, "changes": changes})

    def remove_shadow(self, name: str) -> None:
        """Let a parameter set run along no more."""
        self._call("DELETE", f"/shadows/{quote(name, safe='')}")

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def _call(
        self, method: str, route: str, body: dict[str, Any] | None = None, patience_s: tuple[float, float] = PATIENCE_S
    ) -> dict[str, Any]:
        answer = self._ask(method, route, body, patience_s)
        return answer.json() if answer.content else {}

    def _ask(
        self, method: str, route: str, body: dict[str, Any] | None, patience_s: tuple[float, float]
    ) -> requests.Response:
        try:
            answer = self._http.request(
                method, self.url + route, json=body, headers=self._authorization, timeout=patience_s
            )  # fmt: skip
        except requests.Timeout:
            raise SessionError(f"{self.run_dir.name}: the engine at {self.url} does not answer") from None
        except requests.RequestException:
            raise SessionError(
                f"{self.run_dir.name}: the engine has ended, or died; see {self.run_dir}/run.json and log.jsonl"
            ) from None
        if answer.ok:
            return answer
        raise _error_of(answer, self.run_dir.name)

    def __repr__(self) -> str:
        return f"Client({self.url}, {self.run_dir})"


def _error_of(answer: requests.Response, name: str) -> MMLabError:
    """The engine's error, as the same class here."""
    try:
        said = answer.json()
        kind, text = str(said["kind"]), str(said["error"])
    except (ValueError, KeyError, TypeError):
        return SessionError(f"{name}: the engine answered {answer.status_code} {answer.reason}")
    found = getattr(errors, kind, SessionError)
    return found(text) if isinstance(found, type) and issubclass(found, MMLabError) else SessionError(text)
