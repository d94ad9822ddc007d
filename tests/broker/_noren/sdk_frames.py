"""What an official SDK of the family has merged, against what the exchange made."""

from broker._noren.test_noren_simulator import expected
from broker.vector_cases import same_value
from tickmux.simulator.market.security import Security
from tickmux.tick import Mode

MODES = {"t": Mode.QUOTE, "d": Mode.DEPTH}
"""By channel."""

_FIELDS = {
    "ltp": "lp", "open": "o", "high": "h", "low": "l", "close": "c", "avg_trade_price": "ap", "volume": "v",
    "oi": "oi", "last_trade_quantity": "ltq", "total_buy_quantity": "tbq", "total_sell_quantity": "tsq",
    "upper_circuit": "uc", "lower_circuit": "lc",
}  # fmt: skip
_LEVEL = {"price": "p", "quantity": "q", "orders": "o"}


def check(frame: dict[str, str], security: Security, channel: str) -> None:
    """Every field that the engine has, by its name on the wire, and the levels of both sides."""
    made = expected(security, MODES[channel])
    for ours, theirs in _FIELDS.items():
        if ours in made:
            assert same_value(float(frame[theirs]), float(made[ours])), (security.symbol, ours)
    assert int(frame["ft"]) * 1000 == made["timestamp"]
    for side, levels in made.get("depth", {}).items():
        for place, level in enumerate(levels, 1):
            for ours, letter in _LEVEL.items():
                sent = frame[f"{side[0]}{letter}{place}"]
                assert same_value(float(sent), float(level[ours])), (security.symbol, side, place, ours)
