"""Whether the broker accepts the token at hand, which it never says in documented words (sections 3 and 10)."""

from collections.abc import Callable

from tickmux.websocket_proxy.base_adapter import AuthRejected

LOGIN_PATIENCE = 5.0
"""Seconds after LOGIN within which a close counts as its answer."""

_MOST_DOUBTS = 2
_NETWORK_CODES = frozenset({1001, 1006, 1011, 1012, 1013, 1014})
"""Close codes that speak of the server or the line, 1006 of no close frame at all."""


class TokenTrust:
    """What the connections of one adapter have learnt of the token. `clock` gives seconds, monotonic.

    A sign that the token is refused counts once for a connection, and only before market data has come over it.
    After the first sign the same token is tried once more; after the second it is given up.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._token = ""
        self._doubts = 0
        self._logged_in_at: float | None = None

    def check(self, token: str) -> None:
        """Called before a connection attempt; raises AuthRejected for a token that was refused twice."""
        if token != self._token:
            self._token, self._doubts = token, 0
        self._logged_in_at = None
        if self._doubts >= _MOST_DOUBTS:
            self._doubts = 0  # whether to try again all the same is decided by who keeps the session
            raise _refused()

    def asked(self) -> None:
        """LOGIN is being sent."""
        self._logged_in_at = self._clock()

    def proved(self) -> None:
        """Market data has come: the token is good."""
        self._logged_in_at = None
        self._doubts = 0

    def doubted(self) -> None:
        """The broker has complained about the log-in."""
        if self._logged_in_at is not None:
            self._logged_in_at = None
            self._doubts += 1

    def closed(self, code: int) -> Exception | None:
        """What the broker's end of a connection means for the token."""
        since = self._logged_in_at
        if since is None or code in _NETWORK_CODES:
            return None
        if self._clock() - since > LOGIN_PATIENCE:
            self._doubts = 0  # the connection was accepted, and the market was silent
            return None
        self.doubted()
        return _refused() if self._doubts >= _MOST_DOUBTS else None


def _refused() -> AuthRejected:
    return AuthRejected("m.Stock refused the token twice")
