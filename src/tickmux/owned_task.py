"""The one way to start a task: named, owned by who keeps it, and never ended unseen.

A task that nobody awaits keeps its exception to itself. So no other module calls `create_task`
(`tests/test_owned_task.py` holds that): `start` is for work that ends by itself and logs its failure, `keep_running`
for loops, which are begun again after a failure. Who starts a task keeps it, and ends it with `end`.

A loop that fails again and again is begun again at most once in `_LONGEST` seconds, and logs each time.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST, _LONGEST = 0.1, 30.0
"""Seconds before a loop that has failed is begun again; doubled each time."""
_HEALTHY = 60.0
"""Seconds of work after which a failure counts as the first one."""


def start(work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """Starts `work`; should it raise, that is logged, also where nobody awaits the task."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(_report)
    return task


def keep_running(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
    """Runs a loop: when `work()` raises, that is logged and it is begun again. Ends when it returns, or by `end`."""
    return start(_again_and_again(work, name), name)


async def end(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancels the tasks and waits until they have ended; what they raise has been logged and is not raised here.

    May be cancelled: the tasks stay cancelled then. The calling task itself may be among them, and is left alone.
    """
    present = {task for task in tasks if task is not None} - {asyncio.current_task()}
    for task in present:
        task.cancel()
    if present:
        # Not `await task`: the CancelledError of the caller could not be told from the task's own.
        await asyncio.wait(present)


async def _again_and_again(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    clock = asyncio.get_running_loop().time
    pause = _FIRST
    while True:
        began = clock()
        try:
            await work()
        except Exception as error:
            if _at_the_end(error):
                return
            if clock() - began >= _HEALTHY:
                pause = _FIRST
            log.exception("%s has failed and begins again in %.1f s", name, pause)
        else:
            return
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST)


def _at_the_end(error: BaseException) -> bool:
    """Whether the interpreter is ending, which takes the threads away first: that is no failure of anybody's.

    Python has several words for it ("cannot schedule new futures after interpreter shutdown", "can't register atexit
    after shutdown"), and no public way to ask.
    """
    return isinstance(error, RuntimeError) and "shutdown" in str(error)


def _report(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None and not _at_the_end(error):
        log.error("%s has failed", task.get_name(), exc_info=error)
