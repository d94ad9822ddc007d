"""From the broker's names of an instrument to ours, where the whole list is at hand. Pure."""

from collections.abc import Iterable

from tickmux.instrument import Instrument
from tickmux.order_update import BrokerOrder, ByBrokerSymbol, ByToken, ListedName, OrderUpdate


class ListedNames:
    """Instruments by every name that a broker may use for them."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._found: dict[ListedName, Instrument] = {}
        for instrument in instruments:
            for exchange in dict.fromkeys((instrument.exchange, instrument.brexchange)):
                self._found.setdefault(ByToken(exchange, instrument.token), instrument)
                self._found.setdefault(ByBrokerSymbol(exchange, instrument.brsymbol), instrument)

    def name(self, order: BrokerOrder) -> OrderUpdate:
        """The update under our names; under the broker's own where the list has none of them."""
        for name in order.names:
            if (instrument := self._found.get(name)) is not None:
                return order.named(instrument.symbol, instrument.exchange)
        return order.update
