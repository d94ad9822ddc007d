"""One broker session's feed, with its connections in this process: it watches and tells.

What it is made of: the `SessionKeeper` (which credentials connections use), the `Demand` (who holds what), the
`ConnectionPool` (which connection carries it), the `TickPublisher` (ticks on their way to the bus). This module joins
them, looks instruments up before anything is decided, and notices what no event tells: silence, the market's hours,
contracts that are over, a new instrument list.

Owns two tasks (`_watch`, `_follow`), its pool's connections, its keeper, one HTTP client and one bus socket.
Bounded by the pool's size: what is granted has a place there.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import UTC, date, datetime
from typing import NamedTuple, Protocol

import httpx
import msgspec

from tickmux import owned_task
from tickmux.codec import Credentials
from tickmux.contract_expiry import has_ended
from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds.data_quality import DataQuality
from tickmux.feeds.demand import Demand, Name
from tickmux.feeds.feed_connection import FeedConnection, LinkState
from tickmux.feeds.instrument_states import InstrumentStates
from tickmux.feeds.instrument_watch import NAMED, InstrumentWatch
from tickmux.feeds.market_hours import MarketHours
from tickmux.feeds.publisher import TickPublisher
from tickmux.feeds.session_keeper import RETRY_WAITS, Renewer, SessionKeeper, Sessions
from tickmux.instrument import Instrument
from tickmux.login import IST
from tickmux.tick import Mode, Tick
from tickmux.websocket_proxy.base_adapter import BaseBrokerWebSocketAdapter, Unavailable
from tickmux.websocket_proxy.bus import BusPublisher
from tickmux.websocket_proxy.connection_manager import ConnectionPool, PoolLimits
from tickmux.websocket_proxy.feed import Grant, Want, topic_name
from tickmux.websocket_proxy.feed_state import (
    ChannelSize,
    ConnectionInfo,
    FeedCounters,
    FeedInfo,
    FeedState,
    FeedStatus,
    InstrumentListener,
    InstrumentState,
    InstrumentStatus,
    Listeners,
    StatusListener,
    epoch_ms,
)
from tickmux.websocket_proxy.subscription_index import TopicKey

log = logging.getLogger(__name__)

_DEAD_SHARE = 0.2
"""Share of the instruments that ought to tick; when so many are silent a feed is called stalled."""
STALLED_AFTER = 30.0
"""Seconds without a tick, with a market open, after which a feed is called stalled."""
_WATCH_INTERVAL = 1.0
BUS_READY_TIMEOUT = 10.0
"""Seconds that a subscription waits for the bus; whoever waits for its answer has to wait longer."""
_SLICE = 250
"""Subscriptions that are granted, or given back, in one go."""
_WARNING_INTERVAL = 60.0
"""Seconds between two looks at the age of the instrument list."""


class Listed(NamedTuple):
    """What a broker's instrument list says of some names, all of it from the list `generation`.

    `lone` are those of their tokens that the whole list has once, where the broker's wire needs to know.
    """

    generation: int
    found: Sequence[Instrument | RequestError]
    lone: Collection[str] = ()


class Instruments(Protocol):
    """Where a feed looks instruments up."""

    async def resolve(self, names: Sequence[Name]) -> Listed:
        """For each (symbol, exchange) the instrument, or why there is none."""

    def generation(self) -> int | None:
        """Greater, within a second, when the broker's list has been replaced; None while unknown. Costs nothing."""

    async def warning(self) -> str:
        """What is wrong with the list's age, for the feed's status; empty for a list of the last trading day."""


