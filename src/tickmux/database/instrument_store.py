"""Instrument lists: replaced as a whole, looked up by name.

A new list is written beside the old one, as another generation, in batches that let other writers in between.
Becoming the list in use is one small transaction, so a reader sees the old list or the new one and never a mix.
What a broken update leaves behind is removed by the next one.

Two rows that give one symbol and exchange to different tokens are both left out and counted (`ListInfo.ambiguous`):
to pick one of them would show one instrument's price under another's name.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import msgspec
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from tickmux.database.engine import Database
from tickmux.instrument import EXCHANGES, Instrument

_FIELDS = Instrument.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_I_COLUMNS = ", ".join(f"i.{name}" for name in _FIELDS)
_BATCH = 5000
_PAIRS = 500
_MAX_QUERY = 100
_LAST = "\U0010ffff"
"""Sorts after every character that a symbol has: the end of a prefix's range."""

_IN_USE = "FROM instrument_lists l JOIN instruments i ON i.broker = l.broker AND i.generation = l.generation"
_ELSEWHERE = text(  # all exchanges by name: an index look-up for each, where a mere inequality reads a whole list
    f"SELECT i.exchange {_IN_USE} WHERE l.broker = :broker AND i.symbol = :symbol "
    f"AND i.exchange IN ({', '.join(repr(exchange) for exchange in EXCHANGES)})"
)


class EmptyList(ValueError):
    """A list without any instrument: certainly a failed download, so the old one is kept."""


class ListInfo(msgspec.Struct, frozen=True):
    """What is known of a broker's instrument list; `updated` is epoch seconds."""

    broker: str
    generation: int
    count: int
    ambiguous: int
    updated: float


