"""INDmoney's instrument lists: CSV files of shares, derivatives and indices (specification section 9)."""

import logging
import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache

from tickmux.broker._list_rows import MONTHS, BadRow, CsvTable, is_digits, number
from tickmux.broker._share_names import first_name, named
from tickmux.broker.indmoney.streaming.indmoney_adapter import IndmoneyAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList

log = logging.getLogger(__name__)

_SOURCES = {"equity": ("NSE", "BSE"), "fno": ("NFO", "BFO"), "index": ("NSE_INDEX", "BSE_INDEX")}
_INDEX_COLUMNS = ("EXCH", "SEGMENT", "SECURITY_ID")
_COLUMNS = (
    *_INDEX_COLUMNS, "INSTRUMENT_NAME", "TRADING_SYMBOL", "LOT_UNITS", "EXPIRY_DATE", "STRIKE_PRICE",
    "OPTION_TYPE", "TICK_SIZE", "SYMBOL_NAME", "SERIES",
)  # fmt: skip

_DERIVATIVE_EXCHANGES = {"NSE": "NFO", "BSE": "BFO"}
_FUTURES = frozenset({"FUTSTK", "FUTIDX"})
_OPTIONS = frozenset({"OPTSTK", "OPTIDX"})
_INDEX_TICK = 0.05
_INDEX_NAMES = {
    "NIFTY 50": "NIFTY",
    "BANK NIFTY": "BANKNIFTY",
    "NIFTY FINANCIAL": "FINNIFTY",
    "NIFTY MIDCAP SEL": "MIDCPNIFTY",
    "NIFTY NEXT 50": "NIFTYNXT50",
    "INDIA VIX": "INDIAVIX",
    "S&P BSE SENSEX": "SENSEX",
    "S&P BSE BANKEX": "BANKEX",
    "S&P BSE SENSEX 50": "SENSEX50",
}
"""Index names that do not simply lose their blanks, upper case, to our symbols."""

_TITLE = "one of INDmoney's instrument lists"
_BASE = re.compile(r"(.+?)-[A-Z]{3}[0-9]{4}-")
"""`NIFTY-AUG2025-25000-CE`; a base may have a hyphen of its own."""
_YEAR_FIRST = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})(?![0-9])")
_DAY_FIRST = re.compile(r"([0-9]{2})-([0-9]{2}|[A-Z]{3})-([0-9]{4})(?![0-9])")


class IndmoneyInstruments(InstrumentList):
    """Three files. An id repeats across segments: only (segment, id) names an instrument."""

    needs_login = True
    default_urls = IndmoneyAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        if credentials is None:
            raise ValueError("INDmoney's instrument lists need a login")
        headers = {"Authorization": credentials["access_token"]}
        url = f"{self.urls['api']}/market/instruments"
        return [
            Download(url=f"{url}?source={source}", filename=f"{source}.csv", headers=headers, exchanges=exchanges)
            for source, exchanges in _SOURCES.items()
        ]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        is_index = b"INSTRUMENT_NAME" not in data.partition(b"\n")[0]
        table = CsvTable(data, _INDEX_COLUMNS if is_index else _COLUMNS, filename, _TITLE)
        return named(self._rows(table, is_index, filename), self.skipped)

    def _rows(self, table: CsvTable, is_index: bool, filename: str) -> Iterator[Instrument]:
        in_paise = 0
        for line in table.lines():
            try:
                cells = [cell.strip() for cell in table.cells(line)]
                instrument, rescaled = (_index(*cells), False) if is_index else _instrument(*cells)
            except BadRow as reason:
                self.skipped[str(reason)] += 1
                continue
            in_paise += rescaled
            yield instrument
        if in_paise:
            log.warning("%s: the tick sizes of %d shares were taken as paise", filename, in_paise)


def _index(brexchange: str, name: str, token: str) -> Instrument:
    """One row of the index list; its SEGMENT column holds the name."""
    _check(brexchange, token)
    upper = " ".join(name.upper().split())
    if not upper:
        raise BadRow("no symbol")
    return Instrument(
        symbol=_INDEX_NAMES.get(upper, upper.replace(" ", "")),
        exchange=f"{brexchange}_INDEX",
        token=token,
        brexchange=brexchange,
        brsymbol=name,
        name=name,
        lotsize=1,
        instrumenttype="INDEX",
        tick_size=_INDEX_TICK,
    )


def _instrument(
    brexchange: str,
    segment: str,
    token: str,
    broker_kind: str,
    brsymbol: str,
    lot_text: str,
    expiry_text: str,
    strike_text: str,
    option_type: str,
    tick_text: str,
    name: str,
    series: str,
) -> tuple[Instrument, bool]:
    """One row of shares or derivatives, and whether its tick size was taken as paise; raises BadRow."""
    _check(brexchange, token)
    if not brsymbol:
        raise BadRow("no symbol")
    expiry, strike, rescaled = "", 0.0, False
    tick_size = number(tick_text, "tick size")
    if segment == "E" and broker_kind == "EQUITY":
        exchange, kind, symbol = brexchange, "EQ", first_name(brsymbol, name)
        if tick_size >= 1:
            tick_size, rescaled = round(tick_size / 100, 6), True
    elif segment in ("FNO", "D") and (broker_kind in _FUTURES or broker_kind in _OPTIONS):
        exchange, kind = _DERIVATIVE_EXCHANGES[brexchange], "FUT"
        base = _BASE.match(brsymbol.upper())
        if base is None:
            raise BadRow("derivative without an underlying")
        day = _expiry(expiry_text)
        expiry, name = format_expiry(day), base[1]
        if broker_kind in _OPTIONS:
            kind = option_type
            if kind not in ("CE", "PE"):
                raise BadRow("option that is neither call nor put")
            strike = number(strike_text, "strike")
            if not strike:
                raise BadRow("bad strike")
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
        lotsize=int(number(lot_text, "lot size")),
        instrumenttype=kind,
        tick_size=tick_size,
        series=series if kind == "EQ" else "",
    ), rescaled


def _check(brexchange: str, token: str) -> None:
    if brexchange not in _DERIVATIVE_EXCHANGES:
        raise BadRow("exchange that is not served")
    if not is_digits(token) or len(token) > 20:
        raise BadRow("no security id")


@lru_cache(maxsize=4096)
def _expiry(text: str) -> date:
    """The day of `2025-08-28`, `28-08-2025` or `28-Aug-2025`, with or without a time after it."""
    try:
        if found := _YEAR_FIRST.match(text):
            return date(int(found[1]), int(found[2]), int(found[3]))
        if found := _DAY_FIRST.match(text.upper()):
            month = found[2]
            return date(int(found[3]), int(month) if month.isdigit() else MONTHS.index(month) + 1, int(found[1]))
    except ValueError:
        pass
    raise BadRow("bad expiry")
