"""FYERS' wire formats as its servers write them: HSM items and responses, TBT protobuf messages. Pure.

Written from the specification (sections 4.1 and 5), protobuf by hand, so that nothing is shared with the decoder.
"""

import struct
from collections.abc import Iterable, Sequence

from tickmux.simulator.market.security import PRICE_UNIT, Level, Security

UNCHANGED = -2147483648
LEVELS = 50

_MOST_BYTES = 65_000  # of one data frame: its length is 16 bits
_HIGHEST = 2**31 - 1
_CURRENCY = frozenset({"CDS", "BCD"})


def scale(security: Security) -> tuple[int, int]:
    """Multiplier and precision (section 5.2): currency has four decimals, everything else two."""
    return (100 if security.exchange in _CURRENCY else 1), 2


def quote_values(security: Security) -> tuple[int, ...]:
    """The values of an `sf` or `if` topic."""
    s = security
    divisor = _divisor(s)
    prices = {
        name: _raw(getattr(s, name), divisor)
        for name in ("ltp", "open", "high", "low", "close", "average", "lower_circuit", "upper_circuit")
    }
    updated = s.updated_at // 1000
    if s.is_index:
        return prices["ltp"], prices["close"], updated, prices["high"], prices["low"], prices["open"]
    bid = s.bids[0] if s.bids else Level(0, 0, 0)
    ask = s.asks[0] if s.asks else Level(0, 0, 0)
    return (
        prices["ltp"],
        s.volume,
        s.traded_at // 1000,
        updated,
        bid.quantity,
        ask.quantity,
        _raw(bid.price, divisor),
        _raw(ask.price, divisor),
        s.last_quantity,
        min(s.total_buy, _HIGHEST),
        min(s.total_sell, _HIGHEST),
        prices["average"],
        s.oi if s.is_derivative else UNCHANGED,
        prices["low"],
        prices["high"],
        _raw(s.year_high, divisor),
        _raw(s.year_low, divisor),
        prices["lower_circuit"],
        prices["upper_circuit"],
        prices["open"],
        prices["close"],
    )


def depth_values(security: Security) -> tuple[int, ...]:
    """The values of a `dp` topic: five levels a side, zeros where there is none."""
    divisor = _divisor(security)
    sides = [(levels + [Level(0, 0, 0)] * 5)[:5] for levels in (security.bids, security.asks)]
    return (
        *(_raw(level.price, divisor) for side in sides for level in side),
        *(level.quantity for side in sides for level in side),
        *(level.orders for side in sides for level in side),
    )


def _divisor(security: Security) -> int:
    multiplier, precision = scale(security)
    return int(multiplier * 10**precision)


def _raw(price: int, divisor: int) -> int:
    return price * divisor // PRICE_UNIT


# -- HSM -------------------------------------------------------------------------------------------------


def response(kind: int, *fields: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack(">BH", number, len(value)) + value for number, value in fields)
    return struct.pack(">HBB", 2 + len(body), kind, len(fields)) + body


def snapshot_item(
    topic_id: int, topic: str, values: Sequence[int], multiplier: int, precision: int, names: Sequence[str]
) -> bytes:
    """`names`: segment, token and symbol of the instrument."""
    name = topic.encode()
    return b"".join(
        (
            struct.pack(">BHB", 0x53, topic_id, len(name)),
            name,
            struct.pack(f">B{len(values)}i", len(values), *values),
            struct.pack(">HHB", 0, multiplier, precision),
            *(struct.pack(">B", len(text.encode())) + text.encode() for text in names),
        )
    )


def update_item(topic_id: int, values: Sequence[int]) -> bytes:
    return struct.pack(f">BHB{len(values)}i", 0x55, topic_id, len(values), *values)


def lite_item(topic_id: int, last_price: int) -> bytes:
    return struct.pack(">BHi", 0x4C, topic_id, last_price)


def data_frame(number: int, items: Sequence[bytes]) -> bytes:
    body = b"".join(items)
    return struct.pack(">HBIH", 7 + len(body), 6, number, len(items)) + body


def item_batches(items: Iterable[bytes]) -> list[list[bytes]]:
    """The items in as few data frames as their length field allows."""
    batches: list[list[bytes]] = [[]]
    size = 0
    for item in items:
        size += len(item)
        if size > _MOST_BYTES:
            batches.append([])
            size = len(item)
        batches[-1].append(item)
    return [batch for batch in batches if batch]


