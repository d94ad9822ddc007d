"""What the frames about one instrument have said so far (specification sections 5.1 to 5.5). Pure.

A frame never resets the state: it always merges, field by field, and the book level by level.
"""

from collections.abc import Mapping
from typing import Any

from tickmux.broker._wire_values import epoch_ms, float_count, rupees
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_QUOTE, Depth, DepthLevel, Tick

_NO_NUMBER = 9.2e18
"""The feed writes 2^63, sometimes rounded by a float, where it has no number."""
_LEVELS = 5

_PRICES = {
    "i_last_traded_price": "ltp",
    "i_open_price": "open",
    "i_high_price": "high",
    "i_low_price": "low",
    "i_closing_price": "close",
    "i_average_trade_price": "avg_trade_price",
    "i_upper_circuit_limit": "upper_circuit",
    "i_lower_circuit_limit": "lower_circuit",
}
_COUNTS = {
    "i_volume_traded_today": "volume",
    "i_last_trade_quantity": "last_trade_quantity",
    "i_total_buy_quantity": "total_buy_quantity",
    "i_total_sell_quantity": "total_sell_quantity",
    "i_open_interest": "oi",
}
_TIMES = {"i_feed_time": "timestamp", "i_last_trade_time": "ltt"}
_TOTAL_OI_EXCHANGES = frozenset({"NFO", "BFO"})
"""Elsewhere `i_total_open_interest` belongs to the derivatives of the name (section 5.3)."""

_Levels = list[dict[str, float]]


class MarketState:
    """The merged state of `instrument`."""

    __slots__ = ("_book", "_buy", "_fields", "_had_book", "_instrument", "_lost", "_second_choice", "_sell")

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._fields: dict[str, Any] = {}
        self._second_choice: dict[str, Any] = {}
        """What fills a field as long as its proper source is unknown."""
        self._buy: _Levels = [{} for _ in range(_LEVELS)]
        self._sell: _Levels = [{} for _ in range(_LEVELS)]
        self._book: Depth | None = None
        self._had_book = False
        self._lost: tuple[str, ...] = ()
        """What was taken back since the last tick."""

    def merge(self, frame: Mapping[str, Any]) -> None:
        """Takes in what the frame carries; all else keeps its value."""
        fields = self._fields
        for name, value in frame.items():
            if name in _PRICES:
                paise = _number(value)
                if paise:
                    self._take(_PRICES[name], _rupees(paise, self._instrument.is_index))
            elif name in _COUNTS:
                units = _number(value)
                if units is not None:
                    self._take(_COUNTS[name], float_count(units))
            elif name in _TIMES:
                seconds = _number(value)
                if seconds is not None and (moment := epoch_ms(int(seconds))) is not None:
                    fields[_TIMES[name]] = moment
            elif name in ("best_buy", "best_sell"):
                if isinstance(value, list):
                    _merge_levels(self._buy if name == "best_buy" else self._sell, value)
                    self._book = None
            elif name == "close_price":
                paise = _number(value)
                price = _rupees(paise, self._instrument.is_index) if paise else None
                if price is not None:
                    self._second_choice["close"] = price
            elif name == "i_total_open_interest" and self._instrument.exchange in _TOTAL_OI_EXCHANGES:
                units = _number(value)
                if units is not None and (total := float_count(units)) is not None:
                    self._second_choice["oi"] = total

    def _take(self, field: str, value: float | None) -> None:
        """A value that was told; one that means none takes the old one back."""
        if value is not None:
            self._fields[field] = value
        elif self._fields.pop(field, None) is not None:
            self._lost += (field,)

    def tick(self) -> Tick | None:
        """The whole state, or None while it says neither a price nor a level (section 5.5)."""
        book = self._book
        if book is None:
            book = self._book = Depth(_side(self._buy), _side(self._sell))
        fields = {**self._second_choice, **self._fields}
        lost = tuple(name for name in self._lost if name not in fields)
        if book.buy or book.sell:
            self._had_book, self._lost = True, ()
            return Tick(instrument=self._instrument, mode=MODE_DEPTH, depth=book, taken_back=lost, **fields)
        if "ltp" not in fields:
            return None
        self._lost = ()
        gone = (*lost, "depth") if self._had_book else lost
        return Tick(instrument=self._instrument, mode=MODE_QUOTE, taken_back=gone, **fields)


def _merge_levels(levels: _Levels, changes: list[Any]) -> None:
    """By position and by key; zero overwrites, since it empties a level."""
    for level, change in zip(levels, changes, strict=False):
        if isinstance(change, dict):
            for key in ("price", "quantity", "orders"):
                number = _number(change.get(key))
                if number is not None:
                    level[key] = number


def _side(levels: _Levels) -> list[DepthLevel]:
    side = []
    for level in levels:
        price, quantity = _rupees(level.get("price", 0.0)), float_count(level.get("quantity", 0))
        if price is not None and quantity:
            orders = level.get("orders")
            side.append(DepthLevel(price, quantity, None if orders is None else float_count(orders)))
    return side


def _rupees(paise: float, is_index: bool = False) -> float | None:
    return rupees(round(paise / 100, 6), is_index)


def _number(value: object) -> float | None:
    """A JSON number, or text that is one in plain ASCII; None for everything else and the placeholder."""
    if isinstance(value, str):
        # Python would also read 1_000 and digits of other scripts.
        if not value or "_" in value or not value.isascii():
            return None
        try:
            value = int(value) if value.isdecimal() and len(value) < 20 else float(value)
        except ValueError:
            return None
    elif not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if -_NO_NUMBER < value < _NO_NUMBER else None  # NaN compares false
