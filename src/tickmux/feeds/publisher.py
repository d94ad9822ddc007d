"""Ticks of one feed -> merged state -> the final JSON bytes of `data`, encoded once and sent on the bus.

A broker's tick may be a part only (a book without a price, a change of open interest), so the publisher keeps, per
instrument, what the present upstream session has said. State of an old session never mixes with a new one:
`end_session` forgets what the channel's connection had said, and empties its topics, so that nobody who subscribes
later is shown it. Only what cannot have changed backwards within a trading day (open, previous close, circuit limits,
a volume as a floor) is kept aside, and completes what the new session says. A field that a tick takes back is absent
from then on, and the timestamp of an instrument never runs backwards: some wires date one kind of message and not
another.

QUOTE and DEPTH wait for the first price. DEPTH waits for the first book as well, for a second at most.

Bounded by the instruments that are wanted: what nobody wants has no state.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from tickmux.feeds.data_quality import DataQuality
from tickmux.instrument import Instrument
from tickmux.tick import LTP_FIELDS, MODE_DEPTH, MODE_LTP, MODE_QUOTE, Depth, Mode, Tick
from tickmux.websocket_proxy.feed_state import FeedCounters
from tickmux.websocket_proxy.mapping import DATA_MODES

_WITHOUT_OI = frozenset({"NSE", "BSE", "NSE_INDEX", "BSE_INDEX"})
"""Shares and indices have no open interest: the 0 that some wires have in its place says nothing."""
_LIMIT = 1e12
"""No price is beyond it: keeps infinities and NaN (which compares false), as a hostile float can be, off the wire."""


class _LtpData(msgspec.Struct, omit_defaults=True):
    ltp: float | None = None
    ltt: int | None = None
    timestamp: int | None = None


class _QuoteData(_LtpData, omit_defaults=True):
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: int | None = None
    change: float | None = None
    change_percent: float | None = None
    last_trade_quantity: int | None = None
    last_quantity: int | None = None
    avg_trade_price: float | None = None
    average_price: float | None = None
    total_buy_quantity: int | None = None
    total_sell_quantity: int | None = None
    oi: int | None = None
    upper_circuit: float | None = None
    lower_circuit: float | None = None


class _Wish(msgspec.Struct):
    """One topic that somebody wants of an instrument; `head` is its payload up to the numbers."""

    mode: Mode
    depth: int
    symbol: str
    topic: bytes
    head: bytes


class _Kept(msgspec.Struct, frozen=True):
    """What a session said last that holds for the rest of its trading day; `day` counts days in India."""

    day: int
    open: float | None
    close: float | None
    volume: int | None
    upper_circuit: float | None
    lower_circuit: float | None


class _State:
    """One instrument: what is wanted, and what the session has said.

    parts:      by channel, where channels merge.
    stamp:      the newest timestamp that went out, whatever the session.
    kept:       of the session before, until the new one has a price.
    floor:      the volume of the session before and its day, until the new one has reached it.
    late_until: before this moment (epoch ms) what a richer kind still sends counts for its price alone.
    """

    __slots__ = ("book", "floor", "kept", "late_until", "parts", "quote", "stamp", "wishes")

    def __init__(self) -> None:
        self.wishes: list[_Wish] = []
        self.quote = _QuoteData()
        self.book: Depth | None = None
        self.parts: dict[str, tuple[_QuoteData, Depth | None]] = {}
        self.stamp = 0
        self.kept: _Kept | None = None
        self.floor: tuple[int, int] | None = None
        self.late_until = 0


class Bus(Protocol):
    """Where encoded ticks go: topics and payloads in turn."""

    def send(self, parts: Sequence[bytes]) -> None: ...


def _later(seconds: float, call: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, call)


class TickPublisher:
    """Merges and encodes the ticks of one feed. `now_ms` gives epoch milliseconds.

    `topic` names the topic of (instrument, mode, depth) on the bus. An empty payload on a topic takes the last one
    back. `later` calls a function after some seconds.
    """

    def __init__(
        self,
        bus: Bus,
        topic: Callable[[Instrument, Mode, int], bytes],
        now_ms: Callable[[], int],
        *,
        merges_channels: bool = False,
        quality: DataQuality | None = None,
        later: Callable[[float, Callable[[], None]], object] = _later,
    ) -> None:
        self._bus = bus
        self._quality = quality or DataQuality(FeedCounters())
        self._topic = topic
        self._now_ms = now_ms
        self._merges_channels = merges_channels
        self._states: dict[Instrument, _State] = {}
        self._encoder = msgspec.json.Encoder()
        self._later = later
        self._bookless: dict[Instrument, None] = {}
        """Whose DEPTH waits for a book; `_give_up_books` is due while there is one."""
        self._closed = False
        self.published = 0

    # -- demand -------------------------------------------------------------------------------------------

    def want(self, instrument: Instrument, mode: Mode, depth: int, symbol: str = "") -> None:
        """Publishes this topic from now on; wanting twice is once.

        `symbol` is what subscribers call the instrument, where that is another name than its own.
        """
        state = self._states.setdefault(instrument, _State())
        symbol = symbol or instrument.symbol
        if any(wish.mode == mode and wish.depth == depth and wish.symbol == symbol for wish in state.wishes):
            return
        head = self._encoder.encode({"symbol": symbol, "exchange": instrument.exchange, "mode": DATA_MODES[mode]})
        named = instrument if symbol == instrument.symbol else msgspec.structs.replace(instrument, symbol=symbol)
        state.wishes.append(_Wish(mode, depth, symbol, self._topic(named, mode, depth), head[:-1] + b","))

    def unwant(self, instrument: Instrument, mode: Mode, depth: int, symbol: str = "") -> None:
        """Publishes this topic no more; the last one takes the state along."""
        state = self._states.get(instrument)
        if state is not None:
            gone = (mode, depth, symbol or instrument.symbol)
            state.wishes = [wish for wish in state.wishes if (wish.mode, wish.depth, wish.symbol) != gone]
            if not state.wishes:
                del self._states[instrument]

    def close(self) -> None:
        """Publishes nothing more."""
        self._closed = True

    def end_session(self, channel: str, instruments: Iterable[Instrument]) -> None:
        """The channel's connection carries these instruments no more: what it said is forgotten, here and by the
        proxies, but for what holds for the rest of the day."""
        parts: list[bytes] = []
        for instrument in instruments:
            state = self._states.get(instrument)
            if state is None:
                continue
            if state.quote.timestamp is not None or state.book is not None:
                for wish in state.wishes:
                    parts += (wish.topic, b"")
            self._forget(state, channel)
        if parts:
            self._bus.send(parts)

    def change_kind(self, channel: str, instrument: Instrument) -> None:
        """The instrument is subscribed as a poorer kind: what only the richer one carried would stay for ever.

        Ticks of the richer kind may be under way still: for a while they count for their price alone.
        """
        self.end_session(channel, (instrument,))
        if (state := self._states.get(instrument)) is not None:
            state.late_until = self._now_ms() + _LATE

    def _forget(self, state: _State, channel: str) -> None:
        quote = state.quote
        if quote.ltp is not None:
            state.kept = _Kept(
                _day(self._now_ms()),
                quote.open,
                quote.close,
                quote.volume,
                quote.upper_circuit,
                quote.lower_circuit,
            )
        state.parts.pop(channel, None)
        state.quote, state.book = _QuoteData(), None
        for said, book in state.parts.values():
            _overlay(state.quote, said)
            state.book = book or state.book

    def snapshot(self, instrument: Instrument, mode: Mode, depth: int, symbol: str = "") -> bytes | None:
        """The payload of a topic as the session's state has it; None when there is nothing to show yet."""
        state = self._states.get(instrument)
        if state is None or state.quote.ltp is None:
            return None
        for wish in state.wishes:
            if wish.mode == mode and wish.depth == depth and wish.symbol == (symbol or instrument.symbol):
                if mode == MODE_LTP:
                    return wish.head + self._numbers(_ltp_of(state.quote))
                if mode == MODE_DEPTH and depth and state.book is None:
                    return None
                numbers = self._numbers(state.quote)
                return wish.head + (self._with_book(numbers, state.book, depth) if mode == MODE_DEPTH else numbers)
        return None

    # -- hot path -----------------------------------------------------------------------------------------

    def publish(self, channel: str, ticks: Sequence[Tick]) -> None:
        """Merges the ticks of one wire frame and sends every wanted payload that they touch, as one message."""
        now = self._now_ms()
        parts: list[bytes] = []
        states = self._states
        look = self._quality.look
        merges_channels = self._merges_channels
        for tick in ticks:
            state = states.get(tick.instrument)
            if state is None:
                continue  # nobody wants it any more; the unsubscription is on its way
            quote = state.quote
            look(tick, quote)
            if now < state.late_until:
                tick = _of_its_mode(tick, state.wishes)
            touched = _merge(quote, tick, now)
            if quote.timestamp < state.stamp:  # type: ignore[operator]  # `_merge` sets it
                quote.timestamp = state.stamp
            else:
                state.stamp = quote.timestamp  # type: ignore[assignment]
            if state.kept is not None and quote.ltp is not None:
                _complete(state, tick, _day(now))
                touched |= _QUOTE_TOUCHED
            if state.floor is not None:
                _keep_floor(state, _day(now))
            if (book := tick.depth) is not None:
                state.book = book
            elif tick.taken_back and "depth" in tick.taken_back:
                state.book = Depth([], [])  # an old book must not be shown as the present one
            if merges_channels:
                self._remember(state, channel, tick, now)
            if quote.ltp is None:  # who reads a QUOTE without a price would show 0
                if "ltp" in tick.taken_back:
                    for wish in state.wishes:
                        parts += (wish.topic, b"")
                continue
            encoded: bytes | None = None
            for wish in state.wishes:
                mode = wish.mode
                if mode == MODE_LTP:
                    if not touched & _LTP_TOUCHED:
                        continue
                    body = self._numbers(_ltp_of(quote))
                elif mode == MODE_QUOTE:
                    if not touched:
                        continue
                    body = encoded = encoded or self._numbers(quote)
                elif state.book is None and wish.depth:
                    self._await_book(tick.instrument)
                    continue
                else:
                    encoded = encoded or self._numbers(quote)
                    body = self._with_book(encoded, state.book, wish.depth)
                parts.append(wish.topic)
                parts.append(wish.head + body)
        if parts:
            self._bus.send(parts)
            self.published += len(parts) // 2

    def _await_book(self, instrument: Instrument) -> None:
        if instrument not in self._bookless:
            if not self._bookless:
                self._later(_BOOK_PATIENCE, self._give_up_books)
            self._bookless[instrument] = None

    def _give_up_books(self) -> None:
        """The books that have not come are empty."""
        waiting, self._bookless = self._bookless, {}
        if self._closed:
            return
        parts: list[bytes] = []
        for instrument in waiting:
            state = self._states.get(instrument)
            if state is None or state.book is not None or state.quote.ltp is None:
                continue
            state.book = Depth([], [])
            numbers = self._numbers(state.quote)
            for wish in state.wishes:
                if wish.mode == MODE_DEPTH and wish.depth:
                    parts += (wish.topic, wish.head + self._with_book(numbers, state.book, wish.depth))
        if parts:
            self._bus.send(parts)
            self.published += len(parts) // 2

    def _numbers(self, data: _LtpData) -> bytes:
        """Only numbers, without the opening brace. Whole numbers become integers: `806.0` is `806` on the wire,
        which typed clients need; nothing in here is text, so replacing bytes is safe."""
        return self._encoder.encode(data).replace(b".0,", b",").replace(b".0}", b"}")[1:]

    def _with_book(self, numbers: bytes, book: Depth | None, depth: int) -> bytes:
        if book is None:
            return numbers
        if depth and (len(book.buy) > depth or len(book.sell) > depth):
            book = Depth(book.buy[:depth], book.sell[:depth])
        encoded = self._encoder.encode(book).replace(b".0,", b",")
        return b"".join((numbers[:-1], b',"depth":', encoded, b"}"))

    def _remember(self, state: _State, channel: str, tick: Tick, now: int) -> None:
        quote, book = state.parts.get(channel) or (_QuoteData(), None)
        _merge(quote, tick, now)
        if tick.depth is not None:
            for other, (said, _) in state.parts.items():
                state.parts[other] = (said, None)  # of two books the newer counts, also when its channel is lost
        state.parts[channel] = (quote, None if "depth" in tick.taken_back else tick.depth or book)


