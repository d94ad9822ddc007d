"""What the members' instrument lists share: reading the files, and the row rules (specification, section 9).

A file is CSV text, often in a zip. A column is known by its name without blanks and case, so that `Trading Symbol`,
`TradingSymbol` and `Tradingsymbol` are one; a member whose files have no header line names the columns itself.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import date
from functools import lru_cache
from typing import ClassVar

from tickmux.broker._list_rows import MONTHS, BadRow, is_digits, number, split_line
from tickmux.broker._noren.index_names import index_symbol
from tickmux.broker._share_names import first_name, named, split_nse_symbol
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry, format_strike
from tickmux.instrument_list import Download, InstrumentList, ListFormatError

Row = Mapping[str, str]
"""Column name -> cell, without blanks around."""

DERIVATIVES = frozenset({"NFO", "BFO", "CDS", "BCD", "MCX"})

_SAME_COLUMN = {
    "exch": "exchange",
    "strikeprice": "strike",
    "expirydate": "expiry",
    "instrumenttype": "instrument",
}
_DEFAULT_TICKS = {"CDS": 0.0025, "BCD": 0.0025}
_PAISE_FROM = {"CDS": 0.05, "BCD": 0.05, "MCX": 5.0}
"""A file whose smallest tick is this much or more (otherwise 1) is written in paise. On MCX a whole rupee is a
common tick, while 5 paise is the smallest of all."""
_FUTURES = ("FUT", "IF", "SF")
_PLAIN_SERIES = ("EQ", "BE")
_CONTRACT_NAME = re.compile(r"(.+?)\d{2}[A-Z]{3}\d{2}(?:F|FUT|[CP][\d.]+)?", re.ASCII)
"""`NAME` + day, of a trading symbol."""
_FIRST_WORD = re.compile(r"[A-Z]+")
_HELD = {
    "NSE": ("NSE", "NSE_INDEX"), "BSE": ("BSE", "BSE_INDEX"), "INDICES": ("NSE_INDEX", "BSE_INDEX", "MCX_INDEX"),
    **{name: (name,) for name in ("NFO", "BFO", "CDS", "BCD", "MCX")}, "CURRENCY": ("CDS",), "COMMODITY": ("MCX",),
}  # fmt: skip
"""How a file's name begins -> the exchanges whose instruments it holds."""
_BUCKETS = {
    "BSXFUT": "SENSEX", "BSXOPT": "SENSEX",
    "BKXFUT": "BANKEX", "BKXOPT": "BANKEX",
    "SX50FUT": "SENSEX50", "SX50OPT": "SENSEX50",
}  # fmt: skip
_MOST_BYTES = 512 << 20
"""Of one unpacked file; the largest real one has about 15 MB."""