class LocalFeed:
    """A feed whose connections run in this process."""

    def __init__(
        self,
        adapter: BaseBrokerWebSocketAdapter,
        account: str,
        *,
        bus: BusPublisher,
        instruments: Instruments,
        sessions: Sessions,
        limits: PoolLimits,
        hours: MarketHours,
        renew: Renewer | None = None,
        rng: random.Random | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        retry_waits: Sequence[float] = RETRY_WAITS,
    ) -> None:
        self.adapter = adapter
        self.broker = adapter.name
        self.account = account
        self.id = f"{adapter.name}:{account}"
        self.has_orders = adapter.has_orders
        self.counters = FeedCounters()
        self.http = httpx.AsyncClient(timeout=10.0, limits=httpx.Limits(max_connections=8))
        self._bus = bus
        self._instruments = instruments
        self._hours = hours
        self._now = now
        self._rng = rng or random.Random()
        self._clock = asyncio.get_running_loop().time
        self._last_tick = 0.0
        self._awaited_since = 0.0
        """Since when ticks may be expected: the beginning of the last session, by the loop's clock."""
        self._listeners = Listeners[FeedStatus]()
        self._day: date | None = None
        """The day in India whose expired contracts have been let go of."""
        self._warning = ""
        self._warned_at = float("-inf")
        self._unfollowed = False
        """Whether the database could not be read at the last look."""
        self._stopped = False
        self._status = FeedStatus(FeedState.CONNECTING, epoch_ms(), "connects with the first subscription", 0)
        self.publisher = TickPublisher(
            bus,
            self._topic,
            epoch_ms,
            merges_channels=len(adapter.channels) > 1,
            quality=DataQuality(self.counters, lambda exchange: hours.is_continuous(exchange, now())),
        )
        self.instrument_states = InstrumentStates()
        self.pool = ConnectionPool(adapter, limits, self._open_connection)
        self.demand = Demand(self.id, adapter, self.pool, self.publisher, self.instrument_states.forget)
        self.instruments = InstrumentWatch(
            self.demand,
            self.instrument_states,
            trading=lambda exchange: hours.is_open(exchange, now()),
            refused=lambda: set().union(*(one.refused for one in self.pool.connections())),
            down=lambda: set().union(*(one.wanted for one in self.pool.connections() if one.state != LinkState.LIVE)),
            clock=self._clock,
        )
        self.keeper = SessionKeeper(
            sessions,
            self.broker,
            renew=renew,
            clock=self._clock,
            met=adapter.meets,
            changed=self._refresh_status,
            last_tick=lambda: self._last_tick,
            in_use=lambda: any(one.state == LinkState.LIVE for one in self.pool.connections()),
            retry_waits=retry_waits,
        )
        self._tasks = (
            owned_task.keep_running(self._watch, f"watch over {self.id}"),
            owned_task.keep_running(self._follow, f"lists and sessions of {self.id}"),
        )

    def __repr__(self) -> str:
        return f"<LocalFeed {self.id} {self._status.state}, {len(self.demand)} instruments>"

    # -- the proxy's side ---------------------------------------------------------------------------------

    @property
    def status(self) -> FeedStatus:
        return self._status

    async def subscribe(self, wants: Sequence[Want]) -> list[Grant | RequestError]:
        """May be cancelled: what has been granted by then is given back. Thousands are granted in slices, so that
        others get their turn in between."""
        if self._status.state == FeedState.AUTH_EXPIRED:
            return [RequestError(ErrorCode.BROKER_AUTH_EXPIRED, self._status.message) for _ in wants]
        if not await self._bus.wait_ready(BUS_READY_TIMEOUT):
            return [
                RequestError(ErrorCode.BROKER_INIT_ERROR, "the feed cannot reach the bus; see the log") for _ in wants
            ]
        with suppress(Unavailable):  # the connections will say so
            await self.keeper.look()  # whose session it is may decide what can be granted
        verdicts: list[Grant | RequestError] = []
        try:
            for start in range(0, len(wants), _SLICE):
                if start:
                    await asyncio.sleep(0)
                verdicts += await self._subscribe_some(wants[start : start + _SLICE])
        except BaseException:
            self.demand.give_back([one.key for one in verdicts if isinstance(one, Grant)])
            raise
        finally:
            self._refresh_status()
        return verdicts

    async def _subscribe_some(self, wants: Sequence[Want]) -> list[Grant | RequestError]:
        """Nothing waits after granting."""
        served = [one for one in wants if self.adapter.serves(one.exchange)]
        found = await self._look_up([(one.symbol, one.exchange) for one in served])
        if self._stopped:
            return [RequestError(ErrorCode.BROKER_CONNECTION_ERROR, "the feed has been stopped") for _ in wants]
        return self.demand.grant(wants, found)

    async def unsubscribe(self, keys: Sequence[TopicKey]) -> None:
        """May be cancelled: everything is given back all the same."""
        done = 0
        try:
            while len(keys) - done > _SLICE:
                self.demand.give_back(keys[done : done + _SLICE])
                done += _SLICE
                await asyncio.sleep(0)
        finally:
            self.demand.give_back(keys[done:])
            self._refresh_status()

    def repeat(self, keys: Sequence[TopicKey]) -> None:
        """Sends what is known of these topics on the bus once more."""
        parts: list[bytes] = []
        for key in keys:
            instrument = self.demand.instruments.get((key.symbol, key.exchange))
            if instrument is None:
                continue
            if payload := self.publisher.snapshot(instrument, key.mode, key.depth, key.symbol):
                parts += (topic_name(key), payload)
        if parts:
            self._bus.send(parts)

    def listen(self, listener: StatusListener) -> Callable[[], None]:
        return self._listeners.add(listener)

    def instrument_status(self, symbol: str, exchange: str) -> InstrumentStatus | None:
        return self.instruments.status((symbol, exchange))

    def listen_to_instruments(self, listener: InstrumentListener) -> Callable[[], None]:
        return self.instruments.listen(listener)

    def info(self) -> FeedInfo:
        counters = msgspec.structs.replace(self.counters, bus_dropped=self._bus.dropped)
        return FeedInfo(
            capacity={name: ChannelSize(*size) for name, size in self.pool.sizes.items()},
            connections=[self._connection_info(one) for one in self.pool.connections()],
            symbols=len(self.demand),
            counters=counters,
            instruments=self.instruments.counts,
            notes=self.adapter.notes,
        )

    def _connection_info(self, connection: FeedConnection) -> ConnectionInfo:
        return ConnectionInfo(
            channel=connection.channel_name,
            number=connection.number,
            state=connection.state.name.lower(),
            message=connection.message,
            symbols=len(connection.wanted),
            subscribed=connection.subscribed,
            since=int(connection.since * 1000),
            reconnects=connection.reconnects,
            last_frame=self._epoch_of(connection.last_sign),
            last_tick=self._epoch_of(connection.last_tick),
        )

    def _epoch_of(self, moment: float) -> int | None:
        """A reading of the loop's clock as epoch ms; None for 0, which is "not yet"."""
        return epoch_ms() - int(max(0.0, self._clock() - moment) * 1000) if moment else None

    async def stop(self) -> None:
        """Ends everything that it owns, within two seconds; whatever fails, the rest is ended."""
        self._stopped = True
        async with AsyncExitStack() as last_first:
            last_first.callback(self._bus.close)
            last_first.callback(self.publisher.close)
            last_first.callback(self._set_status, FeedState.STOPPED, "")
            last_first.push_async_callback(self.http.aclose)
            last_first.push_async_callback(self.pool.stop)
            last_first.push_async_callback(self.keeper.stop)
            last_first.push_async_callback(owned_task.end, *self._tasks)

    # -- looking up ---------------------------------------------------------------------------------------

    async def _look_up(self, names: Sequence[Name]) -> Mapping[Name, Instrument | RequestError]:
        """What the list that the demand is from says of the names that are not in demand.

        Others subscribe and unsubscribe, and lists are replaced, while this waits: it goes on until what it has
        found and what is in demand are of one list, at one moment.
        """
        found: dict[Name, Instrument | RequestError] = {}
        generation: int | None = None
        while True:
            if generation != self.demand.generation:
                found.clear()
            known = self.demand.instruments
            missing = [name for name in dict.fromkeys(names) if name not in known and name not in found]
            if not missing:
                return found
            listed = await self._instruments.resolve(missing)
            if self.demand.generation is None:
                self.demand.generation = listed.generation
            elif listed.generation > self.demand.generation:
                await self._relist()
            if generation != listed.generation:
                found.clear()
                generation = listed.generation
            if generation == self.demand.generation:
                found.update(zip(missing, listed.found, strict=True))
                self.adapter.lone_tokens.update(listed.lone)

    async def _relist(self) -> None:
        """Looks everything in demand up anew: with a new list, tokens belong to others."""
        while True:
            names = self._names()
            listed = await self._instruments.resolve(names)
            if self.demand.generation is not None and listed.generation < self.demand.generation:
                return  # a later reading was faster
            said = dict(zip(names, listed.found, strict=True))
            if all(name in said for name in self._names()):  # nothing has been granted meanwhile
                break
        self.adapter.lone_tokens.clear()
        self.adapter.lone_tokens.update(listed.lone)
        self.instruments.expired(self.demand.relist(listed.generation, said))
        self._warned_at = float("-inf")
        self._refresh_status()

    def _names(self) -> list[Name]:
        return [*self.demand.instruments, *self.demand.expired]

    def _topic(self, instrument: Instrument, mode: Mode, depth: int) -> bytes:
        return topic_name(TopicKey(self.id, instrument.exchange, instrument.symbol, mode, depth))

    # -- the connections' side ----------------------------------------------------------------------------

    def _open_connection(self, channel: str, number: int) -> FeedConnection:
        return FeedConnection(self, channel, number, clock=self._clock, rng=self._rng)

    async def credentials(self) -> Credentials:
        replaced = self.keeper.replaced
        credentials = await self.keeper.credentials()
        if self.keeper.replaced != replaced:
            await self._relist()  # the list may need a session, and be newer with this one
        return credentials

    def credentials_refused(self, credentials: Credentials, message: str, *, certain: bool) -> None:
        self.keeper.refused(credentials, message, certain=certain)

    def session_begins(self, channel: str, instruments: Sequence[Instrument]) -> None:
        self._awaited_since = self._clock()

    def session_accepted(self) -> None:
        self.keeper.accepted()

    def session_ends(self, channel: str, instruments: Sequence[Instrument]) -> None:
        self.publisher.end_session(channel, instruments)

    def is_trading(self, instrument: Instrument) -> bool:
        return self._hours.is_continuous(instrument.exchange, self._now())

    def on_ticks(self, channel: str, ticks: Sequence[Tick]) -> None:
        self._last_tick = self._clock()
        self.publisher.publish(channel, ticks)

    def connection_changed(self, connection: FeedConnection) -> None:
        self._refresh_status()

    # -- watching -----------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Notices silence, of the whole and of each instrument, and the market's hours."""
        while True:
            await asyncio.sleep(_WATCH_INTERVAL)
            await self.instruments.look()
            self._refresh_status()

    async def _follow(self) -> None:
        """Notices new sessions, new lists and a new day; a task of its own, since the database may take its time."""
        while True:
            await asyncio.sleep(_WATCH_INTERVAL)
            try:
                await self._look_at_database()
            except Exception as error:
                if not self._unfollowed:
                    log.warning("feed id=%s cannot read its database (%s): goes on without", self.id, error)
                self._unfollowed = True
            else:
                self._unfollowed = False

    async def _look_at_database(self) -> None:
        await self.keeper.look()
        generation = self._instruments.generation()
        if None not in (generation, self.demand.generation) and generation != self.demand.generation:
            await self._relist()
        today = self._now().astimezone(IST).date()
        if today != self._day:
            await self._end_contracts()
            self._day = today
        if self._clock() - self._warned_at >= _WARNING_INTERVAL:
            self._warned_at = self._clock()
            self._warning = await self._instruments.warning()

    async def _end_contracts(self) -> None:
        """Lets go of the contracts whose last day is over; the list knows what comes after them."""
        ended = [name for name, one in self.demand.instruments.items() if has_ended(one, self._now())]
        if not ended:
            return
        said: dict[Name, Instrument | RequestError] = {}
        with suppress(Exception):  # they are over, whatever the database does
            said = dict(zip(ended, (await self._instruments.resolve(ended)).found, strict=True))

        def over(name: Name, instrument: Instrument) -> str:
            if not has_ended(instrument, self._now()):
                return ""
            told = said.get(name)
            return told.message if isinstance(told, RequestError) else f"expired on {instrument.expiry}"

        self.instruments.expired(self.demand.expire(over))
        self._refresh_status()

    def _refresh_status(self) -> None:
        if not self._stopped:
            self._set_status(*self._judge())

    def _judge(self) -> tuple[FeedState, str]:
        connections = self.pool.connections()
        if not connections:
            return FeedState.CONNECTING, "connects with the first subscription"
        if self.keeper.verdict is not None:
            return self.keeper.verdict
        for connection in connections:
            if connection.state == LinkState.WAITING:
                return FeedState.RECONNECTING, connection.message
        if not all(connection.state == LinkState.LIVE for connection in connections):
            again = self._status.state in (FeedState.RECONNECTING, FeedState.AUTH_EXPIRED, FeedState.STALLED)
            return (FeedState.RECONNECTING if again else FeedState.CONNECTING), ""
        if not self._hours.any_open(self.demand.exchanges, self._now()):
            return FeedState.MARKET_CLOSED, self._warning
        if self._clock() - max(self._last_tick, self._awaited_since) >= STALLED_AFTER:
            return FeedState.STALLED, f"no tick for {STALLED_AFTER:g} s while the market is open"
        if self._is_partly_dead():
            return FeedState.STALLED, self._silence()
        return FeedState.LIVE, next((one.message for one in connections if one.message), self._warning)

    def _is_partly_dead(self) -> bool:
        """Whether so much is silent that the feed as a whole must not be called live: a good part of what ought to
        tick, or all that ought to on one connection."""
        silent = {
            self.demand.instruments[name] for name in self.instruments.silent if name in self.demand.instruments
        }
        if not silent:
            return False
        if len(silent) >= _DEAD_SHARE * (len(silent) + self.instruments.counts.get(InstrumentState.LIVE, 0)):
            return True
        now, states, hours = self._clock(), self.instrument_states, self._hours
        suspects = [one for one in self.pool.connections() if not silent.isdisjoint(one.wanted)]
        return any(
            all(
                states.state(each, now, trading=hours.is_open(each.exchange, self._now())) is not InstrumentState.LIVE
                for each in tuple(one.wanted)
            )
            for one in suspects
        )

    def _silence(self) -> str:
        silent = self.instruments.silent
        if not silent:
            return ""
        named = ", ".join(f"{exchange}:{symbol}" for symbol, exchange in silent[:NAMED])
        more = ", …" if len(silent) > NAMED else ""
        return f"{len(silent)} of {len(self.demand)} instruments ought to tick and do not: {named}{more}"

    def _set_status(self, state: FeedState, message: str) -> None:
        old = self._status
        symbols = len(self.demand)
        silent = self.instruments.silent
        names = tuple(f"{exchange}:{symbol}" for symbol, exchange in silent[:NAMED])
        since = old.since if old.state == state else epoch_ms()
        new = FeedStatus(state, since, message, symbols, len(silent), names)
        if new == old:
            return
        self._status = new
        if (old.state, old.message) != (state, message):
            log.info("feed id=%s state=%s symbols=%d reason=%r", self.id, state.value, symbols, message)
        if (old.state, old.message, old.silent) != (state, message, new.silent):
            self._listeners.tell(new)
