"""Groww's codec beyond the shared vectors: the NATS stream, the log-in, routing, rules for zeros, hostile bytes."""

import json
from itertools import pairwise
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.groww.groww_wire import (
    FUTURE,
    NIFTY,
    NONCE,
    PUBLIC_KEY,
    SBIN,
    SEED,
    SIGNATURE,
    TWIN,
    book,
    double,
    field,
    index_value,
    live_price,
    msg,
    only,
    price_of,
)
from tickmux.broker.groww.streaming.groww_mapping import GrowwCodec
from tickmux.broker.groww.streaming.nats_reader import MAX_LINE, MAX_PAYLOAD, NatsReader
from tickmux.broker.groww.streaming.socket_identity import Refusals, SocketIdentity
from tickmux.codec import Credentials, Decoded, Event
from tickmux.instrument import Instrument
from tickmux.tick import Mode, tick_fields

INFO = b'INFO {"server_id":"A","nonce":"%s","auth_required":true}\r\n' % NONCE.encode()
PRICE = price_of("3045", live_price(ltp=812.3))


def codec(*instruments: Instrument, kind: str = "depth") -> GrowwCodec:
    made = GrowwCodec(SocketIdentity(SEED), Refusals())
    chosen = instruments or (SBIN, TWIN, FUTURE, NIFTY)
    made.subscribe([each for each in chosen if not each.is_index], kind)
    made.subscribe([each for each in chosen if each.is_index], "price")
    return made


def fields(decoded: Decoded) -> dict[str, Any]:
    return tick_fields(only(decoded))


# -- the stream --------------------------------------------------------------------------------------------

SHARE, INDEX = live_price(ltp=5.5), index_value(24698.35)
STREAM = b"".join(
    (
        INFO,
        PRICE,
        b"PING\r\n",
        b"msg\t /ld/eq/bse/price.3045  17 _INBOX.reply  %d \r\n%b\r\n" % (len(SHARE), SHARE),
        b"+OK\r\n",
        b"HMSG /ld/indices/nse/price.NIFTY 9 12 %d\r\nNATS/1.0\r\n\r\n%b\r\n" % (12 + len(INDEX), INDEX),
        msg("/ld/eq/nse/price.3045", live_price(ltp=812.4) + field(15, b"\r\nMSG /ld/eq/nse/price.3045 1 0\r\n\r\n")),
    )
)  # fmt: skip
PRICES = [("SBIN", 812.3), ("TWIN", 5.5), ("NIFTY", 24698.35), ("SBIN", 812.4)]


def prices(subject: GrowwCodec, frames: list[bytes]) -> list[tuple[str, float | None]]:
    return [(tick.instrument.symbol, tick.ltp) for frame in frames for tick in subject.decode(frame).ticks]


