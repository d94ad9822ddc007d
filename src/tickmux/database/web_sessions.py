"""Web sessions: browsers that are logged in. The cookie's token is stored as a hash only.

A session ends `_IDLE_SECONDS` after it was last seen, and `_LONGEST_SECONDS` after it began however much it is used;
dead ones are removed when a new one begins.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Collection

import msgspec
from sqlalchemy import ColumnElement, and_, delete, not_, select, update

from tickmux.database.engine import IDS_A_QUERY, Database
from tickmux.database.models import UserRow, WebSessionRow

_IDLE_SECONDS = 14 * 86_400.0
_LONGEST_SECONDS = 30 * 86_400.0
_SEEN_STEP = 3600.0
"""A session's last use is written down at most so often: reading must not become writing."""


class WebSession(msgspec.Struct, frozen=True):
    """One browser that is logged in."""

    id: int
    user: str


class WebSessions:
    """The web sessions of one database. Thread-safe; `clock` gives epoch seconds."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def begin(self, user_id: int) -> str:
        """A new session; returns the token for its cookie."""
        token = new_token()
        now = self._clock()
        with self._database.writing() as session:
            session.execute(delete(WebSessionRow).where(not_(self._alive())))
            session.add(WebSessionRow(token_hash=_hash(token), user_id=user_id, created=now, seen=now))
        return token

    def renew(self, session_id: int) -> str:
        """Another token for a session's cookie: the old one is worth nothing any more."""
        token = new_token()
        with self._database.writing() as session:
            renewed = update(WebSessionRow).where(WebSessionRow.id == session_id)
            session.execute(renewed.values(token_hash=_hash(token)))
        return token

    def find(self, token: str) -> WebSession | None:
        """The session of a cookie's token, or None."""
        now = self._clock()
        query = (
            select(WebSessionRow, UserRow.name)
            .join(UserRow)
            .where(WebSessionRow.token_hash == _hash(token), self._alive())
        )
        with self._database.reading() as session:
            found = session.execute(query).one_or_none()
        if found is None:
            return None
        row, user = found
        if now - row.seen >= _SEEN_STEP:
            statement = update(WebSessionRow).where(WebSessionRow.id == row.id).values(seen=now)
            self._database.late_writes.add((WebSessionRow, row.id), statement)  # no page waits for it
        return WebSession(row.id, user)

    def owner(self, session_id: int) -> tuple[int, str] | None:
        """Id and name of the user whose session that is; None once it has ended."""
        query = (
            select(UserRow.id, UserRow.name).join(WebSessionRow).where(WebSessionRow.id == session_id, self._alive())
        )
        with self._database.reading() as session:
            found = session.execute(query).one_or_none()
        return (found[0], found[1]) if found else None

    def ended(self, session_ids: Collection[int]) -> set[int]:
        """Those of `session_ids` that are no session (any more)."""
        waiting, found = sorted(session_ids), set[int]()
        with self._database.reading() as session:
            for start in range(0, len(waiting), IDS_A_QUERY):
                part = waiting[start : start + IDS_A_QUERY]
                found.update(
                    session.scalars(select(WebSessionRow.id).where(WebSessionRow.id.in_(part), self._alive()))
                )
        return set(waiting) - found

    def end(self, session_id: int) -> None:
        with self._database.writing() as session:
            session.execute(delete(WebSessionRow).where(WebSessionRow.id == session_id))

    def _alive(self) -> ColumnElement[bool]:
        now = self._clock()
        return and_(WebSessionRow.seen >= now - _IDLE_SECONDS, WebSessionRow.created >= now - _LONGEST_SECONDS)


def new_token() -> str:
    """256 random bits as text."""
    return secrets.token_urlsafe(32)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
