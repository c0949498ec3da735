"""Tables at the edge: names, prices and sizes of every record, and back without loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmlab.events import NO_PRICE, FillKind, OrderState
from mmlab.telemetry.csv_columns import CSV_COLUMNS
from mmlab.telemetry.tables import SCHEMAS, SIDES, Scale, edge_table, from_arrow, price_decimals, to_frame

SCALE = Scale(0.1, 0.001)


def rows_of(name, rng, n):
    """Records with any bits in every integer, and floats of every size, zero and NaN among them."""
    schema = SCHEMAS[name]
    rows = np.zeros(n, schema.dtype)
    for column in schema.dtype.names:
        kind = schema.dtype[column]
        if column == "side":
            rows[column] = rng.choice(sorted(SIDES), n)
        elif column in schema.codes:
            rows[column] = rng.choice(list(map(int, schema.codes[column])), n)
        elif kind.kind == "f":
            values = rng.normal(size=n) * 10.0 ** rng.integers(-300, 300, n)
            rows[column] = np.where(rng.random(n) < 0.2, rng.choice([0.0, np.nan], n), values)
        else:
            rows[column] = np.frombuffer(rng.bytes(n * kind.itemsize), kind)
    return rows


@pytest.mark.parametrize("name", SCHEMAS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(0, 50))
def test_any_record_comes_back(name, seed, n):
    rows = rows_of(name, np.random.default_rng(seed), n)
    again = from_arrow(name, edge_table(name, rows, SCALE))
    for column in rows.dtype.names:
        np.testing.assert_array_equal(rows[column], again[column])


def test_edge_columns():
    rows = np.zeros(2, SCHEMAS["fills"].dtype)
    rows["exch_ns"] = 1_700_000_000_123_456_789, 1_700_000_001_000_000_000
    rows["side"], rows["fill_kind"] = (1, -1), (FillKind.THROUGH, FillKind.TAKER)
    rows["price_ticks"], rows["size_lots"], rows["position_after_lots"] = (3, 7), (5, 1), (5, -4)
    frame = to_frame("fills", rows, SCALE)
    assert str(frame.index[0]) == "2023-11-14 22:13:20.123456789+00:00"
    assert frame["side"].tolist() == ["bid", "ask"]
    assert frame["fill_kind"].tolist() == ["through", "taker"]
    assert frame["price"].tolist() == [0.3, 0.7]
    assert frame["size"].tolist() == [0.005, 0.001]
    assert frame["inventory_after"].tolist() == [0.005, -0.004]


def test_a_side_without_a_price_is_nan():
    rows = np.zeros(1, SCHEMAS["decisions"].dtype)
    rows["bid_ticks"], rows["ask_ticks"] = NO_PRICE, 10
    frame = to_frame("decisions", rows, SCALE)
    assert np.isnan(frame["bid"].iloc[0])
    assert frame["ask"].iloc[0] == 1.0


def test_names_of_states():
    rows = np.zeros(len(OrderState), SCHEMAS["orders"].dtype)
    rows["state"] = list(OrderState)
    assert to_frame("orders", rows, SCALE)["state"].tolist() == [state.name.lower() for state in OrderState]


@pytest.mark.parametrize(("step", "decimals"), [(0.1, 1), (0.5, 1), (1.0, 0), (10.0, 0), (1e-8, 8), (0.25, 2)])
def test_decimals(step, decimals):
    assert price_decimals(step) == decimals


@pytest.mark.parametrize("name", ["fills", "metrics"])
def test_csv_columns_are_the_documented_ones(name):
    columns = edge_table(name, np.zeros(0, SCHEMAS[name].dtype), Scale(0.1, 0.001)).column_names
    assert columns == list(CSV_COLUMNS[name])
