"""Delays between attempts: the first ones quick after a session that worked, then exponential, with jitter; pure."""

import random

QUICK_ATTEMPTS = 3
QUICK = 1.8
"""Seconds, at most, before each of the first reconnects of a session that had ticks."""


class Backoff:
    """Doubles from `first` to `longest` seconds. Jitter spreads a delay over its upper half, so that the many
    connections that one outage has cut do not come back in the same instant.

    A session that had ticks shows that the broker is there: three reconnects after such sessions are quick, until
    `reset`, and only what goes beyond them counts as an attempt. `pause` is what the broker demands before any
    reconnect, in seconds.
    """

    def __init__(self, first: float, longest: float, rng: random.Random, *, pause: float = 0.0) -> None:
        self._first = first
        self._longest = longest
        self._rng = rng
        self._pause = pause
        self._attempt = 0
        self._quick_left = QUICK_ATTEMPTS
        self._worked = False

    def had_ticks(self) -> None:
        """The session that has just ended had ticks."""
        self._worked = True

    def next(self, at_least: float = 0.0) -> float:
        """The delay before the next attempt, in seconds; `at_least` is what the broker has asked for."""
        quick = self._worked and self._quick_left > 0
        self._worked = False
        if quick:
            self._quick_left -= 1
            delay = min(self._first, QUICK)
        else:
            delay = min(self._longest, self._first * 2.0 ** min(self._attempt, 32))
            self._attempt += 1
        return max(at_least, self._pause, delay * self._rng.uniform(0.5, 1.0))

    def reset(self) -> None:
        """Starts afresh, after a time of health."""
        self._attempt = 0
        self._quick_left = QUICK_ATTEMPTS
