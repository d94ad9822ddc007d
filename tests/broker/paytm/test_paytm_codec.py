"""Paytm Money's codec and adapter beyond the shared vectors: number spaces, floats, packets end to end, limits."""

import asyncio
import json
import math
import struct
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from support import wire_policy
from tickmux.broker.paytm import BROKER
from tickmux.broker.paytm.streaming.farewells import Farewells
from tickmux.broker.paytm.streaming.paytm_adapter import PaytmAdapter
from tickmux.broker.paytm.streaming.paytm_mapping import PaytmCodec
from tickmux.codec import Credentials, Decoded, Event
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick, tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable


def row(symbol: str, exchange: str, token: int, kind: str) -> Instrument:
    return Instrument(symbol=symbol, exchange=exchange, token=str(token), instrumenttype=kind)


ABB = row("ABB", "NSE", 13, "EQ")
RELIANCE = row("RELIANCE", "BSE", 500325, "EQ")
BEES = row("NIFTYBEES", "NSE", 10576, "ETF")
NIFTY = row("NIFTY", "NSE_INDEX", 13, "INDEX")
SENSEX = row("SENSEX", "BSE_INDEX", 51, "INDEX")
FUTURE = row("NIFTY29DEC26FUT", "NFO", 44498, "FUT")
PUT = row("SENSEX26NOV2685000PE", "BFO", 861201, "PE")
EVERYTHING = (ABB, RELIANCE, BEES, NIFTY, SENSEX, FUTURE, PUT)
MOMENT = 1_479_896_130
"""Seconds since 1980 of an Indian clock: 2026-11-23 10:15:30, which is EPOCH."""
EPOCH = 1_795_409_130_000


def codec(*instruments: Instrument, kind: str = "FULL") -> PaytmCodec:
    made = PaytmCodec(Farewells(lambda: 0.0), PaytmAdapter().clock)
    made.subscribe(instruments, kind)
    return made


def ltp(kind: int, token: int, price: float = 5210.5, moment: int = MOMENT) -> bytes:
    return struct.pack("<BfIIBBff", kind, price, moment, token, 1, 1, 1.5, 0.5)


def traded(token: int, price: float = 100.0, moment: int = MOMENT, quantity: int = 7) -> bytes:
    counts = (quantity, price, quantity, quantity, quantity)
    return struct.pack("<fIIBBIfIII8f", price, moment, token, 1, 3, *counts, *[price] * 8)


def quote(token: int, **values: Any) -> bytes:
    return b"\x3e" + traded(token, **values)


def full(token: int, book: bytes = bytes(100), oi: int = 9, **values: Any) -> bytes:
    return b"\x3f" + book.ljust(100, b"\0") + traded(token, **values) + struct.pack("<Ii", oi, -5)


def index_quote(token: int, price: float = 100.0) -> bytes:
    return struct.pack("<BfIBB8f", 65, price, token, 0, 2, *[price] * 8)


def index_full(token: int, price: float = 100.0, moment: int = MOMENT) -> bytes:
    return struct.pack("<BfIBB6fI", 66, price, token, 0, 3, *[price] * 6, moment)


def level(bid: int, ask: int, bid_price: float, ask_price: float, orders: int = 1) -> bytes:
    return struct.pack("<IIhhff", bid, ask, orders, orders, bid_price, ask_price)


def only(decoded: Decoded) -> Tick:
    (tick,) = decoded.ticks
    assert (decoded.event, decoded.unrouted, decoded.unknown) == (None, 0, 0)
    return tick


# -- routing ---------------------------------------------------------------------------------------------


def test_a_share_and_an_index_of_one_id_never_mix() -> None:
    both = codec(ABB, NIFTY)
    for packet in (ltp(61, 13), quote(13), full(13)):
        assert only(both.decode(packet)).instrument == ABB
        assert codec(NIFTY).decode(packet) == Decoded(unrouted=1)
    for packet in (ltp(64, 13), index_quote(13), index_full(13)):
        assert only(both.decode(packet)).instrument == NIFTY
        assert codec(ABB).decode(packet) == Decoded(unrouted=1)


