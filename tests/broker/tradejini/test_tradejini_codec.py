"""Tradejini's codec: lists out, changes in, what is known of an instrument and when it is forgotten."""

import json
import struct
import zlib
from typing import Any

import pytest

from broker.tradejini.tradejini_wire import (
    FUTURE,
    NIFTY,
    SILVER,
    TCS,
    USDINR,
    book,
    codec,
    frame,
    packet,
    quote,
)
from tickmux.broker.tradejini import BROKER
from tickmux.broker.tradejini.streaming.packets import MOST_BYTES
from tickmux.codec import Credentials, Decoded, Event, Frame
from tickmux.instrument import Instrument
from tickmux.tick import Mode, tick_fields


def said(frames: list[Frame]) -> list[tuple[str, str, list[str] | None]]:
    """Feed, action and tokens of every text, which must end in one line feed."""
    found = []
    for text in frames:
        assert isinstance(text, str)
        assert text.endswith("}\n")
        assert text.count("\n") == 1
        request = json.loads(text)
        tokens = request.get("tokens")
        found.append((request["type"], request["action"], tokens and [each["t"] for each in tokens]))
    return found


def fields(decoded: Decoded) -> list[dict[str, object]]:
    return [tick_fields(tick) for tick in decoded.ticks]


# -- outgoing ------------------------------------------------------------------------------------------------


def test_every_change_sends_the_complete_lists_l1_first() -> None:
    session = codec()
    assert said(session.subscribe([TCS], "L1")) == [("L1", "sub", ["11536_NSE"])]
    assert said(session.subscribe([FUTURE], "L5")) == [
        ("L1", "sub", ["11536_NSE", "44498_NFO"]),
        ("L5", "sub", ["44498_NFO"]),
    ]
    assert said(session.change([TCS], "L1", "L5")) == [("L5", "sub", ["44498_NFO", "11536_NSE"])]
    assert said(session.change([FUTURE], "L5", "L1")) == [("L5", "sub", ["11536_NSE"])]
    assert said(session.unsubscribe([TCS], "L5")) == [("L1", "sub", ["44498_NFO"]), ("L5", "unsub", None)]
    assert said(session.unsubscribe([FUTURE], "L1")) == [("L1", "unsub", None)]


def test_a_list_that_does_not_change_is_not_sent() -> None:
    session = codec(TCS)
    assert session.subscribe([TCS], "L1") == []
    assert session.unsubscribe([FUTURE], "L1") == []


def test_an_index_is_never_asked_for_its_book() -> None:
    adapter = BROKER.adapter()
    assert adapter.streams(NIFTY, Mode.DEPTH, 5) == (("main", "L1"),)
    assert adapter.streams(TCS, Mode.DEPTH, 5) == (("main", "L5"),)
    assert said(codec().subscribe([NIFTY, TCS], "L5")) == [
        ("L1", "sub", ["-1_NSE", "11536_NSE"]),
        ("L5", "sub", ["11536_NSE"]),
    ]


def test_two_rows_of_one_token_are_on_the_list_once_and_until_both_are_gone() -> None:
    other = Instrument(symbol="TATACONS", exchange="NSE", token="11536")
    session = codec(TCS)
    assert session.subscribe([other], "L1") == []
    assert session.decode(frame(quote({29: 100}))).unrouted == 1
    assert session.unsubscribe([other], "L1") == []
    assert [tick.instrument for tick in session.decode(frame(quote({29: 100}))).ticks] == [TCS]


@pytest.mark.parametrize(
    ("token", "exchange"),
    [
        ("1", "NCO"),
        ("1", "MCX_INDEX"),
        ("", "NSE"),
        ("-", "NSE"),
        ("1_NSE", "NSE"),
        ("١", "NSE"),
        ("2147483648", "NSE"),
        ("-2147483649", "NSE"),
        ("--1", "NSE"),
        ("007", "NSE"),
        ("1" * 5000, "NSE"),
    ],
)
def test_what_the_wire_cannot_name_cannot_be_subscribed(token: str, exchange: str) -> None:
    with pytest.raises(ValueError, match=r"token|not in the feed"):
        codec().wire_key(Instrument(symbol="X", exchange=exchange, token=token))


# -- L1: full packets and changes ----------------------------------------------------------------------------


