"""Motilal Oswal's instrument lists: one CSV file an exchange, and two of indices (specification section 9)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache

from tickmux.broker._list_rows import MONTHS, BadRow, is_digits, number, split_line
from tickmux.broker._share_names import first_name, named
from tickmux.broker.motilal.streaming.motilal_adapter import MotilalAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList, ListFormatError

_CASH = frozenset({"NSE", "BSE"})
_DERIVATIVES = {"NSEFO": "NFO", "BSEFO": "BFO", "NSECD": "CDS", "MCX": "MCX"}
_FILES = ("NSE", "BSE", "NSEFO", "NSECD", "MCX", "BSEFO")
_INDEX_FILES = ("NSE", "BSE")

_COLUMNS = (
    "exchangename", "scripcode", "scripname", "marketlot", "scripshortname", "instrumentname", "strikeprice",
    "optiontype", "ticksize",
)  # fmt: skip
_SUSPENDED = "issuspended"
_INDEX_COLUMNS = ("indexcode", "indexname", "exchangename")
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
    "BSE SENSEX 50": "SENSEX50",
    "SNSX50": "SENSEX50",
    "SNXT50": "BSESENSEXNEXT50",
    "BSE CAPGOOD": "BSECAPITALGOODS",
    "BSE CONSDUR": "BSECONSUMERDURABLES",
    "BSE FMCG": "BSEFASTMOVINGCONSUMERGOODS",
    "BSE IT": "BSEINFORMATIONTECHNOLOGY",
    "BSE CARBON": "BSECARBONEX",
    "BSE DOL30": "BSEDOLLEX30",
    "BSE DOL100": "BSEDOLLEX100",
    "BSE DOL200": "BSEDOLLEX200",
    "ENERGY": "BSEENERGY",
    "FIN": "BSEFINANCIALSERVICES",
    "BSE GREENX": "BSEGREENEX",
    "BSE HEALTHC": "BSEHEALTHCARE",
    "INDSTR": "BSEINDUSTRIALS",
    "LRGCAP": "BSELARGECAP",
    "MIDSEL": "BSEMIDCAPSELECTINDEX",
    "SMLSEL": "BSESMALLCAPSELECTINDEX",
    "BSE SMLCAP": "BSESMALLCAP",
    "TELCOM": "BSETELECOM",
    "BSE INFRA": "BSEINDIAINFRASTRUCTUREINDEX",
}
_BSE_UNDERLYINGS = {"BSX": "SENSEX", "BKX": "BANKEX", "SX50": "SENSEX50"}
"""The codes that BSE's contracts on indices come under; a stock's code is its symbol."""
_USUAL_TICKS = {"NSECD": 0.0025}
_USUAL_TICK = 0.05
_INDEX_TICK = 0.05


class MotilalInstruments(InstrumentList):
    """Public files. Which of them `parse` reads shows in the header. A scrip code is unique in its exchange only."""

    needs_login = False
    default_urls = MotilalAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        api = self.urls["api"]
        return [
            *(
                Download(
                    url=f"{api}/getscripmastercsv?name={name}",
                    filename=f"{name}.csv",
                    exchanges=(_DERIVATIVES.get(name, name),),
                )
                for name in _FILES
            ),
            *(
                Download(
                    url=f"{api}/getindexdatacsv?name={name}",
                    filename=f"{name}-index.csv",
                    exchanges=(f"{name}_INDEX",),
                )
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
        return named(self._scrips(lines, header), self.skipped)

    def _rows(self, lines: list[str], header: list[str], columns: Sequence[str]) -> Iterator[dict[str, str]]:
        places = [header.index(column) for column in columns]
        for each in lines[1:]:
            line = each.rstrip("\r")
            if not line:
                continue
            try:
                cells = split_line(line)
                if len(cells) != len(header):
                    raise BadRow("wrong number of columns")
            except BadRow as reason:
                self.skipped[str(reason)] += 1
            else:
                yield {column: cells[place].strip() for column, place in zip(columns, places, strict=True)}

    def _indices(self, lines: list[str], header: list[str]) -> Iterator[Instrument]:
        seen: set[str] = set()
        for row in self._rows(lines, header, _INDEX_COLUMNS):
            try:
                instrument = _index(row)
                for key in (instrument.symbol, instrument.token):
                    if f"{instrument.exchange} {key}" in seen:
                        raise BadRow("another row has the same symbol or code")
            except BadRow as reason:
                self.skipped[str(reason)] += 1
            else:
                seen |= {f"{instrument.exchange} {key}" for key in (instrument.symbol, instrument.token)}
                yield instrument

    def _scrips(self, lines: list[str], header: list[str]) -> Iterator[Instrument]:
        tokens: set[tuple[str, str]] = set()
        symbols: set[tuple[str, str, str]] = set()
        columns = (*_COLUMNS, _SUSPENDED) if _SUSPENDED in header else _COLUMNS
        for row in self._rows(lines, header, columns):
            try:
                instrument = _scrip(row)
                key = (instrument.brexchange, instrument.token)
                if key in tokens:
                    raise BadRow("scrip code twice in an exchange")
                tokens.add(key)
                name = (instrument.exchange, instrument.symbol, instrument.series)
                if name in symbols:
                    raise BadRow("another row has the same symbol")
                symbols.add(name)
            except BadRow as reason:
                self.skipped[str(reason)] += 1
            else:
                yield instrument


def _index(row: Mapping[str, str]) -> Instrument:
    exchange, name = row["exchangename"], row["indexname"]
    if exchange not in _CASH:
        raise BadRow("exchange that is not served")
    if not name:
        raise BadRow("no symbol")
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
    """One row in our terms; raises BadRow."""
    brexchange, brsymbol, root, option = (
        row["exchangename"], row["scripname"], row["scripshortname"], row["optiontype"],
    )  # fmt: skip
    kind = row["instrumentname"].upper()
    if brexchange not in _CASH and brexchange not in _DERIVATIVES:
        raise BadRow("exchange that is not served")
    if row.get(_SUSPENDED) == "Y":
        raise BadRow("suspended")
    if not brsymbol:
        raise BadRow("no symbol")
    expiry, strike, series = "", 0.0, ""
    if brexchange in _CASH:
        if option in ("CE", "PE") or any(word in kind for word in ("FUT", "OPT", "IDX")):
            raise BadRow("not a share")
        exchange, kind, series = brexchange, "EQ", option
        symbol = _without_series(brsymbol, option)
        if exchange == "NSE" and option in ("EQ", "BE") and root:
            symbol = root
        symbol = first_name(symbol, root)
    else:
        exchange = _DERIVATIVES[brexchange]
        if option in ("CE", "PE"):
            kind = option
            strike = number(row["strikeprice"], "strike")
            if not strike:
                raise BadRow("bad strike")
        elif "FUT" in kind:
            kind = "FUT"
        else:
            raise BadRow("neither future nor option")
        if not root:
            raise BadRow("derivative without an underlying")
        if brexchange == "BSEFO":
            root = _BSE_UNDERLYINGS.get(root, root)
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
        lotsize=int(number(row["marketlot"], "lot size")),
        instrumenttype=kind,
        tick_size=number(row["ticksize"], "tick size") or _USUAL_TICKS.get(brexchange, _USUAL_TICK),
        series=series,
    )


def _without_series(name: str, series: str) -> str:
    """`ABC BE` of the series BE is ABC, and so is `ABC EQ` of any; a name that ends with another word keeps it."""
    for word in (series, "EQ"):
        if word and name.endswith(f" {word}"):
            return name[: -len(word)].rstrip()
    return name


def _code(text: str) -> str:
    if not (is_digits(text) and len(text) <= 10 and int(text) < 1 << 31):
        raise BadRow("no scrip code")
    return str(int(text))


@lru_cache(maxsize=4096)
def _expiry_of(day: str, month: str, year: str) -> tuple[date, str]:
    try:
        found = date(int(year), MONTHS.index(month) + 1, int(day))
    except ValueError:
        raise BadRow("bad expiry") from None
    return found, format_expiry(found)


def _expiry(name: str) -> tuple[date, str]:
    """The day in a name, and how our rows spell it: on MCX the column of that name is a day late in India."""
    found = _DAY.search(name.upper())
    if found is None:
        raise BadRow("bad expiry")
    return _expiry_of(*found.groups())
