"""What one feed serves: subscriptions counted, granted and given back. Synchronous and transactional.

A *subscription* is what somebody asks for (instrument, mode, depth), a *grant* is a subscription that is served, and
one *reference* is held for each grant until it is given back. The *demand* of an instrument is all of its references;
the richest of them decides what is subscribed upstream.

Nothing here waits, so that no decision can be overtaken by another caller; whoever looks instruments up does so
before, and says which list they are from (`generation`). A grant that fails in the middle leaves nothing behind.

One instrument may have several names (`TCS`, `TCS-EQ`). It is subscribed upstream once, under the name that came
first; two subscriptions of one token could not be told apart on the wire.

An instrument that has left the list, or whose contract is over, is *expired*: its route upstream is released at once,
its references are only counted down, and it is served again should a later list have it.

Bounded by the pool: what is granted has a place there.
"""

import logging
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, Protocol

import msgspec

from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds.publisher import TickPublisher
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import BaseBrokerWebSocketAdapter, Stream
from tickmux.websocket_proxy.feed import Grant, Want, topic_name
from tickmux.websocket_proxy.mapping import best_depth
from tickmux.websocket_proxy.subscription_index import TopicKey

log = logging.getLogger(__name__)

Name = tuple[str, str]
"""(symbol, exchange): what clients call an instrument."""


class Level(NamedTuple):
    """What is held of an instrument, and under which of its names; `depth` is 0 except in DEPTH mode.

    The greater one is the richer one.
    """

    mode: Mode
    depth: int
    symbol: str


class Pool(Protocol):
    """Where instruments are subscribed upstream."""

    def apply(self, instrument: Instrument, streams: Sequence[Stream]) -> None:
        """Makes `streams` what the instrument is subscribed as. Raises RequestError and changes nothing then."""


class _Served(NamedTuple):
    """As what an instrument is subscribed upstream: for which level, and channel -> kind."""

    level: Level
    streams: dict[str, str]


class Expired(NamedTuple):
    """References to an instrument that is served no more, and why."""

    references: dict[Level, int]
    message: str


