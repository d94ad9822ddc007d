"""Paytm Money's instrument list: one CSV file of everything (specification section 9)."""

import csv
import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from math import isfinite

from tickmux.broker.paytm.streaming.paytm_adapter import PaytmAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList, ListFormatError

_COLUMNS = (
    "security_id", "symbol", "name", "tick_size", "lot_size", "instrument_type", "exchange", "expiry_date",
    "strike_price",
)  # fmt: skip

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

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DAY_FIRST = re.compile(r"([0-9]{2})-([0-9]{2}|[A-Z]{3})-([0-9]{4})")


class _BadRow(Exception):
    """A row that becomes no instrument; its text is the reason that is counted."""


class PaytmInstruments(InstrumentList):
    """The security master of both exchanges. It needs no login. Ids repeat between shares and indices."""

    needs_login = False
    default_urls = PaytmAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        return [Download(url=self.urls["instruments"], filename="security_master.csv")]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        # Line by line, so that a stray quote spoils its own row only.
        lines = data.decode("utf-8-sig", errors="replace").split("\n")
        header = [column.strip().strip('"').strip() for column in lines[0].split(",")]
        if missing := [column for column in _COLUMNS if column not in header]:
            kind = "an error answer of the broker" if data.lstrip()[:1] in (b"{", b"<") else "another file"
            raise ListFormatError(
                f"{filename} is not Paytm Money's security master but {kind}: no column {missing[0]!r}"
            )
        return self._rows(lines, header)

    def _rows(self, lines: list[str], header: list[str]) -> Iterator[Instrument]:
        columns = [header.index(column) for column in _COLUMNS]
        width = len(header)
        for number in range(1, len(lines)):
            line = lines[number].rstrip("\r")
            if not line:
                continue
            try:
                cells = line.split(",") if '"' not in line else next(csv.reader((line,), strict=True))
                if len(cells) != width:
                    raise _BadRow("wrong number of columns")
                yield _instrument(*[cells[column].strip() for column in columns])
            except csv.Error:
                self.skipped["broken quotes"] += 1
            except _BadRow as reason:
                self.skipped[str(reason)] += 1


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
) -> Instrument:
    """One row in our terms; raises _BadRow."""
    if brexchange not in _DERIVATIVE_EXCHANGES:
        raise _BadRow("exchange that is not served")
    if not (token.isascii() and token.isdigit() and len(token) <= 10) or int(token) > _LARGEST_ID:
        raise _BadRow("no security id")
    expiry, strike = "", 0.0
    if broker_kind in _CASH_TYPES:
        exchange, kind, symbol = brexchange, _CASH_TYPES[broker_kind], brsymbol
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
            raise _BadRow("derivative without an underlying")
        name = name.split()[0]
        day = _expiry(expiry_text)
        expiry = format_expiry(day)
        kind = "FUT"
        if broker_kind in _OPTIONS:
            kind = _option_kind(words)
            strike = _number(strike_text, "strike")
            if not strike:
                raise _BadRow("bad strike")
        symbol = derivative_symbol(name, day, kind, strike)
    else:
        raise _BadRow("instrument type that is not served")
    if not symbol or not brsymbol:
        raise _BadRow("no symbol")
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
        tick_size=_number(tick_text, "tick size"),
    )


def _option_kind(words: list[str]) -> str:
    """CE or PE by the words of a name; its first, the underlying's, may contain anything."""
    rest = " ".join(words[1:])
    if "CALL" in rest:
        return "CE"
    if "PUT" in rest:
        return "PE"
    if words[-1] not in ("CE", "PE"):
        raise _BadRow("option that is neither call nor put")
    return words[-1]


@lru_cache(maxsize=4096)
def _expiry(text: str) -> date:
    """The day of `2026-12-29`, `29-12-2026` or `29-Dec-2026`."""
    try:
        if _ISO.fullmatch(text):
            return date.fromisoformat(text)
        if found := _DAY_FIRST.fullmatch(text.upper()):
            day, month, year = found.groups()
            return date(int(year), int(month) if month.isdigit() else _MONTHS.index(month) + 1, int(day))
    except ValueError:
        pass
    raise _BadRow("bad expiry")


def _number(text: str, what: str) -> float:
    """A number of rupees or units, not negative; an empty cell is 0."""
    try:
        number = float(text or 0)
    except ValueError:
        number = -1.0
    if number < 0 or not isfinite(number):
        raise _BadRow(f"bad {what}")
    return number
