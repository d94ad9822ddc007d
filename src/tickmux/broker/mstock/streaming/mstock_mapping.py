"""m.Stock's wire: JSON requests out, little-endian packets in (specification sections 4 to 6 and 10).

Every packet is complete, so the decoder keeps no market state. The length of a frame says what it holds: one
packet as it is, or packets behind a four-byte header.
"""

import struct
from collections.abc import Hashable, Sequence
from typing import Any

import msgspec

from tickmux.broker._clock_offset import ClockOffset
from tickmux.broker._wire_values import PLAIN, count, epoch_ms, float_count, wide_price
from tickmux.broker.mstock.streaming.token_trust import TokenTrust
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_LTP, MODE_QUOTE, Depth, DepthLevel, Tick, without_value

EXCHANGE_TYPES = {"NSE": 1, "NSE_INDEX": 1, "NFO": 2, "BSE": 3, "BSE_INDEX": 3, "BFO": 4, "CDS": 13}
"""Our exchange -> the wire's exchange type (section 8). BCD's is unknown, and MCX's only guessed at."""

MODES = {"ltp": 1, "quote": 2, "snap_quote": 3}
"""Our kind -> the broker's mode (section 4)."""

_LTP_SIZE, _QUOTE_SIZE, _SNAP_QUOTE_SIZE = _SIZES = (51, 123, 379)
_HEADER_SIZE = 4
_TOKEN_SIZE = 25
_CURRENCY = 13
_DIVISOR = 100
"""Wire units of a rupee. Of currency contracts this is not confirmed: the exchange's own scale is 10,000,000, and a
session may set another one."""
_LARGEST_DIVISOR = 10**9
_DEAREST_CURRENCY = 1000
"""Rupees. No currency contract costs as much: a price above it has another scale than the one that is assumed."""
OI_EXCHANGES = frozenset({"NFO", "BFO", "CDS"})

_read_ltp = struct.Struct("<Qq").unpack_from  # exchange time, last price
_read_quote = struct.Struct("<Q4q2d4q").unpack_from  # ... quantity, average, volume, totals, open, high, low, close
_read_times = struct.Struct("<Qq").unpack_from  # last trade time, open interest
_read_circuits = struct.Struct("<qq").unpack_from
_LEVEL = struct.Struct("<HqqH")  # flag, quantity, price, orders
_little, _big = struct.Struct("<HH").unpack_from, struct.Struct(">HH").unpack_from

EPOCH = 315_532_800
"""From 1970 to 1980, in seconds: times count from there on. That it is a clock in India is likely, not certain
(section 5), so it is measured."""
_PRICES = ("ltp", "open", "high", "low", "close", "avg_trade_price")

_ABOUT_LOGIN = ("token", "session", "login", "log in")
_ABOUT_INSTRUMENTS = ("tokenlist", "symbol", "instrument", "scrip", "exchangetype", "exchange type", "subscri")
"""Words of complaints about a request: an instrument's number is called a token as well."""


class _Notice(msgspec.Struct):
    """A JSON text frame: an order push, an error, or anything else; the types are not checked yet."""

    kind: Any = msgspec.field(default=None, name="type")
    data: Any = None
    order_status: Any = None
    order: Any = msgspec.field(default=None, name="orderData")


_decode_notice = msgspec.json.Decoder(_Notice).decode
_encode = msgspec.json.encode


