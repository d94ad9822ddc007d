"""Motilal Oswal's broadcast: how packets add up, who is meant, and that no bytes make up a price."""

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.motilal import motilal_wire as wire
from broker.motilal.motilal_wire import BY_NAME, HEARTBEAT, NOON_MS, Said, codec, index, level, packet, trade
from tickmux.codec import Credentials, Event
from tickmux.instrument import Instrument
from tickmux.tick import Mode

TCS, NIFTY = BY_NAME["TCS", "NSE"], BY_NAME["NIFTY", "NSE_INDEX"]
STRANGER = packet("Z", 1, "A", b"")


# -- how packets add up ----------------------------------------------------------------------------------


def test_a_time_of_zero_keeps_the_last_one_and_a_trade_without_a_time_has_none() -> None:
    made = codec()
    first, second, third = made.decode(
        trade("N", 11536, 10.0) + packet("N", 11536, "m", bytes(4), 0) + trade("N", 11536, 10.0, time=-5)
    ).ticks
    assert (first.ltt, first.timestamp) == (NOON_MS, NOON_MS)
    assert (second.ltt, second.timestamp) == (NOON_MS, NOON_MS)
    assert (third.ltt, third.timestamp) == (None, NOON_MS)


def test_a_level_replaces_both_its_sides_and_a_price_of_zero_takes_it_away() -> None:
    made = codec()
    made.decode(level("N", 11536, 0, 99.0, 101.0) + level("N", 11536, 1, 98.0, 102.0))
    (tick,) = made.decode(level("N", 11536, 0, 0.0, 101.5, quantity=0, orders=65_535)).ticks
    assert wire.told([tick])[0]["depth"] == {
        "buy": [{"price": 98.0, "quantity": 1, "orders": 1}],
        "sell": [{"price": 101.5, "quantity": 0, "orders": 65_535}, {"price": 102.0, "quantity": 1, "orders": 1}],
    }


def test_a_price_of_zero_takes_the_old_one_away() -> None:
    made = codec()
    made.decode(trade("N", 11536, 10.0, oi=7))
    (tick,) = made.decode(trade("N", 11536, 0.0)).ticks
    assert (tick.ltp, tick.oi, tick.volume) == (None, 0, 0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 0.001, -0.001, 1e-40])
def test_what_is_no_price_is_absent(value: float) -> None:
    assert codec().decode(trade("N", 11536, value)).ticks[0].ltp is None


def test_commodities_may_be_negative_and_currency_has_four_decimals() -> None:
    made = codec()
    ticks = made.decode(trade("M", 499095, -37.63) + trade("C", 1482, 88.6525) + trade("N", 11536, 88.6525)).ticks
    assert [tick.ltp for tick in ticks] == [-37.63, 88.6525, 88.65]


def test_quantities_are_unsigned() -> None:
    body = struct.pack("<fIIfI", 1.0, 2**32 - 3, 2**32 - 2, 1.0, 2**31 + 1)
    (tick,) = codec().decode(packet("N", 55917, "A", body)).ticks
    assert (tick.last_trade_quantity, tick.volume, tick.oi) == (2**32 - 3, 2**32 - 2, 2**31 + 1)


def test_ticks_that_were_given_do_not_change_afterwards() -> None:
    made = codec()
    (first,) = made.decode(level("N", 11536, 0, 99.0, 101.0)).ticks
    before = wire.told([first])
    made.decode(level("N", 11536, 1, 98.0, 102.0) + trade("N", 11536, 5.0))
    assert wire.told([first]) == before


def test_the_record_ends_with_the_subscription_and_with_the_connection() -> None:
    made = codec()
    made.decode(trade("N", 11536, 10.0))
    made.unsubscribe([TCS], "scrip")
    assert made.decode(trade("N", 11536, 10.0)).unrouted == 1
    made.subscribe([TCS], "scrip")
    (tick,) = made.decode(packet("N", 11536, "m", bytes(4))).ticks
    assert (tick.ltp, tick.oi) == (None, 0)
    fresh = codec()
    (tick,) = fresh.decode(packet("N", 11536, "m", bytes(4))).ticks
    assert tick.ltp is None


# -- the stream ------------------------------------------------------------------------------------------


