"""Motilal Oswal's broadcast: packed requests out, a stream of 30-byte packets in (specification sections 4 to 6).

A packet tells a part, so that a record is kept for every subscribed instrument, and dropped with its subscription.
Beside them the decoder keeps at most 29 bytes: the beginning of a packet whose rest is still to come.
"""

import struct
from collections.abc import Callable, Hashable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

from tickmux.broker._login_record import LoginRecord
from tickmux.broker._wire_values import PLAIN_RUPEES, count, epoch_ms, rupees, short_count
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_LTP, MODE_QUOTE, Depth, DepthLevel, Mode, Tick, without_value

EXCHANGES: Mapping[str, tuple[bytes, bytes]] = {
    "NSE": (b"N", b"C"),
    "BSE": (b"B", b"C"),
    "NFO": (b"N", b"D"),
    "BFO": (b"G", b"D"),
    "CDS": (b"C", b"D"),
    "MCX": (b"M", b"D"),
    "NCDEX": (b"D", b"D"),
    "BCD": (b"E", b"D"),
    "NSE_INDEX": (b"N", b""),
    "BSE_INDEX": (b"B", b""),
}
"""Our exchange -> (exchange character, segment character), section 8. An index is not registered."""

SCRIP, INDEX = "scrip", "index"
"""The kinds. There are no modes: a scrip delivers all its packets, indices reach everybody (section 4.2)."""

PACKET_SIZE = 30
_CODE_LIMIT = 1 << 31
_CHARACTERS = frozenset(character[0] for character, _ in EXCHANGES.values())
_OUT_OF_STEP = 3
"""So many packets in a row of unknown exchanges: what we take for packets are none."""

_HEADER = struct.Struct("<Biic").unpack_from  # exchange, scrip code, time, packet type
_BODY = 10
_TRADE = struct.Struct("<fIIfI").unpack_from  # price, quantity, volume, average, open interest
_LEVEL = struct.Struct("<fIHfIH").unpack_from  # buy price, quantity, orders; the same of sell
_DAY = struct.Struct("<4f").unpack_from  # open, high, low, previous close
_TWO_PRICES = struct.Struct("<2f").unpack_from
_PRICE = struct.Struct("<f").unpack_from
_COUNT = struct.Struct("<I").unpack_from

_REGISTER = struct.Struct("<cHccib")
_HEARTBEAT_ANSWER = b"1\x00\x00"
_IST_EPOCH = 315_513_000
"""From Unix time 0 to 1980-01-01 00:00 on Indian clocks, in seconds."""
_CURRENCY = frozenset({"CDS", "BCD"})
_LONGEST_CLIENT_CODE = 15
_VERSION = b"VER 2.0"


class _Text(msgspec.Struct):
    """A text frame; the types of its fields are not checked yet."""

    status: Any = None
    message: Any = None


_decode_text = msgspec.json.Decoder(_Text).decode


