"""Logging in to brokers from the browser: what a web session has begun, and how it ended.

A login through the broker's page is kept until the redirect comes back, `_LIFE` seconds at most. Bounded:
`_ATTEMPTS` of them, the oldest go first. Secrets are held in memory only as long as an attempt is open.
"""

import asyncio
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import httpx

from tickmux.codec import Credentials
from tickmux.config import Settings
from tickmux.database import BrokerSessions, WebSession
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind
from tickmux.web.errors import ApiError, invalid
from tickmux.websocket_proxy.broker_factory import load_broker

log = logging.getLogger(__name__)

_LIFE = 600.0
_ATTEMPTS = 200
_HTTP_TIMEOUT = 20.0

T = TypeVar("T")


class Pending(NamedTuple):
    """A login that waits for its redirect. `expires_at` is epoch seconds."""

    flow: LoginFlow
    values: Mapping[str, str]
    redirect_uri: str
    expires_at: float


class Page(NamedTuple):
    """Where the browser has to go, and until when."""

    url: str
    expires_at: float


class Outcome(NamedTuple):
    state: str
    message: str = ""


class BrokerLogins:
    """The logins of one app. Thread-safe; calls of brokers run in the calling thread."""

    def __init__(self, settings: Settings, sessions: BrokerSessions) -> None:
        self._settings = settings
        self._sessions = sessions
        self._attempts: OrderedDict[tuple[int, str], Pending | Outcome] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, session: WebSession, broker: str, given: Mapping[str, str], redirect_uri: str) -> Page | None:
        """Begins a login: the page to go to, or None when it is done already.

        Raises UnknownBroker, and ApiError for what is missing, refused or out of reach.
        """
        flow = load_broker(broker).login(self._settings.urls(broker))
        values = self._complete(flow.fields, session.user, broker, given)
        if flow.kind is not LoginKind.REDIRECT:
            redirect_uri = ""
        page = _call(self._begin(flow, values, redirect_uri))
        if page is None:
            self._exchange(session, broker, Pending(flow, values, redirect_uri, 0.0), {})
            return None
        if not page.startswith(("https://", "http://")):
            raise ApiError(400, "LOGIN_FAILED", "the broker's login has no page that a browser could open")
        expires_at = time.time() + _LIFE
        self._note(session, broker, Pending(flow, values, redirect_uri, expires_at))
        return Page(page, expires_at)

    def finish(self, session: WebSession, broker: str, callback: Mapping[str, str]) -> None:
        """Ends the pending login with what the redirect brought. Raises ApiError."""
        with self._lock:
            pending = self._attempts.get((session.id, broker))
            if not isinstance(pending, Pending) or pending.expires_at <= time.time():
                raise ApiError(409, "NO_LOGIN_PENDING", "no login is waiting for this: start the login again")
            self._attempts[session.id, broker] = Outcome("pending")  # a code is good for one use
        self._exchange(session, broker, pending, callback)

    def use_token(self, session: WebSession, broker: str, given: Mapping[str, str]) -> None:
        """Makes a session of a token that was obtained elsewhere. Raises UnknownBroker, ApiError."""
        flow = load_broker(broker).login(self._settings.urls(broker))
        values = self._complete(flow.token_fields, session.user, broker, given)
        try:
            credentials = flow.from_token(values, datetime.now(UTC))
        except LoginFailed as error:
            raise ApiError(400, "LOGIN_FAILED", str(error)) from None
        known = self._sessions.login_values(session.user, broker)
        self._store(session, broker, credentials, known | _remembered(flow.token_fields, values))

    def outcome(self, session: WebSession, broker: str) -> Outcome:
        """How the last login of this web session stands."""
        with self._lock:
            last = self._attempts.get((session.id, broker))
        if isinstance(last, Pending):
            if last.expires_at > time.time():
                return Outcome("pending")
            return Outcome("failed", "the login was not finished in time: start it again")
        return last or Outcome("none")

    def forget(self, session: WebSession) -> None:
        """The web session has ended."""
        with self._lock:
            for key in [key for key in self._attempts if key[0] == session.id]:
                del self._attempts[key]

    async def _begin(self, flow: LoginFlow, values: Mapping[str, str], redirect_uri: str) -> str | None:
        async with httpx.AsyncClient(timeout=_HTTP_TIMEOUT) as http:
            return await flow.begin(values, redirect_uri, http)

    def _exchange(self, session: WebSession, broker: str, pending: Pending, callback: Mapping[str, str]) -> None:
        async def exchange() -> Credentials:
            async with httpx.AsyncClient(timeout=_HTTP_TIMEOUT) as http:
                return await pending.flow.exchange(
                    pending.values, callback, pending.redirect_uri, http, datetime.now(UTC)
                )

        try:
            credentials = _call(exchange())
        except ApiError as error:
            self._note(session, broker, Outcome("failed", error.message))
            raise
        self._store(session, broker, credentials, _remembered(pending.flow.fields, pending.values))

    def _store(self, session: WebSession, broker: str, credentials: Credentials, remembered: dict[str, str]) -> None:
        self._sessions.store(session.user, broker, credentials, remembered, activate=False)
        self._note(session, broker, Outcome("succeeded"))

    def _note(self, session: WebSession, broker: str, attempt: Pending | Outcome) -> None:
        with self._lock:
            self._attempts[session.id, broker] = attempt
            self._attempts.move_to_end((session.id, broker))
            while len(self._attempts) > _ATTEMPTS:
                self._attempts.popitem(last=False)

    def _complete(self, fields: Sequence[Field], user: str, broker: str, given: Mapping[str, str]) -> dict[str, str]:
        """The fields' values, from what was given and what is remembered. Raises ApiError (422)."""
        known = self._sessions.login_values(user, broker)
        values = {field.name: given.get(field.name, "").strip() or known.get(field.name, "") for field in fields}
        missing = {
            field.name: f"{field.label} is needed"
            for field in fields
            if not field.optional and not values[field.name]
        }
        if missing:
            raise invalid(missing)
        return values


def _remembered(fields: Sequence[Field], values: Mapping[str, str]) -> dict[str, str]:
    return {field.name: values[field.name] for field in fields if field.remember and values[field.name]}


def _call(work: Coroutine[Any, Any, T]) -> T:
    """A conversation with the broker, in this thread. Raises ApiError with the broker's reason."""
    try:
        return asyncio.run(work)
    except LoginFailed as error:
        raise ApiError(400, "LOGIN_FAILED", str(error)) from None
    except httpx.HTTPError as error:
        raise ApiError(
            502,
            "BROKER_UNREACHABLE",
            f"the broker cannot be reached ({type(error).__name__}): check the network, then try again",
        ) from None
    except Exception as error:
        # Its words might hold what was sent: they stay out of the log.
        reference = secrets.token_hex(4)
        log.error("a login failed with %s, reference %s", type(error).__name__, reference)  # noqa: TRY400
        raise ApiError(500, "SERVER_ERROR", f"a defect of ours, reference {reference} in the log") from None
