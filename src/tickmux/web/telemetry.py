"""The state of proxy and feeds as the dashboard shows it.

Read from the web server's threads while the event loop counts: single attributes, and copies of collections made
in one step, so that a reading may be a moment old but never torn. Bounded by the clients that are connected.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from weakref import WeakKeyDictionary

from tickmux.database import BrokerSessions
from tickmux.feeds.market_hours import MarketHours
from tickmux.feeds.user_feed import UserFeed
from tickmux.runtime import Runtime
from tickmux.web.latency_probe import LatencyProbe
from tickmux.web.shapes import ClientState, ConnectionState, FeedDetail, Feeds, FeedStateName, Latency, ProxyState
from tickmux.websocket_proxy.app_integration import RunningProxy
from tickmux.websocket_proxy.broker_factory import UnknownBroker, load_broker
from tickmux.websocket_proxy.client_session import ClientSession
from tickmux.websocket_proxy.feed import Feed
from tickmux.websocket_proxy.feed_state import ChannelSize, ConnectionInfo
from tickmux.websocket_proxy.subscription_index import SubscriptionIndex

_CLIENTS = 50
_EXPIRY_CACHE = 5.0
_RECONNECTING = {"waiting": "reconnecting"}
"""What a connection that waits for its next attempt is called here."""


class Telemetry:
    """Reads one app's proxy. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._probes: WeakKeyDictionary[Runtime, LatencyProbe] = WeakKeyDictionary()
        self._numbers: WeakKeyDictionary[ClientSession, int] = WeakKeyDictionary()
        self._last_number = 0
        self._flowed: dict[str, tuple[int, float]] = {}
        self._last_ticks: dict[str, int] = {}
        self._expiries: tuple[float, dict[tuple[str, str], float | None]] = (0.0, {})

    def feeds(self, proxy: RunningProxy, url: str, sessions: BrokerSessions) -> Feeds:
        """Everything about the proxy and its feeds; `url` is where clients reach it."""
        runtime = proxy.runtime
        with self._lock:
            probe = self._probes.setdefault(runtime, LatencyProbe(runtime.proxy))
            full, inner = probe.look(proxy.loop)
            expiries = self._token_expiries(sessions)
            feeds = [_present(feed) for feed in runtime.running_feeds()]
            return Feeds(
                server_time=_now_ms(),
                proxy=self._proxy(runtime, url, probe, inner),
                feeds=[self._feed(runtime, feed, full, expiries) for feed in feeds],
            )

    # -- the proxy ----------------------------------------------------------------------------------------

    def _proxy(self, runtime: Runtime, url: str, probe: LatencyProbe, latency: Latency | None) -> ProxyState:
        proxy = runtime.proxy
        clients = [client for client in tuple(proxy.clients) if client.user]
        held = {client: len(proxy.index.held(client)) for client in clients}
        busiest = sorted(clients, key=lambda client: held[client], reverse=True)[:_CLIENTS]
        probing = int(probe.running)
        return ProxyState(
            url=url,
            started_at=int(runtime.started * 1000),
            clients=len(proxy.clients),
            clients_total=proxy.counters.connections,
            subscriptions=max(0, proxy.index.subscriptions - probing),
            instruments=len({(key.exchange, key.symbol) for key in _topic_keys(runtime)}),
            messages=max(0, proxy.dispatcher.delivered - probe.count),
            bytes=proxy.counters.bytes,
            conflated=proxy.dispatcher.conflated,
            latency_ms=latency,
            clients_detail=[
                ClientState(
                    id=self._number(client),
                    user=client.user,
                    since=client.since,
                    subscriptions=held[client],
                    messages=client.messages,
                    behind=_behind(proxy.index, client),
                    buffered_bytes=client.waiting_bytes,  # of the last second: the socket belongs to the loop
                )
                for client in busiest
            ],
        )

    def _number(self, client: ClientSession) -> int:
        number = self._numbers.get(client)
        if number is None:
            self._last_number += 1
            number = self._numbers[client] = self._last_number
        return number

    # -- feeds --------------------------------------------------------------------------------------------

    def _feed(
        self,
        runtime: Runtime,
        feed: Feed,
        latency: Latency | None,
        expiries: dict[tuple[str, str], float | None],
    ) -> FeedDetail:
        status, info = feed.status, feed.info()
        counters = info.counters
        simulated = feed.account == "simulator" or feed.account.startswith("simulator:")
        pool = next(iter(info.capacity.values()), None)
        expires_at = None if simulated else expiries.get((feed.account, feed.broker))
        ticks = counters.ticks if counters else None
        return FeedDetail(
            broker=feed.broker,
            title=feed_title(feed),
            account=None if simulated else feed.account,
            simulated=simulated,
            state=status.state.value,
            since=status.since,
            message=status.message,
            market_open=_market_open(runtime, feed, simulated),
            symbols=status.symbols,
            max_symbols=pool.symbols * pool.connections if pool else None,
            max_connections=pool.connections if pool else None,
            ticks=ticks,
            frames=counters.frames if counters else None,
            bytes=counters.bytes if counters else None,
            reconnects=counters.reconnects if counters else None,
            drops=counters.bus_dropped + counters.unrouted if counters else None,
            decode_errors=counters.malformed if counters else None,
            unknown_frames=counters.unknown if counters else None,
            last_tick=self._last_tick(feed.id, info.connections) if ticks else None,
            latency_ms=latency if self._flows(feed.id, ticks or 0) else None,
            token_expires_at=int(expires_at * 1000) if expires_at else None,
            connections=[_connection(one, info.capacity) for one in info.connections],
        )

    def _flows(self, feed: str, ticks: int) -> bool:
        """Whether ticks have come within the last seconds."""
        now = time.monotonic()
        before, moved = self._flowed.get(feed, (0, 0.0))
        if ticks != before:
            self._flowed[feed] = (ticks, now)
            return True
        return now - moved < _EXPIRY_CACHE

    def _last_tick(self, feed: str, connections: Sequence[ConnectionInfo]) -> int | None:
        """When the last tick came, epoch ms: of an earlier session where the present ones have had none."""
        if last := max((connection.last_tick or 0 for connection in connections), default=0):
            self._last_ticks[feed] = last
        return self._last_ticks.get(feed)

    def _token_expiries(self, sessions: BrokerSessions) -> dict[tuple[str, str], float | None]:
        """(user, broker) -> expiry, read from the database now and then only: the dashboard asks each second."""
        read_at, known = self._expiries
        if time.monotonic() - read_at >= _EXPIRY_CACHE or not read_at:
            known = {(one.user, one.broker): one.expires_at for one in sessions.list()}
            self._expiries = (time.monotonic(), known)
        return known


