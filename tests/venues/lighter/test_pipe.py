"""A reader that goes on in the very callback that brought something."""

from __future__ import annotations

import asyncio

import pytest

from mmlab.venues.lighter.pipe import Pipe
from tests.venues.lighter.helpers import run


def test_the_reader_goes_on_at_once() -> None:
    """In a callback of the loop at once and in order; from another task in the next turn."""

    async def main() -> None:
        pipe: Pipe[int] = Pipe(3)
        read: list[int] = []
        seen: list[list[int]] = []

        async def reader() -> None:
            async for item in pipe:
                read.append(item)  # noqa: PERF401  it is about when

        def bring() -> None:
            for item in (1, 2):
                assert pipe.put(item)
                seen.append(list(read))

        task = asyncio.create_task(reader())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(bring)
        await asyncio.sleep(0)
        assert seen == [[1], [1, 2]]
        pipe.put(3)
        assert read == [1, 2]
        await asyncio.sleep(0)
        assert read == [1, 2, 3]
        pipe.close()
        await task

    run(main())


def test_a_reader_that_fails_or_is_cancelled_harms_nobody() -> None:
    """Its error is its task's; the one who brought something does not hear of it; another reader can take over."""

    async def main() -> None:
        pipe: Pipe[int] = Pipe(2)

        async def failing() -> None:
            async for item in pipe:
                raise RuntimeError(str(item))

        task = asyncio.create_task(failing())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(pipe.put, 1)
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="1"):
            await task
        waiting = asyncio.create_task(anext(pipe))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert pipe.put(2) and pipe.put(3) and not pipe.put(4)
        assert [await anext(pipe) for _ in range(3)] == [2, 3, 4]

    run(main())
