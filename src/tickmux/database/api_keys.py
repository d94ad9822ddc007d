"""API keys: made here (`tmx_<key id>_<secret>`) or imported in any other shape; only hashes are stored.

A key's hash is Argon2id of its HMAC with the pepper. A key of ours is found by the key id in it, an imported one
by a fingerprint (a second HMAC, under another key), so one authentication costs one Argon2 run, an unknown key
one at most. Bounds: `_HASHERS` runs at a time, since each takes `_MEMORY_KIB`; `_CACHE_SIZE` verified keys are
remembered for `_CACHE_SECONDS`, by their HMAC, and each use asks the database whether the key was revoked.
No authentication waits for a write: the time of the last use is written down seconds later.
"""

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import NamedTuple

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from tickmux.database.engine import IDS_A_QUERY, Database
from tickmux.database.models import ApiKeyRow, UserRow

MAX_KEY_LENGTH = 512

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY_ID_LENGTH = 12
_SECRET_LENGTH = 43  # 256 bits
_OUR_SHAPE = re.compile(rf"tmx_([0-9A-Za-z]{{{_KEY_ID_LENGTH}}})_[0-9A-Za-z]{{32,}}")

_MEMORY_KIB = 19 * 1024
_HASHERS = 2
_CACHE_SIZE = 1000
_CACHE_SECONDS = 60.0


class User(msgspec.Struct, frozen=True):
    """Who an API key belongs to."""

    id: int
    name: str


class ApiKey(msgspec.Struct, frozen=True):
    """What may be shown of an API key; times are epoch seconds."""

    key_id: str
    user: str
    name: str
    created: float
    last_used: float | None
    revoked: float | None


class ApiKeyExists(ValueError):
    """The key that is to be imported is there already."""


class NameTaken(ValueError):
    """Another key of the user that is in use has this name."""


class KeyOwner(NamedTuple):
    """Whose key it is, and the key id under which it is listed."""

    user: str
    key_id: str


class _Verified(NamedTuple):
    row_id: int
    key_id: str
    user: User
    until: float


