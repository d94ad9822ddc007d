"""FYERS' instrument lists: CSV files of NSE and BSE, JSON files of currency and MCX (specification section 9)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec

from tickmux.broker._list_rows import BadRow, is_digits, number, split_line
from tickmux.broker._share_names import first_name, named
from tickmux.broker.fyers.streaming.fyers_adapter import FyersAdapter
from tickmux.broker.fyers.streaming.fyers_mapping import quote_topic
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList, ListFormatError
from tickmux.login import IST

INDEX_NAMES_FILE = "index_hsm_mapping.json"
CSV_FILES = ("NSE_CM.csv", "NSE_FO.csv", "BSE_CM.csv", "BSE_FO.csv")
JSON_FILES = ("NSE_CD_sym_master.json", "MCX_COM_sym_master.json")

_HELD = dict(
    zip(
        (*CSV_FILES, *JSON_FILES),
        (("NSE", "NSE_INDEX"), ("NFO",), ("BSE", "BSE_INDEX"), ("BFO",), ("CDS",), ("MCX",)),
        strict=True,
    )
)
_COLUMNS = 18  # what is read; more may follow
_CASH = {("10", "10"): "NSE", ("12", "10"): "BSE"}  # exchange and segment columns
_DERIVATIVES = {("10", "11"): "NFO", ("12", "11"): "BFO"}
_JSON_EXCHANGES = {"1012": "CDS", "1120": "MCX"}
_EQUITY_TYPES = {"NSE": frozenset({"0", "9"}), "BSE": frozenset({"0", "4", "50"})}
_INDEX = "10"
_INDEX_SYMBOLS = {
    "NSE": {"NIFTYMID50": "NIFTYMIDCAP50"},
    "BSE": {"SNXT50": "BSESENSEXNEXT50", "100": "BSE100", "200": "BSE200", "500": "BSE500"},
}
_OPTIONS = frozenset({"CE", "PE"})


class _Record(msgspec.Struct, rename="camel"):
    """A record of the JSON masters; the broker writes numbers both as such and as text."""

    fy_token: str
    sym_ticker: str
    under_sym: str
    expiry_date: str | float
    strike_price: str | float | None = None
    opt_type: str | None = None
    qty_multiplier: str | float | None = None
    tick_size: str | float | None = None
    trade_status: str | float = 1


class FyersInstruments(InstrumentList):
    """About 200,000 rows in six files, and the feed's names of the indices, which come first."""

    needs_login = False
    default_urls = FyersAdapter.default_urls

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self._index_names: dict[str, str] = {}

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        return [
            Download(
                url=f"{self.urls['lists']}/{filename}",
                filename=filename,
                exchanges=_HELD.get(filename, ()),
                optional=filename == INDEX_NAMES_FILE,  # the built-in names serve as well
            )
            for filename in (INDEX_NAMES_FILE, *CSV_FILES, *JSON_FILES)
        ]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        if filename == INDEX_NAMES_FILE:
            self._read_index_names(data)
            return iter(())
        if data.lstrip()[:1] == b"{":
            return self._parse_json(data, filename)
        return named(self._parse_csv(data, filename), self.skipped)

    def _read_index_names(self, data: bytes) -> None:
        try:
            self._index_names = msgspec.json.decode(data, type=dict[str, str])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            self.skipped["no list of index names"] += 1  # the names that we know serve as well (section 4.2)

    # -- CSV -----------------------------------------------------------------------------------------------

    def _parse_csv(self, data: bytes, filename: str) -> Iterator[Instrument]:
        # Line by line, so that a stray quote spoils its own row only.
        found = False
        for line in data.decode("utf-8-sig", "replace").splitlines():
            if not line.strip():
                continue
            try:
                row = split_line(line)
                if len(row) < _COLUMNS or not is_digits(row[0]) or ":" not in row[9]:
                    raise BadRow("no row of this list")
                found = True
                segment = row[10], row[11]
                if exchange := _DERIVATIVES.get(segment):
                    yield _derivative(exchange, row)
                elif exchange := _CASH.get(segment):
                    if row[2] == _INDEX:
                        yield _index(exchange, row, self._index_names.get(row[9], ""))
                    else:
                        yield _share(exchange, row)
                else:
                    raise BadRow("segment that is read from another file")
            except BadRow as reason:
                self.skipped[str(reason)] += 1
        if not found:
            raise ListFormatError(f"{filename} holds no row of FYERS' instrument list")

    # -- JSON ----------------------------------------------------------------------------------------------

    def _parse_json(self, data: bytes, filename: str) -> Iterator[Instrument]:
        try:
            records = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise ListFormatError(f"{filename} is no complete JSON file") from None
        found = 0
        for raw in records.values():
            try:
                record = _decode_record(raw)
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                self.skipped["no record of this list"] += 1
                continue
            found += 1
            try:
                yield _from_record(record)
            except BadRow as reason:
                self.skipped[str(reason)] += 1
        if not found:
            raise ListFormatError(f"{filename} holds no record of FYERS' instrument list")


