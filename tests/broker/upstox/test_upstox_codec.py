"""Upstox's codec beyond the shared vectors: routing, merging, rules for zeros, replies, hostile frames."""

import json
from collections.abc import Sequence
from math import inf, nan
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker.upstox.upstox_wire import (
    NIFTY_KEY,
    NOW,
    OPTION_KEY,
    SBIN_KEY,
    candle,
    double,
    entry,
    index,
    initial,
    integer,
    levels,
    live,
    ltpc,
    market,
    message,
    text,
    varint,
)
from tickmux.broker.upstox.streaming.upstox_mapping import Account, UpstoxCodec
from tickmux.codec import BinaryText, Decoded, Event, Frame
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick, tick_fields

SBIN = Instrument(symbol="SBIN", exchange="NSE", token=SBIN_KEY, brexchange="NSE_EQ")
NIFTY = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token=NIFTY_KEY, brexchange="NSE_INDEX")
OPTION = Instrument(symbol="NIFTY28AUG2525000CE", exchange="NFO", token=OPTION_KEY, brexchange="NSE_FO")
BOOK = levels((812.3, 100, 812.4, 50), (812.25, 200, 812.45, 60))


def codec(*instruments: Instrument, kind: str = "full") -> UpstoxCodec:
    made = UpstoxCodec(Account(stated=True))
    made.subscribe(instruments or (SBIN, NIFTY, OPTION), kind)
    return made


def only(decoded: Decoded) -> Tick:
    (tick,) = decoded.ticks
    return tick


def fields(decoded: Decoded) -> dict[str, Any]:
    found = tick_fields(only(decoded))
    found.pop("timestamp", None)
    return found


def requests(frames: Sequence[Frame]) -> list[dict[str, Any]]:
    assert all(isinstance(frame, BinaryText) for frame in frames)
    return [json.loads(frame) for frame in frames if isinstance(frame, bytes)]


# -- routing ---------------------------------------------------------------------------------------------


def test_two_exchanges_that_share_a_number_never_mix() -> None:
    nse = Instrument(symbol="A", exchange="NFO", token="NSE_FO|47667")
    bse = Instrument(symbol="B", exchange="BFO", token="BSE_FO|47667")
    frame = live("BSE_FO|47667", message(1, ltpc(99.5)))
    assert only(codec(nse, bse).decode(frame)).instrument == bse
    decoded = codec(nse).decode(frame)
    assert (decoded.ticks, decoded.unrouted) == ([], 1)


def test_two_names_of_one_key_get_no_price_until_one_is_left() -> None:
    other = Instrument(symbol="SBIN-OLD", exchange="NSE", token=SBIN_KEY)
    subject = codec(SBIN, other)
    frame = live(SBIN_KEY, message(1, ltpc(812.35)))
    assert subject.decode(frame).ticks == []
    subject.unsubscribe([other], "full")
    assert only(subject.decode(frame)).instrument == SBIN


@pytest.mark.parametrize("token", ["3045", "NSE_EQ|", "|INE062A01020", ""])
def test_what_is_no_instrument_key_cannot_be_subscribed(token: str) -> None:
    with pytest.raises(ValueError, match="no instrument key"):
        UpstoxCodec().wire_key(Instrument(symbol="X", exchange="NSE", token=token))


def test_a_key_is_matched_letter_for_letter() -> None:
    assert codec().decode(live("NSE_INDEX|NIFTY 50", message(1, ltpc(1.0)))).unrouted == 1


def test_ticks_come_in_the_order_of_the_wire() -> None:
    keys = [OPTION_KEY, SBIN_KEY, NIFTY_KEY]
    frame = b"".join(entry(key, message(1, ltpc(5.0))) for key in keys)
    assert [tick.instrument.token for tick in codec().decode(frame).ticks] == keys


# -- state and merging (section 5.5) -----------------------------------------------------------------------


