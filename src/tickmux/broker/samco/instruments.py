"""Samco's instrument list: one CSV file of everything but the indices (specification section 9)."""

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from itertools import chain

from tickmux.broker._list_rows import MONTHS, BadRow, CsvTable, instruments, is_digits, number
from tickmux.broker._share_names import first_name, named, split_nse_symbol
from tickmux.broker.samco.index_table import indices
from tickmux.broker.samco.streaming.samco_adapter import SamcoAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList

_COLUMNS = (
    "exchange", "symbolCode", "tradingSymbol", "name", "instrument", "lotSize", "strikePrice", "expiryDate",
    "tickSize",
)  # fmt: skip

_EXCHANGES = {"NSE": "NSE", "BSE": "BSE", "NFO": "NFO", "BFO": "BFO", "CDS": "CDS", "MFO": "MCX"}
_CASH = frozenset({"NSE", "BSE"})

_OPTION = re.compile(r".+(CE|PE)", re.DOTALL)
_STRIKE_AND_KIND = re.compile(r".*\d(?:CE|PE)", re.DOTALL | re.ASCII)
_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4}|\d{2})", re.ASCII)
_NAMED = re.compile(r"(\d{1,2})-([A-Z]{3})-(\d{4})", re.ASCII)
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)


class SamcoInstruments(InstrumentList):
    """The list of all exchanges, about 180,000 rows. It needs no login; the indices come from a table of ours."""

    needs_login = False
    default_urls = SamcoAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        return [Download(url=self.urls["master"], filename="ScripMaster.csv")]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        table = CsvTable(data, _COLUMNS, filename, "Samco's instrument list")
        rows = instruments(table.lines(), lambda line: _instrument(*map(str.strip, table.cells(line))), self.skipped)
        return chain(named(rows, self.skipped), indices())


def _instrument(
    brexchange: str,
    token: str,
    brsymbol: str,
    name: str,
    kind: str,
    lot_text: str,
    strike_text: str,
    expiry_text: str,
    tick_text: str,
) -> Instrument:
    """One row in our terms; raises BadRow."""
    exchange = _EXCHANGES.get(brexchange, "")
    if not exchange:
        raise BadRow("unknown exchange")
    digits, _, segment = token.partition("_")
    if segment != brexchange or not is_digits(digits):
        raise BadRow("no token of its exchange")
    if not brsymbol:
        raise BadRow("no trading symbol")
    strike = number(strike_text, "strike")
    expiry, series = "", ""
    kind = kind.upper()
    if brexchange in _CASH:
        symbol, strike = brsymbol.removesuffix("-EQ"), 0.0
        if exchange == "NSE":
            symbol, series = split_nse_symbol(brsymbol, "EQ")
        if kind not in ("EQ", series or "EQ"):
            raise BadRow("instrument type that is not served")
        kind = "EQ"
        symbol = first_name(symbol, name)
    else:
        if not name:
            raise BadRow("derivative without an underlying")
        kind = _derivative_kind(brexchange, brsymbol.upper(), kind, strike, expiry_text)
        day, expiry = _expiry(expiry_text)
        strike = 0.0 if kind == "FUT" else strike
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
        lotsize=int(number(lot_text, "lot size")),
        instrumenttype=kind,
        tick_size=number(tick_text, "tick size"),
        series=series,
    )


def _derivative_kind(brexchange: str, brsymbol: str, kind: str, strike: float, expiry: str) -> str:
    """FUT, CE or PE: by the trading symbol, since BFO has instrument codes of its own."""
    if strike and _OPTION.fullmatch(brsymbol):
        return brsymbol[-2:]
    if brsymbol.endswith("FUT"):
        return "FUT"
    if kind.startswith("OPT") or _STRIKE_AND_KIND.fullmatch(brsymbol):
        raise BadRow("bad strike" if not strike else "option that is neither call nor put")
    if "FUT" in kind or (brexchange == "BFO" and expiry and not strike):
        return "FUT"
    raise BadRow("instrument type that is not served")


@lru_cache(maxsize=4096)
def _expiry(text: str) -> tuple[date, str]:
    """The day of `28/08/25`, `28/08/2025`, `28-Aug-2025` or `2025-08-28`, and how our rows spell it."""
    try:
        if found := _SLASHED.fullmatch(text):
            day, month, year = found.groups()
            there = date(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day))
        elif found := _NAMED.fullmatch(text.upper()):
            day, month, year = found.groups()
            there = date(int(year), MONTHS.index(month) + 1, int(day))
        elif found := _ISO.fullmatch(text):
            year, month, day = found.groups()
            there = date(int(year), int(month), int(day))
        else:
            raise BadRow("bad expiry")
    except ValueError:
        raise BadRow("bad expiry") from None
    return there, format_expiry(there)