def test_changes_are_merged_into_what_is_known() -> None:
    session = codec(TCS)
    (first,) = fields(session.decode(frame(quote({29: 342155, 30: 340000, 40: 1000, 46: 1795409130}))))
    assert first == {"ltp": 3421.55, "open": 3400.0, "volume": 1000, "ltt": 1795409130000}
    (second,) = fields(session.decode(frame(quote({29: 342190, 40: 1100}), compressed=True)))
    assert second == {**first, "ltp": 3421.9, "volume": 1100}


def test_a_zero_price_or_time_takes_a_value_back_and_a_zero_quantity_counts() -> None:
    session = codec(TCS)
    session.decode(frame(quote({29: 342155, 30: 340000, 46: 1795409130, 44: 7})))
    (found,) = fields(session.decode(frame(quote({30: 0, 46: 0, 44: 0, 40: 0, 39: 0}))))
    assert found == {"ltp": 3421.55, "oi": 0, "volume": 0, "last_trade_quantity": 0}


def test_prices_may_be_negative_and_a_time_before_1970_is_none() -> None:
    (found,) = fields(codec(TCS).decode(frame(quote({29: -3763, 46: -5}))))
    assert found == {"ltp": -37.63}


@pytest.mark.parametrize(
    ("segment", "exchange", "divisor"),
    [
        (1, "NSE", 100),
        (2, "BSE", 100),
        (3, "NFO", 100),
        (4, "BFO", 100),
        (5, "CDS", 10_000_000),
        (6, "BCD", 10_000),
        (8, "MCX", 100),
    ],
)
def test_every_segment_has_its_divisor_in_both_feeds(segment: int, exchange: str, divisor: int) -> None:
    session = codec(Instrument(symbol="X", exchange=exchange, token="7"), kind="L5")
    raw = 886_525_000
    decoded = session.decode(
        frame(quote({29: raw}, segment, 7), book([(raw, 1, 1)], [(raw, 2, 2)], segment=segment, token=7))
    )
    assert decoded.ticks[0].ltp == raw / divisor
    depth = decoded.ticks[1].depth
    assert depth is not None
    assert {level.price for level in [*depth.buy, *depth.sell]} == {raw / divisor}


def test_the_scale_is_known_even_where_the_segment_comes_last() -> None:
    (found,) = fields(codec(USDINR).decode(frame(packet(10, [(29, 886_525_000), (27, 1482), (26, 5)]))))
    assert found == {"ltp": 88.6525}


def test_two_instruments_that_share_a_token_never_mix() -> None:
    session = codec(TCS, SILVER)
    decoded = session.decode(frame(quote({29: 100}), quote({29: 200}, 8), quote({40: 5}), quote({29: 300}, 2)))
    assert [(tick.instrument, tick.ltp, tick.volume) for tick in decoded.ticks] == [
        (TCS, 1.0, None),
        (SILVER, 2.0, None),
        (TCS, 1.0, 5),
    ]
    assert decoded.unrouted == 1


def test_what_is_no_longer_wanted_is_forgotten() -> None:
    session = codec(TCS, SILVER)
    session.decode(frame(quote({29: 100, 40: 5}), quote({29: 200}, 8)))
    session.unsubscribe([TCS], "L1")
    assert session.decode(frame(quote({29: 100}))).ticks == []
    session.subscribe([TCS], "L1")
    assert fields(session.decode(frame(quote({40: 6}), quote({40: 1}, 8)))) == [
        {"volume": 6},
        {"ltp": 2.0, "volume": 1},
    ]


def test_a_fresh_connection_knows_nothing() -> None:
    adapter = BROKER.adapter()
    for _ in range(2):
        session = adapter.codec("main")
        session.subscribe([TCS], "L1")
        assert fields(session.decode(frame(quote({40: 6})))) == [{"volume": 6}]
        session.decode(frame(quote({29: 100})))


def test_ignored_fields_are_stepped_over() -> None:
    ignored = {28: 2, 34: 1, 35: 1, 37: 9, 38: 9, 41: float("nan"), 45: 1, 49: 9, 50: 9, 51: 9, 52: 9, 53: 9, 54: 9}
    ignored |= {55: 5, 56: 5, 58: 9, 59: 9, 60: 9, 70: 9, 71: 9, 74: 9}
    assert fields(codec(TCS).decode(frame(quote({**ignored, 29: 100})))) == [{"ltp": 1.0}]


# -- L5: the book --------------------------------------------------------------------------------------------


