"""FYERS' login: the browser gives an auth code, which buys an access token (specification section 2).

`Credentials.values` has `app_id`, `access_token` (bare) and `hsm_key`, the quote feed's own key out of the token.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlencode

import httpx
import msgspec

from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_state import is_same_login, login_state
from tickmux.broker._login_values import needed
from tickmux.broker._rest_answers import read_answer
from tickmux.broker.fyers.access_token import read_claims, split_token
from tickmux.broker.fyers.streaming.fyers_adapter import TOKEN_TROUBLE, FyersAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind, LoginUnavailable


class _Answer(msgspec.Struct):
    s: str = ""
    access_token: str = ""
    code: int = 0


class FyersLogin(LoginFlow):
    """Browser login with a redirect to the URL that the app is registered with at myapi.fyers.in."""

    kind = LoginKind.REDIRECT
    fields = (
        Field(name="app_id", label="App ID", help="like XC12345-100, of your app at myapi.fyers.in"),
        Field(name="secret", label="Secret ID", help="shown beside the App ID", secret=True),
    )
    token_fields = (
        Field(
            name="access_token",
            label="Access token",
            help="or app_id:access_token; good until the next morning",
            secret=True,
            remember=False,
        ),
        Field(name="app_id", label="App ID", help="leave empty if it was part of the token", optional=True),
    )
    default_urls = FyersAdapter.default_urls

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        app_id, secret = needed(values, "app_id", "App ID"), needed(values, "secret", "Secret ID")
        query = {
            "client_id": app_id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "state": login_state(app_id, secret, redirect_uri),
        }
        return f"{self.urls['api']}/api/v3/generate-authcode?{urlencode(query, quote_via=quote)}"

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        app_id, secret = needed(values, "app_id", "App ID"), needed(values, "secret", "Secret ID")
        code = callback.get("auth_code", "").strip()
        if callback.get("s", "ok") != "ok" or not code:
            raise LoginFailed("FYERS did not confirm the login in the browser: start the login again")
        if not is_same_login(callback.get("state", ""), login_state(app_id, secret, redirect_uri)):
            raise LoginFailed("the browser came back from another login than this one: start the login again")
        body = {
            "grant_type": "authorization_code",
            "appIdHash": hashlib.sha256(f"{app_id}:{secret}".encode()).hexdigest(),
            "code": code,
        }
        response = await ask(http, "FYERS", "POST", f"{self.urls['api']}/api/v3/validate-authcode", json=body)
        return _session(app_id, _token_of(response), now)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        app_id, token = split_token(needed(values, "access_token"), values.get("app_id", ""))
        if not app_id:
            raise LoginFailed("the App ID is missing: give it, or paste the token as app_id:access_token")
        return _session(app_id, token, now)


def _session(app_id: str, token: str, now: datetime) -> Credentials:
    try:
        claims = read_claims(token)
    except ValueError as error:
        raise LoginFailed(str(error)) from None
    if claims.exp <= now.timestamp():
        raise LoginFailed("this access token has expired: log in again")
    return Credentials({"app_id": app_id, "access_token": token, "hsm_key": claims.hsm_key}, claims.exp)


def _token_of(response: httpx.Response) -> str:
    """The access token in the answer, or the LoginFailed that says what to do about its refusal.

    The broker's own words stay out: they may repeat what was sent.
    """
    answer = read_answer(response, _Answer)
    status = response.status_code
    if response.is_success and answer.s == "ok" and answer.access_token:
        return split_token(answer.access_token)[1]
    if advice := trouble("FYERS", status):
        raise LoginUnavailable(advice)
    code = f", code {answer.code}" if answer.code else ""
    if answer.s == "error" or status in (400, 401, 403):
        hint = "log in again" if answer.code in TOKEN_TROUBLE else "check App ID and Secret ID, then log in again"
        raise LoginFailed(f"FYERS refused the auth code, which is good for one use (HTTP {status}{code}): {hint}")
    raise LoginFailed(f"FYERS' answer holds no access token (HTTP {status}): log in again")
