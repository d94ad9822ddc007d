"""What the end of a connection says of the token, which Pocketful refuses by hanging up (specification section 3)."""

from collections.abc import Callable

_EARLY = 5.0
"""Seconds after the opening within which a close speaks of the token."""
_MOST = 2


class EarlyCloses:
    """Counts connections in a row that were closed early and without a frame. Shared by an adapter and its codecs.

    `clock` gives seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._token = ""
        self._opened_at = 0.0
        self._heard = False
        self._count = 0

    def opened(self, token: str) -> None:
        """A connection has opened with `token`; a new one starts afresh."""
        if token != self._token:
            self._token, self._count = token, 0
        self._opened_at = self._clock()
        self._heard = False

    def heard(self) -> None:
        """The connection's first frame has come."""
        self._heard = True

    def are_too_many(self) -> bool:
        """Notes that the open connection was closed; whether the token must be a refused one."""
        if self._heard or self._clock() - self._opened_at > _EARLY:
            self._count = 0
            return False
        self._count += 1
        if self._count < _MOST:
            return False
        self._count = 0
        return True
