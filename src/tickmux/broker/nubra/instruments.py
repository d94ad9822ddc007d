"""Nubra's instrument list: a JSON file for each exchange and day, and a CSV file of indices (section 9)."""

from collections.abc import Iterator
from datetime import date, datetime
from functools import lru_cache

import msgspec

from tickmux.broker._list_rows import BadRow, number, split_line
from tickmux.broker._share_names import first_name, named
from tickmux.broker.nubra.rest import request_headers
from tickmux.codec import Credentials
from tickmux.instrument import Instrument, derivative_symbol, format_expiry
from tickmux.instrument_list import Download, InstrumentList, ListFormatError
from tickmux.login import IST

_CASH = {"NSE": "NSE", "BSE": "BSE"}
_DERIVATIVES = {"NSE": "NFO", "BSE": "BFO", "MCX": "MCX"}
_INDICES = {"NSE": "NSE_INDEX", "BSE": "BSE_INDEX"}
_INDEX_COLUMNS = ("EXCHANGE", "INDEX_SYMBOL", "ZANSKAR_INDEX_SYMBOL", "INDEX_NAME")
_INDEX_TICK = 0.05
_PAISE = 100.0

_INDEX_NAMES = {
    "NSE": {
        "INDIA_VIX": "INDIAVIX",
        "NIFTYMIDCAP": "NIFTYMIDCAP100",
        "NIFTYSMALL": "NIFTYSMLCAP100",
        "NIFTYSMALLCAP250": "NIFTYSMLCAP250",
        "NIFTYSMALLCAP50": "NIFTYSMLCAP50",
        "NIFTYMIDSMALL400": "NIFTYMIDSML400",
        "NIFTYCDTY": "NIFTYCOMMODITIES",
        "NIFTYCONSUMP": "NIFTYCONSUMPTION",
        "NIFTYINFRAST": "NIFTYINFRA",
        "NIFTYPTBNK": "NIFTYPVTBANK",
        "NIFTYSERVICE": "NIFTYSERVSECTOR",
        "NIFTYALPHA": "NIFTYALPHA50",
        "NIFTYDIVOPPT": "NIFTYDIVOPPS50",
        "LIX15MIDCAP": "NIFTYMIDLIQ15",
        "LIQ15": "NIFTY100LIQ15",
        "NIFTYEQWGT": "NIFTY50EQLWGT",
        "NIFTY100WEIGHT": "NIFTY100EQLWGT",
        "NIFTYLOWVOL": "NIFTY100LOWVOL30",
        "NSEQ30": "NIFTY100QUALTY30",
        "NIFTY200QLTY30": "NIFTY200QUALTY30",
        "NIFTYPR1X": "NIFTY50PR1XINV",
        "NIFTYPR2X": "NIFTY50PR2XLEV",
        "NIFTYTR1X": "NIFTY50TR1XINV",
        "NIFTYTR2X": "NIFTY50TR2XLEV",
        "NIFTYV20": "NIFTY50VALUE20",
        "NIFTYGSCOMP": "NIFTYGSCOMPSITE",
    },
    "BSE": {
        "SNXT50": "BSESENSEXNEXT50",
        "MID150": "BSE150MIDCAPINDEX",
        "LMI250": "BSE250LARGEMIDCAPINDEX",
        "MSL400": "BSE400MIDSMALLCAPINDEX",
        **{name: f"BSE{name}" for name in ("AUTO", "CPSE", "ENERGY", "METAL", "MIDCAP", "POWER", "REALTY", "TECK")},
        "BSECG": "BSECAPITALGOODS",
        "BSECD": "BSECONSUMERDURABLES",
        "BSEFMC": "BSEFASTMOVINGCONSUMERGOODS",
        "BSEHC": "BSEHEALTHCARE",
        "BSEIT": "BSEINFORMATIONTECHNOLOGY",
        "FINSER": "BSEFINANCIALSERVICES",
        "INDSTR": "BSEINDUSTRIALS",
        "LRGCAP": "BSELARGECAP",
        "SMLCAP": "BSESMALLCAP",
        "MIDSEL": "BSEMIDCAPSELECTINDEX",
        "SMLSEL": "BSESMALLCAPSELECTINDEX",
        "OILGAS": "BSEOIL&GAS",
        "SMEIPO": "BSESMEIPO",
        "TELCOM": "BSETELECOM",
        "DOL30": "BSEDOLLEX30",
        "DOL100": "BSEDOLLEX100",
        "DOL200": "BSEDOLLEX200",
    },
}
"""INDEX_SYMBOL to our symbol where they differ."""


class _Row(msgspec.Struct):
    ref_id: int
    exchange: str
    derivative_type: str
    stock_name: str
    asset: str | None = None
    option_type: str | None = None
    expiry: int | None = None
    strike_price: int | float | None = None
    lot_size: int | float | None = None
    tick_size: int | float | None = None
    series: str | None = None


class _Refdata(msgspec.Struct):
    refdata: list[msgspec.Raw]


_decode_file = msgspec.json.Decoder(_Refdata).decode
_decode_row = msgspec.json.Decoder(_Row).decode


