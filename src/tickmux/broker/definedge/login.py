"""Definedge's login: a code is sent, then exchanged for two tokens (specification section 2).

`Credentials.values` has `user_id`, `token` (the feed's susertoken) and `api_session_key` (REST).
"""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

import httpx

from tickmux.broker._login_values import (
    SMS_CODE,
    TOTP_OR_SMS_CODE,
    TOTP_SECRET,
    has_totp,
    header_word,
    needed,
    one_time_code,
    sms_code,
)
from tickmux.broker._noren.login import NorenLogin, ask, sha256, succeeded, text_of
from tickmux.broker.definedge.streaming.definedge_adapter import DefinedgeAdapter
from tickmux.codec import Credentials
from tickmux.login import AnswerWanted, Field, LoginFailed, LoginKind

_OTP_TOKEN = "otp_token"  # noqa: S105 - its name


class DefinedgeLogin(NorenLogin):
    """No browser: an authenticator's code is good for the one that Definedge sends; without one, the user is asked
    for what has come by SMS and e-mail."""

    kind = LoginKind.TOTP
    broker = "Definedge"
    fields = (
        Field(
            name="api_token", label="API token", help="of your Integrate API page; changes with the login password"
        ),
        Field(name="api_secret", label="API secret", help="shown beside the API token", secret=True),
        TOTP_SECRET,
        TOTP_OR_SMS_CODE,
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
        api_token, secret = needed(values, "api_token", "API token"), header_word(values, "api_secret", "API secret")
        if otp_token := values.get(_OTP_TOKEN, ""):
            otp = sms_code(values)
        else:
            otp = one_time_code(values, now) if has_totp(values) else ""
            otp_token = await self._announced(http, api_token, secret)
            if not otp:
                raise AnswerWanted(
                    "Definedge has sent a code to the account's mobile number and e-mail address",
                    SMS_CODE,
                    {_OTP_TOKEN: otp_token},
                )
        body = {_OTP_TOKEN: otp_token, "otp": otp, "ac": sha256(otp_token + otp + secret)}
        answer = await ask(http, self.broker, "POST", f"{self.urls['auth']}/token", json=body)
        user, token = text_of(answer, "uid", "actid"), text_of(answer, "susertoken")
        if not succeeded(answer) or not user or not token:
            raise LoginFailed(
                "Definedge did not accept the code: log in again with a new one, and set this computer's clock if it "
                "is refused once more"
            )
        found = {"user_id": user.upper(), "token": token, "api_session_key": text_of(answer, "api_session_key")}
        return self.session(found, now)

    async def _announced(self, http: httpx.AsyncClient, api_token: str, secret: str) -> str:
        """Has a code sent; gives the name of this login, with which the code is to come back."""
        url = f"{self.urls['auth']}/login/{quote(api_token, safe='')}"
        asked = await ask(http, self.broker, "GET", url, headers={"api_secret": secret})
        if otp_token := text_of(asked, _OTP_TOKEN):
            return otp_token
        raise LoginFailed(
            "Definedge does not know this API token and secret (both change with the login password), or this "
            "computer's address is not registered: compare them with the Integrate API page"
        )
