"""Zerodha's codec beyond the shared vectors: routing, rules for zeros, divisors, hostile frames."""

import json
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tickmux.broker.zerodha import BROKER
from tickmux.broker.zerodha.streaming.zerodha_mapping import ZerodhaCodec
from tickmux.codec import Event
from tickmux.instrument import Instrument
from tickmux.tick import Mode

SBIN = Instrument(symbol="SBIN", exchange="NSE", token="779521", brexchange="NSE")
NIFTY = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="256265", brexchange="NSE")


def instrument(segment: int, exchange: str, number: int = 3045) -> Instrument:
    return Instrument(symbol=f"X{segment}", exchange=exchange, token=str(number << 8 | segment))


def codec(*instruments: Instrument) -> ZerodhaCodec:
    made = ZerodhaCodec()
    made.subscribe(instruments, "full")
    return made


def frame(*packets: bytes) -> bytes:
    return struct.pack(">H", len(packets)) + b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)


def full_packet(
    token: int, *, last: int = 100, ltt: int = 1, oi: int = 7, stamp: int = 2, depth: bytes = b""
) -> bytes:
    quote = struct.pack(">11I", token, last, 5, 110, 1000, 10, 20, 90, 120, 80, 95)
    times = struct.pack(">5I", 1, oi, 0, 0, 2)
    return quote + times + depth.ljust(120, b"\0")


def test_two_exchanges_that_share_a_number_never_mix() -> None:
    nse, bse = instrument(1, "NSE"), instrument(4, "BSE")
    ltp = frame(struct.pack(">II", int(bse.token), 81235))
    assert [tick.instrument for tick in codec(nse, bse).decode(ltp).ticks] == [bse]
    decoded = codec(nse).decode(ltp)
    assert (decoded.ticks, decoded.unrouted) == ([], 1)


def test_two_names_of_one_token_get_no_price_until_one_is_left() -> None:
    other = Instrument(symbol="SBIN-OLD", exchange="NSE", token=SBIN.token)
    ltp = frame(struct.pack(">II", int(SBIN.token), 81235))
    both = codec(SBIN, other)
    assert both.decode(ltp).ticks == []
    both.unsubscribe([other], "full")
    assert [tick.instrument for tick in both.decode(ltp).ticks] == [SBIN]


def test_nothing_arrives_for_what_is_no_longer_subscribed() -> None:
    subject = codec(SBIN)
    subject.unsubscribe([SBIN], "full")
    decoded = subject.decode(frame(struct.pack(">II", int(SBIN.token), 81235)))
    assert (decoded.ticks, decoded.unrouted) == ([], 1)


@pytest.mark.parametrize(
    ("segment", "exchange", "divisor"),
    [
        (1, "NSE", 100), (2, "NFO", 100), (3, "CDS", 10_000_000), (4, "BSE", 100), (5, "BFO", 100),
        (6, "BCD", 10_000), (7, "MCX", 100), (9, "NSE_INDEX", 100), (12, "NCO", 10_000),
    ],
)  # fmt: skip
def test_every_segment_has_its_price_divisor(segment: int, exchange: str, divisor: int) -> None:
    subject = instrument(segment, exchange)
    # Beyond 2**31 the finer scales are unsigned; paise can only be a negative number there.
    raw = 1_999_999_999 if divisor == 100 else 4_000_000_001
    (tick,) = codec(subject).decode(frame(struct.pack(">II", int(subject.token), raw))).ticks
    assert tick.ltp == pytest.approx(raw / divisor, rel=1e-12)


def test_a_token_of_a_segment_without_a_known_divisor_cannot_be_subscribed() -> None:
    with pytest.raises(ValueError, match="segment 11"):
        codec(instrument(11, "NSE"))


@pytest.mark.parametrize(("segment", "exchange", "kept"), [(1, "NSE", None), (4, "BSE", None), (2, "NFO", 0)])
def test_open_interest_is_for_derivatives_and_may_be_zero(segment: int, exchange: str, kept: int | None) -> None:
    subject = instrument(segment, exchange)
    (tick,) = codec(subject).decode(frame(full_packet(int(subject.token), oi=0))).ticks
    assert tick.oi == kept


def test_zero_prices_and_times_are_absent_while_zero_quantities_stay() -> None:
    packet = struct.pack(">11I", int(SBIN.token), *[0] * 10) + bytes(140)
    (tick,) = codec(SBIN).decode(frame(packet)).ticks
    assert tick.mode is Mode.DEPTH
    assert {tick.ltp, tick.ltt, tick.timestamp, tick.open, tick.high, tick.low, tick.close} == {None}
    assert tick.avg_trade_price is None
    assert [tick.volume, tick.last_trade_quantity, tick.total_buy_quantity, tick.total_sell_quantity] == [0] * 4
    assert tick.depth is not None
    assert (tick.depth.buy, tick.depth.sell) == ([], [])


def test_an_ltp_packet_without_a_price_is_no_tick() -> None:
    decoded = codec(SBIN).decode(frame(struct.pack(">II", int(SBIN.token), 0)))
    assert (decoded.ticks, decoded.event, decoded.unrouted) == ([], None, 0)


def test_a_level_needs_both_price_and_quantity() -> None:
    depth = struct.pack(">IIH2x", 5, 0, 1) + struct.pack(">IIH2x", 0, 9990, 1) + struct.pack(">IIH2x", 5, 9980, 0)
    (tick,) = codec(SBIN).decode(frame(full_packet(int(SBIN.token), depth=depth))).ticks
    assert tick.depth is not None
    assert [(level.price, level.quantity, level.orders) for level in tick.depth.buy] == [(99.8, 5, 0)]


