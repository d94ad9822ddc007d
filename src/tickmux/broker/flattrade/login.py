"""Flattrade's login: a browser page and a token call of its own (specification section 2)."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlencode

import httpx

from tickmux.broker._login_values import needed
from tickmux.broker._noren.login import NorenLogin, ask, sha256, succeeded, text_of
from tickmux.broker.flattrade.streaming.flattrade_adapter import FlattradeAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed


class FlattradeLogin(NorenLogin):
    """Browser login; the token is given only to a request from the registered address."""

    broker = "Flattrade"
    clear_at = (5, 0)
    fields = (
        Field(name="api_key", label="API key", help="of your app at Flattrade's Pi"),
        Field(name="api_secret", label="API secret", help="shown beside the API key", secret=True),
    )
    default_urls = FlattradeAdapter.default_urls

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        query = urlencode({"app_key": needed(values, "api_key", "API key")}, quote_via=quote, safe="")
        return f"{self.urls['login']}?{query}"

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        key, secret = needed(values, "api_key", "API key"), needed(values, "api_secret", "API secret")
        code = (callback.get("request_code") or callback.get("code") or "").strip()
        if not code:
            raise LoginFailed("Flattrade did not confirm the login in the browser: start the login again")
        body = {"api_key": key, "request_code": code, "api_secret": sha256(key + code + secret)}
        answer = await ask(http, self.broker, "POST", self.urls["token"], json=body)
        token, user = text_of(answer, "token"), text_of(answer, "client") or callback.get("client", "").strip()
        if not succeeded(answer) or not token or not user:
            raise LoginFailed(
                "Flattrade refused the login: check API key and secret, and that this computer's address is the one "
                "registered with the app, then log in again"
            )
        return self.session({"user_id": user.upper(), "token": token}, now)
