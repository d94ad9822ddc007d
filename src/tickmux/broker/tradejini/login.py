"""Tradejini's login: PIN and one-time password, or the browser, or a pasted token (specification section 2).

`Credentials.values` has `api_key` and `access_token`; the feed's token is both with a colon between them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_state import is_same_login, login_state
from tickmux.broker._login_values import TOTP_CODE, TOTP_SECRET, header_word, one_time_code
from tickmux.broker._rest_answers import read_answer
from tickmux.broker.tradejini.streaming.tradejini_adapter import TradejiniAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind

_TOKEN_LIFE = timedelta(hours=24)
_OAUTH = "/api-gw/oauth"


class _Answer(msgspec.Struct):
    """What the token endpoints answer; an error has `s` "error" and `msg`."""

    s: Any = None
    access_token: Any = None
    expires_in: Any = None


class TradejiniLogin(LoginFlow):
    """An individual app's PIN needs no browser; a public app's secret leads to one."""

    kind = LoginKind.REDIRECT
    fields: ClassVar[tuple[Field, ...]] = (
        Field(name="api_key", label="API key", help="of your app on api.tradejini.com"),
        Field(name="pin", label="PIN", help="of your login, for an individual app", secret=True, optional=True),
        TOTP_SECRET,
        TOTP_CODE,
        Field(
            name="otp",
            label="OTP",
            help="6 digits that Tradejini has sent you, if you do not use TOTP",
            secret=True,
            remember=False,
            optional=True,
        ),
        Field(
            name="api_secret",
            label="API secret",
            help="of a public app, to log in with the browser; leave the PIN empty then",
            secret=True,
            optional=True,
        ),
    )
    token_fields: ClassVar[tuple[Field, ...]] = (
        Field(name="access_token", label="Access token", help="or api_key:access_token", secret=True, remember=False),
        Field(name="api_key", label="API key", help="leave empty if it was part of the token", optional=True),
    )
    default_urls = TradejiniAdapter.default_urls

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        api_key = header_word(values, "api_key", "API key")
        if _given(values, "pin"):
            return None
        secret = _secret(values)
        query = {
            "client_id": api_key,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": "general",
            "state": login_state(api_key, secret, redirect_uri),
        }
        return f"{self.urls['api']}{_OAUTH}/authorize?{urlencode(query, quote_via=quote, safe='')}"

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        api_key = header_word(values, "api_key", "API key")
        if pin := _given(values, "pin"):
            code, kind = _second_factor(values, now)
            form = {"password": pin, "twoFa": code, "twoFaTyp": kind}
            answer = await self._ask(http, "individual-token-v2", form, {"Authorization": f"Bearer {api_key}"})
        else:
            secret = _secret(values)
            code = callback.get("code", "").strip()
            state = login_state(api_key, secret, redirect_uri)
            if not code or not is_same_login(callback.get("state", ""), state):
                raise LoginFailed("Tradejini did not confirm the login in the browser: start the login again")
            form = {
                "code": code,
                "client_id": api_key,
                "client_secret": secret,
                "redirect_uri": redirect_uri,
                "grant_type": "authorization_code",
            }
            answer = await self._ask(http, "token", form, {})
        token = answer.access_token
        if not isinstance(token, str) or not token.strip():
            raise LoginFailed("Tradejini's answer holds no access token: log in again")
        session = self.from_token({"api_key": api_key, "access_token": token}, now)
        return Credentials(session.values, _expiry(answer.expires_in, now))

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        key, colon, token = _given(values, "access_token").partition(":")
        if not colon:
            key, token = _given(values, "api_key"), key
        if not key.strip():
            raise LoginFailed("the API key is missing: give it, or paste the token as api_key:access_token")
        found = {"api_key": key.strip(), "access_token": token.strip()}
        if not all(
            value and value.isascii() and value.isprintable() and " " not in value for value in found.values()
        ):
            raise LoginFailed("this is no access token: copy it again, without spaces and line breaks")
        return Credentials(found, (now + _TOKEN_LIFE).timestamp())

    async def _ask(
        self, http: httpx.AsyncClient, path: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> _Answer:
        """The answer of a token endpoint; raises LoginFailed for a refusal."""
        url = f"{self.urls['api']}{_OAUTH}/{path}"
        response = await ask(http, "Tradejini", "POST", url, data=dict(form), headers=dict(headers))
        answer = read_answer(response, _Answer)
        if not response.is_success or answer.s == "error":
            raise LoginFailed(_advice(response.status_code))
        return answer


def _given(values: Mapping[str, str], name: str) -> str:
    return values.get(name, "").strip()


def _secret(values: Mapping[str, str]) -> str:
    if not _given(values, "api_secret"):
        raise LoginFailed("give the PIN of an individual app, or the API secret of a public one")
    return header_word(values, "api_secret", "API secret")


def _second_factor(values: Mapping[str, str], now: datetime) -> tuple[str, str]:
    """The code and its kind: a TOTP or OTP that was typed, else what the stored secret makes now."""
    otp = "".join(values.get("otp", "").split())
    if otp and not _given(values, "totp"):
        if len(otp) != 6 or not (otp.isascii() and otp.isdigit()):
            raise LoginFailed("an OTP has 6 digits")
        return otp, "otp"
    return one_time_code(values, now, "the one-time password is missing: type it, or store the TOTP secret"), "totp"


def _expiry(seconds: object, now: datetime) -> float:
    """What the broker says, where it makes sense, and at most 24 hours."""
    life = _TOKEN_LIFE.total_seconds()
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < life:
        life = float(seconds)
    return now.timestamp() + life


def _advice(status: int) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    if advice := trouble("Tradejini", status):
        return advice
    return (
        f"Tradejini refused the login (HTTP {status}) and does not say why: check first that this computer's address "
        "is the static IP address of the app, then API key, PIN or secret, and take a fresh one-time password"
    )