def feed_title(feed: Feed) -> str:
    """The feed's name for people."""
    try:
        return load_broker(feed.broker).adapter.display_name
    except UnknownBroker:
        return "Publishers on the bus"


def _present(feed: Feed) -> Feed:
    return feed.feed if isinstance(feed, UserFeed) else feed


def _topic_keys(runtime: Runtime) -> list[Any]:
    return [topic.key for topic in tuple(runtime.proxy.index.by_name.values()) if topic.key.exchange]


def _market_open(runtime: Runtime, feed: Feed, simulated: bool) -> bool | None:
    if simulated:
        return True
    if runtime.upstream.external:
        return None
    exchanges = load_broker(feed.broker).adapter.exchanges
    return MarketHours(runtime.settings.market_holidays).any_open(exchanges, datetime.now(UTC))


def _connection(connection: ConnectionInfo, capacity: Mapping[str, ChannelSize]) -> ConnectionState:
    channel = connection.channel
    state = cast("FeedStateName", _RECONNECTING.get(connection.state, connection.state))
    return ConnectionState(
        id=f"{channel}-{connection.number + 1}",
        channel=channel,
        state=state,
        since=connection.since,
        symbols=connection.symbols,
        max_symbols=capacity[channel].symbols,
        reconnects=connection.reconnects,
        last_frame=connection.last_frame,
    )


def _behind(index: SubscriptionIndex[ClientSession], client: ClientSession) -> int:
    """Payloads since the client's socket is full; of each subscription it will get the newest one only."""
    if not client.paused:
        return 0
    held = index.held(client)
    marks = tuple(client.marks.items())
    return sum(max(0, held[slot][1].topic.count - mark) for slot, mark in marks if slot in held)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
