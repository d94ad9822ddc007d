"""The market-data login of the XTS family: a key pair makes a session (specification section 2).

One key pair has one session: a login ends the one before it, also that of another program. So nothing here is called
by a reconnect; the token is kept and used until the broker refuses it. `Credentials.values` has `token`, `user_id`
and `prefix`, under which the session was made and has to be used.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

import httpx

from tickmux.broker._jwt import stated_end
from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_values import needed
from tickmux.broker._xts.adapter import XtsAdapter
from tickmux.broker._xts.rest import (
    LOGIN,
    Verdict,
    login_body,
    other_prefix,
    prefix_of,
    read_answer,
    shown,
    with_prefix,
)
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind, LoginUnavailable

_DAY = 86_400.0
_MOST_SECONDS = 1 << 40

_LABELS = {
    "app_key": "market-data app key",
    "secret_key": "market-data secret key",
    "token": "token",
    "user_id": "user ID",
}


class XtsLogin(LoginFlow):
    """No browser. A member names its adapter, which has all else."""

    adapter: ClassVar[type[XtsAdapter]]
    kind = LoginKind.KEYS
    fields = (
        Field(
            name="app_key", label="Market-data app key", help="`appKey` of the market-data app, not the trading one"
        ),
        Field(name="secret_key", label="Market-data secret key", help="`secretKey` of the same app", secret=True),
    )
    token_fields = (
        Field(name="token", label="Token", help="`token` of the login's answer", secret=True, remember=False),
        Field(name="user_id", label="User ID", help="`userID` of the same answer"),
    )

    def __init_subclass__(cls) -> None:
        cls.default_urls = cls.adapter.default_urls

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        app_key = needed(values, "app_key", _LABELS["app_key"])
        secret_key = needed(values, "secret_key", _LABELS["secret_key"])
        body = login_body(app_key, secret_key, self.adapter.login_source)
        api = self.urls["api"].rstrip("/")
        answer = await self._post(http, api, body)
        if answer.status_code == 404 and self.adapter.has_other_prefix and prefix_of(api):
            api = with_prefix(api, other_prefix(prefix_of(api)))
            answer = await self._post(http, api, body)
        result = self._result(answer, (app_key, secret_key))
        token, user_id = result.get("token"), result.get("userID")
        if not isinstance(token, str) or not isinstance(user_id, str) or not token or not user_id:
            raise LoginFailed(f"{self.adapter.display_name}'s answer holds no session: log in again")
        return Credentials({"token": token, "user_id": user_id, "prefix": prefix_of(api)}, _expiry(token, now))

    async def _post(self, http: httpx.AsyncClient, api: str, body: Mapping[str, str]) -> httpx.Response:
        return await ask(http, self.adapter.display_name, "POST", f"{api}{LOGIN}", json=body)

    def _result(self, response: httpx.Response, secrets: tuple[str, ...]) -> Mapping[str, object]:
        """The answer's `result`, or the LoginFailed that says what to do about a refusal."""
        name, status = self.adapter.display_name, response.status_code
        if status == 404:
            raise LoginFailed(
                f"{name} has no market-data login at {response.url.host} (HTTP 404): the broker may have moved; "
                f"set {self.adapter.name}.api in BROKER_URLS to the address that it names"
            )
        if advice := trouble(name, status):
            raise LoginUnavailable(advice)
        answer = read_answer(status, response.content)
        if answer.verdict is Verdict.ACCEPTED:
            return answer.result
        words = shown(answer.words, *secrets)
        raise LoginFailed(
            f"{name} refused the login: {words}. Check the keys: they have to be those of the market-data app, "
            "and the broker may have bound them to one IP address"
        )

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        token, user_id = needed(values, "token", _LABELS["token"]), needed(values, "user_id", _LABELS["user_id"])
        if any(char.isspace() for char in token + user_id) or not (token + user_id).isascii():
            raise LoginFailed("this is no token and user ID: copy them again, each without spaces and line breaks")
        found = {"token": token, "user_id": user_id, "prefix": prefix_of(self.urls["api"])}
        return Credentials(found, _expiry(token, now))


def _expiry(token: str, now: datetime) -> float:
    """When the token ends by its own word, else a day from now."""
    expires = stated_end(token) or 0.0
    return expires if now.timestamp() < expires < _MOST_SECONDS else now.timestamp() + _DAY
