"""When each instrument last ticked, how often it does, and what follows from that; pure, no clock of its own.

Times are seconds of one monotonic clock. A feed keeps one `InstrumentStates`; its connections note ticks in it
(`Rhythm.last_tick`, one assignment a tick) and `mute_watch` judges them about once a second. What was learnt outlives
a connection, so that a new session knows at once what ought to tick. Bounded by the instruments that are subscribed:
`forget` is called when the last subscription of one ends.
"""

from collections.abc import Iterator

from tickmux.instrument import Instrument
from tickmux.websocket_proxy.feed_state import InstrumentState

RECENT = 60.0
"""Seconds after its last tick for which an instrument counts as live whatever its rhythm."""
_LEAST_PATIENCE = 5.0
_MOST_PATIENCE = 900.0
_BUSY_GAP = 10.0
"""A mean gap of so many seconds (six ticks a minute) or less is missed within `_BUSY_PATIENCE`."""
_BUSY_PATIENCE = 12.0
_ENOUGH = 3
"""Gaps that make a rhythm."""
_WEIGHT = 8
"""The mean is that of about so many gaps; the longest gap fades by one part in four times as many."""
_MOST_DOUBLINGS = 6


class Rhythm:
    """How one instrument ticks on one channel.

    last_tick:  when the last tick came, 0 before the first. The connection sets it.
    asked_at:   when this session's server was last told to stream it, 0 while it has not been.
    prompt:     the server has answered a subscription of it at once: it sends a snapshot, or it ticks all the time.
    alarms:     how often it was missed since it last kept its rhythm; each one doubles the time that it is given.
    silent:     it ought to tick and does not. `mute_watch` sets and ends it.
    """

    __slots__ = ("_calm", "_gaps", "_longest", "_mean", "_noted", "alarms", "asked_at", "instrument", "last_tick",
                 "prompt", "silent")  # fmt: skip

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.last_tick = 0.0
        self.asked_at = 0.0
        self.silent = False
        self.prompt = False
        self.unlearn()

    def unlearn(self) -> None:
        """Forgets the rhythm: another kind of stream ticks otherwise."""
        self._noted = 0.0
        self._gaps = 0
        self._mean = 0.0
        self._longest = 0.0
        self._calm = 0
        self.alarms = 0

    def note(self, since: float) -> None:
        """Learns the gap that the last tick has ended, if it began after `since` (the market's open) and after the
        newest subscription: a gap that a fault or a reconnect has made says nothing of the instrument."""
        last, noted = self.last_tick, self._noted
        if last == noted:
            return
        self._noted = last
        if not noted or noted < max(since, self.asked_at):
            return
        gap = last - noted
        self._gaps += 1
        self._mean += (gap - self._mean) / min(self._gaps, _WEIGHT)
        self._longest = max(gap, self._longest * (1.0 - 1.0 / (4 * _WEIGHT)))
        if self.alarms:
            self._calm += 1
            if self._calm >= 4 * _WEIGHT:
                self._calm = 0
                self.alarms -= 1

    @property
    def known(self) -> bool:
        """Whether it has ticked often enough to be missed."""
        return self._gaps >= _ENOUGH

    @property
    def patience(self) -> float:
        """Seconds of silence after which it is missed; only where the rhythm is known.

        A rare one is given what its history does not explain; a busy one less, since asking again costs little.
        """
        if self._mean <= _BUSY_GAP:
            return self._grown(min(_BUSY_PATIENCE, max(_LEAST_PATIENCE, 1.25 * self._longest + 1.0, 8 * self._mean)))
        return self._grown(max(1.25 * self._longest + 1.0, 3.0 * self._mean))

    @property
    def pulse_patience(self) -> float:
        """The same for the rhythm of a whole connection, which nothing but its history bounds."""
        return self._grown(max(_LEAST_PATIENCE, 1.25 * self._longest + 1.0, 5.0 * self._mean))

    def _grown(self, patience: float) -> float:
        return float(min(patience * 2 ** min(self.alarms, _MOST_DOUBLINGS), _MOST_PATIENCE))

    def missed(self) -> None:
        """It was overdue, and something is done about it."""
        self.alarms += 1
        self._calm = 0
        self.silent = True

    def __repr__(self) -> str:
        return (
            f"<Rhythm {self.instrument.symbol} {self._gaps} gaps, mean {self._mean:.1f} s{', silent' * self.silent}>"
        )


class InstrumentStates:
    """The rhythms of a feed's instruments, by channel."""

    def __init__(self) -> None:
        self._rhythms: dict[Instrument, dict[str, Rhythm]] = {}

    def rhythm(self, channel: str, instrument: Instrument) -> Rhythm:
        """That of the instrument on the channel; made when it is new."""
        channels = self._rhythms.setdefault(instrument, {})
        found = channels.get(channel)
        if found is None:
            found = channels[channel] = Rhythm(instrument)
        return found

    def leave(self, channel: str, instrument: Instrument) -> None:
        """The instrument is no longer wanted on the channel; the others keep what they know."""
        channels = self._rhythms.get(instrument)
        if channels is not None and channels.pop(channel, None) is not None and not channels:
            del self._rhythms[instrument]

    def forget(self, instrument: Instrument) -> None:
        """Nobody wants the instrument any more."""
        self._rhythms.pop(instrument, None)

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self._rhythms)

    def last_tick(self, instrument: Instrument) -> float:
        """When it last ticked, on any channel; 0 before the first."""
        return max((one.last_tick for one in self._rhythms.get(instrument, {}).values()), default=0.0)

    def state(self, instrument: Instrument, now: float, *, trading: bool) -> InstrumentState:
        """`live`, `quiet` or `silent`; what is refused or has expired the feed knows. `trading`: its market is open.

        An instrument of several channels (prices, and a deeper book) is silent when one of them is.
        """
        if not trading:
            return InstrumentState.QUIET
        rhythms = self._rhythms.get(instrument, {}).values()
        if any(one.silent for one in rhythms):
            return InstrumentState.SILENT
        for one in rhythms:
            if one.last_tick and now - one.last_tick < (max(RECENT, one.patience) if one.known else RECENT):
                return InstrumentState.LIVE
        return InstrumentState.QUIET

    def silent(self) -> list[Instrument]:
        """Those that ought to tick and do not."""
        return [
            instrument
            for instrument, channels in self._rhythms.items()
            if any(one.silent for one in channels.values())
        ]
