"""FYERS' depth feed beyond the shared vectors: differences, several feeds, refusals, and hostile bytes."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.vector_cases import load
from tickmux.broker.fyers.streaming.tbt_codec import TbtCodec
from tickmux.codec import Decoded, Event
from tickmux.instrument import Instrument
from tickmux.simulator.fyers import wire as wire
from tickmux.tick import tick_fields

VECTORS = load("fyers")
ROWS = [Instrument(**row) for row in VECTORS["instruments"]]
SBIN, FUTURE = ROWS[0], ROWS[4]
CARRIED = [row for row in ROWS if row.exchange in ("NSE", "NFO")]


def codec_of(*instruments: Instrument) -> TbtCodec:
    codec = TbtCodec()
    codec.subscribe(instruments, "depth50")
    return codec


def level(number: int | None, price: int | None = None, size: int | None = None, orders: int | None = None) -> bytes:
    if number is None:
        return wire.level_message(0, price, size, orders)[:-2]  # the empty wrapper of level 0 is two bytes
    return wire.level_message(number, price, size, orders)


def feed(
    instrument: Instrument,
    bids: list[bytes] | None = None,
    asks: list[bytes] | None = None,
    *,
    totals: tuple[int | None, int | None] = (None, None),
    seconds: int = 1754453723,
) -> tuple[str, bytes]:
    depth = wire.depth_message((bids or [], asks or []), *totals)
    return instrument.token, wire.feed_message(
        depth, seconds, instrument.token, 1, instrument.brsymbol, snapshot=False
    )


def said(decoded: Decoded) -> list[tuple[str, dict[str, Any]]]:
    return [(tick.instrument.symbol, tick_fields(tick)) for tick in decoded.ticks]


def book(decoded: Decoded) -> Any:
    (tick,) = decoded.ticks
    return tick_fields(tick)["depth"]


@pytest.mark.parametrize("row", [row for row in ROWS if row not in CARRIED], ids=lambda row: row.symbol)
def test_other_exchanges_and_indices_have_no_deep_book(row: Instrument) -> None:
    with pytest.raises(ValueError, match="NSE and NFO only"):
        TbtCodec().wire_key(row)


def test_the_channel_is_resumed_once() -> None:
    codec = TbtCodec()
    assert len(codec.subscribe([SBIN], "depth50")) == 2
    (only,) = codec.subscribe([FUTURE], "depth50")
    assert isinstance(only, str)
    assert msgspec.json.decode(only)["data"]["symbols"] == ["NSE:NIFTY25AUGFUT"]


def test_levels_are_addressed_by_number_and_shown_in_order() -> None:
    decoded = codec_of(SBIN).decode(
        wire.socket_message(
            [feed(SBIN, [level(3, 300, 3, 3), level(0, 500, 5), level(49, 100, 1, 0)])], snapshot=True
        )
    )
    assert book(decoded) == {
        "buy": [
            {"price": 5.0, "quantity": 5},
            {"price": 3.0, "quantity": 3, "orders": 3},
            {"price": 1.0, "quantity": 1, "orders": 0},
        ],
        "sell": [],
    }


def test_a_level_without_number_or_beyond_the_book_is_skipped() -> None:
    decoded = codec_of(SBIN).decode(
        wire.socket_message(
            [feed(SBIN, [level(None, 300, 3, 3), level(50, 1, 1, 1), level(2**32 - 1, 1, 1, 1)])], snapshot=True
        )
    )
    assert book(decoded) == {"buy": [], "sell": []}


def test_what_is_absent_stays_and_a_present_zero_clears() -> None:
    codec = codec_of(SBIN)
    first = feed(SBIN, [level(0, 500, 5, 2), level(1, 400, 4, 1)], [level(0, 510, 6, 3)], totals=(9, 6))
    codec.decode(wire.socket_message([first], snapshot=True))
    decoded = codec.decode(
        wire.socket_message(
            [feed(SBIN, [level(0, size=7), level(1, 0, 0, 0)], [level(0, orders=0)], totals=(None, 0))],
            snapshot=False,
        )
    )
    assert said(decoded) == [
        (
            "SBIN",
            {
                "timestamp": 1754453723000,
                "total_buy_quantity": 9,
                "total_sell_quantity": 0,
                "depth": {
                    "buy": [{"price": 5.0, "quantity": 7, "orders": 2}],
                    "sell": [{"price": 5.1, "quantity": 6, "orders": 0}],
                },
            },
        )
    ]


def test_a_second_snapshot_clears_the_book_and_a_difference_does_not() -> None:
    codec = codec_of(SBIN)
    codec.decode(wire.socket_message([feed(SBIN, [level(0, 500, 5, 2)], totals=(9, 6))], snapshot=True))
    kept = codec.decode(wire.socket_message([feed(SBIN, [level(1, 400, 4, 1)])], snapshot=False))
    assert [each["price"] for each in book(kept)["buy"]] == [5.0, 4.0]
    cleared = codec.decode(wire.socket_message([feed(SBIN, [level(2, 300, 4, 1)])], snapshot=True))
    assert [each["price"] for each in book(cleared)["buy"]] == [3.0]
    assert cleared.ticks[0].total_buy_quantity is None


def test_books_of_one_message_do_not_mix() -> None:
    codec = codec_of(SBIN, FUTURE)
    message = wire.socket_message(
        [
            feed(FUTURE, [level(0, 2471240, 75, 1)]),
            feed(Instrument("X", "NSE", "101000000099", brsymbol="NSE:X-EQ"), [level(0, 1, 1, 1)]),
            feed(SBIN, [level(0, 81230, 520, 7)]),
        ],
        snapshot=True,
    )
    decoded = codec.decode(message)
    assert [(symbol, fields["depth"]["buy"][0]["price"]) for symbol, fields in said(decoded)] == [
        ("NIFTY28AUG25FUT", 24712.4),
        ("SBIN", 812.3),
    ]
    assert decoded.unrouted == 1


def test_ticks_of_earlier_messages_do_not_change() -> None:
    codec = codec_of(SBIN)
    (first,) = codec.decode(wire.socket_message([feed(SBIN, [level(0, 500, 5, 2)])], snapshot=True)).ticks
    before = tick_fields(first)
    codec.decode(wire.socket_message([feed(SBIN, [level(0, 600, 6, 3)])], snapshot=False))
    assert tick_fields(first) == before


def test_a_new_subscription_starts_with_an_empty_book() -> None:
    codec = codec_of(SBIN)
    codec.decode(wire.socket_message([feed(SBIN, [level(0, 500, 5, 2)])], snapshot=True))
    codec.unsubscribe([SBIN], "depth50")
    gone = codec.decode(wire.socket_message([feed(SBIN, [level(1, 400, 4, 1)])], snapshot=False))
    assert (gone.ticks, gone.unrouted) == ([], 1)
    codec.subscribe([SBIN], "depth50")
    fresh = codec.decode(wire.socket_message([feed(SBIN, [level(1, 400, 4, 1)])], snapshot=False))
    assert [each["price"] for each in book(fresh)["buy"]] == [4.0]


@pytest.mark.parametrize(
    ("raw", "milliseconds"),
    [
        (0, None),
        (1754453723, 1754453723000),
        (10**11, 10**14),
        (1754453723123, 1754453723123),
        (1754453723123456, 1754453723123),
    ],
)
def test_the_size_of_the_time_tells_its_unit(raw: int, milliseconds: int | None) -> None:
    decoded = codec_of(SBIN).decode(wire.socket_message([feed(SBIN, seconds=raw)], snapshot=True))
    assert decoded.ticks[0].timestamp == milliseconds


def test_a_message_without_feeds_is_an_acknowledgement_or_a_heartbeat() -> None:
    codec = TbtCodec()
    assert codec.decode(b"\x08\x08\x22\x02ok").event is Event.ACK
    assert codec.decode(b"\x08\x06").event is Event.ACK
    assert codec.decode(b"").event is Event.HEARTBEAT
    assert codec.decode("pong").event is Event.HEARTBEAT
    assert codec.decode('{"s":"ok"}').event is Event.ACK
    assert codec.decode("subscribed").event is Event.ACK


def test_a_feed_without_depth_is_no_tick() -> None:
    entry = b"\x0a\x01k" + b"\x12\x0d" + b"\x5a\x0b" + SBIN.brsymbol.encode()
    decoded = codec_of(SBIN).decode(b"\x08\x01\x12" + bytes((len(entry),)) + entry)
    assert (decoded.ticks, decoded.event, decoded.unrouted) == ([], None, 0)


@pytest.mark.parametrize("words", [wire.error_message("invalid symbol"), '{"error":true,"msg":"invalid symbol"}'])
def test_an_error_refuses_the_latest_request_as_far_as_it_has_no_book(words: bytes | str) -> None:
    codec = codec_of(SBIN)
    codec.subscribe(CARRIED[1:], "depth50")
    codec.decode(wire.socket_message([feed(CARRIED[1], [level(0, 1, 1, 1)])], snapshot=True))
    decoded = codec.decode(words)
    assert (decoded.event, decoded.message) == (Event.ERROR, "invalid symbol")
    assert decoded.refused == CARRIED[2:]


FRAMES = [
    bytes.fromhex(each["hex"])
    for item in VECTORS["incoming"]
    if item["feed"] == "tbt"
    for each in item["frames"]
    if "hex" in each
]


def test_a_cut_message_shows_nothing_of_what_is_missing() -> None:
    data = next(each for each in FRAMES if len(each) < 400 and codec_of(*CARRIED).decode(each).ticks)
    whole = said(codec_of(*CARRIED).decode(data))
    for size in range(len(data)):
        decoded = codec_of(*CARRIED).decode(data[:size])
        assert decoded.event is Event.MALFORMED or said(decoded) == whole[: len(decoded.ticks)]


@given(st.binary(max_size=400) | st.text(max_size=60))
@settings(max_examples=200)
def test_anything_is_survived(data: bytes | str) -> None:
    codec = codec_of(*CARRIED)
    codec.decode(FRAMES[0])
    decoded = codec.decode(data)
    assert all(tick.instrument in CARRIED for tick in decoded.ticks)


@given(st.data())
@settings(max_examples=100)
def test_damaged_messages_are_survived(draws: st.DataObject) -> None:
    damaged = bytearray(draws.draw(st.sampled_from(FRAMES)))
    for _ in range(draws.draw(st.integers(1, 4))):
        damaged[draws.draw(st.integers(0, len(damaged) - 1))] = draws.draw(st.integers(0, 255))
    codec = codec_of(*CARRIED)
    codec.decode(FRAMES[0])
    for tick in codec.decode(bytes(damaged)).ticks:
        assert tick.depth is not None
        assert len(tick.depth.buy) <= 50
        assert len(tick.depth.sell) <= 50
        assert len(msgspec.json.encode(tick_fields(tick)))
