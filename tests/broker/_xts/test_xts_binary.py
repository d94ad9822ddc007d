"""`xts-binary-packet` in its three layouts."""

import math
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickmux.broker._xts.binary import read_packet

COMMON = "<HHHqqihiq"
ROWS = {"A": "idih", "B": "qdih", "C": "qiih"}
TAILS = {"A": "qdiIIIdqd4dd4h", "B": "qdqqqqdqd4dd4h", "C": "qiqqqqiqi4i4h"}
TIME = 1440324930
TIME_MS = 1755837930000


def common(code: int, version: int = 4, properties: int = 0, segment: int = 1, number: int = 2885) -> bytes:
    return struct.pack(COMMON, code, version, 0, 0, 7, properties, segment, number, TIME)


def row(layout: str, price: float, size: int, orders: int) -> bytes:
    return struct.pack("<" + ROWS[layout], size, price, orders, 0)


def tail(layout: str, ltp: float = 100.5, scale: float = 1) -> bytes:
    day = [99.0, 101.0, 98.0, 99.5]
    if layout == "C":
        prices = [round(price * scale) for price in (ltp, 100.0, *day)]
        values: list[Any] = [TIME - 1, prices[0], 5, 10, 20, 30, prices[1], TIME - 2, 0, *prices[2:], 0, 0, 1, 1]
    else:
        values = [TIME - 1, ltp, 5, 10, 20, 30, 100.0, TIME - 2, 0.5, *day, 0.0, 0, 0, 1, 1]
    return struct.pack("<" + TAILS[layout], *values)


def touchline(layout: str, **options: Any) -> bytes:
    best = row(layout, 0, 0, 0) * 2
    scale = {1: 100, 3: 10_000_000, 13: 10_000}.get(options.get("segment", 1), 100)
    return common(1501, **options) + best + tail(layout, scale=scale)


def book(layout: str, bids: list[Any], asks: list[Any]) -> bytes:
    sides = b"".join(
        struct.pack("<i", len(side)) + b"".join(row(layout, *level) for level in side) for side in (bids, asks)
    )
    return common(1502) + sides + row(layout, 0, 0, 0) * 2 + tail(layout, scale=100)


def message(body: bytes, code: int = 1501, *, compressed: bool = False) -> bytes:
    head = struct.pack("<BHhihhH", int(compressed), code, 1, 2885, 1, 1, len(body))
    if not compressed:
        return head + body
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(body) + packer.flush()
    return head + struct.pack("<H", len(packed)) + packed


FIELDS = {
    "ltp": 100.5, "timestamp": TIME_MS, "ltt": TIME_MS - 2000, "last_trade_quantity": 5, "total_buy_quantity": 10,
    "total_sell_quantity": 20, "volume": 30, "avg_trade_price": 100.0, "open": 99.0, "high": 101.0, "low": 98.0,
    "close": 99.5,
}  # fmt: skip


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("layout", "length"), [("A", 180), ("B", 204), ("C", 160)])
def test_a_touchlines_length_tells_its_layout(layout: str, length: int, compressed: bool) -> None:
    body = touchline(layout)
    assert len(body) == length
    packet = read_packet(message(body, compressed=compressed))
    assert not packet.malformed
    (found,) = packet.messages
    assert (found.code, found.key, found.bids) == (1501, (1, 2885), None)
    assert found.fields == pytest.approx(FIELDS)


@pytest.mark.parametrize(("segment", "number"), [(1, 1), (2, 1), (3, 1), (13, 1), (51, 1)])
def test_layout_c_has_another_divisor_for_currency(segment: int, number: int) -> None:
    (found,) = read_packet(message(touchline("C", segment=segment, number=number))).messages
    assert found.key == (segment, number)
    assert found.fields["ltp"] == pytest.approx(100.5)


PRICES = st.integers(1, 2_000_000).map(lambda paise: paise / 100)
SIDES = st.lists(st.tuples(PRICES, st.integers(0, 1 << 30), st.integers(0, 1 << 20)), max_size=25)


@settings(max_examples=120)
@given(st.sampled_from("ABC"), SIDES, SIDES, st.booleans())
def test_a_book_of_any_length_is_read_in_every_layout(layout: str, bids: Any, asks: Any, compressed: bool) -> None:
    wire = [[(round(p * 100) if layout == "C" else p, s, o) for p, s, o in side] for side in (bids, asks)]
    body = book(layout, *wire)
    packet = read_packet(message(body, 1502, compressed=compressed))
    assert not packet.malformed
    (found,) = packet.messages
    assert found.bids is not None
    assert found.asks is not None
    assert [tuple(level) for level in found.bids] == [pytest.approx(level) for level in bids]
    assert [tuple(level) for level in found.asks] == [pytest.approx(level) for level in asks]
    assert found.fields == pytest.approx(FIELDS)