class NorenInstruments(InstrumentList):
    """The family's own files, one an exchange, at `instruments` in the URLs. Members override what differs."""

    needs_login = False
    broker: ClassVar[str]
    """The broker's name in messages."""
    files: ClassVar[tuple[str, ...]] = tuple(
        f"{e}_symbols.txt.zip" for e in ("NSE", "BSE", "NFO", "BFO", "CDS", "MCX")
    )
    columns: ClassVar[tuple[str, ...]] = ()
    """The columns of files without a header line."""
    required: ClassVar[tuple[str, ...]] = ("exchange", "token", "lotsize", "symbol", "tradingsymbol")
    missing_indices: ClassVar[Mapping[str, Mapping[str, str]]] = {"BSE": {"SENSEX": "1", "BANKEX": "12"}}
    """Exchange -> symbols and tokens of indices that its file lacks."""
    index_instruments: ClassVar[frozenset[str]] = frozenset({"INDEX", "IDX", "UNDIND"})
    scaled_ticks: ClassVar[bool] = True
    """Whether the scale of tick sizes has to be found out file by file."""

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        base = self.urls["instruments"]
        return [Download(url=f"{base}/{name}", filename=name, exchanges=self.held_by(name)) for name in self.files]

    def held_by(self, filename: str) -> tuple[str, ...]:
        """The exchanges whose instruments a file holds."""
        first = _FIRST_WORD.match(filename.upper())
        return _HELD.get(first[0], ()) if first is not None else ()

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        # Line by line, so that a stray quote spoils its own row only.
        lines = self._text(data, filename).split("\n")
        columns = self.columns
        if not columns:
            columns = tuple(_column(cell) for cell in lines[0].rstrip(", \r").split(","))
            if missing := [column for column in self.required if column not in columns]:
                kind = "an error answer" if lines[0].lstrip()[:1] in ("{", "<") else "another file"
                raise ListFormatError(
                    f"{filename} is not {self.broker}'s instrument list but {kind}: no column {missing[0]!r}"
                )
            lines = lines[1:]
        elif not any(line.count(",") >= len(columns) - 1 for line in lines[:100]):
            raise ListFormatError(f"{filename} is not {self.broker}'s instrument list: no {len(columns)} columns")
        return named(self._instruments(lines, columns), self.skipped)

    def _text(self, data: bytes, filename: str) -> str:
        if data[:2] == b"PK":
            try:
                with zipfile.ZipFile(io.BytesIO(data)) as archive:
                    (member,) = [one for one in archive.infolist() if one.filename.lower().endswith((".txt", ".csv"))]
                    data = archive.read(member) if member.file_size <= _MOST_BYTES else b""
            except (zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError, OSError) as error:
                raise ListFormatError(f"{filename} is no zip of one {self.broker} instrument list") from error
        return data.decode("utf-8-sig", errors="replace")

    def _instruments(self, lines: list[str], columns: tuple[str, ...]) -> Iterator[Instrument]:
        divisors = self._divisors(lines, columns)
        seen: set[tuple[str, str]] = set()
        exchanges: set[str] = set()
        for line in lines:
            if not line.strip(" ,\r"):
                continue
            try:
                row = self._row(line, columns)
                found = self.instrument(row, divisors.get(row["exchange"], 1.0))
                key = (found.exchange, found.token)
                if key in seen:
                    raise BadRow("a token that the file had already")
            except BadRow as reason:
                self.skipped[str(reason)] += 1
            else:
                seen.add(key)
                exchanges.add(found.exchange)
                yield found
        for exchange in exchanges & self.missing_indices.keys():
            for symbol, token in self.missing_indices[exchange].items():
                if (f"{exchange}_INDEX", token) not in seen:
                    yield self.index(exchange, token, symbol, symbol, 0.0)

    def _row(self, line: str, columns: tuple[str, ...]) -> dict[str, str]:
        # Without a header, the last column is the rest of the line: a company's name may have a comma.
        most_splits = len(columns) - 1 if self.columns else -1
        cells = split_line(line) if '"' in line else line.split(",", most_splits)
        if len(cells) < len(columns) or any(cell.strip() for cell in cells[len(columns) :]):
            raise BadRow("wrong number of columns")
        return {column: cell.strip() for column, cell in zip(columns, cells, strict=False)}

    def _divisors(self, lines: list[str], columns: tuple[str, ...]) -> dict[str, float]:
        """By exchange, what tick sizes have to be divided by (the rule of section 9.1)."""
        if not self.scaled_ticks or "ticksize" not in columns:
            return {}
        smallest: dict[str, float] = {}
        for line in lines:
            try:
                row = self._row(line, columns)
                tick = number(row["ticksize"], "tick size")
            except BadRow:
                continue
            if 0 < tick < smallest.get(row["exchange"], float("inf")):
                smallest[row["exchange"]] = tick
        return {exchange: 100.0 for exchange, tick in smallest.items() if tick >= _PAISE_FROM.get(exchange, 1.0)}

    # -- rows: what members override ---------------------------------------------------------------------

    def instrument(self, row: Row, tick_divisor: float) -> Instrument:
        """One row in our terms; raises BadRow."""
        exchange, kind = row["exchange"], row.get("instrument", "").upper()
        token = row["token"].removesuffix(".0")
        if not is_digits(token):
            raise BadRow("no token")
        if not row["tradingsymbol"]:
            raise BadRow("no trading symbol")
        if row.get("symbol") == "":
            raise BadRow("no symbol")
        tick = round(number(row.get("ticksize", ""), "tick size") / tick_divisor, 6)
        if exchange in ("NSE", "BSE"):
            if self.is_index(row, kind):
                return self.index(exchange, token, self.index_name(row), row["tradingsymbol"], tick)
            return self.share(row, token, tick)
        if exchange in DERIVATIVES:
            if exchange == "CDS" and int(token) <= 100:
                raise BadRow("placeholder")
            return self.derivative(row, token, kind, tick)
        raise BadRow("unknown exchange")

    def is_index(self, row: Row, kind: str) -> bool:
        return kind in self.index_instruments

    def index_name(self, row: Row) -> str:
        """Our symbol of an index row."""
        return index_symbol(row["symbol"], row["tradingsymbol"])

    def series(self, row: Row) -> str:
        """The series of an NSE share, or the group of one on BSE."""
        return row.get("instrument", "").upper()

    def share(self, row: Row, token: str, tick: float) -> Instrument:
        exchange, brsymbol, series, kind = row["exchange"], row["tradingsymbol"], self.series(row), "EQ"
        symbol = brsymbol.removesuffix(f"-{series}") if series else brsymbol
        if exchange == "NSE":
            if symbol == brsymbol:
                symbol, series = split_nse_symbol(brsymbol, series)
            if series and series not in _PLAIN_SERIES:
                kind = series
        listed = row.get("symbol", "")
        symbol = first_name(symbol or listed, listed, row.get("companyname", ""))
        name = row.get("symbol") or symbol
        return _made(row, symbol, exchange, token, name=name, instrumenttype=kind, tick_size=tick, series=series)

    def index(self, exchange: str, token: str, symbol: str, brsymbol: str, tick: float) -> Instrument:
        return Instrument(
            symbol=symbol,
            exchange=f"{exchange}_INDEX",
            token=token,
            brexchange=exchange,
            brsymbol=brsymbol,
            name=brsymbol,
            lotsize=1,
            instrumenttype="INDEX",
            tick_size=tick or 0.05,
        )

    def derivative(self, row: Row, token: str, kind: str, tick: float) -> Instrument:
        stem = _CONTRACT_NAME.fullmatch(row["tradingsymbol"].upper())
        name = first_name(row.get("symbol", ""), stem[1] if stem is not None else "")
        option = row.get("optiontype", "").upper()
        day, strike = expiry_day(row.get("expiry", "")), 0.0
        if option in ("CE", "PE"):
            strike = self.strike(row)
            if not strike:
                raise BadRow("bad strike")
        elif option == "XX" or (not option and kind.startswith(_FUTURES)):
            option = "FUT"
        else:
            raise BadRow("neither future nor option")
        if row["exchange"] == "BFO":
            name = self.bse_underlying(row, day, strike)
        symbol = derivative_symbol(name, day, option, strike)
        return _made(
            row, symbol, row["exchange"], token,
            name=name, expiry=format_expiry(day), strike=strike, instrumenttype=option, tick_size=tick,
        )  # fmt: skip

    def strike(self, row: Row) -> float:
        """Rupees."""
        return number(row.get("strike", ""), "strike")

    def bse_underlying(self, row: Row, day: date, strike: float) -> str:
        """The name of a BFO contract's underlying, where the column may hold a bucket of several (section 9.1)."""
        name, brsymbol = row["symbol"], row["tradingsymbol"]
        if name in _BUCKETS:
            return _BUCKETS[name]
        if brsymbol.startswith(name):
            return name
        stem = brsymbol.removesuffix("FUT")
        if strike:
            stem = brsymbol.removesuffix("CE").removesuffix("PE").removesuffix(".00").removesuffix(".0")
            stem = stem.removesuffix(format_strike(strike))
        year, month = f"{day.year % 100:02d}", MONTHS[day.month - 1]
        for tail in (
            f"{day.day:02d}{month}{year}",
            year + month,
            f"{year}{'123456789OND'[day.month - 1]}{day.day:02d}",
        ):
            if stem.endswith(tail) and stem != tail:
                return stem.removesuffix(tail)
        return name


