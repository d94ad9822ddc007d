"""The sandbox's profiles: made-up ticks keep the rules of a market, and the live profile is Dhan's wire."""

import json
import math
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickmux.broker.dhan_sandbox import BROKER
from tickmux.broker.dhan_sandbox.streaming.dhan_sandbox_adapter import DhanSandboxAdapter
from tickmux.broker.dhan_sandbox.streaming.synthetic_market import SyntheticMarket, option_strike
from tickmux.codec import Credentials, Event, FeedCodec
from tickmux.instrument import Instrument
from tickmux.login import IST
from tickmux.tick import Mode, tick_fields

SIMULATOR, LIVE = Credentials({"profile": "simulator"}), Credentials({"profile": "live"})
NOON = datetime(2025, 8, 18, 12, 0, tzinfo=IST)
SHARE = Instrument(symbol="HDFCBANK", exchange="NSE", token="1333", lotsize=1)
INDEX = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="13")
FUTURE = Instrument(symbol="RELIANCE28AUG25FUT", exchange="NFO", token="53216", lotsize=500, instrumenttype="FUT")
OPTION = Instrument(
    symbol="BANKNIFTY28AUG2555000PE", exchange="NFO", token="58811", strike=55000.0, lotsize=35, instrumenttype="PE"
)
CURRENCY = Instrument(symbol="EURINR29AUG25FUT", exchange="CDS", token="4411", lotsize=1, instrumenttype="FUT")
PENNY = Instrument(symbol="USDINR29AUG250.5CE", exchange="CDS", token="1", strike=0.5, instrumenttype="CE")
ALL = (SHARE, INDEX, FUTURE, OPTION, CURRENCY, PENNY)


def ms(when: datetime, seconds: float = 0) -> int:
    return int((when.timestamp() + seconds) * 1000)


def opened(credentials: Credentials = SIMULATOR, channel: str = "main") -> FeedCodec:
    made = DhanSandboxAdapter().codec(channel)
    assert made.open_frames(credentials) == []
    return made


# -- the rules of a made-up market ------------------------------------------------------------------------------

LTP = {"ltp", "ltt", "timestamp"}
PRICES = LTP | {"open", "high", "low", "close"}
QUOTE = PRICES | {
    "volume",
    "last_trade_quantity",
    "avg_trade_price",
    "total_buy_quantity",
    "total_sell_quantity",
}


@pytest.mark.parametrize(
    ("instrument", "mode", "fields"),
    [
        (SHARE, Mode.LTP, LTP),
        (SHARE, Mode.QUOTE, QUOTE),
        (SHARE, Mode.DEPTH, QUOTE | {"depth"}),
        (FUTURE, Mode.LTP, LTP),
        (FUTURE, Mode.QUOTE, QUOTE | {"oi"}),
        (CURRENCY, Mode.DEPTH, QUOTE | {"oi", "depth"}),
        (INDEX, Mode.LTP, LTP),
        (INDEX, Mode.QUOTE, PRICES),
        (INDEX, Mode.DEPTH, PRICES),
    ],
)
def test_each_mode_has_its_fields(instrument: Instrument, mode: Mode, fields: set[str]) -> None:
    tick = SyntheticMarket().tick(instrument, mode, ms(NOON))
    assert tick_fields(tick).keys() == fields
    assert tick.mode is (Mode.QUOTE if instrument.is_index and mode is Mode.DEPTH else mode)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), instrument=st.sampled_from(ALL), seconds=st.integers(1, 300))
def test_a_day_of_any_instrument_keeps_the_rules(seed: int, instrument: Instrument, seconds: int) -> None:
    market = SyntheticMarket(seed)
    grid = 0.0025 if instrument.exchange == "CDS" else 0.05
    lot = instrument.lotsize or 1
    before: dict[str, Any] = {}
    for second in range(seconds):
        now = ms(NOON, second)
        fields: dict[str, Any] = tick_fields(market.tick(instrument, Mode.DEPTH, now))
        assert fields["ltt"] == fields["timestamp"] == now
        for name in ("ltp", "open", "high", "low", "close"):
            steps = fields[name] / grid
            assert math.isclose(steps, round(steps), abs_tol=1e-6)
            assert round(steps) >= 1
        assert fields["low"] <= fields["ltp"] <= fields["high"]
        assert fields["low"] <= fields["open"] <= fields["high"]
        if before:
            assert (fields["open"], fields["close"]) == (before["open"], before["close"])
            assert fields["low"] <= before["low"]
            assert fields["high"] >= before["high"]
        else:
            assert fields["close"] == pytest.approx(fields["open"] * 0.98, abs=grid)
        if not instrument.is_index:
            grown = fields["volume"] - before.get("volume", 0)
            assert grown == fields["last_trade_quantity"] > 0
            assert fields["low"] - grid <= fields["avg_trade_price"] <= fields["high"] + grid
            check_book(fields, grid, lot, 5)
            for name in ("volume", "last_trade_quantity", "total_buy_quantity", "total_sell_quantity", "oi"):
                assert fields.get(name, 0) % lot == 0
        before = fields


