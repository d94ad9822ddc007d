"""Pocketful's wire: JSON requests out, one binary frame for each change in (specification sections 4 to 6).

Frames are complete records of their channel, so the decoder keeps no state beyond its routes.
"""

import struct
from collections.abc import Hashable, Sequence

import msgspec

from tickmux.broker._wire_values import PLAIN, count, epoch_ms, price
from tickmux.broker.pocketful.streaming.early_closes import EarlyCloses
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_LTP, MODE_QUOTE, Depth, DepthLevel, Tick, without_value

EXCHANGE_CODES = {
    "NSE": 1, "NSE_INDEX": 1, "NFO": 2, "CDS": 3, "MCX": 4, "BSE": 6, "BSE_INDEX": 6, "BFO": 7,
}  # fmt: skip
"""Our exchange -> theirs (section 8)."""

_LARGEST = (1 << 32) - 1
_DIVISORS = {1: 100, 2: 100, 3: 10_000_000, 4: 100, 6: 100, 7: 100}
_WITH_OPEN_INTEREST = frozenset({"NFO", "BFO", "CDS", "MCX"})

_DETAILED, _COMPACT, _SNAP_QUOTE = 1, 2, 4
_ORDERS = frozenset({50, 51})
_SILENT = frozenset({9, 10, 14, 58})  # market status and other messages that are no market data

_HEAD = struct.Struct(">bbI").unpack_from
_COMPACT_FRAME = struct.Struct(">2xI I i I 4I 8x".replace(" ", ""))
_DETAILED_FRAME = struct.Struct(">2x 5I 4x4x4x4x 2Q 6I 4x4x 3I 4x".replace(" ", ""))
_SNAP_FRAME = struct.Struct(">2x I 30I 5I 2Q I".replace(" ", ""))
_KINDS = {
    "compact": ("compact_marketdata",),
    "quote": ("marketdata",),
    "depth": ("marketdata", "full_snapquote"),
}
"""Kind -> the broker's channels. A snap quote has no last price, hence the quote beside it."""

_encode = msgspec.json.encode


class PocketfulCodec(FeedCodec):
    """Kinds are `compact`, `quote` and `depth`. `closes` is told of the opening and of the first frame."""

    def __init__(self, closes: EarlyCloses) -> None:
        super().__init__()
        self._closes = closes
        self._silent = True

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        self._closes.opened(credentials.get("access_token"))
        return []

    def wire_key(self, instrument: Instrument) -> Hashable:
        """(exchange code, token): tokens repeat across exchanges (section 9)."""
        code = EXCHANGE_CODES.get(instrument.exchange)
        token = instrument.token
        if code is None or not (token.isascii() and token.isdigit() and len(token) <= 10) or int(token) > _LARGEST:
            raise ValueError(f"{instrument.symbol}: the feed has no name for {instrument.exchange} {token!r}")
        return code, int(token)

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return self._requests("subscribe", instruments, _KINDS[kind])

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return self._requests("unsubscribe", instruments, _KINDS[kind])

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        before, after = _KINDS[old], _KINDS[new]
        return [
            *self._requests("subscribe", instruments, [channel for channel in after if channel not in before]),
            *self._requests("unsubscribe", instruments, [channel for channel in before if channel not in after]),
        ]

    def heartbeat_frames(self) -> list[Frame]:
        return ['{"a":"h","v":[],"m":""}']

    def decode(self, frame: bytes | str) -> Decoded:
        if self._silent:
            self._silent = False
            self._closes.heard()
        if isinstance(frame, str):
            return Decoded()  # text is no market data, and says nothing that is documented
        size = len(frame)
        if not size:
            return Decoded(event=Event.MALFORMED, message="empty frame")
        mode = frame[0]
        needed = _SIZES.get(mode)
        if needed is None:
            if mode in _ORDERS:
                return Decoded(event=Event.ORDER)
            return Decoded() if mode in _SILENT else Decoded(unknown=1)
        if size < needed:
            return Decoded(event=Event.MALFORMED, message=f"{size} bytes where mode {mode} has {needed}")
        _, code, token = _HEAD(frame, 0)
        instrument = self.routes.get((code, token))
        if instrument is None:
            return Decoded(unrouted=1)
        tick = _READERS[mode](frame, instrument, _DIVISORS[code])
        return Decoded(ticks=[tick]) if tick is not None else Decoded()

    def _requests(self, action: str, instruments: Sequence[Instrument], channels: Sequence[str]) -> list[Frame]:
        pairs = [self.wire_key(instrument) for instrument in instruments if channels]
        books = [
            self.wire_key(instrument) for instrument in instruments if channels and not instrument.is_index
        ]  # an index has no book
        requests: list[Frame] = []
        for channel in channels:
            wanted = books if channel == "full_snapquote" else pairs
            if wanted:
                requests.append(_encode({"a": action, "v": wanted, "m": channel}).decode())
        return requests


