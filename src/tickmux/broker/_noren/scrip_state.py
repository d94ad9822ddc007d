"""What the frames of one scrip on one channel have said so far (family specification, sections 5.2 to 5.6). Pure.

A frame's fields are merged one by one; what a field means, and whether "nothing" or zero overwrites, is a table.
Bounded: at most the fields of that table.
"""

from collections.abc import Mapping
from typing import Any

from tickmux.broker._wire_values import PLAIN, PLAIN_RUPEES, count, epoch_ms, rupees
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, Depth, DepthLevel, Mode, Tick

LEVELS = 5

_NO_NUMBER = 1e18
_DAY, _IST_OFFSET = 86_400, 19_800
_SLACK = 60
"""Seconds that a last trade may be ahead of the feed's time; one further ahead was yesterday's (5.6)."""


# How a field is merged (the table of section 5.3); plain numbers, since they are compared for every field.
_PRICE = 0  # neither nothing nor zero overwrites; a sentinel takes the old value back
_COUNT = 1  # zero overwrites
_FEED_TIME = 2
_TRADE_TIME = 3
_LEVEL_PRICE = 4  # zero overwrites: the level became empty
_LEVEL_COUNT = 5

_INDEX_PRICES = {"lp": "ltp", "o": "open", "h": "high", "l": "low", "c": "close"}
_PRICES = {**_INDEX_PRICES, "ap": "avg_trade_price", "uc": "upper_circuit", "lc": "lower_circuit"}
_COUNTS = {
    "v": "volume",
    "ltq": "last_trade_quantity",
    "tbq": "total_buy_quantity",
    "tsq": "total_sell_quantity",
    "oi": "oi",  # not `toi`, which is the whole underlying's
}
_NUMBERS = range(1, LEVELS + 1)
_BUY, _SELL = (tuple((f"{s}p{n}", f"{s}q{n}", f"{s}o{n}") for n in _NUMBERS) for s in "bs")

_Rules = Mapping[str, tuple[int, str]]
_INDEX_RULES: _Rules = {name: (_PRICE, field) for name, field in _INDEX_PRICES.items()} | {
    "ft": (_FEED_TIME, "timestamp")
}
"""An index has prices and a time, whatever else a frame may hold (section 6)."""
_TOUCHLINE_RULES: _Rules = {
    **_INDEX_RULES,
    **{name: (_PRICE, field) for name, field in _PRICES.items()},
    **{name: (_COUNT, field) for name, field in _COUNTS.items()},
    "ltt": (_TRADE_TIME, "ltt"),
}
"""The touchline's best bid and offer are no book (section 6)."""
_DEPTH_RULES: _Rules = {
    **_TOUCHLINE_RULES,
    **{price: (_LEVEL_PRICE, price) for price, _, _ in (*_BUY, *_SELL)},
    **{count: (_LEVEL_COUNT, count) for _, *counts in (*_BUY, *_SELL) for count in counts},
}


