"""One client's connection below its session: picows' protocol with bounds on what may come in.

picows refuses a frame by its announced size only, the same for everybody, and keeps what has come of an unfinished
one. Here the bytes since the last complete frame are counted against what this client may send at present: 4 KiB
before it has authenticated. A connection that is being closed can be told to ignore its input: what still arrives
is read and thrown away, since the kernel would otherwise answer it with a reset that destroys the close frame on
its way.
"""

import asyncio
import socket
from asyncio import Transport
from typing import Any, Protocol

from picows import (
    WSAutoPingStrategy,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.picows import WSProtocol  # type: ignore[attr-defined]

from tickmux.websocket_proxy.client_socket import prepare

_HEADER = 14
"""Bytes of the longest frame header."""
_UNBOUNDED = 1 << 62
"""What picows may believe that a frame may have; the bound is kept here."""
_READ_BUFFER = 16 << 10
_sink = memoryview(bytearray(64 << 10))


class Session(Protocol):
    """What the connection needs of its session, which is picows' listener."""

    max_message: int
    """Bytes that a message may have now."""
    verifying: bool
    lingering: bool

    def too_long(self) -> None:
        """A message, finished or not, is longer than that."""

    def close(self, code: int, reason: str) -> None: ...


class Reception(Protocol):
    """Who lets clients in."""

    def greet(self, visitor: "ClientProtocol", request: WSUpgradeRequest) -> Session | WSUpgradeResponse:
        """The session of a client that may come in, or the answer to one that may not."""

    def gone(self, visitor: "ClientProtocol") -> None:
        """The connection has ended, with a handshake or without."""


class ClientProtocol(WSProtocol):  # type: ignore[misc]
    """A connection from its acceptance to its end. `address` is the peer's, `logger` picows'."""

    def __init__(self, reception: Reception, address: str, handshake_timeout: float, logger: Any) -> None:
        super().__init__(
            None,  # host and path: a client's side only
            None,
            False,
            self._greet,
            logger,
            True,
            handshake_timeout,
            False,  # no pings of picows'
            20,
            20,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,
            _UNBOUNDED,
            None,
            _READ_BUFFER,
        )
        self.address = address
        self.since = asyncio.get_running_loop().time()
        self.session: Session | None = None
        self.greeted = False
        """Whether its upgrade request has come."""
        self.unfinished = 0
        """Bytes that have come since the last complete frame."""
        self._reception = reception
        self._deaf = False

    def connection_made(self, transport: Transport) -> None:
        connection: socket.socket = transport.get_extra_info("socket")
        prepare(connection)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._reception.gone(self)

    def get_buffer(self, size_hint: int) -> memoryview:
        if self._deaf:
            return _sink
        return super().get_buffer(size_hint)  # type: ignore[no-any-return]

    def buffer_updated(self, nbytes: int) -> None:
        if self._deaf:
            return
        self.unfinished += nbytes
        super().buffer_updated(nbytes)
        session = self.session
        if session is not None and self.unfinished > session.max_message + _HEADER:
            session.too_long()

    def turn_deaf(self) -> None:
        """What comes from now on is read, so that the peer is not reset, and thrown away."""
        self._deaf = True

    def abort(self) -> None:
        """Ends the connection at once."""
        if self.transport is not None:
            self.transport.disconnect(False)

    def _greet(self, request: WSUpgradeRequest) -> Session | WSUpgradeResponseWithListener:
        self.greeted = True
        answer = self._reception.greet(self, request)
        if isinstance(answer, WSUpgradeResponse):
            return WSUpgradeResponseWithListener(answer, None)
        self.session = answer
        self.unfinished = 0
        return answer
