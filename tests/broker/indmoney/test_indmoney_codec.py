"""INDmoney's codec and adapter beyond the shared vectors: bare ids, nested JSON, merging, modes, limits."""

import asyncio
import json
import math
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tickmux.broker.indmoney import BROKER
from tickmux.broker.indmoney.streaming.indmoney_mapping import IndmoneyCodec
from tickmux.codec import Credentials, Decoded, Event
from tickmux.instrument import Instrument
from tickmux.tick import Mode, tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable


def row(symbol: str, exchange: str, token: str) -> Instrument:
    return Instrument(symbol=symbol, exchange=exchange, token=token)


RELIANCE = row("RELIANCE", "NSE", "2885")
SBIN = row("SBIN", "BSE", "500112")
FUTURE = row("NIFTY28AUG25FUT", "NFO", "51011")
TWIN = row("BANKNIFTY28AUG25FUT", "NFO", "2885")
NIFTY = row("NIFTY", "NSE_INDEX", "40000001")
EVERYTHING = (RELIANCE, SBIN, FUTURE, NIFTY)
MOMENT = 1_756_266_300_123


def codec(*instruments: Instrument, kind: str = "quote", **session: str) -> IndmoneyCodec:
    made = IndmoneyCodec()
    assert made.open_frames(Credentials(session)) == []
    made.subscribe(instruments, kind)
    return made


def update(name: Any = "2885", mode: str = "full", timestamp: Any = MOMENT, **data: Any) -> dict[str, Any]:
    return {"mode": mode, "instrument": name, "timestamp": timestamp, "data": data}


def wire(message: Any) -> str:
    return json.dumps(json.dumps(message)) + "\n"


def shown(decoded: Decoded) -> list[tuple[str, dict[str, Any]]]:
    return [(tick.instrument.symbol, tick_fields(tick)) for tick in decoded.ticks]


def requests(frames: Any) -> list[tuple[str, str, list[str]]]:
    found = [json.loads(frame) for frame in frames]
    return [(one["action"], one["mode"], one["instruments"]) for one in found]


# -- routing ---------------------------------------------------------------------------------------------


def test_an_id_of_two_segments_gives_no_price_unless_the_segment_is_told() -> None:
    both = codec(RELIANCE, TWIN)
    assert both.decode(wire(update(ltp=1389.0))) == Decoded(unrouted=1)
    assert shown(both.decode(wire(update("NSE:2885", "ltp", ltp=1389.0)))) == [
        ("RELIANCE", {"ltp": 1389.0, "timestamp": MOMENT})
    ]
    assert shown(both.decode(wire(update("NFO:2885", "ltp", ltp=56012.4)))) == [
        ("BANKNIFTY28AUG25FUT", {"ltp": 56012.4, "timestamp": MOMENT})
    ]
    assert both.decode(wire(update("BSE:2885", ltp=5.0))) == Decoded(unrouted=1)


@pytest.mark.parametrize(("gone", "left"), [(RELIANCE, TWIN), (TWIN, RELIANCE)])
def test_a_bare_id_is_one_instruments_again_once_its_namesake_is_gone(gone: Instrument, left: Instrument) -> None:
    both = codec(RELIANCE, TWIN)
    both.decode(wire(update("NSE:2885", ltp=1389.0, open=1380.0)))
    both.decode(wire(update("NFO:2885", ltp=56012.4, open=56000.0)))
    both.unsubscribe([gone], "quote")
    (tick,) = both.decode(wire(update(ltp=7.0))).ticks
    assert tick.instrument == left
    assert tick.open == (1380.0 if left is RELIANCE else 56000.0)
    both.unsubscribe([left], "quote")
    assert both.decode(wire(update(ltp=7.0))) == Decoded(unrouted=1)
    assert both.routes == {}
    assert not both._namesakes
    assert not both._records


def test_two_rows_that_claim_the_same_id_of_one_segment_get_no_price() -> None:
    assert codec(RELIANCE, row("OTHER", "NSE", "2885")).decode(wire(update(ltp=5.0))) == Decoded(unrouted=1)


