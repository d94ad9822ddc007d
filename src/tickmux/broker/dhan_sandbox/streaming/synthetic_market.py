"""Made-up prices for the sandbox's simulator profile (specification sections 5.1 and 5.2). Pure.

A market moves once a second and whole; asking twice within a second gives the same. It grows with the
instruments that were asked for, and forgets those that were not for a minute.
"""

import re
from datetime import datetime
from random import Random

from tickmux.instrument import Instrument
from tickmux.login import IST
from tickmux.tick import MODE_DEPTH, MODE_QUOTE, Depth, DepthLevel, Mode, Tick

_CURRENCY = frozenset({"CDS", "BCD"})
_DERIVATIVES = frozenset({"NFO", "BFO", "CDS", "BCD", "MCX"})
_OPTION = re.compile(r"(.+?)\d{2}[A-Z]{3}\d{2}(\d+(?:\.\d+)?)(CE|PE)")

_LEAST_STEP, _LEAST_OPTION_STEP = 0.05, 0.2
_BOOK_LEVELS = 5
_FLOOR = 0.05
_FORGOTTEN_AFTER = 60
_VOLUME_CAP = 2_000_000_000
"""No trades after this day's volume."""


class Quote:
    """One instrument's made-up day. Prices are whole ticks of `tick` rupees; `second` is when it last moved."""

    def __init__(self, instrument: Instrument, second: int, day: int) -> None:
        self.tick = 0.0025 if instrument.exchange in _CURRENCY else 0.05
        self.is_derivative = instrument.exchange in _DERIVATIVES
        self.lot = max(1, instrument.lotsize) if self.is_derivative else 1
        random = Random(instrument.symbol)  # the same first price in every run
        strike = option_strike(instrument)
        self.is_option = strike > 0
        # The strike stands for the spot price, so an option has no intrinsic value: all is time value.
        first = strike * random.uniform(0.005, 0.02) if self.is_option else random.uniform(80.0, 1200.0)
        self.floor = max(_BOOK_LEVELS + 1, self.on_grid(_FLOOR))  # room for five bids above 0
        self.price = self.fair = max(self.on_grid(first), self.floor)
        self.oi = random.randint(10_000, 500_000) * self.lot
        self.second = second
        self.spread = 1
        """Ticks from the last price down to the best bid, 0 or 1; the best ask is one tick above that."""
        self.open_day(day, random)

    def on_grid(self, rupees: float) -> int:
        return max(1, round(rupees / self.tick))

    def rupees(self, ticks: float) -> float:
        return round(ticks * self.tick, 4)

    def open_day(self, day: int, random: Random) -> None:
        self.day = day
        self.open = self.high = self.low = self.price
        self.close = max(1, round(self.price * 0.98))
        self.volume = self.turnover = self.last_quantity = 0
        self.trade(random)

    def move(self, random: Random) -> None:
        """One second passes."""
        if self.is_option:
            width = max(0.02 * self.fair, _LEAST_OPTION_STEP / self.tick)
            price = self.price + 0.18 * (self.fair - self.price) + random.uniform(-width, width)
        else:
            width = max(0.0025 * self.price, _LEAST_STEP / self.tick)
            price = self.price + random.uniform(-width, width)
        self.price = max(self.floor, round(price))
        self.high = max(self.high, self.price)
        self.low = min(self.low, self.price)
        self.trade(random)

    def trade(self, random: Random) -> None:
        quantity = random.randint(1, 100) * self.lot
        if self.volume + quantity <= _VOLUME_CAP:
            self.last_quantity = quantity
            self.volume += quantity
            self.turnover += quantity * self.price
        self.total_buy = random.randint(5_000, 100_000) * self.lot
        self.total_sell = random.randint(5_000, 100_000) * self.lot
        self.spread = random.randint(0, 1)
        if self.is_derivative:
            self.oi = max(self.lot, self.oi + random.randint(-20, 20) * self.lot)


class SyntheticMarket:
    """All made-up instruments of one feed, whichever of its connections asks. `seed` None: never twice the same."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = Random(seed)
        self._quotes: dict[tuple[str, str], Quote] = {}
        self._swept = 0

    def tick(self, instrument: Instrument, mode: Mode, now: int) -> Tick:
        """What `mode` shows of the instrument at `now`, epoch milliseconds; an index has no book."""
        quote = self._quote(instrument, now)
        tick = Tick(instrument=instrument, mode=mode, ltp=quote.rupees(quote.price), ltt=now, timestamp=now)
        if mode is Mode.LTP:
            return tick
        tick.mode = MODE_QUOTE
        tick.open, tick.high = quote.rupees(quote.open), quote.rupees(quote.high)
        tick.low, tick.close = quote.rupees(quote.low), quote.rupees(quote.close)
        if instrument.is_index:
            return tick
        tick.volume = quote.volume
        tick.last_trade_quantity = quote.last_quantity
        tick.avg_trade_price = quote.rupees(quote.turnover / quote.volume) if quote.volume else None
        tick.total_buy_quantity, tick.total_sell_quantity = quote.total_buy, quote.total_sell
        if quote.is_derivative:
            tick.oi = quote.oi
        if mode is Mode.DEPTH:
            tick.mode = MODE_DEPTH
            tick.depth = self.book(instrument, now, _BOOK_LEVELS)
        return tick

    def book(self, instrument: Instrument, now: int, levels: int) -> Depth:
        """The levels one tick apart, best first; bids end above 0."""
        quote = self._quote(instrument, now)
        best_bid = quote.price - quote.spread
        return Depth(
            buy=[self._level(quote, price) for price in range(best_bid, max(0, best_bid - levels), -1)],
            sell=[self._level(quote, price) for price in range(best_bid + 1, best_bid + 1 + levels)],
        )

    def _quote(self, instrument: Instrument, now: int) -> Quote:
        key = (instrument.symbol, instrument.exchange)
        second = (now + 500) // 1000
        day = datetime.fromtimestamp(now / 1000, IST).toordinal()
        quote = self._quotes.get(key)
        if quote is None:
            self._sweep(second)
            quote = self._quotes[key] = Quote(instrument, second, day)
        elif second > quote.second:
            quote.second = second
            quote.move(self._random)
            if day != quote.day:
                quote.open_day(day, self._random)
        return quote

    def _sweep(self, second: int) -> None:
        if second - self._swept >= _FORGOTTEN_AFTER:
            self._swept = second
            old = second - _FORGOTTEN_AFTER
            self._quotes = {key: quote for key, quote in self._quotes.items() if quote.second >= old}

    def _level(self, quote: Quote, price: int) -> DepthLevel:
        quantity = self._random.randint(10, 500) * quote.lot
        return DepthLevel(quote.rupees(price), quantity, self._random.randint(1, 10))


def option_strike(instrument: Instrument) -> float:
    """The strike of an option, from its row or its symbol; 0 for everything else."""
    if instrument.exchange not in _DERIVATIVES:
        return 0.0
    if instrument.instrumenttype in ("CE", "PE") and instrument.strike > 0:
        return instrument.strike
    match = _OPTION.fullmatch(instrument.symbol)
    return float(match[2]) if match else 0.0
