"""What a feed is doing, in the words of the client protocol, and what it has counted."""

import time
from collections.abc import Callable
from enum import StrEnum

import msgspec


class FeedState(StrEnum):
    """State of one broker session's feed (client protocol, section "Feed status")."""

    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"
    RECONNECTING = "reconnecting"
    AUTH_EXPIRED = "auth_expired"
    MARKET_CLOSED = "market_closed"
    STOPPED = "stopped"


class FeedStatus(msgspec.Struct, frozen=True):
    """A feed's state since when (epoch ms), for a person to read, and how many instruments it serves."""

    state: FeedState
    since: int
    message: str
    symbols: int


StatusListener = Callable[[FeedStatus], None]


class StatusListeners:
    """Who is told of a feed's state."""

    def __init__(self) -> None:
        self._listeners: dict[int, StatusListener] = {}

    def add(self, listener: StatusListener) -> Callable[[], None]:
        """The result takes it out again."""
        number = max(self._listeners, default=0) + 1
        self._listeners[number] = listener
        return lambda: self._listeners.pop(number, None) and None

    def tell(self, status: FeedStatus) -> None:
        for listener in tuple(self._listeners.values()):
            listener(status)


def epoch_ms() -> int:
    """The time of day as states and ticks carry it."""
    return time.time_ns() // 1_000_000


class FeedCounters(msgspec.Struct):
    """What a feed has counted since it started. `crossed_books` and `price_jumps` were passed on all the same."""

    connects: int = 0
    reconnects: int = 0
    frames: int = 0
    bytes: int = 0
    ticks: int = 0
    heartbeats: int = 0
    malformed: int = 0
    unknown: int = 0
    unrouted: int = 0
    broker_errors: int = 0
    auth_failures: int = 0
    stalls: int = 0
    refused: int = 0
    bus_dropped: int = 0
    crossed_books: int = 0
    price_jumps: int = 0
