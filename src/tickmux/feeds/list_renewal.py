"""Keeps instrument lists fresh without a person: at the start when they are stale, and on each trading morning.

Contracts expire and their tokens are given to others, so that an old list names wrong instruments. Renewed are the
lists of brokers that somebody has a session with; where the broker wants a session for its list, a stored one that
has not expired is used. Owns one task from `start` to `stop`, and one daemon thread while a list is downloaded, whose
end leaves the old list or the whole new one. Bounded by the number of brokers.
"""

import asyncio
import logging
import random
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple, Protocol

import httpx

from tickmux import owned_task
from tickmux.codec import Credentials
from tickmux.config import Settings
from tickmux.database.broker_sessions import BrokerSessions, SessionUnreadable
from tickmux.database.instrument_acceptance import ListRefused
from tickmux.database.instrument_store import InstrumentStore, ListInfo
from tickmux.database.instrument_update import Update, update_instruments
from tickmux.feeds.market_hours import MarketHours
from tickmux.login import IST
from tickmux.websocket_proxy.broker_factory import UnknownBroker, load_broker

log = logging.getLogger(__name__)

_LOOK = 20.0
"""Seconds between two looks at the clock and the lists."""
_SPREAD = 300.0
"""Seconds over which servers spread their downloads, so that not all of them ask the broker at once."""
_FIRST_RETRY, _LONGEST_RETRY = 60.0, 900.0
_RETRY_REFUSED = 3600.0
"""Seconds until a list that was too unlike the old one is fetched again: it is large and hardly changes soon."""
_TIMEOUT = httpx.Timeout(30.0, read=120.0)


class NoSession(Exception):
    """The broker's list needs a session, and none is stored that could be used."""


class Lists(Protocol):
    """The lists that are to be kept fresh, and how they are fetched."""

    async def in_use(self) -> list[ListInfo]:
        """Those of brokers that somebody has a session with."""

    async def download(self, broker: str) -> Update:
        """Replaces the broker's list. Raises whatever went wrong; the old list is in use then."""


class _Failure(NamedTuple):
    times: int
    again: datetime
    words: str


class ListRenewal:
    """Downloads each list once it is older than the newest trading morning at `at`, and again while that fails."""

    def __init__(
        self,
        lists: Lists,
        hours: MarketHours,
        at: time,
        *,
        rng: random.Random | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._lists = lists
        self._hours = hours
        self._at = at
        self._now = now
        self._rng = rng or random.Random()
        self._delay = timedelta(seconds=self._rng.uniform(0, _SPREAD))
        self._failures: dict[str, _Failure] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = owned_task.keep_running(self._run, "renewal of instrument lists")

    async def stop(self) -> None:
        await owned_task.end(self._task)

    def problem(self, broker: str) -> str:
        """Why the last renewal of the broker's list has failed, or a part of it; empty when all went well."""
        failure = self._failures.get(broker)
        return failure.words if failure is not None else ""

    async def _run(self) -> None:
        begun = self._now()
        while True:
            for info in await self._lists.in_use():
                if self._is_due(info, begun):
                    await self._renew(info.broker)
            await asyncio.sleep(_LOOK)

    def _is_due(self, info: ListInfo, begun: datetime) -> bool:
        now = self._now()
        failure = self._failures.get(info.broker)
        if failure is not None and failure.again > now:
            return False
        morning = self._newest_morning(now)
        old = info.updated < morning.timestamp()
        # What was stale already when we started does not wait for the spread.
        waits = morning > begun and now < morning + self._delay
        return (old and not waits) or (failure is not None and not old)

    def _newest_morning(self, now: datetime) -> datetime:
        """The renewal time of the newest trading day, not after `now`."""
        local = now.astimezone(IST)
        if local.time() < self._at:
            local -= timedelta(days=1)
        day = self._hours.last_trading_day(local)
        return datetime.combine(day, self._at, IST)

    async def _renew(self, broker: str) -> None:
        try:
            done = await self._lists.download(broker)
        except Exception as error:
            self._failed(broker, _words(error), _RETRY_REFUSED if isinstance(error, ListRefused) else 0.0)
        else:
            if done.warning:
                self._failed(broker, done.warning, 0.0)
            else:
                self._failures.pop(broker, None)
                log.info("the instrument list of %s has been renewed: %d instruments", broker, done.instruments)

    def _failed(self, broker: str, words: str, pause: float) -> None:
        before = self._failures.get(broker)
        times = before.times + 1 if before is not None else 1
        wait = pause or min(_LONGEST_RETRY, _FIRST_RETRY * 2.0 ** min(times - 1, 10)) * self._rng.uniform(0.75, 1.25)
        self._failures[broker] = _Failure(times, self._now() + timedelta(seconds=wait), words)
        if before is None or before.words != words:
            log.warning("the instrument list of %s could not be renewed: %s; tried again until it can", broker, words)


def renewal_of(settings: Settings, store: InstrumentStore, sessions: BrokerSessions) -> ListRenewal | None:
    """As the settings want it, which may be not at all."""
    if settings.instruments_renewal is None:
        return None
    hours = MarketHours(settings.market_holidays)
    return ListRenewal(StoredLists(settings, store, sessions), hours, settings.instruments_renewal)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


class StoredLists:
    """The lists of a database, fetched with the sessions that are stored beside them."""

    def __init__(self, settings: Settings, store: InstrumentStore, sessions: BrokerSessions) -> None:
        self._settings = settings
        self._store = store
        self._sessions = sessions

    async def in_use(self) -> list[ListInfo]:
        return await asyncio.to_thread(self._in_use)

    def _in_use(self) -> list[ListInfo]:
        used = {session.broker for session in self._sessions.list()}
        return [info for info in self._store.lists() if info.broker in used and _is_known(info.broker)]

    async def download(self, broker: str) -> Update:
        return await in_daemon_thread(lambda: self._download(broker), f"instruments {broker}")

    def _download(self, broker: str) -> Update:
        reader = load_broker(broker).instruments(self._settings.urls(broker))
        credentials = self._credentials(broker) if reader.needs_login else None
        with httpx.Client(timeout=_TIMEOUT) as http:
            return update_instruments(
                broker, reader, self._store, credentials, http, lambda *_: None, lambda count: None
            )

    def _credentials(self, broker: str) -> Credentials:
        """Of the session that was stored last and has not expired."""
        now = datetime.now(UTC).timestamp()
        sessions = [
            one
            for one in self._sessions.list()
            if one.broker == broker and (one.expires_at is None or one.expires_at > now)
        ]
        for one in sorted(sessions, key=lambda each: -each.updated):
            try:
                if (found := self._sessions.get(one.user, broker)) is not None:
                    return found.credentials
            except SessionUnreadable:
                continue
        raise NoSession(f"{broker}'s list needs a session: `tickmux broker login {broker}`")


def _is_known(broker: str) -> bool:
    """Whether it is a broker's real list; a simulator's is made by the simulator."""
    try:
        load_broker(broker)
    except UnknownBroker:
        return False
    return True


def in_daemon_thread(work: Callable[[], Update], name: str) -> Awaitable[Update]:
    """What `work` gives, done in a thread that nobody waits for when the program ends."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Update] = loop.create_future()

    def settle(result: Update | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        elif result is not None:
            answer.set_result(result)

    def run() -> None:
        result: Update | None = None
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, name=name, daemon=True).start()
    return answer