def check_book(fields: dict[str, Any], grid: float, lot: int, levels: int) -> None:
    buy, sell = fields["depth"]["buy"], fields["depth"]["sell"]
    assert len(buy) == len(sell) == levels
    assert buy[0]["price"] <= fields["ltp"]
    assert sell[0]["price"] > buy[0]["price"]
    ladder = [level["price"] for level in reversed(buy)] + [level["price"] for level in sell]
    assert ladder[0] > 0
    assert all(math.isclose(up - down, grid, abs_tol=1e-6) for down, up in pairwise(ladder))
    assert all(
        level["orders"] >= 1 and level["quantity"] >= 1 and level["quantity"] % lot == 0 for level in buy + sell
    )


def test_two_runs_start_alike_and_then_part() -> None:
    ours, theirs = SyntheticMarket(1), SyntheticMarket(2)
    first = [market.tick(SHARE, Mode.LTP, ms(NOON)).ltp for market in (ours, theirs)]
    assert first[0] == first[1]
    walks = [[market.tick(SHARE, Mode.LTP, ms(NOON, s)).ltp for s in range(1, 40)] for market in (ours, theirs)]
    assert walks[0] != walks[1]


@pytest.mark.parametrize("instrument", [SHARE, INDEX, FUTURE])
def test_prices_start_between_80_and_1200_and_move_by_a_quarter_percent_at_most(instrument: Instrument) -> None:
    market = SyntheticMarket(3)
    price = market.tick(instrument, Mode.LTP, ms(NOON)).ltp
    assert price is not None
    assert 80 <= price <= 1200
    for second in range(1, 200):
        new = market.tick(instrument, Mode.LTP, ms(NOON, second)).ltp
        assert new is not None
        assert abs(new - price) <= max(0.0025 * price, 0.05) + 0.026
        price = new


def test_an_option_is_worth_a_part_of_its_strike_and_stays_near_it() -> None:
    market = SyntheticMarket(3)
    prices = [market.tick(OPTION, Mode.LTP, ms(NOON, second)).ltp or 0 for second in range(300)]
    assert 55000 * 0.005 <= prices[0] <= 55000 * 0.02
    assert all(0.8 * prices[0] < price < 1.2 * prices[0] for price in prices)


@pytest.mark.parametrize(
    ("symbol", "exchange", "strike"),
    [
        ("NIFTY28AUG2525000CE", "NFO", 25000.0),
        ("EURINR29AUG25102.75PE", "CDS", 102.75),
        ("NIFTY28AUG25FUT", "NFO", 0.0),
        ("RELIANCE", "NSE", 0.0),
        ("SPICE28AUG251CE", "NSE", 0.0),
    ],
)
def test_an_options_strike_may_be_read_from_its_symbol(symbol: str, exchange: str, strike: float) -> None:
    assert option_strike(Instrument(symbol=symbol, exchange=exchange, token="1")) == strike


def test_a_new_day_begins_anew() -> None:
    market = SyntheticMarket(4)
    for second in range(100):
        last = market.tick(SHARE, Mode.QUOTE, ms(NOON, second))
    new = market.tick(SHARE, Mode.QUOTE, ms(NOON + timedelta(days=1)))
    assert new.volume == new.last_trade_quantity
    assert last.volume is not None
    assert new.volume is not None
    assert new.volume < last.volume
    assert new.open == new.high == new.low == new.ltp


def test_all_who_ask_within_a_second_see_the_same_price() -> None:
    market = SyntheticMarket()
    price = market.tick(SHARE, Mode.LTP, ms(NOON, -0.2)).ltp
    for late in (0, 0.2, 0.4):
        assert market.tick(SHARE, Mode.LTP, ms(NOON, late)).ltp == price
        book = market.book(SHARE, ms(NOON, late), 20)
        assert len(book.buy) == len(book.sell) == 20
        assert price is not None
        assert book.buy[0].price <= price


def test_what_nobody_asks_for_is_forgotten() -> None:
    market = SyntheticMarket()
    for number in range(500):
        market.tick(Instrument(f"S{number}", "NSE", "1"), Mode.LTP, ms(NOON, number))
    assert len(market._quotes) <= 125


# -- the simulator profile ----------------------------------------------------------------------------------------


