"""5paisa's scrip master: one CSV file of all exchanges (specification section 9)."""

import csv
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from math import isfinite

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
_CASH_SERIES = ("EQ", "BE")
_SERIES = frozenset({*_CASH_SERIES, "XX", "  "})
"""Derivatives have XX or two blanks; the column must not be stripped."""
_KINDS = {"XX": "FUT", "CE": "CE", "PE": "PE"}
_LAST_SHARE = 999_900
"""Higher codes of the cash segments are indices."""
_FAILURES = (b"Invalid segment", b"Cache not available for segment")


class _BadRow(Exception):
    """A row that becomes no instrument; its text is the reason that is counted."""


class FivepaisaInstruments(InstrumentList):
    """The scrip master needs no login. The same contract may be listed under several codes: one of them counts."""

    needs_login = False
    default_urls = FivepaisaAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        return [Download(url=f"{self.urls['api']}/ScripMaster/segment/all", filename="scripmaster.csv")]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        if data.lstrip(b'" \r\n').startswith(_FAILURES):
            raise ListFormatError(f"{filename}: 5paisa has no scrip master to give right now; try again later")
        # Line by line, so that a stray quote spoils its own row only.
        lines = data.decode("utf-8-sig", errors="replace").split("\n")
        header = [column.strip().strip('"').strip() for column in lines[0].split(",")]
        if missing := [column for column in _COLUMNS if column not in header]:
            kind = "an error answer of the broker" if data.lstrip()[:1] in (b"{", b"<") else "another file"
            raise ListFormatError(f"{filename} is not 5paisa's scrip master but {kind}: no column {missing[0]!r}")
        return self._rows(lines, header)

    def _rows(self, lines: list[str], header: list[str]) -> Iterator[Instrument]:
        columns = [header.index(column) for column in _COLUMNS]
        width = len(header)
        chosen: dict[tuple[str, str], tuple[tuple[int, int], Instrument]] = {}
        for number in range(1, len(lines)):
            line = lines[number].strip("\r")
            if not line.strip():
                continue
            try:
                cells = line.split(",") if '"' not in line else next(csv.reader((line,), strict=True))
                if len(cells) != width:
                    raise _BadRow("wrong number of columns")
                instrument, rank = _instrument(*[cells[column] for column in columns])
            except csv.Error:
                self.skipped["broken quotes"] += 1
                continue
            except _BadRow as reason:
                self.skipped[str(reason)] += 1
                continue
            name = (instrument.symbol, instrument.exchange)
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
) -> tuple[Instrument, tuple[int, int]]:
    """One row in our terms, and its rank among rows of the same name, the highest of which counts."""
    exchange = _EXCHANGES.get((exchange_text.strip(), segment_text.strip()))
    if exchange is None:
        raise _BadRow("exchange that is not served")
    if series not in _SERIES:
        raise _BadRow("series that is not served")
    code_text, brsymbol, root = code_text.strip(), name.rstrip().upper(), root.strip()
    if not (0 < len(code_text) <= 18 and code_text.isascii() and code_text.isdecimal()):
        raise _BadRow("no scrip code")
    code = int(code_text)
    if not root or not brsymbol:
        raise _BadRow("no symbol")
    rank = (0, code)
    expiry, strike = "", 0.0
    if exchange in _CASH and code > _LAST_SHARE:
        exchange, kind, symbol = f"{exchange}_INDEX", "INDEX", index_symbol(root)
        rank = (0, 0)  # all alike: the first row stays
    elif exchange in _CASH:
        if series not in _CASH_SERIES:
            raise _BadRow("series that is not served")
        kind, symbol = "EQ", root
        rank = (int(series == "EQ"), code)
    else:
        kind = _KINDS.get(scrip_type.strip(), "")
        if not kind:
            raise _BadRow("scrip type that is not served")
        day = _expiry(expiry_text.strip()[:10])
        expiry = format_expiry(day)
        if kind != "FUT":
            strike = _number(strike_text, "strike")
            if not strike:
                raise _BadRow("bad strike")
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
        lotsize=int(_number(lot_text, "lot size")),
        instrumenttype=kind,
        tick_size=_number(tick_text, "tick size"),
    ), rank


@lru_cache(maxsize=4096)
def _expiry(text: str) -> date:
    """The day of `2025-08-28`; 1980-01-01 stands for none."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise _BadRow("bad expiry") from None
    if day.isoformat() != text or day.year <= 1980:
        raise _BadRow("bad expiry")
    return day


def _number(text: str, what: str) -> float:
    """A number of rupees or units, not negative; an empty cell is 0."""
    try:
        number = float(text.strip() or 0)
    except ValueError:
        number = -1.0
    if number < 0 or not isfinite(number):
        raise _BadRow(f"bad {what}")
    return number
