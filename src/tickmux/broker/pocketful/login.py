"""Pocketful's login: in the browser (specification section 2, flow A), or by password and a second factor (flow B).

`Credentials.values` has `client_id` (the account) and `access_token`; one of flow B also `flow`, since each flow has
hosts of its own.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, NoReturn, TypeVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_state import is_same_login, login_state
from tickmux.broker._login_values import header_word, is_header_word, needed, without_bearer
from tickmux.broker._rest_answers import read_answer
from tickmux.broker.pocketful.streaming.pocketful_adapter import DIRECT, PocketfulAdapter
from tickmux.codec import Credentials
from tickmux.login import AnswerWanted, Field, LoginFailed, LoginFlow, LoginKind, next_ist

_EXPIRY_HOUR = 3  # IST; section 2 is not sure of it
_SCOPE = "orders holdings"
_TOTP_QUESTION = "100"
_APP_ADVICE = (
    "check app key, app secret and the redirect URL of your app, then log in again; a code is good for one use"
)
_DIRECT_HEADERS = {
    "P-DeviceType": "WEB",
    "x-device-type": "web",
    "X-UserType": "USER",
    "X-SourceID": "WEB",
    # These must be present, and any plausible text does: no real address is sent.
    "X-ClientLocalIP": "127.0.0.1",
    "X-ClientPublicIP": "127.0.0.1",
    "X-MACAddress": "02:00:00:00:00:00",
}


class _Token(msgspec.Struct):
    access_token: Any = None


class _Question(msgspec.Struct):
    question_id: str | int = ""


class _SecondFactor(msgspec.Struct):
    twofa_token: str = ""
    questions: list[_Question] = []


class _Data(msgspec.Struct):
    client_id: Any = None
    auth_token: Any = None
    twofa: _SecondFactor = msgspec.field(default_factory=_SecondFactor)


class _Answer(msgspec.Struct):
    """The envelope of everything but `/oauth2/token`. An error may have null as `data`."""

    status: Any = None
    data: _Data | None = None


T = TypeVar("T", bound=msgspec.Struct)


class PocketfulLogin(LoginFlow):
    """App key and secret lead to the browser; account and password instead need no app."""

    kind = LoginKind.REDIRECT
    fields: ClassVar[tuple[Field, ...]] = (
        Field(
            name="app_key",
            label="App key",
            help="client_id of your app on trade.pocketful.in; leave it empty to log in with your password instead",
            optional=True,
        ),
        Field(name="app_secret", label="App secret", help="shown beside the app key", secret=True, optional=True),
        Field(
            name="channel_id",
            label="Client ID",
            help="your account at Pocketful; only without an app key",
            optional=True,
        ),
        Field(
            name="channel_secret",
            label="Password",
            help="of your account; only without an app key",
            secret=True,
            optional=True,
        ),
    )
    token_fields: ClassVar[tuple[Field, ...]] = (
        Field(name="access_token", label="Access token", secret=True, remember=False),
        Field(name="client_id", label="Client ID", help="your account at Pocketful"),
    )
    default_urls = PocketfulAdapter.default_urls

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        if _is_direct(values):
            return None
        query = {
            "client_id": needed(values, "app_key"),
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": _SCOPE,
            "state": _state(values, redirect_uri),
        }
        return f"{self.urls['api']}/oauth2/auth?{urlencode(query, quote_via=quote)}"

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        if _is_direct(values):
            found = await self._log_in_directly(values, http)
        else:
            found = await self._take_code(values, callback, redirect_uri, http)
        return Credentials(found, next_ist(_EXPIRY_HOUR, 0, now))

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        given = {**values, "access_token": without_bearer(values.get("access_token", ""))}
        token = header_word(given, "access_token", "access token")
        account = header_word(given, "client_id", "client ID")
        return Credentials({"client_id": account, "access_token": token}, next_ist(_EXPIRY_HOUR, 0, now))

    # -- flow A: the browser -----------------------------------------------------------------------------

    async def _take_code(
        self, values: Mapping[str, str], callback: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient
    ) -> dict[str, str]:
        key, secret = needed(values, "app_key"), needed(values, "app_secret")
        if refusal := callback.get("error", "").strip():
            _refused_in_the_browser(refusal)
        code = callback.get("code", "").strip()
        if not code:
            raise LoginFailed("Pocketful did not confirm the login in the browser: start the login again")
        if not is_same_login(callback.get("state", ""), _state(values, redirect_uri)):
            raise LoginFailed("the answer in the browser belongs to another login: start the login again")
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        url = f"{self.urls['api']}/oauth2/token"
        bought = await _asked(http, "POST", url, _Token, _APP_ADVICE, data=form, auth=(key, secret))
        token = _word(bought.access_token)
        url = f"{self.urls['api']}/api/v1/user/trading_info"
        headers = {"Authorization": f"Bearer {token}"}
        info = await _asked(http, "GET", url, _Answer, _APP_ADVICE, headers=headers)
        return {"client_id": _word(_good(info, _APP_ADVICE).client_id), "access_token": token}

    # -- flow B: password and second factor --------------------------------------------------------------

    async def _log_in_directly(self, values: Mapping[str, str], http: httpx.AsyncClient) -> dict[str, str]:
        account = header_word(values, "channel_id", "client ID")
        password = needed(values, "channel_secret", "password")
        if not values.get("twofa_token"):
            body = {"channel_id": account, "channel_secret": password}
            data = await self._direct(http, "login", body, "check client ID and password, then log in again")
            half = data.twofa
            if not half.twofa_token or not half.questions:
                raise LoginFailed("Pocketful's answer names no second factor: log in again")
            question = str(half.questions[0].question_id)
            raise AnswerWanted(
                "Pocketful has taken the password and asks for the second factor",
                _second_factor(question),
                {"twofa_token": half.twofa_token, "question_id": question},
            )
        question = values.get("question_id", "")
        answer = needed(values, "answer", _second_factor(question).label)
        body_of_answer = {
            "login_id": account,
            "twofa": [{"question_id": question, "answer": answer}],
            "twofa_token": values["twofa_token"],
            "type": "TOTP" if question == _TOTP_QUESTION else "PIN",
            "device_type": "web",
        }
        advice = f"check the {_second_factor(question).label}, then log in again"
        data = await self._direct(http, "twofa", body_of_answer, advice)
        return {"client_id": account, "access_token": _word(data.auth_token), "flow": DIRECT}

    async def _direct(self, http: httpx.AsyncClient, step: str, body: Mapping[str, Any], advice: str) -> _Data:
        url = f"{self.urls['direct_api']}/api/v3/user/{step}"
        return _good(await _asked(http, "POST", url, _Answer, advice, json=body, headers=_DIRECT_HEADERS), advice)


async def _asked(http: httpx.AsyncClient, method: str, url: str, shape: type[T], advice: str, **request: Any) -> T:
    """Pocketful's answer; its own words stay out of errors, since they may repeat what was sent."""
    response = await ask(http, "Pocketful", method, url, **request)
    if response.is_success:
        return read_answer(response, shape)
    raise LoginFailed(
        trouble("Pocketful", response.status_code)
        or f"Pocketful refused the login (HTTP {response.status_code}): {advice}"
    )


