"""Ticks at an even rate; what a sender is late with goes out at once, so that the rate holds."""

import time
from collections.abc import Iterator


def batches(rate: float, size: int) -> Iterator[range]:
    """The tick numbers of one batch after another, each at its time; never ends."""
    began = time.monotonic()
    sent = 0
    while True:
        ahead = began + sent / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        yield range(sent, sent + size)
        sent += size


def stamp() -> int:
    """CLOCK_MONOTONIC in microseconds, modulo 2^32: what the load client compares with."""
    return time.monotonic_ns() // 1000 & 0xFFFFFFFF
