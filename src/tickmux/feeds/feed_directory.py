"""Which feed a user gets: made at first need, one for each broker session, kept until the end.

The ways to run tickmux are `FeedSource`s: the users' own broker sessions, a simulated broker, publishers on
the bus. Owns the feeds that it makes.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Generic, NamedTuple, Protocol, TypeVar

import httpx

from tickmux import owned_task
from tickmux.codec import Credentials
from tickmux.config import Settings
from tickmux.contract_expiry import has_ended, parse_contract
from tickmux.database.broker_sessions import BrokerSessions, SessionUnreadable
from tickmux.database.instrument_store import InstrumentStore
from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds.external_feed import ExternalFeed
from tickmux.feeds.list_age import age_warning
from tickmux.feeds.local_feed import Listed, LocalFeed
from tickmux.feeds.market_hours import MarketHours
from tickmux.feeds.publishers import Publishers
from tickmux.feeds.remote.remote_feed import FeedLink, RemoteFeed
from tickmux.feeds.session_keeper import Renewer, Session, Sessions
from tickmux.feeds.stored_versions import StoredVersions
from tickmux.instrument import Instrument, format_expiry
from tickmux.login import IST, AnswerWanted, LoginFailed, LoginKind
from tickmux.simulator.server.base import BrokerSimulator
from tickmux.websocket_proxy.base_adapter import BaseBrokerWebSocketAdapter
from tickmux.websocket_proxy.broker_factory import Broker, UnknownBroker, load_broker
from tickmux.websocket_proxy.bus import BusAddress, BusPublisher
from tickmux.websocket_proxy.bus_door import Door
from tickmux.websocket_proxy.bus_keys import BusKeys
from tickmux.websocket_proxy.connection_manager import PoolLimits
from tickmux.websocket_proxy.feed import Feed

_EXTERNAL_MARK = 10_000
"""Batches of an external feed that wait for the proxy: each holds what came in one drain."""
log = logging.getLogger(__name__)

_HINTS = 20
"""Unknown symbols of one request that get similar names suggested: a search takes a millisecond each."""


F = TypeVar("F", bound=Feed)
F_co = TypeVar("F_co", bound=Feed, covariant=True)


class Upstream(NamedTuple):
    """Where ticks come from: one of the three, or each user's own broker session when all are unset.

    `seed` and `rate` (ticks a second) are the simulated exchange's.
    """

    broker: str | None = None
    simulate: str | None = None
    external: bool = False
    seed: int = 1
    rate: float = 1000.0

    @property
    def chosen_by_command(self) -> str:
        """The option that names a broker, as the user has typed it; empty where none was."""
        if self.simulate is not None:
            return f"--simulate {self.simulate}"
        return f"--broker {self.broker}" if self.broker is not None else ""


class FeedSource(Protocol[F_co]):
    """Where users' feeds come from."""

    async def account_of(self, user: str) -> str:
        """The feed's identity for this user: users with the same one share a feed. Raises RequestError."""

    def make(self, account: str, address: BusAddress) -> F_co:
        """The feed of an account, publishing to the bus at `address`."""


class FeedDirectory(Generic[F]):
    """All feeds that have been needed so far; `address` tells where the bus is."""

    def __init__(self, source: FeedSource[F], address: Callable[[], BusAddress]) -> None:
        self._source = source
        self._address = address
        self._feeds: dict[str, F] = {}

    async def feed_of(self, user: str) -> F:
        """The user's feed. Raises RequestError (BROKER_ERROR) when the user has no broker session."""
        account = await self._source.account_of(user)
        feed = self._feeds.get(account)
        if feed is None:
            feed = self._feeds[account] = self._source.make(account, self._address())
        return feed

    def feeds(self) -> list[F]:
        return list(self._feeds.values())

    async def stop(self) -> None:
        feeds, self._feeds = self._feeds, {}
        await asyncio.gather(*(feed.stop() for feed in feeds.values()))