def test_an_index_packet_of_32_bytes_serves_quote_and_has_its_time() -> None:
    packet = struct.pack(">6IiI", int(NIFTY.token), 100, 120, 80, 90, 95, -5, 1_755_507_611)
    (tick,) = codec(NIFTY).decode(frame(packet)).ticks
    assert (tick.mode, tick.timestamp, tick.depth, tick.volume) == (Mode.QUOTE, 1_755_507_611_000, None, None)
    assert (tick.high, tick.low, tick.open, tick.close) == (1.2, 0.8, 0.9, 0.95)


def test_a_packet_of_unknown_length_is_skipped_and_the_rest_is_read() -> None:
    ltp = struct.pack(">II", int(SBIN.token), 81235)
    decoded = codec(SBIN).decode(frame(bytes(13), ltp))
    assert ([tick.ltp for tick in decoded.ticks], decoded.unknown, decoded.event) == ([812.35], 1, None)


def test_complete_packets_of_a_cut_frame_are_delivered_once_and_the_frame_is_counted() -> None:
    ltp = struct.pack(">II", int(SBIN.token), 81235)
    whole = frame(ltp, full_packet(int(SBIN.token)))
    for size in range(12, len(whole)):
        decoded = codec(SBIN).decode(whole[:size])
        assert ([tick.ltp for tick in decoded.ticks], decoded.event) == ([812.35], Event.MALFORMED)
    assert codec(SBIN).decode(struct.pack(">H", 9) + frame(ltp)[2:]).event is Event.MALFORMED


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ({"type": "order", "data": {"order_id": "1"}}, Event.ORDER),
        ({"type": "error", "data": "Too many instruments"}, Event.ERROR),
        ({"type": "error", "data": "Invalid instrument token 5"}, Event.ERROR),
        ({"type": "error", "data": "3001 tokens are more than 3000"}, Event.ERROR),
        ({"type": "error", "data": "Access token has expired"}, Event.AUTH_ERROR),
        ({"type": "error", "data": "TokenException"}, Event.AUTH_ERROR),
        ({"type": "error", "data": "Authorization failed"}, Event.AUTH_ERROR),
        ({"type": "error", "data": None}, Event.ERROR),
        ({"type": "message", "data": {"text": "hello"}}, None),
        ({"type": "instruments_meta", "data": {"count": 5}}, None),
        ({"app_code": 5}, None),
        ([1, 2], None),
        ("order", None),
    ],
)
def test_text_frames_become_events_and_never_ticks(message: object, event: Event | None) -> None:
    decoded = codec(SBIN).decode(json.dumps(message))
    assert (decoded.ticks, decoded.event) == ([], event)


def test_the_mode_frame_follows_subscribe_for_the_same_tokens() -> None:
    subject = ZerodhaCodec()
    assert [json.loads(str(each)) for each in subject.subscribe([SBIN, NIFTY], "ltp")] == [
        {"a": "subscribe", "v": [779521, 256265]},
        {"a": "mode", "v": ["ltp", [779521, 256265]]},
    ]
    assert [json.loads(str(each)) for each in subject.change([SBIN], "ltp", "full")] == [
        {"a": "mode", "v": ["full", [779521]]}
    ]


PACKETS = st.sampled_from([8, 28, 32, 44, 184, 13]).flatmap(
    lambda size: st.sampled_from([b"\x00\x0b\xe5\x01", b"\x00\x03\xe9\x09", b"\xff\xff\xff\xff"]).flatmap(
        lambda token: st.binary(min_size=size - 4, max_size=size - 4).map(lambda rest: token + rest)
    )
)


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=600), st.lists(PACKETS, max_size=5).map(lambda packets: frame(*packets))))
@example(b"")
@example(b"\xff\xff")
def test_no_bytes_make_the_codec_raise_or_invent_an_instrument(data: bytes) -> None:
    decoded = codec(SBIN, NIFTY).decode(data)
    for tick in decoded.ticks:
        assert tick.instrument in (SBIN, NIFTY)
        prices = [tick.ltp, tick.open, tick.high, tick.low, tick.close, tick.avg_trade_price]
        prices += [level.price for side in (tick.depth.buy, tick.depth.sell) for level in side] if tick.depth else []
        least = 0 if tick.instrument is NIFTY else -20_000_000
        assert all(price is None or (price and least < price < 20_000_000) for price in prices)


@settings(max_examples=200)
@given(st.text(max_size=200))
@example("[" * 100_000)
@example('{"type":"x","data":' + "[" * 100_000)
@example('{"type":"error","data":"\ud800"}')
def test_no_text_makes_the_codec_raise(text: str) -> None:
    assert codec(SBIN).decode(text).ticks == []


@settings(max_examples=100)
@given(st.lists(PACKETS, min_size=1, max_size=5))
def test_packets_read_alike_alone_and_together(packets: list[bytes]) -> None:
    subject = codec(SBIN, NIFTY)
    apart = [tick for packet in packets for tick in subject.decode(frame(packet)).ticks]
    assert subject.decode(frame(*packets)).ticks == apart


def test_the_adapter_offers_five_levels_on_exchanges_and_none_on_indices() -> None:
    adapter = BROKER.adapter()
    assert {exchange: adapter.depth_levels(exchange) for exchange in ("NSE", "MCX", "NSE_INDEX")} == {
        "NSE": (5,),
        "MCX": (5,),
        "NSE_INDEX": (),
    }
    assert [adapter.streams(SBIN, mode, 5)[0].kind for mode in Mode] == ["ltp", "quote", "full"]
