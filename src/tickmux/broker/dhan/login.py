"""Dhan's login: an API key and the browser, or PIN and one-time password, or a pasted token (section 2).

`Credentials.values` has `client_id` and `access_token`. Every token is valid for 24 hours.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from tickmux.broker._jwt import stated_end
from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_values import TOTP_CODE, TOTP_SECRET, has_totp, one_time_code
from tickmux.broker._rest_answers import read_answer
from tickmux.broker.dhan.streaming.dhan_adapter import DhanAdapter, client_number
from tickmux.codec import Credentials
from tickmux.login import IST, Field, LoginFailed, LoginFlow, LoginKind

_TOKEN_LIFE = timedelta(hours=24)


class _Answer(msgspec.Struct):
    """What the authentication host answers, to whichever request. `expiryTime` is ISO, Indian time."""

    accessToken: str | None = None  # noqa: N815 - the broker's own names
    dhanClientId: str | int | None = None  # noqa: N815
    expiryTime: str | None = None  # noqa: N815
    consentAppId: str | None = None  # noqa: N815
    errorCode: str | None = None  # noqa: N815
    errorMessage: str | None = None  # noqa: N815
    message: str | None = None


class DhanLogin(LoginFlow):
    """With PIN and one-time password there is no browser step; with an API key there is one."""

    kind = LoginKind.REDIRECT
    fields: ClassVar[tuple[Field, ...]] = (
        Field(name="client_id", label="Client id", help="10 digits; client_id:::api_key is understood, too"),
        Field(name="api_key", label="API key", help="to log in with the browser", optional=True),
        Field(name="api_secret", label="API secret", help="shown beside the API key", secret=True, optional=True),
        Field(name="pin", label="PIN", help="6 digits, to log in without a browser", secret=True, optional=True),
        TOTP_SECRET,
        TOTP_CODE,
    )
    token_fields: ClassVar[tuple[Field, ...]] = (
        Field(name="access_token", label="Access token", help="made on web.dhan.co", secret=True, remember=False),
        Field(name="client_id", label="Client id", help="10 digits"),
    )
    default_urls = DhanAdapter.default_urls

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        client_id = _client_id(values)
        if _has_totp(values):
            return None
        headers = _app_headers(values)
        url = f"{self.urls['auth']}/app/generate-consent"
        answer = await _ask(http, "POST", url, {"client_id": client_id}, headers)
        if not answer.consentAppId:
            raise LoginFailed("Dhan's answer holds no consent id: log in again")
        consent = urlencode({"consentAppId": answer.consentAppId}, quote_via=quote)
        return f"{self.urls['auth']}/login/consentApp-login?{consent}"

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        client_id = _client_id(values)
        if _has_totp(values):
            query = {"dhanClientId": client_id, "pin": values["pin"].strip(), "totp": one_time_code(values, now)}
            answer = await _ask(http, "POST", f"{self.urls['auth']}/app/generateAccessToken", query, {})
        else:
            headers = _app_headers(values)
            token_id = callback.get("tokenId", "").strip()
            if not token_id:
                raise LoginFailed("Dhan did not confirm the login in the browser: start the login again")
            url = f"{self.urls['auth']}/app/consumeApp-consent"
            answer = await _ask(http, "GET", url, {"tokenId": token_id}, headers, second_method="POST")
        if not answer.accessToken:
            raise LoginFailed(_advice(200, answer))
        # Dhan's page brings no `state` back; the account is what ties the answer to the login that was begun.
        if answer.dhanClientId and str(answer.dhanClientId) != client_id:
            raise LoginFailed(
                f"Dhan's answer is of another account than {client_id}: start the login again, as the client "
                "whose id you give"
            )
        return Credentials(
            {"client_id": client_id, "access_token": answer.accessToken}, _expiry(answer.expiryTime, now)
        )

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        token = values.get("access_token", "").strip()
        if not token or any(char.isspace() for char in token):
            raise LoginFailed("this is no access token: copy it again from web.dhan.co, without spaces")
        expires_at = stated_end(token) or (now + _TOKEN_LIFE).timestamp()
        if expires_at <= now.timestamp():
            raise LoginFailed("this access token has expired (they live 24 hours): make a new one on web.dhan.co")
        return Credentials({"client_id": _client_id(values), "access_token": token}, expires_at)


# -- what the user has given -----------------------------------------------------------------------------


def _client_id(values: Mapping[str, str]) -> str:
    client_id = client_number(values.get("client_id", ""))
    if not client_id:
        raise LoginFailed("the client id is missing: it is shown in your profile on web.dhan.co")
    if not client_id.isalnum():
        raise LoginFailed("this is no client id: it has 10 digits and is shown in your profile on web.dhan.co")
    return client_id


def _has_totp(values: Mapping[str, str]) -> bool:
    return bool(values.get("pin", "").strip()) and has_totp(values)


def _app_headers(values: Mapping[str, str]) -> dict[str, str]:
    _, _, combined = values.get("client_id", "").partition(":::")
    key, secret = values.get("api_key", "").strip() or combined.strip(), values.get("api_secret", "").strip()
    if not key or not secret:
        raise LoginFailed("give API key and API secret to log in with the browser, or PIN and TOTP without one")
    if not (key.isascii() and secret.isascii() and key.isprintable() and secret.isprintable()):
        raise LoginFailed("API key and API secret have letters and digits only: copy them again from web.dhan.co")
    return {"app_id": key, "app_secret": secret}


# -- what Dhan answers -----------------------------------------------------------------------------------


async def _ask(
    http: httpx.AsyncClient,
    method: str,
    url: str,
    query: Mapping[str, str],
    headers: Mapping[str, str],
    second_method: str = "",
) -> _Answer:
    """The answer to a request without a body; `second_method` is tried where `method` is not allowed."""
    response = await ask(http, "Dhan", method, url, params=query, headers=headers)
    if response.status_code == 405 and second_method:
        response = await ask(http, "Dhan", second_method, url, params=query, headers=headers)
    answer = read_answer(response, _Answer)
    if not response.is_success:
        raise LoginFailed(_advice(response.status_code, answer))
    return answer


def _advice(status: int, answer: _Answer) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    words = f"{answer.errorMessage or ''} {answer.message or ''}".lower()
    code = answer.errorCode or ""
    if status == 429 or code == "DH-904":
        return "Dhan refuses logins for now: it allows 25 consents a day and few tries a minute; try again later"
    if advice := trouble("Dhan", status):
        return advice
    if "totp" in words or "otp" in words:
        return "Dhan did not accept the one-time password: check the TOTP secret and this computer's clock"
    if "pin" in words.split():
        return "Dhan did not accept the PIN: check it, then log in again"
    if code == "DH-902":
        return "Dhan gives this client no access to its APIs: subscribe to them on web.dhan.co, then log in again"
    if code == "DH-901" or status in (401, 403):
        return "Dhan refused the login: check client id, API key and API secret (they live 12 months), or the PIN"
    if status == 200:
        return "Dhan's answer holds no access token: check client id, PIN and keys, then log in again"
    return f"Dhan refused the login (HTTP {status}): check client id, API key and API secret"


def _expiry(stated: str | None, now: datetime) -> float:
    """The expiry that Dhan states, where it makes sense; else 24 hours from now."""
    latest = now + _TOKEN_LIFE
    try:
        expiry = datetime.fromisoformat((stated or "").strip())
    except ValueError:
        return latest.timestamp()
    if expiry.tzinfo is None:
        expiry = expiry.replace(tzinfo=IST)
    return min(expiry, latest).timestamp() if expiry > now else latest.timestamp()
