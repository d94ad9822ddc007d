"""A feed without an upstream of ours: any symbol may be subscribed, ticks come from OpenAlgo's publishers.

Publishers send the richest mode only, so a `…_DEPTH` reaches subscribers of QUOTE and LTP too, trimmed to their mode,
and a `…_QUOTE` those of LTP; unless the poorer mode has lately been published itself.

Owns its bus socket and one task, which notices publishers that have gone. Bounded by what is subscribed: what nobody
wants leaves nothing behind.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from tickmux import owned_task
from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds.foreign import NoTick, Other, fields_of, is_about, joined_name, payload_for, topic_of
from tickmux.feeds.instrument_watch import NAMED
from tickmux.feeds.published_states import PublishedStates
from tickmux.tick import Mode
from tickmux.websocket_proxy.bus import BusPublisher
from tickmux.websocket_proxy.feed import Grant, Want, topic_name
from tickmux.websocket_proxy.feed_state import (
    FeedCounters,
    FeedInfo,
    FeedState,
    FeedStatus,
    InstrumentListener,
    InstrumentStatus,
    Listeners,
    StatusListener,
)
from tickmux.websocket_proxy.subscription_index import TopicKey

_BUS_READY_TIMEOUT = 10.0
_WATCH_INTERVAL = 1.0
_LIVE = "ticks come from publishers on the bus"
_OWN_MODE = 30.0
"""Seconds for which a topic that is published in a mode keeps richer ones from being trimmed to that mode."""


class _Wanted:
    """One subscribed topic; `own` is when it was last published in its own mode (seconds)."""

    __slots__ = ("key", "own", "references", "topic")

    def __init__(self, key: TopicKey) -> None:
        self.key = key
        self.topic = topic_name(key)
        self.references = 0
        self.own: float | None = None


class ExternalFeed:
    """OpenAlgo's publishers as a feed; `clock` gives seconds, monotonic. Its depth is what they send."""

    has_orders = False

    def __init__(
        self,
        bus: BusPublisher,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
        trading: Callable[[str], bool],
        broker: str = "external",
        account: str = "bus",
    ) -> None:
        self.id = f"{broker}:{account}"
        self.broker = broker
        self.account = account
        self.counters = FeedCounters()
        self._bus = bus
        self._clock = clock
        self._wanted: dict[TopicKey, _Wanted] = {}
        self._instruments: Counter[tuple[str, str]] = Counter()
        """(symbol, exchange) -> in how many modes and depths it is held."""
        self._named: dict[bytes, list[_Wanted]] = {}
        """By the publishers' name of the instrument: two instruments may have the same one."""
        self._parts: list[bytes] = []
        self._now_ms = now_ms
        self._states = PublishedStates(trading, now_ms)
        self._listeners = Listeners[FeedStatus]()
        self._instrument_listeners = Listeners[Sequence[InstrumentStatus]]()
        self._status = FeedStatus(FeedState.LIVE, now_ms(), _LIVE, 0)
        self._watcher = owned_task.keep_running(self._watch, f"watch over {self.id}")

    @property
    def status(self) -> FeedStatus:
        silent = self._states.silent
        names = tuple(f"{exchange}:{symbol}" for symbol, exchange in silent[:NAMED])
        return msgspec.structs.replace(
            self._status, symbols=len(self._instruments), silent=len(silent), silent_names=names
        )

    async def subscribe(self, wants: Sequence[Want]) -> list[Grant | RequestError]:
        if not await self._bus.wait_ready(_BUS_READY_TIMEOUT):
            error = RequestError(ErrorCode.BROKER_INIT_ERROR, "the feed cannot reach the bus; see the log")
            return [error] * len(wants)
        granted: list[Grant | RequestError] = []
        for want in wants:
            depth = want.depth if want.mode == Mode.DEPTH else 0
            key = TopicKey(self.id, want.exchange, want.symbol, want.mode, depth)
            wanted = self._wanted.get(key)
            if wanted is None:
                wanted = self._wanted[key] = _Wanted(key)
                self._instruments[key.symbol, key.exchange] += 1
                self._named.setdefault(joined_name(key.exchange, key.symbol), []).append(wanted)
            wanted.references += 1
            granted.append(Grant(key, wanted.topic))
        return granted

    async def unsubscribe(self, keys: Sequence[TopicKey]) -> None:
        for key in keys:
            wanted = self._wanted.get(key)
            if wanted is None:
                continue
            wanted.references -= 1
            if not wanted.references:
                del self._wanted[key]
                self._instruments[key.symbol, key.exchange] -= 1
                name = joined_name(key.exchange, key.symbol)
                self._named[name].remove(wanted)
                if not self._named[name]:
                    del self._named[name]
                if not self._instruments[key.symbol, key.exchange]:
                    del self._instruments[key.symbol, key.exchange]
                    self._states.forget((key.symbol, key.exchange))

    def listen(self, listener: StatusListener) -> Callable[[], None]:
        return self._listeners.add(listener)

    def instrument_status(self, symbol: str, exchange: str) -> InstrumentStatus | None:
        return self._states.status((symbol, exchange)) if (symbol, exchange) in self._instruments else None

    def listen_to_instruments(self, listener: InstrumentListener) -> Callable[[], None]:
        return self._instrument_listeners.add(listener)

    def info(self) -> FeedInfo:
        counts = Counter(self._states.status(name).state.value for name in self._instruments)
        return FeedInfo({}, (), len(self._instruments), self.counters, dict(counts))

    async def stop(self) -> None:
        await owned_task.end(self._watcher)
        self._set_status(FeedState.STOPPED, "")
        self._bus.close()

    # -- watching -----------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Notices what no message tells: that a publisher has gone."""
        while True:
            await asyncio.sleep(_WATCH_INTERVAL)
            self.look()

    def look(self) -> None:
        """Looks once at every instrument, and tells who listens what has changed."""
        if changed := self._states.look(self._clock()):
            self._instrument_listeners.tell(changed)
        if self._states.missed_all:
            self._set_status(FeedState.STALLED, "publishers send no more what they sent before")
        else:
            self._set_status(FeedState.LIVE, _LIVE)

    def _set_status(self, state: FeedState, message: str) -> None:
        if (self._status.state, self._status.message) != (state, message):
            self._status = FeedStatus(state, self._now_ms(), message, 0)
            self._listeners.tell(self.status)

    # -- the publishers' side -----------------------------------------------------------------------------

    def on_message(self, topic: bytes, payload: bytes) -> None:
        """Takes a publisher's message; its ticks go out with `on_drained`."""
        self.counters.frames += 1
        about = topic_of(topic)
        if isinstance(about, Other):
            if about is Other.UNKNOWN:
                self.counters.unknown += 1
            else:  # orders and notes to caches: known, and no market data
                self.counters.ignored += 1
            return
        subscribed = self._named.get(about.name)
        if subscribed is None:
            self.counters.unrouted += 1
            return
        try:
            fields = fields_of(payload)
        except NoTick:
            self.counters.malformed += 1
            return
        meant = [one for one in subscribed if is_about(fields, one.key.symbol, one.key.exchange)]
        if not meant:  # it names another instrument than its topic does
            self.counters.malformed += 1
            return
        now = self._clock()
        for wanted in meant:
            key = wanted.key
            self._states.ticked((key.symbol, key.exchange), now)
            if key.mode == about.mode:
                wanted.own = now
            elif key.mode > about.mode or (wanted.own is not None and now - wanted.own < _OWN_MODE):
                continue
            body = payload_for(fields, about.mode, key.symbol, key.exchange, key.mode)
            if body is not None:
                self.counters.ticks += 1
                self._parts += (wanted.topic, body)

    def on_drained(self) -> None:
        """Sends what has come since the last time as one message."""
        if self._parts:
            parts, self._parts = self._parts, []
            self._bus.send(parts)
