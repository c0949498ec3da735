"""Write what is made from the code: reference pages, settings in the runbooks, diagrams.

python docs/generate.py            # writes
python docs/generate.py --check    # says what is not as the code is, and fails then
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

from tools.reference import (  # noqa: E402
    alerts_page,
    api_page,
    commands_page,
    config_page,
    log_events_page,
    metrics_page,
    order_states,
    pictures,
    run_directory_page,
    switches_page,
)
from tools.reference.switches import SWITCHES  # noqa: E402


def made() -> Iterator[tuple[Path, str]]:
    """Every file that is made, or in part, with its text of today."""
    reference = DOCS / "reference"
    yield reference / "config.md", config_page.page()
    yield reference / "switches.md", switches_page.page()
    yield reference / "commands.md", commands_page.page()
    yield reference / "metrics.md", metrics_page.page()
    yield reference / "log_events.md", log_events_page.page()
    yield reference / "run_directory.md", run_directory_page.page()
    yield reference / "alerts.md", alerts_page.page()
    yield reference / "api.md", api_page.page()
    for told in SWITCHES:
        file = DOCS / "runbooks" / told.page
        yield file, switches_page.filled(file.read_text(encoding="utf-8"), told)
    index = DOCS / "runbooks" / "index.md"
    yield index, switches_page.indexed(index.read_text(encoding="utf-8"))
    orders = DOCS / "orders.md"
    yield orders, order_states.drawn(orders.read_text(encoding="utf-8"))
    for name, picture in pictures.PICTURES.items():
        yield DOCS / "images" / f"{name}.svg", picture()


def stale() -> list[Path]:
    """Files that are not as the code is."""
    return [file for file, text in made() if not file.is_file() or file.read_text(encoding="utf-8") != text]


if __name__ == "__main__":
    changed = stale()
    if "--check" in sys.argv[1:]:
        print("\n".join(f"not as the code is: {file}" for file in changed) or "all as the code is")
        sys.exit(bool(changed))
    for file, text in made():
        if file in changed:
            file.write_text(text, encoding="utf-8")
            print(f"written: {file}")
