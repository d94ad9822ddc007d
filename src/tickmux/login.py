"""The login contract: how a broker's session is obtained, without a terminal, a browser or a database.

The command line and the web app show `fields`, open what `begin` returns, catch the redirect, and store the
`Credentials` that `exchange` gives. HTTP goes through the client that is passed in.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime, time, timedelta, timezone
from enum import StrEnum
from typing import ClassVar

import httpx
import msgspec

from tickmux.codec import Credentials

IST = timezone(timedelta(hours=5, minutes=30), "IST")


class LoginKind(StrEnum):
    """How a user logs in; the word of the table of brokers."""

    REDIRECT = "redirect"  # browser, then a redirect to a loopback address that we listen on
    TOTP = "totp"  # no browser: the fields contain a one-time password or its secret
    KEYS = "keys"  # no browser: API keys alone make a session


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to ask the user for.

    secret:   not echoed, stored encrypted.
    remember: stored for the next login (an API key); False for what changes every time (a one-time password).
    """

    name: str
    label: str
    help: str = ""
    secret: bool = False
    remember: bool = True
    optional: bool = False


class LoginFailed(Exception):
    """The broker refused the login; the message is for the user, says what to do and holds no secret."""


class LoginUnavailable(LoginFailed):
    """The broker could not be reached, or is busy: it has said nothing about the keys, and may be asked again."""


class AnswerWanted(Exception):
    """The broker wants one more answer before it gives a session, such as a code that it has just sent by SMS.

    The caller shows `message`, asks the user for `field`, and calls `exchange` again: the same arguments, but
    `values` also hold the answer under `field.name` and all of `kept`.

    message: what happened, for the user, without a secret ("a code was sent to ******1234").
    kept: what the flow needs to go on, such as a half-made session's token; never shown, never stored.
    """

    def __init__(self, message: str, field: Field, kept: Mapping[str, str]) -> None:
        super().__init__(message)
        self.field = field
        self.kept = kept


class LoginFlow(ABC):
    """One broker's login. `urls` overrides endpoints by name, as for the adapter."""

    kind: ClassVar[LoginKind]
    fields: ClassVar[tuple[Field, ...]]
    token_fields: ClassVar[tuple[Field, ...]]
    """What `tickmux broker token` asks for: the fields that make a session out of a token obtained elsewhere."""
    default_urls: ClassVar[Mapping[str, str]]

    def __init__(self, urls: Mapping[str, str] | None = None) -> None:
        self.urls = {**self.default_urls, **(urls or {})}

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        """The page that the user's browser has to open, or None where there is no browser step."""
        return None

    @abstractmethod
    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        """The session. `callback` is the query of the redirect (empty without one).

        Raises LoginFailed, or AnswerWanted where the broker asks something in the middle.
        """

    @abstractmethod
    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        """The session made of pasted `token_fields`; raises LoginFailed when they cannot be one."""


def next_ist(hour: int, minute: int, now: datetime) -> float:
    """The next time that clocks in India show hour:minute, strictly after `now` (aware), as epoch seconds."""
    local = now.astimezone(IST)
    at = datetime.combine(local.date(), time(hour, minute), IST)
    return (at if at > local else at + timedelta(days=1)).timestamp()
