"""Paytm Money's instrument list: one CSV file of everything (specification section 9)."""

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache

from tickmux.broker._list_rows import MONTHS, BadRow, CsvTable, instruments, is_digits, number
from tickmux.broker._share_names import first_name, named
from tickmux.broker.paytm.streaming.paytm_adapter import PaytmAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList

_COLUMNS = (
    "security_id", "symbol", "name", "tick_size", "lot_size", "instrument_type", "exchange", "expiry_date",
    "strike_price",
)  # fmt: skip
_SERIES = "series"
"""A column that the list is good without."""

_CASH_TYPES = {"ES": "EQ", "ETF": "ETF"}
_FUTURES = frozenset({"FUTIDX", "FUTSTK"})
_OPTIONS = frozenset({"OPTIDX", "OPTSTK"})
_DERIVATIVE_EXCHANGES = {"NSE": "NFO", "BSE": "BFO"}
_LARGEST_ID = (1 << 32) - 1

_INDEX_NAMES = {
    "NIFTY50": "NIFTY",
    "NIFTYBANK": "BANKNIFTY",
    "NIFTYNEXT50": "NIFTYNXT50",
    "NIFTYMIDSELECT": "MIDCPNIFTY",
    "NIFTYMCAP50": "NIFTYMIDCAP50",
    "NIFTYSMALLCAP250": "NIFTYSMLCAP250",
}
_BSE_INDEX_NAMES = {
    "SNSX50": "SENSEX50",
    "SNXT50": "BSESENSEXNEXT50",
    "AUTO": "BSEAUTO",
    "BSECD": "BSECONSUMERDURABLES",
    "BSECG": "BSECAPITALGOODS",
    "BSEFMC": "BSEFASTMOVINGCONSUMERGOODS",
    "BSEHC": "BSEHEALTHCARE",
    "BSEIT": "BSEINFORMATIONTECHNOLOGY",
    "ENERGY": "BSEENERGY",
    "FINSER": "BSEFINANCIALSERVICES",
    "METAL": "BSEMETAL",
    "MIDCAP": "BSEMIDCAP",
    "OILGAS": "BSEOIL&GAS",
    "POWER": "BSEPOWER",
    "REALTY": "BSEREALTY",
    "SMLCAP": "BSESMALLCAP",
    "TECK": "BSETECK",
    "TELCOM": "BSETELECOM",
}
"""Index names, upper case without spaces, to our symbols; every other name stays as it is."""

_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY_FIRST = re.compile(r"([0-9]{2})-([0-9]{2}|[A-Z]{3})-([0-9]{4})")


class PaytmInstruments(InstrumentList):
    """The security master of both exchanges. It needs no login. Ids repeat between shares and indices."""

    needs_login = False
    default_urls = PaytmAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        return [Download(url=self.urls["instruments"], filename="security_master.csv")]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        has_series = _SERIES in data.partition(b"\n")[0].decode("utf-8", "replace")
        columns = (*_COLUMNS, _SERIES) if has_series else _COLUMNS
        table = CsvTable(data, columns, filename, "Paytm Money's security master")
        rows = instruments(table.lines(), lambda line: _instrument(*map(str.strip, table.cells(line))), self.skipped)
        return named(rows, self.skipped)


def _instrument(
    token: str,
    brsymbol: str,
    name: str,
    tick_text: str,
    lot_text: str,
    broker_kind: str,
    brexchange: str,
    expiry_text: str,
    strike_text: str,
    series: str = "",
) -> Instrument:
    """One row in our terms; raises BadRow."""
    if brexchange not in _DERIVATIVE_EXCHANGES:
        raise BadRow("exchange that is not served")
    if not (is_digits(token) and len(token) <= 10) or int(token) > _LARGEST_ID:
        raise BadRow("no security id")
    expiry, strike = "", 0.0
    if broker_kind in _CASH_TYPES:
        exchange, kind = brexchange, _CASH_TYPES[broker_kind]
        symbol = first_name(brsymbol, name)
    elif broker_kind == "I":
        exchange, kind = f"{brexchange}_INDEX", "INDEX"
        brsymbol = "".join(name.upper().split())
        symbol = _INDEX_NAMES.get(brsymbol, brsymbol)
        if brexchange == "BSE":
            symbol = _BSE_INDEX_NAMES.get(brsymbol, symbol)
    elif broker_kind in _FUTURES or broker_kind in _OPTIONS:
        exchange = _DERIVATIVE_EXCHANGES[brexchange]
        words = name.upper().split()
        if not words:
            raise BadRow("derivative without an underlying")
        name = name.split()[0]
        day = _expiry(expiry_text)
        expiry = format_expiry(day)
        kind = "FUT"
        if broker_kind in _OPTIONS:
            kind = _option_kind(words)
            strike = number(strike_text, "strike")
            if not strike:
                raise BadRow("bad strike")
        symbol = derivative_symbol(name, day, kind, strike)
    else:
        raise BadRow("instrument type that is not served")
    if not symbol or not brsymbol:
        raise BadRow("no symbol")
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
        series=series if exchange in ("NSE", "BSE") else "",
    )


def _option_kind(words: list[str]) -> str:
    """CE or PE by the words of a name; its first, the underlying's, may contain anything."""
    rest = " ".join(words[1:])
    if "CALL" in rest:
        return "CE"
    if "PUT" in rest:
        return "PE"
    if words[-1] not in ("CE", "PE"):
        raise BadRow("option that is neither call nor put")
    return words[-1]


@lru_cache(maxsize=4096)
def _expiry(text: str) -> date:
    """The day of `2026-12-29`, `29-12-2026` or `29-Dec-2026`."""
    try:
        if _ISO.fullmatch(text):
            return date.fromisoformat(text)
        if found := _DAY_FIRST.fullmatch(text.upper()):
            day, month, year = found.groups()
            return date(int(year), int(month) if month.isdigit() else MONTHS.index(month) + 1, int(day))
    except ValueError:
        pass
    raise BadRow("bad expiry")
