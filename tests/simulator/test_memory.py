"""Tables by address: interpreted mode checks every row against the table's end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

READ = """
import numpy as np
from mmlab.simulator.memory import address_of, rows_of
table = np.arange(3)
print(rows_of(table.dtype)(address_of(table), {row}))
"""


@pytest.mark.parametrize(("row", "fine"), [(0, True), (2, True), (3, False), (-1, False)])
def test_interpreted_no_row_outside_a_table_is_read(row, fine):
    done = subprocess.run(
        [sys.executable, "-c", READ.format(row=row)], capture_output=True, text=True, check=False,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert (done.returncode == 0) is fine
    assert done.stdout.strip() == (str(row) if fine else "")
    assert fine or f"IndexError: row {row} of a table of 3 rows" in done.stderr
