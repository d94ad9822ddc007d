"""Paytm Money's login: the browser gives a request token, which buys the tokens (specification section 2).

`Credentials.values` has `public_access_token`, the one of the three tokens that the feed takes.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import msgspec

from tickmux.broker._jwt import stated_end
from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_state import check_state, login_state
from tickmux.broker._login_values import header_word, needed
from tickmux.broker._rest_answers import read_answer
from tickmux.broker.paytm.streaming.paytm_adapter import PaytmAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind, next_ist

_PATH = "/accounts/v2/gettoken"
_EXPIRY_HOUR = 3  # IST; more than the trading day is not documented
_LONGEST_LIFE = timedelta(days=366)


class _Answer(msgspec.Struct):
    """The tokens, or what is wrong: `errors[].message`, or `message`."""

    public_access_token: Any = None
    message: Any = None
    errors: Any = None


class PaytmLogin(LoginFlow):
    """Browser login with a redirect to the URL that the app is registered with at developer.paytmmoney.com."""

    kind = LoginKind.REDIRECT
    fields = (
        Field(name="api_key", label="API key", help="of your app on developer.paytmmoney.com"),
        Field(name="api_secret", label="API secret", help="shown beside the API key", secret=True),
    )
    token_fields = (
        Field(
            name="public_access_token",
            label="Public access token",
            help="`public_access_token` of the login answer, not `access_token`",
            secret=True,
            remember=False,
        ),
    )
    default_urls = PaytmAdapter.default_urls

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        query = urlencode(
            {"apiKey": needed(values, "api_key"), "state": _state(values, redirect_uri)}, quote_via=quote, safe=""
        )
        return f"{self.urls['login']}?{query}"

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        api_key, secret = needed(values, "api_key"), needed(values, "api_secret")
        request_token = (callback.get("requestToken") or callback.get("request_token") or "").strip()
        if not request_token:
            raise LoginFailed("Paytm Money did not confirm the login in the browser: start the login again")
        check_state("Paytm Money", callback, "state", _state(values, redirect_uri))
        body = {"api_key": api_key, "api_secret_key": secret, "request_token": request_token}
        response = await ask(http, "Paytm Money", "POST", f"{self.urls['api']}{_PATH}", json=body)
        return self.from_token({"public_access_token": _public_token(response)}, now)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        token = header_word(values, "public_access_token", "public access token")
        expires = stated_end(token) or 0.0
        if 0 < expires <= now.timestamp():
            raise LoginFailed("this public access token has expired: log in again")
        if not 0 < expires <= (now + _LONGEST_LIFE).timestamp():
            expires = next_ist(_EXPIRY_HOUR, 0, now)
        return Credentials({"public_access_token": token}, expires)


def _state(values: Mapping[str, str], redirect_uri: str) -> str:
    return login_state(needed(values, "api_key"), needed(values, "api_secret"), redirect_uri)


def _public_token(response: httpx.Response) -> str:
    """The feed's token in the answer, or the LoginFailed that says what to do about a refusal."""
    answer = read_answer(response, _Answer)
    token = answer.public_access_token
    if response.is_success and isinstance(token, str) and token.strip():
        return token
    said = f"{answer.message} {answer.errors}".lower()
    raise LoginFailed(_advice(response.status_code, said))


def _advice(status: int, said: str) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    if advice := trouble("Paytm Money", status):
        return advice
    if 200 <= status < 300:
        return "Paytm Money's answer holds no public access token, which the feed needs: log in again"
    if "secret" in said:
        return f"Paytm Money did not accept the API secret (HTTP {status}): check it, then log in again"
    if "api_key" in said or "api key" in said or "apikey" in said:
        return f"Paytm Money does not know the API key (HTTP {status}): check it, then log in again"
    if status in (400, 401, 403):
        return (
            f"Paytm Money refused the request token (HTTP {status}), which is good for one use within a few minutes: "
            "log in again; if that does not help, check API key and secret"
        )
    return f"Paytm Money refused the login (HTTP {status}): check API key and secret, then log in again"
