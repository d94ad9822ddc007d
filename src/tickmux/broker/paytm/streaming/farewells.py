"""What a regular close by the server means: once nothing, twice in a row the end of the session (section 10)."""

from collections.abc import Callable

from tickmux.websocket_proxy.base_adapter import AuthRejected

_SHORT_SESSION = 60.0
"""Seconds after which a session's end says nothing about the one before it."""
_MOST_FAREWELLS = 2
_NORMAL_CLOSURE = 1000


class Farewells:
    """Counts the sessions that the server closed with code 1000 before it had sent any market data.

    Shared by an adapter and its codecs. `clock` gives seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._token = ""
        self._count = 0
        self._began: float | None = None

    def begin(self, token: str) -> None:
        """Called before a connection attempt; a new token starts afresh."""
        if token != self._token:
            self._token, self._count = token, 0
        self._began = self._clock()

    def data(self) -> None:
        """Market data has come: this session is a good one."""
        self._count = 0
        self._began = None

    def closed(self, code: int) -> Exception | None:
        """What the server's end of a session means."""
        if code != _NORMAL_CLOSURE or self._began is None:
            self._count = 0
            return None
        short = self._clock() - self._began <= _SHORT_SESSION
        self._count = self._count + 1 if short else 0
        if self._count >= _MOST_FAREWELLS:
            self._count = 0
            return AuthRejected("Paytm Money closed the connection twice without sending anything")
        return None
