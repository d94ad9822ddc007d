"""Nubra's codec beyond the shared vectors: topics by demand, names, routing, rules for zeros, hostile frames."""

import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker.nubra.nubra_wire import (
    FUTURE,
    NIFTY,
    NOW,
    NOW_NS,
    OPTION,
    SBIN,
    SENSEX,
    TWIN,
    bucket,
    field,
    frame,
    greeks,
    index,
    index_item,
    integer,
    only,
    orderbook,
    text,
    varint,
)
from tickmux.broker.nubra.streaming.nubra_mapping import NubraCodec
from tickmux.codec import Credentials, Decoded, Event
from tickmux.instrument import Instrument
from tickmux.tick import Mode, tick_fields

SESSION = Credentials({"session_token": "TOKEN"})


def codec(*instruments: Instrument, kind: str = "full") -> NubraCodec:
    made = NubraCodec(5)
    made.open_frames(SESSION)
    made.subscribe(instruments or (SBIN, TWIN, FUTURE, OPTION, NIFTY, SENSEX), kind)
    return made


def fields(decoded: Decoded) -> dict[str, Any]:
    return tick_fields(only(decoded))


# -- commands ----------------------------------------------------------------------------------------------


def test_a_call_makes_one_command_for_each_topic_and_exchange_in_the_order_of_the_call() -> None:
    subject = NubraCodec(5)
    subject.open_frames(SESSION)
    assert subject.subscribe([TWIN, NIFTY, OPTION, SBIN, SENSEX], "full") == [
        'batch_subscribe TOKEN orderbook {"instruments":[912346,1120040,70115],"indexes":[]}',
        'batch_subscribe TOKEN index {"instruments":[],"indexes":["SBIN","SENSEX"]} BSE',
        'batch_subscribe TOKEN index {"instruments":[],"indexes":["NIFTY","SBIN"]} NSE',
        'batch_subscribe TOKEN index_bucket {"instruments":[],"indexes":["SBIN","SENSEX"]} 1d BSE',
        'batch_subscribe TOKEN index_bucket {"instruments":[],"indexes":["NIFTY","SBIN"]} 1d NSE',
        'batch_subscribe TOKEN greeks {"instruments":[1120040],"indexes":[]}',
    ]


def test_a_change_sends_only_the_topics_that_begin_or_end() -> None:
    subject = codec(SBIN, FUTURE, OPTION, NIFTY, kind="ltp")
    assert subject.change([SBIN, FUTURE, OPTION, NIFTY], "ltp", "full") == [
        'batch_subscribe TOKEN index {"instruments":[],"indexes":["SBIN"]} NSE',
        'batch_subscribe TOKEN index_bucket {"instruments":[],"indexes":["SBIN","NIFTY"]} 1d NSE',
        'batch_subscribe TOKEN greeks {"instruments":[1120040],"indexes":[]}',
    ]
    assert subject.change([FUTURE], "full", "ltp") == []
    assert subject.change([SBIN, OPTION], "full", "ltp") == [
        'batch_unsubscribe TOKEN index {"instruments":[],"indexes":["SBIN"]} NSE',
        'batch_unsubscribe TOKEN index_bucket {"instruments":[],"indexes":["SBIN"]} 1d NSE',
        'batch_unsubscribe TOKEN greeks {"instruments":[1120040],"indexes":[]}',
    ]
    assert subject.unsubscribe([SBIN], "ltp") == [
        'batch_unsubscribe TOKEN orderbook {"instruments":[70115],"indexes":[]}'
    ]


def test_a_name_that_two_instruments_need_is_subscribed_until_the_last_has_gone() -> None:
    share = Instrument(symbol="NIFTY", exchange="NSE", token="5", brexchange="NSE", brsymbol="NIFTY")
    subject = codec(NIFTY, kind="ltp")
    begun = subject.subscribe([share], "full")
    assert not any(" index " in str(command) for command in begun)
    assert subject.unsubscribe([NIFTY], "ltp") == []
    ended = subject.unsubscribe([share], "full")
    assert 'batch_unsubscribe TOKEN index {"instruments":[],"indexes":["NIFTY"]} NSE' in ended


