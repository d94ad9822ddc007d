"""5paisa's codec and adapter beyond the shared vectors: segments, no values, dates, books, methods, hosts."""

import asyncio
import json
import math
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tickmux.broker.fivepaisa import BROKER
from tickmux.broker.fivepaisa.access_token import Claims, read_claims
from tickmux.broker.fivepaisa.login import FivepaisaLogin
from tickmux.broker.fivepaisa.streaming.fivepaisa_adapter import FivepaisaAdapter
from tickmux.broker.fivepaisa.streaming.fivepaisa_mapping import FivepaisaCodec
from tickmux.codec import Credentials, Decoded, Event
from tickmux.instrument import Instrument
from tickmux.simulator.fivepaisa import jwt
from tickmux.tick import Depth, DepthLevel, Mode, Tick, tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable


def row(symbol: str, exchange: str, token: str) -> Instrument:
    return Instrument(symbol=symbol, exchange=exchange, token=token)


SBIN = row("SBIN", "NSE", "3045")
GAIL = row("GAIL", "NSE", "1143")
RELIANCE = row("RELIANCE", "BSE", "500325")
FUTURE = row("NIFTY28AUG25FUT", "NFO", "53001")
USDINR = row("USDINR26SEP25FUT", "CDS", "1143")
BCD = row("USDINR26SEP25FUT", "BCD", "1143")
CRUDE = row("CRUDEOIL18SEP25FUT", "MCX", "1143")
NIFTY = row("NIFTY", "NSE_INDEX", "999920000")
EVERYTHING = (SBIN, GAIL, RELIANCE, FUTURE, USDINR, BCD, CRUDE, NIFTY)
MOMENT = 1_756_266_302_000
CLIENT = "58008888"


def codec(*instruments: Instrument, kind: str = "depth+oi", token: str = "") -> FivepaisaCodec:
    made = FivepaisaCodec()
    assert made.open_frames(Credentials({"client_code": CLIENT, "access_token": token})) == []
    made.subscribe(instruments, kind)
    return made


def named(token: Any = 3045, exchange: Any = "N", segment: Any = "C", **fields: Any) -> dict[str, Any]:
    return {"Exch": exchange, "ExchType": segment, "Token": token, **fields}


def only(decoded: Decoded) -> Tick:
    (tick,) = decoded.ticks
    assert (decoded.event, decoded.unrouted, decoded.unknown) == (None, 0, 0)
    return tick


def read(message: Any, *instruments: Instrument) -> Decoded:
    return codec(*(instruments or EVERYTHING)).decode(json.dumps(message))


def requests(frames: Any) -> list[tuple[str, str, list[int]]]:
    found = [json.loads(frame) for frame in frames]
    assert all(each["ClientCode"] == CLIENT for each in found)
    return [
        (each["Operation"], each["Method"], [scrip["ScripCode"] for scrip in each["MarketFeedData"]])
        for each in found
    ]


# -- routing ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exchange", "segment", "owner"), [("N", "C", GAIL), ("N", "U", USDINR), ("B", "U", BCD), ("M", "D", CRUDE)]
)
def test_a_code_of_several_segments_never_mixes(exchange: str, segment: str, owner: Instrument) -> None:
    message = named(1143, exchange, segment, LastRate=87.5)
    assert only(read(message)).instrument == owner
    others = [one for one in EVERYTHING if one is not owner]
    assert read(message, *others) == Decoded(unrouted=1)


def test_two_rows_that_claim_one_code_get_no_price_until_one_is_left() -> None:
    twin = row("OTHER", "NSE", "3045")
    both = codec(SBIN, twin)
    message = json.dumps(named(LastRate=5.0))
    assert both.decode(message) == Decoded(unrouted=1)
    both.unsubscribe([twin], "depth")
    assert only(both.decode(message)).instrument == SBIN


@pytest.mark.parametrize("token", ["3045", 3045])
def test_a_code_may_be_written_as_text(token: Any) -> None:
    assert only(read(named(token, LastRate=5.0))).instrument == SBIN


@pytest.mark.parametrize(
    ("exchange", "token"), [("NCO", "1"), ("NCDEX", "1"), ("NSE", ""), ("NSE", "0"), ("NSE", "1.0"), ("NSE", "९")]
)
def test_what_the_wire_cannot_name_is_refused(exchange: str, token: str) -> None:
    with pytest.raises(ValueError, match="X: "):
        codec().wire_key(row("X", exchange, token))


