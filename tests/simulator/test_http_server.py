import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from tickmux.simulator.server.http_server import HttpServer, Request, Response


def answer(request: Request) -> Response:
    return Response.json(
        {
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "token": request.headers.get("x-token"),
            "form": request.form(),
            "json": request.json(),
        },
        418 if request.path == "/teapot" else 200,
    )


def serving(conversation: Callable[[HttpServer], Awaitable[None]]) -> None:
    async def run() -> None:
        server = HttpServer(answer)
        await server.start("127.0.0.1", 0)
        try:
            await asyncio.wait_for(conversation(server), 10)
        finally:
            await server.stop()

    asyncio.run(run())


async def exchange(server: HttpServer, *parts: bytes) -> bytes:
    """Sends the parts one by one and returns all that comes until the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for part in parts:
        writer.write(part)
        await writer.drain()
    data = await reader.read()
    writer.close()
    return data


def test_requests_of_all_kinds_over_one_connection() -> None:
    async def conversation(server: HttpServer) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as http:
            got = (await http.get("/a%20b", params={"q": "1&2"}, headers={"X-Token": "t"})).json()
            assert (got["method"], got["path"], got["query"], got["token"]) == ("GET", "/a b", {"q": "1&2"}, "t")
            assert (await http.post("/x", data={"a": "b c"})).json()["form"] == {"a": "b c"}
            assert (await http.put("/x", json={"a": [1]})).json()["json"] == {"a": [1]}
            teapot = await http.delete("/teapot")
            assert (teapot.status_code, teapot.reason_phrase) == (418, "I'm a Teapot")
            assert len(server.connections) == 1

    serving(conversation)


def test_a_request_may_come_in_pieces_and_several_at_once() -> None:
    async def conversation(server: HttpServer) -> None:
        data = await exchange(
            server,
            b"POST /one HTTP/1.1\r\nContent-Le",
            b"ngth: 9\r\n\r\n[1,",
            b"2,3,4]GET /two HTTP/1.1\r\nConnection: close\r\n\r\n",
        )
        assert data.count(b"HTTP/1.1 200 OK") == 2
        assert b'"json":[1,2,3,4]' in data
        assert b'"path":"/two"' in data

    serving(conversation)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"garbage\r\n\r\n", b"400"),
        (b"\x00\xff\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: 1e9\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000, b"431"),
    ],
)
def test_a_malformed_or_huge_request_is_refused_and_hung_up_on(data: bytes, status: bytes) -> None:
    async def conversation(server: HttpServer) -> None:
        assert (await exchange(server, data)).startswith(b"HTTP/1.1 " + status)

    serving(conversation)


def test_odd_targets_are_answered() -> None:
    async def conversation(server: HttpServer) -> None:
        data = await exchange(server, b"GET //[x?%zz&=&a HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert data.startswith(b"HTTP/1.1 200")

    serving(conversation)


def test_a_client_may_ask_before_it_sends_the_body() -> None:
    async def conversation(server: HttpServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"42")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()

    serving(conversation)
