"""Implied volatility and greeks of an option on a forward (Black, 1976).

K strike, F forward, T years, r rate, s = volatility x sqrt(T), D = exp(-rT), N the normal distribution, n its
density:

    d1 = ln(F/K) / s + s / 2      call = D (F N(d1) - K N(d2))
    d2 = d1 - s                   put  = D (K N(-d2) - F N(-d1))

The volatility is sought for the option that is out of the money (by parity, the same volatility), so that nothing
cancels, on the logarithm of its price, by Halley's steps inside a bracket: prices far out of the money are tiny, and
plain Newton leaves the interval there.
"""

import math
from enum import StrEnum
from typing import NamedTuple

LEAST_VOLATILITY, MOST_VOLATILITY = 1e-4, 10.0
_LEAST_TIME_VALUE = 0.01
"""Rupees; an option in the money that has less is worth what exercising it brings."""
_TOLERANCE = 1e-13
"""Relative, of s: the repriced option differs by less than 1e-8 of its price."""
_MOST_STEPS = 100
_SQRT2 = math.sqrt(2.0)
_SQRT2PI = math.sqrt(2.0 * math.pi)
_DAYS = 365.0


class Case(StrEnum):
    """Whether a volatility explains the price."""

    PRICED = "priced"
    NO_TIME_VALUE = "no_time_value"
    NO_SOLUTION = "no_solution"


class Greeks(NamedTuple):
    """Units: delta per point of the forward, gamma per point squared, theta rupees a calendar day, vega rupees a
    percentage point of volatility, rho rupees a percentage point of the rate (the forward held fixed)."""

    delta: float
    gamma: float
    theta: float
    vega: float
    rho: float


class Valuation(NamedTuple):
    """What a price says of an option. `volatility` is in percent; 0 where none explains the price."""

    case: Case
    volatility: float
    greeks: Greeks
    intrinsic: float
    """Rupees, not discounted."""
    time_value: float
    """Rupees, not below 0."""


def value(*, call: bool, price: float, forward: float, strike: float, years: float, rate: float = 0.0) -> Valuation:
    """Volatility and greeks of an option that trades at `price` (rupees); `rate` 0.07 is 7 % a year, continuously.

    All of `price`, `forward`, `strike`, `years` are above 0; ValueError otherwise.
    """
    if not (
        price > 0 and forward > 0 and strike > 0 and years > 0 and math.isfinite(price + forward + strike + years)
    ):
        raise ValueError("price, forward, strike and time are numbers above 0")
    intrinsic = max(forward - strike, 0.0) if call else max(strike - forward, 0.0)
    time_value = max(price - intrinsic, 0.0)
    if price <= intrinsic or (intrinsic > 0 and price - intrinsic < _LEAST_TIME_VALUE):
        return _without(Case.NO_TIME_VALUE, call, intrinsic, time_value)
    discount = math.exp(-rate * years)
    s = _deviation(call, price / discount, forward, strike, math.sqrt(years))
    if s is None:
        return _without(Case.NO_SOLUTION, call, intrinsic, time_value)
    root = math.sqrt(years)
    volatility = s / root
    d1 = math.log(forward / strike) / s + s / 2
    density = discount * forward * math.exp(-d1 * d1 / 2) / _SQRT2PI
    delta = discount * _normal(d1) if call else -discount * _normal(-d1)
    greeks = Greeks(
        delta=delta,
        gamma=density / (forward * forward * s),
        theta=(-density * volatility / (2 * root) + rate * price) / _DAYS,
        vega=density * root / 100,
        rho=-years * price / 100,
    )
    return Valuation(Case.PRICED, 100 * volatility, greeks, intrinsic, time_value)


def black(*, call: bool, volatility: float, forward: float, strike: float, years: float, rate: float = 0.0) -> float:
    """The price at a volatility (0.15 is 15 %), in rupees."""
    s = volatility * math.sqrt(years)
    out_of_the_money = _out_of_the_money(forward, strike, s)
    intrinsic = max(forward - strike, 0.0) if call else max(strike - forward, 0.0)
    return math.exp(-rate * years) * (out_of_the_money + intrinsic)


def _without(case: Case, call: bool, intrinsic: float, time_value: float) -> Valuation:
    """An option that moves with the forward, or not at all."""
    delta = (1.0 if call else -1.0) if intrinsic > 0 else 0.0
    return Valuation(case, 0.0, Greeks(delta, 0.0, 0.0, 0.0, 0.0), intrinsic, time_value)


def _deviation(call: bool, undiscounted: float, forward: float, strike: float, root: float) -> float | None:
    """s at which the undiscounted option has this price; None where no volatility in the interval explains it."""
    target = undiscounted - (max(forward - strike, 0.0) if call else max(strike - forward, 0.0))
    small, large = min(forward, strike), max(forward, strike)
    if not 0 < target < small:  # its price rises from 0 to the smaller of the two
        return None
    # In units of the smaller one: N(d1) - large/small N(d1 - s), d1 = s / 2 - distance / s.
    distance, ratio, goal = math.log(large / small), large / small, target / small
    log_goal = math.log(goal)
    low, high = LEAST_VOLATILITY * root, MOST_VOLATILITY * root
    # The price as a function of s bends at sqrt(2 distance); at the money it is nearly linear, s / sqrt(2 pi).
    s = min(max(math.sqrt(2 * distance) or goal * _SQRT2PI, low), high)
    erfc, exp, log = math.erfc, math.exp, math.log
    floor, ceiling = low, high
    for _ in range(_MOST_STEPS):
        d1 = s / 2 - distance / s
        found = (erfc(-d1 / _SQRT2) - ratio * erfc((s - d1) / _SQRT2)) / 2
        if found < goal:
            low = s
        else:
            high = s
        following = math.nan
        if found > 0 and (slope := exp(-d1 * d1 / 2) / _SQRT2PI / found) > 0:
            newton = (log_goal - log(found)) / slope
            bend = d1 * (d1 - s) / s - slope  # second derivative of ln(found), over the first
            damping = 1 + newton * bend / 2
            following = s + (newton / damping if damping > 0.5 else newton)
        if not low < following < high:
            following = math.sqrt(low * high)
        if abs(following - s) <= _TOLERANCE * s:
            s = following
            break
        s = following
    # What lies outside the interval has crept up to its end.
    return s if floor * (1 + 1e-9) < s < ceiling * (1 - 1e-9) else None


def _out_of_the_money(forward: float, strike: float, s: float) -> float:
    """The undiscounted price of whichever of call and put is out of the money, or at it."""
    small, large = min(forward, strike), max(forward, strike)
    d1 = s / 2 - math.log(large / small) / s
    return max(small * _normal(d1) - large * _normal(d1 - s), 0.0)


def _normal(x: float) -> float:
    return 0.5 * math.erfc(-x / _SQRT2)
