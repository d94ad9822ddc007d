"""Dhan's depth sockets beyond the shared vectors: halves of books, lying lengths, the disputed unsubscribe code."""

import json
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickmux.broker.dhan.streaming.depth_mapping import DepthCodec
from tickmux.broker.dhan.streaming.standing import Standing
from tickmux.codec import Event
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick

SBIN = Instrument(symbol="SBIN", exchange="NSE", token="3045")
TWIN = Instrument(symbol="X28AUG25FUT", exchange="NFO", token="3045")
NSE, NFO = 1, 2
BIDS, ASKS = 41, 51

Row = tuple[float, int, int]


def codec(*instruments: Instrument, levels: int = 20) -> DepthCodec:
    made = DepthCodec(levels, Standing(lambda: 0.0))
    made.subscribe(instruments, f"depth{levels}")
    return made


def packet(
    code: int, rows: list[Row], segment: int = NSE, last: int = 0, length: int | None = None, padding: bytes = b""
) -> bytes:
    body = b"".join(struct.pack("<dII", *row) for row in rows) + padding
    size = 12 + len(body) if length is None else length
    return struct.pack("<HBBII", size, code, segment, 3045, last) + body


def book(tick: Tick) -> tuple[list[float], list[float]]:
    assert tick.mode is Mode.DEPTH
    assert tick.depth is not None
    assert tick.ltp is None
    return [level.price for level in tick.depth.buy], [level.price for level in tick.depth.sell]


BID: list[Row] = [(100.0, 5, 1), (99.95, 6, 2)]
ASK: list[Row] = [(100.05, 7, 3)]


@pytest.mark.parametrize("codes", [(BIDS, ASKS), (ASKS, BIDS)])
def test_a_book_needs_both_sides_in_any_order_and_then_new_ones(codes: tuple[int, int]) -> None:
    made = codec(SBIN)
    sides = {BIDS: BID, ASKS: ASK}
    first, second = (packet(code, sides[code]) for code in codes)
    assert made.decode(first).ticks == []
    (tick,) = made.decode(second).ticks
    assert book(tick) == ([100.0, 99.95], [100.05])
    assert made.decode(second).ticks == []
    assert len(made.decode(first).ticks) == 1


def test_a_second_bid_side_replaces_the_first() -> None:
    made = codec(SBIN)
    (tick,) = made.decode(packet(BIDS, [(90.0, 1, 1)]) + packet(BIDS, BID) + packet(ASKS, ASK)).ticks
    assert book(tick) == ([100.0, 99.95], [100.05])


def test_rows_without_price_or_quantity_are_dropped_and_the_rest_is_sorted() -> None:
    rows: list[Row] = [(99.0, 1, 1), (0.0, 0, 0), (100.0, 2, 1), (99.5, 0, 1), (math.nan, 1, 1), (-0.01, 1, 1)]
    rows += [(math.inf, 1, 1), (0.00001, 1, 1), (98.00004, 3, 1)]
    (tick,) = codec(SBIN).decode(packet(BIDS, rows) + packet(ASKS, rows)).ticks
    assert book(tick) == ([100.0, 99.0, 98.0], [98.0, 99.0, 100.0])


def test_an_empty_side_is_a_side() -> None:
    (tick,) = codec(SBIN).decode(packet(BIDS, []) + packet(ASKS, ASK)).ticks
    assert book(tick) == ([], [100.05])


def test_sides_of_two_instruments_that_share_an_id_never_make_one_book() -> None:
    made = codec(SBIN, TWIN)
    assert made.decode(packet(BIDS, BID, NSE) + packet(ASKS, ASK, NFO)).ticks == []
    ticks = made.decode(packet(BIDS, [(50.0, 1, 1)], NFO) + packet(ASKS, [(101.0, 1, 1)], NSE)).ticks
    assert [(tick.instrument.symbol, book(tick)) for tick in ticks] == [
        ("X28AUG25FUT", ([50.0], [100.05])),
        ("SBIN", ([100.0, 99.95], [101.0])),
    ]


def test_a_half_book_is_forgotten_when_its_instrument_leaves() -> None:
    made = codec(SBIN)
    made.decode(packet(BIDS, BID))
    made.unsubscribe([SBIN], "depth20")
    made.subscribe([SBIN], "depth20")
    assert made.decode(packet(ASKS, ASK)).ticks == []


@pytest.mark.parametrize(
    ("rows", "last", "padding", "kept"),
    [
        (5, 3, b"", 3),
        (5, 9, b"", 5),
        (5, 0, b"", 0),
        (3, 3, bytes(40), 3),
        (3, 5, b"xyz", 3),
        (230, 2**32 - 1, b"", 200),
    ],
)
def test_200_levels_are_as_many_as_count_and_length_both_allow(
    rows: int, last: int, padding: bytes, kept: int
) -> None:
    side: list[Row] = [(100.0 + number, 1, 1) for number in range(rows)]
    message = packet(BIDS, side, last=last, padding=padding) + packet(ASKS, side, last=last, padding=padding)
    (tick,) = codec(SBIN, levels=200).decode(message).ticks
    assert tuple(map(len, book(tick))) == (kept, kept)