def _compact(frame: bytes, instrument: Instrument, divisor: int) -> Tick | None:
    _, last, _, traded, low, high, oi, _ = _COMPACT_FRAME.unpack_from(frame)
    ltp = price(last, divisor, instrument.is_index)
    if ltp is None:
        return None
    return Tick(
        instrument=instrument,
        mode=MODE_LTP,
        ltp=ltp,
        ltt=epoch_ms(traded),
        upper_circuit=price(high, divisor),
        lower_circuit=price(low, divisor),
        oi=count(oi) if instrument.exchange in _WITH_OPEN_INTEREST else None,
    )


_DETAILED_PRICES = ("ltp", "open", "high", "low", "close", "avg_trade_price", "upper_circuit", "lower_circuit")
_SNAP_PRICES = ("open", "high", "low", "close", "avg_trade_price")


def _detailed(frame: bytes, instrument: Instrument, divisor: int) -> Tick:
    (
        _, last, traded, quantity, volume, buy, sell, average, stamp,
        open_, high, low, close, lower, upper, oi,
    ) = _DETAILED_FRAME.unpack_from(frame)  # fmt: skip
    index = instrument.is_index
    plain = PLAIN
    prices = (
        last / divisor if 0 < last < plain else price(last, divisor, index),
        open_ / divisor if 0 < open_ < plain else price(open_, divisor, index),
        high / divisor if 0 < high < plain else price(high, divisor, index),
        low / divisor if 0 < low < plain else price(low, divisor, index),
        close / divisor if 0 < close < plain else price(close, divisor, index),
        average / divisor if 0 < average < plain else price(average, divisor, index),
        upper / divisor if 0 < upper < plain else price(upper, divisor, index),
        lower / divisor if 0 < lower < plain else price(lower, divisor, index),
    )
    tick = Tick(
        instrument=instrument,
        mode=MODE_QUOTE,
        ltp=prices[0],
        ltt=traded * 1000 if 0 < traded < plain else epoch_ms(traded),
        timestamp=stamp * 1000 if 0 < stamp < plain else epoch_ms(stamp),
        open=prices[1],
        high=prices[2],
        low=prices[3],
        close=prices[4],
        avg_trade_price=prices[5],
        upper_circuit=prices[6],
        lower_circuit=prices[7],
        volume=volume if 0 < volume < plain else _count(volume, index),
        last_trade_quantity=quantity if 0 < quantity < plain else _count(quantity, index),
        total_buy_quantity=buy if 0 < buy < plain else _count(buy, index),
        total_sell_quantity=sell if 0 < sell < plain else _count(sell, index),
        taken_back=without_value(_DETAILED_PRICES, prices) if None in prices else (),
    )
    if instrument.exchange in _WITH_OPEN_INTEREST:
        tick.oi = count(oi)
    return tick


def _snap_quote(frame: bytes, instrument: Instrument, divisor: int) -> Tick:
    _, *numbers = _SNAP_FRAME.unpack_from(frame)
    average, open_, high, low, close, buy, sell, volume = numbers[30:]
    index = instrument.is_index
    raw_prices = (open_, high, low, close, average)
    prices = tuple([raw / divisor if 0 < raw < PLAIN else price(raw, divisor, index) for raw in raw_prices])
    return Tick(
        instrument=instrument,
        mode=MODE_QUOTE if index else MODE_DEPTH,
        open=prices[0],
        high=prices[1],
        low=prices[2],
        close=prices[3],
        avg_trade_price=prices[4],
        volume=_count(volume, index),
        total_buy_quantity=_count(buy, index),
        total_sell_quantity=_count(sell, index),
        depth=None if index else Depth(_side(numbers[:15], divisor), _side(numbers[15:30], divisor)),
        taken_back=without_value(_SNAP_PRICES, prices) if None in prices else (),
    )


def _count(raw: int, is_index: bool) -> int | None:
    """A quantity; the zeros of an index say nothing (section 6)."""
    return None if is_index and not raw else count(raw)


def _side(numbers: Sequence[int], divisor: int) -> list[DepthLevel]:
    """Five levels: their orders, then their prices, then their quantities."""
    plain = PLAIN
    return [
        DepthLevel(value, quantity, orders if 0 <= orders < plain else count(orders))
        for orders, raw, quantity in zip(numbers[:5], numbers[5:10], numbers[10:], strict=True)
        if quantity
        and (value := raw / divisor if 0 < raw < plain else price(raw, divisor))
        and (0 < quantity < plain or count(quantity))
    ]


_READERS = {_DETAILED: _detailed, _COMPACT: _compact, _SNAP_QUOTE: _snap_quote}
_SIZES = {_DETAILED: _DETAILED_FRAME.size, _COMPACT: _COMPACT_FRAME.size, _SNAP_QUOTE: _SNAP_FRAME.size}