@pytest.mark.parametrize(
    ("exchange", "token"),
    [("MCX", "1"), ("CDS", "1"), ("NSE", ""), ("NSE", "-1"), ("NSE", "1.5"), ("NSE", "९"), ("NSE", "9" * 21)],
)
def test_what_the_wire_cannot_name_is_refused(exchange: str, token: str) -> None:
    with pytest.raises(ValueError, match="X: "):
        codec().wire_key(row("X", exchange, token))


# -- merging ---------------------------------------------------------------------------------------------


def test_every_field_has_its_place_and_close_and_change_have_none() -> None:
    message = update(
        "51011", ltp=24712.4, open=24780, high=24812.65, low=24650.1, close=24712.4, volume=1842375, oi=15234525,
        oi_change=5, average_price=24733.41, total_buy_qty=412350, total_sell_qty=512098, ltq=75,
        ltt=1_756_266_303, bid_price=24712, bid_qty=150, ask_price=24712.9, ask_qty=225, change=1, change_percent=2,
        upper_circuit=27000, lower_circuit=22000,
    )  # fmt: skip
    decoded = codec(*EVERYTHING).decode(wire(message))
    assert shown(decoded) == [
        (
            "NIFTY28AUG25FUT",
            {
                "ltp": 24712.4,
                "ltt": 1_756_266_303_000,
                "timestamp": MOMENT,
                "open": 24780.0,
                "high": 24812.65,
                "low": 24650.1,
                "volume": 1842375,
                "last_trade_quantity": 75,
                "avg_trade_price": 24733.41,
                "total_buy_quantity": 412350,
                "total_sell_quantity": 512098,
                "oi": 15234525,
                "depth": {
                    "buy": [{"price": 24712.0, "quantity": 150}],
                    "sell": [{"price": 24712.9, "quantity": 225}],
                },
            },
        )
    ]
    assert decoded.ticks[0].mode is Mode.QUOTE


@pytest.mark.parametrize("nothing", [0, 0.0, -0.0, None, "", "0", "abc", "nan", "inf", "1_0", "९", True, [], {}])
def test_what_is_no_value_leaves_the_old_one(nothing: Any) -> None:
    subject = codec(RELIANCE)
    full: dict[str, Any] = {
        "ltp": 100.5, "open": 99, "volume": 7, "oi": 3, "ltq": 2, "ltt": MOMENT, "average_price": 100.25,
        "bid_price": 100.45, "bid_qty": 5, "ask_price": 100.5, "ask_qty": 6,
    }  # fmt: skip
    (first,) = subject.decode(wire(update(**full))).ticks
    (second,) = subject.decode(wire(update(**dict.fromkeys(full, nothing)))).ticks
    assert second == first


def test_numbers_may_be_written_as_text() -> None:
    (tick,) = codec(RELIANCE).decode(wire(update(ltp="1389.05", volume="4812345", ltt="1756266303950"))).ticks
    assert (tick.ltp, tick.volume, tick.ltt) == (1389.05, 4812345, 1756266303950)


def test_a_book_has_one_side_or_none_and_a_size_only_where_one_was_told() -> None:
    subject = codec(RELIANCE)
    (tick,) = subject.decode(wire(update(ltp=5, bid_qty=9))).ticks
    assert tick.depth is None
    (tick,) = subject.decode(wire(update(ask_price=5.05))).ticks
    assert tick_fields(tick)["depth"] == {"buy": [], "sell": [{"price": 5.05}]}
    (tick,) = subject.decode(wire(update(bid_price=4.95))).ticks
    assert tick_fields(tick)["depth"] == {"buy": [{"price": 4.95, "quantity": 9}], "sell": [{"price": 5.05}]}


def test_an_update_before_any_price_is_kept_but_no_tick() -> None:
    subject = codec(RELIANCE)
    assert subject.decode(wire(update(mode="quote", open=99.0))).ticks == []
    assert shown(subject.decode(wire(update(mode="ltp", ltp=100.0)))) == [
        ("RELIANCE", {"ltp": 100.0, "timestamp": MOMENT})
    ]
    assert shown(subject.decode(wire(update(mode="quote", high=101.0)))) == [
        ("RELIANCE", {"ltp": 100.0, "open": 99.0, "high": 101.0, "timestamp": MOMENT})
    ]


