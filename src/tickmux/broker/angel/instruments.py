"""Angel One's instrument list: one JSON array of all exchanges (specification section 9)."""

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from math import inf, isfinite

import msgspec

from tickmux.broker._list_rows import MONTHS, BadRow, JsonArray
from tickmux.broker.angel.streaming.angel_adapter import AngelAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList

_INDEX_EXCHANGES = {"NSE": "NSE_INDEX", "BSE": "BSE_INDEX", "MCX": "MCX_INDEX"}
_CASH = frozenset({"NSE", "BSE"})
_DERIVATIVES = frozenset({"NFO", "BFO", "CDS", "MCX"})
_CURRENCY_OPTIONS = frozenset({"OPTCUR", "OPTIRC"})
_PAISE, _CURRENCY = 100, 10_000_000

_INDEX_NAMES = {
    "NIFTY50": "NIFTY",
    "NIFTYBANK": "BANKNIFTY",
    "NIFTYFINSERVICE": "FINNIFTY",
    "NIFTYNEXT50": "NIFTYNXT50",
    "NIFTYMIDSELECT": "MIDCPNIFTY",
    "NIFTYMIDCAPSELECT": "MIDCPNIFTY",
    "SNSX50": "SENSEX50",
}

_SERIES = re.compile(r"(.+)-([A-Z0-9]{1,2})")
_SHARE_SERIES = ("BE", "BZ", "SM", "ST")
"""Series in which a company's share itself trades, when it does not in EQ; the best one first."""

_Number = str | int | float | None


class _Row(msgspec.Struct):
    """One row. All values are texts; numbers are understood too where one is meant."""

    token: str | int
    symbol: str
    exch_seg: str
    name: str | None = None
    expiry: str | None = None
    strike: _Number = None
    lotsize: _Number = None
    instrumenttype: str | None = None
    tick_size: _Number = None


class AngelInstruments(InstrumentList):
    """The list of all exchanges, rebuilt daily and complete after 08:00 IST. It needs no login."""

    needs_login = False
    default_urls = AngelAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        return [Download(url=self.urls["instruments"], filename="OpenAPIScripMaster.json")]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        return self._rows(JsonArray(data, _Row, filename, "Angel One's instrument list"))

    def _rows(self, table: JsonArray[_Row]) -> Iterator[Instrument]:
        series = _SeriesNames()
        for raw in table.rows:
            try:
                instrument = _instrument(table.read(raw))
            except BadRow as reason:
                self.skipped[str(reason)] += 1
            else:
                if instrument.exchange != "NSE" or series.is_plain(instrument):
                    yield instrument
        yield from series.named()


class _SeriesNames:
    """Gives NSE's cash instruments their symbols: those without their series, where no other claims the same."""

    def __init__(self) -> None:
        self._plain: set[str] = set()
        self._other: dict[str, list[tuple[str, Instrument]]] = {}

    def is_plain(self, instrument: Instrument) -> bool:
        """Whether the symbol is final already. If not, the instrument is kept for `named`."""
        found = _SERIES.fullmatch(instrument.brsymbol)
        if found is None or found[2] == "EQ":
            self._plain.add(instrument.symbol)
            return True
        self._other.setdefault(found[1], []).append((found[2], instrument))
        return False

    def named(self) -> Iterator[Instrument]:
        """The others, once all rows are known: one symbol never stands for two instruments."""
        for base, members in self._other.items():
            bearer = None if base in self._plain else _bearer(members)
            for member in members:
                instrument = member[1]
                yield msgspec.structs.replace(instrument, symbol=base) if member is bearer else instrument


def _bearer(members: list[tuple[str, Instrument]]) -> tuple[str, Instrument] | None:
    """Which of several series of one name is called by the bare name; None when they have equal rights."""
    if len(members) == 1:
        return members[0]
    for series in _SHARE_SERIES:
        claims = [member for member in members if member[0] == series]
        if claims:
            return claims[0] if len(claims) == 1 else None
    return None


def _instrument(row: _Row) -> Instrument:
    """One row in our terms, NSE's cash symbols with their series but for EQ; raises BadRow."""
    exchange = brexchange = row.exch_seg
    kind = row.instrumenttype or ""
    token = str(row.token)
    brsymbol = row.symbol.strip()
    name = (row.name or "").strip()
    if brexchange not in _CASH and brexchange not in _DERIVATIVES:
        raise BadRow("exchange that is not served")
    if not (token.isascii() and token.isalnum() and len(token) <= 25):
        raise BadRow("no token")
    if not brsymbol:
        raise BadRow("no symbol")
    expiry, strike = "", 0.0
    if kind == "AMXIDX":
        exchange = _INDEX_EXCHANGES.get(brexchange, "")
        symbol = _index_symbol(name)
        kind = "INDEX"
        if not exchange or not symbol:
            raise BadRow("index that is not served")
    elif not kind and brexchange in _CASH:
        symbol = brsymbol.removesuffix("-EQ") if brexchange == "NSE" else brsymbol
        kind = "EQ"
        if not symbol:
            raise BadRow("no symbol")
    elif kind[:3] in ("FUT", "OPT") and brexchange in _DERIVATIVES:
        # The broker's own symbol is never parsed: outside NFO its date takes many forms.
        if not name:
            raise BadRow("derivative without an underlying")
        day, expiry = _expiry(row.expiry or "")
        if kind[:3] == "FUT":
            kind = "FUT"
        else:
            strike = _number(row.strike, "strike") / (_CURRENCY if kind in _CURRENCY_OPTIONS else _PAISE)
            kind = brsymbol[-2:].upper()
            if not strike:
                raise BadRow("bad strike")
            if kind not in ("CE", "PE"):
                raise BadRow("option that is neither call nor put")
        symbol = derivative_symbol(name, day, kind, strike)
    else:
        raise BadRow("instrument type that is not served")
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=token,
        brexchange=brexchange,
        brsymbol=brsymbol,
        name=name,
        expiry=expiry,
        strike=strike,
        lotsize=int(_number(row.lotsize, "lot size")),
        instrumenttype=kind,
        tick_size=_number(row.tick_size, "tick size") / (_CURRENCY if brexchange == "CDS" else _PAISE),
    )


def _index_symbol(name: str) -> str:
    bare = name.upper().removeprefix("S&P ").replace(" ", "").replace("-", "")
    return _INDEX_NAMES.get(bare, bare)


@lru_cache(maxsize=4096)
def _expiry(text: str) -> tuple[date, str]:
    """The day of `DDMMMYYYY` and how our rows spell it; a list has some hundred different ones."""
    try:
        if len(text) != 9 or not text.isascii() or not (text[:2] + text[5:]).isdigit():
            raise ValueError
        day = date(int(text[5:]), MONTHS.index(text[2:5].upper()) + 1, int(text[:2]))
    except ValueError:
        raise BadRow("bad expiry") from None
    return day, format_expiry(day)


def _number(value: _Number, what: str) -> float:
    """A number of the list's own scale; 0 for what is empty or negative, which is how the list says "none"."""
    try:
        number = float(value or 0)
    except (ValueError, OverflowError):
        number = inf
    if not isfinite(number):
        raise BadRow(f"bad {what}")
    return max(number, 0.0)
