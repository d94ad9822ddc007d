"""A feed as the proxy sees it: demand in, a topic on the bus for each subscription that is granted.

The feeds themselves are in `feeds/`. Where one runs is configuration, so everything that may have to cross a process
border is a coroutine.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from tickmux.errors import RequestError
from tickmux.tick import Mode
from tickmux.websocket_proxy.feed_state import (
    FeedInfo,
    FeedStatus,
    InstrumentListener,
    InstrumentStatus,
    StatusListener,
)
from tickmux.websocket_proxy.subscription_index import TopicKey


class Want(msgspec.Struct, frozen=True):
    """One instrument in one mode, as a client asks for it. `depth` counts in DEPTH mode only."""

    symbol: str
    exchange: str
    mode: Mode
    depth: int


class Grant(msgspec.Struct, frozen=True):
    """A want that is served: under which topic, and what is known already (the payload of a snapshot)."""

    key: TopicKey
    topic: bytes
    snapshot: bytes | None = None


class Feed(Protocol):
    """A feed as the proxy sees it. Every granted want is one reference, to be given back once."""

    id: str
    broker: str
    account: str
    has_orders: bool

    @property
    def status(self) -> FeedStatus: ...

    async def subscribe(self, wants: Sequence[Want]) -> list[Grant | RequestError]:
        """A verdict for each want, in order."""

    async def unsubscribe(self, keys: Sequence[TopicKey]) -> None:
        """Gives granted references back."""

    def listen(self, listener: StatusListener) -> Callable[[], None]:
        """Calls `listener` at every change of `status`; the result ends that."""

    def instrument_status(self, symbol: str, exchange: str) -> InstrumentStatus | None:
        """What a granted instrument is doing; None where that is not known."""

    def listen_to_instruments(self, listener: InstrumentListener) -> Callable[[], None]:
        """Calls `listener` with the instruments whose state has changed; the result ends that."""

    def info(self) -> FeedInfo:
        """Capacity and counts. May be called from any thread; a reading may be a moment old."""

    async def stop(self) -> None: ...


class Move(NamedTuple):
    """Whoever holds the topic `old` of a feed holds `grant` in its place from now on."""

    old: TopicKey
    grant: Grant


Mover = Callable[[Feed, Sequence[Move]], None]
"""How a feed asks the proxy to move its subscribers: at once, before anything else happens.

References need not be given back: the feed counts those of `old` as references of `grant` from then on.
"""


def topic_name(key: TopicKey) -> bytes:
    """A topic of our own feeds on the bus; unit separators, since symbols contain everything else."""
    return "\x1f".join((key.feed, key.exchange, key.symbol, str(int(key.mode)), str(key.depth))).encode()
