"""Kotak's instrument list: one CSV file a segment, in a folder of the day (specification section 9)."""

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from functools import lru_cache
from math import isfinite

from tickmux.broker._list_rows import BadRow, is_digits, split_line
from tickmux.broker._share_names import SHARE_SERIES, first_name, named
from tickmux.broker.kotak.streaming.kotak_adapter import KotakAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList, ListFormatError
from tickmux.login import IST

_CASH = {"nse_cm": "NSE", "bse_cm": "BSE"}
_DERIVATIVES = {"nse_fo": "NFO", "bse_fo": "BFO", "cde_fo": "CDS", "mcx_fo": "MCX"}
_FILES = {segment: f"transformed-v1/{segment}-v1.csv" for segment in _CASH} | {
    segment: f"transformed/{segment}.csv" for segment in _DERIVATIVES
}
_HELD = {segment: (exchange, f"{exchange}_INDEX") for segment, exchange in _CASH.items()} | {
    segment: (exchange,) for segment, exchange in _DERIVATIVES.items()
}
_BLOCK_DEALS = "BL"
"""NSE's window of block deals, twice a day for some minutes: its rows have no market of their own."""
_SINCE_1980 = frozenset({"nse_fo", "cde_fo"})
_EPOCH_1980 = 315_513_000

_COLUMNS = (
    "pSymbol", "pGroup", "pExchSeg", "pSymbolName", "pTrdSymbol", "pOptionType", "pISIN", "dTickSize", "lLotSize",
    "lExpiryDate", "dStrikePrice",
)  # fmt: skip
_OPTIONAL_COLUMNS = ("lPrecision", "pDesc")
_STRAY = " ;\r\t"

FEED_NAMES: Mapping[str, str] = {
    "NIFTY": "Nifty 50",
    "BANKNIFTY": "Nifty Bank",
    "FINNIFTY": "Nifty Fin Service",
    "MIDCPNIFTY": "NIFTY MID SELECT",
    "NIFTYNXT50": "Nifty Next 50",
    "INDIAVIX": "INDIA VIX",
    "SENSEX": "SENSEX",
    "BANKEX": "BANKEX",
    "NIFTY100": "Nifty 100",
    "NIFTY200": "Nifty 200",
    "NIFTY500": "Nifty 500",
    "NIFTYMIDCAP100": "NIFTY MIDCAP 100",
    "NIFTYAUTO": "Nifty Auto",
    "NIFTYIT": "Nifty IT",
    "NIFTYFMCG": "Nifty FMCG",
    "NIFTYPHARMA": "Nifty Pharma",
    "NIFTYPSUBANK": "Nifty PSU Bank",
    "NIFTYPSE": "Nifty PSE",
    "NIFTYCPSE": "Nifty CPSE",
}
"""Our index -> the name by which the feed knows it; lists often have a ticker instead."""
_BY_FEED_NAME = {name.upper().replace(" ", ""): symbol for symbol, name in FEED_NAMES.items()}

_TAIL = re.compile(r"(\d+(?:\.\d+)?)(?:CE|PE)$")
_POWERS = tuple(10.0**power for power in range(-7, 8) if power)
_MOST_PRECISION = 9


def _today() -> date:
    return datetime.now(IST).date()


class KotakInstruments(InstrumentList):
    """A session's own file addresses are used where the login has learnt them, else those of today's folder."""

    needs_login = False
    default_urls = KotakAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        told = credentials.get("list_files").split() if credentials is not None else []
        named = {
            segment: url for segment in _FILES for url in told if segment in url.rpartition("/")[2].partition("?")[0]
        }
        if not named:
            day = f"{self.urls['files']}/{_today().isoformat()}"
            named = {segment: f"{day}/{file}" for segment, file in _FILES.items()}
        return [
            Download(url=url, filename=f"{segment}.csv", exchanges=_HELD[segment]) for segment, url in named.items()
        ]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        # Line by line, so that a stray quote spoils its own row only.
        lines = data.decode("utf-8-sig", errors="replace").split("\n")
        header = [column.strip(_STRAY) for column in lines[0].split(",")]
        if missing := [column for column in _COLUMNS if column not in header]:
            kind = "an error answer of the broker" if data.lstrip()[:1] in (b"{", b"<") else "another file"
            raise ListFormatError(f"{filename} is not an instrument file of Kotak's but {kind}: no {missing[0]!r}")
        return named(self._rows(lines, header), self.skipped)

    def _rows(self, lines: list[str], header: list[str]) -> Iterator[Instrument]:
        wanted = [name for name in (*_COLUMNS, *_OPTIONAL_COLUMNS) if name in header]
        places = [header.index(name) for name in wanted]
        tokens: set[tuple[str, str]] = set()
        symbols: set[tuple[str, str, str]] = set()
        for number in range(1, len(lines)):
            line = lines[number].strip("\r")
            if not line:
                continue
            try:
                cells = split_line(line)
                if len(cells) != len(header):
                    raise BadRow("wrong number of columns")
                row = {name: cells[place].strip(_STRAY) for name, place in zip(wanted, places, strict=True)}
                instrument = _instrument(row)
                key = (instrument.brexchange, instrument.token)
                if key in tokens and not instrument.is_index:
                    raise BadRow("token twice in a segment")
                name = (instrument.exchange, instrument.symbol, instrument.series)
                if name in symbols:
                    raise BadRow("another row has the same symbol")
            except BadRow as reason:
                self.skipped[str(reason)] += 1
            else:
                tokens.add(key)
                symbols.add(name)
                yield instrument