class ScripState:
    """The merged state of `instrument` on one channel; `mode` is that of the channel's ticks."""

    __slots__ = (
        "_book", "_feed_time", "_fields", "_instrument", "_is_index", "_levels", "_lost", "_mode", "_rules",
        "_trade_time",
    )  # fmt: skip

    def __init__(self, instrument: Instrument, mode: Mode) -> None:
        self._instrument = instrument
        self._mode = mode
        self._lost: tuple[str, ...] = ()
        """What was taken back since the last tick."""
        self._is_index = instrument.is_index
        if self._is_index:
            self._rules = _INDEX_RULES
        else:
            self._rules = _DEPTH_RULES if mode is MODE_DEPTH else _TOUCHLINE_RULES
        self._fields: dict[str, Any] = {}
        self._levels: dict[str, float] = {}
        self._book: Depth | None = None
        self._feed_time: int | None = None
        self._trade_time: int | None = None

    def merge(self, frame: Mapping[str, Any]) -> None:
        """Takes in what the frame carries; all else keeps its value."""
        rules, fields, levels = self._rules, self._fields, self._levels
        buy_changed = sell_changed = time_changed = False
        for name, value in frame.items():
            rule = rules.get(name)
            if rule is None:
                continue
            meaning, field = rule
            if meaning == _PRICE:
                told = _number(value)
                if told:
                    price = told if 0.0 < told < PLAIN_RUPEES else rupees(told, self._is_index)
                    if price is not None:
                        fields[field] = price
                    elif fields.pop(field, None) is not None:
                        self._lost += (field,)
            elif meaning == _LEVEL_PRICE:
                told = _number(value)
                if told is not None:
                    levels[field] = told
                    if field[0] == "b":
                        buy_changed = True
                    else:
                        sell_changed = True
            elif meaning == _LEVEL_COUNT:
                units = _whole(value)
                if units is not None:
                    levels[field] = units
                    if field[0] == "b":
                        buy_changed = True
                    else:
                        sell_changed = True
            elif meaning == _COUNT:
                units = _whole(value)
                if units is None:
                    continue
                if 0 <= units < PLAIN or count(units) is not None:
                    fields[field] = units
                elif fields.pop(field, None) is not None:
                    self._lost += (field,)
            elif meaning == _FEED_TIME:
                seconds = _whole(value)
                if seconds is not None and (moment := epoch_ms(seconds)) is not None:
                    self._feed_time = seconds
                    fields[field] = moment
                    time_changed = True
            else:
                seconds = _time_of_day(value)
                if seconds is not None and seconds != _IST_OFFSET:  # 05:30:00 is epoch 0: no trade yet
                    self._trade_time = seconds
                    time_changed = True
        if buy_changed or sell_changed:
            old = self._book
            if old is None:
                self._book = _book(levels)
            else:
                self._book = Depth(
                    _side(levels, _BUY) if buy_changed else old.buy,
                    _side(levels, _SELL) if sell_changed else old.sell,
                )
        if time_changed:
            self._date_last_trade()

    def tick(self) -> Tick | None:
        """The whole state, or None while it says neither a price nor a level (section 5.8)."""
        book, fields = self._book, self._fields
        if "ltp" in fields or (book is not None and (book.buy or book.sell)):
            lost, self._lost = self._lost, ()
            return Tick(instrument=self._instrument, mode=self._mode, depth=book, taken_back=lost, **fields)
        return None

    def _date_last_trade(self) -> None:
        """The last trade's time of day gets the day of the feed's time, or the day before (section 5.6)."""
        if self._feed_time is None or self._trade_time is None:
            return
        local = self._feed_time + _IST_OFFSET
        traded = local - local % _DAY + self._trade_time - _IST_OFFSET
        if traded > self._feed_time + _SLACK:
            traded -= _DAY
        if traded > 0:
            self._fields["ltt"] = traded * 1000
        else:
            self._fields.pop("ltt", None)


def _book(levels: Mapping[str, float]) -> Depth | None:
    """Both sides, best first as the wire has them; None while no price of any level is known (section 5.4)."""
    if not any(price in levels for price, _, _ in (*_BUY, *_SELL)):
        return None
    return Depth(_side(levels, _BUY), _side(levels, _SELL))


def _side(levels: Mapping[str, float], names: tuple[tuple[str, str, str], ...]) -> list[DepthLevel]:
    side = []
    for price_name, quantity_name, orders_name in names:
        price, quantity = levels.get(price_name), int(levels.get(quantity_name, 0))
        if price and quantity and rupees(price) is not None and count(quantity):
            orders = levels.get(orders_name)
            side.append(DepthLevel(price, quantity, None if orders is None else count(int(orders))))
    return side


def _number(value: object) -> float | None:
    """A JSON number, or text that is one in plain ASCII; None for everything else."""
    kind = type(value)
    if kind is str:
        # Python would also read 1_000 and digits of other scripts.
        if not value or "_" in value or not value.isascii():  # type: ignore[operator, attr-defined]
            return None
    elif kind is not int and kind is not float:
        return None
    try:
        found = float(value)  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return None
    return found if -_NO_NUMBER < found < _NO_NUMBER else None  # NaN compares false


def _whole(value: object) -> int | None:
    """The integer part of a number."""
    if type(value) is str and value.isdecimal() and len(value) < 19 and value.isascii():
        return int(value)
    found = _number(value)
    if found is None:
        return None
    return value if type(value) is int else int(found)


def _time_of_day(value: object) -> int | None:
    """Seconds since midnight of `HH:MM:SS`."""
    if not isinstance(value, str) or len(value) != 8 or value[2] != ":" or value[5] != ":":
        return None
    digits = value[:2] + value[3:5] + value[6:]
    if not (digits.isdecimal() and digits.isascii()):
        return None
    number = int(digits)
    hours, minutes, seconds = number // 10_000, number // 100 % 100, number % 100
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    return hours * 3600 + minutes * 60 + seconds