def test_missing_parts_and_zeros_keep_what_was_known() -> None:
    subject = codec()
    whole = market(
        message(1, ltpc(812.35, 5, 12, 805.75)),
        message(2, BOOK),
        message(4, candle("1d", 810.0, 815.0, 808.0, 812.35)),
        double(5, 811.5), integer(6, 1000), double(9, 300.0), double(10, 400.0),
    )  # fmt: skip
    first = fields(subject.decode(initial(SBIN_KEY, whole)))
    assert first == {
        "ltp": 812.35, "ltt": 5, "last_trade_quantity": 12, "close": 805.75, "open": 810.0, "high": 815.0,
        "low": 808.0, "avg_trade_price": 811.5, "volume": 1000, "total_buy_quantity": 300,
        "total_sell_quantity": 400,
        "depth": {
            "buy": [{"price": 812.3, "quantity": 100}, {"price": 812.25, "quantity": 200}],
            "sell": [{"price": 812.4, "quantity": 50}, {"price": 812.45, "quantity": 60}],
        },
    }  # fmt: skip
    zeros = market(message(1, ltpc()), message(4, candle("1d", 0.0, 0.0, 0.0, 0.0)), double(5, 0.0), integer(6, 0))
    assert fields(subject.decode(live(SBIN_KEY, zeros))) == first
    assert fields(subject.decode(live(SBIN_KEY, market()))) == first
    assert fields(subject.decode(live(SBIN_KEY, market(integer(6, 1001))))) == first | {"volume": 1001}


def test_an_initial_feed_forgets_what_was_known_of_its_instruments_alone() -> None:
    subject = codec()
    for key in (SBIN_KEY, OPTION_KEY):
        subject.decode(live(key, message(1, ltpc(812.35, cp=805.75))))
    assert fields(subject.decode(initial(SBIN_KEY, message(1, ltpc(813.0))))) == {"ltp": 813.0}
    assert fields(subject.decode(live(OPTION_KEY, message(1, ltpc(9.0))))) == {"ltp": 9.0, "close": 805.75}


def test_a_new_subscription_and_another_mode_begin_with_nothing() -> None:
    subject = codec(SBIN)
    whole = live(SBIN_KEY, market(message(1, ltpc(812.35)), message(2, BOOK)))
    subject.decode(whole)
    subject.unsubscribe([SBIN], "full")
    assert subject.decode(whole).unrouted == 1
    subject.subscribe([SBIN], "full")
    assert fields(subject.decode(live(SBIN_KEY, market(integer(6, 7))))) == {"volume": 7}
    subject.decode(whole)
    subject.change([SBIN], "full", "full_d30")
    assert fields(subject.decode(live(SBIN_KEY, market(integer(6, 8))))) == {"volume": 8}


def test_a_book_replaces_the_whole_book_and_loses_levels_that_are_not_there() -> None:
    subject = codec(SBIN)
    subject.decode(live(SBIN_KEY, market(message(2, BOOK))))
    broken = levels((812.0, 10, 812.5, 0), (0.0, 20, 812.6, 30), (811.9, -5, nan, 30), (inf, 5, -0.01, 5))
    assert fields(subject.decode(live(SBIN_KEY, market(message(2, broken)))))["depth"] == {
        "buy": [{"price": 812.0, "quantity": 10}],
        "sell": [{"price": 812.6, "quantity": 30}],
    }


def test_a_book_never_has_more_than_thirty_levels() -> None:
    deep = levels(*[(800.0 - n, 1 + n, 801.0 + n, 1 + n) for n in range(50)])
    depth = only(codec(SBIN).decode(live(SBIN_KEY, market(message(2, deep))))).depth
    assert depth is not None
    assert [level.quantity for level in depth.buy] == [level.quantity for level in depth.sell] == [*range(1, 31)]


