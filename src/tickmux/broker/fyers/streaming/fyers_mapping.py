"""What FYERS streams and what it means to us: topics, field tables, normalization (specification 4.2, 5.2 and 6)."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from tickmux.broker._wire_values import PLAIN, count, epoch_ms, price
from tickmux.broker.fyers.streaming.index_names import index_name
from tickmux.instrument import Instrument
from tickmux.tick import Depth, DepthLevel

SEGMENTS: Mapping[str, str] = {
    "1010": "nse_cm",
    "1011": "nse_fo",
    "1012": "cde_fo",
    "1020": "nse_com",
    "1120": "mcx_fo",
    "1210": "bse_cm",
    "1211": "bse_fo",
    "1212": "bcs_fo",
}
"""The first four characters of a fytoken to the feed's segment; any other cannot be streamed."""

_OI_SEGMENTS = frozenset({"nse_fo", "bse_fo", "cde_fo", "bcs_fo", "mcx_fo"})
_INDEX_SEGMENTS = {"NSE_INDEX": "nse_cm", "BSE_INDEX": "bse_cm"}
_TOKEN_START = 10  # four characters of exchange and segment, six of the expiry
_LONGEST_NAME = 30  # so that 1500 topics always fit into a frame

UNAVAILABLE = -2147483648
"""In a snapshot: no value. In an update: unchanged."""

Value: TypeAlias = float | int | None


def quote_topic(instrument: Instrument) -> str:
    """`sf|nse_fo|53216`, or `if|nse_cm|Nifty 50` for an index. Raises ValueError for what cannot be streamed."""
    if instrument.is_index:
        segment = _INDEX_SEGMENTS.get(instrument.exchange)
        name = instrument.extra or index_name(instrument.brsymbol)
        if segment is None or not name or not name.isascii() or len(name) > _LONGEST_NAME:
            raise ValueError(f"{instrument.symbol} of {instrument.exchange} is no index that FYERS streams")
        return f"if|{segment}|{name}"
    fytoken = instrument.token
    segment = SEGMENTS.get(fytoken[:4])
    length = len(fytoken) - _TOKEN_START
    if segment is None or not 0 < length <= _LONGEST_NAME or not (fytoken.isascii() and fytoken.isdigit()):
        raise ValueError(f"{instrument.symbol} of {instrument.exchange} has no fytoken that can be streamed")
    return f"sf|{segment}|{fytoken[_TOKEN_START:]}"


def depth_topic(quote: str) -> str:
    """The five-level book's topic beside a tradable's quote topic; an index has none."""
    return f"dp{quote[2:]}"


def _price(raw: int, divisor: int) -> Value:
    return raw / divisor if 0 < raw < PLAIN else price(raw, divisor)


def _index_price(raw: int, divisor: int) -> Value:
    return raw / divisor if 0 < raw < PLAIN else price(raw, divisor, True)


def _limit(raw: int, divisor: int) -> Value:
    """A circuit limit, which counts only when it is positive (section 6)."""
    return _price(raw, divisor) if raw > 0 else None


def _seconds(raw: int, divisor: int) -> Value:
    return epoch_ms(raw)


def _quantity(raw: int, divisor: int) -> Value:
    return count(raw)  # none where 32 bits overflowed: the true number is unknown


class Field(NamedTuple):
    """Which field of a tick a raw value fills, and how; raw values without a field only count as a change."""

    name: str
    convert: Callable[[int, int], Value]


QUOTE_LAYOUT: tuple[Field | None, ...] = (
    Field("ltp", _price),
    Field("volume", _quantity),
    Field("ltt", _seconds),
    Field("timestamp", _seconds),
    None,  # bid size
    None,  # ask size
    None,  # bid price
    None,  # ask price
    Field("last_trade_quantity", _quantity),
    Field("total_buy_quantity", _quantity),
    Field("total_sell_quantity", _quantity),
    Field("avg_trade_price", _price),
    Field("oi", _quantity),
    Field("low", _price),
    Field("high", _price),
    None,  # 52-week high
    None,  # 52-week low
    Field("lower_circuit", _limit),
    Field("upper_circuit", _limit),
    Field("open", _price),
    Field("close", _price),
)
CASH_LAYOUT = tuple(None if field and field.name == "oi" else field for field in QUOTE_LAYOUT)
"""Open interest of a cash instrument means nothing."""
INDEX_LAYOUT: tuple[Field | None, ...] = (
    Field("ltp", _index_price),
    Field("close", _index_price),
    Field("timestamp", _seconds),
    Field("high", _index_price),
    Field("low", _index_price),
    Field("open", _index_price),
)
DEPTH_LAYOUT: tuple[Field | None, ...] = (None,) * 30
"""Five values each: bid prices, ask prices, bid sizes, ask sizes, bid orders, ask orders; `book` reads them."""


def topic_layout(topic: str) -> tuple[Field | None, ...] | None:
    """What the values of a topic are, in wire order; None for a topic of an unknown kind."""
    kind, _, rest = topic.partition("|")
    if kind == "sf":
        return QUOTE_LAYOUT if rest.partition("|")[0] in _OI_SEGMENTS else CASH_LAYOUT
    return {"if": INDEX_LAYOUT, "dp": DEPTH_LAYOUT}.get(kind)


def book(raw: Sequence[int], divisor: int) -> Depth:
    """The five-level book of a `dp` topic's values; a level without price or size is left out."""
    return Depth(buy=_side(raw, divisor, 0), sell=_side(raw, divisor, 5))


def _side(raw: Sequence[int], divisor: int, first: int) -> list[DepthLevel]:
    levels = []
    for i in range(first, first + 5):
        at, size, orders = _price(raw[i], divisor), count(raw[i + 10]), count(raw[i + 20])
        if at is not None and size:
            levels.append(DepthLevel(at, size, orders))
    return levels
