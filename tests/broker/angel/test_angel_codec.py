"""Angel One's codec and adapter beyond the shared vectors: routing, zeros, sides, limits, hostile frames."""

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tickmux.broker.angel import BROKER
from tickmux.broker.angel.streaming.angel_mapping import AngelCodec
from tickmux.codec import Credentials, Decoded, Event
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick

SBIN = Instrument(symbol="SBIN", exchange="NSE", token="3045", brexchange="NSE")
RELIANCE = Instrument(symbol="RELIANCE", exchange="BSE", token="500325", brexchange="BSE")
NIFTY = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="99926000", brexchange="NSE")
METAL = Instrument(symbol="MCXMETLDEX", exchange="MCX_INDEX", token="401", brexchange="MCX")
FUTURE = Instrument(symbol="NIFTY28AUG25FUT", exchange="NFO", token="53216", brexchange="NFO")
USDINR = Instrument(symbol="USDINR28AUG25FUT", exchange="CDS", token="1185", brexchange="CDS")
TYPES = {"NSE": 1, "NFO": 2, "BSE": 3, "BFO": 4, "MCX": 5, "CDS": 13, "NSE_INDEX": 1, "BSE_INDEX": 3, "MCX_INDEX": 5}


def codec(*instruments: Instrument, kind: str = "snap_quote") -> AngelCodec:
    made = AngelCodec()
    made.subscribe(instruments, kind)
    return made


def ltp_frame(exchange_type: int, token: bytes, price: int = 81235, stamp: int = 1_754_453_723_000) -> bytes:
    return struct.pack("<BB25sqqq", 1, exchange_type, token, 7, stamp, price)


def level(flag: int, quantity: int, price: int, orders: int = 1) -> bytes:
    return struct.pack("<hqqH", flag, quantity, price, orders)


BOOK = b"".join(
    [level(1, 10, 9900 - place) for place in range(5)] + [level(0, 20, 9910 + place) for place in range(5)]
)


def snap_frame(
    subject: Instrument,
    *,
    mode: int = 3,
    prices: int = 10_000,
    quantity: int = 5,
    totals: tuple[float, float] = (7.0, 8.0),
    ltt: int = 1_754_453_724,
    oi: int = 9,
    book: bytes = BOOK,
    circuits: int = 11_000,
) -> bytes:
    head = struct.pack(
        "<BB25sqqq", mode, TYPES[subject.exchange], subject.token.encode(), 1, 1_754_453_725_000, prices
    )
    quote = struct.pack("<qqqddqqqq", quantity, prices, quantity, *totals, prices, prices, prices, prices)
    if mode == 2:
        return head + quote
    return head + quote + struct.pack("<qqd", ltt, oi, 2.2) + book + struct.pack("<qqqq", *[circuits] * 4)


def depth20_frame(exchange_type: int, token: bytes, levels: bytes = b"") -> bytes:
    return struct.pack("<BB25sqq", 4, exchange_type, token, 1_754_453_727_000, 1) + levels.ljust(400, b"\0")


def only(decoded: Decoded) -> Tick:
    (tick,) = decoded.ticks
    assert (decoded.event, decoded.unrouted, decoded.unknown) == (None, 0, 0)
    return tick


def sent(frames: list[Any]) -> list[tuple[int, int, dict[int, list[str]]]]:
    """(action, mode, exchange type -> tokens) of request frames."""
    requests = [json.loads(frame) for frame in frames]
    return [
        (
            request["action"],
            request["params"]["mode"],
            {group["exchangeType"]: group["tokens"] for group in request["params"]["tokenList"]},
        )
        for request in requests
    ]


# -- routing ---------------------------------------------------------------------------------------------


