"""What clients and strangers can do to others over the WebSocket; `make attack` prints the figures."""

import asyncio
import gc
import json

import pytest
import uvloop

from support.loop_watch import loop_watch
from support.raw_client import frame, raw_client, request
from support.servers import PATIENCE, connected, eventually, running_proxy

MOST = 0.015
"""Seconds of CPU for which one request may hold the loop here: 5 ms are wanted, and this machine may be a slow
one."""


def run(main):
    return uvloop.run(main)


async def long_requests():
    """The longest hold of the loop by requests about 9,000 symbols and by hostile ones, seconds of CPU."""
    found = {}
    many = [{"symbol": f"S{number}", "exchange": "NSE", "mode": "LTP"} for number in range(9000)]
    frames = {
        "subscribe": {"action": "subscribe", "symbols": many},
        "subscribe again": {"action": "subscribe", "symbols": many},
        "list": {"action": "list_subscriptions"},
        "unsubscribe": {"action": "unsubscribe", "symbols": many[:4500]},
        "unsubscribe all": {"action": "unsubscribe_all"},
        "numbers": {"action": "subscribe", "symbols": [1] * 400_000},
        "nested": {"action": "subscribe", "symbols": [[[]]] * 100_000},
        "strings": {"action": "subscribe", "symbols": ["A:B"] * 150_000},
    }
    async with running_proxy(rate=100_000) as proxy:
        for name, message in frames.items():
            async with raw_client(proxy.port) as client:
                client.send(frame(b'{"action":"authenticate","api_key":"good"}'))
                await client.receive()
                if name in ("list", "unsubscribe", "unsubscribe all", "subscribe again"):
                    client.send(frame(json.dumps(frames["subscribe"]).encode()))
                    await answer(client)
                data = frame(json.dumps(message).encode())
                gc.collect()
                gc.disable()  # the test's own objects are not the server's
                try:
                    async with loop_watch() as watch:
                        client.send(data)
                        await answer(client)
                finally:
                    gc.enable()
                found[name] = watch.longest
            await eventually(lambda: not proxy.clients and not proxy.index.subscriptions)
    return found


async def answer(client):
    while (got := await asyncio.wait_for(client.receive(), PATIENCE))[0] not in (1, 8):
        pass
    return got


def test_no_request_holds_the_loop():
    held = run(long_requests())
    assert max(held.values()) < MOST, held


async def strangers_requests(connections=4, seconds=1.0):
    """Another client's longest wait for a pong while strangers ask for thousands of symbols, seconds; and how
    often."""
    hostile = frame(json.dumps({"action": "subscribe", "symbols": ["A:B"] * 500}).encode())
    async with running_proxy() as proxy, connected(proxy) as good:
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds

        async def attack():
            while loop.time() < ends:
                async with raw_client(proxy.port) as client:
                    for _ in range(20):
                        client.send(hostile)
                        await client.receive()

        attackers = [asyncio.create_task(attack()) for _ in range(connections)]
        waits = []
        while loop.time() < ends:
            began = loop.time()
            await good.ask(action="ping")
            waits.append(loop.time() - began)
        for attacker in attackers:
            await asyncio.gather(attacker, return_exceptions=True)
        return max(waits), len(waits)


def test_strangers_who_ask_for_much_keep_nobody_waiting():
    longest, count = run(strangers_requests())
    assert longest < 0.5
    assert count > 10


async def unfinished_frames(count=300):
    """Bytes that the server keeps of unfinished megabytes of strangers, each."""
    kept = []
    async with running_proxy() as proxy:
        hostile = frame(b"x" * (1 << 20))[: 512 << 10]
        writers = []
        for _ in range(count):
            _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(request() + hostile)
            writers.append(writer)
        await eventually(lambda: proxy.counters.closes.get(1009, 0) == count)
        kept = [client.protocol.unfinished for client in proxy.clients]
        for writer in writers:
            writer.transport.abort()
    return max(kept, default=0)


def test_unfinished_messages_of_strangers_are_not_kept():
    assert run(unfinished_frames(50)) <= 32 << 10


async def unread_answers(requests=2500, subscriptions=2000):
    """Another client's longest wait while one asks for long answers that it does not read, seconds; and what is
    kept."""
    async with running_proxy(rate=100_000) as proxy, connected(proxy) as good, raw_client(proxy.port) as client:
        client.send(frame(b'{"action":"authenticate","api_key":"good"}'))
        await client.receive()
        symbols = [f"NSE:S{number}" for number in range(subscriptions)]
        client.send(frame(json.dumps({"action": "subscribe", "symbols": symbols}).encode()))
        await answer(client)
        client.writer.transport.pause_reading()
        client.send(frame(b'{"action":"list_subscriptions"}') * requests)
        loop = asyncio.get_running_loop()
        waits = []
        for _ in range(200):
            began = loop.time()
            await good.ask(action="ping")
            waits.append(loop.time() - began)
        (session,) = [session for session in proxy.clients if session.paused or session.full]
        return max(waits), session.write_buffer_size()


def test_answers_that_are_not_read_are_not_made():
    longest, kept = run(unread_answers())
    assert longest < 0.5
    assert kept < 2 << 20


async def crowd(count=600):
    """Whether clients still find their place while strangers hold as many connections as they get."""
    async with running_proxy(max_unauthenticated=100, max_connections=50) as proxy:
        writers = [(await asyncio.open_connection("127.0.0.1", proxy.port))[1] for _ in range(count)]
        good = 0
        for _ in range(20):
            async with connected(proxy) as client:
                good += (await client.ask(action="ping"))["type"] == "pong"
        held = proxy.unauthenticated
        for writer in writers:
            writer.transport.abort()
        return good, held


def test_a_crowd_of_strangers_takes_no_place_of_a_client():
    good, held = run(crowd(200))
    assert good == 20
    assert held <= 50


@pytest.mark.parametrize("rate", [40])
def test_a_flood_of_requests_is_carried_out_at_the_rate(rate):
    async def main():
        async with running_proxy(rate=rate, burst=20) as proxy, connected(proxy) as flood, connected(proxy) as good:
            for number in range(2000):
                await flood.send(action="ping", request_id=number)
            loop = asyncio.get_running_loop()
            began = loop.time()
            done = 0
            while loop.time() - began < 1.0:
                done += (await flood.receive()).get("type") == "pong"
                assert (await good.ask(action="ping") if done % 20 == 0 and done < 400 else {"type": "pong"})["type"]
            assert done <= 20 + 2 * rate * (loop.time() - began) + 5

    run(main())