class StoredInstruments:
    """A broker's instrument list in the database, looked up in a thread: SQLite blocks.

    `update_with` is the command that renews it; `hours` tell when a list is too old, None for one that never is.
    `tells_lone`: whether to look up, too, which tokens are unique in the list.
    """

    def __init__(
        self,
        store: InstrumentStore,
        name: str,
        update_with: str,
        hours: MarketHours | None,
        versions: StoredVersions,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        tells_lone: bool = False,
    ) -> None:
        self._store = store
        self._tells_lone = tells_lone
        self._versions = versions
        self._name = name
        self._update_with = update_with
        self._hours = hours
        self._warned = ""
        self._now = now

    async def resolve(self, names: Sequence[tuple[str, str]]) -> Listed:
        return await asyncio.to_thread(self._resolve, names)

    def generation(self) -> int | None:
        return self._versions.instruments(self._name)

    async def warning(self) -> str:
        """What is wrong with the list's age, and what to do; empty for one of the last trading day."""
        return await asyncio.to_thread(self._warning)

    def _warning(self) -> str:
        info = self._store.info(self._name)
        if info is None or self._hours is None:
            return ""
        warning = age_warning(info.updated, self._hours, self._now(), self._update_with)
        if warning and warning != self._warned:
            log.warning("%s: %s", self._name, warning)
        self._warned = warning
        return warning

    def _resolve(self, names: Sequence[tuple[str, str]]) -> Listed:
        while True:
            generation = self._store.generation(self._name)
            found = self._look_up(names)
            lone: set[str] = set()
            if self._tells_lone:
                tokens = (one.token for one in found if isinstance(one, Instrument))
                lone = self._store.lone_tokens(self._name, tokens)
            if generation == self._store.generation(self._name):  # else some are of one list, some of another
                return Listed(generation, found, lone)

    def _look_up(self, names: Sequence[tuple[str, str]]) -> list[Instrument | RequestError]:
        pairs = [(exchange, symbol) for symbol, exchange in names]
        found = self._store.resolve_many(self._name, pairs)
        hints = iter(range(_HINTS))
        now = self._now().astimezone(IST)
        return [
            instrument
            if instrument is not None and not has_ended(instrument, now)
            else self._refusal(symbol, exchange, now.date(), with_hint=next(hints, None) is not None)
            for (symbol, exchange), instrument in zip(names, found, strict=True)
        ]

    def _refusal(self, symbol: str, exchange: str, today: date, *, with_hint: bool) -> RequestError:
        if not self._store.count(self._name):
            hint = f"the instrument list is empty: run `{self._update_with}`"
        elif not with_hint:
            hint = "see `tickmux instruments search`"
        elif (following := self._store.next_contract(self._name, symbol, exchange, today)) is not None:
            hint = f"the next such contract is {following}"
        else:
            near = self._store.nearest(self._name, symbol, exchange)
            hint = f"did you mean {', '.join(near)}?" if near else "nothing similar is listed"
        contract = parse_contract(symbol)
        if contract is not None and contract.expiry < today:
            return RequestError(
                ErrorCode.SYMBOL_NOT_FOUND, f"{symbol} expired on {format_expiry(contract.expiry)}; {hint}"
            )
        return RequestError(ErrorCode.SYMBOL_NOT_FOUND, f"{symbol} is not listed on {exchange}; {hint}")


class StoredSessions:
    """One user's session with one broker, as the database has it."""

    def __init__(self, sessions: BrokerSessions, versions: StoredVersions, user: str, broker: str) -> None:
        self._sessions = sessions
        self._versions = versions
        self._user, self._broker = user, broker
        self._note: asyncio.Task[None] | None = None
        """Writes down that the broker has accepted the session; ends by itself."""

    def version(self) -> int:
        return self._versions.session(self._user, self._broker)

    async def read(self) -> Session | None:
        try:
            found = await asyncio.to_thread(self._sessions.get, self._user, self._broker)
        except SessionUnreadable:
            return None
        if found is None:
            return None
        return Session(found.credentials, found.version, functools.partial(self._note_accepted, found.version))

    def _note_accepted(self, version: int) -> None:
        note = asyncio.to_thread(self._sessions.accepted, self._user, self._broker, version)
        self._note = owned_task.start(note, f"note that {self._broker} has accepted a session")


class SimulatedSessions:
    """The session that a simulated broker accepts now; another one is another version."""

    def __init__(self, simulator: BrokerSimulator) -> None:
        self._simulator = simulator
        self._version = 0
        self._last: Credentials | None = None

    def version(self) -> int:
        present = self._simulator.credentials
        if present != self._last:
            self._last = present
            self._version += 1
        return self._version

    async def read(self) -> Session | None:
        version = self.version()
        return Session(self._last, version) if self._last is not None else None


class BrokerSource:
    """The users' own broker sessions; `broker` names one for everybody, None means each user's active one."""

    def __init__(
        self,
        settings: Settings,
        sessions: BrokerSessions,
        store: InstrumentStore,
        versions: StoredVersions,
        broker: str | None,
    ) -> None:
        self._versions = versions
        self._settings = settings
        self._sessions = sessions
        self._store = store
        self._broker = broker

    async def account_of(self, user: str) -> str:
        try:
            found = await asyncio.to_thread(self._sessions.get, user, self._broker)
        except SessionUnreadable as error:
            raise RequestError(ErrorCode.BROKER_ERROR, str(error)) from None
        if found is None:
            broker = self._broker or "BROKER"
            raise RequestError(
                ErrorCode.BROKER_ERROR,
                f"{user} has no session with {self._broker or 'a broker'}: "
                f"run `tickmux broker login {broker} --user {user}`",
            )
        return f"{found.broker}:{user}"

    def make(self, account: str, address: BusAddress) -> LocalFeed:
        name, _, user = account.partition(":")
        try:
            broker = load_broker(name)
        except UnknownBroker as error:
            raise RequestError(ErrorCode.BROKER_INIT_ERROR, str(error)) from None
        hours = MarketHours(self._settings.market_holidays)
        adapter = broker.adapter(self._settings.urls(name))
        return make_local_feed(
            self._settings,
            adapter,
            user,
            address,
            StoredInstruments(
                self._store,
                name,
                f"tickmux instruments update {name}",
                hours,
                self._versions,
                tells_lone=adapter.omits_exchange,
            ),
            StoredSessions(self._sessions, self._versions, user, name),
            hours,
            self._renewer(broker, user) if broker.login.kind == LoginKind.KEYS else None,
        )

    def _renewer(self, broker: Broker, user: str) -> Renewer:
        """Logs in again with the remembered keys, where these make a session without a person."""

        async def renew() -> None:
            values = await asyncio.to_thread(self._sessions.login_values, user, broker.name)
            login = broker.login(self._settings.urls(broker.name))
            async with httpx.AsyncClient(timeout=20.0) as http:
                try:
                    session = await login.exchange(values, {}, "", http, datetime.now(UTC))
                except AnswerWanted:  # its words may name a telephone, and clients read the feed's status
                    raise LoginFailed(
                        f"the broker asks for what only a person can answer: run `tickmux broker login {broker.name}`"
                    ) from None
            await asyncio.to_thread(self._sessions.store, user, broker.name, session, activate=False)

        return renew


