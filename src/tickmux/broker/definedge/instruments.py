"""Definedge's instrument list: one file without a header, prices as integers (specification section 9)."""

from decimal import Decimal, InvalidOperation

from tickmux.broker._list_rows import BadRow
from tickmux.broker._noren.instruments import NorenInstruments, Row
from tickmux.broker.definedge.streaming.definedge_adapter import DefinedgeAdapter
from tickmux.instrument import Instrument


class DefinedgeInstruments(NorenInstruments):
    broker = "Definedge"
    default_urls = DefinedgeAdapter.default_urls
    files = ("allmaster.zip",)
    columns = (
        "exchange", "token", "symbol", "tradingsymbol", "instrument", "expiry", "ticksize", "lotsize",
        "optiontype", "strike", "precision", "multiplier", "isin", "pricemultiplier", "company",
    )  # fmt: skip
    missing_indices = {}
    scaled_ticks = False

    def instrument(self, row: Row, tick_divisor: float) -> Instrument:
        tick = _rupees(row, "ticksize", "tick size")
        known = tick if Decimal("0.0001") <= tick <= 100 else Decimal(0)  # otherwise the default
        return super().instrument({**row, "ticksize": str(known)}, 1.0)

    def strike(self, row: Row) -> float:
        return float(_rupees(row, "strike", "strike"))


def _rupees(row: Row, column: str, what: str) -> Decimal:
    """Column / (multiplier × 10^precision), exactly: 42250 is 422.5."""
    try:
        scale = Decimal(row["multiplier"] or 1).scaleb(int(row["precision"] or 0))
        value = Decimal(row[column] or 0) / scale
    except (InvalidOperation, ValueError, ArithmeticError):
        raise BadRow(f"bad {what}") from None
    if not value.is_finite() or value < 0 or value > Decimal(10) ** 12:
        raise BadRow(f"bad {what}")
    return value
