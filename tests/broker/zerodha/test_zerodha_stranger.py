"""The official SDK's own parser as a stranger: it reads the same values out of the same bytes."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kiteconnect import KiteTicker

from tickmux.broker.zerodha.streaming.zerodha_mapping import SEGMENT_DIVISORS, ZerodhaCodec
from tickmux.instrument import Instrument
from tickmux.tick import Tick, tick_fields

# The SDK knows 8 (MCX-SX) as a segment too; no exchange of ours uses it.
TOKENS = {segment: 3045 << 8 | segment for segment in SEGMENT_DIVISORS if segment != 8}
INDEX = 9
OI_SEGMENTS = {2, 3, 5, 6, 7, 12}


@st.composite
def packets(draw: st.DrawFn) -> bytes:
    segment = draw(st.sampled_from(sorted(TOKENS)))
    sizes = (8, 28, 32) if segment == INDEX else (8, 44, 184)
    size = draw(st.sampled_from(sizes))
    words = draw(st.lists(st.integers(0, 1_999_999_999), min_size=size // 4 - 1, max_size=size // 4 - 1))
    # The SDK turns times into local datetimes, which have an end.
    for offset in (28,) if size == 32 else (44, 60) if size == 184 else ():
        words[offset // 4 - 1] %= 2**31
    return struct.pack(f">{size // 4}I", TOKENS[segment], *words)


def meaning(theirs: dict[str, Any]) -> dict[str, Any]:
    """The SDK's tick in our terms: no zero prices and times, no empty levels."""
    names = {
        "ltp": theirs["last_price"],
        **theirs.get("ohlc", {}),
        "avg_trade_price": theirs.get("average_traded_price"),
        "ltt": epoch_ms(theirs.get("last_trade_time")),
        "timestamp": epoch_ms(theirs.get("exchange_timestamp")),
    }
    found = {name: value for name, value in names.items() if value}
    counts = {
        "volume": "volume_traded",
        "last_trade_quantity": "last_traded_quantity",
        "total_buy_quantity": "total_buy_quantity",
        "total_sell_quantity": "total_sell_quantity",
    }
    found |= {ours: theirs[name] for ours, name in counts.items() if name in theirs}
    if "oi" in theirs and theirs["instrument_token"] & 0xFF in OI_SEGMENTS:
        found["oi"] = theirs["oi"]
    if "depth" in theirs:
        found["depth"] = {
            side: [
                (each["price"], each["quantity"], each["orders"])
                for each in levels
                if each["price"] and each["quantity"]
            ]
            for side, levels in theirs["depth"].items()
        }
    return found


def epoch_ms(moment: Any) -> int:
    return round(moment.timestamp() * 1000) if moment else 0


def ours(tick: Tick) -> dict[str, Any]:
    found: dict[str, Any] = tick_fields(tick)
    if tick.depth is not None:
        found["depth"] = {
            side: [(level.price, level.quantity, level.orders) for level in levels]
            for side, levels in (("buy", tick.depth.buy), ("sell", tick.depth.sell))
        }
    return found


@settings(max_examples=200, deadline=None)
@given(st.lists(packets(), min_size=1, max_size=4))
def test_the_official_sdk_reads_the_same_ticks(parts: list[bytes]) -> None:
    frame = struct.pack(">H", len(parts)) + b"".join(struct.pack(">H", len(part)) + part for part in parts)
    codec = ZerodhaCodec()
    codec.subscribe([Instrument(symbol=str(s), exchange="X", token=str(t)) for s, t in TOKENS.items()], "full")
    found = codec.decode(frame)
    expected = KiteTicker("key", "token")._parse_binary(frame)
    # An LTP packet without a price is no tick of ours.
    expected = [each for each in expected if each["mode"] != "ltp" or each["last_price"]]
    assert [int(tick.instrument.token) for tick in found.ticks] == [each["instrument_token"] for each in expected]
    for tick, theirs in zip(found.ticks, expected, strict=True):
        wanted, got = meaning(theirs), ours(tick)
        assert got.keys() == wanted.keys()
        depth = got.pop("depth", None)
        assert depth == wanted.pop("depth", None)
        assert got == pytest.approx(wanted, rel=1e-12)
