"""Rows of instrument lists in SmartAPI's form: Angel One's and m.Stock's, with the roles of two columns swapped."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

import msgspec

from tickmux.broker._list_rows import MONTHS, BadRow
from tickmux.instrument import Instrument, derivative_symbol, format_expiry

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


class SeriesNames:
    """Gives shares their symbols: those without their series, where no other of the exchange claims the same.

    `series` is a pattern of the series that may be dropped; `best` are those that come first among several of one
    name, the best one first. Others of one name have equal rights, and none of them is called by it.
    """

    def __init__(self, series: str, best: Sequence[str]) -> None:
        self._match = re.compile(f"(.+)-({series})").fullmatch
        self._best = best
        self._plain: set[tuple[str, str]] = set()
        self._other: dict[tuple[str, str], dict[str, Instrument]] = {}

    def is_final(self, share: Instrument) -> bool:
        """Whether the share's symbol is final already. If not, it is kept for `rest`."""
        found = self._match(share.brsymbol)
        if found is None:
            self._plain.add((share.symbol, share.exchange))
            return True
        members = self._other.setdefault((found[1], share.exchange), {})
        return members.setdefault(found[2], share) is not share  # a second one of the same series keeps its series

    def rest(self) -> Iterator[Instrument]:
        """The others, once all rows are known."""
        for key, members in self._other.items():
            bearer = "" if key in self._plain else self._bearer(members)
            for series, share in members.items():
                yield msgspec.structs.replace(share, symbol=key[0]) if series == bearer else share

    def _bearer(self, members: dict[str, Instrument]) -> str:
        if len(members) == 1:
            return next(iter(members))
        return next((series for series in self._best if series in members), "")
