import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickmux.errors import ErrorCode, RequestError
from tickmux.tick import Mode
from tickmux.websocket_proxy.mapping import best_depth, parse_mode
from tickmux.websocket_proxy.protocol import (
    Authenticate,
    BadRequest,
    Command,
    Ping,
    Subscribe,
    Unsubscribe,
    overall,
    parse_request,
)


def parse(**message):
    return parse_request(json.dumps(message), 100)


def refusal(frame, max_items=100):
    with pytest.raises(BadRequest) as refused:
        parse_request(frame, max_items)
    return refused.value


@pytest.mark.parametrize("frame", ["", "{", "nonsense", '{"a":', b"\xff\xfe{}", "[" * 100_000, '"text"', "[]", "3"])
def test_what_is_no_json_object_is_invalid_json(frame):
    assert refusal(frame).code == ErrorCode.INVALID_JSON


@pytest.mark.parametrize("action", ["buy", 5, None, [], {}, ""])
def test_unknown_actions_are_named_with_the_known_ones(action):
    error = refusal(json.dumps({"action": action, "request_id": "r"}))
    assert error.code == ErrorCode.INVALID_ACTION
    assert "subscribe" in error.message
    assert error.request_id == "r"


@pytest.mark.parametrize("word", ["action", "type"])
@pytest.mark.parametrize("name", ["authenticate", "auth", "AUTH"])
@pytest.mark.parametrize("field", ["api_key", "apikey"])
def test_authenticate_in_all_its_spellings(word, name, field):
    request = parse(**{word: name, field: "key"})
    assert isinstance(request, Authenticate)
    assert request.api_key == "key"
    assert "key" not in repr(request)


@pytest.mark.parametrize("key", [None, "", "  ", 5, ["k"], "k" * 513])
def test_a_missing_key_is_an_authentication_error(key):
    error = refusal(json.dumps({"action": "authenticate", "api_key": key}))
    assert error.code == ErrorCode.AUTHENTICATION_ERROR
    assert error.of_auth


@pytest.mark.parametrize(
    "options",
    [{"format": "xml"}, {"encoding": 1}, {"throttle_ms": -1}, {"throttle_ms": True}, {"sequence": "yes"}, 3],
)
def test_wrong_options_are_invalid_parameters(options):
    error = refusal(json.dumps({"action": "authenticate", "api_key": "k", "options": options}))
    assert error.code == ErrorCode.INVALID_PARAMETERS


def test_options_are_off_by_default_and_unknown_ones_are_ignored():
    options = parse(action="auth", api_key="k", options={"future": 1}).options
    assert (options.format, options.encoding, options.feed_status, options.sequence) == (
        "envelope",
        "json",
        False,
        False,
    )


@pytest.mark.parametrize("mode", ["LTP", "ltp", "Ltp", 1, "1"])
def test_modes_by_name_in_any_case_or_by_number(mode):
    assert parse_mode(mode) is Mode.LTP


@pytest.mark.parametrize("mode", ["FULL", 0, 4, 1.0, True, None, [], {}])
def test_other_modes_are_invalid(mode):
    with pytest.raises(RequestError) as refused:
        parse_mode(mode)
    assert refused.value.code == ErrorCode.INVALID_MODE


def test_one_symbol_and_exchange():
    (item,) = parse(action="subscribe", symbol="sbin", exchange="nse", mode="LTP").items
    assert (item.symbol, item.exchange, item.mode, item.depth, item.error) == ("SBIN", "NSE", Mode.LTP, 5, None)


@pytest.mark.parametrize("name", ["symbols", "instruments"])
def test_a_list_of_objects_and_strings_with_their_own_modes_and_depths(name):
    request = parse(
        action="subscribe",
        mode="QUOTE",
        depth=20,
        **{
            name: [
                {"symbol": "SBIN", "exchange": "NSE"},
                "NSE:INFY",
                "NSE_INDEX:NIFTY",
                {"symbol": "TCS:50", "exchange": "NSE", "mode": 3},
                {"symbol": "X", "exchange": "NSE", "mode": "depth", "depth_level": 30},
            ]
        },
    )
    assert isinstance(request, Subscribe)
    assert [(i.symbol, i.exchange, i.mode, i.depth) for i in request.items] == [
        ("SBIN", "NSE", Mode.QUOTE, 20),
        ("INFY", "NSE", Mode.QUOTE, 20),
        ("NIFTY", "NSE_INDEX", Mode.QUOTE, 20),
        ("TCS:50", "NSE", Mode.DEPTH, 50),
        ("X", "NSE", Mode.DEPTH, 30),
    ]


