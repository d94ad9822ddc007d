"""What one feed knows of how the broker took its latest connections: refusals in a row, sessions that ended at once.

A codec lives as long as one connection; some members' rules span several (try the session once more, try the other
token, notice another program with the same user id). An adapter owns one memory and shares it with its codecs, so
they can stay free of clocks. It keeps no secret.
"""

import time
from collections.abc import Callable

from tickmux.codec import Credentials

_SHORT_LIFE = 10.0
"""Seconds: a session that the broker ends sooner was most likely pushed out by another one."""


class SessionMemory:
    """Outcomes of connections with one session's credentials; those of another session start afresh.

    refusals:    refused in a row.
    short_lives: sessions in a row that the broker accepted and ended within seconds.
    turn:        grows when a refusal was forgiven: which of several tokens is to be tried.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.refusals = 0
        self.short_lives = 0
        self.turn = 0
        self._clock = clock
        self._session: int | None = None
        self._spare = 0
        self._accepted_at: float | None = None
        self._ended_at: float | None = None

    def attempt(self, credentials: Credentials, spare: int) -> None:
        """A connection is about to be made; `spare` refusals in a row are no proof against its credentials."""
        session = hash(frozenset(credentials.values.items()))
        if session != self._session:
            self._session = session
            self.refusals = self.short_lives = self.turn = 0
            self._ended_at = None
        self._spare = spare
        self._accepted_at = None

    def accepted(self) -> None:
        self.refusals = 0
        self._accepted_at = self._clock()

    def refused(self) -> bool:
        """Notes a refusal; True where it is to be forgiven, and the connection tried again."""
        self.refusals += 1
        if self.refusals > self._spare:
            return False
        self.turn += 1
        return True

    def ended(self, *, by_broker: bool) -> None:
        """The connection is over; nothing if it was not accepted."""
        if self._accepted_at is None:
            return
        now = self._clock()
        short = by_broker and now - self._accepted_at < _SHORT_LIFE
        self.short_lives = self.short_lives + 1 if short else 0
        self._accepted_at = None
        self._ended_at = now

    def good_within(self, seconds: float) -> bool:
        """Whether a good session ended no longer ago than that."""
        return self._ended_at is not None and self._clock() - self._ended_at <= seconds
