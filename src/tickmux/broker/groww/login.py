"""Groww's login: an API key with a one-time password, or with the secret of a key approved today (section 2).

`Credentials.values` has `access_token`. No browser step: the daily approval of a key with a secret is a click on
Groww's own page.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx

from tickmux.broker._login_http import ask
from tickmux.broker._login_values import (
    TOTP_CODE,
    has_totp,
    header_word,
    is_header_word,
    one_time_code,
    without_bearer,
)
from tickmux.broker.groww.rest import NOT_AUTHORISED, error_code, parse_answer, request_headers
from tickmux.codec import Credentials
from tickmux.login import IST, Field, LoginFailed, LoginFlow, LoginKind, next_ist

_EXPIRY = (6, 0)
"""IST; every access token ends then."""
_PAGE = "groww.in/trade-api/api-keys"


class GrowwLogin(LoginFlow):
    """Without a browser: the TOTP way where there is a code or its secret, else the approval way (`api_secret`)."""

    kind = LoginKind.TOTP
    fields = (
        Field(name="api_key", label="API key", help=f"or TOTP token, of {_PAGE}", secret=True),
        Field(
            name="totp_secret",
            label="TOTP secret",
            help="shown with a key of the TOTP kind; empty to type codes instead, or with an API secret",
            secret=True,
            optional=True,
        ),
        TOTP_CODE,
        Field(
            name="api_secret",
            label="API secret",
            help="only for a key of the other kind, which you approve on that page every day",
            secret=True,
            optional=True,
        ),
    )
    token_fields = (
        Field(
            name="access_token",
            label="Access token",
            help=f"of {_PAGE}, or of a login elsewhere",
            secret=True,
            remember=False,
        ),
    )
    default_urls = {"token": "https://api.groww.in/v1/token/api/access"}

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        api_key = header_word(values, "api_key", "API key")
        body = _proof(values, now)
        response = await ask(http, "Groww", "POST", self.urls["token"], json=body, headers=request_headers(api_key))
        answer = parse_answer(response.content)
        if not response.is_success or answer.get("status") == "FAILURE":
            raise LoginFailed(_advice(response.status_code, error_code(answer), approval="checksum" in body))
        if answer.get("isActive") is False:
            raise LoginFailed(
                f"Groww says that the session is not active: approve the key on {_PAGE}, then log in again"
            )
        token = answer.get("token")
        if not isinstance(token, str) or not is_header_word(token):
            raise LoginFailed("Groww's answer holds no access token: log in again")
        return Credentials({"access_token": token}, _expiry(answer.get("expiry"), now))

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        pasted = {"access_token": without_bearer(values.get("access_token", ""))}
        return Credentials(
            {"access_token": header_word(pasted, "access_token", "access token")}, next_ist(*_EXPIRY, now)
        )


def _proof(values: Mapping[str, str], now: datetime) -> dict[str, str]:
    """The body of the token call: that the user is who the API key belongs to."""
    secret = values.get("api_secret", "").strip()
    if secret and not has_totp(values):
        timestamp = str(int(now.timestamp()))
        checksum = hashlib.sha256(f"{secret}{timestamp}".encode()).hexdigest()
        return {"key_type": "approval", "checksum": checksum, "timestamp": timestamp}
    missing = "the TOTP code is missing: type it, or store the TOTP secret (or the API secret of an approved key)"
    return {"key_type": "totp", "totp": one_time_code(values, now, missing)}


def _expiry(stated: Any, now: datetime) -> float:
    """When the token ends: as the answer says (IST without saying so), but never later than the next 06:00."""
    limit = next_ist(*_EXPIRY, now)
    try:
        ends = datetime.fromisoformat(stated) if isinstance(stated, str) else None
        at = ends if ends is None or ends.tzinfo else ends.replace(tzinfo=IST)
        return min(at.timestamp(), limit) if at is not None and at > now else limit
    except (ValueError, OverflowError):
        return limit


def _advice(status: int, code: str, *, approval: bool) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    shown = f"HTTP {status}, {code}" if code else f"HTTP {status}"
    if status == 429:
        return "Groww is refusing logins for now (too many requests): wait a minute, then log in again"
    if status >= 500 or code in ("GA000", "GA003"):
        return f"Groww has a problem of its own ({shown}): try again in a few minutes"
    proof = (
        f"approve the key on {_PAGE} (every day), check API key and API secret"
        if approval
        else "check the API key, the TOTP secret and this computer's clock, wait for the next code"
    )
    if status in (401, 403) or code == NOT_AUTHORISED:
        return (
            f"Groww refused the login ({shown}): {proof}, then log in again; the account needs the paid Trading API "
            "subscription, too"
        )
    return f"Groww refused the login ({shown}): {proof}, then log in again"
