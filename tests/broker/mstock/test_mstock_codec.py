"""m.Stock's codec and adapter beyond the shared vectors: routing, zeros, wrapped frames, tokens, the log-in."""

import asyncio
import json
import math
import struct
from typing import Any

import httpx
import pytest

from broker.mstock.mstock_frames import (
    EPOCH,
    EVERYTHING,
    FUTURE,
    MOMENT,
    NIFTY,
    OPTION,
    SBIN,
    SENSEX,
    USDINR,
    codec,
    level,
    ltp_frame,
    snap_frame,
)
from tickmux.broker.mstock import BROKER
from tickmux.broker.mstock.streaming.mstock_adapter import MStockAdapter
from tickmux.broker.mstock.streaming.mstock_mapping import MStockCodec
from tickmux.broker.mstock.streaming.token_trust import TokenTrust
from tickmux.codec import Credentials, Decoded, Event
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick, tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable

SESSION = Credentials({"api_key": "key", "access_token": "j.w.t"})


def only(decoded: Decoded) -> Tick:
    (tick,) = decoded.ticks
    assert (decoded.event, decoded.unrouted, decoded.unknown) == (None, 0, 0)
    return tick


# -- routing ---------------------------------------------------------------------------------------------


def test_two_instruments_that_share_a_token_on_two_exchanges_never_mix() -> None:
    twin = Instrument(symbol="USDINR26SEP25FUT", exchange="CDS", token=SBIN.token, brexchange="NSE")
    both = codec(SBIN, twin)
    assert only(both.decode(ltp_frame(1, b"3045"))).instrument == SBIN
    assert only(both.decode(ltp_frame(13, b"3045", 8764))).instrument == twin
    assert codec(SBIN).decode(ltp_frame(13, b"3045")) == Decoded(unrouted=1)


def test_a_currency_contract_is_told_from_a_share_by_our_exchange_not_by_the_brokers() -> None:
    assert codec().wire_key(USDINR) == b"\x0d1185"


def test_a_share_and_an_index_of_one_token_get_no_price_until_one_is_left() -> None:
    share = Instrument(symbol="X", exchange="NSE", token=NIFTY.token)
    both = codec(NIFTY, share)
    assert both.decode(ltp_frame(1, b"26000")).unrouted == 1
    both.unsubscribe([share], "snap_quote")
    assert only(both.decode(ltp_frame(1, b"26000"))).instrument == NIFTY


@pytest.mark.parametrize(
    ("token", "instrument"),
    [
        (b"3045", SBIN),
        (b"3045\0garbage", SBIN),
        ((3045).to_bytes(4, "little"), SBIN),
        ((26000).to_bytes(4, "little"), NIFTY),
        ((3045).to_bytes(4, "little") + b"99", SBIN),  # what follows the number is not looked at
        (b"30451", None),
        (b" 3045", None),
        (b"3045 ", None),
        (b"\0\0\0\0", None),
        (b"", None),
        (b"-045", None),
    ],
)
def test_a_token_is_a_text_of_digits_or_else_a_number_of_four_bytes(
    token: bytes, instrument: Instrument | None
) -> None:
    decoded = codec(SBIN, NIFTY).decode(ltp_frame(1, token))
    assert [tick.instrument for tick in decoded.ticks] == ([instrument] if instrument else [])
    assert decoded.unrouted == (0 if instrument else 1)


def test_a_number_whose_low_byte_is_zero_is_a_token_though_its_text_is_empty() -> None:
    even = Instrument(symbol="EVEN", exchange="NSE", token=str(0x0B00))
    assert only(codec(even).decode(ltp_frame(1, (0x0B00).to_bytes(4, "little")))).instrument == even


def test_the_longest_token_fills_its_field() -> None:
    longest = Instrument(symbol="LONG", exchange="NSE", token="1" * 25)
    assert only(codec(longest).decode(ltp_frame(1, b"1" * 25))).instrument == longest


@pytest.mark.parametrize("exchange_type", [0, 2, 3, 5, 6, 13, 99, 255])
def test_another_exchange_type_gives_no_tick(exchange_type: int) -> None:
    assert codec(SBIN).decode(ltp_frame(exchange_type, b"3045")) == Decoded(unrouted=1)