@pytest.mark.parametrize(
    ("instrument", "option"),
    [
        (OPTION, True),
        (FUTURE, False),
        (Instrument(symbol="CRUDEOIL18SEP256000PE", exchange="MCX", token="9"), True),
        (Instrument(symbol="X", exchange="BFO", token="9", instrumenttype="PE"), True),
        (Instrument(symbol="ODDNAMECE", exchange="NFO", token="9", instrumenttype="FUT"), False),
        (Instrument(symbol="CE", exchange="NSE", token="9", brsymbol="CE"), False),
    ],
)
def test_only_options_have_greeks(instrument: Instrument, option: bool) -> None:
    subject = codec(SBIN)
    assert any("greeks" in str(command) for command in subject.subscribe([instrument], "full")) is option


def test_a_share_whose_name_would_break_a_command_has_its_order_book_alone() -> None:
    odd = Instrument(symbol="A B", exchange="NSE", token="7", brsymbol="A B")
    assert codec(SBIN).subscribe([odd], "full") == [
        'batch_subscribe TOKEN orderbook {"instruments":[7],"indexes":[]}'
    ]


@pytest.mark.parametrize(
    ("given_depth", "sent"), [("", 5), ("20", 20), ("1", 1), ("0", 5), ("21", 5), ("x", 5), ("200000", 5)]
)
def test_the_depth_of_the_connection_is_set_when_it_opens(given_depth: str, sent: int) -> None:
    session = Credentials({"session_token": "TOKEN", "depth_level": given_depth})
    assert NubraCodec(5).open_frames(session) == [f"batch_subscribe TOKEN orderbook_depth {sent}"]
    assert NubraCodec(20).open_frames(SESSION) == ["batch_subscribe TOKEN orderbook_depth 20"]


@pytest.mark.parametrize("exchange", ["CDS", "BCD", "NCO", "NCDEX", "MCX_INDEX", "", "XYZ"])
def test_an_exchange_that_is_not_served_is_refused_and_never_taken_for_another(exchange: str) -> None:
    with pytest.raises(ValueError, match="does not serve"):
        codec(SBIN).subscribe([Instrument(symbol="X", exchange=exchange, token="1")], "ltp")


@pytest.mark.parametrize("token", ["", "0", "-5", "1.5", "SBIN", "١", "9" * 19])
def test_what_is_no_ref_id_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="no ref_id"):
        NubraCodec(5).wire_key(Instrument(symbol="X", exchange="NSE", token=token))


@pytest.mark.parametrize("token", ["", "NIFTY 50", "A\nB", "\x00"])
def test_an_index_name_is_one_word(token: str) -> None:
    with pytest.raises(ValueError, match="no index name"):
        NubraCodec(5).wire_key(Instrument(symbol="X", exchange="NSE_INDEX", token=token))


# -- routing -----------------------------------------------------------------------------------------------


def test_two_exchanges_that_share_the_exchanges_number_never_mix() -> None:
    subject = codec()
    for ref, instrument in ((70115, SBIN), (912346, TWIN)):
        assert only(subject.decode(orderbook(ref, inst_id=3045, ltp=500))).instrument == instrument
        assert only(subject.decode(greeks(ref, inst_id=3045, ltp=500))).instrument == instrument
    decoded = subject.decode(orderbook(0, inst_id=70115, ltp=500))
    assert (decoded.ticks, decoded.unrouted) == ([], 1)


def test_a_share_of_two_exchanges_is_found_by_name_and_exchange() -> None:
    subject = codec()
    for exchange, instrument in (("NSE", SBIN), ("bse", TWIN)):
        assert only(subject.decode(index(shares=[index_item("Sbin", exchange, value=500)]))).instrument == instrument
    both = subject.decode(index(index_item("SBIN", "", value=500)))
    assert (both.ticks, both.unrouted) == ([], 1)
    assert only(codec(SBIN, NIFTY).decode(index(index_item("SBIN", "", value=500)))).instrument == SBIN


