"""A WebSocket to a broker: connects, puts fragments together, hands complete messages on. Knows no broker."""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol
from urllib.parse import urljoin, urlsplit, urlunsplit

import msgspec
import picows
from picows import WSCloseCode, WSFrame, WSMsgType, WSTransport

from tickmux import __version__, owned_task
from tickmux.codec import BinaryText
from tickmux.websocket_proxy.base_adapter import Endpoint, Unavailable
from tickmux.websocket_proxy.lost_socket import is_lost

MAX_MESSAGE_BYTES = 16 << 20
"""No broker's message comes near it; a longer one is a fault or an attack, and ends the connection."""


_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 3
_HARMLESS = frozenset({"user-agent", "accept", "accept-language"})
"""Headers that may go to a host that the broker redirects to; the others can carry the session."""
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(.*)")


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

    def check(self) -> None:
        """Notices a connection that has gone unseen; `closed` is done then."""

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

    @property
    def opened(self) -> bool:
        """Whether the handshake has succeeded."""
        return self._transport is not None

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

    def check(self) -> None:
        if self._transport is not None and not self.closed.done() and is_lost(self._transport.underlying_transport):
            self._transport.disconnect(False)
            self._end(Closed(1006, "connection lost"))

    def close(self) -> None:
        """Says goodbye and drops the socket without waiting for an answer."""
        if self._transport is not None:
            if not self.closed.done():
                self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect(False)

    # -- picows -------------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._ending = owned_task.start(_hear_the_end(transport), "end of an upstream WebSocket")

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


async def _hear_the_end(transport: WSTransport) -> None:
    """picows keeps what ended a connection in a future; asyncio complains where nobody looks at it. Ends with it."""
    with suppress(Exception):  # `on_ws_disconnected` has told the link
        await transport.wait_disconnected()


def _closed(payload: bytes) -> Closed:
    code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
    return Closed(code, payload[2:].decode("utf-8", "replace"))


async def connect(
    endpoint: Endpoint, on_message: OnMessage, on_alive: OnAlive, *, timeout: float = 20.0
) -> WebSocketLink:
    """An open WebSocket to the endpoint. Raises HandshakeRefused, or Unavailable when there is no connection.

    Redirects are followed, but the endpoint's headers, which carry the session, go to the endpoint's own host only,
    and no redirect leads from TLS to a plain line.
    """
    for _ in range(_MAX_REDIRECTS + 1):
        try:
            return await _connect(endpoint, on_message, on_alive, timeout)
        except HandshakeRefused as refusal:
            target = refusal.headers.get("location", "") if refusal.status in _REDIRECTS else ""
            if not target:
                raise
            endpoint = _redirected(endpoint, target)
    raise Unavailable(f"the broker redirects more than {_MAX_REDIRECTS} times, and is tried again")


def _redirected(endpoint: Endpoint, target: str) -> Endpoint:
    old = urlsplit(endpoint.url)
    try:
        new = urlsplit(urljoin(_as_http(endpoint.url), target))
        port = new.port
    except ValueError:
        raise Unavailable("the broker redirects to an address that cannot be read") from None
    scheme = {"http": "ws", "https": "wss"}.get(new.scheme, new.scheme)
    if scheme not in ("ws", "wss") or (old.scheme == "wss" and scheme != "wss"):
        raise Unavailable("the broker redirects to an address that is not as safe as its own; not followed")
    same = (old.scheme, old.hostname, old.port) == (scheme, new.hostname, port)
    kept = {name: value for name, value in endpoint.headers.items() if same or name.lower() in _HARMLESS}
    return Endpoint(urlunsplit(new._replace(scheme=scheme)), kept, endpoint.rest_base)


def _as_http(url: str) -> str:
    return "http" + url.removeprefix("ws")  # ws and wss join like http and https


async def _connect(endpoint: Endpoint, on_message: OnMessage, on_alive: OnAlive, timeout: float) -> WebSocketLink:
    link = WebSocketLink(on_message, on_alive)
    try:
        async with asyncio.timeout(timeout):
            await picows.ws_connect(
                lambda: link,
                endpoint.url,
                extra_headers={"User-Agent": f"tickmux/{__version__}", **endpoint.headers},
                websocket_handshake_timeout=timeout,
                max_frame_size=MAX_MESSAGE_BYTES,
                max_redirects=0,
                enable_auto_pong=False,
                logger_name="upstream",
            )
    except picows.WSHandshakeError as error:
        refusal = _refusal(error)
        if refusal is None:
            raise Unavailable("the handshake was not answered as HTTP wants it") from None
        raise refusal from None
    except ssl.SSLError as error:
        raise Unavailable(f"TLS: {error.reason or error}") from None
    except TimeoutError:
        raise Unavailable(f"no answer within {timeout:g} s") from None
    except (OSError, picows.WSError) as error:
        raise Unavailable(_network_words(error)) from None
    if not link.opened:
        raise Unavailable("the connection was closed during the handshake")
    return link


def _refusal(error: picows.WSHandshakeError) -> HandshakeRefused | None:
    """The answer of a server that did not switch protocols. Read from its bytes: brokers answer with statuses that
    no standard knows (440, 513), too."""
    head = bytes(error.raw_header or b"")
    first, _, rest = head.partition(b"\r\n")
    matched = _STATUS_LINE.match(first)
    if matched is None or matched[1] == b"101":
        return None
    lines = (line.partition(b":") for line in rest.split(b"\r\n"))
    headers = {
        name.strip().lower().decode("latin-1"): value.strip().decode("latin-1") for name, _, value in lines if name
    }
    return HandshakeRefused(
        int(matched[1]), matched[2].decode("latin-1").strip(), headers, bytes(error.raw_body or b"")
    )


def _network_words(error: Exception) -> str:
    """What happened, without the URL: its query carries tokens."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return type(error).__name__
