"""Whether the publishers of each instrument still send, by that instrument's own history; pure.

A publisher that dies is seen by nothing but its silence. An instrument that has ticked several times a minute is
missed within seconds, a rarer one later, and one that has never ticked is `quiet`. While its exchange is closed
nothing is missed or learnt. Bounded by the instruments that are subscribed.
"""

from collections.abc import Callable

from tickmux.feeds.instrument_states import RECENT, Rhythm
from tickmux.instrument import Instrument
from tickmux.websocket_proxy.feed_state import InstrumentState, InstrumentStatus

Name = tuple[str, str]
"""Symbol and exchange."""
_SILENT = "its publisher sends no more"


class PublishedStates:
    """`trading` says whether an exchange is open; times are seconds of one monotonic clock."""

    def __init__(self, trading: Callable[[str], bool], now_ms: Callable[[], int]) -> None:
        self._trading = trading
        self._now_ms = now_ms
        self._rhythms: dict[Name, Rhythm] = {}
        self._opened: dict[str, float] = {}
        """Since when each open exchange is known to be open."""
        self._status: dict[Name, InstrumentStatus] = {}

    def ticked(self, name: Name, now: float) -> None:
        rhythm = self._rhythms.get(name)
        if rhythm is None:
            symbol, exchange = name
            rhythm = self._rhythms[name] = Rhythm(Instrument(symbol, exchange, symbol))
        rhythm.last_tick = now

    def forget(self, name: Name) -> None:
        self._rhythms.pop(name, None)
        self._status.pop(name, None)

    def status(self, name: Name) -> InstrumentStatus:
        """As it was at the last look."""
        return self._status.get(name) or InstrumentStatus(*name, InstrumentState.QUIET, self._now_ms())

    def look(self, now: float) -> list[InstrumentStatus]:
        """Looks at every instrument that has ticked; those whose state has changed."""
        exchanges = {exchange for _, exchange in self._rhythms}
        trading = {exchange for exchange in exchanges if self._trading(exchange)}
        self._opened = {exchange: self._opened.get(exchange, now) for exchange in trading}
        changed = []
        for name, rhythm in self._rhythms.items():
            state = self._judge(rhythm, now) if name[1] in trading else InstrumentState.QUIET
            known = self._status.get(name)
            if known is None or known.state is not state:
                message = _SILENT if state is InstrumentState.SILENT else ""
                self._status[name] = InstrumentStatus(*name, state, self._now_ms(), message)
                changed.append(self._status[name])
        return changed

    @property
    def silent(self) -> list[Name]:
        """Those that ought to tick and do not."""
        return [name for name, status in self._status.items() if status.state is InstrumentState.SILENT]

    @property
    def missed_all(self) -> bool:
        """Whether every instrument whose rhythm is known is silent, and there is one."""
        known = [name for name, rhythm in self._rhythms.items() if rhythm.known]
        return bool(known) and set(known) <= set(self.silent)

    def _judge(self, rhythm: Rhythm, now: float) -> InstrumentState:
        since = max(rhythm.last_tick, self._opened[rhythm.instrument.exchange])
        rhythm.note(self._opened[rhythm.instrument.exchange])
        if rhythm.known and now - since > rhythm.patience:
            return InstrumentState.SILENT
        return InstrumentState.LIVE if now - rhythm.last_tick < RECENT else InstrumentState.QUIET
