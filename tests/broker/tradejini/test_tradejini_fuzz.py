"""Tradejini's decoder against input that is hostile, random or damaged: it keeps to what the bytes say."""

import json
import struct
import zlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from broker.tradejini.tradejini_wire import (
    FUTURE,
    L1_KEYS,
    NIFTY,
    SILVER,
    SIZES,
    TCS,
    USDINR,
    VECTORS,
    book,
    codec,
    frame,
    packet,
    quote,
)
from support import wire_policy
from tickmux.broker.tradejini.streaming.tradejini_mapping import DIVISORS, SEGMENTS
from tickmux.codec import Event
from tickmux.instrument import Instrument
from tickmux.tick import tick_fields

ALL = (TCS, SILVER, USDINR, NIFTY, FUTURE)
RANGES = {"B": (0, 255), "H": (0, 2**16 - 1), "i": (-(2**31), 2**31 - 1), "I": (0, 2**32 - 1)}
INTERESTING = {"B": (0, 1, 3, 5), "H": (0, 1, 3), "i": (0, 1, -1, 11536, 44498, 1482), "I": (0, 1)}
PRICES = {29: "ltp", 30: "open", 31: "high", 32: "low", 33: "close", 36: "avg_trade_price", 42: "upper_circuit"}
PRICES |= {43: "lower_circuit"}
COUNTS = {39: "last_trade_quantity", 40: "volume", 44: "oi"}


def values(key: int) -> st.SearchStrategy[float]:
    kind = SIZES[key]
    if kind == "d":
        return st.floats()
    low, high = RANGES[kind]
    return st.sampled_from(INTERESTING[kind]) | st.integers(low, high)


def some_fields(keys: list[int]) -> st.SearchStrategy[list[tuple[int, float]]]:
    one = st.sampled_from(keys).flatmap(lambda key: st.tuples(st.just(key), values(key)))
    return st.lists(one, max_size=25)


PACKETS = (
    st.builds(packet, st.integers(0, 255), some_fields(sorted(SIZES)), st.binary(max_size=6))
    | st.builds(packet, st.sampled_from([10, 11]), some_fields(L1_KEYS))
    | st.binary(max_size=20)
)
FRAMES = (
    st.builds(
        lambda parts, squeezed: frame(*parts, compressed=squeezed), st.lists(PACKETS, max_size=6), st.booleans()
    )
    | st.binary(max_size=200)
    | st.binary(max_size=100).map(lambda raw: b"\x00\x00\x00\x00\x01\x64" + zlib.compress(raw))
    | st.text(max_size=30)
)


@settings(max_examples=200, deadline=None)
@given(st.lists(FRAMES, max_size=5))
def test_no_frame_makes_it_raise_or_grow(frames: list[bytes | str]) -> None:
    session = codec(*ALL, kind="L5")
    for content in frames:
        decoded = session.decode(content)
        size = len(content)
        assert len(decoded.ticks) + decoded.unknown + decoded.unrouted <= size
        for tick in decoded.ticks:
            assert tick.instrument in ALL
            json.dumps(tick_fields(tick), allow_nan=False)
    assert len(session._records) <= len(ALL)
    assert len(session.routes) == len(ALL)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(VECTORS["incoming"]), st.data())
def test_a_damaged_vector_never_says_what_its_bytes_do_not(item: dict[str, Any], data: st.DataObject) -> None:
    """Compression has a checksum, so a changed bit there means silence, unless it is a bit of the padding."""
    raw = bytearray.fromhex(item["frames"][0]["hex"])
    whole = bytes(raw)
    place = data.draw(st.integers(4, len(raw) - 1))
    raw[place] ^= 1 << data.draw(st.integers(0, 7))
    rows = [Instrument(**row) for row in VECTORS["instruments"]]
    decoded = codec(*rows, kind="L5").decode(bytes(raw))
    if raw[5] == 100:
        assert decoded.ticks in ([], codec(*rows, kind="L5").decode(whole).ticks)
    for tick in decoded.ticks:
        assert tick.instrument in rows


