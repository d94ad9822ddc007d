"""How quickly a client reads, told by its answers to pings; pure.

A ping lies in line behind the data, so that its answer says that the client has read everything before it. The kernel
cannot tell this: what lies in the client's own buffers, or in those of a proxy between, is acknowledged and unread.

While a client keeps up it is asked once a second, more often when it is new or has just been slow. When an answer is
late by more than `UNREAD` the client is *behind*: it gets a portion, a ping, and the next portion after the answer. A
portion is as much as it reads in `UNREAD` seconds. Who proves quick may try again to take everything as it comes; a
trial that fails makes the wait before the next one longer.
"""

UNREAD = 0.25
"""Seconds of a client's traffic that may lie unread."""
SMALLEST, LARGEST = 2 << 10, 512 << 10
"""Bounds of a portion, bytes."""
_QUICK = 0.1
"""An answer as quick as this earns a larger portion."""
_EAGER, _USUAL = 0.25, 1.0
"""Seconds between two questions to a client of whom little is known, and to one that has kept up."""
_TRUSTED = 8
"""Answers in time that make a client one that keeps up."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
PATIENCE = 2.0
"""A client that has never answered a ping is taken for one that does not, after so many seconds."""
GIVEN_UP = 30.0
"""A missing answer of one that has answered before is waited for at most so long."""


class ReadingPace:
    """What is known of one client's reading. Times are seconds of a monotonic clock."""

    def __init__(self, now: float) -> None:
        self.asked_at: float | None = None
        """When the ping went out that is waited for."""
        self.answers = False
        """Whether it has ever answered a ping."""
        self.mute = False
        """Whether it is taken for one that answers none."""
        self.portion = 16 << 10
        self.lag = 0.0
        """How late the last answer was, against the quickest."""
        self._number = 0
        self._quickest = float("inf")
        self._good = 0
        self.last_asked = now
        """When any ping last went out."""
        self._wait = _FIRST_WAIT
        self._next_trial = 0.0
        self._tried_at = float("-inf")

    def due(self, now: float) -> bool:
        """Whether it is time to ask a client that gets everything as it comes."""
        if self.asked_at is not None or self.mute:
            return False
        return now - self.last_asked >= (_USUAL if self._good >= _TRUSTED else _EAGER)

    def ask(self, now: float) -> bytes:
        """The payload of the ping that is sent now."""
        self._number += 1
        self.asked_at = self.last_asked = now
        return b"p%d" % self._number

    def answered(self, payload: bytes, now: float) -> bool:
        """Takes a pong in; True when it is the one that was waited for."""
        self.answers, self.mute = True, False
        if self.asked_at is None or payload != b"p%d" % self._number:
            return False
        took, self.asked_at = now - self.asked_at, None
        self._quickest = min(self._quickest, took)
        self.lag = took - self._quickest
        self._good = self._good + 1 if self.lag < UNREAD else 0
        return True

    def late(self, now: float) -> bool:
        """Whether the answer that is waited for is late, or the last one was."""
        if self.asked_at is None:
            return self.lag > UNREAD
        quickest = self._quickest if self._quickest != float("inf") else 0.0
        return now - self.asked_at - quickest > UNREAD

    def gives_up(self, now: float, unacknowledged: int) -> bool:
        """Whether no answer is to be expected any more: the client has everything and says nothing."""
        if self.asked_at is None or unacknowledged:
            return False
        if now - self.asked_at < (GIVEN_UP if self.answers else PATIENCE):
            return False
        self.asked_at = None
        self.mute = not self.answers
        self.lag = 0.0
        return True

    # -- behind -------------------------------------------------------------------------------------------

    def fall_behind(self, now: float) -> None:
        """The client gets portions from now on."""
        self._good = 0
        if now - self._tried_at < 2 * _USUAL + UNREAD:
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
        elif now - self._tried_at > 2 * _LONGEST_WAIT:
            self._wait = _FIRST_WAIT
        self._next_trial = now + self._wait

    def resize(self) -> None:
        """Fits the portion to how long the last one lay unread."""
        if self.lag > UNREAD:
            self.portion = max(SMALLEST, int(self.portion * max(0.1, 0.8 * UNREAD / self.lag)))
        elif self.lag < _QUICK:
            self.portion = min(LARGEST, self.portion * 2)

    def may_try(self, now: float) -> bool:
        """Whether the client may get everything as it comes again."""
        if now < self._next_trial or self.lag >= _QUICK:
            return False
        self._tried_at = now
        return True
