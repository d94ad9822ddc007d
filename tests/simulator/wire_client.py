"""A plain WebSocket client for tests of simulators: what was received, in order, and how it ended."""

import asyncio
from collections.abc import Mapping
from typing import Any

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

_PATIENCE = 5.0


class WireClient(WSListener):
    """`await connect(url)`, then `send` and `receive`. Pings are not answered."""

    def __init__(self) -> None:
        self._incoming: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._ponged = asyncio.Event()
        self.close_code: int | None = None
        self._transport: WSTransport

    @classmethod
    async def connect(cls, url: str, headers: Mapping[str, str] | None = None, **options: Any) -> "WireClient":
        """Raises picows' WSInvalidStatusError where the server refuses."""
        _, client = await ws_connect(cls, url, extra_headers=dict(headers or {}), **options)
        assert isinstance(client, cls)
        return client

    def send(self, *frames: str | bytes) -> None:
        for frame in frames:
            if isinstance(frame, str):
                self._transport.send(WSMsgType.TEXT, frame.encode())
            else:
                self._transport.send(WSMsgType.BINARY, frame)

    async def receive(self) -> str | bytes:
        return await asyncio.wait_for(self._incoming.get(), _PATIENCE)

    def received(self) -> list[str | bytes]:
        """What has come since, without waiting."""
        return [self._incoming.get_nowait() for _ in range(self._incoming.qsize())]

    async def flush(self) -> list[str | bytes]:
        """What the server sent before it answered a ping, by which time it has handled all that was sent."""
        self._ponged.clear()
        self._transport.send_ping(b"flush")
        await asyncio.wait_for(self._ponged.wait(), _PATIENCE)
        return self.received()

    async def ended(self) -> int | None:
        """Waits for the end: the close frame's code, or None where the connection just broke."""
        await asyncio.wait_for(self._gone.wait(), _PATIENCE)
        return self.close_code

    async def close(self) -> None:
        self._transport.send_close()
        self._transport.disconnect()
        await self.ended()

    def pause(self) -> None:
        """Stops reading."""
        self._transport.underlying_transport.pause_reading()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self._incoming.put_nowait(frame.get_payload_as_utf8_text())
        elif frame.msg_type == WSMsgType.BINARY:
            self._incoming.put_nowait(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.PONG:
            self._ponged.set()
        elif frame.msg_type == WSMsgType.CLOSE:
            payload = frame.get_payload_as_bytes()
            self.close_code = int.from_bytes(payload[:2], "big")
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._gone.set()