class Demand:
    """The demand on the feed `feed_id`. `generation` is that of the list that all instruments in it are from.

    `forget` is told of instruments that are served no more.
    """

    def __init__(
        self,
        feed_id: str,
        adapter: BaseBrokerWebSocketAdapter,
        pool: Pool,
        publisher: TickPublisher,
        forget: Callable[[Instrument], object] = lambda instrument: None,
    ) -> None:
        self._forget = forget
        self._feed_id = feed_id
        self._adapter = adapter
        self._pool = pool
        self._publisher = publisher
        self.generation: int | None = None
        self.instruments: dict[Name, Instrument] = {}
        """What is served: name -> as what it is subscribed upstream."""
        self.expired: dict[Name, Expired] = {}
        """What was served, and is still held."""
        self.exchanges: Counter[str] = Counter()
        """How many of the instruments trade where."""
        self._references: dict[Instrument, dict[Level, int]] = {}
        self._served: dict[Instrument, _Served] = {}
        self._by_token: dict[Instrument, Instrument] = {}
        """What is subscribed upstream, by the instrument without its name."""

    def __len__(self) -> int:
        """Instruments that are served."""
        return len(self._references)

    def references(self, instrument: Instrument) -> Mapping[Level, int]:
        """How often each level of an instrument is held."""
        return self._references.get(instrument, {})

    def names(self, instrument: Instrument) -> list[Name]:
        """What an instrument of the demand is called by those who hold it."""
        symbols = dict.fromkeys(level.symbol for level in self.references(instrument))
        return [(symbol, instrument.exchange) for symbol in symbols]

    # -- granting and giving back -------------------------------------------------------------------------

    def grant(
        self, subscriptions: Sequence[Want], found: Mapping[Name, Instrument | RequestError]
    ) -> list[Grant | RequestError]:
        """A verdict for each, in order; one that cannot be served fails alone.

        `found` are instruments of the list `generation` that are not in demand yet, or why there are none.
        """
        return [self._grant_one(one, found) for one in subscriptions]

    def give_back(self, keys: Sequence[TopicKey]) -> None:
        """Takes one reference of each; keys that nobody holds are nothing."""
        for key in keys:
            self._give_back((key.symbol, key.exchange), Level(key.mode, key.depth, key.symbol))

    def _grant_one(self, one: Want, found: Mapping[Name, Instrument | RequestError]) -> Grant | RequestError:
        name = (one.symbol, one.exchange)
        instrument = self.instruments.get(name) or found.get(name)
        if instrument is None:
            served = ", ".join(self._adapter.exchanges)
            return RequestError(
                ErrorCode.SYMBOL_NOT_FOUND,
                f"{self._adapter.display_name} does not serve {one.exchange}, only {served}",
            )
        if isinstance(instrument, RequestError):
            return instrument
        try:
            depths = self._adapter.depth_levels(one.exchange)
            level = Level(one.mode, best_depth(depths, one.depth) if one.mode == Mode.DEPTH else 0, one.symbol)
            carrier = self._take(name, instrument, level)
        except RequestError as error:
            return error
        except Exception:
            # A defect of an adapter: this instrument fails, and what was granted before it stays.
            reference = secrets.token_hex(4)
            log.exception("%s cannot be granted, reference %s", name, reference)
            return RequestError(ErrorCode.SERVER_ERROR, f"a defect of ours, reference {reference}")
        if name in self.expired:
            self._revive(name, carrier)
        key = TopicKey(self._feed_id, one.exchange, one.symbol, level.mode, level.depth)
        return Grant(key, topic_name(key), self._publisher.snapshot(carrier, *level))

    def _take(self, name: Name, instrument: Instrument, level: Level, count: int = 1) -> Instrument:
        """Adds references; as what the instrument is subscribed upstream."""
        carrier = self._by_token.setdefault(_nameless(instrument), instrument)
        references = dict(self._references.get(carrier, {}))
        fresh = level not in references
        references[level] = references.get(level, 0) + count
        try:
            if fresh:
                self._apply(carrier, references)  # raises before anything has changed
        except BaseException:
            if carrier not in self._references:
                del self._by_token[_nameless(instrument)]
            raise
        if fresh:
            self._publisher.want(carrier, *level)
        if carrier not in self._references:
            self.exchanges[carrier.exchange] += 1
        self._references[carrier] = references
        self.instruments[name] = carrier
        return carrier

    def _give_back(self, name: Name, level: Level) -> None:
        carrier = self.instruments.get(name)
        if carrier is None or level not in self._references[carrier]:
            self._give_back_expired(name, level)
        elif self._references[carrier][level] > 1:
            self._references[carrier][level] -= 1
        else:
            self._let_go(name, carrier, (level,))

    def _give_back_expired(self, name: Name, level: Level) -> None:
        gone = self.expired.get(name)
        if gone is None or level not in gone.references:
            return
        gone.references[level] -= 1
        if not gone.references[level]:
            del gone.references[level]
        if not gone.references:
            del self.expired[name]

    def _let_go(self, name: Name, carrier: Instrument, levels: Sequence[Level]) -> None:
        """Serves these levels of the name no more."""
        references = self._references[carrier]
        for level in levels:
            del references[level]
            self._publisher.unwant(carrier, *level)
        if self.instruments.get(name) is carrier and not any(level.symbol == name[0] for level in references):
            del self.instruments[name]
        if references:
            # A downgrade asks for less of what has a place already; where a broker's sums make even that
            # impossible, the richer subscription simply stays.
            with suppress(RequestError):
                self._apply(carrier, references)
            return
        self._apply(carrier, {})
        self._forget(carrier)
        del self._references[carrier]
        if self._by_token.get(token := _nameless(carrier)) is carrier:
            del self._by_token[token]
        self.exchanges[carrier.exchange] -= 1
        if not self.exchanges[carrier.exchange]:
            del self.exchanges[carrier.exchange]

    def _held(self, name: Name, carrier: Instrument) -> dict[Level, int]:
        return {level: count for level, count in self._references[carrier].items() if level.symbol == name[0]}

    def _apply(self, instrument: Instrument, references: Mapping[Level, int]) -> None:
        """Makes the pool serve the richest level. Raises CapacityExceeded and changes nothing when it cannot."""
        richest = max(references, default=None)
        streams: tuple[Stream, ...] = ()
        if richest:
            asked = self._adapter.asked_mode(instrument, richest.mode)
            streams = self._adapter.streams(instrument, asked, richest.depth)
        self._pool.apply(instrument, streams)
        served = self._served.pop(instrument, None)
        if richest is not None:
            self._served[instrument] = _Served(richest, dict(streams))
        if served is None or richest is None:
            return
        new = dict(streams)
        if richest[:2] >= served.level[:2] and len(new) == 1 and served.streams.keys() == new.keys():
            return  # the richer kind carries all that the poorer one did, and goes on with what is known
        for channel, kind in served.streams.items():
            if new.get(channel) != kind:
                # What only the old kind carried (a book, an open interest) would stay as it was for ever.
                self._publisher.change_kind(channel, instrument)

    # -- time passes --------------------------------------------------------------------------------------

    def expire(self, over: Callable[[Name, Instrument], str]) -> list[Name]:
        """Lets go of every instrument that `over` gives a reason for; the names of these."""
        gone = [(name, reason) for name, one in self.instruments.items() if (reason := over(name, one))]
        for name, reason in gone:
            self._expire(name, reason)
        return [name for name, _ in gone]

    def relist(self, generation: int, found: Mapping[Name, Instrument | RequestError]) -> list[Name]:
        """Takes over a new list: `found` has what it says of every name in demand, expired ones too.

        Tokens that have changed are followed. What is not listed any more is expired, first, so that the route of a
        token is free for its new owner. The result are the names that have expired or come back.
        """
        self.generation = generation
        changed = []
        for name in tuple(self.instruments):
            fresh = found.get(name)
            if isinstance(fresh, RequestError) and fresh.code == ErrorCode.SYMBOL_NOT_FOUND:
                self._expire(name, fresh.message)
                changed.append(name)
        moving = [
            (name, carrier, fresh)
            for name, carrier in self.instruments.items()
            if isinstance(fresh := found.get(name), Instrument) and _nameless(fresh) != _nameless(carrier)
        ]
        for _, carrier, _ in moving:
            self._by_token.pop(_nameless(carrier), None)  # what was said of the old bearer is not of the new one
        changed += [name for name, carrier, fresh in moving if not self._move(name, carrier, fresh)]
        for name in tuple(self.expired):
            fresh = found.get(name)
            if isinstance(fresh, Instrument) and self._revive(name, fresh):
                changed.append(name)
        return changed

    def _expire(self, name: Name, reason: str) -> None:
        carrier = self.instruments[name]
        held = self._held(name, carrier)
        self._let_go(name, carrier, tuple(held))
        self._put_aside(name, held, reason)

    def _put_aside(self, name: Name, held: dict[Level, int], reason: str) -> None:
        log.info("instrument feed=%s name=%s:%s state=expired reason=%r", self._feed_id, name[1], name[0], reason)
        before = self.expired.get(name)
        for level, count in before.references.items() if before is not None else ():
            held[level] = held.get(level, 0) + count
        self.expired[name] = Expired(held, reason)

    def _revive(self, name: Name, instrument: Instrument) -> bool:
        """Serves again what was expired and is listed (again), where there is room."""
        gone = self.expired[name]
        taken: list[Level] = []
        try:
            for level, count in gone.references.items():
                self._take(name, instrument, level, count)
                taken.append(level)
        except RequestError as error:
            for level in taken:
                for _ in range(gone.references[level]):
                    self._give_back(name, level)
            self.expired[name] = Expired(gone.references, f"listed again, but {error.message}")
            return False
        del self.expired[name]
        return True

    def _move(self, name: Name, old: Instrument, fresh: Instrument) -> bool:
        """The same name under another token; False when there is no room for it."""
        held = self._held(name, old)
        try:
            self._take_all(name, fresh, held)  # first, so that a connection that carries nothing else stays open
        except RequestError:  # a full pool: the old place has to be given up before
            self._let_go(name, old, tuple(held))
            try:
                self._take_all(name, fresh, held)
            except RequestError as error:  # no other place either
                self._put_aside(name, held, f"its token has changed, and {error.message}")
                return False
        else:
            self._let_go(name, old, tuple(held))
        return True

    def _take_all(self, name: Name, instrument: Instrument, held: Mapping[Level, int]) -> None:
        """The richest first: whatever follows has room then. Raises RequestError and changes nothing."""
        for level in sorted(held, reverse=True):
            self._take(name, instrument, level, held[level])


def _nameless(instrument: Instrument) -> Instrument:
    """What the broker knows of it: equal for two names of one instrument."""
    return msgspec.structs.replace(instrument, symbol="")