@settings(max_examples=100, deadline=None)
@given(st.lists(some_fields([29, 30, 33, 36, 39, 40, 44, 46]).map(dict), min_size=1, max_size=6), st.data())
def test_a_packet_cut_anywhere_changes_nothing(updates: list[dict[int, float]], data: st.DataObject) -> None:
    session, clean = codec(TCS), codec(TCS)
    for update in updates:
        whole = quote(update)
        cut = data.draw(st.integers(1, len(whole) - 1))
        broken = session.decode(frame(whole[:cut]))
        assert (broken.ticks, broken.event) == ([], Event.MALFORMED)
        shortened = struct.pack("<H", cut) + whole[2:cut]  # its length says so, too
        if cut >= 3 and not _ends_between_fields(whole, cut):
            assert session.decode(frame(shortened)).ticks == []
        assert session.decode(frame(whole)) == clean.decode(frame(whole))


def _ends_between_fields(whole: bytes, cut: int) -> bool:
    place = 3
    while place < cut:
        place += 1 + struct.calcsize("<" + SIZES[whole[place]])
    return place == cut


class OneConnection(RuleBasedStateMachine):
    """Subscriptions and packets in any order, beside a plain model of what is known."""

    @initialize()
    def connect(self) -> None:
        self.session = codec()
        self.known: dict[Instrument, dict[str, Any]] = {}
        self.kinds: dict[Instrument, str] = {}

    @rule(one=st.sampled_from(ALL), kind=st.sampled_from(["L1", "L5"]))
    def want(self, one: Instrument, kind: str) -> None:
        old = self.kinds.get(one)
        if old is None:
            self.session.subscribe([one], kind)
            self.known[one] = {}
        elif old != kind:
            self.session.change([one], old, kind)
            if kind == "L1":
                for name in ("total_buy_quantity", "total_sell_quantity"):
                    self.known[one].pop(name, None)
        self.kinds[one] = kind

    @rule(one=st.sampled_from(ALL))
    def drop(self, one: Instrument) -> None:
        if one in self.kinds:
            self.session.unsubscribe([one], self.kinds.pop(one))
            del self.known[one]

    @rule(one=st.sampled_from(ALL), update=some_fields([*PRICES, *COUNTS, 46]).map(dict), squeezed=st.booleans())
    def trade(self, one: Instrument, update: dict[int, float], squeezed: bool) -> None:
        segment = SEGMENTS[one.exchange.removesuffix("_INDEX")]
        decoded = self.session.decode(frame(quote(update, segment, int(one.token)), compressed=squeezed))
        if one not in self.known:
            assert (decoded.ticks, decoded.unrouted) == ([], 1)
            return
        known = self.known[one]
        for key, value in update.items():
            if key in PRICES:
                _set(known, PRICES[key], wire_policy.price(int(value), DIVISORS[segment], index=one.is_index))
            elif key in COUNTS:
                _set(known, COUNTS[key], wire_policy.count(int(value)))
            else:
                _set(known, "ltt", wire_policy.seconds(int(value)))
        (tick,) = decoded.ticks
        assert (tick.instrument, tick_fields(tick)) == (one, known)

    @rule(
        one=st.sampled_from([TCS, SILVER, USDINR, FUTURE]),
        price=st.integers(0, 1_999_999_999),
        total=st.integers(0, 9),
    )
    def quote_book(self, one: Instrument, price: int, total: int) -> None:
        segment = SEGMENTS[one.exchange]
        text = book([(price, 1, 2)], [(0, 0, 0)], segment=segment, token=int(one.token), _47=total)
        decoded = self.session.decode(frame(text))
        if one not in self.known:
            assert decoded.ticks == []
            return
        known = self.known[one] | {"total_buy_quantity": total}
        if self.kinds[one] == "L5":  # a late packet's totals are that tick's only
            self.known[one] = known
        level = {"price": price / DIVISORS[segment], "quantity": 1, "orders": 2}
        (tick,) = decoded.ticks
        depth = {"buy": [level] if price else [], "sell": []}
        assert (tick.instrument, tick_fields(tick)) == (one, {**known, "depth": depth})

    @rule(noise=FRAMES.filter(lambda content: isinstance(content, str) or content[4:5] != b"\x01"))
    def noise(self, noise: bytes | str) -> None:
        assert self.session.decode(noise).ticks == []

    @invariant()
    def no_more_is_kept_than_is_wanted(self) -> None:
        if hasattr(self, "session"):
            assert len(self.session._records) <= len(self.kinds) == len(self.session.routes)


def _set(known: dict[str, Any], name: str, value: Any) -> None:
    if value is None:
        known.pop(name, None)
    else:
        known[name] = value


TestOneConnection = OneConnection.TestCase
TestOneConnection.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