def test_two_exchanges_that_share_an_id_get_no_price_until_one_is_left() -> None:
    twin = row("TWIN", "BSE", 13, "EQ")
    both = codec(ABB, twin)
    assert both.decode(quote(13)) == Decoded(unrouted=1)
    both.unsubscribe([twin], "FULL")
    assert only(both.decode(quote(13))).instrument == ABB


@pytest.mark.parametrize(
    ("exchange", "token", "kind"),
    [
        ("CDS", "1", "FUT"),
        ("MCX", "1", "FUT"),
        ("NSE", "", "EQ"),
        ("NSE", "-1", "EQ"),
        ("NSE", str(1 << 32), "EQ"),
        ("NSE", "९", "EQ"),
        ("NSE", "9" * 5000, "EQ"),
        ("NFO", "1", "EQ"),
        ("NFO", "1", ""),
        ("NSE", "1", "CE"),
    ],
)
def test_what_the_wire_cannot_name_is_refused(exchange: str, token: str, kind: str) -> None:
    with pytest.raises(ValueError, match="X: "):
        codec().wire_key(Instrument(symbol="X", exchange=exchange, token=token, instrumenttype=kind))


# -- values ----------------------------------------------------------------------------------------------


def test_floats_are_rupees_to_the_paisa() -> None:
    for price in (0.05, 19.35, 1546.35, 26144.45, 85231.92, 120_345.65):
        tick = only(codec(ABB).decode(quote(13, price=price)))
        assert {tick.ltp, tick.open, tick.high, tick.low, tick.close, tick.avg_trade_price} == {price}


@pytest.mark.parametrize("price", [0.0, -0.0, 0.004, -0.01, 42949672.95, math.nan, math.inf, -math.inf, 1e-40])
def test_what_is_no_price_is_absent_and_costs_nothing_else(price: float) -> None:
    book = level(5, 6, price, price) + level(7, 8, 99.5, 100.5)
    tick = only(codec(FUTURE).decode(full(44498, book, price=price)))
    assert tick_fields(tick) == {
        "ltt": EPOCH,
        "last_trade_quantity": 7,
        "volume": 7,
        "total_buy_quantity": 7,
        "total_sell_quantity": 7,
        "oi": 9,
        "depth": {
            "buy": [{"price": 99.5, "quantity": 7, "orders": 1}],
            "sell": [{"price": 100.5, "quantity": 8, "orders": 1}],
        },
    }


def test_an_ltp_packet_without_a_price_still_tells_its_time() -> None:
    assert tick_fields(only(codec(ABB).decode(ltp(61, 13, 0.0)))) == {"ltt": EPOCH}
    assert tick_fields(only(codec(NIFTY).decode(ltp(64, 13, 0.0)))) == {"timestamp": EPOCH}
    assert tick_fields(only(codec(ABB).decode(ltp(61, 13, 5.0, 0)))) == {"ltp": 5.0}


@pytest.mark.parametrize(
    "packet", [ltp(61, 13, math.nan, 0), ltp(64, 13, 0.0, 0), index_quote(13, 0.0), index_full(13, 0.0, 0)]
)
def test_a_packet_without_any_value_is_no_tick(packet: bytes) -> None:
    assert codec(ABB, NIFTY).decode(packet) == Decoded()


def test_the_time_of_an_index_is_its_update_and_only_a_full_packet_or_ltp_has_one() -> None:
    assert only(codec(NIFTY).decode(index_full(13))).timestamp == EPOCH
    assert only(codec(NIFTY).decode(index_full(13, moment=0))).timestamp is None
    for packet in (index_full(13), index_quote(13)):
        tick = only(codec(NIFTY).decode(packet))
        assert (tick.mode, tick.ltt, tick.depth, tick.oi, tick.volume) == (Mode.QUOTE, None, None, None, None)


