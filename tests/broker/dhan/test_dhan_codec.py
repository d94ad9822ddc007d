"""Dhan's main feed beyond the shared vectors: routing, kept state, rules for absent values, hostile messages."""

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tickmux.broker.dhan.streaming.dhan_adapter import DhanAdapter
from tickmux.broker.dhan.streaming.dhan_mapping import MainFeedCodec
from tickmux.broker.dhan.streaming.standing import Standing
from tickmux.codec import Event
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick, tick_fields
from tickmux.websocket_proxy.base_adapter import Stream

NIFTY = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="13")
ABB = Instrument(symbol="ABB", exchange="NSE", token="13")
RELIANCE = Instrument(symbol="RELIANCE", exchange="NSE", token="2885")
EURINR = Instrument(symbol="EURINR29AUG25102.75CE", exchange="CDS", token="2885")
FUTURE = Instrument(symbol="NIFTY28AUG25FUT", exchange="NFO", token="53001")
INDEX, NSE, NFO, CDS = 0, 1, 2, 3
TRADED = 1_755_527_411  # Indian clock time as an epoch
LTT = (TRADED - 19_800) * 1000


def codec(*instruments: Instrument, kind: str = "quote") -> MainFeedCodec:
    made = MainFeedCodec(Standing(lambda: 0.0))
    made.subscribe(instruments, kind)
    return made


def head(code: int, size: int, segment: int, number: int) -> bytes:
    return struct.pack("<BHBI", code, size, segment, number)


def ticker(segment: int, number: int, price: float, traded: int = TRADED) -> bytes:
    return head(2, 16, segment, number) + struct.pack("<fI", price, traded)


def close(segment: int, number: int, price: float) -> bytes:
    return head(6, 16, segment, number) + struct.pack("<fI", price, 77)


def interest(segment: int, number: int, oi: int) -> bytes:
    return head(5, 12, segment, number) + struct.pack("<I", oi)


def quote(segment: int, number: int, price: float, day_close: float = 0.0) -> bytes:
    body = struct.pack("<fHIfIIIffff", price, 25, TRADED, 99.5, 1000, 11, 22, 98.0, day_close, 102.0, 97.0)
    return head(4, 50, segment, number) + body


def full(segment: int, number: int, price: float, oi: int = 500, levels: bytes = bytes(100)) -> bytes:
    day = struct.pack("<fHIfIIIIIIffff", price, 25, TRADED, 99.5, 1000, 11, 22, oi, 9, 8, 98.0, 0.0, 102.0, 97.0)
    return head(8, 162, segment, number) + day + levels


def disconnect(reason: int) -> bytes:
    return head(50, 10, 0, 0) + struct.pack("<H", reason)


def prices(ticks: list[Tick]) -> list[tuple[str, str, float | None]]:
    return [(tick.instrument.symbol, tick.instrument.exchange, tick.ltp) for tick in ticks]


# -- whose tick it is ----------------------------------------------------------------------------------------


def test_two_instruments_that_share_an_id_in_two_segments_never_mix() -> None:
    made = codec(NIFTY, ABB, RELIANCE, EURINR)
    message = b"".join(
        (ticker(INDEX, 13, 24980.65), ticker(NSE, 13, 5100.5), ticker(NSE, 2885, 1412.0), ticker(CDS, 2885, 0.1275))
    )
    assert prices(made.decode(message).ticks) == [
        ("NIFTY", "NSE_INDEX", 24980.65),
        ("ABB", "NSE", 5100.5),
        ("RELIANCE", "NSE", 1412.0),
        ("EURINR29AUG25102.75CE", "CDS", 0.1275),
    ]


@pytest.mark.parametrize("packet", [ticker(NSE, 13, 1.0), quote(7, 13, 1.0), full(99, 13, 1.0), close(NFO, 13, 1.0)])
def test_a_packet_of_another_segment_is_dropped_and_counted(packet: bytes) -> None:
    decoded = codec(NIFTY).decode(packet)
    assert decoded.ticks == []
    assert decoded.unrouted == 1
    assert decoded.event is None


