"""Feeds in a process of their own, for one or more proxies (`tickmux feed`).

`FeedProcess` owns everything that it makes: the feeds, the simulated market if there is one, and the host that
proxies talk to. Ticks go to the bus of the proxy at ZMQ_HOST:ZMQ_PORT. Both ways are encrypted with the keys in
TICKMUX_HOME, which are the server's as well.
"""

from contextlib import AsyncExitStack

from tickmux.config import Settings
from tickmux.database.broker_sessions import BrokerSessions
from tickmux.database.engine import Database
from tickmux.database.instrument_store import InstrumentStore
from tickmux.feeds.feed_directory import BrokerSource, FeedDirectory, FeedSource, SimulatedSource, Upstream
from tickmux.feeds.list_renewal import renewal_of
from tickmux.feeds.local_feed import LocalFeed
from tickmux.feeds.remote.feed_host import FeedHost
from tickmux.feeds.simulated_market import SimulatedMarket
from tickmux.feeds.stored_versions import StoredVersions
from tickmux.websocket_proxy.bus import BusAddress
from tickmux.websocket_proxy.bus_door import tcp_endpoint
from tickmux.websocket_proxy.bus_keys import bus_keys


class FeedProcess:
    """One running feed process. Call `start` and `stop` in the event loop that it shall live in."""

    def __init__(self, settings: Settings, database: Database, upstream: Upstream) -> None:
        self._settings = settings
        self._sessions = BrokerSessions(database, settings.tickmux_secret)
        self._instruments = InstrumentStore(database)
        self._versions = StoredVersions(self._sessions, self._instruments)
        self._upstream = upstream
        self._stack = AsyncExitStack()
        self._keys = bus_keys(settings.tickmux_home)
        self.bus = tcp_endpoint(settings.zmq_host, settings.zmq_port, "ZMQ_HOST")
        self.endpoint = ""
        """Where proxies connect, from `start` on."""

    async def start(self) -> None:
        """Raises PortTaken, UnknownSimulator; what had been started is stopped again."""
        try:
            self._versions.start()
            self._stack.push_async_callback(self._versions.stop)
            keys = self._keys
            feeds = FeedDirectory(await self._source(), lambda: BusAddress(self.bus, keys.for_feeds))
            self._stack.push_async_callback(feeds.stop)
            host = FeedHost(feeds.feed_of, self._settings.feed_host, self._settings.feed_port, keys)
            await host.start()
            self._stack.push_async_callback(host.stop)
            self.endpoint = host.endpoint
            renewal = renewal_of(self._settings, self._instruments, self._sessions)
            if renewal is not None and self._upstream.simulate is None:
                renewal.start()
                self._stack.push_async_callback(renewal.stop)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        await self._stack.aclose()

    async def _source(self) -> FeedSource[LocalFeed]:
        upstream = self._upstream
        if upstream.simulate is None:
            return BrokerSource(self._settings, self._sessions, self._instruments, self._versions, upstream.broker)
        market = SimulatedMarket(upstream.simulate, upstream.seed, upstream.rate, self._instruments)
        self._stack.push_async_callback(market.stop)
        await market.start()
        return SimulatedSource(self._settings, market.simulator, self._instruments, self._versions)
