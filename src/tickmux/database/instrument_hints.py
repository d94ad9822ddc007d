"""What may have been meant by a name that no instrument list has: similar names, and a contract's successor."""

from collections.abc import Iterator
from datetime import date

from sqlalchemy import text
from sqlalchemy.orm import Session

from tickmux.contract_expiry import Contract, parse_contract
from tickmux.instrument import EXCHANGES, format_strike

IN_USE = "FROM instrument_lists l JOIN instruments i ON i.broker = l.broker AND i.generation = l.generation"
LAST = "\U0010ffff"
"""Sorts after every character that a symbol has: the end of a prefix's range."""

_ELSEWHERE = text(  # all exchanges by name: an index look-up for each, where a mere inequality reads a whole list
    f"SELECT i.exchange {IN_USE} WHERE l.broker = :broker AND i.symbol = :symbol "
    f"AND i.exchange IN ({', '.join(repr(exchange) for exchange in EXCHANGES)})"
)
_CONTRACTS = text(
    f"SELECT i.symbol {IN_USE} WHERE l.broker = :broker AND i.exchange = :exchange "
    "AND i.symbol >= :low AND i.symbol < :high AND i.symbol LIKE :ending"
)


def similar_names(session: Session, broker: str, symbol: str, exchange: str) -> Iterator[str]:
    """The symbol on other exchanges (`NSE_INDEX:NIFTY`), then similar symbols of this one, most similar first."""
    elsewhere = session.execute(_ELSEWHERE, {"broker": broker, "symbol": symbol}).scalars().all()
    yield from (f"{other}:{symbol}" for other in sorted(elsewhere) if other != exchange)
    similar = _neighbours(session, broker, symbol, exchange)
    ranked = sorted((-_likeness(symbol, other), other) for other in similar)
    yield from (other for likeness, other in ranked if likeness <= -0.5)


def successor(session: Session, broker: str, contract: Contract, exchange: str, today: date) -> str | None:
    """The symbol of the next contract of the same underlying, kind and strike that has not ended on `today`.

    Where the next expiry does not have the strike, the nearest one it has.
    """
    after = max(contract.expiry, date.fromordinal(today.toordinal() - 1))
    ending = "FUT" if contract.kind == "FUT" else f"{format_strike(contract.strike)}{contract.kind}"
    scope = {"broker": broker, "exchange": exchange, "low": contract.underlying, "high": contract.underlying + LAST}
    for wanted in dict.fromkeys((ending, contract.kind)):
        symbols = session.execute(_CONTRACTS, {**scope, "ending": f"%{wanted}"}).scalars()
        later = [
            other
            for other in map(parse_contract, symbols)
            if other is not None
            and (other.underlying, other.kind) == (contract.underlying, contract.kind)
            and other.expiry > after
            and (wanted is contract.kind or other.strike == contract.strike)
        ]
        if later:
            return min(later, key=lambda one: (one.expiry, abs(one.strike - contract.strike), one.strike)).symbol
    return None


def _neighbours(session: Session, broker: str, symbol: str, exchange: str) -> set[str]:
    """About a hundred symbols around `symbol`: its neighbours in the alphabet, and some that begin like it."""
    query = f"SELECT i.symbol {IN_USE} WHERE l.broker = :broker AND i.exchange = :exchange AND"
    scope = {"broker": broker, "exchange": exchange}
    found: set[str] = set()
    for condition in (">= :symbol ORDER BY i.symbol", "< :symbol ORDER BY i.symbol DESC"):
        rows = session.execute(text(f"{query} i.symbol {condition} LIMIT 12"), {**scope, "symbol": symbol})
        found.update(rows.scalars())
    begins = text(f"{query} i.symbol >= :low AND i.symbol < :high ORDER BY i.symbol LIMIT 40")
    for length in (4, 2):
        prefix = symbol[:length]
        found.update(session.execute(begins, {**scope, "low": prefix, "high": prefix + LAST}).scalars())
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