def test_an_id_that_both_index_exchanges_claim_is_nobodys_until_one_leaves() -> None:
    twin = Instrument(symbol="TWIN", exchange="BSE_INDEX", token="13")
    made = codec(NIFTY)
    made.decode(close(INDEX, 13, 24900.0))
    made.subscribe([twin], "ltp")
    assert made.decode(ticker(INDEX, 13, 25000.0)).unrouted == 1
    made.unsubscribe([NIFTY], "quote")
    (tick,) = made.decode(ticker(INDEX, 13, 25000.0)).ticks
    assert tick.instrument is twin
    assert tick.close is None, "the other's previous close is not its own"


def test_what_was_known_of_an_instrument_is_forgotten_when_it_is_unsubscribed() -> None:
    made = codec(FUTURE)
    made.decode(close(NFO, 53001, 24900.0) + interest(NFO, 53001, 5))
    made.unsubscribe([FUTURE], "quote")
    made.subscribe([FUTURE], "quote")
    (tick,) = made.decode(quote(NFO, 53001, 25000.0)).ticks
    assert tick.close is None
    assert tick.oi is None


def test_a_changed_kind_keeps_what_is_known() -> None:
    made = codec(FUTURE, kind="ltp")
    made.decode(close(NFO, 53001, 24900.0))
    frames = made.change([FUTURE], "ltp", "full")
    assert [json.loads(str(frame))["RequestCode"] for frame in frames] == [21, 16]
    assert made.decode(full(NFO, 53001, 25000.0)).ticks[0].close == 24900.0


@pytest.mark.parametrize(
    ("exchange", "token"),
    [
        ("NCDEX", "1"),
        ("NSE", ""),
        ("NSE", "-1"),
        ("NSE", "4294967296"),
        ("NSE", "1e3"),
        ("NSE", "¹"),
        ("NSE", "1" * 30),
    ],
)
def test_what_the_wire_cannot_name_is_refused(exchange: str, token: str) -> None:
    with pytest.raises(ValueError, match="X"):
        codec().wire_key(Instrument(symbol="X", exchange=exchange, token=token))


# -- what a tick says ----------------------------------------------------------------------------------------


def test_the_packets_own_day_close_never_becomes_the_previous_close() -> None:
    (tick,) = codec(RELIANCE).decode(quote(NSE, 2885, 1412.0, day_close=1399.0)).ticks
    assert tick.close is None


def test_a_repeated_tick_is_a_new_one_and_leaves_the_earlier_as_it_was() -> None:
    first, second, third = (
        codec(FUTURE).decode(quote(NFO, 53001, 100.0) + close(NFO, 53001, 99.0) + interest(NFO, 53001, 7)).ticks
    )
    assert (first.close, first.oi) == (None, None)
    assert (second.close, second.oi) == (99.0, None)
    assert (third.close, third.oi) == (99.0, 7)
    assert {tick.mode for tick in (first, second, third)} == {Mode.QUOTE}


def test_open_interest_waits_for_a_quote_and_is_none_of_an_ltp_tick() -> None:
    made = codec(FUTURE)
    assert made.decode(interest(NFO, 53001, 7)).ticks == []
    (last,) = made.decode(ticker(NFO, 53001, 100.0)).ticks
    assert last.oi is None
    assert made.decode(interest(NFO, 53001, 8)).ticks == []
    (tick,) = made.decode(quote(NFO, 53001, 101.0)).ticks
    assert tick.oi == 8


def test_a_full_packets_open_interest_is_remembered_for_quotes() -> None:
    made = codec(FUTURE)
    made.decode(full(NFO, 53001, 100.0, oi=0))
    assert made.decode(quote(NFO, 53001, 101.0)).ticks[0].oi == 0


@pytest.mark.parametrize(
    ("instrument", "segment"), [(RELIANCE, NSE), (NIFTY, INDEX), (Instrument("R", "BSE", "2885"), 4)]
)
def test_only_derivatives_have_open_interest(instrument: Instrument, segment: int) -> None:
    made, number = codec(instrument), int(instrument.token)
    (tick,) = made.decode(
        interest(segment, number, 5) + quote(segment, number, 10.0) + interest(segment, number, 6)
    ).ticks
    assert tick.oi is None
    assert made.decode(full(segment, number, 10.0)).ticks[0].oi is None


