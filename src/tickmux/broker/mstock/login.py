"""m.Stock's login: client code and password, then a one-time password, buy a session (specification section 2).

`Credentials.values` has `api_key`, `access_token` (the answer's `jwtToken`) and, after our login, `client_code`; also
`currency_divisor` where the user has set one.
"""

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
    needed,
    one_time_code,
    sms_code,
    without_bearer,
)
from tickmux.broker._rest_answers import read_answer
from tickmux.broker.mstock.streaming.mstock_adapter import MStockAdapter
from tickmux.broker.mstock.streaming.mstock_mapping import currency_divisor
from tickmux.codec import Credentials
from tickmux.login import AnswerWanted, Field, LoginFailed, LoginFlow, LoginKind, next_ist

_LOGIN = "/openapi/typeb/connect/login"
_VERIFY_TOTP = "/openapi/typeb/session/verifytotp"
_VERIFY_SMS = "/openapi/typeb/session/token"
_REFRESH_TOKEN = "refresh_token"  # noqa: S105
_VERSION = {"X-Mirae-Version": "1"}
_EXPIRY_HOUR = 3  # IST; the token ends in the night, the hour is not documented
_LABELS = {
    "api_key": "API key",
    "client_code": "client code",
    "password": "password",
    "access_token": "access token (jwtToken)",
}

_CURRENCY_DIVISOR = Field(
    name="currency_divisor",
    label="Currency divisor",
    help="leave empty; another number than 100 only if prices on CDS turn out to be wrong by such a factor",
    optional=True,
)


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

    Without a TOTP m.Stock sends a code to the phone in the middle of the login, which asks for that one.
    """

    kind = LoginKind.TOTP
    fields = (
        Field(name="api_key", label="API key", help="of the Type B app on trade.mstock.com", secret=True),
        Field(name="client_code", label="Client code", help="your m.Stock user ID, such as MA123456"),
        Field(name="password", label="Password", help="of your m.Stock account", secret=True),
        TOTP_SECRET,
        TOTP_OR_SMS_CODE,
        _CURRENCY_DIVISOR,
    )
    token_fields = (
        Field(name="access_token", label="Access token", help="`jwtToken` of a login", secret=True, remember=False),
        Field(name="api_key", label="API key", help="of the app that made the session", secret=True),
        _CURRENCY_DIVISOR,
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
        _scale(values)  # a number that is none must not cost a login
        if refresh := values.get(_REFRESH_TOKEN, ""):
            proof = {"otp": sms_code(values)}
        else:
            password = needed(values, "password", _LABELS["password"])
            code = one_time_code(values, now) if has_totp(values) else ""
            # The code goes to the second step alone: a code of one use would be spent on the first.
            body = {"clientcode": client_code, "password": password, "totp": "", "state": ""}
            opened = await self._ask(http, _LOGIN, body, _VERSION)
            refresh, proof = _text(opened.refresh) or _text(opened.jwt), {"totp": code}
            if not refresh:
                raise LoginFailed("m.Stock's answer holds no session: log in again")
            if not code:
                raise AnswerWanted("m.Stock has sent a code to your phone", SMS_CODE, {_REFRESH_TOKEN: refresh})
        path = _VERIFY_SMS if "otp" in proof else _VERIFY_TOTP
        session = await self._ask(
            http, path, {"refreshToken": refresh, **proof}, {**_VERSION, "X-PrivateKey": api_key}
        )
        made = self.from_token({**values, "access_token": _text(session.jwt)}, now)
        return Credentials({**made.values, "client_code": client_code}, made.expires_at)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        token = without_bearer(values.get("access_token", ""))
        found = {"api_key": _word(values, "api_key"), "access_token": _word({"access_token": token}, "access_token")}
        return Credentials(found | _scale(values), next_ist(_EXPIRY_HOUR, 0, now))

    async def _ask(
        self, http: httpx.AsyncClient, path: str, body: Mapping[str, str], headers: Mapping[str, str]
    ) -> _Tokens:
        response = await ask(http, "m.Stock", "POST", f"{self.urls['api']}{path}", json=body, headers=headers)
        return _tokens(response, by_sms=path == _VERIFY_SMS)


def _scale(values: Mapping[str, str]) -> dict[str, str]:
    """The currency contracts' divisor, where the user has set one."""
    typed = values.get(_CURRENCY_DIVISOR.name, "").strip()
    if typed and not currency_divisor(typed):
        raise LoginFailed("the currency divisor is a number such as 100 or 10000000: leave it empty if in doubt")
    return {_CURRENCY_DIVISOR.name: typed} if typed else {}


def _word(values: Mapping[str, str], name: str) -> str:
    return header_word(values, name, _LABELS[name])


def _tokens(response: httpx.Response, *, by_sms: bool) -> _Tokens:
    """The tokens of an accepting answer, or the LoginFailed that says what to do about a refusal."""
    answer = read_answer(response, _Answer)
    if response.is_success and (answer.status is True or _text(answer.status).lower() in ("true", "success")):
        try:
            return msgspec.convert(answer.data, _Tokens)
        except msgspec.ValidationError:
            return _Tokens()
    said = f"{_text(answer.message)} {_text(answer.error_type)}".lower()
    raise LoginFailed(_advice(response.status_code, said, by_sms=by_sms))


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def _advice(status: int, said: str, *, by_sms: bool) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    shown = f" (HTTP {status})" if status >= 400 else ""
    if advice := trouble("m.Stock", status):
        return advice
    if by_sms and "otp" in said.split():
        return f"m.Stock did not accept the code by SMS{shown}: log in again, and it sends a new one"
    if "totp" in said or "otp" in said.split():
        return (
            f"m.Stock did not accept the TOTP{shown}: check the secret and this computer's clock, "
            "wait for the next code, then log in again"
        )
    if any(words in said for words in ("api key", "apikey", "api_key", "privatekey")):
        return f"m.Stock did not accept the API key{shown}: check it with m.Stock, then log in again"
    if any(words in said for words in ("password", "client code", "clientcode", "credential", "user")):
        return f"m.Stock did not accept client code and password{shown}: check them, then log in again"
    code = "the code by SMS" if by_sms else "TOTP"
    return f"m.Stock refused the login{shown}: check API key, client code, password and {code}, then log in again"