_decode_record = msgspec.json.Decoder(_Record).decode


def _share(exchange: str, row: list[str]) -> Instrument:
    ticker, name = row[9].strip().partition(":")[2], row[13].strip()
    stem, _, series = ticker.rpartition("-")
    return _instrument(
        row,
        symbol=first_name(name, stem or ticker),
        exchange=exchange,
        kind="EQ" if row[2] in _EQUITY_TYPES[exchange] else series or "EQ",
        name=row[1].strip(),
        lot_size=row[3],
        series=series if stem else "",
    )


def _index(exchange: str, row: list[str], feed_name: str) -> Instrument:
    name = "".join(row[13].split())
    symbol = name.replace("-", "") if exchange == "NSE" else name.upper()
    symbol = _INDEX_SYMBOLS[exchange].get(symbol, symbol)
    return _instrument(
        row,
        symbol=symbol,
        exchange=f"{exchange}_INDEX",
        kind="INDEX",
        name=row[1].strip(),
        lot_size="0",
        extra=feed_name,
    )


def _derivative(exchange: str, row: list[str]) -> Instrument:
    name = row[13].strip()
    symbol, expiry, kind, strike = _contract(name, row[8], row[16], row[15])
    return _instrument(
        row, symbol=symbol, exchange=exchange, kind=kind, name=name, lot_size=row[3], expiry=expiry, strike=strike
    )


def _instrument(
    row: list[str],
    *,
    symbol: str,
    exchange: str,
    kind: str,
    name: str,
    lot_size: str,
    expiry: str = "",
    strike: float = 0.0,
    extra: str = "",
    series: str = "",
) -> Instrument:
    if not symbol:
        raise BadRow("no symbol")
    return _checked(
        Instrument(
            symbol=symbol,
            exchange=exchange,
            token=row[0],
            brexchange=exchange.removesuffix("_INDEX"),
            brsymbol=row[9].strip(),
            name=name,
            expiry=expiry,
            strike=strike,
            lotsize=int(number(lot_size, "lot size")),
            instrumenttype=kind,
            tick_size=number(row[4], "tick size"),
            extra=extra,
            series=series,
        )
    )


def _from_record(record: _Record) -> Instrument:
    exchange = _JSON_EXCHANGES.get(record.fy_token[:4])
    if exchange is None:
        raise BadRow("segment that is read from another file")
    if record.trade_status not in (1, "1"):
        raise BadRow("not traded any more")
    name = record.under_sym.strip()
    symbol, expiry, kind, strike = _contract(name, record.expiry_date, record.opt_type or "", record.strike_price)
    return _checked(
        Instrument(
            symbol=symbol,
            exchange=exchange,
            token=record.fy_token,
            brexchange=exchange,
            brsymbol=record.sym_ticker.strip(),
            name=name,
            expiry=expiry,
            strike=strike,
            lotsize=int(number(record.qty_multiplier, "lot size")),
            instrumenttype=kind,
            tick_size=number(record.tick_size, "tick size"),
        )
    )


def _contract(
    name: str, expiry_seconds: str | float, option: str, strike_text: str | float | None
) -> tuple[str, str, str, float]:
    """Symbol, expiry as our rows spell it, type and strike of a future or option."""
    if not name:
        raise BadRow("derivative without an underlying")
    kind = "FUT" if option.strip() in ("", "XX") else option.strip()
    if kind != "FUT" and kind not in _OPTIONS:
        raise BadRow("unknown option type")
    day, expiry = _expiry(expiry_seconds)
    strike = 0.0
    if kind != "FUT" and not (strike := number(strike_text, "strike")):
        raise BadRow("bad strike")
    return derivative_symbol(name, day, kind, strike), expiry, kind, strike


@lru_cache(maxsize=4096)
def _expiry(seconds: str | float) -> tuple[Any, str]:
    """The day in India of an epoch time, and how our rows spell it; a list has some hundred different ones."""
    try:
        day = datetime.fromtimestamp(int(float(seconds)), IST).date()
    except (ValueError, OverflowError, OSError):
        raise BadRow("bad expiry") from None
    if day.year < 2000:
        raise BadRow("bad expiry")
    return day, format_expiry(day)


def _checked(instrument: Instrument) -> Instrument:
    """The instrument, if the feed can name it: a price that never comes is worse than a symbol that is not there."""
    try:
        quote_topic(instrument)
    except ValueError:
        raise BadRow("cannot be streamed") from None
    return instrument
