"""What messages of every form amount to, and how their values are judged (specification sections 5.6 and 5.7).

A field that says "no value" (a price of 0, a time of 0, a negative quantity) is left out of `fields`, which are named
like those of a `Tick`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from tickmux.broker._wire_values import count, rupees

LTP, QUOTE, DEPTH, OPEN_INTEREST = 1512, 1501, 1502, 1510
CODES = frozenset({LTP, QUOTE, DEPTH, OPEN_INTEREST})

SEGMENTS = {"NSECM": 1, "NSEFO": 2, "NSECD": 3, "BSECM": 11, "BSEFO": 12, "BSECD": 13, "MCXFO": 51}
"""The exchange's name in master and payloads -> its number on the wire."""

SEGMENT_OF = {
    "NSE": "NSECM", "NSE_INDEX": "NSECM", "NFO": "NSEFO", "CDS": "NSECD", "BSE": "BSECM", "BSE_INDEX": "BSECM",
    "BFO": "BSEFO", "BCD": "BSECD", "MCX": "MCXFO",
}  # fmt: skip
"""Our exchange -> the segment's name."""

_MOST = 1e12
"""No price is beyond it; also what keeps NaN and infinities out, since they compare false."""
_MOST_UNITS = 1 << 63
_MOST_SECONDS = 1 << 32
_IST = 19_800
_1980, _LATEST_SINCE_1980 = 315_532_800, 1_600_000_000

Key: TypeAlias = tuple[int, int]
"""(segment, instrument id): ids repeat between segments."""
Fields: TypeAlias = Mapping[str, float | int]
Level: TypeAlias = tuple[float | None, int | None, int | None]
"""Price, size, orders. A level without price or size is padding, which keeps the places of those behind it."""


class Full(NamedTuple):
    """Everything that a code says of an instrument; None for a side that the message does not have."""

    code: int
    key: Key
    fields: Fields
    bids: Sequence[Level] | None = None
    asks: Sequence[Level] | None = None


class LevelChange(NamedTuple):
    """New parts of one level: its place from 0, and by their place in `Level` only the parts that are new."""

    level: int
    parts: Mapping[int, float | int | None]


class Change(NamedTuple):
    """The fields and levels that have changed."""

    code: int
    key: Key
    fields: Fields
    bids: Sequence[LevelChange] = ()
    asks: Sequence[LevelChange] = ()


class Properties(NamedTuple):
    """Properties of an instrument by number, of which the price ranges are used (section 5.4)."""

    key: Key
    values: Mapping[int, float]


Message: TypeAlias = Full | Change | Properties


def number(value: object) -> float | int | None:
    """The number that a payload's value is, also as text; None for everything else."""
    kind = type(value)
    if kind is int or kind is float:
        return value  # type: ignore[return-value]
    if kind is not str:
        return None
    text: str = value  # type: ignore[assignment]
    if len(text) > 40 or not text.isascii() or "_" in text:
        return None
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError:
        return None


def price(value: object) -> float | None:
    """Rupees. Negative prices are values, 0 is none."""
    found = number(value)
    return rupees(float(found)) if found and -_MOST < found < _MOST else None


def quantity(value: object) -> int | None:
    """A whole number of units, lots or orders; 0 is a value."""
    found = number(value)
    if found is None or not 0 <= found < _MOST_UNITS:
        return None
    whole = int(found)
    return count(whole) if whole == found else None


def epoch_ms(value: object) -> int | None:
    """A time in seconds since midnight IST of 1980 (NSE) or 1970 (others), told apart by its size."""
    found = number(value)
    if found is None or not 0 < found < _MOST_SECONDS:
        return None
    since_1970 = found + _1980 if found < _LATEST_SINCE_1980 else found
    return int(since_1970 - _IST) * 1000


def digits(value: object) -> int | None:
    """An identification as a number or as its digits."""
    if type(value) is int:
        return value
    if type(value) is str and value.isascii() and value.isdecimal() and len(value) <= 20:
        return int(value)
    return None


def segment(value: object) -> int | None:
    """A segment by its number or its name."""
    return SEGMENTS.get(value) or digits(value) if isinstance(value, str) else digits(value)