def test_times_count_from_1980_on_an_indian_clock() -> None:
    tick = only(codec(ABB).decode(ltp(61, 13)))
    assert datetime.fromtimestamp((tick.ltt or 0) / 1000, UTC) == datetime(2026, 11, 23, 4, 45, 30, tzinfo=UTC)
    assert only(codec(ABB).decode(ltp(61, 13, moment=2**32 - 2))).ltt == (2**32 - 2 + 315_513_000) * 1000
    assert only(codec(ABB).decode(ltp(61, 13, moment=2**32 - 1))).ltt is None


def test_quantities_are_unsigned_and_zeros_are_real() -> None:
    tick = only(codec(FUTURE).decode(full(44498, oi=4_000_000_000, quantity=4_000_000_001)))
    assert (tick.oi, tick.volume, tick.total_buy_quantity) == (4_000_000_000, 4_000_000_001, 4_000_000_001)
    tick = only(codec(FUTURE).decode(full(44498, oi=0, quantity=0)))
    assert (tick.oi, tick.volume, tick.last_trade_quantity, tick.total_sell_quantity) == (0, 0, 0, 0)
    assert only(codec(FUTURE).decode(quote(44498))).oi is None


def test_a_level_without_a_price_is_dropped_on_its_side_only() -> None:
    book = level(0, 5, 99.0, 0.0) + level(5, 6, 98.5, 100.0, -3) + bytes(20) + level(9, 9, 0.0, 101.0)
    depth = only(codec(ABB).decode(full(13, book))).depth
    assert depth is not None
    assert [(each.price, each.quantity, each.orders) for each in depth.buy] == [(99.0, 0, 1), (98.5, 5, None)]
    assert [(each.price, each.quantity, each.orders) for each in depth.sell] == [(100.0, 6, None), (101.0, 9, 1)]


# -- frames ----------------------------------------------------------------------------------------------


PACKETS = (ltp(61, 13), quote(500325), full(44498), ltp(64, 13), index_quote(51), index_full(13))


def test_the_sizes_are_those_of_the_specification() -> None:
    assert [(packet[0], len(packet)) for packet in PACKETS] == [
        (61, 23), (62, 67), (63, 175), (64, 23), (65, 43), (66, 39),
    ]  # fmt: skip


def test_packets_stand_end_to_end_and_a_cut_one_leaves_those_before_it() -> None:
    frame = b"".join(PACKETS)
    ends = [sum(map(len, PACKETS[: number + 1])) for number in range(len(PACKETS))]
    for cut in range(len(frame) + 1):
        decoded = codec(*EVERYTHING).decode(frame[:cut])
        whole = sum(end <= cut for end in ends)
        assert len(decoded.ticks) == whole
        assert decoded.event == (None if cut in (0, *ends) else Event.MALFORMED)


@pytest.mark.parametrize("kind", [0, 60, 67, 255])
def test_what_follows_an_unknown_type_is_not_guessed_at(kind: int) -> None:
    decoded = codec(*EVERYTHING).decode(PACKETS[0] + bytes((kind,)) + PACKETS[1])
    assert ([tick.instrument for tick in decoded.ticks], decoded.event) == ([ABB], Event.MALFORMED)


def test_an_empty_frame_is_nothing() -> None:
    assert codec(ABB).decode(b"") == Decoded()


def test_packets_of_others_are_skipped_and_counted() -> None:
    decoded = codec(ABB, SENSEX).decode(b"".join(PACKETS))
    assert ([tick.instrument for tick in decoded.ticks], decoded.unrouted) == ([ABB, SENSEX], 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"message":"Invalid preference","code":400}', "Invalid preference"),
        ('{"message":5}', '{"message":5}'),
        ("going down", "going down"),
        ("[]", "[]"),
        ("  ", "a notice without words"),
        ("", "a notice without words"),
        ("x" * 1000, "x" * 200),
        ('{"message":"bad token eyJ.pub.sig"}', "bad token …"),
    ],
)
def test_a_text_is_an_error_in_the_servers_words_without_secrets(text: str, message: str) -> None:
    subject = codec(ABB)
    assert subject.open_frames(Credentials({"public_access_token": "eyJ.pub.sig"})) == []
    decoded = subject.decode(text)
    assert (decoded.event, decoded.message, decoded.ticks, decoded.restart) == (Event.ERROR, message, [], False)