def test_two_instruments_that_share_a_token_on_two_exchanges_never_mix() -> None:
    twin = Instrument(symbol="NATURALGAS26AUG25FUT", exchange="MCX", token=SBIN.token, brexchange="MCX")
    both = codec(SBIN, twin)
    assert only(both.decode(ltp_frame(1, b"3045"))).instrument == SBIN
    assert only(both.decode(ltp_frame(5, b"3045"))).instrument == twin
    decoded = codec(SBIN).decode(ltp_frame(5, b"3045"))
    assert (decoded.ticks, decoded.unrouted) == ([], 1)


def test_a_share_and_an_index_of_one_token_get_no_price_until_one_is_left() -> None:
    share = Instrument(symbol="X", exchange="NSE", token=NIFTY.token)
    both = codec(NIFTY, share)
    assert both.decode(ltp_frame(1, b"99926000")).unrouted == 1
    both.unsubscribe([share], "snap_quote")
    assert only(both.decode(ltp_frame(1, b"99926000"))).instrument == NIFTY


def test_the_token_ends_at_its_first_nul_whatever_follows() -> None:
    assert only(codec(SBIN).decode(ltp_frame(1, b"3045\0garbage"))).instrument == SBIN
    assert codec(SBIN).decode(ltp_frame(1, b"30451")).unrouted == 1
    longest = Instrument(symbol="LONG", exchange="NSE", token="1" * 25)
    assert only(codec(longest).decode(ltp_frame(1, b"1" * 25))).instrument == longest


@pytest.mark.parametrize("exchange_type", [0, 6, 7, 8, 99, 255])
def test_an_exchange_type_that_is_not_ours_gives_no_tick(exchange_type: int) -> None:
    decoded = codec(SBIN, FUTURE).decode(ltp_frame(exchange_type, b"3045"))
    assert (decoded.ticks, decoded.unrouted) == ([], 1)


@pytest.mark.parametrize(
    ("exchange", "token"),
    [("BCD", "1"), ("NCDEX", "1"), ("NSE", ""), ("NSE", "1" * 26), ("NSE", "३०४५"), ("NSE", "30\x0045")],
)
def test_what_the_wire_cannot_name_is_refused(exchange: str, token: str) -> None:
    with pytest.raises(ValueError, match="X: "):
        AngelCodec().wire_key(Instrument(symbol="X", exchange=exchange, token=token))


# -- values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", ["NSE", "NFO", "BSE", "BFO", "MCX"])
def test_prices_are_paise_on_every_exchange_but_the_currency_one(exchange: str) -> None:
    subject = Instrument(symbol="X", exchange=exchange, token="77")
    tick = only(codec(subject).decode(snap_frame(subject, prices=1_000_000_005)))
    assert {tick.ltp, tick.open, tick.high, tick.low, tick.close, tick.avg_trade_price} == {10_000_000.05}


def test_every_price_of_a_currency_frame_has_the_finer_scale() -> None:
    book = level(1, 5, 876_400_000) + level(0, 5, 876_425_000) + bytes(160)
    tick = only(codec(USDINR).decode(snap_frame(USDINR, prices=876_412_500, circuits=900_000_000, book=book)))
    assert {tick.ltp, tick.open, tick.high, tick.low, tick.close, tick.avg_trade_price} == {87.64125}
    assert (tick.upper_circuit, tick.lower_circuit) == (90.0, 90.0)
    assert tick.depth is not None
    assert (tick.depth.buy[0].price, tick.depth.sell[0].price) == (87.64, 87.6425)


def test_prices_may_be_negative() -> None:
    crude = Instrument(symbol="CRUDEOIL20APR20FUT", exchange="MCX", token="9")
    assert only(codec(crude).decode(ltp_frame(5, b"9", price=-288_400))).ltp == -2884.0


def test_a_price_of_zero_in_ltp_mode_is_no_tick() -> None:
    assert codec(SBIN).decode(ltp_frame(1, b"3045", price=0)) == Decoded()


