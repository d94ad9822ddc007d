"""The WebSocket to a broker, against servers that misbehave below the protocol."""

import asyncio
import base64
import gc
import hashlib
import re

import pytest
import uvloop

from support.servers import PATIENCE, eventually
from tickmux.feeds.upstream import HandshakeRefused, _redirected, connect
from tickmux.websocket_proxy.base_adapter import Endpoint, Unavailable


def run(main):
    return uvloop.run(main())


class Server:
    """Shakes hands (or answers with `refusal`), then leaves the socket to the test."""

    def __init__(self, refusal=None):
        self.refusal = refusal
        self.arrived = asyncio.Queue()
        self.requests = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{self.port}/feed?token=secret"
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def _serve(self, reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(request)
        if self.refusal is not None:
            writer.write(self.refusal)
            writer.close()
            return
        key = re.search(rb"sec-websocket-key: (\S+)", request, re.IGNORECASE)[1]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        await self.arrived.put((reader, writer))


async def opened(server):
    messages, signs = [], []
    link = await connect(Endpoint(server.url), messages.append, lambda: signs.append(1))
    reader, writer = await asyncio.wait_for(server.arrived.get(), PATIENCE)
    return link, messages, signs, reader, writer


def test_fragments_become_one_message_and_controls_between_them_are_answered():
    async def main():
        async with Server() as server:
            link, messages, signs, reader, writer = await opened(server)
            writer.write(b"\x01\x02ab" + b"\x89\x01p" + b"\x80\x01c" + b"\x82\x02xy")
            await eventually(lambda: len(messages) == 2)
            assert messages == ["abc", b"xy"]
            assert signs == [1]
            assert (await reader.readexactly(7))[0] == 0x8A, "a pong"
            link.close()
            writer.close()

    run(main)


def test_invalid_text_reaches_the_codec_instead_of_ending_the_session():
    async def main():
        async with Server() as server:
            link, messages, _, _, writer = await opened(server)
            writer.write(b"\x81\x02\xff\xfe")
            await eventually(lambda: messages)
            assert messages == ["\ufffd\ufffd"]
            assert not link.closed.done()
            link.close()
            writer.close()

    run(main)


@pytest.mark.parametrize(
    ("frame", "code", "reason"),
    [
        (b"\x88\x06\x11\x31bye!", 4401, "bye!"),
        (b"\x88\x00", 1005, ""),
        (b"\x88\x03\x03\xe8\xff", 1006, "connection lost"),  # a reason that is no text: a protocol error
    ],
)
def test_a_close_frame_is_told_with_its_code_and_reason(frame, code, reason):
    async def main():
        async with Server() as server:
            link, _, _, _, writer = await opened(server)
            writer.write(frame)
            closed = await asyncio.wait_for(link.closed, PATIENCE)
            assert (closed.code, closed.reason) == (code, reason)
            writer.close()

    run(main)


def test_a_reset_that_comes_together_with_data_is_noticed():
    async def main():
        async with Server() as server:
            link, messages, _, _, writer = await opened(server)
            for _ in range(5):
                link.send(b"x" * 10)  # unread by the server, so that its close becomes a reset
            await asyncio.sleep(0.02)
            writer.write(b"\x82\x02ab")
            writer.transport.abort()
            await eventually(lambda: link.check() or link.closed.done(), "the end of the connection")
            assert messages in ([b"ab"], [])
            assert link.closed.result().code == 1006

    run(main)


def test_a_healthy_connection_passes_the_check():
    async def main():
        async with Server() as server:
            link, _, _, _, writer = await opened(server)
            link.check()
            assert not link.closed.done()
            link.close()
            link.check()
            writer.close()

    run(main)


@pytest.mark.parametrize("status", [400, 401, 403, 429, 440, 503, 513])
def test_a_refused_handshake_is_told_with_status_headers_and_body(status):
    async def main():
        refusal = b"HTTP/1.1 %d Some Reason\r\nX-Why: token\r\nContent-Length: 4\r\n\r\nnope" % status
        async with Server(refusal) as server:
            with pytest.raises(HandshakeRefused) as refused:
                await connect(Endpoint(server.url), print, print)
            assert (refused.value.status, refused.value.reason) == (status, "Some Reason")
            assert (refused.value.headers["x-why"], refused.value.body) == ("token", b"nope")

    run(main)


@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", b"HTTP/1.1 101 X\r\n\r\n", b""])
def test_an_answer_that_is_no_handshake_makes_the_broker_unavailable_and_names_no_secret(answer):
    async def main():
        async with Server(answer) as server:
            with pytest.raises(Unavailable) as failed:
                await connect(Endpoint(server.url), print, print, timeout=5)
            assert "secret" not in str(failed.value)

    run(main)


def test_nobody_there():
    async def main():
        async with Server() as server:
            url = server.url
        with pytest.raises(Unavailable) as failed:
            await connect(Endpoint(url), print, print)
        assert "secret" not in str(failed.value)

    run(main)


SECRETS = {"Authorization": "Bearer secret", "x-feed-token": "secret", "Cookie": "secret", "User-Agent": "tickmux"}


def redirect(target):
    return f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()


def test_a_redirect_to_another_host_is_followed_without_what_the_session_is_made_of():
    async def main():
        async with Server() as there, Server(redirect(f"{there.url}&code=once")) as here:
            link = await connect(Endpoint(here.url, SECRETS), print, print)
            _, writer = await asyncio.wait_for(there.arrived.get(), PATIENCE)
            assert b"Bearer secret" in here.requests[0]
            (request,) = there.requests
            assert request.startswith(b"GET /feed?token=secret&code=once ")
            assert b"tickmux" in request
            assert not any(word in request.lower() for word in (b"authorization", b"x-feed-token", b"cookie"))
            link.close()
            writer.close()

    run(main)


def test_a_redirect_on_the_same_host_keeps_them():
    async def main():
        class Moving(Server):
            async def _serve(self, reader, writer):
                self.refusal = None if self.requests else redirect("/other")
                await super()._serve(reader, writer)

        async with Moving() as server:
            link = await connect(Endpoint(server.url, SECRETS), print, print)
            _, writer = await asyncio.wait_for(server.arrived.get(), PATIENCE)
            assert server.requests[1].startswith(b"GET /other ")
            assert b"Bearer secret" in server.requests[1]
            link.close()
            writer.close()

    run(main)


@pytest.mark.parametrize("target", ["ftp://elsewhere/", "ws://[::1", "file:///etc/passwd"])
def test_a_redirect_to_something_else_than_a_websocket_is_not_followed(target):
    async def main():
        async with Server(redirect(target)) as server:
            with pytest.raises(Unavailable) as failed:
                await connect(Endpoint(server.url), print, print)
            assert "redirects" in str(failed.value)

    run(main)


def test_redirects_for_ever_are_given_up():
    async def main():
        async with Server(redirect("/feed")) as server:
            with pytest.raises(Unavailable):
                await connect(Endpoint(server.url), print, print)
            assert len(server.requests) == 4

    run(main)


def test_a_redirect_never_leaves_tls():
    with pytest.raises(Unavailable):
        _redirected(Endpoint("wss://feed.example/x"), "ws://feed.example/x")
    with pytest.raises(Unavailable):
        _redirected(Endpoint("wss://feed.example/x"), "http://feed.example/x")
    assert (
        _redirected(Endpoint("wss://feed.example/x", SECRETS), "https://feed.example/y").url == "wss://feed.example/y"
    )


def test_a_protocol_error_of_the_broker_ends_the_connection_and_leaves_no_exception_to_nobody():
    async def main():
        unheard = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: unheard.append(context))
        async with Server() as server:
            link, _, _, _, writer = await opened(server)
            writer.write(b"\xf3\x7f" + bytes(10))  # reserved bits, and a reserved opcode
            closed = await asyncio.wait_for(link.closed, PATIENCE)
            assert closed.code == 1006
            link.close()
            writer.close()
            del link
            await asyncio.sleep(0.05)
            gc.collect()
            await asyncio.sleep(0)
        assert unheard == []

    run(main)