_LTP_TOUCHED, _QUOTE_TOUCHED = 1, 2
_BOOK_PATIENCE = 0.9
"""Seconds that the first DEPTH message waits for a book."""
_LATE = 3000
"""Milliseconds for which ticks of a kind that has been unsubscribed may arrive."""
_IST_OFFSET, _DAY = 19_800_000, 86_400_000


def _day(now: int) -> int:
    """The day in India of a moment in epoch milliseconds."""
    return (now + _IST_OFFSET) // _DAY


def _complete(state: _State, tick: Tick, day: int) -> None:
    """Puts what an earlier session of the same day said where the present one has said nothing yet."""
    quote, kept, state.kept = state.quote, state.kept, None
    if kept is None or kept.day != day:
        return
    for name in ("open", "close", "upper_circuit", "lower_circuit"):
        if getattr(quote, name) is None and name not in tick.taken_back:
            setattr(quote, name, getattr(kept, name))
    _compare(quote)
    if kept.volume is not None and "volume" not in tick.taken_back:
        state.floor = (kept.volume, day)


def _keep_floor(state: _State, day: int) -> None:
    floor, of_day = state.floor or (0, day)
    volume = state.quote.volume
    if of_day != day or (volume is not None and volume >= floor):
        state.floor = None
    else:
        state.quote.volume = floor