@pytest.mark.parametrize(
    ("name", "exchange", "index_symbol", "our_exchange"),
    [
        ("nifty 50", "NSE", "NIFTY", "NSE_INDEX"),
        ("NIFTY BANK", "NSE", "BANKNIFTY", "NSE_INDEX"),
        ("Nifty Financial Services", "NSE", "FINNIFTY", "NSE_INDEX"),
        ("BSE SENSEX", "BSE", "SENSEX", "BSE_INDEX"),
        ("bse sensex 50", "BSE", "SENSEX50", "BSE_INDEX"),
    ],
)
def test_indices_have_other_names_besides_their_own(
    name: str, exchange: str, index_symbol: str, our_exchange: str
) -> None:
    wanted = Instrument(symbol=index_symbol, exchange=our_exchange, token="ZANSKAR_NAME", brsymbol="BR_NAME")
    subject = codec(SBIN, wanted)
    for each in (name, index_symbol, "zanskar_name", "br_name"):
        assert only(subject.decode(index(index_item(each, exchange, value=5)))).instrument == wanted
        assert only(subject.decode(bucket(each, exchange, interval=13, open=5))).instrument == wanted
    other = "BSE" if exchange == "NSE" else "NSE"
    assert subject.decode(index(index_item(name, other, value=5))).unrouted == 1
    assert subject.decode(index(index_item(name, "MCX", value=5))).unrouted == 1


def test_an_index_wins_a_name_over_a_share_and_its_token_over_another_indexs_symbol() -> None:
    share = Instrument(symbol="X", exchange="NSE", token="5", brsymbol="NIFTY")
    other = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="ELSE", brsymbol="ELSE")
    assert only(codec(share, NIFTY, other).decode(index(index_item("NIFTY", value=5)))).instrument == NIFTY
    assert only(codec(share, other).decode(index(index_item("NIFTY", value=5)))).instrument == other
    assert only(codec(share).decode(index(shares=[index_item("NIFTY", value=5)]))).instrument == share


def test_a_name_that_means_two_instruments_means_neither_until_one_is_left() -> None:
    first, second = (
        Instrument(symbol=s, exchange="NSE", token=t, brsymbol="ABC") for s, t in (("A", "1"), ("B", "2"))
    )
    subject = codec(first, second)
    item = index(shares=[index_item("ABC", value=5)])
    assert subject.decode(item).unrouted == 1
    subject.unsubscribe([second], "full")
    assert only(subject.decode(item)).instrument == first
    subject.subscribe([second], "ltp")
    assert subject.decode(item).unrouted == 1


def test_a_derivative_has_no_name() -> None:
    assert codec(FUTURE).decode(index(index_item(FUTURE.brsymbol, value=5))).unrouted == 1


def test_unknown_items_are_left_out_and_the_others_of_a_batch_kept_in_order() -> None:
    decoded = codec().decode(
        index(
            index_item("SENSEX", "BSE", value=5),
            index_item("UNKNOWN", value=5),
            index_item("NIFTY", value=5),
            shares=[index_item("SBIN", value=5)],
        )
    )
    assert [tick.instrument for tick in decoded.ticks] == [SENSEX, NIFTY, SBIN]
    assert decoded.unrouted == 1


# -- normalization -----------------------------------------------------------------------------------------


def test_an_order_book_without_a_trade_has_its_levels_all_the_same() -> None:
    tick = only(
        codec().decode(orderbook(70115, [(81230, 10, 0)], [(81235, 0, 3), (0, 5, 1), (-1, 5, 1), (81240, 7, 2)]))
    )
    assert (tick.mode, tick_fields(tick)) == (
        Mode.DEPTH,
        {
            "timestamp": NOW,
            "depth": {
                "buy": [{"price": 812.3, "quantity": 10}],
                "sell": [{"price": 812.4, "quantity": 7, "orders": 2}],
            },
        },
    )


def test_a_book_has_twenty_levels_at_most() -> None:
    depth = only(codec().decode(orderbook(70115, [(90000 - n, 1 + n, 1) for n in range(50)]))).depth
    assert depth is not None
    assert [level.quantity for level in depth.buy] == list(range(1, 21))


