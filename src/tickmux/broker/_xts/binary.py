"""`xts-binary-packet`: messages back to back, little-endian, in three layouts (specification section 5.5).

All layouts have the same fields in the same order with different widths; a body's exact length tells which one it is.
"""

import zlib
from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from tickmux.broker._wire_values import price as whole_price
from tickmux.broker._xts.messages import (
    DEPTH,
    OPEN_INTEREST,
    QUOTE,
    Fields,
    Full,
    Key,
    Level,
    epoch_ms,
    price,
    quantity,
)

_HEADER = Struct("<BHhihhH")  # flag, code, segment, id, book type, market type, body size
_COMPRESSED_SIZE = Struct("<H")
_COMMON = Struct("<HHHqqihiq")  # code, version, application, token, sequence, properties, segment, id, time
_COUNT = Struct("<i")
_CODES = (QUOTE, DEPTH, OPEN_INTEREST)
_LEAST_VERSION = 4  # below it the common part is shorter
_MOST_LEVELS = 1000
_MOST_MESSAGES = 4096
"""In one packet; bounds what a hostile one of nothing but compressed zeros can cost."""

_TAIL_FIELDS = (
    ("last_trade_quantity", quantity),
    ("total_buy_quantity", quantity),
    ("total_sell_quantity", quantity),
    ("volume", quantity),
    ("avg_trade_price", price),
    ("ltt", epoch_ms),
    ("open", price),
    ("high", price),
    ("low", price),
    ("close", price),
)


class _Layout(NamedTuple):
    """Widths. `row` is size, price, orders; `tail` update time, last price, then `_TAIL_FIELDS`."""

    row: Struct
    tail: Struct
    whole_prices: bool
    open_interest: Struct | None


_LAYOUTS = (
    _Layout(Struct("<idi2x"), Struct("<qdiIIIdq8x4d8x8x"), False, Struct("<i")),  # A: the official SDKs
    _Layout(Struct("<qdi2x"), Struct("<qdqqqqdq8x4d8x8x"), False, Struct("<q")),  # B: 64-bit quantities
    _Layout(Struct("<qii2x"), Struct("<qiqqqqiq4x4i8x"), True, None),  # C: whole numbers for prices
)
_DIVISORS = {3: 10_000_000, 13: 10_000, 4: 10_000}
"""Of layout C by segment; 100 elsewhere."""


class Packet(NamedTuple):
    """The messages of one attachment; `malformed` when something of it could not be read, the rest stays valid."""

    messages: list[Full]
    unknown: int
    malformed: bool


def read_packet(data: bytes) -> Packet:
    """Reads one attachment, without the transport's type byte. Never raises."""
    messages: list[Full] = []
    unknown = 0
    malformed = not data
    at, end = 0, len(data)
    for _ in range(_MOST_MESSAGES):
        if at >= end:
            return Packet(messages, unknown, malformed)
        if end - at < _HEADER.size:
            break
        flag, code, _, _, _, _, size = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        packed = size
        if flag == 1 and end - at >= _COMPRESSED_SIZE.size:
            (packed,) = _COMPRESSED_SIZE.unpack_from(data, at)
            at += _COMPRESSED_SIZE.size
        elif flag != 0:
            break
        if not size or not packed or end - at < packed:
            break
        body = data[at : at + packed]
        at += packed
        if flag == 1:
            inflated = _inflate(body, size)
            if inflated is None:
                break
            body = inflated
        verdict = _read_body(body, code)
        if isinstance(verdict, Full):
            messages.append(verdict)
        elif verdict is _SKIPPED:
            unknown += 1
        else:
            malformed = True
    return Packet(messages, unknown, True)


_SKIPPED, _BAD = object(), object()


def _inflate(data: bytes, size: int) -> bytes | None:
    inflater = zlib.decompressobj(-15)
    try:
        body = inflater.decompress(data, size + 1)
    except zlib.error:
        return None
    return body if inflater.eof and len(body) == size else None


