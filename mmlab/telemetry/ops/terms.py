"""What can be chosen when `ops/` is made."""

from __future__ import annotations

from dataclasses import dataclass

JOB = "mmlab"
"""Prometheus' job that scrapes sessions."""


@dataclass(frozen=True)
class Terms:
    """Durations and places.

    Parameters
    ----------
    for_s : float
        How long a condition holds before its alert fires.
    window_s : float
        Window of rates and increases.
    scrape_s : float
        Between two scrapes, and two evaluations.
    targets : str
        Folder of the service discovery's files, as Prometheus sees it: relative to its configuration, or absolute.
    runbooks : str
        Where the runbook pages are; a URL, or a path in the repository.
    """

    for_s: float = 60.0
    window_s: float = 300.0
    scrape_s: float = 5.0
    targets: str = "targets"
    runbooks: str = "docs/runbooks"

    def fill(self, text: str) -> str:
        """An expression with its window filled in."""
        return text.replace("$window", duration(self.window_s))


def duration(seconds: float) -> str:
    """As Prometheus writes it."""
    milliseconds = round(seconds * 1000)
    for unit, length in (("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % length == 0:
            return f"{milliseconds // length}{unit}"
    return f"{milliseconds}ms"