def test_zero_prices_and_times_are_absent_while_zero_quantities_stay() -> None:
    empty = snap_frame(FUTURE, prices=0, quantity=0, totals=(0.0, 0.0), ltt=0, oi=0, book=bytes(200), circuits=0)
    tick = only(codec(FUTURE).decode(empty))
    assert tick.mode is Mode.DEPTH
    assert {tick.ltp, tick.open, tick.high, tick.low, tick.close, tick.avg_trade_price} == {None}
    assert {tick.ltt, tick.upper_circuit, tick.lower_circuit} == {None}
    assert [tick.volume, tick.last_trade_quantity, tick.total_buy_quantity, tick.total_sell_quantity] == [0] * 4
    assert tick.oi == 0
    assert tick.depth is not None
    assert (tick.depth.buy, tick.depth.sell) == ([], [])


@pytest.mark.parametrize(
    ("exchange", "oi"), [("NSE", None), ("BSE", None), ("NFO", 9), ("BFO", 9), ("CDS", 9), ("MCX", 9)]
)
def test_open_interest_is_for_derivatives(exchange: str, oi: int | None) -> None:
    subject = Instrument(symbol="X", exchange=exchange, token="77")
    assert only(codec(subject).decode(snap_frame(subject))).oi == oi


@pytest.mark.parametrize("index", [NIFTY, METAL])
@pytest.mark.parametrize("mode", [2, 3])
def test_an_index_serves_quote_and_has_neither_book_nor_oi_nor_zeros(index: Instrument, mode: int) -> None:
    empty = snap_frame(index, mode=mode, quantity=0, totals=(0.0, 0.0), ltt=0, circuits=0)
    tick = only(codec(index).decode(empty))
    assert (tick.mode, tick.ltp, tick.close, tick.timestamp) == (Mode.QUOTE, 100.0, 100.0, 1_754_453_725_000)
    assert {tick.volume, tick.last_trade_quantity, tick.total_buy_quantity, tick.total_sell_quantity} == {None}
    assert {tick.oi, tick.depth, tick.ltt, tick.upper_circuit, tick.lower_circuit} == {None}


def test_an_index_keeps_what_is_not_zero() -> None:
    tick = only(codec(NIFTY).decode(snap_frame(NIFTY)))
    assert (tick.volume, tick.last_trade_quantity, tick.total_buy_quantity, tick.total_sell_quantity) == (5, 5, 7, 8)
    assert (tick.ltt, tick.upper_circuit, tick.lower_circuit) == (1_754_453_724_000, 110.0, 110.0)


@pytest.mark.parametrize(
    ("wire", "ltt"),
    [
        (1_754_453_724, 1_754_453_724_000),
        (1_754_453_724_123, 1_754_453_724_123),
        (10**11, 10**14),
        (10**11 + 1, 10**11 + 1),
        (0, None),
        (-5, None),
        (2**63 - 1, None),
    ],
)
def test_last_trade_times_are_seconds_unless_they_can_only_be_milliseconds(wire: int, ltt: int | None) -> None:
    assert only(codec(SBIN).decode(snap_frame(SBIN, ltt=wire))).ltt == ltt


@pytest.mark.parametrize("stamp", [0, -1, 2**63 - 1])
def test_a_time_that_is_none_leaves_the_price(stamp: int) -> None:
    tick = only(codec(SBIN).decode(ltp_frame(1, b"3045", stamp=stamp)))
    assert (tick.ltp, tick.timestamp) == (812.35, None)


@pytest.mark.parametrize("total", [math.nan, math.inf, -math.inf, 1e300])
def test_a_total_that_is_no_number_is_absent(total: float) -> None:
    tick = only(codec(SBIN).decode(snap_frame(SBIN, totals=(total, 3.0))))
    assert (tick.total_buy_quantity, tick.total_sell_quantity) == (None, 3)


# -- books -----------------------------------------------------------------------------------------------


def sides(frame: bytes) -> tuple[list[float], list[float]]:
    depth = only(codec(SBIN).decode(frame)).depth
    assert depth is not None
    return [each.price for each in depth.buy], [each.price for each in depth.sell]


