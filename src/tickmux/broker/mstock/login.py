"""m.Stock's login: client code and password, then a one-time password, buy a session (specification section 2).

`Credentials.values` has `api_key`, `access_token` (the answer's `jwtToken`) and, after our login, `client_code`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import msgspec

from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_values import header_word, needed, one_time_code, without_bearer
from tickmux.broker._rest_answers import read_answer
from tickmux.broker.mstock.streaming.mstock_adapter import MStockAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind, next_ist

_LOGIN = "/openapi/typeb/connect/login"
_VERIFY = "/openapi/typeb/session/verifytotp"
_VERSION = {"X-Mirae-Version": "1"}
_EXPIRY_HOUR = 3  # IST; the token dies in the night, nobody says when
_LABELS = {
    "api_key": "API key",
    "client_code": "client code",
    "password": "password",
    "access_token": "access token (jwtToken)",
}
_NO_CODE = "the TOTP code is missing: type it, or store the TOTP secret (enable TOTP with m.Stock if you have none)"


class _Tokens(msgspec.Struct):
    jwt: Any = msgspec.field(default=None, name="jwtToken")
    refresh: Any = msgspec.field(default=None, name="refreshToken")


class _Answer(msgspec.Struct):
    """The envelope. `status` is a boolean or its text; a refusal has null or an empty text as `data`."""

    status: Any = None
    message: Any = None
    error_type: Any = None
    data: Any = None


class MStockLogin(LoginFlow):
    """No browser: the TOTP is typed, or made of its secret when that has been stored.

    Without a TOTP m.Stock would send a code to the phone in the middle of the login, which therefore asks for one.
    """

    kind = LoginKind.TOTP
    fields = (
        Field(name="api_key", label="API key", help="of the Type B app on trade.mstock.com", secret=True),
        Field(name="client_code", label="Client code", help="your m.Stock user ID, such as MA123456"),
        Field(name="password", label="Password", help="of your m.Stock account", secret=True),
        Field(
            name="totp_secret",
            label="TOTP secret",
            help="the text beside the QR code where TOTP is enabled; empty to type codes instead",
            secret=True,
            optional=True,
        ),
        Field(
            name="totp",
            label="TOTP code",
            help="6 digits of your authenticator; leave empty if the TOTP secret is stored",
            secret=True,
            remember=False,
            optional=True,
        ),
    )
    token_fields = (
        Field(name="access_token", label="Access token", help="`jwtToken` of a login", secret=True, remember=False),
        Field(name="api_key", label="API key", help="of the app that made the session", secret=True),
    )
    default_urls = MStockAdapter.default_urls

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        api_key, client_code = _word(values, "api_key"), needed(values, "client_code", _LABELS["client_code"])
        password, code = needed(values, "password", _LABELS["password"]), one_time_code(values, now, _NO_CODE)
        body = {"clientcode": client_code, "password": password, "totp": code, "state": ""}
        opened = await self._ask(http, _LOGIN, body, _VERSION)
        refresh = _text(opened.refresh) or _text(opened.jwt)
        if not refresh:
            raise LoginFailed("m.Stock's answer holds no session: log in again")
        headers = {**_VERSION, "X-PrivateKey": api_key}
        session = await self._ask(http, _VERIFY, {"refreshToken": refresh, "totp": code}, headers)
        made = self.from_token({"api_key": api_key, "access_token": _text(session.jwt)}, now)
        return Credentials({**made.values, "client_code": client_code}, made.expires_at)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        token = without_bearer(values.get("access_token", ""))
        found = {"api_key": _word(values, "api_key"), "access_token": _word({"access_token": token}, "access_token")}
        return Credentials(found, next_ist(_EXPIRY_HOUR, 0, now))

    async def _ask(
        self, http: httpx.AsyncClient, path: str, body: Mapping[str, str], headers: Mapping[str, str]
    ) -> _Tokens:
        return _tokens(await ask(http, "m.Stock", "POST", f"{self.urls['api']}{path}", json=body, headers=headers))


def _word(values: Mapping[str, str], name: str) -> str:
    return header_word(values, name, _LABELS[name])


def _tokens(response: httpx.Response) -> _Tokens:
    """The tokens of an accepting answer, or the LoginFailed that says what to do about a refusal."""
    answer = read_answer(response, _Answer)
    if response.is_success and (answer.status is True or _text(answer.status).lower() in ("true", "success")):
        try:
            return msgspec.convert(answer.data, _Tokens)
        except msgspec.ValidationError:
            return _Tokens()
    said = f"{_text(answer.message)} {_text(answer.error_type)}".lower()
    raise LoginFailed(_advice(response.status_code, said))


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _advice(status: int, said: str) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    shown = f" (HTTP {status})" if status >= 400 else ""
    if advice := trouble("m.Stock", status):
        return advice
    if "totp" in said or "otp" in said.split():
        return (
            f"m.Stock did not accept the TOTP{shown}: check the secret and this computer's clock, "
            "wait for the next code, then log in again"
        )
    if any(words in said for words in ("api key", "apikey", "api_key", "privatekey")):
        return f"m.Stock did not accept the API key{shown}: check it with m.Stock, then log in again"
    if any(words in said for words in ("password", "client code", "clientcode", "credential", "user")):
        return f"m.Stock did not accept client code and password{shown}: check them, then log in again"
    return f"m.Stock refused the login{shown}: check API key, client code, password and TOTP, then log in again"