NO_PRICES = [0.0, -0.01, 42949672.95, 3e38, math.nan, math.inf, -math.inf, 0.001]


@pytest.mark.parametrize("price", NO_PRICES)
def test_what_is_no_price_makes_no_ltp_tick_and_no_field(price: float) -> None:
    made = codec(RELIANCE)
    assert made.decode(ticker(NSE, 2885, price)).ticks == []
    (tick,) = made.decode(quote(NSE, 2885, price)).ticks
    assert tick.ltp is None
    assert tick.volume == 1000
    assert made.decode(close(NSE, 2885, price)).ticks == [], "no previous close, so nothing is new"
    assert made.decode(ticker(NSE, 2885, 10.0)).ticks[0].close is None


def test_levels_without_price_or_quantity_are_dropped() -> None:
    levels = b"".join(
        struct.pack("<IIHHff", *level)
        for level in (
            (10, 20, 1, 2, 99.95, 100.05),
            (0, 0, 0, 0, -0.01, -0.01),
            (5, 0, 1, 0, -0.01, 100.1),
            (0, 7, 0, 1, 99.9, math.nan),
            (3, 4, 65535, 0, 99.85, 100.15),
        )
    )
    depth = codec(FUTURE).decode(full(NFO, 53001, 100.0, levels=levels)).ticks[0].depth
    assert depth is not None
    assert [(level.price, level.quantity, level.orders) for level in depth.buy] == [(99.95, 10, 1), (99.85, 3, 65535)]
    assert [(level.price, level.quantity, level.orders) for level in depth.sell] == [(100.05, 20, 2), (100.15, 4, 0)]


@pytest.mark.parametrize(
    ("traded", "ltt"), [(0, None), (19_800, None), (19_801, 1000), (2**32 - 2, 4294947494000), (2**32 - 1, None)]
)
def test_trade_times_are_shifted_back_from_indian_clocks(traded: int, ltt: int | None) -> None:
    assert codec(RELIANCE).decode(ticker(NSE, 2885, 1.0, traded)).ticks[0].ltt == ltt


def test_the_shift_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MainFeedCodec, "ist_shift", 0)
    assert codec(RELIANCE).decode(ticker(NSE, 2885, 1.0)).ticks[0].ltt == TRADED * 1000


def test_quantities_of_zero_stay_zero() -> None:
    body = struct.pack("<fHIfIIIffff", 10.0, 0, 0, 0.0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0)
    (tick,) = codec(RELIANCE).decode(head(4, 50, NSE, 2885) + body).ticks
    assert tick_fields(tick) == {
        "ltp": 10.0,
        "volume": 0,
        "last_trade_quantity": 0,
        "total_buy_quantity": 0,
        "total_sell_quantity": 0,
    }


@settings(max_examples=100, deadline=None)
@given(
    paise=st.lists(st.integers(1, 13_000_000), min_size=5, max_size=5),
    numbers=st.lists(st.integers(0, 2_000_000_000) | st.integers(2_500_000_000, 2**32 - 2), min_size=3, max_size=3),
    quantity=st.integers(0, 2**16 - 1),
)
def test_every_quote_comes_back_to_the_paisa(paise: list[int], numbers: list[int], quantity: int) -> None:
    last, average, open_, high, low = (value / 100 for value in paise)
    volume, sell, buy = numbers
    body = struct.pack("<fHIfIIIffff", last, quantity, TRADED, average, volume, sell, buy, open_, 0.0, high, low)
    (tick,) = codec(RELIANCE).decode(head(4, 50, NSE, 2885) + body).ticks
    assert tick_fields(tick) == {
        "ltp": last,
        "ltt": LTT,
        "open": open_,
        "high": high,
        "low": low,
        "volume": volume,
        "last_trade_quantity": quantity,
        "avg_trade_price": average,
        "total_buy_quantity": buy,
        "total_sell_quantity": sell,
    }


# -- messages that are not all prices ------------------------------------------------------------------------

