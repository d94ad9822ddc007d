"""How long the event loop is held by one thing: in CPU time, so that other processes make no difference."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class LoopWatch:
    longest = 0.0
    """Seconds of CPU between two turns of the watching task."""


@asynccontextmanager
async def loop_watch() -> AsyncIterator[LoopWatch]:
    watch = LoopWatch()
    done = False

    async def look() -> None:
        before = time.thread_time()
        while not done:
            await asyncio.sleep(0)
            now = time.thread_time()
            watch.longest = max(watch.longest, now - before)
            before = now

    task = asyncio.create_task(look())
    try:
        yield watch
    finally:
        done = True
        await task
