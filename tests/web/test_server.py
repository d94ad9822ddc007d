"""The web server over real sockets, in front of a small app."""

import asyncio
import json
import logging
import os
import resource
import threading
import time
from contextlib import asynccontextmanager

import pytest
import uvloop
from flask import Flask, Response, request

from tickmux.web.http_guard import HttpGuard, HttpLimits
from tickmux.web.reverse_proxy import LocalReverseProxy
from tickmux.web.server import WebServer

LARGE = 32 * 1024 * 1024
PATIENCE = 20


class App:
    """A Flask app whose `/held` waits to be released."""

    def __init__(self):
        self.release = threading.Event()
        self.entered = threading.Semaphore(0)
        self.flask = Flask("small")
        self.flask.config["MAX_CONTENT_LENGTH"] = 64 * 1024
        self.flask.wsgi_app = LocalReverseProxy(self.flask.wsgi_app)

        @self.flask.route("/", defaults={"path": ""}, methods=["GET", "POST"])
        @self.flask.route("/<path:path>", methods=["GET", "POST"])
        def echo(path):
            return {
                "path": request.path,
                "query": request.query_string.decode(),
                "address": request.remote_addr,
                "scheme": request.scheme,
                "host": request.host,
                "headers": {name.lower(): value for name, value in request.headers.items()},
                "length": len(request.get_data()),
                "cookies": request.cookies,
            }

        @self.flask.get("/large")
        def large():
            return Response(b"x" * LARGE)

        @self.flask.get("/held")
        def held():
            self.entered.release()
            self.release.wait(PATIENCE)
            return "held"

        @self.flask.get("/broken")
        def broken():
            raise SystemError("broken on purpose")


@asynccontextmanager
async def serving(app=None, **limits):
    app = app or App()
    web = WebServer(app.flask, "127.0.0.1", 0, HttpLimits(**limits))
    await web.start()
    try:
        yield web
    finally:
        app.release.set()
        await web.stop()


def run(work):
    async def bounded():
        async with asyncio.timeout(PATIENCE * 2):
            return await work

    return uvloop.run(bounded())


