"""How often something may be tried: a bucket of tries for each key, refilled steadily.

Bounded: `_KEYS` buckets; the one that was used longest ago goes first, and a full bucket is as good as none.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address, ip_network

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


class LoginLimits:
    """Attempts to log in: counted for an address and the name it tries, and for an address with all its names.

    Never for a name alone, since a stranger could lock its owner out. Whoever shares the stranger's address (behind
    one router, or a proxy that does not say whose requests it passes on) is not locked out either where he has logged
    in before: such a browser has a slow lane of its own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._pairs = RateLimit(10, 30.0, "attempts to log in", clock)
        self._addresses = RateLimit(40, 10.0, "attempts to log in", clock)
        self._known = RateLimit(5, 30.0, "attempts to log in", clock)

    def take(self, address: str | None, name: str, known: str | None) -> None:
        """Counts one attempt; `known` tells the owner's known browsers apart. Raises ApiError (429)."""
        where = network(address)
        try:
            self._addresses.take(where)
            self._pairs.take(f"{where} {name.lower()}")
        except ApiError:
            if known is None:
                raise
            self._known.take(known)

    def forget(self, address: str | None, name: str, known: str | None) -> None:
        """The attempt was a good one."""
        where = network(address)
        self._addresses.forget(where)
        self._pairs.forget(f"{where} {name.lower()}")
        if known is not None:
            self._known.forget(known)


def network(address: str | None) -> str:
    """What counts as one address: of IPv6 the /64, since whoever has one address there has them all."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return address or ""
    if found.version == 4:
        return str(found)
    mapped = found.ipv4_mapped
    return str(mapped) if mapped is not None else str(ip_network((found, 64), strict=False))
