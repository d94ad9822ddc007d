"""Zerodha's wire: JSON requests out, length-prefixed big-endian packets in (specification sections 4 to 6).

Every packet is a complete record of its mode, so the decoder keeps no state beyond its routes.
"""

import re
import struct
from collections.abc import Hashable, Sequence

import msgspec

from tickmux.broker._wire_values import PLAIN, count, epoch_ms, price
from tickmux.broker.zerodha.orders import order_of
from tickmux.codec import Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_LTP, MODE_QUOTE, Depth, DepthLevel, Tick, without_value

SEGMENT_DIVISORS = {1: 100, 2: 100, 3: 10_000_000, 4: 100, 5: 100, 6: 10_000, 7: 100, 8: 100, 9: 100, 12: 10_000}
"""Price divisor by the token's low byte (section 5.3)."""

_INDEX_SEGMENT = 9
_OI_SEGMENTS = frozenset({2, 3, 5, 6, 7, 12})  # derivatives; a cash packet's open interest is meaningless

_U16 = struct.Struct(">H").unpack_from
_LTP = struct.Struct(">II").unpack_from
_INDEX = struct.Struct(">6I").unpack_from  # token, last, high, low, open, close
_QUOTE = struct.Struct(">11I").unpack_from
_TIMES = struct.Struct(">5I").unpack_from  # last trade, oi, oi high, oi low, exchange time
_LEVEL = struct.Struct(">IIH2x")

_KNOWN_LENGTHS = frozenset({8, 28, 32, 44, 184})
_DEPTH_OFFSET, _SIDE_SIZE, _PACKET_FULL = 64, 60, 184
_LEVELS, _NOTHING = 5, b"\0\0\0\0"


class _TextMessage(msgspec.Struct):
    type: str = ""
    data: object = None


_AUTH_WORDS = re.compile(r"authori[sz]|authenti|(?<!instrument )(?<!instrument_)token(?!s)", re.IGNORECASE)
"""What an `error` text says when the session is refused (section 10); instrument tokens are another matter."""

_decode_text = msgspec.json.Decoder(_TextMessage).decode
_encode = msgspec.json.encode


class ZerodhaCodec(FeedCodec):
    """Kinds are the broker's modes: `ltp`, `quote`, `full`."""

    def __init__(self) -> None:
        super().__init__()
        self._full: set[int] = set()
        """The tokens whose kind is `full`: a packet looks a number up faster than an instrument."""

    def wire_key(self, instrument: Instrument) -> Hashable:
        """The instrument token, unique across exchanges: it contains its segment (section 5.3)."""
        token = int(instrument.token)
        if token & 0xFF not in SEGMENT_DIVISORS:
            raise ValueError(f"{instrument.symbol}: segment {token & 0xFF} has no known price divisor")
        return token

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        # `subscribe` alone yields quote mode; the mode must follow for the same tokens (section 4).
        tokens = self._note(instruments, kind)
        return [_action("subscribe", tokens), _action("mode", [kind, tokens])]

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [_action("unsubscribe", self._note(instruments, ""))]

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        return [_action("mode", [new, self._note(instruments, new)])]

    def _note(self, instruments: Sequence[Instrument], kind: str) -> list[int]:
        """The instruments' tokens, whose kind is now `kind`."""
        tokens = [int(instrument.token) for instrument in instruments]
        if kind == "full":
            self._full.update(tokens)
        else:
            self._full.difference_update(tokens)
        return tokens

    def decode(self, frame: bytes | str) -> Decoded:
        if isinstance(frame, str):
            return _decode_postback(frame)
        size = len(frame)
        if size == 1:
            return Decoded(event=Event.HEARTBEAT)
        if size < 2:
            return Decoded(event=Event.MALFORMED, message="empty frame")
        decoded = Decoded(ticks=[])
        ticks = decoded.ticks
        routes = self.routes
        (count,) = _U16(frame, 0)
        offset = 2
        for _ in range(count):
            start = offset + 2
            if start > size:
                break
            (length,) = _U16(frame, offset)
            offset = start + length
            if offset > size:
                break
            if length not in _KNOWN_LENGTHS:
                decoded.unknown += 1
                continue
            token, raw_last = _LTP(frame, start)
            instrument = routes.get(token)
            if instrument is None:
                decoded.unrouted += 1
                continue
            divisor = SEGMENT_DIVISORS[token & 0xFF]  # wire_key lets no other segment in
            if length == 8:
                last = raw_last / divisor if 0 < raw_last < PLAIN else price(raw_last, divisor, instrument.is_index)
                if last is not None:
                    ticks.append(Tick(instrument=instrument, mode=MODE_LTP, ltp=last))
            elif length <= 32:
                ticks.append(_index_tick(frame, start, length, instrument, divisor))
            else:
                # A late full packet after a change to quotes must not bring back what nobody will take back.
                full = length == _PACKET_FULL and token in self._full
                ticks.append(_instrument_tick(frame, start, full, instrument, divisor, token & 0xFF))
        else:
            return decoded
        decoded.event = Event.MALFORMED
        decoded.message = f"frame of {size} bytes ends before its {count} packets do"
        return decoded


_INDEX_PRICES = ("ltp", "open", "high", "low", "close")
_PRICES = (*_INDEX_PRICES, "avg_trade_price")


