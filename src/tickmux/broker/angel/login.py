"""Angel One's login: client code, PIN and one-time password buy a session in one call (specification section 2).

`Credentials.values` has `api_key`, `client_code`, `jwt` (without `Bearer`) and `feed_token`.
"""

import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import msgspec
import pyotp

from tickmux.broker.angel.streaming.angel_adapter import AngelAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind, next_ist

_PATH = "/rest/auth/angelbroking/user/v1/loginByPassword"
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "X-UserType": "USER",
    "X-SourceID": "WEB",
    # These must be present, and any plausible text does: nobody's real addresses are given away.
    "X-ClientLocalIP": "127.0.0.1",
    "X-ClientPublicIP": "127.0.0.1",
    "X-MACAddress": "02:00:00:00:00:00",
}

_LABELS = {
    "api_key": "API key",
    "client_code": "client code",
    "pin": "PIN",
    "jwt": "auth token (jwtToken)",
    "feed_token": "feed token",
}


class _Session(msgspec.Struct):
    jwt: str = msgspec.field(default="", name="jwtToken")
    feed_token: str = msgspec.field(default="", name="feedToken")


class _Answer(msgspec.Struct):
    """SmartAPI's envelope. An error has null, an empty text or an empty object as `data`."""

    status: Any = None
    message: Any = None
    errorcode: Any = None
    data: Any = None


class AngelLogin(LoginFlow):
    """No browser: the TOTP is typed, or made of its secret when that has been stored."""

    kind = LoginKind.TOTP
    fields = (
        Field(name="api_key", label="API key", help="of your app on smartapi.angelone.in", secret=True),
        Field(name="client_code", label="Client code", help="your Angel One user ID, such as A123456"),
        Field(name="pin", label="PIN", help="the 4 digits of the mobile app", secret=True),
        Field(
            name="totp_secret",
            label="TOTP secret",
            help="the text beside the QR code of smartapi.angelone.in/enable-totp; empty to type codes instead",
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
        Field(name="api_key", label="API key", help="of the app that made the session", secret=True),
        Field(name="client_code", label="Client code", help="your Angel One user ID, such as A123456"),
        Field(name="jwt", label="Auth token", help="`jwtToken` of the login answer", secret=True, remember=False),
        Field(name="feed_token", label="Feed token", help="`feedToken` of the same", secret=True, remember=False),
    )
    default_urls = AngelAdapter.default_urls

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        api_key, client_code = _header_text(values, "api_key"), _header_text(values, "client_code")
        body = {"clientcode": client_code, "password": _given(values, "pin"), "totp": _one_time_code(values, now)}
        headers = {**_HEADERS, "X-PrivateKey": api_key}
        try:
            response = await http.post(f"{self.urls['api']}{_PATH}", json=body, headers=headers)
        except httpx.HTTPError as error:
            raise LoginFailed(
                f"Angel One cannot be reached ({type(error).__name__}): check the network, then log in again"
            ) from None
        session = _session(response)
        made = {"api_key": api_key, "client_code": client_code, "jwt": session.jwt, "feed_token": session.feed_token}
        return self.from_token(made, now)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        found = {name: _header_text(values, name) for name in ("api_key", "client_code", "feed_token")}
        found["jwt"] = _header_text({"jwt": _without_bearer(values.get("jwt", ""))}, "jwt")
        return Credentials(found, next_ist(0, 0, now))


def _given(values: Mapping[str, str], name: str) -> str:
    value = values.get(name, "").strip()
    if not value:
        raise LoginFailed(f"the {_LABELS[name]} is missing")
    return value


def _header_text(values: Mapping[str, str], name: str) -> str:
    """What travels as an HTTP header: one word of visible ASCII."""
    value = _given(values, name)
    if not value.isascii() or not value.isprintable() or " " in value:
        raise LoginFailed(f"this is no {_LABELS[name]}: copy it again, without spaces and line breaks")
    return value


def _without_bearer(token: str) -> str:
    words = token.split()
    return " ".join(words[1:] if words and words[0].lower() == "bearer" else words)


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
            "the TOTP secret is not one: it is the text beside the QR code (letters and the digits 2 to 7), "
            "not a 6-digit code"
        ) from None


def _session(response: httpx.Response) -> _Session:
    """The session in the answer, or the LoginFailed that says what to do about a refusal."""
    try:
        answer = msgspec.json.decode(response.content, type=_Answer)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        answer = _Answer()
    if response.is_success and answer.status is True:
        try:
            session = msgspec.convert(answer.data, _Session)
        except msgspec.ValidationError:
            session = _Session()
        if session.jwt and session.feed_token:
            return session
        raise LoginFailed("Angel One's answer holds no session: log in again")
    code = answer.errorcode if isinstance(answer.errorcode, str) and answer.errorcode.isalnum() else ""
    raise LoginFailed(_advice(response.status_code, code[:10], response.content[:4096].decode("utf-8", "replace")))


def _advice(status: int, code: str, text: str) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    said = text.lower()
    shown = f"HTTP {status}" if status >= 400 else "no reason given"
    shown = f"{code}" if code else shown
    if status == 429 or "exceeding access rate" in said:
        return "Angel One is refusing logins for now (too many requests): wait a minute, then log in again"
    if status >= 500:
        return f"Angel One has a problem of its own (HTTP {status}): try again in a few minutes"
    if "totp" in said:
        return (
            f"Angel One did not accept the TOTP ({shown}): check the secret and this computer's clock, "
            "wait for the next code, then log in again"
        )
    if code.startswith("AG") or "api key" in said or "apikey" in said or "privatekey" in said:
        return f"Angel One did not accept the API key ({shown}): check it on smartapi.angelone.in, then log in again"
    if code.startswith("AB"):
        return f"Angel One refused the login ({shown}): check client code, PIN and TOTP, then log in again"
    if status == 403:
        return (
            "Angel One denied access (HTTP 403): check that the app on smartapi.angelone.in is active, "
            "and that this address may use it"
        )
    return f"Angel One refused the login ({shown}): check API key, client code, PIN and TOTP, then log in again"
