"""One broker session's feed, with its connections in this process: demand in, ticks out.

Owns one task (`_watch`), its pool's connections, one HTTP client and one bus socket.
Bounded by the pool's size: what is granted has a place there.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import httpx
import msgspec

from tickmux import owned_task
from tickmux.codec import Credentials
from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds.data_quality import DataQuality
from tickmux.feeds.feed_connection import FeedConnection, LinkState
from tickmux.feeds.market_hours import MarketHours
from tickmux.feeds.publisher import TickPublisher
from tickmux.instrument import Instrument
from tickmux.login import LoginFailed
from tickmux.tick import Mode, Tick
from tickmux.websocket_proxy.base_adapter import BaseBrokerWebSocketAdapter
from tickmux.websocket_proxy.bus import BusPublisher
from tickmux.websocket_proxy.connection_manager import ConnectionPool, PoolLimits
from tickmux.websocket_proxy.feed import Grant, Want, topic_name
from tickmux.websocket_proxy.feed_state import (
    FeedCounters,
    FeedState,
    FeedStatus,
    StatusListener,
    StatusListeners,
    epoch_ms,
)
from tickmux.websocket_proxy.mapping import best_depth
from tickmux.websocket_proxy.subscription_index import TopicKey

log = logging.getLogger(__name__)

STALLED_AFTER = 30.0
"""Seconds without a tick, with a market open, after which a feed is called stalled."""
_WATCH_INTERVAL = 1.0
_BUS_READY_TIMEOUT = 10.0


class Instruments(Protocol):
    """Where a feed looks instruments up."""

    async def resolve(self, wants: Sequence[tuple[str, str]]) -> list[Instrument | RequestError]:
        """For each (symbol, exchange) the instrument, or why there is none."""

    async def generation(self) -> int:
        """Changes whenever the broker's instrument list has been replaced."""

    async def owners(self, keys: Sequence[tuple[str, str]]) -> list[Instrument | None]:
        """Whose the tokens are in the list in use, by (brexchange, token); None for those that nobody has."""

    async def warning(self) -> str:
        """What is wrong with the list's age, for the feed's status; empty for a list of the last trading day."""


CredentialsProvider = Callable[[], Awaitable[Credentials | None]]
"""The broker session as it is stored now; asked at every connect attempt, None when there is none."""


Renewer = Callable[[], Awaitable[None]]
"""Obtains and stores a new broker session without a person, where keys alone make one; raises LoginFailed."""


class _Served(NamedTuple):
    """What an instrument is subscribed for upstream, and as what: channel -> kind."""

    wish: tuple[Mode, int]
    streams: dict[str, str]


