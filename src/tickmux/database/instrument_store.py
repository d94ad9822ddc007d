"""Instrument lists: replaced as a whole (`instrument_writer.py`), looked up by name."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import islice

import msgspec
from sqlalchemy import text
from sqlalchemy.orm import Session

from tickmux.contract_expiry import parse_contract
from tickmux.database.engine import Database
from tickmux.database.instrument_hints import IN_USE, LAST, similar_names, successor
from tickmux.database.instrument_writer import ListWriter
from tickmux.instrument import Instrument

_FIELDS = Instrument.__struct_fields__
_COLUMNS = ", ".join(_FIELDS)
_I_COLUMNS = ", ".join(f"i.{name}" for name in _FIELDS)
_PAIRS = 500
_MAX_QUERY = 100
_LISTS = "SELECT broker, generation, count, ambiguous, updated, unreadable FROM instrument_lists WHERE generation > 0"


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
        writer = ListWriter(self._database, broker)
        return writer.replace(instruments, progress, kept=kept, unreadable=unreadable, force=force)

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

    def lone_tokens(self, broker: str, tokens: Iterable[str]) -> set[str]:
        """Those of the tokens that the list in use has on one exchange only; a name for wires that leave it out."""
        asked = [token for token in dict.fromkeys(tokens) if token.isprintable()]
        lone: set[str] = set()
        with self._database.reading() as session:
            for batch in _chunks(asked, _PAIRS):
                names = {f"t{index}": token for index, token in enumerate(batch)}
                query = (
                    f"SELECT i.token {IN_USE} WHERE l.broker = :broker "
                    f"AND i.token IN ({', '.join(f':{name}' for name in names)}) "
                    "GROUP BY i.token HAVING COUNT(DISTINCT i.exchange) = 1"
                )
                lone.update(session.execute(text(query), {"broker": broker, **names}).scalars())
        return lone

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