async def say(web, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", web.port)
    writer.write(data)
    return reader, writer


async def answer(reader):
    """(status, headers, body) of the next answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines if line)
    return int(first.split()[1]), headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def ask(web, request_line="GET / HTTP/1.1", *headers, body=b""):
    lines = [request_line, "Host: 127.0.0.1", "Connection: close", *headers, "", ""]
    reader, writer = await say(web, "\r\n".join(lines).encode() + body)
    found = await answer(reader)
    writer.close()
    return found


async def echoed(web, *request):
    status, _, body = await ask(web, *request)
    assert status == 200
    return json.loads(body)


async def ended(reader):
    """Everything until the server has closed the connection."""
    try:
        return await reader.read()
    except ConnectionError:
        return b""


def test_the_app_sees_path_query_address_and_headers_as_they_were_sent():
    async def main():
        async with serving() as web:
            found = await echoed(
                web, "GET /a%20b/%C3%A9?x=%2F&y HTTP/1.1", "X-One: 1", "X-One: 2", "Cookie: a=1", "Cookie: b=2"
            )
            assert found["path"] == "/a b/é"
            assert found["query"] == "x=%2F&y"
            assert (found["address"], found["scheme"]) == ("127.0.0.1", "http")
            assert found["headers"]["x-one"] == "1,2"
            assert found["cookies"] == {"a": "1", "b": "2"}

    run(main())


def test_a_neighbouring_reverse_proxy_is_believed_and_underscores_cannot_speak_for_it():
    async def main():
        async with serving() as web:
            found = await echoed(
                web,
                "GET / HTTP/1.1",
                "X-Forwarded-For: 203.0.113.9",
                "X-Forwarded-Proto: https",
                "X-Forwarded-Host: ticks.example",
            )
            assert (found["address"], found["scheme"], found["host"]) == ("203.0.113.9", "https", "ticks.example")
            found = await echoed(web, "GET / HTTP/1.1", "X_Forwarded_For: 203.0.113.9")
            assert found["address"] == "127.0.0.1"

    run(main())


@pytest.mark.parametrize(
    ("request_line", "headers", "body"),
    [
        ("POST / HTTP/1.1", ("Content-Length: 5",), b"hello"),
        ("POST / HTTP/1.1", ("Transfer-Encoding: chunked",), b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
    ],
)
def test_a_body_reaches_the_app_whole(request_line, headers, body):
    async def main():
        async with serving() as web:
            status, _, found = await ask(web, request_line, *headers, body=body)
            assert status == 200
            assert json.loads(found)["length"] == 5

    run(main())


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (("Content-Length: 9999999999",), b""),
        (("Transfer-Encoding: chunked",), b"11000\r\n" + b"x" * 0x11000 + b"\r\n0\r\n\r\n"),
    ],
)
def test_a_body_that_is_too_long_is_refused_and_not_read_to_its_end(headers, body):
    async def main():
        async with serving() as web:
            status, found, _ = await ask(web, "POST / HTTP/1.1", *headers, body=body)
            assert status == 413
            assert found["connection"] == "close"

    run(main())


def test_requests_sent_ahead_are_answered_in_their_order():
    async def main():
        async with serving() as web:
            reader, writer = await say(
                web, b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(10))
            )
            assert [json.loads((await answer(reader))[2])["path"] for _ in range(10)] == [f"/{n}" for n in range(10)]
            writer.close()

    run(main())


@pytest.mark.parametrize(
    "words",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 300_000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["no host", "endless header", "many headers", "two lengths", "many ahead", "tls"],
)
def test_a_request_that_is_none_ends_its_connection_only(words):
    async def main():
        async with serving() as web:
            reader, writer = await say(web, words)
            heard = await ended(reader)
            assert heard == b"" or b" 400 " in heard
            writer.close()
            assert (await ask(web))[0] == 200

    run(main())


@pytest.mark.parametrize(
    "beginning",
    [b"", b"\r\n", b"GET / HTTP/1.1\r\nHost:", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"],
    ids=["silent", "empty lines", "half a head", "half a body"],
)
def test_a_client_that_does_not_finish_its_request_is_hung_up_on(beginning):
    async def main():
        async with serving(head=0.1, body=0.1) as web:
            reader, writer = await say(web, beginning)
            assert await ended(reader) == b""
            assert web.guard.counters.timed_out == 1
            assert len(web.guard) == 0
            writer.close()

    run(main())


def test_idle_connections_make_room_for_new_ones_and_lock_nobody_out():
    async def main():
        async with serving(connections=20) as web:
            idle = [await say(web, b"") for _ in range(60)]
            assert (await ask(web))[0] == 200
            assert len(web.guard) <= 20
            assert web.guard.counters.evicted >= 40
            for _, writer in idle:
                writer.close()

    run(main())


def test_descriptors_beyond_1024_are_served_like_any_other():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2000:
        pytest.skip(f"this system allows {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]

    async def main():
        async with serving() as web:
            assert web._listening.fileno() > 1024
            assert [(await ask(web))[0] for _ in range(3)] == [200] * 3

    try:
        run(main())
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_clients_that_do_not_read_hold_no_thread():
    async def main():
        async with serving(unread=0.1) as web:
            slow = [await say(web, b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(6)]
            for reader, _ in slow:
                await reader.readexactly(1)
            assert (await ask(web))[0] == 200
            while web.guard.counters.timed_out < 6:  # what lies unread too long is thrown away
                await asyncio.sleep(0.05)
            for _, writer in slow:
                writer.close()

    run(main())


def test_when_all_threads_are_taken_and_too_many_wait_the_next_is_told_to_come_again():
    async def main():
        app = App()
        async with serving(app) as web:
            held = [await say(web, b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(32)]
            for _ in range(4):
                await asyncio.to_thread(app.entered.acquire)
            status, headers, body = await ask(web)
            assert status == 503
            assert headers["retry-after"] == "1"
            assert json.loads(body)["code"] == "BUSY"
            app.release.set()
            for reader, writer in held:
                assert (await answer(reader))[2] == b"held"
                writer.close()
            assert (await ask(web))[0] == 200

    run(main())


def test_a_failing_app_is_logged_and_answered(caplog):
    async def main():
        app = App()
        app.flask.config["PROPAGATE_EXCEPTIONS"] = True
        async with serving(app) as web:
            status, _, body = await ask(web, "GET /broken HTTP/1.1")
            assert status == 500
            assert b"on purpose" not in body

    run(main())
    assert "on purpose" in caplog.text


def test_a_server_that_ends_starts_again_and_says_so(caplog):
    async def main():
        async with serving() as web:
            before = web._server
            before.servers[0].close()
            while web._server is before or not web._server.started:
                await asyncio.sleep(0.01)
            assert (await ask(web))[0] == 200

    with caplog.at_level(logging.ERROR):
        run(main())
    assert "starts again" in caplog.text


def test_stopping_waits_for_no_request_and_frees_the_port():
    async def main():
        app = App()
        async with serving(app) as web:
            _, writer = await say(web, b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.to_thread(app.entered.acquire)
            began = time.monotonic()
            await web.stop()
            assert time.monotonic() - began < 2
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", web.port)
            writer.close()

    run(main())


class Connection:
    """As much of one as the guard looks at."""

    def __init__(self, address):
        self.address = address
        self.transport = self
        self.aborted = False

    def abort(self):
        self.aborted = True


def test_one_address_has_its_share_and_takes_room_from_itself_only():
    guard = HttpGuard(HttpLimits(connections=10, per_address=2))
    other, first, second, third = (Connection(name) for name in ("198.51.100.1", *["203.0.113.9"] * 3))
    assert all(guard.admit(one) for one in (other, first, second, third))
    assert (other.aborted, first.aborted, second.aborted) == (False, True, False)
    guard.works(second)
    guard.works(third)
    assert not guard.admit(Connection("203.0.113.9"))
    assert guard.admit(Connection("198.51.100.1"))
    assert (guard.counters.evicted, guard.counters.refused) == (1, 1)


def test_loopback_may_use_all_places():
    guard = HttpGuard(HttpLimits(connections=10, per_address=2))
    connections = [Connection("127.0.0.1") for _ in range(10)]
    assert all(guard.admit(one) for one in connections)
    assert not any(one.aborted for one in connections)