@pytest.mark.parametrize("timestamp", [None, 0, -1, "x", 10**15, 1e300, True])
def test_a_time_that_is_none_is_absent(timestamp: Any) -> None:
    (tick,) = codec(RELIANCE).decode(wire(update(timestamp=timestamp, ltp=5.0))).ticks
    assert (tick.timestamp, tick.ltt) == (None, None)


def test_what_is_no_longer_subscribed_as_quote_does_not_come_back_old() -> None:
    subject = codec(RELIANCE)
    subject.decode(wire(update(ltp=100.0, open=99.0, bid_price=99.95)))
    subject.change([RELIANCE], "quote", "ltp")
    assert shown(subject.decode(wire(update(mode="ltp", ltp=101.0)))) == [
        ("RELIANCE", {"ltp": 101.0, "timestamp": MOMENT})
    ]
    subject.change([RELIANCE], "ltp", "quote")
    assert shown(subject.decode(wire(update(mode="quote", high=102.0)))) == [
        ("RELIANCE", {"ltp": 101.0, "high": 102.0, "timestamp": MOMENT})
    ]


def test_a_new_session_of_an_instrument_starts_with_nothing() -> None:
    subject = codec(RELIANCE)
    subject.decode(wire(update(ltp=100.0, open=99.0)))
    subject.unsubscribe([RELIANCE], "quote")
    subject.subscribe([RELIANCE], "quote")
    assert subject.decode(wire(update(mode="quote", high=102.0))).ticks == []


# -- frames ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "frame",
    [
        json.dumps(update(mode="ltp", ltp=5.0)),
        wire(update(mode="ltp", ltp=5.0)),
        json.dumps(wire(update(mode="ltp", ltp=5.0))),
        json.dumps([update(mode="ltp", ltp=5.0)]),
        json.dumps([json.dumps([json.dumps(update(mode="ltp", ltp=5.0))])]),
        f"\n \r\n{wire(update(mode='ltp', ltp=5.0))}\r\n",
        json.dumps(update(2885, mode="ltp", ltp=5.0)),
        wire(update(mode="ltp", ltp=5.0)).encode(),
    ],
)
def test_json_may_be_wrapped_in_json(frame: str | bytes) -> None:
    decoded = codec(RELIANCE).decode(frame)
    assert shown(decoded) == [("RELIANCE", {"ltp": 5.0, "timestamp": MOMENT})]
    assert decoded.event is None


def test_lines_and_elements_are_handled_in_order_and_a_bad_one_costs_itself_only() -> None:
    first, second = (update(mode="ltp", ltp=price) for price in (5.0, 6.0))
    frame = f"{json.dumps([first, second])}\n{{broken\n{wire(update('500112', 'ltp', ltp=7.0))}"
    decoded = codec(*EVERYTHING).decode(frame)
    assert [(tick.instrument.symbol, tick.ltp) for tick in decoded.ticks] == [
        ("RELIANCE", 5.0), ("RELIANCE", 6.0), ("SBIN", 7.0),
    ]  # fmt: skip
    assert decoded.event is Event.MALFORMED


@pytest.mark.parametrize(
    ("frame", "event"),
    [
        ("ping", Event.HEARTBEAT),
        ('"pong"\n', Event.HEARTBEAT),
        ('{"status":"success"}', Event.ACK),
        ("{}", Event.ACK),
        ('{"status":"success","data":null}', Event.ACK),
        ('{"status":"error","message":"too many","error_type":"InputException"}', Event.ERROR),
        ('"{\\"error\\":\\"what\\"}"', Event.ERROR),
        ('{"error":{"message":"segment token 5 unknown"}}', Event.ERROR),
        ('{"status":"error","message":"invalid instrument token"}', Event.ERROR),
        ('{"status":"error","error_type":"TokenException"}', Event.AUTH_ERROR),
        ('{"data":{},"error_type":"TokenException"}', Event.AUTH_ERROR),
        ('{"message":"Access token has expired"}', Event.AUTH_ERROR),
        ('{"error":"Invalid token"}', Event.AUTH_ERROR),
        ('"not json"', Event.MALFORMED),
        ("PINGPONG", Event.MALFORMED),
        ("", None),
        ("5", None),
        ("[]", None),
        ("null\ntrue", None),
        ('ping\n{"status":"success"}\nnope', Event.MALFORMED),
    ],
)
def test_what_is_no_update_is_an_event(frame: str, event: Event | None) -> None:
    decoded = codec(RELIANCE).decode(frame)
    assert (decoded.event, decoded.ticks) == (event, [])


