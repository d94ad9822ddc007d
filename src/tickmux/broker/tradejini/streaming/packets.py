"""Tradejini's frames and packets: header, compression, tagged fields (specification section 5). Pure.

A packet whose fields cannot all be read is worth nothing: sizes are known by key only, so what follows a wrong
one would be read at the wrong place.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tickmux.codec import Event

_HEADER_SIZE = 6
_VERSION = 1
_COMPRESSED, _PLAIN = 100, 0
MOST_BYTES = 4 << 20
"""Of a body: four times what every packet of the 3000 instruments of a connection takes."""

_SHORTEST_PACKET = 3
_MOST_PACKETS = 20_000
"""In a frame: thrice what both feeds of a full connection take; more would only keep everybody else waiting."""
_U16 = struct.Struct("<H").unpack_from

Read = Callable[[bytes, int], tuple[Any, ...]]
Field = tuple[int, Read]
"""Size of a value, and what reads it."""

_U8_FIELD: Field = (1, struct.Struct("<B").unpack_from)
_U16_FIELD: Field = (2, struct.Struct("<H").unpack_from)
_I32_FIELD: Field = (4, struct.Struct("<i").unpack_from)
_U32_FIELD: Field = (4, struct.Struct("<I").unpack_from)
_F64_FIELD: Field = (8, struct.Struct("<d").unpack_from)


# Packet types that mean something to a feed. Plain numbers: this is the hot path.
L1, L5, AUTH, MARKET_STATUS, EVENT, PONG = 10, 11, 13, 14, 15, 16
IGNORED = frozenset({12, 17, 18})
"""Candles, greeks and volatilities."""
NO_PACKET = -1

SEGMENT, TOKEN, LEVELS, LENGTH, TEXT = 26, 27, 55, 56, 61
"""Keys of the fields that say how to read the others."""
BID, ASK = 49, 52
"""A level's first key; its quantity and orders have the next two."""
LEVEL = struct.Struct("<BiBIBI")
"""A level whose fields stand in order."""

_WHO: Mapping[int, Field] = {26: _U8_FIELD, 27: _I32_FIELD, 28: _U8_FIELD}
_BEST: Mapping[int, Field] = {
    49: _I32_FIELD, 50: _U32_FIELD, 51: _U32_FIELD, 52: _I32_FIELD, 53: _U32_FIELD, 54: _U32_FIELD, 55: _U8_FIELD,
}  # fmt: skip

FIELDS: Mapping[int, Mapping[int, Field]] = {
    L1: {
        **_WHO,
        **dict.fromkeys(range(29, 39), _I32_FIELD),
        39: _U32_FIELD,
        40: _U32_FIELD,
        41: _F64_FIELD,
        42: _I32_FIELD,
        43: _I32_FIELD,
        44: _U32_FIELD,
        45: _I32_FIELD,
        46: _I32_FIELD,
        **_BEST,
        56: _U16_FIELD,
        58: _U32_FIELD,
        59: _U32_FIELD,
        60: _U32_FIELD,
        70: _I32_FIELD,
        71: _I32_FIELD,
        74: _I32_FIELD,
    },
    L5: {**_WHO, **_BEST, 47: _U32_FIELD, 48: _U32_FIELD},
    AUTH: {25: _U8_FIELD},
    MARKET_STATUS: {56: _U16_FIELD, 26: _U8_FIELD, 57: _U8_FIELD},
    PONG: {62: _U8_FIELD},
}
"""What each packet may hold: key -> how its value is read."""


class BrokenFrame(Exception):
    """A frame of which nothing can be read; `event` says whether it is damaged or of another protocol."""

    def __init__(self, event: Event, message: str) -> None:
        super().__init__(message)
        self.event = event


class UnknownField(Exception):
    """A packet has a field of unknown size."""


class BrokenPacket(Exception):
    """A packet contradicts itself, or ends inside a field."""


def body_of(frame: bytes) -> bytes:
    """The packets of a frame; raises BrokenFrame."""
    if len(frame) < _HEADER_SIZE:
        raise BrokenFrame(Event.MALFORMED, f"a frame of {len(frame)} bytes")
    if frame[4] != _VERSION:
        raise BrokenFrame(Event.ERROR, f"the protocol has changed: frames of version {frame[4]}")
    if frame[5] == _PLAIN:
        return frame[_HEADER_SIZE:]
    if frame[5] != _COMPRESSED:
        raise BrokenFrame(Event.MALFORMED, f"unknown compression {frame[5]}")
    stream = zlib.decompressobj()
    try:
        body = stream.decompress(frame[_HEADER_SIZE:], MOST_BYTES)
    except zlib.error:
        raise BrokenFrame(Event.MALFORMED, "damaged compression") from None
    if not stream.eof:
        raise BrokenFrame(Event.MALFORMED, "compressed data that are cut short, or too large")
    return body


def packets(body: bytes) -> Iterator[tuple[int, int, int]]:
    """(type, start of the fields, end) of each packet; ends with NO_PACKET where the rest is none."""
    position, size = 0, len(body)
    for _ in range(_MOST_PACKETS):
        if position == size:
            return
        if position + _SHORTEST_PACKET > size:
            break
        (length,) = _U16(body, position)
        end = position + length
        if length < _SHORTEST_PACKET or end > size:
            break
        yield body[position + 2], position + 3, end
        position = end
    if position < size:
        yield NO_PACKET, position, size


def fields(
    body: bytes, start: int, end: int, known: Mapping[int, Field], last: int = -1
) -> tuple[dict[int, Any], int]:
    """The fields of a packet by key, and where they end: after the field `last`, if there is one.

    Raises UnknownField or BrokenPacket; a field that comes twice breaks a packet, since nothing says which counts.
    """
    found: dict[int, Any] = {}
    while start < end:
        key = body[start]
        field = known.get(key)
        if field is None:
            raise UnknownField
        size, read = field
        following = start + 1 + size
        if following > end or key in found:
            raise BrokenPacket
        found[key] = read(body, start + 1)[0]
        start = following
        if key == last:
            break
    return found, start


def check_fields(body: bytes, start: int, end: int, known: Mapping[int, Field]) -> None:
    """The fields of a packet may repeat, and their values do not matter; raises UnknownField or BrokenPacket."""
    while start < end:
        field = known.get(body[start])
        if field is None:
            raise UnknownField
        start += 1 + field[0]
    if start > end:
        raise BrokenPacket


def check_text(body: bytes, start: int, end: int) -> None:
    """An order update: a length, then a text of that length; raises UnknownField or BrokenPacket."""
    length, complete = None, False
    while start < end:
        key = body[start]
        start += 1
        if key == LENGTH:
            if start + 2 > end:
                raise BrokenPacket
            (length,) = _U16(body, start)
            start += 2
        elif key == TEXT:
            if length is None:
                raise BrokenPacket
            start += length
            complete = True
        else:
            raise UnknownField
    if start > end or not complete:
        raise BrokenPacket
