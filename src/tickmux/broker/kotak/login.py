"""Kotak's login: a one-time password opens a view session, the MPIN makes it a trading one (specification section 2).

`Credentials.values` has `ucc` and `sid`, which the feed asks for; beside them `token`, `access_token`, and as far
as Kotak told them `base_url`, `data_center`, `feed_url` and `list_files` (addresses of the day's instrument files).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_values import (
    TOTP_CODE,
    TOTP_SECRET,
    header_word,
    is_header_word,
    needed,
    one_time_code,
)
from tickmux.broker._rest_answers import read_answer
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
}


class _Data(msgspec.Struct):
    """What a step of the login tells; the types of its fields are not checked yet."""

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
        TOTP_SECRET,
        TOTP_CODE,
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
        access_token, ucc = _word(values, "access_token"), _word(values, "ucc")
        mobile, mpin = _mobile(values), _mpin(values)
        totp = one_time_code(values, now)
        headers = {"Authorization": access_token, "neo-fin-key": "neotradeapi"}
        view = await self._step(http, _TOTP_PATH, headers, {"mobileNumber": mobile, "ucc": ucc, "totp": totp})
        headers |= {"sid": _told(view, "sid"), "Auth": _told(view, "token")}
        session = await self._step(http, _MPIN_PATH, headers, {"mpin": mpin})
        found = {
            "ucc": session.ucc if isinstance(session.ucc, str) and is_header_word(session.ucc) else ucc,
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
        found = {name: _word(values, name) for name in ("ucc", "sid")}
        if data_center := values.get("data_center", "").strip():
            found["data_center"] = data_center
        return Credentials(found)

    async def _step(
        self, http: httpx.AsyncClient, path: str, headers: Mapping[str, str], body: Mapping[str, str]
    ) -> _Data:
        response = await ask(
            http, "Kotak", "POST", f"{self.urls['login']}{path}", json=dict(body), headers=dict(headers)
        )
        data = read_answer(response, _Answer).data
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
    data = read_answer(response, _Answer).data if response.is_success else None
    if data is None or not isinstance(data.files, list):
        return []
    return [url for url in data.files if isinstance(url, str) and _is_web_address(url) and " " not in url]


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("https", "http") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no host, or a port beyond all ports
        return False


def _told(data: _Data, name: str) -> str:
    value = getattr(data, name)
    word = value.strip() if isinstance(value, str) else ""
    if not is_header_word(word):
        raise LoginFailed("Kotak's answer holds no session: log in again")
    return word


# -- what the user gives ---------------------------------------------------------------------------------


def _word(values: Mapping[str, str], name: str) -> str:
    """What travels as an HTTP header or in the feed's log-in."""
    return header_word(values, name, _LABELS[name])


def _mobile(values: Mapping[str, str]) -> str:
    """`+91` and ten digits, however the number was written."""
    typed = needed(values, "mobile", _LABELS["mobile"])
    digits = "".join(sign for sign in typed if sign not in " -+()")
    digits = digits[-10:] if len(digits) in (11, 12) and digits[:-10] in ("0", "91") else digits
    if len(digits) != 10 or not (digits.isascii() and digits.isdigit()):
        raise LoginFailed("a mobile number has 10 digits, with or without +91 before them")
    return f"+91{digits}"


def _mpin(values: Mapping[str, str]) -> str:
    mpin = needed(values, "mpin", _LABELS["mpin"])
    if len(mpin) != 6 or not (mpin.isascii() and mpin.isdigit()):
        raise LoginFailed("an MPIN has 6 digits")
    return mpin


def _advice(response: httpx.Response, path: str) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    status = response.status_code
    if advice := trouble("Kotak", status):
        return advice
    if status == 424:
        return f"Kotak has a problem of its own for the moment (HTTP {status}): try again in a few minutes"
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