class _Record:
    """What is known of one instrument. A packet's reader notes what it says and returns the mode that it fills."""

    __slots__ = ("buy", "decimals", "is_index", "sell", "tick")

    def __init__(self, instrument: Instrument) -> None:
        self.decimals = 4 if instrument.exchange in _CURRENCY else 2
        self.is_index = instrument.is_index
        self.tick = Tick(instrument=instrument, mode=MODE_QUOTE)
        self.buy: list[DepthLevel | None] = [None] * 5
        self.sell: list[DepthLevel | None] = [None] * 5

    def after(self, read: "_Reader", frame: bytes, at: int, time: int) -> Tick:
        """The whole merged record after the packet at `at`."""
        tick = self.tick
        when = epoch_ms(time, _IST_EPOCH)
        if when is not None:
            tick.timestamp = when
        mode = read(self, frame, at + _BODY, when)
        told, read_told = _TOLD.get(read, _NOTHING)
        values = read_told(tick)
        return Tick(
            instrument=tick.instrument,
            mode=mode,
            ltp=tick.ltp,
            ltt=tick.ltt,
            timestamp=tick.timestamp,
            open=tick.open,
            high=tick.high,
            low=tick.low,
            close=tick.close,
            volume=tick.volume,
            last_trade_quantity=tick.last_trade_quantity,
            avg_trade_price=tick.avg_trade_price,
            oi=tick.oi,
            upper_circuit=tick.upper_circuit,
            lower_circuit=tick.lower_circuit,
            depth=Depth([each for each in self.buy if each], [each for each in self.sell if each])
            if mode is MODE_DEPTH
            else None,
            taken_back=without_value(told, values) if None in values else (),
        )

    def _trade(self, frame: bytes, at: int, when: int | None) -> Mode:
        price, quantity, volume, average, oi = _TRADE(frame, at)
        tick = self.tick
        tick.ltp = self._price(price)
        tick.ltt = when
        tick.last_trade_quantity = count(quantity)
        tick.volume = count(volume)
        tick.avg_trade_price = self._price(average)
        tick.oi = count(oi)
        return MODE_QUOTE

    def _day(self, frame: bytes, at: int, when: int | None) -> Mode:
        tick = self.tick
        tick.open, tick.high, tick.low, tick.close = map(self._price, _DAY(frame, at))
        return MODE_QUOTE

    def _circuits(self, frame: bytes, at: int, when: int | None) -> Mode:
        tick = self.tick
        tick.upper_circuit, tick.lower_circuit = map(self._price, _TWO_PRICES(frame, at))
        return MODE_QUOTE

    def _open_interest(self, frame: bytes, at: int, when: int | None) -> Mode:
        self.tick.oi = count(_COUNT(frame, at)[0])
        return MODE_QUOTE

    def _index_value(self, frame: bytes, at: int, when: int | None) -> Mode:
        self.tick.ltp = self._price(_PRICE(frame, at)[0])
        return MODE_LTP

    def _level(self, frame: bytes, at: int, when: int | None) -> Mode:
        number = frame[at - 1] - ord("B")
        buy, buy_quantity, buy_orders, sell, sell_quantity, sell_orders = _LEVEL(frame, at)
        price = self._price(buy)
        self.buy[number] = None if price is None else DepthLevel(price, count(buy_quantity), short_count(buy_orders))
        price = self._price(sell)
        self.sell[number] = (
            None if price is None else DepthLevel(price, count(sell_quantity), short_count(sell_orders))
        )
        return MODE_DEPTH

    def _price(self, raw: float) -> float | None:
        """The rupees that a float32 stands for; None for what is no price."""
        if 0.01 <= raw < PLAIN_RUPEES:
            return round(raw, self.decimals)
        value = rupees(raw, self.is_index)
        return None if value is None else round(value, self.decimals) or None


_Reader: TypeAlias = Callable[[_Record, bytes, int, int | None], Mode]
_READERS: Mapping[bytes, _Reader] = {
    b"A": _Record._trade,
    **{bytes((number,)): _Record._level for number in range(ord("B"), ord("G"))},
    b"G": _Record._day,
    b"H": _Record._index_value,
    b"W": _Record._circuits,
    b"m": _Record._open_interest,
}
_Told: TypeAlias = tuple[Sequence[str], Callable[[Tick], tuple[object, ...]]]


def _told(*names: str) -> _Told:
    names = (*names, "instrument")  # which always has a value: of a single name the getter would make no tuple
    return names, attrgetter(*names)


_NOTHING = _told("mode")
_TOLD: Mapping[_Reader, _Told] = {
    _Record._trade: _told("ltp", "avg_trade_price", "last_trade_quantity", "volume", "oi"),
    _Record._day: _told("open", "high", "low", "close"),
    _Record._circuits: _told("upper_circuit", "lower_circuit"),
    _Record._open_interest: _told("oi"),
    _Record._index_value: _told("ltp"),
}
"""The fields that a packet always tells: what it has no value for is taken back."""


