"""The keeper of one broker session: which credentials connections may use now, and what to do when they are refused.

One refusal does not end a session. Credentials that have worked in this process are tried again after
`RETRY_WAITS`; they are dead at once when the broker has named them, when their known end has passed, or when they
have never worked. Where keys alone make a session, a dead one is renewed without a person. Storing a session begins
afresh, whatever is in it: sessions are told apart by their version, never by their bytes.

Connections wait in `credentials` until there is something to try. Nothing is decided before an `await` and done after
it: every change is made in one step, by `refused`, `_take` or a timer, and each looks at what is true then.

Owns one timer (the next try) and one task while a session is renewed. Bounded: retries by `RETRY_WAITS`, logins
that bring nothing by `RENEW_WAITS`, logins that cannot reach the broker by `_UNREACHABLE_WAITS`; the last of each of
the latter two is repeated.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol

import httpx

from tickmux import owned_task
from tickmux.codec import Credentials
from tickmux.login import LoginFailed, LoginUnavailable
from tickmux.websocket_proxy.base_adapter import Unavailable
from tickmux.websocket_proxy.feed_state import FeedState

log = logging.getLogger(__name__)

RETRY_WAITS = (2.0, 5.0, 15.0, 60.0, *(300.0,) * 6)
"""Seconds before refused credentials that have worked are tried again; after the last they are dead."""
RENEW_WAITS = (0.0, 60.0, 300.0, 900.0, 1800.0)
"""Least seconds since the last login, after so many logins in a row whose session brought no tick."""
_UNREACHABLE_WAITS = (2.0, 5.0, 15.0, 30.0, 60.0)
_PROVEN_AFTER = 30.0
"""Seconds after which a connection that has been accepted proves the credentials, ticks or not."""


class Session(NamedTuple):
    """A broker session as it is stored; every storing of one has another `version`."""

    credentials: Credentials
    version: int
    on_accepted: Callable[[], None] | None = None
    """Called when the broker first accepts it in this process; does not block."""


class Sessions(Protocol):
    """Where one account's session with its broker is stored."""

    def version(self) -> int:
        """Changes, within a second, when a session has been stored or removed. Costs nothing."""

    async def read(self) -> Session | None:
        """The session that is stored now; None when there is none, or none that can be read."""


Renewer = Callable[[], Awaitable[None]]
"""Obtains and stores a new broker session without a person, where keys alone make one.

Raises LoginUnavailable when the broker cannot be reached, LoginFailed when it refuses the keys.
"""


class Verdict(NamedTuple):
    """Why there are no usable credentials, as the feed's state."""

    state: FeedState
    message: str