@pytest.mark.parametrize(
    ("exchange", "token"),
    [("BCD", "1"), ("MCX", "1"), ("NSE", ""), ("NSE", "1" * 26), ("NSE", "३०४५"), ("NSE", "30 45"), ("NSE", "A1")],
)
def test_what_the_wire_cannot_name_is_refused(exchange: str, token: str) -> None:
    with pytest.raises(ValueError, match="X: "):
        codec().wire_key(Instrument(symbol="X", exchange=exchange, token=token))


# -- values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", ["NSE", "NFO", "BSE", "BFO", "NSE_INDEX", "BSE_INDEX"])
def test_prices_are_paise(exchange: str) -> None:
    subject = Instrument(symbol="X", exchange=exchange, token="77")
    tick = only(codec(subject).decode(snap_frame(subject, prices=1_000_000_005)))
    assert {tick.ltp, tick.open, tick.high, tick.low, tick.close, tick.avg_trade_price} == {10_000_000.05}


def test_the_scale_of_currency_is_a_setting_and_applies_to_every_price() -> None:
    subject = MStockAdapter().codec("main")
    subject.open_frames(Credentials({"access_token": "j.w.t", "currency_divisor": "10000000"}))
    subject.subscribe([USDINR, SBIN], "snap_quote")
    book = level(1, 5, 876_400_000) + level(0, 0, 0) * 4 + level(0, 5, 876_425_000) + bytes(80)
    tick = only(subject.decode(snap_frame(USDINR, prices=876_412_500, circuits=900_000_000, book=book)))
    assert {tick.ltp, tick.open, tick.high, tick.low, tick.close, tick.avg_trade_price} == {87.64125}
    assert (tick.upper_circuit, tick.lower_circuit) == (90.0, 90.0)
    assert tick.depth is not None
    assert (tick.depth.buy[0].price, tick.depth.sell[0].price) == (87.64, 87.6425)
    assert only(subject.decode(ltp_frame(1, b"3045"))).ltp == 812.35
    assert only(codec(USDINR).decode(snap_frame(USDINR, prices=8764, circuits=9000))).ltp == 87.64


@pytest.mark.parametrize("frame", [ltp_frame(13, b"1185", 876_400_000), snap_frame(USDINR, prices=876_400_000)])
def test_a_currency_price_of_another_scale_is_no_price(frame: bytes) -> None:
    decoded = codec(USDINR).decode(frame)
    assert (decoded.ticks, decoded.event) == ([], Event.MALFORMED)


def test_a_price_of_zero_in_ltp_mode_is_no_tick() -> None:
    assert codec(SBIN).decode(ltp_frame(1, b"3045", price=0)) == Decoded()


def test_zero_prices_and_times_are_absent_while_zero_quantities_stay() -> None:
    empty = snap_frame(
        FUTURE, prices=0, quantity=0, totals=(0.0, 0.0), stamp=0, ltt=0, oi=0, book=bytes(200), circuits=0
    )
    tick = only(codec(FUTURE).decode(empty))
    assert tick.mode is Mode.DEPTH
    assert tick_fields(tick) == {
        "volume": 0,
        "last_trade_quantity": 0,
        "total_buy_quantity": 0,
        "total_sell_quantity": 0,
        "oi": 0,
        "depth": {"buy": [], "sell": []},
    }


@pytest.mark.parametrize(("exchange", "oi"), [("NSE", None), ("BSE", None), ("NFO", 9), ("BFO", 9), ("CDS", 9)])
def test_open_interest_is_for_derivatives(exchange: str, oi: int | None) -> None:
    subject = Instrument(symbol="X", exchange=exchange, token="77")
    assert only(codec(subject).decode(snap_frame(subject))).oi == oi


@pytest.mark.parametrize("index", [NIFTY, SENSEX])
@pytest.mark.parametrize("size", [123, 379])
def test_an_index_serves_quote_and_has_neither_book_nor_oi_nor_zeros(index: Instrument, size: int) -> None:
    empty = snap_frame(index, size=size, quantity=0, totals=(0.0, 0.0), ltt=0, circuits=0)
    tick = only(codec(index).decode(empty))
    assert tick.mode is Mode.QUOTE
    prices = dict.fromkeys(("ltp", "open", "high", "low", "close", "avg_trade_price"), 100.0)
    assert tick_fields(tick) == prices | {"timestamp": EPOCH}


