"""Nubra's login: phone, one-time password and MPIN, or an API key (specification section 2).

The one-time password is a TOTP (the specification's way A) or comes by SMS in the middle of the login (way B).
`Credentials.values` has `session_token` and the `device_id` that belongs to it.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx

from tickmux.broker._jwt import stated_end
from tickmux.broker._login_http import ask, trouble
from tickmux.broker._login_values import (
    SMS_CODE,
    TOTP_OR_SMS_CODE,
    TOTP_SECRET,
    has_totp,
    is_header_word,
    one_time_code,
    sms_code,
    without_bearer,
)
from tickmux.broker._rest_answers import read_object
from tickmux.broker.nubra.rest import request_headers
from tickmux.codec import Credentials
from tickmux.login import AnswerWanted, Field, LoginFailed, LoginFlow, LoginKind

_TEMPORARY = "temporary_token"
_LAST_MOMENT = 1e11
"""Seconds; a time beyond it is meant otherwise."""


class NubraLogin(LoginFlow):
    """No browser: an API key alone makes a session, else phone number, one-time password and MPIN do."""

    kind = LoginKind.TOTP
    fields = (
        Field(
            name="api_key",
            label="API key",
            help="if you have one; then nothing else is needed",
            secret=True,
            optional=True,
        ),
        Field(name="phone", label="Phone number", help="the registered one, digits only", optional=True),
        Field(name="mpin", label="MPIN", help="that of the Nubra app", secret=True, optional=True),
        TOTP_SECRET,
        TOTP_OR_SMS_CODE,
    )
    token_fields = (
        Field(name="session_token", label="Session token", help="of a login elsewhere", secret=True, remember=False),
        Field(name="device_id", label="Device id", help="the one of that login", optional=True),
    )
    default_urls = {"api": "https://api.nubra.io"}

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        api_key = values.get("api_key", "").strip()
        if api_key:
            device = _device_id(api_key)
            answer = await self._post(http, "/api-keys/login", {"api_key": api_key}, request_headers(device))
            return _session(answer, _word(answer.get("device_id")) or device)
        phone = "".join(values.get("phone", "").split()).removeprefix("+91")
        if not (phone.isascii() and phone.isdigit()):
            raise LoginFailed(
                "the phone number is missing: digits only" if not phone else "a phone number has digits only"
            )
        mpin = values.get("mpin", "").strip()
        if not mpin:
            raise LoginFailed("the MPIN is missing")
        device = _device_id(phone)
        if has_totp(values):
            answer = await self._show_totp(http, phone, one_time_code(values, now), device)
        elif temporary := values.get(_TEMPORARY, ""):
            body, header = {"phone": phone, "otp": sms_code(values)}, {"x-temp-token": temporary}
            answer = await self._post(http, "/verifyphoneotp", body, request_headers(device) | header)
        else:
            temporary = await self._send_sms(http, phone)
            raise AnswerWanted(
                "Nubra has sent a code to your phone, which is good for 30 seconds only",
                SMS_CODE,
                {_TEMPORARY: temporary},
            )
        half_way = _word(answer.get("auth_token"))
        if not half_way:
            raise LoginFailed("Nubra's answer to the one-time password holds no token: log in again")
        headers = request_headers(device, half_way)
        return _session(await self._post(http, "/verifypin", {"pin": mpin}, headers), device)

    async def _send_sms(self, http: httpx.AsyncClient, phone: str) -> str:
        """Makes Nubra send a code, and gives the token that belongs to it. Who has TOTP is asked for that first."""
        headers: dict[str, str] = {}
        for skip_totp in (False, True):
            body = {"phone": phone, "flow": "", "skip_totp": skip_totp}
            answer = await self._post(http, "/sendphoneotp", body, headers)
            temporary = _word(answer.get("temp_token"))
            if not temporary:
                break
            if skip_totp or answer.get("next") != "VERIFY_TOTP":
                return temporary
            headers = {"x-temp-token": temporary}
        raise LoginFailed("Nubra has not sent a code by SMS: log in again, or use TOTP")

    async def _show_totp(self, http: httpx.AsyncClient, phone: str, code: str, device: str) -> Mapping[str, Any]:
        """The code goes as a number; one that begins with 0 may be refused so, and then goes as text."""
        body = {"phone": phone, "totp": int(code), "otp": ""}
        try:
            return await self._post(http, "/totp/login", body, request_headers(device))
        except _Refused:
            if code[0] != "0":
                raise
        return await self._post(http, "/totp/login", {**body, "totp": code}, request_headers(device))

    async def _post(
        self, http: httpx.AsyncClient, path: str, body: Mapping[str, object], headers: Mapping[str, str]
    ) -> Mapping[str, Any]:
        """The answer's JSON object; raises LoginFailed for a refusal."""
        response = await ask(http, "Nubra", "POST", f"{self.urls['api']}{path}", json=body, headers=headers)
        if not response.is_success:
            raise _Refused(_advice(path, response.status_code))
        return read_object(response.content)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        token = without_bearer(values.get("session_token", ""))
        if not token:
            raise LoginFailed("the session token is missing")
        device = values.get("device_id", "").strip() or _device_id("")
        if not is_header_word(token) or not is_header_word(device):
            raise LoginFailed("this is no session token with its device id: copy them again, without spaces")
        expires_at = _stated_expiry(token)
        if expires_at is not None and expires_at <= now.timestamp():
            raise LoginFailed("this session token has ended: log in again")
        return Credentials({"session_token": token, "device_id": device}, expires_at)


class _Refused(LoginFailed):
    """The broker answered, and refused."""


def _session(answer: Mapping[str, Any], device: str) -> Credentials:
    data = answer.get("data")
    token = _word(answer.get("session_token") or (data.get("token") if isinstance(data, dict) else None))
    if not token:
        raise LoginFailed("Nubra's answer holds no session token: log in again")
    return Credentials({"session_token": token, "device_id": device}, _stated_expiry(token))


def _device_id(owner: str) -> str:
    """The same for the same account, so that a login does not look like a new device every day."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"tickmux:nubra:{owner}"))


def _word(value: object) -> str:
    """What can travel as a header, or as one word of a command; empty for anything else."""
    return value if isinstance(value, str) and is_header_word(value) else ""


def _stated_expiry(token: str) -> float | None:
    """When a token ends by its own words. None where it does not say, or says what is no time of this age."""
    end = stated_end(token) or 0.0
    return end if 0 < end < _LAST_MOMENT else None


_CHECKS = {
    "/totp/login": "check the phone number, the TOTP secret and this computer's clock, wait for the next code",
    "/sendphoneotp": "check the phone number",
    "/verifypin": "check the MPIN",
    "/api-keys/login": "check the API key",
}


def _advice(path: str, status: int) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    if advice := trouble("Nubra", status):
        return advice
    if path == "/verifyphoneotp":
        return f"Nubra did not accept the code by SMS (HTTP {status}): log in again, and be quick with the new one"
    return f"Nubra refused the login (HTTP {status}): {_CHECKS[path]}, then log in again"
