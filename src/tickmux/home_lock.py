"""One process a data folder runs feeds: a lock on `TICKMUX_HOME/proxy.lock`, which says who holds it.

Two would open two sets of connections to the same brokers with the same sessions, which brokers count or refuse, and
each would serve its own clients only. The lock ends with the process that holds it, however that ends.
"""

import fcntl
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tickmux.secrets_file import private_folder

_NAME = "proxy.lock"
_LONGEST_NOTE = 500
_RETRY = 0.05


class HomeTaken(RuntimeError):
    """Another process has the folder; `holder` is what it says of itself, empty when it says nothing."""

    def __init__(self, home: Path, holder: str) -> None:
        super().__init__(
            f"another tickmux{holder and f' ({holder})'} runs with the data folder {home}: stop it, or give this one "
            "a folder of its own with TICKMUX_HOME"
        )
        self.home = home
        self.holder = holder


def take(home: Path, patience: float) -> int:
    """The descriptor that holds the folder's lock until it is closed; waits up to `patience` seconds for a holder
    that is about to end. Blocks. Raises HomeTaken, OSError."""
    descriptor = os.open(private_folder(home) / _NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                holder = os.read(descriptor, _LONGEST_NOTE).decode("utf-8", "replace").strip()
                os.close(descriptor)
                raise HomeTaken(home, holder) from None
            time.sleep(_RETRY)
        else:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, _note().encode(errors="replace")[:_LONGEST_NOTE])
            return descriptor


@contextmanager
def held(home: Path, patience: float = 0.0) -> Iterator[None]:
    """Holds the lock as long as the block lasts. Raises HomeTaken."""
    descriptor = take(home, patience)
    try:
        yield
    finally:
        os.close(descriptor)


def _note() -> str:
    """`pid 4711: tickmux serve --simulate zerodha`; no secret is ever an argument."""
    program = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return f"pid {os.getpid()}: {' '.join(map(shlex.quote, program))}\n"
