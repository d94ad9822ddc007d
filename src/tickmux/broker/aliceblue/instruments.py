"""Alice Blue's instrument lists: one CSV an exchange, and one of indices (specification section 9)."""

from datetime import date

from tickmux.broker._list_rows import BadRow, is_digits
from tickmux.broker._noren.index_names import index_symbol
from tickmux.broker._noren.instruments import NorenInstruments, Row
from tickmux.broker.aliceblue.streaming.aliceblue_adapter import AliceBlueAdapter
from tickmux.instrument import Instrument

_INDEX_PREFIX = "999"


class AliceBlueInstruments(NorenInstruments):
    broker = "Alice Blue"
    default_urls = AliceBlueAdapter.default_urls
    files = tuple(f"{name}.csv" for name in ("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "INDICES"))
    required = ("exchange", "symbol", "token")
    missing_indices = {}
    index_instruments = frozenset()
    scaled_ticks = False

    def instrument(self, row: Row, tick_divisor: float) -> Instrument:
        if "tradingsymbol" not in row:
            return self._listed_index(row)
        if row.get("exchangesegment") == "mcx_idx":
            raise BadRow("an index among contracts")
        return super().instrument(row, tick_divisor)

    def _listed_index(self, row: Row) -> Instrument:
        """A row of INDICES: exchange, name, token."""
        exchange, name, token = row["exchange"].upper(), row["symbol"], row["token"].removesuffix(".0")
        token = token.removeprefix(_INDEX_PREFIX) or token
        if not is_digits(token):
            raise BadRow("no token")
        if exchange not in ("NSE", "BSE", "MCX"):
            raise BadRow("unknown exchange")
        if not name:
            raise BadRow("no symbol")
        return self.index(exchange, token, index_symbol(name), name, 0.0)

    def series(self, row: Row) -> str:
        return row.get("groupname", "").upper()

    def bse_underlying(self, row: Row, day: date, strike: float) -> str:
        words = row.get("formattedinsname", "").split()
        return words[0] if words else super().bse_underlying(row, day, strike)