# -- values ----------------------------------------------------------------------------------------------

FEED = {
    "LastRate": 812.35, "LastQty": 9, "TotalQty": 6565771, "High": 818.9, "Low": 806.15, "OpenRate": 810.5,
    "PClose": 807.35, "AvgRate": 813.87, "TBidQ": 412350, "TOffQ": 512098,
}  # fmt: skip


@pytest.mark.parametrize("nothing", [0, 0.0, -0.0, None, "", "5", True, [], {}, 1e300, -1e300])
@pytest.mark.parametrize("field", FEED)
def test_what_is_no_value_is_absent_and_costs_nothing_else(field: str, nothing: Any) -> None:
    whole = tick_fields(only(read(named(**FEED))))
    decoded = read(named(**FEED | {field: nothing}))
    if field == "LastRate":
        assert decoded == Decoded(ticks=[])
        return
    found = tick_fields(only(decoded))
    assert len(found) == len(whole) - 1
    assert found.items() <= whole.items()


def test_prices_may_be_negative_and_quantities_may_not() -> None:
    """Crude oil has closed below zero; a negative quantity is an overflow."""
    tick = only(read(named(1143, "M", "D", **dict.fromkeys(FEED, -5))))
    prices = {"ltp", "open", "high", "low", "close", "avg_trade_price"}
    assert tick_fields(tick) == dict.fromkeys(prices, -5.0)
    assert only(read(named(1143, "M", "D", Details=[level(-5, 1, 66), level(-6, -1, 66)]))).depth == Depth(
        [DepthLevel(-5.0, 1, 3)], []
    )


def test_a_feed_object_of_price_quantity_and_time_alone_is_an_ltp_tick() -> None:
    tick = only(read(named(LastRate=812, LastQty=5, TickDt="/Date(1756266302000)/", ChgPcnt=0.2, BidRate=812)))
    assert (tick.mode, tick_fields(tick)) == (
        Mode.LTP,
        {"ltp": 812.0, "last_trade_quantity": 5, "timestamp": MOMENT},
    )
    for field in ("OpenRate", "High", "Low", "PClose", "TotalQty", "AvgRate", "TBidQ", "TOffQ"):
        assert only(read(named(LastRate=812.0, **{field: 5}))).mode is Mode.QUOTE


@pytest.mark.parametrize(
    ("date", "moment"),
    [
        ("/Date(1756266302000)/", MOMENT),
        ("/Date(1756266302000+0530)/", MOMENT),
        ("/Date(1756266302000-0800)/", MOMENT),
        ("/Date(0)/", None),
        ("/Date(-62135596800000)/", None),
        ("/Date(999999999999999)/", None),
        ("/Date(17562663020000000000)/", None),
        ("/Date(१७५६२६६३०२०००)/", None),
        ("x/Date(1756266302000)/", None),
        ("", None),
        (MOMENT, None),
        (None, None),
    ],
)
def test_a_date_is_its_number_in_utc(date: Any, moment: int | None) -> None:
    assert only(read(named(LastRate=5.0, TickDt=date))).timestamp == moment
    assert only(read(named(Details=[], Time=date))).timestamp == moment
    assert only(read(named(Details=[], Time=date, TimeStamp=MOMENT + 1))).timestamp == (moment or MOMENT + 1)


def test_the_escaped_slashes_of_microsoft_dates_are_read() -> None:
    text = r'[{"Exch":"N","ExchType":"C","Token":3045,"LastRate":5,"TickDt":"\/Date(1756266302000)\/"}]'
    assert only(codec(SBIN).decode(text)).timestamp == MOMENT
    assert only(codec(SBIN).decode(text.encode())).timestamp == MOMENT


def level(price: Any, quantity: Any, flag: Any, orders: Any = 3) -> dict[str, Any]:
    return {"Price": price, "Quantity": quantity, "NumberOfOrders": orders, "BbBuySellFlag": flag}