# -- out -------------------------------------------------------------------------------------------------


def test_the_kind_of_scrip_comes_from_the_list_and_not_from_the_name() -> None:
    names = (row("RELIANCE", "NSE", 2885, "EQ"), BEES, NIFTY, FUTURE, PUT, row("CECE", "BSE", 7, ""))
    (frame,) = codec().subscribe(names, "LTP")
    assert [list(each.values()) for each in json.loads(str(frame))] == [
        ["ADD", "LTP", "EQUITY", "NSE", "2885"],
        ["ADD", "LTP", "ETF", "NSE", "10576"],
        ["ADD", "LTP", "INDEX", "NSE", "13"],
        ["ADD", "LTP", "FUTURE", "NSE", "44498"],
        ["ADD", "LTP", "OPTION", "BSE", "861201"],
        ["ADD", "LTP", "EQUITY", "BSE", "7"],
    ]
    assert list(json.loads(str(frame))[0]) == [
        "actionType", "modeType", "scripType", "exchangeType", "scripId",
    ]  # fmt: skip


def test_a_change_of_mode_removes_and_adds_in_one_frame() -> None:
    (frame,) = codec(ABB, NIFTY, kind="LTP").change([ABB, NIFTY], "LTP", "FULL")
    assert [(each["actionType"], each["modeType"], each["scripType"]) for each in json.loads(str(frame))] == [
        ("REMOVE", "LTP", "EQUITY"),
        ("REMOVE", "LTP", "INDEX"),
        ("ADD", "FULL", "EQUITY"),
        ("ADD", "FULL", "INDEX"),
    ]


def test_no_frame_holds_more_than_a_hundred_preferences() -> None:
    adapter = BROKER.adapter()
    shares = [row(f"S{number}", "NSE", number, "EQ") for number in range(1, adapter.channels["main"].batch + 1)]
    subject = codec()
    (added,) = subject.subscribe(shares, "LTP")
    assert len(json.loads(str(added))) == 100
    changes = [json.loads(str(frame)) for frame in subject.change(shares, "LTP", "FULL")]
    assert [len(change) for change in changes] == [100, 100]
    for change, members in zip(changes, (shares[:50], shares[50:]), strict=True):
        said = [(each["actionType"], each["modeType"], each["scripId"]) for each in change]
        tokens = [member.token for member in members]
        assert said == [
            *(("REMOVE", "LTP", token) for token in tokens),
            *(("ADD", "FULL", token) for token in tokens),
        ]


# -- adapter -----------------------------------------------------------------------------------------------


def address(adapter: Any, token: str = "t1") -> str:
    async def ask() -> str:
        async with httpx.AsyncClient(trust_env=False) as http:
            return str((await adapter.endpoint("main", Credentials({"public_access_token": token}), http)).url)

    return asyncio.run(ask())


def test_the_token_is_escaped_in_the_address() -> None:
    assert address(PaytmAdapter({"feed": "ws://127.0.0.1:1/x"}), "a.b/c+d=&") == (
        "ws://127.0.0.1:1/x?x_jwt_token=a.b%2Fc%2Bd%3D%26"
    )


def test_limits_and_streams() -> None:
    adapter = BROKER.adapter()
    main = adapter.channels["main"]
    assert (main.symbol_limit, main.connection_limit, main.batch) == (1000, 1, 100)
    assert adapter.depth_levels("NFO") == (5,)
    assert adapter.depth_levels("NSE_INDEX") == ()
    assert [adapter.streams(NIFTY, mode, 5)[0].kind for mode in Mode] == ["LTP", "QUOTE", "FULL"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 415])
