"""A WebSocket to a broker: connects, puts fragments together, hands complete messages on. Knows no broker."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec
import picows
from picows import WSCloseCode, WSFrame, WSMsgType, WSTransport

from tickmux.codec import BinaryText
from tickmux.websocket_proxy.base_adapter import Endpoint, Unavailable

MAX_MESSAGE_BYTES = 16 << 20
"""No broker's message comes near it; a longer one is a fault or an attack, and ends the connection."""


class HandshakeRefused(Exception):
    """The broker answered the WebSocket handshake with a status other than 101."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str], body: bytes) -> None:
        super().__init__(f"HTTP {status} {reason}")
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body


class Closed(msgspec.Struct, frozen=True):
    """How a connection ended; `code` is 1006 when there was no close frame."""

    code: int
    reason: str


class Link(Protocol):
    """An open upstream connection, as `FeedConnection` sees it."""

    closed: "asyncio.Future[Closed]"

    def send(self, frame: str | bytes) -> None: ...

    def ping(self) -> None: ...

    def close(self) -> None: ...


OnMessage = Callable[[bytes | str], None]
OnAlive = Callable[[], None]


class WebSocketLink(picows.WSListener):
    """One open WebSocket. `on_message` gets every complete message, `on_alive` hears of pings and pongs."""

    def __init__(self, on_message: OnMessage, on_alive: OnAlive) -> None:
        self._on_message = on_message
        self._on_alive = on_alive
        self._transport: WSTransport | None = None
        self._fragments = bytearray()
        self._fragment_type = WSMsgType.BINARY
        self.closed: asyncio.Future[Closed] = asyncio.get_running_loop().create_future()

    def send(self, frame: str | bytes) -> None:
        """Sends text for `str` and binary for `bytes` (`BinaryText` too); nothing once closed."""
        if self._transport is None or self.closed.done():
            return
        if isinstance(frame, str):
            self._transport.send(WSMsgType.TEXT, frame.encode())
        else:
            self._transport.send(WSMsgType.BINARY, bytes(frame) if isinstance(frame, BinaryText) else frame)

    def ping(self) -> None:
        if self._transport is not None and not self.closed.done():
            self._transport.send_ping()

    def close(self) -> None:
        """Says goodbye and drops the socket without waiting for an answer."""
        if self._transport is not None:
            if not self.closed.done():
                self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect(False)

    # -- picows -------------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.BINARY or kind == WSMsgType.TEXT:
            if frame.fin:
                self._deliver(kind, frame.get_payload_as_bytes())
            else:
                self._fragment_type = kind
                self._fragments[:] = frame.get_payload_as_memoryview()
        elif kind == WSMsgType.CONTINUATION:
            self._fragments += frame.get_payload_as_memoryview()
            if len(self._fragments) > MAX_MESSAGE_BYTES:
                self._end(Closed(1009, "message too long"))
                transport.disconnect(False)
            elif frame.fin:
                message = bytes(self._fragments)
                self._fragments.clear()
                self._deliver(self._fragment_type, message)
        elif kind == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
            self._on_alive()
        elif kind == WSMsgType.PONG:
            self._on_alive()
        elif kind == WSMsgType.CLOSE:
            self._end(_closed(frame.get_payload_as_bytes()))
            transport.disconnect(False)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._end(Closed(1006, "connection lost"))

    def _deliver(self, kind: WSMsgType, payload: bytes) -> None:
        if kind == WSMsgType.TEXT:
            # Invalid UTF-8 must not end the session: the codec sees replacement characters and calls it malformed.
            self._on_message(payload.decode("utf-8", "replace"))
        else:
            self._on_message(payload)

    def _end(self, closed: Closed) -> None:
        if not self.closed.done():
            self.closed.set_result(closed)


def _closed(payload: bytes) -> Closed:
    code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
    return Closed(code, payload[2:].decode("utf-8", "replace"))


async def connect(
    endpoint: Endpoint, on_message: OnMessage, on_alive: OnAlive, *, timeout: float = 20.0
) -> WebSocketLink:
    """An open WebSocket to the endpoint. Raises HandshakeRefused, or Unavailable when there is no connection."""
    link = WebSocketLink(on_message, on_alive)
    try:
        async with asyncio.timeout(timeout):
            await picows.ws_connect(
                lambda: link,
                endpoint.url,
                extra_headers=dict(endpoint.headers),
                websocket_handshake_timeout=timeout,
                max_frame_size=MAX_MESSAGE_BYTES,
                max_redirects=3,
                enable_auto_pong=False,
                logger_name="upstream",
            )
    except picows.WSInvalidStatusError as error:
        response = error.response
        if response is None:
            raise Unavailable("the handshake was answered with no valid HTTP") from None
        headers = {name.lower(): value for name, value in response.headers.items()}
        body = bytes(response.body or b"")
        raise HandshakeRefused(int(response.status), response.status.phrase, headers, body) from None
    except ssl.SSLError as error:
        raise Unavailable(f"TLS: {error.reason or error}") from None
    except TimeoutError:
        raise Unavailable(f"no answer within {timeout:g} s") from None
    except (OSError, picows.WSError) as error:
        raise Unavailable(_network_words(error)) from None
    return link


def _network_words(error: Exception) -> str:
    """What happened, without the URL: its query carries tokens."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
