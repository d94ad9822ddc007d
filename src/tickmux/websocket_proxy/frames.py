"""WebSocket frames of the server side as bytes, built once and sent to many; pure."""

from enum import IntEnum


class Opcode(IntEnum):
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


def frame_header(opcode: int, size: int) -> bytes:
    """The header of a final, unmasked frame with `size` payload bytes (RFC 6455, section 5.2)."""
    first = 0x80 | opcode
    if size < 126:
        return bytes((first, size))
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


_TEXT_HEADERS = tuple(frame_header(Opcode.TEXT, size) for size in range(4096))
"""Headers of the sizes that market data has; a look-up is cheaper than building one."""


def text_frame(payload: bytes) -> bytes:
    size = len(payload)
    return (_TEXT_HEADERS[size] if size < 4096 else frame_header(Opcode.TEXT, size)) + payload


def binary_frame(payload: bytes) -> bytes:
    return frame_header(Opcode.BINARY, len(payload)) + payload


def close_frame(code: int, reason: str) -> bytes:
    payload = code.to_bytes(2, "big") + reason.encode()[:123]
    return frame_header(Opcode.CLOSE, len(payload)) + payload


def spliced_text_frame(prefix: bytes, data: bytes) -> bytes:
    """The text frame of `prefix` + `data` + `}`: a market-data message around a prepared payload."""
    size = len(prefix) + len(data) + 1
    header = _TEXT_HEADERS[size] if size < 4096 else frame_header(Opcode.TEXT, size)
    return b"".join((header, prefix, data, b"}"))