class NubraInstruments(InstrumentList):
    """About 75,000 rows for NSE. MCX is optional: the list is good without it."""

    needs_login = True
    default_urls = {"api": "https://api.nubra.io"}

    def __init__(self, urls: dict[str, str] | None = None) -> None:
        super().__init__(urls)
        self._refs: set[int] = set()  # over all files: a ref_id is unique

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        if credentials is None:
            raise ValueError("Nubra's instrument list needs a login")
        headers = request_headers(credentials.get("device_id", "tickmux"), credentials["session_token"])
        base = f"{self.urls['api']}/refdata/refdata/{datetime.now(IST).date().isoformat()}"
        return [
            *(
                Download(
                    url=f"{base}?exchange={exchange}",
                    filename=f"refdata-{exchange}.json",
                    headers=headers,
                    exchanges=tuple(dict.fromkeys((_CASH.get(exchange, exchange), _DERIVATIVES[exchange]))),
                    optional=exchange == "MCX",
                )
                for exchange in ("NSE", "BSE", "MCX")
            ),
            Download(
                url=f"{self.urls['api']}/public/indexes?format=csv",
                filename="indexes.csv",
                exchanges=tuple(_INDICES.values()),
            ),
        ]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        if data.lstrip()[:1] == b"{":
            try:
                rows = _decode_file(data).refdata
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                raise ListFormatError(
                    f"{filename} is not Nubra's instrument list but an error answer of the broker, or broken"
                ) from None
            if not rows:
                raise ListFormatError(f"{filename} is an instrument list of Nubra's without any instrument")
            return named(self._instruments(rows), self.skipped)
        lines = data.decode("utf-8-sig", errors="replace").split("\n")
        header = [column.strip() for column in lines[0].split(",")]
        if missing := [column for column in _INDEX_COLUMNS if column not in header]:
            raise ListFormatError(f"{filename} is no instrument list of Nubra's: no column {missing[0]!r}")
        return self._indices(lines, header)

    # -- what trades -------------------------------------------------------------------------------------

    def _instruments(self, rows: list[msgspec.Raw]) -> Iterator[Instrument]:
        names: set[tuple[str, str, str]] = set()
        for raw in rows:
            try:
                row = _decode_row(raw)
                instrument = _instrument(row)
                if row.ref_id in self._refs:
                    raise BadRow("repeated ref_id")
            except (msgspec.DecodeError, UnicodeError, RecursionError):
                self.skipped["missing or broken fields"] += 1
                continue
            except BadRow as reason:
                self.skipped[str(reason)] += 1
                continue
            self._refs.add(row.ref_id)
            name = (instrument.symbol, instrument.exchange, instrument.series)
            if name in names:
                self.skipped["repeated symbol"] += 1
            else:
                names.add(name)
                yield instrument

    # -- indices -----------------------------------------------------------------------------------------

    def _indices(self, lines: list[str], header: list[str]) -> Iterator[Instrument]:
        columns = [header.index(column) for column in _INDEX_COLUMNS]
        seen: set[tuple[str, str]] = set()
        for each in lines[1:]:
            line = each.rstrip("\r")
            if not line:
                continue
            try:
                cells = split_line(line)
                if len(cells) != len(header):
                    raise BadRow("wrong number of columns")
            except BadRow as reason:
                self.skipped[str(reason)] += 1
                continue
            brexchange, symbol, token, name = (cells[column].strip() for column in columns)
            exchange = _INDICES.get(brexchange)
            if exchange is None:
                self.skipped["unknown exchange"] += 1
            elif not symbol or not token:
                self.skipped["no index symbol"] += 1
            else:
                symbol = _INDEX_NAMES[brexchange].get(symbol, symbol)
                if (symbol, exchange) in seen:
                    self.skipped["repeated symbol"] += 1
                    continue
                seen.add((symbol, exchange))
                yield Instrument(
                    symbol=symbol,
                    exchange=exchange,
                    token=token,
                    brexchange=brexchange,
                    brsymbol=token,
                    name=name,
                    lotsize=1,
                    instrumenttype="INDEX",
                    tick_size=_INDEX_TICK,
                )


def _instrument(row: _Row) -> Instrument:
    """One row in our terms; raises BadRow."""
    brsymbol, root = row.stock_name.strip(), (row.asset or "").strip()
    if row.ref_id <= 0:
        raise BadRow("no ref_id")
    if not brsymbol:
        raise BadRow("no stock name")
    expiry, strike, series = "", 0.0, ""
    if row.derivative_type == "STOCK":
        exchange, kind, series = _CASH.get(row.exchange), "EQ", (row.series or "").strip()
        symbol = first_name(brsymbol, root)
    elif row.derivative_type in ("FUT", "OPT"):
        exchange = _DERIVATIVES.get(row.exchange)
        kind = "FUT" if row.derivative_type == "FUT" else (row.option_type or "")
        if kind not in ("FUT", "CE", "PE"):
            raise BadRow("unknown option type")
        if not root:
            raise BadRow("derivative without an underlying")
        day, expiry = _expiry(row.expiry or 0)
        if kind != "FUT":
            strike = number(row.strike_price, "strike") / _PAISE
            if not strike:
                raise BadRow("bad strike")
        symbol = derivative_symbol(root, day, kind, strike)
    else:
        raise BadRow("unknown derivative type")
    if exchange is None:
        raise BadRow("unknown exchange")
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=str(row.ref_id),
        brexchange=row.exchange,
        brsymbol=brsymbol,
        name=root or brsymbol,
        expiry=expiry,
        strike=strike,
        lotsize=int(number(row.lot_size, "lot size")),
        instrumenttype=kind,
        tick_size=number(row.tick_size, "tick size") / _PAISE,
        series=series,
    )


@lru_cache(maxsize=4096)
def _expiry(told: int) -> tuple[date, str]:
    """The day of YYYYMMDD and how our rows spell it; a list has some hundred different ones."""
    try:
        day = date(told // 10_000, told // 100 % 100, told % 100)
    except (ValueError, OverflowError):
        raise BadRow("bad expiry") from None
    return day, format_expiry(day)
