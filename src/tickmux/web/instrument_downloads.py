"""Downloads of instrument lists in the background: one at a time for each broker.

Owns a daemon thread for each download under way; its end leaves the old list or the whole new one. Bounded by the
number of brokers.
"""

import logging
import secrets
import threading
from datetime import datetime
from typing import NamedTuple

import httpx

from tickmux.codec import Credentials
from tickmux.config import Settings
from tickmux.database import (
    BrokerSessions,
    DatabaseFailed,
    EmptyList,
    InstrumentStore,
    ListInfo,
    ListRefused,
    SessionUnreadable,
)
from tickmux.database.instrument_update import DownloadFailed, update_instruments
from tickmux.instrument_list import ListFormatError
from tickmux.login import IST
from tickmux.websocket_proxy.broker_factory import load_broker

log = logging.getLogger(__name__)

_TIMEOUT = httpx.Timeout(30.0, read=120.0)


class DownloadState(NamedTuple):
    """Whether a download is under way, and why the last one failed, or a part of it (empty when all went well)."""

    updating: bool = False
    message: str = ""


class InstrumentDownloads:
    """Thread-safe."""

    def __init__(self, settings: Settings, store: InstrumentStore, sessions: BrokerSessions) -> None:
        self._settings = settings
        self._store = store
        self._sessions = sessions
        self._states: dict[str, DownloadState] = {}
        self._lock = threading.Lock()

    def state(self, broker: str) -> DownloadState:
        return self._states.get(broker, DownloadState())

    def start(self, broker: str, user: str) -> None:
        """Begins a download with the user's session, unless one is under way. Raises UnknownBroker."""
        load_broker(broker)
        with self._lock:
            if self.state(broker).updating:
                return
            self._states[broker] = DownloadState(updating=True)
        threading.Thread(target=self._run, args=(broker, user), name=f"instruments {broker}", daemon=True).start()

    def start_if_old(self, broker: str, user: str) -> None:
        """Begins a download where the list is missing, or not of today."""
        if not _of_today(self._store.info(broker)):
            self.start(broker, user)

    def _run(self, broker: str, user: str) -> None:
        message = "the download failed"
        try:
            message = self._download(broker, user)
        finally:
            self._states[broker] = DownloadState(message=message)

    def _download(self, broker: str, user: str) -> str:
        """Why it failed, or nothing."""
        reader = load_broker(broker).instruments(self._settings.urls(broker))
        try:
            credentials: Credentials | None = None
            if reader.needs_login:
                session = self._sessions.get(user, broker)
                if session is None:
                    return "this list needs a session: log in to the broker first"
                credentials = session.credentials
            with httpx.Client(timeout=_TIMEOUT) as http:
                done = update_instruments(
                    broker, reader, self._store, credentials, http, lambda *_: None, lambda count: None
                )
        except DownloadFailed as error:
            first = "log in to the broker again" if error.refused else "check the network"
            return f"{error}: {first}, then repeat the download; {self._meanwhile(broker)}"
        except (ListFormatError, EmptyList, ListRefused, SessionUnreadable) as error:
            return str(error)
        except DatabaseFailed:
            return "the database could not store the list: see the server's log, then repeat the download"
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("the instrument list of %s could not be updated, reference %s", broker, reference)
            return f"a defect of ours, reference {reference} in the log; {self._meanwhile(broker)}"
        return f"not all of the list is new: {done.warning}" if done.warning else ""

    def _meanwhile(self, broker: str) -> str:
        if self._store.count(broker):
            return "the old list stays in use"
        return "without the list no symbol of this broker can be found"


def _of_today(info: ListInfo | None) -> bool:
    if info is None:
        return False
    return datetime.fromtimestamp(info.updated, IST).date() == datetime.now(IST).date()
