"""The API keys that clients have authenticated with: verified at first, and watched as long as they are in use.

A key may be revoked by another process, which cannot reach our clients. So the database is asked once in `_POLL`
seconds which of the keys in use have ended, and their clients are disconnected: one query for all of them. While the
database cannot be asked everybody stays.

Owns one task, and one thread of its own: the loop's threads may all be waiting for something slow.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from tickmux import owned_task
from tickmux.database.api_keys import KeyOwner
from tickmux.database.trouble import DatabaseFailed
from tickmux.errors import CloseCode
from tickmux.websocket_proxy.client_requests import key_digest

_POLL = 1.0
_REMEMBERED = 10_000
"""Verified keys that are remembered at most, those of connected clients apart."""


class Keys(Protocol):
    """A kind of API keys."""

    def owner(self, key: str) -> KeyOwner | None:
        """Whose key it is; None for one that is not valid, or of another kind. May block."""

    def ended(self, key_ids: Collection[str]) -> set[str]:
        """Which of these keys of this kind are no longer valid. May block."""


class Client(Protocol):
    """A connection, and the digests of the keys that it has authenticated with, or is about to."""

    @property
    def key_digests(self) -> Collection[bytes]: ...

    def close(self, code: int, reason: str) -> None: ...


class ClientKeys:
    """Verifies and watches. `kinds` are asked in their order; `clients` gives those that are connected."""

    def __init__(self, kinds: Sequence[Keys], clients: Callable[[], Iterable[Client]]) -> None:
        self._kinds = kinds
        self._clients = clients
        self._verified: dict[bytes, tuple[Keys, str]] = {}
        """Digest -> the kind of a key and its id."""
        self._thread = ThreadPoolExecutor(1, "key watch")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = owned_task.keep_running(self._watch, "watch over the keys in use")

    async def stop(self) -> None:
        await owned_task.end(self._task)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def verify(self, api_key: str) -> str | None:
        """The name of the user whose key it is, or None. Raises DatabaseFailed."""
        found = await asyncio.to_thread(self._find, api_key)
        if found is None:
            return None
        keys, owner = found
        if len(self._verified) > _REMEMBERED:
            in_use = {digest for client in self._clients() for digest in client.key_digests}
            self._verified = {digest: key for digest, key in self._verified.items() if digest in in_use}
        # Whoever revokes the key from here on finds it, or the next look at the database does.
        self._verified[key_digest(api_key)] = keys, owner.key_id
        return owner.user

    def disconnect(self, key_id: str) -> None:
        """Disconnects the clients of a key that is no longer valid, those that are about to use it, too."""
        for client in tuple(self._clients()):
            if any(self._verified.get(digest, (None, ""))[1] == key_id for digest in client.key_digests):
                client.close(CloseCode.NOT_AUTHENTICATED, "the API key is no longer valid")

    def _find(self, api_key: str) -> tuple[Keys, KeyOwner] | None:
        for keys in self._kinds:
            if (owner := keys.owner(api_key)) is not None:
                return keys, owner
        return None

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_POLL)
            digests = {digest for client in self._clients() for digest in client.key_digests}
            in_use = {self._verified[digest] for digest in digests if digest in self._verified}
            if not in_use:
                continue
            try:
                ended = await loop.run_in_executor(self._thread, _ended, in_use)
            except DatabaseFailed:
                continue  # it has been logged; nobody loses his prices over it
            for key_id in ended:
                self.disconnect(key_id)


def _ended(in_use: set[tuple[Keys, str]]) -> set[str]:
    by_kind: dict[Keys, set[str]] = {}
    for keys, key_id in in_use:
        by_kind.setdefault(keys, set()).add(key_id)
    return {key_id for keys, key_ids in by_kind.items() for key_id in keys.ended(key_ids)}
