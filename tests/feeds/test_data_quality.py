"""What is hard to believe is counted, and nothing else."""

from datetime import datetime
from types import SimpleNamespace

import pytest

from tickmux.feeds.data_quality import DataQuality
from tickmux.feeds.market_hours import MarketHours
from tickmux.instrument import Instrument
from tickmux.login import IST
from tickmux.tick import Depth, DepthLevel, Mode, Tick
from tickmux.websocket_proxy.feed_state import FeedCounters

SBIN = Instrument("SBIN", "NSE", "3045")


def known(ltp=None, upper=None, lower=None):
    return SimpleNamespace(ltp=ltp, upper_circuit=upper, lower_circuit=lower)


def book(bid, ask):
    return Tick(
        instrument=SBIN,
        mode=Mode.DEPTH,
        depth=Depth([DepthLevel(each, 1) for each in bid], [DepthLevel(each, 1) for each in ask]),
    )


@pytest.mark.parametrize(
    ("bid", "ask", "counted"),
    [
        ([100.0], [100.05], 0),
        ([100.0], [100.0], 0),
        ([100.05], [100.0], 1),
        ([100.05], [], 0),
        ([], [1.0], 0),
        ([-3.0], [-3.5], 1),
    ],
)
def test_a_crossed_book_is_counted(bid, ask, counted):
    counters = FeedCounters()
    DataQuality(counters).look(book(bid, ask), known())
    assert counters.crossed_books == counted


def test_a_crossed_book_of_an_auction_is_none():
    counters = FeedCounters()
    DataQuality(counters, lambda exchange: exchange != "NSE").look(book([2.0], [1.0]), known())
    assert counters.crossed_books == 0


@pytest.mark.parametrize(
    ("clock", "exchange", "continuous"),
    [
        ("09:08", "NSE", False),
        ("09:15", "NSE", True),
        ("09:08", "MCX", True),
        ("15:31", "NFO", False),
        ("16:00", "MCX", True),
    ],
)
def test_orders_are_matched_at_once_from_the_opening_on(clock, exchange, continuous):
    monday = datetime.fromisoformat(f"2026-11-30T{clock}").replace(tzinfo=IST)
    assert MarketHours().is_continuous(exchange, monday) is continuous


@pytest.mark.parametrize(
    ("last", "ltp", "lower", "upper", "counted"),
    [
        (100.0, 119.0, 90.0, 110.0, 0),  # beyond the limit, but near the last price
        (100.0, 121.0, 90.0, 130.0, 0),  # far from the last price, but within the limits
        (100.0, 121.0, 90.0, 110.0, 1),
        (100.0, 79.0, 80.0, 120.0, 1),
        (100.0, 500.0, None, None, 0),  # without limits there is nothing to judge by
        (100.0, 500.0, None, 120.0, 1),
        (None, 500.0, 80.0, 120.0, 0),
        (-5.0, 37.0, -10.0, 10.0, 1),
    ],
)
def test_a_price_that_jumps_beyond_its_limits_is_counted(last, ltp, lower, upper, counted):
    counters = FeedCounters()
    DataQuality(counters).look(Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=ltp), known(last, upper, lower))
    assert counters.price_jumps == counted


def test_the_limits_of_the_same_message_count_first():
    counters = FeedCounters()
    tick = Tick(instrument=SBIN, mode=Mode.QUOTE, ltp=130.0, upper_circuit=140.0)
    DataQuality(counters).look(tick, known(100.0, upper=110.0))
    assert counters.price_jumps == 0