@pytest.mark.parametrize(
    "message",
    [
        update(mode="depth", ltp=5.0),
        update(mode="", ltp=5.0),
        {"instrument": "2885", "data": {"ltp": 5.0}},
        {"instrument": [], "data": {"ltp": 5.0}},
    ],
)
def test_an_update_of_an_unknown_shape_is_counted(message: dict[str, Any]) -> None:
    assert codec(RELIANCE).decode(wire(message)) == Decoded(unknown=1)


@pytest.mark.parametrize("data", [None, [5.0], "x", 5])
def test_a_message_whose_data_are_no_object_is_an_acknowledgement(data: Any) -> None:
    decoded = codec(RELIANCE).decode(wire({"mode": "ltp", "instrument": "2885", "data": data}))
    assert decoded == Decoded(event=Event.ACK, unknown=1)


def test_the_brokers_words_hold_no_secret_and_end() -> None:
    subject = codec(RELIANCE, access_token="s3cret")
    decoded = subject.decode(json.dumps({"error": "token s3cret is invalid " + "x" * 500}))
    assert decoded.event is Event.AUTH_ERROR
    assert decoded.message.startswith("token … is invalid")
    assert len(decoded.message) == 200


# -- out -------------------------------------------------------------------------------------------------


def test_a_frame_holds_one_mode_and_one_segment_and_a_thousand_names() -> None:
    many = [row(f"S{number}", "NSE", str(number)) for number in range(1, 1502)]
    found = requests(codec().subscribe([*many, FUTURE], "quote"))
    assert [(action, mode, names[0], len(names)) for action, mode, names in found] == [
        ("subscribe", "ltp", "NSE:1", 1000),
        ("subscribe", "ltp", "NSE:1001", 501),
        ("subscribe", "ltp", "NFO:51011", 1),
        ("subscribe", "quote", "NSE:1", 1000),
        ("subscribe", "quote", "NSE:1001", 501),
        ("subscribe", "quote", "NFO:51011", 1),
    ]


@pytest.mark.parametrize(
    ("quote_mode", "up", "down"),
    [
        ("quote", [("subscribe", "quote")], [("unsubscribe", "quote")]),
        ("full", [("subscribe", "full"), ("unsubscribe", "ltp")], [("subscribe", "ltp"), ("unsubscribe", "full")]),
    ],
)
def test_a_change_of_mode_sends_only_what_differs(quote_mode: str, up: Any, down: Any) -> None:
    subject = codec(RELIANCE, kind="ltp", quote_mode=quote_mode)
    assert [step[:2] for step in requests(subject.change([RELIANCE], "ltp", "quote"))] == up
    assert [step[:2] for step in requests(subject.change([RELIANCE], "quote", "ltp"))] == down


def test_the_full_mode_stands_alone() -> None:
    subject = codec(quote_mode="full")
    assert requests(subject.subscribe([NIFTY], "quote")) == [("subscribe", "full", ["NIDX:40000001"])]
    assert requests(subject.unsubscribe([NIFTY], "quote")) == [("unsubscribe", "full", ["NIDX:40000001"])]


# -- adapter ---------------------------------------------------------------------------------------------


def endpoint(profile: Any) -> Any:
    """The endpoint while `GET /user/profile` is answered so."""

    async def ask() -> Any:
        async with httpx.AsyncClient(transport=httpx.MockTransport(profile)) as http:
            adapter = BROKER.adapter({"feed": "ws://127.0.0.1:1/x", "api": "http://127.0.0.1:1"})
            return await adapter.endpoint("main", Credentials({"access_token": "t0k"}), http)

    return asyncio.run(ask())


