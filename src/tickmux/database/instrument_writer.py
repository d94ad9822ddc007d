"""Replacing an instrument list.

A new list is written beside the old one, as another generation, in batches that let other writers in between.
Becoming the list in use is one small transaction, so a reader sees the old list or the new one and never a mix.
What a broken update leaves behind is removed by the next one.

Two rows that give one symbol and exchange to different tokens are both left out and counted (`ListInfo.ambiguous`):
to pick one of them would show one instrument's price under another's name.
"""

import time
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from itertools import islice

from sqlalchemy import Connection, text

from tickmux.database.engine import Database
from tickmux.database.instrument_acceptance import ListRefused, Reading, objections
from tickmux.database.instrument_hints import IN_USE
from tickmux.instrument import Instrument
from tickmux.login import IST

_FIELDS = Instrument.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_I_COLUMNS = ", ".join(f"i.{name}" for name in _FIELDS)
_BATCH = 5000
_IN_USE = text("SELECT generation, unreadable FROM instrument_lists WHERE broker = :broker AND generation > 0")


class EmptyList(ValueError):
    """A list without any instrument: certainly a failed download, so the old one is kept."""


class ListWriter:
    """One replacement of a broker's list."""

    def __init__(self, database: Database, broker: str) -> None:
        self._database = database
        self._broker = broker

    def replace(
        self,
        instruments: Iterable[Instrument],
        progress: Callable[[int], object] | None,
        *,
        kept: Collection[str],
        unreadable: Callable[[], float] | None,
        force: bool,
    ) -> int:
        """As `InstrumentStore.replace` says."""
        generation = self._allocate()
        try:
            written = 0
            rows = iter(instruments)
            while batch := [
                (self._broker, generation, *(getattr(one, name) for name in _FIELDS)) for one in islice(rows, _BATCH)
            ]:
                with self._database.bulk_writing() as connection:
                    connection.exec_driver_sql(_insert(connection), batch)
                written += len(batch)
                if progress is not None:
                    progress(written)
            if kept:
                self._keep(generation, kept)
            share = unreadable() if unreadable is not None else 0.0
            if unreadable is not None and not force:
                self._compare(Reading(generation, share))
            count = self._switch(generation, share)
        except BaseException:
            self._remove("generation = :generation", generation)
            raise
        self._remove("generation < :generation", generation)
        return count

    def _allocate(self) -> int:
        with self._database.bulk_writing() as connection:
            connection.execute(
                text(
                    "INSERT INTO instrument_lists (broker, generation, allocated, count, ambiguous, updated) "
                    "VALUES (:broker, 0, 0, 0, 0, 0) ON CONFLICT (broker) DO NOTHING"
                ),
                {"broker": self._broker},
            )
            return int(
                connection.execute(
                    text(
                        "UPDATE instrument_lists SET allocated = allocated + 1 WHERE broker = :broker "
                        "RETURNING allocated"
                    ),
                    {"broker": self._broker},
                ).scalar_one()
            )

    def _keep(self, generation: int, exchanges: Collection[str]) -> None:
        """Takes the rows of those exchanges from the list in use."""
        scope = {"broker": self._broker, "generation": generation}
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

    def _compare(self, new: Reading) -> None:
        today = datetime.now(IST).date()
        with self._database.reading() as session:
            found = session.execute(_IN_USE, {"broker": self._broker}).one_or_none()
            if found is None:
                return
            if reasons := list(objections(session, self._broker, Reading(*found), new, today)):
                raise ListRefused(self._broker, reasons)

    def _switch(self, generation: int, unreadable: float) -> int:
        """Puts the generation in use unless a later one is; returns its number of instruments."""
        scope = {"broker": self._broker, "generation": generation}
        with self._database.bulk_writing() as connection:
            ambiguous = _remove_duplicates(connection, scope)
            count = int(
                connection.execute(
                    text("SELECT count(*) FROM instruments WHERE broker = :broker AND generation = :generation"),
                    scope,
                ).scalar_one()
            )
            if not count:
                raise EmptyList(f"the instrument list of {self._broker} is empty: the old one is kept")
            connection.execute(
                text(
                    "UPDATE instrument_lists SET generation = :generation, count = :count, ambiguous = :ambiguous, "
                    "updated = :now, unreadable = :unreadable WHERE broker = :broker AND generation < :generation"
                ),
                {**scope, "count": count, "ambiguous": ambiguous, "now": time.time(), "unreadable": unreadable},
            )
        return count

    def _remove(self, which: str, generation: int) -> None:
        """Deletes rows of generations that are not in use, in batches."""
        query = text(
            "DELETE FROM instruments WHERE id IN (SELECT id FROM instruments "  # noqa: S608  # `which` is ours
            f"WHERE broker = :broker AND {which} LIMIT {_BATCH})"
        )
        deleted = _BATCH
        while deleted == _BATCH:
            with self._database.bulk_writing() as connection:
                deleted = connection.execute(query, {"broker": self._broker, "generation": generation}).rowcount


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