def _made(row: Row, symbol: str, exchange: str, token: str, *, tick_size: float, **rest: str | float) -> Instrument:
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=token,
        brexchange=exchange,
        brsymbol=row["tradingsymbol"],
        lotsize=int(number(row.get("lotsize", ""), "lot size")),
        tick_size=tick_size or _DEFAULT_TICKS.get(exchange, 0.05),
        **rest,  # type: ignore[arg-type]
    )


def _column(cell: str) -> str:
    name = cell.strip().replace(" ", "").lower()
    return _SAME_COLUMN.get(name, name)


@lru_cache(maxsize=4096)
def expiry_day(text: str) -> date:
    """The day of `28-AUG-2025`, `2025-08-28`, `28-08-2025` or `28082025`; raises BadRow."""
    parts = text.upper().split("-") if "-" in text else [text[:2], text[2:4], text[4:]]
    if len(parts) == 3 and len(parts[0]) == 4:
        parts.reverse()
    if len(parts) == 3 and parts[1] in MONTHS:
        parts[1] = f"{MONTHS.index(parts[1]) + 1:02d}"
    if [len(part) for part in parts] != [2, 2, 4] or not all(is_digits(part) for part in parts):
        raise BadRow("bad expiry" if text else "no expiry")
    try:
        return date(int(parts[2]), int(parts[1]), int(parts[0]))
    except ValueError:
        raise BadRow("bad expiry") from None
