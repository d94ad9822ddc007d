"""Upstox's instrument list: one gzipped JSON array of all exchanges (specification section 9)."""

import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import lru_cache

import msgspec

from tickmux.broker._index_names import BSE_INDEX_NAMES
from tickmux.broker._list_rows import BadRow, number
from tickmux.broker._share_names import first_name, named
from tickmux.codec import Credentials
from tickmux.instrument import NSE_INDEX_NAMES, Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList, ListFormatError
from tickmux.login import IST

CASH_SEGMENTS = {"NSE_EQ": "NSE", "BSE_EQ": "BSE"}
DERIVATIVE_SEGMENTS = {
    "NSE_FO": "NFO",
    "BSE_FO": "BFO",
    "NCD_FO": "CDS",
    "BCD_FO": "BCD",
    "MCX_FO": "MCX",
    "NSE_COM": "NCO",
}
INDEX_SEGMENTS = {
    "NSE_INDEX": "NSE_INDEX",
    "BSE_INDEX": "BSE_INDEX",
    "GLOBAL_INDEX": "GLOBAL_INDEX",
    "GLOBAL_INDICATOR": "GLOBAL_INDEX",
}
_EXCHANGES = CASH_SEGMENTS | DERIVATIVE_SEGMENTS | INDEX_SEGMENTS

_GLOBAL_INDEX_NAMES = {
    "^HSI": "HANGSENG",
    "^DJI": "DOWJONES",
    "^FTSE": "UK100",
    "^GSPC": "US500",
    "^GDAXI": "GERMANY40",
    "^FCHI": "FRANCE40",
    "^N225": "JAPAN225",
    "IXIX": "US100",
    "GIFT NIFTY": "GIFTNIFTY",
    "DOW FUTURES": "US30",
    "BZUSD": "BRENTOIL",
    "CLUSD": "WTIOIL",
}
_INDEX_NAMES: Mapping[str, Mapping[str, str]] = {
    "NSE_INDEX": NSE_INDEX_NAMES,
    "BSE_INDEX": BSE_INDEX_NAMES,
    "GLOBAL_INDEX": _GLOBAL_INDEX_NAMES,
}

_MAX_UNPACKED = 1 << 29
"""Bytes; the list is a ninth of it."""
_PAISE = 100.0


class _Row(msgspec.Struct):
    instrument_key: str
    segment: str
    trading_symbol: str
    instrument_type: str = ""
    name: str | None = None
    underlying_symbol: str | None = None
    expiry: int | float | None = None
    strike_price: int | float | None = None
    lot_size: int | float | None = None
    tick_size: int | float | None = None


_decode_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_row = msgspec.json.Decoder(_Row).decode


class UpstoxInstruments(InstrumentList):
    """The list of all exchanges, about 125,000 rows, made at about 06:00 IST and sometimes during the day."""

    needs_login = False
    default_urls = {
        "instruments": "https://assets.upstox.com/market-quote/instruments/exchange/complete.json.gz",
    }

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        return [Download(url=self.urls["instruments"], filename="complete.json.gz")]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        plain = _unpack(data, filename) if data[:2] == b"\x1f\x8b" else data
        try:
            rows = _decode_rows(plain)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            kind = "an error answer of the broker" if plain.lstrip()[:1] in (b"{", b"<") else "broken or another file"
            raise ListFormatError(f"{filename} is not Upstox's instrument list but {kind}") from None
        if not any(b'"instrument_key"' in bytes(row) for row in rows[:100]):
            raise ListFormatError(f"{filename} is not Upstox's instrument list: no row has an instrument_key")
        return named(self._instruments(rows), self.skipped)

    def _instruments(self, rows: list[msgspec.Raw]) -> Iterator[Instrument]:
        names: set[tuple[str, str, str]] = set()
        keys: set[str] = set()
        for raw in rows:
            try:
                row = _decode_row(raw)
                instrument = _instrument(row)
                if row.instrument_key in keys:
                    raise BadRow("repeated instrument key")
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                self.skipped["missing or broken fields"] += 1
                continue
            except BadRow as reason:
                self.skipped[str(reason)] += 1
                continue
            keys.add(row.instrument_key)
            name = (instrument.symbol, instrument.exchange, instrument.series)
            if name in names:
                self.skipped["repeated symbol"] += 1
            else:
                names.add(name)
                yield instrument


def _unpack(data: bytes, filename: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            plain = file.read(_MAX_UNPACKED + 1)
    except (OSError, EOFError, zlib.error):
        raise ListFormatError(f"{filename} is broken: the download was cut short or is no gzip file") from None
    if len(plain) > _MAX_UNPACKED:
        raise ListFormatError(
            f"{filename} is not Upstox's instrument list: it unpacks to more than {_MAX_UNPACKED} bytes"
        )
    return plain


def _instrument(row: _Row) -> Instrument:
    """One row in our terms; raises BadRow."""
    key = row.instrument_key
    segment = row.segment
    exchange = _EXCHANGES.get(segment)
    if exchange is None:
        raise BadRow(f"unknown segment {segment[:20]}")
    prefix, _, rest = key.partition("|")
    if not rest or _EXCHANGES.get(prefix) != exchange:
        raise BadRow("no instrument key of its segment")
    brsymbol = row.trading_symbol.strip()
    if not brsymbol:
        raise BadRow("no trading symbol")
    name = (row.name or "").strip()
    expiry, strike, series = "", 0.0, ""
    if segment in INDEX_SEGMENTS:
        kind = "INDEX"
        symbol = _index_symbol(exchange, rest, brsymbol)
    elif segment in CASH_SEGMENTS:
        kind, series = "EQ", row.instrument_type.strip()
        symbol = first_name(brsymbol, name)
    else:
        kind = row.instrument_type
        if kind not in ("FUT", "CE", "PE"):
            raise BadRow("unknown instrument type")
        root = (row.underlying_symbol or "").strip() or name
        if not root:
            raise BadRow("derivative without an underlying")
        day, expiry = _expiry(row.expiry)
        if kind != "FUT":
            strike = number(row.strike_price, "strike")
            if not strike:
                raise BadRow("bad strike")
        symbol = derivative_symbol(root, day, kind, strike)
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=key,
        brexchange=segment,
        brsymbol=brsymbol,
        name=name,
        expiry=expiry,
        strike=strike,
        lotsize=int(number(row.lot_size, "lot size")),
        instrumenttype=kind,
        tick_size=number(row.tick_size, "tick size") / _PAISE,
        series=series,
    )


def _index_symbol(exchange: str, key_name: str, trading_symbol: str) -> str:
    """The map is asked for the name in the key, then for the trading symbol, which else loses its spaces."""
    names = _INDEX_NAMES[exchange]
    by_key, by_symbol = (" ".join(name.upper().split()) for name in (key_name, trading_symbol))
    return names.get(by_key) or names.get(by_symbol) or by_symbol.replace(" ", "")


@lru_cache(maxsize=4096)
def _expiry(milliseconds: float | None) -> tuple[date, str]:
    """The day in India of an epoch time, and how our rows spell it; a list has some hundred different ones."""
    if milliseconds is None or not 0 < milliseconds < 1e14:
        raise BadRow("bad expiry")
    day = datetime.fromtimestamp(milliseconds / 1000, IST).date()
    return day, format_expiry(day)
