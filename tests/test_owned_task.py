"""The one way to start a task: it is named, its failure is told, and loops go on."""

import ast
import asyncio
import logging
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from support.virtual_time import run_virtually
from tickmux import owned_task

SOURCE = Path(__file__).parents[1] / "src" / "tickmux"


async def fails():
    raise ValueError("a defect")


def test_the_failure_of_a_task_that_nobody_awaits_is_logged_with_its_name(caplog):
    async def main():
        task = owned_task.start(fails(), "errand")
        await asyncio.wait([task])

    run_virtually(main())
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "errand has failed")
    assert "a defect" in caplog.text


def test_a_task_that_is_cancelled_or_does_well_says_nothing(caplog):
    async def main():
        assert await owned_task.start(asyncio.sleep(0, "done"), "errand") == "done"
        await owned_task.end(owned_task.start(asyncio.sleep(60), "errand"))

    run_virtually(main())
    assert not caplog.records


def test_a_loop_that_fails_goes_on_and_waits_longer_each_time(caplog):
    began = []

    async def loop():
        began.append(asyncio.get_running_loop().time())
        await fails()

    async def main():
        task = owned_task.keep_running(loop, "watch")
        await asyncio.sleep(300)
        await owned_task.end(task)

    run_virtually(main())
    pauses = [later - earlier for earlier, later in pairwise(began)]
    assert pauses[:3] == pytest.approx([0.1, 0.2, 0.4])
    assert pauses[-1] == pytest.approx(30.0)
    assert len(caplog.records) == len(began)
    assert "watch has failed and begins again in 0.1 s" in caplog.text


def test_a_loop_that_was_well_for_long_begins_again_at_once(caplog):
    began = []

    async def loop():
        began.append(asyncio.get_running_loop().time())
        await asyncio.sleep(3600)
        await fails()

    async def main():
        task = owned_task.keep_running(loop, "watch")
        await asyncio.sleep(4 * 3600)
        await owned_task.end(task)

    run_virtually(main())
    assert began == pytest.approx([0, 3600.1, 7200.2, 10800.3])


def test_a_loop_that_returns_has_ended():
    async def main():
        await asyncio.wait_for(owned_task.keep_running(lambda: asyncio.sleep(1), "watch"), 2)

    run_virtually(main())


def test_ending_does_not_raise_what_the_task_raises_and_leaves_the_caller_alone(caplog):
    async def stubborn():
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("while closing")

    async def main():
        task = owned_task.start(stubborn(), "stubborn")
        await asyncio.sleep(0)
        await owned_task.end(task, None, asyncio.current_task())
        assert task.done()

    run_virtually(main())
    assert "stubborn has failed" in caplog.text


def test_a_caller_that_is_cancelled_while_it_ends_a_task_is_cancelled():
    async def slow():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(5)

    async def main():
        task = owned_task.start(slow(), "slow")
        await asyncio.sleep(0)
        ending = asyncio.create_task(owned_task.end(task))
        await asyncio.sleep(1)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        await asyncio.wait([task])

    run_virtually(main())


def test_no_other_module_starts_tasks():
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in SOURCE.rglob("*.py")
        if path.name != "owned_task.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("create_task", "ensure_future", "TaskGroup")
    ]
    assert not found


def test_a_loop_that_the_end_of_the_interpreter_stops_says_nothing(tmp_path):
    """Threads go first when an interpreter ends; a daemon thread's loop that asks for one then has not failed."""
    (tmp_path / "ends.py").write_text(
        """
import asyncio, threading, time
from tickmux import owned_task

async def loop():
    while True:
        await asyncio.to_thread(time.sleep, 0)

async def main():
    owned_task.keep_running(loop, "watch")
    started.set()
    await asyncio.sleep(60)

started = threading.Event()
threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
started.wait()
import atexit
atexit.register(time.sleep, 0.3)
"""
    )
    done = subprocess.run([sys.executable, "ends.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr == ""
