"""The codec contract: a broker's wire protocol without I/O.

A codec object is the wire state of *one* upstream connection. `FeedConnection` makes a fresh one at every
connect, so nothing of an old session can reach a new one. It has no clock, no socket and no globals: it
turns wishes into frames and frames into ticks.

Frames: `str` is sent as a text frame, `bytes` as a binary one, `BinaryText` is text that the broker wants
in a binary frame, `HttpRequest` goes over REST (its answer comes back through `FeedCodec.decode_http`).
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from tickmux.instrument import Instrument
from tickmux.order_update import BrokerOrder
from tickmux.tick import Tick


class BinaryText(bytes):
    """UTF-8 text that the broker expects in a binary frame (opcode 2)."""


class HttpRequest(msgspec.Struct, frozen=True):
    """A REST request that belongs to a feed's conversation, such as XTS's subscriptions.

    `url` is absolute, or a path below the connection's REST base. `body` is sent as JSON.
    """

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: Any = None


Frame: TypeAlias = str | bytes | HttpRequest
"""Something that is sent to the broker; the module's docstring says which type goes where."""


class Event(StrEnum):
    """What an incoming frame is besides its ticks; the names are those of the shared vectors."""

    HEARTBEAT = "heartbeat"
    ACK = "ack"
    AUTH_ERROR = "auth_error"
    ERROR = "error"
    MALFORMED = "malformed"
    ORDER = "order"
    MARKET_STATUS = "market_status"


class Decoded(msgspec.Struct, gc=False):
    """What one incoming frame amounts to.

    ticks:    in wire order; complete ones stay valid when `event` is MALFORMED.
    event:    None for plain market data.
    message:  the broker's own words for ERROR and AUTH_ERROR, free of secrets.
    replies:  frames to send back at once (acknowledgements, pongs).
    ready:    True once the broker has accepted the session; see `FeedCodec.waits_for_ready`.
    unrouted: packets whose token is not subscribed or not unique; they became no tick.
    unknown:  messages or packets of a kind that the codec does not know; skipped.
    restart:  the session is over and a new connection is needed (server said goodbye, state lost), after
              `retry_after` seconds at least.
    refused:  instruments that the broker would not subscribe (`message` says why).
    orders:   what has become of the account's orders, in wire order, under the broker's names.
    guessed:  AUTH_ERROR was read from an HTTP status alone; the broker did not name the token.
    """

    ticks: list[Tick] = []
    event: Event | None = None
    message: str = ""
    replies: list[Frame] = []
    ready: bool = False
    unrouted: int = 0
    unknown: int = 0
    restart: bool = False
    retry_after: float = 0.0
    refused: list[Instrument] = []
    orders: Sequence[BrokerOrder] = ()
    guessed: bool = False


class Credentials(msgspec.Struct, frozen=True):
    """What a broker session consists of: named secrets, such as `api_key` and `access_token`.

    `expires_at` is epoch seconds, or None where the broker does not say. Never printed: `repr` hides values.
    """

    values: Mapping[str, str]
    expires_at: float | None = None

    def __getitem__(self, name: str) -> str:
        try:
            return self.values[name]
        except KeyError:
            raise KeyError(f"the broker session has no {name!r}: log in again") from None

    def get(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)

    def __repr__(self) -> str:
        return f"Credentials({', '.join(sorted(self.values))})"

    __str__ = __repr__


class FeedCodec(ABC):
    """One connection's wire state. Subclasses write `wire_key`, `subscribe_frames`, `unsubscribe_frames`, `decode`.

    `kind` is the broker's own word for what it streams of an instrument (`quote`, `full`, `15`): the
    adapter's `streams` maps a client's mode and depth to it. On one connection an instrument has one kind.
    """

    waits_for_ready = False
    """True where nothing may be subscribed before `decode` has said `ready` (a log-in answer on the wire)."""

    heartbeat_interval: float | None = None
    """Seconds between `heartbeat_frames` where the server says how often; otherwise the channel's."""

    def __init__(self) -> None:
        self.routes: dict[Hashable, Instrument] = {}
        """Who a packet is about: wire key -> the one subscribed instrument."""
        self.kinds: dict[Instrument, str] = {}
        """What every subscribed instrument is subscribed as."""
        self._claims: dict[Hashable, list[Instrument]] = {}

    @abstractmethod
    def wire_key(self, instrument: Instrument) -> Hashable:
        """How packets name this instrument: exchange segment and token, never the token alone unless it is
        unique. Raises ValueError for an instrument that this broker's wire cannot name."""

    @abstractmethod
    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        """The frames that subscribe `instruments` as `kind`; the caller keeps to the channel's batch size."""

    @abstractmethod
    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        """The frames that end the subscription of `instruments`, which are subscribed as `kind`."""

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        """The frames that turn `old` into `new`; by default the new subscription first, then the old one's end."""
        return [*self.subscribe_frames(instruments, new), *self.unsubscribe_frames(instruments, old)]

    @abstractmethod
    def decode(self, frame: bytes | str) -> Decoded:
        """What the frame says. Never raises for any input: what is not understood is an event or a count."""

    def decode_http(self, request: HttpRequest, status: int, body: bytes) -> Decoded:
        """What the answer to an `HttpRequest` of this codec says; same promise as `decode`."""
        return Decoded()

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        """What is sent right after the connection opened: a log-in message, say."""
        return []

    def heartbeat_frames(self) -> list[Frame]:
        """What is sent every `Channel.heartbeat_interval`."""
        return []

    def close_frames(self) -> list[Frame]:
        """What is sent before the connection is closed in good order; `HttpRequest`s only when it is closed for good,
        since subscriptions that outlive a socket are wanted again after a reconnect."""
        return []

    def call_frames(self, call: Mapping[str, Any]) -> list[Frame]:
        """Frames of an operation that only this broker has (`ack`, `login`); `tickmux decode` asks here last."""
        raise ValueError(f"{type(self).__name__} knows no operation {call.get('op')!r}")

    # -- what all brokers share ------------------------------------------------------------------------

    def subscribe(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        """Routes the instruments, then the frames that subscribe them."""
        for instrument in instruments:
            self._claim(instrument)
            self.kinds[instrument] = kind
        return self.subscribe_frames(instruments, kind)

    def unsubscribe(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        """The frames that unsubscribe the instruments, which are no longer routed from now on."""
        frames = self.unsubscribe_frames(instruments, kind)
        for instrument in instruments:
            self._release(instrument)
            self.kinds.pop(instrument, None)
        return frames

    def change(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        """The frames that turn the instruments' kind `old` into `new`."""
        for instrument in instruments:
            self.kinds[instrument] = new
        return self.change_frames(instruments, old, new)

    def _claim(self, instrument: Instrument) -> None:
        # Two instruments that claim one key make every packet of that key ambiguous, and a price shown under
        # the wrong name is the costliest failure known: neither is routed while both are subscribed.
        key = self.wire_key(instrument)
        claims = self._claims.setdefault(key, [])
        if instrument not in claims:
            claims.append(instrument)
        self._reroute(key, claims)

    def _release(self, instrument: Instrument) -> None:
        key = self.wire_key(instrument)
        claims = self._claims.get(key)
        if claims and instrument in claims:
            claims.remove(instrument)
            self._reroute(key, claims)
            if not claims:
                del self._claims[key]

    def _reroute(self, key: Hashable, claims: list[Instrument]) -> None:
        if len(claims) == 1:
            self.routes[key] = claims[0]
        else:
            self.routes.pop(key, None)
