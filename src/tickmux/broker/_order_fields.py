"""Reading the fields of a broker's order: what is a number, a price, a word, a time, and what means "none".

The rules are those of section 6 of the brokers' order specifications, and the same for all of them. Nothing here
raises: a value that cannot be read is None.
"""

import calendar
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tickmux.login import IST
from tickmux.order_update import ByBrokerSymbol, ByToken, ListedName

_NOTHING = frozenset({"", "NA", "N/A", "--", "-", "NULL", "NONE", "NAN"})
_MOST = 2**53
"""Beyond it a number is no quantity, and would not survive JSON in a browser."""


def text(value: Any) -> str | None:
    """A trimmed text; None for the placeholders that mean nothing. Numbers are texts to some brokers."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    found = str(value).strip()
    return None if found.upper() in _NOTHING else found


def order_number(value: Any) -> str | None:
    """A text that is not 0: brokers send that before there is a number."""
    found = text(value)
    return None if found is not None and not found.strip("0") else found


def price(value: Any) -> float | None:
    """Rupees; 0 means none, a negative price is real. Thousands may have commas."""
    found = _number(value)
    return found or None


def whole(value: Any) -> int | None:
    """A count, 0 included; `10.0` is 10, 10.5 is nothing."""
    found = _number(value)
    return int(found) if found is not None and found == int(found) and abs(found) < _MOST else None


def quantity(value: Any) -> int | None:
    """A count of which 0 means none."""
    return whole(value) or None


def listed_names(exchange: str | None, token: str | None, brsymbol: str | None) -> tuple[ListedName, ...]:
    """Where to look the instrument up: by its token, then by the broker's symbol."""
    names: list[ListedName] = []
    if exchange and token:
        names.append(ByToken(exchange, token))
    if exchange and brsymbol:
        names.append(ByBrokerSymbol(exchange, brsymbol))
    return tuple(names)


def pending(own: int | None, wanted: int | None, filled: int | None, status: str | None) -> int | None:
    """The broker's own figure, else what is left of an order that is alive or has been filled."""
    if own is not None or wanted is None or filled is None:
        return own
    return max(0, wanted - filled) if status in ("open", "trigger pending", "complete") else None


def word(value: Any, words: Mapping[str, str]) -> str | None:
    """Ours for the broker's word in any case; an unknown one stays as it is, in upper case."""
    found = text(value)
    return None if found is None else words.get(found.upper(), found.upper())


def status_word(value: Any, words: Mapping[str, str]) -> str | None:
    """Ours for the broker's word in any case, `_` read as a blank; an unknown one goes out in lower case."""
    found = text(value)
    if found is None:
        return None
    plain = " ".join(found.replace("_", " ").split()).lower()
    return words.get(plain, plain)


def reason(value: Any, status: str | None) -> str | None:
    """Why an order was rejected; a text beside another state is about something else."""
    return text(value) if status == "rejected" else None


_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr)}
_YEAR_FIRST = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})[ T](\d{1,2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?$")
_DAY_FIRST = re.compile(r"(\d{1,2})[-/](\d{1,2}|[A-Za-z]{3})[-/](\d{4})[ T](\d{1,2}):(\d{2}):(\d{2})$")
_TIME_FIRST = re.compile(r"(\d{1,2}):(\d{2}):(\d{2}) (\d{1,2})[-/](\d{1,2}|[A-Za-z]{3})[-/](\d{4})$")


def ist_time(value: Any) -> int | None:
    """Epoch ms of a wall-clock time in India; placeholders (years before 2000) are None.

    Forms: `2025-08-18 10:15:02`, `2025/08/18 …`, with `T` and a fraction; `18-08-2025 10:15:02`, `18-Aug-2025 …`;
    `10:15:02 18-08-2025`; and ISO 8601 with an offset, which then counts.
    """
    if not isinstance(value, str):
        return None
    found = value.strip()
    try:
        if match := _YEAR_FIRST.match(found):
            year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
            milliseconds = int((match[7] or "0").ljust(3, "0")[:3])
            return _epoch_ms(year, month, day, hour, minute, second, milliseconds)
        if match := _DAY_FIRST.match(found):
            return _epoch_ms(
                int(match[3]), _month(match[2]), int(match[1]), int(match[4]), int(match[5]), int(match[6])
            )
        if match := _TIME_FIRST.match(found):
            return _epoch_ms(
                int(match[6]), _month(match[5]), int(match[4]), int(match[1]), int(match[2]), int(match[3])
            )
        zoned = datetime.fromisoformat(found)
    except (ValueError, KeyError, OverflowError):
        return None
    return int(zoned.timestamp() * 1000) if zoned.tzinfo is not None and zoned.year >= 2000 else None


def first_time(*values: Any) -> int | None:
    """The first that reads as a time."""
    return next((found for value in values if (found := ist_time(value)) is not None), None)


def _month(name: str) -> int:
    return int(name) if name.isdigit() else _MONTHS[name.lower()]


def _epoch_ms(
    year: int, month: int, day: int, hour: int, minute: int, second: int, milliseconds: int = 0
) -> int | None:
    if year < 2000:
        return None
    return int(datetime(year, month, day, hour, minute, second, tzinfo=IST).timestamp()) * 1000 + milliseconds


def _number(value: Any) -> float | int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < _MOST else None
    if isinstance(value, str):
        try:
            value = float(value.strip().replace(",", ""))
        except ValueError:
            return None
    return value if isinstance(value, float) and math.isfinite(value) else None