@pytest.mark.parametrize("name", [b"", b"NIFTY", b"Nifty 50", b"\xff" * 7, b"x" * 255])
@pytest.mark.parametrize("width", ["i", "q"])
def test_open_interest_is_read_with_and_without_the_underlyings_name(width: str, name: bytes) -> None:
    named = struct.pack("<B", len(name)) + name if name else b""
    body = common(1510) + struct.pack(f"<h{width}hQB", 1, 17654325, 1, 26000, bool(name)) + named
    body += struct.pack(f"<{width}", 99)
    (found,) = read_packet(message(body, 1510)).messages
    assert found.fields == {"timestamp": TIME_MS, "oi": 17654325}


def test_messages_back_to_back_all_count() -> None:
    data = message(touchline("A")) + message(book("B", [], []), 1502, compressed=True) + message(touchline("C"))
    packet = read_packet(data)
    assert [found.code for found in packet.messages] == [1501, 1502, 1501]
    assert not packet.malformed


def test_what_is_not_known_is_skipped_by_its_size() -> None:
    unknown = [
        message(b"anything", 1512),
        message(common(1512) + bytes(33), 1501),  # the body's own code decides
        message(touchline("A", version=3)),
        message(touchline("A", properties=1)),
    ]
    packet = read_packet(b"".join(unknown) + message(touchline("A")))
    assert (len(packet.messages), packet.unknown, packet.malformed) == (1, 4, False)


@pytest.mark.parametrize(
    "bad",
    [
        b"\x02" + message(touchline("A"))[1:],
        message(b"", 1501),
        message(touchline("A"))[:-1],
        message(touchline("A"))[:10],
        message(touchline("A"), compressed=True)[:-1],
        b"\x01" + message(touchline("A"))[1:],
        struct.pack("<BHhihhHH", 1, 1501, 1, 1, 1, 1, 180, 0),
        struct.pack("<BHhihhHH", 1, 1501, 1, 1, 1, 1, 179, 100) + bytes(100),
    ],
)
def test_a_broken_message_ends_the_packet_and_spares_those_before_it(bad: bytes) -> None:
    packet = read_packet(message(touchline("A")) + bad)
    assert packet.malformed
    assert len(packet.messages) == 1


@pytest.mark.parametrize("size", [41, 179, 181, 203, 205, 300])
def test_a_length_of_no_layout_spoils_only_its_own_message(size: int) -> None:
    odd = (touchline("A") + bytes(300))[:size]
    packet = read_packet(message(odd) + message(touchline("B")))
    assert packet.malformed
    assert len(packet.messages) == 1


def test_a_body_that_inflates_to_another_size_than_it_says_is_malformed() -> None:
    data = bytearray(message(touchline("A"), compressed=True))
    data[13:15] = (204).to_bytes(2, "little")
    assert read_packet(bytes(data)) == ([], 0, True)


@pytest.mark.parametrize("count", [-1, 1001, 1 << 30])
def test_an_impossible_number_of_levels_is_malformed(count: int) -> None:
    body = bytearray(book("A", [(1.0, 1, 1)], []))
    body[40:44] = count.to_bytes(4, "little", signed=True)
    assert read_packet(message(bytes(body), 1502)) == ([], 0, True)


@pytest.mark.parametrize("price", [math.nan, math.inf, -math.inf, 0.0, 1e300])
def test_a_double_that_is_no_price_is_absent(price: float) -> None:
    body = common(1501) + row("A", 0, 0, 0) * 2 + tail("A", ltp=price)
    (found,) = read_packet(message(body)).messages
    assert "ltp" not in found.fields


def test_a_packet_of_nothing_but_compressed_zeros_is_given_up() -> None:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(bytes(65_535)) + packer.flush()
    bomb = struct.pack("<BHhihhHH", 1, 1501, 1, 1, 1, 1, 65_535, len(packed)) + packed
    packet = read_packet(bomb * 6000)
    assert packet.malformed
    assert packet.messages == []


@settings(max_examples=200)
@given(st.binary(max_size=400), st.data())
def test_no_bytes_raise(noise: bytes, data: Any) -> None:
    read_packet(noise)
    whole = bytearray(
        message(touchline(data.draw(st.sampled_from("ABC")))) + message(book("A", [(1.0, 2, 3)], []), 1502)
    )
    for _ in range(3):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    read_packet(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
