"""Motilal Oswal's instrument lists: one CSV file an exchange, and two of indices (specification section 9)."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from math import isfinite

from tickmux.broker.motilal.streaming.motilal_adapter import MotilalAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList, ListFormatError

_CASH = frozenset({"NSE", "BSE"})
_DERIVATIVES = {"NSEFO": "NFO", "BSEFO": "BFO", "NSECD": "CDS", "MCX": "MCX"}
_FILES = ("NSE", "BSE", "NSEFO", "NSECD", "MCX", "BSEFO")
_INDEX_FILES = ("NSE", "BSE")

_COLUMNS = (
    "exchangename", "scripcode", "scripname", "marketlot", "scripshortname", "issuspended", "instrumentname",
    "strikeprice", "optiontype", "ticksize",
)  # fmt: skip
_INDEX_COLUMNS = ("indexcode", "indexname", "exchangename")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAY = re.compile(r"(\d{2})-([A-Z]{3})-(\d{4})", re.ASCII)

_NSE_INDEX_NAMES = {
    "NIFTY50": "NIFTY",
    "NIFTYNEXT50": "NIFTYNXT50",
    "NIFTYBANK": "BANKNIFTY",
    "NIFTYFINSERVICE": "FINNIFTY",
    "NIFTYFINSERV": "FINNIFTY",
    "NIFTYMIDSELECT": "MIDCPNIFTY",
    "NIFTYMIDCAPSELECT": "MIDCPNIFTY",
}
_BSE_INDEX_NAMES = {
    "BSE SENSEX": "SENSEX",
    "BSE BANKEX": "BANKEX",
    "SNSX50": "SENSEX50",
    "SNXT50": "BSESENSEXNEXT50",
    "BSE CAPGOOD": "BSECAPITALGOODS",
    "BSE CONSDUR": "BSECONSUMERDURABLES",
    "BSE FMCG": "BSEFASTMOVINGCONSUMERGOODS",
    "BSE IT": "BSEINFORMATIONTECHNOLOGY",
}
_INDEX_TICK = 0.05
_SERIES_RANKS = {"EQ": 0, "BE": 1}
_OTHER_SERIES = 2


class _BadRow(Exception):
    """A row that becomes no instrument; its text is the reason that is counted."""


class MotilalInstruments(InstrumentList):
    """Public files. Which of them `parse` reads shows in the header. A scrip code is unique in its exchange only."""

    needs_login = False
    default_urls = MotilalAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        api = self.urls["api"]
        return [
            *(Download(url=f"{api}/getscripmastercsv?name={name}", filename=f"{name}.csv") for name in _FILES),
            *(
                Download(url=f"{api}/getindexdatacsv?name={name}", filename=f"{name}-index.csv")
                for name in _INDEX_FILES
            ),
        ]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        # Line by line, so that a stray quote spoils its own row only.
        lines = data.decode("utf-8-sig", errors="replace").split("\n")
        header = [column.strip().strip('"').lower() for column in lines[0].split(",")]
        if all(column in header for column in _INDEX_COLUMNS):
            return self._indices(lines, header)
        if missing := [column for column in _COLUMNS if column not in header]:
            kind = "an error answer of the broker" if data.lstrip()[:1] in (b"{", b"<") else "another file"
            raise ListFormatError(f"{filename} is no list of Motilal Oswal's but {kind}: no column {missing[0]!r}")
        return self._scrips(lines, header)

    def _rows(self, lines: list[str], header: list[str], columns: Sequence[str]) -> Iterator[dict[str, str]]:
        places = [header.index(column) for column in columns]
        for number in range(1, len(lines)):
            line = lines[number].rstrip("\r")
            if not line:
                continue
            try:
                cells = line.split(",") if '"' not in line else next(csv.reader((line,), strict=True))
            except csv.Error:
                self.skipped["broken quotes"] += 1
                continue
            if len(cells) != len(header):
                self.skipped["wrong number of columns"] += 1
                continue
            yield {column: cells[place].strip() for column, place in zip(columns, places, strict=True)}

    def _indices(self, lines: list[str], header: list[str]) -> Iterator[Instrument]:
        seen: set[str] = set()
        for row in self._rows(lines, header, _INDEX_COLUMNS):
            try:
                instrument = _index(row)
                for key in (instrument.symbol, instrument.token):
                    if f"{instrument.exchange} {key}" in seen:
                        raise _BadRow("another row has the same symbol or code")
            except _BadRow as reason:
                self.skipped[str(reason)] += 1
            else:
                seen |= {f"{instrument.exchange} {key}" for key in (instrument.symbol, instrument.token)}
                yield instrument

    def _scrips(self, lines: list[str], header: list[str]) -> Iterator[Instrument]:
        tokens: set[tuple[str, str]] = set()
        symbols: set[tuple[str, str]] = set()
        shares: dict[tuple[str, str], tuple[int, Instrument]] = {}
        for row in self._rows(lines, header, _COLUMNS):
            try:
                instrument = _scrip(row)
                key = (instrument.brexchange, instrument.token)
                if key in tokens:
                    raise _BadRow("scrip code twice in an exchange")
                tokens.add(key)
                name = (instrument.exchange, instrument.symbol)
                if instrument.instrumenttype == "EQ":
                    # Which of several series bears the name shows only at the end of the file.
                    rank = _SERIES_RANKS.get(row["optiontype"], _OTHER_SERIES)
                    if name in shares:
                        self.skipped["another series bears the symbol"] += 1
                    if name not in shares or rank < shares[name][0]:
                        shares[name] = (rank, instrument)
                    continue
                if name in symbols:
                    raise _BadRow("another row has the same symbol")
                symbols.add(name)
            except _BadRow as reason:
                self.skipped[str(reason)] += 1
            else:
                yield instrument
        for _, instrument in shares.values():
            yield instrument


def _index(row: Mapping[str, str]) -> Instrument:
    exchange, name = row["exchangename"], row["indexname"]
    if exchange not in _CASH:
        raise _BadRow("exchange that is not served")
    if not name:
        raise _BadRow("no symbol")
    upper = " ".join(name.upper().split())
    plain = upper.replace(" ", "")
    return Instrument(
        symbol=_NSE_INDEX_NAMES.get(plain, plain) if exchange == "NSE" else _BSE_INDEX_NAMES.get(upper, plain),
        exchange=f"{exchange}_INDEX",
        token=_code(row["indexcode"]),
        brexchange=exchange,
        brsymbol=name,
        name=name,
        lotsize=1,
        instrumenttype="INDEX",
        tick_size=_INDEX_TICK,
    )


def _scrip(row: Mapping[str, str]) -> Instrument:
    """One row in our terms; raises _BadRow."""
    brexchange, brsymbol, root, option = (
        row["exchangename"], row["scripname"], row["scripshortname"], row["optiontype"],
    )  # fmt: skip
    kind = row["instrumentname"].upper()
    if brexchange not in _CASH and brexchange not in _DERIVATIVES:
        raise _BadRow("exchange that is not served")
    if row["issuspended"] == "Y":
        raise _BadRow("suspended")
    if not brsymbol:
        raise _BadRow("no symbol")
    expiry, strike = "", 0.0
    if brexchange in _CASH:
        if option in ("CE", "PE") or any(word in kind for word in ("FUT", "OPT", "IDX")):
            raise _BadRow("not a share")
        exchange, kind = brexchange, "EQ"
        symbol = root if exchange == "NSE" and option in _SERIES_RANKS and root else _without_series(brsymbol, option)
    else:
        exchange = _DERIVATIVES[brexchange]
        if option in ("CE", "PE"):
            kind = option
            strike = _number(row["strikeprice"], "strike")
            if not strike:
                raise _BadRow("bad strike")
        elif "FUT" in kind:
            kind = "FUT"
        else:
            raise _BadRow("neither future nor option")
        if not root:
            raise _BadRow("derivative without an underlying")
        day, expiry = _expiry(brsymbol)
        symbol = derivative_symbol(root, day, kind, strike)
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=_code(row["scripcode"]),
        brexchange=brexchange,
        brsymbol=brsymbol,
        name=root or symbol,
        expiry=expiry,
        strike=strike,
        lotsize=int(_number(row["marketlot"], "lot size")),
        instrumenttype=kind,
        tick_size=_number(row["ticksize"], "tick size"),
    )


def _without_series(name: str, series: str) -> str:
    """`ABC BE` of the series BE is ABC; a name that ends with another word keeps it."""
    return name.removesuffix(f" {series}").rstrip() if series else name


def _code(text: str) -> str:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 1 << 31):
        raise _BadRow("no scrip code")
    return str(int(text))


@lru_cache(maxsize=4096)
def _expiry_of(day: str, month: str, year: str) -> tuple[date, str]:
    try:
        found = date(int(year), _MONTHS.index(month) + 1, int(day))
    except ValueError:
        raise _BadRow("bad expiry") from None
    return found, format_expiry(found)


def _expiry(name: str) -> tuple[date, str]:
    """The day in a name, and how our rows spell it; the column of that name counts from an unknown day."""
    found = _DAY.search(name.upper())
    if found is None:
        raise _BadRow("bad expiry")
    return _expiry_of(*found.groups())


def _number(text: str, what: str) -> float:
    """A number of rupees or units; 0 for what is empty or negative."""
    try:
        number = float(text or 0)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise _BadRow(f"bad {what}")
    return max(number, 0.0)
