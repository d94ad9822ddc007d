"""The simulator profile's clock: a WebSocket on loopback that tells the time once a second, as epoch milliseconds.

Feeds are driven by what their socket brings, and the sandbox has none: so one is opened here, for one client.
It starts no task; its timer and its socket end with the connection, or when nobody has connected in time.
"""

import asyncio
import time

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

_PATIENCE = 30.0
"""Seconds to wait for the client."""


async def open_pulse() -> str:
    """The URL of a fresh pulse, good for one connection."""
    pulse = _Pulse()
    server = await ws_create_server(pulse.claim, "127.0.0.1", 0)
    pulse.listen(server)
    return f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/synthetic"


class _Pulse(WSListener):
    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server
        self._transport: WSTransport | None = None
        self._timer: asyncio.TimerHandle
        self._claimed = False

    def listen(self, server: asyncio.Server) -> None:
        self._server = server
        self._timer = self._loop.call_later(_PATIENCE, server.close)

    def claim(self, request: WSUpgradeRequest) -> "_Pulse | None":
        if self._claimed:
            return None
        self._claimed = True
        return self

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._server.close()
        self._timer.cancel()
        self._transport = transport
        self._schedule()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self._timer.cancel()

    def _schedule(self) -> None:
        # On whole seconds, so that all connections of a feed see the same one.
        now = time.time()
        self._timer = self._loop.call_later(round(now) + 1 - now, self._beat)

    def _beat(self) -> None:
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, str(int(time.time() * 1000)).encode())
            self._schedule()