def test_the_token_is_a_raw_header_and_is_looked_at_before_the_socket_is() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200)

    found = endpoint(answer)
    assert (found.url, dict(found.headers)) == ("ws://127.0.0.1:1/x", {"Authorization": "t0k"})
    (request,) = asked
    assert (str(request.url), request.headers["authorization"]) == ("http://127.0.0.1:1/user/profile", "t0k")


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_the_rest_side_refuses_is_not_tried_on_the_socket(status: int) -> None:
    with pytest.raises(AuthRejected, match="log in again"):
        endpoint(lambda _: httpx.Response(status))


def test_trouble_of_the_rest_side_does_not_keep_the_socket_closed() -> None:
    def down(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    for profile in (down, lambda _: httpx.Response(503), lambda _: httpx.Response(429)):
        assert endpoint(profile).url == "ws://127.0.0.1:1/x"


def test_limits_modes_and_depth() -> None:
    adapter = BROKER.adapter()
    main = adapter.channels["main"]
    assert (main.symbol_limit, main.connection_limit, main.batch) == (3000, 3, 1000)
    assert [adapter.streams(NIFTY, mode, 1)[0].kind for mode in Mode] == ["ltp", "quote", "quote"]
    assert (adapter.depth_levels("NFO"), adapter.depth_levels("NSE_INDEX")) == ((1,), ())


@pytest.mark.parametrize(
    ("status", "failure"),
    [(401, AuthRejected), (403, AuthRejected), (513, AuthRejected), (429, Unavailable), (503, Unavailable)],
)
def test_a_refused_handshake_is_a_dead_token_or_a_busy_server(status: int, failure: type[Exception]) -> None:
    assert isinstance(BROKER.adapter().handshake_failure(status, "", {}, b""), failure)


# -- hostile ---------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["5.5", "1e400", "0x10", " 7 "]),
    st.lists(st.integers(), max_size=1),
)
KEYS = st.sampled_from(
    ["ltp", "open", "close", "volume", "oi", "ltt", "ltq", "bid_price", "bid_qty", "ask_price", "ask_qty", "x"]
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.one_of(st.sampled_from(["ltp", "quote", "full"]), VALUES),
        "instrument": st.one_of(st.sampled_from(["2885", "NSE:2885", "51011", "NFO:2885", 500112]), VALUES),
        "timestamp": VALUES,
        "data": st.one_of(st.dictionaries(KEYS, VALUES), VALUES),
        "status": VALUES,
        "error": VALUES,
        "message": VALUES,
    },
)
LINES = st.recursive(
    MESSAGES.map(json.dumps), lambda inner: st.one_of(inner.map(json.dumps), inner.map("[{}]".format)), max_leaves=4
)


@settings(max_examples=200, deadline=None)
@given(st.lists(LINES, max_size=4), st.integers(0, 60))
def test_no_update_makes_up_a_price(lines: list[str], cut: int) -> None:
    frame = "\n".join(lines)
    subject = codec(*EVERYTHING, TWIN)
    decoded = subject.decode(frame[: max(0, len(frame) - cut)])
    for tick in decoded.ticks:
        assert tick.ltp is not None
        book = tick.depth.buy + tick.depth.sell if tick.depth else []
        told = [tick.ltp, tick.open, *(level.price for level in book)]
        assert all(price is None or (0 < price < 1e16 and math.isfinite(price)) for price in told)
        assert all(
            type(count) is int and count > 0 for count in (tick.volume, tick.oi, tick.ltt) if count is not None
        )
        json.dumps(tick_fields(tick), allow_nan=False)
    assert len(subject._records) <= 5


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=200)))
@example("[" * 100_000)
@example('"' + "\\" * 10_001)
@example('{"data":' * 10_000)
@example("\ud800")
@example('{"instrument":"2885","mode":"ltp","data":{"ltp":1' + "0" * 6000 + "}}")
@example("\n" * 100_000)
def test_no_frame_makes_the_decoder_raise(frame: bytes | str) -> None:
    subject = codec(*EVERYTHING)
    assert subject.decode(frame).ticks == []
    assert not subject._records
