"""The points of a sweep on a `dask.distributed` cluster.

The market is scattered to every worker once. Dask does the tasks of a worker that dies again elsewhere; if the last
copy of the market died with it, the market is scattered again.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Any

from mmlab.errors import ConfigError, SessionError
from mmlab.lab.study.folds import Blocks
from mmlab.lab.study.points import Point
from mmlab.lab.study.task import Market, Outcome, work

MOST_ROUNDS = 3
RETRIES = 3


def check_client(client: Any) -> None:
    """Refuse (`ConfigError`) what is no client that can be waited for."""
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError(
            "client: dask is not installed: pip install 'mmlab[dask]', or leave client out for the local cores"
        ) from None
    if not isinstance(client, Client):
        raise ConfigError(f"client = {client!r}: must be a dask.distributed.Client, or none for the local cores")
    if client.asynchronous:
        raise ConfigError("client: is asynchronous: make it with Client(..., asynchronous=False)")
    if client.status != "running":
        raise ConfigError(f"client: is {client.status}: connect it first")


def spread_on(
    client: Any, market: Market, points: list[Point], blocks: Blocks | None
) -> Generator[tuple[int, Outcome], None, None]:
    """Run points on a cluster; yields their numbers and outcomes as they come.

    Raises
    ------
    SessionError
        The cluster lost its workers again and again, or one point kills them.
    """
    left = dict(enumerate(points))
    for _ in range(MOST_ROUNDS):
        with closing(_round(client, market, left, blocks)) as outcomes:
            for number, outcome in outcomes:
                del left[number]
                yield number, outcome
        if not left:
            return
    raise SessionError(
        f"the cluster lost its workers {MOST_ROUNDS} times, {len(left)} points are left: look at its memory and logs;"
        " what was finished is kept with out="
    )


def _round(
    client: Any, market: Market, left: dict[int, Point], blocks: Blocks | None
) -> Generator[tuple[int, Outcome], None, None]:
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    scattered = client.scatter(market, broadcast=True, hash=False)
    futures = {
        client.submit(work, scattered, point, blocks, pure=False, retries=RETRIES): number
        for number, point in list(left.items())
    }
    try:
        for future in as_completed(list(futures)):
            if future.status == "finished":
                yield futures[future], future.result()
            elif future.status == "error" and not isinstance(future.exception(), KilledWorker):
                future.result()  # raises what the task raised
            future.release()
    finally:
        client.cancel([future for future in futures if not future.done()])
        scattered.release()
