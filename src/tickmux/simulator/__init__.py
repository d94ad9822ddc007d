"""A made-up exchange, and servers that speak each broker's wire protocol on top of it.

`market/` is the exchange, `server/` what all brokers' servers share. Beside them stands a file or a folder a broker:
`tickmux.simulator.<broker>`, or `tickmux.simulator.<broker>.server`, defines `SIMULATOR`, a `BrokerSimulator`.
"""

import pkgutil
from functools import cache
from importlib import import_module

from tickmux.simulator.server.base import BrokerSimulator
from tickmux.websocket_proxy.broker_factory import UnknownBroker, broker_names


@cache
def _modules() -> dict[str, str]:
    """Broker -> the module that defines its simulator."""
    brokers = set(broker_names())
    return {
        found.name: f"{__name__}.{found.name}.server" if found.ispkg else f"{__name__}.{found.name}"
        for found in pkgutil.iter_modules(__path__)
        if found.name in brokers
    }


def simulator_names() -> tuple[str, ...]:
    """All brokers that can be simulated, sorted."""
    return tuple(sorted(_modules()))


def load_simulator(name: str) -> type[BrokerSimulator]:
    """The simulator of the broker called `name`; raises UnknownBroker, or LookupError where it has none."""
    if name not in broker_names():
        raise UnknownBroker(name)
    if name not in simulator_names():
        raise LookupError(f"{name} cannot be simulated; these can: {', '.join(simulator_names())}")
    module = _modules()[name]
    found = import_module(module).SIMULATOR
    if not (isinstance(found, type) and issubclass(found, BrokerSimulator)):
        raise TypeError(f"{module} offers {found!r} where a BrokerSimulator is expected")
    return found