class MStockCodec(FeedCodec):
    """Kinds are those of `MODES`. `trust` is told what the feed says about the token, `clock` of its times."""

    def __init__(self, trust: TokenTrust, clock: ClockOffset) -> None:
        super().__init__()
        self._trust = trust
        self._clock = clock
        self._currency_divisor = _DIVISOR
        self._token = ""
        self._proved = False

    def wire_key(self, instrument: Instrument) -> Hashable:
        """The packet's bytes from exchange type to the end of the token: tokens repeat across exchange types."""
        exchange_type = EXCHANGE_TYPES.get(instrument.exchange)
        if exchange_type is None:
            raise ValueError(f"{instrument.symbol}: m.Stock's feed has no exchange {instrument.exchange}")
        token = instrument.token
        if not (token.isascii() and token.isdigit() and len(token) <= _TOKEN_SIZE):
            raise ValueError(f"{instrument.symbol}: {token!r} is no token of m.Stock's")
        return bytes((exchange_type,)) + token.encode()

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        self._token = credentials["access_token"]
        self._currency_divisor = currency_divisor(credentials.get("currency_divisor")) or _DIVISOR
        self._trust.asked()
        return [f"LOGIN:{self._token}"]

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [_request(1, instruments, kind)]

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [_request(0, instruments, kind)]

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        return [_request(0, instruments, old), _request(1, instruments, new)]

    # -- in ----------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        if isinstance(frame, str):
            return self._decode_text(frame)
        if len(frame) not in _SIZES:
            return self._decode_wrapped(frame)
        if not self._proved:
            self._proved = True
            self._trust.proved()
        instrument = self._instrument(frame)
        if instrument is None:
            return Decoded(unrouted=1)
        tick = self._tick(frame, instrument)
        if tick is None:
            return Decoded()
        if frame[1] == _CURRENCY and max(tick.ltp or 0, tick.close or 0) > _DEAREST_CURRENCY:
            return Decoded(event=Event.MALFORMED, message="currency price of an unknown scale")
        if not self._clock.measured:
            self._clock.watch([tick])
        return Decoded(ticks=[tick])

    def _decode_wrapped(self, frame: bytes) -> Decoded:
        """Packets of one size behind one header of count and size, or each behind its size, as the lengths tell."""
        packets, complete = _unwrap(frame)
        decoded = Decoded()
        for packet in packets:
            inner = self.decode(packet)
            decoded.ticks += inner.ticks
            decoded.unrouted += inner.unrouted
            decoded.event, decoded.message = inner.event or decoded.event, inner.message or decoded.message
        if not complete:
            decoded.event = Event.MALFORMED
            decoded.message = f"frame of {len(frame)} bytes, {len(packets)} whole packets"
        return decoded

    def _instrument(self, packet: bytes) -> Instrument | None:
        key = packet[1:27].partition(b"\0")[0]
        instrument = self.routes.get(key)
        if instrument is None and not key[1:].isdigit():
            # Not a number in digits: then the first four bytes are one (section 5).
            number = int.from_bytes(packet[2:6], "little")
            instrument = self.routes.get(b"%c%d" % (packet[1], number))
        return instrument

    def _tick(self, packet: bytes, instrument: Instrument) -> Tick | None:
        divisor = self._currency_divisor if packet[1] == _CURRENCY else _DIVISOR
        if len(packet) == _LTP_SIZE:
            stamp, last = _read_ltp(packet, 35)
            ltp = wide_price(last, divisor, instrument.is_index)
            if ltp is None:
                return None
            return Tick(
                instrument=instrument,
                mode=MODE_LTP,
                ltp=ltp,
                timestamp=epoch_ms(stamp, self._clock.shift),
            )
        return (
            _index_tick(packet, instrument, divisor, self._clock.shift)
            if instrument.is_index
            else _full_tick(packet, instrument, divisor, self._clock.shift)
        )

    def _decode_text(self, text: str) -> Decoded:
        try:
            notice = _decode_notice(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return Decoded(event=Event.ACK)  # the answer to LOGIN, whose wording is not documented
        if notice.kind == "error":
            return self._complaint(notice.data)
        if notice.order_status in ("order", "trade") and notice.order is not None:
            return Decoded(event=Event.ORDER)
        return Decoded(event=Event.ACK)

    def _complaint(self, data: Any) -> Decoded:
        words = data if isinstance(data, str) else ""
        if self._token:
            words = words.replace(self._token, "…")
        said = words.lower()
        about_login = any(word in said for word in _ABOUT_LOGIN)
        about_request = any(word in said for word in _ABOUT_INSTRUMENTS)
        refused = not self._proved and about_login and not about_request
        if refused:
            self._trust.doubted()
        return Decoded(event=Event.ERROR, message=words[:200] or "error without words", restart=refused)


def currency_divisor(text: str) -> int:
    """The wire units of a rupee that a user has set for currency contracts; 0 for what is no such number."""
    digits = text.strip()
    number = int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else 0
    return number if number <= _LARGEST_DIVISOR else 0


def _request(action: int, instruments: Sequence[Instrument], kind: str) -> str:
    groups: dict[int, list[str]] = {}
    for instrument in instruments:
        groups.setdefault(EXCHANGE_TYPES[instrument.exchange], []).append(instrument.token)
    tokens = [{"exchangeType": exchange_type, "tokens": tokens} for exchange_type, tokens in groups.items()]
    request = {"correlationID": "", "action": action, "params": {"mode": MODES[kind], "tokenList": tokens}}
    return _encode(request).decode()


def _unwrap(frame: bytes) -> tuple[list[bytes], bool]:
    """The packets of a wrapped frame, and whether it held as many as it says (sections 5 and 10).

    Nobody has documented a header for more than one packet: the size may stand once, or before every packet.
    """
    if len(frame) < _HEADER_SIZE:
        return [], False
    for read in (_big, _little):
        count, size = read(frame, 0)
        if size in _SIZES:
            break
    else:
        return [], False
    packets: list[bytes] = []
    at = _HEADER_SIZE
    while at + size <= len(frame) and len(packets) < count:
        packets.append(frame[at : at + size])
        at += size
        if len(packets) < count and at + _HEADER_SIZE <= len(frame):
            # A size before the next packet is never mistaken for its first two bytes, mode and exchange type.
            (following,) = read(b"\0\0" + frame[at : at + 2], 0)[1:]
            if following in _SIZES:
                size = following
                at += 2
    return packets, 0 < len(packets) == count


def _full_tick(packet: bytes, instrument: Instrument, divisor: int, shift: int) -> Tick:
    """A quote or snap quote of what is traded: quantities of 0 are real, prices and times are not (section 6)."""
    stamp, last, quantity, average, volume, buy, sell, open_, high, low, close = _read_quote(packet, 35)
    plain = PLAIN
    ltp = last / divisor if 0 < last < plain else wide_price(last, divisor, instrument.is_index)
    first = open_ / divisor if 0 < open_ < plain else wide_price(open_, divisor, instrument.is_index)
    highest = high / divisor if 0 < high < plain else wide_price(high, divisor, instrument.is_index)
    lowest = low / divisor if 0 < low < plain else wide_price(low, divisor, instrument.is_index)
    before = close / divisor if 0 < close < plain else wide_price(close, divisor, instrument.is_index)
    mean = average / divisor if 0 < average < plain else wide_price(average, divisor, instrument.is_index)
    tick = Tick(
        instrument=instrument,
        mode=MODE_QUOTE,
        ltp=ltp,
        timestamp=epoch_ms(stamp, shift),
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
    if len(packet) == _SNAP_QUOTE_SIZE:
        traded, oi = _read_times(packet, 123)
        upper, lower = _read_circuits(packet, 347)
        tick.mode = MODE_DEPTH
        tick.ltt = epoch_ms(traded, shift)
        if instrument.exchange in OI_EXCHANGES:
            tick.oi = oi if 0 <= oi < plain else count(oi)
        tick.upper_circuit = upper / divisor if 0 < upper < plain else wide_price(upper, divisor)
        tick.lower_circuit = lower / divisor if 0 < lower < plain else wide_price(lower, divisor)
        tick.depth = Depth(buy=_side(packet[147:247], divisor), sell=_side(packet[247:347], divisor))
    return tick


def _index_tick(packet: bytes, instrument: Instrument, divisor: int, shift: int) -> Tick:
    """A quote or snap quote of an index: it has no book, and nothing of it is 0."""
    tick = _full_tick(packet, instrument, divisor, shift)
    tick.mode = MODE_QUOTE
    tick.depth = None
    tick.volume = tick.volume or None
    tick.last_trade_quantity = tick.last_trade_quantity or None
    tick.total_buy_quantity = tick.total_buy_quantity or None
    tick.total_sell_quantity = tick.total_sell_quantity or None
    return tick


def _side(raw: bytes, divisor: int) -> list[DepthLevel]:
    plain = PLAIN
    return [
        DepthLevel(value, quantity, orders)
        for _, quantity, raw_price, orders in _LEVEL.iter_unpack(raw)
        if quantity
        and (value := raw_price / divisor if 0 < raw_price < plain else wide_price(raw_price, divisor))
        and (0 < quantity < plain or count(quantity))
    ]
