"""Dhan's main feed: packets with an 8-byte header, several to a message (specification sections 5.1 to 5.6, 6).

Every packet of prices is complete in itself; previous close and open interest come in packets of their own, are
kept for each instrument and repeat its last tick.

Prices beside a deep book are quotes, until the book's own socket stays silent: then they are full packets, whose five
levels are better than none (section 7).
"""

import struct
from collections.abc import Callable, Hashable, Sequence
from copy import copy
from typing import ClassVar

from tickmux.broker._wire_values import DEAREST, PLAIN, PLAIN_RUPEES, count, epoch_ms, rupees, short_count
from tickmux.broker.dhan.streaming.standing import Standing
from tickmux.broker.dhan.streaming.wire import DERIVATIVES, DhanCodec, malformed
from tickmux.codec import Decoded, Event, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_LTP, MODE_QUOTE, Depth, DepthLevel, Tick, without_value

# Little-endian; offsets are those of the specification.
_HEADER = struct.Struct("<BHBI").unpack_from  # code, length, segment, security id
_TICKER = struct.Struct("<fI").unpack_from
_QUOTE = struct.Struct("<fHIfIIIffff").unpack_from
_FULL = struct.Struct("<fHIfIIII8xffff").unpack_from  # the 8 bytes are the day's highest and lowest open interest
_LEVEL = struct.Struct("<IIHHff")
_PRICE = struct.Struct("<f").unpack_from
_U32 = struct.Struct("<I").unpack_from
_U16 = struct.Struct("<H").unpack_from

_HEADER_SIZE, _PAYLOAD, _LEVELS, _FULL_SIZE = 8, 8, 62, 162
_SIZES = {2: 16, 3: 112, 4: 50, 5: 12, 6: 16, 7: 8, 8: _FULL_SIZE, 50: 10}
"""Packet sizes by code. They are trusted, not the length field: what that counts is disputed (section 5.1)."""
_HEARTBEAT, _INDEX, _DISCONNECT = 0, 1, 50

BESIDE_BOOK = "beside_book"
"""The kind of an instrument whose deep book has a socket of its own."""
_PATIENCE = 7
"""Heartbeats without a deep book before five levels take its place: one is five seconds, the first may be short."""

_CURRENCY = frozenset({"CDS", "BCD"})
_PRICES = ("ltp", "open", "high", "low", "avg_trade_price")