class LocalFeed:
    """A feed whose connections run in this process."""

    foreign = False

    def __init__(
        self,
        adapter: BaseBrokerWebSocketAdapter,
        account: str,
        *,
        bus: BusPublisher,
        instruments: Instruments,
        provider: CredentialsProvider,
        limits: PoolLimits,
        hours: MarketHours,
        renew: Renewer | None = None,
        rng: random.Random | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
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
        self._provider = provider
        self._hours = hours
        self._renew = renew
        self._renewed: Credentials | None = None
        """The refused credentials that a renewal has been tried for: once, since each login ends other sessions."""
        self._now = now
        self._rng = rng or random.Random()
        self._clock = asyncio.get_running_loop().time
        self.publisher = TickPublisher(
            bus,
            lambda instrument, mode, depth: topic_name(self._key(instrument, mode, depth)),
            epoch_ms,
            merges_channels=len(adapter.channels) > 1,
            quality=DataQuality(self.counters, lambda exchange: hours.is_continuous(exchange, now())),
        )
        self.pool = ConnectionPool(adapter, limits, self._open_connection)
        self._known: dict[tuple[str, str], Instrument] = {}
        self._demand: dict[Instrument, dict[tuple[Mode, int], int]] = {}
        self._served: dict[Instrument, _Served] = {}
        self._listeners = StatusListeners()
        self._met: Credentials | None = None
        self._refused: Credentials | None = None
        self._refusal = ""
        self._credentials_stored = asyncio.Event()
        self._last_tick = 0.0
        self._generation = -1
        self._stopped = False
        self._status = FeedStatus(FeedState.CONNECTING, epoch_ms(), "connects with the first subscription", 0)
        self._watcher = owned_task.keep_running(self._watch, f"watch over {self.id}")

    def __repr__(self) -> str:
        return f"<LocalFeed {self.id} {self._status.state}, {len(self._demand)} instruments>"

    # -- the proxy's side ---------------------------------------------------------------------------------

    @property
    def status(self) -> FeedStatus:
        return self._status

    async def subscribe(self, wants: Sequence[Want]) -> list[Grant | RequestError]:
        if self._status.state == FeedState.AUTH_EXPIRED:
            return [RequestError(ErrorCode.BROKER_AUTH_EXPIRED, self._refusal) for _ in wants]
        if not await self._bus.wait_ready(_BUS_READY_TIMEOUT):
            return [
                RequestError(ErrorCode.BROKER_INIT_ERROR, "the feed cannot reach the bus; see the log") for _ in wants
            ]
        if self._met is None and (stored := await self._provider()) is not None:
            self._meet(stored)
        if self._generation == -1:
            self._generation = await self._instruments.generation()  # of the list that the first symbols come from
        names = list(dict.fromkeys((w.symbol, w.exchange) for w in wants if self.adapter.serves(w.exchange)))
        missing = [name for name in names if name not in self._known]
        found = dict(zip(missing, await self._instruments.resolve(missing), strict=True)) if missing else {}
        return [self._grant(want, found) for want in wants]

    async def unsubscribe(self, keys: Sequence[TopicKey]) -> None:
        for key in keys:
            self._give_back(key)
        self._refresh_status()

    def repeat(self, keys: Sequence[TopicKey]) -> None:
        """Sends what is known of these topics on the bus once more."""
        parts: list[bytes] = []
        for key in keys:
            instrument = self._known.get((key.symbol, key.exchange))
            if instrument is not None and (payload := self.publisher.snapshot(instrument, key.mode, key.depth)):
                parts += (topic_name(key), payload)
        if parts:
            self._bus.send(parts)

    def listen(self, listener: StatusListener) -> Callable[[], None]:
        return self._listeners.add(listener)

    def credentials_changed(self) -> None:
        """Somebody has stored a new token: look at once instead of at the next poll."""
        self._credentials_stored.set()

    def info(self) -> dict[str, Any]:
        self.counters.bus_dropped = self._bus.dropped
        connections = self.pool.connections()
        return {
            "capacity": {
                name: {"symbols": symbols, "connections": connections}
                for name, (symbols, connections) in self.pool.sizes.items()
            },
            "connections": [
                {
                    "channel": connection.channel_name,
                    "number": connection.number,
                    "state": connection.state.name.lower(),
                    "message": connection.message,
                    "symbols": len(connection.wanted),
                    "subscribed": connection.subscribed,
                    "since": int(connection.since * 1000),
                    "reconnects": connection.reconnects,
                    "last_frame": self._epoch_of(connection.last_sign),
                    "last_tick": self._epoch_of(connection.last_tick),
                }
                for connection in connections
            ],
            "symbols": len(self._demand),
            "counters": msgspec.to_builtins(self.counters),
        }

    def _epoch_of(self, moment: float) -> int | None:
        """A reading of the loop's clock as epoch ms; None for 0, which is "not yet"."""
        return epoch_ms() - int(max(0.0, self._clock() - moment) * 1000) if moment else None

    async def stop(self) -> None:
        self._stopped = True
        await owned_task.end(self._watcher)
        await self.pool.stop()
        await self.http.aclose()
        self._set_status(FeedState.STOPPED, "")
        self._bus.close()

    # -- demand -------------------------------------------------------------------------------------------

    def _key(self, instrument: Instrument, mode: Mode, depth: int) -> TopicKey:
        return TopicKey(self.id, instrument.exchange, instrument.symbol, mode, depth)

    def _grant(self, want: Want, found: dict[tuple[str, str], Instrument | RequestError]) -> Grant | RequestError:
        name = (want.symbol, want.exchange)
        instrument = self._known.get(name) or found.get(name)
        if instrument is None:
            served = ", ".join(self.adapter.exchanges)
            return RequestError(
                ErrorCode.SYMBOL_NOT_FOUND,
                f"{self.adapter.display_name} does not serve {want.exchange}, only {served}",
            )
        if isinstance(instrument, RequestError):
            return instrument
        try:
            depth = best_depth(self.adapter.depth_levels(want.exchange), want.depth) if want.mode == Mode.DEPTH else 0
            self._take(instrument, want.mode, depth)
        except RequestError as error:
            return error
        self._known[name] = instrument
        key = self._key(instrument, want.mode, depth)
        self._refresh_status()
        return Grant(key, topic_name(key), self.publisher.snapshot(instrument, want.mode, depth))

    def _take(self, instrument: Instrument, mode: Mode, depth: int) -> None:
        wishes = dict(self._demand.get(instrument, {}))
        wishes[mode, depth] = wishes.get((mode, depth), 0) + 1
        if wishes[mode, depth] == 1:
            self._apply(instrument, wishes)
            self.publisher.want(instrument, mode, depth)
        self._demand[instrument] = wishes

    def _give_back(self, key: TopicKey) -> None:
        instrument = self._known.get((key.symbol, key.exchange))
        wishes = self._demand.get(instrument) if instrument is not None else None
        wish = (key.mode, key.depth)
        if instrument is None or wishes is None or wish not in wishes:
            return
        wishes[wish] -= 1
        if wishes[wish]:
            return
        del wishes[wish]
        self.publisher.unwant(instrument, *wish)
        if wishes:
            # A downgrade asks for less of what has a place already; where a broker's sums make even that
            # impossible, the richer subscription simply stays.
            with suppress(RequestError):
                self._apply(instrument, wishes)
        else:
            self._apply(instrument, {})
            del self._demand[instrument]
            del self._known[key.symbol, key.exchange]

    def _apply(self, instrument: Instrument, wishes: dict[tuple[Mode, int], int]) -> None:
        """Makes the pool serve the richest wish. Raises CapacityExceeded and changes nothing when it cannot."""
        richest = max(wishes, default=None)
        streams = self.adapter.streams(instrument, *richest) if richest else ()
        self.pool.apply(instrument, streams)
        served = self._served.pop(instrument, None)
        if richest is not None:
            self._served[instrument] = _Served(richest, dict(streams))
        if served is None or richest is None:
            return
        new = dict(streams)
        if richest >= served.wish and len(new) == 1 and served.streams.keys() == new.keys():
            return  # the richer kind carries all that the poorer one did, and goes on with what is known
        for channel, kind in served.streams.items():
            if new.get(channel) != kind:
                # What only the old kind carried (a book, an open interest) would stay as it was for ever.
                self.publisher.begin_session(channel, (instrument,))

    # -- the connections' side ----------------------------------------------------------------------------

    def _open_connection(self, channel: str, number: int) -> FeedConnection:
        return FeedConnection(self, channel, number, clock=self._clock, rng=self._rng)

    async def credentials(self) -> Credentials:
        while True:
            self._credentials_stored.clear()
            found = await self._provider()
            if found is not None and found != self._refused:
                renewed, self._refused, self._refusal = self._refused is not None, None, ""
                if renewed:
                    await self._resolve_again()
                self._meet(found)
                return found
            if found is not None and self._renew is not None and self._renewed != found:
                self._renewed = found
                try:
                    await self._renew()
                except LoginFailed as error:
                    self._refusal = str(error)
                continue
            if found is None:
                self._refusal = f"no session: run `tickmux broker login {self.broker}`"
            self._refresh_status()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._credentials_stored.wait(), _WATCH_INTERVAL)

    def _meet(self, credentials: Credentials) -> None:
        """Tells the adapter whose session it is, once a session."""
        if credentials != self._met:
            self._met = credentials
            self.adapter.meets(credentials)

    def credentials_refused(self, credentials: Credentials, message: str, *, certain: bool) -> None:
        self._refused = credentials
        self._refusal = f"{message}; run `tickmux broker login {self.broker}`"
        self._refresh_status()

    def session_begins(self, channel: str, instruments: Sequence[Instrument]) -> None:
        self.publisher.begin_session(channel, instruments)
        self._last_tick = self._clock()

    def on_ticks(self, channel: str, ticks: Sequence[Tick]) -> None:
        self._last_tick = self._clock()
        self.publisher.publish(channel, ticks)

    def connection_changed(self, connection: FeedConnection) -> None:
        self._refresh_status()

    def any_market_open(self, instruments: Sequence[Instrument]) -> bool:
        return self._hours.any_open({instrument.exchange for instrument in instruments}, self._now())

    # -- watching -----------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Notices what no event tells: silence, the market's hours, a new instrument list."""
        while True:
            await asyncio.sleep(_WATCH_INTERVAL)
            self._refresh_status()
            generation = await self._instruments.generation()
            if generation != self._generation:
                self._generation = generation
                await self._resolve_again()

    async def _resolve_again(self) -> None:
        """Tokens change with new contract files: every symbol in demand is looked up anew."""
        names = list(self._known)
        for name, fresh in zip(names, await self._instruments.resolve(names), strict=True):
            old = self._known.get(name)
            if old is None or isinstance(fresh, RequestError) or fresh == old:
                continue  # gone from the list: the old token keeps being tried, which is all that can be done
            wishes = self._demand.pop(old)
            try:
                self._apply(fresh, wishes)  # first, so that a connection that carries nothing else stays open
                self._apply(old, {})
            except RequestError:  # a full pool: the old place has to be given up before
                self._apply(old, {})
                try:
                    self._apply(fresh, wishes)
                except RequestError as error:  # no other place either: it stays silent, the others go on
                    log.warning("%s is no longer subscribed at %s: %s", fresh.symbol, self.broker, error)
            for wish in wishes:
                self.publisher.unwant(old, *wish)
            self._known[name] = fresh
            self._demand[fresh] = wishes
            for wish in wishes:
                self.publisher.want(fresh, *wish)

    def _refresh_status(self) -> None:
        if not self._stopped:
            self._set_status(*self._judge())

    def _judge(self) -> tuple[FeedState, str]:
        connections = self.pool.connections()
        if not connections:
            return FeedState.CONNECTING, "connects with the first subscription"
        if self._refusal:
            return FeedState.AUTH_EXPIRED, self._refusal
        for connection in connections:
            if connection.state == LinkState.WAITING:
                return FeedState.RECONNECTING, connection.message
        if not all(connection.state == LinkState.LIVE for connection in connections):
            again = self._status.state in (FeedState.RECONNECTING, FeedState.AUTH_EXPIRED, FeedState.STALLED)
            return (FeedState.RECONNECTING if again else FeedState.CONNECTING), ""
        if not self.any_market_open(tuple(self._demand)):
            return FeedState.MARKET_CLOSED, ""
        if self._clock() - self._last_tick >= STALLED_AFTER:
            return FeedState.STALLED, f"no tick for {STALLED_AFTER:g} s while the market is open"
        return FeedState.LIVE, next((one.message for one in connections if one.message), "")

    def _set_status(self, state: FeedState, message: str) -> None:
        old = self._status
        symbols = len(self._demand)
        if (old.state, old.message, old.symbols) == (state, message, symbols):
            return
        since = old.since if old.state == state else epoch_ms()
        self._status = FeedStatus(state, since, message, symbols)
        if (old.state, old.message) != (state, message):
            self._listeners.tell(self._status)
