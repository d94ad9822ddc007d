"""Ticks that are hard to believe: passed on as the broker said them, and counted so that somebody sees it. Pure.

A wrong price that is dropped leaves an old one standing, and a market can do what nobody expects; so nothing is
judged here but what is counted. `look` runs for every tick: two comparisons, unless there is something to count.
"""

from collections.abc import Callable
from typing import Protocol

from tickmux.tick import Tick
from tickmux.websocket_proxy.feed_state import FeedCounters

_JUMP = 0.2
"""Share of the last price."""


class Known(Protocol):
    """What was known of the instrument before the tick, in rupees."""

    ltp: float | None
    upper_circuit: float | None
    lower_circuit: float | None


class DataQuality:
    """Counts into `counters`. `is_continuous` says whether an exchange matches orders at once at this moment."""

    def __init__(self, counters: FeedCounters, is_continuous: Callable[[str], bool] = lambda exchange: True) -> None:
        self._counters = counters
        self._is_continuous = is_continuous

    def look(self, tick: Tick, known: Known) -> None:
        """Counts what is odd about `tick`, before it is merged into what is `known`."""
        depth = tick.depth
        if depth is not None and (buy := depth.buy) and (sell := depth.sell) and buy[0].price > sell[0].price:
            self._counters.crossed_books += self._is_continuous(tick.instrument.exchange)
        ltp, last = tick.ltp, known.ltp
        if ltp != last and ltp is not None and last is not None and abs(ltp - last) > _JUMP * abs(last):
            self._counters.price_jumps += _outside_circuits(ltp, tick, known)


def _outside_circuits(ltp: float, tick: Tick, known: Known) -> bool:
    """Whether the price is beyond a circuit limit that is known; many feeds tell none."""
    upper = known.upper_circuit if tick.upper_circuit is None else tick.upper_circuit
    lower = known.lower_circuit if tick.lower_circuit is None else tick.lower_circuit
    return (upper is not None and ltp > upper) or (lower is not None and ltp < lower)
