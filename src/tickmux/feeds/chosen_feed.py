"""Each user's own choice of feed, which may change while clients are connected.

A user chooses a broker, or a broker's simulator (`Choice`, kept in the database as the user's active broker).
`ChosenSource` makes the `UserFeed` that his clients hold and the feeds it passes everything to, and owns the
simulated markets.

Bounded: one feed a user, one simulated market a broker; a market that nobody has chosen stands still.
"""

import asyncio
from collections import defaultdict
from typing import NamedTuple

from tickmux.config import Settings
from tickmux.database.broker_sessions import BrokerSessions
from tickmux.database.instrument_store import InstrumentStore
from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds.feed_directory import BrokerSource, make_simulated_feed, simulated_list
from tickmux.feeds.simulated_market import SimulatedMarket
from tickmux.feeds.stored_versions import StoredVersions
from tickmux.feeds.user_feed import UserFeed
from tickmux.websocket_proxy.broker_factory import UnknownBroker, load_broker
from tickmux.websocket_proxy.bus import BusAddress
from tickmux.websocket_proxy.feed import Feed, Mover

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


class ChosenSource:
    """A `FeedSource` that gives each user what he has chosen. `seed` and `rate` are the simulated markets'."""

    def __init__(
        self,
        settings: Settings,
        sessions: BrokerSessions,
        store: InstrumentStore,
        versions: StoredVersions,
        move: Mover,
        seed: int,
        rate: float,
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._store = store
        self._versions = versions
        self._move = move
        self._seed, self._rate = seed, rate
        self._brokers = BrokerSource(settings, sessions, store, versions, None)
        self._markets: dict[str, SimulatedMarket] = {}
        self._choices: dict[str, Choice] = {}
        self._feeds: dict[str, UserFeed[Choice]] = {}
        self._address = BusAddress("")
        self._deciding: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """A user's choices are followed one at a time; one who waits for his broker keeps nobody else waiting."""
        self._opening: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """A broker's simulated market is started once."""
        self._unlisten = versions.listen(self._lists_changed)

    def _lists_changed(self) -> None:
        for feed in self._feeds.values():
            feed.ask_again()

    async def account_of(self, user: str) -> str:
        async with self._deciding[user]:
            choice = await self._choice(user)
            self._choices[user] = choice
            feed = self._feeds.get(user)
            if feed is not None and feed.target != choice:
                await feed.switch(self._make(user, choice), choice)
                await self._rest_markets()
        return user

    def make(self, account: str, address: BusAddress) -> Feed:
        self._address = address
        choice = self._choices[account]
        made = self._feeds[account] = UserFeed(self._make(account, choice), choice, self._move)
        return made

    async def renew(self, user: str) -> None:
        """Begins the user's feed anew: nothing of a session that was forgotten goes on."""
        async with self._deciding[user]:
            feed = self._feeds.get(user)
            if feed is not None:
                await feed.switch(self._make(user, feed.target), feed.target)

    async def stop(self) -> None:
        """Ends the simulated markets; the feeds are the directory's."""
        self._unlisten()
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
        """Starts the broker's simulated market unless it runs."""
        async with self._opening[broker]:
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
        # By what users have chosen, not by what their feeds are already: one may be about to change.
        used = {choice.broker for choice in self._choices.values() if choice.simulated}
        for broker, market in self._markets.items():
            if broker not in used:
                await market.rest()

    def _make(self, user: str, choice: Choice) -> Feed:
        if not choice.simulated:
            return self._brokers.make(f"{choice.broker}:{user}", self._address)
        simulator = self._markets[choice.broker].simulator
        account = f"simulator:{user}"
        return make_simulated_feed(self._settings, simulator, account, self._address, self._store, self._versions)
