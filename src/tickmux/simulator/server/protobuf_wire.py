"""Protobuf's wire format by hand, for simulators: what has the value zero is not on the wire, as proto3 wants it."""

import struct


def varint(value: int) -> bytes:
    low, value = value & 0x7F, value >> 7
    groups = bytearray()
    while value:
        groups.append(0x80 | low)
        low, value = value & 0x7F, value >> 7
    groups.append(low)
    return bytes(groups)


def integer(number: int, value: int) -> bytes:
    """Field `number` of any integer type; not negative."""
    return varint(number << 3) + varint(value) if value else b""


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value) if value else b""


def single(number: int, value: float) -> bytes:
    """A field of the type `float`."""
    return varint(number << 3 | 5) + struct.pack("<f", value) if value else b""


def message(number: int, *parts: bytes) -> bytes:
    """A field that is a message of `parts`; there even if it is empty."""
    content = b"".join(parts)
    return varint(number << 3 | 2) + varint(len(content)) + content


def text(number: int, value: str) -> bytes:
    return message(number, value.encode()) if value else b""