class ApiKeys:
    """The API keys of one database. Thread-safe; `clock` is monotonic, in seconds."""

    def __init__(self, database: Database, pepper: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._hash_key = _derived(pepper, b"tickmux api key")
        self._fingerprint_key = _derived(pepper, b"tickmux api key fingerprint")
        self._clock = clock
        self._hasher = PasswordHasher(time_cost=2, memory_cost=_MEMORY_KIB, parallelism=1)
        self._hashing = threading.BoundedSemaphore(_HASHERS)
        self._cache: OrderedDict[bytes, _Verified] = OrderedDict()
        self._cache_lock = threading.Lock()  # held for dictionary work only
        self._dummy: str | None = None

    def create(self, user: str, name: str = "", *, only_name: bool = False) -> str:
        """A new key for `user`, who is made when unknown. The key itself is stored nowhere.

        With `only_name` no other key of the user that is in use may have this name: raises NameTaken.
        """
        key_id = _random(_KEY_ID_LENGTH)
        key = f"tmx_{key_id}_{_random(_SECRET_LENGTH)}"
        self._store(user, name, key, key_id, fingerprint=None, only_name=only_name)
        return key

    def import_key(self, key: str, user: str, name: str = "") -> str:
        """Takes over a key that another system made; returns the key id under which it is listed.

        Raises ValueError for what cannot be a key, ApiKeyExists when it is there already.
        """
        if not key.isprintable() or not 8 <= len(key) <= MAX_KEY_LENGTH or key != key.strip():
            raise ValueError(f"an API key has 8 to {MAX_KEY_LENGTH} printable characters, without spaces around it")
        ours = _OUR_SHAPE.fullmatch(key)
        key_id = ours[1] if ours else _random(_KEY_ID_LENGTH)
        try:
            self._store(user, name, key, key_id, fingerprint=None if ours else self._fingerprint(key))
        except IntegrityError:
            raise ApiKeyExists("this API key is there already") from None
        return key_id

    def verify(self, key: str) -> User | None:
        """Whose key it is, or None. Blocks for the length of one Argon2 run unless the key was used lately."""
        found = self._verify(key)
        return found.user if found is not None else None

    def owner(self, key: str) -> KeyOwner | None:
        """As `verify`, with the key's own name in lists."""
        found = self._verify(key)
        return KeyOwner(found.user.name, found.key_id) if found is not None else None

    def _verify(self, key: str) -> _Verified | None:
        if not 0 < len(key) <= MAX_KEY_LENGTH:
            return None
        digest = _digest(self._hash_key, key)
        if (found := self._remembered(digest)) is not None:
            return found
        with self._hashing:
            # Many clients may wait here with the same key after a restart; one run serves them all.
            if (found := self._remembered(digest)) is not None:
                return found
            return self._verify_hash(key, digest)

    def list(self, user: str | None = None) -> list[ApiKey]:
        """All keys, or one user's, oldest first, revoked ones included; `last_used` lags behind by seconds."""
        query = select(ApiKeyRow, UserRow.name).join(UserRow).order_by(ApiKeyRow.created, ApiKeyRow.id)
        if user is not None:
            query = query.where(UserRow.name == user)
        with self._database.reading() as session:
            return [
                ApiKey(row.key_id, owner, row.name, row.created, row.last_used, row.revoked)
                for row, owner in session.execute(query)
            ]

    def revoke(self, key_id: str) -> bool:
        """Ends a key for good; False when there is none (left) to end.

        Every process refuses it from now on; clients that have authenticated with it are disconnected by their
        own server, which asks `ended` again and again.
        """
        query = update(ApiKeyRow).where(ApiKeyRow.key_id == key_id, ApiKeyRow.revoked.is_(None))
        with self._database.writing() as session:
            changed = session.execute(query.values(revoked=time.time()).returning(ApiKeyRow.id)).first()
        return changed is not None

    def ended(self, key_ids: Collection[str]) -> set[str]:
        """Those of `key_ids` that are no key in use (any more)."""
        found: set[str] = set()
        waiting = sorted(key_ids)
        with self._database.reading() as session:
            for start in range(0, len(waiting), IDS_A_QUERY):
                part = waiting[start : start + IDS_A_QUERY]
                query = select(ApiKeyRow.key_id).where(ApiKeyRow.key_id.in_(part), ApiKeyRow.revoked.is_(None))
                found.update(session.scalars(query))
        return set(waiting) - found

    def rename(self, key_id: str, name: str) -> bool:
        """Gives a key another name, which no other key of its user that is in use may have; False when there is no
        such key. Raises NameTaken."""
        with self._database.writing() as session:
            row = session.scalars(select(ApiKeyRow).where(ApiKeyRow.key_id == key_id)).one_or_none()
            if row is None:
                return False
            if row.name != name:
                _check_free(session, row.user_id, name)
                row.name = name
            return True

    # -- storing -------------------------------------------------------------------------------------------

    def _store(
        self, user: str, name: str, key: str, key_id: str, fingerprint: str | None, *, only_name: bool = False
    ) -> None:
        key_hash = self._hasher.hash(_digest(self._hash_key, key))  # before the lock: it takes long
        with self._database.writing() as session:
            owner = find_or_make_user(session, user)
            if only_name:
                _check_free(session, owner.id, name)
            row = ApiKeyRow(
                key_id=key_id,
                fingerprint=fingerprint,
                key_hash=key_hash,
                user_id=owner.id,
                name=name,
                created=time.time(),
            )
            session.add(row)

    # -- verifying -----------------------------------------------------------------------------------------

    def _verify_hash(self, key: str, digest: bytes) -> _Verified | None:
        known = self._find(key)
        if known is None:
            self._matches(self._dummy_hash(), digest)  # an unknown key takes as long as a wrong one
            return None
        row, owner = known
        if not self._matches(row.key_hash, digest):
            return None
        found = _Verified(row.id, row.key_id, User(owner.id, owner.name), self._clock() + _CACHE_SECONDS)
        with self._cache_lock:
            self._cache[digest] = found
            self._cache.move_to_end(digest)
            if len(self._cache) > _CACHE_SIZE:
                self._cache.popitem(last=False)
        self._note_use(row.id)
        return found

    def _find(self, key: str) -> tuple[ApiKeyRow, UserRow] | None:
        ours = _OUR_SHAPE.fullmatch(key)
        same = ApiKeyRow.key_id == ours[1] if ours else ApiKeyRow.fingerprint == self._fingerprint(key)
        query = select(ApiKeyRow, UserRow).join(UserRow).where(same, ApiKeyRow.revoked.is_(None))
        with self._database.reading() as session:
            found = session.execute(query).one_or_none()
        return (found[0], found[1]) if found else None

    def _remembered(self, digest: bytes) -> _Verified | None:
        with self._cache_lock:
            entry = self._cache.get(digest)
            if entry is None:
                return None
            if entry.until <= self._clock():
                del self._cache[digest]
                return None
            self._cache.move_to_end(digest)
        query = select(ApiKeyRow.id).where(ApiKeyRow.id == entry.row_id, ApiKeyRow.revoked.is_(None))
        with self._database.reading() as session:
            valid = session.execute(query).first() is not None
        if not valid:
            with self._cache_lock:
                self._cache.pop(digest, None)
        return entry if valid else None

    def _matches(self, key_hash: str, digest: bytes) -> bool:
        try:
            return self._hasher.verify(key_hash, digest)
        except (VerificationError, InvalidHashError):
            return False

    def _dummy_hash(self) -> str:
        if self._dummy is None:
            self._dummy = self._hasher.hash(secrets.token_bytes(32))
        return self._dummy

    def _note_use(self, row_id: int) -> None:
        """Written down later: to hold the write lock is somebody else's right just now, perhaps for seconds."""
        statement = update(ApiKeyRow).where(ApiKeyRow.id == row_id).values(last_used=time.time())
        self._database.late_writes.add((ApiKeyRow, row_id), statement)

    def _fingerprint(self, key: str) -> str:
        return _digest(self._fingerprint_key, key).hex()


def _check_free(session: Session, user_id: int, name: str) -> None:
    """Call it within `Database.writing`, so that nobody takes the name before it is given."""
    same = ApiKeyRow.user_id == user_id, ApiKeyRow.name == name, ApiKeyRow.revoked.is_(None)
    if session.scalars(select(ApiKeyRow.id).where(*same).limit(1)).first() is not None:
        raise NameTaken("another key has this name: choose another, or revoke that key")


def find_or_make_user(session: Session, name: str) -> UserRow:
    """The user called `name`; call it within `Database.writing`, so that two processes make only one."""
    user = session.scalars(select(UserRow).where(UserRow.name == name)).one_or_none()
    if user is None:
        user = UserRow(name=name, created=time.time())
        session.add(user)
        session.flush()
    return user


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _derived(pepper: str, purpose: bytes) -> bytes:
    return hmac.digest(pepper.encode(), purpose, hashlib.sha256)


def _digest(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(errors="surrogatepass"), hashlib.sha256)
