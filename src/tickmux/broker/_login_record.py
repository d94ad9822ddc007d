"""How the latest logins over a feed's own wire ended, for brokers that refuse a session by hanging up.

Such a broker does not say "wrong token"; it closes the connection right after the login message, or never answers
it. Once proves nothing (a restart at the broker looks the same), three times in a row with no market data in
between does. One record serves all connections of an adapter. Pure but for the clock.
"""

from collections.abc import Callable

MOST_FAILURES = 3
EARLY = 10.0
"""A close frame within so many seconds of the login message speaks of the login."""


class LoginRecord:
    """`clock` gives seconds, monotonic; a login message without an answer for `patience` seconds has failed."""

    def __init__(self, clock: Callable[[], float], patience: float) -> None:
        self._clock = clock
        self._patience = patience
        self._sent_at: float | None = None
        self._answered = True
        self._failures = 0

    def sent(self) -> None:
        """A login message goes out."""
        self._sent_at = self._clock()
        self._answered = False

    def answered(self) -> None:
        """The broker has said something to it."""
        self._answered = True

    def proven(self) -> None:
        """Market data came: the session is good."""
        self._answered = True
        self._failures = 0

    def closed_too_often(self) -> bool:
        """Notes that the broker closed a connection; whether its early closes have become too many."""
        self._answered = True
        if self._sent_at is None or self._clock() - self._sent_at >= EARLY:
            return False
        return self._failed()

    def silent_too_often(self) -> bool:
        """To be asked before the next attempt: whether unanswered logins have become too many."""
        if self._answered or self._sent_at is None or self._clock() - self._sent_at < self._patience:
            return False
        self._answered = True
        return self._failed()

    def _failed(self) -> bool:
        self._failures += 1
        if self._failures < MOST_FAILURES:
            return False
        self._failures = 0
        return True
