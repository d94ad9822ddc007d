"""Zerodha's login: the browser gives a request token, which buys an access token (specification section 2).

`Credentials.values` has `api_key`, `access_token` and, after a login of ours, `user_id`.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlencode

import httpx
import msgspec

from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_state import check_state, login_state
from tickmux.broker._login_values import needed
from tickmux.broker._rest_answers import read_answer
from tickmux.broker.zerodha.streaming.zerodha_adapter import ZerodhaAdapter, bare_token
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind, next_ist

_EXPIRY_HOUR = 6  # IST; the token may be valid longer, which is not documented


_STATE = "tickmux_state"


class _Session(msgspec.Struct):
    access_token: str = ""
    user_id: str | None = None


class _Answer(msgspec.Struct):
    """Kite's envelope: `data` on success, `error_type` and `message` otherwise."""

    status: str = ""
    data: _Session | None = None
    error_type: str | None = None
    message: str | None = None


class ZerodhaLogin(LoginFlow):
    """Browser login with a redirect to the URL that the app is registered with at developers.kite.trade."""

    kind = LoginKind.REDIRECT
    fields = (
        Field(name="api_key", label="API key", help="of your app on developers.kite.trade"),
        Field(name="api_secret", label="API secret", help="shown beside the API key", secret=True),
    )
    token_fields = (
        Field(name="access_token", label="Access token", help="or api_key:access_token", secret=True, remember=False),
        Field(name="api_key", label="API key", help="leave empty if it was part of the token", optional=True),
    )
    default_urls = ZerodhaAdapter.default_urls

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        # What stands in `redirect_params` comes back as parameters of the redirect.
        query = {
            "v": "3",
            "api_key": needed(values, "api_key"),
            "redirect_params": urlencode({_STATE: _state(values, redirect_uri)}),
        }
        return f"{self.urls['login']}?{urlencode(query, quote_via=quote)}"

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        api_key, secret = needed(values, "api_key"), needed(values, "api_secret")
        request_token = callback.get("request_token", "").strip()
        if not request_token or callback.get("status", "success") != "success":
            raise LoginFailed("Zerodha did not confirm the login in the browser: start the login again")
        check_state("Zerodha", callback, _STATE, _state(values, redirect_uri))
        form = {
            "api_key": api_key,
            "request_token": request_token,
            "checksum": hashlib.sha256(f"{api_key}{request_token}{secret}".encode()).hexdigest(),
        }
        url = f"{self.urls['api']}/session/token"
        response = await ask(http, "Zerodha", "POST", url, data=form, headers={"X-Kite-Version": "3"})
        session = _session(response)
        found = {"api_key": api_key, "access_token": session.access_token}
        if session.user_id:
            found["user_id"] = session.user_id
        return Credentials(found, next_ist(_EXPIRY_HOUR, 0, now))

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        pasted = needed(values, "access_token")
        token = bare_token(pasted)
        key, colon, _ = pasted.partition(":")
        api_key = (key if colon else values.get("api_key", "")).strip()
        if not api_key:
            raise LoginFailed("the API key is missing: give it, or paste the token as api_key:access_token")
        if not token or any(char.isspace() for char in token):
            raise LoginFailed("this is no access token: copy it again, without spaces, or log in with the browser")
        return Credentials({"api_key": api_key, "access_token": token}, next_ist(_EXPIRY_HOUR, 0, now))


def _state(values: Mapping[str, str], redirect_uri: str) -> str:
    return login_state(needed(values, "api_key"), needed(values, "api_secret"), redirect_uri)


def _session(response: httpx.Response) -> _Session:
    """The session in Kite's answer, or the LoginFailed that says what to do about its refusal."""
    answer = read_answer(response, _Answer)
    if response.is_success and answer.status == "success" and answer.data and answer.data.access_token:
        return answer.data
    raise LoginFailed(_advice(response.status_code, answer.error_type or "", (answer.message or "").lower()))


def _advice(status: int, error: str, message: str) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    if advice := trouble("Zerodha", status):
        return advice
    if "checksum" in message:
        return "Zerodha did not accept the API secret: check it at developers.kite.trade, then log in again"
    if "api_key" in message or "api key" in message:
        return "Zerodha does not know the API key: check it at developers.kite.trade, then log in again"
    if error == "TokenException" or status in (401, 403):
        return (
            "Zerodha refused the request token, which is good for one use within a few minutes: log in again; "
            "if that does not help, check API key and secret"
        )
    if status == 200:
        return "Zerodha's answer holds no access token: log in again"
    return f"Zerodha refused the login (HTTP {status}{', ' + error if error else ''}): check API key and secret"
