"""Which instrument a name in the index topics means (specification section 5, "Matching a name"). Pure."""

from collections.abc import Iterable

from tickmux.instrument import Instrument

SIDES = {"NSE": "NSE", "NSE_INDEX": "NSE", "BSE": "BSE", "BSE_INDEX": "BSE"}
"""Our exchange -> the exchange word under which it has names; the others have none."""
_SIDE_WORDS = tuple(dict.fromkeys(SIDES.values()))

_ALIASES = {
    "NIFTY": "nifty 50",
    "BANKNIFTY": "nifty bank",
    "FINNIFTY": "nifty financial services",
    "SENSEX": "bse sensex",
    "SENSEX50": "bse sensex 50",
}
"""Our index -> how frames may call it besides."""


class NameTable:
    """Names of the subscribed instruments; case does not count. A name of two instruments means neither."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        ranked: dict[tuple[str, str], tuple[int, set[Instrument]]] = {}
        for instrument in instruments:
            side = SIDES.get(instrument.exchange)
            if side is None:
                continue
            for rank, name in _names(instrument):
                key = (side, name.casefold())
                best, found = ranked.get(key, (rank, set()))
                if rank < best:
                    best, found = rank, set()
                if rank == best and name:
                    found.add(instrument)
                    ranked[key] = (best, found)
        self._by_name = {key: next(iter(found)) if len(found) == 1 else None for key, (_, found) in ranked.items()}

    def find(self, exchange: str, name: str) -> Instrument | None:
        """Without an exchange only a name that is unique over all of them counts."""
        word = name.casefold()
        if exchange:
            return self._by_name.get((exchange.upper(), word))
        found = [self._by_name[side, word] for side in _SIDE_WORDS if (side, word) in self._by_name]
        return found[0] if len(found) == 1 else None


def _names(instrument: Instrument) -> tuple[tuple[int, str], ...]:
    """(rank, name) pairs; the lowest rank wins a name."""
    if not instrument.is_index:
        return ((4, stock_name(instrument)),)
    return (
        (0, instrument.token),
        (1, instrument.brsymbol),
        (2, instrument.symbol),
        (3, _ALIASES.get(instrument.symbol, "")),
    )


def stock_name(instrument: Instrument) -> str:
    """What commands and frames call a share."""
    return instrument.brsymbol or instrument.symbol
