"""Groww's instrument list: one public CSV file of all exchanges (specification section 9)."""

import logging
from collections.abc import Iterator
from typing import NamedTuple

from tickmux.broker._list_rows import BadRow, CsvTable, iso_day, number
from tickmux.broker._share_names import first_name, named
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList

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


class GrowwInstruments(InstrumentList):
    """The file of all exchanges. MCX is listed, but has no feed."""

    needs_login = False
    default_urls = {"instruments": "https://growwapi-assets.groww.in/instruments/instrument.csv"}

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        return [Download(url=self.urls["instruments"], filename="instrument.csv")]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        table = CsvTable(data, _Row._fields, filename, "Groww's instrument list")
        return named(self._instruments(table), self.skipped)

    def _instruments(self, table: CsvTable) -> Iterator[Instrument]:
        names: set[tuple[str, str, str]] = set()
        tokens: set[tuple[str, str]] = set()
        coarse = 0
        for line in table.lines():
            try:
                row = _Row._make(table.cells(line))
                instrument = _instrument(row)
                key = (instrument.exchange, instrument.token)
                if key in tokens:
                    raise BadRow("repeated token")
            except BadRow as reason:
                self.skipped[str(reason)] += 1
                continue
            tokens.add(key)
            name = (instrument.symbol, instrument.exchange, instrument.series)
            if instrument.instrumenttype == "EQ":
                coarse += instrument.tick_size >= _COARSE_TICK
            if name in names:
                self.skipped["repeated symbol"] += 1
            else:
                names.add(name)
                yield instrument
        if coarse:
            log.warning("Groww lists %d shares with ticks of a rupee or more; they are taken as they stand", coarse)


def _instrument(row: _Row) -> Instrument:
    """One row in our terms; raises BadRow."""
    brexchange, token, brsymbol, kind = (
        cell.strip() for cell in (row.exchange, row.exchange_token, row.trading_symbol, row.instrument_type)
    )
    if not brsymbol:
        raise BadRow("no trading symbol")
    if not token:
        raise BadRow("no exchange token")
    segment = row.segment.strip()
    exchange = _EXCHANGES.get((brexchange, segment))
    if exchange is None:
        raise BadRow("unknown exchange or segment")
    root = row.underlying_symbol.strip()
    expiry, strike, series = "", 0.0, ""
    if segment == "CASH":
        if kind == "IDX":
            exchange += "_INDEX"
            symbol, kind = _INDEX_NAMES.get(brsymbol, brsymbol), "INDEX"
        else:
            kind, series = "EQ", row.series.strip()
            symbol = first_name(brsymbol, row.name.strip())
    elif kind in ("FUT", "CE", "PE"):
        if not root:
            raise BadRow("derivative without an underlying")
        day = iso_day(row.expiry_date.strip())
        expiry = format_expiry(day)
        if kind != "FUT":
            strike = number(row.strike_price, "strike")
            if not strike:
                raise BadRow("bad strike")
        symbol = derivative_symbol(root, day, kind, strike)
    else:
        raise BadRow("unknown instrument type")
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=token,
        brexchange=brexchange,
        brsymbol=brsymbol,
        name=row.name.strip() or root,
        expiry=expiry,
        strike=strike,
        lotsize=int(number(row.lot_size, "lot size")),
        instrumenttype=kind,
        tick_size=number(row.tick_size, "tick size"),
        series=series,
    )
