"""What the updates of one instrument have said so far (specification sections 5 and 6). Pure.

An update carries changed fields only, and zero means no value: a record takes in what an update says and keeps
the rest. The broker's `close` follows the last price; it is not the previous close, and is not kept.
"""

from tickmux.broker._wire_values import float_count, moment_ms, rupees
from tickmux.instrument import Instrument
from tickmux.tick import MODE_LTP, MODE_QUOTE, Depth, DepthLevel, Tick

_LARGEST = 9e15
"""Beyond it a float no longer counts in ones; no price, quantity or time comes near it."""
_SECONDS_BELOW = 1e11
"""A last trade time below it is in seconds, above in milliseconds."""

_PRICES = {
    "ltp": "ltp",
    "open": "open",
    "high": "high",
    "low": "low",
    "average_price": "avg_trade_price",
}
_COUNTS = {
    "volume": "volume",
    "oi": "oi",
    "total_buy_qty": "total_buy_quantity",
    "total_sell_qty": "total_sell_quantity",
    "ltq": "last_trade_quantity",
}
_SIDES = {"bid_price", "bid_qty", "ask_price", "ask_qty"}


class MarketRecord:
    """The merged record of `instrument`: rupees, units, epoch milliseconds."""

    __slots__ = ("_best", "_depth", "_fields", "_instrument", "_lost")

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._fields: dict[str, float | int] = {}
        self._lost: tuple[str, ...] = ()
        """What was taken back since the last tick."""
        self._best: dict[str, float] = {}
        """The best bid and ask by the broker's keys."""
        self._depth: Depth | None = None

    def merge(self, data: dict[str, object]) -> None:
        """Takes in what `data` has a value for; everything else keeps its own."""
        fields = self._fields
        for key, raw in data.items():
            told = number(raw)
            if not told:
                continue
            value: float | None
            if key in _PRICES:
                name, value = _PRICES[key], rupees(told, self._instrument.is_index)
            elif key in _COUNTS:
                name, value = _COUNTS[key], float_count(told)
            elif key == "ltt":
                name, value = key, moment_ms(int(told * 1000 if told < _SECONDS_BELOW else told))
            elif key in _SIDES:
                self._depth = None
                best = rupees(told) if key.endswith("price") else float_count(told)
                if best is None:
                    self._best.pop(key, None)
                else:
                    self._best[key] = best
                continue
            else:
                continue
            if value is not None:
                fields[name] = value
            elif fields.pop(name, None) is not None:
                self._lost += (name,)

    def forget_quote(self) -> None:
        """Drops all but the last price: what is no longer subscribed would only grow old."""
        ltp = self._fields.get("ltp")
        self._fields = {} if ltp is None else {"ltp": ltp}
        self._best.clear()
        self._depth = None

    def last_price(self, timestamp: int | None) -> Tick | None:
        """What an update in mode `ltp` amounts to; None while no price is known."""
        ltp = self._fields.get("ltp")
        if ltp is None:
            return None
        lost, self._lost = self._lost, ()
        return Tick(instrument=self._instrument, mode=MODE_LTP, ltp=ltp, timestamp=timestamp, taken_back=lost)

    def quote(self, timestamp: int | None) -> Tick | None:
        """What an update in mode `quote` or `full` amounts to; None while no price is known."""
        if "ltp" not in self._fields:
            return None
        depth = self._depth
        if depth is None and self._best:
            depth = self._depth = Depth(self._side("bid_price", "bid_qty"), self._side("ask_price", "ask_qty"))
        if depth is not None and not (depth.buy or depth.sell):
            depth = None
        lost, self._lost = self._lost, ()
        return Tick(
            instrument=self._instrument,
            mode=MODE_QUOTE,
            timestamp=timestamp,
            depth=depth,
            taken_back=lost,
            **self._fields,  # type: ignore[arg-type]
        )

    def _side(self, price_key: str, quantity_key: str) -> list[DepthLevel]:
        price = self._best.get(price_key)
        return [] if price is None else [DepthLevel(price, int(self._best.get(quantity_key, 0)) or None)]


def number(raw: object) -> float:
    """A JSON number, or text that is one in plain ASCII; 0.0 for everything that is no number."""
    if isinstance(raw, str):
        # Python would also read 1_000 and digits of other scripts.
        if not raw.isascii() or "_" in raw or len(raw) > 40:
            return 0.0
        try:
            raw = float(raw)
        except ValueError:
            return 0.0
    elif isinstance(raw, bool) or not isinstance(raw, int | float):
        return 0.0
    return float(raw) if -_LARGEST < raw < _LARGEST else 0.0  # NaN compares false
