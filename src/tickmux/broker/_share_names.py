"""What shares are called: one rule for all brokers, so that one name means one instrument everywhere.

NSE lists a company in several series. The bare name (`BETACO`) belongs to the best series that holds the share
itself: EQ, BE, BZ, SM, ST, in this order. The other rows of the name, and every bond, warrant, DVR, preference share
and right, are `NAME-SERIES` (`BETACO-N1`), also where no share of the name is listed.

BSE's groups (A, B, T, X, Z, ...) are no series: they say how a share trades, each share is in one of them, and
every ordinary share has its bare name. Only debt (groups F and G) is `NAME-GROUP`.

A reader gives cash rows with the company's name as `symbol` and their series, and `named` does the rest. Where a list
tells no series, `Instrument.series` is empty and the row has the bare name, unless a listed series is better.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from tickmux.broker._list_rows import BadRow
from tickmux.instrument import Instrument

SHARE_SERIES = ("EQ", "BE", "BZ", "SM", "ST")
"""NSE's series that hold a company's share itself, the best one first."""

_BSE_GROUPS = ("A", "B", "T", "TS", "X", "XT", "Z", "ZP", "M", "MT", "MS", "P", "E", "IF", "R", "EQ")
"""BSE's groups of what is no debt; where several bear one name, the first has it."""
_BSE_DEBT = frozenset({"F", "G"})
_UNKNOWN = len(_BSE_GROUPS)

_NSE_SUFFIX = re.compile(r"(.*)-([A-Z][A-Z0-9])", re.ASCII)
_BSE_SUFFIX = re.compile(rf"(.+)-({'|'.join((*_BSE_GROUPS, *sorted(_BSE_DEBT)))})")
_SERIES = re.compile(r"[A-Z0-9]{1,3}", re.ASCII)
_NAME = re.compile(r"(?=.*[A-Za-z])[^:]+", re.ASCII | re.DOTALL)


def split_nse_symbol(trading_symbol: str, alone: str = "") -> tuple[str, str]:
    """Name and series of `BETACO-BZ`; a symbol without a series' suffix (`BAJAJ-AUTO`) is of the series `alone`."""
    found = _NSE_SUFFIX.fullmatch(trading_symbol)
    return (found[1], found[2]) if found is not None else (trading_symbol, alone)


def split_bse_symbol(trading_symbol: str) -> tuple[str, str]:
    """Name and group of `BAJAJ-AUTO-A`; `BAJAJ-AUTO` is a name without a group."""
    found = _BSE_SUFFIX.fullmatch(trading_symbol)
    return (found[1], found[2]) if found is not None else (trading_symbol, "")


def first_name(*candidates: str) -> str:
    """The first of a row's fields that can be a name, which `12:` cannot: it has a letter and no colon.

    Raises BadRow where there is none, and where the first field, the one that should be the name, is empty.
    """
    if candidates[0]:
        for candidate in candidates:
            if _NAME.fullmatch(candidate):
                return candidate
    raise BadRow("no symbol")


def named(rows: Iterable[Instrument], skipped: Counter[str]) -> Iterator[Instrument]:
    """The rows in their order, shares and bonds under their final names; what is not of NSE or BSE stays as it is.

    Who has a name is known at the end only, so all rows are held until then. A row that cannot be told from the one
    that has its name is counted in `skipped`. Two rows of one name and series keep it both: the store takes neither.
    """
    held: list[Instrument] = []
    best: dict[tuple[str, str], tuple[int, str]] = {}
    for row in rows:
        if row.exchange not in ("NSE", "BSE"):
            held.append(row)
            continue
        series = row.series.strip().upper()
        if not _SERIES.fullmatch(series):
            series = ""
        name = (row.symbol.removesuffix(f"-{series}") if series else row.symbol) or row.symbol
        share = replace(row, symbol=name, series=series)
        held.append(share)
        rank = _rank(share)
        if rank is not None:
            key = (share.exchange, name)
            best[key] = min(rank, best.get(key, rank))
    for row in held:
        if row.exchange not in ("NSE", "BSE") or best.get((row.exchange, row.symbol)) == _rank(row) is not None:
            yield row
        elif row.series:
            yield replace(row, symbol=f"{row.symbol}-{row.series}")
        else:
            skipped["share without a series, whose name another has"] += 1


def _rank(share: Instrument) -> tuple[int, str] | None:
    """Who has the bare name: the lowest. None for what never has it."""
    series = share.series
    if share.exchange == "BSE":
        known = _BSE_GROUPS.index(series) if series in _BSE_GROUPS else _UNKNOWN
        return None if series in _BSE_DEBT else (known, series)
    if not series:
        return _UNKNOWN, ""
    return (SHARE_SERIES.index(series), "") if series in SHARE_SERIES else None
