"""A made-up exchange with one broker's servers in front of it, and its instruments in the database.

Owns the exchange's task and the simulator's servers.
"""

import asyncio

from tickmux import owned_task
from tickmux.database.instrument_store import InstrumentStore
from tickmux.feeds.feed_directory import simulated_list
from tickmux.simulator import load_simulator
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.server.base import BrokerSimulator
from tickmux.websocket_proxy.broker_factory import load_broker


class SimulatedMarket:
    """One broker's simulator at work. `rate` is ticks a second. Raises UnknownSimulator."""

    def __init__(self, broker: str, seed: int, rate: float, store: InstrumentStore) -> None:
        self._exchange = Exchange(seed, rate)
        self._store = store
        self.simulator: BrokerSimulator = load_simulator(broker)(self._exchange)
        self.task: asyncio.Task[None] | None = None
        """The exchange at work; cancelled, its market stands still."""

    async def start(self) -> None:
        """Listens, fills the instrument list, and starts the market. Call `stop` also when it raises."""
        await self.simulator.start()
        await asyncio.to_thread(self._load_list)
        self.run()

    def run(self) -> None:
        """Starts the market (again)."""
        if self.task is None or self.task.done():
            self.task = owned_task.keep_running(self._exchange.run, "simulated exchange")

    async def rest(self) -> None:
        """Lets the market stand still, at no cost, until `run`."""
        await owned_task.end(self.task)

    async def stop(self) -> None:
        await self.rest()
        await self.simulator.stop()

    def _load_list(self) -> None:
        """Through the broker's own parser, so that the simulation is of the whole way."""
        name = self.simulator.name
        parser = load_broker(name).instruments()
        self._store.replace(
            simulated_list(name),
            (row for filename, data in self.simulator.instrument_dump() for row in parser.read(data, filename)),
        )