class _Market:
    """What the session has said about one instrument; its methods read the packets about it.

    Each takes the message and the packet's offset, and returns a new tick or None.
    """

    __slots__ = ("close", "decimals", "has_oi", "instrument", "is_index", "ist_shift", "last", "oi", "plain")

    def __init__(self, instrument: Instrument, ist_shift: int) -> None:
        self.instrument = instrument
        self.decimals = 4 if instrument.exchange in _CURRENCY else 2
        self.has_oi = instrument.exchange in DERIVATIVES
        self.is_index = instrument.is_index
        self.plain = PLAIN_RUPEES if instrument.exchange in _CURRENCY else DEAREST
        """Rupees below which there is no sentinel."""
        self.ist_shift = ist_shift
        self.last: Tick | None = None
        self.close: float | None = None
        self.oi: int | None = None

    def ticker(self, frame: bytes, at: int) -> Tick | None:
        last, traded = _TICKER(frame, at + _PAYLOAD)
        ltp = self._price(last)
        if ltp is None:
            return None
        self.last = tick = Tick(
            instrument=self.instrument, mode=MODE_LTP, ltp=ltp, ltt=self._time(traded), close=self.close
        )
        return tick

    def quote(self, frame: bytes, at: int) -> Tick:
        last, quantity, traded, average, volume, sell, buy, open_, _, high, low = _QUOTE(frame, at + _PAYLOAD)
        prices = self._prices(last, open_, high, low, average)
        self.last = tick = Tick(
            instrument=self.instrument,
            mode=MODE_QUOTE,
            ltp=prices[0],
            ltt=self._time(traded),
            open=prices[1],
            high=prices[2],
            low=prices[3],
            close=self.close,  # never the packet's own: that is today's, 0 until the evening
            volume=volume if volume < PLAIN else count(volume),
            last_trade_quantity=short_count(quantity),
            avg_trade_price=prices[4],
            total_buy_quantity=buy if buy < PLAIN else count(buy),
            total_sell_quantity=sell if sell < PLAIN else count(sell),
            oi=self.oi,
            taken_back=without_value(_PRICES, prices) if None in prices else (),
        )
        return tick

    def full(self, frame: bytes, at: int) -> Tick:
        last, quantity, traded, average, volume, sell, buy, oi, open_, _, high, low = _FULL(frame, at + _PAYLOAD)
        if self.has_oi:
            self.oi = count(oi)
        prices = self._prices(last, open_, high, low, average)
        self.last = tick = Tick(
            instrument=self.instrument,
            mode=MODE_DEPTH,
            ltp=prices[0],
            ltt=self._time(traded),
            open=prices[1],
            high=prices[2],
            low=prices[3],
            close=self.close,
            volume=volume if volume < PLAIN else count(volume),
            last_trade_quantity=short_count(quantity),
            avg_trade_price=prices[4],
            total_buy_quantity=buy if buy < PLAIN else count(buy),
            total_sell_quantity=sell if sell < PLAIN else count(sell),
            oi=self.oi,
            taken_back=without_value(_PRICES, prices) if None in prices else (),
            depth=self._depth(frame[at + _LEVELS : at + _FULL_SIZE]),
        )
        return tick

    def previous_close(self, frame: bytes, at: int) -> Tick | None:
        close = self._price(_PRICE(frame, at + _PAYLOAD)[0])
        if close is None:
            return None
        self.close = close
        if self.last is None:
            return None
        self.last = tick = copy(self.last)
        tick.close = close
        return tick

    def open_interest(self, frame: bytes, at: int) -> Tick | None:
        if not self.has_oi:
            return None
        self.oi = count(_U32(frame, at + _PAYLOAD)[0])
        if self.last is None or self.last.mode is MODE_LTP:
            return None
        self.last = tick = copy(self.last)
        tick.oi = self.oi
        if self.oi is None:
            tick.taken_back += ("oi",)
        return tick

    def _price(self, raw: float) -> float | None:
        """The rupees that a float32 stands for; None for what is no price."""
        value = rupees(raw, self.is_index)
        return None if value is None else round(value, self.decimals) or None

    def _prices(self, *raw: float) -> tuple[float | None, ...]:
        """In the order of `_PRICES`."""
        decimals, plain = self.decimals, self.plain
        return tuple([round(each, decimals) if 0.01 <= each < plain else self._price(each) for each in raw])

    def _time(self, seconds: int) -> int | None:
        return epoch_ms(seconds, -self.ist_shift)

    def _depth(self, rows: bytes) -> Depth:
        buy: list[DepthLevel] = []
        sell: list[DepthLevel] = []
        decimals, plain, most = self.decimals, self.plain, PLAIN
        for bid_quantity, ask_quantity, bid_orders, ask_orders, bid, ask in _LEVEL.iter_unpack(rows):
            if 0 < bid_quantity < most or count(bid_quantity):
                price = round(bid, decimals) if 0.01 <= bid < plain else self._price(bid)
                if price is not None:
                    buy.append(DepthLevel(price, bid_quantity, bid_orders))
            if 0 < ask_quantity < most or count(ask_quantity):
                price = round(ask, decimals) if 0.01 <= ask < plain else self._price(ask)
                if price is not None:
                    sell.append(DepthLevel(price, ask_quantity, ask_orders))
        return Depth(buy, sell)


_READERS: dict[int, Callable[[_Market, bytes, int], Tick | None]] = {
    2: _Market.ticker,
    4: _Market.quote,
    5: _Market.open_interest,
    6: _Market.previous_close,
    8: _Market.full,
}


