"""Each user's own choice of feed, which may change while clients are connected.

A user chooses a broker, or a broker's simulator (`Choice`, kept in the database as the user's active broker).
`UserFeed` is what his clients hold: it passes everything to the feed of the present choice, and carries their
subscriptions over when the choice changes. `ChosenSource` makes both, and owns the simulated markets.

Bounded: one feed a user, one simulated market a broker; a market that nobody has chosen stands still.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tickmux.config import Settings
from tickmux.database.broker_sessions import BrokerSessions
from tickmux.database.instrument_store import InstrumentStore
from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds.feed_directory import BrokerSource, make_simulated_feed, simulated_list
from tickmux.feeds.simulated_market import SimulatedMarket
from tickmux.feeds.stored_versions import StoredVersions
from tickmux.tick import Mode
from tickmux.websocket_proxy.broker_factory import UnknownBroker, load_broker
from tickmux.websocket_proxy.bus import BusAddress
from tickmux.websocket_proxy.feed import Feed, Grant, Want
from tickmux.websocket_proxy.feed_state import FeedInfo, FeedStatus, StatusListener, StatusListeners
from tickmux.websocket_proxy.mapping import DEFAULT_DEPTH
from tickmux.websocket_proxy.server import WebSocketProxy
from tickmux.websocket_proxy.subscription_index import TopicKey

_SIMULATED = simulated_list("")


class Choice(NamedTuple):
    """Where a user's ticks come from."""

    broker: str
    simulated: bool = False

    @property
    def stored(self) -> str:
        """How it is kept as the name of the user's active broker."""
        return simulated_list(self.broker) if self.simulated else self.broker

    @classmethod
    def load(cls, stored: str) -> "Choice":
        return cls(stored.removeprefix(_SIMULATED), stored.startswith(_SIMULATED))


