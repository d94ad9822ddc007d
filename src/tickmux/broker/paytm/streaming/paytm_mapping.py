"""Paytm Money's wire: JSON preferences out, little-endian packets of floats in (specification sections 4 to 6).

Packets stand end to end in a frame, each complete in itself: the decoder keeps no market state.
"""

import struct
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import msgspec

from tickmux.broker._clock_offset import ClockOffset
from tickmux.broker._wire_values import count, epoch_ms, rupees, short_count
from tickmux.broker.paytm.streaming.farewells import Farewells
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import Depth, DepthLevel, Mode, Tick, without_value

WIRE_EXCHANGES = {
    "NSE": "NSE",
    "BSE": "BSE",
    "NFO": "NSE",
    "BFO": "BSE",
    "NSE_INDEX": "NSE",
    "BSE_INDEX": "BSE",
}
"""Our exchange -> `exchangeType` (section 8)."""

_CASH_TYPES = {"EQ": "EQUITY", "": "EQUITY", "ETF": "ETF"}
_DERIVATIVE_TYPES = {"FUT": "FUTURE", "CE": "OPTION", "PE": "OPTION"}
_SCRIP_TYPES = {
    "NSE": _CASH_TYPES,
    "BSE": _CASH_TYPES,
    "NFO": _DERIVATIVE_TYPES,
    "BFO": _DERIVATIVE_TYPES,
}
"""Our exchange and instrument type -> `scripType`; whatever stands on an index exchange is an INDEX."""

_INDEX_SPACE = 1 << 32
"""Added to an index's id: packets of indices count in a number space of their own (section 5, IDENTITY)."""

FRAME_PREFERENCES = 100
"""What one frame may hold (section 3)."""

_LTP, _QUOTE, _FULL, _INDEX_LTP, _INDEX_QUOTE, _INDEX_FULL = range(61, 67)
_BOOK_SIZE = 100

# From the last price, which stands after the type; in a full packet, after the book.
_read_ltp = struct.Struct("<fII").unpack_from  # last price, time, id
_read_quote = struct.Struct(
    "<fIIxxIfIII4f"
).unpack_from  # ... quantity, average, volume, totals, open, close, high, low
_read_oi = struct.Struct("<I").unpack_from
_read_index = struct.Struct("<fIxx4f").unpack_from  # last value, id, open, close, high, low
_read_time = struct.Struct("<I").unpack_from
_LEVEL = struct.Struct("<IIhhff")  # buy quantity, sell quantity, buy orders, sell orders, buy price, sell price

EPOCH = 315_532_800
"""From 1970 to 1980, in seconds: times count from there on. That it is a clock in India is likely, not certain
(section 5), so it is measured."""


class _Notice(msgspec.Struct):
    message: Any = None


_decode_notice = msgspec.json.Decoder(_Notice).decode
_encode = msgspec.json.encode


class PaytmCodec(FeedCodec):
    """Kinds are the broker's `modeType`s: LTP, QUOTE, FULL. `farewells` is told when market data comes, `clock` of
    its times."""

    def __init__(self, farewells: Farewells, clock: ClockOffset) -> None:
        super().__init__()
        self._farewells = farewells
        self._clock = clock
        self._token = ""
        self._silent = True

    def wire_key(self, instrument: Instrument) -> Hashable:
        """The security id, which all exchanges share but for indices."""
        _scrip_type(instrument)
        token = instrument.token
        if not (token.isascii() and token.isdigit() and len(token) <= 10) or int(token) >= _INDEX_SPACE:
            raise ValueError(f"{instrument.symbol}: {token!r} is no security id of Paytm Money's")
        return int(token) + _INDEX_SPACE if instrument.is_index else int(token)

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        self._token = credentials.get("public_access_token")
        return []

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [_frame(_preferences("ADD", instruments, kind))]

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [_frame(_preferences("REMOVE", instruments, kind))]

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        # One frame: whether the server would replace the old mode by itself is not known. Each takes two preferences.
        room = FRAME_PREFERENCES // 2
        parts = [instruments[start : start + room] for start in range(0, len(instruments), room)]
        return [_frame(_preferences("REMOVE", part, old) + _preferences("ADD", part, new)) for part in parts]

    # -- in ----------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        if isinstance(frame, str):
            return Decoded(event=Event.ERROR, message=self._words(frame))
        decoded = Decoded()
        ticks, routes, readers, shift = decoded.ticks, self.routes, _READERS, self._clock.shift
        at, end = 0, len(frame)
        while at < end:
            reader = readers.get(frame[at])
            if reader is None:
                return self._broken(decoded, f"unknown packet type {frame[at]}")
            size, key_at, space, read = reader
            if at + size > end:
                return self._broken(decoded, f"packet of {end - at} bytes, not {size}")
            instrument = routes.get(int.from_bytes(frame[at + key_at : at + key_at + 4], "little") + space)
            if instrument is None:
                decoded.unrouted += 1
            elif (tick := read(frame, at + 1, instrument, shift)) is not None:
                ticks.append(tick)
            at += size
        if self._silent and end:
            self._silent = False
            self._farewells.data()
        if not self._clock.measured:
            self._clock.watch(ticks)
        return decoded

    @staticmethod
    def _broken(decoded: Decoded, message: str) -> Decoded:
        """The rest of the frame cannot be read: where the next packet would begin is unknown."""
        decoded.event = Event.MALFORMED
        decoded.message = message
        return decoded

    def _words(self, text: str) -> str:
        """What a notice of the server says, without the token."""
        try:
            said = _decode_notice(text).message
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            said = None
        words = said if isinstance(said, str) and said else text
        if self._token:
            words = words.replace(self._token, "…")
        return words[:200].strip() or "a notice without words"


