"""Groww's instrument list: one public CSV file of all exchanges (specification section 9)."""

import csv
import logging
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from math import isfinite
from typing import NamedTuple

from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList, ListFormatError

log = logging.getLogger(__name__)

_EXCHANGES = {
    ("NSE", "CASH"): "NSE",
    ("BSE", "CASH"): "BSE",
    ("NSE", "FNO"): "NFO",
    ("BSE", "FNO"): "BFO",
    ("MCX", "COMMODITY"): "MCX",
}
_INDEX_NAMES = {
    "NIFTYJR": "NIFTYNXT50",
    "NIFTYMIDSELECT": "MIDCPNIFTY",
    "NIFTYMIDCAP": "NIFTYMIDCAP100",
    "NIFTYSMALL": "NIFTYSMLCAP100",
    "NIFTYSMALLCAP250": "NIFTYSMLCAP250",
    "NIFTYCDTY": "NIFTYCOMMODITIES",
    "MIDCAP50": "NIFTYMIDCAP50",
    "BSESMLCAP": "BSESMALLCAP",
}
"""Trading symbols of indices that differ from ours; those of other rows are never renamed."""
_SERIES_RANKS = {"EQ": 0, "BE": 1, "BZ": 2, "SM": 3, "ST": 4}
_OTHER_SERIES = 5
_COARSE_TICK = 1.0
"""Rupees: right for shares above 10,000 rupees, but Groww's documentation shows paise once."""


class _Row(NamedTuple):
    """The columns that are read, by their names in the file; the order has changed between versions."""

    exchange: str
    exchange_token: str
    trading_symbol: str
    instrument_type: str
    segment: str
    underlying_symbol: str
    expiry_date: str
    strike_price: str
    lot_size: str
    tick_size: str
    series: str
    name: str


class _BadRow(Exception):
    """A row that becomes no instrument; its text is the reason that is counted."""


class GrowwInstruments(InstrumentList):
    """The file of all exchanges. MCX is listed, but has no feed."""

    needs_login = False
    default_urls = {"instruments": "https://growwapi-assets.groww.in/instruments/instrument.csv"}

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        return [Download(url=self.urls["instruments"], filename="instrument.csv")]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        # Line by line, so that a stray quote spoils its own row only.
        lines = data.decode("utf-8-sig", errors="replace").split("\n")
        header = [column.strip() for column in lines[0].split(",")]
        if missing := [column for column in _Row._fields if column not in header]:
            kind = "an error answer of the broker" if data.lstrip()[:1] in (b"{", b"<") else "another file"
            raise ListFormatError(f"{filename} is not Groww's instrument list but {kind}: no column {missing[0]!r}")
        return self._instruments(lines, header)

    def _instruments(self, lines: list[str], header: list[str]) -> Iterator[Instrument]:
        # A share may be listed in several series, of which the best may come last: shares wait for the end.
        shares: dict[tuple[str, str], tuple[int, Instrument]] = {}
        names: set[tuple[str, str]] = set()
        tokens: set[tuple[str, str]] = set()
        coarse = 0
        for row in self._rows(lines, header):
            try:
                instrument = _instrument(row)
                key = (instrument.exchange, instrument.token)
                if key in tokens:
                    raise _BadRow("repeated token")
            except _BadRow as reason:
                self.skipped[str(reason)] += 1
                continue
            tokens.add(key)
            name = (instrument.symbol, instrument.exchange)
            if instrument.instrumenttype == "EQ":
                coarse += instrument.tick_size >= _COARSE_TICK
                rank = _SERIES_RANKS.get(row.series.strip(), _OTHER_SERIES)
                held = shares.get(name)
                if held is not None:
                    self.skipped["another series of the same symbol"] += 1
                if held is None or rank < held[0]:
                    shares[name] = rank, instrument
            elif name in names:
                self.skipped["repeated symbol"] += 1
            else:
                names.add(name)
                yield instrument
        if coarse:
            log.warning("Groww lists %d shares with ticks of a rupee or more; they are taken as they stand", coarse)
        for _, share in shares.values():
            yield share

    def _rows(self, lines: list[str], header: list[str]) -> Iterator[_Row]:
        columns = [header.index(column) for column in _Row._fields]
        width = len(header)
        for number in range(1, len(lines)):
            line = lines[number].rstrip("\r")
            if not line:
                continue
            try:
                cells = line.split(",") if '"' not in line else next(csv.reader((line,), strict=True))
            except csv.Error:
                self.skipped["broken quotes"] += 1
                continue
            if len(cells) == width:
                yield _Row._make([cells[column] for column in columns])
            else:
                self.skipped["wrong number of columns"] += 1


def _instrument(row: _Row) -> Instrument:
    """One row in our terms; raises _BadRow."""
    brexchange, token, brsymbol, kind = (
        row.exchange,
        row.exchange_token.strip(),
        row.trading_symbol,
        row.instrument_type,
    )
    brsymbol = brsymbol.strip()
    if not brsymbol:
        raise _BadRow("no trading symbol")
    if not token:
        raise _BadRow("no exchange token")
    exchange = _EXCHANGES.get((brexchange, row.segment))
    if exchange is None:
        raise _BadRow("unknown exchange or segment")
    root = row.underlying_symbol.strip()
    expiry, strike = "", 0.0
    if row.segment == "CASH":
        if kind == "IDX":
            exchange += "_INDEX"
            symbol, kind = _INDEX_NAMES.get(brsymbol, brsymbol), "INDEX"
        else:
            symbol, kind = brsymbol, "EQ"
    elif kind in ("FUT", "CE", "PE"):
        if not root:
            raise _BadRow("derivative without an underlying")
        day, expiry = _expiry(row.expiry_date.strip())
        if kind != "FUT":
            strike = _number(row.strike_price, "strike")
            if not strike:
                raise _BadRow("bad strike")
        symbol = derivative_symbol(root, day, kind, strike)
    else:
        raise _BadRow("unknown instrument type")
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=token,
        brexchange=brexchange,
        brsymbol=brsymbol,
        name=row.name.strip() or root,
        expiry=expiry,
        strike=strike,
        lotsize=int(_number(row.lot_size, "lot size")),
        instrumenttype=kind,
        tick_size=_number(row.tick_size, "tick size"),
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
