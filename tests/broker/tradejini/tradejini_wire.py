"""Frames and packets of Tradejini for tests, written from the specification's section 5."""

import struct
import zlib
from collections.abc import Iterable

from broker import vector_cases
from tickmux.broker.tradejini import BROKER
from tickmux.broker.tradejini.streaming.tradejini_mapping import TradejiniCodec
from tickmux.instrument import Instrument

VECTORS = vector_cases.load("tradejini")

TCS = Instrument(symbol="TCS", exchange="NSE", token="11536")
SILVER = Instrument(symbol="SILVER", exchange="MCX", token="11536")
USDINR = Instrument(symbol="USDINR29DEC26FUT", exchange="CDS", token="1482")
NIFTY = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="-1")
FUTURE = Instrument(symbol="NIFTY29DEC26FUT", exchange="NFO", token="44498")

SIZES = {
    25: "B", 26: "B", 27: "i", 28: "B", **dict.fromkeys(range(29, 39), "i"), 39: "I", 40: "I", 41: "d", 42: "i",
    43: "i", 44: "I", 45: "i", 46: "i", 47: "I", 48: "I", 49: "i", 50: "I", 51: "I", 52: "i", 53: "I", 54: "I",
    55: "B", 56: "H", 57: "B", 58: "I", 59: "I", 60: "I", 62: "B", 70: "i", 71: "i", 74: "i",
}  # fmt: skip
L1_KEYS = [*range(26, 47), *range(49, 57), 58, 59, 60, 70, 71, 74]

Fields = Iterable[tuple[int, float]]


def packet(kind: int, fields: Fields = (), tail: bytes = b"") -> bytes:
    content = b"".join(struct.pack("<B" + SIZES[key], key, value) for key, value in fields) + tail
    return struct.pack("<HB", len(content) + 3, kind) + content


def frame(*packets: bytes, compressed: bool = False, version: int = 1) -> bytes:
    body = b"".join(packets)
    sent = zlib.compress(body) if compressed else body
    return struct.pack("<iBB", len(sent) + 6, version, 100 if compressed else 0) + sent


def quote(fields: dict[int, float], segment: int = 1, token: int = 11536) -> bytes:
    return packet(10, [(26, segment), (27, token), *fields.items()])


Level = tuple[int, int, int]


def levels(first: int, side: Iterable[Level]) -> list[tuple[int, float]]:
    return [(first + place, value) for level in side for place, value in enumerate(level)]


def book(
    bids: list[Level],
    asks: list[Level],
    *,
    count: int | None = None,
    segment: int = 3,
    token: int = 44498,
    **more: int,
) -> bytes:
    head: list[tuple[int, float]] = [
        (26, segment),
        (27, token),
        *((int(key[1:]), value) for key, value in more.items()),
    ]
    head.append((55, len(bids) if count is None else count))
    return packet(11, [*head, *levels(49, bids), *levels(52, asks)])


def codec(*instruments: Instrument, kind: str = "L1") -> TradejiniCodec:
    made = BROKER.adapter().codec("main")
    assert isinstance(made, TradejiniCodec)
    if instruments:
        made.subscribe(instruments, kind)
    return made