class SessionKeeper:
    """`clock` gives seconds; `met` is told of each session before it is used, `changed` that `verdict` is another.

    `last_tick` says when the last tick of the feed came, `in_use` whether a connection of it lives.
    """

    def __init__(
        self,
        sessions: Sessions,
        broker: str,
        *,
        renew: Renewer | None,
        clock: Callable[[], float],
        met: Callable[[Credentials], None],
        changed: Callable[[], None],
        last_tick: Callable[[], float],
        in_use: Callable[[], bool],
        retry_waits: Sequence[float] = RETRY_WAITS,
    ) -> None:
        self._sessions = sessions
        self._broker = broker
        self._renew = renew
        self._clock = clock
        self._met = met
        self._changed = changed
        self._last_tick = last_tick
        self._in_use = in_use
        self._retry_waits = retry_waits
        self.verdict: Verdict | None = None
        """Why connections have to wait; None while they need not."""
        self.replaced = 0
        """How many sessions have taken the place of refused or missing ones."""
        self._session: Session | None = None
        self._usable = asyncio.Event()
        self._seen: int | None = None
        """`Sessions.version` when the session was last read."""
        self._numbers = itertools.count(1)
        self._taken = 0
        """The reading of the database that the present session is from."""
        self._worked = False
        """Whether the present session has been accepted in this process."""
        self._accepted_at = self._refused_at = self._renewed_at = float("-inf")
        self._refusals = 0
        self._renewals = 0
        """Logins without a person since a session last proved itself."""
        self._keys_refused = False
        """Whether the broker has refused the keys since the session was stored."""
        self._timer: asyncio.TimerHandle | None = None
        self._renewing: asyncio.Task[None] | None = None

    # -- what the feed uses -------------------------------------------------------------------------------

    async def credentials(self) -> Credentials:
        """The credentials to connect with; waits while there are none worth trying. Raises Unavailable when the
        database cannot be read. May be cancelled."""
        while True:
            if self._seen is None or self._sessions.version() != self._seen:
                await self.look()
            # Both without an await in between: what is returned is usable at this moment.
            if self._session is not None and self._usable.is_set():
                return self._session.credentials
            await self._usable.wait()

    async def look(self) -> None:
        """Reads the stored session, if it may be another one. Raises Unavailable. May be cancelled."""
        version = self._sessions.version()
        if version == self._seen:
            return
        number = next(self._numbers)
        try:
            found = await self._sessions.read()
        except Exception as error:
            # Whatever the database says: it is back sooner or later, and the connection tries again.
            raise Unavailable(f"the stored session cannot be read ({type(error).__name__})") from error
        if number > self._taken:  # of two readings under way at a time the one that began later knows more
            self._taken = number
            self._seen = version  # as it was before reading: a session stored meanwhile is read again
            self._take(found)

    def accepted(self) -> None:
        """A connection with the present credentials has been taken."""
        if not self._worked and self._session is not None and self._session.on_accepted is not None:
            self._session.on_accepted()
        self._worked = True
        self._accepted_at = self._clock()

    def refused(self, credentials: Credentials, message: str, *, certain: bool) -> None:
        """The broker has refused these credentials; `certain`: it has named them."""
        session = self._session
        if session is None or credentials is not session.credentials or not self._usable.is_set():
            return  # of an older session, or one of several connections that were refused together
        self._usable.clear()
        now = self._clock()
        accepted_since = self._accepted_at > self._refused_at
        if accepted_since and now - self._accepted_at >= _PROVEN_AFTER:
            self._refusals = 0
        if self._accepted_at > self._renewed_at and self._last_tick() >= self._accepted_at:
            self._renewals = 0
        self._refused_at = now
        over = credentials.expires_at is not None and credentials.expires_at <= time.time()
        dead = certain or over or not self._worked
        keys = self._renew is not None and not self._keys_refused
        waits = self._retry_waits
        # While other connections of the same session live it is not dead, whatever this one was told.
        if not dead and waits and (self._refusals < len(waits) or self._in_use()) and not (keys and self._refusals):
            wait = waits[min(self._refusals, len(waits) - 1)]
            self._refusals += 1
            self._say(FeedState.RECONNECTING, f"{message}; the same session is tried again in {wait:g} s")
            self._timer = asyncio.get_running_loop().call_later(wait, self._try_again)
        elif keys:
            self._say(FeedState.RECONNECTING, f"{message}; logging in again")
            self._renewing = owned_task.start(self._log_in(message), f"login at {self._broker} without a person")
        else:
            self._say(FeedState.AUTH_EXPIRED, f"{message}; run `tickmux broker login {self._broker}`")

    async def stop(self) -> None:
        self._forget_plans()
        await owned_task.end(self._renewing)

    # -- how it goes on -----------------------------------------------------------------------------------

    def _take(self, found: Session | None) -> None:
        """What is stored now."""
        if found is None:
            if self._session is None or not self._usable.is_set():
                # One in use goes on until it is refused, though nothing is stored any more.
                self._session = None
                self._usable.clear()
                self._say(FeedState.AUTH_EXPIRED, f"no session: run `tickmux broker login {self._broker}`")
            return
        if self._session is not None and self._session.version == found.version:
            return
        self.replaced += self.verdict is not None
        self._forget_plans()
        self._session = found
        self._worked = self._keys_refused = False
        self._refusals = 0
        self._met(found.credentials)
        self._open("a session has been stored")

    def _try_again(self) -> None:
        self._timer = None
        self._open("another try")

    def _open(self, why: str) -> None:
        if self.verdict is not None:
            log.info("session broker=%s state=usable reason=%r", self._broker, why)
            self.verdict = None
        self._usable.set()
        self._changed()

    def _say(self, state: FeedState, message: str) -> None:
        verdict = Verdict(state, message)
        if verdict != self.verdict:
            log.info("session broker=%s state=%s reason=%r", self._broker, state.value, message)
            self.verdict = verdict
            self._changed()

    def _forget_plans(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        renewing = self._renewing
        if renewing is not None and not renewing.done() and renewing is not _current_task():
            renewing.cancel()

    async def _log_in(self, refusal: str) -> None:
        """Logs in without a person until there is a new session or the keys are refused."""
        renew = self._renew
        if renew is None:
            return
        for attempt in itertools.count():
            wait = RENEW_WAITS[min(self._renewals, len(RENEW_WAITS) - 1)] - (self._clock() - self._renewed_at)
            if wait > 0:
                self._say(FeedState.AUTH_EXPIRED, f"{refusal}; the next login is in {wait:.0f} s")
                await asyncio.sleep(wait)
            try:
                await renew()
            except (LoginUnavailable, httpx.HTTPError, OSError, TimeoutError) as error:
                pause = _UNREACHABLE_WAITS[min(attempt, len(_UNREACHABLE_WAITS) - 1)]
                why = str(error) or type(error).__name__
                self._say(FeedState.RECONNECTING, f"the login failed: {why}; the next one is in {pause:g} s")
                await asyncio.sleep(pause)
                continue
            except LoginFailed as error:
                self._keys_refused = True
                self._say(FeedState.AUTH_EXPIRED, str(error))
                return
            except Exception:
                log.exception("login at %s without a person has failed", self._broker)
                self._keys_refused = True
                self._say(FeedState.AUTH_EXPIRED, f"{refusal}; the login failed by a defect of ours, see the log")
                return
            self._renewals += 1
            self._renewed_at = self._clock()
            self._seen = None
            try:
                await self.look()
            except Unavailable:
                continue
            if not self._usable.is_set():
                self._say(FeedState.AUTH_EXPIRED, f"{refusal}; run `tickmux broker login {self._broker}`")
            return


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # outside of the loop
        return None
