"""Definedge's login: an OTP is announced, then exchanged for two tokens (specification section 2).

`Credentials.values` has `user_id`, `token` (the feed's susertoken) and `api_session_key` (REST).
"""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

import httpx

from tickmux.broker._login_values import needed
from tickmux.broker._noren.login import TOTP_FIELDS, NorenLogin, ask, one_time_code, sha256, succeeded, text_of
from tickmux.broker.definedge.streaming.definedge_adapter import DefinedgeAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginKind


class DefinedgeLogin(NorenLogin):
    """No browser: the code of an authenticator app answers the OTP question."""

    kind = LoginKind.TOTP
    broker = "Definedge"
    fields = (
        Field(
            name="api_token", label="API token", help="of your Integrate API page; changes with the login password"
        ),
        Field(name="api_secret", label="API secret", help="shown beside the API token", secret=True),
        *TOTP_FIELDS,
    )
    token_fields = (
        Field(name="user_id", label="User id", help="your client code, such as 1272808"),
        Field(name="token", label="susertoken", help="of a login elsewhere", secret=True, remember=False),
    )
    default_urls = DefinedgeAdapter.default_urls

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        api_token, secret = needed(values, "api_token", "API token"), needed(values, "api_secret", "API secret")
        otp = one_time_code(values, self.broker, now)
        asked = await ask(
            http,
            self.broker,
            "GET",
            f"{self.urls['auth']}/login/{quote(api_token, safe='')}",
            headers={"api_secret": secret},
        )
        otp_token = text_of(asked, "otp_token")
        if not otp_token:
            raise LoginFailed(
                "Definedge does not know this API token and secret (both change with the login password), or this "
                "computer's address is not registered: compare them with the Integrate API page"
            )
        body = {"otp_token": otp_token, "otp": otp, "ac": sha256(otp_token + otp + secret)}
        answer = await ask(http, self.broker, "POST", f"{self.urls['auth']}/token", json=body)
        user, token = text_of(answer, "uid", "actid"), text_of(answer, "susertoken")
        if not succeeded(answer) or not user or not token:
            raise LoginFailed(
                "Definedge did not accept the code: log in again with a new one, and set this computer's clock if it "
                "is refused once more"
            )
        found = {"user_id": user.upper(), "token": token, "api_session_key": text_of(answer, "api_session_key")}
        return self.session(found, now)
