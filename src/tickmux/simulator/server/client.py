"""One WebSocket connection of a client to a simulated broker, as the broker's subclass sees it."""

from typing import Any, Protocol

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from tickmux.simulator.market.security import Security
from tickmux.simulator.server.http_server import Request

_MAX_MESSAGE = 1_048_576
_MOST_UNREAD = 8_388_608
"""Bytes that may wait for a client that does not read; then it is cut off, since a gap would break deltas."""


class Server(Protocol):
    """What a client needs of the simulated broker that it is connected to."""

    silent: bool
    slow_clients: int

    def client_arrived(self, client: "Client") -> None: ...

    def client_left(self, client: "Client") -> None: ...

    def received(self, client: "Client", message: str | bytes) -> None: ...


class Client(WSListener):
    """A connection. `endpoint` is the name under which `BrokerSimulator.endpoints` lists its path.

    `subscriptions` are instrument -> kinds. `session` is the subclass's own: whatever it must remember of this
    client (an identity, topic numbers, a receive buffer).
    """

    def __init__(self, simulator: Server, endpoint: str, request: Request) -> None:
        self.endpoint = endpoint
        self.request = request
        self.session: Any = None
        self.subscriptions: dict[Security, set[str]] = {}
        self.mute = False
        """Whether market data is kept from it; heartbeats and answers are not."""
        self.idle = True
        """Whether nothing was sent since the last heartbeat."""
        self._simulator = simulator
        self._transport: WSTransport | None = None
        self._parts = bytearray()
        self._opcode = WSMsgType.BINARY

    @property
    def connected(self) -> bool:
        return self._transport is not None

    def send(self, frame: str | bytes) -> None:
        """Sends text or binary, unless the simulator is silent; cuts the client off if it has stopped reading."""
        transport = self._transport
        if transport is None or self._simulator.silent:
            return
        if isinstance(frame, str):
            transport.send(WSMsgType.TEXT, frame.encode())
        else:
            transport.send(WSMsgType.BINARY, frame)
        self.idle = False
        if transport.underlying_transport.get_write_buffer_size() > _MOST_UNREAD:
            self._simulator.slow_clients += 1
            self.abort()

    def send_raw(self, data: bytes) -> None:
        """Writes bytes below the WebSocket framing."""
        if self._transport is not None:
            self._transport.underlying_transport.write(data)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Says goodbye with a close frame."""
        if self._transport is not None:
            payload = code.to_bytes(2, "big") + reason.encode()[:123]
            self._transport.send(WSMsgType.CLOSE, payload)
            self._transport.disconnect()

    def hang_up(self) -> None:
        """Ends the TCP connection after what was written, without a close frame."""
        if self._transport is not None:
            self._transport.disconnect()

    def abort(self) -> None:
        """Resets the TCP connection at once."""
        if self._transport is not None:
            self._transport.underlying_transport.abort()

    # -- picows calls these ------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._simulator.client_arrived(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self._simulator.client_left(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.PING:
            if not self._simulator.silent:
                transport.send_pong(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif kind != WSMsgType.PONG:
            if kind != WSMsgType.CONTINUATION:
                self._opcode = kind
                self._parts.clear()
            self._parts += frame.get_payload_as_memoryview()
            if len(self._parts) > _MAX_MESSAGE:
                self.close(WSCloseCode.MESSAGE_TOO_BIG.value)
            elif frame.fin:
                self._message(bytes(self._parts))

    def _message(self, payload: bytes) -> None:
        self._parts.clear()
        if self._opcode != WSMsgType.TEXT:
            self._simulator.received(self, payload)
            return
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            self.close(WSCloseCode.INVALID_TEXT.value)
            return
        self._simulator.received(self, text)
