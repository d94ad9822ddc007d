"""Tradejini's wire: JSON lists out, packets of changes in (specification sections 4 to 6).

The server has one list for each of its feeds, L1 and L5, and a subscription replaces it. State: one record for each
subscribed instrument, fed by both feeds; it goes with its instrument, and with the connection.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import msgspec

from tickmux.broker._symbol_list import SymbolList
from tickmux.broker._wire_values import count as counted
from tickmux.broker._wire_values import epoch_ms, price
from tickmux.broker.tradejini.streaming import packets as wire
from tickmux.broker.tradejini.streaming.packets import BrokenFrame, BrokenPacket, UnknownField
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_QUOTE, Depth, DepthLevel, Tick

DIVISORS = {1: 100, 2: 100, 3: 100, 4: 100, 5: 10_000_000, 6: 10_000, 7: 10_000, 8: 100, 9: 10_000, 10: 10_000}
"""Segment -> wire units in a rupee."""
SEGMENTS = {"NSE": 1, "BSE": 2, "NFO": 3, "BFO": 4, "CDS": 5, "BCD": 6, "MCX": 8}
_INDEX_EXCHANGES = {"NSE_INDEX": "NSE", "BSE_INDEX": "BSE"}
EXCHANGES = (*SEGMENTS, *_INDEX_EXCHANGES)

_PRICES = {
    29: "ltp", 30: "open", 31: "high", 32: "low", 33: "close", 36: "avg_trade_price", 42: "upper_circuit",
    43: "lower_circuit",
}  # fmt: skip
_QUANTITIES = {39: "last_trade_quantity", 40: "volume", 44: "oi"}
_LAST_TRADE = 46
_TOTALS = {47: "total_buy_quantity", 48: "total_sell_quantity"}

_L1_FIELDS, _L5_FIELDS = wire.FIELDS[wire.L1], wire.FIELDS[wire.L5]
_LEVEL_KEYS = frozenset(range(wire.BID, wire.ASK + 3))
_BID_KEYS = (wire.BID, wire.BID + 1, wire.BID + 2)
_ASK_KEYS = (wire.ASK, wire.ASK + 1, wire.ASK + 2)

_FEEDS = {"L1": ("L1",), "L5": ("L1", "L5")}
_SMALLEST_TOKEN, _LARGEST_TOKEN = -(1 << 31), (1 << 31) - 1
_MOST_WORDS = 200
_SEVERITY = {
    None: 0,
    Event.HEARTBEAT: 1,
    Event.ACK: 2,
    Event.MARKET_STATUS: 3,
    Event.ORDER: 4,
    Event.MALFORMED: 5,
    Event.ERROR: 6,
    Event.AUTH_ERROR: 7,
}

Record = dict[str, Any]
"""What is known of an instrument, by the names of a tick's fields; None is a value that was taken back."""


