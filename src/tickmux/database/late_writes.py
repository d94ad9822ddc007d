"""Writes that nobody waits for: when a key or a session was last used.

Whoever authenticates must not wait for the write lock, which another process may hold for seconds. Such writes are
collected, the newest of each row, and made together `_LATE` seconds after the first. Bounded by the number of rows
that were used meanwhile. A failed attempt is made again with the next one. Owns one timer thread while writes wait.
"""

import threading
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager, suppress

from sqlalchemy import Update
from sqlalchemy.orm import Session

from tickmux.database.trouble import DatabaseFailed

_LATE = 5.0
_AT_CLOSE = 1.0
"""Seconds that the end of a process waits for the last of them."""


class LateWrites:
    """The collected writes of one database; `writing` is its `Database.writing`. Thread-safe."""

    def __init__(self, writing: Callable[[], AbstractContextManager[Session]], late: float = _LATE) -> None:
        self._writing = writing
        self._late = late
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, Update] = {}
        self._timer: threading.Timer | None = None
        self._closed = False

    def add(self, key: Hashable, statement: Update) -> None:
        """Has `statement` carried out later; it replaces a waiting one of the same `key`."""
        with self._lock:
            self._waiting[key] = statement
            self._arm()

    def flush(self) -> None:
        """Makes the waiting writes now. Raises DatabaseFailed, and keeps them for the next attempt then."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        if not waiting:
            return
        try:
            with self._writing() as session:
                for statement in waiting.values():
                    session.execute(statement)
        except BaseException:
            with self._lock:
                self._waiting = {**waiting, **self._waiting}
                self._arm()
            raise

    def close(self) -> None:
        """Makes the last writes, if that takes no longer than `_AT_CLOSE`; what is left is lost."""
        with self._lock:
            self._closed = True
            timer, self._timer = self._timer, None
            waiting = bool(self._waiting)
        if timer is not None:
            timer.cancel()
        if waiting:
            last = threading.Thread(target=self._flush_quietly, name="last database writes", daemon=True)
            last.start()
            last.join(_AT_CLOSE)

    def _arm(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = threading.Timer(self._late, self._flush_quietly)
            self._timer.daemon = True
            self._timer.start()

    def _flush_quietly(self) -> None:
        with suppress(DatabaseFailed):  # it has been logged, and the writes are kept
            self.flush()
