"""m.Stock's codec against frames of any content: it says what the specification's table says, or nothing."""

import struct

from hypothesis import example, given, settings
from hypothesis import strategies as st

from broker.mstock.mstock_frames import EVERYTHING, MOMENT, TYPES, codec, level
from support import wire_policy
from tickmux.codec import Decoded
from tickmux.instrument import Instrument
from tickmux.tick import tick_fields

INT64 = st.one_of(
    st.sampled_from([0, 1, -1, 81235, 100_000, 100_001, 2**63 - 1, -(2**63)]), st.integers(-(2**63), 2**63 - 1)
)
UINT64 = st.one_of(st.sampled_from([0, 1, MOMENT, 2**63, 2**64 - 1]), st.integers(0, 2**64 - 1))
TOKENS = st.one_of(
    st.sampled_from([each.token.encode() for each in EVERYTHING]),
    st.sampled_from([int(each.token).to_bytes(4, "little") for each in EVERYTHING]),
    st.sampled_from([int(each.token).to_bytes(4, "little") + b"\xff\0x" for each in EVERYTHING]),
    st.binary(max_size=25),
)
EXCHANGE_BYTES = st.one_of(st.sampled_from([1, 2, 3, 4, 13]), st.integers(0, 255))


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    size = draw(st.sampled_from([51, 123, 379]))
    head = struct.pack(
        "<BB25sQQq", draw(st.integers(0, 255)), draw(EXCHANGE_BYTES), draw(TOKENS), draw(UINT64), draw(UINT64),
        draw(INT64),
    )  # fmt: skip
    if size == 51:
        return head
    floats = st.floats(width=64)
    quote = struct.pack(
        "<qqqddqqqq",
        draw(INT64),
        draw(INT64),
        draw(INT64),
        draw(floats),
        draw(floats),
        *(draw(INT64) for _ in range(4)),
    )
    if size == 123:
        return head + quote
    book = b"".join(
        level(draw(st.integers(0, 65535)), draw(INT64), draw(INT64), draw(st.integers(0, 65535))) for _ in range(10)
    )
    times = struct.pack("<Qqd", draw(UINT64), draw(INT64), draw(floats))
    return head + quote + times + book + struct.pack("<qqqq", *(draw(INT64) for _ in range(4)))


def integer(packet: bytes, at: int, size: int = 8, signed: bool = True) -> int:
    return int.from_bytes(packet[at : at + size], "little", signed=signed)


def meaning(packet: bytes) -> tuple[Instrument, dict[str, object]] | None:
    """What the specification's table says of a packet, field by field; None for no tick."""
    text = packet[2:27].split(b"\0")[0]
    token = text.decode() if text and all(48 <= byte <= 57 for byte in text) else str(integer(packet, 2, 4, False))
    owner = next((each for each in EVERYTHING if (TYPES[each.exchange], each.token) == (packet[1], token)), None)
    if owner is None:
        return None
    fields: dict[str, object] = {}

    def price(name: str, at: int) -> None:
        index = owner.is_index and "circuit" not in name
        if (found := wire_policy.price(integer(packet, at), 100, wide=True, index=index)) is not None:
            fields[name] = found

    def quantity(name: str, value: int | None) -> None:
        if value is not None and (value or not owner.is_index):
            fields[name] = value

    def moment(name: str, at: int) -> None:
        value = wire_policy.seconds(integer(packet, at, signed=False), 315_532_800 - 19_800)
        if value is not None:
            fields[name] = value

    price("ltp", 43)
    moment("timestamp", 35)
    if len(packet) == 51:
        if "ltp" not in fields:
            return None
    else:
        quantity("last_trade_quantity", wire_policy.count(integer(packet, 51)))
        quantity("volume", wire_policy.count(integer(packet, 67)))
        for name, at in (("total_buy_quantity", 75), ("total_sell_quantity", 83)):
            (total,) = struct.unpack("<d", packet[at : at + 8])
            quantity(name, wire_policy.real_count(total))
        for name, at in (("avg_trade_price", 59), ("open", 91), ("high", 99), ("low", 107), ("close", 115)):
            price(name, at)
    if len(packet) == 379:
        moment("ltt", 123)
        price("upper_circuit", 347)
        price("lower_circuit", 355)
        if owner.exchange in ("NFO", "BFO", "CDS"):
            fields |= {"oi": oi} if (oi := wire_policy.count(integer(packet, 131))) is not None else {}
        if not owner.is_index:
            rows = [
                {
                    "price": wire_policy.price(integer(packet, at + 10), 100, wide=True),
                    "quantity": integer(packet, at + 2),
                    "orders": integer(packet, at + 18, 2, False),
                    "place": number,
                }
                for number, at in enumerate(range(147, 347, 20))
                if wire_policy.price(integer(packet, at + 10), 100, wide=True) is not None
                and wire_policy.count(integer(packet, at + 2))
            ]
            fields["depth"] = {
                side: [
                    {key: row[key] for key in ("price", "quantity", "orders")} for row in rows if chosen(row["place"])
                ]
                for side, chosen in (("buy", lambda place: place < 5), ("sell", lambda place: place >= 5))
            }
    if owner.exchange == "CDS" and max(fields.get("ltp", 0), fields.get("close", 0)) > 1000:  # type: ignore[type-var]
        return None
    return owner, fields


def said(decoded: Decoded) -> list[tuple[Instrument, dict[str, object]]]:
    return [(tick.instrument, tick_fields(tick)) for tick in decoded.ticks]


@settings(max_examples=200, deadline=None)
@given(packets())
def test_a_packet_of_any_content_says_what_the_table_says_and_nothing_else(packet: bytes) -> None:
    wanted = meaning(packet)
    assert said(codec(*EVERYTHING).decode(packet)) == ([wanted] if wanted else [])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(packets(), min_size=1, max_size=4),
    st.sampled_from("<>"),
    st.booleans(),
    st.integers(0, 6),
    st.integers(0, 500),
    st.binary(max_size=3),
)
def test_wrapped_packets_cut_anywhere_say_no_more_than_they_hold(
    members: list[bytes], order: str, sized: bool, count: int, cut: int, tail: bytes
) -> None:
    if not sized:
        members = [each for each in members if len(each) == len(members[0])]
    bodies = [struct.pack(f"{order}H", len(each)) + each for each in members]
    body = b"".join(bodies) if sized else bodies[0][:2] + b"".join(members)
    frame = struct.pack(f"{order}H", count) + body + tail
    frame = frame[: max(0, len(frame) - cut)]
    decoded = codec(*EVERYTHING).decode(frame)
    possible = [found for each in members if (found := meaning(each))]
    assert all(found in possible for found in said(decoded))
    if count == len(members) and not cut:
        assert said(decoded) == possible


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=800), st.text(max_size=200)))
@example("[" * 100_000)
@example('{"type":"error","data":' + "[" * 100_000)
@example('{"type":"error","data":' + "9" * 5000 + "}")
@example("\ud800")
@example(struct.pack(">HH", 65535, 51) * 5000)
def test_no_frame_makes_the_decoder_raise(frame: bytes | str) -> None:
    subject = codec(*EVERYTHING)
    kept = dict(vars(subject))
    decoded = subject.decode(frame)
    assert not decoded.ticks or isinstance(frame, bytes)
    after = dict(vars(subject))
    kept.pop("_proved")
    after.pop("_proved")
    assert after == kept, "the decoder keeps nothing of what it read"
