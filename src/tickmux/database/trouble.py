"""Whether the database works, as those who used it have seen, and the one line that the log gets of each failure.

A database that fails is asked again by every client and every page, so a line for each try would fill the disk.
"""

import logging
import threading
import time
from collections.abc import Callable

from tickmux.errors import ErrorCode, RequestError

log = logging.getLogger(__name__)

_OVER_AFTER = 30.0
"""Seconds without a failure after which a database that answers is well again: part of it may be damaged."""
_AGAIN_AFTER = 600.0
"""Seconds after which a failure that goes on is logged once more."""


class DatabaseFailed(RequestError):
    """The database cannot be used. As text it says why in one line, without a password; clients, who need not know
    where the database is, get `message`."""

    def __init__(self, why: str) -> None:
        super().__init__(
            ErrorCode.SERVER_ERROR, "the server's database cannot be used at present: see its log, then try again"
        )
        self.args = (why,)


class Trouble:
    """The state of one database, called `what` in the log. Thread-safe; `clock` is monotonic, in seconds."""

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._lock = threading.Lock()
        self._why = ""
        self._times = 0
        self._last = 0.0
        self._logged = 0.0

    @property
    def why(self) -> str:
        """What was wrong with it lately; empty when nothing was."""
        return self._why if self._clock() - self._last < _OVER_AFTER else ""

    def note(self, why: str) -> None:
        """It has failed."""
        with self._lock:
            now = self._clock()
            told = why == self._why and now - self._logged < _AGAIN_AFTER
            self._times += 1
            self._why, self._last = why, now
            if told:
                return
            self._logged = now
            times = self._times
        log.error("the database %s cannot be used: %s (failed %d times so far)", self._what, why, times)

    def clear(self) -> None:
        """It has answered."""
        if not self._why:
            return  # the usual case, without the lock
        with self._lock:
            if not self._why or self._clock() - self._last < _OVER_AFTER:
                return
            times, self._why, self._times = self._times, "", 0
        log.warning("the database %s works again, after %d failures", self._what, times)
