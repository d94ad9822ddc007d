"""Kotak's login: a one-time password opens a view session, the MPIN makes it a trading one (specification section 2).

`Credentials.values` has `ucc` and `sid`, which the feed asks for; beside them `token`, `access_token`, and as far
as Kotak told them `base_url`, `data_center`, `feed_url` and `list_files` (addresses of the day's instrument files).
"""

import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pyotp

from tickmux.broker._login_http import ask
from tickmux.broker.kotak.streaming.kotak_adapter import KotakAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind

_TOTP_PATH = "/login/1.0/tradeApiLogin"
_MPIN_PATH = "/login/1.0/tradeApiValidate"
_FILES_PATH = "/script-details/1.0/masterscrip/file-paths"

_LABELS = {
    "access_token": "access token",
    "ucc": "client code (UCC)",
    "mobile": "mobile number",
    "mpin": "MPIN",
    "sid": "session id (sid)",
    "token": "session token",
}


class _Data(msgspec.Struct):
    """What a step of the login tells; whatever the types of its fields turn out to be."""

    status: Any = None
    token: Any = None
    sid: Any = None
    ucc: Any = None
    base_url: Any = msgspec.field(default=None, name="baseUrl")
    data_center: Any = msgspec.field(default=None, name="dataCenter")
    feed_url: Any = msgspec.field(default=None, name="feedUrl")
    files: Any = msgspec.field(default=None, name="filesPaths")


class _Answer(msgspec.Struct):
    data: _Data | None = None


class KotakLogin(LoginFlow):
    """No browser: the TOTP is typed, or made of its secret when that has been stored."""

    kind = LoginKind.TOTP
    fields = (
        Field(
            name="access_token", label="Access token", help="of the API dashboard in the Neo app or site", secret=True
        ),
        Field(name="ucc", label="Client code (UCC)", help="shown in the profile of the Neo app"),
        Field(name="mobile", label="Mobile number", help="the registered one, 10 digits"),
        Field(name="mpin", label="MPIN", help="6 digits", secret=True),
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
        Field(name="ucc", label="Client code (UCC)", help="of the account that has logged in"),
        Field(name="sid", label="Session id", help="`sid` of the second login step", secret=True, remember=False),
        Field(name="data_center", label="Data center", help="`dataCenter` of the same, such as E21", optional=True),
    )
    default_urls = KotakAdapter.default_urls

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        access_token, ucc = _header_text(values, "access_token"), _header_text(values, "ucc")
        mobile, mpin = _mobile(values), _mpin(values)
        totp = _one_time_code(values, now)
        headers = {"Authorization": access_token, "neo-fin-key": "neotradeapi"}
        view = await self._step(http, _TOTP_PATH, headers, {"mobileNumber": mobile, "ucc": ucc, "totp": totp})
        headers |= {"sid": _told(view, "sid"), "Auth": _told(view, "token")}
        session = await self._step(http, _MPIN_PATH, headers, {"mpin": mpin})
        found = {
            "ucc": session.ucc or ucc,
            "sid": _told(session, "sid"),
            "token": _told(session, "token"),
            "access_token": access_token,
            "base_url": session.base_url,
            "data_center": session.data_center,
            "feed_url": session.feed_url,
        }
        known = {name: value for name, value in found.items() if isinstance(value, str) and value}
        if files := await _list_files(http, known.get("base_url", ""), access_token):
            known["list_files"] = " ".join(files)
        return Credentials(known)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        found = {name: _header_text(values, name) for name in ("ucc", "sid")}
        if data_center := values.get("data_center", "").strip():
            found["data_center"] = data_center
        return Credentials(found)

    async def _step(
        self, http: httpx.AsyncClient, path: str, headers: Mapping[str, str], body: Mapping[str, str]
    ) -> _Data:
        response = await ask(
            http, "Kotak", "POST", f"{self.urls['login']}{path}", json=dict(body), headers=dict(headers)
        )
        data = _data(response)
        if not response.is_success or data is None or data.status != "success":
            raise LoginFailed(_advice(response, path))
        return data


async def _list_files(http: httpx.AsyncClient, base_url: str, access_token: str) -> list[str]:
    """Where the day's instrument files lie (section 9); empty where Kotak does not say, since they can be guessed."""
    if not _is_web_address(base_url):
        return []
    try:
        response = await http.get(
            f"{base_url.rstrip('/')}{_FILES_PATH}", headers={"Authorization": access_token}, timeout=10.0
        )
    except (httpx.HTTPError, httpx.InvalidURL):
        return []
    data = _data(response) if response.is_success else None
    if data is None or not isinstance(data.files, list):
        return []
    return [url for url in data.files if isinstance(url, str) and _is_web_address(url) and " " not in url]


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no host, or a port beyond all ports
        return False


def _data(response: httpx.Response) -> _Data | None:
    try:
        return msgspec.json.decode(response.content, type=_Answer).data
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _told(data: _Data, name: str) -> str:
    value = getattr(data, name)
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value.strip():
        raise LoginFailed("Kotak's answer holds no session: log in again")
    return value.strip()


# -- what the user gives ---------------------------------------------------------------------------------


def _given(values: Mapping[str, str], name: str) -> str:
    value = values.get(name, "").strip()
    if not value:
        raise LoginFailed(f"the {_LABELS[name]} is missing")
    return value


def _header_text(values: Mapping[str, str], name: str) -> str:
    """What travels as an HTTP header or in the feed's log-in: one word of visible ASCII."""
    value = _given(values, name)
    if not value.isascii() or not value.isprintable() or " " in value:
        raise LoginFailed(f"this is no {_LABELS[name]}: copy it again, without spaces and line breaks")
    return value


def _mobile(values: Mapping[str, str]) -> str:
    """`+91` and ten digits, however the number was written."""
    typed = _given(values, "mobile")
    digits = "".join(sign for sign in typed if sign not in " -+()")
    digits = digits[-10:] if len(digits) in (11, 12) and digits[:-10] in ("0", "91") else digits
    if len(digits) != 10 or not (digits.isascii() and digits.isdigit()):
        raise LoginFailed("a mobile number has 10 digits, with or without +91 before them")
    return f"+91{digits}"


def _mpin(values: Mapping[str, str]) -> str:
    mpin = _given(values, "mpin")
    if len(mpin) != 6 or not (mpin.isascii() and mpin.isdigit()):
        raise LoginFailed("an MPIN has 6 digits")
    return mpin


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


def _advice(response: httpx.Response, path: str) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    status = response.status_code
    if status == 429:
        return "Kotak is refusing log-ins for now (HTTP 429, too many requests): wait a minute, then log in again"
    if status >= 500 or status == 424:
        return f"Kotak has a problem of its own (HTTP {status}): try again in a few minutes"
    said = response.content[:4096].decode("utf-8", "replace").lower()
    shown = f"HTTP {status}"
    if path == _MPIN_PATH:
        if status == 403:
            return f"Kotak no longer knows the session that the TOTP had opened ({shown}): log in again"
        return f"Kotak did not accept the MPIN ({shown}): check it, then log in again"
    if "totp" in said or "otp" in said:
        return (
            f"Kotak did not accept the TOTP ({shown}): check the secret and this computer's clock, "
            "wait for the next code, then log in again"
        )
    if status == 422:
        return (
            f"Kotak did not understand the log-in ({shown}): check client code and mobile number, then log in again"
        )
    return (
        f"Kotak refused the log-in ({shown}): check access token, client code, mobile number and TOTP, "
        "then log in again"
    )
