"""Zerodha's instrument list: one CSV file of all exchanges (specification section 9)."""

import csv
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from math import isfinite

from tickmux.broker._index_names import bse_index_symbol
from tickmux.broker.zerodha.streaming.zerodha_adapter import ZerodhaAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry, nse_index_symbol
from tickmux.instrument_list import Download, InstrumentList, ListFormatError

_COLUMNS = (
    "instrument_token", "tradingsymbol", "name", "expiry", "strike",
    "tick_size", "lot_size", "instrument_type", "segment", "exchange",
)  # fmt: skip

_EXCHANGES = frozenset({"NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO"})
_INDEX_EXCHANGES = {
    "NSE": "NSE_INDEX",
    "BSE": "BSE_INDEX",
    "MCX": "MCX_INDEX",
    "GLOBAL": "GLOBAL_INDEX",
    "NSEIX": "GLOBAL_INDEX",
}


class _BadRow(Exception):
    """A row that becomes no instrument; its text is the reason that is counted."""


class ZerodhaInstruments(InstrumentList):
    """The dump of all exchanges, about 100,000 rows, made once a day at about 08:00 IST."""

    needs_login = True
    default_urls = ZerodhaAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        if credentials is None:
            raise ValueError("Zerodha's instrument list needs a login")
        headers = {
            "X-Kite-Version": "3",
            "Authorization": f"token {credentials['api_key']}:{credentials['access_token']}",
        }
        return [Download(url=f"{self.urls['api']}/instruments", filename="instruments.csv", headers=headers)]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        # Line by line, so that a stray quote spoils its own row only.
        lines = data.decode("utf-8-sig", errors="replace").split("\n")
        header = [column.strip() for column in lines[0].split(",")]
        if missing := [column for column in _COLUMNS if column not in header]:
            kind = "an error answer of the broker" if data.lstrip()[:1] in (b"{", b"<") else "another file"
            raise ListFormatError(f"{filename} is not Zerodha's instrument list but {kind}: no column {missing[0]!r}")
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
                yield _instrument(*[cells[column] for column in columns])
            except csv.Error:
                self.skipped["broken quotes"] += 1
            except _BadRow as reason:
                self.skipped[str(reason)] += 1


def _instrument(
    token: str,
    brsymbol: str,
    name: str,
    expiry_text: str,
    strike_text: str,
    tick_text: str,
    lot_text: str,
    kind: str,
    segment: str,
    brexchange: str,
) -> Instrument:
    """One row in our terms; raises _BadRow."""
    if not (token.isascii() and token.isdigit()):
        raise _BadRow("no instrument token")
    if not brsymbol:
        raise _BadRow("no trading symbol")
    name = name.strip()
    expiry, strike = "", 0.0
    if segment == "INDICES":
        exchange = _INDEX_EXCHANGES.get(brexchange, "")
        symbol = bse_index_symbol(brsymbol) if exchange == "BSE_INDEX" else nse_index_symbol(brsymbol)
        kind = "INDEX"
    else:
        exchange = brexchange if brexchange in _EXCHANGES else ""
        if kind == "EQ":
            symbol = brsymbol
        elif kind in ("FUT", "CE", "PE"):
            # The trading symbol of a derivative is never parsed: weekly options compress the date.
            if not name:
                raise _BadRow("derivative without an underlying")
            day, expiry = _expiry(expiry_text)
            if kind != "FUT":
                strike = _number(strike_text, "strike")
                if not strike:
                    raise _BadRow("bad strike")
            symbol = derivative_symbol(name, day, kind, strike)
        else:
            raise _BadRow("unknown instrument type")
    if not exchange:
        raise _BadRow("unknown exchange")
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


@lru_cache(maxsize=4096)
def _expiry(text: str) -> tuple[date, str]:
    """The day of `yyyy-mm-dd` and how our rows spell it; a list has some hundred different ones."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise _BadRow("bad expiry") from None
    if day.isoformat() != text:  # ISO's other spellings (week dates) are none of this list's
        raise _BadRow("bad expiry")
    return day, format_expiry(day)


def _number(text: str, what: str) -> float:
    """A number of rupees or units, not negative; an empty cell is 0."""
    try:
        number = float(text or 0)
    except ValueError:
        number = -1.0
    if number < 0 or not isfinite(number):
        raise _BadRow(f"bad {what}")
    return number
