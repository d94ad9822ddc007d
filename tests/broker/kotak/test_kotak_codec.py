"""Kotak's SFeed: what packets mean, what they cannot mean, and that no bytes make up a price."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.kotak import kotak_wire as wire
from broker.kotak.kotak_wire import BY_NAME, codec, index, login_answer, mini, number, picture, row
from tickmux.codec import Credentials, Event
from tickmux.instrument import Instrument
from tickmux.tick import Mode

TCS, RELIANCE, NIFTY = BY_NAME["TCS", "NSE"], BY_NAME["RELIANCE", "NSE"], BY_NAME["NIFTY", "NSE_INDEX"]
SENSEX, FUTURE = BY_NAME["SENSEX", "BSE_INDEX"], BY_NAME["NIFTY29DEC26FUT", "NFO"]
USDINR = BY_NAME["USDINR29DEC26FUT", "CDS"]


def events_of(*frames: bytes | str, logged_in: bool = True) -> list[Event | None]:
    made = codec(login=wire.LOGIN if logged_in else None)
    return [made.decode(frame).event for frame in frames]


# -- log-in ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1117, 1119])
def test_a_login_answer_with_packed_batches_opens_the_session(code: int) -> None:
    decoded = codec(login=None).decode(login_answer(message_code=code))
    assert (decoded.event, decoded.ready) == (Event.ACK, True)


@pytest.mark.parametrize(
    "answer",
    [
        login_answer(format="native_fallback"),
        login_answer(format=None),
        login_answer(message_code=1118),
        login_answer(message_code="1117"),
        login_answer(message_code=True),
        '{"message":"Unauthorized"}',
        "{}",
    ],
)
def test_any_other_answer_to_the_login_is_an_authentication_failure(answer: str) -> None:
    decoded = codec(login=None).decode(answer)
    assert (decoded.event, decoded.ready) == (Event.AUTH_ERROR, False)
    assert "log in again" in decoded.message


@pytest.mark.parametrize("garbage", ["", "{", "[1]", "null", "\x00", "[" * 100_000])
def test_text_that_is_no_answer_at_all_does_not_cost_the_session(garbage: str) -> None:
    assert events_of(garbage, logged_in=False) == [Event.MALFORMED]
    assert events_of(garbage) == [None]


def test_text_after_the_login_is_an_acknowledgement_or_nothing() -> None:
    frames = ('{"message_code":1109,"trading_symbols":{}}', '{"message_code":1234}', '{"status":"ERROR"}')
    assert events_of(*frames) == [Event.ACK, None, None]


def test_packets_before_the_login_answer_have_no_scale_and_are_skipped() -> None:
    made = codec(login=None)
    frame = mini(1482, 886_525_000, exchange_id=3)
    assert made.decode(frame).ticks == []
    made.decode(wire.LOGIN)
    assert made.decode(frame).ticks[0].ltp == 88.6525


def test_a_second_answer_does_not_change_the_scale() -> None:
    made = codec()
    made.decode(login_answer(exchanges={}))
    assert made.decode(mini(1482, 886_525_000, exchange_id=3)).ticks[0].ltp == 88.6525


@pytest.mark.parametrize("exchanges", [{}, None, [], "x", {"nse_cm": {"value": 1}}, {"nse_cm": {"divider": 0}}])
def test_a_divisor_that_is_not_told_is_100(exchanges: Any) -> None:
    made = codec(login=login_answer(exchanges=exchanges))
    assert made.decode(mini(11536, 342_155)).ticks[0].ltp == 3421.55


@pytest.mark.parametrize("divider", ["100", "100.0", 100.0])
@pytest.mark.parametrize("value", [{"value": "3"}, {"value": 3}, {}])
def test_numbers_of_the_answer_may_be_texts(divider: Any, value: dict[str, Any]) -> None:
    made = codec(login=login_answer(exchanges={"cde_fo": {**value, "divider": divider}}))
    assert made.decode(mini(1482, 8_865, exchange_id=3)).ticks[0].ltp == 88.65


@pytest.mark.parametrize("divider", [-100, "x", "nan", "inf", [], True, 0.5, 10**30, 1e300])
@pytest.mark.parametrize("value", [{"value": 1}, {}])
def test_a_divisor_that_is_none_silences_its_exchange_only(divider: Any, value: dict[str, int]) -> None:
    exchanges = {"nse_cm": {**value, "divider": divider}, "nse_fo": {"value": 2, "divider": 1000}}
    made = codec(login=login_answer(exchanges=exchanges))
    decoded = made.decode(mini(11536, 342_155) + index(26000, b"", 5) + mini(44498, 26_000_500, exchange_id=2))
    assert [(tick.instrument, tick.ltp) for tick in decoded.ticks] == [(FUTURE, 26000.5)]
    assert decoded.unrouted == 2


# -- packets ---------------------------------------------------------------------------------------------


def test_a_level_tells_the_mode() -> None:
    made = codec()
    levels = {2: Mode.QUOTE, 4: Mode.QUOTE, 8: Mode.DEPTH, 16: Mode.DEPTH}
    for level, mode in levels.items():
        (tick,) = made.decode(picture(11536, level, {89: (4, 1), 93: (4, 1)}, row(1, 100, 1) + row(2, 200, 2))).ticks
        assert tick.mode is mode
        assert (tick.depth is None) is (mode is Mode.QUOTE)


@pytest.mark.parametrize("level", [0, 3, 32, 255])
def test_other_levels_are_counted_and_skipped(level: int) -> None:
    decoded = codec().decode(picture(11536, level, {69: (4, 100)}, b"") + mini(11536, 100))
    assert (len(decoded.ticks), decoded.unknown, decoded.event) == (1, 1, None)


def test_full_depth_has_as_many_rows_as_were_sent() -> None:
    rows = b"".join(row(n, 1000 - n, n) for n in range(1, 31)) + b"".join(row(n, 1000 + n, n) for n in range(1, 21))
    (tick,) = codec().decode(picture(11536, 16, {89: (4, 30), 93: (4, 20)}, rows)).ticks
    assert tick.depth is not None
    assert [level.price for level in tick.depth.buy] == [(1000 - n) / 100 for n in range(1, 31)]
    assert [level.quantity for level in tick.depth.sell] == list(range(1, 21))


@pytest.mark.parametrize(
    ("counts", "sizes"), [((5, 5), (3, 0)), ((2, 5), (2, 1)), ((0, 9), (0, 3)), ((2**32 - 1, 2**32 - 1), (3, 0))]
)
def test_rows_that_are_counted_but_not_there_are_missed_on_the_sell_side_first(
    counts: tuple[int, int], sizes: tuple[int, int]
) -> None:
    rows = b"".join(row(1, 100 + n, 1) for n in range(3)) + bytes(15)
    frame = picture(11536, 8, {89: (4, counts[0]), 93: (4, counts[1])}, rows)
    (tick,) = codec().decode(frame + picture(11536, 8, {}, row(9, 9, 9))).ticks[:1]
    assert tick.depth is not None
    assert (len(tick.depth.buy), len(tick.depth.sell)) == sizes


def test_a_price_of_zero_is_absent_and_a_quantity_of_zero_is_not() -> None:
    (tick,) = codec().decode(picture(11536, 8, {89: (4, 1), 93: (4, 1)}, row(5, 0, 1) + row(0, 100, 0))).ticks
    assert tick.depth is not None
    assert wire.told([tick])[0] == {
        "symbol": "TCS", "exchange": "NSE", "mode": "DEPTH", "volume": 0, "last_trade_quantity": 0,
        "total_buy_quantity": 0, "total_sell_quantity": 0, "oi": 0,
        "depth": {"buy": [], "sell": [{"price": 1.0, "quantity": 0, "orders": 0}]},
    }  # fmt: skip


@pytest.mark.parametrize("seconds", [0, -1, -2_208_988_800, 2**62, -(2**63)])
def test_a_time_that_is_none_is_absent(seconds: int) -> None:
    made = codec()
    (tick,) = made.decode(picture(11536, 4, {37: (8, seconds), 45: (8, seconds), 69: (4, 100)}, b"")).ticks
    assert (tick.ltt, tick.timestamp, tick.ltp) == (None, None, 1.0)
    assert made.decode(mini(11536, 100, traded=seconds)).ticks[0].ltt is None


def test_a_body_shorter_than_its_table_is_ignored_and_what_follows_stands() -> None:
    short = [
        wire.packet(7208, 1, 1, number(11536, 4) + bytes(40)),
        wire.packet(7208, 1, 8, number(11536, 4) + bytes(130)),
        wire.packet(7207, 1, 0, number(26000, 4) + bytes(73)),
        wire.packet(105, 1, 0, bytes(6)),
    ]
    decoded = codec().decode(b"".join(short) + mini(11536, 100))
    assert (len(decoded.ticks), decoded.event) == (1, None)


@pytest.mark.parametrize(
    "tail", [b"\0", bytes(8), number(8, 2) + bytes(7), number(0, 2) + bytes(60), mini(1, 1)[:-1]]
)
def test_a_tail_that_is_no_packet_is_malformed_and_what_came_before_stands(tail: bytes) -> None:
    decoded = codec().decode(mini(11536, 100) + tail)
    assert (len(decoded.ticks), decoded.event) == (1, Event.MALFORMED)


@pytest.mark.parametrize("code", [6511, 6521])
def test_session_notices_and_the_auction_make_no_tick(code: int) -> None:
    auction = wire.packet(104, 1, 4, number(11536, 4) + number(342_155, 4) + bytes(16))
    assert events_of(wire.packet(code, 1, 0, b""), wire.packet(105, 1, 8, bytes(200))) == [Event.MARKET_STATUS] * 2
    decoded = codec().decode(auction)
    assert (decoded.ticks, decoded.event, decoded.unknown) == ([], None, 0)


# -- who is meant ----------------------------------------------------------------------------------------


def test_two_instruments_that_share_a_token_on_two_exchanges_never_mix() -> None:
    share = Instrument(symbol="RELIANCE", exchange="NSE", token="2885", brexchange="nse_cm", brsymbol="RELIANCE-EQ")
    future = Instrument(symbol="USDINR", exchange="CDS", token="2885", brexchange="cde_fo", brsymbol="USDINR")
    number_twin = Instrument(symbol="X", exchange="NSE_INDEX", token="2885", brexchange="nse_cm", brsymbol="Nifty X")
    made = codec(share, future, number_twin)
    frame = mini(2885, 140_000, exchange_id=1) + mini(2885, 875_000_000, exchange_id=3) + mini(2885, 7, exchange_id=5)
    decoded = made.decode(frame + index(2885, b"Nifty X", 2_500_000))
    assert [(tick.instrument, tick.ltp) for tick in decoded.ticks] == [
        (share, 1400.0),
        (future, 87.5),
        (number_twin, 25000.0),
    ]
    assert decoded.unrouted == 1


def test_an_index_is_found_by_number_else_by_name_in_any_case() -> None:
    made = codec(NIFTY)
    by_number, by_name = index(26000, b"", 100), index(7, b"NIFTY 50", 200)
    elsewhere = index(7, b"Nifty 50", 300, exchange_id=5)
    assert [made.decode(frame).ticks[0].ltp for frame in (by_number, by_name)] == [1.0, 2.0]
    assert made.decode(elsewhere).ticks == []


def test_a_number_and_a_name_that_mean_two_indices_mean_none() -> None:
    bank = Instrument(symbol="BANKNIFTY", exchange="NSE_INDEX", token="26009", brsymbol="Nifty Bank")
    decoded = codec(NIFTY, bank).decode(index(26000, b"Nifty Bank", 5_500_000))
    assert (decoded.ticks, decoded.unrouted) == ([], 1)


def test_indices_with_one_number_are_told_apart_by_name_only() -> None:
    twin = Instrument(symbol="TWIN", exchange="NSE_INDEX", token="26000", brsymbol="Twin")
    made = codec(NIFTY, twin)
    assert made.decode(index(26000, b"other", 1)).ticks == []
    assert made.decode(index(26000, b"twin", 1)).ticks[0].instrument is twin
    made.unsubscribe([twin], "index")
    assert made.decode(index(26000, b"other", 1)).ticks[0].instrument is NIFTY


def test_an_index_whose_token_is_no_number_is_found_by_its_name() -> None:
    named = Instrument(symbol="NIFTYIT", exchange="NSE_INDEX", token="Nifty IT", brsymbol="Nifty IT")
    assert codec(named).decode(index(26008, b"Nifty IT", 1)).ticks[0].instrument is named


def test_what_is_no_longer_subscribed_makes_no_tick() -> None:
    made = codec()
    made.unsubscribe([TCS], "depth")
    made.unsubscribe([NIFTY], "index")
    decoded = made.decode(mini(11536, 100) + index(26000, b"Nifty 50", 100))
    assert (decoded.ticks, decoded.unrouted) == ([], 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"token": ""}, {"token": "x"}, {"token": "-1"}, {"token": "4294967296"}, {"token": "٣"},
        {"exchange": "NCDEX"},
        {"exchange": "NSE_INDEX", "brsymbol": ""}, {"exchange": "NSE_INDEX", "brsymbol": "a,b"},
        {"exchange": "NSE_INDEX", "brsymbol": "a|b"}, {"exchange": "NSE_INDEX", "brsymbol": "a\nb"},
    ],
)  # fmt: skip
def test_what_the_wire_cannot_name_is_refused(changes: dict[str, str]) -> None:
    row_ = {"symbol": "A", "exchange": "NSE", "token": "1", "brsymbol": "A-EQ"} | changes
    with pytest.raises(ValueError, match="Kotak"):
        codec().wire_key(Instrument(**row_))


# -- requests --------------------------------------------------------------------------------------------


def test_full_depth_and_changes_of_kind() -> None:
    made = codec(TCS)
    up = [json.loads(str(frame)) for frame in made.change([TCS], "scrips", "full_depth")]
    assert up == [
        {"event": "subscribeFullDepth", "inputtoken": "nse_cm|11536", "ack_symbol": True},
        {"event": "unsubscribeScrips", "inputtoken": "nse_cm|11536"},
    ]
    assert made.subscribe([], "lite") == made.unsubscribe([], "lite") == []


def test_a_full_connection_gives_the_old_kind_up_first() -> None:
    many = [Instrument(symbol=str(n), exchange="NSE", token=str(n)) for n in range(1, 3000)]
    made = codec(*many)
    events = [json.loads(str(frame))["event"] for frame in made.change(many[:2], "depth", "lite")]
    assert events == ["unsubscribeDepth", "subscribeScripsLite"]


def test_a_login_without_a_session_says_what_is_missing() -> None:
    with pytest.raises(KeyError, match="log in again"):
        codec(login=None).open_frames(Credentials({"ucc": "AB123"}))


# -- hostile bytes ---------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(wire.frames)
def test_whatever_comes_the_ticks_are_what_the_bytes_say(frame: bytes) -> None:
    made = codec()
    decoded = made.decode(frame)
    assert wire.told(decoded.ticks) == wire.said(frame)
    assert made.decode(frame) == decoded, "nothing is remembered"


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["nse_cm", "value", "x"]), inner),
        max_leaves=8,
    ),
    st.sampled_from([1117, 1119, 1109, 0, None, "x"]),
)
def test_whatever_the_login_answer_says_prices_stay_sane(exchanges: Any, code: Any) -> None:
    made = codec(login=None)
    made.decode(json.dumps({"message_code": code, "format": "native_batch", "exchanges": exchanges}))
    for tick in made.decode(mini(11536, 342_155, close=1)).ticks:
        assert tick.ltp is not None
        assert 342_155 / 10**9 <= tick.ltp <= 342_155


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    for logged_in in (False, True):
        events_of(text, logged_in=logged_in)


def test_a_frame_of_many_tiny_packets_takes_a_moment() -> None:
    decoded = codec().decode(wire.packet(1, 1, 0, b"") * 100_000)
    assert decoded.unknown == 100_000