def test_the_total_of_an_empty_side_is_zero() -> None:
    subject = codec(SBIN)
    totals = double(9, 300.0) + double(10, 400.0)
    subject.decode(live(SBIN_KEY, market(message(2, BOOK), totals)))
    at_the_circuit = levels((890.0, 5000, 0.0, 0))
    found = fields(subject.decode(live(SBIN_KEY, market(message(2, at_the_circuit), double(9, 5000.0)))))
    assert (found["total_buy_quantity"], found["total_sell_quantity"]) == (5000, 0)
    subject.decode(live(SBIN_KEY, market(message(2, BOOK), totals)))
    kept = fields(subject.decode(live(SBIN_KEY, market(message(2, at_the_circuit)))))
    assert (kept["total_buy_quantity"], kept["total_sell_quantity"]) == (300, 0)
    without_book = fields(subject.decode(live(SBIN_KEY, market())))
    assert (without_book["total_buy_quantity"], without_book["total_sell_quantity"]) == (300, 0)


def test_the_total_of_an_empty_side_that_was_sent_all_the_same_counts() -> None:
    found = fields(codec(SBIN).decode(live(SBIN_KEY, market(message(2, b""), double(9, 7.0)))))
    assert found == {"depth": {"buy": [], "sell": []}, "total_buy_quantity": 7, "total_sell_quantity": 0}


def test_only_the_days_candle_is_read_and_its_close_is_not_the_previous_close() -> None:
    candles = candle("I1", 1.0, 2.0, 0.5, 1.5) + candle("1d", 810.0, 815.0, 808.0, 812.0, 99)
    found = fields(codec(SBIN).decode(live(SBIN_KEY, market(message(4, candles)))))
    assert found == {"open": 810.0, "high": 815.0, "low": 808.0}
    assert fields(codec(SBIN).decode(live(SBIN_KEY, market(message(4, candle("I1", 1.0, 2.0, 0.5, 1.5)))))) == {}


def test_a_flood_of_candles_is_not_searched() -> None:
    flood = candle("I1", 1.0, 2.0, 0.5, 1.5) * 100 + candle("1d", 810.0, 815.0, 808.0, 812.0)
    assert fields(codec(SBIN).decode(live(SBIN_KEY, market(message(4, flood))))) == {}


@pytest.mark.parametrize(
    ("exchange", "known"),
    [("NSE", False), ("BSE", False), ("NFO", True), ("BFO", True), ("CDS", True), ("BCD", True), ("MCX", True)],
)
def test_open_interest_belongs_to_derivatives(exchange: str, known: bool) -> None:
    subject = Instrument(symbol="X", exchange=exchange, token="SEGMENT|1")
    for feed in (market(double(7, 500.0)), message(3, message(1, ltpc(1.0)), double(5, 500.0))):
        assert only(codec(subject).decode(live(subject.token, feed))).oi == (500 if known else None)


# -- which entries become ticks ----------------------------------------------------------------------------


def test_an_ltp_tick_needs_a_price() -> None:
    subject = codec(SBIN)
    assert subject.decode(live(SBIN_KEY, message(1, ltpc(0.0, 5, 12, 805.75)))).ticks == []
    assert fields(subject.decode(live(SBIN_KEY, message(1, ltpc(812.0))))) == {
        "ltp": 812.0, "ltt": 5, "last_trade_quantity": 12, "close": 805.75,
    }  # fmt: skip


def test_a_quote_tick_needs_a_price_an_opening_or_a_volume() -> None:
    close_only = message(1, ltpc(cp=24_891.35))
    assert codec(NIFTY).decode(live(NIFTY_KEY, index(close_only))).ticks == []
    assert codec(OPTION).decode(live(OPTION_KEY, message(3, close_only, double(5, 7.0)))).ticks == []
    opened = codec(NIFTY).decode(live(NIFTY_KEY, index(close_only, message(2, candle("1d", 1.0, 3.0, 0.5, 2.0)))))
    assert only(opened).mode == Mode.QUOTE
    assert fields(opened) == {"close": 24_891.35, "open": 1.0, "high": 3.0, "low": 0.5}
    traded = codec(OPTION).decode(live(OPTION_KEY, message(3, integer(4, 75))))
    assert (only(traded).mode, fields(traded)) == (Mode.QUOTE, {"volume": 75})


def test_a_contract_without_a_trade_has_a_book_all_the_same() -> None:
    tick = only(codec(OPTION).decode(live(OPTION_KEY, market(message(1, ltpc(cp=118.05)), message(2, BOOK)))))
    assert (tick.mode, tick.ltp, tick.close) == (Mode.DEPTH, None, 118.05)
    assert tick.depth is not None


