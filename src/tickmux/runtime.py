"""The running system: database, simulator, proxy and feeds, put together as the settings want it.

`Runtime` is what `tickmux serve` and the Flask integration start; it owns everything that it makes, and `stop` ends
all of it within two seconds.
"""

import asyncio
import resource
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from tickmux.client_keys import ClientKeys, Keys
from tickmux.config import Settings
from tickmux.database.api_keys import ApiKeys
from tickmux.database.broker_sessions import BrokerSessions
from tickmux.database.engine import Database
from tickmux.database.instrument_store import InstrumentStore
from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds.chosen_feed import ChosenSource
from tickmux.feeds.feed_directory import (
    BrokerSource,
    ExternalSource,
    FeedDirectory,
    FeedSource,
    RemoteSource,
    SimulatedSource,
    Upstream,
)
from tickmux.feeds.list_renewal import ListRenewal, renewal_of
from tickmux.feeds.market_hours import MarketHours
from tickmux.feeds.remote.remote_feed import FeedLink
from tickmux.feeds.simulated_market import SimulatedMarket
from tickmux.feeds.stored_versions import StoredVersions
from tickmux.simulator.server.base import BrokerSimulator
from tickmux.websocket_proxy.broker_factory import broker_names, load_broker
from tickmux.websocket_proxy.bus import BusAddress, RemoteBus
from tickmux.websocket_proxy.bus_door import Door, tcp_endpoint
from tickmux.websocket_proxy.bus_keys import bus_keys
from tickmux.websocket_proxy.feed import Feed
from tickmux.websocket_proxy.handshake import Origins
from tickmux.websocket_proxy.server import WebSocketProxy
from tickmux.websocket_proxy.session_host import Limits

_OTHER_DESCRIPTORS = 512
"""Besides those of clients and browsers: feeds and the database."""


