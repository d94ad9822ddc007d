"""The Noren codec beyond the shared vectors: merging, routing, answers, hostile frames."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker._noren import plain_model
from tickmux.broker._noren.noren_codec import DEPTH, TOUCHLINE, NorenCodec
from tickmux.broker._noren.session_memory import SessionMemory
from tickmux.codec import Credentials, Decoded, Event
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick, tick_fields

SBIN = Instrument(symbol="SBIN", exchange="NSE", token="3045", brexchange="NSE")
USDINR = Instrument(symbol="USDINR26SEP25FUT", exchange="CDS", token="3045", brexchange="CDS")
OPTION = Instrument(symbol="NIFTY28AUG2525000CE", exchange="NFO", token="54957", brexchange="NFO")
NIFTY = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="26000", brexchange="NSE")
SESSION = Credentials({"user_id": "FA1", "token": "secret"})


def codec(*instruments: Instrument, kind: str = DEPTH) -> NorenCodec:
    made = NorenCodec()
    made.subscribe(instruments, kind)
    return made


def frame(kind: str, instrument: Instrument = OPTION, **fields: Any) -> str:
    return json.dumps({"t": kind, "e": instrument.brexchange, "tk": instrument.token} | fields)


def shown(decoded: Decoded) -> dict[str, object]:
    (tick,) = decoded.ticks
    return tick_fields(tick)


def only(decoded: Decoded) -> Tick:
    (tick,) = decoded.ticks
    return tick


# -- merging: the plain model ----------------------------------------------------------------------------

PRICE_TEXTS = st.sampled_from(["812.35", "0.05", "87.2575", "0", "0.0", "0.00", "42949672.95", "-3.5", " 12.5 "])
COUNT_TEXTS = st.sampled_from(["0", "75", "1200.0", "4819643", "7.9", "123456789012345"])
NOTHING = st.sampled_from(["", " ", "-", "NA", "abc", "1_0", "nan", "inf", "१२", None, True, [], {}])
NUMBERS = st.sampled_from([0, 0.0, 12, 12.75, 1756103084])
TIMES = st.sampled_from(["1756103084", "1756103085", "0", "1756146720", "1756146600"])
CLOCKS = st.sampled_from(["11:54:43", "23:59:59", "00:00:00", "05:30:00", "24:00:00", "9:15:00", "", "-", None])
VALUES = {
    **dict.fromkeys(plain_model.PRICES.values(), PRICE_TEXTS | NOTHING | NUMBERS),
    **dict.fromkeys(plain_model.COUNTS.values(), COUNT_TEXTS | NOTHING | NUMBERS),
    **dict.fromkeys([name for name in plain_model.LEVEL_FIELDS if name[1] == "p"], PRICE_TEXTS | NOTHING),
    **dict.fromkeys([name for name in plain_model.LEVEL_FIELDS if name[1] != "p"], COUNT_TEXTS | NOTHING),
    "ft": TIMES | NOTHING,
    "ltt": CLOCKS,
    "toi": COUNT_TEXTS,
    "poi": COUNT_TEXTS,
    "pc": PRICE_TEXTS,
}
CHANGES = st.lists(
    st.tuples(
        st.sampled_from("kfff"),
        st.lists(st.sampled_from(sorted(VALUES)), max_size=8).flatmap(
            lambda names: st.fixed_dictionaries({name: VALUES[name] for name in names})
        ),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=120, deadline=None)
@given(CHANGES, st.sampled_from("td"))
def test_any_sequence_of_snapshots_and_deltas_shows_what_the_plain_rules_say(
    changes: list[tuple[str, dict[str, Any]]], channel: str
) -> None:
    frames = [{"t": channel + end, "e": "NFO", "tk": "54957", **fields} for end, fields in changes]
    subject = codec(OPTION, kind=DEPTH if channel == "d" else TOUCHLINE)
    for sent, expected in zip(frames, plain_model.ticks(frames, channel), strict=True):
        decoded = subject.decode(json.dumps(sent))
        assert [tick_fields(tick) for tick in decoded.ticks] == ([] if expected is None else [expected])
        assert {tick.mode for tick in decoded.ticks} <= {Mode.DEPTH if channel == "d" else Mode.QUOTE}


@settings(max_examples=30, deadline=None)
@given(CHANGES, CHANGES)
def test_the_two_channels_of_a_scrip_and_two_scrips_of_a_token_share_nothing(
    left: list[tuple[str, dict[str, Any]]], right: list[tuple[str, dict[str, Any]]]
) -> None:
    both = codec(SBIN, USDINR, OPTION)
    streams = [("d", SBIN, left), ("t", SBIN, right), ("d", USDINR, right)]
    frames = [
        [{"t": channel + end, "e": one.brexchange, "tk": one.token, **fields} for end, fields in changes]
        for channel, one, changes in streams
    ]
    expected = [plain_model.ticks(each, channel) for each, (channel, _, _) in zip(frames, streams, strict=True)]
    for place in range(max(map(len, frames))):
        for each, wanted, (_, instrument, _) in zip(frames, expected, streams, strict=True):
            if place < len(each):
                decoded = both.decode(json.dumps(each[place]))
                assert [(tick.instrument, tick_fields(tick)) for tick in decoded.ticks] == (
                    [] if wanted[place] is None else [(instrument, wanted[place])]
                )


# -- merging: cases --------------------------------------------------------------------------------------


def test_a_snapshot_forgets_what_it_does_not_carry() -> None:
    subject = codec(OPTION)
    subject.decode(
        frame("dk", lp="84.20", o="83.75", oi="10", bp1="84.15", bq1="75", ft="1756103089", ltt="11:00:00")
    )
    assert shown(subject.decode(frame("dk", lp="84.30"))) == {"ltp": 84.3}


def test_a_delta_before_any_snapshot_says_what_it_carries_and_no_more() -> None:
    assert shown(codec(OPTION).decode(frame("df", lp="84.30", v="75"))) == {"ltp": 84.3, "volume": 75}
    assert codec(OPTION).decode(frame("df", v="75")) == Decoded()


def test_nothing_of_an_old_subscription_is_left_in_a_new_one() -> None:
    subject = codec(OPTION)
    subject.decode(frame("dk", lp="84.20", o="83.75"))
    subject.unsubscribe([OPTION], DEPTH)
    assert subject.decode(frame("df", v="75")).unrouted == 1
    subject.subscribe([OPTION], DEPTH)
    assert subject.decode(frame("df", v="75")) == Decoded()


def test_late_frames_of_the_old_channel_keep_their_state_after_a_change() -> None:
    subject = codec(OPTION, kind=TOUCHLINE)
    subject.decode(frame("tk", lp="84.20", o="83.75"))
    subject.change([OPTION], TOUCHLINE, DEPTH)
    late = only(subject.decode(frame("tf", lp="84.25")))
    assert (late.mode, late.ltp, late.open) == (Mode.QUOTE, 84.25, 83.75)
    assert shown(subject.decode(frame("dk", lp="84.30"))) == {"ltp": 84.3}


def test_a_book_without_a_last_price_is_a_tick_once_a_level_is_valid() -> None:
    subject = codec(OPTION)
    assert subject.decode(frame("dk", bp1="84.15", bq1="0")).ticks == []
    book = {"buy": [{"price": 84.15, "quantity": 75}], "sell": []}
    assert shown(subject.decode(frame("df", bq1="75"))) == {"depth": book}
    assert subject.decode(frame("df", bp1="0.00", bq1="0")).ticks == []


def test_the_touchlines_best_prices_are_no_book() -> None:
    subject = codec(OPTION, kind=TOUCHLINE)
    assert shown(subject.decode(frame("tk", lp="84.20", bp1="84.15", bq1="75", sp1="84.25"))) == {"ltp": 84.2}


def test_an_index_has_prices_and_a_time_at_most() -> None:
    subject = codec(NIFTY)
    everything = dict.fromkeys(VALUES, "5") | {"ft": "1756103084", "ltt": "11:54:43"}
    assert shown(subject.decode(frame("dk", NIFTY, **everything))) == {
        "ltp": 5.0, "open": 5.0, "high": 5.0, "low": 5.0, "close": 5.0, "timestamp": 1756103084000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ft", "ltt", "expected"),
    [
        ("1756103084", "11:54:43", 1756103083000),
        ("1756103084", "11:55:44", 1756103144000),  # 60 s ahead: the clocks differ
        ("1756103084", "11:55:45", 1756103145000 - 86_400_000),  # 61 s ahead: yesterday's
        ("1756146605", "23:59:58", 1756146598000),  # five seconds past midnight in India
        ("1756103084", "05:30:00", None),
        ("1756103084", "11:54", None),
        ("1756103084", "11:54:60", None),
        ("0", "11:54:43", None),
        ("60", "00:00:00", None),  # would be before 1970
    ],
)
def test_the_last_trades_date_comes_from_the_feeds_time(ft: str, ltt: str, expected: int | None) -> None:
    assert only(codec(OPTION).decode(frame("dk", lp="1", ft=ft, ltt=ltt))).ltt == expected


def test_a_feed_time_that_comes_later_dates_the_last_trade() -> None:
    subject = codec(OPTION)
    assert only(subject.decode(frame("dk", lp="1", ltt="11:54:43"))).ltt is None
    assert only(subject.decode(frame("df", ft="1756103084"))).ltt == 1756103083000


@pytest.mark.parametrize("stamp", ["-5", "99999999999999", "1e300", "253402300800"])
def test_a_time_outside_the_calendar_is_none(stamp: str) -> None:
    assert only(codec(OPTION).decode(frame("dk", lp="1", ft=stamp))).timestamp is None


# -- routing ---------------------------------------------------------------------------------------------


def test_two_instruments_that_share_a_token_on_two_exchanges_never_mix() -> None:
    subject = codec(SBIN, USDINR)
    assert only(subject.decode(frame("dk", SBIN, lp="812.35"))).instrument == SBIN
    assert only(subject.decode(frame("dk", USDINR, lp="87.6425"))).instrument == USDINR
    assert codec(SBIN).decode(frame("dk", USDINR, lp="87.6425")) == Decoded(unrouted=1)


@pytest.mark.parametrize("exchange", [None, "", " ", "-", "NA"])
def test_without_an_exchange_a_frame_is_nobodys(exchange: str | None) -> None:
    """It may be about a namesake on another exchange: the index 26000 became the future of that token."""
    nameless = json.dumps({"t": "dk", "e": exchange, "tk": "3045", "lp": "812.35"})
    assert codec(SBIN, OPTION).decode(nameless) == Decoded(unrouted=1)
    assert codec(SBIN).decode('{"t":"dk","tk":"3045","lp":"812.35"}') == Decoded(unrouted=1)


def test_an_index_and_a_share_of_one_key_are_told_apart_by_what_is_subscribed() -> None:
    share = Instrument(symbol="X", exchange="NSE", token="26000", brexchange="NSE")
    subject = codec(NIFTY, share, kind=TOUCHLINE)
    assert subject.decode(frame("tk", NIFTY, lp="1")) == Decoded(unrouted=1)
    assert subject.unsubscribe([share], TOUCHLINE) == []  # the index still needs the subscription
    assert only(subject.decode(frame("tk", NIFTY, lp="1"))).instrument == NIFTY
    assert subject.unsubscribe([NIFTY], TOUCHLINE) == ['{"t":"u","k":"NSE|26000"}']


def test_a_token_may_be_a_json_number() -> None:
    assert only(codec(SBIN).decode('{"t":"tk","e":"NSE","tk":3045,"lp":812.35}')).ltp == 812.35


@pytest.mark.parametrize(
    ("exchange", "token"),
    [("BCD", "1"), ("MCX_INDEX", "1"), ("NSE", ""), ("NSE", "NIFTY"), ("NSE", "1|2"), ("NSE", "१")],
)
def test_what_the_wire_cannot_name_is_refused(exchange: str, token: str) -> None:
    with pytest.raises(ValueError, match="X: "):
        NorenCodec().wire_key(Instrument(symbol="X", exchange=exchange, token=token))


# -- answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [{"t": "ak", "s": "OK"}, {"t": "ck", "s": "ok "}, {"t": "cf", "k": "Ok"}])
def test_only_an_accepted_connect_message_makes_the_session_ready(answer: dict[str, str]) -> None:
    assert NorenCodec().decode(json.dumps(answer)) == Decoded(event=Event.ACK, ready=True)
    assert NorenCodec().decode('{"t":"uk","k":"NSE|3045"}') == Decoded(event=Event.ACK)


@pytest.mark.parametrize(
    "answer",
    [
        {"t": "ak"},
        {"t": "ak", "s": "Not_Ok"},
        {"t": "ak", "s": None, "k": "OK"},
        {"t": "ck", "s": 1},
        {"t": "cf", "k": "failed"},
        {"stat": "Not_Ok", "emsg": "Session Expired :  Invalid Session Key"},
        {"stat": "not_ok", "emsg": "no SESSION"},
    ],
)
def test_everything_else_is_a_refusal_that_speaks_of_addresses(answer: dict[str, Any]) -> None:
    decoded = NorenCodec().decode(json.dumps(answer))
    assert (decoded.event, decoded.ready) == (Event.AUTH_ERROR, False)
    assert "address" in decoded.message


@pytest.mark.parametrize(
    ("text", "event", "unknown"),
    [
        ('{"stat":"Not_Ok","emsg":"Error Occurred : 5"}', Event.ERROR, 0),
        ('{"stat":"Not_Ok"}', Event.ERROR, 0),
        ('{"stat":"Ok"}', Event.MALFORMED, 0),
        ("{}", Event.MALFORMED, 0),
        ('{"t":null,"e":"NSE"}', Event.MALFORMED, 0),
        ('{"t":""}', Event.MALFORMED, 0),
        ("[1]", Event.MALFORMED, 0),
        ("3", Event.MALFORMED, 0),
        ('{"t":"tk","e":"NSE"}', Event.MALFORMED, 0),
        ('{"t":"df","e":"NSE","tk":" "}', Event.MALFORMED, 0),
        ('{"t":"df","e":"NSE","tk":["3045"]}', Event.MALFORMED, 0),
        ('{"t":"zz"}', None, 1),
        ('{"t":["tk"]}', None, 1),
        ('{"t":"h"}', Event.HEARTBEAT, 0),
        ('{"t":"lf","tk":"3045","e":"NSE","lp":"1"}', None, 0),
        ('{"t":"ms","exch":"NSE"}', None, 0),
        ('{"t":"uok"}', Event.ACK, 0),
    ],
)
def test_frames_that_are_no_market_data(text: str, event: Event | None, unknown: int) -> None:
    decoded = codec(SBIN).decode(text)
    assert (decoded.event, decoded.unknown, decoded.ticks) == (event, unknown, [])


# -- going out -------------------------------------------------------------------------------------------


def test_a_session_of_the_other_generation_names_its_variant() -> None:
    (sent,) = NorenCodec().open_frames(Credentials({**SESSION.values, "variant": "susertoken"}))
    assert json.loads(sent) == {"t": "c", "uid": "FA1", "actid": "FA1", "source": "API", "susertoken": "secret"}


def test_a_change_of_channel_subscribes_first_unless_the_connection_is_full() -> None:
    assert codec(SBIN, OPTION, kind=TOUCHLINE).change([SBIN], TOUCHLINE, DEPTH) == [
        '{"t":"d","k":"NSE|3045"}',
        '{"t":"u","k":"NSE|3045"}',
    ]
    full = NorenCodec(scrip_limit=2)
    full.subscribe([SBIN, OPTION], TOUCHLINE)
    assert full.change([SBIN], TOUCHLINE, DEPTH) == ['{"t":"u","k":"NSE|3045"}', '{"t":"d","k":"NSE|3045"}']


def test_a_snapshot_that_does_not_come_is_asked_for_once_more_and_then_reported() -> None:
    subject = codec(SBIN, OPTION)
    subject.decode(frame("dk", SBIN, lp="1"))
    beat = '{"t":"h"}'
    asked = [subject.heartbeat_frames() for _ in range(4)]
    assert asked == [[beat], ['{"t":"d","k":"NFO|54957"}'], [], [beat]]
    decoded = subject.decode(frame("df", SBIN, lp="2"))
    assert (decoded.event, decoded.refused, only(decoded).ltp) == (Event.ERROR, [OPTION], 2.0)
    assert "NIFTY28AUG2525000CE" in decoded.message
    assert subject.decode(frame("df", SBIN, lp="2")).event is None
    assert [subject.heartbeat_frames() for _ in range(3)] == [[], [], [beat]]
    assert only(subject.decode(frame("dk", lp="3"))).ltp == 3.0, "it is still subscribed"


def test_what_is_answered_or_given_up_is_not_asked_for_again() -> None:
    subject = codec(SBIN, OPTION)
    subject.heartbeat_frames()
    subject.decode(frame("dk", lp="3"))
    subject.unsubscribe([SBIN], DEPTH)
    assert [subject.heartbeat_frames() for _ in range(5)] == [[], [], ['{"t":"h"}'], [], []]
    assert subject.decode(frame("df", lp="4")).event is None


def test_a_long_list_is_asked_for_again_in_small_parts() -> None:
    many = [Instrument(symbol=f"S{n}", exchange="NSE", token=str(n)) for n in range(1, 61)]
    subject = codec(*many, kind=TOUCHLINE)
    subject.heartbeat_frames()
    asked = [frames[-1] for frames in (subject.heartbeat_frames() for _ in range(3))]
    assert [len(json.loads(text)["k"].split("#")) for text in asked] == [25, 25, 10]


# -- hostile frames --------------------------------------------------------------------------------------

ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["t", "e", "tk", "s", "k", "stat", "emsg", *VALUES])


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(NAMES, ODD | st.sampled_from(["tk", "dk", "df", "NFO", "54957", "ak"]), max_size=12))
def test_no_json_object_makes_decoding_raise(message: dict[str, Any]) -> None:
    subject = codec(OPTION)
    for text in (json.dumps(message), json.dumps({"t": "dk", "e": "NFO", "tk": "54957"} | message)):
        decoded = subject.decode(text)
        for tick in decoded.ticks:
            for value in tick_fields(tick).values():
                assert value is not None


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=200))
def test_no_bytes_make_decoding_raise(data: bytes | str) -> None:
    assert codec(OPTION).decode(data).ticks == []


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"t":' * 50_000,
        '{"t":"dk","e":"NFO","tk":"54957","lp":' + "9" * 5000 + "}",
        '{"t":"dk","e":"NFO","tk":"54957","lp":"' + "9" * 5000 + '"}',
        '{"t":"dk","e":"NFO","tk":"54957","v":"' + "9" * 5000 + '"}',
        '{"t":"dk","e":"NFO","tk":' + "9" * 5000 + ',"lp":"1"}',
        '{"t":"dk","e":"NFO","tk":"54957","lp":1e400}',
        '{"t":"dk","e":"NFO","tk":"54957","lp":NaN}',
        '{"t":"dk","e":"\ud800","tk":"54957","lp":"1"}',
    ],
)
def test_monstrous_frames_give_no_tick(text: str) -> None:
    assert codec(OPTION).decode(text).ticks == []


def test_nothing_grows_with_what_a_server_sends() -> None:
    subject = codec(OPTION)
    for number in range(2000):
        subject.decode(json.dumps({"t": "dk", "e": "NSE", "tk": str(number), "lp": "1", f"x{number}": "1"}))
    assert {channel: len(states) for channel, states in subject._states.items()} == {TOUCHLINE: 0, DEPTH: 0}


# -- what outlives a connection --------------------------------------------------------------------------


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_refusals_are_forgiven_as_often_as_there_is_spare() -> None:
    memory = SessionMemory(Clock())
    memory.attempt(SESSION, spare=2)
    refusal = '{"t":"ak","s":"Not_Ok"}'
    events = [NorenCodec(memory).decode(refusal) for _ in range(3)]
    assert [(one.event, one.restart) for one in events] == [
        (Event.ERROR, True), (Event.ERROR, True), (Event.AUTH_ERROR, False),
    ]  # fmt: skip
    memory.attempt(Credentials({"user_id": "FA1", "token": "another"}), spare=1)
    assert NorenCodec(memory).decode(refusal).restart, "a new token has all its chances"


def test_sessions_that_end_at_once_are_counted_until_one_lives() -> None:
    clock = Clock()
    memory = SessionMemory(clock)
    for lived, count in ((3.0, 1), (3.0, 2), (60.0, 0), (3.0, 1)):
        memory.attempt(SESSION, 0)
        memory.accepted()
        clock.now += lived
        memory.ended(by_broker=True)
        assert memory.short_lives == count
    memory.attempt(SESSION, 0)
    memory.ended(by_broker=True)
    assert memory.short_lives == 1, "a connection that was never accepted says nothing"
    memory.accepted()
    NorenCodec(memory).close_frames()
    assert memory.short_lives == 0, "we ended it ourselves"
    assert memory.good_within(60.0)
    clock.now += 61
    assert not memory.good_within(60.0)


# -- frames without an exchange --------------------------------------------------------------------------

FUTURE = Instrument(symbol="BANKNIFTY29DEC26FUT", exchange="NFO", token="26000", brexchange="NFO")


@pytest.mark.parametrize("exchange", [{}, {"e": ""}, {"e": None}, {"e": "-"}])
def test_a_frame_without_an_exchange_counts_where_the_whole_list_has_its_token_once(
    exchange: dict[str, object],
) -> None:
    lone: set[str] = set()
    subject = NorenCodec(lone_tokens=lone)
    subject.subscribe([OPTION, FUTURE], TOUCHLINE)
    about_option = json.dumps({"t": "tf", "tk": OPTION.token, "lp": "84.20"} | exchange)
    about_either = json.dumps({"t": "tf", "tk": "26000", "lp": "24911.55"} | exchange)
    assert subject.decode(about_option) == Decoded(unrouted=1)
    lone.add(OPTION.token)  # the index 26000 is in the list as well, subscribed or not
    assert only(subject.decode(about_option)).instrument == OPTION
    assert subject.decode(about_either) == Decoded(unrouted=1)
    subject.unsubscribe([OPTION], TOUCHLINE)
    assert subject.decode(about_option) == Decoded(unrouted=1)
    lone.clear()  # a new list gives the number to another one
    subject.subscribe([OPTION], TOUCHLINE)
    assert subject.decode(about_option) == Decoded(unrouted=1)
