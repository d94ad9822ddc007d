"""5paisa's scrip master: one CSV file of all exchanges (specification section 9)."""

from collections.abc import Iterator
from datetime import date

from tickmux.broker._list_rows import BadRow, CsvTable, is_digits, iso_day, number
from tickmux.broker._share_names import first_name, named
from tickmux.broker.fivepaisa.index_names import index_symbol
from tickmux.broker.fivepaisa.streaming.fivepaisa_adapter import FivepaisaAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList, ListFormatError

_COLUMNS = (
    "Exch", "ExchType", "ScripCode", "Name", "Expiry", "ScripType", "StrikeRate", "TickSize", "LotSize",
    "SymbolRoot", "Series",
)  # fmt: skip

_EXCHANGES = {
    ("N", "C"): "NSE",
    ("B", "C"): "BSE",
    ("N", "D"): "NFO",
    ("B", "D"): "BFO",
    ("N", "U"): "CDS",
    ("B", "U"): "BCD",
    ("M", "D"): "MCX",
}
_CASH = ("NSE", "BSE")
_CONTRACT_SERIES = frozenset({"EQ", "BE", "XX", "  "})
"""Derivatives have XX or two blanks; the column must not be stripped before the look."""
_KINDS = {"XX": "FUT", "CE": "CE", "PE": "PE"}
_LAST_SHARE = 999_900
"""Higher codes of the cash segments are indices."""
_FAILURES = (b"Invalid segment", b"Cache not available for segment")


class FivepaisaInstruments(InstrumentList):
    """The scrip master needs no login. The same contract may be listed under several codes: one of them counts."""

    needs_login = False
    default_urls = FivepaisaAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        return [Download(url=f"{self.urls['api']}/ScripMaster/segment/all", filename="scripmaster.csv")]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        if data.lstrip(b'" \r\n').startswith(_FAILURES):
            raise ListFormatError(f"{filename}: 5paisa has no scrip master to give right now; try again later")
        return named(self._rows(CsvTable(data, _COLUMNS, filename, "5paisa's scrip master")), self.skipped)

    def _rows(self, table: CsvTable) -> Iterator[Instrument]:
        chosen: dict[tuple[str, str, str], tuple[int, Instrument]] = {}
        for line in table.lines():
            try:
                instrument, rank = _instrument(*table.cells(line))
            except BadRow as reason:
                self.skipped[str(reason)] += 1
                continue
            name = (instrument.symbol, instrument.exchange, instrument.series)
            if name in chosen:
                self.skipped["listed under another code"] += 1
            if name not in chosen or rank > chosen[name][0]:
                chosen[name] = (rank, instrument)
        for _, instrument in chosen.values():
            yield instrument


def _instrument(
    exchange_text: str,
    segment_text: str,
    code_text: str,
    name: str,
    expiry_text: str,
    scrip_type: str,
    strike_text: str,
    tick_text: str,
    lot_text: str,
    root: str,
    series: str,
) -> tuple[Instrument, int]:
    """One row in our terms, and its rank among rows of the same name, the highest of which counts."""
    exchange = _EXCHANGES.get((exchange_text.strip(), segment_text.strip()))
    if exchange is None:
        raise BadRow("exchange that is not served")
    code_text, brsymbol, root = code_text.strip(), name.rstrip().upper(), root.strip()
    if not is_digits(code_text) or len(code_text) > 18:
        raise BadRow("no scrip code")
    code = int(code_text)
    if not root or not brsymbol:
        raise BadRow("no symbol")
    rank = code
    expiry, strike = "", 0.0
    if exchange in _CASH and code > _LAST_SHARE:
        exchange, kind, symbol = f"{exchange}_INDEX", "INDEX", index_symbol(root)
        rank, series = 0, ""  # all alike: the first row stays
    elif exchange in _CASH:
        kind, series = "EQ", series.strip().upper()
        if not series or series == "XX":
            raise BadRow("series that is not served")
        symbol = first_name(root, brsymbol)
    else:
        if series not in _CONTRACT_SERIES:
            raise BadRow("series that is not served")
        series = ""
        kind = _KINDS.get(scrip_type.strip(), "")
        if not kind:
            raise BadRow("scrip type that is not served")
        day = _expiry(expiry_text.strip()[:10])
        expiry = format_expiry(day)
        if kind != "FUT":
            strike = number(strike_text.strip(), "strike")
            if not strike:
                raise BadRow("bad strike")
        symbol = derivative_symbol(root, day, kind, strike)
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=str(code),
        brexchange=exchange,
        brsymbol=brsymbol,
        name=root,
        expiry=expiry,
        strike=strike,
        lotsize=int(number(lot_text.strip(), "lot size")),
        instrumenttype=kind,
        tick_size=number(tick_text.strip(), "tick size"),
        series=series,
    ), rank


def _expiry(text: str) -> date:
    """The day of `2025-08-28`; 1980-01-01 stands for none."""
    day = iso_day(text)
    if day.year <= 1980:
        raise BadRow("bad expiry")
    return day
