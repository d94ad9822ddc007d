"""What every feed is translated into: a tick, its depth, and the mode that it fills.

Prices are rupees, times epoch milliseconds, quantities as the exchange counts them. A field that the
wire frame does not determine is `None`, never 0, and is absent from every message that is made of it.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tickmux.instrument import Instrument


class Mode(IntEnum):
    """How much of an instrument is wanted; a higher mode contains the lower ones."""

    LTP = 1
    QUOTE = 2
    DEPTH = 3


MODE_LTP, MODE_QUOTE, MODE_DEPTH = Mode
"""The same members for hot paths: up to Python 3.11 `Mode.LTP` costs ten times what a name of a module does."""


class DepthLevel(msgspec.Struct, gc=False, omit_defaults=True):
    """One price level of a book. `quantity` and `orders` are None where the feed does not tell them."""

    price: float
    quantity: int | None = None
    orders: int | None = None


class Depth(msgspec.Struct, gc=False):
    """A book, best level first on both sides. A side may be empty; it is never padded."""

    buy: list[DepthLevel]
    sell: list[DepthLevel]


class Tick(msgspec.Struct, kw_only=True, gc=False):
    """What one wire message says about one instrument: only the fields that its bytes determine.

    `mode` is the mode that the message fills. `close` is the previous close. `taken_back` is no field of the tick:
    it names the fields (`depth` among them) of which the message says that they have no value now, such as a price
    of 0 in a complete record. What was known of them must not be shown any longer. A field that is neither set nor
    taken back keeps its value.
    """

    instrument: "Instrument"
    mode: Mode
    ltp: float | None = None
    ltt: int | None = None
    timestamp: int | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: int | None = None
    last_trade_quantity: int | None = None
    avg_trade_price: float | None = None
    total_buy_quantity: int | None = None
    total_sell_quantity: int | None = None
    oi: int | None = None
    upper_circuit: float | None = None
    lower_circuit: float | None = None
    depth: Depth | None = None
    taken_back: tuple[str, ...] = ()


def without_value(names: Sequence[str], values: Sequence[object]) -> tuple[str, ...]:
    """Which of the `names` have no value: `Tick.taken_back` of a record that tells all of them."""
    if values.count(None) == 1:  # the most frequent case: an index has no average price
        return (names[values.index(None)],)
    return tuple([name for name, value in zip(names, values, strict=True) if value is None])


LTP_FIELDS = ("ltp", "ltt", "timestamp")
QUOTE_FIELDS = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "last_trade_quantity",
    "avg_trade_price",
    "total_buy_quantity",
    "total_sell_quantity",
    "oi",
    "upper_circuit",
    "lower_circuit",
)
"""The fields that QUOTE adds to those of LTP; DEPTH adds `depth` to both."""


def tick_fields(tick: Tick) -> dict[str, object]:
    """The fields that `tick` determines, by the names of the client protocol; `depth` as plain dicts."""
    found = {name: getattr(tick, name) for name in (*LTP_FIELDS, *QUOTE_FIELDS)}
    fields: dict[str, object] = {name: value for name, value in found.items() if value is not None}
    if tick.depth is not None:
        fields["depth"] = msgspec.to_builtins(tick.depth)
    return fields
