"""WebSocketProxy: the door, the bus, and the life-cycle of everything between.

Owns the door (`client_door.py`), the bus subscriber, the dispatcher, one sweeping task and the tasks that close
sessions of clients that have gone. Bounded by `Limits`. It is the `SessionHost` of its clients' sessions.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from itertools import count

from tickmux import owned_task
from tickmux.errors import CloseCode
from tickmux.websocket_proxy.bus import BusSubscriber
from tickmux.websocket_proxy.client_door import ClientDoor
from tickmux.websocket_proxy.client_protocol import ClientProtocol
from tickmux.websocket_proxy.client_session import ClientSession
from tickmux.websocket_proxy.dispatcher import Dispatcher
from tickmux.websocket_proxy.feed import Feed, Move
from tickmux.websocket_proxy.handshake import Origins
from tickmux.websocket_proxy.port_check import check_port
from tickmux.websocket_proxy.refusals import Refusals
from tickmux.websocket_proxy.session_host import Limits, ProxyCounters
from tickmux.websocket_proxy.subscription_index import SubscriptionIndex

_SWEEP_INTERVAL = 0.25
_SLOW_ROUNDS = 4
"""Sweeps between two looks at whether a client reads at all."""
_LOST_ROUNDS = 40
"""Each client is asked whether it still exists once in so many sweeps."""
_GOODBYE_TIMEOUT = 1.2
_VERIFIERS = 2
"""Keys that are verified at once: each costs a core and much memory for tens of milliseconds."""


class WebSocketProxy:
    """Serves clients on one socket. `verify` tells the user of an API key, `feed_of` the feed of a user."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        high_water_mark: int,
        verify: Callable[[str], Awaitable[str | None]],
        feed_of: Callable[[str], Awaitable[Feed]],
        brokers: Sequence[str],
        limits: Limits | None = None,
        origins: Origins | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.limits = limits or Limits()
        self.brokers = brokers
        self.counters = ProxyCounters()
        self.refusals = Refusals(time.monotonic)
        self.index: SubscriptionIndex[ClientSession] = SubscriptionIndex()
        self.dispatcher: Dispatcher[ClientSession] = Dispatcher(self.index, time.monotonic)
        self.feed_of = feed_of
        self.clients: set[ClientSession] = set()
        self._authenticated = 0
        self._verify = verify
        self._verifiers = asyncio.Semaphore(_VERIFIERS)
        self._high_water_mark = high_water_mark
        self.bus: BusSubscriber | None = None
        self._origins = origins or Origins()
        self._door: ClientDoor | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._farewells: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Binds the port; raises PortTaken. Feeds may publish once this has returned."""
        check_port("WEBSOCKET_PORT", self.host, self.port)
        self.bus = BusSubscriber(
            high_water_mark=self._high_water_mark,
            on_message=self.dispatcher.on_message,
            on_drained=self.dispatcher.flush,
        )
        self.bus.start()
        self._door = ClientDoor(self.limits, self._origins, self.refusals, self._session)
        self.port = await self._door.open(self.host, self.port)
        self._sweeper = owned_task.keep_running(self._sweep, "sweep of slow clients")

    async def stop(self) -> None:
        """Says goodbye to all clients and frees the ports, within two seconds."""
        if self._door is not None:
            self._door.close()
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

    @property
    def unauthenticated(self) -> int:
        """Connections that have not authenticated."""
        return self._door.unauthenticated if self._door is not None else 0

    def admit(self, client: ClientSession) -> bool:
        """Whether there is room for one more client; strangers do not count."""
        self.clients.add(client)
        self.counters.connections += 1
        return self._has_place()

    def authenticated(self, client: ClientSession) -> bool:
        """Gives a client that has shown a good key a place of its own; False when there is none left."""
        if not self._has_place():
            return False
        self._authenticated += 1
        if self._door is not None:
            self._door.authenticated(client.protocol)
        return True

    def _has_place(self) -> bool:
        return self._authenticated < self.limits.max_connections

    def forget(self, client: ClientSession) -> None:
        """A client has gone: what it held is given back."""
        self.clients.discard(client)
        if client.feed is not None:
            self._authenticated -= 1
        task = owned_task.start(client.farewell(), "farewell of a client")
        self._farewells.add(task)
        task.add_done_callback(self._farewells.discard)

    def move(self, feed: Feed, moves: Sequence[Move]) -> None:
        """Moves the subscribers of a feed's topics to other ones (`feed.Mover`), those too that are just leaving."""
        grants = {move.old: move.grant for move in moves}
        index = self.index
        for client, slot, held in index.holders(grants.keys()):
            grant = grants[held.topic.key]
            reading = client in held.lane.appends
            index.add(client, grant.key, grant.topic, feed.broker, held.lane.key)
            if not reading:  # its answer has not gone out yet, or its socket is full: as it was before
                index.withhold(client, slot)
                if client.paused:
                    client.marks[slot] = index.held(client)[slot].topic.count

    async def verify(self, api_key: str) -> str | None:
        """The name of the user whose key this is, or None."""
        async with self._verifiers:
            return await self._verify(api_key)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def _session(self, protocol: ClientProtocol) -> ClientSession:
        return ClientSession(self, protocol)

    # -- slow consumers -----------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        """Asks clients whether they keep up and live; hangs up on those that have read nothing for too long while
        data waited, or that have gone unseen."""
        for round_ in count():
            await asyncio.sleep(_SWEEP_INTERVAL)
            now = time.monotonic()
            for number, client in enumerate(tuple(self.clients)):
                client.look_after(now)
                if number % _LOST_ROUNDS == round_ % _LOST_ROUNDS:
                    client.drop_if_lost()
                if number % _SLOW_ROUNDS == round_ % _SLOW_ROUNDS and client.has_stopped_reading(now):
                    client.close(CloseCode.SLOW_CONSUMER, "you read nothing while data waited")
