"""What a client's session needs of its proxy, and no more; `server.py` offers it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from tickmux.websocket_proxy.dispatcher import Client, Dispatcher
from tickmux.websocket_proxy.feed import Feed
from tickmux.websocket_proxy.refusals import Refusals
from tickmux.websocket_proxy.subscription_index import SubscriptionIndex

C = TypeVar("C", bound=Client)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one client, and all of them, may take. Seconds, bytes, counts."""

    throttle_ms: int = 50
    auth_grace: float = 15.0
    auth_attempts: int = 5
    max_message: int = 1 << 20
    max_connections: int = 5000
    max_subscriptions: int = 10_000
    slow_consumer: float = 30.0
    max_unauthenticated: int = 2000
    """Connections without a key, which take no place from clients; one address may have half of them."""
    rate: int = 100
    """Requests of one client in a second; a long one counts as several. More have to wait."""
    burst: int = 200
    """Requests at once before any has to wait."""
    max_waiting: int = 5000
    """Requests that may wait; an SDK may subscribe thousands of symbols one by one when it starts."""
    ping_interval: float = 20.0
    """0: no pings."""
    ping_timeout: float = 20.0


class ProxyCounters(msgspec.Struct):
    """What the proxy has counted since it started."""

    connections: int = 0
    requests: int = 0
    bad_requests: int = 0
    errors: int = 0
    auth_failures: int = 0
    rate_limited: int = 0
    pauses: int = 0
    bytes: int = 0
    """Written to clients."""
    closes: dict[int, int] = {}


class SessionHost(Protocol[C]):
    """The proxy as its sessions see it."""

    limits: Limits
    counters: ProxyCounters
    refusals: Refusals
    brokers: Sequence[str]
    index: SubscriptionIndex[C]
    dispatcher: Dispatcher[C]
    feed_of: Callable[[str], Awaitable[Feed]]
    """The feed that serves a user. Raises RequestError where there is none."""

    def admit(self, client: C) -> bool:
        """Whether there is room for one more client."""

    def authenticated(self, client: C) -> bool:
        """Gives a client that has shown a good key a place of its own; False when there is none left."""

    def forget(self, client: C) -> None:
        """A client has gone: what it held is given back."""

    async def verify(self, api_key: str) -> str | None:
        """The name of the user whose key this is, or None."""

    def now_ms(self) -> int:
        """Epoch milliseconds."""
