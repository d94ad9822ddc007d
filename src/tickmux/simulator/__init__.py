"""A made-up exchange, and servers that speak each broker's wire protocol on top of it.

A broker's simulator is the module `tickmux.simulator.<broker>`; it defines `SIMULATOR`, a `BrokerSimulator`.
"""

import pkgutil
from functools import cache
from importlib import import_module

from tickmux.simulator.base import BrokerSimulator
from tickmux.simulator.exchange import Exchange
from tickmux.websocket_proxy.broker_factory import UnknownBroker, broker_names

__all__ = ["BrokerSimulator", "Exchange", "load_simulator", "simulator_names"]


@cache
def simulator_names() -> tuple[str, ...]:
    """All brokers that can be simulated, sorted."""
    return tuple(sorted({module.name for module in pkgutil.iter_modules(__path__)} & set(broker_names())))


def load_simulator(name: str) -> type[BrokerSimulator]:
    """The simulator of the broker called `name`; raises UnknownBroker, or LookupError where it has none."""
    if name not in broker_names():
        raise UnknownBroker(name)
    if name not in simulator_names():
        raise LookupError(f"{name} cannot be simulated; these can: {', '.join(simulator_names())}")
    found = import_module(f"{__name__}.{name}").SIMULATOR
    if not (isinstance(found, type) and issubclass(found, BrokerSimulator)):
        raise TypeError(f"tickmux.simulator.{name} offers {found!r} where a BrokerSimulator is expected")
    return found