GOOD = ticker(NSE, 2885, 1412.0)


@pytest.mark.parametrize(
    ("message", "ticks", "event", "unknown"),
    [
        (GOOD + b"\x00", 1, Event.MALFORMED, 0),
        (GOOD + GOOD[:15], 1, Event.MALFORMED, 0),
        (b"", 0, Event.MALFORMED, 0),
        (head(9, 0, 0, 0) + GOOD, 0, Event.MALFORMED, 0),  # a length of zero
        (head(9, 7, 0, 0) + GOOD, 0, Event.MALFORMED, 0),
        (head(9, 100, 0, 0) + GOOD, 0, Event.MALFORMED, 0),
        (head(9, 11, 0, 0) + b"abc" + GOOD, 1, None, 1),
        (head(1, 12, 0, 13) + b"abcd" + GOOD, 1, None, 0),  # an index packet, of unpublished layout
        (head(3, 0, 1, 13) + bytes(104) + GOOD, 1, None, 0),  # sizes of known packets do not depend on the field
        (head(7, 99, 0, 0) + GOOD, 1, None, 0),
        (GOOD[:1] + b"\xff\xff" + GOOD[3:] + GOOD, 2, None, 0),
        (GOOD + head(0, 8, 0, 0) + GOOD, 2, Event.HEARTBEAT, 0),
        (GOOD + head(0, 0, 0, 0) + GOOD, 1, Event.HEARTBEAT, 0),  # the rest is dropped without a word
        (head(0, 12, 0, 0) + b"abcd", 0, Event.HEARTBEAT, 0),
        (head(0, 12, 0, 0), 0, Event.MALFORMED, 0),
        (head(0, 8, 0, 0) + b"\x02", 0, Event.MALFORMED, 0),
        (disconnect(807) + b"\x02", 0, Event.AUTH_ERROR, 0),  # the graver word stays
        (disconnect(808) + disconnect(805), 0, Event.AUTH_ERROR, 0),
        (GOOD + disconnect(800), 1, Event.ERROR, 0),
    ],
)
def test_a_message_yields_what_is_sound_in_it(message: bytes, ticks: int, event: Event | None, unknown: int) -> None:
    decoded = codec(RELIANCE).decode(message)
    assert len(decoded.ticks) == ticks
    assert (decoded.event, decoded.unknown) == (event, unknown)


def test_text_is_not_expected() -> None:
    decoded = codec(RELIANCE).decode('{"type":"error"}')
    assert (decoded.ticks, decoded.event, decoded.unknown) == ([], None, 1)


@pytest.mark.parametrize("reason", [806, 807, 808, 809, 810])
def test_a_refused_session_says_what_to_do(reason: int) -> None:
    decoded = codec(RELIANCE).decode(disconnect(reason))
    assert decoded.event is Event.AUTH_ERROR
    assert "log in again" in decoded.message
    assert str(reason) in decoded.message


@pytest.mark.parametrize("reason", [800, 805, 0, 999])
def test_other_disconnects_ask_for_a_new_connection(reason: int) -> None:
    decoded = codec(RELIANCE).decode(disconnect(reason))
    assert (decoded.event, decoded.restart, decoded.refused) == (Event.ERROR, True, [])


@pytest.mark.parametrize("reason", [804, 811, 812, 813, 814])
def test_a_refused_request_drops_the_last_one_and_keeps_the_socket(reason: int) -> None:
    made = codec(RELIANCE)
    made.subscribe([ABB, NIFTY], "ltp")
    decoded = made.decode(disconnect(reason))
    assert (decoded.event, decoded.restart, decoded.refused) == (Event.ERROR, False, [ABB, NIFTY])
    assert made.decode(disconnect(reason)).refused == []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
@example(GOOD * 20)
@example(bytes([50]) * 64)
def test_no_message_breaks_the_decoder_or_makes_up_a_price(message: bytes) -> None:
    made = codec(RELIANCE, NIFTY, FUTURE, EURINR, kind="full")
    check(made.decode(message).ticks)


