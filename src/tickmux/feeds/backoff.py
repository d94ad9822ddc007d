"""Delays between attempts: exponential, with jitter; pure."""

import random


class Backoff:
    """Doubles from `first` to `longest` seconds. Jitter spreads a delay over its upper half, so that the many
    connections that one outage has cut do not come back in the same instant."""

    def __init__(self, first: float, longest: float, rng: random.Random) -> None:
        self._first = first
        self._longest = longest
        self._rng = rng
        self._attempt = 0

    def next(self, at_least: float = 0.0) -> float:
        """The delay before the next attempt, in seconds; `at_least` is what the broker has asked for."""
        delay = min(self._longest, self._first * 2.0 ** min(self._attempt, 32))
        self._attempt += 1
        return max(at_least, delay * self._rng.uniform(0.5, 1.0))

    def reset(self) -> None:
        """Starts afresh, after a time of health."""
        self._attempt = 0