def test_a_level_belongs_to_the_side_of_its_flag_wherever_it_stands() -> None:
    book = [level(place % 2, 1, 1000 + place) for place in range(10)]
    assert sides(snap_frame(SBIN, book=b"".join(book))) == (
        [10.01, 10.03, 10.05, 10.07, 10.09],
        [10.0, 10.02, 10.04, 10.06, 10.08],
    )


@pytest.mark.parametrize("flag", [0, 1, 7, -1])
def test_ten_equal_flags_mean_that_the_first_five_buy(flag: int) -> None:
    book = b"".join(level(flag, 1, 1000 + place) for place in range(10))
    buy, sell = sides(snap_frame(SBIN, book=book))
    assert (buy, sell) == ([10.0, 10.01, 10.02, 10.03, 10.04], [10.05, 10.06, 10.07, 10.08, 10.09])


def test_a_level_of_an_unknown_side_is_on_none() -> None:
    book = level(1, 1, 1000) + level(9, 1, 5000) + level(0, 1, 1010) + bytes(140)
    assert sides(snap_frame(SBIN, book=book)) == ([10.0], [10.1])


def test_a_level_needs_both_price_and_quantity() -> None:
    book = level(1, 0, 1000) + level(1, 5, 0) + level(1, -5, 990) + level(1, 5, 980) + bytes(120)
    assert sides(snap_frame(SBIN, book=book)) == ([9.8], [])


def test_orders_are_unsigned() -> None:
    depth = only(codec(SBIN).decode(snap_frame(SBIN, book=level(1, 1, 1000, 40_000) + bytes(180)))).depth
    assert depth is not None
    assert depth.buy[0].orders == 40_000
    twenty = only(codec(SBIN).decode(depth20_frame(1, b"3045", struct.pack("<iiH", 5, 1000, 40_000)))).depth
    assert twenty is not None
    assert twenty.buy[0].orders == 40_000


def test_twenty_levels_are_a_book_without_a_price_and_the_dummy_time_is_not_read() -> None:
    levels = b"".join(struct.pack("<iiH", 5 + place, 81_000 - place, 1) for place in range(20))
    levels += struct.pack("<iiH", 0, 81_010, 1) + struct.pack("<iiH", 3, 0, 1) + struct.pack("<iiH", 4, 81_020, 2)
    tick = only(codec(SBIN).decode(depth20_frame(1, b"3045", levels)))
    assert (tick.mode, tick.ltp, tick.timestamp) == (Mode.DEPTH, None, 1_754_453_727_000)
    assert tick.depth is not None
    assert [each.price for each in tick.depth.buy] == [(81_000 - place) / 100 for place in range(20)]
    assert [(each.price, each.quantity, each.orders) for each in tick.depth.sell] == [(810.2, 4, 2)]


@pytest.mark.parametrize(("subject", "exchange_type"), [(FUTURE, 2), (NIFTY, 1), (USDINR, 13)])
def test_twenty_levels_exist_for_nse_shares_only(subject: Instrument, exchange_type: int) -> None:
    decoded = codec(subject).decode(depth20_frame(exchange_type, subject.token.encode()))
    assert (decoded.ticks, decoded.unknown) == ([], 1)


# -- malformed, unknown, text ------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "size"), [(1, 51), (2, 123), (3, 379), (4, 443)])
def test_a_short_frame_is_malformed_and_a_long_one_is_read(mode: int, size: int) -> None:
    frame = (
        ltp_frame(1, b"3045")
        if mode == 1
        else depth20_frame(1, b"3045")
        if mode == 4
        else snap_frame(SBIN, mode=mode)
    )
    assert len(frame) == size
    for cut in range(1, size):
        decoded = codec(SBIN).decode(frame[:cut])
        assert (decoded.ticks, decoded.event) == ([], Event.MALFORMED)
    assert codec(SBIN).decode(frame + b"more").ticks == codec(SBIN).decode(frame).ticks != []