def test_nothing_is_sent_and_a_pulse_brings_a_tick_of_everything() -> None:
    made = opened()
    assert made.subscribe([SHARE, INDEX], "quote") == []
    assert made.subscribe([FUTURE], "ltp") == []
    assert made.change([FUTURE], "ltp", "full") == []
    decoded = made.decode(str(ms(NOON)))
    assert [(tick.instrument.symbol, tick.mode) for tick in decoded.ticks] == [
        ("HDFCBANK", Mode.QUOTE),
        ("NIFTY", Mode.QUOTE),
        ("RELIANCE28AUG25FUT", Mode.DEPTH),
    ]
    assert made.unsubscribe([SHARE, INDEX, FUTURE], "quote") == []
    assert made.decode(str(ms(NOON, 1))).ticks == []
    assert made.close_frames() == []


def test_a_deep_book_goes_with_the_prices_of_the_same_second() -> None:
    adapter = DhanSandboxAdapter()
    main, deep = adapter.codec("main"), adapter.codec("depth20")
    for each, kind in ((main, "quote"), (deep, "depth20")):
        each.open_frames(SIMULATOR)
        each.subscribe([FUTURE], kind)
    for second in range(50):
        pulse = str(ms(NOON, second))
        order = (main, deep) if second % 2 else (deep, main)
        fields: dict[str, Any] = {}
        for each in order:
            (tick,) = each.decode(pulse).ticks
            fields |= tick_fields(tick)
        check_book(fields, 0.05, 500, 20)


@pytest.mark.parametrize(
    "frame", [b"", b"1755505199123", "", "x", "17555051991230", "-755505199123", "١" * 13, "[1]"]
)
def test_what_is_no_pulse_is_malformed(frame: bytes | str) -> None:
    made = opened()
    made.subscribe([SHARE], "quote")
    decoded = made.decode(frame)
    assert (decoded.ticks, decoded.event) == ([], Event.MALFORMED)


@settings(max_examples=50, deadline=None)
@given(st.one_of(st.text(max_size=20), st.binary(max_size=60), st.integers(0, 10**13 - 1).map("{:013d}".format)))
def test_no_frame_breaks_the_simulator(frame: bytes | str) -> None:
    made = opened(Credentials({"profile": "simulator", "market_hours": "yes"}))
    made.subscribe([SHARE], "full")
    assert len(made.decode(frame).ticks) <= 1


@pytest.mark.parametrize(
    ("when", "ticks"),
    [
        (datetime(2025, 8, 18, 9, 14, 59, tzinfo=IST), 0),
        (datetime(2025, 8, 18, 9, 15, tzinfo=IST), 1),
        (datetime(2025, 8, 18, 15, 29, 59, tzinfo=IST), 1),
        (datetime(2025, 8, 18, 15, 30, tzinfo=IST), 0),
        (datetime(2025, 8, 17, 12, 0, tzinfo=IST), 0),  # a Sunday
    ],
)
def test_the_simulator_may_be_confined_to_market_hours(when: datetime, ticks: int) -> None:
    confined = opened(Credentials({"profile": "simulator", "market_hours": "yes"}))
    confined.subscribe([SHARE], "ltp")
    assert len(confined.decode(str(ms(when))).ticks) == ticks
    free = opened()
    free.subscribe([SHARE], "ltp")
    assert len(free.decode(str(ms(when))).ticks) == 1


# -- the live profile -----------------------------------------------------------------------------------------------


def test_the_live_profile_speaks_dhans_wire_and_takes_no_pulse() -> None:
    made = opened(LIVE)
    (frame,) = made.subscribe([SHARE], "ltp")
    assert json.loads(str(frame))["RequestCode"] == 15
    (tick,) = made.decode(bytes.fromhex("021000013505000066eef844872fa368")).ticks
    assert tick.ltp == 1991.45
    decoded = made.decode(str(ms(NOON)))
    assert (decoded.ticks, decoded.unknown) == ([], 1)
    assert made.close_frames() == ['{"RequestCode":12}']


@pytest.mark.parametrize("channel", ["main", "depth20", "depth200"])
def test_a_refusal_says_that_a_sandbox_token_is_not_enough(channel: str) -> None:
    packet = "320a0000000000002703" if channel == "main" else "0c0032000000000027030000"
    decoded = opened(LIVE, channel).decode(bytes.fromhex(packet))
    assert decoded.event is Event.AUTH_ERROR
    assert "production token with a data plan" in decoded.message


def test_two_instruments_that_share_an_id_in_two_segments_never_mix() -> None:
    made = opened(LIVE)
    twin = Instrument(symbol="ABB", exchange="NSE", token="13")
    made.subscribe([twin, INDEX], "ltp")
    (tick,) = made.decode(bytes.fromhex("021000000d0000004d29c346f338a368")).ticks
    assert tick.instrument is INDEX


def test_the_package_offers_all_parts() -> None:
    assert BROKER.name == "dhan_sandbox"
    assert BROKER.adapter is DhanSandboxAdapter
