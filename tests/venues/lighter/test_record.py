"""Recordings of frames: read back by the importer, gone on with after a stop or a crash, gaps marked."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from mmlab import cli, import_feed
from mmlab.errors import FeedError
from mmlab.events import Kind
from mmlab.venues.lighter.frame_files import FrameFiles
from mmlab.venues.lighter.link import Timing
from mmlab.venues.lighter.log import Quiet
from mmlab.venues.lighter.recorder import Recorder
from mmlab.venues.lighter.rest import Rest
from mmlab.venues.lighter.venue import find_market
from tests.venues.lighter.helpers import run, until
from tests.venues.lighter.server import Server, running

DAY_NS = 86_400 * 10**9


async def recorder(server: Server, folder: Path) -> Recorder:
    """A recorder of the server's market."""
    rest = Rest(server.endpoint, Counter())
    market = await find_market(rest, "ETH")
    await rest.close()
    return Recorder(server.endpoint, market, folder, Quiet(), Timing(retry_s=0.02))


def test_what_is_recorded_is_imported(tmp_path: Path) -> None:
    """Two recordings in one folder, with a lost connection and a lost update between: one feed with its gaps."""

    async def main() -> None:
        async with running() as server:
            server.time_us = 1_795_700_000_000_000
            for part in range(2):
                mine = await recorder(server, tmp_path)
                task = asyncio.create_task(mine.run())
                counts = mine.counters
                await until(lambda counts=counts: counts["order_book_frames"] and counts["market_stats_frames"])
                server.change(False, 99_991 + part, 300)
                server.trade(71 + part, 100_010, 20)
                await until(lambda mine=mine: mine.counters["trade_frames"] == 2)
                if not part:
                    await server.drop_all()
                    await until(lambda mine=mine: mine.counters["order_book_frames"] == 3)
                    await asyncio.sleep(1.05)
                    server.change(True, 100_005, 300, skip=True)
                    server.change(True, 100_006, 300)
                    await until(lambda mine=mine: mine.counters["order_book_frames"] == 5)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    run(main())
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(b'179570 {"type":"upda')  # a crash in mid-line
    files = FrameFiles(tmp_path, 0)
    assert files.paths() == [path] and files.last_ns > 10**18
    feed = import_feed([path], format="lighter")
    kinds = Counter(int(kind) for kind in feed.events["kind"])
    assert kinds[Kind.GAP] == 4 and kinds[Kind.SNAPSHOT_END] == 4 and kinds[Kind.TRADE] == 2
    assert feed.instrument.symbol == "ETH" and feed.report["gap_marks"] == 5


def test_files_go_by_the_day_and_time_never_runs_back(tmp_path: Path) -> None:
    """A clock that is set back does not spoil a recording."""
    files = FrameFiles(tmp_path / "new", 3)
    start_ns = 1_795_700_000 * 10**9
    for at_ns in (start_ns, start_ns - 5, start_ns + DAY_NS):
        files.frame(at_ns, b'{"a":\n1}')
    files.gap(start_ns, "why")
    files.close()
    first, second = FrameFiles(tmp_path / "new", 3).paths()
    assert [line.split(b" ")[0] for line in first.read_bytes().splitlines()] == [b"%d" % start_ns] * 2
    assert b'{"type":"mmlab/gap","channel":"order_book:3","reason":"why"}' in second.read_bytes()
    first.write_bytes(b"something else\n")
    with pytest.raises(FeedError, match="no recording"):
        FrameFiles(tmp_path / "new", 3)
    (tmp_path / "file").write_text("")
    with pytest.raises(FeedError, match="cannot be written"):
        FrameFiles(tmp_path / "file", 3)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`mmlab record lighter` says what it recorded and how to import it."""

    async def main() -> None:
        async with running() as server:
            words = ["record", "lighter", "--market", "ETH", "--out", str(tmp_path), "--url", server.endpoint.rest,
                     "--ws", server.endpoint.ws, "--duration", "0.5"]  # fmt: skip
            assert await asyncio.to_thread(cli.main, words) == 0

    run(main())
    said = capsys.readouterr().out
    assert "1 order_book" in said and "--tick-size 0.01 --lot-size 0.0001" in said
    command = said.splitlines()[-1].replace("ETH.parquet", str(tmp_path / "ETH.parquet")).split()
    assert command[:2] == ["mmlab", "import"] and cli.main(command[1:]) == 0
    assert cli.main(["record", "lighter", "--market", "ETH", "--out", "x", "--url", "http://127.0.0.1:1"]) == 2