@pytest.mark.parametrize("feed", [b"", integer(4, 1), message(2), integer(99, 5)])
def test_an_entry_without_a_feed_is_no_tick(feed: bytes) -> None:
    decoded = codec(SBIN).decode(live(SBIN_KEY, feed))
    assert (decoded.ticks, decoded.event) == ([], None)


def test_an_empty_frame_is_an_empty_message() -> None:
    assert codec().decode(b"") == Decoded(ticks=[])


def test_market_status_is_no_tick() -> None:
    frame = integer(1, 2) + integer(3, NOW) + message(4, message(1, text(1, "NSE_EQ"), integer(2, 2)))
    assert codec().decode(frame) == Decoded(ticks=[])


def test_the_value_of_a_map_entry_may_come_before_its_key() -> None:
    frame = message(2, message(2, message(1, ltpc(5.0))), text(1, SBIN_KEY))
    assert only(codec().decode(frame)).ltp == 5.0


def test_unknown_fields_of_every_wire_type_are_skipped() -> None:
    unknown = (
        integer(100, 2**64 - 1)
        + double(101, 1.5)
        + message(102, b"anything")
        + varint(103 << 3 | 5) + b"\1\2\3\4"
        + varint(104 << 3 | 3) + integer(1, 5) + varint(104 << 3 | 4)
    )  # fmt: skip
    frame = unknown + live(SBIN_KEY, unknown + market(unknown, message(1, unknown, ltpc(5.0)), unknown)) + unknown
    assert fields(codec().decode(frame)) == {"ltp": 5.0}


def test_the_time_of_a_message_is_every_ticks_and_zero_is_none() -> None:
    frame = entry(SBIN_KEY, message(1, ltpc(5.0)))
    assert only(codec().decode(frame + integer(3, NOW))).timestamp == NOW
    assert only(codec().decode(frame)).timestamp is None


# -- hostile values and frames -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [nan, inf, -inf, -0.01, 1e300, 0.0])
def test_what_is_no_number_of_rupees_or_units_is_absent(value: float) -> None:
    feed = market(
        message(1, double(1, value), double(4, value)),
        message(4, candle("1d", value, value, value, value)),
        double(5, value), double(7, value), double(9, value), double(10, value),
    )  # fmt: skip
    assert fields(codec(OPTION).decode(live(OPTION_KEY, feed))) == {}


@pytest.mark.parametrize("value", [-1, -(2**63), 0])
def test_quantities_and_times_are_positive(value: int) -> None:
    feed = market(message(1, integer(2, value), integer(3, value)), integer(6, value))
    decoded = codec(SBIN).decode(entry(SBIN_KEY, feed) + integer(3, value))
    assert tick_fields(only(decoded)) == {}


def test_times_beyond_the_calendar_are_absent() -> None:
    decoded = codec(SBIN).decode(entry(SBIN_KEY, message(1, ltpc(5.0, 2**62))) + integer(3, 2**62))
    assert tick_fields(only(decoded)) == {"ltp": 5.0}


@pytest.mark.parametrize(
    "frame",
    [
        live(SBIN_KEY, message(1, ltpc(812.35)))[:-1],
        live(SBIN_KEY, message(1, ltpc(812.35))) + b"\x12",
        b"\xff" * 20,
        integer(1, 1) + b"\x12\xff\xff\xff\xff\x0f",
        message(2, message(1, b"\xff\xfe"), message(2, message(1, ltpc(1.0)))),
        b"\x0b" * 200_000,
        b"\x00",
        live(SBIN_KEY, message(1, ltpc(1.0))) + message(4, b"\x0a\x05ab"),
        live(SBIN_KEY, message(1, ltpc(1.0))) + b"\x12\x00" * 20_000,
        live(SBIN_KEY, message(1, ltpc(1.0))) + message(100, bytes(5_000_000)),
    ],
    ids=[
        "cut",
        "half a field",
        "no varint",
        "too long",
        "no utf-8",
        "deep groups",
        "field 0",
        "broken elsewhere",
        "too many entries",
        "too many bytes",
    ],
)
def test_a_frame_that_does_not_parse_gives_nothing(frame: bytes) -> None:
    subject = codec()
    decoded = subject.decode(frame)
    assert (decoded.ticks, decoded.event) == ([], Event.MALFORMED)
    assert only(subject.decode(live(SBIN_KEY, message(1, ltpc(5.0))))).ltp == 5.0


