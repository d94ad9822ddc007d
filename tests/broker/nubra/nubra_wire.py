"""Nubra's messages, made by hand for the tests."""

import struct
from collections.abc import Sequence

from tickmux.codec import Decoded
from tickmux.instrument import Instrument
from tickmux.tick import Tick

SBIN = Instrument(symbol="SBIN", exchange="NSE", token="70115", brexchange="NSE", brsymbol="SBIN")
TWIN = Instrument(symbol="SBIN", exchange="BSE", token="912346", brexchange="BSE", brsymbol="SBIN")
FUTURE = Instrument(
    symbol="NIFTY28AUG25FUT", exchange="NFO", token="1120031", brexchange="NSE", brsymbol="NIFTY25AUGFUT"
)
OPTION = Instrument(
    symbol="NIFTY28AUG2525000CE", exchange="NFO", token="1120040", brexchange="NSE", brsymbol="NIFTY25AUG25000CE"
)
NIFTY = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="NIFTY", brexchange="NSE", brsymbol="NIFTY")
SENSEX = Instrument(symbol="SENSEX", exchange="BSE_INDEX", token="SENSEX", brexchange="BSE", brsymbol="SENSEX")

NOW_NS = 1_756_266_300_123_456_789
NOW = 1_756_266_300_123

_PACKAGE = "type.googleapis.com/protos.zanskarsecurities.nubrafrontend."


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # a negative number takes ten bytes
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def single(number: int, value: float) -> bytes:
    return varint(number << 3 | 5) + struct.pack("<f", value)


def field(number: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return varint(number << 3 | 2) + varint(len(content)) + content


def text(number: int, value: str) -> bytes:
    return field(number, value.encode())


def frame(name: str, *batch: bytes) -> bytes:
    """A message of this name in an `Any` in an envelope."""
    return text(1, name) + field(2, text(1, _PACKAGE + name), field(2, *batch))


Levels = Sequence[tuple[int, int, int]]
"""Price in paise, quantity, orders."""

_BOOK = {"inst_id": 1, "time": 2, "ltp": 5, "ltq": 6, "volume": 7}
_INDEX = {"time": 2, "value": 3, "high": 4, "low": 5, "volume": 6, "close": 9}
_BUCKET = {
    "interval": 3, "time": 4, "open": 5, "high": 6, "low": 7, "close": 8, "bucket_volume": 9, "cumulative": 11,
}  # fmt: skip
_GREEKS = {"inst_id": 1, "time": 2, "ltp": 5, "oi": 12, "volume": 13}


def orderbook(ref: int, bids: Levels = (), asks: Levels = (), *, batch_time: int = NOW_NS, **fields: int) -> bytes:
    sides = [
        field(number, integer(1, price), integer(2, quantity), integer(3, orders))
        for number, levels in ((3, bids), (4, asks))
        for price, quantity, orders in levels
    ]
    numbers = [integer(_BOOK[name], value) for name, value in fields.items()]
    item = field(2, *numbers, *sides, integer(8, ref))
    return frame("BatchWebSocketOrderbookMessage", integer(1, batch_time), item)


def index_item(name: str, exchange: str = "NSE", **fields: int) -> bytes:
    numbers = [integer(_INDEX[field_name], value) for field_name, value in fields.items()]
    return text(1, name) + b"".join(numbers) + (text(10, exchange) if exchange else b"")


def index(*items: bytes, shares: Sequence[bytes] = (), batch_time: int = NOW_NS) -> bytes:
    parts = [field(2, item) for item in items] + [field(3, item) for item in shares]
    return frame("BatchWebSocketIndexMessage", integer(1, batch_time), *parts)


def bucket(name: str, exchange: str = "NSE", *, batch_time: int = NOW_NS, **fields: int) -> bytes:
    numbers = [integer(_BUCKET[field_name], value) for field_name, value in fields.items()]
    item = text(1, name) + text(2, exchange) + b"".join(numbers)
    return frame("BatchWebSocketIndexBucketMessage", integer(1, batch_time), field(2, item))


def greeks(ref: int, *, batch_time: int = NOW_NS, **fields: int) -> bytes:
    numbers = [integer(_GREEKS[name], value) for name, value in fields.items()]
    item = field(2, *numbers, single(7, 12.5), integer(14, ref))
    return frame("BatchWebSocketGreeksMessage", integer(1, batch_time), item)


def only(decoded: Decoded) -> Tick:
    (tick,) = decoded.ticks
    return tick
