"""Messages of publishers that are not ours: OpenAlgo's topics and JSON payloads; pure.

A topic is exchange first, mode last: `NSE_SBIN_LTP`, `NSE_INDEX_NIFTY_QUOTE`, `CRYPTO_SOL_INR_LTP`. What stands
before the mode is never taken apart (symbols contain underscores): the name is made from a subscription and looked up
as it comes. Nothing of a payload reaches a client as it came: it is parsed, checked and encoded anew.
"""

from enum import Enum
from typing import Any, NamedTuple

import msgspec

from tickmux.tick import Mode
from tickmux.websocket_proxy.mapping import DATA_MODES

MOST_BYTES = 65_536
"""Of a payload. A book of 200 levels has 17,000."""
_MOST_LEVELS = 4
"""Of lists and objects within one another: `depth`, its side, a level."""
_LARGEST = 2**53
"""Beyond it a whole number is not the same to every client."""
_LIMIT = 1e12
"""No price is beyond it."""
_PRICES = ("ltp", "open", "high", "low", "close")
_LTP_FIELDS = ("ltp", "ltt", "timestamp")
_NOT_DATA = frozenset({"mode", "type", "status", "action", "broker", "seq", "snapshot", "code", "request_id"})
"""Names that belong to the messages around `data`, which the flat format has none of."""
_SUFFIXES = {b"_LTP": Mode.LTP, b"_QUOTE": Mode.QUOTE, b"_DEPTH": Mode.DEPTH}

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.encode


class Other(Enum):
    """Messages that are no ticks."""

    ORDERS = "orders"
    CACHE = "cache"
    UNKNOWN = "unknown"


class Named(NamedTuple):
    """What a topic is about: exchange and symbol as the publisher joined them, and the mode."""

    name: bytes
    mode: Mode


class NoTick(Exception):
    """A payload that cannot be passed on."""


def topic_of(topic: bytes) -> Named | Other:
    """What a publisher's topic says."""
    for suffix, mode in _SUFFIXES.items():
        if topic.endswith(suffix):
            return Named(topic[: -len(suffix)], mode)
    if topic.endswith(b"_orders"):
        return Other.ORDERS
    return Other.CACHE if topic.startswith(b"CACHE_INVALIDATE") else Other.UNKNOWN


def joined_name(exchange: str, symbol: str) -> bytes:
    """The name under which OpenAlgo's publishers send an instrument, without the mode."""
    return f"{exchange}_{symbol}".encode()


def fields_of(payload: bytes) -> dict[str, Any]:
    """A payload's fields, checked: names of market data, values that every client can take. Raises NoTick."""
    if len(payload) > MOST_BYTES:
        raise NoTick("it is too long")
    try:
        data = _decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        raise NoTick(str(error)) from None
    found = {
        name: _checked(value, _MOST_LEVELS)
        for name, value in data.items()
        if value is not None and name not in _NOT_DATA and name.isidentifier()
    }
    for name in _PRICES:
        price = found.get(name, 0.0)
        if isinstance(price, bool) or not isinstance(price, (int, float)) or not -_LIMIT < price < _LIMIT:
            raise NoTick(f"{name} is no price")
    return found


def is_about(fields: dict[str, Any], symbol: str, exchange: str) -> bool:
    """Whether a payload is about this instrument; one that names none is about what its topic says."""
    return bool(fields.get("symbol", symbol) == symbol and fields.get("exchange", exchange) == exchange)


def payload_for(fields: dict[str, Any], published: Mode, symbol: str, exchange: str, mode: Mode) -> bytes | None:
    """`fields`, published in one mode, as the compact `data` of a subscription of the same or a poorer one; None
    where that would be nothing."""
    head: dict[str, Any] = {"symbol": symbol, "exchange": exchange, "mode": DATA_MODES[mode]}
    if mode == published:
        return _encode(head | {name: value for name, value in fields.items() if name not in head})
    if mode == Mode.QUOTE:
        return _encode(head | {name: value for name, value in fields.items() if name not in head and name != "depth"})
    if "ltp" not in fields:
        return None
    return _encode(head | {name: fields[name] for name in _LTP_FIELDS if name in fields})


def _checked(value: Any, levels: int) -> Any:
    """The value, whole numbers as integers, which is what clients in typed languages want. Raises NoTick."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _LARGEST else value
    if isinstance(value, int):
        if abs(value) > _LARGEST:
            raise NoTick("a number is too large")
        return value
    if value is None or isinstance(value, str):
        return value
    if not levels:
        raise NoTick("its lists and objects are nested too deeply")
    if isinstance(value, list):
        return [_checked(entry, levels - 1) for entry in value]
    return {name: _checked(entry, levels - 1) for name, entry in value.items()}