def test_an_empty_frame_is_malformed_and_an_unknown_first_byte_is_counted() -> None:
    assert codec(SBIN).decode(b"").event is Event.MALFORMED
    decoded = codec(SBIN).decode(b"\x05" + snap_frame(SBIN)[1:])
    assert (decoded.ticks, decoded.event, decoded.unknown) == ([], None, 1)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("pong", Event.HEARTBEAT),
        ("pong\n", Event.HEARTBEAT),
        ('{"correlationID":"1","errorCode":"E1001","errorMessage":"Invalid Request Payload."}', Event.ERROR),
        ('{"errorCode":"E1002"}', Event.ERROR),
        ('{"correlationID":[],"errorCode":5,"errorMessage":null}', Event.ERROR),
        ('{"errorCode":"AG8002","errorMessage":"Token Expired"}', Event.AUTH_ERROR),
        ('{"hello":1}', None),
        ("[1]", Event.MALFORMED),
        ("hello", Event.MALFORMED),
        ("", Event.MALFORMED),
    ],
)
def test_text_frames_become_events_and_never_ticks(text: str, event: Event | None) -> None:
    decoded = codec(SBIN).decode(text)
    assert (decoded.ticks, decoded.event, decoded.unknown) == ([], event, int(event is None))


def test_an_error_names_the_instruments_that_its_request_asked_for() -> None:
    subject = AngelCodec()
    (first,) = subject.subscribe([SBIN, NIFTY], "ltp")
    (second,) = subject.subscribe([RELIANCE], "ltp")
    subject.unsubscribe([NIFTY], "ltp")
    words = "Invalid Request. Subscription Limit Exceeded"

    def refuse(frame: Any) -> Decoded:
        correlation = json.loads(frame)["correlationID"]
        return subject.decode(json.dumps({"correlationID": correlation, "errorCode": "E1002", "errorMessage": words}))

    decoded = refuse(first)
    assert (decoded.refused, decoded.message) == ([SBIN], f"{words} (E1002)")
    assert refuse(first).refused == []
    assert refuse(second).refused == [RELIANCE]


def test_requests_are_remembered_in_a_bounded_number() -> None:
    subject = codec(SBIN)
    for _ in range(2000):
        subject.subscribe([SBIN], "ltp")
    assert len(subject._asked) <= 256


# -- out -------------------------------------------------------------------------------------------------


def test_every_request_has_a_correlation_of_its_own_unless_one_is_given() -> None:
    subject = AngelCodec()
    frames = [*subject.subscribe([SBIN], "ltp"), *subject.change([SBIN], "ltp", "quote")]
    found = [json.loads(str(frame))["correlationID"] for frame in frames]
    assert len(set(found)) == 3
    assert all(each.isalnum() and len(each) <= 10 for each in found)
    assert subject.open_frames(Credentials({"correlation_id": "abcde12345"})) == []
    assert json.loads(str(subject.subscribe([SBIN], "ltp")[0]))["correlationID"] == "abcde12345"


def test_a_change_of_mode_subscribes_first_while_there_is_room_for_both() -> None:
    others = [Instrument(symbol=f"X{n}", exchange="NSE", token=str(n)) for n in range(998)]
    subject = codec(SBIN, *others, kind="quote")
    assert sent(subject.change([SBIN], "quote", "snap_quote")) == [(1, 3, {1: ["3045"]}), (0, 2, {1: ["3045"]})]
    subject.subscribe([FUTURE], "quote")
    assert sent(subject.change([SBIN], "snap_quote", "ltp")) == [(0, 3, {1: ["3045"]}), (1, 1, {1: ["3045"]})]


