"""The running system: database, simulator, proxy and feeds, put together as the settings want it.

`Runtime` is what `tickmux serve` and the Flask integration start; it owns everything that it makes, and `stop` ends
all of it within two seconds.
"""

import asyncio
from contextlib import AsyncExitStack
from typing import NamedTuple

from tickmux.config import Settings
from tickmux.database.api_keys import ApiKeys
from tickmux.database.broker_sessions import BrokerSessions
from tickmux.database.engine import Database
from tickmux.database.instrument_store import InstrumentStore
from tickmux.errors import ErrorCode, RequestError
from tickmux.feed_directory import (
    BrokerSource,
    ExternalSource,
    FeedDirectory,
    FeedSource,
    SimulatedSource,
    simulated_list,
)
from tickmux.simulator import load_simulator
from tickmux.simulator.base import BrokerSimulator
from tickmux.simulator.exchange import Exchange
from tickmux.websocket_proxy.broker_factory import broker_names, load_broker
from tickmux.websocket_proxy.feed import Feed
from tickmux.websocket_proxy.server import Limits, WebSocketProxy


class Upstream(NamedTuple):
    """Where ticks come from: one of the three, or each user's own broker session when all are unset.

    `seed` and `rate` (ticks a second) are the simulated exchange's.
    """

    broker: str | None = None
    simulate: str | None = None
    external: bool = False
    seed: int = 1
    rate: float = 1000.0


class Runtime:
    """One running tickmux. Call `start` and `stop` in the event loop that it shall live in."""

    def __init__(self, settings: Settings, database: Database, upstream: Upstream) -> None:
        self.settings = settings
        self.api_keys = ApiKeys(database, settings.api_key_pepper)
        self.sessions = BrokerSessions(database, settings.tickmux_secret)
        self.instruments = InstrumentStore(database)
        self.upstream = upstream
        self.feeds: FeedDirectory | None = None
        self.simulator: BrokerSimulator | None = None
        self.market: asyncio.Task[None] | None = None
        """The simulated exchange at work; cancelled, its market stands still."""
        self._stack = AsyncExitStack()
        self.proxy = WebSocketProxy(
            settings.websocket_host,
            settings.websocket_port,
            zmq_host=settings.zmq_host,
            zmq_port=settings.zmq_port,
            high_water_mark=settings.zmq_hwm,
            verify=self._verify,
            feed_of=self._feed_of,
            brokers=broker_names(),
            limits=Limits(
                throttle_ms=settings.message_throttle_ms,
                auth_grace=settings.ws_auth_grace_seconds,
                auth_attempts=settings.ws_auth_attempts,
                max_message=settings.ws_max_message_bytes,
                max_connections=settings.ws_max_connections,
                max_subscriptions=settings.ws_max_subscriptions,
                slow_consumer=settings.ws_slow_consumer_seconds,
                rate=settings.ws_max_requests_per_second,
            ),
        )

    async def start(self) -> None:
        """Raises PortTaken, UnknownBroker, UnknownSimulator; what had been started is stopped again."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        source = await self._source()
        await self.proxy.start()
        self._stack.push_async_callback(self.proxy.stop)
        bus = self.proxy.bus
        assert bus is not None  # noqa: S101 - started just above
        self.feeds = FeedDirectory(source, lambda: bus.endpoint)
        self._stack.push_async_callback(self.feeds.stop)

    async def stop(self) -> None:
        """Ends everything in the reverse order of its start; may be called twice."""
        await self._stack.aclose()

    async def _source(self) -> FeedSource:
        if self.upstream.external:
            return ExternalSource(self.proxy.now_ms)
        if self.upstream.simulate is not None:
            return await self._simulate(self.upstream.simulate)
        if self.upstream.broker is not None:
            load_broker(self.upstream.broker)  # a wrong name is an error now, not at the first client
        return BrokerSource(self.settings, self.sessions, self.instruments, self.upstream.broker)

    async def _simulate(self, name: str) -> FeedSource:
        exchange = Exchange(self.upstream.seed, self.upstream.rate)
        self.simulator = simulator = load_simulator(name)(exchange)
        await simulator.start()
        self._stack.push_async_callback(simulator.stop)
        self.market = asyncio.create_task(exchange.run(), name="simulated exchange")
        self._stack.push_async_callback(_cancel, self.market)
        await asyncio.to_thread(self._load_simulated_list, simulator)
        return SimulatedSource(self.settings, simulator, self.instruments)

    def _load_simulated_list(self, simulator: BrokerSimulator) -> None:
        """Through the broker's own parser, so that the simulation is of the whole way."""
        parser = load_broker(simulator.name).instruments()
        self.instruments.replace(
            simulated_list(simulator.name),
            (row for filename, data in simulator.instrument_dump() for row in parser.parse(data, filename)),
        )

    def running_feeds(self) -> list[Feed]:
        """The feeds that somebody has needed so far."""
        return self.feeds.feeds() if self.feeds is not None else []

    @property
    def bus_port(self) -> int:
        """Where publishers connect."""
        return self.proxy.bus.port if self.proxy.bus is not None else 0

    async def _feed_of(self, user: str) -> Feed:
        if self.feeds is None:
            raise RequestError(ErrorCode.BROKER_INIT_ERROR, "the server is still starting: try again")
        return await self.feeds.feed_of(user)

    async def _verify(self, api_key: str) -> str | None:
        user = await asyncio.to_thread(self.api_keys.verify, api_key)
        return user.name if user is not None else None


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
