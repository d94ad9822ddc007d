"""What a proxy and a feed process say to each other: MessagePack over ZeroMQ, DEALER (proxy) to ROUTER (feeds).

Only demand and state go this way; ticks cross the bus. What a proxy holds is a set of topics, so that everything may
be said twice: after a restart of either side the proxy simply asks for all of it again.

A proxy says something at least every `ALIVE_INTERVAL`; a feed process forgets one that has been silent for `LEASE`.
A feed process answers `Alive`, and sends the state of every feed that the proxy has opened, at once when it changes
and as often as the proxy says that it is alive.
"""

import msgspec

from tickmux.errors import ErrorCode
from tickmux.websocket_proxy.feed import Want
from tickmux.websocket_proxy.feed_state import FeedInfo, FeedStatus, InstrumentStatus
from tickmux.websocket_proxy.subscription_index import TopicKey

ALIVE_INTERVAL = 1.0
LEASE = 10.0
MAX_MESSAGE = 64 << 20


class Open(msgspec.Struct, tag=True, frozen=True):
    """Which feed is this user's? Answered `Opened` or `Refused`."""

    call: int
    user: str


class Subscribe(msgspec.Struct, tag=True, frozen=True):
    """Holds these from now on. Answered `Granted`, or `Refused` where the feed is not known here (any more)."""

    call: int
    feed: str
    wants: list[Want]


class Unsubscribe(msgspec.Struct, tag=True, frozen=True):
    """Holds these no more."""

    feed: str
    keys: list[TopicKey]


class Repeat(msgspec.Struct, tag=True, frozen=True):
    """Send the newest value of these on the bus: ticks may have passed between a snapshot and its arrival."""

    feed: str
    keys: list[TopicKey]


class Alive(msgspec.Struct, tag=True, frozen=True):
    """The proxy is there; `sent` is its monotonic clock in nanoseconds, which comes back in the answer."""

    sent: int


Request = Open | Subscribe | Unsubscribe | Repeat | Alive


class Opened(msgspec.Struct, tag=True, frozen=True):
    """A feed as it is: what of it never changes, and what does."""

    call: int
    feed: str
    broker: str
    account: str
    has_orders: bool
    status: FeedStatus
    info: FeedInfo


class Refused(msgspec.Struct, tag=True, frozen=True):
    """A call that could not be carried out."""

    call: int
    code: ErrorCode
    message: str


class Served(msgspec.Struct, tag=True, frozen=True):
    """A want that is served (see `Grant`)."""

    key: TopicKey
    topic: bytes
    snapshot: bytes | None


class Denied(msgspec.Struct, tag=True, frozen=True):
    """A want that is not."""

    code: ErrorCode
    message: str


class Granted(msgspec.Struct, tag=True, frozen=True):
    """A verdict for each want, in order."""

    call: int
    verdicts: list[Served | Denied]


class State(msgspec.Struct, tag=True, frozen=True):
    """What an opened feed is doing now."""

    feed: str
    status: FeedStatus
    info: FeedInfo


class Instruments(msgspec.Struct, tag=True, frozen=True):
    """Instruments of an opened feed whose state has changed, or which have just been granted."""

    feed: str
    changed: list[InstrumentStatus]


class Here(msgspec.Struct, tag=True, frozen=True):
    """The answer to `Alive`. It holds nothing from before a new `lease`.

    `clock` is the feed process' monotonic clock in nanoseconds, by which batches on the bus are stamped.
    """

    lease: str
    sent: int
    clock: int


Answer = Opened | Refused | Granted | State | Instruments | Here

encode = msgspec.msgpack.Encoder().encode
decode_request = msgspec.msgpack.Decoder(Request).decode
"""Raises msgspec.MsgspecError."""
decode_answer = msgspec.msgpack.Decoder(Answer).decode
"""Raises msgspec.MsgspecError."""