PACKET = st.one_of(
    st.builds(
        lambda code, length, target, body: head(code, length, *target) + body,
        st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 50, 200]),
        st.integers(0, 400),
        st.sampled_from([(NSE, 2885), (INDEX, 13), (NFO, 53001), (CDS, 2885), (4, 1)]),
        st.binary(max_size=160),
    ),
    st.builds(ticker, st.just(NSE), st.just(2885), st.floats(width=32), st.integers(0, 2**32 - 1)),
    st.builds(close, st.just(NFO), st.just(53001), st.floats(width=32)),
    st.builds(
        lambda price, oi, levels: full(NFO, 53001, price, oi, levels),
        st.floats(width=32),
        st.integers(0, 2**32 - 1),
        st.binary(min_size=100, max_size=100),
    ),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(PACKET, max_size=5).map(b"".join), max_size=5))
def test_no_conversation_breaks_the_decoder_or_makes_up_a_price(messages: list[bytes]) -> None:
    made = codec(RELIANCE, NIFTY, FUTURE, EURINR, kind="full")
    for message in messages:
        check(made.decode(message).ticks)


def check(ticks: list[Tick]) -> None:
    for tick in ticks:
        assert tick.instrument in (RELIANCE, NIFTY, FUTURE, EURINR)
        fields: dict[str, Any] = tick_fields(tick)
        levels = fields.pop("depth", {"buy": [], "sell": []})
        for name in ("ltp", "open", "high", "low", "close", "avg_trade_price"):
            assert fields.get(name, 1.0) and abs(fields.get(name, 1.0)) < 20_000_000
        for level in levels["buy"] + levels["sell"]:
            assert level["price"] and abs(level["price"]) < 20_000_000
            assert level["quantity"] > 0


# -- requests and streams ------------------------------------------------------------------------------------


def test_a_request_names_segment_and_id_as_text() -> None:
    frames = MainFeedCodec(Standing(lambda: 0.0)).subscribe([NIFTY, EURINR], "quote")
    assert [json.loads(str(frame)) for frame in frames] == [
        {
            "RequestCode": 17,
            "InstrumentCount": 2,
            "InstrumentList": [
                {"ExchangeSegment": "IDX_I", "SecurityId": "13"},
                {"ExchangeSegment": "NSE_CURRENCY", "SecurityId": "2885"},
            ],
        }
    ]


@pytest.mark.parametrize(
    ("exchange", "mode", "depth", "streams"),
    [
        ("NSE", Mode.LTP, 0, (("main", "ltp"),)),
        ("NSE", Mode.QUOTE, 0, (("main", "quote"),)),
        ("NSE", Mode.DEPTH, 5, (("main", "full"),)),
        ("NSE", Mode.DEPTH, 20, (("main", "beside_book"), ("depth20", "depth20"))),
        ("NFO", Mode.DEPTH, 200, (("main", "beside_book"), ("depth200", "depth200"))),
        ("BSE", Mode.DEPTH, 20, (("main", "full"),)),
        ("MCX", Mode.DEPTH, 200, (("main", "full"),)),
        ("NSE_INDEX", Mode.DEPTH, 5, (("main", "quote"),)),
    ],
)
def test_a_mode_is_served_by_these_streams(
    exchange: str, mode: Mode, depth: int, streams: tuple[tuple[str, str], ...]
) -> None:
    found = DhanAdapter().streams(Instrument(symbol="X", exchange=exchange, token="1"), mode, depth)
    assert found == tuple(Stream(*stream) for stream in streams)


def test_deep_books_are_for_two_exchanges_and_indices_have_none() -> None:
    adapter = DhanAdapter()
    assert {exchange: adapter.depth_levels(exchange) for exchange in adapter.exchanges} == {
        "NSE": (5, 20, 200),
        "NFO": (5, 20, 200),
        "BSE": (5,),
        "BFO": (5,),
        "CDS": (5,),
        "BCD": (5,),
        "MCX": (5,),
        "NSE_INDEX": (),
        "BSE_INDEX": (),
    }


def test_all_sockets_together_never_exceed_the_five_of_a_user() -> None:
    assert sum(channel.connection_limit for channel in DhanAdapter.channels.values()) == 5