class MotilalCodec(FeedCodec):
    """Kinds are `SCRIP` and `INDEX`."""

    def __init__(self, logins: LoginRecord) -> None:
        super().__init__()
        self._logins = logins
        self._proven = False
        self._rest = b""
        self._strangers = 0
        """Packets in a row whose exchange is unknown."""
        self._records: dict[Hashable, _Record] = {}

    # -- out (section 4) ---------------------------------------------------------------------------------

    def wire_key(self, instrument: Instrument) -> Hashable:
        """Exchange character and scrip code in one number, negative for an index.

        NSE's shares, derivatives and indices share a character. Index packets are of a type of their own, so that
        an index and a scrip with the same code can be told apart; two scrips with the same code cannot.
        """
        places = EXCHANGES.get(instrument.exchange)
        if places is None:
            raise ValueError(f"{instrument.symbol}: Motilal Oswal's feed has no exchange {instrument.exchange}")
        token = instrument.token
        code = int(token) if token.isascii() and token.isdigit() and len(token) <= 10 else -1
        if not 0 <= code < _CODE_LIMIT:
            raise ValueError(f"{instrument.symbol}: {token!r} is no scrip code of Motilal Oswal's")
        key = places[0][0] << 32 | code
        return -key if instrument.is_index else key

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        frame = login_packet(credentials["client_code"])
        self._logins.sent()
        return [frame]

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return _registrations(instruments, 1)

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return _registrations(instruments, 0)

    # -- in (section 5) ----------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        if isinstance(frame, str):
            return _decode_words(frame)
        if not self._proven:
            self._proven = True
            self._logins.proven()
        if self._rest:
            frame = self._rest + frame
        decoded = Decoded()
        ticks = decoded.ticks
        records = self._records
        end = len(frame) - len(frame) % PACKET_SIZE
        for at in range(0, end, PACKET_SIZE):
            exchange, code, time, kind = _HEADER(frame, at)
            if kind == b"1":
                decoded.replies.append(_HEARTBEAT_ANSWER)
                if decoded.event is None:
                    decoded.event = Event.HEARTBEAT
                continue
            if exchange not in _CHARACTERS:
                decoded.event = Event.MALFORMED
                decoded.message = f"packet of an unknown exchange ({exchange:#04x})"
                self._strangers += 1
                if self._strangers >= _OUT_OF_STEP:
                    decoded.message = "the stream of packets is out of step"
                    decoded.restart = True
                    self._rest = b""
                    self._strangers = 0
                    return decoded
                continue
            self._strangers = 0
            read = _READERS.get(kind)
            if read is None:
                decoded.unknown += 1
                continue
            key = exchange << 32 | code
            record = records.get(-key if kind == b"H" else key)
            if record is None and kind == b"G":
                # Indices have a day's OHLC as well. Where a scrip of this code is registered, it is the scrip's.
                record = records.get(-key)
            if record is not None:
                ticks.append(record.after(read, frame, at, time))
            elif kind != b"H":  # all indices are sent to everybody: those that are not subscribed are not counted
                decoded.unrouted += 1
        self._rest = frame[end:]
        return decoded

    def _reroute(self, key: Hashable, claims: list[Instrument]) -> None:
        super()._reroute(key, claims)
        instrument = self.routes.get(key)
        if instrument is None:
            self._records.pop(key, None)
        elif key not in self._records or self._records[key].tick.instrument is not instrument:
            self._records[key] = _Record(instrument)


def _decode_words(text: str) -> Decoded:
    """Sections 3 and 10: a text frame is a refusal; whether of the session shows in its words only."""
    try:
        said = _decode_text(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return Decoded(event=Event.ERROR, message="text frame that is no JSON object")
    words = said.message[:200] if isinstance(said.message, str) else "text frame without a message"
    if is_session_refusal(said.status, words):
        return Decoded(event=Event.AUTH_ERROR, message=f"Motilal Oswal does not accept the session ({words})")
    return Decoded(event=Event.ERROR, message=words)


def is_session_refusal(status: object, words: object) -> bool:
    """Whether an answer with this `status` and `message`, of the feed or of REST, refuses the session."""
    failed = isinstance(status, str) and status.upper() in ("ERROR", "FAILURE", "FAILED")
    return failed and isinstance(words, str) and "auth" in words.lower()


def login_packet(client_code: str) -> bytes:
    """Section 4.1; raises ValueError where the client code is none."""
    code = client_code.encode("ascii", "replace")
    if not 0 < len(code) <= _LONGEST_CLIENT_CODE or not client_code.isascii():
        raise ValueError(f"a client code has 1 to {_LONGEST_CLIENT_CODE} letters and digits")
    return b"".join(
        (
            b"Q\x6f\x00",
            bytes((len(code),)),
            code.ljust(15),
            bytes((len(code),)),
            code.ljust(30),
            b"\x01\x01\x01",
            bytes((len(_VERSION),)),
            _VERSION.ljust(10),
            b"\x00\x00\x00\x00\x01",
            b" " * 45,
        )
    )


def _registrations(instruments: Sequence[Instrument], action: int) -> list[Frame]:
    """One packet for each scrip (section 4.2)."""
    frames: list[Frame] = []
    for instrument in instruments:
        character, segment = EXCHANGES[instrument.exchange]
        if segment:
            frames.append(_REGISTER.pack(b"D", 7, character, segment, int(instrument.token), action))
    return frames
