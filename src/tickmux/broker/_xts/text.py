"""Payloads as text: full messages in JSON, and partial ones after `t:` (specification sections 5.1 to 5.4)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from tickmux.broker._xts.messages import (
    CODES,
    DEPTH,
    LTP,
    OPEN_INTEREST,
    Change,
    Full,
    Key,
    Level,
    LevelChange,
    Message,
    Properties,
    digits,
    epoch_ms,
    price,
    quantity,
    segment,
)

PROPERTY_CHANGE = 1105
_MOST_LEVELS = 1000
_MOST_CHANGED_LEVELS = 100
_DEEPEST = 2
"""An array of payloads, perhaps itself as text; nothing lies deeper."""

_Convert = Callable[[object], float | int | None]

_LTP_FIELDS: tuple[tuple[str, str, _Convert], ...] = (
    ("ltp", "LastTradedPrice", price),
    ("ltt", "LastTradedTime", epoch_ms),
    ("last_trade_quantity", "LastTradedQunatity", quantity),  # the server's spelling
)
_QUOTE_FIELDS: tuple[tuple[str, str, _Convert], ...] = (
    *_LTP_FIELDS,
    ("open", "Open", price),
    ("high", "High", price),
    ("low", "Low", price),
    ("close", "Close", price),
    ("volume", "TotalTradedQuantity", quantity),
    ("avg_trade_price", "AverageTradedPrice", price),
    ("total_buy_quantity", "TotalBuyQuantity", quantity),
    ("total_sell_quantity", "TotalSellQuantity", quantity),
)

_LTP_KEYS: dict[str, tuple[str, _Convert]] = {
    "ltp": ("ltp", price),
    "ltt": ("ltt", epoch_ms),
    "lut": ("timestamp", epoch_ms),
    "ltq": ("last_trade_quantity", quantity),
}
_QUOTE_KEYS: dict[str, tuple[str, _Convert]] = {
    **_LTP_KEYS,
    "o": ("open", price),
    "h": ("high", price),
    "l": ("low", price),
    "c": ("close", price),
    "v": ("volume", quantity),
    "ap": ("avg_trade_price", price),
    "tb": ("total_buy_quantity", quantity),
    "ts": ("total_sell_quantity", quantity),
}
_KEYS: dict[int, dict[str, tuple[str, _Convert]]] = {LTP: _LTP_KEYS, OPEN_INTEREST: {"o": ("oi", quantity)}}

_decode_json = msgspec.json.Decoder().decode


class Malformed(Exception):
    """The payload is neither JSON nor partial text, or names no instrument."""


class NoInstrument(Malformed):
    """It is market data, but of nothing."""


def read_payload(payload: object, code: int, depth: int = 0) -> Iterator[Message]:
    """The messages in an event's payload; `code` is the event's own, 0 where its name has none. Raises Malformed."""
    if isinstance(payload, str):
        if code and payload.startswith("t:"):
            yield _partial(payload, code)
            return
        try:
            payload = _decode_json(payload)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise Malformed from None
    if isinstance(payload, dict):
        found = full(payload, code)
        if found is not None:
            yield found
    elif isinstance(payload, list) and depth < _DEEPEST:
        for each in payload:
            yield from read_payload(each, code, depth + 1)
    else:
        raise Malformed


def full(payload: Mapping[str, Any], code: int) -> Full | None:
    """A JSON full message, flat or with its prices in `Touchline`; None for a code that is not used."""
    if "ExchangeInstrumentID" not in payload or "ExchangeSegment" not in payload or "messageCode" in payload:
        payload = _capitalized(payload)
    code = digits(payload.get("MessageCode")) or code
    if code not in CODES:
        return None
    key = _key(payload.get("ExchangeSegment"), payload.get("ExchangeInstrumentID"))
    touchline = payload.get("Touchline")
    source = touchline if isinstance(touchline, dict) else payload
    fields: dict[str, float | int] = {}
    _put(fields, "timestamp", epoch_ms(payload.get("ExchangeTimeStamp")))
    if code == OPEN_INTEREST:
        _put(fields, "oi", quantity(payload.get("OpenInterest")))
        return Full(code, key, fields)
    if "timestamp" not in fields:
        _put(fields, "timestamp", epoch_ms(source.get("LastUpdateTime")))
    for name, wire_name, convert in _LTP_FIELDS if code == LTP else _QUOTE_FIELDS:
        _put(fields, name, convert(source.get(wire_name)))
    if "last_trade_quantity" not in fields:
        _put(fields, "last_trade_quantity", quantity(source.get("LastTradedQuantity")))
    if code != DEPTH:
        return Full(code, key, fields)
    return Full(code, key, fields, _levels(payload.get("Bids")), _levels(payload.get("Asks")))


def _put(fields: dict[str, float | int], name: str, value: float | int | None) -> None:
    if value is not None:
        fields[name] = value


def _key(exchange_segment: object, instrument_id: object) -> Key:
    where, who = segment(exchange_segment), digits(instrument_id)
    if where is None or who is None:
        raise NoInstrument
    return where, who


def _levels(rows: object) -> list[Level] | None:
    if not isinstance(rows, list):
        return None
    return [
        (price(row.get("Price")), quantity(row.get("Size")), quantity(row.get("TotalOrders")))
        for row in rows[:_MOST_LEVELS]
        if isinstance(row, dict)
    ]


def _capitalized(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The payload of a build that begins its keys with small letters, in the usual spelling."""
    found = {name[:1].upper() + name[1:]: value for name, value in payload.items()}
    if isinstance(found.get("Touchline"), dict):
        found["Touchline"] = {key[:1].upper() + key[1:]: value for key, value in found["Touchline"].items()}
    for name in ("Bids", "Asks"):
        if isinstance(found.get(name), list):
            found[name] = [
                {key[:1].upper() + key[1:]: value for key, value in row.items()}
                for row in found[name]
                if isinstance(row, dict)
            ]
    return found


