"""A broker's simulator for the length of a block."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from tickmux.simulator.server.base import BrokerSimulator

MORNING = 1_755_490_500.0
"""09:45 in India on a Monday, epoch seconds: a clock for an exchange."""

Simulator = TypeVar("Simulator", bound=BrokerSimulator)


@asynccontextmanager
async def running(simulator: Simulator) -> AsyncIterator[Simulator]:
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()