class TradejiniCodec(FeedCodec):
    """Kinds: `L1`, and `L5`, which is both feeds, since the book's has no price."""

    def __init__(self) -> None:
        super().__init__()
        self._lists = {"L1": SymbolList(), "L5": SymbolList()}
        self._records: dict[Hashable, Record] = {}
        self._secret = ""

    # -- out ---------------------------------------------------------------------------------------------

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        """Nothing is sent; the token is kept so that no message repeats it."""
        self._secret = credentials["access_token"]
        return []

    def wire_key(self, instrument: Instrument) -> Hashable:
        """Segment and token; tokens repeat between exchanges."""
        exchange = _INDEX_EXCHANGES.get(instrument.exchange, instrument.exchange)
        segment = SEGMENTS.get(exchange)
        if segment is None:
            raise ValueError(f"{instrument.symbol}: {instrument.exchange} is not in the feed")
        token = instrument.token
        digits = token.removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
            raise ValueError(f"{instrument.symbol}: {token!r} is no token")
        number = int(token)
        if not _SMALLEST_TOKEN <= number <= _LARGEST_TOKEN or str(number) != token:
            raise ValueError(f"{instrument.symbol}: {token!r} is no token")
        return segment, number

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return self._move(instruments, (), _FEEDS[kind])

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return self._move(instruments, _FEEDS[kind], ())

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        for instrument in instruments if new == "L1" else ():
            record = self._records.get(self.wire_key(instrument), {})
            for name in _TOTALS.values():  # their changes are not reported
                record.pop(name, None)
        return self._move(instruments, _FEEDS[old], _FEEDS[new])

    def _move(self, instruments: Sequence[Instrument], old: Iterable[str], new: Iterable[str]) -> list[Frame]:
        """The complete lists of the feeds that change, L1 first (section 4)."""
        frames: list[Frame] = []
        for feed, carried in self._lists.items():
            # An index is asked for prices only: whether it has a book is not known.
            chosen = [(_wire_symbol(one), one) for one in instruments if feed == "L1" or not one.is_index]
            changed: object = False
            if feed in new:
                changed = carried.add(chosen)
            elif feed in old:
                changed = carried.remove(chosen)
            if changed:
                frames.append(_list_frame(feed, carried.symbols))
        return frames

    def heartbeat_frames(self) -> list[Frame]:
        return [_line({"type": "PING"})]

    def _release(self, instrument: Instrument) -> None:
        super()._release(instrument)
        key = self.wire_key(instrument)
        if self.routes.get(key) is None:
            self._records.pop(key, None)

    def _claim(self, instrument: Instrument) -> None:
        super()._claim(instrument)
        key = self.wire_key(instrument)
        if self.routes.get(key) is None:  # claimed twice: routed to neither
            self._records.pop(key, None)

    # -- in ------------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        if isinstance(frame, str):
            words = frame.replace(self._secret, "…") if self._secret else frame
            return Decoded(event=Event.ERROR, message=words[:_MOST_WORDS])  # the server sends no texts
        try:
            body = wire.body_of(frame)
        except BrokenFrame as broken:
            return Decoded(event=broken.event, message=str(broken))
        decoded = Decoded(ticks=[])
        for kind, start, end in wire.packets(body):
            try:
                if kind == wire.L1:
                    self._read_quote(body, start, end, decoded)
                elif kind == wire.L5:
                    self._read_book(body, start, end, decoded)
                else:
                    _read_notice(kind, body, start, end, decoded)
            except UnknownField:
                decoded.unknown += 1
            except BrokenPacket:
                _note(decoded, Event.MALFORMED, f"a damaged packet of type {kind}")
        return decoded

    def _read_quote(self, body: bytes, start: int, end: int, decoded: Decoded) -> None:
        values, _ = wire.fields(body, start, end, _L1_FIELDS)
        divisor, instrument, record = self._subject(values)
        if instrument is None:
            decoded.unrouted += 1
            return
        lost: tuple[str, ...] = ()
        for key, raw in values.items():
            if key in _PRICES:
                name, value = _PRICES[key], price(raw, divisor, instrument.is_index)
            elif key in _QUANTITIES:
                name, value = _QUANTITIES[key], counted(raw)
            elif key == _LAST_TRADE:
                name, value = "ltt", epoch_ms(raw)
            else:
                continue
            record[name] = value
            if value is None:
                lost += (name,)
        decoded.ticks.append(Tick(instrument=instrument, mode=MODE_QUOTE, taken_back=lost, **record))

    def _read_book(self, body: bytes, start: int, end: int, decoded: Decoded) -> None:
        values, rest = wire.fields(body, start, end, _L5_FIELDS, wire.LEVELS)
        count = values.get(wire.LEVELS)
        after = end if count is None else min(end, rest + 2 * count * wire.LEVEL.size)
        if after < end:  # the levels are followed by other fields
            more, _ = wire.fields(body, after, end, _L5_FIELDS)
            if more.keys() & values.keys():
                raise BrokenPacket
            values |= more
        if values.keys() & _LEVEL_KEYS:
            raise BrokenPacket  # a level before their number, or one too many
        divisor, instrument, record = self._subject(values)
        depth = None if count is None else _book(body[rest:after], count, divisor)
        if instrument is None:
            decoded.unrouted += 1
            return
        if self.kinds.get(instrument) != "L5":
            record = record.copy()  # a late packet: changes of its totals are not reported
        for key, name in _TOTALS.items():
            if key in values:
                record[name] = counted(values[key])
        decoded.ticks.append(Tick(instrument=instrument, mode=MODE_DEPTH, depth=depth, **record))

    def _subject(self, values: dict[int, Any]) -> tuple[int, Instrument | None, Record]:
        """Divisor, instrument and record that a packet is about; no instrument where it is not subscribed."""
        segment, token = values.get(wire.SEGMENT), values.get(wire.TOKEN)
        divisor = DIVISORS.get(segment) if segment is not None else None
        if divisor is None or token is None:
            raise BrokenPacket
        key = (segment, token)
        instrument = self.routes.get(key)
        if instrument is None:
            return divisor, None, {}
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = {}
        return divisor, instrument, record


