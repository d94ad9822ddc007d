"""Connections of the web server, kept within bounds: how many, for how long, and how much they may send ahead.

uvicorn's HTTP connection bounds the time between two requests, and nothing else. What is added here, a connection at
a time (`GuardedConnection`) and for all of them (`HttpGuard`):

- the number of connections, in all and for one address (loopback apart: a reverse proxy may stand there). At the
  limit the one that has waited longest without a complete request makes room: idle connections lock nobody out;
- the time and size of a request's head, the time of its body, the time that an answer may lie unread;
- requests that are sent before the one before them has been answered.

Owns no task: the server calls `sweep` once a second.
"""

import asyncio
import time
from ipaddress import ip_address
from typing import Any, NamedTuple

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState


class HttpLimits(NamedTuple):
    """What clients of the web server may use. Times are seconds."""

    connections: int = 1000
    per_address: int = 250
    head: float = 10.0
    body: float = 20.0
    unread: float = 60.0
    head_bytes: int = 64 * 1024
    pipelined: int = 16


class HttpCounters:
    """What the guard has done, since the start."""

    def __init__(self) -> None:
        self.evicted = 0
        """Connections without a request that made room for new ones."""
        self.refused = 0
        """New connections for which there was no room."""
        self.timed_out = 0
        """Connections that took too long to send a request, or to read an answer."""


class HttpGuard:
    """All connections of one server."""

    def __init__(self, limits: HttpLimits) -> None:
        self.limits = limits
        self.counters = HttpCounters()
        self._connections: dict[str, set[GuardedConnection]] = {}
        self._waiting: dict[GuardedConnection, None] = {}
        """Those without a complete request, in the order in which they began to wait."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def admit(self, connection: "GuardedConnection") -> bool:
        """Whether there is room for it; another one may have made that room."""
        of_address = self._connections.get(connection.address, set())
        crowded = len(of_address) >= self.limits.per_address and not _is_loopback(connection.address)
        if crowded or self._count >= self.limits.connections:
            idle = next((one for one in self._waiting if not crowded or one in of_address), None)
            if idle is None:
                self.counters.refused += 1
                return False
            self.counters.evicted += 1
            self._forget(idle)
            idle.transport.abort()
        self._connections.setdefault(connection.address, set()).add(connection)
        self._waiting[connection] = None
        self._count += 1
        return True

    def leave(self, connection: "GuardedConnection") -> None:
        self._forget(connection)

    def waits(self, connection: "GuardedConnection") -> None:
        """It has been answered: the next request may come or not."""
        if connection in self._connections.get(connection.address, ()):
            self._waiting[connection] = None

    def works(self, connection: "GuardedConnection") -> None:
        """It has sent the head of a request."""
        self._waiting.pop(connection, None)

    def sweep(self) -> None:
        """Ends what has taken too long."""
        now = time.monotonic()
        for connection in [one for group in self._connections.values() for one in group]:
            if connection.is_late(now, self.limits):
                self.counters.timed_out += 1
                connection.transport.abort()

    def _forget(self, connection: "GuardedConnection") -> None:
        self._waiting.pop(connection, None)
        group = self._connections.get(connection.address)
        if group is not None and connection in group:
            self._count -= 1
            group.remove(connection)
            if not group:
                del self._connections[connection.address]


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's connection, which tells its guard what it is doing."""

    def __init__(
        self,
        guard: HttpGuard,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.address = ""
        self._guard = guard
        self._head_since: float | None = None
        self._body_since: float | None = None
        self._unread_since: float | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.address = _group(transport.get_extra_info("peername"))
        self._head_since = time.monotonic()
        if self._guard.admit(self):
            super().connection_made(transport)
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._guard.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.parser is None or self.transport.is_closing():
            return
        super().data_received(data)
        if self._head_since is None and self._is_answered() and self._body_since is None:
            self._head_since = time.monotonic()  # bytes of a request that has not begun yet: empty lines
        if self._head_since is not None:
            self._head_bytes += len(data)
            if self._head_bytes > self._guard.limits.head_bytes:
                self.transport.abort()

    def on_message_begin(self) -> None:
        if self._head_since is None:
            self._head_since = time.monotonic()
        self._head_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4  # colon, space, end of line
        if self._head_bytes > self._guard.limits.head_bytes:
            raise ValueError("the request's head is too long")  # the parser makes a refusal of it
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= self._guard.limits.pipelined:
            raise ValueError("too many requests before an answer")
        if self.parser.get_http_version() == "1.1" and not any(name == b"host" for name, _ in self.headers):
            raise ValueError("HTTP/1.1 wants a Host")
        self._head_since = None
        self._body_since = time.monotonic()
        self._guard.works(self)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._body_since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_answered():
            self._guard.waits(self)

    def is_late(self, now: float, limits: HttpLimits) -> bool:
        """Whether the client has taken too long for what it is doing."""
        if not self.transport.get_write_buffer_size():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        return any(
            since is not None and now - since > longest
            for since, longest in (
                (self._head_since, limits.head),
                (self._body_since, limits.body),
                (self._unread_since, limits.unread),
            )
        )

    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete


def _group(peer: tuple[Any, ...] | None) -> str:
    """The address that counts: of IPv6 the network of 64 bits that one subscriber has."""
    host = str(peer[0]) if peer else ""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4 or address.is_loopback:
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return ":".join(address.exploded.split(":")[:4])


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