def test_an_index_keeps_what_is_not_zero() -> None:
    tick = only(codec(NIFTY).decode(snap_frame(NIFTY)))
    assert (tick.volume, tick.last_trade_quantity, tick.total_buy_quantity, tick.total_sell_quantity) == (5, 5, 7, 8)
    assert (tick.ltt, tick.upper_circuit, tick.lower_circuit) == (EPOCH + 1000, 110.0, 110.0)


@pytest.mark.parametrize(
    ("wire", "epoch"),
    [
        (MOMENT, EPOCH),
        (1, 315_513_001_000),
        (0, None),
        (2_527_378_870, 2_842_891_870_000),
        (2**64 - 1, None),
        (2**63, None),
        (EPOCH, None),  # milliseconds would be a year beyond any calendar
    ],
)
def test_times_count_from_1980_on_an_indian_clock(wire: int, epoch: int | None) -> None:
    tick = only(codec(SBIN).decode(snap_frame(SBIN, stamp=wire, ltt=wire)))
    assert (tick.timestamp, tick.ltt, tick.ltp) == (epoch, epoch, 100.0)


@pytest.mark.parametrize("total", [math.nan, math.inf, -math.inf, 1e300])
def test_a_total_that_is_no_number_is_absent(total: float) -> None:
    tick = only(codec(SBIN).decode(snap_frame(SBIN, totals=(total, 3.0))))
    assert (tick.total_buy_quantity, tick.total_sell_quantity) == (None, 3)


@pytest.mark.parametrize("first_byte", [0, 1, 2, 3, 4, 255])
def test_the_length_says_what_a_packet_is_and_the_first_byte_says_nothing(first_byte: int) -> None:
    for size, mode in ((51, Mode.LTP), (123, Mode.QUOTE), (379, Mode.DEPTH)):
        frame = bytes((first_byte,)) + snap_frame(SBIN, size=size)[1:]
        assert only(codec(SBIN).decode(frame)).mode is mode


@pytest.mark.parametrize("flag", [0, 1, 7, 65535])
def test_the_first_five_levels_buy_whatever_their_flags_say(flag: int) -> None:
    book = b"".join(level(flag, 1, 1000 + place, 40_000) for place in range(10))
    depth = only(codec(SBIN).decode(snap_frame(SBIN, book=book))).depth
    assert depth is not None
    assert [each.price for each in depth.buy] == [10.0, 10.01, 10.02, 10.03, 10.04]
    assert [each.price for each in depth.sell] == [10.05, 10.06, 10.07, 10.08, 10.09]
    assert depth.buy[0].orders == 40_000


def test_a_level_needs_both_price_and_quantity() -> None:
    book = level(1, 0, 1000) + level(1, 5, 0) + level(1, -5, 990) + level(1, 5, -1) + level(1, 5, 980) + bytes(100)
    depth = only(codec(SBIN).decode(snap_frame(SBIN, book=book))).depth
    assert depth is not None
    assert [(each.price, each.quantity) for each in depth.buy] == [(9.8, 5)]
    assert depth.sell == []


# -- wrapped, malformed, text ------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [">", "<"])
@pytest.mark.parametrize("size", [51, 123, 379])
def test_a_packet_behind_a_header_of_either_byte_order_is_the_packet(order: str, size: int) -> None:
    packet = snap_frame(FUTURE, size=size)
    frame = struct.pack(f"{order}HH", 1, size) + packet
    assert codec(FUTURE).decode(frame) == codec(FUTURE).decode(packet)
    assert codec(FUTURE).decode(frame + b"tail").ticks == codec(FUTURE).decode(packet).ticks


@pytest.mark.parametrize("order", [">", "<"])
def test_all_packets_of_a_wrapped_frame_are_read(order: str) -> None:
    first, second, third = snap_frame(FUTURE), snap_frame(SBIN), snap_frame(NIFTY)
    frame = struct.pack(f"{order}HH", 3, 379) + first + second + third
    decoded = codec(FUTURE, SBIN, NIFTY).decode(frame)
    assert ([tick.instrument for tick in decoded.ticks], decoded.event) == ([FUTURE, SBIN, NIFTY], None)
    sized = b"".join(struct.pack(f"{order}H", len(each)) + each for each in (first, second[:123], third[:51]))
    decoded = codec(FUTURE, SBIN, NIFTY).decode(struct.pack(f"{order}H", 3) + sized)
    assert [(tick.instrument, tick.mode) for tick in decoded.ticks] == [
        (FUTURE, Mode.DEPTH),
        (SBIN, Mode.QUOTE),
        (NIFTY, Mode.LTP),
    ]
    assert decoded.event is None
    decoded = codec(SBIN).decode(frame)
    assert (len(decoded.ticks), decoded.unrouted) == (1, 2)


