"""Where a user stands with Dhan: limits are counted per user, while a connection knows only itself.

And which deep books are flowing: they come over one socket, and when they do not, another has to help out.
"""

from collections.abc import Callable, Hashable

from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable

CROWDED_WAIT = 60.0
"""Seconds to stay away after the broker has closed a socket as one too many (section 10)."""
BLOCKED_WAIT = 300.0
"""Seconds to stay away after HTTP 429 (section 3)."""

_GOES_ON_FOR = 15.0
"""Seconds: three heartbeats."""
_MOST_BLOCKED_ROUNDS = 3
_ROUND = BLOCKED_WAIT / 2
_MOST_SOCKETS = 5


class Standing:
    """What the connections of one adapter tell each other. `clock` gives seconds, monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._crowded = 0
        self._blocked_rounds = 0
        self._blocked_at = 0.0
        self._open_at: float | None = None
        self.deep_books: set[Hashable] = set()
        """Wire keys of the instruments whose deep book has come in the present session of its socket."""

    def crowded(self) -> None:
        """A socket was closed with reason 805: whoever connects next has to wait first."""
        self._crowded = min(self._crowded + 1, _MOST_SOCKETS)

    def accepted(self) -> None:
        """A connection has been opened: the user is not blocked."""
        self._blocked_rounds = 0
        self.goes_on()

    def goes_on(self) -> None:
        """A connection is open at this moment; told at every heartbeat, which is five seconds."""
        self._open_at = self._clock()

    def is_good(self) -> bool:
        """Whether some connection lives, so that its token is good whatever another socket says."""
        return self._open_at is not None and self._clock() - self._open_at < _GOES_ON_FOR

    def check(self) -> None:
        """Raises Unavailable, once for each socket that was closed as one too many."""
        if self._crowded:
            self._crowded -= 1
            raise Unavailable("too many connections of this Dhan user (reason 805)", retry_after=CROWDED_WAIT)

    def blocked(self) -> Exception:
        """What HTTP 429 at a handshake means. Sockets that are refused at the same time count once."""
        now = self._clock()
        if not self._blocked_rounds or now - self._blocked_at >= _ROUND:
            self._blocked_rounds += 1
            self._blocked_at = now
        if self._blocked_rounds > _MOST_BLOCKED_ROUNDS:
            self._blocked_rounds = 0
            return AuthRejected(
                "Dhan keeps blocking this client id (HTTP 429): check on web.dhan.co that the Data API plan is "
                "active, then log in again",
                certain=True,  # the specification forbids further attempts
            )
        return Unavailable("Dhan has blocked this client id for now (HTTP 429)", retry_after=BLOCKED_WAIT)
