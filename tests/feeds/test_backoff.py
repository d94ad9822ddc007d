import random

from tickmux.feeds.backoff import QUICK, Backoff


def make(first=5.0, **options):
    return Backoff(first, 60.0, random.Random(3), **options)


def after_ticks(backoff):
    backoff.had_ticks()
    return backoff.next()


def test_the_first_three_reconnects_of_sessions_that_had_ticks_are_quick_then_the_delay_grows():
    delays = [after_ticks(backoff) for backoff in [make()] for _ in range(7)]
    assert all(0 < delay <= 2 for delay in delays[:3])
    assert len(set(delays[:3])) == 3, "jitter"
    assert 2.5 <= delays[3] <= 5 <= delays[4] <= 10 <= delays[5] <= 20


def test_a_broker_that_is_down_gets_no_quick_attempts():
    backoff = make()
    assert backoff.next() >= 2.5
    assert backoff.next() >= 5


def test_one_good_session_makes_one_attempt_quick():
    backoff = make()
    assert after_ticks(backoff) <= QUICK
    assert backoff.next() >= 2.5


def test_health_brings_the_quick_ones_back():
    backoff = make()
    for _ in range(6):
        after_ticks(backoff)
    backoff.reset()
    assert after_ticks(backoff) <= QUICK


def test_a_pause_that_the_broker_demands_is_kept():
    backoff = make(pause=5.0)
    assert after_ticks(backoff) == 5.0
    assert after_ticks(backoff) == 5.0
    backoff.had_ticks()
    assert backoff.next(at_least=60.0) == 60.0