def _good(answer: _Answer, advice: str) -> _Data:
    """What an answer brings; a refusal may come with HTTP 200."""
    if not isinstance(answer.status, str):
        raise LoginFailed("Pocketful's answer is not the documented one: log in again")
    if answer.status.lower() != "success":
        raise LoginFailed(f"Pocketful refused the login: {advice}")
    return answer.data or _Data()


def _word(value: object) -> str:
    """A token or an account of an answer."""
    if isinstance(value, str) and is_header_word(value):
        return value
    raise LoginFailed("Pocketful's answer is not the documented one: log in again")


def _refused_in_the_browser(error: str) -> NoReturn:
    """What OAuth's `error` of the redirect means."""
    if error == "access_denied":
        raise LoginFailed("the login was declined in the browser: start it again and agree")
    raise LoginFailed(
        "Pocketful refused the login in the browser: check the app key and that the redirect URL of your app is the "
        "one that the login told, then start it again"
    )


def _second_factor(question: str) -> Field:
    label = "TOTP code" if question == _TOTP_QUESTION else "PIN"
    return Field(name="answer", label=label, help="of your Pocketful login", secret=True, remember=False)


def _is_direct(values: Mapping[str, str]) -> bool:
    return not values.get("app_key", "").strip() and bool(values.get("channel_id", "").strip())


def _state(values: Mapping[str, str], redirect_uri: str) -> str:
    return login_state(needed(values, "app_key"), needed(values, "app_secret"), redirect_uri)