def test_an_unnamed_mode_is_left_open():
    assert parse(action="unsubscribe", symbol="SBIN", exchange="NSE").items[0].mode is None


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        ({"symbol": "SBIN"}, ErrorCode.INVALID_PARAMETERS),
        ({"exchange": "NSE"}, ErrorCode.INVALID_PARAMETERS),
        ({"symbol": "", "exchange": "NSE"}, ErrorCode.INVALID_PARAMETERS),
        ({"symbol": "A" * 65, "exchange": "NSE"}, ErrorCode.INVALID_PARAMETERS),
        ({"symbol": "A\x00B", "exchange": "NSE"}, ErrorCode.INVALID_PARAMETERS),
        ({"symbol": 5, "exchange": "NSE"}, ErrorCode.INVALID_PARAMETERS),
        ({"symbol": "SBIN", "exchange": "NYSE"}, ErrorCode.INVALID_PARAMETERS),
        ({"symbol": "SBIN", "exchange": ["NSE"]}, ErrorCode.INVALID_PARAMETERS),
        ({"symbol": "SBIN", "exchange": "NSE", "mode": "ALL"}, ErrorCode.INVALID_MODE),
        ({"symbol": "SBIN", "exchange": "NSE", "depth": "many"}, ErrorCode.UNSUPPORTED_DEPTH_LEVEL),
        ({"symbol": "SBIN", "exchange": "NSE", "throttle_ms": "x"}, ErrorCode.INVALID_PARAMETERS),
        ("SBIN", ErrorCode.INVALID_PARAMETERS),
        (7, ErrorCode.INVALID_PARAMETERS),
        (None, ErrorCode.INVALID_PARAMETERS),
    ],
)
def test_a_bad_item_fails_alone(entry, code):
    good, bad = parse(action="subscribe", symbols=["NSE:SBIN", entry]).items
    assert good.error is None
    assert bad.error is not None
    assert bad.error.code == code


@pytest.mark.parametrize("symbols", [[], {}, 5, ""])
def test_a_request_that_names_nothing_is_refused(symbols):
    if symbols == {} or symbols == "":
        (item,) = parse(action="subscribe", symbols=symbols).items
        assert item.error is not None
    else:
        assert refusal(json.dumps({"action": "subscribe", "symbols": symbols})).code == ErrorCode.INVALID_PARAMETERS
    assert refusal('{"action":"subscribe"}').code == ErrorCode.INVALID_PARAMETERS


def test_a_wrong_mode_for_all_items_spoils_the_request():
    error = refusal('{"action":"subscribe","symbols":["NSE:SBIN"],"mode":"BEST","request_id":3}')
    assert (error.code, error.request_id) == (ErrorCode.INVALID_MODE, 3)


def test_too_many_items_are_refused_at_once():
    frame = json.dumps({"action": "subscribe", "symbols": ["NSE:SBIN"] * 101})
    assert refusal(frame).code == ErrorCode.SUBSCRIPTION_LIMIT


def test_ping_echoes_scalars_only():
    assert parse(action="ping", timestamp=5, _pingId="x") == Ping(None, 5, "x")
    assert parse(action="ping", timestamp={"a": 1}, _pingId=["x"]) == Ping(None, None, None)


def test_commands_and_unsubscribe():
    assert parse(type="LIST_SUBSCRIPTIONS") == Command(None, "list_subscriptions")
    assert isinstance(parse(action="unsubscribe", symbols=["NSE:SBIN"]), Unsubscribe)


@pytest.mark.parametrize(
    ("levels", "wanted", "given"), [((5,), 5, 5), ((5, 20), 30, 20), ((5, 20), 20, 20), ((5, 50), 49, 5), ((), 50, 0)]
)
def test_depth_is_the_best_at_or_below_the_request(levels, wanted, given):
    assert best_depth(levels, wanted) == given


def test_a_depth_below_all_that_is_offered_is_unsupported():
    with pytest.raises(RequestError) as refused:
        best_depth((5, 20), 1)
    assert refused.value.code == ErrorCode.UNSUPPORTED_DEPTH_LEVEL


@pytest.mark.parametrize(
    ("verdicts", "word"), [([True], "success"), ([True, False], "partial"), ([False, False], "error")]
)
def test_overall_verdict(verdicts, word):
    assert overall(verdicts) == word


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_names = st.sampled_from(
    [
        "action",
        "type",
        "api_key",
        "symbols",
        "instruments",
        "symbol",
        "exchange",
        "mode",
        "depth",
        "options",
        "throttle_ms",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_names, _json | st.sampled_from(["subscribe", "unsubscribe", "auth", "ping", "NSE", "LTP"])))