class MainFeedCodec(DhanCodec):
    """Kinds are `ltp`, `quote`, `full`, and `beside_book`: on the wire `quote` or, to help out, `full`."""

    ist_shift: ClassVar[int] = 19_800
    """Seconds by which the feed's epoch is ahead of UTC: it counts Indian clock time (section 5.4)."""

    def __init__(self, standing: Standing) -> None:
        super().__init__(standing)
        self._markets: dict[Hashable, _Market] = {}
        self._bookless: dict[Hashable, int] = {}
        """Instruments of the kind `beside_book`: key -> heartbeats without a deep book."""
        self._helped: set[Hashable] = set()
        """Those of them that are subscribed as `full`."""

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return super().subscribe_frames(instruments, self._enter(instruments, kind))

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        frames: list[Frame] = []
        for wire_kind, members in self._leave(instruments, kind).items():
            frames += super().unsubscribe_frames(members, wire_kind)
        return frames

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        left = self._leave(instruments, old)
        wire_new = self._enter(instruments, new)
        frames: list[Frame] = []
        for wire_old, members in left.items():
            if wire_old != wire_new:
                frames += self._switch(members, wire_old, wire_new)
        return frames

    def heartbeat_frames(self) -> list[Frame]:
        """Nothing is sent to keep the session alive, but time passes, and deep books begin and end."""
        self._standing.goes_on()
        flowing = self._standing.deep_books
        helpless, relieved = [], []
        for key, beats in self._bookless.items():
            self._bookless[key] = 0 if key in flowing else min(beats + 1, _PATIENCE)
            if key in flowing and key in self._helped:
                relieved.append(key)
            elif self._bookless[key] == _PATIENCE and key not in self._helped:
                helpless.append(key)
        self._helped.difference_update(relieved)
        self._helped.update(helpless)
        return [
            *self._switch(self._routed(relieved), "full", "quote"),
            *self._switch(self._routed(helpless), "quote", "full"),
        ]

    def _routed(self, keys: Sequence[Hashable]) -> list[Instrument]:
        return [self.routes[key] for key in keys if key in self.routes]

    def _switch(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        """The new subscription first, then the old one's end (section 4)."""
        if not instruments:
            return []
        subscribed = super().subscribe_frames(instruments, new)
        return [*subscribed, *super().unsubscribe_frames(instruments, old)]

    def _enter(self, instruments: Sequence[Instrument], kind: str) -> str:
        """What the instruments are to be subscribed as for this kind."""
        if kind != BESIDE_BOOK:
            return kind
        self._bookless.update({self.wire_key(instrument): 0 for instrument in instruments})
        return "quote"

    def _leave(self, instruments: Sequence[Instrument], kind: str) -> dict[str, list[Instrument]]:
        """What the instruments of this kind were subscribed as."""
        if kind != BESIDE_BOOK:
            return {kind: list(instruments)}
        left: dict[str, list[Instrument]] = {}
        for instrument in instruments:
            key = self.wire_key(instrument)
            left.setdefault("full" if key in self._helped else "quote", []).append(instrument)
            self._bookless.pop(key, None)
            self._helped.discard(key)
        return left

    def decode_packets(self, frame: bytes) -> Decoded:
        decoded = Decoded()
        ticks = decoded.ticks
        markets = self._markets
        size = len(frame)
        offset = 0
        while size - offset >= _HEADER_SIZE:
            code, length, segment, security = _HEADER(frame, offset)
            step = _SIZES.get(code)
            if step is None:
                if length < _HEADER_SIZE:
                    if code == _HEARTBEAT:
                        return _heartbeat(decoded)
                    break
                step = length
            if offset + step > size:
                break
            reader = _READERS.get(code)
            if reader is not None:
                key = segment << 32 | security
                market = markets.get(key)
                if market is None:
                    decoded.unrouted += 1
                else:
                    tick = reader(market, frame, offset)
                    if tick is not None:
                        if tick.depth is not None and key in self._bookless and key in self._standing.deep_books:
                            # The deep book is back: five levels must not take turns with it.
                            tick.mode, tick.depth = MODE_QUOTE, None
                        ticks.append(tick)
            elif code == _HEARTBEAT:
                _heartbeat(decoded)
            elif code == _DISCONNECT:
                self.disconnected(decoded, _U16(frame, offset + _PAYLOAD)[0])
            elif code != _INDEX and code not in _SIZES:
                decoded.unknown += 1
            offset += step
        else:
            if offset == size and size:
                return decoded
        return malformed(decoded, f"message of {size} bytes ends within the packet at {offset}")

    def _reroute(self, key: Hashable, claims: list[Instrument]) -> None:
        super()._reroute(key, claims)
        instrument = self.routes.get(key)
        if instrument is None:
            self._markets.pop(key, None)
        elif key not in self._markets or self._markets[key].instrument is not instrument:
            self._markets[key] = _Market(instrument, self.ist_shift)


def _heartbeat(decoded: Decoded) -> Decoded:
    if decoded.event is None:
        decoded.event = Event.HEARTBEAT
    return decoded
