"""A broker's running simulator together with what its instrument lists say, for tests of one broker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

import httpx

from support.simulators import running
from tickmux.instrument import Instrument
from tickmux.simulator import load_simulator
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import Security
from tickmux.simulator.server.base import BrokerSimulator
from tickmux.websocket_proxy.broker_factory import Broker

AFTERNOON = 1_755_507_611.0
"""14:30 in India on a Monday, epoch seconds."""

Simulator = TypeVar("Simulator", bound=BrokerSimulator)


class TickingClock:
    """Tenths of a second at every look."""

    def __init__(self, start: float = AFTERNOON) -> None:
        self.now = start

    def __call__(self) -> float:
        self.now += 0.1
        return self.now


class SimulatedMarket(Generic[Simulator]):
    """Subclasses name the broker, and say how one connects to it."""

    broker: ClassVar[Broker]

    def __init__(self, simulator: Simulator, http: httpx.AsyncClient) -> None:
        self.simulator = simulator
        self.http = http
        parser = self.broker.instruments()
        self.listed = [one for name, data in simulator.instrument_dump() for one in parser.parse(data, name)]
        assert not parser.skipped

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[Self]:
        simulator = cast(Simulator, load_simulator(cls.broker.name)(Exchange(seed=3, clock=TickingClock())))
        async with running(simulator), httpx.AsyncClient(trust_env=False) as http:
            yield cls(simulator, http)

    @classmethod
    def play(cls, body: Callable[[Self], Coroutine[Any, Any, None]]) -> None:
        """Runs `body` on a market of its own."""

        async def run() -> None:
            async with cls.open() as here:
                await body(here)

        asyncio.run(run())

    def find(self, symbol: str, exchange: str) -> Instrument:
        return next(one for one in self.listed if (one.symbol, one.exchange) == (symbol, exchange))

    def security(self, instrument: Instrument) -> Security:
        return self.simulator.exchange.find(instrument.symbol, instrument.exchange)