def test_no_object_does_more_than_raise_a_bad_request(message):
    try:
        parse_request(json.dumps(message), 100)
    except BadRequest as error:
        assert isinstance(error.code, ErrorCode)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_a_bad_request(frame):
    try:
        parse_request(frame, 100)
    except BadRequest as error:
        assert isinstance(error.code, ErrorCode)


@pytest.mark.parametrize(
    ("entry", "symbol", "exchange"),
    [
        ("NSE:SBIN", "SBIN", "NSE"),
        ("nifty@nse_index", "NIFTY", "NSE_INDEX"),
        ("BSE:SBIN:50", "SBIN:50", "BSE"),
        ({"symbol": "NSE:SBIN"}, "SBIN", "NSE"),
        ({"symbol": "NSE:SBIN", "exchange": "nse"}, "SBIN", "NSE"),
        ({"symbol": "NIFTY@NSE_INDEX"}, "NIFTY", "NSE_INDEX"),
        ({"symbol": "sbin:050", "exchange": "NSE"}, "SBIN:50", "NSE"),
    ],
)
def test_other_spellings_of_an_instrument_are_understood(entry, symbol, exchange):
    (item,) = parse_request(json.dumps({"action": "subscribe", "symbols": [entry]}), 10).items
    assert (item.symbol, item.exchange, item.error) == (symbol, exchange, None)
    assert item.instrument == symbol.partition(":")[0]


def test_a_spelling_that_contradicts_itself_is_refused_with_the_right_one():
    text = json.dumps({"action": "subscribe", "symbols": [{"symbol": "BSE:SBIN", "exchange": "NSE"}]})
    (item,) = parse_request(text, 10).items
    assert item.error.code == ErrorCode.INVALID_PARAMETERS
    assert '{"symbol":"SBIN","exchange":"BSE"}' in item.error.message


@pytest.mark.parametrize("entry", ["SBIN", {"symbol": "SBIN"}])
def test_where_the_exchange_is_missing_the_message_shows_how_it_is_written(entry):
    (item,) = parse_request(json.dumps({"action": "subscribe", "symbols": [entry]}), 10).items
    assert item.error.code == ErrorCode.INVALID_PARAMETERS
    assert "exchange is missing" in item.error.message
    for spelling in ("NSE:SBIN", "SBIN@NSE", '{"symbol":"SBIN","exchange":"NSE"}'):
        assert spelling in item.error.message


@pytest.mark.parametrize("entry", ["NSEINDEX:NIFTY", "NIFTY@NSEINDEX", {"symbol": "NSEINDEX:NIFTY"}])
def test_a_misspelt_exchange_beside_the_symbol_is_called_so(entry):
    (item,) = parse_request(json.dumps({"action": "subscribe", "symbols": [entry]}), 10).items
    assert item.error.code == ErrorCode.INVALID_PARAMETERS
    assert "exchange 'NSEINDEX' is unknown" in item.error.message
    assert "NSE_INDEX" in item.error.message


@pytest.mark.parametrize("options", [{"format": "xml"}, {"throttle_ms": -1}, "flat", {"feed_status": "yes"}])
def test_wrong_options_are_a_failed_authentication_that_names_what_is_possible(options):
    error = refusal(json.dumps({"action": "authenticate", "api_key": "k", "options": options}))
    assert error.of_auth
    assert error.code == ErrorCode.INVALID_PARAMETERS
    for name in ("format", "flat", "encoding", "msgpack", "feed_status", "sequence", "throttle_ms"):
        assert name in error.message


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**300])
def test_whole_numbers_that_no_encoding_can_say_are_echoed_as_text(number):
    assert parse_request(json.dumps({"action": "ping", "request_id": number}), 1).request_id == str(number)[:256]


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 0, 1.5, True])
def test_other_numbers_are_echoed_as_they_are(number):
    assert parse_request(json.dumps({"action": "ping", "request_id": number}), 1).request_id == number


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
def test_before_authentication_items_are_not_looked_at(action):
    text = json.dumps({"action": action, "symbols": "nonsense", "mode": "BEST", "request_id": 1})
    with pytest.raises(BadRequest) as caught:
        parse_request(text, 1, authenticated=False)
    assert (caught.value.code, caught.value.request_id) == (ErrorCode.NOT_AUTHENTICATED, 1)