def _instrument(row: Mapping[str, str]) -> Instrument:
    """One row in our terms; raises BadRow."""
    segment, token, root = row["pExchSeg"], row["pSymbol"], row["pSymbolName"]
    if segment not in _CASH and segment not in _DERIVATIVES:
        raise BadRow("segment that is not served")
    if not (is_digits(token) and len(token) <= 10 and int(token) <= 0xFFFFFFFF):
        raise BadRow("no token")
    if not root:
        raise BadRow("no symbol")
    brsymbol, name, expiry, strike, series = row["pTrdSymbol"], root, "", 0.0, ""
    if segment in _CASH:
        exchange = _CASH[segment]
        if exchange == "NSE" and row["pISIN"] and row["pGroup"] in ("", _BLOCK_DEALS):
            raise BadRow("group that is not served")
        has_series = row["pGroup"] in SHARE_SERIES or (row["pGroup"] and brsymbol.endswith(f"-{row['pGroup']}"))
        if row["pISIN"] or (exchange == "NSE" and has_series):
            kind, series, name = "EQ", row["pGroup"], row.get("pDesc") or root
            symbol = first_name(root, brsymbol.removesuffix(f"-{series}"))
        else:
            exchange, kind = f"{exchange}_INDEX", "INDEX"
            plain = root.upper().replace(" ", "")
            symbol = _BY_FEED_NAME.get(plain, plain)
            brsymbol = FEED_NAMES.get(symbol, root)
            if "," in brsymbol or "|" in brsymbol:
                raise BadRow("index that cannot be named")
    else:
        exchange = _DERIVATIVES[segment]
        kind = {"XX": "FUT", "CE": "CE", "PE": "PE"}.get(row["pOptionType"], "")
        if not kind:
            raise BadRow("neither future nor option")
        day, expiry = _expiry(row["lExpiryDate"], segment in _SINCE_1980)
        if kind != "FUT":
            strike = _strike(row["dStrikePrice"], brsymbol)
        symbol = derivative_symbol(root, day, kind, strike)
    if not brsymbol:
        raise BadRow("no trading symbol")
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=token,
        brexchange=segment,
        brsymbol=brsymbol,
        name=name,
        expiry=expiry,
        strike=strike,
        lotsize=int(_number(row["lLotSize"], "lot size")),
        instrumenttype=kind,
        tick_size=_tick_size(row["dTickSize"], row.get("lPrecision", "")),
        series=series,
    )


@lru_cache(maxsize=4096)
def _expiry(text: str, since_1980: bool) -> tuple[date, str]:
    """The day of a time in seconds and how our rows spell it; a list has some hundred different ones."""
    seconds = _number(text, "expiry")
    if not seconds:
        raise BadRow("bad expiry")
    try:
        day = datetime.fromtimestamp(seconds + (_EPOCH_1980 if since_1980 else 0), IST).date()
    except (ValueError, OverflowError, OSError):
        raise BadRow("bad expiry") from None
    return day, format_expiry(day)


def _strike(text: str, trading_symbol: str) -> float:
    """Rupees. The column's scale is unsure for currency: a trading symbol that differs by a power of ten is right."""
    strike = round(_number(text, "strike") / 100, 4)
    if not strike:
        raise BadRow("bad strike")
    spelled = _TAIL.search(trading_symbol.upper())
    if spelled is not None:
        written = float(spelled[1])
        if any(abs(written / strike / power - 1) < 1e-9 for power in _POWERS):
            return written
    return strike


def _tick_size(text: str, precision_text: str) -> float:
    """Rupees: the column counts in units of the last decimal, of which there are two unless the row says so."""
    precision = int(_number(precision_text, "precision")) or 2
    if precision > _MOST_PRECISION:
        raise BadRow("bad precision")
    return round(_number(text, "tick size") / 10.0**precision, _MOST_PRECISION)


def _number(text: str, what: str) -> float:
    """A number of the list's own scale; 0 for what is empty or negative, which is how the list says "none"."""
    try:
        number = float(text or 0)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise BadRow(f"bad {what}")
    return max(number, 0.0)
