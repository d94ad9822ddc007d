"""Firstock's login: password and one-time code, no browser (specification section 2).

`Credentials.values` has `user_id` and `token`, the jKey of feed and REST.
"""

from collections.abc import Mapping
from datetime import datetime

import httpx

from tickmux.broker._login_values import TOTP_CODE, TOTP_SECRET, needed, one_time_code
from tickmux.broker._noren.login import NorenLogin, ask, sha256, text_of
from tickmux.broker.firstock.streaming.firstock_adapter import FirstockAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginKind

_VENDOR_SUFFIX = "_API"
_ADVICE = {
    "password": "Firstock did not accept the password: check it, since repeated failures may lock the account",
    "totp": "Firstock did not accept the one-time code: try again with a new one, and set this computer's clock",
    "key": "Firstock did not accept the API key: copy it again; a key is valid for 365 days",
    "vendor": "Firstock does not know this client code as an API user: check it, and that API access is switched on",
    "user": "Firstock does not know this client code: check it",
}
"""A word of the error's name or field -> what to do."""


class FirstockLogin(NorenLogin):
    kind = LoginKind.TOTP
    broker = "Firstock"
    fields = (
        Field(name="user_id", label="Client code", help="such as AB1234"),
        Field(name="password", label="Password", help="of your Firstock account", secret=True),
        Field(name="api_key", label="API key", help="of your Firstock API subscription", secret=True),
        TOTP_SECRET,
        TOTP_CODE,
    )
    token_fields = (
        Field(name="user_id", label="Client code", help="such as AB1234"),
        Field(name="token", label="jKey", help="susertoken of a login elsewhere", secret=True, remember=False),
    )
    default_urls = FirstockAdapter.default_urls

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        user = needed(values, "user_id", "client code").upper().removesuffix(_VENDOR_SUFFIX)
        password, api_key = values.get("password", ""), needed(values, "api_key", "API key")
        if not password:
            raise LoginFailed("the password is missing")
        body = {
            "userId": user,
            "password": sha256(password),
            "TOTP": one_time_code(values, now),
            "vendorCode": f"{user}{_VENDOR_SUFFIX}",
            "apiKey": api_key,
        }
        answer = await ask(http, self.broker, "POST", f"{self.urls['api']}/login", json=body)
        data = answer.get("data")
        token = text_of(data, "susertoken") if isinstance(data, dict) else ""
        if text_of(answer, "status").lower() != "success" or not token:
            raise LoginFailed(_advice(answer))
        return self.session({"user_id": user, "token": token}, now)


def _advice(answer: Mapping[str, object]) -> str:
    error = answer.get("error")
    field = text_of(error, "field") if isinstance(error, dict) else ""
    said = f"{text_of(answer, 'name')} {field}".lower()
    return next(
        (advice for word, advice in _ADVICE.items() if word in said),
        "Firstock refused the login: check client code, password, API key and code",
    )