def test_an_index_value_alone_is_an_ltp_tick_and_without_it_there_is_none() -> None:
    assert only(codec().decode(index(index_item("NIFTY", value=2469835)))).mode == Mode.LTP
    more = only(codec().decode(index(index_item("NIFTY", value=2469835, close=2480195))))
    assert (more.mode, more.ltp, more.close) == (Mode.QUOTE, 24698.35, 24801.95)
    assert codec().decode(index(index_item("NIFTY", high=5, low=5, close=5))).ticks == []


def test_only_the_days_candle_counts_and_its_close_is_not_the_previous_close() -> None:
    found = fields(
        codec().decode(bucket("NIFTY", interval=13, open=100, high=300, low=50, close=200, bucket_volume=9))
    )
    assert found == {"timestamp": NOW, "open": 1.0, "high": 3.0, "low": 0.5}
    for interval in (0, 1, 12, 14, 17, 99):
        assert codec().decode(bucket("NIFTY", interval=interval, open=100)) == Decoded(ticks=[])
    assert codec().decode(bucket("NIFTY", interval=13, close=200)).ticks == []


def test_greeks_without_a_price_make_no_tick() -> None:
    assert codec().decode(greeks(1120040, oi=75, volume=150)).ticks == []
    assert fields(codec().decode(greeks(1120040, ltp=9640, oi=75))) == {"timestamp": NOW, "ltp": 96.4, "oi": 75}


