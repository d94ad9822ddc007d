"""What the members' logins share: the OAuth code flow, asking a broker, pasted tokens (specification, section 2).

`Credentials.values` has `user_id` and `token`, which is what the feed's connect message names.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from tickmux.broker import _login_http
from tickmux.broker._login_values import needed
from tickmux.broker._rest_answers import read_object
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind, LoginUnavailable, next_ist

_WEEK = 7 * 86_400

Answer = Mapping[str, Any]
"""A broker's JSON object; empty where it sent something else."""


def sha256(text: str) -> str:
    """Lower-case hex, the form of every checksum of the family."""
    return hashlib.sha256(text.encode()).hexdigest()


def text_of(answer: Answer, *names: str) -> str:
    """The first of these fields that holds text or a number."""
    for name in names:
        value = answer.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and str(value).strip():
            return str(value).strip()
    return ""


def succeeded(answer: Answer) -> bool:
    """Whether `stat`, or `status`, reads `ok` in any case."""
    return text_of(answer, "stat", "status").lower() == "ok"


async def ask(http: httpx.AsyncClient, broker: str, method: str, url: str, **request: Any) -> Answer:
    """The broker's answer as a JSON object, whatever its HTTP status; raises LoginFailed where it has none."""
    response = await _login_http.ask(http, broker, method, url, **request)
    if advice := _login_http.trouble(broker, response.status_code):
        raise LoginUnavailable(advice)
    return read_object(response.content)


class NorenLogin(LoginFlow):
    """A member whose session can be pasted as user id and token; `clear_at` is when tokens die (IST)."""

    kind = LoginKind.REDIRECT
    broker: ClassVar[str]
    """The broker's name in messages."""
    clear_at: ClassVar[tuple[int, int]] = (6, 0)
    token_fields: ClassVar[tuple[Field, ...]] = (
        Field(name="user_id", label="User id", help="your client id, such as FA12345"),
        Field(name="token", label="Access token", help="of a login elsewhere", secret=True, remember=False),
    )

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        user, token = needed(values, "user_id", "user id"), needed(values, "token", "token")
        if any(char.isspace() for char in user + token):
            raise LoginFailed("user id and token have no spaces inside: copy them again, or log in")
        return self.session({"user_id": user.upper(), "token": token}, now)

    def session(self, values: Mapping[str, str], now: datetime, ends: str = "") -> Credentials:
        """Credentials until the tokens are cleared, or until `ends` (epoch seconds) if the broker named that."""
        end = float(ends) if ends.isdecimal() and ends.isascii() and len(ends) < 12 else 0.0
        if not 0 < end - now.timestamp() < _WEEK:
            end = next_ist(*self.clear_at, now)
        return Credentials(values, end)


class NorenOAuthLogin(NorenLogin):
    """Browser login, whose code buys the token (section 2.1). URLs: `login` (the page) and `token` (GenAcsTok)."""

    fields = (
        Field(name="client_id", label="Client id", help="of your API key, often your user id with _U at its end"),
        Field(name="secret_key", label="Secret key", help="shown beside the client id", secret=True),
    )

    token_fields = (
        *NorenLogin.token_fields,
        Field(
            name="variant",
            label="Variant",
            help="susertoken for a session of the old password login; else leave empty",
            remember=False,
            optional=True,
        ),
    )

    async def begin(self, values: Mapping[str, str], redirect_uri: str, http: httpx.AsyncClient) -> str | None:
        client = needed(values, "client_id", "client id")
        return f"{self.urls['login']}?{urlencode({'client_id': client}, quote_via=quote, safe='')}"

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        client, secret = needed(values, "client_id", "client id"), needed(values, "secret_key", "secret key")
        code = callback.get("code", "").strip()
        if not code:
            raise LoginFailed(f"{self.broker} did not confirm the login in the browser: start the login again")
        body = {"code": code, "checksum": sha256(client + secret + code)}
        answer = await ask(
            http,
            self.broker,
            "POST",
            self.urls["token"],
            content=b"jData=" + msgspec.json.encode(body),
            headers={"Content-Type": "text/plain"},
        )
        found = self.tokens(answer) if succeeded(answer) else {}
        if not found:
            raise LoginFailed(self._advice(answer))
        user = (text_of(answer, "USERID", "uid", "actid") or client).upper().removesuffix("_U")
        return self.session({"user_id": user, **found}, now, text_of(answer, "expires_in"))

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        pasted = super().from_token(values, now)
        variant = values.get("variant", "").strip().lower()
        if not variant:
            return pasted
        if variant not in ("accesstoken", "susertoken"):
            raise LoginFailed("the variant is accesstoken or susertoken: leave it empty unless you know")
        return Credentials({**pasted.values, "variant": variant}, pasted.expires_at)

    def tokens(self, answer: Answer) -> dict[str, str]:
        """The session's token, named `token`; empty if the answer holds none."""
        token = text_of(answer, "access_token", "susertoken")
        return {"token": token} if token else {}

    def _advice(self, answer: Answer) -> str:
        # The broker's own words stay out: they may repeat what was sent.
        words = text_of(answer, "emsg").lower()
        if "verifier" in words:
            return (
                f"{self.broker} did not accept the login's code, which is good for one use within a short time, or "
                "the secret key: check client id and secret key, then log in again"
            )
        if succeeded(answer):
            return f"{self.broker}'s answer holds no token: log in again"
        return f"{self.broker} refused the login: check client id and secret key, and the addresses registered there"
