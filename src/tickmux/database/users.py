"""Users who may log in to the web app: names and passwords; only Argon2id hashes of passwords are stored.

A user without a password (the command line makes such) owns API keys and broker sessions, and cannot log in.
Bounded: `_HASHERS` verifications at a time, since each takes `_MEMORY_KIB`.
"""

import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Select, select

from tickmux.database.api_keys import find_or_make_user
from tickmux.database.engine import Database
from tickmux.database.models import UserRow

_MEMORY_KIB = 64 * 1024
_HASHERS = 2


class AlreadySetUp(Exception):
    """There is a user with a password already."""


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

    def verify(self, name: str, password: str) -> int | None:
        """The id of the user with that name and password, or None, which takes as long for an unknown name."""
        with self._database.reading() as session:
            user = session.scalars(_with_password().where(UserRow.name == name)).one_or_none()
        with self._hashing:
            if user is None or user.password_hash is None:
                self._matches(self._dummy_hash(), password)
                return None
            return user.id if self._matches(user.password_hash, password) else None

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
