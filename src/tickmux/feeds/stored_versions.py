"""What of the database feeds have to notice: new broker sessions and new instrument lists.

One poller for a database, however many feeds there are. Owns one task from `start` to `stop`. Bounded by the rows
of two small tables, read once in `_INTERVAL`.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from tickmux import owned_task
from tickmux.database.broker_sessions import BrokerSessions
from tickmux.database.instrument_store import InstrumentStore
from tickmux.websocket_proxy.feed_state import Listeners

log = logging.getLogger(__name__)

_INTERVAL = 0.5


class StoredVersions:
    """Versions as they were at the last look; a look that fails changes nothing."""

    def __init__(self, sessions: BrokerSessions, store: InstrumentStore) -> None:
        self._sessions_table = sessions
        self._store = store
        self._sessions: Mapping[tuple[str, str], int] = {}
        self._lists: Mapping[str, int] = {}
        self._unreadable = False
        self._listeners = Listeners[None]()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = owned_task.keep_running(self._poll, "poller of the database")

    async def stop(self) -> None:
        await owned_task.end(self._task)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Calls `listener` when a list or a session has been stored; the result ends that."""
        return self._listeners.add(lambda _: listener())

    def session(self, user: str, broker: str) -> int:
        """The version of the stored session; 0 while there is none, or none has been looked for."""
        return self._sessions.get((user, broker), 0)

    def instruments(self, name: str) -> int | None:
        """The generation of the instrument list in use; None while there is none, or none has been looked for."""
        return self._lists.get(name)

    async def _poll(self) -> None:
        while True:
            try:
                before = self._sessions, self._lists
                self._sessions, self._lists = await asyncio.to_thread(self._read)
            except Exception as error:
                if isinstance(error, RuntimeError) and "shutdown" in str(error):
                    return  # the interpreter ends, in an app that leaves that to us, and takes no more work
                if not self._unreadable:
                    log.warning("the database cannot be read (%s): goes on with what is known", error)
                self._unreadable = True
            else:
                self._unreadable = False
                if before != (self._sessions, self._lists):
                    self._listeners.tell(None)
            await asyncio.sleep(_INTERVAL)

    def _read(self) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
        return self._sessions_table.versions(), {one.broker: one.generation for one in self._store.lists()}
