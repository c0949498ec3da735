"""``mmlab dashboard``: the served dashboard, on loopback unless it has a password."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from mmlab.errors import ConfigError, SafetyError, SessionError

ROUTE = "app"
CLOSED_MS, LOOK_MS = 5000, 2000
"""Sessions of closed pages end this long after, found at such looks."""


def application() -> Path:
    """The file of the served application: beside the package in a source tree, inside it in a wheel."""
    package = Path(__file__).parents[1]
    for folder in (package.parent, package):
        if (folder / "dashboards" / "app.py").is_file():
            return folder / "dashboards" / "app.py"
    raise SessionError(f"dashboards/app.py is neither beside nor in {package}: install mmlab again")


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def settings(
    *, port: int, address: str, password_env: str | None, prefix: str, origins: Sequence[str]
) -> dict[str, Any]:
    """Options of the server.

    Raises
    ------
    SafetyError
        Others could reach it, and it has no password, or nobody said from where.
    ConfigError
        The password's variable is empty, or the prefix or an origin is none.
    """
    password = None
    if password_env is not None:
        password = os.environ.get(password_env)
        if not password:
            raise ConfigError(f"--password-env {password_env}: the variable is not set, or empty")
    if not is_loopback(address):
        if password is None:
            raise SafetyError(
                f"--address {address}: others reach it, so it needs a password: put one in a variable and give"
                " --password-env NAME"
            )
        if not origins:
            raise SafetyError(
                f"--address {address}: say which address browsers use: --origin HOST:PORT, e.g. --origin"
                f" {socket.gethostname()}:{port}"
            )
    for origin in origins:
        if not origin or "/" in origin or "*" in origin:
            raise ConfigError(f"--origin {origin}: must be HOST:PORT as browsers use it, without http:// and wildcards")
    if prefix and not prefix.startswith("/"):
        raise ConfigError(f"--prefix {prefix}: must begin with /, e.g. /user/me/proxy/{port}")
    here = [f"{host}:{port}" for host in ("127.0.0.1", "localhost")]
    options: dict[str, Any] = {
        "port": port, "address": address, "websocket_origin": [*here, *origins], "prefix": prefix.rstrip("/"),
        "unused_session_lifetime_milliseconds": CLOSED_MS, "check_unused_sessions_milliseconds": LOOK_MS,
        "show": False, "start": False, "location": False,
    }  # fmt: skip
    if password is not None:
        options |= {
            "basic_auth": password, "cookie_secret": secrets.token_hex(32),
            "login_template": str(application().with_name("login.html")),
        }  # fmt: skip
    return options


def serve_dashboard(
    runs: str | Path,
    *,
    port: int = 5006,
    address: str = "127.0.0.1",
    read_only: bool = False,
    password_env: str | None = None,
    prefix: str = "",
    origins: Sequence[str] = (),
) -> None:
    """Serve until interrupted; prints where.

    Parameters
    ----------
    runs : path
        Folder of run directories; it may not be there yet.
    port, address : int, str
        Where to listen; port 0 takes a free one.
    read_only : bool
        Without controls.
    password_env : str, optional
        Environment variable that holds the password.
    prefix : str
        Path under which a proxy serves it.
    origins : sequence of str
        HOST:PORT that browsers use, where it is not this one.

    Raises
    ------
    SafetyError, ConfigError
        As for `settings`.
    SessionError
        The port is taken.
    """
    port = port or _free_port(address)
    options = settings(port=port, address=address, password_env=password_env, prefix=prefix, origins=origins)
    os.environ["MMLAB_DASHBOARD_RUNS"] = str(Path(runs).absolute())
    os.environ["MMLAB_DASHBOARD_READ_ONLY"] = "1" if read_only else "0"
    import panel as pn

    import_module("mmlab.lab.rehearsal")  # now, so that no session waits for Numba to load
    try:
        server = pn.serve({ROUTE: str(application())}, **options)
    except OSError as error:
        raise SessionError(f"port {port} at {address} cannot be used ({error.strerror}): give another --port") from None
    print(f"http://{_shown(address)}:{port}{options['prefix']}/{ROUTE}", flush=True)  # noqa: T201  a command prints
    server.run_until_shutdown()


def _free_port(address: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address