def _of_its_mode(tick: Tick, wishes: Sequence[_Wish]) -> Tick:
    """The tick, or its price alone where it is richer than all that is wanted now."""
    if any(wish.mode >= tick.mode for wish in wishes):
        return tick
    return Tick(instrument=tick.instrument, mode=MODE_LTP, ltp=tick.ltp, ltt=tick.ltt, timestamp=tick.timestamp)


def _ltp_of(quote: _QuoteData) -> _LtpData:
    return _LtpData(quote.ltp, quote.ltt, quote.timestamp)


def _merge(quote: _QuoteData, tick: Tick, now: int) -> int:
    """Puts what the tick says into the state; tells which modes' content it touched (bits)."""
    touched = 0
    if (ltp := tick.ltp) is not None and -_LIMIT < ltp < _LIMIT:
        quote.ltp = ltp
        touched = _LTP_TOUCHED
    if (ltt := tick.ltt) is not None:
        quote.ltt = ltt
        touched = _LTP_TOUCHED
    stamp = tick.timestamp if tick.timestamp is not None else now
    if quote.timestamp is None or stamp > quote.timestamp:
        quote.timestamp = stamp
    if tick.mode != MODE_LTP or tick.close is not None:
        touched |= _merge_quote(quote, tick)
    if tick.taken_back:
        touched |= _take_back(quote, tick.taken_back)
    if touched:
        _compare(quote)
    return touched


