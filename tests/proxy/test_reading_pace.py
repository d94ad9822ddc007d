"""How quickly a client reads, without sockets: a reader of known speed behind a link of known delay."""

import pytest

from tickmux.websocket_proxy.reading_pace import FIRST, LARGEST, PATIENCE, SMALLEST, UNREAD, ReadingPace


def ask_and_answer(pace, now, took, read=0):
    payload = pace.ask(now)
    assert pace.answered(payload, now + took, read)
    return now + took


@pytest.mark.parametrize("delay", [0.0, 0.2, 2.0])
def test_a_long_way_is_no_slow_reader(delay):
    pace, now = ReadingPace(0.0), 0.0
    for _ in range(20):
        now = ask_and_answer(pace, now + 1, delay, pace.window)
        assert not pace.late(now)
    assert pace.window == LARGEST


def test_the_window_shrinks_to_what_is_read_in_the_time_that_may_lie_unread():
    pace, speed = ReadingPace(0.0), 20_000
    now = ask_and_answer(pace, 0.0, 0.001)
    for _ in range(30):
        now = ask_and_answer(pace, now, 0.001 + pace.portion / speed, pace.portion)
    assert speed * UNREAD * 0.4 < pace.window <= speed * UNREAD


def test_the_window_has_bounds():
    pace = ReadingPace(0.0)
    now = ask_and_answer(pace, 0.0, 0.001)
    for _ in range(30):
        now = ask_and_answer(pace, now, 60.0)
    assert pace.window == SMALLEST


def test_an_answer_to_little_does_not_make_the_window_larger():
    pace = ReadingPace(0.0)
    ask_and_answer(pace, 0.0, 0.001, FIRST // 2 - 1)
    assert pace.window == FIRST
    ask_and_answer(pace, 1.0, 0.001, FIRST // 2)
    assert pace.window == 2 * FIRST


def test_a_missing_answer_is_late_after_the_time_that_may_lie_unread():
    pace = ReadingPace(0.0)
    now = ask_and_answer(pace, 0.0, 0.1)
    pace.ask(now)
    assert not pace.late(now + 0.1 + UNREAD - 0.01)
    assert pace.late(now + 0.1 + UNREAD + 0.01)


def test_an_answer_to_another_ping_proves_only_that_pings_are_answered():
    pace = ReadingPace(0.0)
    first = pace.ask(0.0)
    pace.ask(1.0)
    assert not pace.answered(first, 1.1, 0)
    assert pace.answers
    assert pace.asked_at == 1.0
    assert not pace.answered(b"of somebody else", 1.1, 0)


def test_questions_come_rarely_to_a_client_that_keeps_up():
    pace, now = ReadingPace(0.0), 0.0
    assert not pace.due(0.2)
    assert pace.due(0.25)
    for _ in range(8):
        now = ask_and_answer(pace, now + 1, 0.001)
    asked = now - 0.001
    assert not pace.due(asked + 0.99)
    assert pace.due(asked + 1.0)
    pace.ask(now + 1)
    assert not pace.due(now + 100), "one at a time"


def test_who_answers_no_pings_is_known_after_a_while_if_its_machine_has_everything():
    pace = ReadingPace(0.0)
    pace.ask(0.0)
    assert not pace.gives_up(PATIENCE - 0.01, 0)
    assert not pace.gives_up(PATIENCE + 1, 1)
    assert pace.gives_up(PATIENCE, 0)
    assert pace.mute
    assert not pace.due(100.0)
    assert not pace.answered(b"late", 1.0, 0)
    assert not pace.mute, "it does after all"


def test_who_has_answered_before_is_waited_for():
    pace = ReadingPace(0.0)
    now = ask_and_answer(pace, 0.0, 0.01)
    pace.ask(now)
    assert not pace.gives_up(now + 1000, 0)
    assert pace.waited_for(now + 1000) == 1000


def test_a_trial_that_fails_makes_the_next_wait_longer_and_a_client_that_recovers_starts_afresh():
    pace, now = ReadingPace(0.0), 0.0
    now = ask_and_answer(pace, now, 0.001)
    waits = []
    for _ in range(8):
        now = ask_and_answer(pace, now, 0.5)  # late
        pace.fall_behind(now)
        began = now
        while True:
            now = ask_and_answer(pace, now, 0.001)
            if pace.may_try(now):
                break
            now += 0.01
        waits.append(now - began)
    assert waits == sorted(waits)
    assert waits[-1] > 20
    assert waits[-1] < 35
    for _ in range(10):
        now = ask_and_answer(pace, now + 1, 0.001)
    now = ask_and_answer(pace, now + 1, 0.5)
    pace.fall_behind(now + 40)
    assert not pace.may_try(now + 40.6), "the last answer was late"
    now = ask_and_answer(pace, now + 40.6, 0.001)
    assert pace.may_try(now)


def test_nobody_tries_while_an_answer_is_missing():
    pace = ReadingPace(0.0)
    now = ask_and_answer(pace, 0.0, 0.001)
    pace.fall_behind(now)
    pace.ask(now)
    assert not pace.may_try(now)
