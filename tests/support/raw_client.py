"""A WebSocket client below all libraries, for what these would not send."""

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

HELLO = (
    ("Host", "127.0.0.1"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)


def request(headers: Iterable[tuple[str, str]] = HELLO) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(["GET / HTTP/1.1", *lines, "", ""]).encode()


def frame(payload: bytes, first: int = 0x81) -> bytes:
    """A masked frame, the mask all zero."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65536:
        head = struct.pack(">BBH", first, 0xFE, size)
    else:
        head = struct.pack(">BBQ", first, 0xFF, size)
    return head + bytes(4) + payload


class RawClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> tuple[int, bytes]:
        """The next frame: its opcode and payload."""
        first, size = await self.reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack(">H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", await self.reader.readexactly(8))
        return first & 0xF, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        """The code of the close frame, whatever comes before it."""
        while True:
            opcode, payload = await asyncio.wait_for(self.receive(), 30)
            if opcode == 8:
                return int.from_bytes(payload[:2], "big")


@asynccontextmanager
async def raw_client(port: int, headers: Iterable[tuple[str, str]] | None = HELLO) -> AsyncIterator[Any]:
    """A connection, with its handshake done unless `headers` is None."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if headers is not None:
            writer.write(request(headers))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        yield RawClient(reader, writer)
    finally:
        writer.close()


async def http_answer(port: int, headers: Iterable[tuple[str, str]]) -> bytes:
    """What a handshake is answered with, to the end of the connection or of the header."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request(headers))
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    if not answer.startswith(b"HTTP/1.1 101"):
        answer += await asyncio.wait_for(reader.read(-1), 30)
    writer.close()
    return answer
