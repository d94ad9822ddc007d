"""What each instrument in demand is doing, in the client protocol's words, and who is told when that changes.

How instruments tick is learnt in `instrument_states`; here this is put together with what was refused, what has
expired, and whether the market is open. Looks once in a while, never for a tick; a look goes through the instruments
in slices, so that thousands of them do not stop the loop. Bounded by the demand.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress

from tickmux.feeds.demand import Demand, Name
from tickmux.feeds.instrument_states import InstrumentStates
from tickmux.websocket_proxy.feed_state import (
    InstrumentListener,
    InstrumentState,
    InstrumentStatus,
    Listeners,
    epoch_ms,
)

_SLICE = 500
NAMED = 5
"""Silent instruments that are named at most."""

_DOWN_AFTER = 5.0
"""Seconds since its last tick after which an instrument without a live connection is silent."""

_MESSAGES = {
    InstrumentState.SILENT: "ought to tick and does not",
    InstrumentState.REFUSED: "the broker does not serve it: see the log",
}


class InstrumentWatch:
    """`trading` says whether an exchange trades now, `refused` which instruments the broker has refused, `down` which
    ones have no live connection at present."""

    def __init__(
        self,
        demand: Demand,
        states: InstrumentStates,
        *,
        trading: Callable[[str], bool],
        refused: Callable[[], Collection[object]],
        down: Callable[[], Collection[object]],
        clock: Callable[[], float],
    ) -> None:
        self._demand = demand
        self._states = states
        self._trading = trading
        self._refused = refused
        self._down = down
        self._clock = clock
        self._known: dict[Name, InstrumentStatus] = {}
        self._listeners = Listeners[Sequence[InstrumentStatus]]()
        self.counts: Mapping[str, int] = {}
        """How many names are in each state."""
        self.silent: Sequence[Name] = ()
        """Those that ought to tick and do not."""

    def listen(self, listener: InstrumentListener) -> Callable[[], None]:
        return self._listeners.add(listener)

    def status(self, name: Name) -> InstrumentStatus | None:
        """As it was at the last look, but for what has expired; None for what nobody holds."""
        if name in self._demand.expired:
            return self._expired(name)
        known = self._known.get(name)
        if known is None and name in self._demand.instruments:
            return InstrumentStatus(*name, InstrumentState.QUIET, epoch_ms())
        return known

    def expired(self, names: Sequence[Name]) -> None:
        """These have expired, or come back, just now."""
        with suppress(KeyError):
            self._tell([self._expired(name) for name in names if name in self._demand.expired])

    async def look(self) -> None:
        """Looks at every instrument once, and tells what has changed. May be cancelled."""
        now, refused, down = self._clock(), self._refused(), self._down()
        trading = {exchange: self._trading(exchange) for exchange in self._demand.exchanges}
        counts: Counter[str] = Counter()
        silent: list[Name] = []
        names = tuple(self._demand.instruments)
        for start in range(0, len(names), _SLICE):
            changed: list[InstrumentStatus] = []
            for name in names[start : start + _SLICE]:
                instrument = self._demand.instruments.get(name)
                if instrument is None:
                    continue  # given back while others had their turn
                state = self._states.state(instrument, now, trading=trading.get(instrument.exchange, False))
                if instrument in refused:
                    state = InstrumentState.REFUSED
                elif (
                    state is InstrumentState.LIVE
                    and instrument in down
                    and now - self._states.last_tick(instrument) >= _DOWN_AFTER
                ):
                    state = InstrumentState.SILENT
                counts[state.value] += 1
                if state is InstrumentState.SILENT:
                    silent.append(name)
                known = self._known.get(name)
                if known is None or known.state is not state:
                    changed.append(InstrumentStatus(*name, state, epoch_ms(), _MESSAGES.get(state, "")))
            self._tell(changed)
            await asyncio.sleep(0)
        self._tell([self._expired(name) for name in self._demand.expired])
        for name in [name for name in self._known if not self._is_held(name)]:
            del self._known[name]
        counts[InstrumentState.EXPIRED.value] = len(self._demand.expired)
        self.counts = dict(+counts)
        self.silent = silent

    def _is_held(self, name: Name) -> bool:
        return name in self._demand.instruments or name in self._demand.expired

    def _expired(self, name: Name) -> InstrumentStatus:
        message = self._demand.expired[name].message
        known = self._known.get(name)
        if known is not None and known.state is InstrumentState.EXPIRED and known.message == message:
            return known
        return InstrumentStatus(*name, InstrumentState.EXPIRED, epoch_ms(), message)

    def _tell(self, changed: Sequence[InstrumentStatus]) -> None:
        news = [one for one in changed if self._known.get((one.symbol, one.exchange)) is not one]
        for one in news:
            self._known[one.symbol, one.exchange] = one
        if news:
            self._listeners.tell(news)
