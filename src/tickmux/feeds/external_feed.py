"""A feed without an upstream of ours: any symbol may be subscribed, ticks come from OpenAlgo's publishers.

Publishers send the richest mode only, so a `…_DEPTH` reaches subscribers of QUOTE and LTP too, trimmed to their mode,
and a `…_QUOTE` those of LTP; unless the poorer mode has lately been published itself.

Owns its bus socket. Bounded by what is subscribed: what nobody wants leaves nothing behind.
"""

from collections.abc import Callable, Sequence

from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds.foreign import NoTick, Other, fields_of, is_about, joined_name, payload_for, topic_of
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
    StatusListener,
)
from tickmux.websocket_proxy.subscription_index import TopicKey

_BUS_READY_TIMEOUT = 10.0
_OWN_MODE = 30.0
"""Seconds for which a topic that is published in a mode keeps richer ones from being trimmed to that mode."""


class _Wanted:
    """One subscribed topic; `own` is when it was last published in its own mode (seconds, 0: never)."""

    __slots__ = ("key", "own", "references", "topic")

    def __init__(self, key: TopicKey) -> None:
        self.key = key
        self.topic = topic_name(key)
        self.references = 0
        self.own = 0.0


class ExternalFeed:
    """OpenAlgo's publishers as a feed; `clock` gives seconds, monotonic. Its depth is what they send."""

    has_orders = False

    def __init__(
        self,
        bus: BusPublisher,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
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
        self._named: dict[bytes, list[_Wanted]] = {}
        """By the publishers' name of the instrument: two instruments may have the same one."""
        self._parts: list[bytes] = []
        self._since = now_ms()
        self._stopped = False

    @property
    def status(self) -> FeedStatus:
        state = FeedState.STOPPED if self._stopped else FeedState.LIVE
        return FeedStatus(state, self._since, "ticks come from publishers on the bus", self._symbols())

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
                name = joined_name(key.exchange, key.symbol)
                self._named[name].remove(wanted)
                if not self._named[name]:
                    del self._named[name]

    def listen(self, listener: StatusListener) -> Callable[[], None]:
        return lambda: None

    def instrument_status(self, symbol: str, exchange: str) -> InstrumentStatus | None:
        return None

    def listen_to_instruments(self, listener: InstrumentListener) -> Callable[[], None]:
        return lambda: None

    def info(self) -> FeedInfo:
        return FeedInfo({}, (), self._symbols(), self.counters)

    async def stop(self) -> None:
        self._stopped = True
        self._bus.close()

    def _symbols(self) -> int:
        return len({(key.symbol, key.exchange) for key in self._wanted})

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
            if key.mode == about.mode:
                wanted.own = now
            elif key.mode > about.mode or (wanted.own and now - wanted.own < _OWN_MODE):
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
