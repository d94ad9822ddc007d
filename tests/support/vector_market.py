"""The market that a vector's tick speaks of, for tests that let a simulator write the vector's bytes."""

from datetime import date
from typing import Any

from tickmux.simulator.market.security import PRICE_UNIT, Level, Security

_PRICES = ("ltp", "open", "high", "low", "close", "upper_circuit", "lower_circuit")


def security_of(expected: dict[str, Any], token: int, expiry: date | None) -> Security:
    """The security whose market is what the tick `expected` says; what it does not say is 0."""
    found = Security(
        symbol=expected["symbol"],
        exchange=expected["exchange"],
        name=expected["symbol"],
        kind="INDEX" if expected["exchange"].endswith("_INDEX") else "EQ",
        token=token,
        tick=1,
        expiry=expiry,
    )
    found.updated_at, found.traded_at = expected.get("timestamp", 0), expected.get("ltt", 0)
    for name in _PRICES:
        setattr(found, name, _units(expected.get(name, 0)))
    found.volume = expected.get("volume", 0)
    found.turnover = _units(expected.get("avg_trade_price", 0)) * found.volume
    found.last_quantity = expected.get("last_trade_quantity", 0)
    found.total_buy = expected.get("total_buy_quantity", 0)
    found.total_sell = expected.get("total_sell_quantity", 0)
    found.oi = expected.get("oi", 0)
    depth = expected.get("depth", {"buy": [], "sell": []})
    found.bids, found.asks = _levels(depth["buy"]), _levels(depth["sell"])
    return found


def _units(price: float) -> int:
    return round(price * PRICE_UNIT)


def _levels(side: list[dict[str, Any]]) -> list[Level]:
    return [Level(_units(level["price"]), level["quantity"], level["orders"]) for level in side]