@pytest.mark.parametrize(
    ("stamp", "milliseconds"),
    [
        (NOW_NS, NOW),
        (NOW_NS // 1000, NOW),
        (NOW, NOW),
        (NOW // 1000, NOW // 1000 * 1000),
        (10**17 + 1, 10**11),
        (-1, None),
        (2**63 - 1, (2**63 - 1) // 1_000_000),
    ],
)
def test_the_unit_of_a_time_shows_in_its_size(stamp: int, milliseconds: int | None) -> None:
    frames = (
        orderbook(70115, time=stamp, ltp=5),
        index(index_item("NIFTY", value=5, time=stamp)),
        bucket("NIFTY", interval=13, open=5, time=stamp),
        greeks(1120040, ltp=5, time=stamp),
    )
    assert [only(codec().decode(each)).timestamp for each in frames] == [milliseconds] * 4


def test_without_a_time_of_its_own_an_item_has_the_batchs() -> None:
    assert only(codec().decode(orderbook(70115, ltp=5, time=0))).timestamp == NOW
    assert only(codec().decode(orderbook(70115, ltp=5, batch_time=0))).timestamp is None


def test_quantities_stay_whole_beyond_what_a_float_can_hold() -> None:
    assert only(codec().decode(orderbook(70115, ltp=5, volume=2**53 + 1))).volume == 2**53 + 1


@pytest.mark.parametrize("value", [0, -1, -(2**63)])
def test_what_is_not_positive_is_absent(value: int) -> None:
    book = dict.fromkeys(("ltp", "ltq", "volume"), value)
    assert fields(codec().decode(orderbook(70115, **book))) == {"timestamp": NOW, "depth": {"buy": [], "sell": []}}
    assert codec().decode(index(index_item("NIFTY", value=value))).ticks == []
    assert fields(codec().decode(index(index_item("NIFTY", value=5, high=value, low=value, volume=value)))) == {
        "ltp": 0.05, "timestamp": NOW,
    }  # fmt: skip
    assert codec().decode(greeks(1120040, ltp=value)).ticks == []


def test_a_price_beyond_all_markets_is_none() -> None:
    assert only(codec().decode(orderbook(70115, ltp=2**62))).ltp is None


# -- text --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ["Invalid Token", "invalid token", "Error: INVALID TOKEN for TOKEN"])
def test_an_invalid_token_ends_the_session(words: str) -> None:
    assert codec().decode(words) == Decoded(event=Event.AUTH_ERROR, message="Invalid Token")


@pytest.mark.parametrize("words", ["Error: x", "SOME EXCEPTION", "subscription failed"])
def test_trouble_is_told_with_the_last_command(words: str) -> None:
    decoded = codec(SBIN).decode(words)
    assert decoded.event == Event.ERROR
    assert decoded.message == f"{words} (last command: batch_subscribe index_bucket 1d NSE of 1: SBIN)"


def test_a_remark_that_repeats_the_command_does_not_give_the_token_away() -> None:
    for token in ("TOKEN", "eyJhbGciOi.J9.c2ln"):
        decoded = codec(SBIN).decode(f"Error: batch_subscribe {token} orderbook\n\x1b[2J{'x' * 9000}")
        assert token not in decoded.message
        assert decoded.message.isprintable()
        assert len(decoded.message) < 400


@pytest.mark.parametrize("words", ["", "Subscribed successfully", "hello", "{}"])
def test_other_words_are_remarks(words: str) -> None:
    assert codec().decode(words) == Decoded(event=Event.ACK)


# -- hostile frames ----------------------------------------------------------------------------------------

WHOLE = orderbook(70115, [(81230, 10, 3)], [(81235, 7, 2)], ltp=81235, ltq=9, volume=100, time=NOW_NS)


def test_an_empty_frame_is_ignored() -> None:
    assert codec().decode(b"") == Decoded()


@pytest.mark.parametrize("name", ["WebSocketMsgOptionChainUpdate", "WebSocketMsgElse", ""])
def test_other_messages_are_skipped_and_unknown_ones_counted(name: str) -> None:
    decoded = codec().decode(frame(name, b"\xff"))
    assert (decoded.ticks, decoded.event) == ([], None)
    assert decoded.unknown == (name != "WebSocketMsgOptionChainUpdate")


def test_the_name_behind_the_last_dot_chooses_and_the_key_does_not() -> None:
    inner = field(2, integer(8, 70115), integer(5, 500))
    outer = field(1, b"\xff\xfe any key") + field(2, text(1, "x/y.BatchWebSocketOrderbookMessage"), field(2, inner))
    assert only(codec().decode(outer)).ltp == 5.0


@pytest.mark.parametrize(
    "broken",
    [
        WHOLE[:-1],
        WHOLE + b"\x12",
        b"\xff" * 20,
        b"\x00",
        b"\x0b" * 100_000,
        frame("BatchWebSocketOrderbookMessage", b"\xff"),
        frame("BatchWebSocketIndexMessage", field(2, field(1, b"\xff\xfe"))),
        frame("BatchWebSocketGreeksMessage", field(2, varint(14 << 3 | 5))),
        WHOLE + field(100, bytes(5_000_000)),
    ],
)
def test_a_frame_that_does_not_parse_gives_nothing_and_the_next_one_counts(broken: bytes) -> None:
    subject = codec()
    decoded = subject.decode(broken)
    assert (decoded.ticks, decoded.event, decoded.restart) == ([], Event.MALFORMED, False)
    assert only(subject.decode(WHOLE)).ltp == 812.35


def test_unknown_fields_are_skipped() -> None:
    unknown = integer(100, 2**64 - 1) + field(101, b"anything")
    item = field(2, unknown, integer(8, 70115), integer(5, 500))
    assert only(codec().decode(frame("BatchWebSocketOrderbookMessage", unknown, item) + unknown)).ltp == 5.0


SAMPLES = [
    WHOLE,
    index(index_item("NIFTY", value=5, high=6, low=4, close=3, time=NOW_NS), shares=[index_item("SBIN", value=9)]),
    bucket("NIFTY", interval=13, open=5, high=6, low=4, cumulative=8),
    greeks(1120040, ltp=5, oi=6, volume=7),
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    sample = bytearray(draw(st.sampled_from(SAMPLES)))
    for place in draw(st.lists(st.integers(0, len(sample) - 1), max_size=6)):
        sample[place] = draw(st.integers(0, 255))
    return bytes(sample[: draw(st.integers(0, len(sample)))])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | damaged() | st.text(max_size=50))
@example("\ud800 error")
def test_no_frame_makes_decode_raise_or_invent(wire: bytes | str) -> None:
    subject = codec()
    decoded = subject.decode(wire)
    for tick in decoded.ticks:
        assert tick.instrument in subject.kinds
        for name, value in tick_fields(tick).items():
            if name != "depth":
                assert isinstance(value, int | float)
                assert 0 < value < 2**63
    assert re.fullmatch(r"[^\n]*", decoded.message)
