"""Which clock a broker's times are of: measured on live ticks, never on old ones, the documented one until then."""

import logging
import struct
from datetime import UTC, datetime

import pytest

from tickmux.broker._clock_offset import CLOSE, ENOUGH, IST, ClockOffset
from tickmux.broker.mstock.streaming.mstock_adapter import MStockAdapter
from tickmux.broker.paytm.streaming.paytm_adapter import PaytmAdapter
from tickmux.instrument import Instrument
from tickmux.tick import Mode, Tick

SINCE_1980 = 315_532_800
SBIN = Instrument(symbol="SBIN", exchange="NSE", token="3045", brexchange="NSE", instrumenttype="EQ")
OPEN = int(datetime(2026, 11, 23, 5, 0, tzinfo=UTC).timestamp())
EVENING = int(datetime(2026, 11, 23, 15, 30, tzinfo=UTC).timestamp())
"""21:00 in India: what was last traded at the close seems to be of now to whoever reads it as UTC."""


class World:
    """A clock to be moved by hand and the offset measured by it."""

    def __init__(self, now=OPEN):
        self.now = float(now)
        self.clock = ClockOffset("paytm", lambda: self.now, epoch=SINCE_1980)

    def tick(self, raw):
        """Seconds since 1980 as the wire has them."""
        moment = (raw + self.clock.shift) * 1000
        self.clock.watch([Tick(instrument=SBIN, mode=Mode.LTP, ltp=1.0, ltt=moment)])
        return moment // 1000

    def live(self, seconds, offset, lag=1):
        for _ in range(seconds):
            self.now += 1
            self.tick(int(self.now) - lag - SINCE_1980 + offset)


@pytest.mark.parametrize("offset, words", [(IST, "a clock in India"), (0, "a clock of UTC")])
def test_live_ticks_tell_which_clock_it_is_and_it_is_said_once(offset, words, caplog):
    caplog.set_level(logging.INFO)
    world = World()
    assert (
        world.clock.words == "times are read as those of a clock in India (as documented; no live tick has told yet)"
    )
    world.live(20, offset)
    assert world.clock.measured
    assert world.tick(int(world.now) - SINCE_1980 + offset) == int(world.now)
    assert world.clock.words == f"times are read as those of {words} (measured on live ticks)"
    assert [record.levelname for record in caplog.records] == ["WARNING" if offset == 0 else "INFO"]
    assert words in caplog.text


@pytest.mark.parametrize(
    "lag, measured", [(CLOSE - 5, True), (-(CLOSE - 5), True), (CLOSE + 5, False), (-CLOSE - 5, False)]
)
def test_our_own_clock_may_be_two_minutes_off(lag, measured):
    world = World()
    world.live(20, 0, lag=int(lag))
    assert world.clock.measured == measured
    assert world.clock.shift == SINCE_1980 - (0 if measured else IST)


def test_old_times_that_fit_the_other_clock_prove_nothing():
    world = World(EVENING)
    close = EVENING - IST - SINCE_1980 + IST
    for ago in (40, 9, 1, 1, 3, 40, 2):  # closing trades of several shares, again after each reconnect
        world.now += 1
        world.tick(close - ago)
    for ago in range(200, 0, -1):  # a burst of a hundred shares with later and later last trades
        world.tick(close - ago)
    assert not world.clock.measured
    assert world.clock.shift == SINCE_1980 - IST


def test_live_ticks_win_over_old_ones_that_come_among_them():
    world = World()
    for second in range(ENOUGH * 3):
        world.now += 1
        world.tick(int(world.now) - SINCE_1980 + IST)
        world.tick(int(world.now) - IST - SINCE_1980 + IST if second < 3 else 7)
    assert world.clock.measured
    assert world.clock.shift == SINCE_1980 - IST


def test_a_time_far_ahead_keeps_no_later_one_from_counting():
    world = World()
    world.tick(0xFFFFFFF0)
    world.tick(int(world.now) + 100 * IST)
    world.live(20, 0)
    assert world.clock.measured


def test_frames_without_times_are_no_measurement():
    world = World()
    for _ in range(20):
        world.now += 1
        world.clock.watch([])
        world.clock.watch([Tick(instrument=SBIN, mode=Mode.LTP, ltp=1.0)])
    assert not world.clock.measured


def paytm_frame(raw):
    return struct.pack("<BfIIBBff", 61, 100.5, raw, 3045, 1, 1, 1.5, 0.5)


def mstock_frame(raw):
    return struct.pack("<BB25sQQq", 1, 1, b"3045", 7, raw, 10050)


@pytest.mark.parametrize("offset", [IST, 0])
@pytest.mark.parametrize("adapter_type, frame", [(PaytmAdapter, paytm_frame), (MStockAdapter, mstock_frame)])
def test_a_feed_in_utc_is_found_out_and_stays_so_over_reconnects(adapter_type, frame, offset, monkeypatch):
    now = float(OPEN)
    monkeypatch.setattr("time.time", lambda: now)
    adapter = adapter_type()
    read = None
    for _ in range(10):
        codec = adapter.codec("main")  # a reconnect each time
        codec.subscribe([SBIN], "LTP" if adapter_type is PaytmAdapter else "ltp")
        now += 1
        (read,) = codec.decode(frame(int(now) - SINCE_1980 + offset)).ticks
    assert (read.ltt or read.timestamp) == now * 1000
    assert "measured" in adapter.notes[0]