def test_a_wrapped_frame_that_ends_too_soon_keeps_its_whole_packets() -> None:
    frame = struct.pack(">HH", 2, 379) + snap_frame(FUTURE) + snap_frame(SBIN)[:-1]
    decoded = codec(FUTURE, SBIN).decode(frame)
    assert ([tick.instrument for tick in decoded.ticks], decoded.event) == ([FUTURE], Event.MALFORMED)
    for broken in (struct.pack(">HH", 0, 379) + snap_frame(FUTURE), struct.pack(">HH", 1, 378) + snap_frame(FUTURE)):
        decoded = codec(FUTURE).decode(broken)
        assert (decoded.ticks, decoded.event) == ([], Event.MALFORMED)


def test_any_other_length_is_malformed() -> None:
    frame = snap_frame(SBIN)
    for cut in set(range(400)) - {51, 123, 379}:
        decoded = codec(SBIN).decode((frame + bytes(400))[:cut])
        assert (decoded.ticks, decoded.event) == ([], Event.MALFORMED)


@pytest.mark.parametrize(
    ("text", "event", "message"),
    [
        ("LOGIN SUCCESS", Event.ACK, ""),
        ("", Event.ACK, ""),
        ("{", Event.ACK, ""),
        ("[1]", Event.ACK, ""),
        ('{"status":"connected"}', Event.ACK, ""),
        ('{"order_status":"order","orderData":{"id":1}}', Event.ORDER, ""),
        ('{"order_status":"trade","orderData":[]}', Event.ORDER, ""),
        ('{"order_status":"other","orderData":{}}', Event.ACK, ""),
        ('{"order_status":"order"}', Event.ACK, ""),
        ('{"type":"error","data":"Invalid access token"}', Event.ERROR, "Invalid access token"),
        ('{"type":"error","data":"Too many tokens in tokenList"}', Event.ERROR, "Too many tokens in tokenList"),
        ('{"type":"error"}', Event.ERROR, "error without words"),
        ('{"type":"error","data":[5]}', Event.ERROR, "error without words"),
        ('{"type":"error","data":"' + "x" * 500 + '"}', Event.ERROR, "x" * 200),
        ('{"type":["error"]}', Event.ACK, ""),
    ],
)
def test_text_frames_become_events_and_never_ticks(text: str, event: Event, message: str) -> None:
    decoded = codec(SBIN).decode(text)
    assert (decoded.ticks, decoded.event, decoded.message, decoded.unknown) == ([], event, message, 0)


def test_a_complaint_that_repeats_the_token_is_shown_without_it() -> None:
    subject = codec(SBIN)
    subject.open_frames(SESSION)
    decoded = subject.decode('{"type":"error","data":"Invalid LOGIN:j.w.t"}')
    assert decoded.message == "Invalid LOGIN:…"


# -- out -------------------------------------------------------------------------------------------------


def sent(frames: list[Any]) -> list[tuple[int, int, dict[int, list[str]]]]:
    requests = [json.loads(frame) for frame in frames]
    return [
        (
            request["action"],
            request["params"]["mode"],
            {group["exchangeType"]: group["tokens"] for group in request["params"]["tokenList"]},
        )
        for request in requests
    ]


def test_a_token_has_one_mode_at_a_time_and_leaves_it_by_its_own_number() -> None:
    subject = codec(SBIN, OPTION, kind="ltp")
    assert sent(subject.change([SBIN, OPTION], "ltp", "snap_quote")) == [
        (0, 1, {1: ["3045"], 4: ["1104523"]}),
        (1, 3, {1: ["3045"], 4: ["1104523"]}),
    ]
    assert sent(subject.unsubscribe([OPTION], "snap_quote")) == [(0, 3, {4: ["1104523"]})]


def test_the_tokens_of_an_exchange_type_are_one_group() -> None:
    assert sent(codec().subscribe(EVERYTHING, "quote")) == [
        (1, 2, {1: ["3045", "26000"], 3: ["500325", "999901"], 2: ["53216"], 4: ["1104523"], 13: ["1185"]})
    ]


