"""A client that reads slower than its prices come gets fewer, not older ones."""

import asyncio
import time

import pytest
import uvloop

from support.servers import connected, eventually, publisher, running_proxy
from support.slow_reader import SlowReader

SYMBOLS = 150
PAD = "x" * 250


async def market(source, stop):
    """Every symbol about ten times a second."""
    number = 0
    while not stop.is_set():
        number += 1
        for symbol in range(SYMBOLS):
            source.publish(
                f"NSE_S{symbol}_LTP",
                {
                    "symbol": f"S{symbol}",
                    "exchange": "NSE",
                    "ltp": number,
                    "pad": PAD,
                    "timestamp": time.time_ns() // 10**6,
                },
            )
        await asyncio.sleep(0.1)


async def measured(share, seconds, **kind):
    """A reader at `share` of the traffic's speed, and one that reads all, beside each other."""
    wanted = {"symbols": [f"NSE:S{number}" for number in range(SYMBOLS)], "mode": "LTP"}
    async with running_proxy() as proxy, publisher(proxy) as source:
        stop = asyncio.Event()
        task = asyncio.create_task(market(source, stop))
        quick = SlowReader(None)
        await quick.connect(proxy.port, **wanted)
        began = time.monotonic()
        await quick.read_for(1.0)
        speed = quick.bytes / (time.monotonic() - began)
        slow = SlowReader(share * speed, **kind)
        await slow.connect(proxy.port, **wanted)
        quick.ages.clear()
        quick.bytes = 0
        began = time.monotonic()
        await asyncio.gather(quick.read_for(seconds), slow.read_for(seconds))
        quick.speed = quick.bytes / (time.monotonic() - began) / speed
        stop.set()
        await task
        quick.close()
        slow.close()
        return quick, slow


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_what_a_slow_reader_gets_is_never_old(share):
    quick, slow = uvloop.run(measured(share, 5.0))
    assert slow.worst(0.9) < 0.6
    assert slow.worst(1.0) < 1.5, "while it is found out"
    assert quick.worst(0.9) < 0.3
    assert len(slow.newest) == SYMBOLS, "every subscription has its turn"
    assert len(slow.ages) < len(quick.ages)


def test_the_close_code_reaches_a_client_that_had_stopped_reading():
    async def main():
        async with running_proxy(slow_consumer=0.3) as proxy, publisher(proxy) as source:
            deaf = SlowReader(None)
            names = [f"NSE:S{number}" for number in range(SYMBOLS)]
            await deaf.connect(proxy.port, symbols=names, mode="LTP", throttle_ms=0)
            async with connected(proxy) as quick:
                await quick.ask(action="subscribe", symbols=names[:1], mode="LTP")
                await eventually(lambda: proxy.index.subscriptions == SYMBOLS + 1)
                stop = asyncio.Event()
                task = asyncio.create_task(market(source, stop))
                await eventually(lambda: proxy.counters.closes.get(4408), "it is closed")
                await eventually(lambda: len(proxy.clients) == 1, "it is gone")
                assert (await quick.data())["symbol"] == "S0"
                stop.set()
                await task
            await deaf.read_for(30)
            assert deaf.close_code == 4408
            deaf.close()

    uvloop.run(main())


def test_a_full_socket_takes_the_close_frame_too():
    async def main():
        async with running_proxy(slow_consumer=0.3, ping_interval=0.0) as proxy, publisher(proxy) as source:
            deaf = SlowReader(None)
            await deaf.connect(proxy.port, symbols=["NSE:A"], mode="LTP", throttle_ms=0)
            await eventually(lambda: proxy.index.subscriptions == 1)
            while not proxy.counters.pauses:
                source.publish(
                    "NSE_A_LTP", {"symbol": "A", "exchange": "NSE", "ltp": 1, "pad": "x" * 50_000, "timestamp": 1}
                )
                await asyncio.sleep(0)
            await eventually(lambda: not proxy.clients, "it is gone")
            await deaf.read_for(30)
            assert deaf.close_code == 4408
            deaf.close()

    uvloop.run(main())
