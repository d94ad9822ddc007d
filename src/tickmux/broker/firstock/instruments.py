"""Firstock's instrument lists: CSV files, one an exchange, in Noren's style of trading symbols (section 9)."""

from tickmux.broker._list_rows import number
from tickmux.broker._noren.index_names import index_symbol
from tickmux.broker._noren.instruments import NorenInstruments, Row
from tickmux.broker._share_names import split_nse_symbol
from tickmux.broker.firstock.streaming.firstock_adapter import FirstockAdapter
from tickmux.codec import Credentials
from tickmux.instrument_list import Download


class FirstockInstruments(NorenInstruments):
    """Tick sizes are rupees; the underlying's name is plain on BFO too."""

    broker = "Firstock"
    default_urls = FirstockAdapter.default_urls
    files = ("NSE", "BSE", "NFO", "BFO")
    required = ("exchange", "token", "lotsize", "tradingsymbol")
    missing_indices = {}
    scaled_ticks = False

    def downloads(self, credentials: Credentials | None) -> list[Download]:
        base = f"{self.urls['api']}/symbols"
        return [
            Download(url=f"{base}/{name}?ref=firstock.in", filename=f"{name}.csv", exchanges=self.held_by(name))
            for name in self.files
        ]

    def is_index(self, row: Row, kind: str) -> bool:
        return not row.get("isin") and not any(number(row.get(name, ""), name) for name in ("ticksize", "freezeqty"))

    def index_name(self, row: Row) -> str:
        return index_symbol(row["tradingsymbol"], row.get("companyname", ""))

    def series(self, row: Row) -> str:
        return split_nse_symbol(row["tradingsymbol"])[1] if row["exchange"] == "NSE" else ""
