"""Motilal Oswal's login: client code, password, second factor and one-time password in one call (section 2).

`Credentials.values` has `client_code`, which is all that the feed asks for, and `api_key`, `auth_token` and, if there
is one, `api_secret` for the REST calls.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import msgspec

from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_values import (
    SMS_CODE,
    TOTP_OR_SMS_CODE,
    TOTP_SECRET,
    has_totp,
    header_word,
    is_header_word,
    needed,
    one_time_code,
    sms_code,
)
from tickmux.broker._rest_answers import read_answer
from tickmux.broker.motilal.streaming.motilal_adapter import MotilalAdapter, rest_headers
from tickmux.broker.motilal.streaming.motilal_mapping import login_packet
from tickmux.codec import Credentials
from tickmux.login import AnswerWanted, Field, LoginFailed, LoginFlow, LoginKind, next_ist

_BROKER = "Motilal Oswal"
_LOGIN_PATHS = ("/rest/login/v7/authdirectapi", "/rest/login/v4/authdirectapi")
"""The present one, and that of the SDKs of 2024 with the same body, where the first is not there (HTTP 404)."""
_CONFIRM_PATH = "/rest/login/v5/verifyotp"
_UNCONFIRMED = "unconfirmed_token"
_BIRTH_DATE = re.compile(r"(\d{2})[-/.](\d{2})[-/.](\d{4})", re.ASCII)
_PAN = re.compile(r"[A-Z]{5}\d{4}[A-Z]", re.ASCII)

_LABELS = {
    "api_key": "API key",
    "api_secret": "API secret",
    "client_code": "client code",
    "password": "password",
    "second_factor": "date of birth or PAN",
    "auth_token": "auth token",
}


class _Answer(msgspec.Struct):
    """What a login answers; the types of its fields are not checked yet."""

    status: Any = None
    message: Any = None
    errorcode: Any = None
    token: Any = msgspec.field(default=None, name="AuthToken")
    verified: Any = msgspec.field(default=None, name="isAuthTokenVerified")


class MotilalLogin(LoginFlow):
    """No browser: the TOTP is typed, or made of its secret when that has been stored.

    Without one a code comes by SMS, and makes the session good that the login has given.
    """

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
        TOTP_SECRET,
        TOTP_OR_SMS_CODE,
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
        if half_made := values.get(_UNCONFIRMED, ""):
            return await self._confirm({**known, "auth_token": half_made}, sms_code(values), http, now)
        password = _needed(values, "password")
        body = {
            "userid": known["client_code"],
            "password": hashlib.sha256(f"{password}{known['api_key']}".encode()).hexdigest(),
            "2FA": _second_factor(values),
        }
        if has_totp(values):
            body["totp"] = one_time_code(values, now)
        for path in _LOGIN_PATHS:
            response = await self._ask(http, path, body, known)
            if response.status_code != httpx.codes.NOT_FOUND:
                break
        answer = read_answer(response, _Answer)
        if not _is_accepted(response, answer):
            secrets = (password, body["password"], body["2FA"], body.get("totp", ""), *list(known.values())[1:])
            raise LoginFailed(_advice(response.status_code, answer, secrets))
        token = answer.token.strip() if isinstance(answer.token, str) else ""
        if not is_header_word(token):
            raise LoginFailed("Motilal Oswal's answer holds no session: log in again")
        if str(answer.verified).upper() == "FALSE":
            raise AnswerWanted("Motilal Oswal has sent a code to your phone", SMS_CODE, {_UNCONFIRMED: token})
        return self.from_token({**known, "auth_token": token}, now)

    async def _confirm(
        self, session: dict[str, str], code: str, http: httpx.AsyncClient, now: datetime
    ) -> Credentials:
        """The session that the code of the SMS makes good."""
        response = await self._ask(http, _CONFIRM_PATH, {"otp": code}, session)
        if not _is_accepted(response, read_answer(response, _Answer)):
            raise LoginFailed(
                trouble(_BROKER, response.status_code)
                or "Motilal Oswal did not accept the code by SMS: log in again, and it sends a new one"
            )
        return self.from_token(session, now)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        return Credentials(_account(values) | {"auth_token": _word(values, "auth_token")}, next_ist(6, 0, now))

    async def _ask(
        self, http: httpx.AsyncClient, path: str, body: Mapping[str, str], session: Mapping[str, str]
    ) -> httpx.Response:
        headers = rest_headers(Credentials(session))
        return await ask(http, _BROKER, "POST", f"{self.urls['api']}{path}", json=dict(body), headers=headers)


def _is_accepted(response: httpx.Response, answer: _Answer) -> bool:
    return response.is_success and answer.status == "SUCCESS"


def _account(values: Mapping[str, str]) -> dict[str, str]:
    """Client code, API key and, if there is one, API secret: what every REST call names."""
    client_code = _word(values, "client_code").upper()
    try:
        login_packet(client_code)
    except ValueError as error:
        raise LoginFailed(f"this is no client code: {error}") from None
    known = {"client_code": client_code, "api_key": _word(values, "api_key")}
    if values.get("api_secret", "").strip():
        known["api_secret"] = _word(values, "api_secret")
    return known


def _needed(values: Mapping[str, str], name: str) -> str:
    return needed(values, name, _LABELS[name])


def _word(values: Mapping[str, str], name: str) -> str:
    """What travels as an HTTP header."""
    return header_word(values, name, _LABELS[name])


def _second_factor(values: Mapping[str, str]) -> str:
    typed = _needed(values, "second_factor").upper()
    if born := _BIRTH_DATE.fullmatch(typed):
        return "/".join(born.groups())
    if _PAN.fullmatch(typed):
        return typed
    raise LoginFailed("the second factor is the date of birth as dd/mm/yyyy, or the PAN (ABCDE1234F)")


def _advice(status: int, answer: _Answer, secrets: tuple[str, ...]) -> str:
    if advice := trouble(_BROKER, status):
        return advice
    words = answer.message if isinstance(answer.message, str) else ""
    for secret in secrets:
        if secret and secret in words:
            words = ""  # an answer that repeats what was sent is not shown
    code = answer.errorcode if isinstance(answer.errorcode, str) and answer.errorcode.isalnum() else ""
    shown = " ".join(each for each in (code[:12], "".join(filter(str.isprintable, words))[:160]) if each)
    what = "API key" if code == "MO2005" else "API key, client code, password, second factor and TOTP"
    return f"Motilal Oswal refused the login ({shown or f'HTTP {status}'}): check {what}, then log in again"