WHOLE = live(
    OPTION_KEY,
    market(
        message(1, ltpc(142.65, NOW, 150, 118.05)), message(2, BOOK), message(4, candle("1d", 1.0, 3.0, 0.5, 2.0))
    ),
)


@st.composite
def damaged_frames(draw: st.DrawFn) -> bytes:
    frame = bytearray(WHOLE)
    for place in draw(st.lists(st.integers(0, len(WHOLE) - 1), max_size=6)):
        frame[place] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(WHOLE)))])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | damaged_frames() | st.text(max_size=50))
@example('{"status":"failed","errors":[{"error_code":[]},3]}')
@example("[" * 100_000)
@example("\ud800")
def test_no_frame_makes_decode_raise_or_invent(frame: bytes | str) -> None:
    subject = codec()
    for _ in range(2):
        decoded = subject.decode(frame)
        for tick in decoded.ticks:
            assert tick.instrument in subject.kinds
            for value in tick_fields(tick).values():
                assert isinstance(value, dict) or 0 <= value < 2**63  # type: ignore[operator]
    assert len(subject._known) <= len(subject.kinds)


# -- requests and replies ----------------------------------------------------------------------------------


def test_requests_are_json_in_binary_frames_with_an_id_of_their_own() -> None:
    subject = UpstoxCodec()
    sent = requests(
        [
            *subject.subscribe([SBIN, NIFTY], "ltpc"),
            *subject.change([SBIN], "ltpc", "full"),
            *subject.unsubscribe([SBIN], "full"),
        ]
    )
    assert len({request.pop("guid") for request in sent}) == 3
    assert sent == [
        {"method": "sub", "data": {"mode": "ltpc", "instrumentKeys": [SBIN_KEY, NIFTY_KEY]}},
        {"method": "change_mode", "data": {"mode": "full", "instrumentKeys": [SBIN_KEY]}},
        {"method": "unsub", "data": {"instrumentKeys": [SBIN_KEY]}},
    ]


@pytest.mark.parametrize(
    ("reply", "event", "words"),
    [
        ({"status": "failed", "method": "sub", "error": "bad key"}, Event.ERROR, "bad key"),
        ({"status": "error", "errors": [{"error_code": "UDAPI100500", "message": "oops"}]}, Event.ERROR, "oops"),
        ({"status": "error", "errors": [{"error_code": "UDAPI100050"}]}, Event.AUTH_ERROR, "UDAPI100050"),
        ({"status": "failed", "errors": [{}, {"errorCode": "UDAPI100016"}]}, Event.AUTH_ERROR, "UDAPI100016"),
        ({"status": "error", "errors": [{"error_code": "UDAPI100067"}]}, Event.AUTH_ERROR, "UDAPI100067"),
        ({"status": "error", "error_code": "UDAPI100073"}, Event.AUTH_ERROR, "UDAPI100073"),
        ({"status": "error", "errors": "x"}, Event.ERROR, "no reason given"),
        ({"status": "success"}, None, ""),
        ({"status": ["failed"]}, None, ""),
        (["failed"], None, ""),
        ("failed", None, ""),
    ],
)
def test_text_frames_are_errors_or_nothing(reply: object, event: Event | None, words: str) -> None:
    decoded = codec().decode(json.dumps(reply))
    assert (decoded.event, decoded.ticks, decoded.replies) == (event, [], [])
    assert words in decoded.message
    assert decoded.unknown == (event is None)


def test_an_error_names_the_last_request_and_no_token() -> None:
    decoded = codec(SBIN, NIFTY).decode('{"status":"failed","error":"token eyJhbGciOi.J9.x-y_z is\\n bad"}')
    assert decoded.message == f"token … is bad (last request: sub full 2 keys: {SBIN_KEY}, {NIFTY_KEY})"