# -- out -------------------------------------------------------------------------------------------------


def _scrip_type(instrument: Instrument) -> str:
    if instrument.exchange not in WIRE_EXCHANGES:
        raise ValueError(f"{instrument.symbol}: Paytm Money's feed has no exchange {instrument.exchange}")
    if instrument.is_index:
        return "INDEX"
    found = _SCRIP_TYPES[instrument.exchange].get(instrument.instrumenttype)
    if found is None:
        raise ValueError(
            f"{instrument.symbol}: Paytm Money's feed has no {instrument.instrumenttype!r} on {instrument.exchange}"
        )
    return found


def _preferences(action: str, instruments: Sequence[Instrument], kind: str) -> list[dict[str, str]]:
    return [
        {
            "actionType": action,
            "modeType": kind,
            "scripType": _scrip_type(instrument),
            "exchangeType": WIRE_EXCHANGES[instrument.exchange],
            "scripId": instrument.token,
        }
        for instrument in instruments
    ]


def _frame(preferences: list[dict[str, str]]) -> str:
    return _encode(preferences).decode()


# -- packets: readers get the frame, where fields begin and the shift of times; None for a packet without values --


def _ltp_tick(frame: bytes, at: int, instrument: Instrument, shift: int) -> Tick | None:
    last, moment, _ = _read_ltp(frame, at)
    ltp, ltt = _price(last), epoch_ms(moment, shift)
    return Tick(instrument=instrument, mode=Mode.LTP, ltp=ltp, ltt=ltt) if ltp or ltt else None


def _index_ltp_tick(frame: bytes, at: int, instrument: Instrument, shift: int) -> Tick | None:
    last, moment, _ = _read_ltp(frame, at)
    ltp, timestamp = _price(last, is_index=True), epoch_ms(moment, shift)
    return Tick(instrument=instrument, mode=Mode.LTP, ltp=ltp, timestamp=timestamp) if ltp or timestamp else None


def _quote_tick(frame: bytes, at: int, instrument: Instrument, shift: int) -> Tick:
    last, moment, _, quantity, average, volume, buy, sell, open_, close, high, low = _read_quote(frame, at)
    prices = tuple([_price(each) for each in (last, open_, close, high, low, average)])
    return Tick(
        instrument=instrument,
        mode=Mode.QUOTE,
        ltp=prices[0],
        ltt=epoch_ms(moment, shift),
        last_trade_quantity=count(quantity),
        avg_trade_price=prices[5],
        volume=count(volume),
        total_buy_quantity=count(buy),
        total_sell_quantity=count(sell),
        open=prices[1],
        close=prices[2],
        high=prices[3],
        low=prices[4],
        taken_back=without_value(_PRICES, prices) if None in prices else (),
    )


def _full_tick(frame: bytes, at: int, instrument: Instrument, shift: int) -> Tick:
    tick = _quote_tick(frame, at + _BOOK_SIZE, instrument, shift)
    tick.mode = Mode.DEPTH
    tick.oi = count(_read_oi(frame, at + 166)[0])
    tick.depth = depth = Depth([], [])
    for bid, ask, bid_orders, ask_orders, bid_price, ask_price in _LEVEL.iter_unpack(frame[at : at + _BOOK_SIZE]):
        if price := _price(bid_price):
            depth.buy.append(DepthLevel(price, count(bid), short_count(bid_orders)))
        if price := _price(ask_price):
            depth.sell.append(DepthLevel(price, count(ask), short_count(ask_orders)))
    return tick


def _index_quote_tick(frame: bytes, at: int, instrument: Instrument, shift: int) -> Tick | None:
    return _index_tick(frame, at, instrument, None)


def _index_tick(frame: bytes, at: int, instrument: Instrument, timestamp: int | None) -> Tick | None:
    last, _, *day = _read_index(frame, at)
    prices = tuple([_price(each, is_index=True) for each in (last, *day)])
    ltp, open_, close, high, low = prices
    if not (ltp or open_ or close or high or low or timestamp):
        return None
    return Tick(
        instrument=instrument,
        mode=Mode.QUOTE,
        ltp=ltp,
        timestamp=timestamp,
        open=open_,
        close=close,
        high=high,
        low=low,
        taken_back=without_value(_PRICES[:5], prices) if None in prices else (),
    )


def _index_full_tick(frame: bytes, at: int, instrument: Instrument, shift: int) -> Tick | None:
    return _index_tick(frame, at, instrument, epoch_ms(_read_time(frame, at + 34)[0], shift))


_PRICES = ("ltp", "open", "close", "high", "low", "avg_trade_price")


def _price(raw: float, *, is_index: bool = False) -> float | None:
    """Rupees of a 32-bit float, which carries about seven digits; None for what is no price."""
    value = rupees(raw, is_index)
    return None if value is None else round(value, 2) or None


_READERS: dict[int, tuple[int, int, int, Callable[[bytes, int, Instrument, int], Tick | None]]] = {
    _LTP: (23, 9, 0, _ltp_tick),
    _QUOTE: (67, 9, 0, _quote_tick),
    _FULL: (175, 109, 0, _full_tick),
    _INDEX_LTP: (23, 9, _INDEX_SPACE, _index_ltp_tick),
    _INDEX_QUOTE: (43, 5, _INDEX_SPACE, _index_quote_tick),
    _INDEX_FULL: (39, 5, _INDEX_SPACE, _index_full_tick),
}
"""Packet type -> its size, where its security id stands, the id's number space, and what reads it (section 5)."""
