"""Dhan's instrument list: one CSV file of all segments, about 200,000 rows (specification section 9)."""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from functools import lru_cache

from tickmux.broker._index_names import BSE_INDEX_NAMES
from tickmux.broker._list_rows import BadRow, CsvTable, is_digits, iso_day, number
from tickmux.broker._share_names import first_name, named
from tickmux.broker.dhan.streaming.dhan_adapter import DhanAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList

FILENAME = "api-scrip-master.csv"

_COLUMNS = (
    "SEM_EXM_EXCH_ID", "SEM_SEGMENT", "SEM_SMST_SECURITY_ID", "SEM_INSTRUMENT_NAME", "SEM_TRADING_SYMBOL",
    "SEM_LOT_UNITS", "SEM_CUSTOM_SYMBOL", "SEM_EXPIRY_DATE", "SEM_STRIKE_PRICE", "SEM_OPTION_TYPE",
    "SEM_TICK_SIZE", "SEM_SERIES", "SM_SYMBOL_NAME",
)  # fmt: skip

_PLACES: Mapping[tuple[str, str, str], tuple[str, str, str]] = {
    ("NSE", "E", "EQUITY"): ("NSE", "NSE_EQ", "EQ"),
    ("BSE", "E", "EQUITY"): ("BSE", "BSE_EQ", "EQ"),
    ("NSE", "I", "INDEX"): ("NSE_INDEX", "IDX_I", "INDEX"),
    ("BSE", "I", "INDEX"): ("BSE_INDEX", "IDX_I", "INDEX"),
    **{("NSE", "D", name): ("NFO", "NSE_FNO", name[:3]) for name in ("FUTIDX", "FUTSTK", "OPTIDX", "OPTSTK")},
    **{("BSE", "D", name): ("BFO", "BSE_FNO", name[:3]) for name in ("FUTIDX", "FUTSTK", "OPTIDX", "OPTSTK")},
    **{("NSE", "C", name): ("CDS", "NSE_CURRENCY", name[:3]) for name in ("FUTCUR", "OPTCUR")},
    **{("BSE", "C", name): ("BCD", "BSE_CURRENCY", name[:3]) for name in ("FUTCUR", "OPTCUR")},
    **{("MCX", "M", name): ("MCX", "MCX_COMM", name[:3]) for name in ("FUTCOM", "FUTIDX", "OPTFUT")},
}
"""(exchange id, segment, instrument name) -> (our exchange, brexchange, kind); anything else is skipped."""

_NSE_INDEX_NAMES: Mapping[str, str] = {
    "NIFTYNEXT50": "NIFTYNXT50",
    "NIFTYMCAP50": "NIFTYMIDCAP50",
    "NIFTYMID100FREE": "NIFTYMIDCAP100",
    "NIFTYMIDSMALLCAP400": "NIFTYMIDSML400",
    "NIFTYSMALLCAP50": "NIFTYSMLCAP50",
    "NIFTYSMALLCAP100": "NIFTYSMLCAP100",
    "NIFTYSMALLCAP250": "NIFTYSMLCAP250",
    "NIFTY100EQUALWEIGHT": "NIFTY100EQLWGT",
    "NIFTY100LOWVOLATILITY30": "NIFTY100LOWVOL30",
}
_NO_SPACES = str.maketrans("", "", " -")
_BSE_INDEX_NAMES = {name.translate(_NO_SPACES): symbol for name, symbol in BSE_INDEX_NAMES.items()}

_ROOT = re.compile(r"(.+)-(?:\d{1,2})?[A-Za-z]{3}\d{4}-(?:FUT|[\d.]+-(?:CE|PE))")
_LARGEST = 1e12


