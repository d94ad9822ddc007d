"""An official SDK in a process of its own: a script that is told in a line what to subscribe, and answers so."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

from tickmux.simulator.server.base import BrokerSimulator

_PATIENCE = 30.0
_LONGEST_LINE = 1 << 24


@asynccontextmanager
async def stranger(
    script: Path, *arguments: str, cwd: Path | None = None, stderr: int | None = asyncio.subprocess.DEVNULL
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The running script, which ends by itself once the block is through."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        cwd=cwd,
        limit=_LONGEST_LINE,
    )
    try:
        yield process
        await asyncio.wait_for(process.wait(), _PATIENCE)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def tell(process: asyncio.subprocess.Process, wanted: Any) -> str:
    """Gives the stranger its instruments, and returns its first line."""
    assert process.stdin
    process.stdin.write(json.dumps(wanted).encode() + b"\n")
    await process.stdin.drain()
    return await line(process)


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout
    return (await asyncio.wait_for(process.stdout.readline(), _PATIENCE)).decode().strip()


async def converse(process: asyncio.subprocess.Process, wanted: Any, simulator: BrokerSimulator, end: str) -> Any:
    """Lets the market move once all snapshots are there, then sends `end`: the fields that the stranger knows then.

    Where it has no snapshots, what it says instead.
    """
    said = await tell(process, wanted)
    if said != "snapshots":
        return said
    for _ in range(5):
        simulator.exchange.step(800)
        await asyncio.sleep(0)
    simulator.send_garbage(end)
    return json.loads(await line(process))


class Teller:
    """A script that is told all in its arguments, prints `[kind, content]` in JSON for as long as it lives, and is
    ended with the block. Subclasses keep what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    @asynccontextmanager
    async def started(cls, script: Path, options: Any, cwd: Path | None = None) -> AsyncIterator[Self]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(script),
            json.dumps(options),
            stdout=asyncio.subprocess.PIPE,
            cwd=cwd,
            limit=_LONGEST_LINE,
        )
        try:
            yield cls(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def hear(self, enough: Callable[[], bool]) -> None:
        """Listens until `enough()`."""
        while not enough():
            said = await line(self._process)
            assert said, "the SDK's process has ended"
            kind, content = json.loads(said)
            assert kind != "error", content
            self.take(kind, content)

    def take(self, kind: str, content: Any) -> None:
        raise NotImplementedError
