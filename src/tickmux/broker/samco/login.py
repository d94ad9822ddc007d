"""Samco's login: API key and secret, or the browser, or a pasted token (specification section 2).

`Credentials.values` has `session_token`, as delivered: it may be URL-encoded.
"""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlencode

import httpx
import msgspec

from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_state import is_same_login, login_state
from tickmux.broker._login_values import is_header_word, needed
from tickmux.broker._rest_answers import read_answer
from tickmux.broker.samco.streaming.samco_adapter import SamcoAdapter
from tickmux.codec import Credentials
from tickmux.login import IST, Field, LoginFailed, LoginFlow, LoginKind

_EXPIRY_HOUR = 8  # IST, of the next day, whatever the hour of the login
_LONGEST_LIFE = timedelta(days=2)
_SCOPES = "read"  # orders are none of ours


class _Answer(msgspec.Struct):
    """`sessionToken` answers an API key, `accessToken` a code of the browser."""

    status: Any = None
    sessionToken: Any = None  # noqa: N815 - the broker's own names
    accessToken: Any = None  # noqa: N815
    validity: Any = None
    errorCode: Any = None  # noqa: N815


class SamcoLogin(LoginFlow):
    """With API key and secret there is no browser step; with the key alone there is one."""

    kind = LoginKind.REDIRECT
    fields: ClassVar[tuple[Field, ...]] = (
        Field(name="api_key", label="API key", help="of your app in Samco's developer portal"),
        Field(
            name="api_secret",
            label="API secret",
            help="shown beside the API key; leave it empty to log in with the browser instead",
            secret=True,
            optional=True,
        ),
    )
    token_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            name="session_token",
            label="Session token",
            help="`sessionToken` of the login answer",
            secret=True,
            remember=False,
        ),
    )
    default_urls = SamcoAdapter.default_urls

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        api_key = needed(values, "api_key")
        if _secret(values):
            return None
        query = {
            "api_key": api_key,
            "redirect_url": redirect_uri,
            "state": _state(api_key, redirect_uri),
            "scopes": _SCOPES,
        }
        return f"{self.urls['login']}?{urlencode(query, quote_via=quote, safe='')}"

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        api_key, secret = needed(values, "api_key"), _secret(values)
        if secret:
            answer = await self._ask(http, "/session/token", {"apiKey": api_key, "apiSecret": secret})
            token = answer.sessionToken
        else:
            code = callback.get("code", "").strip()
            if not code or not is_same_login(callback.get("state", ""), _state(api_key, redirect_uri)):
                raise LoginFailed("Samco did not confirm the login in the browser: start the login again")
            answer = await self._ask(http, "/oauth/token", {"code": code, "redirect_url": redirect_uri})
            token = answer.accessToken
        if not isinstance(token, str) or not token.strip():
            raise LoginFailed("Samco's answer holds no session token: log in again")
        session = self.from_token({"session_token": token}, now)
        return Credentials(session.values, _stated_end(answer.validity, now) or session.expires_at)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        token = needed(values, "session_token")
        if not is_header_word(unquote(token)):
            raise LoginFailed("this is no session token: copy it again, without spaces and line breaks")
        tomorrow = now.astimezone(IST).date() + timedelta(days=1)
        return Credentials({"session_token": token}, datetime.combine(tomorrow, time(_EXPIRY_HOUR), IST).timestamp())

    async def _ask(self, http: httpx.AsyncClient, path: str, body: Mapping[str, str]) -> _Answer:
        """The answer to a request for a token; raises LoginFailed for a refusal."""
        response = await ask(http, "Samco", "POST", f"{self.urls['api']}{path}", json=dict(body))
        answer = read_answer(response, _Answer)
        refused = isinstance(answer.status, str) and answer.status.lower() == "failure"
        if not response.is_success or refused or answer.errorCode:
            raise LoginFailed(_advice(response.status_code, answer.errorCode))
        return answer


def _stated_end(validity: object, now: datetime) -> float | None:
    """When the session ends by the answer's own word, in epoch seconds; None where it says nothing that can be."""
    try:
        end = datetime.fromisoformat(validity) if isinstance(validity, str) else None
    except ValueError:
        return None
    return end.timestamp() if end and end.tzinfo and now < end <= now + _LONGEST_LIFE else None


def _state(api_key: str, redirect_uri: str) -> str:
    """There is no secret in a login with the browser; the key is at least known to few."""
    return login_state("samco", api_key, redirect_uri)


def _secret(values: Mapping[str, str]) -> str:
    return values.get("api_secret", "").strip()


def _advice(status: int, code: object) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    if code == "EOAUTH001":
        return "Samco does not know the API key, or it is not active: check it in the developer portal (EOAUTH001)"
    if code == "EOAUTH008":
        return "Samco did not accept the API secret: check it in the developer portal (EOAUTH008)"
    if code == "EOAUTH009":
        return (
            "this computer's IP address is not registered for the API key (EOAUTH009): register the public address "
            "in the developer portal, then log in again"
        )
    if advice := trouble("Samco", status):
        return advice
    shown = f", {code[:20]}" if isinstance(code, str) and code.isalnum() else ""
    return (
        f"Samco refused the login (HTTP {status}{shown}): check API key, secret and the registered IP address; on "
        "weekends and holidays it may refuse good ones"
    )
