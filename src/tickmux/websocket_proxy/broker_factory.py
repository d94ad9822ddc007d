"""Broker name -> its parts. A broker exists by having a folder in `tickmux.broker`, or an entry point.

A third-party package offers a broker under the entry point group `tickmux.brokers`: the entry point's name is
the broker's, its value a `Broker`.
"""

import difflib
import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

import msgspec

import tickmux.broker
from tickmux.instrument_list import InstrumentList
from tickmux.login import LoginFlow
from tickmux.websocket_proxy.base_adapter import BaseBrokerWebSocketAdapter

ENTRY_POINT_GROUP = "tickmux.brokers"


class Broker(msgspec.Struct, frozen=True):
    """What a broker's package consists of; its `__init__` defines `BROKER` as one of these."""

    adapter: type[BaseBrokerWebSocketAdapter]
    login: type[LoginFlow]
    instruments: type[InstrumentList]

    @property
    def name(self) -> str:
        return self.adapter.name

    @property
    def url_names(self) -> tuple[str, ...]:
        """The names of the addresses that BROKER_URLS may replace."""
        parts = (self.adapter, self.login, self.instruments)
        return tuple(sorted({name for part in parts for name in part.default_urls}))


class UnknownBroker(LookupError):
    """No broker of that name; the message names the nearest ones."""

    def __init__(self, name: str) -> None:
        near = difflib.get_close_matches(name, broker_names(), n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "see `tickmux brokers`"
        super().__init__(f"no broker is called {name!r}; {hint}")
        self.name = name


@cache
def broker_names() -> tuple[str, ...]:
    """All brokers that can be loaded, sorted; ours win over entry points of the same name."""
    modules = pkgutil.iter_modules(tickmux.broker.__path__)
    built_in = {module.name for module in modules if module.ispkg and module.name[0] != "_"}
    return tuple(sorted(built_in | {point.name for point in entry_points(group=ENTRY_POINT_GROUP)}))


@cache
def load_broker(name: str) -> Broker:
    """The broker called `name`; raises UnknownBroker."""
    if name not in broker_names():
        raise UnknownBroker(name)
    try:
        found = import_module(f"tickmux.broker.{name}").BROKER
    except ModuleNotFoundError as error:
        if error.name != f"tickmux.broker.{name}":
            raise
        (point,) = entry_points(group=ENTRY_POINT_GROUP, name=name)
        found = point.load()
    if not isinstance(found, Broker):
        raise TypeError(f"broker {name!r} offers {type(found).__name__} where a Broker is expected")
    return found
