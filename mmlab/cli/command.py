"""What a command is, and what the commands share: words, assignments, bars."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmlab.errors import ConfigError

if TYPE_CHECKING:
    from mmlab.lab.inputs import Config

DONE, WRONG, REFUSED, INTERRUPTED = 0, 2, 3, 130
Parser = argparse.ArgumentParser


@dataclass(frozen=True)
class Command:
    """One command: what it is for, an example that works, its arguments, its work (which returns the exit status)."""

    name: str
    purpose: str
    example: str
    arguments: Callable[[Parser], None]
    work: Callable[[argparse.Namespace], int]


def refuse_existing(out: Path | None) -> None:
    """Refuse early, before any work, a run directory that exists."""
    if out is not None:
        from mmlab.lab.inputs import require_new

        require_new(out)


def config_of(options: argparse.Namespace) -> Config:
    """Config file and single parameters of a command."""
    from mmlab.lab.inputs import Config

    config = Config() if options.config is None else Config.load(options.config)
    return config.with_(**dict(assignment(text) for text in options.set))


def assignment(text: str, example: str = "ladder.hysteresis=0.1") -> tuple[str, Any]:
    """``name=value``; the value as TOML writes it, else as text."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"{text!r}: write it as name=value, for example {example}")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name.strip(), value.strip()


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Something turning on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(what):
        yield


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[float], None] | None]:
    """A bar on a terminal, to be told the share done; None elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=1.0)
        yield lambda share: progress.update(task, completed=share)
