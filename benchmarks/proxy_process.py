"""The server under test: `python -m benchmarks.proxy_process [KITE_URL]`.

tickmux's WebSocketProxy on uvloop, as `tickmux serve` runs it, without database: every key is good. Its feed is
`BusFeed`, or with KITE_URL a LocalFeed with Zerodha's adapter that connects there. Prints its ports as a JSON line;
runs until standard input ends.
"""

import asyncio
import json
import logging
import resource
import sys

import uvloop
import zmq

from benchmarks.market import BusFeed, KiteInstruments, KiteSessions
from tickmux.broker.zerodha.streaming.zerodha_adapter import ZerodhaAdapter
from tickmux.feeds.local_feed import LocalFeed
from tickmux.feeds.market_hours import MarketHours
from tickmux.websocket_proxy.bus import BusPublisher, BusReader, BusSubscriber
from tickmux.websocket_proxy.connection_manager import PoolLimits
from tickmux.websocket_proxy.feed import Feed
from tickmux.websocket_proxy.server import WebSocketProxy

_HIGH_WATER_MARK = 100_000


async def serve(kite_url: str | None) -> None:
    feed: Feed

    async def verify(key: str) -> str:
        return "benchmark"

    async def feed_of(user: str) -> Feed:
        return feed

    proxy = WebSocketProxy(
        "127.0.0.1",
        0,
        high_water_mark=_HIGH_WATER_MARK,
        verify=verify,
        feed_of=feed_of,
        brokers=("zerodha",),
    )
    await proxy.start()
    assert proxy.bus is not None
    feed = _kite_feed(kite_url, proxy.bus.endpoint) if kite_url else BusFeed()
    socket, reader = _open_bus(proxy)
    print(json.dumps({"port": proxy.port, "bus": socket.getsockopt_string(zmq.LAST_ENDPOINT)}), flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    await ended.wait()
    reader.stop()
    socket.close(0)
    await proxy.stop()
    await feed.stop()


def _open_bus(proxy: WebSocketProxy) -> tuple[zmq.Socket[bytes], BusReader]:
    """The bus for the publisher's process, without keys: what is measured is the way from the bus to the clients."""
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, _HIGH_WATER_MARK)
    socket.setsockopt(zmq.SUBSCRIBE, b"")
    socket.bind("tcp://127.0.0.1:*")
    reader = BusReader(socket, proxy.dispatcher.on_message, proxy.dispatcher.flush, BusSubscriber.DRAIN)
    reader.start()
    return socket, reader


def _kite_feed(url: str, endpoint: str) -> LocalFeed:
    return LocalFeed(
        ZerodhaAdapter({"feed": url}),
        "benchmark",
        bus=BusPublisher(endpoint, "zerodha:benchmark", high_water_mark=_HIGH_WATER_MARK),
        instruments=KiteInstruments(),
        sessions=KiteSessions(),
        limits=PoolLimits(),
        hours=MarketHours(always_open=True),
    )


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    logging.getLogger("picows").setLevel(logging.CRITICAL)
    uvloop.run(serve(sys.argv[1] if len(sys.argv) > 1 else None))
