"""Samco's codec: what is sent, what frames mean, and that no input harms it."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker import vector_cases
from tickmux.broker.samco import BROKER
from tickmux.broker.samco.streaming.samco_mapping import SamcoCodec
from tickmux.codec import Credentials, Event, Frame, HttpRequest
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick, tick_fields

VECTORS = vector_cases.load("samco")
SBIN = Instrument(symbol="SBIN", exchange="NSE", token="3045_NSE")
TWIN = Instrument(symbol="NATURALGAS", exchange="MCX", token="3045_MFO")
NIFTY = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="-23")
UNRESOLVED = Instrument(symbol="BANKNIFTY", exchange="NSE_INDEX", token="NIFTY BANK")
OTHER = Instrument(symbol="SENSEX", exchange="BSE_INDEX", token="SENSEX")
SESSION = Credentials({"session_token": "abc%2Fdef%3D"})


def codec(*instruments: Instrument, kind: str = "quote", credentials: Credentials = SESSION) -> SamcoCodec:
    made = BROKER.adapter().codec("main")
    assert isinstance(made, SamcoCodec)
    made.open_frames(credentials)
    if instruments:
        made.subscribe(instruments, kind)
    return made


def quote(**fields: object) -> str:
    return json.dumps({"sym": "3045_NSE", "ltp": "812.35", **fields, "streaming_type": "quote"})


def one(text: str) -> Tick:
    (tick,) = codec(SBIN, kind="depth").decode(text).ticks
    return tick


def said(frames: list[Frame]) -> list[tuple[str, str, list[str]]]:
    """Stream, request and symbols of every text; each must end in the line feed without which nothing comes."""
    found = []
    for frame in frames:
        assert isinstance(frame, str)
        assert frame.endswith("}\n")
        assert frame.count("\n") == 1
        request = json.loads(frame)["request"]
        symbols = [each["symbol"] for each in request["data"]["symbols"]]
        found.append((request["streaming_type"], request["request_type"], symbols))
    return found


# -- outgoing ------------------------------------------------------------------------------------------------


def test_going_up_and_down_touches_the_books_list_only() -> None:
    session = codec(SBIN, TWIN)
    assert said(session.change([SBIN, TWIN], "quote", "depth")) == [("quote2", "subscribe", ["3045_NSE", "3045_MFO"])]
    assert said(session.change([SBIN], "depth", "quote")) == [
        ("quote2", "unsubscribe", ["3045_NSE"]),
        ("quote2", "subscribe", ["3045_MFO"]),
    ]
    assert said(session.change([TWIN], "depth", "quote")) == [("quote2", "unsubscribe", ["3045_MFO"])]


def test_unsubscribing_depth_ends_both_streams_and_restates_what_is_left() -> None:
    session = codec(SBIN, TWIN, kind="depth")
    assert said(session.unsubscribe([SBIN], "depth")) == [
        ("quote", "unsubscribe", ["3045_NSE"]),
        ("quote", "subscribe", ["3045_MFO"]),
        ("quote2", "unsubscribe", ["3045_NSE"]),
        ("quote2", "subscribe", ["3045_MFO"]),
    ]


def test_lists_keep_the_order_of_first_subscription_and_unchanged_ones_are_not_sent() -> None:
    session = codec(NIFTY, SBIN)
    assert session.subscribe([SBIN], "quote") == []
    assert said(session.subscribe([TWIN], "quote")) == [("quote", "subscribe", ["-23", "3045_NSE", "3045_MFO"])]


def test_an_index_is_never_asked_for_its_book() -> None:
    adapter = BROKER.adapter()
    assert adapter.streams(NIFTY, Mode.DEPTH, 5) == adapter.streams(SBIN, Mode.DEPTH, 5) == (("main", "depth"),)
    session = codec()
    assert said(session.subscribe([NIFTY], "depth")) == [("quote", "subscribe", ["-23"])]
    assert session.change([NIFTY], "depth", "quote") == session.change([NIFTY], "quote", "depth") == []
    assert said(session.unsubscribe([NIFTY], "depth")) == [("quote", "unsubscribe", ["-23"])]


def test_an_unresolved_index_in_depth_joins_the_list_of_quotes_only() -> None:
    session = codec()
    text, request = session.subscribe([SBIN, UNRESOLVED], "depth")[:1], session.subscribe([UNRESOLVED], "depth")[-1]
    assert said(text) == [("quote", "subscribe", ["3045_NSE"])]
    assert isinstance(request, HttpRequest)
    replies = session.decode_http(request, 200, answered("-44")).replies
    assert said(replies) == [("quote", "subscribe", ["3045_NSE", "-44"])]


@pytest.mark.parametrize("token", ["", "3045", "3045_", "NIFTY BANK", "-23", "3045_NSE\n", "٣_NSE"])
def test_what_is_no_feed_symbol_cannot_be_subscribed(token: str) -> None:
    with pytest.raises(ValueError, match="no feed symbol"):
        codec().wire_key(Instrument(symbol="X", exchange="NSE", token=token))


# -- indices whose listing id is not known -------------------------------------------------------------------


def answered(listing_id: object) -> bytes:
    return json.dumps({"status": "Success", "indexDetails": [{"listingId": listing_id}]}).encode()


def test_an_index_is_asked_for_and_subscribed_when_the_last_answer_is_there() -> None:
    session = codec(SBIN)
    first, second = session.subscribe([UNRESOLVED, OTHER], "quote")
    assert isinstance(first, HttpRequest)
    assert isinstance(second, HttpRequest)
    assert (first.method, first.url) == ("GET", "/quote/indexQuote?indexName=NIFTY%20BANK")
    assert first.headers == {"x-session-token": "abc/def="}
    assert session.decode_http(first, 200, answered("-44")).replies == []
    replies = session.decode_http(second, 200, answered(-53)).replies
    assert said(replies) == [("quote", "subscribe", ["3045_NSE", "-44", "-53"])]
    (tick,) = session.decode(quote(sym="-44")).ticks
    assert tick.instrument == UNRESOLVED
    assert said(session.unsubscribe([OTHER], "quote"))[0] == ("quote", "unsubscribe", ["-53"])
    assert session.decode(quote(sym="-53")).ticks == []


def test_an_id_is_asked_for_once_a_session_and_again_after_a_new_login() -> None:
    adapter = BROKER.adapter()
    sessions: list[Any] = []
    for credentials in (SESSION, SESSION, Credentials({"session_token": "next day"})):
        sessions.append(adapter.codec("main"))
        sessions[-1].open_frames(credentials)
        (frame,) = sessions[-1].subscribe([UNRESOLVED], "quote")
        if isinstance(frame, HttpRequest):
            sessions[-1].decode_http(frame, 200, answered("-44"))
        else:
            assert said([frame]) == [("quote", "subscribe", ["-44"])]
            assert sessions[-1] is sessions[1]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, answered("")),
        (200, answered("23")),
        (200, answered("-0")),
        (200, answered("-23_NSE")),
        (200, answered(None)),
        (200, answered(-2.5)),
        (200, answered(True)),
        (200, b'{"status":"Success","indexDetails":[]}'),
        (200, b'{"status":"Failure","statusMessage":"Invalid index name"}'),
        (200, b"not json"),
        (200, b"[" * 100_000),
        (200, b"[]"),
        (403, b""),
        (500, answered("-44")),
    ],
)
def test_an_index_without_an_id_is_refused_alone(status: int, body: bytes) -> None:
    session = codec(SBIN)
    request, other = session.subscribe([UNRESOLVED, OTHER], "quote")
    assert isinstance(request, HttpRequest)
    assert isinstance(other, HttpRequest)
    refusal = session.decode_http(request, status, body)
    assert (refusal.event, refusal.refused) == (Event.ERROR, [UNRESOLVED])
    assert UNRESOLVED not in session.kinds
    assert said(session.decode_http(other, 200, answered("-53")).replies) == [
        ("quote", "subscribe", ["3045_NSE", "-53"])
    ]


@pytest.mark.parametrize(
    ("status", "body"), [(401, b""), (200, b'{"status":"Failure","statusMessage":"Session Expired"}')]
)
def test_a_dead_session_shows_when_an_index_is_asked_for(status: int, body: bytes) -> None:
    session = codec()
    (request,) = session.subscribe([UNRESOLVED], "quote")
    assert isinstance(request, HttpRequest)
    assert session.decode_http(request, status, body).event is Event.AUTH_ERROR


def test_two_indices_with_one_id_are_not_told_apart_so_neither_is_shown() -> None:
    session = codec(NIFTY)
    (request,) = session.subscribe([UNRESOLVED], "quote")
    assert isinstance(request, HttpRequest)
    session.decode_http(request, 200, answered("-23"))
    assert session.decode(quote(sym="-23")).ticks == []
    session.unsubscribe([UNRESOLVED], "quote")
    assert [tick.instrument for tick in session.decode(quote(sym="-23")).ticks] == [NIFTY]


def test_an_index_that_nobody_wants_any_more_is_not_subscribed_when_its_id_comes() -> None:
    session = codec()
    first, second = session.subscribe([UNRESOLVED, OTHER], "quote")
    assert isinstance(first, HttpRequest)
    assert isinstance(second, HttpRequest)
    session.decode_http(first, 200, answered("-44"))
    assert said(session.unsubscribe([OTHER], "quote")) == [("quote", "subscribe", ["-44"])]
    late = session.decode_http(second, 200, answered("-53"))
    assert (late.replies, late.event) == ([], None)
    assert session.decode(quote(sym="-53")).ticks == []


# -- incoming ------------------------------------------------------------------------------------------------


def test_instruments_that_share_a_number_never_mix() -> None:
    session = codec(SBIN, TWIN)
    ticks = session.decode(f"{quote(ltp='1')}\n{quote(sym='3045_MFO', ltp='2')}\n{quote(sym='3045')}").ticks
    assert [(tick.instrument, tick.ltp) for tick in ticks] == [(SBIN, 1.0), (TWIN, 2.0)]
    session.unsubscribe([SBIN], "quote")
    assert session.decode(quote()).unrouted == 1


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("812.35", 812.35),
        ("1,23,456.05", 123456.05),
        ("1,234,567", 1234567.0),
        (" 812.35 ", 812.35),
        ("-36.98", -36.98),
        (812.35, 812.35),
        (812, 812.0),
        ("8.1e2", 810.0),
        (".5", 0.5),
    ],
)
def test_numbers_are_read(text: object, number: float) -> None:
    assert one(quote(o=text)).open == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0.00",
        "-0.0",
        "-",
        "n/a",
        "NaN",
        "inf",
        "1_0",
        "812,35",
        "8,12",
        ",812",
        "1e400",
        "9" * 40,
        None,
        True,
        [],
        {},
        "٣",
        "0x10",
        "1 2",
        10**30,
        1e300,
    ],
)
def test_what_is_no_number_is_absent_and_loses_nothing_else(text: object) -> None:
    tick = one(quote(o=text, h="813", vol=text))
    assert (tick.open, tick.volume, tick.high, tick.ltp) == (None, None, 813.0, 812.35)


@pytest.mark.parametrize("ltp", ["", "0", "0.00", "x", None])
def test_a_quote_without_a_last_price_is_no_tick(ltp: object) -> None:
    decoded = codec(SBIN).decode(quote(ltp=ltp, o="812"))
    assert (decoded.ticks, decoded.event) == ([], None)


@pytest.mark.parametrize(("text", "count"), [("45120.00", 45120), ("1,234", 1234), ("12.9", 12), ("-5", None)])
def test_quantities_are_whole_numbers_above_zero(text: str, count: int | None) -> None:
    assert one(quote(oI=text)).oi == count


NINE_FIFTEEN = 1756266302000  # 27 August 2025, 09:15:02 in India


@pytest.mark.parametrize(
    "fields",
    [
        {"lttUTC": "27 Aug 2025, 03:45:02 AM", "ltt": "1 Jan 2025, 01:00:00 AM"},
        {"ltt": "27 Aug 2025, 09:15:02 AM", "lTrdT": "1 Jan 2025, 01:00:00 AM"},
        {"lttUTC": "soon", "lTrdT": "27 aug 2025, 9:15:02 am"},
        {"lttUTC": "27/08/2025 03:45:02"},
        {"lttUTC": "", "ltt": "27/08/2025 09:15:02"},
    ],
)
def test_the_best_readable_time_is_taken(fields: dict[str, str]) -> None:
    assert one(quote(**fields)).ltt == NINE_FIFTEEN


@pytest.mark.parametrize(
    ("text", "hour"), [("12:00:00 AM", 0), ("12:59:00 PM", 12), ("11:00:00 PM", 23), ("01:00:00 AM", 1)]
)
def test_noon_and_midnight_are_told_apart(text: str, hour: int) -> None:
    ltt = one(quote(lttUTC=f"27 Aug 2025, {text}")).ltt
    assert ltt is not None
    assert ltt // 3_600_000 % 24 == hour


@pytest.mark.parametrize(
    "text",
    [
        "13 Abc 2025, 01:00:00 AM",
        "32 Aug 2025, 01:00:00 AM",
        "27 Aug 2025, 13:00:00 PM",
        "27 Aug 2025, 00:00:00 AM",
        "08/27/2025 01:00:00",
        "27/08/2025 24:00:00",
        "01/01/1970 00:00:00",
        "27/08/0000 01:00:00",
        "x" * 500,
        5,
    ],
)
def test_a_time_that_is_none_is_absent(text: object) -> None:
    assert one(quote(lttUTC=text)).ltt is None


def test_a_quote_of_price_and_time_alone_is_of_mode_ltp() -> None:
    assert one(quote(lttUTC="27/08/2025 03:45:02")).mode is Mode.LTP
    assert one(quote(o="0", vol="")).mode is Mode.LTP
    assert one(quote(vol="5")).mode is Mode.QUOTE


def depth(stream: str = "quote2", **fields: object) -> str:
    return json.dumps({"response": {"data": {"symbol": "3045_NSE", **fields}, "streaming_type": stream}})


LEVEL = {"no": "2", "price": "812.35", "qty": "79"}


@pytest.mark.parametrize("stream", ["quote2", "marketDepth", "marketdata"])
def test_all_names_of_the_depth_stream_are_understood(stream: str) -> None:
    tick = one(depth(stream, bidValues=[LEVEL], askValues=[], tbq="79"))
    assert tick.mode is Mode.DEPTH
    assert tick_fields(tick) == {
        "total_buy_quantity": 79,
        "depth": {"buy": [{"price": 812.35, "quantity": 79, "orders": 2}], "sell": []},
    }


def test_levels_that_are_none_are_left_out_and_no_side_has_more_than_five() -> None:
    bad = [{"price": "0", "qty": "5"}, {"price": "1", "qty": "0"}, {"price": "-0.01", "qty": "5"}, "x"]
    tick = one(depth(bidValues=[*bad, {"price": "1", "qty": "2", "no": "0"}], askValues=[LEVEL] * 9))
    assert tick.depth is not None
    assert [(level.price, level.quantity, level.orders) for level in tick.depth.buy] == [(1.0, 2, None)]
    assert len(tick.depth.sell) == 5


def test_a_depth_frame_without_a_side_says_nothing_of_the_book() -> None:
    assert one(depth(tbq="5")).depth is None
    assert codec(SBIN).decode(depth()).ticks == []


@pytest.mark.parametrize(
    ("text", "event", "ticks"),
    [
        ("", None, 0),
        ("\n \r\n", None, 0),
        ("not json", Event.MALFORMED, 0),
        (f"{quote()}\n" + '{"cut', Event.MALFORMED, 1),
        ("{}", Event.ACK, 0),
        ("[]", Event.ACK, 0),
        ('{"status":"Success"}', Event.ACK, 0),
        ('{"streaming_type":"quote3","sym":"3045_NSE","ltp":"1"}', Event.ACK, 0),
        ('{"status":"Failure","statusMessage":"Invalid symbol"}', Event.ERROR, 0),
        ('{"status":"FAILURE","statusMessage":"Session Expired"}', Event.AUTH_ERROR, 0),
        ('{"response":{"status":"Failure","statusMessage":"invalid Token"}}', Event.AUTH_ERROR, 0),
        ('{"status":"Failure"}', Event.ERROR, 0),
        ('{"status":"Failure","statusMessage":"session"}\nnot json\n{}', Event.AUTH_ERROR, 0),
        ("[" * 100_000, Event.MALFORMED, 0),
        ('{"sym":["3045_NSE"],"ltp":"1","streaming_type":"quote"}', None, 0),
        ('{"sym":"3045_NSE","ltp":"1","streaming_type":["quote"]}', Event.ACK, 0),
    ],
)
def test_other_texts_are_what_they_say(text: str, event: Event | None, ticks: int) -> None:
    for frame in (text, text.encode()):
        decoded = codec(SBIN).decode(frame)
        assert (decoded.event, len(decoded.ticks)) == (event, ticks)


def test_the_brokers_words_are_passed_on_without_the_token() -> None:
    decoded = codec().decode('{"status":"Failure","statusMessage":"Invalid session abc/def= given"}')
    assert decoded.message == "Invalid session … given"


# -- hostile input -------------------------------------------------------------------------------------------

KEYS = [
    "response", "data", "streaming_type", "sym", "symbol", "ltp", "o", "vol", "ltt", "status", "statusMessage",
    "bidValues", "askValues", "price", "qty", "no",
]  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["3045_NSE", "812.35", "quote", "quote2", "Failure", "27/08/2025 03:45:02"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.text(max_size=30) | st.binary(max_size=30).map(lambda raw: raw.decode("latin-1")) | JSON.map(json.dumps)
    )
)
def test_no_text_makes_it_raise_or_say_what_is_no_number(pieces: list[str]) -> None:
    session = codec(SBIN, NIFTY, kind="depth")
    frame = "\n".join(pieces)
    for decoded in (session.decode(frame), session.decode(frame.encode("utf-8", "surrogatepass"))):
        for tick in decoded.ticks:
            assert tick.instrument in (SBIN, NIFTY)
            json.dumps(tick_fields(tick), allow_nan=False)
    assert len(session.routes) == 2


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_damaged_frame_of_the_vectors_never_gives_another_price(data: st.DataObject) -> None:
    item = data.draw(st.sampled_from([item for item in VECTORS["incoming"] if item["expect"]]))
    text = item["frames"][0]["text"]
    cut = data.draw(st.integers(0, len(text)))
    session = codec(SBIN, NIFTY, kind="depth")
    for tick in session.decode(text[:cut]).ticks:
        expected = next(each for each in item["expect"] if each["symbol"] == tick.instrument.symbol)
        assert tick_fields(tick).items() <= {**expected, "ltp": expected.get("ltp")}.items()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 600), st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_answer_makes_it_raise(status: int, body: bytes) -> None:
    session = codec()
    (request,) = session.subscribe([UNRESOLVED], "quote")
    assert isinstance(request, HttpRequest)
    assert session.decode_http(request, status, body).ticks == []
