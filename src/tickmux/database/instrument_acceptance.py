"""Whether a new instrument list may take the place of the one in use: a comparison, exchange by exchange.

A format that has changed shows as rows that are gone, rows that cannot be read, underlyings that nobody knows any
more, or tokens that belong to others all of a sudden. What has ended since the old list was made is not missed.
"""

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.orm import Session

from tickmux.contract_expiry import expiry_day

_FEW = 10
"""Fewer rows of an exchange and kind say nothing: one more or less is a large part of them."""
_LEAST_LEFT = 0.75
"""Of the rows of an exchange and kind that were listed before and have not ended."""
_MOST_UNREADABLE = 0.05
"""More of all rows than were unreadable in the list before."""
_MOST_LOST = 0.1
"""Of an exchange's underlyings, and of its tokens that another owner has."""

_KIND = (
    "CASE WHEN exchange LIKE '%INDEX' THEN 'indices' WHEN instrumenttype IN ('CE', 'PE') THEN 'options' "
    "WHEN instrumenttype = 'FUT' THEN 'futures' ELSE 'shares' END"
)
_COUNTS = f"SELECT exchange, {_KIND}, count(*) FROM instruments WHERE broker = :broker AND generation = :generation"  # noqa: S608
_OLD = text(f"{_COUNTS} AND expiry NOT IN :ended GROUP BY 1, 2").bindparams(bindparam("ended", expanding=True))
_NEW = text(f"{_COUNTS} GROUP BY 1, 2")
_EXPIRIES = text("SELECT DISTINCT expiry FROM instruments WHERE broker = :broker AND generation = :old")
_UNDERLYINGS = text(
    "SELECT o.exchange, o.name, max(CASE WHEN n.id IS NULL THEN 0 ELSE 1 END) "
    "FROM (SELECT exchange, name, token, brexchange, brsymbol FROM instruments WHERE broker = :broker "
    "AND generation = :old AND expiry <> '' AND name <> '' AND expiry NOT IN :ended) o "
    "LEFT JOIN instruments n ON n.broker = :broker AND n.generation = :new AND n.token = o.token "
    "AND n.brexchange = o.brexchange AND n.brsymbol = o.brsymbol GROUP BY 1, 2"
).bindparams(bindparam("ended", expanding=True))
_NAMES = text(
    "SELECT DISTINCT exchange, name FROM instruments WHERE broker = :broker AND generation = :new AND expiry <> ''"
)
_TOKENS = text(
    "SELECT o.exchange, count(*), sum(CASE WHEN n.brsymbol <> o.brsymbol "
    "OR (:names AND o.expiry <> '' AND n.symbol <> o.symbol) THEN 1 ELSE 0 END) "
    "FROM instruments o JOIN instruments n ON n.broker = :broker AND n.generation = :new AND n.token = o.token "
    "AND n.brexchange = o.brexchange "
    "WHERE o.broker = :broker AND o.generation = :old AND o.expiry NOT IN :ended GROUP BY 1 ORDER BY 1"
).bindparams(bindparam("ended", expanding=True))


class ListRefused(ValueError):
    """A list that is so unlike the one in use that it is not taken; the old one is kept."""

    def __init__(self, broker: str, reasons: list[str]) -> None:
        super().__init__(
            f"the new list of {broker} is not taken, the old one is kept: {'; '.join(reasons)}. Where the broker's "
            f"list has really become so, `tickmux instruments update {broker} --force` takes it"
        )
        self.reasons = reasons


class Reading(NamedTuple):
    """One reading of a list; `unreadable` is the share of its rows that could not be read, negative if unknown."""

    generation: int
    unreadable: float


def objections(session: Session, broker: str, old: Reading, new: Reading, today: date) -> Iterator[str]:
    """What speaks against the new list, in words; `today` is India's."""
    scope = {"broker": broker, "old": old.generation, "new": new.generation}
    expiries = session.execute(_EXPIRIES, {"broker": broker, "old": old.generation}).scalars()
    ended = [expiry for expiry in expiries if (day := expiry_day(expiry)) is not None and day < today]
    ended = ended or ["none"]  # an empty list has no type that PostgreSQL could compare
    yield from _fewer_rows(session, broker, old.generation, new.generation, ended)
    if 0 <= old.unreadable < new.unreadable - _MOST_UNREADABLE:
        yield f"{new.unreadable:.0%} of its rows cannot be read, {old.unreadable:.0%} before"
    yield from _lost_underlyings(session, {**scope, "ended": ended})
    # The names of a list that an older version has read may follow other rules.
    yield from _other_owners(session, {**scope, "ended": ended, "names": old.unreadable >= 0})


def _fewer_rows(session: Session, broker: str, old: int, new: int, ended: list[str]) -> Iterator[str]:
    def counts(query: TextClause, **scope: object) -> dict[tuple[str, str], int]:
        return {(row[0], row[1]): row[2] for row in session.execute(query, {"broker": broker, **scope})}

    now = counts(_NEW, generation=new)
    for (exchange, kind), before in sorted(counts(_OLD, generation=old, ended=ended).items()):
        left = now.get((exchange, kind), 0)
        if before >= _FEW and left < before * _LEAST_LEFT:
            yield f"{left} {kind} of {exchange}, where {before} were listed that have not ended"


def _lost_underlyings(session: Session, scope: dict[str, object]) -> Iterator[str]:
    names = {(exchange, name) for exchange, name in session.execute(_NAMES, scope)}
    by_exchange: dict[str, list[tuple[str, bool]]] = {}
    for exchange, name, found in session.execute(_UNDERLYINGS, scope):
        by_exchange.setdefault(exchange, []).append((name, bool(found) or (exchange, name) in names))
    for exchange, listed in sorted(by_exchange.items()):
        lost = sorted(name for name, found in listed if not found)
        if len(listed) >= _FEW and len(lost) > len(listed) * _MOST_LOST:
            some = ", ".join(lost[:3])
            yield f"{len(lost)} of {len(listed)} underlyings of {exchange} are gone ({some}{', …' * (len(lost) > 3)})"


def _other_owners(session: Session, scope: dict[str, object]) -> Iterator[str]:
    for exchange, common, changed in session.execute(_TOKENS, scope):
        if common >= _FEW and changed > common * _MOST_LOST:
            yield f"{changed} of {common} tokens of {exchange} belong to other instruments"
