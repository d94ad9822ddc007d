"""Rows of instrument lists in SmartAPI's form: Angel One's and m.Stock's, with the roles of two columns swapped."""

import re
from datetime import date
from functools import lru_cache
from typing import NamedTuple

import msgspec

from tickmux.broker._list_rows import MONTHS, BadRow
from tickmux.instrument import derivative_symbol, format_expiry

_EXPIRY = re.compile(r"([0-9]{2})(-?)([A-Z]{3})\2([0-9]{4}|[0-9]{2})")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Number = str | int | float | None


class ListRow(msgspec.Struct, kw_only=True):
    """What both brokers' rows hold, all values as texts; numbers are understood too where one is meant.

    Beside it stand `symbol` and `name`. One is the broker's symbol, and which one differs.
    """

    token: str | int
    exch_seg: str
    expiry: str | None = None
    strike: Number = None
    lotsize: Number = None
    instrumenttype: str | None = None
    tick_size: Number = None


class Contract(NamedTuple):
    """What makes a derivative's symbol: its kind is FUT, CE or PE, its strike rupees."""

    symbol: str
    kind: str
    expiry: str
    strike: float = 0.0


def future(underlying: str, expiry: str | None) -> Contract:
    """The future on `underlying`; raises BadRow. The broker's own symbol is not read: its date has many forms."""
    day, spelt = _expiry(underlying, expiry)
    return Contract(derivative_symbol(underlying, day, "FUT"), "FUT", spelt)


def option(underlying: str, expiry: str | None, strike: float, brsymbol: str) -> Contract:
    """The option on `underlying`; raises BadRow. Of the broker's own symbol only the end is read."""
    day, spelt = _expiry(underlying, expiry)
    kind = brsymbol[-2:].upper()
    if not strike:
        raise BadRow("bad strike")
    if kind not in ("CE", "PE"):
        raise BadRow("option that is neither call nor put")
    return Contract(derivative_symbol(underlying, day, kind, strike), kind, spelt, strike)


def _expiry(underlying: str, text: str | None) -> tuple[date, str]:
    if not underlying:
        raise BadRow("derivative without an underlying")
    return expiry_day((text or "").strip())


@lru_cache(maxsize=4096)
def expiry_day(text: str) -> tuple[date, str]:
    """The day of `19MAR2024`, `19-MAR-2024`, `19MAR24`, `19-MAR-24` or `2024-03-19`, and how our rows spell it.

    A list has some hundred different ones. Raises BadRow.
    """
    try:
        if found := _EXPIRY.fullmatch(text.upper()):
            day, _, month, year = found.groups()
            at = date(int(year) + (2000 if len(year) == 2 else 0), MONTHS.index(month) + 1, int(day))
            return at, format_expiry(at)
        if _ISO.fullmatch(text):
            at = date.fromisoformat(text)
            return at, format_expiry(at)
    except ValueError:
        pass
    raise BadRow("bad expiry")