class Runtime:
    """One running tickmux. Call `start` and `stop` in the event loop that it shall live in.

    `more_keys` are API keys besides the stored ones, which are asked last.
    """

    def __init__(
        self, settings: Settings, database: Database, upstream: Upstream, more_keys: Sequence[Keys] = ()
    ) -> None:
        self.settings = settings
        self.started = 0.0
        """Epoch seconds."""
        self.api_keys = ApiKeys(database, settings.api_key_pepper)
        self.client_keys = ClientKeys((*more_keys, self.api_keys), lambda: self.proxy.clients)
        self.sessions = BrokerSessions(database, settings.tickmux_secret)
        self.instruments = InstrumentStore(database)
        self._versions = StoredVersions(self.sessions, self.instruments)
        self.upstream = upstream
        self.feeds: FeedDirectory[Feed] | None = None
        self.chosen: ChosenSource | None = None
        """The source, where users choose their own."""
        self.simulator: BrokerSimulator | None = None
        self.market: asyncio.Task[None] | None = None
        """The simulated exchange at work; cancelled, its market stands still."""
        self.door: Door | None = None
        """The bus' socket on TCP, where there is one."""
        self.remote_bus: RemoteBus | None = None
        self.renewal: ListRenewal | None = None
        """Keeps instrument lists fresh, where feeds are in this process and the settings want it."""
        self._stack = AsyncExitStack()
        self.proxy = WebSocketProxy(
            settings.websocket_host,
            settings.websocket_port,
            high_water_mark=settings.zmq_hwm,
            verify=self.client_keys.verify,
            feed_of=self._feed_of,
            brokers=broker_names(),
            origins=Origins(settings.ws_allowed_origins, urlsplit(settings.websocket_url).hostname or ""),
            limits=Limits(
                throttle_ms=settings.message_throttle_ms,
                auth_grace=settings.ws_auth_grace_seconds,
                auth_attempts=settings.ws_auth_attempts,
                max_message=settings.ws_max_message_bytes,
                max_connections=settings.ws_max_connections,
                max_subscriptions=settings.ws_max_subscriptions,
                slow_consumer=settings.ws_slow_consumer_seconds,
                max_unauthenticated=settings.ws_max_unauthenticated,
                rate=settings.ws_max_requests_per_second,
                burst=settings.ws_request_burst,
                ping_interval=settings.ws_ping_interval,
                ping_timeout=settings.ws_ping_timeout,
            ),
        )

    async def start(self) -> None:
        """Raises PortTaken, UnknownBroker, UnknownSimulator; what had been started is stopped again."""
        settings = self.settings
        clients = settings.ws_max_connections + settings.ws_max_unauthenticated
        _allow_descriptors(clients + settings.web_max_connections + _OTHER_DESCRIPTORS)
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        source = await self._source()
        await self.proxy.start()
        self._stack.push_async_callback(self.proxy.stop)
        self.client_keys.start()
        self._stack.push_async_callback(self.client_keys.stop)
        self.started = time.time()
        bus = self.proxy.bus
        assert bus is not None  # noqa: S101 - started just above
        self.feeds = FeedDirectory(source, lambda: BusAddress(bus.endpoint))
        self._stack.push_async_callback(self.feeds.stop)
        if isinstance(source, BrokerSource | ChosenSource):
            self.renewal = renewal_of(self.settings, self.instruments, self.sessions)
        if self.renewal is not None:
            self.renewal.start()
            self._stack.push_async_callback(self.renewal.stop)

    async def stop(self) -> None:
        """Ends everything in the reverse order of its start; may be called twice."""
        await self._stack.aclose()

    async def _source(self) -> FeedSource[Feed]:
        if self.upstream.external:
            return self._external()
        if self.settings.feed_process:
            return self._remote()
        self._versions.start()
        self._stack.push_async_callback(self._versions.stop)
        if self.upstream.simulate is not None:
            return await self._simulate(self.upstream.simulate)
        if self.upstream.broker is not None:
            load_broker(self.upstream.broker)  # a wrong name is an error now, not at the first client
            return BrokerSource(self.settings, self.sessions, self.instruments, self._versions, self.upstream.broker)
        self.chosen = ChosenSource(
            self.settings,
            self.sessions,
            self.instruments,
            self._versions,
            self.proxy.move,
            self.upstream.seed,
            self.upstream.rate,
        )
        self._stack.push_async_callback(self.chosen.stop)
        return self.chosen

    def _external(self) -> FeedSource[Feed]:
        settings = self.settings
        keys = None if settings.zmq_plain else bus_keys(settings.tickmux_home)
        hours = MarketHours(settings.market_holidays)
        source = ExternalSource(settings.zmq_host, settings.zmq_port, keys, self.proxy.now_ms, hours)
        source.start()
        self._stack.callback(source.close)
        self.door = source.door
        return source

    def _remote(self) -> FeedSource[Feed]:
        settings, dispatcher = self.settings, self.proxy.dispatcher
        keys = bus_keys(settings.tickmux_home)
        endpoint = tcp_endpoint(settings.feed_host, settings.feed_port, "FEED_HOST")
        link = FeedLink(endpoint, keys.for_feeds)
        self.remote_bus = RemoteBus(
            settings.zmq_host,
            settings.zmq_port,
            keys,
            high_water_mark=settings.zmq_hwm,
            on_message=dispatcher.on_message,
            on_drained=dispatcher.flush,
            offset=lambda: link.clock_offset,
            on_stale=link.ticks_missed,
        )
        self.remote_bus.start()
        self._stack.callback(self.remote_bus.close)
        self.door = self.remote_bus.door
        link.start()
        self._stack.push_async_callback(link.stop)
        return RemoteSource(link)

    async def _simulate(self, name: str) -> FeedSource[Feed]:
        market = SimulatedMarket(name, self.upstream.seed, self.upstream.rate, self.instruments)
        self._stack.push_async_callback(market.stop)
        await market.start()
        self.simulator, self.market = market.simulator, market.task
        return SimulatedSource(self.settings, market.simulator, self.instruments, self._versions)

    def running_feeds(self) -> list[Feed]:
        """The feeds that somebody has needed so far."""
        return self.feeds.feeds() if self.feeds is not None else []

    @property
    def bus_endpoint(self) -> str:
        """Where publishers, or a feed process, connect; empty where everything is in this process."""
        return self.door.endpoint if self.door is not None else ""

    async def _feed_of(self, user: str) -> Feed:
        if self.feeds is None:
            raise RequestError(ErrorCode.BROKER_INIT_ERROR, "the server is still starting: try again")
        return await self.feeds.feed_of(user)

    def disconnect(self, key_id: str) -> None:
        """Disconnects the clients of a key that is no longer valid."""
        self.client_keys.disconnect(key_id)


def _allow_descriptors(wanted: int) -> None:
    """Raises this process's soft limit as far as `wanted` needs and the hard limit lets: the usual 1,024 would
    refuse clients long before `WS_MAX_CONNECTIONS` does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