def test_a_book_is_sorted_whatever_its_order_and_empty_levels_are_dropped() -> None:
    details = [
        level(101.5, 1, 83), level(99.0, 2, 66), level(0, 5, 66), level(101.0, 3, 83, 0), level(99.5, 4, 66),
        level(98.0, 0, 66), level(97.0, 9, 70), level(-0.01, 9, 83), level(None, 9, 83), "x", None, {},
    ]  # fmt: skip
    tick = only(read(named(Details=details, TBidQ=6, TOffQ=0, LastRate=100.0)))
    assert (tick.mode, tick_fields(tick)) == (
        Mode.DEPTH,
        {
            "total_buy_quantity": 6,
            "depth": {
                "buy": [{"price": 99.5, "quantity": 4, "orders": 3}, {"price": 99.0, "quantity": 2, "orders": 3}],
                "sell": [{"price": 101.0, "quantity": 3}, {"price": 101.5, "quantity": 1, "orders": 3}],
            },
        },
    )


def test_an_empty_book_is_told_and_a_broken_one_is_not_made_up() -> None:
    assert tick_fields(only(read(named(Details=[])))) == {"depth": {"buy": [], "sell": []}}
    nothing: tuple[Any, ...] = (None, 5, {}, "x")
    for broken in nothing:
        assert read(named(Details=broken, LastRate=5.0)) == Decoded(ticks=[])


@pytest.mark.parametrize("oi", [0, None, -1, "5"])
def test_open_interest_is_a_tick_only_where_there_is_some(oi: Any) -> None:
    assert read(named(53001, "N", "D", OpenInterest=oi)) == Decoded(ticks=[])
    tick = only(read(named(53001, "N", "D", OpenInterest=15234525, DayHiOI=1, DayLoOI=1)))
    assert (tick.mode, tick_fields(tick)) == (Mode.QUOTE, {"oi": 15234525})
    assert only(read(named(LastRate=5.0, OpenInterest=7))).oi is None


# -- frames ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "event", "unknown"),
    [
        ("PONG", Event.HEARTBEAT, 0),
        (" PING\n", Event.HEARTBEAT, 0),
        ('{"Message":"Invalid client","Status":1}', Event.ERROR, 0),
        ("{}", Event.ERROR, 0),
        ("", Event.MALFORMED, 0),
        ("hello", Event.MALFORMED, 0),
        ("[]", None, 0),
        ("5", None, 1),
        ('[1,"x",null]', None, 3),
        ('{"ReqType":"P"}', None, 0),
        (json.dumps(named(Other=1)), None, 1),
        (json.dumps(named([], LastRate=5)), None, 1),
        (json.dumps(named(exchange=["N"], LastRate=5)), None, 1),
        (json.dumps(named(True, LastRate=5)), None, 1),
        (json.dumps(named(3045.0, LastRate=5)), None, 1),
    ],
)
def test_what_is_no_market_data_is_an_event_or_counted(text: str, event: Event | None, unknown: int) -> None:
    decoded = codec(SBIN).decode(text)
    assert (decoded.event, decoded.unknown, decoded.ticks) == (event, unknown, [])


def test_objects_of_an_array_are_handled_in_order_and_a_bad_one_costs_itself_only() -> None:
    decoded = read([named(LastRate=5.0), {"Message": "x"}, 7, named(22, LastRate=1.0), named(LastRate=6.0)])
    assert [tick.ltp for tick in decoded.ticks] == [5.0, 6.0]
    assert (decoded.event, decoded.unknown, decoded.unrouted) == (Event.ERROR, 1, 1)


def test_the_brokers_words_hold_no_token_and_end() -> None:
    decoded = codec(SBIN, token="ey.s3cret.x").decode(json.dumps({"Message": "bad ey.s3cret.x " + "y" * 500}))
    assert decoded.message.startswith("bad … yyy")
    assert len(decoded.message) == 200


# -- out -------------------------------------------------------------------------------------------------


def test_the_keys_of_a_request_have_their_order() -> None:
    (frame,) = codec().subscribe([SBIN], "feed")
    assert frame == (
        '{"Method":"MarketFeedV3","Operation":"Subscribe","ClientCode":"58008888",'
        '"MarketFeedData":[{"Exch":"N","ExchType":"C","ScripCode":3045}]}'
    )


