"""The short names that exchanges give their contracts, as several brokers use them."""

from datetime import timedelta

from tickmux.instrument import format_strike
from tickmux.simulator.market.security import PRICE_UNIT, Security

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
WEEKLY_MONTHS = "123456789OND"
"""A month in the compressed date of a weekly option."""


def short_name(security: Security) -> str:
    """`NIFTY25AUGFUT`, `NIFTY25AUG24500CE`; an option that does not expire last in its month `NIFTY2580724500CE`."""
    expiry = security.expiry
    if expiry is None:
        return security.symbol
    is_weekly = (
        security.kind != "FUT"
        and security.exchange in ("NFO", "BFO")
        and (expiry + timedelta(days=7)).month == expiry.month
    )
    if not is_weekly:
        return monthly_name(security)
    day = f"{expiry.year % 100:02d}{WEEKLY_MONTHS[expiry.month - 1]}{expiry.day:02d}"
    return f"{security.name}{day}{ending(security)}"


def monthly_name(security: Security) -> str:
    """The same without the day of a weekly option."""
    expiry = security.expiry
    if expiry is None:
        return security.symbol
    return f"{security.name}{expiry.year % 100:02d}{MONTHS[expiry.month - 1]}{ending(security)}"


def ending(security: Security) -> str:
    """What follows a contract's date: `FUT`, or strike and type."""
    return "FUT" if security.kind == "FUT" else f"{format_strike(security.strike / PRICE_UNIT)}{security.kind}"
