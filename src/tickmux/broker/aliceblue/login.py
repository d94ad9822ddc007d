"""Alice Blue's login: the browser gives a code, which buys the user session, a JWT (specification section 2)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import msgspec

from tickmux.broker._jwt import read_claims, stated_end
from tickmux.broker._login_values import is_header_word, needed, without_bearer
from tickmux.broker._noren.login import Answer, NorenLogin, ask, sha256, succeeded, text_of
from tickmux.broker.aliceblue.streaming.aliceblue_adapter import AliceBlueAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed


class _Claims(msgspec.Struct):
    ucc: Any = None


class AliceBlueLogin(NorenLogin):
    broker = "Alice Blue"
    fields = (
        Field(name="app_code", label="App code", help="of your app at Alice Blue's developer page"),
        Field(name="api_secret", label="API secret", help="shown beside the app code", secret=True),
    )
    token_fields = (
        Field(
            name="token", label="User session", help="userSession of a login elsewhere", secret=True, remember=False
        ),
        Field(name="user_id", label="Client id", help="leave empty if the session names it", optional=True),
    )
    default_urls = AliceBlueAdapter.default_urls

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        query = urlencode({"appcode": needed(values, "app_code", "app code")}, quote_via=quote, safe="")
        return f"{self.urls['login']}?{query}"

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        secret = needed(values, "api_secret", "API secret")
        code, user = callback.get("authCode", "").strip(), callback.get("userId", "").strip()
        if not code or not user:
            raise LoginFailed("Alice Blue did not confirm the login in the browser: start the login again")
        url = f"{self.urls['api']}/vendor/getUserDetails"
        answer = await ask(http, self.broker, "POST", url, json={"checkSum": sha256(user + code + secret)})
        token = text_of(answer, "userSession") or text_of(_first(answer.get("result")), "accessToken", "userSession")
        if not succeeded(answer) or not token:
            raise LoginFailed(
                "Alice Blue refused the login, whose code is good for one use: check the API secret and that the API "
                "key has not expired, then log in again"
            )
        return self._session(token, text_of(answer, "clientId") or _account(token) or user, now)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        token = without_bearer(needed(values, "token", "user session"))
        if not is_header_word(token):
            raise LoginFailed("this is no user session: copy it again, without spaces and line breaks")
        user = values.get("user_id", "").strip() or _account(token)
        pasted = super().from_token({"user_id": user, "token": token}, now)
        return self._session(token, pasted["user_id"], now)

    def _session(self, token: str, user: str, now: datetime) -> Credentials:
        """Until the JWT's claim says; it may die earlier, which only a refusal tells."""
        end = stated_end(token) or 0.0
        ends_at = end if now.timestamp() < end < 1e11 else None
        return Credentials({"user_id": user.upper(), "token": token}, ends_at)


def _first(result: object) -> Answer:
    return result[0] if isinstance(result, list) and result and isinstance(result[0], dict) else {}


def _account(token: str) -> str:
    """The client id that a session names; empty where it names none."""
    claims = read_claims(token, _Claims)
    return text_of({"ucc": claims.ucc}, "ucc") if claims else ""
