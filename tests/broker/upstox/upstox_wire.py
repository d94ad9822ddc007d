"""Protobuf's wire format by hand, and Upstox's messages made of it, for the tests."""

import struct

SBIN_KEY, NIFTY_KEY, OPTION_KEY = "NSE_EQ|INE062A01020", "NSE_INDEX|Nifty 50", "NSE_FO|47667"
NOW = 1_755_507_611_000

Level = tuple[float, int, float, int]
"""Bid price and quantity, ask price and quantity."""


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # a negative int64 takes ten bytes
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def integer(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def message(number: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return varint(number << 3 | 2) + varint(len(content)) + content


def text(number: int, value: str) -> bytes:
    return message(number, value.encode())


def ltpc(ltp: float = 0.0, ltt: int = 0, ltq: int = 0, cp: float = 0.0) -> bytes:
    return double(1, ltp) + integer(2, ltt) + integer(3, ltq) + double(4, cp)


def levels(*wanted: Level) -> bytes:
    return b"".join(
        message(1, integer(1, bid_quantity), double(2, bid), integer(3, ask_quantity), double(4, ask))
        for bid, bid_quantity, ask, ask_quantity in wanted
    )


def candle(interval: str, first: float, high: float, low: float, close: float, volume: int = 0) -> bytes:
    prices = b"".join(double(number, price) for number, price in enumerate((first, high, low, close), 2))
    return message(1, text(1, interval), prices, integer(6, volume), integer(7, NOW - 1))


def market(*parts: bytes, request_mode: int = 1) -> bytes:
    """A Feed with a MarketFullFeed of these fields."""
    return message(2, message(1, *parts)) + integer(4, request_mode)


def index(*parts: bytes) -> bytes:
    """A Feed with an IndexFullFeed of these fields."""
    return message(2, message(2, *parts)) + integer(4, 1)


def entry(key: str, feed: bytes) -> bytes:
    return message(2, text(1, key), message(2, feed))


def live(key: str, feed: bytes) -> bytes:
    return integer(1, 1) + entry(key, feed) + integer(3, NOW)


def initial(key: str, feed: bytes) -> bytes:
    return entry(key, feed) + integer(3, NOW)
