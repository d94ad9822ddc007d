"""Broker sessions: who is logged in where, and the secrets of it, encrypted.

Fernet with a key derived from TICKMUX_SECRET, which is kept outside the database: a copy of the database alone
gives nothing away.
"""

import base64
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec
from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from tickmux.codec import Credentials
from tickmux.database.api_keys import find_or_make_user
from tickmux.database.engine import Database
from tickmux.database.models import BrokerSessionRow, UserRow


class SessionUnreadable(Exception):
    """Stored secrets cannot be decrypted: they were made with another TICKMUX_SECRET, or tampered with."""

    def __init__(self, broker: str) -> None:
        super().__init__(f"the stored session of {broker} cannot be read (TICKMUX_SECRET has changed): log in again")
        self.broker = broker


class StoredSession(NamedTuple):
    """A broker session to connect with; `version` tells a new one from the one that was read before."""

    broker: str
    credentials: Credentials
    version: int


class SessionInfo(msgspec.Struct, frozen=True):
    """What may be shown of a broker session; times are epoch seconds."""

    user: str
    broker: str
    active: bool
    expires_at: float | None
    updated: float
    version: int
    accepted: bool
    """Whether the broker has given it, or a connection with it has been taken; otherwise it was never tried."""


class BrokerSessions:
    """The broker sessions of one database, by user name and broker name. `clock` gives epoch seconds."""

    def __init__(self, database: Database, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._fernet = Fernet(_key(secret))
        self._clock = clock

    def store(
        self,
        user: str,
        broker: str,
        credentials: Credentials,
        login_values: Mapping[str, str] | None = None,
        *,
        activate: bool = True,
        accepted: bool = True,
    ) -> int:
        """Makes this the user's active session and returns its version; unknown users are made.

        `login_values` (what to offer at the next login) replace the remembered ones unless None. Without
        `activate` another session that is active stays so. `accepted` is False for a token that was obtained
        elsewhere: nobody has tried it yet.
        """
        with self._database.writing() as session:
            owner = find_or_make_user(session, user)
            row = self._own_row(session, owner, broker)
            if activate or _active_name(session, user) is None:
                _activate(session, owner, row)
            row.credentials = self._encrypt(credentials.values)
            if login_values is not None:
                row.login_values = self._encrypt(login_values)
            row.expires_at = credentials.expires_at
            row.updated = self._clock()
            row.accepted = row.updated if accepted else None
            row.version += 1
            return row.version

    def accepted(self, user: str, broker: str, version: int) -> None:
        """Notes that the broker has taken a connection with the session, if that version is still the stored one."""
        with self._database.writing() as session:
            row = _find(session, user, broker)
            if row is not None and row.version == version and row.accepted is None:
                row.accepted = self._clock()

    def activate(self, user: str, broker: str) -> None:
        """Makes `broker` the user's active one, whether or not there is a session with it."""
        with self._database.writing() as session:
            owner = find_or_make_user(session, user)
            _activate(session, owner, self._own_row(session, owner, broker))

    def active(self, user: str) -> str | None:
        """The name of the broker that is the user's active one, whether or not there is a session with it."""
        with self._database.reading() as session:
            return _active_name(session, user)

    def get(self, user: str, broker: str | None = None) -> StoredSession | None:
        """The user's session with `broker`, or the active one; expired ones too (see `expires_at`).

        Raises SessionUnreadable.
        """
        row = self._row(user, broker)
        if row is None or row.credentials is None:
            return None
        values = self._decrypt(row.broker, row.credentials)
        return StoredSession(row.broker, Credentials(values, row.expires_at), row.version)

    def login_values(self, user: str, broker: str) -> dict[str, str]:
        """What was remembered of the last login; empty when there is nothing, or nothing readable."""
        row = self._row(user, broker)
        if row is None or row.login_values is None:
            return {}
        try:
            return self._decrypt(row.broker, row.login_values)
        except SessionUnreadable:
            return {}

    def delete(self, user: str, broker: str) -> bool:
        """Forgets the session and everything remembered of the login; False when there is none."""
        with self._database.writing() as session:
            row = _find(session, user, broker)
            if row is None:
                return False
            row.credentials = row.login_values = row.expires_at = None
            row.active = False
            row.updated = self._clock()
            row.version += 1
            return True

    def versions(self) -> dict[tuple[str, str], int]:
        """(user, broker) -> version of every session; a look that costs little, to be repeated."""
        query = (
            select(UserRow.name, BrokerSessionRow.broker, BrokerSessionRow.version)
            .join(BrokerSessionRow, BrokerSessionRow.user_id == UserRow.id)
            .where(BrokerSessionRow.credentials.is_not(None))
        )
        with self._database.reading() as session:
            return {(user, broker): version for user, broker, version in session.execute(query)}

    def list(self, user: str | None = None) -> list[SessionInfo]:
        """All sessions, or one user's."""
        query = _sessions().order_by(UserRow.name, BrokerSessionRow.broker)
        if user is not None:
            query = query.where(UserRow.name == user)
        with self._database.reading() as session:
            return [
                SessionInfo(
                    owner, row.broker, row.active, row.expires_at, row.updated, row.version, row.accepted is not None
                )
                for row, owner in session.execute(query)
            ]

    def _own_row(self, session: Session, owner: UserRow, broker: str) -> BrokerSessionRow:
        """The row of this user and broker, made when missing."""
        query = select(BrokerSessionRow).where(
            BrokerSessionRow.user_id == owner.id, BrokerSessionRow.broker == broker
        )
        row = session.scalars(query).one_or_none()
        if row is None:
            row = BrokerSessionRow(user_id=owner.id, broker=broker, version=0, active=False, updated=self._clock())
            session.add(row)
            session.flush()
        return row

    def _row(self, user: str, broker: str | None) -> BrokerSessionRow | None:
        with self._database.reading() as session:
            return _find(session, user, broker)

    def _encrypt(self, values: Mapping[str, str]) -> str:
        return self._fernet.encrypt(msgspec.json.encode(dict(values))).decode()

    def _decrypt(self, broker: str, token: str) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._fernet.decrypt(token), type=dict[str, str])
        except (InvalidToken, msgspec.DecodeError):
            raise SessionUnreadable(broker) from None


def _sessions() -> "Select[BrokerSessionRow, str]":
    return select(BrokerSessionRow, UserRow.name).join(UserRow).where(BrokerSessionRow.credentials.is_not(None))


def _find(session: Session, user: str, broker: str | None) -> BrokerSessionRow | None:
    same = BrokerSessionRow.active if broker is None else BrokerSessionRow.broker == broker
    found = session.execute(_sessions().where(UserRow.name == user, same)).first()
    return found[0] if found else None


def _active_name(session: Session, user: str) -> str | None:
    query = select(BrokerSessionRow.broker).join(UserRow).where(UserRow.name == user, BrokerSessionRow.active)
    return session.scalars(query).first()


def _activate(session: Session, owner: UserRow, row: BrokerSessionRow) -> None:
    others = update(BrokerSessionRow).where(BrokerSessionRow.user_id == owner.id, BrokerSessionRow.id != row.id)
    session.execute(others.values(active=False))
    row.active = True


def _key(secret: str) -> bytes:
    derived = HKDF(algorithm=SHA256(), length=32, salt=b"tickmux", info=b"broker sessions").derive(secret.encode())
    return base64.urlsafe_b64encode(derived)
