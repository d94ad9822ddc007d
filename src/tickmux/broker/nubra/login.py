"""Nubra's login: phone, one-time password and MPIN, or an API key (specification section 2, ways A and C).

`Credentials.values` has `session_token` and the `device_id` that belongs to it. A login by SMS is not built: its
code is sent in the middle of the login and lives for 30 seconds.
"""

import base64
import binascii
import uuid
from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any

import httpx
import pyotp

from tickmux.broker._login_http import ask
from tickmux.broker.nubra.rest import is_header_text, parse_answer, request_headers
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind


class NubraLogin(LoginFlow):
    """Without a browser: with an API key alone if one is given, else with phone number, TOTP and MPIN."""

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
        Field(
            name="totp_secret",
            label="TOTP secret",
            help="shown when TOTP was enabled; empty to type codes instead",
            secret=True,
            optional=True,
        ),
        Field(
            name="totp",
            label="TOTP code",
            help="6 digits of your authenticator; leave empty if the TOTP secret is stored",
            secret=True,
            remember=False,
            optional=True,
        ),
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
            answer = await self._post(http, "/api-keys/login", {"api_key": api_key}, device)
            stated = answer.get("device_id")
            return _session(answer, stated if isinstance(stated, str) and is_header_text(stated) else device)
        phone = "".join(values.get("phone", "").split()).removeprefix("+91")
        if not (phone.isascii() and phone.isdigit()):
            raise LoginFailed(
                "the phone number is missing: digits only" if not phone else "a phone number has digits only"
            )
        mpin = values.get("mpin", "").strip()
        if not mpin:
            raise LoginFailed("the MPIN is missing")
        code = _one_time_code(values, now)
        device = _device_id(phone)
        answer = await self._send_code(http, phone, code, device)
        half_way = answer.get("auth_token")
        if not isinstance(half_way, str) or not is_header_text(half_way):
            raise LoginFailed("Nubra's answer to the TOTP holds no token: log in again")
        return _session(await self._post(http, "/verifypin", {"pin": mpin}, device, half_way), device)

    async def _send_code(self, http: httpx.AsyncClient, phone: str, code: str, device: str) -> Mapping[str, Any]:
        """The code goes as a number; one that begins with 0 may be refused so, and then goes as text."""
        body = {"phone": phone, "totp": int(code), "otp": ""}
        try:
            return await self._post(http, "/totp/login", body, device)
        except _Refused:
            if code[0] != "0":
                raise
        return await self._post(http, "/totp/login", {**body, "totp": code}, device)

    async def _post(
        self, http: httpx.AsyncClient, path: str, body: Mapping[str, object], device: str, bearer: str = ""
    ) -> Mapping[str, Any]:
        """The answer's JSON object; raises LoginFailed for a refusal."""
        response = await ask(
            http, "Nubra", "POST", f"{self.urls['api']}{path}", json=body, headers=request_headers(device, bearer)
        )
        if not response.is_success:
            raise _Refused(_advice(path, response.status_code))
        return parse_answer(response.content)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        words = values.get("session_token", "").split()
        token = " ".join(words[1:] if words and words[0].lower() == "bearer" else words)
        if not token:
            raise LoginFailed("the session token is missing")
        device = values.get("device_id", "").strip() or _device_id("")
        if not is_header_text(token) or not is_header_text(device):
            raise LoginFailed("this is no session token with its device id: copy them again, without spaces")
        expires_at = _stated_expiry(token)
        if expires_at is not None and expires_at <= now.timestamp():
            raise LoginFailed("this session token has ended: log in again")
        return Credentials({"session_token": token, "device_id": device}, expires_at)


class _Refused(LoginFailed):
    """The broker answered, and refused."""


def _session(answer: Mapping[str, Any], device: str) -> Credentials:
    data = answer.get("data")
    token = answer.get("session_token") or (data.get("token") if isinstance(data, dict) else None)
    if not isinstance(token, str) or not is_header_text(token):
        raise LoginFailed("Nubra's answer holds no session token: log in again")
    return Credentials({"session_token": token, "device_id": device}, _stated_expiry(token))


def _device_id(owner: str) -> str:
    """The same for the same account, so that a login does not look like a new device every day."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"tickmux:nubra:{owner}"))


def _one_time_code(values: Mapping[str, str], now: datetime) -> str:
    """The code that was typed, else the one that the stored secret makes now."""
    typed, secret = ("".join(values.get(name, "").split()) for name in ("totp", "totp_secret"))
    if typed:
        if len(typed) != 6 or not (typed.isascii() and typed.isdigit()):
            raise LoginFailed("a TOTP code has 6 digits")
        return typed
    if not secret:
        raise LoginFailed("the TOTP code is missing: type it, or store the TOTP secret")
    try:
        return pyotp.TOTP(secret.replace("-", "").upper().rstrip("=")).at(now)
    except (binascii.Error, ValueError):
        raise LoginFailed(
            "the TOTP secret is not one: it is the text beside the QR code (letters and the digits 2 to 7), "
            "not a 6-digit code"
        ) from None


def _stated_expiry(token: str) -> float | None:
    """When a token ends by its own words: it is a JWT. None where it cannot be read."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = parse_answer(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    expiry = claims.get("exp")
    if isinstance(expiry, bool) or not isinstance(expiry, int | float) or not isfinite(expiry):
        return None
    return float(expiry) if 0 < expiry < 1e11 else None


_CHECKS = {
    "/totp/login": "check the phone number, the TOTP secret and this computer's clock, wait for the next code",
    "/verifypin": "check the MPIN",
    "/api-keys/login": "check the API key",
}


def _advice(path: str, status: int) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    if status == 429:
        return "Nubra is refusing logins for now (too many requests): wait a minute, then log in again"
    if status >= 500:
        return f"Nubra has a problem of its own (HTTP {status}): try again in a few minutes"
    return f"Nubra refused the login (HTTP {status}): {_CHECKS[path]}, then log in again"
