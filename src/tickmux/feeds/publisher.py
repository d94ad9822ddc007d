"""Ticks of one feed -> merged state -> the final JSON bytes of `data`, encoded once and sent on the bus.

A broker's tick may be a part only (a book without a price, a change of open interest), so the publisher keeps, per
instrument, what the present upstream session has said. State of an old session never mixes with a new one:
`begin_session` forgets what the channel's last connection had said. A field that a tick takes back is absent from
then on, and the timestamp of an instrument never runs backwards: some wires date one kind of message and not another.

Bounded by the instruments that are wanted: what nobody wants has no state.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from tickmux.feeds.data_quality import DataQuality
from tickmux.instrument import Instrument
from tickmux.tick import LTP_FIELDS, Depth, Mode, Tick
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


class _State:
    """One instrument: what is wanted, and what the session has said. `parts` is kept where channels merge."""

    __slots__ = ("book", "parts", "quote", "wishes")

    def __init__(self) -> None:
        self.wishes: list[_Wish] = []
        self.quote = _QuoteData()
        self.book: Depth | None = None
        self.parts: dict[str, tuple[_QuoteData, Depth | None]] = {}


class Bus(Protocol):
    """Where encoded ticks go: topics and payloads in turn."""

    def send(self, parts: Sequence[bytes]) -> None: ...


class TickPublisher:
    """Merges and encodes the ticks of one feed. `now_ms` gives epoch milliseconds.

    `topic` names the topic of (instrument, mode, depth) on the bus.
    """

    def __init__(
        self,
        bus: Bus,
        topic: Callable[[Instrument, Mode, int], bytes],
        now_ms: Callable[[], int],
        *,
        merges_channels: bool = False,
        quality: DataQuality | None = None,
    ) -> None:
        self._bus = bus
        self._quality = quality or DataQuality(FeedCounters())
        self._topic = topic
        self._now_ms = now_ms
        self._merges_channels = merges_channels
        self._states: dict[Instrument, _State] = {}
        self._encoder = msgspec.json.Encoder()
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

    def begin_session(self, channel: str, instruments: Iterable[Instrument]) -> None:
        """A new connection carries these instruments: what the old one said of them is forgotten."""
        for instrument in instruments:
            state = self._states.get(instrument)
            if state is None:
                continue
            state.parts.pop(channel, None)
            state.quote, state.book = _QuoteData(), None
            for quote, book in state.parts.values():
                _overlay(state.quote, quote)
                state.book = book or state.book

    def snapshot(self, instrument: Instrument, mode: Mode, depth: int, symbol: str = "") -> bytes | None:
        """The payload of a topic as the session's state has it; None when there is nothing to show yet."""
        state = self._states.get(instrument)
        if state is None or (state.quote.timestamp is None and state.book is None):
            return None
        for wish in state.wishes:
            if wish.mode == mode and wish.depth == depth and wish.symbol == (symbol or instrument.symbol):
                if mode == Mode.LTP:
                    return None if state.quote.ltp is None else wish.head + self._numbers(_ltp_of(state.quote))
                numbers = self._numbers(state.quote)
                return wish.head + (self._with_book(numbers, state.book, depth) if mode == Mode.DEPTH else numbers)
        return None

    # -- hot path -----------------------------------------------------------------------------------------

    def publish(self, channel: str, ticks: Sequence[Tick]) -> None:
        """Merges the ticks of one wire frame and sends every wanted payload that they touch, as one message."""
        now = self._now_ms()
        parts: list[bytes] = []
        states = self._states
        quality = self._quality
        for tick in ticks:
            state = states.get(tick.instrument)
            if state is None:
                continue  # nobody wants it any more; the unsubscription is on its way
            quote = state.quote
            quality.look(tick, quote)
            touched = _merge(quote, tick, now)
            if tick.depth is not None:
                state.book = tick.depth
            elif tick.taken_back and "depth" in tick.taken_back:
                state.book = Depth([], [])  # an old book must not be shown as the present one
            if self._merges_channels:
                self._remember(state, channel, tick, now)
            encoded: bytes | None = None
            for wish in state.wishes:
                mode = wish.mode
                if mode == Mode.LTP:
                    if not touched & _LTP_TOUCHED or quote.ltp is None:
                        continue
                    body = self._numbers(_ltp_of(quote))
                elif mode == Mode.QUOTE:
                    if not touched:
                        continue
                    body = encoded = encoded or self._numbers(quote)
                else:
                    encoded = encoded or self._numbers(quote)
                    body = self._with_book(encoded, state.book, wish.depth)
                parts.append(wish.topic)
                parts.append(wish.head + body)
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
    if tick.mode != Mode.LTP or tick.close is not None:
        touched |= _merge_quote(quote, tick)
    if tick.taken_back:
        touched |= _take_back(quote, tick.taken_back)
    if touched:
        if (close := quote.close) and quote.ltp is not None:
            change = quote.ltp - close
            quote.change = round(change, 4)
            quote.change_percent = round(100 * change / abs(close), 4)
        else:
            quote.change = quote.change_percent = None
    return touched


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