def test_a_refused_handshake_asks_for_a_new_login(status: int) -> None:
    assert isinstance(BROKER.adapter().handshake_failure(status, "", {}, b""), AuthRejected)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_busy_server_is_tried_again(status: int) -> None:
    assert isinstance(BROKER.adapter().handshake_failure(status, "", {}, b""), Unavailable)


class Feed:
    """Sessions of one adapter on a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.adapter = PaytmAdapter()
        self.adapter.farewells = Farewells(lambda: self.now)

    def ends(self, code: int, token: str = "t1", data: bytes = b"", after: float = 1.0) -> Exception | None:
        address(self.adapter, token)
        subject = self.adapter.codec("main")
        subject.decode(data)
        self.now += after
        return self.adapter.close_failure(code, "")


def test_a_normal_closure_twice_in_a_row_ends_the_session() -> None:
    feed = Feed()
    assert feed.ends(1000) is None
    assert isinstance(feed.ends(1000), AuthRejected)
    assert feed.ends(1000, "t2") is None
    assert feed.ends(1000, "t3") is None


def test_another_end_in_between_breaks_the_row() -> None:
    feed = Feed()
    assert [feed.ends(code) for code in (1000, 1006, 1000, 1011, 1000)] == [None] * 5


@pytest.mark.parametrize("between", [{"code": 1000, "data": ltp(61, 1)}, {"code": 1000, "after": 3600.0}])
def test_a_session_with_data_or_of_some_length_breaks_the_row(between: dict[str, Any]) -> None:
    feed = Feed()
    for _ in range(4):
        assert feed.ends(1000) is None
        assert feed.ends(**between) is None


@pytest.mark.parametrize("code", [1001, 1006, 1011, 4000])
def test_another_code_is_a_plain_disconnect(code: int) -> None:
    feed = Feed()
    assert [feed.ends(code) for _ in range(5)] == [None] * 5


# -- hostile ---------------------------------------------------------------------------------------------

IDS = st.one_of(st.sampled_from([int(each.token) for each in EVERYTHING]), st.integers(0, 2**32 - 1))
U32 = st.one_of(st.sampled_from([0, 1, MOMENT, 2**31, 2**32 - 1]), st.integers(0, 2**32 - 1))
F32 = st.one_of(
    st.sampled_from([0.0, -0.0, 0.05, 85231.921875, math.nan, math.inf, -1.0, 0.004]), st.floats(width=32)
)


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(range(61, 67)))

    def block(shape: str) -> bytes:
        values = {"f": F32, "I": U32, "B": st.integers(0, 255), "h": st.integers(-(2**15), 2**15 - 1), "K": IDS}
        return b"".join(struct.pack(f"<{'I' if code == 'K' else code}", draw(values[code])) for code in shape)

    shape = {
        61: "fIKBBff",
        62: "fIKBBIfIIIffffffff",
        63: "IIhhff" * 5 + "fIKBBIfIIIffffffffII",
        64: "fIKBBff",
        65: "fKBBffffffff",
        66: "fKBBffffffI",
    }[kind]
    return bytes((kind,)) + block(shape)


def meaning(packet: bytes) -> tuple[Instrument, dict[str, object]] | None:
    """What the specification's tables say of one packet, field by field; None for no tick."""
    kind = packet[0]
    start = 100 if kind == 63 else 0

    def number(at: int) -> int:
        return int.from_bytes(packet[start + at : start + at + 4], "little")

    def rupees(at: int) -> float | None:
        (value,) = struct.unpack("<f", packet[at : at + 4])
        found = wire_policy.rupees(value, index=owner.is_index)  # type: ignore[union-attr]
        return None if found is None else round(found, 2) or None

    token = number(5 if kind > 64 else 9)
    owner = next((e for e in EVERYTHING if e.is_index == (kind > 63) and int(e.token) == token), None)
    if owner is None:
        return None
    moment_at = {65: None, 66: 35}.get(kind, 5)
    moment = number(moment_at) if moment_at else 0
    fields: dict[str, object | None] = {
        "ltp": rupees(start + 1),
        "timestamp" if owner.is_index else "ltt": wire_policy.seconds(moment, 315_513_000),
    }
    if kind in (62, 63):
        names = {"last_trade_quantity": 15, "volume": 23, "total_buy_quantity": 27, "total_sell_quantity": 31}
        fields |= {name: wire_policy.count(number(at)) for name, at in names.items()}
        prices = {"avg_trade_price": 19, "open": 35, "close": 39, "high": 43, "low": 47}
        fields |= {name: rupees(start + at) for name, at in prices.items()}
    elif kind > 64:
        fields |= {name: rupees(at) for name, at in {"open": 11, "close": 15, "high": 19, "low": 23}.items()}
    if kind == 63:
        fields["oi"] = wire_policy.count(number(67))
        sides: dict[str, list[dict[str, object]]] = {"buy": [], "sell": []}
        for at in range(1, 101, 20):
            for side, quantity_at, orders_at, price_at in (("buy", 0, 8, 12), ("sell", 4, 10, 16)):
                if price := rupees(at + price_at):
                    quantity = wire_policy.count(
                        int.from_bytes(packet[at + quantity_at : at + quantity_at + 4], "little")
                    )
                    entry: dict[str, object] = {"price": price} | ({} if quantity is None else {"quantity": quantity})
                    orders = int.from_bytes(packet[at + orders_at : at + orders_at + 2], "little", signed=True)
                    sides[side].append(entry | ({"orders": orders} if orders >= 0 else {}))
        fields["depth"] = sides
    told = {name: value for name, value in fields.items() if value is not None}
    return (owner, told) if told else None


