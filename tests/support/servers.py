"""A running proxy, and clients to talk to it, for end-to-end tests over real sockets."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

import websockets
import zmq

from tickmux.feeds.feed_directory import ExternalSource
from tickmux.feeds.market_hours import MarketHours
from tickmux.feeds.publishers import Publishers
from tickmux.websocket_proxy.bus import BusAddress
from tickmux.websocket_proxy.server import WebSocketProxy
from tickmux.websocket_proxy.session_host import Limits

PATIENCE = 30.0
"""How long a test waits for what must come; nothing waits so long unless it has failed."""


@asynccontextmanager
async def running_proxy(feed: Any = None, **limits: Any) -> AsyncIterator[WebSocketProxy]:
    """A proxy on free ports. Key `good` is bob's, `other` is eve's; all get `feed` (publishers on the bus)."""
    served = feed

    async def verify(key: str) -> str | None:
        return {"good": "bob", "other": "eve"}.get(key)

    async def feed_of(user: str) -> Any:
        return served

    proxy = WebSocketProxy(
        "127.0.0.1",
        0,
        high_water_mark=100_000,
        verify=verify,
        feed_of=feed_of,
        brokers=("angel", "zerodha"),
        limits=Limits(**limits),
    )
    await proxy.start()
    assert proxy.bus is not None
    source = ExternalSource("127.0.0.1", 0, None, proxy.now_ms, MarketHours(always_open=True))
    served = feed or source.make("external", BusAddress(proxy.bus.endpoint))
    source.start()
    _publishers[proxy] = source.publishers
    try:
        yield proxy
    finally:
        if feed is None:
            await served.stop()
        source.close()
        await proxy.stop()


_publishers: WeakKeyDictionary[WebSocketProxy, Publishers] = WeakKeyDictionary()
"""Where publishers of a running proxy connect."""


class Client:
    """A WebSocket client that speaks in dicts."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def receive(self) -> Any:
        return json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE))

    async def ask(self, **message: Any) -> Any:
        """Sends a request and returns the next message that is no market data."""
        await self.send(**message)
        return await self.until(lambda answer: answer.get("type") != "market_data")

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> Any:
        """The first message that is wanted; others are dropped."""
        while True:
            message = await self.receive()
            if wanted(message):
                return message

    async def data(self, symbol: str | None = None, mode: int | None = None) -> Any:
        """The next market data, of a symbol and mode where they are given."""
        return await self.until(
            lambda message: (
                message.get("type") == "market_data"
                and symbol in (None, message["symbol"])
                and mode in (None, message["mode"])
            )
        )

    async def nothing_before_pong(self) -> list[Any]:
        """What comes before the answer to a ping: all that the server had to say so far."""
        await self.send(action="ping")
        found = []
        while (message := await self.receive()).get("type") != "pong":
            found.append(message)
        return found

    async def closed(self) -> tuple[int, str]:
        """Waits for the server's close frame: its code and reason."""
        try:
            while True:
                await asyncio.wait_for(self.socket.recv(), PATIENCE)
        except websockets.ConnectionClosed as closed:
            received = closed.rcvd
            return (received.code, received.reason) if received else (1006, "")


@asynccontextmanager
async def connected(proxy: Any, key: str | None = "good", **options: Any) -> AsyncIterator[Client]:
    """A client, authenticated unless `key` is None."""
    async with websockets.connect(f"ws://127.0.0.1:{proxy.port}", max_size=None, ping_interval=None) as socket:
        client = Client(socket)
        if key is not None:
            await client.send(action="authenticate", api_key=key, options=options)
            answer = await client.receive()
            assert answer["status"] == "success", answer
        yield client


class Publisher:
    """An OpenAlgo publisher: PUB that connects, topic and JSON payload."""

    def __init__(self, proxy: WebSocketProxy) -> None:
        self._socket = zmq.Context.instance().socket(zmq.XPUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self.door = _publishers[proxy]
        self._socket.connect(self.door.endpoint)

    async def ready(self) -> None:
        """Waits until the proxy's subscription has arrived."""
        while not self._socket.poll(0):
            await asyncio.sleep(0)
        self._socket.recv()

    def publish(self, topic: str, payload: Any) -> None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._socket.send_multipart([topic.encode(), body])

    def send_raw(self, *parts: bytes) -> None:
        self._socket.send_multipart(list(parts))

    def close(self) -> None:
        self._socket.close(0)


@asynccontextmanager
async def publisher(proxy: WebSocketProxy) -> AsyncIterator[Publisher]:
    source = Publisher(proxy)
    await asyncio.wait_for(source.ready(), PATIENCE)
    try:
        yield source
    finally:
        source.close()


async def eventually(condition: Callable[[], Any], what: str = "the condition") -> Any:
    """Lets the loop run until the condition holds."""
    ends = time.monotonic() + PATIENCE
    while not (result := condition()):
        if time.monotonic() > ends:
            raise AssertionError(f"{what} did not come true within {PATIENCE:g} s")
        await asyncio.sleep(0.001)
    return result
