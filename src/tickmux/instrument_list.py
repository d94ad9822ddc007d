"""The instrument-list contract: where a broker publishes its instruments, and how a row becomes ours. Pure."""

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from tickmux.codec import Credentials
from tickmux.contract_expiry import expiry_day
from tickmux.instrument import MAX_LOT_SIZE, MAX_SYMBOL_LENGTH, Instrument


class Download(msgspec.Struct, frozen=True, kw_only=True):
    """One file to fetch. `filename` tells `parse` which of several files it reads; `json` is sent as the body.

    `exchanges` are those whose instruments it holds: when it cannot be had, what the list in use has of them stays.
    `optional`: the list is good without it, so a failed download is only told, not fatal.
    """

    url: str
    filename: str
    method: str = "GET"
    headers: Mapping[str, str] = {}
    json: Any = None
    exchanges: tuple[str, ...] = ()
    optional: bool = False


class ListFormatError(ValueError):
    """The data is not this broker's instrument list at all (an error page, another file); nothing is stored."""


_UNREADABLE = re.compile(
    r"(bad|no(?! contract)|not in|missing|broken|wrong|neither|too few|option|derivative|id with|contract on) "
)
"""How the reasons begin that say that a row does not have the form which it should have."""


class InstrumentList(ABC):
    """One reading of a broker's instrument list; an object serves one update and may carry facts between files.

    `skipped` counts rows that became no instrument, by reason; a bad row is skipped and never fatal.
    """

    needs_login: ClassVar[bool]
    """Whether `downloads` needs credentials."""
    default_urls: ClassVar[Mapping[str, str]]

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        self.urls = {**self.default_urls, **(urls or {})}
        self.skipped: Counter[str] = Counter()

    @property
    def unreadable(self) -> int:
        """How many of the skipped rows could not be read; the others are of what is not wanted."""
        return sum(count for reason, count in self.skipped.items() if _UNREADABLE.match(reason))

    def read(self, data: bytes, filename: str) -> Iterator[Instrument]:
        """As `parse`, without what cannot be listed: names that nobody could ask for, contracts whose expiry stands
        for none, what no database could hold. These are counted in `skipped`."""
        for row in self.parse(data, filename):
            if reason := _unfit(row):
                self.skipped[reason] += 1
            else:
                yield row

    @abstractmethod
    def downloads(self, credentials: Credentials | None) -> list[Download]:
        """What to fetch, in the order in which `parse` wants it."""

    @abstractmethod
    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        """The instruments of one file, as downloaded (content encodings undone, archives not).

        Raises ListFormatError when the data is no such file. `filename` may be a user's own name for it.
        """


_LAST_YEAR = 2059
"""Of an expiry. With two digits of a year 1970, 1980 and 9999, which stand for none, look like a later one."""


def _unfit(row: Instrument) -> str:
    """Why the instrument cannot be listed, as a reason that is counted; empty for nearly all."""
    if not row.symbol.isprintable() or not 0 < len(row.symbol) <= MAX_SYMBOL_LENGTH:
        return "bad symbol"
    if not 0 <= row.lotsize <= MAX_LOT_SIZE:
        return "bad lot size"
    day = expiry_day(row.expiry) if row.instrumenttype in ("FUT", "CE", "PE") else None
    if day is not None and day.year > _LAST_YEAR:
        return "bad expiry"
    if "\0" in f"{row.token}{row.brexchange}{row.brsymbol}{row.name}{row.instrumenttype}{row.extra}":
        return "bad text"  # PostgreSQL has no such character
    return ""