# -- 30 levels and who has them ----------------------------------------------------------------------------

PLUS_ONLY = '{"status":"failed","method":"sub","error":"Plus accounts only"}'


def deep(request_mode: int) -> bytes:
    return live(SBIN_KEY, market(message(2, BOOK), request_mode=request_mode))


def asked(frames: Sequence[Frame]) -> list[tuple[str, str, list[str]]]:
    said = ((request["method"], request["data"]) for request in requests(frames))
    return [(method, data.get("mode", ""), data["instrumentKeys"]) for method, data in said]


def test_refused_thirty_levels_become_five() -> None:
    subject = codec(SBIN, kind="full_d30")
    subject.subscribe([NIFTY], "ltpc")
    subject.change([OPTION], "full", "full_d30")
    refusal = '{"status":"failed","error":"Plus accounts only"}'
    decoded = subject.decode(refusal)
    assert decoded.event == Event.ERROR
    assert asked(decoded.replies) == [("sub", "full", [SBIN_KEY]), ("change_mode", "full", [OPTION_KEY])]
    assert subject.decode(refusal).replies == []


def test_a_refusal_that_comes_after_later_requests_is_understood() -> None:
    subject = codec(SBIN, kind="full_d30")
    subject.subscribe([NIFTY], "ltpc")
    subject.unsubscribe([NIFTY], "ltpc")
    assert asked(subject.decode(PLUS_ONLY).replies) == [("sub", "full", [SBIN_KEY])]


def test_thirty_levels_that_came_are_not_given_up_for_another_refusal() -> None:
    subject = codec(SBIN, kind="full_d30")
    subject.decode(deep(3))
    assert subject.decode('{"status":"failed","method":"sub","error":"limit"}').replies == []


@pytest.mark.parametrize("unrelated", ['{"status":"failed","method":"unsub"}', '{"status":"success"}'])
def test_only_a_refusal_of_such_a_request_gives_thirty_levels_up(unrelated: str) -> None:
    assert codec(SBIN, kind="full_d30").decode(unrelated).replies == []


def test_an_account_that_was_refused_is_asked_for_five_levels_at_once_from_then_on() -> None:
    account = Account(stated=True)
    first = UpstoxCodec(account)
    first.subscribe([SBIN], "full_d30")
    assert account.has_30
    first.decode(PLUS_ONLY)
    assert not account.has_30
    assert asked(UpstoxCodec(account).subscribe([OPTION], "full_d30")) == [("sub", "full", [OPTION_KEY])]


def test_five_levels_in_place_of_thirty_tell_the_account() -> None:
    account = Account(stated=True)
    subject = UpstoxCodec(account)
    subject.subscribe([SBIN], "full_d30")
    assert len(subject.decode(deep(1)).ticks) == 1
    assert not account.has_30
    subject.decode(deep(3))
    assert account.has_30


def test_the_last_message_of_the_mode_before_says_nothing_of_the_account() -> None:
    account = Account(stated=True)
    subject = UpstoxCodec(account)
    subject.subscribe([SBIN], "full")
    subject.change([SBIN], "full", "full_d30")
    subject.decode(deep(1))
    assert account.has_30


def test_who_has_had_thirty_levels_is_refused_for_their_number() -> None:
    account = Account(stated=True)
    subject = UpstoxCodec(account)
    subject.subscribe([SBIN], "full_d30")
    subject.decode(deep(3))
    subject.subscribe([OPTION], "full_d30")
    assert asked(subject.decode('{"status":"failed","error":"limit"}').replies) == [("sub", "full", [OPTION_KEY])]
    assert account.has_30


def test_frames_that_belong_to_no_session_tell_nothing_of_an_account() -> None:
    account = Account()
    subject = UpstoxCodec(account)
    subject.subscribe([SBIN], "full_d30")
    subject.decode(deep(1))
    assert subject.decode(PLUS_ONLY).replies == []
    assert account.has_30