def test_a_frame_holds_fifty_scrips_of_one_method() -> None:
    many = [row(f"S{number}", "NFO", str(number)) for number in range(1, 61)]
    assert [(method, codes[0], len(codes)) for _, method, codes in requests(codec().subscribe(many, "feed+oi"))] == [
        ("MarketFeedV3", 1, 50),
        ("MarketFeedV3", 51, 10),
        ("GetScripInfoForFuture", 1, 50),
        ("GetScripInfoForFuture", 51, 10),
    ]


@pytest.mark.parametrize(
    ("old", "new", "steps"),
    [
        ("feed", "depth", [("Subscribe", "MarketDepthService")]),
        ("depth", "feed", [("Unsubscribe", "MarketDepthService")]),
        ("feed", "feed+oi", [("Subscribe", "GetScripInfoForFuture")]),
        ("feed", "depth+oi", [("Subscribe", "MarketDepthService"), ("Subscribe", "GetScripInfoForFuture")]),
        ("depth+oi", "feed+oi", [("Unsubscribe", "MarketDepthService")]),
        ("depth+oi", "feed", [("Unsubscribe", "MarketDepthService"), ("Unsubscribe", "GetScripInfoForFuture")]),
    ],
)
def test_a_change_sends_only_what_differs(old: str, new: str, steps: list[tuple[str, str]]) -> None:
    subject = codec(FUTURE, kind=old)
    assert [step[:2] for step in requests(subject.change([FUTURE], old, new))] == steps


def test_what_stays_silent_while_others_tick_is_asked_for_once_more_and_then_reported() -> None:
    subject = codec(SBIN, FUTURE, kind="feed+oi")
    ticking = json.dumps(named(LastRate=5.0))
    told = []
    for _ in range(10):
        assert subject.decode(ticking).event in (None, Event.ERROR)
        told.append(requests(subject.heartbeat_frames()))
    asked = [each for each in told if each]
    assert asked == [
        [("Subscribe", "MarketFeedV3", [53001]), ("Subscribe", "GetScripInfoForFuture", [53001])],
    ]


def test_the_report_names_what_is_silent_and_comes_once() -> None:
    subject = codec(SBIN, FUTURE, kind="feed")
    reports = []
    for _ in range(10):
        decoded = subject.decode(json.dumps(named(LastRate=5.0)))
        reports += [decoded.message] if decoded.event is Event.ERROR else []
        assert decoded.ticks
        subject.heartbeat_frames()
    assert len(reports) == 1
    assert "NIFTY28AUG25FUT" in reports[0]


def test_a_quiet_market_makes_nothing_suspicious() -> None:
    subject = codec(SBIN, FUTURE, kind="feed")
    assert [subject.heartbeat_frames() for _ in range(10)] == [[]] * 10
    assert subject.decode(json.dumps(named(LastRate=5.0))).event is None


# -- adapter ---------------------------------------------------------------------------------------------


def address(token: str, expires_at: float | None = None, clock: float = 0.0) -> str:
    async def ask() -> str:
        async with httpx.AsyncClient(trust_env=False) as http:
            credentials = Credentials({"access_token": token, "client_code": CLIENT}, expires_at)
            return (await FivepaisaAdapter(clock=lambda: clock).endpoint("main", credentials, http)).url

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("server", "base"),
    [
        ("A", "wss://aopenfeed.5paisa.com/feeds/api/chat"),
        ("B", "wss://bopenfeed.5paisa.com/feeds/api/chat"),
        ("C", "wss://openfeed.5paisa.com/feeds/api/chat"),
        ("D", "wss://openfeed.5paisa.com/Feeds/api/chat"),
        (None, "wss://openfeed.5paisa.com/Feeds/api/chat"),
        (["A"], "wss://openfeed.5paisa.com/Feeds/api/chat"),
    ],
)
def test_the_token_chooses_the_host(server: Any, base: str) -> None:
    token = jwt({"RedirectServer": server}, "sig")
    assert address(token) == f"{base}?Value1={token}%7C58008888"


def test_the_token_is_escaped_in_the_address() -> None:
    assert address("a/b+c=&").endswith("/Feeds/api/chat?Value1=a%2Fb%2Bc%3D%26%7C58008888")