def test_packets_may_end_anywhere() -> None:
    stream = trade("N", 11536, 10.0) + HEARTBEAT + trade("N", 55917, 20.0)
    made = codec()
    decoded = [made.decode(stream[at : at + 1]) for at in range(len(stream))]
    assert [tick.ltp for each in decoded for tick in each.ticks] == [10.0, 20.0]
    assert [reply for each in decoded for reply in each.replies] == [b"1\0\0"]


def test_every_heartbeat_is_answered_whatever_else_it_says() -> None:
    odd = packet("Z", -1, "1", b"\xff" * 20, -1)
    decoded = codec().decode(HEARTBEAT + trade("N", 11536, 1.0) + odd)
    assert decoded.replies == [b"1\0\0"] * 2
    assert (len(decoded.ticks), decoded.event) == (1, Event.HEARTBEAT)


def test_a_packet_of_an_unknown_exchange_is_malformed_and_the_others_stand() -> None:
    decoded = codec().decode(STRANGER + trade("N", 11536, 1.0) + STRANGER * 2 + HEARTBEAT + trade("N", 11536, 2.0))
    assert ([tick.ltp for tick in decoded.ticks], decoded.event) == ([1.0, 2.0], Event.MALFORMED)
    assert (decoded.restart, decoded.replies) == (False, [b"1\0\0"])


@pytest.mark.parametrize("frames", [[STRANGER * 3], [STRANGER, STRANGER, STRANGER], [STRANGER * 2 + b"\xff" * 45]])
def test_a_stream_out_of_step_ends_the_session_and_is_forgotten(frames: list[bytes]) -> None:
    made = codec()
    decoded = [made.decode(frame) for frame in frames]
    assert [each.restart for each in decoded] == [False] * (len(frames) - 1) + [True]
    assert decoded[-1].event is Event.MALFORMED
    assert made.decode(trade("N", 11536, 1.0)).ticks[0].ltp == 1.0


@pytest.mark.parametrize("kind", ["X", "Y", "g", "z", "\0", "2"])
def test_undocumented_packets_are_counted_and_skipped(kind: str) -> None:
    decoded = codec().decode(packet("N", 11536, kind, b"\x01" * 20) + trade("N", 11536, 1.0))
    assert (len(decoded.ticks), decoded.unknown, decoded.event) == (1, 1, None)


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ('{"status":"ERROR","message":"Authorization is Invalid"}', Event.AUTH_ERROR),
        ('{"status":"error","message":"Unauthorised user"}', Event.AUTH_ERROR),
        ('{"status":"ERROR","message":"Server busy"}', Event.ERROR),
        ('{"status":"SUCCESS","message":"Authorization done"}', Event.ERROR),
        ('{"status":5,"message":["auth"]}', Event.ERROR),
        ("hello", Event.ERROR),
        ("[" * 100_000, Event.ERROR),
        ("", Event.ERROR),
    ],
)
def test_text_is_an_error_and_an_authentication_failure_where_its_words_say_so(text: str, event: Event) -> None:
    decoded = codec().decode(text)
    assert (decoded.event, decoded.ticks) == (event, [])
    assert decoded.message


# -- who is meant ----------------------------------------------------------------------------------------


def test_two_instruments_that_share_a_code_on_two_exchanges_never_mix() -> None:
    share = Instrument(symbol="RELIANCE", exchange="NSE", token="2885", brexchange="NSE")
    future = Instrument(symbol="USDINR", exchange="CDS", token="2885", brexchange="NSECD")
    gauge = Instrument(symbol="INDEX", exchange="NSE_INDEX", token="2885", brexchange="NSE")
    made = codec(share, future, gauge)
    decoded = made.decode(
        trade("N", 2885, 1.0) + trade("C", 2885, 2.0) + index("N", 2885, 3.0) + trade("B", 2885, 4.0)
    )
    assert [(tick.instrument, tick.ltp, tick.mode) for tick in decoded.ticks] == [
        (share, 1.0, Mode.QUOTE),
        (future, 2.0, Mode.QUOTE),
        (gauge, 3.0, Mode.LTP),
    ]
    assert decoded.unrouted == 1


