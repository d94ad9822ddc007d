"""What Nubra's simulator says: batches of protobuf messages and rows of the instrument lists (sections 5 and 9).

Nothing here knows of sockets or clients.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from tickmux.instrument import format_strike
from tickmux.simulator.market.security import PAISA, PRICE_UNIT, Level, Security
from tickmux.simulator.server.protobuf_wire import integer, message, single, text

_PACKAGE = "type.googleapis.com/protos.zanskarsecurities.nubrafrontend."
_MESSAGES = {
    "orderbook": "BatchWebSocketOrderbookMessage",
    "index": "BatchWebSocketIndexMessage",
    "index_bucket": "BatchWebSocketIndexBucketMessage",
    "greeks": "BatchWebSocketGreeksMessage",
}
WORDS = {
    "NSE": "NSE", "NFO": "NSE", "NSE_INDEX": "NSE", "BSE": "BSE", "BFO": "BSE", "BSE_INDEX": "BSE", "MCX": "MCX",
}  # fmt: skip
"""Our exchange -> Nubra's word for it."""

_REF_BASES = {"NSE": 10_000_000, "BSE": 20_000_000, "NFO": 30_000_000, "BFO": 40_000_000, "MCX": 50_000_000}
_INDEX_SYMBOLS = {"INDIAVIX": "INDIA_VIX"}
_FRAME_NAMES = {"NIFTY": "nifty 50", "BANKNIFTY": "Nifty Bank"}
"""Indices that frames call otherwise than commands do."""
_DAY = 13
_NANOSECONDS = 1_000_000
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKLY_MONTHS = "123456789OND"

# -- batches (section 5) -----------------------------------------------------------------------------------


class Item(NamedTuple):
    """One instrument's message, and which field of a batch it belongs to: 2, or 3 for shares among indices."""

    field: int
    content: bytes


def encode_item(security: Security, topic: str, levels: int) -> Item:
    """`levels` counts in the order book only."""
    if topic == "orderbook":
        return Item(2, _orderbook(security, levels))
    if topic == "greeks":
        return Item(2, _greeks(security))
    content = _index(security) if topic == "index" else _day_candle(security)
    return Item(2 if security.is_index else 3, content)


def encode_batch(topic: str, time: int, items: Sequence[Item]) -> bytes:
    """One frame: a batch in an `Any` in an envelope. `time` is epoch milliseconds."""
    parts = [message(item.field, item.content) for item in sorted(items, key=lambda item: item.field)]
    batch = integer(1, time * _NANOSECONDS) + b"".join(parts)
    name = _MESSAGES[topic]
    return text(1, name) + message(2, text(1, _PACKAGE + name), message(2, batch))


def _orderbook(security: Security, levels: int) -> bytes:
    return b"".join(
        (
            integer(1, security.token),
            integer(2, security.updated_at * _NANOSECONDS),
            *(message(3, _level(level)) for level in security.bids[:levels]),
            *(message(4, _level(level)) for level in security.asks[:levels]),
            integer(5, security.ltp // PAISA),
            integer(6, security.last_quantity),
            integer(7, security.volume),
            integer(8, ref_id(security)),
        )
    )


def _level(level: Level) -> bytes:
    return integer(1, level.price // PAISA) + integer(2, level.quantity) + integer(3, level.orders)


def _index(security: Security) -> bytes:
    change = (security.ltp - security.close) / security.close * 100 if security.close else 0.0
    return b"".join(
        (
            text(1, _frame_name(security)),
            integer(2, security.updated_at * _NANOSECONDS),
            integer(3, security.ltp // PAISA),
            integer(4, security.high // PAISA),
            integer(5, security.low // PAISA),
            integer(6, security.volume),
            single(7, change),
            integer(9, security.close // PAISA),
            text(10, WORDS[security.exchange]),
        )
    )


def _day_candle(security: Security) -> bytes:
    return b"".join(
        (
            text(1, _frame_name(security)),
            text(2, WORDS[security.exchange]),
            integer(3, _DAY),
            integer(4, security.updated_at * _NANOSECONDS),
            integer(5, security.open // PAISA),
            integer(6, security.high // PAISA),
            integer(7, security.low // PAISA),
            integer(8, security.ltp // PAISA),  # the running price
            integer(10, security.last_quantity),
            integer(11, security.volume),
        )
    )


def _greeks(security: Security) -> bytes:
    call = security.kind == "CE"
    return b"".join(
        (
            integer(1, security.token),
            integer(2, security.updated_at * _NANOSECONDS),
            integer(3, security.strike // PAISA),
            integer(4, security.lot_size),
            integer(5, security.ltp // PAISA),
            single(7, 0.125),
            single(8, 0.5 if call else -0.5),
            integer(12, security.oi),
            integer(13, security.volume),
            integer(14, ref_id(security)),
        )
    )


def ref_id(security: Security) -> int:
    """Nubra's own number, which no two instruments share."""
    return _REF_BASES[security.exchange] + security.token


def stock_name(security: Security) -> str:
    """What commands call it."""
    if security.is_index:
        return _INDEX_SYMBOLS.get(security.symbol, security.symbol)
    expiry = security.expiry
    if expiry is None:
        return security.symbol
    year, month = f"{expiry.year % 100:02d}", _MONTHS[expiry.month - 1]
    if security.kind == "FUT":
        return f"{security.name}{year}{month}FUT"
    # The last expiry of a month bears the month's name; an earlier, weekly one a compressed date.
    if security.exchange in ("NFO", "BFO") and (expiry + timedelta(days=7)).month == expiry.month:
        month = f"{_WEEKLY_MONTHS[expiry.month - 1]}{expiry.day:02d}"
    return f"{security.name}{year}{month}{format_strike(security.strike / PRICE_UNIT)}{security.kind}"


def _frame_name(security: Security) -> str:
    return _FRAME_NAMES.get(security.symbol, stock_name(security)) if security.is_index else stock_name(security)


# -- instrument lists (section 9) --------------------------------------------------------------------------


def refdata_row(security: Security) -> dict[str, Any]:
    """A row of what trades."""
    row: dict[str, Any] = {
        "ref_id": ref_id(security),
        "strike_price": security.strike // PAISA,
        "option_type": security.kind if security.kind in ("CE", "PE") else "N/A",
        "token": security.token,
        "stock_name": stock_name(security),
        "lot_size": security.lot_size,
        "asset": security.name if security.expiry else security.symbol,
        "expiry": int(security.expiry.strftime("%Y%m%d")) if security.expiry else 0,
        "exchange": WORDS[security.exchange],
        "derivative_type": {"EQ": "STOCK", "FUT": "FUT"}.get(security.kind, "OPT"),
        "tick_size": security.tick // PAISA,
    }
    return row if security.expiry else row | {"series": "EQ", "isin": security.isin, "asset_type": "STOCKS"}


def index_rows(securities: Sequence[Security]) -> str:
    """The file of indices."""
    lines = [
        f"{WORDS[security.exchange]},{stock_name(security)},{stock_name(security)},{security.name.title()}"
        for security in securities
        if security.is_index and security.exchange in WORDS
    ]
    return "\n".join(("EXCHANGE,INDEX_SYMBOL,ZANSKAR_INDEX_SYMBOL,INDEX_NAME", *lines, ""))