def said(decoded: Decoded) -> list[tuple[Instrument, dict[str, object]]]:
    return [(tick.instrument, tick_fields(tick)) for tick in decoded.ticks]


@settings(max_examples=200, deadline=None)
@given(st.lists(packets(), max_size=4), st.integers(0, 180))
def test_packets_of_any_content_cut_anywhere_say_what_the_tables_say(members: list[bytes], cut: int) -> None:
    frame = b"".join(members)
    frame = frame[: max(0, len(frame) - cut)]
    whole, room = [], len(frame)
    for member in members:
        room -= len(member)
        if room < 0:
            break
        whole.append(member)
    decoded = codec(*EVERYTHING).decode(frame)
    assert said(decoded) == [found for member in whole if (found := meaning(member))]
    assert (decoded.event is Event.MALFORMED) == (len(frame) > sum(map(len, whole)))


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.text(max_size=100),
        st.tuples(packets(), st.binary(max_size=60)).map(b"".join),
        st.tuples(packets(), st.integers(0, 174), st.integers(0, 255)).map(
            lambda parts: parts[0][: parts[1]] + bytes((parts[2],)) + parts[0][parts[1] + 1 :]
        ),
    )
)
@example("[" * 100_000)
@example('{"message":' + "[" * 100_000)
@example("\ud800")
@example(ltp(61, 1) * 50_000)
def test_no_frame_makes_the_decoder_raise_or_remember(frame: bytes | str) -> None:
    subject = codec(*EVERYTHING)
    kept = {name: value for name, value in vars(subject).items() if name != "_silent"}
    decoded = subject.decode(frame)
    assert not decoded.ticks or isinstance(frame, bytes)
    for tick in decoded.ticks:
        prices = [tick.ltp, tick.open, tick.high, tick.low, tick.close, tick.avg_trade_price]
        assert all(price is None or (price and abs(price) < 20_000_000) for price in prices)
    assert {name: value for name, value in vars(subject).items() if name != "_silent"} == kept