class InstrumentStore:
    """The instrument lists of one database. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- replacing -----------------------------------------------------------------------------------------

    def replace(
        self, broker: str, instruments: Iterable[Instrument], progress: Callable[[int], object] | None = None
    ) -> int:
        """Makes `instruments` the broker's list and returns how many of them it holds.

        `progress` is told how many were written so far. Raises EmptyList, and whatever `instruments` raises; the
        old list is untouched then. Of two updates at a time the one that began later wins.
        """
        generation = self._allocate(broker)
        try:
            written = 0
            rows = iter(instruments)
            while batch := [
                (broker, generation, *(getattr(one, name) for name in _FIELDS)) for one in islice(rows, _BATCH)
            ]:
                with self._database.bulk_writing() as connection:
                    connection.exec_driver_sql(_insert(connection), batch)
                written += len(batch)
                if progress is not None:
                    progress(written)
            count = self._switch(broker, generation)
        except BaseException:
            self._remove(broker, "generation = :generation", generation)
            raise
        self._remove(broker, "generation < :generation", generation)
        return count

    def _allocate(self, broker: str) -> int:
        with self._database.bulk_writing() as connection:
            connection.execute(
                text(
                    "INSERT INTO instrument_lists (broker, generation, allocated, count, ambiguous, updated) "
                    "VALUES (:broker, 0, 0, 0, 0, 0) ON CONFLICT (broker) DO NOTHING"
                ),
                {"broker": broker},
            )
            return int(
                connection.execute(
                    text(
                        "UPDATE instrument_lists SET allocated = allocated + 1 WHERE broker = :broker "
                        "RETURNING allocated"
                    ),
                    {"broker": broker},
                ).scalar_one()
            )

    def _switch(self, broker: str, generation: int) -> int:
        """Puts the generation in use unless a later one is; returns its number of instruments."""
        scope = {"broker": broker, "generation": generation}
        with self._database.bulk_writing() as connection:
            ambiguous = _remove_duplicates(connection, scope)
            count = int(
                connection.execute(
                    text("SELECT count(*) FROM instruments WHERE broker = :broker AND generation = :generation"),
                    scope,
                ).scalar_one()
            )
            if not count:
                raise EmptyList(f"the instrument list of {broker} is empty: the old one is kept")
            connection.execute(
                text(
                    "UPDATE instrument_lists SET generation = :generation, count = :count, ambiguous = :ambiguous, "
                    "updated = :now WHERE broker = :broker AND generation < :generation"
                ),
                {**scope, "count": count, "ambiguous": ambiguous, "now": time.time()},
            )
        return count

    def _remove(self, broker: str, which: str, generation: int) -> None:
        """Deletes rows of generations that are not in use, in batches."""
        query = text(
            "DELETE FROM instruments WHERE id IN (SELECT id FROM instruments "  # noqa: S608  # `which` is ours
            f"WHERE broker = :broker AND {which} LIMIT {_BATCH})"
        )
        deleted = _BATCH
        while deleted == _BATCH:
            with self._database.bulk_writing() as connection:
                deleted = connection.execute(query, {"broker": broker, "generation": generation}).rowcount

    # -- looking up ----------------------------------------------------------------------------------------

    def resolve(self, broker: str, exchange: str, symbol: str) -> Instrument | None:
        """The instrument of that name, spelled exactly, or None."""
        return self.resolve_many(broker, [(exchange, symbol)])[0]

    def resolve_many(self, broker: str, pairs: Sequence[tuple[str, str]]) -> list[Instrument | None]:
        """The instruments of (exchange, symbol) pairs, in their order, None for those that there are not."""
        by_exchange: dict[str, list[str]] = {}
        for exchange, symbol in dict.fromkeys(pairs):
            if not (exchange.isprintable() and symbol.isprintable()):
                continue  # no name of ours, and nothing that every database would take
            by_exchange.setdefault(exchange, []).append(symbol)
        found: dict[tuple[str, str], Instrument] = {}
        with self._database.reading() as session:
            for exchange, symbols in by_exchange.items():
                for batch in _chunks(symbols, _PAIRS):
                    names = {f"s{index}": symbol for index, symbol in enumerate(batch)}
                    query = (
                        f"SELECT {_I_COLUMNS} {_IN_USE} WHERE l.broker = :broker "
                        f"AND i.exchange = :exchange AND i.symbol IN ({', '.join(f':{name}' for name in names)})"
                    )
                    for one in _instruments(session, query, {"broker": broker, "exchange": exchange, **names}):
                        found[one.exchange, one.symbol] = one
        return [found.get(pair) for pair in pairs]

    def nearest(self, broker: str, symbol: str, exchange: str, limit: int = 5) -> list[str]:
        """Names that may have been meant: the symbol on other exchanges (`NSE_INDEX:NIFTY`), then similar symbols
        of this one, most similar first."""
        if not (symbol.isprintable() and exchange.isprintable()):
            return []
        with self._database.reading() as session:
            elsewhere = session.execute(_ELSEWHERE, {"broker": broker, "symbol": symbol})
            names = [f"{other}:{symbol}" for other in sorted(elsewhere.scalars()) if other != exchange]
            similar = _similar(session, broker, symbol, exchange)
        ranked = sorted((-_likeness(symbol, other), other) for other in similar)
        return [*names, *(other for likeness, other in ranked if likeness <= -0.5)][:limit]

    def search(self, broker: str, query: str, exchange: str | None = None, limit: int = 50) -> list[Instrument]:
        """Instruments whose symbol or name has every word of `query`, in any case.

        First the symbol that is the text, then symbols that begin with it, then those where a word of the name
        begins with it, then the rest; shorter symbols first among equals.
        """
        words = query.upper().split()
        if not words or limit < 1 or len(query) > _MAX_QUERY or not query.isprintable():
            return []
        whole = "".join(words)
        where = "l.broker = :broker" + (" AND i.exchange = :exchange" if exchange else "")
        scope: dict[str, object] = {
            "broker": broker, "exchange": exchange or "", "limit": limit, "whole": whole, "high": whole + _LAST,
        }  # fmt: skip
        with self._database.reading() as session:
            found = _instruments(
                session,
                f"SELECT {_I_COLUMNS} {_IN_USE} WHERE {where} "
                "AND i.symbol >= :whole AND i.symbol < :high "
                "ORDER BY length(i.symbol), i.symbol, i.exchange LIMIT :limit",
                scope,
            )
            if len(found) < limit:
                found += self._search_words(session, words, where, {**scope, "limit": limit - len(found)})
        return found

    def _search_words(
        self, session: Session, words: Sequence[str], where: str, scope: dict[str, object]
    ) -> list[Instrument]:
        """The rest of a search, which has to read every row: what does not begin with the text but has its words."""
        conditions = []
        for index, word in enumerate(words):
            conditions.append(f"(i.symbol LIKE :w{index} ESCAPE '!' OR upper(i.name) LIKE :w{index} ESCAPE '!')")
            scope[f"w{index}"] = f"%{_literal(word)}%"
        scope |= {"first": f"{_literal(' '.join(words))}%", "later": f"% {_literal(' '.join(words))}%"}
        return _instruments(
            session,
            f"SELECT {_I_COLUMNS} {_IN_USE} WHERE {where} AND {' AND '.join(conditions)} "
            "AND NOT (i.symbol >= :whole AND i.symbol < :high) "
            "ORDER BY CASE WHEN upper(i.name) LIKE :first ESCAPE '!' THEN 0 "
            "WHEN upper(i.name) LIKE :later ESCAPE '!' THEN 1 ELSE 2 END, "
            "length(i.symbol), i.symbol, i.exchange LIMIT :limit",
            scope,
        )

    # -- about the lists -----------------------------------------------------------------------------------

    def count(self, broker: str) -> int:
        """How many instruments the broker's list has; 0 without a list."""
        info = self.info(broker)
        return info.count if info else 0

    def generation(self, broker: str) -> int:
        """A number that changes with every new list; 0 without one. Cheap: one row by its key."""
        info = self.info(broker)
        return info.generation if info else 0

    def info(self, broker: str) -> ListInfo | None:
        """About the broker's list, or None when there is none yet."""
        return next((info for info in self.lists() if info.broker == broker), None)

    def lists(self) -> list[ListInfo]:
        """All lists in use, by broker."""
        query = text(
            "SELECT broker, generation, count, ambiguous, updated FROM instrument_lists WHERE generation > 0 "
            "ORDER BY broker"
        )
        with self._database.reading() as session:
            return [ListInfo(*row) for row in session.execute(query)]


