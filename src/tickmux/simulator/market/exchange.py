"""The made-up exchange: a seeded market that moves one instrument a step.

`Exchange.step` is pure but for the clock that it was given: the same seed and the same times give the same
market. `run` is the only task here; its caller owns it. Nothing grows: books have 50 levels at most, and
listeners are called at once, with no queue between.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from random import Random

from tickmux.login import IST
from tickmux.simulator.market.book import requote, stir, trade
from tickmux.simulator.market.contracts import option_value
from tickmux.simulator.market.listing import Listing, carry, start_new_day
from tickmux.simulator.market.security import PAISA, Security

Listener = Callable[[Sequence[Security]], None]
"""Called after every batch of steps with the securities that changed, each once; must not block."""

LOWEST_RATE, HIGHEST_RATE = 1.0, 50_000.0
_DAY = 86_400_000
_IST_OFFSET = 19_800_000
_SLICE = 0.005
_LONGEST_SLEEP = 0.05  # a new rate takes effect at once
_BATCH = 128  # few enough that hardly any security changes twice in a batch
_CATCH_UP = 0.1
"""Seconds of missed steps that `run` makes up for at most after a delay; the rest never happens."""


class Exchange:
    """All instruments and their markets. `rate` is in steps (one instrument's change each) a second."""

    def __init__(self, seed: int = 1, rate: float = 1000.0, clock: Callable[[], float] = time.time) -> None:
        self._random = Random(seed)
        self._clock = clock
        self._now = int(clock() * 1000)
        self._midnight = self._now - (self._now + _IST_OFFSET) % _DAY + _DAY
        self.rate = rate
        self.today = datetime.fromtimestamp(self._now / 1000, IST).date()
        listing = Listing(self.today, self._random, self._now)
        self.securities: tuple[Security, ...] = tuple(listing.securities)
        self._weights = listing.weights
        self._followed = {index for moved in listing.weights.values() for index, _ in moved}
        self._by_name = {(security.symbol, security.exchange): security for security in self.securities}
        self._premium = {s: self._premium_of(s) for s in self.securities if s.kind == "FUT"}
        self._turns = [security for security in self.securities for _ in range(security.activity)]
        self._turn = len(self._turns)
        self._listeners: list[Listener] = []
        self.steps = 0

    @property
    def rate(self) -> float:
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise ValueError(f"the rate is {rate:g} ticks a second; allowed are {LOWEST_RATE:g} to {HIGHEST_RATE:g}")
        self._rate = rate

    def find(self, symbol: str, exchange: str) -> Security:
        """Raises KeyError where nothing of that name is listed."""
        return self._by_name[symbol, exchange]

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def forget(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    def step(self, count: int = 1) -> list[Security]:
        """Makes `count` changes at the clock's present time, tells the listeners, and returns what changed."""
        self._now = now = max(self._now, int(self._clock() * 1000))
        changed: dict[Security, None] = {}
        if now >= self._midnight:
            self._start_new_day(now)
            changed = dict.fromkeys(self.securities)
        turns = self._turns
        for _ in range(count):
            if self._turn >= len(turns):
                # Everyone gets its turns in a new order, so that a short batch rarely holds a security twice.
                self._random.shuffle(turns)
                self._turn = 0
            security = turns[self._turn]
            self._turn += 1
            if security.kind == "INDEX":
                self._move_index(security)
            else:
                self._move(security, now)
            security.updated_at = now
            changed[security] = None
        self.steps += count
        batch = list(changed)
        for listener in tuple(self._listeners):
            listener(batch)
        return batch

    async def run(self) -> None:
        """Steps at `rate`, in slices of about 5 ms, until cancelled; a listener's exception ends it."""
        loop = asyncio.get_running_loop()
        then = loop.time()
        due = 0.0
        while True:
            await asyncio.sleep(min(max(_SLICE, (1.0 - due) / self._rate), _LONGEST_SLEEP))
            now = loop.time()
            due += min(now - then, _CATCH_UP) * self._rate
            then = now
            if due >= 1.0:
                whole = int(due)
                due -= whole
                for done in range(0, whole, _BATCH):
                    self.step(min(_BATCH, whole - done))
                    await asyncio.sleep(0)

    def _premium_of(self, future: Security) -> float:
        spot = future.underlying
        return carry(future, self.today) / (carry(spot, self.today) if spot else 1.0)

    def _start_new_day(self, now: int) -> None:
        self._midnight = now - (now + _IST_OFFSET) % _DAY + _DAY
        self.today = datetime.fromtimestamp(now / 1000, IST).date()
        for security in self.securities:
            start_new_day(security, self._random, now)

    def _move_index(self, index: Security) -> None:
        if index not in self._followed:
            # No constituents: a volatility index wanders around its previous close.
            index.fair += index.fair * self._random.uniform(-0.001, 0.001) + 0.001 * (index.close - index.fair)
        price = round(index.fair / PAISA) * PAISA
        index.ltp = price
        if price > index.high:
            index.high = price
        if price < index.low:
            index.low = price

    def _move(self, security: Security, now: int) -> None:
        random = self._random
        tick = security.tick
        pull = (self._fair(security) - security.ltp) / tick
        if not -6.0 < pull < 6.0:
            requote(security, int(pull * 0.7), random)
        dice = random.random()
        if dice < 0.6:
            old = security.ltp
            bias = 0.5 + pull * 0.06
            trade(security, random.random() < bias, random, now)
            if security.ltp != old:
                for index, points in self._weights.get(security, ()):
                    index.fair += points * (security.ltp - old)
        else:
            stir(security, random)

    def _fair(self, security: Security) -> float:
        underlying = security.underlying
        if underlying is None:
            # A random walk with a weak pull to the previous close keeps prices off the circuits, mostly.
            width = security.close * 0.00008
            fair = security.fair + self._random.uniform(-width, width) + 0.00002 * (security.close - security.fair)
            security.fair = min(max(fair, security.lower_circuit), security.upper_circuit)
        elif security.kind == "FUT":
            security.fair = underlying.ltp * self._premium[security]
        elif security.kind == "EQ":
            security.fair = float(underlying.ltp)
        elif security.expiry is not None:
            days = (security.expiry - self.today).days
            security.fair = option_value(security.kind, underlying.ltp, security.strike, days)
        return security.fair