def changes(old: Sequence[int], new: Sequence[int]) -> tuple[int, ...] | None:
    """The new values with what has not changed marked so; None where nothing has."""
    if old == new:
        return None
    return tuple(UNCHANGED if before == now else now for before, now in zip(old, new, strict=True))


def read_request(frame: bytes) -> tuple[int, dict[int, bytes]] | None:
    """Type and fields of a client's frame; None where it is none. Its length field is not trusted (section 4.1)."""
    if len(frame) == 3:
        return frame[2], {}
    if len(frame) < 4:
        return None
    fields: dict[int, bytes] = {}
    offset = 4
    for _ in range(frame[3]):
        if offset + 3 > len(frame):
            return None
        number, length = struct.unpack_from(">BH", frame, offset)
        fields[number] = frame[offset + 3 : offset + 3 + length]
        offset += 3 + length
        if offset > len(frame):
            return None
    return frame[2], fields


def read_topics(listed: bytes) -> list[str] | None:
    """The topics of a subscription's field 1."""
    if len(listed) < 2:
        return None
    topics, offset = [], 2
    for _ in range(int.from_bytes(listed[:2], "big")):
        if offset >= len(listed):
            return None
        end = offset + 1 + listed[offset]
        if end > len(listed):
            return None
        topics.append(listed[offset + 1 : end].decode("latin-1"))
        offset = end
    return topics


# -- TBT -------------------------------------------------------------------------------------------------

BookSide = Sequence[tuple[int, int, int]]
"""Fifty levels of price in paise, quantity and orders; zeros where there is none."""


def book_side(levels: Sequence[Level]) -> BookSide:
    found = [(level.price * 100 // PRICE_UNIT, level.quantity, level.orders) for level in levels[:LEVELS]]
    return found + [(0, 0, 0)] * (LEVELS - len(found))


def depth_message(
    side_changes: tuple[Sequence[bytes], Sequence[bytes]], total_buy: int | None, total_sell: int | None
) -> bytes:
    """A Depth of encoded levels (bids, asks); a total that is None is left out."""
    bids, asks = side_changes
    return b"".join(
        (
            _wrapper(1, total_buy),
            _wrapper(2, total_sell),
            *(_message(3, level) for level in asks),
            *(_message(4, level) for level in bids),
        )
    )


def level_message(number: int, price: int | None, quantity: int | None, orders: int | None) -> bytes:
    return b"".join((_wrapper(1, price), _wrapper(2, quantity), _wrapper(3, orders), _wrapper(4, number)))


def level_changes(old: BookSide | None, new: BookSide) -> list[bytes]:
    """The levels of `new` that differ from `old`, of each only what differs; all that exist where `old` is None."""
    changed = []
    for number, level in enumerate(new):
        if old is None:
            if level[1]:
                changed.append(level_message(number, *level))
        elif old[number] != level:
            parts = [None if before == now else now for before, now in zip(old[number], level, strict=True)]
            changed.append(level_message(number, *parts))
    return changed


def feed_message(depth: bytes, seconds: int, fytoken: str, sequence: int, ticker: str, *, snapshot: bool) -> bytes:
    """A MarketFeed."""
    return b"".join(
        (
            _message(5, depth),
            _wrapper(6, seconds),
            _wrapper(7, seconds),
            _message(8, fytoken.encode()),
            b"\x48" + _varint(sequence),
            b"\x50\x01" if snapshot else b"",
            _message(11, ticker.encode()),
        )
    )


def socket_message(feeds: Iterable[tuple[str, bytes]], *, snapshot: bool) -> bytes:
    """A SocketMessage of type depth, with feeds by fytoken."""
    entries = (_message(2, _message(1, key.encode()) + _message(2, feed)) for key, feed in feeds)
    return b"".join((b"\x08\x06", *entries, b"\x18\x01" if snapshot else b""))


def error_message(words: str) -> bytes:
    """A SocketMessage that says what is wrong."""
    return b"\x08\x06" + _message(4, words.encode()) + b"\x28\x01"


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _wrapper(number: int, value: int | None) -> bytes:
    """A wrapper type; None leaves it out, which is not the same as one that holds 0."""
    if value is None:
        return b""
    return _message(number, b"\x08" + _varint(value) if value else b"")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