def test_two_scrips_with_one_code_behind_one_character_are_both_silent_until_one_is_left() -> None:
    share = Instrument(symbol="A", exchange="NSE", token="40000", brexchange="NSE")
    future = Instrument(symbol="AFUT", exchange="NFO", token="40000", brexchange="NSEFO")
    made = codec(share, future)
    decoded = made.decode(trade("N", 40000, 1.0))
    assert (decoded.ticks, decoded.unrouted) == ([], 1)
    made.unsubscribe([share], "scrip")
    assert made.decode(trade("N", 40000, 2.0)).ticks[0].instrument is future


def test_a_share_is_never_shown_as_an_index_nor_the_other_way_round() -> None:
    decoded = codec(NIFTY).decode(trade("N", 26000, 55_000.0) + index("N", 11536, 1.0))
    assert (decoded.ticks, decoded.unrouted) == ([], 1)
    assert codec(TCS).decode(index("N", 11536, 1.0)).ticks == []


@pytest.mark.parametrize("code", [-1, -26000, -(2**31), 2**31 - 1, 0])
def test_codes_that_nobody_has_find_nobody(code: int) -> None:
    made = codec()
    for exchange in "NBGCMDE":
        assert made.decode(trade(exchange, code, 1.0) + index(exchange, code, 1.0)).ticks == []


@pytest.mark.parametrize(
    "changes",
    [{"token": ""}, {"token": "x"}, {"token": "-1"}, {"token": "2147483648"}, {"token": "٣"}, {"exchange": "NCO"}],
)
def test_what_the_wire_cannot_name_is_refused(changes: dict[str, str]) -> None:
    row = {"symbol": "A", "exchange": "NSE", "token": "1"} | changes
    with pytest.raises(ValueError, match="Motilal Oswal"):
        codec().wire_key(Instrument(**row))


@pytest.mark.parametrize("client_code", ["", "A" * 16, "ÄA017"])
def test_a_client_code_that_does_not_fit_is_refused(client_code: str) -> None:
    with pytest.raises(ValueError, match="client code"):
        codec().open_frames(Credentials({"client_code": client_code}))


# -- hostile bytes ---------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(wire.streams())
def test_whatever_comes_the_ticks_are_what_the_bytes_say(frames: list[bytes]) -> None:
    made, said = codec(), Said()
    for frame in frames:
        decoded = made.decode(frame)
        assert wire.told(decoded.ticks) == said.read(frame)
        assert decoded.restart == said.lost
        if said.lost:
            return
        assert len(made._rest) == len(said.stream) < 30
    assert len(made._records) == len(wire.INSTRUMENTS), "no stranger leaves anything behind"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=200) | st.text(max_size=50), max_size=8))
def test_no_noise_raises_or_grows(frames: list[bytes | str]) -> None:
    made = codec()
    for frame in frames:
        made.decode(frame)
        assert len(made._rest) < 30


def test_a_frame_of_many_packets_takes_a_moment() -> None:
    decoded = codec().decode(trade("N", 1, 1.0) * 50_000 + HEARTBEAT * 10 + bytes(29))
    assert (decoded.unrouted, len(decoded.replies)) == (50_000, 10)


def test_the_day_of_an_index_is_a_quote() -> None:
    body = struct.pack("<4f4x", 26000.5, 26100.0, 25950.25, 25980.0)
    made = codec(NIFTY)
    made.decode(index("N", 26000, 26068.15))
    (tick,) = made.decode(packet("N", 26000, "G", body)).ticks
    assert (tick.instrument, tick.mode) == (NIFTY, Mode.QUOTE)
    assert (tick.ltp, tick.open, tick.high, tick.low, tick.close) == (26068.15, 26000.5, 26100.0, 25950.25, 25980.0)


def test_the_day_of_a_code_that_an_index_and_a_scrip_share_is_the_scrips() -> None:
    share = Instrument(symbol="A", exchange="NSE", token=NIFTY.token, brexchange="NSE")
    day = packet("N", int(NIFTY.token), "G", struct.pack("<4f4x", 1.0, 1.0, 1.0, 1.0))
    assert [tick.instrument for tick in codec(NIFTY, share).decode(day).ticks] == [share]


def test_a_float_of_a_sentinel_takes_the_old_price_back() -> None:
    made = codec()
    made.decode(trade("N", 11536, 10.0))
    (tick,) = made.decode(trade("N", 11536, 42949672.95)).ticks
    assert tick.ltp is None
    assert "ltp" in tick.taken_back
