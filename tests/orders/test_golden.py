"""Whole conversations, line by line. `pytest tests/orders --update-golden` writes them anew; review the difference."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmlab.orders import OrderManager
from mmlab.orders.journal import entry_line, head_line, read
from tests.orders.scenarios import SCENARIOS

GOLDEN = Path(__file__).with_name("golden")


@pytest.mark.parametrize("name", SCENARIOS)
def test_golden(name, request):
    path = GOLDEN / f"{name}.jsonl"
    if request.config.getoption("--update-golden"):
        desk = SCENARIOS[name]()
        desk.replay()
        lines = [head_line(desk.settings, desk.start_ns), *(entry_line(*entry) for entry in desk.log)]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"".join(lines))
    lines = path.read_bytes().splitlines(keepends=True)
    head, entries = read(lines)
    om = OrderManager(head.settings, head.start_ns)
    for n, entry in enumerate(entries, 1):
        again = entry_line(entry.event, om.handle(entry.event))
        if again != lines[n]:
            before = b"".join(lines[max(1, n - 5) : n]).decode()
            pytest.fail(f"{path.name} line {n + 1}\n{before}expected {lines[n].decode()}said     {again.decode()}")


def test_golden_files_are_small_and_all_in_use():
    assert {path.stem for path in GOLDEN.glob("*.jsonl")} == set(SCENARIOS)
    assert all(path.stat().st_size < 200_000 for path in GOLDEN.glob("*.jsonl"))
