"""What a client's session needs of its proxy, and no more; `server.py` offers it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import msgspec

from tickmux.websocket_proxy.dispatcher import Client, Dispatcher
from tickmux.websocket_proxy.feed import Feed
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
    rate: int = 100
    burst: int = 5000
    """Requests at once: an SDK may subscribe thousands of symbols one by one when it starts."""


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
    brokers: Sequence[str]
    index: SubscriptionIndex[C]
    dispatcher: Dispatcher[C]
    feed_of: Callable[[str], Awaitable[Feed]]
    """The feed that serves a user. Raises RequestError where there is none."""

    def admit(self, client: C) -> bool:
        """Whether there is room for one more client."""

    def forget(self, client: C) -> None:
        """A client has gone: what it held is given back."""

    async def verify(self, api_key: str) -> str | None:
        """The name of the user whose key this is, or None."""

    def now_ms(self) -> int:
        """Epoch milliseconds."""
