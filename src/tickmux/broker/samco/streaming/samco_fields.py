"""Samco's fields: every value is a text, and what is no number or no time counts as no value (sections 5 and 6)."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from tickmux.broker._wire_values import float_count, rupees
from tickmux.tick import Depth, DepthLevel

_NUMBER_TEXT = re.compile(
    r"\s*[+-]?(?:\d{1,18}(?:\.\d{0,18})?|\d{1,3}(?:,\d{2,3}){0,5},\d{3}(?:\.\d{0,18})?|\.\d{1,18})"
    r"(?:[eE][+-]?\d{1,2})?\s*",
    re.ASCII,
)
"""A number, perhaps with thousands separators in Western or Indian grouping; `812,35` is none."""

_LARGEST = float(1 << 53)
"""Beyond it a float does not know every whole number; no price or quantity comes near."""

_TWELVE_HOURS = re.compile(
    r"(\d{1,2}) ([A-Z]{3}) (\d{4}), (\d{1,2}):(\d{2}):(\d{2}) ([AP])M", re.ASCII | re.IGNORECASE
)
_DAY_FIRST = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}) (\d{1,2}):(\d{2}):(\d{2})", re.ASCII)
_LONGEST_TIME = 30
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_INDIA = 19_800
"""Seconds by which India's clocks are ahead of UTC."""

_LEVELS = 5


def price(value: Any, is_index: bool = False) -> float | None:
    """Rupees; None for zero, an empty text, or no number."""
    found = _number(value)
    return None if found is None else rupees(found, is_index)


def _number(value: Any) -> float | None:
    """The number, or None where there is none or one beyond all counting."""
    if type(value) is str:
        if _NUMBER_TEXT.fullmatch(value) is None:
            return None
        number = float(value.replace(",", ""))
    elif type(value) is int or type(value) is float:
        number = float(value)
    else:
        return None
    return number if -_LARGEST < number < _LARGEST else None


def tells_something(value: Any) -> bool:
    """Whether it is a number other than zero, be it one that means none."""
    return bool(_number(value))


def quantity(value: Any) -> int | None:
    """A whole number above zero (`45120.00` is one), or None."""
    found = _number(value)
    return None if found is None else float_count(found) or None


def trade_time(*texts: tuple[Any, bool]) -> int | None:
    """Epoch ms of the first text that can be read; each comes with whether it is UTC (else India's time)."""
    for text, utc in texts:
        if type(text) is str and 0 < len(text) <= _LONGEST_TIME:
            moment = _moment(text, utc)
            if moment is not None:
                return moment
    return None


@lru_cache(maxsize=1024)
def _moment(text: str, utc: bool) -> int | None:
    """Month names are English whatever the machine's language, hence no `strptime`."""
    try:
        if found := _TWELVE_HOURS.fullmatch(text):
            day, month, year, hour, minute, second, half = found.groups()
            if not 1 <= int(hour) <= 12:
                return None
            hours = int(hour) % 12 + (12 if half in "pP" else 0)
            date = int(year), _MONTHS.index(month.upper()) + 1, int(day)
        elif found := _DAY_FIRST.fullmatch(text):
            day, month, year, hour, minute, second = found.groups()
            hours = int(hour)
            date = int(year), int(month), int(day)
        else:
            return None
        moment = datetime(*date, hours, int(minute), int(second), tzinfo=UTC)
    except ValueError:
        return None
    seconds = (moment - _EPOCH) // _SECOND - (0 if utc else _INDIA)
    return seconds * 1000 if seconds > 0 else None


def book(bids: Any, asks: Any) -> Depth | None:
    """The book; None where the frame has neither side."""
    if type(bids) is not list and type(asks) is not list:
        return None
    return Depth(buy=_side(bids), sell=_side(asks))


def _side(levels: Any) -> list[DepthLevel]:
    if type(levels) is not list:
        return []
    side = []
    for level in levels[:_LEVELS]:
        if type(level) is dict:
            at, size = price(level.get("price")), quantity(level.get("qty"))
            if at is not None and size is not None:
                side.append(DepthLevel(at, size, quantity(level.get("no"))))
    return side
