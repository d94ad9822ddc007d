"""What a broker fills in: `BaseBrokerWebSocketAdapter` names endpoints, limits and streams, and makes codecs.

An adapter holds no connection and no credentials, starts no task and keeps no queue. Connections are the
business of `feed_connection`, their number that of `connection_manager`.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from typing import ClassVar, NamedTuple

import httpx
import msgspec

from tickmux.codec import Credentials, FeedCodec
from tickmux.instrument import Instrument
from tickmux.tick import Mode


class Stream(NamedTuple):
    """One upstream subscription: on which channel, and as what in the broker's own words."""

    channel: str
    kind: str


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of upstream socket and its limits. Most brokers have one, `main`.

    symbols, connections: pool size by default; `max_*` is what the broker allows (the same unless given).
    batch:          instruments in one subscribe frame.
    frame_gap:      least seconds between the frames of two calls; those of one call go out back to back.
    settle:         seconds of quiet after the last wish before anything is sent, where each change sends the whole
                    list anew.
    heartbeat_interval: seconds between the codec's `heartbeat_frames`, None where there are none.
    ping_interval:  seconds between WebSocket pings, None to send none.
    stall_after:    seconds without any incoming frame (data, heartbeats, pings, pongs) after which the
                    connection is dead at any hour.
    quiet_after:    seconds without a *tick* in an open market after which the subscriptions of a connection are
                    questioned while nothing is known of how often they tick; what is known is missed sooner.
    ready_timeout:  seconds to wait for `Decoded.ready` where the codec waits for it.
    backoff:        (first, longest) delay before a reconnect, in seconds; the first reconnects of a session that had
                    ticks are quicker.
    pause:          least seconds before any reconnect, where the broker demands one.
    """

    symbols: int
    connections: int
    max_symbols: int = 0
    max_connections: int = 0
    batch: int = 500
    frame_gap: float = 0.0
    settle: float = 0.0
    heartbeat_interval: float | None = None
    ping_interval: float | None = 20.0
    stall_after: float = 45.0
    quiet_after: float = 60.0
    ready_timeout: float = 10.0
    backoff: tuple[float, float] = (1.0, 60.0)
    pause: float = 0.0

    @property
    def symbol_limit(self) -> int:
        return self.max_symbols or self.symbols

    @property
    def connection_limit(self) -> int:
        return self.max_connections or self.connections


class Endpoint(msgspec.Struct, frozen=True):
    """Where and how to connect. `rest_base` is the base of the codec's relative `HttpRequest` URLs."""

    url: str
    headers: Mapping[str, str] = {}
    rest_base: str = ""

    def __repr__(self) -> str:  # the query usually carries a token
        return f"Endpoint({self.url.partition('?')[0]})"


class AuthRejected(Exception):
    """The broker refused the credentials.

    `certain`: it named the token (a code or a text of its specification), or the token's known end has passed, so
    that trying again is useless. Without it a gateway or a maintenance may have refused, and credentials that worked
    before are tried again.
    """

    def __init__(self, message: str, *, certain: bool = False) -> None:
        super().__init__(message)
        self.certain = certain


