"""When a contract ends, and what a contract's symbol says; pure.

A contract lives until the end of its expiry day in India, whatever its exchange's hours: what trades until 15:30 has
no price after that, and what trades until 23:55 has one. From midnight on its token may be another contract's.
"""

import re
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple

from tickmux.instrument import Instrument, derivative_symbol
from tickmux.login import IST

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_EXPIRY = re.compile(r"(\d{2})-([A-Z]{3})-(\d{2})", re.ASCII)
_SYMBOL = re.compile(r"(.+?)(\d{2})([A-Z]{3})(\d{2})(?:(FUT)|(\d+(?:\.\d+)?)(CE|PE))", re.ASCII)
_LONGEST = 64


class Contract(NamedTuple):
    """What a derivative's symbol says; `kind` is FUT, CE or PE, `strike` rupees or 0."""

    underlying: str
    expiry: date
    kind: str
    strike: float = 0.0

    @property
    def symbol(self) -> str:
        return derivative_symbol(self.underlying, self.expiry, self.kind, self.strike)


def parse_contract(symbol: str) -> Contract | None:
    """The contract that a symbol names (`NIFTY28AUG2525000CE`); None for what is no derivative's symbol."""
    if len(symbol) > _LONGEST:
        return None
    found = _SYMBOL.fullmatch(symbol)
    day = _day(*found.group(2, 3, 4)) if found is not None else None
    if found is None or day is None:
        return None
    return Contract(found[1], day, found[5] or found[7], float(found[6] or 0))


@lru_cache(maxsize=4096)
def expiry_day(expiry: str) -> date | None:
    """The day of `28-AUG-25`, as instruments spell it; None where nothing expires, or it cannot be read."""
    found = _EXPIRY.fullmatch(expiry)
    return _day(*found.groups()) if found is not None else None


def ends_at(instrument: Instrument) -> datetime | None:
    """The first moment (aware, IST) at which the contract is no more; None for what does not expire."""
    day = expiry_day(instrument.expiry)
    return None if day is None else datetime.combine(day + timedelta(days=1), time(), IST)


def has_ended(instrument: Instrument, now: datetime) -> bool:
    """Whether it is a contract whose expiry day is over at `now` (aware)."""
    end = ends_at(instrument)
    return end is not None and now >= end


def _day(day: str, month: str, year: str) -> date | None:
    try:
        return date(2000 + int(year), _MONTHS.index(month) + 1, int(day))
    except ValueError:
        return None
