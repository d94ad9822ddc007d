"""Expiry rules and option values of the made-up exchange. Pure.

The rules are those of the exchanges, without their holidays.
"""

import calendar
import math
from collections.abc import Iterator
from datetime import date, timedelta

_TUESDAY, _THURSDAY = 1, 3
_WEEKDAYS_CHANGED = date(2025, 9, 1)
_MONTH_DAYS = {"fifth": 5, "sixteenth": 16, "nineteenth": 19, "twenty-seventh": 27}
_VOLATILITY = 0.13


def expiries(rule: str, today: date, count: int) -> list[date]:
    """The next `count` expiry dates under `rule`, today included.

    nse-weekly, nse-monthly: Tuesdays, the last of the month for monthly ones (Thursdays before September 2025).
    bse-weekly, bse-monthly: Thursdays likewise (Tuesdays before).
    fifth, sixteenth, nineteenth, twenty-seventh: that day of the month, or the weekday before it.
    """
    dates = _weekly(rule, today) if rule.endswith("-weekly") else _monthly(rule, today)
    return [next(dates) for _ in range(count)]


def _weekly(rule: str, today: date) -> Iterator[date]:
    day = today
    while True:
        if day.weekday() == _expiry_weekday(rule, day):
            yield day
        day += timedelta(days=1)


def _monthly(rule: str, today: date) -> Iterator[date]:
    year, month = today.year, today.month
    while True:
        day = _day_in_month(rule, year, month)
        if day >= today:
            yield day
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)


def _day_in_month(rule: str, year: int, month: int) -> date:
    if rule.endswith("-monthly"):
        day = date(year, month, calendar.monthrange(year, month)[1])
        weekday = _expiry_weekday(rule, day)
    else:
        day = date(year, month, _MONTH_DAYS[rule])
        weekday = min(day.weekday(), calendar.FRIDAY)
    return day - timedelta(days=(day.weekday() - weekday) % 7)


def _expiry_weekday(rule: str, day: date) -> int:
    moved = day >= _WEEKDAYS_CHANGED
    if rule.startswith("nse"):
        return _TUESDAY if moved else _THURSDAY
    return _THURSDAY if moved else _TUESDAY


def option_value(kind: str, forward: float, strike: float, days: float) -> float:
    """A call's or put's Black value at a fixed volatility and no interest; `forward` and `strike` share a unit."""
    spread = _VOLATILITY * math.sqrt(max(days, 0.25) / 365)
    d1 = math.log(forward / strike) / spread + spread / 2
    call = forward * _normal(d1) - strike * _normal(d1 - spread)
    return call if kind == "CE" else call - forward + strike


def _normal(x: float) -> float:
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))
