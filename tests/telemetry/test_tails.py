"""Tables followed while they grow."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmlab.errors import SessionError
from mmlab.events import EVENT, FILL, INPUT
from mmlab.telemetry.files import FILES, csv_header, csv_lines
from mmlab.telemetry.streams import batch_message, schema_message, stream_file, stream_schema, to_batch
from mmlab.telemetry.tables import Scale, edge_table
from mmlab.telemetry.tails import CsvTail, StreamTail

SCALE = Scale(0.5, 0.1)


def inputs(n: int) -> np.ndarray:
    """Distinct rows."""
    rows = np.zeros(n, INPUT)
    for k, name in enumerate(INPUT.names):
        rows[name] = np.arange(n) + k
    return rows


def fills(n: int) -> np.ndarray:
    """Distinct fills."""
    rows = np.zeros(n, FILL)
    for k, name in enumerate(FILL.names):
        rows[name] = np.arange(n) % 90 + k
    rows["side"], rows["liquidity"], rows["fill_kind"] = 1, 0, 1
    rows["mid"][::3] = np.nan
    return rows


def stream_bytes(rows: np.ndarray, sizes: list[int]) -> bytes:
    """A stream of batches of so many rows."""
    start, parts, at = schema_message(stream_schema("inputs")), [], 0
    for size in sizes:
        parts.append(batch_message(to_batch("inputs", rows[at : at + size]), start))
        at += size
    return start + b"".join(parts)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.data())
def test_a_stream_cut_anywhere(tmp_path_factory, sizes, data):
    """Whole batches come as soon as they are whole, each once."""
    rows = inputs(sum(sizes))
    content = stream_bytes(rows, sizes)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    folder = tmp_path_factory.mktemp("run")
    tail, seen, at = StreamTail(folder, "inputs"), [], 0
    with (folder / stream_file("inputs")).open("wb") as file:
        for cut in [*cuts, len(content)]:
            file.write(content[at:cut])
            file.flush()
            at = max(at, cut)
            seen += list(tail.read())
    assert np.concatenate(seen).tolist() == rows.tolist()
    assert list(tail.read()) == []
    tail.close()


def test_fields_asked_for_only_and_parquet(tmp_path):
    rows = inputs(20)
    pq.write_table(pq.read_table(_parquet(tmp_path, rows)), tmp_path / "inputs.parquet")
    tail = StreamTail(tmp_path, "inputs", EVENT)
    got = np.concatenate(list(tail.read()))
    assert got.dtype == EVENT
    for name in EVENT.names:
        assert got[name].tolist() == rows[name].tolist()
    assert list(tail.read()) == []


def _parquet(folder, rows):
    import pyarrow as pa

    path = folder / "whole.parquet"
    pq.write_table(pa.Table.from_batches([to_batch("inputs", rows)]), path)
    return path


def test_what_is_open_is_read_to_its_end(tmp_path):
    rows = inputs(30)
    content, path = stream_bytes(rows, [10, 20]), tmp_path / stream_file("inputs")
    first = len(stream_bytes(rows, [10]))
    path.write_bytes(content[:first])
    tail = StreamTail(tmp_path, "inputs")
    assert sum(part.size for part in tail.read()) == 10
    with path.open("ab") as file:
        file.write(content[first:])
    path.unlink()
    assert sum(part.size for part in tail.read()) == 20
    tail.close()


def test_streams_that_are_missing_or_damaged(tmp_path):
    with pytest.raises(SessionError, match="missing"):
        list(StreamTail(tmp_path, "inputs").read())
    (tmp_path / stream_file("inputs")).write_bytes(b"no stream at all")
    tail = StreamTail(tmp_path, "inputs")
    with pytest.raises(SessionError, match="byte 0"):
        list(tail.read())
    tail.close()
    (tmp_path / stream_file("orders")).write_bytes(schema_message(stream_schema("inputs")))
    tail = StreamTail(tmp_path, "orders")
    with pytest.raises(SessionError, match="another mmlab"):
        list(tail.read())
    tail.close()


@given(st.integers(0, 12), st.data())
def test_a_table_of_text_cut_anywhere(tmp_path_factory, n, data):
    rows = fills(n)
    table = edge_table("fills", rows, SCALE)
    content = csv_header(table) + csv_lines(table)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=6)))
    folder = tmp_path_factory.mktemp("run")
    (folder / FILES["fills"]).touch()
    tail, seen, at = CsvTail(folder, "fills"), [], 0
    for cut in [*cuts, len(content)]:
        with (folder / FILES["fills"]).open("ab") as file:
            file.write(content[at:cut])
        at = max(at, cut)
        seen.append(tail.read())
    assert np.concatenate(seen).tobytes() == rows.tobytes() or _equal(np.concatenate(seen), rows)


def _equal(a, b):
    return all(np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f") for name in a.dtype.names)


def test_text_that_is_missing_or_damaged(tmp_path):
    with pytest.raises(SessionError, match="missing"):
        CsvTail(tmp_path, "fills").read()
    table = edge_table("fills", fills(2), SCALE)
    (tmp_path / FILES["fills"]).write_bytes(csv_header(table) + b"no,number\n")
    with pytest.raises(SessionError, match="damaged"):
        CsvTail(tmp_path, "fills").read()