def _book(raw: bytes, count: int, divisor: int) -> Depth:
    """The book of the fields after the number of levels: all bids, then all asks, three fields each."""
    if len(raw) % wire.LEVEL.size:
        wire.check_fields(raw, 0, len(raw), _L5_FIELDS)
        raise BrokenPacket
    bids: list[DepthLevel] = []
    asks: list[DepthLevel] = []
    read_bids = read_asks = 0
    for row in wire.LEVEL.iter_unpack(raw):
        first, paise, second, quantity, third, orders = row
        keys = (first, second, third)
        if keys != _BID_KEYS and keys != _ASK_KEYS:
            keys, paise, quantity, orders = _in_order(wire.LEVEL.pack(*row))
        if keys == _BID_KEYS:
            read_bids += 1
            side = bids
        else:
            read_asks += 1
            side = asks
        if read_bids > count or read_asks > count or (side is bids and read_asks):
            raise BrokenPacket
        if (rupees := price(paise, divisor)) is not None:
            side.append(DepthLevel(rupees, counted(quantity), counted(orders)))
    return Depth(buy=bids, sell=asks)


def _in_order(raw: bytes) -> tuple[tuple[int, int, int], int, int, int]:
    """Keys, price, quantity and orders of a level whose fields stand in another order."""
    values, _ = wire.fields(raw, 0, len(raw), _L5_FIELDS)
    for keys in (_BID_KEYS, _ASK_KEYS):
        if values.keys() == set(keys):
            paise, quantity, orders = (values[key] for key in keys)
            return keys, paise, quantity, orders
    raise BrokenPacket


def _read_notice(kind: int, body: bytes, start: int, end: int, decoded: Decoded) -> None:
    """What is about the session and the markets."""
    if kind == wire.NO_PACKET:
        _note(decoded, Event.MALFORMED, "a packet that does not fit into its frame")
    elif kind == wire.EVENT:
        wire.check_text(body, start, end)
        _note(decoded, Event.ORDER)
    elif kind == wire.MARKET_STATUS:
        wire.check_fields(body, start, end, wire.FIELDS[kind])
        _note(decoded, Event.MARKET_STATUS)
    elif kind == wire.AUTH or kind == wire.PONG:
        values, _ = wire.fields(body, start, end, wire.FIELDS[kind])
        if not values:
            raise BrokenPacket
        (status,) = values.values()
        if kind == wire.PONG:
            _note(decoded, Event.HEARTBEAT)
        elif status == 1:
            _note(decoded, Event.ACK)
        else:
            _note(decoded, Event.AUTH_ERROR, f"the broker refused the session (status {status})")
    elif kind not in wire.IGNORED:
        decoded.unknown += 1


def _note(decoded: Decoded, event: Event, words: str = "") -> None:
    """The most severe event of a frame's packets is the frame's."""
    if _SEVERITY[event] > _SEVERITY[decoded.event]:
        decoded.event = event
        decoded.message = words


def _wire_symbol(instrument: Instrument) -> str:
    """`11536_NSE`; an index goes by its exchange, `-1_NSE`."""
    return f"{instrument.token}_{_INDEX_EXCHANGES.get(instrument.exchange, instrument.exchange)}"


def _list_frame(feed: str, symbols: Sequence[str]) -> str:
    if not symbols:
        return _line({"type": feed, "action": "unsub"})
    return _line({"type": feed, "action": "sub", "tokens": [{"t": symbol} for symbol in symbols]})


def _line(request: object) -> str:
    return msgspec.json.encode(request).decode() + "\n"