class DhanInstruments(InstrumentList):
    """The compact list, public and without a login. A token is unique within its brexchange only."""

    needs_login = False
    default_urls = DhanAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        return [Download(url=self.urls["instruments"], filename=FILENAME)]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        return named(self._rows(CsvTable(data, _COLUMNS, filename, "Dhan's instrument list")), self.skipped)

    def _rows(self, table: CsvTable) -> Iterator[Instrument]:
        keys: set[tuple[str, str]] = set()
        symbols: set[tuple[str, str, str]] = set()
        indices: dict[tuple[str, str, str], Instrument] = {}
        for line in table.lines():
            try:
                row = [cell.strip() for cell in table.cells(line)]
                place = _PLACES.get((row[0], row[1], row[3]))
                if place is None:
                    raise BadRow("not served")
                instrument = _instrument(place, row)
                key = (instrument.brexchange, instrument.token)
                if key in keys:
                    raise BadRow("security id twice in a segment")
                keys.add(key)
                name = (instrument.exchange, instrument.symbol, instrument.series)
                if place[2] == "INDEX":
                    # Of several rows of one index the lowest id is meant, which shows only at the end of the file.
                    if name in indices:
                        self.skipped["another row of the same index is preferred"] += 1
                    if name not in indices or int(instrument.token) < int(indices[name].token):
                        indices[name] = instrument
                    continue
                if name in symbols:
                    raise BadRow("another row has the same symbol")
                symbols.add(name)
                yield instrument
            except BadRow as reason:
                self.skipped[str(reason)] += 1
        yield from indices.values()


def _instrument(place: tuple[str, str, str], row: list[str]) -> Instrument:
    """One row in our terms; raises BadRow."""
    _, _, token, _, brsymbol, lot_text, custom, expiry_text, strike_text, option, tick_text, series, company = row
    exchange, brexchange, kind = place
    if not (is_digits(token) and len(token) <= 10):
        raise BadRow("no security id")
    if not brsymbol:
        raise BadRow("no trading symbol")
    if "NSETEST" in brsymbol:
        raise BadRow("test instrument")
    expiry, strike = "", 0.0
    tick = round(_number(tick_text, "tick size") / 100, 6)  # paise
    if kind == "EQ":
        symbol, name = first_name(brsymbol, custom), company or custom
    elif kind == "INDEX":
        symbol, name = _index_symbol(brsymbol, exchange), custom or company
        tick = 0.0
    else:
        name = _root(brsymbol, custom)
        day, expiry = _expiry(expiry_text)
        if kind == "OPT":
            kind = option
            if kind not in ("CE", "PE"):
                raise BadRow("bad option type")
            strike = _number(strike_text, "strike")
            if not strike:
                raise BadRow("bad strike")
        symbol = derivative_symbol(name, day, kind, strike)
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=token,
        brexchange=brexchange,
        brsymbol=brsymbol,
        name=name,
        expiry=expiry,
        strike=strike,
        lotsize=int(_number(lot_text, "lot size")),
        instrumenttype=kind,
        tick_size=tick,
        series=series if exchange in ("NSE", "BSE") else "",
    )


def _index_symbol(brsymbol: str, exchange: str) -> str:
    plain = brsymbol.upper().translate(_NO_SPACES)
    return (_NSE_INDEX_NAMES if exchange == "NSE_INDEX" else _BSE_INDEX_NAMES).get(plain, plain)


def _root(brsymbol: str, custom: str) -> str:
    """The underlying: the trading symbol up to its date (a root may have a hyphen), else the display name's start."""
    match = _ROOT.fullmatch(brsymbol)
    root = match[1] if match else custom.partition(" ")[0]
    if not root:
        raise BadRow("derivative without an underlying")
    return root.upper()


@lru_cache(maxsize=4096)
def _expiry(text: str) -> tuple[date, str]:
    """The day of `yyyy-mm-dd hh:mm:ss` and how our rows spell it; a list has some hundred different ones."""
    day = iso_day(text[:10])
    if text[10:11].strip() or day.year < 2000:
        raise BadRow("bad expiry")
    return day, format_expiry(day)


def _number(text: str, what: str) -> float:
    """A number of rupees, paise or units, not negative; an empty cell is 0."""
    found = number(text, what)
    if found >= _LARGEST:
        raise BadRow(f"bad {what}")
    return found