def _compare(quote: _QuoteData) -> None:
    """The change against the previous close."""
    if (close := quote.close) and quote.ltp is not None:
        change = quote.ltp - close
        quote.change = round(change, 4)
        quote.change_percent = round(100 * change / abs(close), 4)
    else:
        quote.change = quote.change_percent = None


_TWINS = {"last_trade_quantity": "last_quantity", "avg_trade_price": "average_price"}


def _take_back(quote: _QuoteData, names: Sequence[str]) -> int:
    """Forgets these fields: an old value must not go out under a new time."""
    touched = 0
    for name in names:
        if name != "timestamp" and getattr(quote, name, None) is not None:
            setattr(quote, name, None)
            if name in _TWINS:
                setattr(quote, _TWINS[name], None)
            touched |= _LTP_TOUCHED if name in LTP_FIELDS else _QUOTE_TOUCHED
    return touched


def _merge_quote(quote: _QuoteData, tick: Tick) -> int:
    touched = 0
    if (price := tick.open) is not None and -_LIMIT < price < _LIMIT:
        quote.open = price
        touched = _QUOTE_TOUCHED
    if (price := tick.high) is not None and -_LIMIT < price < _LIMIT:
        quote.high = price
        touched = _QUOTE_TOUCHED
    if (price := tick.low) is not None and -_LIMIT < price < _LIMIT:
        quote.low = price
        touched = _QUOTE_TOUCHED
    if (price := tick.close) is not None and -_LIMIT < price < _LIMIT:
        quote.close = price
        touched = _QUOTE_TOUCHED
    if (quantity := tick.volume) is not None:
        quote.volume = quantity
        touched = _QUOTE_TOUCHED
    if (quantity := tick.last_trade_quantity) is not None:
        quote.last_trade_quantity = quote.last_quantity = quantity
        touched = _QUOTE_TOUCHED
    if (price := tick.avg_trade_price) is not None and -_LIMIT < price < _LIMIT:
        quote.avg_trade_price = quote.average_price = price
        touched = _QUOTE_TOUCHED
    if (quantity := tick.total_buy_quantity) is not None:
        quote.total_buy_quantity = quantity
        touched = _QUOTE_TOUCHED
    if (quantity := tick.total_sell_quantity) is not None:
        quote.total_sell_quantity = quantity
        touched = _QUOTE_TOUCHED
    if (quantity := tick.oi) is not None and (quantity or tick.instrument.exchange not in _WITHOUT_OI):
        quote.oi = quantity
        touched = _QUOTE_TOUCHED
    if (price := tick.upper_circuit) is not None and -_LIMIT < price < _LIMIT:
        quote.upper_circuit = price
        touched = _QUOTE_TOUCHED
    if (price := tick.lower_circuit) is not None and -_LIMIT < price < _LIMIT:
        quote.lower_circuit = price
        touched = _QUOTE_TOUCHED
    return touched


def _overlay(quote: _QuoteData, part: _QuoteData) -> None:
    for name in quote.__struct_fields__:
        value = getattr(part, name)
        if value is not None:
            setattr(quote, name, value)
