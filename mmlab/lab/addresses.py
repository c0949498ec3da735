"""Where a running engine is found: its address and token, in a folder that only this user can read.

    $XDG_RUNTIME_DIR/mmlab/<run id>.json     else ~/.local/state/mmlab/<run id>.json      folder 0700, file 0600

The token never stands in the run directory, which people copy and share.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from mmlab.errors import SafetyError, SessionError

OURS_ONLY = 0o700
TOKEN_FILE = 0o600


@dataclass(frozen=True)
class Address:
    """One running engine."""

    run_dir: str
    url: str
    token: str
    pid: int
    started: str

    def __repr__(self) -> str:
        return f"Address({self.url}, pid {self.pid}, {self.run_dir})"  # not the token


def runtime_folder() -> Path:
    """The folder, made if need be.

    Raises
    ------
    SafetyError
        Others can read or write it.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    folder = (Path(base) if base else Path.home() / ".local" / "state") / "mmlab"
    try:
        folder.mkdir(mode=OURS_ONLY, parents=True, exist_ok=True)
        about = folder.stat()
    except OSError as error:
        raise SessionError(f"{folder}: cannot be made ({error.strerror}): set XDG_RUNTIME_DIR") from None
    if about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise SafetyError(f"{folder}: others can read it, and it holds tokens: chmod 700 it, and be its owner")
    return folder


def run_id(run_dir: str | Path) -> str:
    """Name of a run directory and a hash of its place."""
    path = Path(run_dir).resolve()
    return f"{path.name}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"


def address_file(run_dir: str | Path) -> Path:
    """The file of one run."""
    return runtime_folder() / f"{run_id(run_dir)}.json"


def publish(address: Address) -> Path:
    """Write an engine's address, whole or not at all."""
    path = address_file(address.run_dir)
    temporary = path.with_suffix(f".{address.pid}")
    with suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, TOKEN_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(address), file)
    temporary.replace(path)
    return path


def withdraw(run_dir: str | Path) -> None:
    """Remove an engine's address."""
    address_file(run_dir).unlink(missing_ok=True)


def find(run_dir: str | Path) -> Address | None:
    """The address of the engine that writes a run directory; None if there is none."""
    return _read(address_file(run_dir))


def running() -> list[Address]:
    """Every engine of this user on this machine, oldest first; addresses of dead processes are removed."""
    found = []
    for path in runtime_folder().glob("*.json"):
        address = _read(path)
        if address is None:
            continue
        if is_alive(address.pid):
            found.append(address)
        else:
            path.unlink(missing_ok=True)
    return sorted(found, key=lambda address: (address.started, address.run_dir))


def is_alive(pid: int) -> bool:
    """Whether a process of this user runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # the number went to somebody else's process
        return False
    return True


def _read(path: Path) -> Address | None:
    try:
        return Address(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
