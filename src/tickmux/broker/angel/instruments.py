"""Angel One's instrument list: one JSON array of all exchanges (specification section 9)."""

from collections.abc import Iterator
from math import inf, isfinite

from tickmux.broker._list_rows import BadRow, JsonArray, instruments
from tickmux.broker._share_names import first_name, named, split_nse_symbol
from tickmux.broker._smartapi_list import ListRow, Number, future, option
from tickmux.broker.angel.streaming.angel_adapter import AngelAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.instrument_list import Download, InstrumentList

_INDEX_EXCHANGES = {"NSE": "NSE_INDEX", "BSE": "BSE_INDEX", "MCX": "MCX_INDEX"}
_CASH = frozenset({"NSE", "BSE"})
_DERIVATIVES = frozenset({"NFO", "BFO", "CDS", "MCX"})
_CURRENCY_OPTIONS = frozenset({"OPTCUR", "OPTIRC"})
_PAISE, _CURRENCY = 100, 10_000_000

_INDEX_NAMES = {
    "NIFTY50": "NIFTY",
    "NIFTYBANK": "BANKNIFTY",
    "NIFTYFINSERVICE": "FINNIFTY",
    "NIFTYNEXT50": "NIFTYNXT50",
    "NIFTYMIDSELECT": "MIDCPNIFTY",
    "NIFTYMIDCAPSELECT": "MIDCPNIFTY",
    "SNSX50": "SENSEX50",
}


class _Row(ListRow):
    symbol: str
    name: str | None = None


class AngelInstruments(InstrumentList):
    """The list of all exchanges, rebuilt daily and complete after 08:00 IST. It needs no login."""

    needs_login = False
    default_urls = AngelAdapter.default_urls

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        return [Download(url=self.urls["instruments"], filename="OpenAPIScripMaster.json")]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        table = JsonArray(data, _Row, filename, "Angel One's instrument list")
        return named(instruments(table.rows, lambda raw: _instrument(table.read(raw)), self.skipped), self.skipped)


def _instrument(row: _Row) -> Instrument:
    """One row in our terms; raises BadRow."""
    exchange = brexchange = row.exch_seg
    kind = row.instrumenttype or ""
    token = str(row.token)
    brsymbol = row.symbol.strip()
    name = (row.name or "").strip()
    if brexchange not in _CASH and brexchange not in _DERIVATIVES:
        raise BadRow("exchange that is not served")
    if not (token.isascii() and token.isalnum() and len(token) <= 25):
        raise BadRow("no token")
    if not brsymbol:
        raise BadRow("no symbol")
    expiry, strike, series = "", 0.0, ""
    if kind == "AMXIDX":
        exchange = _INDEX_EXCHANGES.get(brexchange, "")
        symbol = _index_symbol(name)
        kind = "INDEX"
        if not exchange or not symbol:
            raise BadRow("index that is not served")
    elif not kind and brexchange in _CASH:
        symbol, series = split_nse_symbol(brsymbol) if brexchange == "NSE" else (brsymbol, "")
        symbol = first_name(symbol, name)
        kind = "EQ"
    elif kind[:3] in ("FUT", "OPT") and brexchange in _DERIVATIVES:
        if kind[:3] == "FUT":
            contract = future(name, row.expiry)
        else:
            scale = _CURRENCY if kind in _CURRENCY_OPTIONS else _PAISE
            contract = option(name, row.expiry, _number(row.strike, "strike") / scale, brsymbol)
        symbol, kind, expiry, strike = contract
    else:
        raise BadRow("instrument type that is not served")
    return Instrument(
        symbol=symbol,
        exchange=exchange,
        token=token,
        brexchange=brexchange,
        brsymbol=brsymbol,
        name=name,
        expiry=expiry,
        strike=strike,
        lotsize=int(_number(row.lotsize, "lot size")),
        instrumenttype=kind,
        tick_size=_number(row.tick_size, "tick size") / (_CURRENCY if brexchange == "CDS" else _PAISE),
        series=series,
    )


def _index_symbol(name: str) -> str:
    bare = name.upper().removeprefix("S&P ").replace(" ", "").replace("-", "")
    return _INDEX_NAMES.get(bare, bare)


def _number(value: Number, what: str) -> float:
    """A number of the list's own scale; 0 for what is empty or negative, which is how the list says "none"."""
    try:
        number = float(value or 0)
    except (ValueError, OverflowError):
        number = inf
    if not isfinite(number):
        raise BadRow(f"bad {what}")
    return max(number, 0.0)
