"""What a feed and its instruments are doing, in the words of the client protocol, and what it has counted. Pure."""

import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


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
    """A feed's state since when (epoch ms), for a person to read, and how many instruments it serves.

    `silent` counts those of them that ought to tick and do not; `silent_names` are a few of these (`NSE:SBIN`).
    """

    state: FeedState
    since: int
    message: str
    symbols: int
    silent: int = 0
    silent_names: tuple[str, ...] = ()


StatusListener = Callable[[FeedStatus], None]


class Listeners(Generic[T]):
    """Who is told of something."""

    def __init__(self) -> None:
        self._listeners: dict[int, Callable[[T], None]] = {}

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def add(self, listener: Callable[[T], None]) -> Callable[[], None]:
        """The result takes it out again."""
        number = max(self._listeners, default=0) + 1
        self._listeners[number] = listener
        return lambda: self._listeners.pop(number, None) and None

    def tell(self, news: T) -> None:
        for listener in tuple(self._listeners.values()):
            listener(news)


def epoch_ms() -> int:
    """The time of day as states and ticks carry it."""
    return time.time_ns() // 1_000_000


class InstrumentState(StrEnum):
    """What one subscribed instrument is doing (client protocol, section "Further streams")."""

    LIVE = "live"
    QUIET = "quiet"
    """Rarely trades, or its market is closed."""
    SILENT = "silent"
    """Ought to tick and does not."""
    REFUSED = "refused"
    EXPIRED = "expired"


class InstrumentStatus(msgspec.Struct, frozen=True):
    """An instrument's state since when (epoch ms), and for a person why, where that is not plain."""

    symbol: str
    exchange: str
    state: InstrumentState
    since: int
    message: str = ""


InstrumentListener = Callable[[Sequence[InstrumentStatus]], None]
"""Is told of instruments whose state has changed."""


class ChannelSize(msgspec.Struct, frozen=True):
    """How much one kind of upstream socket takes: instruments a connection, and connections."""

    symbols: int
    connections: int


class ConnectionInfo(msgspec.Struct, frozen=True):
    """One upstream connection now. Times are epoch ms, None for what has not happened yet."""

    channel: str
    number: int
    state: str
    message: str
    symbols: int
    subscribed: int
    since: int
    reconnects: int
    last_frame: int | None
    last_tick: int | None


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
    resubscribed: int = 0
    refused: int = 0
    bus_dropped: int = 0
    ignored: int = 0
    crossed_books: int = 0
    price_jumps: int = 0


class FeedInfo(msgspec.Struct, frozen=True):
    """Capacity and counts of a feed, for `get_broker_info`, metrics and the dashboard; the same across processes.

    capacity: by channel; empty where the feed has no upstream of ours.
    symbols: instruments in demand.
    instruments: how many of them are in each `InstrumentState`.
    notes: what has been measured of the broker's feed, in sentences for people.
    """

    capacity: Mapping[str, ChannelSize]
    connections: Sequence[ConnectionInfo]
    symbols: int
    counters: FeedCounters | None
    instruments: Mapping[str, int] = {}
    notes: Sequence[str] = ()