def test_a_book_comes_with_everything_that_is_known_and_replaces_the_one_before() -> None:
    session = codec(FUTURE, kind="L5")
    decoded = session.decode(
        frame(
            quote({29: 2614500, 46: 1795409130}, 3, 44498),
            book([(2614450, 150, 2), (2614400, 600, 5)], [(2614500, 75, 1), (2614550, 300, 2)], _47=10, _48=20),
            book([(2614450, 75, 1)], [(0, 0, 0)]),
            quote({29: 2614550}, 3, 44498),
        )
    )
    known = {"ltp": 26145.0, "ltt": 1795409130000}
    totals = {"total_buy_quantity": 10, "total_sell_quantity": 20}
    first = {
        "buy": [
            {"price": 26144.5, "quantity": 150, "orders": 2},
            {"price": 26144.0, "quantity": 600, "orders": 5},
        ],
        "sell": [
            {"price": 26145.0, "quantity": 75, "orders": 1},
            {"price": 26145.5, "quantity": 300, "orders": 2},
        ],
    }
    second = {"buy": [{"price": 26144.5, "quantity": 75, "orders": 1}], "sell": []}
    assert fields(decoded) == [
        known,
        {**known, **totals, "depth": first},
        {**known, **totals, "depth": second},
        {**known, **totals, "ltp": 26145.5},
    ]
    assert [tick.mode for tick in decoded.ticks] == [Mode.QUOTE, Mode.DEPTH, Mode.DEPTH, Mode.QUOTE]


def test_an_empty_book_is_one() -> None:
    assert fields(codec(FUTURE, kind="L5").decode(frame(book([], [])))) == [{"depth": {"buy": [], "sell": []}}]


def test_the_three_fields_of_a_level_come_in_any_order() -> None:
    text = packet(11, [(27, 44498), (26, 3), (55, 1), (51, 2), (49, 100), (50, 75), (54, 1), (53, 5), (52, 200)])
    assert fields(codec(FUTURE, kind="L5").decode(frame(text))) == [
        {
            "depth": {
                "buy": [{"price": 1.0, "quantity": 75, "orders": 2}],
                "sell": [{"price": 2.0, "quantity": 5, "orders": 1}],
            }
        }
    ]


def test_totals_without_a_number_of_levels_say_nothing_of_the_book() -> None:
    text = packet(11, [(26, 3), (27, 44498), (47, 5)])
    assert fields(codec(FUTURE, kind="L5").decode(frame(text))) == [{"total_buy_quantity": 5}]


@pytest.mark.parametrize("count", [0, 1])
def test_other_fields_may_follow_the_levels(count: int) -> None:
    levels = [*BID, *ASK] if count else []
    text = packet(11, [(48, 6), (55, count), *levels, (47, 5), (26, 5), (28, 4), (27, 1482)])
    (found,) = fields(codec(USDINR, kind="L5").decode(frame(text)))
    assert (found["total_buy_quantity"], found["total_sell_quantity"]) == (5, 6)
    buy = [{"price": 0.00001, "quantity": 1, "orders": 1}] if count else []
    sell = [{"price": 0.00002, "quantity": 1, "orders": 1}] if count else []
    assert found["depth"] == {"buy": buy, "sell": sell}


def test_the_totals_of_a_book_that_comes_late_are_not_kept() -> None:
    session = codec(FUTURE, kind="L5")
    session.change([FUTURE], "L5", "L1")
    (late,) = fields(session.decode(frame(book([], [], _47=5))))
    assert late["total_buy_quantity"] == 5
    assert fields(session.decode(frame(quote({29: 100}, 3, 44498)))) == [{"ltp": 1.0}]


def test_totals_are_forgotten_with_the_book() -> None:
    session = codec(FUTURE, kind="L5")
    session.decode(frame(quote({29: 100}, 3, 44498), book([], [], _47=5, _48=6)))
    session.change([FUTURE], "L5", "L1")
    assert fields(session.decode(frame(quote({40: 1}, 3, 44498)))) == [{"ltp": 1.0, "volume": 1}]


HEAD = [(26, 3), (27, 44498)]
BID, ASK = [(49, 100), (50, 1), (51, 1)], [(52, 200), (53, 1), (54, 1)]


