"""Pocketful's instrument list: a zip of one CSV file an exchange (specification section 9)."""

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from datetime import date
from functools import lru_cache

from tickmux.broker._index_names import bse_index_symbol
from tickmux.broker._list_rows import MONTHS, BadRow, instruments, is_digits, number, split_line
from tickmux.broker._share_names import first_name, named, split_bse_symbol, split_nse_symbol
from tickmux.broker.pocketful.streaming.pocketful_adapter import PocketfulAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry, nse_index_symbol
from tickmux.instrument_list import Download, InstrumentList, ListFormatError

_NEEDED = ("exchange", "exchange_token", "trading_symbol")
_MOST_BYTES = 256 << 20
_LETTERS = re.compile(r"[A-Z]+")
_BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError, ValueError)
_CLOCK = re.compile(r"[T ]\d\d?:\d\d.*")
_YEAR_FIRST = re.compile(r"(\d{4})([-/.]?)(\d\d)\2(\d\d)", re.ASCII)
_DAY_FIRST = re.compile(r"(\d\d?)-(\d\d?)-(\d{4})", re.ASCII)
_NAMED_MONTH = re.compile(r"(\d\d?)[- ]?([A-Z]{3})[A-Z]*[- ]?(\d{4}|\d\d)", re.ASCII)


class PocketfulInstruments(InstrumentList):
    """All exchanges but currency, which the published list lacks."""

    needs_login = False
    default_urls = PocketfulAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        url = f"{self.urls['api']}/api/v1/contract/Compact?info=download&exchanges=NSE,NFO,BSE,BFO,MCX"
        return [Download(url=url, filename="CompactScrip.zip")]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        """Reads the zip, or one of its CSV files by itself."""
        if data[:2] != b"PK":
            return self._rows(data, filename)
        try:
            archive = zipfile.ZipFile(io.BytesIO(data))
            members = [member for member in archive.infolist() if member.filename.lower().endswith(".csv")]
            if sum(member.file_size for member in members) > _MOST_BYTES:
                raise ListFormatError(
                    f"{filename} would unpack to more than {_MOST_BYTES >> 20} MB: no instrument list"
                )
            files = [(member.filename, archive.read(member)) for member in members]
        except ListFormatError:
            raise
        except _BROKEN_ZIP as error:
            raise ListFormatError(f"{filename} is a broken zip ({error}): download it again") from None
        if not files:
            raise ListFormatError(f"{filename} is a zip without a CSV file")
        return self._files(files)

    def _files(self, files: list[tuple[str, bytes]]) -> Iterator[Instrument]:
        for name, data in files:
            yield from self._rows(data, name)

    def _rows(self, data: bytes, filename: str) -> Iterator[Instrument]:
        lines = data.decode("utf-8-sig", errors="replace").split("\n")
        header = [column.strip().strip('"').strip().lower() for column in lines[0].split(",")]
        if missing := [column for column in _NEEDED if column not in header]:
            raise ListFormatError(f"{filename} is no instrument list of Pocketful's: no column {missing[0]!r}")
        return self._instruments(lines, header)

    def _instruments(self, lines: list[str], header: list[str]) -> Iterator[Instrument]:
        def read(line: str) -> Instrument:
            cells = split_line(line.rstrip("\r"))
            if len(cells) != len(header):
                raise BadRow("wrong number of columns")
            return _instrument(dict(zip(header, map(str.strip, cells), strict=True)))

        return named(instruments(filter(str.strip, lines[1:]), read, self.skipped), self.skipped)


Row = dict[str, str]


