"""The forward of an expiry out of its options' last prices, and how long it has to live."""

from collections.abc import Iterable
from datetime import date, datetime, time
from typing import NamedTuple

from tickmux.login import IST

_YEAR = 31_536_000.0
_LEAST_YEARS = 0.0001
"""What is left in the last 53 minutes counts as this: a shorter time makes greeks without meaning."""
_CUT_OFFS = {"CDS": time(12, 30), "MCX": time(23, 30)}
_CUT_OFF = time(15, 30)


class Strike(NamedTuple):
    """Last prices of a strike's call and put, rupees; None or 0 where there is none."""

    strike: float
    call: float | None
    put: float | None


def at_the_money(underlying: float, strikes: Iterable[Strike]) -> Strike | None:
    """The strike nearest to the underlying's price, the lower of two; None where there is no strike."""
    return min(strikes, key=lambda one: (abs(one.strike - underlying), one.strike), default=None)


def synthetic_forward(underlying: float, strikes: Iterable[Strike]) -> float | None:
    """strike + call - put at the money, not rounded; None where one of the two has no price, or it is not above 0."""
    nearest = at_the_money(underlying, strikes)
    if nearest is None or not nearest.call or not nearest.put or nearest.call <= 0 or nearest.put <= 0:
        return None
    forward = nearest.strike + nearest.call - nearest.put
    return forward if forward > 0 else None


def years_left(exchange: str, expiry: date, now: datetime, cut_off: time | None = None) -> float:
    """Years of 365 days until trading in the option ends (India); 0 or less once it has."""
    ends = datetime.combine(expiry, cut_off or _CUT_OFFS.get(exchange, _CUT_OFF), tzinfo=IST)
    years = (ends - now).total_seconds() / _YEAR
    return max(years, _LEAST_YEARS) if years > 0 else years
