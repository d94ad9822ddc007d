"""Motilal Oswal's login: client code, password, second factor and one-time password in one call (section 2).

`Credentials.values` has `client_code`, which is all that the feed asks for, and `api_key`, `auth_token` and, if there
is one, `api_secret` for the REST calls.
"""

import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import msgspec
import pyotp

from tickmux.broker._login_http import ask
from tickmux.broker.motilal.streaming.motilal_adapter import MotilalAdapter, rest_headers
from tickmux.broker.motilal.streaming.motilal_mapping import login_packet
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind, next_ist

_PATH = "/rest/login/v7/authdirectapi"
_BIRTH_DATE = re.compile(r"(\d{2})[-/.](\d{2})[-/.](\d{4})", re.ASCII)
_PAN = re.compile(r"[A-Z]{5}\d{4}[A-Z]", re.ASCII)

_LABELS = {
    "api_key": "API key",
    "client_code": "client code",
    "password": "password",
    "second_factor": "date of birth or PAN",
    "auth_token": "auth token",
}


class _Answer(msgspec.Struct):
    """What a login answers; whatever the types of its fields turn out to be."""

    status: Any = None
    message: Any = None
    errorcode: Any = None
    token: Any = msgspec.field(default=None, name="AuthToken")
    verified: Any = msgspec.field(default=None, name="isAuthTokenVerified")


class MotilalLogin(LoginFlow):
    """No browser: the TOTP is typed, or made of its secret when that has been stored."""

    kind = LoginKind.TOTP
    fields = (
        Field(name="api_key", label="API key", help="of your app on the MO API page", secret=True),
        Field(
            name="api_secret",
            label="API secret",
            help="of the same, if your key came with one",
            secret=True,
            optional=True,
        ),
        Field(name="client_code", label="Client code", help="your user ID, such as AA017"),
        Field(name="password", label="Password", help="of your trading account", secret=True),
        Field(name="second_factor", label="Date of birth or PAN", help="dd/mm/yyyy, or the PAN", secret=True),
        Field(
            name="totp_secret",
            label="TOTP secret",
            help="what was shown when TOTP was registered; empty to type codes instead",
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
        Field(name="client_code", label="Client code", help="of the account that has logged in"),
        Field(name="api_key", label="API key", help="of the app that made the session", secret=True),
        Field(
            name="auth_token", label="Auth token", help="`AuthToken` of the login answer", secret=True, remember=False
        ),
    )
    default_urls = MotilalAdapter.default_urls

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        known = _account(values)
        if secret := values.get("api_secret", "").strip():
            known["api_secret"] = _word(secret, "API secret")
        password = _given(values, "password")
        body = {
            "userid": known["client_code"],
            "password": hashlib.sha256(f"{password}{known['api_key']}".encode()).hexdigest(),
            "2FA": _second_factor(values),
            "totp": _one_time_code(values, now),
        }
        response = await ask(
            http,
            "Motilal Oswal",
            "POST",
            f"{self.urls['api']}{_PATH}",
            json=body,
            headers=rest_headers(Credentials(known)),
        )
        secrets = (password, body["password"], body["2FA"], body["totp"], known["api_key"], secret)
        return self.from_token({**known, "auth_token": _token(response, secrets)}, now)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        known = _account(values) | {"auth_token": _word(_given(values, "auth_token"), "auth token")}
        if secret := values.get("api_secret", "").strip():
            known["api_secret"] = _word(secret, "API secret")
        return Credentials(known, next_ist(6, 0, now))


def _account(values: Mapping[str, str]) -> dict[str, str]:
    client_code = _word(_given(values, "client_code"), "client code").upper()
    try:
        login_packet(client_code)
    except ValueError as error:
        raise LoginFailed(f"this is no client code: {error}") from None
    return {"client_code": client_code, "api_key": _word(_given(values, "api_key"), "API key")}


def _given(values: Mapping[str, str], name: str) -> str:
    value = values.get(name, "").strip()
    if not value:
        raise LoginFailed(f"the {_LABELS[name]} is missing")
    return value


def _word(value: str, label: str) -> str:
    """What travels as an HTTP header: one word of visible ASCII."""
    if not value.isascii() or not value.isprintable() or " " in value:
        raise LoginFailed(f"this is no {label}: copy it again, without spaces and line breaks")
    return value


def _second_factor(values: Mapping[str, str]) -> str:
    typed = _given(values, "second_factor").upper()
    if born := _BIRTH_DATE.fullmatch(typed):
        return "/".join(born.groups())
    if _PAN.fullmatch(typed):
        return typed
    raise LoginFailed("the second factor is the date of birth as dd/mm/yyyy, or the PAN (ABCDE1234F)")


def _one_time_code(values: Mapping[str, str], now: datetime) -> str:
    """The code that was typed, else the one that the stored secret makes now."""
    typed = "".join(values.get("totp", "").split())
    if typed:
        if len(typed) != 6 or not (typed.isascii() and typed.isdigit()):
            raise LoginFailed("a TOTP code has 6 digits")
        return typed
    secret = "".join(values.get("totp_secret", "").split()).replace("-", "").upper().rstrip("=")
    if not secret:
        raise LoginFailed("the TOTP code is missing: type it, or store the TOTP secret")
    try:
        return pyotp.TOTP(secret).at(now)
    except (binascii.Error, ValueError):
        raise LoginFailed(
            "the TOTP secret is not one: it is the text that was shown when TOTP was registered (letters and the "
            "digits 2 to 7), not a 6-digit code"
        ) from None


def _token(response: httpx.Response, secrets: tuple[str, ...]) -> str:
    """The session's token, or the LoginFailed that says what to do about a refusal."""
    try:
        answer = msgspec.json.decode(response.content, type=_Answer)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        answer = _Answer()
    if not response.is_success or answer.status != "SUCCESS":
        raise LoginFailed(_advice(response.status_code, answer, secrets))
    token = answer.token.strip() if isinstance(answer.token, str) else ""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise LoginFailed("Motilal Oswal's answer holds no session: log in again")
    if str(answer.verified).upper() == "FALSE":
        raise LoginFailed(
            "Motilal Oswal wants this login confirmed by an OTP, which only its own app can do: register TOTP on the "
            "MO API page, then log in with its code"
        )
    return token


def _advice(status: int, answer: _Answer, secrets: tuple[str, ...]) -> str:
    if status == 429:
        return "Motilal Oswal is refusing logins for now (HTTP 429): wait a minute, then log in again"
    if status >= 500:
        return f"Motilal Oswal has a problem of its own (HTTP {status}): try again in a few minutes"
    words = answer.message if isinstance(answer.message, str) else ""
    for secret in secrets:
        if secret and secret in words:
            words = ""  # an answer that repeats what was sent is not shown
    code = answer.errorcode if isinstance(answer.errorcode, str) and answer.errorcode.isalnum() else ""
    shown = " ".join(each for each in (code[:12], "".join(filter(str.isprintable, words))[:160]) if each)
    what = "API key" if code == "MO2005" else "API key, client code, password, second factor and TOTP"
    return f"Motilal Oswal refused the login ({shown or f'HTTP {status}'}): check {what}, then log in again"
