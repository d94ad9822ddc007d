"""Users who may log in to the web app: names and passwords; only Argon2id hashes of passwords are stored.

A user without a password (the command line makes such) owns API keys and broker sessions, and cannot log in.
Bounded: `_HASHERS` verifications at a time, since each takes `_MEMORY_KIB`.
"""

import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Select, delete, select

from tickmux.database.api_keys import find_or_make_user
from tickmux.database.engine import Database
from tickmux.database.models import UserRow, WebSessionRow

_MEMORY_KIB = 64 * 1024
_HASHERS = 2
PASSWORD_LENGTHS = (10, 256)
"""Characters that a password has at least and at most."""


class AlreadySetUp(Exception):
    """There is a user with a password already."""


class UnknownUser(LookupError):
    """There is no user of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no user {name!r}")


class Users:
    """The users of one database. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hasher = PasswordHasher(time_cost=3, memory_cost=_MEMORY_KIB, parallelism=1)
        self._hashing = threading.BoundedSemaphore(_HASHERS)
        self._dummy: str | None = None

    def any(self) -> bool:
        """Whether somebody can log in."""
        with self._database.reading() as session:
            return session.scalars(_with_password().limit(1)).first() is not None

    def create_first(self, name: str, password: str) -> int:
        """Makes the first user and returns his id; one of that name who has no password gets it.

        Raises AlreadySetUp; of two calls at a time one does.
        """
        with self._hashing:
            hashed = self._hasher.hash(password)
        with self._database.writing() as session:
            if session.scalars(_with_password().limit(1)).first() is not None:
                raise AlreadySetUp
            user = find_or_make_user(session, name)
            user.password_hash = hashed
            return user.id

    def set_password(self, name: str, password: str, *, create: bool = False) -> None:
        """Gives the user that password and ends all his web sessions; `create` makes a user who is not there.

        Raises UnknownUser.
        """
        with self._hashing:
            hashed = self._hasher.hash(password)
        with self._database.writing() as session:
            found = session.scalars(select(UserRow).where(UserRow.name == name)).one_or_none()
            if found is None and not create:
                raise UnknownUser(name)
            user = found or find_or_make_user(session, name)
            user.password_hash = hashed
            session.execute(delete(WebSessionRow).where(WebSessionRow.user_id == user.id))

    def change_password(self, name: str, password: str, new: str, kept_session: int) -> list[int] | None:
        """Replaces the user's password and ends his web sessions except `kept_session`: returns the ids of those.

        None when `password` is not the present one, or has just been replaced by somebody else.
        """
        user = self._user(name)
        if user is None or user.password_hash is None:
            return None
        with self._hashing:
            if not self._matches(user.password_hash, password):
                return None
            hashed = self._hasher.hash(new)
        with self._database.writing() as session:
            row = session.get_one(UserRow, user.id)
            if row.password_hash != user.password_hash:
                return None
            row.password_hash = hashed
            others = delete(WebSessionRow).where(WebSessionRow.user_id == user.id, WebSessionRow.id != kept_session)
            return list(session.scalars(others.returning(WebSessionRow.id)))

    def password_stamp(self, name: str) -> str:
        """Something that changes with the user's password; empty for who has none.

        Whoever begins a session with a password that was right compares the stamps from before and after: a password
        that was changed meanwhile must not leave a session behind.
        """
        user = self._user(name)
        return user.password_hash or "" if user is not None else ""

    def verify(self, name: str, password: str) -> int | None:
        """The id of the user with that name and password, or None, which takes as long for an unknown name."""
        user = self._user(name)
        with self._hashing:
            if user is None or user.password_hash is None:
                self._matches(self._dummy_hash(), password)
                return None
            return user.id if self._matches(user.password_hash, password) else None

    def _user(self, name: str) -> UserRow | None:
        """The user of that name who has a password."""
        if not name.isprintable():
            return None  # no name of ours, and nothing that every database would take
        with self._database.reading() as session:
            return session.scalars(_with_password().where(UserRow.name == name)).one_or_none()

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    def _dummy_hash(self) -> str:
        if self._dummy is None:
            self._dummy = self._hasher.hash(secrets.token_bytes(32))
        return self._dummy


def _with_password() -> "Select[UserRow]":
    return select(UserRow).where(UserRow.password_hash.is_not(None))
