"""The quote feed's frames: big-endian, length-prefixed, fields of id, length, value (specification 4.1)."""

import struct
from collections.abc import Sequence

AUTHENTICATE, ACKNOWLEDGE, SUBSCRIBE, UNSUBSCRIBE, DATA = 1, 3, 4, 5, 6
PAUSE, RESUME, PING, DATA_MODE, CUSTOM_MESSAGE = 7, 8, 11, 12, 51

CHANNEL = 11
"""The one channel that everything is subscribed on."""
TOPICS_A_FRAME = 1500
PING_FRAME = bytes((0, 1, PING))

_FIELD = struct.Struct(">BH")


def request(kind: int, *fields: tuple[int, bytes]) -> bytes:
    """A frame of the type `kind` with these fields (id, value)."""
    body = b"".join(_FIELD.pack(number, len(value)) + value for number, value in fields)
    return struct.pack(">HBB", len(body) + 2, kind, len(fields)) + body


def authenticate(hsm_key: str, source: str) -> bytes:
    return request(AUTHENTICATE, (1, hsm_key.encode()), (2, b"P"), (3, b"\x01"), (4, source.encode()))


def full_mode() -> bytes:
    """Whole records on our channel instead of last prices alone."""
    return request(DATA_MODE, (1, struct.pack(">Q", 1 << CHANNEL)), (2, b"F"))


def acknowledge(message_number: int) -> bytes:
    return request(ACKNOWLEDGE, (1, struct.pack(">I", message_number)))


def topic_request(kind: int, topics: Sequence[str]) -> bytes:
    """SUBSCRIBE or UNSUBSCRIBE for at most TOPICS_A_FRAME topics."""
    names = [topic.encode("ascii") for topic in topics]
    listed = struct.pack(">H", len(names)) + b"".join(bytes((len(name),)) + name for name in names)
    return request(kind, (1, listed), (2, bytes((CHANNEL,))))


def response_fields(frame: bytes) -> dict[int, bytes] | None:
    """The fields of a response, the first one of each id; None when the frame ends inside them."""
    if len(frame) < 4:
        return None
    fields: dict[int, bytes] = {}
    offset, size = 4, len(frame)
    for _ in range(frame[3]):
        start = offset + 3
        if start > size:
            return None
        number, length = _FIELD.unpack_from(frame, offset)
        offset = start + length
        if offset > size:
            return None
        fields.setdefault(number, frame[start:offset])
    return fields
