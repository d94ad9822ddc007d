"""5paisa's login: client code, PIN and one-time password buy a request token, that an access token (section 2).

`Credentials.values` has `access_token` and `client_code`; the feed needs both.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import httpx
import msgspec

from tickmux.broker._login_http import ask
from tickmux.broker._login_values import TOTP_CODE, TOTP_SECRET, header_word, needed, one_time_code, without_bearer
from tickmux.broker.fivepaisa.access_token import read_claims
from tickmux.broker.fivepaisa.streaming.fivepaisa_adapter import FivepaisaAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind

_LABELS = {
    "user_key": "user key",
    "encryption_key": "encryption key",
    "user_id": "user ID",
    "client_code": "client code",
    "pin": "PIN",
}
_SECRETS = ("user_key", "encryption_key", "pin", "totp_secret", "totp")

_CLIENT_CODE = Field(name="client_code", label="Client code", help="your account at 5paisa, such as 58008888")


class FivepaisaLogin(LoginFlow):
    """No browser: the TOTP is typed, or made of its secret when that has been stored."""

    kind = LoginKind.TOTP
    fields = (
        Field(name="user_key", label="User key", help="of your app on the Xstream API page", secret=True),
        Field(name="encryption_key", label="Encryption key", help="shown beside the user key", secret=True),
        Field(name="user_id", label="User ID", help="shown beside the user key; it belongs to the app"),
        _CLIENT_CODE,
        Field(name="pin", label="PIN", help="of your 5paisa login", secret=True),
        TOTP_SECRET,
        TOTP_CODE,
    )
    token_fields = (
        Field(
            name="access_token",
            label="Access token",
            help="`AccessToken` of the login answer",
            secret=True,
            remember=False,
        ),
        _CLIENT_CODE,
    )
    default_urls = FivepaisaAdapter.default_urls

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        given = {name: needed(values, name, label) for name, label in _LABELS.items()}
        given["totp"] = one_time_code(values, now)
        head = {"Key": given["user_key"]}
        login = {"Email_ID": given["client_code"], "TOTP": given["totp"], "PIN": given["pin"]}
        answer = await self._ask(http, "TOTPLogin", {"head": head, "body": login}, given)
        request_token = _text(answer, "RequestToken", "request token")
        purchase = {
            "RequestToken": request_token,
            "EncryKey": given["encryption_key"],
            "UserId": given["user_id"],
        }
        answer = await self._ask(http, "GetAccessToken", {"head": head, "body": purchase}, given)
        account = answer.get("ClientCode")
        session = {
            "access_token": _text(answer, "AccessToken", "access token"),
            "client_code": account if isinstance(account, str) and account.strip() else given["client_code"],
        }
        return self.from_token(session, now)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        pasted = {"access_token": without_bearer(values.get("access_token", ""))}
        token = header_word(pasted, "access_token", "access token")
        client_code = header_word(values, "client_code", "client code")
        expires_at = read_claims(token).expires_at
        if expires_at is not None and expires_at <= now.timestamp():
            raise LoginFailed("this access token has expired: log in again")
        return Credentials({"access_token": token, "client_code": client_code}, expires_at)

    async def _ask(
        self, http: httpx.AsyncClient, call: str, request: Mapping[str, Any], given: Mapping[str, str]
    ) -> dict[str, Any]:
        """The `body` of a good answer; both envelopes must be good. Never repeated: a code works once."""
        response = await ask(http, "5paisa", "POST", f"{self.urls['api']}/{call}", json=request)
        status = response.status_code
        if status == 429:
            raise LoginFailed("5paisa is refusing logins for now (too many requests): wait a minute, then try again")
        if status >= 500:
            raise LoginFailed(f"5paisa has a problem of its own (HTTP {status}): try again in a few minutes")
        try:
            answer = msgspec.json.decode(response.content)
        except (msgspec.DecodeError, ValueError, RecursionError):
            answer = None
        head, body = (_part(answer, name) for name in ("head", "body"))
        carried = str(head.get("status", "0")) == "0"
        if response.is_success and carried and body and body.get("Status", 0) == 0:
            return body
        words = body.get("Message") if carried else head.get("statusDescription")
        words = _shown(words, given) or f"HTTP {status}"
        raise LoginFailed(
            f"5paisa refused the login ({words}): check client code, PIN, keys and the clock of this computer, and "
            "wait for the next TOTP code before you log in again"
        )


def _part(answer: object, name: str) -> dict[str, Any]:
    part = answer.get(name) if isinstance(answer, dict) else None
    return part if isinstance(part, dict) else {}


def _text(body: Mapping[str, Any], name: str, what: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value.strip():
        raise LoginFailed(f"5paisa's answer holds no {what}: log in again with the next TOTP code")
    return value


def _shown(words: object, given: Mapping[str, str]) -> str:
    """The broker's reason, without what was sent."""
    if not isinstance(words, str):
        return ""
    for name in _SECRETS:
        if value := given.get(name):
            words = words.replace(value, "…")
    return "".join(char for char in words if char.isprintable())[:200].strip()