class _Inner:
    """A feed in use, and how many calls of it are under way: it must not be stopped under them."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def subscribe(self, wants: Sequence[Want]) -> list[Grant | RequestError]:
        self._calls += 1
        self._idle.clear()
        try:
            return await self.feed.subscribe(wants)
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def stop(self) -> None:
        await self._idle.wait()
        await self.feed.stop()


class UserFeed:
    """The feed of one user, whatever it is that he has chosen."""

    def __init__(self, feed: Feed, choice: Choice, proxy: WebSocketProxy) -> None:
        self._proxy = proxy
        self._listeners = StatusListeners()
        self._adopt(feed, choice)

    def _adopt(self, feed: Feed, choice: Choice) -> None:
        self._inner = _Inner(feed)
        self.feed = feed
        """The feed of the present choice."""
        self.choice = choice
        self.id, self.broker, self.account = feed.id, feed.broker, feed.account
        self.has_orders = feed.has_orders
        self._unlisten = feed.listen(self._listeners.tell)

    @property
    def status(self) -> FeedStatus:
        return self.feed.status

    async def subscribe(self, wants: Sequence[Want]) -> list[Grant | RequestError]:
        while True:
            inner = self._inner
            granted = await inner.subscribe(wants)
            if inner is self._inner:
                return granted
            # Another choice meanwhile: what was granted has gone with the old feed.

    async def unsubscribe(self, keys: Sequence[TopicKey]) -> None:
        await self.feed.unsubscribe([key for key in keys if key.feed == self.id])

    def listen(self, listener: StatusListener) -> Callable[[], None]:
        return self._listeners.add(listener)

    def info(self) -> FeedInfo:
        return self.feed.info()

    async def stop(self) -> None:
        self._unlisten()
        await self._inner.stop()

    async def switch(self, feed: Feed, choice: Choice) -> None:
        """Goes on with another feed, which may bear the old one's name. What it does not serve stays subscribed,
        silent, until it is given up or a later choice serves it. One call at a time."""
        old = self._inner
        self._unlisten()
        self._adopt(feed, choice)
        self._listeners.tell(feed.status)
        try:
            await self._carry_over(feed)
        finally:
            await old.stop()

    async def _carry_over(self, feed: Feed) -> None:
        index = self._proxy.index
        held = [
            (client, slot, held)
            for client in tuple(self._proxy.clients)
            if client.feed is self
            for slot, held in index.held(client).items()
        ]
        wants = [
            Want(key.symbol, key.exchange, key.mode, (key.depth or DEFAULT_DEPTH) if key.mode == Mode.DEPTH else 0)
            for key in (held.topic.key for _, _, held in held)
        ]
        surplus = []
        for (client, slot, before), verdict in zip(held, await self._inner.subscribe(wants), strict=True):
            if not isinstance(verdict, Grant):
                continue
            now = index.held(client).get(slot)
            if now is None or now.topic is not before.topic:  # the client has thought better of it meanwhile
                surplus.append(verdict.key)
                continue
            index.add(client, verdict.key, verdict.topic, feed.broker, before.lane.key)
            if client.paused:
                client.marks.update(index.pause(client))
        await feed.unsubscribe(surplus)


class ChosenSource:
    """A `FeedSource` that gives each user what he has chosen. `seed` and `rate` are the simulated markets'."""

    def __init__(
        self,
        settings: Settings,
        sessions: BrokerSessions,
        store: InstrumentStore,
        versions: StoredVersions,
        proxy: WebSocketProxy,
        seed: int,
        rate: float,
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._store = store
        self._versions = versions
        self._proxy = proxy
        self._seed, self._rate = seed, rate
        self._brokers = BrokerSource(settings, sessions, store, versions, None)
        self._markets: dict[str, SimulatedMarket] = {}
        self._choices: dict[str, Choice] = {}
        self._feeds: dict[str, UserFeed] = {}
        self._address = BusAddress("")
        self._deciding = asyncio.Lock()
        """Choices are followed one at a time, so that a feed is never switched twice at once."""

    async def account_of(self, user: str) -> str:
        async with self._deciding:
            choice = await self._choice(user)
            self._choices[user] = choice
            feed = self._feeds.get(user)
            if feed is not None and feed.choice != choice:
                await feed.switch(self._make(user, choice), choice)
                await self._rest_markets()
        return user

    def make(self, account: str, address: BusAddress) -> Feed:
        self._address = address
        choice = self._choices[account]
        made = self._feeds[account] = UserFeed(self._make(account, choice), choice, self._proxy)
        return made

    async def renew(self, user: str) -> None:
        """Begins the user's feed anew: nothing of a session that was forgotten goes on."""
        async with self._deciding:
            feed = self._feeds.get(user)
            if feed is not None:
                await feed.switch(self._make(user, feed.choice), feed.choice)

    async def stop(self) -> None:
        """Ends the simulated markets; the feeds are the directory's."""
        markets, self._markets = self._markets, {}
        await asyncio.gather(*(market.stop() for market in markets.values()))

    async def _choice(self, user: str) -> Choice:
        """What the user has chosen, ready to be made a feed of."""
        stored = await asyncio.to_thread(self._sessions.active, user)
        if stored is None:
            raise RequestError(
                ErrorCode.BROKER_ERROR,
                f"{user} has no session with a broker: run `tickmux broker login BROKER --user {user}`, "
                "or choose a broker in the web app",
            )
        choice = Choice.load(stored)
        try:
            load_broker(choice.broker)
            if choice.simulated:
                await self._market(choice.broker)
        except UnknownBroker as error:
            raise RequestError(ErrorCode.BROKER_INIT_ERROR, str(error)) from None
        return choice

    async def _market(self, broker: str) -> None:
        """Sees to it that the broker's simulated market is in motion."""
        market = self._markets.get(broker)
        if market is None:
            market = SimulatedMarket(broker, self._seed, self._rate, self._store)
            try:
                await market.start()
            except BaseException:
                await market.stop()
                raise
            self._markets[broker] = market
        market.run()

    async def _rest_markets(self) -> None:
        used = {feed.choice.broker for feed in self._feeds.values() if feed.choice.simulated}
        for broker, market in self._markets.items():
            if broker not in used:
                await market.rest()

    def _make(self, user: str, choice: Choice) -> Feed:
        if not choice.simulated:
            return self._brokers.make(f"{choice.broker}:{user}", self._address)
        simulator = self._markets[choice.broker].simulator
        account = f"simulator:{user}"
        return make_simulated_feed(self._settings, simulator, account, self._address, self._store, self._versions)