def _read_body(body: bytes, header_code: int) -> object:
    """The Full message, or `_SKIPPED` for what is not known, or `_BAD`."""
    if len(body) < _COMMON.size:
        return _BAD if header_code in _CODES else _SKIPPED
    code, version, _, _, _, properties, segment, instrument_id, time = _COMMON.unpack_from(body)
    if code not in _CODES or version < _LEAST_VERSION or properties:
        return _SKIPPED
    key = (segment, instrument_id)
    exchange_time = epoch_ms(time)
    fields: dict[str, float | int] = {} if exchange_time is None else {"timestamp": exchange_time}
    if code == OPEN_INTEREST:
        return _open_interest(body, key, fields)
    return _quote(body, key, fields) if code == QUOTE else _depth(body, key, fields)


def _quote(body: bytes, key: Key, fields: Fields) -> object:
    for layout in _LAYOUTS:
        if len(body) == _COMMON.size + 2 * layout.row.size + layout.tail.size:
            return Full(QUOTE, key, {**fields, **_tail(body, layout, key, "timestamp" not in fields)})
    return _BAD


def _depth(body: bytes, key: Key, fields: Fields) -> object:
    for layout in _LAYOUTS:
        row = layout.row.size
        first_bid = _COMMON.size + _COUNT.size
        bids = _count(body, _COMMON.size)
        asks = _count(body, first_bid + bids * row) if bids >= 0 else -1
        first_ask = first_bid + bids * row + _COUNT.size
        if asks < 0 or len(body) != first_ask + asks * row + 2 * row + layout.tail.size:
            continue
        return Full(
            DEPTH,
            key,
            {**fields, **_tail(body, layout, key, "timestamp" not in fields)},
            _levels(body[first_bid : first_bid + bids * row], layout, key),
            _levels(body[first_ask : first_ask + asks * row], layout, key),
        )
    return _BAD


def _count(body: bytes, at: int) -> int:
    """A number of levels, -1 where there is none that could be right."""
    if len(body) < at + _COUNT.size:
        return -1
    (count,) = _COUNT.unpack_from(body, at)
    return count if 0 <= count <= _MOST_LEVELS else -1


def _levels(rows: bytes, layout: _Layout, key: Key) -> Sequence[Level]:
    found = layout.row.iter_unpack(rows)
    if layout.whole_prices:
        divisor = _DIVISORS.get(key[0], 100)
        return [(whole_price(raw, divisor), quantity(size), quantity(orders)) for size, raw, orders in found]
    return [(price(raw), quantity(size), quantity(orders)) for size, raw, orders in found]


def _tail(body: bytes, layout: _Layout, key: Key, wants_time: bool) -> Fields:
    update_time, last_price, *values = layout.tail.unpack_from(body, len(body) - layout.tail.size)
    divisor = _DIVISORS.get(key[0], 100) if layout.whole_prices else 1
    fields: dict[str, float | int] = {}
    if wants_time and (updated := epoch_ms(update_time)) is not None:
        fields["timestamp"] = updated
    if (last := whole_price(last_price, divisor) if layout.whole_prices else price(last_price)) is not None:
        fields["ltp"] = last
    for (name, convert), raw in zip(_TAIL_FIELDS, values, strict=True):
        value = whole_price(raw, divisor) if convert is price and layout.whole_prices else convert(raw)
        if value is not None:
            fields[name] = value
    return fields


def _open_interest(body: bytes, key: Key, fields: Fields) -> object:
    for layout in _LAYOUTS:
        if layout.open_interest is None:
            continue
        width = layout.open_interest.size
        # Market type at 40, open interest at 42, underlying's segment and id, whether it has a name, the name.
        has_name = _COMMON.size + 2 + width + 2 + 8
        name = 0
        if len(body) > has_name + 1 and body[has_name] == 1:
            name = 1 + body[has_name + 1]
        elif len(body) <= has_name or body[has_name]:
            continue
        if len(body) == has_name + 1 + name + width:
            value = quantity(layout.open_interest.unpack_from(body, _COMMON.size + 2)[0])
            return Full(OPEN_INTEREST, key, fields if value is None else {**fields, "oi": value})
    return _BAD
