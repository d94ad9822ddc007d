"""Logging in to brokers from the browser: what a web session has begun, and how it ended.

A login is kept while it waits for the broker's page to redirect back, or for the answer to what the broker has
asked in the middle: `_LIFE` seconds at most. Bounded: `_ATTEMPTS` of them, the oldest go first. Secrets are held
in memory only as long as an attempt is open; what a flow keeps between its questions never leaves this module.
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
from tickmux.login import AnswerWanted, Field, LoginFailed, LoginFlow, LoginKind
from tickmux.web.errors import ApiError, invalid
from tickmux.websocket_proxy.broker_factory import load_broker

log = logging.getLogger(__name__)

_LIFE = 600.0
_ATTEMPTS = 200
_QUESTIONS = 5
_HTTP_TIMEOUT = 20.0

_NOTHING: Mapping[str, str] = {}
T = TypeVar("T")
A = TypeVar("A", "Pending", "Asked")


class Pending(NamedTuple):
    """A login that waits for its redirect. `expires_at` is epoch seconds.

    cookies: of the broker's answers so far; every conversation has an event loop and an HTTP client of its own.
    """

    flow: LoginFlow
    values: Mapping[str, str]
    redirect_uri: str
    expires_at: float
    cookies: httpx.Cookies


class Asked(NamedTuple):
    """A login that waits for the user's answer to the broker's question, the `rounds`th one."""

    pending: Pending
    callback: Mapping[str, str]
    kept: Mapping[str, str]
    message: str
    field: Field
    rounds: int

    @property
    def expires_at(self) -> float:
        return self.pending.expires_at


class Page(NamedTuple):
    """Where the browser has to go, and until when."""

    url: str
    expires_at: float


class Question(NamedTuple):
    """What the user has to answer, and until when."""

    message: str
    field: Field
    expires_at: float


class Outcome(NamedTuple):
    state: str
    message: str = ""
    question: Question | None = None


Attempt = Pending | Asked | Outcome


class BrokerLogins:
    """The logins of one app. Thread-safe; calls of brokers run in the calling thread."""

    def __init__(self, settings: Settings, sessions: BrokerSessions) -> None:
        self._settings = settings
        self._sessions = sessions
        self._attempts: OrderedDict[tuple[int, str], Attempt] = OrderedDict()
        self._lock = threading.Lock()

    def begin(
        self, session: WebSession, broker: str, given: Mapping[str, str], redirect_uri: str
    ) -> Page | Question | None:
        """Begins a login: the page to go to, the broker's question, or None when it is done already.

        Raises UnknownBroker, and ApiError for what is missing, refused or out of reach.
        """
        flow = load_broker(broker).login(self._settings.urls(broker))
        values = self._complete(flow.fields, session.user, broker, given)
        if flow.kind is not LoginKind.REDIRECT:
            redirect_uri = ""
        cookies = httpx.Cookies()
        page = _call(self._begin(flow, values, redirect_uri, cookies))
        pending = Pending(flow, values, redirect_uri, time.time() + _LIFE, cookies)
        if page is None:
            return self._exchange(session, broker, pending, {})
        if not page.startswith(("https://", "http://")):
            raise ApiError(400, "LOGIN_FAILED", "the broker's login has no page that a browser could open")
        self._note(session, broker, pending)
        return Page(page, pending.expires_at)

    def finish(self, session: WebSession, broker: str, callback: Mapping[str, str]) -> Question | None:
        """Goes on with what the redirect brought: the broker's question, or None. Raises ApiError."""
        return self._exchange(session, broker, self._take(session, broker, Pending), callback)

    def answer(self, session: WebSession, broker: str, answer: str) -> Question | None:
        """Goes on with the answer to the broker's question: the next question, or None. Raises ApiError."""
        answer = answer.strip()
        with self._lock:
            asked = self._attempts.get((session.id, broker))
        if isinstance(asked, Asked) and not answer and not asked.field.optional:
            raise invalid({"answer": f"{asked.field.label} is needed"})
        asked = self._take(session, broker, Asked)
        given = {**asked.kept, asked.field.name: answer}
        return self._exchange(session, broker, asked.pending, asked.callback, given, asked.rounds)

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
            self._end_late_ones()
            last = self._attempts.get((session.id, broker))
        if isinstance(last, Asked):
            return Outcome("question", last.message, Question(last.message, last.field, last.expires_at))
        if isinstance(last, Pending):
            return Outcome("pending")
        return last or Outcome("none")

    def forget(self, session: WebSession) -> None:
        """The web session has ended."""
        with self._lock:
            for key in [key for key in self._attempts if key[0] == session.id]:
                del self._attempts[key]

    def _take(self, session: WebSession, broker: str, kind: type[A]) -> A:
        """The attempt that waits, which nobody else can take then: a code is good for one use. Raises ApiError."""
        with self._lock:
            self._end_late_ones()
            waiting = self._attempts.get((session.id, broker))
            if not isinstance(waiting, kind):
                raise ApiError(409, "NO_LOGIN_PENDING", "no login is waiting for this: start the login again")
            self._attempts[session.id, broker] = Outcome("pending")
        return waiting

    async def _begin(
        self, flow: LoginFlow, values: Mapping[str, str], redirect_uri: str, cookies: httpx.Cookies
    ) -> str | None:
        async with _client(cookies) as http:
            return await flow.begin(values, redirect_uri, http)

    def _exchange(
        self,
        session: WebSession,
        broker: str,
        pending: Pending,
        callback: Mapping[str, str],
        given: Mapping[str, str] = _NOTHING,
        rounds: int = 0,
    ) -> Question | None:
        """One conversation with the broker; `given` is what its questions have added to the values."""

        async def exchange() -> Credentials | AnswerWanted:
            async with _client(pending.cookies) as http:
                try:
                    return await pending.flow.exchange(
                        {**pending.values, **given}, callback, pending.redirect_uri, http, datetime.now(UTC)
                    )
                except AnswerWanted as wanted:
                    if rounds >= _QUESTIONS:
                        raise LoginFailed("the broker asks again and again: start the login again") from None
                    return wanted

        try:
            result = _call(exchange())
        except ApiError as error:
            self._note(session, broker, Outcome("failed", error.message))
            raise
        if isinstance(result, Credentials):
            self._store(session, broker, result, _remembered(pending.flow.fields, pending.values))
            return None
        pending = pending._replace(expires_at=time.time() + _LIFE)
        self._note(session, broker, Asked(pending, callback, result.kept, str(result), result.field, rounds + 1))
        return Question(str(result), result.field, pending.expires_at)

    def _store(self, session: WebSession, broker: str, credentials: Credentials, remembered: dict[str, str]) -> None:
        self._sessions.store(session.user, broker, credentials, remembered, activate=False)
        self._note(session, broker, Outcome("succeeded"))

    def _note(self, session: WebSession, broker: str, attempt: Attempt) -> None:
        with self._lock:
            self._end_late_ones()
            self._attempts[session.id, broker] = attempt
            self._attempts.move_to_end((session.id, broker))
            while len(self._attempts) > _ATTEMPTS:
                self._attempts.popitem(last=False)

    def _end_late_ones(self) -> None:
        """Their secrets go with them. The lock is held."""
        now = time.time()
        for key, attempt in self._attempts.items():
            if not isinstance(attempt, Outcome) and attempt.expires_at <= now:
                self._attempts[key] = Outcome("failed", "the login was not finished in time: start it again")

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


def _client(cookies: httpx.Cookies) -> httpx.AsyncClient:
    """A client that goes on with these cookies, and adds to them."""
    return httpx.AsyncClient(timeout=_HTTP_TIMEOUT, cookies=cookies.jar)


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
