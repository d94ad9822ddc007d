"""m.Stock's instrument list: one JSON array, and a page that says what is an index (specification section 9)."""

from collections.abc import Iterator, Mapping

from tickmux.broker._index_names import bse_index_symbol
from tickmux.broker._list_rows import BadRow, JsonArray, instruments, is_digits, number
from tickmux.broker._share_names import first_name, named, split_nse_symbol
from tickmux.broker._smartapi_list import ListRow, future, option
from tickmux.broker.mstock.index_table import KNOWN_NSE, nse_index, read_index_table
from tickmux.broker.mstock.streaming.mstock_adapter import MStockAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.instrument_list import Download, InstrumentList, ListFormatError

_ANNEXURE = "Annexure.html"
_MASTER = "OpenAPIScripMaster.json"

_FUTURES = frozenset({"FUTIDX", "FUTSTK", "FUTCUR", "FUTIRC", "FUTCOM"})
_OPTIONS = frozenset({"OPTIDX", "OPTSTK", "OPTCUR", "OPTIRC", "OPTFUT"})
_HOMES = {
    ("NFO", "IDX"): "NFO",
    ("NFO", "STK"): "NFO",
    ("BFO", "IDX"): "BFO",
    ("BFO", "STK"): "BFO",
    ("NSE", "CUR"): "CDS",
    ("NSE", "IRC"): "CDS",
    ("BSE", "CUR"): "BCD",
    ("BSE", "IRC"): "BCD",
    ("MCX", "COM"): "MCX",
    ("MCX", "FUT"): "MCX",
}
"""The row's segment and what its contract is on -> our exchange: currency contracts stand among the shares."""

_EXCHANGES = frozenset({"NSE", "BSE", "NFO", "BFO", "MCX"})
_TICK = 0.05


class _Row(ListRow):
    name: str
    symbol: str | None = None


class MStockInstruments(InstrumentList):
    """The dump of all exchanges. It has no NSE index, and does not say which BSE rows are indices: a page of the
    documentation does. Without that page NSE's main indices are known all the same."""

    needs_login = True
    default_urls = MStockAdapter.default_urls

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        super().__init__(urls)
        self._nse_indices_told = False
        self._bse_indices: set[str] = set()

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        if credentials is None:
            raise ValueError("m.Stock's instrument list needs a login")
        headers = {
            "X-Mirae-Version": "1",
            "Authorization": f"Bearer {credentials['access_token']}",
            "X-PrivateKey": credentials["api_key"],
        }
        url = f"{self.urls['api']}/openapi/typeb/instruments/OpenAPIScripMaster"
        return [
            # Without the page BSE's indices would be listed as shares: what it decides on stays as it was.
            Download(
                url=self.urls["annexure"],
                filename=_ANNEXURE,
                exchanges=("NSE_INDEX", "BSE_INDEX", "BSE"),
                optional=True,
            ),
            Download(url=url, filename=_MASTER, headers=headers),
        ]

    def parse(self, data: bytes, filename: str) -> Iterator[Instrument]:
        if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
            return self._page(data, filename)
        return self._rows(JsonArray(data, _Row, filename, "m.Stock's instrument list"))

    def _page(self, data: bytes, filename: str) -> Iterator[Instrument]:
        found = read_index_table(data.decode("utf-8", errors="replace"))
        if not found and not filename.lower().endswith((".html", ".htm")):
            raise ListFormatError(
                f"{filename} is a web page without a table of indices, not m.Stock's instrument list"
            )
        if not found:
            self.skipped["page without a table of indices"] += 1
        self._bse_indices |= {row.token for row in found if row.exchange == "BSE"}
        indices = {row.token: nse_index(row) for row in found if row.exchange == "NSE"}
        self._nse_indices_told = self._nse_indices_told or bool(indices)
        return iter(tuple(indices.values()))

    def _rows(self, table: JsonArray[_Row]) -> Iterator[Instrument]:
        if not self._nse_indices_told:
            yield from map(nse_index, KNOWN_NSE)
        rows = instruments(table.rows, lambda raw: self._instrument(table.read(raw)), self.skipped)
        yield from named(rows, self.skipped)

    def _instrument(self, row: _Row) -> Instrument:
        """One row in our terms; raises BadRow."""
        brexchange = row.exch_seg
        kind = (row.instrumenttype or "").strip().upper()
        token, brsymbol, base = str(row.token), row.name.strip(), (row.symbol or "").strip()
        if brexchange not in _EXCHANGES:
            raise BadRow("exchange that is not served")
        if not (is_digits(token) and len(token) <= 25):
            raise BadRow("no token")
        if not brsymbol:
            raise BadRow("no symbol")
        expiry, strike, series = "", 0.0, ""
        if kind in ("", "EQ") and brexchange in ("NSE", "BSE"):
            if brexchange == "BSE" and token in self._bse_indices:
                exchange, kind, symbol = "BSE_INDEX", "INDEX", bse_index_symbol(base or brsymbol)
            else:
                exchange, kind, symbol = brexchange, "EQ", brsymbol.removesuffix("-EQ")
                if exchange == "NSE":
                    symbol, series = split_nse_symbol(brsymbol, "EQ")
                symbol = first_name(symbol, base)
            if not symbol:
                raise BadRow("no symbol")
        elif kind in _FUTURES or kind in _OPTIONS:
            exchange = _HOMES.get((brexchange, kind[3:]), "")
            if not exchange:
                raise BadRow("contract on an exchange that does not trade it")
            if kind in _FUTURES:
                contract = future(base, row.expiry)
            else:
                contract = option(base, row.expiry, number(row.strike, "strike"), brsymbol)
            symbol, kind, expiry, strike = contract
        else:
            raise BadRow("instrument type that is not served")
        return Instrument(
            symbol=symbol,
            exchange=exchange,
            token=token,
            brexchange=brexchange,
            brsymbol=brsymbol,
            name=base,
            expiry=expiry,
            strike=strike,
            lotsize=int(number(row.lotsize, "lot size", 1)),
            instrumenttype=kind,
            tick_size=number(row.tick_size, "tick size", _TICK),
            series=series,
        )
