"""Instrument lists: replaced as a whole, looked up by name.

A new list is written beside the old one, as another generation, in batches that let other writers in between.
Becoming the list in use is one small transaction, so a reader sees the old list or the new one and never a mix.
What a broken update leaves behind is removed by the next one.

Two rows that give one symbol and exchange to different tokens are both left out and counted (`ListInfo.ambiguous`):
to pick one of them would show one instrument's price under another's name.
"""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from itertools import islice

import msgspec
from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from tickmux.contract_expiry import parse_contract
from tickmux.database.engine import Database
from tickmux.database.instrument_acceptance import ListRefused, Reading, objections
from tickmux.database.instrument_hints import IN_USE, LAST, similar_names, successor
from tickmux.instrument import Instrument
from tickmux.login import IST

_FIELDS = Instrument.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_I_COLUMNS = ", ".join(f"i.{name}" for name in _FIELDS)
_BATCH = 5000
_PAIRS = 500
_MAX_QUERY = 100
_LISTS = "SELECT broker, generation, count, ambiguous, updated, unreadable FROM instrument_lists WHERE generation > 0"


class EmptyList(ValueError):
    """A list without any instrument: certainly a failed download, so the old one is kept."""


class ListInfo(msgspec.Struct, frozen=True):
    """What is known of a broker's instrument list; `updated` is epoch seconds, `unreadable` a share of its rows,
    negative where unknown."""

    broker: str
    generation: int
    count: int
    ambiguous: int
    updated: float
    unreadable: float


