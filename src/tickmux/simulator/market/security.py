"""One made-up instrument: what never changes about it, and its market right now.

Prices are integers of 1/10000 rupee (`PRICE_UNIT`), fine enough for currency, whose tick is a quarter paisa.
Times are epoch milliseconds, quantities are the exchange's own: shares, units for NFO and BFO, lots elsewhere.
"""

from datetime import date

import msgspec

PRICE_UNIT = 10_000
"""Price integers per rupee."""
PAISA = PRICE_UNIT // 100
BOOK_LEVELS = 50


class Level(msgspec.Struct, gc=False):
    """One price level of a book: never empty, and never fewer lots than orders."""

    price: int
    quantity: int
    orders: int


class Security(msgspec.Struct, eq=False, kw_only=True):
    """An instrument of the made-up exchange; compared and hashed by identity.

    `symbol` and `exchange` are OpenAlgo's. `kind` is EQ, INDEX, FUT, CE or PE. `name` is the company, the
    official index name, or a derivative's root. `token` is the exchange's number and repeats across
    exchanges. `lot_size` is the step of quantities and `multiplier` what one of them stands for (100 barrels).
    An index has no book, no circuit, no volume.
    """

    symbol: str
    exchange: str
    name: str
    kind: str
    token: int
    tick: int
    lot_size: int = 1
    multiplier: int = 1
    isin: str = ""
    expiry: date | None = None
    strike: int = 0
    underlying: "Security | None" = None
    activity: int = 1
    """How many turns it gets while the quietest instrument gets one."""
    usual_lots: int = 100
    """Lots on a usual level of its book."""
    circuit_percent: int = 0
    """How far the circuits are from the previous close; 0 for an option, whose range is wide, and an index."""

    ltp: int = 0
    last_quantity: int = 0
    traded_at: int = 0
    updated_at: int = 0
    open: int = 0
    high: int = 0
    low: int = 0
    close: int = 0
    """The previous day's close."""
    volume: int = 0
    turnover: int = 0
    oi: int = 0
    oi_high: int = 0
    oi_low: int = 0
    upper_circuit: int = 0
    lower_circuit: int = 0
    year_high: int = 0
    year_low: int = 0
    total_buy: int = 0
    total_sell: int = 0
    bids: list[Level] = []
    asks: list[Level] = []
    """Best level first, at most `BOOK_LEVELS`; a side is empty while the price rests at a circuit."""
    fair: float = 0.0
    """Where the price is drawn to; an index's exact value."""

    def __repr__(self) -> str:
        return f"<{self.symbol}@{self.exchange} {self.ltp / PRICE_UNIT:g}>"

    @property
    def is_index(self) -> bool:
        return self.kind == "INDEX"

    @property
    def is_derivative(self) -> bool:
        return self.expiry is not None

    @property
    def average(self) -> int:
        """The day's average traded price, in whole paise unless ticks are finer; 0 before the first trade."""
        if not self.volume:
            return 0
        grain = PAISA if self.tick % PAISA == 0 else 1
        return self.turnover // self.volume // grain * grain

    def fields(self, levels: int = 5) -> dict[str, object]:
        """Everything that a full-depth tick of this moment says, by the names of the client protocol.

        This is the yardstick for tests of simulators and codecs: rupees, epoch milliseconds, `depth` with at
        most `levels` a side. An index has prices and a time only, and only derivatives have open interest.
        """
        fields: dict[str, object] = {
            "ltp": self.ltp / PRICE_UNIT,
            "open": self.open / PRICE_UNIT,
            "high": self.high / PRICE_UNIT,
            "low": self.low / PRICE_UNIT,
            "close": self.close / PRICE_UNIT,
            "timestamp": self.updated_at,
        }
        if self.is_index:
            return fields
        fields |= {
            "ltt": self.traded_at,
            "volume": self.volume,
            "last_trade_quantity": self.last_quantity,
            "avg_trade_price": self.average / PRICE_UNIT,
            "total_buy_quantity": self.total_buy,
            "total_sell_quantity": self.total_sell,
            "upper_circuit": self.upper_circuit / PRICE_UNIT,
            "lower_circuit": self.lower_circuit / PRICE_UNIT,
            "depth": {"buy": _plain(self.bids[:levels]), "sell": _plain(self.asks[:levels])},
        }
        if self.is_derivative:
            fields["oi"] = self.oi
        return fields


def _plain(levels: list[Level]) -> list[dict[str, object]]:
    return [
        {"price": level.price / PRICE_UNIT, "quantity": level.quantity, "orders": level.orders} for level in levels
    ]