@pytest.mark.parametrize(
    "content",
    [
        [*HEAD, *BID, (55, 1), *BID, *ASK],  # a level before their number
        [*HEAD, (55, 1), *BID, *BID, *ASK],  # more levels than their number
        [*HEAD, (55, 0), *BID],
        [*HEAD, (55, 1), *ASK, *BID],
        [*HEAD, (55, 1), *BID[:2]],
        [*HEAD, (55, 1), (49, 100), (50, 1), (54, 1)],
        [*HEAD, (55, 1), (49, 100), (49, 200), (50, 1)],
        [*HEAD, (55, 1), (55, 1), *BID[1:]],
        [*HEAD, (55, 1), *BID, (47, 1), (48, 1), (28, 1)],
        [*HEAD, (47, 1), (55, 1), *BID, *ASK, (47, 1)],
        [*HEAD, (55, 1), *BID, *ASK, (55, 1)],
        [*HEAD, (55, 1), *BID, (47, 1), *ASK],
        [*HEAD, (26, 1), (55, 0)],
        [(26, 3), (55, 0)],
        [(27, 44498), (55, 0)],
        [(26, 11), (27, 44498), (55, 0)],
        [(26, 0), (27, 44498), (55, 0)],
    ],
)
def test_a_book_that_contradicts_itself_is_dropped_alone(content: list[tuple[int, float]]) -> None:
    session = codec(FUTURE, kind="L5")
    decoded = session.decode(frame(packet(11, content), quote({29: 100}, 3, 44498)))
    assert (fields(decoded), decoded.event) == ([{"ltp": 1.0}], Event.MALFORMED)


# -- damaged packets and frames ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "event", "unknown"),
    [
        (packet(10, [(26, 1), (27, 11536), (29, 999)], tail=b"\x63\x01"), None, 1),  # no such field
        (packet(10, [(26, 1), (27, 11536), (29, 999), (47, 5)]), None, 1),  # a field of L5
        (packet(11, [(26, 1), (27, 11536), (29, 999)]), None, 1),  # a field of L1
        (packet(10, [(26, 1), (27, 11536), (29, 999)], tail=b"\x1e\x01\x02"), Event.MALFORMED, 0),
        (packet(10, [(26, 1), (27, 11536), (29, 999), (29, 998)]), Event.MALFORMED, 0),
        (packet(10, [(26, 1), (26, 2), (27, 11536), (29, 999)]), Event.MALFORMED, 0),
        (packet(10, [(27, 11536), (29, 999)]), Event.MALFORMED, 0),
        (packet(10, [(26, 1), (29, 999)]), Event.MALFORMED, 0),
        (packet(10, [(26, 77), (27, 11536), (29, 999)]), Event.MALFORMED, 0),
        (packet(10), Event.MALFORMED, 0),
        (packet(99, [(26, 1), (27, 11536), (29, 999)]), None, 1),
        (packet(12, [(26, 1), (27, 11536), (30, 999)]), None, 0),
        (packet(17, tail=b"anything"), None, 0),
        (packet(18, tail=b"anything"), None, 0),
    ],
)
def test_a_bad_packet_changes_nothing_and_loses_nothing_else(bad: bytes, event: Event | None, unknown: int) -> None:
    session = codec(TCS)
    session.decode(frame(quote({29: 100, 30: 200})))
    decoded = session.decode(frame(bad, quote({40: 5})))
    assert fields(decoded) == [{"ltp": 1.0, "open": 2.0, "volume": 5}]
    assert (decoded.event, decoded.unknown) == (event, unknown)


@pytest.mark.parametrize(
    "tail", [b"\x00\x00\x0a", b"\x01\x00\x0a", b"\x02\x00\x0a", b"\xff\xff\x0a", b"\x09", b"\x03\x00"]
)
def test_what_is_no_packet_ends_the_frame_and_keeps_the_ticks_before_it(tail: bytes) -> None:
    decoded = codec(TCS).decode(frame(quote({29: 100}), tail + quote({29: 200})[:1]))
    assert (fields(decoded), decoded.event) == ([{"ltp": 1.0}], Event.MALFORMED)


@pytest.mark.parametrize(
    ("content", "event"),
    [
        (b"", Event.MALFORMED),
        (b"\x00" * 5, Event.MALFORMED),
        (frame(quote({29: 1}), version=2), Event.ERROR),
        (frame(quote({29: 1}), version=0), Event.ERROR),
        (frame(quote({29: 1}))[:5] + b"\x01" + quote({29: 1}), Event.MALFORMED),
        (frame()[:5] + b"\x64" + b"no zlib", Event.MALFORMED),
        (frame(quote({29: 1}), compressed=True)[:-3], Event.MALFORMED),
        (frame(quote({29: 1}), compressed=True)[:-1] + b"\x00", Event.MALFORMED),  # its checksum is wrong
        (frame(), None),
        (frame(compressed=True), None),
        ("Unauthorized", Event.ERROR),
        ("", Event.ERROR),
    ],
)
def test_a_frame_that_cannot_be_read_says_nothing(content: bytes | str, event: Event | None) -> None:
    decoded = codec(TCS).decode(content)
    assert (decoded.ticks, decoded.event) == ([], event)