def test_one_frame_may_hold_many_operations() -> None:
    assert prices(codec(), [STREAM]) == PRICES


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_operations_may_be_cut_anywhere_between_frames(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    frames = [STREAM[start:end] for start, end in pairwise(places)]
    assert prices(codec(), frames) == PRICES


def test_the_stream_may_come_byte_by_byte() -> None:
    assert prices(codec(), [STREAM[at : at + 1] for at in range(len(STREAM))]) == PRICES


def test_text_frames_are_accepted_too() -> None:
    assert codec().decode("PING\r\n").replies == [b"PONG\r\n"]


@pytest.mark.parametrize(
    "frame",
    [
        b"\xff" * 64,
        b"{",
        b"\r\n",
        b" PING\r\n",
        b"MSGS a 1 0\r\n\r\n",
        b"HELLO\r\n",
        b"MSG /ld/eq/nse/price.3045 1\r\n",
        b"MSG /ld/eq/nse/price.3045 1 -5\r\n",
        b"MSG /ld/eq/nse/price.3045 1 x\r\n",
        b"MSG /ld/eq/nse/price.3045 1 \xd9\xa3\r\n",
        b"MSG a b c d 5\r\n",
        b"MSG /ld/eq/nse/price.3045 1 99999999999\r\n",
        b"MSG /ld/eq/nse/price.3045 1 %d\r\n" % (MAX_PAYLOAD + 1),
        b"HMSG /ld/eq/nse/price.3045 1 20 10\r\n",
        PRICE[:-2] + b"xy",
        b"MSG " + b"a" * MAX_LINE,
    ],
)
def test_a_stream_that_is_out_of_step_ends_the_session_and_is_never_read_on(frame: bytes) -> None:
    subject = codec()
    decoded = subject.decode(PRICE + frame)
    assert only(decoded).ltp == 812.3  # what was whole before it counts
    assert (decoded.event, decoded.restart) == (Event.MALFORMED, True)
    assert subject.decode(b"\r\n" + PRICE).ticks == []


def test_an_unfinished_operation_is_waited_for_without_an_event() -> None:
    for frame in (b"", b"M", b"PIN", b"-er", b"MSG /ld/eq", PRICE[:-1], PRICE[:-2], b"HMSG a 1 5 20\r\nabc"):
        assert codec().decode(frame) == Decoded(ticks=[])


def test_waiting_for_a_payload_does_not_copy_it_again_and_again() -> None:
    reader = NatsReader()
    reader.read(b"MSG a 1 %d\r\n" % MAX_PAYLOAD)
    for _ in range(MAX_PAYLOAD // 16):
        assert reader.read(bytes(16)) == []
    (operation,) = reader.read(b"\r\n")
    assert len(operation.payload) == MAX_PAYLOAD
    assert reader.read(b"PING\r\n")[0].verb == b"PING"


# -- log-in ------------------------------------------------------------------------------------------------


def live(refusals: Refusals | None = None) -> GrowwCodec:
    """A codec as the adapter makes it for a connection: with a socket token."""
    return GrowwCodec(SocketIdentity(SEED, "socket.token"), refusals or Refusals())


def connect_of(frames: list[Any]) -> dict[str, Any]:
    (frame,) = frames
    line, ping, rest = frame.split(b"\r\n")
    assert (ping, rest) == (b"PING", b"")
    return dict(json.loads(line.removeprefix(b"CONNECT ")))


def test_the_servers_nonce_is_signed_and_only_its_pong_makes_the_session_ready() -> None:
    subject = live()
    assert subject.waits_for_ready
    assert subject.open_frames(Credentials({"access_token": "t"})) == []
    answered = subject.decode(INFO)
    said = connect_of(answered.replies)
    assert (said["jwt"], said["sig"]) == ("socket.token", SIGNATURE)
    assert (said["verbose"], said["pedantic"], said["protocol"]) == (False, False, 1)
    assert not answered.ready
    assert not subject.decode(b"+OK\r\n").ready
    assert subject.decode(b"PONG\r\n").ready
    assert not subject.decode(b"PONG\r\n").ready


def test_a_pong_before_the_log_in_is_no_acceptance() -> None:
    assert not live().decode(b"PONG\r\n").ready


def test_a_later_info_is_not_answered() -> None:
    subject = live()
    subject.decode(INFO)
    assert subject.decode(INFO) == Decoded(ticks=[], event=Event.ACK)


def test_a_server_without_a_nonce_gets_no_signature() -> None:
    assert "sig" not in connect_of(live().decode(b'INFO {"server_id":"A"}\r\n').replies)


@pytest.mark.parametrize("info", [b"INFO\r\n", b"INFO [1]\r\n", b"INFO {\xff}\r\n", b'INFO {"nonce":5}\r\n'])
def test_an_info_that_is_none_is_malformed_and_not_answered(info: bytes) -> None:
    decoded = live().decode(info)
    assert (decoded.event, decoded.replies) == (Event.MALFORMED, [])


def test_a_key_pair_has_the_text_forms_of_nats() -> None:
    identity = SocketIdentity(SEED)
    assert identity.public_key == PUBLIC_KEY
    assert identity.sign(NONCE) == SIGNATURE
    assert SEED not in repr(identity)
    fresh = {SocketIdentity.fresh().public_key for _ in range(3)}
    assert len(fresh) == 3
    assert {(key[0], len(key)) for key in fresh} == {("U", 56)}


@pytest.mark.parametrize("seed", ["", "SU", "x" * 58, SEED[:30], "SAAAA" + SEED[5:], "é"])
def test_what_is_no_seed_is_refused_without_repeating_it(seed: str) -> None:
    with pytest.raises(ValueError, match="no seed") as caught:
        GrowwCodec(SocketIdentity(SEED), Refusals()).open_frames(Credentials({"nkey_seed": seed, "jwt": "j"}))
    assert len(seed) < 3 or seed not in str(caught.value)


REFUSALS = [
    "Authorization Violation", "authorization violation", "Authentication Timeout", "User Authentication Expired",
    "User Authentication Revoked",
]  # fmt: skip


@pytest.mark.parametrize("words", REFUSALS)
def test_a_refused_log_in_is_an_authentication_error(words: str) -> None:
    decoded = codec().decode(f"-ERR '{words}'\r\n".encode())
    assert (decoded.event, decoded.message, decoded.restart) == (Event.AUTH_ERROR, words, False)


def test_a_new_socket_token_is_replaced_once_when_it_is_refused() -> None:
    refusals = Refusals()
    outcomes = []
    for _ in range(2):
        subject = live(refusals)
        subject.decode(INFO)
        decoded = subject.decode(b"-ERR 'Authorization Violation'\r\n")
        outcomes.append((decoded.event, decoded.restart))
    assert outcomes == [(Event.ERROR, True), (Event.AUTH_ERROR, False)]


def test_a_socket_token_that_worked_is_replaced_whenever_it_ends() -> None:
    refusals = Refusals()
    for _ in range(5):
        subject = live(refusals)
        subject.decode(INFO + b"PONG\r\n")
        decoded = subject.decode(b"-ERR 'User Authentication Expired'\r\n")
        assert (decoded.event, decoded.restart) == (Event.ERROR, True)


def test_an_accepted_log_in_gives_the_next_refusal_its_second_try_back() -> None:
    refusals = Refusals()
    refused = live(refusals)
    assert refused.decode(INFO + b"-ERR 'Authorization Violation'\r\n").restart
    live(refusals).decode(INFO + b"PONG\r\n")
    assert live(refusals).decode(INFO + b"-ERR 'Authorization Violation'\r\n").restart


@pytest.mark.parametrize(
    ("words", "restart"),
    [
        ("Stale Connection", True),
        ("Slow Consumer", True),
        ("maximum connections exceeded", True),
        ("Invalid Subject", True),
        ("Unknown Protocol Operation", True),
        ("Parser Error", True),
        ("maximum subscriptions exceeded", False),
        ("Something Else", False),
    ],
)
def test_other_errors_are_told_and_the_grave_ones_call_for_a_new_connection(words: str, restart: bool) -> None:
    decoded = live().decode(f"-ERR '{words}'\r\n".encode())
    assert (decoded.event, decoded.restart, decoded.message) == (Event.ERROR, restart, words)


def test_a_refused_subject_refuses_its_instrument_alone() -> None:
    words = "Permissions Violation for Subscription to"
    subject = codec()
    decoded = subject.decode(f"-ERR '{words} \"/ld/eq/bse/book.3045\"'\r\n".encode())
    assert (decoded.event, decoded.refused, decoded.restart) == (Event.ERROR, [TWIN], False)
    assert subject.decode(f"-ERR '{words} \"/ld/eq/bse/book.99\"'\r\n".encode()).refused == []


def test_an_errors_words_are_short_and_on_one_line() -> None:
    decoded = codec().decode(b"-ERR 'a\x00\x1b[2Jb\xff" + b"c" * 5000 + b"'\r\n")
    assert len(decoded.message) <= 200
    assert decoded.message.isprintable()


def test_pings_are_answered_and_a_flood_of_them_is_not_echoed() -> None:
    assert codec().decode(b"PING\r\nping\r\n").replies == [b"PONG\r\n"] * 2
    assert len(codec().decode(b"PING\r\n" * 10_000).replies) == 16


def test_the_gravest_event_of_a_frame_is_told() -> None:
    frame = b"-ERR 'Authorization Violation'\r\nPING\r\n+OK\r\n" + price_of("3045", b"\xff")
    decoded = codec().decode(frame)
    assert (decoded.event, decoded.message) == (Event.AUTH_ERROR, "Authorization Violation")
    assert decoded.replies == [b"PONG\r\n"]


# -- out ---------------------------------------------------------------------------------------------------


def test_each_line_has_a_number_that_is_never_used_again() -> None:
    subject = GrowwCodec(SocketIdentity(SEED), Refusals())
    assert subject.subscribe([SBIN, TWIN], "price") == [
        b"SUB /ld/eq/nse/price.3045 1\r\nSUB /ld/eq/bse/price.3045 2\r\n"
    ]
    assert subject.change([SBIN], "price", "depth") == [b"SUB /ld/eq/nse/book.3045 3\r\n"]
    assert subject.change([SBIN], "depth", "price") == [b"UNSUB 3\r\n"]
    assert subject.unsubscribe([SBIN], "price") == [b"UNSUB 1\r\n"]
    assert subject.subscribe([SBIN], "depth") == [b"SUB /ld/eq/nse/price.3045 4\r\nSUB /ld/eq/nse/book.3045 5\r\n"]
    assert subject.unsubscribe([SBIN, TWIN], "depth") == [b"UNSUB 4\r\nUNSUB 5\r\nUNSUB 2\r\n"]
    assert subject.heartbeat_frames() == [b"PING\r\n"]


@pytest.mark.parametrize("exchange", ["MCX", "CDS", "BCD", "NCDEX", "MCX_INDEX", "", "XYZ"])
def test_what_the_feed_does_not_serve_is_refused_here(exchange: str) -> None:
    with pytest.raises(ValueError, match="does not serve"):
        codec().subscribe([Instrument(symbol="X", exchange=exchange, token="1")], "price")


@pytest.mark.parametrize("token", ["", ">", "*", "a.*", "3045 1", "3045\r\nPUB x 0", ".3045", "3045.", "a..b", "é"])
def test_a_token_never_changes_the_meaning_of_a_subject(token: str) -> None:
    with pytest.raises(ValueError, match="no exchange token"):
        codec().wire_key(Instrument(symbol="X", exchange="NSE", token=token))


@pytest.mark.parametrize("token", ["3045", "NIFTY", "M&M", "NIFTY-50", "NIFTY50.PR", "S&P+BSE"])
def test_numbers_and_names_are_tokens(token: str) -> None:
    index = Instrument(symbol="X", exchange="NSE_INDEX", token=token)
    subject = codec(index)
    frame = price_of(token, index_value(5.0), "/ld/indices/nse/")
    assert only(subject.decode(frame)).instrument is index


# -- routing -----------------------------------------------------------------------------------------------


def test_two_exchanges_that_share_a_token_never_mix() -> None:
    subject = codec()
    for folder, instrument in (("/ld/eq/nse/", SBIN), ("/ld/eq/bse/", TWIN)):
        # The payload says NSE each time, and another symbol: only the subject counts.
        payload = field(1, b"OTHER") + b"\x18\x01" + live_price(ltp=5.0)
        assert only(subject.decode(price_of("3045", payload, folder))).instrument is instrument
    decoded = codec(SBIN).decode(price_of("3045", live_price(ltp=5.0), "/ld/eq/bse/"))
    assert (decoded.ticks, decoded.unrouted) == ([], 1)


@pytest.mark.parametrize(
    "subject",
    ["/ld/fo/nse/price.3045", "/ld/eq/nse/price.9", "/ld/eq/nse/price_detailed.3045", "price.3045", ">", "."],
)
def test_an_unknown_subject_is_ignored(subject: str) -> None:
    decoded = codec().decode(msg(subject, live_price(ltp=5.0)))
    assert (decoded.ticks, decoded.unrouted, decoded.event) == ([], 1, None)


def test_a_late_message_after_the_end_of_its_subscription_is_ignored() -> None:
    subject = codec(SBIN)
    late = msg("/ld/eq/nse/book.3045", book(buy=[(1, 5.0, 5.0)]))
    subject.change([SBIN], "depth", "price")
    assert (subject.decode(late).ticks, subject.decode(late).unrouted) == ([], 1)
    assert only(subject.decode(PRICE)).ltp == 812.3
    subject.unsubscribe([SBIN], "price")
    assert subject.decode(PRICE).unrouted == 1


# -- normalization -----------------------------------------------------------------------------------------


def test_a_price_alone_is_an_ltp_tick_and_anything_more_a_quote() -> None:
    alone = only(codec().decode(price_of("3045", live_price(ltp=812.3, time=1756266299871.0, value=5.0))))
    assert (alone.mode, tick_fields(alone)) == (Mode.LTP, {"ltp": 812.3, "timestamp": 1756266299871})
    more = only(codec().decode(price_of("3045", live_price(ltp=812.3, lower=700.0))))
    assert (more.mode, tick_fields(more)) == (Mode.QUOTE, {"ltp": 812.3, "lower_circuit": 700.0})


def test_without_a_price_there_is_no_tick() -> None:
    for payload in (live_price(open=5.0, volume=7.0), live_price(ltp=0.0), index_value(0.0), b"", field(1, b"SBIN")):
        assert codec().decode(price_of("3045", payload)).ticks == []


@pytest.mark.parametrize("value", [nan, inf, -inf, -0.01, 1e300, 0.0])
def test_what_is_no_number_of_rupees_or_units_is_absent(value: float) -> None:
    names = ("time", "open", "high", "low", "close", "volume", "buy", "sell", "average", "upper", "lower", "oi")
    payload = live_price(ltp=5.0, **dict.fromkeys(names, value))
    assert fields(codec().decode(price_of("3045", payload))) == {"ltp": 5.0}
    assert codec().decode(price_of("3045", live_price(ltp=value))).ticks == []
    assert codec().decode(price_of("NIFTY", index_value(value), "/ld/indices/nse/")).ticks == []
    levels = [(1, value, 5.0), (2, 5.0, value)]
    assert fields(codec().decode(msg("/ld/eq/nse/book.3045", book(levels, levels, value)))) == {
        "depth": {"buy": [], "sell": []}
    }


def test_quantities_are_whole_units() -> None:
    found = fields(codec().decode(price_of("53001", live_price(ltp=5.0, volume=9e15, oi=0.5), "/ld/fo/nse/")))
    assert found == {"ltp": 5.0, "volume": 9_000_000_000_000_000}
    assert isinstance(found["volume"], int)


@pytest.mark.parametrize(
    ("wire", "milliseconds"),
    [(1746156600.0, 1746156600000), (1746156600.5, 1746156600500), (1756266299871.0, 1756266299871), (1e18, None)],
)
def test_times_are_milliseconds_and_small_ones_seconds(wire: float, milliseconds: int | None) -> None:
    for frame in (price_of("3045", live_price(ltp=5.0, time=wire)), msg("/ld/eq/nse/book.3045", book(time=wire))):
        assert only(codec().decode(frame)).timestamp == milliseconds


def test_the_key_of_a_level_is_its_place_and_the_last_of_two_counts() -> None:
    sides = [(3, 5.0, 30.0), (1, 5.2, 10.0), (2, 5.1, 20.0), (1, 5.3, 11.0), (9, 4.0, 1.0), (-1, 9.0, 1.0)]
    depth = only(codec().decode(msg("/ld/eq/nse/book.3045", book(sides)))).depth
    assert depth is not None
    assert [(level.price, level.quantity, level.orders) for level in depth.buy] == [
        (5.3, 11, None), (5.1, 20, None), (5.0, 30, None), (4.0, 1, None),
    ]  # fmt: skip


def test_a_book_has_five_levels_at_most_and_one_of_hundreds_is_none() -> None:
    many = [(place, 900.0 - place, 5.0) for place in range(1, 21)]
    depth = only(codec().decode(msg("/ld/eq/nse/book.3045", book(many)))).depth
    assert depth is not None
    assert [level.price for level in depth.buy] == [899.0, 898.0, 897.0, 896.0, 895.0]
    decoded = codec().decode(msg("/ld/eq/nse/book.3045", book([(1, 5.0, 5.0)] * 101)))
    assert (decoded.ticks, decoded.event) == ([], Event.MALFORMED)


def test_a_broken_payload_loses_itself_alone() -> None:
    frame = price_of("3045", live_price(ltp=5.0)[:-1]) + PRICE
    subject = codec()
    decoded = subject.decode(frame)
    assert (only(decoded).ltp, decoded.event, decoded.restart) == (812.3, Event.MALFORMED, False)
    assert only(subject.decode(PRICE)).ltp == 812.3


# -- hostile bytes -----------------------------------------------------------------------------------------

WHOLE = price_of("53001", live_price(time=1.7e12, open=1.0, ltp=2.5, oi=75.0), "/ld/fo/nse/") + msg(
    "/ld/fo/nse/book.53001", book([(1, 2.25, 75.0), (2, 2.0, 150.0)], [(1, 2.75, 75.0)])
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    frame = bytearray(WHOLE)
    for place in draw(st.lists(st.integers(0, len(WHOLE) - 1), max_size=6)):
        frame[place] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(WHOLE)))])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=100) | damaged() | st.text(max_size=30), max_size=4))
def test_no_bytes_make_decode_raise_or_invent(frames: list[bytes | str]) -> None:
    subject = codec()
    for frame in frames:
        for tick in subject.decode(frame).ticks:
            assert tick.instrument in subject.kinds
            for name, value in tick_fields(tick).items():
                if name != "depth":
                    assert isinstance(value, int | float)
                    assert 0 < value < 2**63


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_payload_leaves_the_stream_in_step(payload: bytes) -> None:
    subject = codec()
    subject.decode(price_of("3045", payload) + double(1, 5.0)[:0])
    assert only(subject.decode(PRICE)).ltp == 812.3
