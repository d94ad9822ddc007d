"""The XTS codec's rules that no vector shows, and hostile input."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker._xts.xts_wire import (
    BINARY,
    CRUDE,
    FUTURE,
    HALF_PAST_TEN,
    HALF_PAST_TEN_MS,
    JSON,
    NIFTY,
    RELIANCE,
    SBIN,
    USDINR,
    codec,
    event,
    field,
    fields,
    named,
    partial,
    quote,
)
from tickmux.codec import Credentials, Event, HttpRequest
from tickmux.instrument import Instrument

# -- the connection ----------------------------------------------------------------------------------------


def test_the_session_is_ready_once_the_namespace_is_connected() -> None:
    made = codec()
    opened = made.decode('0{"sid":"x","pingInterval":10000,"pingTimeout":20000}')
    assert (opened.event, opened.ready, opened.replies) == (Event.ACK, False, [])
    assert made.heartbeat_interval == 10.0
    assert made.decode("40").ready
    assert made.waits_for_ready
    assert made.heartbeat_frames() == ["2"]


def test_the_next_generation_connects_the_namespace_and_lets_the_server_ping() -> None:
    made = codec(generation=4)
    assert made.decode('0{"sid":"x"}').replies == ["40"]
    assert made.decode('40{"sid":"y"}').ready
    assert made.heartbeat_frames() == []
    assert made.decode("2").replies == ["3"]


@pytest.mark.parametrize("frame", ["41", "1"])
def test_a_goodbye_of_the_server_calls_for_a_new_connection(frame: str) -> None:
    decoded = codec().decode(frame)
    assert (decoded.event, decoded.restart) == (Event.ERROR, True)


@pytest.mark.parametrize(
    "frame",
    [
        '44"Invalid Token"',
        '44{"code":"e-session-0007"}',
        "44",
        event("logout", {"reason": "x"}),
        event("logout", None),
        event("error", "Invalid Token"),
        event("error", {"code": "e-session-0007"}),
        event("error", {"description": "invalid token given"}),
    ],
)
def test_a_refused_or_ended_session_is_an_authentication_failure(frame: str) -> None:
    assert codec().decode(frame).event is Event.AUTH_ERROR


def test_another_error_is_reported_in_the_brokers_words_without_the_token() -> None:
    decoded = codec().decode(event("error", {"description": "no room for TOKEN1\nhere"}))
    assert (decoded.event, decoded.message) == (Event.ERROR, "no room for … here")


def test_a_token_that_is_longer_than_the_message_leaves_no_part_in_it() -> None:
    token = "e" * 300
    made = codec()
    made.open_frames(Credentials({"token": token, "user_id": "U"}))
    for frame in (event("error", {"description": f"no room for {token}"}), f'44"{token} Invalid Token"'):
        assert "ee" not in made.decode(frame).message
    (request,) = made.subscribe([SBIN], "quote")
    assert isinstance(request, HttpRequest)
    refusal = json.dumps({"type": "error", "code": "e-x", "description": f"bad request of {token}"}).encode()
    assert made.decode_http(request, 400, refusal).message == "bad request of … (e-x)"


@pytest.mark.parametrize("name", ["joined", "success", "warning"])
def test_greetings_are_acknowledgements(name: str) -> None:
    assert codec().decode(event(name, "hello")).event is Event.ACK


@pytest.mark.parametrize("name", ["1504-json-full", "1505-json-partial", "1507-json-full", "5018-json-full"])
def test_known_events_that_nobody_wants_are_ignored(name: str) -> None:
    decoded = codec(SBIN).decode(event(name, "t:1_3045,o:1,h:2"))
    assert (decoded.event, decoded.ticks, decoded.unknown) == (None, [], 0)


@pytest.mark.parametrize("name", ["news", "1501", "15011-json-full", "1501-xml-full", ""])
def test_unknown_events_are_counted(name: str) -> None:
    assert codec(SBIN).decode(event(name, quote())).unknown == 1


def test_attachments_of_other_events_are_counted_and_not_read() -> None:
    made = codec(SBIN)
    made.decode('451-["picture",{"_placeholder":true,"num":0}]')
    assert made.decode(b"\x04anything").unknown == 1


# -- instruments -------------------------------------------------------------------------------------------


def test_two_instruments_with_one_number_on_two_exchanges_never_mix() -> None:
    made = codec(RELIANCE, USDINR)
    first = made.decode(quote(segment=1, number=2885, LastTradedPrice=1419.6))
    second = made.decode(quote(segment=3, number=2885, LastTradedPrice=87.43))
    assert [tick.instrument for tick in first.ticks + second.ticks] == [RELIANCE, USDINR]
    only = codec(USDINR)
    stray = only.decode(quote(segment=1, number=2885, LastTradedPrice=1419.6))
    assert (stray.ticks, stray.unrouted, stray.event) == ([], 1, None)


def test_two_instruments_that_claim_one_number_get_nothing() -> None:
    made = codec(SBIN, Instrument("SBINX", "NSE", "3045", "NSECM"))
    assert made.decode(quote(LastTradedPrice=812.0)).ticks == []


@pytest.mark.parametrize(
    "instrument",
    [
        Instrument("SILVER", "NCO", "21001"),
        Instrument("X", "CRYPTO", "1"),
        Instrument("X", "NSE", "abc"),
        Instrument("X", "NSE", ""),
        Instrument("X", "NSE", "-1"),
    ],
)
def test_what_the_wire_cannot_name_is_refused(instrument: Instrument) -> None:
    with pytest.raises(ValueError, match="XTS has no segment"):
        codec().wire_key(instrument)


@pytest.mark.parametrize(("segment", "number"), [(1, 3045), ("1", "3045"), ("NSECM", 3045)])
def test_an_instrument_is_named_by_numbers_digits_or_the_segments_name(segment: Any, number: Any) -> None:
    assert field(codec(SBIN).decode(quote(segment=segment, number=number, LastTradedPrice=5)))["ltp"] == 5


@pytest.mark.parametrize(
    "payload",
    [
        "{}",
        {},
        {"MessageCode": 1501, "ExchangeSegment": 1},
        {"MessageCode": 1501, "ExchangeSegment": None, "ExchangeInstrumentID": 3045},
        {"MessageCode": 1501, "ExchangeSegment": 1.5, "ExchangeInstrumentID": 3045},
        {"MessageCode": 1501, "ExchangeSegment": True, "ExchangeInstrumentID": 3045},
        {"MessageCode": 1501, "ExchangeSegment": "NSE", "ExchangeInstrumentID": 3045},
        "t:",
        "t:1",
        "t:x_1,ltp:5",
        "text",
        "",
        None,
        5,
        [[[["t:1_3045,ltp:5"]]]],
    ],
)
def test_a_payload_that_names_no_instrument_is_malformed(payload: Any) -> None:
    decoded = codec(SBIN).decode(event("1501-json-full", payload))
    assert (decoded.event, decoded.ticks) == (Event.MALFORMED, [])


# -- payloads ----------------------------------------------------------------------------------------------


def test_an_array_holds_several_payloads_and_a_bad_one_spares_the_others() -> None:
    one = {"ExchangeSegment": 1, "ExchangeInstrumentID": 3045, "LastTradedPrice": 812.0}
    two = json.dumps({**one, "ExchangeInstrumentID": 2885, "LastTradedPrice": 1400.0})
    made = codec(SBIN, RELIANCE)
    assert [found["ltp"] for found in fields(made.decode(event("1501-json-full", [one, two])))] == [812.0, 1400.0]
    as_text = made.decode(event("1501-json-full", json.dumps([one, json.loads(two)])))
    assert len(as_text.ticks) == 2
    broken = made.decode(event("1501-json-full", [one, "nonsense"]))
    assert (len(broken.ticks), broken.event) == (1, Event.MALFORMED)


def test_the_payloads_own_code_goes_before_the_events() -> None:
    payload = {"MessageCode": 1512, "ExchangeSegment": 1, "ExchangeInstrumentID": 3045, "LastTradedPrice": 812.0}
    made = codec(SBIN)
    assert field(made.decode(event("1501-json-full", payload)))["mode"] == "LTP"
    assert made.decode(event("1501-json-full", {**payload, "MessageCode": 1505})).ticks == []


def test_partial_text_is_known_by_itself_and_not_by_the_events_name() -> None:
    decoded = codec(SBIN).decode(event("1501-json-full", "t:1_3045,ltp:812.5"))
    assert field(decoded) == {"mode": "QUOTE", "ltp": 812.5}


def test_market_data_under_the_generic_name_counts_and_talk_does_not() -> None:
    payload = {"MessageCode": 1501, "ExchangeSegment": 1, "ExchangeInstrumentID": 3045, "LastTradedPrice": 812.0}
    made = codec(SBIN)
    assert field(made.decode(event("message", payload)))["ltp"] == 812.0
    assert field(made.decode(event("message", json.dumps(payload))))["ltp"] == 812.0
    for talk in ("hello", {"hello": 1}, "t:1_3045,ltp:5", None, {**payload, "MessageCode": 1507}):
        decoded = made.decode(event("message", talk))
        assert (decoded.ticks, decoded.event) == ([], None)


def test_keys_may_begin_with_small_letters() -> None:
    payload = {
        "messageCode": 1502, "exchangeSegment": 1, "exchangeInstrumentID": 3045, "exchangeTimeStamp": HALF_PAST_TEN,
        "touchline": {"lastTradedPrice": 812.0, "LastTradedQunatity": 4},
        "bids": [{"price": 811.9, "size": 5, "totalOrders": 2}], "asks": [],
    }  # fmt: skip
    assert field(codec(SBIN).decode(event("1502-json-full", payload))) == {
        "mode": "DEPTH",
        "ltp": 812.0,
        "timestamp": HALF_PAST_TEN_MS,
        "last_trade_quantity": 4,
        "depth": {"buy": [{"price": 811.9, "quantity": 5, "orders": 2}], "sell": []},
    }


@pytest.mark.parametrize("name", ["LastTradedQunatity", "LastTradedQuantity"])
def test_the_last_quantity_has_two_spellings(name: str) -> None:
    found = field(codec(SBIN).decode(quote(LastTradedPrice=1.5, **{name: 7})))
    assert found["last_trade_quantity"] == 7


@pytest.mark.parametrize("nothing", [0, 0.0, None, "", "nan", "inf", "1_0", "abc", True, [], {}, 1e13, 10**400])
def test_what_is_no_price_makes_no_tick(nothing: Any) -> None:
    assert codec(SBIN).decode(quote(LastTradedPrice=nothing)).ticks == []


@pytest.mark.parametrize(("raw", "price"), [(-0.5, -0.5), ("812.35", 812.35), (812, 812.0), ("-3", -3.0)])
def test_negative_prices_and_numbers_as_text_are_values(raw: Any, price: float) -> None:
    assert field(codec(SBIN).decode(quote(LastTradedPrice=raw)))["ltp"] == price


@pytest.mark.parametrize(
    ("raw", "value"), [(0, 0), (5, 5), ("12", 12), (7.0, 7), (-1, None), (1.5, None), (1e30, None)]
)
def test_a_quantity_is_whole_and_not_negative(raw: Any, value: int | None) -> None:
    assert field(codec(SBIN).decode(quote(LastTradedPrice=5, TotalTradedQuantity=raw))).get("volume") == value


@pytest.mark.parametrize(
    ("raw", "epoch_ms"),
    [
        (HALF_PAST_TEN, HALF_PAST_TEN_MS),
        (1755857730, HALF_PAST_TEN_MS),
        (1_599_999_999, (1_599_999_999 + 315_532_800 - 19_800) * 1000),
        (1_600_000_000, (1_600_000_000 - 19_800) * 1000),
        (0, None),
        (-1, None),
        (1755857730000, None),
    ],
)
def test_times_count_from_1980_or_1970_in_india(raw: int, epoch_ms: int | None) -> None:
    assert field(codec(SBIN).decode(quote(LastTradedPrice=5, LastUpdateTime=raw))).get("timestamp") == epoch_ms


def test_a_book_without_a_price_is_a_tick_and_padding_is_not_shown() -> None:
    rows = [{"Price": 5.5, "Size": 10, "TotalOrders": 1}, {"Price": 0, "Size": 10}, {"Price": 5.4, "Size": 0}, "x"]
    decoded = codec(SBIN).decode(quote(1502, Bids=rows, Asks=None))
    assert field(decoded) == {
        "mode": "DEPTH",
        "depth": {"buy": [{"price": 5.5, "quantity": 10, "orders": 1}], "sell": []},
    }


def test_a_depth_message_without_any_book_is_a_quote() -> None:
    assert field(codec(SBIN).decode(quote(1502, LastTradedPrice=5.5))) == {"mode": "QUOTE", "ltp": 5.5}


def test_open_interest_joins_depth_and_never_ltp() -> None:
    made = codec(FUTURE)
    made.decode(quote(1510, 2, 35013, OpenInterest=900))
    assert field(made.decode(quote(1512, 2, 35013, LastTradedPrice=5.5))) == {"mode": "LTP", "ltp": 5.5}
    depth = field(made.decode(quote(1502, 2, 35013, LastTradedPrice=5.5, Bids=[], Asks=[])))
    assert (depth["mode"], depth["oi"]) == ("DEPTH", 900)
    later = field(made.decode(partial("t:2_35013,o:901", 1510)))
    assert (later["mode"], later["oi"], "depth" in later) == ("QUOTE", 901, False)
    assert made.decode(quote(1510, 2, 35013, OpenInterest=None)).ticks == []


def test_the_price_range_goes_before_the_execution_band() -> None:
    made = codec(SBIN)
    assert made.decode(partial("t:1_3045,110:900,111:700,12:5", 1105)).ticks == []
    assert field(made.decode(quote(LastTradedPrice=800)))["upper_circuit"] == 900
    made.decode(partial("t:1_3045,88:890,87:0", 1105))
    found = field(made.decode(quote(LastTradedPrice=800)))
    assert (found["upper_circuit"], found["lower_circuit"]) == (890, 700)


def test_property_changes_of_strangers_are_dropped_silently() -> None:
    decoded = codec(SBIN).decode(partial("t:1_9999,88:890", 1105))
    assert (decoded.unrouted, decoded.event) == (0, None)


# -- state and subscriptions -------------------------------------------------------------------------------


def test_what_was_said_before_an_unsubscription_is_forgotten() -> None:
    made = codec(SBIN)
    made.decode(quote(LastTradedPrice=800, Open=790))
    made.unsubscribe([SBIN], "quote")
    made.subscribe([SBIN], "quote")
    assert field(made.decode(partial("t:1_3045,ltp:801"))) == {"mode": "QUOTE", "ltp": 801}


def test_after_a_change_of_mode_the_old_stream_is_no_longer_believed() -> None:
    made = codec(FUTURE)
    made.decode(quote(1501, 2, 35013, LastTradedPrice=5.0))
    made.change([FUTURE], "quote", "depth")
    assert made.decode(quote(1501, 2, 35013, LastTradedPrice=5.1)).ticks == []  # was under way
    made.decode(quote(1502, 2, 35013, LastTradedPrice=5.5, Bids=[], Asks=[]))
    assert field(made.decode(quote(1510, 2, 35013, OpenInterest=9)))["ltp"] == 5.5
    made.change([FUTURE], "depth", "quote")
    assert field(made.decode(quote(1501, 2, 35013, LastTradedPrice=5.7)))["ltp"] == 5.7


@pytest.mark.parametrize(
    ("prefix", "options", "code"), [(JSON, {}, 1512), (BINARY, {}, 1501), (JSON, {"ltp_code": 1501}, 1501)]
)
def test_ltp_has_no_code_of_its_own_on_a_binary_stream(prefix: str, options: Any, code: int) -> None:
    (request,) = codec(prefix=prefix, **options).subscribe([SBIN], "ltp")
    assert isinstance(request, HttpRequest)
    assert named(request) == ("POST", code, [3045])


def test_the_sessions_prefix_decides_about_ltps_code() -> None:
    made = codec(prefix=BINARY)
    made.open_frames(Credentials({"token": "T", "user_id": "U", "prefix": JSON}))
    assert made.code_of("ltp") == 1512


def test_a_change_between_modes_of_one_code_sends_nothing() -> None:
    made = codec(SBIN, kind="ltp", prefix=BINARY)
    assert made.change([SBIN], "ltp", "quote") == []
    made.decode(quote(1501, LastTradedPrice=5.0))
    assert field(made.decode(partial("t:1_3045,o:4")))["ltp"] == 5.0


def test_more_instruments_than_one_call_takes_are_several_calls() -> None:
    many = [Instrument(f"S{number}", "NSE", str(number)) for number in range(1, 121)]
    requests = codec().subscribe(many, "quote")
    assert [len(request.body["instruments"]) for request in requests] == [50, 50, 20]


def test_a_goodbye_drops_what_would_outlive_the_socket() -> None:
    made = codec(SBIN, CRUDE)
    drop, *goodbye = made.close_frames()
    assert named(drop) == ("PUT", 1501, [3045, 458305])
    assert goodbye == ["41", "1"]


@pytest.mark.parametrize(
    ("call", "method", "url"),
    [
        ({"op": "logout"}, "DELETE", "/auth/logout"),
        ({"op": "subscribe", "mode": "OI", "instruments": [FUTURE]}, "POST", "/instruments/subscription"),
        ({"op": "unsubscribe", "mode": "OI", "instruments": [FUTURE]}, "PUT", "/instruments/subscription"),
        ({"op": "quotes", "mode": "DEPTH", "instruments": [FUTURE]}, "POST", "/instruments/quotes"),
    ],
)
def test_calls_that_only_this_family_has(call: dict[str, Any], method: str, url: str) -> None:
    (request,) = codec().call_frames(call)
    assert (request.method, request.url, request.headers["Authorization"]) == (method, url, "TOKEN1")


def test_other_calls_are_not_known() -> None:
    with pytest.raises(ValueError, match="no operation"):
        codec().call_frames({"op": "dance"})


# -- hostile input -----------------------------------------------------------------------------------------

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e13, 1e13) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["ExchangeSegment", "ExchangeInstrumentID", "Touchline", "Bids", "Asks", "LastTradedPrice",
                         "Price", "Size", "MessageCode", "OpenInterest", "exchangeSegment", "x"]), inner, max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
NAMES = st.sampled_from(
    ["1501-json-full", "1502-json-partial", "1510-json-full", "1105-json-partial", "message", "error"]
)
PARTIALS = st.from_regex(r"\At:1_3045(,(bi|ai|ltp|v|88|o|lut):[0-9.|e_-]{0,20}){0,6}\Z")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(NAMES, JUNK | PARTIALS), max_size=6), st.lists(st.binary(max_size=60) | st.text(max_size=20))
)
def test_decoding_never_raises_and_never_makes_up_another_instrument(events: Any, noise: Any) -> None:
    made = codec(SBIN)
    for name, payload in events:
        for body in (payload, json.dumps(payload)):
            for tick in made.decode(event(name, body)).ticks:
                assert tick.instrument is SBIN
                assert tick.ltp is None or (abs(tick.ltp) < 1e12 and tick.ltp)
    for frame in noise:
        made.decode('451-["xts-binary-packet",{"_placeholder":true,"num":0}]')
        made.decode(frame)


def test_a_wrong_level_number_grows_no_book() -> None:
    made = codec(SBIN, kind="depth")
    made.decode(partial("t:1_3045,bi:99999999|5|5|5|100|5|5|5,ltp:5", 1502))
    assert field(made.decode(partial("t:1_3045,bi:99|5|5.5|1", 1502)))["depth"]["buy"] == [
        {"price": 5.5, "quantity": 5, "orders": 1}
    ]


def test_an_index_has_no_quantities_of_zero() -> None:
    found = field(codec(NIFTY).decode(quote(number=26000, LastTradedPrice=25000, TotalTradedQuantity=0)))
    assert found == {"mode": "QUOTE", "ltp": 25000}
