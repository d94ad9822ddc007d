"""FYERS' quote feed beyond the shared vectors: state, cuts, refusals, limits, and hostile bytes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.vector_cases import load
from support import wire_policy
from tickmux.broker.fyers.streaming.fyers_mapping import depth_topic, quote_topic
from tickmux.broker.fyers.streaming.hsm_codec import HsmCodec
from tickmux.codec import Credentials, Decoded, Event
from tickmux.instrument import Instrument
from tickmux.simulator.fyers import wire as wire
from tickmux.tick import Mode, Tick, tick_fields

VECTORS = load("fyers")
ROWS = [Instrument(**row) for row in VECTORS["instruments"]]
SBIN, RELIANCE, NIFTY, SENSEX, FUTURE, OPTION, USDINR, CRUDE, PUT = ROWS
NONE = wire.UNCHANGED
ACCEPTED = wire.response(1, (1, b"K"), (2, bytes(4)))
REFUSED, DONE = wire.response(4, (1, b"N")), wire.response(4, (1, b"K"))


def codec_of(*instruments: Instrument, kind: str = "depth") -> HsmCodec:
    codec = HsmCodec()
    codec.decode(ACCEPTED)
    codec.subscribe(instruments, kind)
    codec.decode(DONE)
    return codec


def snapshot(topic_id: int, topic: str, values: list[int], *, multiplier: int = 1, precision: int = 2) -> bytes:
    return wire.snapshot_item(topic_id, topic, values, multiplier, precision, ("segment", "token", "symbol"))


def frame(*items: bytes, number: int = 1) -> bytes:
    return wire.data_frame(number, items)


def quote(ltp: int, **others: int) -> list[int]:
    names = (
        "ltp", "volume", "ltt", "feed_time", "bid_size", "ask_size", "bid", "ask", "last_quantity", "buy", "sell",
        "average", "oi", "low", "high", "year_high", "year_low", "lower", "upper", "open", "close",
    )  # fmt: skip
    return [ltp if name == "ltp" else others.get(name, NONE) for name in names]


def said(decoded: Decoded) -> list[tuple[str, str, dict[str, Any]]]:
    return [(tick.instrument.symbol, tick.mode.name, tick_fields(tick)) for tick in decoded.ticks]


def topics_in(sent: object) -> list[str]:
    assert isinstance(sent, bytes)
    request = wire.read_request(sent)
    assert request is not None
    assert int.from_bytes(sent[:2], "big") == len(sent) - 2
    topics = wire.read_topics(request[1][1])
    assert topics is not None
    return topics


# -- topics ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", VECTORS["topics"], ids=lambda row: row["brsymbol"])
def test_a_fytoken_names_its_topics(row: dict[str, Any]) -> None:
    (instrument,) = (each for each in ROWS if each.brsymbol == row["brsymbol"])
    topic = quote_topic(instrument)
    assert [topic] == row["QUOTE"]
    assert [topic, *([] if instrument.is_index else [depth_topic(topic)])] == row["DEPTH"]


def test_the_list_of_the_broker_goes_before_ours_for_an_index() -> None:
    renamed = Instrument("NIFTY", "NSE_INDEX", "101000000026000", brsymbol="NSE:NIFTY50-INDEX", extra="Nifty Fifty")
    assert quote_topic(renamed) == "if|nse_cm|Nifty Fifty"


def test_an_index_that_nobody_lists_is_called_as_its_ticker() -> None:
    fresh = Instrument("NIFTYNEW", "NSE_INDEX", "101000000026999", brsymbol="NSE:NIFTYNEW-INDEX")
    assert quote_topic(fresh) == "if|nse_cm|NIFTYNEW"


@pytest.mark.parametrize(
    "instrument",
    [
        Instrument("X", "NSE", "9910000000123"),
        Instrument("X", "NSE", "1010000000"),
        Instrument("X", "NSE", "10100000001a"),
        Instrument("X", "NSE", ""),
        Instrument("X", "NSE", "1010000000" + "1" * 31),
        Instrument("X", "NSE_INDEX", "101000000026000"),
        Instrument("X", "MCX_INDEX", "1120000000001", brsymbol="MCX:X-INDEX"),
        Instrument("X", "NSE_INDEX", "1", brsymbol="NSE:ÄX-INDEX"),
    ],
)
def test_what_the_feed_cannot_name_is_refused(instrument: Instrument) -> None:
    with pytest.raises(ValueError, match="X of"):
        HsmCodec().wire_key(instrument)


# -- never somebody else's price ---------------------------------------------------------------------------


def test_equal_tokens_on_different_exchanges_never_mix() -> None:
    twin = Instrument("NATURALGAS", "MCX", "11202508263045", brsymbol="MCX:NATURALGAS25AUGFUT")
    index = Instrument("BSE3045", "BSE_INDEX", "12103045", brsymbol="BSE:3045-INDEX")
    share = Instrument("SHARE", "BSE", "12100000003045", brsymbol="BSE:SHARE-A")
    codec = codec_of(SBIN, twin, index, share)
    decoded = codec.decode(
        frame(
            snapshot(1, "sf|nse_cm|3045", quote(81235)),
            snapshot(2, "sf|mcx_fo|3045", quote(24350)),
            snapshot(3, "if|bse_cm|3045", [4500000]),
            snapshot(4, "sf|bse_cm|3045", quote(1700)),
            wire.update_item(2, quote(24360)),
        )
    )
    assert [(symbol, fields["ltp"]) for symbol, _, fields in said(decoded)] == [
        ("SBIN", 812.35), ("NATURALGAS", 243.5), ("BSE3045", 45000.0), ("SHARE", 17.0), ("NATURALGAS", 243.6),
    ]  # fmt: skip


def test_two_instruments_of_one_topic_get_nothing() -> None:
    double = Instrument("SBIN2", "NSE", SBIN.token, brsymbol="NSE:SBIN2-EQ")
    codec = codec_of(SBIN, double)
    decoded = codec.decode(frame(snapshot(1, "sf|nse_cm|3045", quote(81235))))
    assert (decoded.ticks, decoded.unrouted) == ([], 1)


def test_a_snapshot_gives_its_topic_number_to_another_topic() -> None:
    codec = codec_of(SBIN, FUTURE)
    codec.decode(frame(snapshot(1, "sf|nse_cm|3045", quote(81235, volume=7))))
    decoded = codec.decode(frame(snapshot(1, "sf|nse_fo|53216", quote(2471280)), wire.update_item(1, quote(2471300))))
    assert said(decoded) == [
        ("NIFTY28AUG25FUT", "QUOTE", {"ltp": 24712.8}),
        ("NIFTY28AUG25FUT", "QUOTE", {"ltp": 24713.0}),
    ]


def test_a_topic_that_gets_another_number_is_no_longer_heard_under_the_old_one() -> None:
    codec = codec_of(SBIN)
    codec.decode(frame(snapshot(1, "sf|nse_cm|3045", quote(81235))))
    decoded = codec.decode(
        frame(
            snapshot(2, "sf|nse_cm|3045", quote(81240)),
            wire.update_item(1, quote(1)),
            wire.update_item(2, quote(81245)),
        )
    )
    assert [fields["ltp"] for _, _, fields in said(decoded)] == [812.4, 812.45]
    assert decoded.unrouted == 1


def test_what_an_earlier_subscription_left_behind_is_not_continued() -> None:
    codec = codec_of(SBIN)
    codec.decode(frame(snapshot(1, "sf|nse_cm|3045", quote(81235, volume=7))))
    codec.unsubscribe([SBIN], "depth")
    codec.decode(frame(snapshot(1, "sf|nse_cm|3045", quote(81236, volume=8))))  # was on its way
    codec.subscribe([SBIN], "depth")
    assert codec.decode(frame(wire.update_item(1, quote(NONE, volume=9)))).ticks == []


def test_a_snapshot_of_what_is_not_subscribed_is_read_over() -> None:
    codec = codec_of(SBIN)
    decoded = codec.decode(
        frame(snapshot(1, "sf|nse_cm|1594", quote(1)), snapshot(2, "sf|nse_cm|3045", quote(81235)))
    )
    assert said(decoded) == [("SBIN", "QUOTE", {"ltp": 812.35})]
    assert decoded.unrouted == 1


def test_a_book_does_not_reach_who_wants_quotes_only() -> None:
    codec = codec_of(SBIN, kind="quote")
    decoded = codec.decode(frame(snapshot(1, "dp|nse_cm|3045", [100] * 30)))
    assert (decoded.ticks, decoded.unrouted) == ([], 1)


# -- items -------------------------------------------------------------------------------------------------


def test_fields_appear_when_they_are_known_and_stay() -> None:
    codec = codec_of(FUTURE)
    decoded = codec.decode(
        frame(
            snapshot(9, "sf|nse_fo|53216", [2471280, 5]),  # fewer fields than known
            wire.update_item(9, [*quote(NONE, oi=0, upper=2700000, lower=-5, low=0), 1, 2, 3]),  # more of them
        )
    )
    assert [fields for _, _, fields in said(decoded)] == [
        {"ltp": 24712.8, "volume": 5},
        {"ltp": 24712.8, "volume": 5, "oi": 0, "upper_circuit": 27000.0},
    ]


def test_zero_prices_and_times_are_absent_and_zero_quantities_are_not() -> None:
    decoded = codec_of(SBIN).decode(frame(snapshot(1, "sf|nse_cm|3045", [0] * 21)))
    assert said(decoded) == [
        (
            "SBIN",
            "QUOTE",
            {"volume": 0, "last_trade_quantity": 0, "total_buy_quantity": 0, "total_sell_quantity": 0},
        )
    ]


def test_a_price_that_goes_is_gone() -> None:
    codec = codec_of(SBIN)
    codec.decode(frame(snapshot(1, "sf|nse_cm|3045", quote(81235, average=81200))))
    decoded = codec.decode(frame(wire.update_item(1, quote(NONE, average=0))))
    assert said(decoded) == [("SBIN", "QUOTE", {"ltp": 812.35})]


def test_a_quantity_beyond_31_bits_is_unknown_and_a_price_may_be_negative() -> None:
    decoded = codec_of(CRUDE).decode(
        frame(snapshot(1, "sf|mcx_fo|440939", quote(-3763, volume=-2, oi=-1, ltt=-4, average=-5)))
    )
    assert said(decoded) == [("CRUDEOIL19AUG25FUT", "QUOTE", {"ltp": -37.63, "avg_trade_price": -0.05})]


def test_open_interest_of_a_share_means_nothing() -> None:
    decoded = codec_of(SBIN).decode(frame(snapshot(1, "sf|nse_cm|3045", quote(81235, oi=5))))
    assert said(decoded) == [("SBIN", "QUOTE", {"ltp": 812.35})]


def test_a_change_that_we_do_not_show_is_a_tick_and_no_change_is_none() -> None:
    codec = codec_of(SBIN)
    codec.decode(frame(snapshot(1, "sf|nse_cm|3045", quote(81235, bid=81230))))
    assert len(codec.decode(frame(wire.update_item(1, quote(NONE, bid=81225)))).ticks) == 1
    assert codec.decode(frame(wire.update_item(1, quote(81235, bid=81225)))).ticks == []
    assert codec.decode(frame(wire.update_item(1, []))).ticks == []


@pytest.mark.parametrize(
    ("multiplier", "precision", "price"), [(1, 2, 8764.25), (100, 2, 87.6425), (1, 4, 87.6425), (1, 0, 876425.0)]
)
def test_the_scale_is_the_snapshots(multiplier: int, precision: int, price: float) -> None:
    codec = codec_of(USDINR)
    item = snapshot(1, "sf|cde_fo|1185", quote(876425), multiplier=multiplier, precision=precision)
    assert codec.decode(frame(item)).ticks[0].ltp == pytest.approx(price, rel=1e-12)


@pytest.mark.parametrize(("multiplier", "precision"), [(0, 2), (1, 19), (1, 255)])
def test_without_a_scale_there_is_no_price(multiplier: int, precision: int) -> None:
    codec = codec_of(USDINR, SBIN)
    codec.decode(frame(snapshot(1, "sf|cde_fo|1185", quote(876425))))
    decoded = codec.decode(
        frame(
            snapshot(1, "sf|cde_fo|1185", quote(876450), multiplier=multiplier, precision=precision),
            wire.update_item(1, quote(876475)),
            snapshot(2, "sf|nse_cm|3045", quote(81235)),
        )
    )
    assert said(decoded) == [("SBIN", "QUOTE", {"ltp": 812.35})]
    assert decoded.event is Event.MALFORMED


def test_lite_updates_of_books_and_strangers_are_read_over() -> None:
    codec = codec_of(SBIN, NIFTY)
    codec.decode(
        frame(
            snapshot(1, "sf|nse_cm|3045", quote(81235)),
            snapshot(2, "dp|nse_cm|3045", [100] * 30),
            snapshot(3, "if|nse_cm|Nifty 50", [2459615]),
        )
    )
    decoded = codec.decode(
        frame(
            wire.lite_item(2, 77),
            wire.lite_item(8, 78),
            wire.lite_item(1, NONE),
            wire.lite_item(1, 81235),
            wire.lite_item(1, 81240),
            wire.lite_item(3, 2459700),
        )
    )
    assert [(symbol, fields["ltp"]) for symbol, _, fields in said(decoded)] == [("SBIN", 812.4), ("NIFTY", 24597.0)]
    assert (decoded.unknown, decoded.unrouted) == (1, 1)


def test_a_topic_of_an_unknown_kind_is_read_over() -> None:
    codec = codec_of(SBIN)
    decoded = codec.decode(
        frame(snapshot(1, "oc|nse_cm|3045", [5] * 40), snapshot(2, "sf|nse_cm|3045", quote(81235)))
    )
    assert len(decoded.ticks) == 1
    assert decoded.unknown == 1


def test_an_unknown_item_ends_the_frame() -> None:
    codec = codec_of(SBIN)
    decoded = codec.decode(frame(snapshot(1, "sf|nse_cm|3045", quote(81235)), b"\x58\x00\x01", wire.lite_item(1, 5)))
    assert len(decoded.ticks) == 1
    assert decoded.unknown == 1


def test_a_book_level_needs_price_and_size() -> None:
    values = [
        *(10000, NONE, 9990, 9985, 9980), *(10005, 10010, 0, 10020, -5),
        *(5, 5, 0, NONE, 7), *(1, -1, 3, 4, 5),
        *(1, 1, 1, 1, NONE), *(0, 2, 3, 4, -5),
    ]  # fmt: skip
    ((_, mode, fields),) = said(codec_of(SBIN).decode(frame(snapshot(1, "dp|nse_cm|3045", values))))
    assert mode == "DEPTH"
    assert fields == {
        "depth": {
            "buy": [{"price": 100.0, "quantity": 5, "orders": 1}, {"price": 99.8, "quantity": 7}],
            "sell": [
                {"price": 100.05, "quantity": 1, "orders": 0},
                {"price": 100.2, "quantity": 4, "orders": 4},
                {"price": -0.05, "quantity": 5},
            ],
        }
    }


def test_ticks_of_earlier_frames_do_not_change() -> None:
    codec = codec_of(SBIN)
    (first,) = codec.decode(frame(snapshot(1, "dp|nse_cm|3045", [100] * 30))).ticks
    before = tick_fields(first)
    codec.decode(frame(wire.update_item(1, [200] * 30)))
    assert tick_fields(first) == before


MIXED = frame(
    snapshot(1, "sf|nse_cm|3045", quote(81235, volume=12)),
    snapshot(2, "if|nse_cm|Nifty 50", [2459615, 2464955, 1754453723]),
    snapshot(3, "dp|nse_cm|3045", list(range(100, 130))),
    wire.update_item(1, quote(81240)),
    wire.lite_item(2, 2459700),
)


def test_a_cut_frame_gives_its_whole_items_and_no_more() -> None:
    whole = said(codec_of(SBIN, NIFTY).decode(MIXED))
    for size in range(len(MIXED)):
        decoded = codec_of(SBIN, NIFTY).decode(MIXED[:size])
        assert decoded.event is Event.MALFORMED
        assert said(decoded) == whole[: len(decoded.ticks)]
        assert len(decoded.ticks) < len(whole)


# -- conversation --------------------------------------------------------------------------------------------


def test_the_key_is_taken_from_the_token_where_it_was_not_stored() -> None:
    # {"hsm_key":"abc","exp":4102444800}
    token = "e30.eyJoc21fa2V5IjoiYWJjIiwiZXhwIjo0MTAyNDQ0ODAwfQ.x"
    first, mode = HsmCodec().open_frames(Credentials({"access_token": f"APP-100:{token}"}))
    assert isinstance(first, bytes)
    assert wire.read_request(first) == (1, {1: b"abc", 2: b"P", 3: b"\x01", 4: b"tickmux"})
    assert mode == bytes.fromhex("00110c02010008000000000000080002000146")


@pytest.mark.parametrize("every", [0, 1, 2, 3])
def test_every_nth_data_frame_is_acknowledged(every: int) -> None:
    codec = codec_of(SBIN)
    login = codec.decode(wire.response(1, (1, b"K"), (2, every.to_bytes(4, "big")), (3, b"{}")))
    assert (login.ready, login.event) == (True, Event.ACK)
    replies = [codec.decode(frame(number=100 + number)).replies for number in range(1, 7)]
    acknowledged = [number for number, sent in enumerate(replies, 1) if sent]
    assert acknowledged == [number for number in range(1, 7) if every and number % every == 0]
    for number in acknowledged:
        assert replies[number - 1] == [wire.response(3, (1, (100 + number).to_bytes(4, "big")))]


def test_a_new_log_in_starts_the_count_afresh() -> None:
    codec = codec_of(SBIN)
    codec.decode(wire.response(1, (1, b"K"), (2, b"\x02")))
    codec.decode(frame())
    codec.decode(wire.response(1, (1, b"K"), (2, b"\x02")))
    assert codec.decode(frame()).replies == []


@pytest.mark.parametrize("status", [b"N", b"", b"k", b"KK"])
def test_any_other_status_than_k_is_a_refused_log_in(status: bytes) -> None:
    decoded = HsmCodec().decode(wire.response(1, (1, status), (2, bytes(4))))
    assert (decoded.event, decoded.ready) == (Event.AUTH_ERROR, False)


@pytest.mark.parametrize(
    "broken",
    [b"", b"\x00", b"\x00\x01", b"\x00\x01\x01", b"\x00\x02\x01\x01", wire.response(1, (2, b"K")), DONE[:-1]],
)
def test_a_response_without_its_status_is_malformed(broken: bytes) -> None:
    decoded = HsmCodec().decode(broken)
    assert (decoded.event, decoded.ready) == (Event.MALFORMED, False)


@pytest.mark.parametrize("kind", [4, 5, 7, 8, 12])
def test_every_request_has_its_verdict(kind: int) -> None:
    assert HsmCodec().decode(wire.response(kind, (1, b"K"))).event is Event.ACK
    assert HsmCodec().decode(wire.response(kind, (1, b"N"))).event is Event.ERROR


@pytest.mark.parametrize("kind", [2, 3, 9, 10, 13])
def test_responses_without_a_meaning_are_ignored(kind: int) -> None:
    assert HsmCodec().decode(bytes((0, 1, kind))) == Decoded()


def test_what_is_unknown_is_counted() -> None:
    assert HsmCodec().decode(bytes((0, 1, 99))).unknown == 1
    assert HsmCodec().decode("hello").unknown == 1


def test_a_custom_message_about_the_log_in_is_a_refused_log_in() -> None:
    decoded = HsmCodec().decode(
        wire.response(51, (9, b"?"), (1, (-99).to_bytes(4, "big", signed=True)), (2, b"dead"), (3, b"\x01"))
    )
    assert (decoded.event, decoded.message) == (Event.AUTH_ERROR, "dead (-99)")


def test_depth_is_an_addition_to_quotes_and_an_index_has_none() -> None:
    codec = codec_of(SBIN, NIFTY, kind="quote")
    (more,) = codec.change([SBIN, NIFTY], "quote", "depth")
    assert topics_in(more) == ["dp|nse_cm|3045"]
    assert codec.change([NIFTY], "quote", "depth") == []
    (less,) = codec.change([SBIN, NIFTY], "depth", "quote")
    assert topics_in(less) == ["dp|nse_cm|3045"]


def shares(count: int) -> list[Instrument]:
    return [Instrument(f"S{i}", "NSE", f"1010000000{i}", brsymbol=f"NSE:S{i}-EQ") for i in range(1, count + 1)]


def test_a_frame_has_at_most_1500_topics() -> None:
    sent = [topics_in(each) for each in HsmCodec().subscribe(shares(2000), "depth")]
    assert [len(topics) for topics in sent] == [1500, 1500, 1000]
    assert len({topic for topics in sent for topic in topics}) == 4000


def test_the_longest_topics_fit_into_a_frame() -> None:
    long = [Instrument(f"I{i}", "NSE_INDEX", str(i), extra=f"{i:030d}") for i in range(1500)]
    (sent,) = HsmCodec().subscribe(long, "quote")
    assert len(topics_in(sent)) == 1500


def converse(codec: HsmCodec, sent: list[Any], accepts: Any) -> tuple[list[Instrument], int]:
    """Plays the server until it has answered everything; who was refused, and after how many frames."""
    refused: list[Instrument] = []
    frames = 0
    while sent:
        topics = topics_in(sent.pop(0))
        frames += 1
        decoded = codec.decode(DONE if accepts(topics) else REFUSED)
        sent += decoded.replies
        refused += decoded.refused
    return refused, frames


def test_a_refused_frame_is_halved_until_the_culprit_stands_alone() -> None:
    codec, listed = HsmCodec(), shares(100)
    codec.decode(ACCEPTED)
    taken: set[str] = set()

    def accepts(topics: list[str]) -> bool:
        if {"sf|nse_cm|42", "sf|nse_cm|77"} & set(topics):
            return False
        taken.update(topics)
        return True

    refused, frames = converse(codec, codec.subscribe(listed, "quote"), accepts)
    assert {instrument.symbol for instrument in refused} == {"S42", "S77"}
    assert len(taken) == 98
    assert frames < 40


def test_what_was_given_up_meanwhile_is_not_asked_for_again() -> None:
    codec, (first, second, third) = HsmCodec(), shares(3)
    codec.decode(ACCEPTED)
    codec.subscribe([first, second, third], "depth")
    codec.unsubscribe([first], "depth")
    codec.change([second], "depth", "quote")
    again = [topic for sent in codec.decode(REFUSED).replies for topic in topics_in(sent)]
    assert sorted(again) == ["dp|nse_cm|3", "sf|nse_cm|2", "sf|nse_cm|3"]


def test_a_full_plan_takes_what_it_can_in_few_frames() -> None:
    codec, listed = HsmCodec(), shares(750)
    codec.decode(ACCEPTED)
    sent = codec.subscribe(listed, "quote")
    codec.decode(wire.response(51, (1, (51001).to_bytes(4, "big")), (2, b"limit"), (3, b"\x04")))
    refused, frames = converse(codec, sent, lambda topics: len(topics) <= 200)
    assert frames == 3
    assert len(refused) == 750 - 187


def test_who_has_no_snapshot_a_heartbeat_after_the_plans_limit_is_out() -> None:
    codec, (first, second, third) = HsmCodec(), shares(3)
    codec.decode(ACCEPTED)
    codec.subscribe([first, second, third], "quote")
    codec.decode(DONE)
    codec.decode(frame(snapshot(1, "sf|nse_cm|1", quote(100))))
    limit = codec.decode(wire.response(51, (1, (51001).to_bytes(4, "big")), (2, b"limit"), (3, b"\x04")))
    assert (limit.event, limit.refused, limit.message) == (Event.ERROR, [], "limit (51001)")
    assert codec.decode(frame(snapshot(2, "sf|nse_cm|2", quote(100)))).refused == []
    assert codec.heartbeat_frames() == [b"\x00\x01\x0b"]
    judged = codec.decode(frame(wire.update_item(1, quote(101))))
    assert (judged.refused, judged.event, len(judged.ticks)) == ([third], Event.ERROR, 1)
    codec.heartbeat_frames()
    assert codec.decode(frame(wire.update_item(1, quote(102)))).refused == []


def test_unanswered_requests_do_not_pile_up() -> None:
    codec, (share,) = codec_of(), shares(1)
    for _ in range(5000):
        codec.subscribe([share], "quote")
        codec.unsubscribe([share], "quote")
    assert len(codec._requests) <= 1024


# -- hostile bytes -------------------------------------------------------------------------------------------

FRAMES = [
    bytes.fromhex(each["hex"]) for item in VECTORS["incoming"] if item["feed"] == "hsm" for each in item["frames"]
]
VALUES = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([0, NONE])


def assert_sane(decoded: Decoded) -> None:
    for tick in decoded.ticks:
        assert isinstance(tick, Tick)
        assert tick.instrument in ROWS
        for value in tick_fields(tick).values():
            assert value not in (None, float("inf"), float("-inf"))


@given(st.lists(st.binary(max_size=300), max_size=4))
@settings(max_examples=150)
def test_any_bytes_are_survived(frames: list[bytes]) -> None:
    codec = codec_of(*ROWS)
    for data in frames:
        assert_sane(codec.decode(data))
        assert_sane(codec.decode(b"\x00\x00\x06" + data))


@given(st.sampled_from(FRAMES), st.data())
@settings(max_examples=150)
def test_damaged_frames_are_survived(data: bytes, draws: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draws.draw(st.integers(1, 4))):
        damaged[draws.draw(st.integers(0, len(damaged) - 1))] = draws.draw(st.integers(0, 255))
    codec = codec_of(*ROWS)
    for known in FRAMES[:6]:
        codec.decode(known)
    assert_sane(codec.decode(bytes(damaged)))


@given(st.lists(st.tuples(st.integers(0, 3), st.lists(VALUES, max_size=25)), max_size=12))
@settings(max_examples=150)
def test_prices_are_the_newest_values_of_their_own_topic(steps: list[tuple[int, list[int]]]) -> None:
    owners = {0: (SBIN, "sf|nse_cm|3045"), 1: (FUTURE, "sf|nse_fo|53216"), 2: (USDINR, "sf|cde_fo|1185")}
    scales = {0: 100, 1: 100, 2: 10_000}
    codec = codec_of(*ROWS)
    codec.decode(
        frame(*(snapshot(key, topic, [], multiplier=scales[key] // 100) for key, (_, topic) in owners.items()))
    )
    state: dict[int, dict[int, int]] = {key: {} for key in owners}
    for key, values in steps:
        decoded = codec.decode(frame(wire.update_item(key, values)))
        fresh = {i: value for i, value in enumerate(values[:21]) if value != NONE}
        if key not in owners or all(state[key].get(i) == value for i, value in fresh.items()):
            assert decoded.ticks == []
            continue
        state[key] |= fresh
        (tick,) = decoded.ticks
        assert (tick.instrument, tick.mode) == (owners[key][0], Mode.QUOTE)
        for i, price in {0: tick.ltp, 19: tick.open, 14: tick.high, 13: tick.low, 20: tick.close}.items():
            raw = state[key].get(i, 0)
            assert price == wire_policy.price(raw, scales[key])
