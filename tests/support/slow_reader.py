"""A client that reads at a given speed, answers pings as it comes to them, and knows how old its prices are."""

import asyncio
import json
import socket
import time
from typing import Any

from support.raw_client import frame, request


class SlowReader:
    """Reads `speed` bytes a second (None: as fast as it can); `answers_pings` as most libraries do."""

    def __init__(self, speed: float | None, *, answers_pings: bool = True) -> None:
        self.speed = speed
        self.answers_pings = answers_pings
        self.ages: list[float] = []
        """Seconds, of each price when it was read."""
        self.newest: dict[str, float] = {}
        self.bytes = 0
        self.close_code = 0
        self._buffer = bytearray()
        self._socket = socket.socket()
        self._socket.setblocking(False)

    async def connect(self, port: int, **subscription: Any) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self._socket, ("127.0.0.1", port))
        await loop.sock_sendall(self._socket, request())
        head = b""
        while b"\r\n\r\n" not in head:
            head += await loop.sock_recv(self._socket, 4096)
        self._buffer += head.partition(b"\r\n\r\n")[2]
        for message in ({"action": "authenticate", "api_key": "good"}, {"action": "subscribe", **subscription}):
            await loop.sock_sendall(self._socket, frame(json.dumps(message).encode()))

    async def read_for(self, seconds: float) -> None:
        """Reads at its speed until the time is up or the server has closed."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        taken = 0.0
        while (now := loop.time()) - began < seconds:
            if self.speed is None:
                size = 1 << 20
            else:
                size = int((now - began) * self.speed - taken)
                if size < 512:
                    await asyncio.sleep(0.01)
                    continue
            try:
                data = await asyncio.wait_for(loop.sock_recv(self._socket, min(size, 1 << 16)), seconds)
            except TimeoutError:
                return
            if not data:
                return
            if self.speed is not None and len(data) < size:
                taken = (loop.time() - began) * self.speed  # it waited for data: no credit for that time
            else:
                taken += len(data)
            self.bytes += len(data)
            self._buffer += data
            await self._take()

    async def _take(self) -> None:
        buffer, at = self._buffer, 0
        now = time.time()
        while len(buffer) - at >= 2:
            size, head = buffer[at + 1], 2
            if size == 126:
                size, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 4
            elif size == 127:
                size, head = int.from_bytes(buffer[at + 2 : at + 10], "big"), 10
            if len(buffer) - at < head + size:
                break
            opcode, payload = buffer[at] & 0xF, bytes(buffer[at + head : at + head + size])
            at += head + size
            if opcode == 9 and self.answers_pings:
                await asyncio.get_running_loop().sock_sendall(self._socket, frame(payload, 0x8A))
            elif opcode == 8:
                self.close_code = int.from_bytes(payload[:2], "big")
            elif opcode == 1 and b'"market_data"' in payload:
                message = json.loads(payload)
                self.newest[message["symbol"]] = message["data"]["ltp"]
                self.ages.append(now - message["data"]["timestamp"] / 1000)
        del buffer[:at]

    def worst(self, share: float = 0.99) -> float:
        """The age below which that share of the prices were."""
        return sorted(self.ages)[int(share * (len(self.ages) - 1))]

    def close(self) -> None:
        self._socket.close()
