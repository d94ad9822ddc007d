"""Pocketful's login: OAuth in the browser, the code buys the access token (specification section 2, flow A).

`Credentials.values` has `client_id` (the account) and `access_token`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from tickmux.broker._login_http import ask
from tickmux.broker._login_state import is_same_login, login_state
from tickmux.broker._login_values import needed
from tickmux.broker.pocketful.streaming.pocketful_adapter import PocketfulAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind, next_ist

_EXPIRY_HOUR = 3  # IST; section 2 is not sure of it
_SCOPE = "orders holdings"


class _Token(msgspec.Struct):
    access_token: str


class _Account(msgspec.Struct):
    client_id: str


class _Info(msgspec.Struct):
    data: _Account
    status: str = ""


T = TypeVar("T")


class PocketfulLogin(LoginFlow):
    """Browser login with a redirect to the URL that the app is registered with."""

    kind = LoginKind.REDIRECT
    fields = (
        Field(name="app_key", label="App key", help="client_id of your app on trade.pocketful.in"),
        Field(name="app_secret", label="App secret", help="shown beside the app key", secret=True),
    )
    token_fields = (
        Field(name="access_token", label="Access token", secret=True, remember=False),
        Field(name="client_id", label="Client ID", help="your account at Pocketful"),
    )
    default_urls = PocketfulAdapter.default_urls

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        query = {
            "client_id": needed(values, "app_key"),
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": _SCOPE,
            "state": _state(values, redirect_uri),
        }
        return f"{self.urls['api']}/oauth2/auth?{urlencode(query, quote_via=quote)}"

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        code = callback.get("code", "").strip()
        if not code:
            raise LoginFailed("Pocketful did not confirm the login in the browser: start the login again")
        if not is_same_login(callback.get("state", ""), _state(values, redirect_uri)):
            raise LoginFailed("the answer in the browser belongs to another login: start the login again")
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        key, secret = needed(values, "app_key"), needed(values, "app_secret")
        token = await self._asked(http, "POST", "/oauth2/token", _Token, data=form, auth=(key, secret))
        headers = {"Authorization": f"Bearer {token.access_token}"}
        info = await self._asked(http, "GET", "/api/v1/user/trading_info", _Info, headers=headers)
        found = {"client_id": info.data.client_id, "access_token": token.access_token}
        return Credentials(found, next_ist(_EXPIRY_HOUR, 0, now))

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        token, client_id = needed(values, "access_token"), needed(values, "client_id")
        if any(char.isspace() for char in token + client_id):
            raise LoginFailed("token and client ID have no spaces inside: copy them again")
        return Credentials({"client_id": client_id, "access_token": token}, next_ist(_EXPIRY_HOUR, 0, now))

    async def _asked(
        self,
        http: httpx.AsyncClient,
        method: str,
        path: str,
        answer: type[T],
        **request: Any,
    ) -> T:
        """Pocketful's answer; its own words stay out of errors, since they may repeat what was sent."""
        response = await ask(http, "Pocketful", method, f"{self.urls['api']}{path}", **request)
        if response.status_code == 429:
            raise LoginFailed(
                "Pocketful refuses logins for now (too many requests): wait a minute, then log in again"
            )
        if response.status_code >= 500:
            raise LoginFailed(f"Pocketful has a problem of its own (HTTP {response.status_code}): try again later")
        if not response.is_success:
            raise LoginFailed(
                f"Pocketful refused the login (HTTP {response.status_code}): check app key, app secret and the "
                "redirect URL of your app, then log in again; a code is good for one use"
            )
        try:
            return msgspec.json.decode(response.content, type=answer)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            raise LoginFailed("Pocketful's answer is not the documented one: log in again") from None


def _state(values: Mapping[str, str], redirect_uri: str) -> str:
    return login_state(needed(values, "app_key"), needed(values, "app_secret"), redirect_uri)
