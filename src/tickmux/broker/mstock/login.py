"""m.Stock's login: client code and password, then a one-time password, buy a session (specification section 2).

`Credentials.values` has `api_key`, `access_token` (the answer's `jwtToken`) and, after our login, `client_code`.
"""

import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import msgspec
import pyotp

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
        api_key, client_code = _word(values, "api_key"), _given(values, "client_code")
        password, code = _given(values, "password"), _one_time_code(values, now)
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
        words = values.get("access_token", "").split()
        token = " ".join(words[1:] if words and words[0].lower() == "bearer" else words)
        found = {"api_key": _word(values, "api_key"), "access_token": _word({"access_token": token}, "access_token")}
        return Credentials(found, next_ist(_EXPIRY_HOUR, 0, now))

    async def _ask(
        self, http: httpx.AsyncClient, path: str, body: Mapping[str, str], headers: Mapping[str, str]
    ) -> _Tokens:
        try:
            response = await http.post(f"{self.urls['api']}{path}", json=body, headers=headers)
        except httpx.HTTPError as error:
            raise LoginFailed(
                f"m.Stock cannot be reached ({type(error).__name__}): check the network, then log in again"
            ) from None
        return _tokens(response)


def _given(values: Mapping[str, str], name: str) -> str:
    value = values.get(name, "").strip()
    if not value:
        raise LoginFailed(f"the {_LABELS[name]} is missing")
    return value


def _word(values: Mapping[str, str], name: str) -> str:
    """What travels in a header or an address: one word of visible ASCII."""
    value = _given(values, name)
    if not value.isascii() or not value.isprintable() or " " in value:
        raise LoginFailed(f"this is no {_LABELS[name]}: copy it again, without spaces and line breaks")
    return value


def _one_time_code(values: Mapping[str, str], now: datetime) -> str:
    """The code that was typed, else the one that the stored secret makes now."""
    typed = "".join(values.get("totp", "").split())
    if typed:
        if len(typed) != 6 or not (typed.isascii() and typed.isdigit()):
            raise LoginFailed("a TOTP code has 6 digits")
        return typed
    secret = "".join(values.get("totp_secret", "").split()).replace("-", "").upper().rstrip("=")
    if not secret:
        raise LoginFailed(
            "the TOTP code is missing: type it, or store the TOTP secret (enable TOTP with m.Stock if you have none)"
        )
    try:
        return pyotp.TOTP(secret).at(now)
    except (binascii.Error, ValueError):
        raise LoginFailed(
            "the TOTP secret is not one: it is the text beside the QR code (letters and the digits 2 to 7), "
            "not a 6-digit code"
        ) from None


def _tokens(response: httpx.Response) -> _Tokens:
    """The tokens of an accepting answer, or the LoginFailed that says what to do about a refusal."""
    try:
        answer = msgspec.json.decode(response.content, type=_Answer)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        answer = _Answer()
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
    if status == 429:
        return "m.Stock is refusing logins for now (too many requests): wait a minute, then log in again"
    if status >= 500:
        return f"m.Stock has a problem of its own (HTTP {status}): try again in a few minutes"
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