def test_an_expired_token_is_noticed_before_connecting() -> None:
    token = jwt({"exp": 1000, "RedirectServer": "A"}, "sig")
    session = FivepaisaLogin().from_token(
        {"access_token": token, "client_code": CLIENT}, datetime.fromtimestamp(900, UTC)
    )
    assert address(token, session.expires_at, clock=999.0).startswith("wss://aopenfeed")
    with pytest.raises(AuthRejected, match="log in again") as refused:
        address(token, session.expires_at, clock=1000.0)
    assert token not in str(refused.value)


@pytest.mark.parametrize(
    "token", ["", "plain", "a.b", "a.b.c.d", "a.!!!.c", "a.W10.c", "a.eyJ4.c", "ä.ä.ä", "a.\ud800.c"]
)
def test_a_token_that_cannot_be_read_says_nothing(token: str) -> None:
    assert read_claims(token) == Claims()


@pytest.mark.parametrize("expiry", [0, -1, "1000", True, 1e300, None, []])
def test_an_expiry_that_is_none_is_unknown(expiry: Any) -> None:
    assert read_claims(jwt({"exp": expiry, "RedirectServer": "A"}, "s")) == Claims(None, "A")


def test_limits_and_streams() -> None:
    adapter = BROKER.adapter()
    main = adapter.channels["main"]
    assert (main.symbol_limit, main.connection_limit, main.batch, main.frame_gap) == (3000, 1, 50, 0.5)
    kinds = {one: [adapter.streams(one, mode, 5)[0].kind for mode in Mode] for one in (SBIN, FUTURE, USDINR, NIFTY)}
    assert kinds == {
        SBIN: ["feed", "feed", "depth"],
        FUTURE: ["feed", "feed+oi", "depth+oi"],
        USDINR: ["feed", "feed", "depth"],
        NIFTY: ["feed", "feed", "feed"],
    }
    assert adapter.streams(CRUDE, Mode.QUOTE, 5)[0].kind == "feed+oi"
    assert (adapter.depth_levels("CDS"), adapter.depth_levels("BSE_INDEX")) == ((5,), ())
    assert isinstance(adapter.handshake_failure(403, "", {}, b""), AuthRejected)
    assert isinstance(adapter.handshake_failure(503, "", {}, b""), Unavailable)


# -- hostile ---------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["/Date(1756266302000)/", "/Date(5+0530)/", 66, 83, 3045]),
    st.lists(st.integers(), max_size=1),
)
LEVELS = st.dictionaries(st.sampled_from(["Price", "Quantity", "NumberOfOrders", "BbBuySellFlag"]), VALUES)
OBJECTS = st.builds(
    lambda name, fields: {**name, **fields},
    st.sampled_from([{}, named(), named("3045"), named(53001, "N", "D"), named(1143, "N", "U"), named(1)]),
    st.dictionaries(
        st.sampled_from(
            [*FEED, "TickDt", "Time", "TimeStamp", "OpenInterest", "Token", "Exch", "Message", "ReqType"]
        ),
        VALUES,
    )
    | st.fixed_dictionaries({"Details": st.lists(LEVELS, max_size=6) | VALUES, "Time": VALUES, "TimeStamp": VALUES}),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(OBJECTS | VALUES, max_size=4) | OBJECTS, st.integers(0, 40))
def test_no_object_makes_up_a_price(message: Any, cut: int) -> None:
    text = json.dumps(message)
    decoded = codec(*EVERYTHING).decode(text[: max(0, len(text) - cut)])
    for tick in decoded.ticks:
        book = tick.depth.buy + tick.depth.sell if tick.depth else []
        prices = [tick.ltp, tick.open, tick.high, tick.low, tick.close]
        assert all(price is None or (0 < abs(price) < 1e12 and math.isfinite(price)) for price in prices)
        assert all(0 < one.price < 1e12 for one in book)
        counts = [tick.volume, tick.oi, tick.timestamp, tick.total_buy_quantity, *(one.quantity for one in book)]
        assert all(count is None or (type(count) is int and count > 0) for count in counts)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=200)))
@example("[" * 100_000)
@example('{"Details":' * 10_000)
@example("\ud800")
@example('{"Token":1' + "0" * 6000 + "}")
def test_no_frame_makes_the_decoder_raise_or_remember(frame: bytes | str) -> None:
    subject = codec(*EVERYTHING)
    before = dict(vars(subject))
    assert subject.decode(frame).ticks == []
    assert vars(subject) == before
