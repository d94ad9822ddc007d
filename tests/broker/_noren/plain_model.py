"""The family's merge rules (specification 5.3 to 5.8) in the plainest form, to hold the codec against.

It keeps the raw texts of a channel and reads everything anew for every tick.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

from support import wire_policy

IST = timezone(timedelta(hours=5, minutes=30))
PRICES = {
    "ltp": "lp", "open": "o", "high": "h", "low": "l", "close": "c",
    "avg_trade_price": "ap", "upper_circuit": "uc", "lower_circuit": "lc",
}  # fmt: skip
COUNTS = {
    "volume": "v", "last_trade_quantity": "ltq", "total_buy_quantity": "tbq", "total_sell_quantity": "tsq",
    "oi": "oi",
}  # fmt: skip
LEVEL_FIELDS = [f"{side}{what}{n}" for side in "bs" for what in "pqo" for n in range(1, 6)]
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)\s*", re.ASCII)


def number(value: Any) -> Decimal | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(str(value))
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return Decimal(value.strip())
    return None


def overwrites(name: str, value: Any) -> bool:
    """Whether this value replaces the known one."""
    if name == "ltt":
        return isinstance(value, str) and value != "05:30:00" and time_of_day(value) is not None
    found = number(value)
    if found is None:
        return False
    if name in PRICES.values():
        return wire_policy.rupees(float(found)) is not None
    if name == "ft":
        return wire_policy.seconds(int(found)) is not None
    return name in LEVEL_FIELDS or wire_policy.count(int(found)) is not None


def takes_back(name: str, value: Any) -> bool:
    """Whether this value says that there is none any more."""
    found = number(value)
    if found is None or overwrites(name, value):
        return False
    return (name in PRICES.values() and found != 0) or name in COUNTS.values()


def time_of_day(text: str) -> timedelta | None:
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d)", text, re.ASCII)
    return timedelta(hours=int(match[1]), minutes=int(match[2]), seconds=int(match[3])) if match else None


def ticks(frames: Sequence[Mapping[str, Any]], channel: str) -> list[dict[str, Any] | None]:
    """What each frame of one scrip's channel (`t` or `d`) has to show: the fields, or None for no tick."""
    known: dict[str, Any] = {}
    shown = []
    for frame in frames:
        if frame["t"] == f"{channel}k":
            known = {}
        for name, value in frame.items():
            if overwrites(name, value):
                known[name] = value
            elif takes_back(name, value):
                known.pop(name, None)
        shown.append(fields(known, channel))
    return shown


def fields(known: Mapping[str, Any], channel: str) -> dict[str, Any] | None:
    found: dict[str, Any] = {field: float(number(known[name])) for field, name in PRICES.items() if name in known}
    found |= {field: int(number(known[name])) for field, name in COUNTS.items() if name in known}
    if "ft" in known:
        stamp = int(number(known["ft"]))
        found["timestamp"] = stamp * 1000
        if "ltt" in known:
            local = datetime.fromtimestamp(stamp, IST)
            traded = local.replace(hour=0, minute=0, second=0) + time_of_day(known["ltt"])
            if traded > local + timedelta(seconds=60):
                traded -= timedelta(days=1)
            if traded > datetime(1970, 1, 1, tzinfo=UTC):
                found["ltt"] = int(traded.timestamp()) * 1000
    book = channel == "d" and any(f"{side}p{n}" in known for side in "bs" for n in range(1, 6))
    if book:
        found["depth"] = {"buy": levels(known, "b"), "sell": levels(known, "s")}
    if "ltp" in found or (book and (found["depth"]["buy"] or found["depth"]["sell"])):
        return found
    return None


def levels(known: Mapping[str, Any], side: str) -> list[dict[str, Any]]:
    shown = []
    for n in range(1, 6):
        price, quantity, orders = (number(known.get(f"{side}{what}{n}")) for what in "pqo")
        if price is None or quantity is None:
            continue
        if wire_policy.rupees(float(price)) is not None and wire_policy.count(int(quantity)):
            level: dict[str, Any] = {"price": float(price), "quantity": int(quantity)}
            told = None if orders is None else wire_policy.count(int(orders))
            shown.append(level if told is None else {**level, "orders": told})
    return shown