# -- partial text ------------------------------------------------------------------------------------------


def _partial(text: str, code: int) -> Message:
    head, *pairs = text.split(",")
    exchange_segment, _, instrument_id = head[2:].rpartition("_")
    key = _key(exchange_segment.strip(), instrument_id.strip())
    if code == PROPERTY_CHANGE:
        return Properties(key, _properties(pairs))
    known = _KEYS.get(code, _QUOTE_KEYS)
    fields: dict[str, float | int] = {}
    bids: list[LevelChange] = []
    asks: list[LevelChange] = []
    for pair in pairs:
        name, _, value = pair.partition(":")
        if name in known:
            field, convert = known[name]
            _put(fields, field, convert(value))
        elif code == DEPTH and name == "bi":
            bids = _level_changes(value)
        elif code == DEPTH and name == "ai":
            asks = _level_changes(value)
    return Change(code, key, fields, bids, asks)


def _properties(pairs: list[str]) -> dict[int, float]:
    found: dict[int, float] = {}
    for pair in pairs:
        name, _, value = pair.partition(":")
        property_number, limit = digits(name), price(value)
        if property_number is not None and limit is not None:
            found[property_number] = limit
    return found


def _level_changes(text: str) -> list[LevelChange]:
    """`index|size|price|orders|index|…`; an empty part keeps the old value, and one that is no value has none.

    A level whose price or size is not known is not shown, so that no book is made up of two states.
    """
    parts = text.split("|")
    found: list[LevelChange] = []
    for start in range(0, len(parts) - 3, 4):
        index = digits(parts[start])
        if index is None or index >= _MOST_CHANGED_LEVELS:
            continue
        size, level_price, orders = parts[start + 1 : start + 4]
        new = ((level_price, price), (size, quantity), (orders, quantity))
        found.append(LevelChange(index, {part: convert(value) for part, (value, convert) in enumerate(new) if value}))
    return found