class InstrumentStore:
    """The instrument lists of one database. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # -- replacing -----------------------------------------------------------------------------------------

    def replace(
        self,
        broker: str,
        instruments: Iterable[Instrument],
        progress: Callable[[int], object] | None = None,
        *,
        kept: Collection[str] = (),
        unreadable: Callable[[], float] | None = None,
        force: bool = False,
    ) -> int:
        """Makes `instruments` the broker's list and returns how many of them it holds.

        `progress` is told how many were written so far. Of the exchanges that are in `kept` once all instruments
        were taken, the old list's rows stay. `unreadable` tells then what share of the list's rows could not be
        read; where it is given, the list is compared with the one in use, but for `force`.
        Raises EmptyList, ListRefused, and whatever `instruments` raises; the old list is untouched then. Of two
        updates at a time the one that began later wins.
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
            if kept:
                self._keep(broker, generation, kept)
            share = unreadable() if unreadable is not None else 0.0
            if unreadable is not None and not force:
                self._compare(broker, Reading(generation, share))
            count = self._switch(broker, generation, share)
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

    def _keep(self, broker: str, generation: int, exchanges: Collection[str]) -> None:
        """Takes the rows of those exchanges from the list in use."""
        scope = {"broker": broker, "generation": generation}
        taken = f"l.broker, {_I_COLUMNS}"
        for exchange in sorted(exchanges):
            with self._database.bulk_writing() as connection:
                connection.execute(
                    text(
                        "DELETE FROM instruments WHERE broker = :broker AND generation = :generation "
                        "AND exchange = :exchange"
                    ),
                    {**scope, "exchange": exchange},
                )
                connection.execute(
                    text(
                        f"INSERT INTO instruments (generation, broker, {_COLUMNS}) "
                        f"SELECT CAST(:generation AS INTEGER), {taken} {IN_USE} "
                        "WHERE l.broker = :broker AND i.exchange = :exchange"
                    ),
                    {**scope, "exchange": exchange},
                )

    def _compare(self, broker: str, new: Reading) -> None:
        info = self.info(broker)
        if info is None:
            return
        today = datetime.now(IST).date()
        with self._database.reading() as session:
            old = Reading(info.generation, info.unreadable)
            if reasons := list(objections(session, broker, old, new, today)):
                raise ListRefused(broker, reasons)

    def _switch(self, broker: str, generation: int, unreadable: float) -> int:
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
                    "updated = :now, unreadable = :unreadable WHERE broker = :broker AND generation < :generation"
                ),
                {**scope, "count": count, "ambiguous": ambiguous, "now": time.time(), "unreadable": unreadable},
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
        """The instruments of (exchange, symbol) pairs, in their order, None for those that there are not.

        A share that has the bare name is found by `NAME-SERIES` too, and is called then as it was asked for.
        """
        wanted: dict[str, list[str]] = {}
        for exchange, symbol in dict.fromkeys(pairs):
            if exchange.isprintable() and symbol.isprintable():  # others are no name, nor for every database
                wanted.setdefault(exchange, []).append(symbol)
        with self._database.reading() as session:
            found = _named(session, broker, wanted)
            parts = {
                (exchange, symbol): symbol.rpartition("-")
                for exchange, symbols in wanted.items()
                for symbol in symbols
                if (exchange, symbol) not in found and "-" in symbol
            }
            bare: dict[str, list[str]] = {}
            for (exchange, _), (name, _, _) in parts.items():
                bare.setdefault(exchange, []).append(name)
            bearers = _named(session, broker, bare) if bare else {}
        for (exchange, symbol), (name, _, series) in parts.items():
            bearer = bearers.get((exchange, name))
            if bearer is not None and bearer.series == series != "" and not name.endswith(f"-{series}"):
                found[exchange, symbol] = msgspec.structs.replace(bearer, symbol=symbol)
        return [found.get(pair) for pair in pairs]

    def owners(self, broker: str, keys: Sequence[tuple[str, str]]) -> list[Instrument | None]:
        """Whose the tokens are in the list in use, by (brexchange, token); None for those that nobody has.

        The instrument has the name that the list gives it. A feed must not serve a token to another name.
        """
        found: dict[tuple[str, str], Instrument] = {}
        tokens = [token for token in dict.fromkeys(token for _, token in keys) if token.isprintable()]
        with self._database.reading() as session:
            for batch in _chunks(tokens, _PAIRS):
                names = {f"t{index}": token for index, token in enumerate(batch)}
                query = (
                    f"SELECT {_I_COLUMNS} {IN_USE} WHERE l.broker = :broker "
                    f"AND i.token IN ({', '.join(f':{name}' for name in names)})"
                )
                for one in _instruments(session, query, {"broker": broker, **names}):
                    found[one.brexchange, one.token] = one
        return [found.get(key) for key in keys]

    def nearest(self, broker: str, symbol: str, exchange: str, limit: int = 5) -> list[str]:
        """Names that may have been meant: the symbol on other exchanges (`NSE_INDEX:NIFTY`), then similar symbols
        of this one, most similar first."""
        if not (symbol.isprintable() and exchange.isprintable()):
            return []
        with self._database.reading() as session:
            return list(islice(similar_names(session, broker, symbol, exchange), limit))

    def next_contract(self, broker: str, symbol: str, exchange: str, today: date) -> str | None:
        """The symbol of the next listed contract of the same kind: same underlying, right and strike (where the
        next expiry does not have it, the nearest), later than `symbol`'s and not over before `today` (in India).

        None for what is no contract's symbol, and where none follows.
        """
        contract = parse_contract(symbol)
        if contract is None or not exchange.isprintable() or not symbol.isprintable():
            return None
        with self._database.reading() as session:
            return successor(session, broker, contract, exchange, today)

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
            "broker": broker, "exchange": exchange or "", "limit": limit, "whole": whole, "high": whole + LAST,
        }  # fmt: skip
        with self._database.reading() as session:
            found = _instruments(
                session,
                f"SELECT {_I_COLUMNS} {IN_USE} WHERE {where} "
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
            f"SELECT {_I_COLUMNS} {IN_USE} WHERE {where} AND {' AND '.join(conditions)} "
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
        """A number that changes with every new list; 0 without one."""
        info = self.info(broker)
        return info.generation if info else 0

    def info(self, broker: str) -> ListInfo | None:
        """About the broker's list, or None when there is none yet."""
        query = text(f"{_LISTS} AND broker = :broker")
        with self._database.reading() as session:
            row = session.execute(query, {"broker": broker}).one_or_none()
        return ListInfo(*row) if row is not None else None

    def exchanges(self, broker: str) -> set[str]:
        """The exchanges of which the broker's list has instruments."""
        query = text(f"SELECT DISTINCT i.exchange {IN_USE} WHERE l.broker = :broker")
        with self._database.reading() as session:
            return set(session.execute(query, {"broker": broker}).scalars())

    def lists(self) -> list[ListInfo]:
        """All lists in use, by broker."""
        with self._database.reading() as session:
            return [ListInfo(*row) for row in session.execute(text(f"{_LISTS} ORDER BY broker"))]


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


def _named(session: Session, broker: str, wanted: Mapping[str, Sequence[str]]) -> dict[tuple[str, str], Instrument]:
    """(exchange, symbol) -> instrument, for the symbols that each exchange has."""
    found: dict[tuple[str, str], Instrument] = {}
    for exchange, symbols in wanted.items():
        for batch in _chunks(symbols, _PAIRS):
            names = {f"s{index}": symbol for index, symbol in enumerate(batch)}
            query = (
                f"SELECT {_I_COLUMNS} {IN_USE} WHERE l.broker = :broker "
                f"AND i.exchange = :exchange AND i.symbol IN ({', '.join(f':{name}' for name in names)})"
            )
            for one in _instruments(session, query, {"broker": broker, "exchange": exchange, **names}):
                found[one.exchange, one.symbol] = one
    return found


def _instruments(session: Session, query: str, scope: dict[str, object]) -> list[Instrument]:
    return [Instrument(*row) for row in session.execute(text(query), scope)]


def _chunks(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _literal(word: str) -> str:
    """A word for LIKE, its wildcards disarmed."""
    return word.replace("!", "!!").replace("%", "!%").replace("_", "!_")