class SimulatedSource:
    """One simulated broker for everybody; its markets are always open."""

    def __init__(
        self, settings: Settings, simulator: BrokerSimulator, store: InstrumentStore, versions: StoredVersions
    ) -> None:
        self._versions = versions
        self._settings = settings
        self._simulator = simulator
        self._store = store

    async def account_of(self, user: str) -> str:
        return "simulator"

    def make(self, account: str, address: BusAddress) -> LocalFeed:
        return make_simulated_feed(self._settings, self._simulator, account, address, self._store, self._versions)


class RemoteSource:
    """The feeds of another process, which knows whose they are."""

    def __init__(self, link: FeedLink) -> None:
        self._link = link
        self._opened: dict[str, RemoteFeed] = {}

    async def account_of(self, user: str) -> str:
        feed = await self._link.open(user)
        self._opened[feed.id] = feed
        return feed.id

    def make(self, account: str, address: BusAddress) -> RemoteFeed:
        return self._opened[account]


class ExternalSource:
    """Publishers that are not ours, for everybody; owns the socket where they connect. `keys` None: without keys."""

    def __init__(
        self, host: str, port: int, keys: BusKeys | None, now_ms: Callable[[], int], hours: MarketHours
    ) -> None:
        """Raises AddressRefused: without keys, on an address that is not of this machine alone."""
        self._now_ms = now_ms
        self._hours = hours
        self._feed: ExternalFeed | None = None
        self.publishers = Publishers(host, port, keys, on_message=self._take, on_drained=self._drained)

    @property
    def door(self) -> Door:
        return self.publishers.door

    def start(self) -> None:
        """Raises PortTaken, AddressRefused."""
        self.publishers.start()

    def close(self) -> None:
        self.publishers.close()

    async def account_of(self, user: str) -> str:
        return "external"

    def make(self, account: str, address: BusAddress) -> ExternalFeed:
        bus = BusPublisher(address.endpoint, account, high_water_mark=_EXTERNAL_MARK)
        self._feed = ExternalFeed(bus, time.monotonic, self._now_ms, self._trading)
        return self._feed

    def _trading(self, exchange: str) -> bool:
        return self._hours.any_open({exchange}, datetime.now(UTC))

    def _take(self, topic: bytes, payload: bytes) -> None:
        if self._feed is not None:
            self._feed.on_message(topic, payload)

    def _drained(self) -> None:
        if self._feed is not None:
            self._feed.on_drained()


def simulated_list(broker: str) -> str:
    """The name under which a simulator's instruments are stored, beside the broker's real ones."""
    return f"simulated {broker}"


def make_simulated_feed(
    settings: Settings,
    simulator: BrokerSimulator,
    account: str,
    address: BusAddress,
    store: InstrumentStore,
    versions: StoredVersions,
) -> LocalFeed:
    """A feed on a simulated broker, whose markets are always open."""
    adapter = load_broker(simulator.name).adapter(simulator.urls)
    return make_local_feed(
        settings,
        adapter,
        account,
        address,
        StoredInstruments(
            store,
            simulated_list(simulator.name),
            "tickmux serve --simulate",
            None,
            versions,
            tells_lone=adapter.omits_exchange,
        ),
        SimulatedSessions(simulator),
        MarketHours(always_open=True),
    )


def make_local_feed(
    settings: Settings,
    adapter: BaseBrokerWebSocketAdapter,
    account: str,
    address: BusAddress,
    instruments: StoredInstruments,
    sessions: Sessions,
    hours: MarketHours,
    renew: Renewer | None = None,
) -> LocalFeed:
    """A feed in this process, as the settings want it."""
    return LocalFeed(
        adapter,
        account,
        bus=BusPublisher(
            address.endpoint, f"{adapter.name}:{account}", high_water_mark=settings.zmq_hwm, keys=address.keys
        ),
        instruments=instruments,
        sessions=sessions,
        limits=PoolLimits(
            settings.max_symbols_per_websocket,
            settings.max_websocket_connections,
            settings.enable_connection_pooling,
        ),
        hours=hours,
        renew=renew,
    )