def _insert(connection: Connection) -> str:
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    marks = ", ".join([mark] * (len(_FIELDS) + 2))
    return f"INSERT INTO instruments (broker, generation, {_COLUMNS}) VALUES ({marks})"  # noqa: S608


def _remove_duplicates(connection: Connection, scope: dict[str, object]) -> int:
    """Keeps one of rows that say the same; removes all that contradict each other and returns how many names that
    were. What is the same: the token with the broker's exchange and symbol."""
    groups = connection.execute(
        text(
            "SELECT exchange, symbol FROM instruments WHERE broker = :broker AND generation = :generation "
            "GROUP BY exchange, symbol HAVING count(*) > 1"
        ),
        scope,
    ).all()
    doomed: list[int] = []
    ambiguous = 0
    for exchange, symbol in groups:
        rows = connection.execute(
            text(
                "SELECT id, token, brexchange, brsymbol, extra FROM instruments WHERE broker = :broker "
                "AND generation = :generation AND exchange = :exchange AND symbol = :symbol ORDER BY id"
            ),
            {**scope, "exchange": exchange, "symbol": symbol},
        ).all()
        same = len({tuple(row[1:]) for row in rows}) == 1
        ambiguous += not same
        doomed += [row[0] for row in (rows[1:] if same else rows)]
    if doomed:
        connection.execute(text("DELETE FROM instruments WHERE id = :id"), [{"id": one} for one in doomed])
    return ambiguous


def _similar(session: Session, broker: str, symbol: str, exchange: str) -> set[str]:
    """About a hundred symbols around `symbol`: its neighbours in the alphabet, and some that begin like it."""
    query = f"SELECT i.symbol {_IN_USE} WHERE l.broker = :broker AND i.exchange = :exchange AND"
    scope = {"broker": broker, "exchange": exchange}
    found: set[str] = set()
    for condition in (">= :symbol ORDER BY i.symbol", "< :symbol ORDER BY i.symbol DESC"):
        rows = session.execute(text(f"{query} i.symbol {condition} LIMIT 12"), {**scope, "symbol": symbol})
        found.update(rows.scalars())
    begins = text(f"{query} i.symbol >= :low AND i.symbol < :high ORDER BY i.symbol LIMIT 40")
    for length in (4, 2):
        prefix = symbol[:length]
        found.update(session.execute(begins, {**scope, "low": prefix, "high": prefix + _LAST}).scalars())
    return found


def _likeness(one: str, other: str) -> float:
    """0 to 1: how much of both is a common beginning and, after that, a common end."""
    shorter = min(len(one), len(other))
    head = 0
    while head < shorter and one[head] == other[head]:
        head += 1
    tail = 0
    while tail < shorter - head and one[-1 - tail] == other[-1 - tail]:
        tail += 1
    return (head + tail) / max(len(one), len(other), 1)


def _instruments(session: Session, query: str, scope: dict[str, object]) -> list[Instrument]:
    return [Instrument(*row) for row in session.execute(text(query), scope)]


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _literal(word: str) -> str:
    """A word for LIKE, its wildcards disarmed."""
    return word.replace("!", "!!").replace("%", "!%").replace("_", "!_")
