"""How often something may be tried: a bucket of tries for each key, refilled steadily.

Bounded: `_KEYS` buckets; the one that was used longest ago goes first, and a full bucket is as good as none.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from tickmux.web.errors import ApiError

_KEYS = 10_000


class RateLimit:
    """`tries` at once, then one in `every` seconds. Thread-safe; `clock` is monotonic."""

    def __init__(self, tries: int, every: float, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._tries = tries
        self._every = every
        self._what = what
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, key: str) -> None:
        """Counts one try. Raises ApiError (429)."""
        now = self._clock()
        with self._lock:
            left, since = self._buckets.pop(key, (float(self._tries), now))
            left = min(float(self._tries), left + (now - since) / self._every)
            allowed = left >= 1.0
            self._buckets[key] = (left - 1.0 if allowed else left, now)
            if len(self._buckets) > _KEYS:
                self._buckets.popitem(last=False)
        if not allowed:
            wait = (1.0 - left) * self._every
            raise ApiError(
                429,
                "RATE_LIMITED",
                f"too many {self._what}: wait {max(1, round(wait))} seconds, then try again",
                retry_after=wait,
            )

    def forget(self, key: str) -> None:
        """All tries of a key are available again: it has proved itself."""
        with self._lock:
            self._buckets.pop(key, None)
