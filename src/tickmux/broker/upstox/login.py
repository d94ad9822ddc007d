"""Upstox's login: the browser gives a code, which buys an access token (specification section 2).

`Credentials.values` has `access_token`, after a login of ours `api_key` and `user_id`, and `plus` where the user
says that the account is a Plus one.
"""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlencode

import httpx

from tickmux.broker._jwt import stated_end
from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_state import check_state, login_state
from tickmux.broker._login_values import is_header_word, needed, without_bearer
from tickmux.broker._rest_answers import read_object
from tickmux.broker.upstox.errors import error_codes
from tickmux.broker.upstox.streaming.upstox_adapter import PLUS, YES
from tickmux.codec import Credentials
from tickmux.login import IST, Field, LoginFailed, LoginFlow, LoginKind, next_ist

_EXPIRY = (3, 30)
"""IST; every token of a login ends then, whenever it was made."""

_NO_TIME = 1e11
"""Epoch seconds of the year 5138: a token that names a later end means something else by it."""

_ADVICE = {
    "UDAPI100068": "Upstox does not know this API key with this redirect URL: compare both with those of the app",
    "UDAPI100069": "Upstox did not accept the API secret: copy API key and secret of the app again",
    "UDAPI100070": "the redirect URL is not the one that the app is registered with: make them the same",
    "UDAPI100057": "Upstox refused the login's code, which is good for one use only: log in again",
    "UDAPI100016": "Upstox did not accept API key and secret: copy them again from the app",
    "UDAPI100073": "the app is inactive: activate it at Upstox, then log in again",
}
_APPS = "https://account.upstox.com/developer/apps"
_PLUS = Field(
    name=PLUS,
    label="Plus account (yes or no)",
    help="yes offers 30 levels of depth, which Upstox gives to Plus accounts only; empty means no",
    optional=True,
)
_ANSWERS = {"": False, "no": False, "n": False, "false": False, "yes": True, "y": True, "true": True}


class UpstoxLogin(LoginFlow):
    """Browser login with a redirect to the URL that the app is registered with."""

    kind = LoginKind.REDIRECT
    fields = (
        Field(name="api_key", label="API key", help=f"of your app on {_APPS}"),
        Field(name="api_secret", label="API secret", help="shown beside the API key", secret=True),
        _PLUS,
    )
    token_fields = (
        Field(
            name="access_token",
            label="Access token",
            help="of a login, or better an Analytics token, which is good for a year",
            secret=True,
            remember=False,
        ),
        _PLUS,
    )
    default_urls = {
        "login": "https://api.upstox.com/v2/login/authorization/dialog",
        "token": "https://api.upstox.com/v2/login/authorization/token",
    }

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        query = {
            "response_type": "code",
            "client_id": needed(values, "api_key"),
            "redirect_uri": redirect_uri,
            "state": _state(values, redirect_uri),
        }
        return f"{self.urls['login']}?{urlencode(query, quote_via=quote, safe='')}"

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        api_key = needed(values, "api_key")
        plus = _plus(values)
        code = callback.get("code", "").strip()
        if not code:
            raise LoginFailed("Upstox did not confirm the login in the browser: start the login again")
        check_state("Upstox", callback, "state", _state(values, redirect_uri))
        form = {
            "code": code,
            "client_id": api_key,
            "client_secret": needed(values, "api_secret"),
            "redirect_uri": redirect_uri,
            "grant_type": "authorization_code",
        }
        headers = {"Accept": "application/json"}
        response = await ask(http, "Upstox", "POST", self.urls["token"], data=form, headers=headers)
        answer = read_object(response.content)
        token = answer.get("access_token")
        if not (response.is_success and isinstance(token, str) and is_header_word(token)):
            raise LoginFailed(_advice(response.status_code, error_codes(answer)))
        found = {"api_key": api_key, "access_token": token, **plus}
        user = answer.get("user_id")
        if isinstance(user, str) and user:
            found["user_id"] = user
        return Credentials(found, next_ist(*_EXPIRY, now))

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        token = without_bearer(needed(values, "access_token"))
        if not token:
            raise LoginFailed("the access token is missing")
        if not is_header_word(token):
            raise LoginFailed("this is no access token: copy it again, without spaces, or log in with the browser")
        expires_at = stated_end(token) or 0.0
        if not 0 < expires_at < _NO_TIME:
            expires_at = next_ist(*_EXPIRY, now)
        elif expires_at <= now.timestamp():
            ended = datetime.fromtimestamp(expires_at, IST)
            raise LoginFailed(f"this token ended on {ended:%d %b %Y at %H:%M} IST: log in again, or make a new one")
        return Credentials({"access_token": token, **_plus(values)}, expires_at)


def _state(values: Mapping[str, str], redirect_uri: str) -> str:
    return login_state(needed(values, "api_key"), needed(values, "api_secret"), redirect_uri)


def _plus(values: Mapping[str, str]) -> dict[str, str]:
    """What the session keeps of the user's answer about the account; nothing for a no."""
    answer = _ANSWERS.get(values.get(PLUS, "").strip().lower())
    if answer is None:
        raise LoginFailed("say yes or no to whether the account is a Plus one; empty means no")
    return {PLUS: YES} if answer else {}


def _advice(status: int, codes: set[str]) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    for code, advice in _ADVICE.items():
        if code in codes:
            return f"{advice} ({code})"
    if advice := trouble("Upstox", status):
        return advice
    if 200 <= status < 300:
        return "Upstox's answer holds no access token: log in again"
    named = f", {', '.join(sorted(codes))}" if codes else ""
    return (
        f"Upstox refused the login (HTTP {status}{named}): check API key, secret and redirect URL, then log in again"
    )
