"""How old an instrument list is, in words; pure."""

from datetime import date, datetime

from tickmux.feeds.market_hours import MarketHours
from tickmux.instrument import format_expiry
from tickmux.login import IST


def list_day(updated: float) -> date:
    """The day in India on which a list was stored (epoch seconds)."""
    return datetime.fromtimestamp(updated, IST).date()


def age_warning(updated: float, hours: MarketHours, now: datetime, update_with: str) -> str:
    """What is wrong with a list stored at `updated`, and what to do; empty for one of the last trading day."""
    day = list_day(updated)
    if day >= hours.last_trading_day(now):
        return ""
    return (
        f"the instrument list is of {format_expiry(day)}, older than the last trading day: contracts may be missing "
        f"and tokens may be others' by now; run `{update_with}`"
    )
