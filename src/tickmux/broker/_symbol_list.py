"""The list of one stream, for brokers where a subscription replaces what the server had: it is sent as a whole."""

from collections.abc import Iterable

from tickmux.instrument import Instrument


class SymbolList:
    """Wire symbols in the order of first subscription, each with the instruments that want it.

    Two instruments may claim one symbol (the codec then routes neither): it stays while one of them is there.
    """

    def __init__(self) -> None:
        self._holders: dict[str, set[Instrument]] = {}

    def __bool__(self) -> bool:
        return bool(self._holders)

    @property
    def symbols(self) -> list[str]:
        return list(self._holders)

    def add(self, wanted: Iterable[tuple[str, Instrument]]) -> bool:
        """Whether the list has changed."""
        before = len(self._holders)
        for symbol, instrument in wanted:
            self._holders.setdefault(symbol, set()).add(instrument)
        return len(self._holders) != before

    def remove(self, dropped: Iterable[tuple[str, Instrument]]) -> list[str]:
        """The symbols that are no longer on the list."""
        gone = []
        for symbol, instrument in dropped:
            holders = self._holders.get(symbol)
            if holders is not None:
                holders.discard(instrument)
                if not holders:
                    del self._holders[symbol]
                    gone.append(symbol)
        return gone
