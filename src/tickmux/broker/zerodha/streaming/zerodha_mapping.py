"""Zerodha's wire: JSON requests out, length-prefixed big-endian packets in (specification sections 4 to 6).

Every packet is a complete record of its mode, so the decoder keeps no state beyond its routes.
"""

import re
import struct
from collections.abc import Hashable, Sequence

import msgspec

from tickmux.broker.zerodha.orders import order_of
from tickmux.codec import Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import Depth, DepthLevel, Mode, Tick

SEGMENT_DIVISORS = {1: 100, 2: 100, 3: 10_000_000, 4: 100, 5: 100, 6: 10_000, 7: 100, 8: 100, 9: 100, 12: 10_000}
"""Price divisor by the token's low byte (section 5.3)."""

_OI_SEGMENTS = frozenset({2, 3, 5, 6, 7, 12})  # derivatives; a cash packet's open interest is meaningless

_U16 = struct.Struct(">H").unpack_from
_LTP = struct.Struct(">II").unpack_from
_INDEX = struct.Struct(">6I").unpack_from  # token, last, high, low, open, close
_QUOTE = struct.Struct(">11I").unpack_from
_TIMES = struct.Struct(">5I").unpack_from  # last trade, oi, oi high, oi low, exchange time
_LEVEL = struct.Struct(">IIH2x")

_KNOWN_LENGTHS = frozenset({8, 28, 32, 44, 184})
_DEPTH_OFFSET, _SIDE_SIZE, _PACKET_FULL = 64, 60, 184


class _TextMessage(msgspec.Struct):
    type: str = ""
    data: object = None


_AUTH_WORDS = re.compile(r"authori[sz]|authenti|(?<!instrument )(?<!instrument_)token(?!s)", re.IGNORECASE)
"""What an `error` text says when the session is refused (section 10); instrument tokens are another matter."""

_decode_text = msgspec.json.Decoder(_TextMessage).decode
_encode = msgspec.json.encode


class ZerodhaCodec(FeedCodec):
    """Kinds are the broker's modes: `ltp`, `quote`, `full`."""

    def wire_key(self, instrument: Instrument) -> Hashable:
        """The instrument token, unique across exchanges: it contains its segment (section 5.3)."""
        token = int(instrument.token)
        if token & 0xFF not in SEGMENT_DIVISORS:
            raise ValueError(f"{instrument.symbol}: segment {token & 0xFF} has no known price divisor")
        return token

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        # `subscribe` alone yields quote mode; the mode must follow for the same tokens (section 4).
        return [_action("subscribe", _tokens(instruments)), _action("mode", [kind, _tokens(instruments)])]

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [_action("unsubscribe", _tokens(instruments))]

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        return [_action("mode", [new, _tokens(instruments)])]

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
                if raw_last:
                    ticks.append(Tick(instrument=instrument, mode=Mode.LTP, ltp=raw_last / divisor))
            elif length <= 32:
                ticks.append(_index_tick(frame, start, length, instrument, divisor))
            else:
                ticks.append(_instrument_tick(frame, start, length, instrument, divisor, token & 0xFF))
        else:
            return decoded
        decoded.event = Event.MALFORMED
        decoded.message = f"frame of {size} bytes ends before its {count} packets do"
        return decoded


def _index_tick(frame: bytes, start: int, length: int, instrument: Instrument, divisor: int) -> Tick:
    _, last, high, low, open_, close = _INDEX(frame, start)
    stamp = int.from_bytes(frame[start + 28 : start + 32], "big") if length == 32 else 0
    return Tick(
        instrument=instrument,
        mode=Mode.QUOTE,  # an index has no book: its full packet serves QUOTE
        ltp=last / divisor if last else None,
        open=open_ / divisor if open_ else None,
        high=high / divisor if high else None,
        low=low / divisor if low else None,
        close=close / divisor if close else None,
        timestamp=stamp * 1000 if stamp else None,
    )


def _instrument_tick(
    frame: bytes, start: int, length: int, instrument: Instrument, divisor: int, segment: int
) -> Tick:
    _, last, quantity, average, volume, buy, sell, open_, high, low, close = _QUOTE(frame, start)
    tick = Tick(
        instrument=instrument,
        mode=Mode.QUOTE,
        ltp=last / divisor if last else None,
        last_trade_quantity=quantity,
        avg_trade_price=average / divisor if average else None,
        volume=volume,
        total_buy_quantity=buy,
        total_sell_quantity=sell,
        open=open_ / divisor if open_ else None,
        high=high / divisor if high else None,
        low=low / divisor if low else None,
        close=close / divisor if close else None,
    )
    if length == _PACKET_FULL:
        traded, oi, _, _, stamp = _TIMES(frame, start + 44)
        tick.mode = Mode.DEPTH
        tick.ltt = traded * 1000 if traded else None
        tick.timestamp = stamp * 1000 if stamp else None
        tick.oi = oi if segment in _OI_SEGMENTS else None
        bids = start + _DEPTH_OFFSET
        asks = bids + _SIDE_SIZE
        tick.depth = Depth(buy=_side(frame[bids:asks], divisor), sell=_side(frame[asks : asks + _SIDE_SIZE], divisor))
    return tick


def _side(raw: bytes, divisor: int) -> list[DepthLevel]:
    return [
        DepthLevel(price / divisor, quantity, orders)
        for quantity, price, orders in _LEVEL.iter_unpack(raw)
        if price and quantity
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


def _tokens(instruments: Sequence[Instrument]) -> list[int]:
    return [int(instrument.token) for instrument in instruments]


def _action(action: str, value: object) -> str:
    return _encode({"a": action, "v": value}).decode()