def _index_tick(frame: bytes, start: int, length: int, instrument: Instrument, divisor: int) -> Tick:
    _, last, high, low, open_, close = _INDEX(frame, start)
    stamp = int.from_bytes(frame[start + 28 : start + 32], "big") if length == 32 else 0
    plain = PLAIN
    ltp = last / divisor if 0 < last < plain else price(last, divisor, True)
    first = open_ / divisor if 0 < open_ < plain else price(open_, divisor, True)
    highest = high / divisor if 0 < high < plain else price(high, divisor, True)
    lowest = low / divisor if 0 < low < plain else price(low, divisor, True)
    before = close / divisor if 0 < close < plain else price(close, divisor, True)
    tick = Tick(
        instrument=instrument,
        mode=MODE_QUOTE,  # an index has no book: its full packet serves QUOTE
        ltp=ltp,
        open=first,
        high=highest,
        low=lowest,
        close=before,
        timestamp=stamp * 1000 if 0 < stamp < plain else epoch_ms(stamp),
    )
    if not (ltp and first and highest and lowest and before):
        tick.taken_back = without_value(_INDEX_PRICES, (ltp, first, highest, lowest, before))
    return tick


def _instrument_tick(
    frame: bytes, start: int, full: bool, instrument: Instrument, divisor: int, segment: int
) -> Tick:
    _, last, quantity, average, volume, buy, sell, open_, high, low, close = _QUOTE(frame, start)
    plain, is_index = PLAIN, segment == _INDEX_SEGMENT
    ltp = last / divisor if 0 < last < plain else price(last, divisor, is_index)
    first = open_ / divisor if 0 < open_ < plain else price(open_, divisor, is_index)
    highest = high / divisor if 0 < high < plain else price(high, divisor, is_index)
    lowest = low / divisor if 0 < low < plain else price(low, divisor, is_index)
    before = close / divisor if 0 < close < plain else price(close, divisor, is_index)
    mean = average / divisor if 0 < average < plain else price(average, divisor, is_index)
    tick = Tick(
        instrument=instrument,
        mode=MODE_QUOTE,
        ltp=ltp,
        last_trade_quantity=quantity if quantity < plain else count(quantity),
        avg_trade_price=mean,
        volume=volume if volume < plain else count(volume),
        total_buy_quantity=buy if buy < plain else count(buy),
        total_sell_quantity=sell if sell < plain else count(sell),
        open=first,
        high=highest,
        low=lowest,
        close=before,
    )
    if not (ltp and first and highest and lowest and before and mean):
        tick.taken_back = without_value(_PRICES, (ltp, first, highest, lowest, before, mean))
    if full and not is_index:
        traded, oi, _, _, stamp = _TIMES(frame, start + 44)
        tick.mode = MODE_DEPTH
        tick.ltt = traded * 1000 if 0 < traded < plain else epoch_ms(traded)
        tick.timestamp = stamp * 1000 if 0 < stamp < plain else epoch_ms(stamp)
        if segment in _OI_SEGMENTS:
            tick.oi = oi if oi < plain else count(oi)
        bids = start + _DEPTH_OFFSET
        tick.depth = _book(frame[bids : bids + 2 * _SIDE_SIZE], divisor)
        if tick.ltt is None:
            tick.taken_back += ("ltt",)
    return tick


def _book(raw: bytes, divisor: int) -> Depth:
    # Levels come best first, so that the last one of a side tells whether the side is complete.
    if raw[_SIDE_SIZE - _LEVEL.size : _SIDE_SIZE - 8] != _NOTHING != raw[-_LEVEL.size : -8]:
        plain = PLAIN
        levels = [
            DepthLevel(paise / divisor, quantity, orders)
            for quantity, paise, orders in _LEVEL.iter_unpack(raw)
            if 0 < paise < plain and 0 < quantity < plain
        ]
        if len(levels) == 2 * _LEVELS:
            return Depth(levels[:_LEVELS], levels[_LEVELS:])
    return Depth(_side(raw[:_SIDE_SIZE], divisor), _side(raw[_SIDE_SIZE:], divisor))


def _side(raw: bytes, divisor: int) -> list[DepthLevel]:
    plain = PLAIN
    return [
        DepthLevel(value, quantity, orders)
        for quantity, paise, orders in _LEVEL.iter_unpack(raw)
        if quantity
        and (value := paise / divisor if 0 < paise < plain else price(paise, divisor))
        and (quantity < plain or count(quantity))
    ]


def _decode_postback(text: str) -> Decoded:
    try:
        message = _decode_text(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Decoded(unknown=1)  # text that is no JSON object is ignored (section 5.6)
    if message.type == "order":
        order = order_of(message.data) if isinstance(message.data, dict) else None
        return Decoded(event=Event.ORDER, orders=[order]) if order is not None else Decoded()
    if message.type == "error":
        words = str(message.data)[:200]
        return Decoded(event=Event.AUTH_ERROR if _AUTH_WORDS.search(words) else Event.ERROR, message=words)
    return Decoded()  # notices, and kinds of text that mean nothing to a feed


def _action(action: str, value: object) -> str:
    return _encode({"a": action, "v": value}).decode()
