"""A small HTTP/1.1 server for the REST side of simulated brokers.

It starts no task: requests are answered inside the event loop's read callback. Bounds: 64 KB of headers,
1 MB of body, `_MOST_CONNECTIONS` connections; whoever exceeds one is cut off.
"""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlencode

import msgspec

_MAX_HEADER, _MAX_BODY = 65_536, 1_048_576
_MOST_CONNECTIONS = 256


class Request(msgspec.Struct, frozen=True):
    """An HTTP request, also a WebSocket's upgrade. Header names are lower case, query values decoded."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""

    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeError):
            return None

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


class Response(msgspec.Struct, frozen=True):
    """An HTTP answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}

    @classmethod
    def json(cls, value: Any, status: int = 200) -> "Response":
        return cls(status, msgspec.json.encode(value), {"Content-Type": "application/json"})

    @classmethod
    def redirect(cls, target: str, query: Mapping[str, str]) -> "Response":
        """Sends a browser to `target`, with `query` behind what it has already."""
        return cls(302, b"", {"Location": f"{target}{'&' if '?' in target else '?'}{urlencode(query)}"})


Handler = Callable[[Request], Response]


def split_target(target: str) -> tuple[str, dict[str, str]]:
    """A request target's decoded path and query."""
    path, _, query = target.partition("?")
    return unquote(path) or "/", dict(parse_qsl(query, keep_blank_values=True))


def reason_phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Refused"


class HttpServer:
    """Answers every request with `handler`. `connections` are the open ones."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self.connections: set[asyncio.Transport] = set()

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("the server is not running")
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Conversation(self, self._handler), host, port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for transport in tuple(self.connections):
                transport.abort()
            await self._server.wait_closed()
            self._server = None


class _Conversation(asyncio.Protocol):
    """One client's connection: requests one after the other, pipelined or not."""

    def __init__(self, server: HttpServer, handler: Handler) -> None:
        self._server = server
        self._handler = handler
        self._buffer = bytearray()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._server.connections.add(self._transport)
        if len(self._server.connections) > _MOST_CONNECTIONS:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while not self._transport.is_closing() and self._one_request():
            pass

    def _one_request(self) -> bool:
        """Answers the first request in the buffer; False while it is not complete."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEADER:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        length = headers.get("content-length", "0")
        if len(words) != 3 or not length.isdecimal() or "transfer-encoding" in headers:
            self._refuse(HTTPStatus.BAD_REQUEST)
            return False
        size = int(length) if len(length) < 10 else _MAX_BODY + 1
        if size > _MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return False
        total = end + 4 + size
        if len(self._buffer) < total:
            if headers.get("expect", "").lower() == "100-continue":
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return False
        path, query = split_target(words[1])
        request = Request(words[0], path, query, headers, bytes(self._buffer[end + 4 : total]))
        del self._buffer[:total]
        self._write(self._handler(request), headers.get("connection", "").lower() == "close")
        return True

    def _refuse(self, status: HTTPStatus) -> None:
        self._write(Response(status), close=True)

    def _write(self, response: Response, close: bool) -> None:
        headers = {**response.headers, "Content-Length": str(len(response.body))}
        if close:
            headers["Connection"] = "close"
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        status_line = f"HTTP/1.1 {response.status} {reason_phrase(response.status)}\r\n"
        self._transport.write(f"{status_line}{head}\r\n".encode("latin-1") + response.body)
        if close:
            self._transport.close()