# -- adapter -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "mode", "depth", "streams"),
    [
        (SBIN, Mode.LTP, 0, [("main", "ltp")]),
        (SBIN, Mode.QUOTE, 20, [("main", "quote")]),
        (SBIN, Mode.DEPTH, 5, [("main", "snap_quote")]),
        (SBIN, Mode.DEPTH, 20, [("main", "quote"), ("depth20", "depth20")]),
        (FUTURE, Mode.DEPTH, 20, [("main", "snap_quote")]),
        (NIFTY, Mode.DEPTH, 20, [("main", "snap_quote")]),
    ],
)
def test_twenty_levels_are_a_stream_next_to_the_quotes(
    subject: Instrument, mode: Mode, depth: int, streams: list[tuple[str, str]]
) -> None:
    adapter = BROKER.adapter()
    assert list(adapter.streams(subject, mode, depth)) == streams
    assert {channel for channel, _ in streams} <= adapter.channels.keys()


def test_the_streams_of_twenty_levels_are_modes_2_and_4_each_on_its_own_connection() -> None:
    adapter = BROKER.adapter()
    frames = [
        frame
        for channel, kind in adapter.streams(SBIN, Mode.DEPTH, 20)
        for frame in adapter.codec(channel).subscribe([SBIN], kind)
    ]
    assert sent(frames) == [(1, 2, {1: ["3045"]}), (1, 4, {1: ["3045"]})]


def test_limits_are_those_of_the_broker() -> None:
    adapter = BROKER.adapter()
    assert {exchange: adapter.depth_levels(exchange) for exchange in ("NSE", "NFO", "CDS", "NSE_INDEX")} == {
        "NSE": (5, 20),
        "NFO": (5,),
        "CDS": (5,),
        "NSE_INDEX": (),
    }
    main, deep = adapter.channels["main"], adapter.channels["depth20"]
    assert (main.symbol_limit, main.connection_limit, deep.symbol_limit) == (1000, 3, 50)
    assert adapter.fits("main", {"ltp": 600, "snap_quote": 400}, main.symbols)
    assert not adapter.fits("main", {"ltp": 600, "snap_quote": 401}, main.symbols)
    assert not adapter.fits("depth20", {"depth20": 51}, deep.symbols)


# -- hostile ---------------------------------------------------------------------------------------------

HEADS = st.sampled_from([b"\x01\x013045\0", b"\x02\x0199926000\0", b"\x03\x013045\0", b"\x03\x0253216\0"])
FRAMES = st.tuples(HEADS, st.binary(min_size=380, max_size=450)).map(b"".join) | st.binary(
    min_size=440, max_size=450
).map(lambda rest: b"\x04\x013045\0" + rest)


@settings(max_examples=200)
@given(st.binary(max_size=500) | FRAMES)
@example(b"\x04")
@example(b"\x03\x0253216\0" + b"\xff" * 400)
def test_no_bytes_make_the_codec_raise_or_invent_an_instrument_or_a_price(data: bytes) -> None:
    decoded = codec(SBIN, NIFTY, FUTURE).decode(data)
    assert len(decoded.ticks) <= 1
    for tick in decoded.ticks:
        assert tick.instrument in (SBIN, NIFTY, FUTURE)
        prices = [tick.ltp, tick.open, tick.high, tick.low, tick.close, tick.avg_trade_price]
        prices += [each.price for side in (tick.depth.buy, tick.depth.sell) for each in side] if tick.depth else []
        assert all(price is None or (price and abs(price) <= 2**63 / 100) for price in prices)
        json.dumps([tick.timestamp, tick.ltt, tick.total_buy_quantity, tick.total_sell_quantity], allow_nan=False)


@settings(max_examples=200)
@given(
    st.text(max_size=200)
    | st.dictionaries(st.sampled_from(["correlationID", "errorCode"]), st.text()).map(json.dumps)
)
@example("[" * 100_000)
@example('{"errorMessage":' + "[" * 900 + "]" * 900 + "}")
@example('{"errorCode":"\ud800"}')
def test_no_text_makes_the_codec_raise(text: str) -> None:
    assert codec(SBIN).decode(text).ticks == []
