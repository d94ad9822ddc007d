"""Angel One's wire: JSON requests out, one little-endian packet a frame in (specification sections 4 to 6, 10).

Every packet is complete, so the decoder keeps no market state. What it keeps is which instruments the latest
subscriptions asked for (at most `_REMEMBERED` frames), to tell what an error frame refuses.
"""

import struct
from collections.abc import Hashable, Sequence
from typing import Any

import msgspec

from tickmux.broker._wire_values import PLAIN, count, epoch_ms, float_count, moment_ms, price, wide_price
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_LTP, MODE_QUOTE, Depth, DepthLevel, Tick, without_value

EXCHANGE_TYPES = {
    "NSE": 1,
    "NSE_INDEX": 1,
    "NFO": 2,
    "BSE": 3,
    "BSE_INDEX": 3,
    "BFO": 4,
    "MCX": 5,
    "MCX_INDEX": 5,
    "CDS": 13,
}
"""Our exchange -> the wire's exchange type (section 8); indices travel on the cash type."""

MODES = {"ltp": 1, "quote": 2, "snap_quote": 3, "depth20": 4}
"""Our kind -> the broker's mode (section 4)."""

TOKEN_LIMIT = 1000
"""Token-modes that one connection may hold: a token in two modes counts twice (section 3)."""

_LTP, _QUOTE, _SNAP_QUOTE, _DEPTH20 = MODES.values()
_SIZES = {_LTP: 51, _QUOTE: 123, _SNAP_QUOTE: 379, _DEPTH20: 443}
_DIVISORS = {1: 100, 2: 100, 3: 100, 4: 100, 5: 100, 13: 10_000_000}
_NSE_CASH = 1
_INDEX_EXCHANGES = frozenset({"NSE_INDEX", "BSE_INDEX", "MCX_INDEX"})
OI_EXCHANGES = frozenset({"NFO", "BFO", "CDS", "MCX"})
_TOKEN_SIZE = 25

_read_ltp = struct.Struct("<qq").unpack_from  # exchange time, last price
_read_quote = struct.Struct("<5q2d4q").unpack_from  # ... quantity, average, volume, totals, open, high, low, close
_read_times = struct.Struct("<qq").unpack_from  # last trade time, open interest
_read_circuits = struct.Struct("<qq").unpack_from
_read_stamp = struct.Struct("<q").unpack_from
_BEST_FIVE_LEVEL = struct.Struct("<hqqH")  # side, quantity, price, orders
_DEPTH20_LEVEL = struct.Struct("<iiH")  # quantity, price, orders

_SECONDS_END = 10**11
"""A last trade time above it is milliseconds already."""
_PRICES = ("ltp", "open", "high", "low", "close", "avg_trade_price")

_REMEMBERED = 256
_DEAD_SESSION = frozenset({"AG8001", "AG8002", "AG8003"})
"""Error codes of a token that is wrong, expired or missing (section 2)."""


class _ErrorFrame(msgspec.Struct):
    """`{"correlationID", "errorCode", "errorMessage"}`; their types are not checked yet."""

    correlation: Any = msgspec.field(default=None, name="correlationID")
    code: Any = msgspec.field(default=None, name="errorCode")
    message: Any = msgspec.field(default=None, name="errorMessage")


_decode_error = msgspec.json.Decoder(_ErrorFrame).decode
_encode = msgspec.json.encode


