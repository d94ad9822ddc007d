"""Searching an instrument list while somebody types: one text of all instruments, read front to back.

The lines of the text are in the order of the answer (short symbols first, equities and indices before derivatives,
near expiries before far ones), so that a search only has to tell the ranks apart. Holds the `_LISTS` lists that
were searched last, about 60 bytes an instrument, each until a new reading of it is in use.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from sqlalchemy import select

from tickmux.database import Database, InstrumentStore
from tickmux.database.models import InstrumentListRow, InstrumentRow
from tickmux.instrument import EXCHANGES, Instrument

_LISTS = 2
_EDGE = re.compile(r"[^0-9A-Z]")
_EXAMINED = 20_000
"""Lines that one search looks at; what is so common is found at the beginnings of symbols, or not worth finding."""


class Found(NamedTuple):
    """The best hits, best first, and how many there are in all; None when they are too many to be counted."""

    total: int | None
    instruments: list[Instrument]


class _Table(NamedTuple):
    generation: int
    text: str
    """`\\n` + symbol + `\\t` + exchange + `\\t` + name, upper case, for every instrument."""


class SymbolSearch:
    """Searches the instrument lists of one database. Thread-safe; the first search of a list reads it."""

    def __init__(self, database: Database, store: InstrumentStore) -> None:
        self._database = database
        self._store = store
        self._tables: OrderedDict[str, _Table] = OrderedDict()
        self._reading = threading.Lock()
        """Held while a list is read: several callers wait for one reading."""

    def find(self, list_name: str, query: str, exchange: str | None, limit: int) -> Found | None:
        """The instruments whose symbol or name has all words of `query`; None where there is no such list.

        Ranked: the symbol itself, symbols that begin with the query, words that begin with its words, the rest.
        `NSE:SBIN` and `SBIN@NSE` name the exchange too.
        """
        table = self._table(list_name)
        if table is None:
            return None
        words, exchange = _parse(query, exchange)
        if not words:
            return Found(0, [])
        pairs, total = _search(table.text, words, exchange, limit)
        found = self._store.resolve_many(list_name, pairs)
        return Found(total, [one for one in found if one is not None])

    def _table(self, name: str) -> _Table | None:
        generation = self._store.generation(name)
        if not generation:
            return None
        with self._reading:
            table = self._tables.get(name)
            if table is None or table.generation != generation:
                table = self._tables[name] = _Table(generation, self._read(name))
            self._tables.move_to_end(name)
            while len(self._tables) > _LISTS:
                self._tables.popitem(last=False)
        return table

    def _read(self, name: str) -> str:
        row = InstrumentRow
        query = (
            select(row.symbol, row.exchange, row.name, row.expiry)
            .join(
                InstrumentListRow,
                (InstrumentListRow.broker == row.broker) & (InstrumentListRow.generation == row.generation),
            )
            .where(InstrumentListRow.broker == name)
        )
        expiries: dict[str, int] = {"": 0}
        order = {exchange: number for number, exchange in enumerate(EXCHANGES)}
        with self._database.reading() as session:
            rows = [
                (len(symbol), _expiry(expiry, expiries), order.get(exchange, 99), symbol, exchange, title)
                for symbol, exchange, title, expiry in session.execute(query)
            ]
        rows.sort()
        return "".join(f"\n{symbol}\t{exchange}\t{title}".upper() for _, _, _, symbol, exchange, title in rows) + "\n"


def _expiry(text: str, known: dict[str, int]) -> int:
    """A number that sorts like the date; 0 where nothing expires. There are few dates and many instruments."""
    if text not in known:
        try:
            known[text] = datetime.strptime(text.title(), "%d-%b-%y").toordinal()  # noqa: DTZ007 - a date only
        except ValueError:
            known[text] = 1 << 30
    return known[text]


def _parse(query: str, exchange: str | None) -> tuple[list[str], str | None]:
    text = query.upper()
    head, colon, tail = text.partition(":")
    if colon and head.strip() in EXCHANGES:
        return tail.split(), exchange or head.strip()
    head, at, tail = text.rpartition("@")
    if at and tail.strip() in EXCHANGES:
        return head.split(), exchange or tail.strip()
    return text.split(), exchange


def _search(
    text: str, words: list[str], exchange: str | None, limit: int
) -> tuple[list[tuple[str, str]], int | None]:
    """The best (exchange, symbol) pairs, and the number of hits where it is known."""
    whole = "".join(words)
    best = list(islice(_beginning(text, whole, exchange), limit))
    # The rarest word's occurrences are found at the speed of memory, the others are checked there.
    rarest = min(words, key=text.count)
    others = [word for word in words if word is not rarest]
    inside: list[tuple[str, str]] = []
    at_word: list[tuple[str, str]] = []
    total = 0
    for examined, (symbol, on, name) in enumerate(_lines(text, rarest)):
        if examined == _EXAMINED:
            return (best + at_word + inside)[:limit], None
        said = f"{symbol} {name}"
        if exchange not in (None, on) or rarest not in said or not all(word in said for word in others):
            continue
        total += 1
        if symbol.startswith(whole):
            continue  # among the best already
        beginnings = _EDGE.split(said)
        begins = all(any(part.startswith(word) for part in beginnings) for word in words)
        (at_word if begins else inside).append((on, symbol))
    return (best + at_word + inside)[:limit], total


def _beginning(text: str, whole: str, exchange: str | None) -> Iterator[tuple[str, str]]:
    """(exchange, symbol) of symbols that begin with `whole`; itself first, being the shortest."""
    for symbol, on, _ in _lines(text, f"\n{whole}"):
        if exchange in (None, on):
            yield on, symbol


def _lines(text: str, part: str) -> Iterator[list[str]]:
    """Symbol, exchange and name of the lines that have `part`, a line break before the line included."""
    position = text.find(part)
    while position >= 0:
        start = text.rfind("\n", 0, position + 1) + 1
        end = text.find("\n", start)
        yield text[start:end].split("\t", 2)
        position = text.find(part, end)