class Unavailable(Exception):
    """The broker cannot be reached or is busy; `retry_after` is the least delay in seconds, if it named one."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


_LIMIT_WORDS = (
    b"access rate",
    b"rate limit",
    b"ratelimit",
    b"too many",
    b"limit exceeded",
    b"exceeds limit",
)


def refused(
    who: str, status: int, body: bytes, *, certain: bool = False, remedy: str = "log in again"
) -> AuthRejected | Unavailable:
    """What a refusal (HTTP 401, 403 and kin) means: a limit where the body speaks of one, else an AuthRejected.

    Angel One answers 403 in plain text to calls that come too fast, and gateways in front of other brokers do, too.
    `who` begins the message: "Dhan refused the connection". `certain` as in `AuthRejected`.
    """
    if not certain and any(words in body[:4096].lower() for words in _LIMIT_WORDS):
        return Unavailable(f"too many requests: {who} (HTTP {status})", retry_after=60.0)
    return AuthRejected(f"{who} (HTTP {status}): {remedy}", certain=certain)


class BaseBrokerWebSocketAdapter(ABC):
    """One broker's endpoints, limits and streams. Section numbers in subclasses are those of its specification.

    `urls` overrides endpoints by name, which is how the simulator and proxies of a user's own are reached.
    """

    name: ClassVar[str]
    display_name: ClassVar[str]
    transport: ClassVar[str]
    """A phrase for the table of brokers: "WebSocket, binary"."""
    exchanges: ClassVar[tuple[str, ...]]
    token_life: ClassVar[str]
    """A phrase for the table of brokers: "until 06:00 IST"."""
    channels: ClassVar[Mapping[str, Channel]]
    urls: Mapping[str, str]
    default_urls: ClassVar[Mapping[str, str]]
    has_orders: ClassVar[bool] = False
    refuses_by_closing: ClassVar[bool] = False
    """True where the broker takes any credentials at first and refuses them by closing the connection: only market
    data or half a minute of a session proves them."""
    total_connections: ClassVar[int | None] = None
    """Connections that the broker allows over all channels together, where it counts them so."""

    omits_exchange: ClassVar[bool] = False
    """True where packets may leave out the exchange: a codec has to know then which tokens the list has once."""

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        self.urls = {**self.default_urls, **(urls or {})}
        self.lone_tokens: set[str] = set()
        """Of what the feed serves: the tokens that the list in use has on one exchange only. Kept by the feed, where
        `omits_exchange`; bounded by the list."""

    @abstractmethod
    def streams(self, instrument: Instrument, mode: Mode, depth: int) -> tuple[Stream, ...]:
        """The upstream subscriptions that serve `mode` (with `depth` levels, one of `depth_levels`).

        Several streams of one instrument are merged by the publisher into one tick stream. Two streams of
        one instrument never share a channel.
        """

    def asked_mode(self, instrument: Instrument, mode: Mode) -> Mode:
        """The mode that a feed asks the broker for when clients want `mode`: a richer one where only its messages
        carry the open interest and count no more against the broker's limits."""
        return mode

    @abstractmethod
    def codec(self, channel: str) -> FeedCodec:
        """A fresh codec for one connection of `channel`."""

    @abstractmethod
    async def endpoint(self, channel: str, credentials: Credentials, http: httpx.AsyncClient) -> Endpoint:
        """Where to connect now; called before every attempt, may ask the broker over REST.

        Raises AuthRejected when the broker refuses the credentials, Unavailable otherwise.
        """

    def depth_levels(self, exchange: str) -> tuple[int, ...]:
        """The book depths that this exchange's feed offers, ascending; empty where there is no book."""
        return () if exchange.endswith("_INDEX") else (5,)

    def meets(self, credentials: Credentials) -> None:  # noqa: B027 - most brokers treat all accounts alike
        """Whose session it is: called before the first subscription is answered, and when a new session is stored."""

    def bare_name(self, instrument: Instrument) -> Hashable | None:
        """What packets call the instrument where they do not tell its exchange; None where they do.

        Instruments of different exchanges that share a name are never put on one connection.
        """
        return None

    def fits(self, channel: str, load: Mapping[str, int], limit: int) -> bool:
        """Whether one connection may carry `load` (kind -> instruments); `limit` is its pool size in symbols.

        Override where the broker counts something else than instruments.
        """
        return sum(load.values()) <= limit

    def handshake_failure(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> Exception:
        """What a refused WebSocket handshake means: an AuthRejected or an Unavailable, to be raised."""
        if status in (401, 403):
            return refused(f"{self.display_name} refused the connection", status, body)
        return Unavailable(f"HTTP {status} {reason}".rstrip(), retry_after=60.0 if status == 429 else 0.0)

    def channel_failure(self, channel: str, status: int, failure: Exception) -> Exception:
        """What `failure` (of `handshake_failure`) means on this channel: a refusal need not concern the token."""
        return failure

    def close_failure(self, code: int, reason: str) -> Exception | None:
        """What a close frame of the server means: AuthRejected, Unavailable, or None for a plain disconnect."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What is known only by measuring, in sentences for people; said in `get_broker_info`."""
        return ()

    def serves(self, exchange: str) -> bool:
        return exchange in self.exchanges
