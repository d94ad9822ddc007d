"""Rows of instrument lists: taking a file apart so that a bad row is skipped and counted alone, and reading cells."""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import lru_cache
from math import inf
from typing import Generic, TypeVar

import msgspec

from tickmux.instrument import Instrument
from tickmux.instrument_list import ListFormatError

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


class BadRow(Exception):
    """A row that becomes no instrument; its text is the reason that is counted."""


def instruments(rows: Iterable[T], read: Callable[[T], Instrument], skipped: Counter[str]) -> Iterator[Instrument]:
    """What `read` makes of the rows; those for which it raises BadRow are counted in `skipped`."""
    for row in rows:
        try:
            found = read(row)
        except BadRow as reason:
            skipped[str(reason)] += 1
        else:
            yield found


# -- CSV -----------------------------------------------------------------------------------------------------


def split_line(line: str) -> list[str]:
    """The cells of one line of CSV; raises BadRow. Line by line, so that a stray quote spoils its own row only."""
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader((line,), strict=True))
    except csv.Error:
        raise BadRow("broken quotes") from None


class CsvTable:
    """CSV text whose first line names its columns, of which `wanted` are read, in that order.

    `title` is how messages call the list. Raises ListFormatError when the data lacks a column.
    """

    def __init__(self, data: bytes, wanted: Sequence[str], filename: str, title: str) -> None:
        first, *lines = data.decode("utf-8-sig", errors="replace").split("\n")
        header = [column.strip().strip('"').strip() for column in first.split(",")]
        if missing := [column for column in wanted if column not in header]:
            kind = "an error answer of the broker" if _is_answer(data) else "another file"
            raise ListFormatError(f"{filename} is not {title} but {kind}: no column {missing[0]!r}")
        self._columns = [header.index(column) for column in wanted]
        self._width = len(header)
        self._lines = lines

    def lines(self) -> Iterator[str]:
        """The rows; empty lines are none."""
        return (line for each in self._lines if (line := each.rstrip("\r")))

    def cells(self, line: str) -> list[str]:
        """The wanted cells of a row as they stand there; raises BadRow."""
        cells = split_line(line)
        if len(cells) != self._width:
            raise BadRow("wrong number of columns")
        return [cells[column] for column in self._columns]


# -- JSON ----------------------------------------------------------------------------------------------------

_read_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_TRIED_ROWS = 1000


class JsonArray(Generic[S]):
    """A JSON array of rows, each an object of the struct `shape`.

    `title` is how messages call the list. Raises ListFormatError when the data is no array of such rows.
    """

    def __init__(self, data: bytes, shape: type[S], filename: str, title: str) -> None:
        self._decode = msgspec.json.Decoder(shape).decode
        try:
            self.rows = _read_array(data)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            kind = "an error answer" if _is_answer(data) else "another file, or a part of it"
            raise ListFormatError(f"{filename} is not {title} but {kind}") from None
        if not any(self._is_readable(row) for row in self.rows[:_TRIED_ROWS]):
            raise ListFormatError(f"{filename} has no row of {title}")

    def read(self, row: msgspec.Raw) -> S:
        """One of `rows`; raises BadRow."""
        try:
            return self._decode(row)
        except (msgspec.DecodeError, UnicodeError):
            raise BadRow("not in the list's format") from None

    def _is_readable(self, row: msgspec.Raw) -> bool:
        try:
            self.read(row)
        except BadRow:
            return False
        return True


def _is_answer(data: bytes) -> bool:
    """Whether it looks like what a server says in place of a list: a JSON object or a web page."""
    return data.lstrip()[:1] in (b"{", b"<")


# -- cells ---------------------------------------------------------------------------------------------------


def is_digits(text: str) -> bool:
    """Whether it consists of the digits 0 to 9, at least one: an instrument's number."""
    return text.isascii() and text.isdigit()


def number(value: str | float | None, what: str, empty: float = 0.0) -> float:
    """A number of rupees, paise or units: finite and not negative. Nothing at all is `empty`; raises BadRow."""
    if value is None or value == "":
        return empty
    try:
        found = float(value)
    except (ValueError, OverflowError):
        found = -1.0
    if not 0 <= found < inf:
        raise BadRow(f"bad {what}")
    return found


@lru_cache(maxsize=4096)
def iso_day(text: str) -> date:
    """The day of `yyyy-mm-dd`, an expiry, of which a list has some hundred different ones; raises BadRow."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadRow("bad expiry") from None
    if day.isoformat() != text:  # ISO's other spellings (week dates) are none of any list's
        raise BadRow("bad expiry")
    return day