def test_the_length_in_the_header_is_not_relied_on() -> None:
    text = struct.pack("<i", -7) + frame(quote({29: 100}))[4:]
    assert fields(codec(TCS).decode(text)) == [{"ltp": 1.0}]


def test_a_compression_bomb_is_refused_without_being_unpacked() -> None:
    bomb = struct.pack("<iBB", 0, 1, 100) + zlib.compress(bytes(MOST_BYTES * 8), 9)
    decoded = codec(TCS).decode(bomb)
    assert (decoded.ticks, decoded.event) == ([], Event.MALFORMED)


def test_a_frame_of_countless_packets_is_read_to_a_bound() -> None:
    session = codec(TCS)
    assert len(session.decode(frame(*[quote({29: 100})] * 7000, compressed=True)).ticks) == 7000
    decoded = session.decode(frame(*[packet(99)] * 100_000))
    assert (decoded.event, decoded.unknown) == (Event.MALFORMED, 20_000)


# -- about the session ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packets", "event"),
    [
        ([packet(13, [(25, 1)])], Event.ACK),
        ([packet(13, [(25, 0)])], Event.AUTH_ERROR),
        ([packet(13, [(25, 2)])], Event.AUTH_ERROR),
        ([packet(13)], Event.MALFORMED),
        ([packet(16, [(62, 1)])], Event.HEARTBEAT),
        ([packet(16)], Event.MALFORMED),
        ([packet(14, [(56, 2), (26, 1), (57, 2), (26, 3), (57, 1)])], Event.MARKET_STATUS),
        ([packet(14, [(56, 1), (26, 1)], tail=b"\x39")], Event.MALFORMED),
        ([packet(15, [(56, 4)], tail=b"\x3d{}\x00\x00")], Event.ORDER),
        ([packet(15, [(56, 4)], tail=b"\x3d{}")], Event.MALFORMED),
        ([packet(15, [(56, 4)])], Event.MALFORMED),
        ([packet(15, tail=b"\x3d{}\x00\x00")], Event.MALFORMED),
        ([packet(15, tail=b"\x38\x01")], Event.MALFORMED),
        ([packet(16, [(62, 1)]), packet(13, [(25, 0)]), packet(13, [(25, 1)])], Event.AUTH_ERROR),
        ([packet(16, [(62, 1)]), packet(13, [(25, 1)])], Event.ACK),
        ([packet(13, [(25, 0)]), b"\x00\x00\x00"], Event.AUTH_ERROR),
    ],
)
def test_notices_are_told_apart_and_the_most_severe_counts(packets: list[bytes], event: Event) -> None:
    decoded = codec(TCS).decode(frame(*packets))
    assert (decoded.event, decoded.ticks) == (event, [])


@pytest.mark.parametrize(
    "bad", [packet(13, tail=b"\x07\x00"), packet(15, tail=b"\x07\x00"), packet(16, tail=b"\x07")]
)
def test_a_notice_with_an_unknown_field_is_counted_and_stops_nothing(bad: bytes) -> None:
    decoded = codec(TCS).decode(frame(bad))
    assert (decoded.event, decoded.unknown) == (None, 1)


def test_a_text_is_passed_on_without_the_token() -> None:
    session = codec()
    assert session.open_frames(Credentials({"api_key": "key", "access_token": "s3cret"})) == []
    decoded = session.decode("bad token key:s3cret" + "x" * 1000)
    assert "s3cret" not in decoded.message
    assert decoded.message.startswith("bad token key:…xx")
    assert len(decoded.message) == 200


def test_the_ping_is_one_line() -> None:
    (ping,) = codec().heartbeat_frames()
    assert ping == '{"type":"PING"}\n'


def settings_of(name: str) -> Any:
    return getattr(BROKER.adapter().channels["main"], name)


def test_limits_are_those_that_are_published() -> None:
    assert (settings_of("symbol_limit"), settings_of("connection_limit")) == (3000, 5)
    assert settings_of("batch") >= settings_of("symbol_limit"), "lists are sent whole"
