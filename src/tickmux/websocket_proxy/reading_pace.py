"""How quickly a client reads, told by its answers to pings; pure.

A ping lies in line behind the data, so that its answer says that the client has read everything before it. The kernel
cannot tell this: what lies in the client's own buffers, or in those of a proxy between, is acknowledged and unread.

There is a *window*: the bytes that may lie unread. It begins small, grows while answers are quick, and shrinks to
what the client reads in `UNREAD` seconds when they are late. Who has more than that unread, or answers late, is
*behind*: it gets a portion of the window's size, a ping, and the next portion after the answer. Who proves quick may
try again to take everything as it comes; a trial that fails makes the wait before the next one longer.
"""

UNREAD = 0.25
"""Seconds of a client's traffic that may lie unread."""
SMALLEST, FIRST, LARGEST = 2 << 10, 16 << 10, 8 << 20
"""Bounds of the window, and where it begins, bytes."""
PORTION = 512 << 10
"""The largest portion: more would hold the others up while it is made."""
_QUICK = 0.1
"""An answer as quick as this makes the window larger."""
_EAGER, _USUAL = 0.25, 1.0
"""Seconds between two questions to a client of whom little is known, and to one that has kept up."""
_TRUSTED = 8
"""Answers in time that make a client one that keeps up."""
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
PATIENCE = 0.5
"""A client that has never answered a ping is taken for one that does not, after so many seconds."""


class ReadingPace:
    """What is known of one client's reading. Times are seconds of a monotonic clock."""

    def __init__(self, now: float) -> None:
        self.asked_at: float | None = None
        """When the ping went out that is waited for."""
        self.answers = False
        """Whether it has ever answered a ping."""
        self.mute = False
        """Whether it is taken for one that answers none."""
        self.window = FIRST
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

    @property
    def portion(self) -> int:
        """Bytes that a client which is behind may have at a time."""
        return min(self.window, PORTION)

    def due(self, now: float) -> bool:
        """Whether it is time to ask a client that gets everything as it comes."""
        if self.asked_at is not None or self.mute:
            return False
        return now - self.last_asked >= (_USUAL if self._good >= _TRUSTED else _EAGER)

    @property
    def never_asked(self) -> bool:
        return not self._number

    def ask(self, now: float) -> bytes:
        """The payload of the ping that is sent now."""
        self._number += 1
        self.asked_at = self.last_asked = now
        return b"p%d" % self._number

    def answered(self, payload: bytes, now: float, read: int) -> bool:
        """Takes a pong in, which says that the client has read `read` bytes more; True when it was waited for."""
        self.answers, self.mute = True, False
        if self.asked_at is None or payload != b"p%d" % self._number:
            return False
        took, self.asked_at = now - self.asked_at, None
        self._quickest = min(self._quickest, took)
        self.lag = took - self._quickest
        if self.lag > UNREAD:
            self._good = 0
            self.window = max(SMALLEST, int(self.window * max(0.1, 0.8 * UNREAD / self.lag)))
        else:
            self._good += 1
            if self.lag < _QUICK and read >= self.window // 2:
                self.window = min(LARGEST, 2 * self.window)
        return True

    def late(self, now: float) -> bool:
        """Whether the answer that is waited for is late, or the last one was."""
        if self.asked_at is None:
            return self.lag > UNREAD
        quickest = self._quickest if self._quickest != float("inf") else 0.0
        return now - self.asked_at - quickest > UNREAD

    def gives_up(self, now: float, unacknowledged: int) -> bool:
        """Whether no answer is to be expected any more: the client has everything and says nothing."""
        if self.asked_at is None or self.answers or unacknowledged or now - self.asked_at < PATIENCE:
            return False
        self.asked_at = None
        self.mute = True
        self.lag = 0.0
        return True

    def waited_for(self, now: float) -> float:
        """Seconds for which an answer is missing, of a client that has answered before."""
        return now - self.asked_at if self.answers and self.asked_at is not None else 0.0

    # -- behind -------------------------------------------------------------------------------------------

    def fall_behind(self, now: float) -> None:
        """The client gets portions from now on."""
        if now - self._tried_at < _LONGEST_WAIT and self._good < _TRUSTED:
            self._wait = min(2 * self._wait, _LONGEST_WAIT)
        else:
            self._wait = _FIRST_WAIT
        self._good = 0
        self._next_trial = now + (self._wait if self.late(now) else 0.0)

    def may_try(self, now: float) -> bool:
        """Whether the client may get everything as it comes again."""
        if now < self._next_trial or self.lag >= _QUICK or self.asked_at is not None:
            return False
        self._tried_at = now
        return True
