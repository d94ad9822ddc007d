"""Market frames of the Noren family, as its specification describes them (section 5): every value is text."""

from tickmux.simulator.market.security import PRICE_UNIT, Level, Security

TOUCHLINE, DEPTH = "touchline", "depth"
_LEVELS = 5
_FOUR_DECIMALS = frozenset({"CDS", "BCD"})
_UNIVERSE = 37
"""The whole underlying's open interest is so many times the contract's."""
_IST_OFFSET = 19_800

Fields = dict[str, str]


def wire_exchange(security: Security) -> str:
    return security.exchange.removesuffix("_INDEX")


def identity(security: Security) -> Fields:
    """Which scrip a frame is about."""
    return {"e": wire_exchange(security), "tk": str(security.token)}


def about(security: Security, brsymbol: str) -> Fields:
    """What only a snapshot says of a scrip, though it never changes."""
    in_lots = security.exchange in _FOUR_DECIMALS  # the multiplier is in the master only
    return {
        "ts": brsymbol,
        "pp": str(_decimals(security)),
        "ls": str(max(1, security.lot_size * (1 if in_lots else security.multiplier))),
        "ti": _text(security.tick, security),
    }


def market_fields(security: Security, kind: str) -> Fields:
    """Everything that a snapshot of this channel says of the market."""
    change = (security.ltp - security.close) / security.close * 100 if security.close else 0.0
    fields = {
        "lp": _text(security.ltp, security),
        "pc": f"{change:.2f}",
        "c": _text(security.close, security),
        "ft": str(security.updated_at // 1000),
        "o": _text(security.open, security),
        "h": _text(security.high, security),
        "l": _text(security.low, security),
    }
    if security.is_index:
        return fields
    fields |= {"ap": _text(security.average, security), "v": str(security.volume)}
    if security.is_derivative:
        yesterday = int(security.oi * 0.97) // security.lot_size * security.lot_size
        fields |= {"oi": str(security.oi), "poi": str(yesterday), "toi": str(security.oi * _UNIVERSE)}
    if kind == TOUCHLINE:
        best_buy, best_sell = _level(security, security.bids, 0), _level(security, security.asks, 0)
        return fields | {"bp1": best_buy[0], "sp1": best_sell[0], "bq1": best_buy[1], "sq1": best_sell[1]}
    fields |= {
        "ltq": str(security.last_quantity),
        "ltt": _time_of_day(security.traded_at),
        "tbq": str(security.total_buy),
        "tsq": str(security.total_sell),
        "uc": _text(security.upper_circuit, security),
        "lc": _text(security.lower_circuit, security),
        "52h": _text(security.year_high, security),
        "52l": _text(security.year_low, security),
    }
    for place in range(_LEVELS):
        for side, levels in (("b", security.bids), ("s", security.asks)):
            texts = _level(security, levels, place)
            fields |= {f"{side}{letter}{place + 1}": text for letter, text in zip("pqo", texts, strict=True)}
    return fields


def _level(security: Security, levels: list[Level], place: int) -> tuple[str, str, str]:
    """Price, quantity and orders; a level that is empty is zero."""
    if place >= len(levels):
        return _text(0, security), "0", "0"
    level = levels[place]
    return _text(level.price, security), str(level.quantity), str(level.orders)


def _decimals(security: Security) -> int:
    return 4 if security.exchange in _FOUR_DECIMALS else 2


def _text(price: int, security: Security) -> str:
    return f"{price / PRICE_UNIT:.{_decimals(security)}f}"


def _time_of_day(milliseconds: int) -> str:
    seconds = (milliseconds // 1000 + _IST_OFFSET) % 86_400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
