"""Angel One's login: client code, PIN and one-time password buy a session in one call (specification section 2).

`Credentials.values` has `api_key`, `client_code`, `jwt` (without `Bearer`) and `feed_token`.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import msgspec

from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_values import TOTP_CODE, TOTP_SECRET, header_word, needed, one_time_code, without_bearer
from tickmux.broker._rest_answers import read_answer
from tickmux.broker.angel.streaming.angel_adapter import AngelAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind, next_ist

_PATH = "/rest/auth/angelbroking/user/v1/loginByPassword"
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "X-UserType": "USER",
    "X-SourceID": "WEB",
    # These must be present, and any plausible text does: no real address is sent.
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
        msgspec.structs.replace(
            TOTP_SECRET,
            help="the text beside the QR code of smartapi.angelone.in/enable-totp; empty to type codes instead",
        ),
        TOTP_CODE,
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
        pin = needed(values, "pin", _LABELS["pin"])
        code = one_time_code(values, now)
        body = {"clientcode": client_code, "password": pin, "totp": code}
        headers = {**_HEADERS, "X-PrivateKey": api_key}
        response = await ask(http, "Angel One", "POST", f"{self.urls['api']}{_PATH}", json=body, headers=headers)
        session = _session(response)
        made = {"api_key": api_key, "client_code": client_code, "jwt": session.jwt, "feed_token": session.feed_token}
        return self.from_token(made, now)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        found = {name: _header_text(values, name) for name in ("api_key", "client_code", "feed_token")}
        found["jwt"] = _header_text({"jwt": without_bearer(values.get("jwt", ""))}, "jwt")
        return Credentials(found, next_ist(0, 0, now))


def _header_text(values: Mapping[str, str], name: str) -> str:
    return header_word(values, name, _LABELS[name])


def _session(response: httpx.Response) -> _Session:
    """The session in the answer, or the LoginFailed that says what to do about a refusal."""
    answer = read_answer(response, _Answer)
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
    if advice := trouble("Angel One", 429 if "exceeding access rate" in said else status):
        return advice
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