# -- adapter -----------------------------------------------------------------------------------------------


def connect(adapter: Any, values: dict[str, str]) -> str:
    async def ask() -> str:
        async with httpx.AsyncClient(trust_env=False) as http:
            return str((await adapter.endpoint("main", Credentials(values), http)).url)

    return asyncio.run(ask())


def test_keys_are_escaped_in_the_address() -> None:
    url = connect(BROKER.adapter(), {"api_key": "abc@1=&#", "access_token": "a.b/c+d="})
    assert url == "wss://ws.mstock.trade?API_KEY=abc%401%3D%26%23&ACCESS_TOKEN=a.b%2Fc%2Bd%3D"


def test_limits_are_those_that_are_known_to_work() -> None:
    adapter = BROKER.adapter()
    main = adapter.channels["main"]
    assert (main.symbol_limit, main.connection_limit, main.batch) == (1000, 1, 100)
    assert {"MCX", "BCD"} & set(adapter.exchanges) == set()
    assert adapter.depth_levels("CDS") == (5,)
    assert adapter.depth_levels("NSE_INDEX") == ()
    assert isinstance(adapter.handshake_failure(401, "", {}, b""), AuthRejected)
    assert isinstance(adapter.handshake_failure(502, "", {}, b""), Unavailable)


class Feed:
    """Sessions of one adapter, one after the other, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.adapter = MStockAdapter()
        self.adapter.trust = TokenTrust(lambda: self.now)

    def session(self, token: str = "t1") -> MStockCodec:
        connect(self.adapter, {"api_key": "k", "access_token": token})
        subject = self.adapter.codec("main")
        assert isinstance(subject, MStockCodec)
        assert subject.open_frames(Credentials({"access_token": token})) == [f"LOGIN:{token}"]
        return subject


COMPLAINT = '{"type":"error","data":"Session expired, please login"}'


def test_a_token_that_is_complained_about_is_tried_once_more_and_then_given_up() -> None:
    feed = Feed()
    assert feed.session().decode(COMPLAINT).restart
    second = feed.session()
    assert second.decode(COMPLAINT).restart
    second.decode(COMPLAINT)
    with pytest.raises(AuthRejected, match="refused the token"):
        feed.session()
    assert not feed.session("t2").decode("LOGIN SUCCESS").restart


@pytest.mark.parametrize("code", [1000, 1002, 1008, 4001])
def test_a_close_right_after_login_counts_like_a_complaint(code: int) -> None:
    feed = Feed()
    feed.session()
    feed.now += 1
    assert feed.adapter.close_failure(code, "") is None
    feed.session()
    assert isinstance(feed.adapter.close_failure(code, ""), AuthRejected)
    with pytest.raises(AuthRejected):
        feed.session()


def test_one_session_gives_one_sign_only() -> None:
    feed = Feed()
    feed.session().decode(COMPLAINT)
    assert feed.adapter.close_failure(1008, "") is None
    feed.session()


@pytest.mark.parametrize("code", [1001, 1006, 1011, 1012, 1013])
def test_a_line_or_a_server_that_breaks_says_nothing_about_the_token(code: int) -> None:
    feed = Feed()
    for _ in range(5):
        feed.session()
        assert feed.adapter.close_failure(code, "") is None


def test_a_session_that_outlived_its_login_or_brought_data_was_accepted() -> None:
    feed = Feed()
    for _ in range(5):
        feed.session()
        feed.now += 6
        assert feed.adapter.close_failure(1000, "") is None
    for _ in range(5):
        subject = feed.session()
        subject.decode(ltp_frame(1, b"1"))
        assert not subject.decode(COMPLAINT).restart
        assert feed.adapter.close_failure(1000, "") is None
    feed.session().decode(COMPLAINT)
    feed.session().decode(ltp_frame(1, b"1"))
    feed.session().decode(COMPLAINT)
    feed.session()


@pytest.mark.parametrize("words", ["Invalid token in tokenList", "Unknown symbol token", "Rate exceeded", ""])
def test_a_complaint_about_a_request_does_not_cost_the_session(words: str) -> None:
    feed = Feed()
    for _ in range(5):
        decoded = feed.session().decode(json.dumps({"type": "error", "data": words}))
        assert (decoded.event, decoded.restart) == (Event.ERROR, False)