class AngelCodec(FeedCodec):
    """Kinds are those of `MODES`. A `correlation_id` among the credentials goes into every request, for a
    caller who traces them; otherwise each request has a number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._requests = 0
        self._correlation = ""
        self._asked: dict[str, tuple[Instrument, ...]] = {}

    def wire_key(self, instrument: Instrument) -> Hashable:
        """The packet's bytes from exchange type to the end of the token: tokens repeat across exchange types."""
        exchange_type = EXCHANGE_TYPES.get(instrument.exchange)
        if exchange_type is None:
            raise ValueError(f"{instrument.symbol}: Angel One's feed has no exchange {instrument.exchange}")
        token = instrument.token
        if not 0 < len(token) <= _TOKEN_SIZE or not token.isascii() or not token.isprintable():
            raise ValueError(f"{instrument.symbol}: {token!r} is no token of Angel One's")
        return bytes((exchange_type,)) + token.encode()

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        self._correlation = credentials.get("correlation_id")
        return []

    def heartbeat_frames(self) -> list[Frame]:
        return ["ping"]

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        correlation = self._next_correlation()
        self._asked.pop(correlation, None)
        self._asked[correlation] = tuple(instruments)
        if len(self._asked) > _REMEMBERED:
            del self._asked[next(iter(self._asked))]
        return [_request(correlation, 1, instruments, kind)]

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [_request(self._next_correlation(), 0, instruments, kind)]

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        # In between, the tokens count in both modes. Without room for that the new mode would be refused, so
        # that a nearly full connection has to give the old one up first.
        if len(self.kinds) + len(instruments) > TOKEN_LIMIT:
            return [*self.unsubscribe_frames(instruments, old), *self.subscribe_frames(instruments, new)]
        return super().change_frames(instruments, old, new)

    def _next_correlation(self) -> str:
        self._requests += 1
        return self._correlation or str(self._requests)

    def decode(self, frame: bytes | str) -> Decoded:
        if isinstance(frame, str):
            return self._decode_text(frame)
        size = len(frame)
        if not size:
            return Decoded(event=Event.MALFORMED, message="empty frame")
        mode = frame[0]
        least = _SIZES.get(mode)
        if least is None:
            return Decoded(unknown=1)
        if size < least:
            return Decoded(event=Event.MALFORMED, message=f"mode {mode} frame of {size} bytes, not {least}")
        instrument = self.routes.get(frame[1:27].partition(b"\0")[0])
        if instrument is None:
            return Decoded(unrouted=1)
        divisor = _DIVISORS[frame[1]]  # wire_key lets no other exchange type in
        if mode == _LTP:
            stamp, last = _read_ltp(frame, 35)
            ltp = last / divisor if 0 < last < PLAIN else wide_price(last, divisor, instrument.is_index)
            if ltp is None:
                return Decoded()
            tick = Tick(instrument=instrument, mode=MODE_LTP, ltp=ltp, timestamp=moment_ms(stamp))
        elif mode == _DEPTH20:
            if frame[1] != _NSE_CASH or instrument.exchange in _INDEX_EXCHANGES:
                return Decoded(unknown=1)  # there is no such book (section 4)
            tick = _depth20_tick(frame, instrument, divisor)
        elif instrument.exchange in _INDEX_EXCHANGES:
            tick = _index_tick(frame, instrument, divisor)
        else:
            tick = _tradable_tick(frame, instrument, divisor)
        return Decoded(ticks=[tick])

    def _decode_text(self, text: str) -> Decoded:
        if text.strip() == "pong":
            return Decoded(event=Event.HEARTBEAT)
        try:
            error = _decode_error(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return Decoded(event=Event.MALFORMED, message="text frame is neither pong nor a JSON object")
        if error.code is None and error.message is None:
            return Decoded(unknown=1)
        code = error.code if isinstance(error.code, str) else ""
        message = f"{error.message if isinstance(error.message, str) else 'error'} ({code or 'no code'})"[:200]
        if code in _DEAD_SESSION:
            return Decoded(event=Event.AUTH_ERROR, message=message)
        asked = self._asked.pop(error.correlation, ()) if isinstance(error.correlation, str) else ()
        refused = [instrument for instrument in asked if instrument in self.kinds]
        return Decoded(event=Event.ERROR, message=message, refused=refused)


def _request(correlation: str, action: int, instruments: Sequence[Instrument], kind: str) -> str:
    groups: dict[int, list[str]] = {}
    for instrument in instruments:
        groups.setdefault(EXCHANGE_TYPES[instrument.exchange], []).append(instrument.token)
    tokens = [{"exchangeType": exchange_type, "tokens": tokens} for exchange_type, tokens in groups.items()]
    request = {
        "correlationID": correlation,
        "action": action,
        "params": {"mode": MODES[kind], "tokenList": tokens},
    }
    return _encode(request).decode()


def _tradable_tick(frame: bytes, instrument: Instrument, divisor: int) -> Tick:
    """Modes 2 and 3: quantities of 0 are real, prices and times of 0 are none (section 6)."""
    stamp, last, quantity, average, volume, buy, sell, open_, high, low, close = _read_quote(frame, 35)
    plain = PLAIN
    ltp = last / divisor if 0 < last < plain else wide_price(last, divisor)
    first = open_ / divisor if 0 < open_ < plain else wide_price(open_, divisor)
    highest = high / divisor if 0 < high < plain else wide_price(high, divisor)
    lowest = low / divisor if 0 < low < plain else wide_price(low, divisor)
    before = close / divisor if 0 < close < plain else wide_price(close, divisor)
    mean = average / divisor if 0 < average < plain else wide_price(average, divisor)
    tick = Tick(
        instrument=instrument,
        mode=MODE_QUOTE,
        ltp=ltp,
        timestamp=moment_ms(stamp),
        last_trade_quantity=quantity if 0 <= quantity < plain else count(quantity),
        avg_trade_price=mean,
        volume=volume if 0 <= volume < plain else count(volume),
        total_buy_quantity=int(buy) if 0.0 <= buy < plain else float_count(buy),
        total_sell_quantity=int(sell) if 0.0 <= sell < plain else float_count(sell),
        open=first,
        high=highest,
        low=lowest,
        close=before,
    )
    if not (ltp and first and highest and lowest and before and mean):
        tick.taken_back = without_value(_PRICES, (ltp, first, highest, lowest, before, mean))
    if frame[0] == _SNAP_QUOTE:
        traded, oi = _read_times(frame, 123)
        upper, lower = _read_circuits(frame, 347)
        tick.mode = MODE_DEPTH
        tick.ltt = _trade_time(traded)
        if instrument.exchange in OI_EXCHANGES:
            tick.oi = oi if 0 <= oi < plain else count(oi)
        tick.upper_circuit = upper / divisor if 0 < upper < plain else wide_price(upper, divisor)
        tick.lower_circuit = lower / divisor if 0 < lower < plain else wide_price(lower, divisor)
        tick.depth = _best_five(frame[147:347], divisor)
    return tick


def _index_tick(frame: bytes, instrument: Instrument, divisor: int) -> Tick:
    """Modes 2 and 3 of an index: it has no book, and nothing of it is 0."""
    stamp, last, quantity, average, volume, buy, sell, open_, high, low, close = _read_quote(frame, 35)
    plain = PLAIN
    ltp = last / divisor if 0 < last < plain else wide_price(last, divisor, True)
    first = open_ / divisor if 0 < open_ < plain else wide_price(open_, divisor, True)
    highest = high / divisor if 0 < high < plain else wide_price(high, divisor, True)
    lowest = low / divisor if 0 < low < plain else wide_price(low, divisor, True)
    before = close / divisor if 0 < close < plain else wide_price(close, divisor, True)
    mean = average / divisor if 0 < average < plain else wide_price(average, divisor, True)
    tick = Tick(
        instrument=instrument,
        mode=MODE_QUOTE,
        ltp=ltp,
        timestamp=moment_ms(stamp),
        last_trade_quantity=quantity if 0 < quantity < plain else count(quantity) or None,
        avg_trade_price=mean,
        volume=volume if 0 < volume < plain else count(volume) or None,
        total_buy_quantity=int(buy) if 1.0 <= buy < plain else float_count(buy) or None,
        total_sell_quantity=int(sell) if 1.0 <= sell < plain else float_count(sell) or None,
        open=first,
        high=highest,
        low=lowest,
        close=before,
    )
    if not (ltp and first and highest and lowest and before and mean):
        tick.taken_back = without_value(_PRICES, (ltp, first, highest, lowest, before, mean))
    if frame[0] == _SNAP_QUOTE:
        upper, lower = _read_circuits(frame, 347)
        tick.ltt = _trade_time(_read_stamp(frame, 123)[0])
        tick.upper_circuit = upper / divisor if 0 < upper < plain else wide_price(upper, divisor)
        tick.lower_circuit = lower / divisor if 0 < lower < plain else wide_price(lower, divisor)
    return tick


def _depth20_tick(frame: bytes, instrument: Instrument, divisor: int) -> Tick:
    # The time at 35 is a dummy; the exchange's stands at 27.
    return Tick(
        instrument=instrument,
        mode=MODE_DEPTH,
        timestamp=moment_ms(_read_stamp(frame, 27)[0]),
        depth=_best_twenty(frame[43:443], divisor),
    )


def _best_twenty(raw: bytes, divisor: int) -> Depth:
    plain = PLAIN
    levels = [
        DepthLevel(paise / divisor, quantity, orders)
        for quantity, paise, orders in _DEPTH20_LEVEL.iter_unpack(raw)
        if 0 < paise < plain and 0 < quantity < plain
    ]
    if len(levels) == 40:
        return Depth(levels[:20], levels[20:])
    return Depth(_side(raw[:200], divisor), _side(raw[200:], divisor))


def _side(raw: bytes, divisor: int) -> list[DepthLevel]:
    plain = PLAIN
    return [
        DepthLevel(value, quantity, orders)
        for quantity, paise, orders in _DEPTH20_LEVEL.iter_unpack(raw)
        if quantity
        and (value := paise / divisor if 0 < paise < plain else price(paise, divisor))
        and (0 < quantity < plain or count(quantity))
    ]


def _best_five(raw: bytes, divisor: int) -> Depth:
    """A level's flag names its side (1 buy, 0 sell); its place does only when no flag differs from another."""
    plain = PLAIN
    levels = list(_BEST_FIVE_LEVEL.iter_unpack(raw))
    by_place = len({level[0] for level in levels}) == 1
    buy: list[DepthLevel] = []
    sell: list[DepthLevel] = []
    for place, (flag, quantity, raw_price, orders) in enumerate(levels):
        value = raw_price / divisor if 0 < raw_price < plain else wide_price(raw_price, divisor)
        if value and (0 < quantity < plain or count(quantity)):
            side = int(place < 5) if by_place else flag
            if side == 1:
                buy.append(DepthLevel(value, quantity, orders))
            elif side == 0:
                sell.append(DepthLevel(value, quantity, orders))
    return Depth(buy, sell)


def _trade_time(value: int) -> int | None:
    return moment_ms(value) if value > _SECONDS_END else epoch_ms(value)
