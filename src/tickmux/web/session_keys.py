"""Short-lived API keys of web sessions: signed, so that nothing is stored and every process can verify them.

A key is `tmw_<session>_<expiry>_<signature>`. Expiries lie on a grid of half a life, so that the same key is
given again until less than that is left of it. It ends with the session.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Collection
from typing import NamedTuple

from tickmux.database.api_keys import KeyOwner
from tickmux.database.web_sessions import WebSessions

_HALF_LIFE = 1800
_ID = "web session "
_SHAPE = re.compile(r"tmw_([0-9]{1,18})_([0-9]{1,12})_([0-9a-f]{64})")


class SessionKey(NamedTuple):
    """A key and when it ends, in epoch seconds."""

    key: str
    expires_at: int


class SessionKeys:
    """The keys of one database's web sessions; `clock` gives epoch seconds."""

    def __init__(self, sessions: WebSessions, pepper: str, clock: Callable[[], float] = time.time) -> None:
        self._sessions = sessions
        self._secret = hmac.digest(pepper.encode(), b"tickmux session key", hashlib.sha256)
        self._clock = clock

    def issue(self, session_id: int) -> SessionKey:
        """The session's present key."""
        expires_at = (int(self._clock()) // _HALF_LIFE + 2) * _HALF_LIFE
        signature = self._sign(session_id, expires_at)
        return SessionKey(f"tmw_{session_id}_{expires_at}_{signature}", expires_at)

    def owner(self, key: str) -> KeyOwner | None:
        """Whose key it is; None when it is none of these, has ended, or its session has."""
        found = _SHAPE.fullmatch(key)
        if found is None:
            return None
        session_id, expires_at = int(found[1]), int(found[2])
        if not hmac.compare_digest(self._sign(session_id, expires_at), found[3]) or expires_at <= self._clock():
            return None
        owner = self._sessions.owner(session_id)
        return KeyOwner(owner[1], key_id(session_id)) if owner is not None else None

    def ended(self, key_ids: Collection[str]) -> set[str]:
        """Those of the keys of these names whose web session has ended."""
        numbers = {int(one.removeprefix(_ID)) for one in key_ids}
        return {key_id(number) for number in self._sessions.ended(numbers)}

    def _sign(self, session_id: int, expires_at: int) -> str:
        return hmac.digest(self._secret, f"{session_id} {expires_at}".encode(), hashlib.sha256).hex()


def key_id(session_id: int) -> str:
    """The name under which all keys of a session go."""
    return f"{_ID}{session_id}"
