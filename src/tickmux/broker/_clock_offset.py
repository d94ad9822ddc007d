"""Which clock a broker's times are of, measured where its documents do not say for sure. Pure but for the clock.

A wire that counts seconds from a known day on may mean a clock in India or one of UTC, 5½ hours behind. The
documented reading is used until live ticks tell: times that go forward and lie within `CLOSE` of our own clock, in
`ENOUGH` different seconds of it. One such time proves nothing: what was last traded 5½ hours ago fits the wrong
reading, and in the evening all that was traded at the close does. Those times do not go forward. While none fits (a
closed market, our own clock wrong) the documented reading stays.

One object serves all connections of an adapter. Bounded: a counter for each reading.
"""

import logging
from collections.abc import Callable, Sequence

from tickmux.tick import Tick

log = logging.getLogger(__name__)

CLOSE = 120.0
"""Seconds between a live tick's time and our clock."""
ENOUGH = 5

IST = 19_800
_NAMES = {-IST: "a clock in India", 0: "a clock of UTC"}


class ClockOffset:
    """`shift` is what to add to the wire's seconds for seconds since 1970: those of `epoch` and the reading in use.

    `now` gives epoch seconds. `broker` is named in the log, once, when the reading has been measured.
    """

    def __init__(
        self,
        broker: str,
        now: Callable[[], float],
        *,
        epoch: int,
        documented: int = -IST,
        others: Sequence[int] = (0,),
    ) -> None:
        self._broker = broker
        self._now = now
        self._documented = self._reading = documented
        self.shift = epoch + documented
        self.measured = False
        """Whether the reading in use is a measured fact; nothing more is watched then."""
        self._newest = dict.fromkeys((documented, *others), 0.0)
        self._fitting = dict.fromkeys((documented, *others), 0)
        self._second = 0

    def watch(self, ticks: Sequence[Tick]) -> None:
        """Looks at the newest time in one frame's ticks, which were read with `shift`, until a reading is proven."""
        if self.measured:
            return
        newest = max((max(tick.timestamp or 0, tick.ltt or 0) for tick in ticks), default=0) / 1000
        if not newest:
            return
        now = self._now()
        for reading, before in self._newest.items():
            moment = newest + reading - self._documented
            if abs(now - moment) > CLOSE or moment <= before:
                continue
            self._newest[reading] = moment
            if before and int(now) != self._second:
                self._second = int(now)
                self._fitting[reading] += 1
            if self._fitting[reading] >= ENOUGH:
                self._choose(reading, now - moment)
                return

    @property
    def words(self) -> str:
        """Which clock the times are taken to be of, and how that is known."""
        how = "measured on live ticks" if self.measured else "as documented; no live tick has told yet"
        return f"times are read as those of {_NAMES[self._reading]} ({how})"

    def _choose(self, reading: int, lag: float) -> None:
        self.shift += reading - self._reading
        self._reading = reading
        self.measured = True
        say = log.info if reading == self._documented else log.warning
        say("clock broker=%s reading=%r lag=%.1fs: %s", self._broker, _NAMES[reading], lag, self.words)