def _instrument(row: Row) -> Instrument:
    """One row in our terms; raises BadRow."""
    token, brsymbol, brexchange = row["exchange_token"], row["trading_symbol"], row["exchange"].upper()
    if not is_digits(token):
        raise BadRow("no token")
    if not brsymbol:
        raise BadRow("no trading symbol")
    reader = _READERS.get(brexchange)
    if reader is None:
        raise BadRow("unknown exchange")
    exchange, symbol, kind, name, series = reader(row)
    tick = number(row.get("tick_size", ""), "tick size")
    if exchange in ("NSE", "BSE") and tick >= 1:
        tick /= 100  # the unit is not certain: a share that moves in steps of five rupees is one in paise
    expiry, strike = "", 0.0
    if kind in ("FUT", "CE", "PE"):
        if not name:
            raise BadRow("derivative without an underlying")
        day = _day(row.get("expiry", ""))
        expiry = format_expiry(day)
        if kind != "FUT" and not (strike := number(row.get("strike", ""), "strike")):
            raise BadRow("bad strike")
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
        lotsize=int(number(row.get("lot_size", ""), "lot size")),
        instrumenttype=kind,
        tick_size=tick,
        series=series,
    )


Place = tuple[str, str, str, str, str]
"""(exchange, symbol, kind, name, series) of a row; the symbol of a derivative is made of its name later."""


def _nse(row: Row) -> Place:
    symbol, company = row["trading_symbol"], row.get("company_name", "")
    if row.get("segment", "").upper() == "INDICES":
        return "NSE_INDEX", nse_index_symbol(symbol), "INDEX", company, ""
    told = row.get("instrument_name", "").upper()
    name, series = split_nse_symbol(symbol, told)
    if len(series) != 2:
        raise BadRow("unknown instrument type")
    return "NSE", first_name(name, company), "EQ", company, series


def _bse(row: Row) -> Place:
    symbol, company = row["trading_symbol"], row.get("company_name", "")
    if row.get("segment", "").upper() == "IDX":
        return "BSE_INDEX", bse_index_symbol(symbol), "INDEX", company, ""
    group = row.get("instrument_name", "").upper()
    if group and symbol.endswith(f"-{group}"):
        return "BSE", first_name(symbol.removesuffix(f"-{group}"), company), "EQ", company, group
    name, suffix = split_bse_symbol(symbol)
    return "BSE", first_name(name, company), "EQ", company, suffix or group


def _derivative(row: Row) -> Place:
    option, exchange = row.get("option_type", "").upper(), row["exchange"].upper()
    future = option == "XX" or (exchange == "BFO" and row.get("instrument_name", "").upper() in ("SF", "IF"))
    kind = "FUT" if future else option
    if kind not in ("FUT", "CE", "PE"):
        raise BadRow("unknown instrument type")
    return exchange, "", kind, row.get("company_name", "").upper().replace(" ", ""), ""


def _mcx(row: Row) -> Place:
    kind = row.get("instrument_name", "").upper()
    if kind == "COM":
        raise BadRow("no contract")
    if kind not in ("FUTCOM", "FUTIDX") and (kind := row.get("option_type", "").upper()) not in ("CE", "PE"):
        raise BadRow("unknown instrument type")
    root = _LETTERS.match(row["trading_symbol"].upper())
    return "MCX", "", kind if kind in ("CE", "PE") else "FUT", root[0] if root else "", ""


_READERS: dict[str, Callable[[Row], Place]] = {
    "NSE": _nse,
    "BSE": _bse,
    "NFO": _derivative,
    "BFO": _derivative,
    "MCX": _mcx,
}


@lru_cache(maxsize=4096)
def _day(text: str) -> date:
    """The day of an expiry, whose spelling is not certain; among numbers, only `28-08-2025` begins with the day."""
    text = _CLOCK.sub("", text.upper())
    try:
        if found := _YEAR_FIRST.fullmatch(text):
            year, _, month, day = found.groups()
            number_of_month = int(month)
        elif found := _DAY_FIRST.fullmatch(text):
            day, month, year = found.groups()
            number_of_month = int(month)
        elif found := _NAMED_MONTH.fullmatch(text):
            day, month, year = found.groups()
            number_of_month = MONTHS.index(month) + 1
        else:
            raise BadRow("bad expiry")
        there = date(int(year) + (2000 if len(year) == 2 else 0), number_of_month, int(day))
    except ValueError:
        raise BadRow("bad expiry") from None
    if not 2000 <= there.year < 2100:
        raise BadRow("bad expiry")
    return there
