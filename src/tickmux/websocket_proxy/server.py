"""WebSocketProxy: the listening socket, the bus, and the life-cycle of everything between.

Owns the server, the bus subscriber, the dispatcher, one sweeping task and the farewells of clients that have gone.
Bounded by `Limits`. It is the `SessionHost` of its clients' sessions.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import count

import picows
from picows import WSListener, WSUpgradeRequest

from tickmux import owned_task
from tickmux.errors import CloseCode
from tickmux.websocket_proxy.bus import BusSubscriber
from tickmux.websocket_proxy.client_session import ClientSession
from tickmux.websocket_proxy.dispatcher import Dispatcher
from tickmux.websocket_proxy.feed import Feed
from tickmux.websocket_proxy.port_check import check_port
from tickmux.websocket_proxy.session_host import Limits, ProxyCounters
from tickmux.websocket_proxy.subscription_index import SubscriptionIndex

_SWEEP_INTERVAL = 1.0
_LOST_ROUNDS = 10
"""Each client is asked whether it still exists once in so many sweeps."""
_GOODBYE_TIMEOUT = 1.0
_VERIFIERS = 2
"""Keys that are verified at once: each costs a core and much memory for tens of milliseconds."""


class WebSocketProxy:
    """Serves clients on one socket. `verify` tells the user of an API key, `feed_of` the feed of a user."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        zmq_host: str,
        zmq_port: int,
        high_water_mark: int,
        verify: Callable[[str], Awaitable[str | None]],
        feed_of: Callable[[str], Awaitable[Feed]],
        brokers: Sequence[str],
        limits: Limits | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.limits = limits or Limits()
        self.brokers = brokers
        self.counters = ProxyCounters()
        self.index: SubscriptionIndex[ClientSession] = SubscriptionIndex()
        self.dispatcher: Dispatcher[ClientSession] = Dispatcher(self.index, time.monotonic)
        self.feed_of = feed_of
        self.clients: set[ClientSession] = set()
        self._verify = verify
        self._verifiers = asyncio.Semaphore(_VERIFIERS)
        self._bus_address = (zmq_host, zmq_port, high_water_mark)
        self.bus: BusSubscriber | None = None
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._farewells: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Binds both ports; raises PortTaken. Publishers may connect once this has returned."""
        zmq_host, zmq_port, high_water_mark = self._bus_address
        check_port("WEBSOCKET_PORT", self.host, self.port)
        check_port("ZMQ_PORT", zmq_host, zmq_port)
        self.bus = BusSubscriber(
            zmq_host,
            zmq_port,
            high_water_mark=high_water_mark,
            on_message=self.dispatcher.on_message,
            on_drained=self.dispatcher.flush,
        )
        self.bus.start()
        self._server = await picows.ws_create_server(
            self._accept,
            self.host,
            self.port,
            max_frame_size=self.limits.max_message,
            disconnect_on_exception=True,
            enable_auto_pong=False,
            websocket_handshake_timeout=self.limits.auth_grace,
            logger_name="client",
            backlog=1024,
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._sweeper = owned_task.keep_running(self._sweep, "sweep of slow clients")

    async def stop(self) -> None:
        """Says goodbye to all clients and frees the ports, within two seconds."""
        if self._server is not None:
            self._server.close()
        await owned_task.end(self._sweeper)
        for client in tuple(self.clients):
            client.close(CloseCode.GOING_AWAY, "the server is shutting down")
        with suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_TIMEOUT):
                while self.clients or self._farewells:
                    await asyncio.wait([*self._farewells, owned_task.start(asyncio.sleep(0.01), "pause")])
        self.dispatcher.close()
        if self.bus is not None:
            self.bus.close()

    # -- the sessions' side -------------------------------------------------------------------------------

    def admit(self, client: ClientSession) -> bool:
        """Whether there is room for one more client."""
        if len(self.clients) >= self.limits.max_connections:
            return False
        self.clients.add(client)
        self.counters.connections += 1
        return True

    def forget(self, client: ClientSession) -> None:
        """A client has gone: what it held is given back."""
        self.clients.discard(client)
        task = owned_task.start(client.farewell(), "farewell of a client")
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    async def verify(self, api_key: str) -> str | None:
        """The name of the user whose key this is, or None."""
        async with self._verifiers:
            return await self._verify(api_key)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def _accept(self, request: WSUpgradeRequest) -> WSListener:
        return ClientSession(self)

    # -- slow consumers -----------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Hangs up on clients that have read nothing for too long while data waited, or that have gone unseen."""
        for round_ in count():
            await asyncio.sleep(_SWEEP_INTERVAL)
            now = time.monotonic()
            for number, client in enumerate(tuple(self.clients)):
                if number % _LOST_ROUNDS == round_ % _LOST_ROUNDS:
                    client.drop_if_lost()
                waiting = client.write_buffer_size()
                if not waiting or waiting != client.waiting_bytes:
                    client.waiting_bytes, client.waiting_since = waiting, now
                elif now - client.waiting_since >= self.limits.slow_consumer:
                    client.close(CloseCode.SLOW_CONSUMER, "you read nothing while data waited")
