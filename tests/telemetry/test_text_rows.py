"""Lines of a text table without Arrow: the very bytes that Arrow writes."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mmlab.telemetry.files import csv_lines, json_lines
from mmlab.telemetry.tables import SCHEMAS, edge_table
from mmlab.telemetry.text_rows import PLAIN, csv_rows, json_rows, number
from tests.telemetry.test_tables import SCALE, rows_of

EDGES = [edge * factor for edge in PLAIN for factor in (1 - 2**-53, 1.0, 1 + 2**-52)]


@pytest.mark.parametrize("name", ["fills", "metrics", "gates"])
@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 20))
def test_lines_are_those_of_the_table(name, seed, n):
    rng = np.random.default_rng(seed)
    rows = rows_of(name, rng, n)
    for column in SCHEMAS[name].dtype.names:
        if SCHEMAS[name].dtype[column].kind == "f":
            rows[column] = np.where(rng.random(n) < 0.5, rng.normal(size=n) * 10.0 ** rng.integers(-8, 14, n),
                                    np.where(rng.random(n) < 0.2, np.inf, rows[column]))  # fmt: skip
    table = edge_table(name, rows, SCALE)
    assert csv_rows(name, rows, SCALE) == csv_lines(table)
    assert json_rows(name, rows, SCALE) == json_lines(table)


@settings(max_examples=500, deadline=None)
@given(value=st.floats())
@example(0.0)
@example(-0.0)
@example(1e-7)
def test_any_number(value):
    for each in (value, *EDGES, float(round(value)) if math.isfinite(value) else value):
        text = pa.scalar(each, from_pandas=True).cast(pa.string()).as_py()
        assert number(each) == ("" if text is None else text)
        assert math.isnan(each) or float(number(each)) == each
