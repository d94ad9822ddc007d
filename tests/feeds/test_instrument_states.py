"""What is learnt of an instrument's rhythm, and when it is missed."""

import pytest

from tickmux.feeds.instrument_states import InstrumentState, InstrumentStates, Rhythm
from tickmux.instrument import Instrument

SBIN = Instrument("SBIN", "NSE", "3045")


def ticking(gap, times, start=100.0):
    rhythm = Rhythm(SBIN)
    for number in range(times):
        rhythm.last_tick = start + number * gap
        rhythm.note(since=0.0)
    return rhythm


def test_an_instrument_that_has_hardly_ticked_is_not_missed():
    assert not ticking(1.0, 3).known
    assert ticking(1.0, 4).known


@pytest.mark.parametrize("gap", [1.0, 3.0, 5.0, 10.0])
def test_several_ticks_a_minute_are_missed_within_twelve_seconds(gap):
    assert 5.0 <= ticking(gap, 30).patience <= 12.0


def test_a_rare_one_is_given_the_time_of_its_own_history():
    assert 180 <= ticking(60.0, 10).patience <= 240
    assert ticking(3600.0, 10).patience == 900


def test_each_alarm_doubles_the_patience_until_the_rhythm_is_kept_again():
    rhythm = ticking(1.0, 10)
    first = rhythm.patience
    rhythm.missed()
    rhythm.missed()
    assert rhythm.patience == 4 * first
    for number in range(200):
        rhythm.last_tick = 1000.0 + number
        rhythm.note(since=0.0)
    assert rhythm.patience < 2 * first


def test_a_gap_over_a_closed_market_teaches_nothing():
    rhythm = ticking(1.0, 10)
    rhythm.last_tick += 40_000.0
    rhythm.note(since=rhythm.last_tick - 1.0)
    assert rhythm.patience <= 12.0


def test_states_follow_the_last_tick_the_market_and_the_alarm():
    states = InstrumentStates()
    rhythm = states.rhythm("main", SBIN)
    assert states.state(SBIN, 10.0, trading=True) == InstrumentState.QUIET
    rhythm.last_tick = 10.0
    assert states.state(SBIN, 20.0, trading=True) == InstrumentState.LIVE
    assert states.state(SBIN, 20.0, trading=False) == InstrumentState.QUIET
    assert states.state(SBIN, 200.0, trading=True) == InstrumentState.QUIET
    rhythm.missed()
    assert states.state(SBIN, 20.0, trading=True) == InstrumentState.SILENT
    assert states.silent() == [SBIN]


def test_a_silent_book_makes_the_instrument_silent_though_its_prices_flow():
    states = InstrumentStates()
    states.rhythm("main", SBIN).last_tick = 10.0
    states.rhythm("depth20", SBIN).missed()
    assert states.state(SBIN, 11.0, trading=True) == InstrumentState.SILENT
    states.leave("depth20", SBIN)
    assert states.state(SBIN, 11.0, trading=True) == InstrumentState.LIVE
    assert states.last_tick(SBIN) == 10.0
    states.forget(SBIN)
    assert list(states) == []
