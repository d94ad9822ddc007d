"""The sandbox's login: which profile is wanted, and for the live one a login with Dhan (section 2).

`Credentials.values` has `profile` (`simulator` or `live`), in the simulator `market_hours` (`yes` or absent) and,
if one was given, the sandbox's `access_token`, which its feed never looks at; for the live profile what Dhan's
login gives.
"""

from collections.abc import Mapping
from datetime import datetime

import httpx
import msgspec

from tickmux.broker.dhan.login import DhanLogin
from tickmux.broker.dhan.streaming.dhan_adapter import client_number
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed

_LEAST_TOKEN = 50
_YES = frozenset({"yes", "y", "true", "on", "1"})

_PROFILE = (
    Field(
        name="profile",
        label="Profile",
        help="simulator: made-up prices (the default); live: Dhan's production feed",
        optional=True,
    ),
    Field(
        name="market_hours",
        label="Only in market hours",
        help="yes confines the simulator to 09:15-15:30 IST, Monday to Friday",
        optional=True,
    ),
)


def _optional(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    return tuple(msgspec.structs.replace(field, optional=True) for field in fields)


class DhanSandboxLogin(DhanLogin):
    """The simulator needs nothing; the live profile asks for what Dhan asks."""

    fields = (*_PROFILE, *_optional(DhanLogin.fields))
    token_fields = (*_PROFILE, *_optional(DhanLogin.token_fields))

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        return await super().begin(values, redirect_uri, http) if _is_live(values) else None

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        if not _is_live(values):
            return _simulated(values)
        return _live(await super().exchange(values, callback, redirect_uri, http, now))

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        return _live(super().from_token(values, now)) if _is_live(values) else _simulated(values)


def _is_live(values: Mapping[str, str]) -> bool:
    profile = values.get("profile", "").strip().lower() or "simulator"
    if profile not in ("simulator", "live"):
        raise LoginFailed("the profile is either simulator or live")
    return profile == "live"


def _live(credentials: Credentials) -> Credentials:
    return Credentials({**credentials.values, "profile": "live"}, credentials.expires_at)


def _simulated(values: Mapping[str, str]) -> Credentials:
    """A session that never expires: how long a sandbox token is valid is unknown, and the feed needs none."""
    found = {"profile": "simulator"}
    if values.get("market_hours", "").strip().lower() in _YES:
        found["market_hours"] = "yes"
    if token := values.get("access_token", "").strip():
        if len(token) < _LEAST_TOKEN:
            raise LoginFailed(
                f"a sandbox token has at least {_LEAST_TOKEN} characters: copy it again, or leave it empty"
            )
        found["access_token"] = token
    if client_id := client_number(values.get("client_id", "")):
        found["client_id"] = client_id
    return Credentials(found)