def test_the_20_level_socket_takes_no_row_count_from_the_sequence() -> None:
    (tick,) = codec(SBIN).decode(packet(BIDS, BID, last=1) + packet(ASKS, ASK, last=0)).ticks
    assert book(tick) == ([100.0, 99.95], [100.05])


BOTH = packet(BIDS, BID) + packet(ASKS, ASK)


@pytest.mark.parametrize(
    ("message", "ticks", "event", "unknown"),
    [
        (BOTH + b"\x00", 1, Event.MALFORMED, 0),
        (b"", 0, Event.MALFORMED, 0),
        (packet(BIDS, [], length=0) + BOTH, 0, Event.MALFORMED, 0),
        (packet(BIDS, [], length=11) + BOTH, 0, Event.MALFORMED, 0),
        (BOTH[:-1], 0, Event.MALFORMED, 0),
        (BOTH + packet(BIDS, BID, length=60_000), 1, Event.MALFORMED, 0),
        (packet(77, BID) + BOTH, 1, None, 1),
        (packet(50, [], last=807) + BOTH, 1, Event.AUTH_ERROR, 0),
        (packet(50, [], last=1, padding=struct.pack("<H", 809)), 0, Event.AUTH_ERROR, 0),
        (packet(50, [], last=805), 0, Event.ERROR, 0),
    ],
)
def test_a_message_yields_what_is_sound_in_it(message: bytes, ticks: int, event: Event | None, unknown: int) -> None:
    decoded = codec(SBIN).decode(message)
    assert len(decoded.ticks) == ticks
    assert (decoded.event, decoded.unknown) == (event, unknown)


# -- unsubscribing -------------------------------------------------------------------------------------------


def requests(frames: list[object]) -> list[dict[str, object]]:
    return [json.loads(str(frame)) for frame in frames]


@pytest.mark.parametrize(
    ("levels", "request_"),
    [
        (20, {"InstrumentCount": 1, "InstrumentList": [{"ExchangeSegment": "NSE_EQ", "SecurityId": "3045"}]}),
        (200, {"ExchangeSegment": "NSE_EQ", "SecurityId": "3045"}),
    ],
)
def test_the_other_unsubscribe_code_is_sent_once_if_books_still_come_after_five_seconds(
    levels: int, request_: dict[str, object]
) -> None:
    made = codec(SBIN, levels=levels)
    assert requests([*made.unsubscribe([SBIN], f"depth{levels}")]) == [{"RequestCode": 25, **request_}]
    assert made.decode(BOTH).replies == []
    assert made.heartbeat_frames() == []
    assert made.decode(BOTH).replies == [], "less than five seconds may have passed"
    made.heartbeat_frames()
    decoded = made.decode(BOTH)
    assert requests([*decoded.replies]) == [{"RequestCode": 24, **request_}]
    assert (decoded.ticks, decoded.unrouted) == ([], 2)
    assert made.decode(BOTH).replies == []


def test_an_instrument_that_came_back_is_not_unsubscribed_again() -> None:
    made = codec(SBIN)
    made.unsubscribe([SBIN], "depth20")
    made.subscribe([SBIN], "depth20")
    made.heartbeat_frames()
    made.heartbeat_frames()
    decoded = made.decode(BOTH)
    assert decoded.replies == []
    assert len(decoded.ticks) == 1


def test_what_left_long_ago_is_forgotten() -> None:
    made = codec(SBIN)
    made.unsubscribe([SBIN], "depth20")
    for _ in range(10):
        made.heartbeat_frames()
    assert made.decode(BOTH).replies == []


# -- hostile ---------------------------------------------------------------------------------------------------

PACKETS = st.builds(
    lambda length, code, segment, last, body: (
        struct.pack("<HBBII", length or 12 + len(body), code, segment, 3045, last) + body
    ),
    st.one_of(st.just(0), st.integers(0, 65535)),
    st.sampled_from([BIDS, ASKS, 50, 7]),
    st.sampled_from([NSE, NFO, 9]),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=200),
)


@settings(max_examples=200, deadline=None)
@given(levels=st.sampled_from([20, 200]), messages=st.lists(st.one_of(st.binary(max_size=100), PACKETS), max_size=8))
def test_no_conversation_breaks_the_decoder_or_makes_up_a_price(levels: int, messages: list[bytes]) -> None:
    made = codec(SBIN, TWIN, levels=levels)
    for message in messages:
        for tick in made.decode(message).ticks:
            bids, asks = book(tick)
            assert all(0 < price < math.inf for price in bids + asks)
            assert bids == sorted(bids, reverse=True)
            assert asks == sorted(asks)
            assert len(bids) <= levels
