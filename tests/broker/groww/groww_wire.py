"""Groww's payloads and NATS messages of it, made by hand for the tests."""

import struct
from collections.abc import Sequence

from tickmux.codec import Decoded
from tickmux.instrument import Instrument
from tickmux.tick import Tick

SEED = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
PUBLIC_KEY = "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK"
NONCE = "dGVzdG5vbmNl"
SIGNATURE = "5wYi8na1SHt/lM+BHzBS3l3D4wjkJWmninVo6XElvPJvHqHqFsRJLooZ57VF2tzWT5Rnc4he2ImMDc/Nd4GQDw=="

SBIN = Instrument(symbol="SBIN", exchange="NSE", token="3045", brexchange="NSE")
TWIN = Instrument(symbol="TWIN", exchange="BSE", token="3045", brexchange="BSE")
FUTURE = Instrument(symbol="NIFTY28AUG25FUT", exchange="NFO", token="53001", brexchange="NSE")
NIFTY = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="NIFTY", brexchange="NSE")


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # a negative number takes ten bytes
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def field(number: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return varint(number << 3 | 2) + varint(len(content)) + content


PRICE_FIELDS = (
    "time", "open", "high", "low", "close", "volume", "value",
    "buy", "sell", "average", "upper", "lower", "ltp", "oi",
)  # fmt: skip


def live_price(**fields: float) -> bytes:
    """A payload with the arm of a live price."""
    return field(4, *(double(PRICE_FIELDS.index(name) + 1, value) for name, value in fields.items()))


def index_value(value: float, time: float = 0.0) -> bytes:
    return field(6, double(1, time), double(2, value))


Levels = Sequence[tuple[int, float, float]]
"""Level number, price, quantity."""


def book(buy: Levels = (), sell: Levels = (), time: float = 0.0) -> bytes:
    sides = [
        field(number, integer(1, place), field(2, double(1, price), double(2, quantity)))
        for number, levels in ((2, buy), (3, sell))
        for place, price, quantity in levels
    ]
    return field(5, double(1, time), *sides)


def msg(subject: str, payload: bytes, sid: int = 1) -> bytes:
    return f"MSG {subject} {sid} {len(payload)}\r\n".encode() + payload + b"\r\n"


def price_of(token: str, payload: bytes, folder: str = "/ld/eq/nse/") -> bytes:
    return msg(f"{folder}price.{token}", payload)


def only(decoded: Decoded) -> Tick:
    (tick,) = decoded.ticks
    return tick
