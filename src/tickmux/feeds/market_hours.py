"""When an exchange trades, so that a quiet evening is not taken for a dead feed; pure."""

from collections.abc import Collection, Iterable
from datetime import date, datetime, time, timedelta

from tickmux.login import IST

_EQUITY = (time(9, 0), time(15, 30))  # from the pre-open session on
_CURRENCY = (time(9, 0), time(17, 0))
_COMMODITY = (time(9, 0), time(23, 55))
_AUCTION_UNTIL = time(9, 15)
"""Before it the equity exchanges collect orders for one opening price: bids above asks are no fault."""
_ALWAYS = (time(0, 0), time(23, 59, 59, 999999))

_HOURS = {
    "NSE": _EQUITY, "BSE": _EQUITY, "NFO": _EQUITY, "BFO": _EQUITY, "NSE_INDEX": _EQUITY, "BSE_INDEX": _EQUITY,
    "CDS": _CURRENCY, "BCD": _CURRENCY, "CDS_INDEX": _CURRENCY,
    "MCX": _COMMODITY, "NCO": _COMMODITY, "NCDEX": _COMMODITY, "MCX_INDEX": _COMMODITY,
}  # fmt: skip


class MarketHours:
    """Trading hours by exchange on Indian clocks: Monday to Friday, holidays excepted.

    A special session (a Saturday, Muhurat trading) counts as closed: ticks still flow, only their absence is not
    taken for a fault.
    """

    def __init__(self, holidays: Collection[date] = (), *, always_open: bool = False) -> None:
        self._holidays = frozenset(holidays)
        self._always_open = always_open

    def is_open(self, exchange: str, when: datetime) -> bool:
        """Whether `exchange` trades at `when` (aware)."""
        if self._always_open or exchange in ("CRYPTO", "GLOBAL_INDEX"):
            return True
        local = when.astimezone(IST)
        if not self.is_trading_day(local.date()):
            return False
        opens, closes = _HOURS.get(exchange, _ALWAYS)
        return opens <= local.time() < closes

    def is_continuous(self, exchange: str, when: datetime) -> bool:
        """Whether orders that meet are matched at once, so that no bid may stand above an ask."""
        if not self.is_open(exchange, when):
            return False
        in_auction = _HOURS.get(exchange) is _EQUITY and when.astimezone(IST).time() < _AUCTION_UNTIL
        return self._always_open or not in_auction

    def is_trading_day(self, day: date) -> bool:
        """Whether the exchanges trade on that day in India."""
        return self._always_open or (day.weekday() < 5 and day not in self._holidays)

    def last_trading_day(self, when: datetime) -> date:
        """The newest trading day in India that has begun at `when` (aware), its own included."""
        day = when.astimezone(IST).date()
        while not self.is_trading_day(day):
            day -= timedelta(days=1)
        return day

    def any_open(self, exchanges: Iterable[str], when: datetime) -> bool:
        return any(self.is_open(exchange, when) for exchange in exchanges)
