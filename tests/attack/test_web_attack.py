"""What strangers can do to the web server of a running tickmux, without a key: none of it may stop the pages, or the
stream. Bounded: well under a minute."""

import asyncio
import json
import re
import resource
import time

import pytest
import uvloop

from support.running import served
from support.servers import connected

IDLE = 2000
PATIENCE = 15
"""Seconds until an answer, on a machine that is busy with other tests; alone it takes milliseconds."""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this system allows {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    with served(tmp_path_factory.mktemp("home"), "--simulate", "zerodha") as found:
        yield found


class Stream:
    """Where the WebSocket is, as `connected` wants it."""

    def __init__(self, running):
        self.port = int(running.url.rpartition(":")[2])


async def connect(running):
    return await asyncio.open_connection("127.0.0.1", int(running.web.rpartition(":")[2]))


async def health(running):
    """What the health page says, within PATIENCE; "come again" (503) is done so."""
    async with asyncio.timeout(PATIENCE):
        while True:
            reader, writer = await connect(running)
            writer.write(b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            if b" 200 " in head:
                return json.loads(body)
            assert b"retry-after" in head
            await asyncio.sleep(0.2)


async def under_attack(running, attack):
    """The health page answers, and prices reach a client, while `attack` has its hands on the server."""
    async with connected(Stream(running), running.key) as client:
        await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
        held = await attack(running)
        try:
            for _ in range(5):
                assert (await health(running))["proxy"]["running"]
                async with asyncio.timeout(PATIENCE):
                    assert (await client.data("SBIN"))["data"]["ltp"] > 0
        finally:
            for _, writer in held:
                writer.transport.abort()
    assert (await health(running))["proxy"]["running"]


async def slowest_page(running, attack):
    """The longest of twenty waits for a page, in seconds, while `attack` has its hands on the server."""
    held = await attack(running)
    waits = []
    for _ in range(20):
        began = time.monotonic()
        await health(running)
        waits.append(time.monotonic() - began)
    for _, writer in held:
        writer.transport.abort()
    return max(waits)


async def opened(running, count, words=b""):
    held = []
    for _ in range(count):
        held.append(await connect(running))
        held[-1][1].write(words)
    return held


async def idle(running):
    return await opened(running, IDLE)


async def slow_heads(running):
    return await opened(running, 500, b"GET / HTTP/1.1\r\nHost: x\r\nX-A:")


async def slow_bodies(running):
    return await opened(running, 300, b"POST /api/login HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{")


async def pages_unread(running):
    return await opened(running, 200, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 16)


async def endless_heads(running):
    return await opened(running, 50, b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000)


async def rubbish(running):
    return await opened(running, 300, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" * 100)


@pytest.mark.parametrize("attack", [idle, slow_heads, slow_bodies, pages_unread, endless_heads, rubbish])
def test_pages_and_stream_go_on_under(attack, running):
    uvloop.run(under_attack(running, attack))


def test_what_the_server_has_done_about_it_is_counted(running):
    async def main():
        await under_attack(running, idle)
        reader, writer = await connect(running)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        text = (await reader.read()).decode()
        writer.close()
        assert float(re.search(r"^tickmux_web_evicted_total (\S+)$", text, re.M)[1]) >= IDLE / 2

    uvloop.run(main())


def test_a_flood_of_requests_is_answered_or_told_to_come_again_and_the_stream_goes_on(running):
    async def asking(ends):
        reader, writer = await connect(running)
        heard = set()
        while time.monotonic() < ends:
            writer.write(b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].split()[0])
            await reader.readexactly(length)
            heard.add(int(head.split()[1]))
        writer.close()
        return heard

    async def main():
        async with connected(Stream(running), running.key) as client:
            await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
            flood = asyncio.gather(*[asking(time.monotonic() + 3) for _ in range(100)])
            prices = 0
            while not flood.done():
                async with asyncio.timeout(PATIENCE):
                    await client.data("SBIN")
                prices += 1
            assert prices >= 3
            assert set().union(*await flood) <= {200, 503}

    uvloop.run(main())
