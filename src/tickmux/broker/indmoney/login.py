"""INDmoney's login: MPIN and a one-time password buy an access token in one call (specification section 2).

`Credentials.values` has `access_token`, and `quote_mode` where it is not the documented one.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import httpx
import msgspec

from tickmux.broker._login_http import ask
from tickmux.broker._login_values import TOTP_CODE, TOTP_SECRET, header_word, needed, one_time_code, without_bearer
from tickmux.broker.indmoney.streaming.indmoney_adapter import IndmoneyAdapter
from tickmux.codec import Credentials
from tickmux.login import Field, LoginFailed, LoginFlow, LoginKind

_PATH = "/generate/token"
_LIFE = timedelta(hours=24)

_QUOTE_MODE = Field(
    name="quote_mode",
    label="Quote mode",
    help="leave empty; `full` asks for the undocumented mode of that name, which may vanish",
    optional=True,
)


class IndmoneyLogin(LoginFlow):
    """No browser: the TOTP is typed, or made of its secret when that has been stored."""

    kind = LoginKind.TOTP
    fields = (
        Field(name="client_id", label="Client ID", help="shown with your API access on indstocks.com", secret=True),
        Field(name="mpin", label="MPIN", help="the 4 digits of the app", secret=True),
        TOTP_SECRET,
        TOTP_CODE,
        _QUOTE_MODE,
    )
    token_fields = (
        Field(
            name="access_token",
            label="Access token",
            help="made under API trading / access tokens on the dashboard",
            secret=True,
            remember=False,
        ),
        _QUOTE_MODE,
    )
    default_urls = IndmoneyAdapter.default_urls

    async def exchange(
        self,
        values: Mapping[str, str],
        callback: Mapping[str, str],
        redirect_uri: str,
        http: httpx.AsyncClient,
        now: datetime,
    ) -> Credentials:
        client_id = header_word(values, "client_id", "client ID")
        body = {"mpin": needed(values, "mpin", "MPIN"), "totp": one_time_code(values, now)}
        _quote_mode(values)  # a wrong choice must not cost a login, of which there is one a minute
        response = await ask(
            http, "INDmoney", "POST", f"{self.urls['api']}{_PATH}", json=body, headers={"x-api-key": client_id}
        )
        return self.from_token({**values, "access_token": _token(response)}, now)

    def from_token(self, values: Mapping[str, str], now: datetime) -> Credentials:
        token = {"access_token": without_bearer(values.get("access_token", ""))}  # the feed wants it bare
        found = {"access_token": header_word(token, "access_token", "access token")}
        if _quote_mode(values) == "full":
            found["quote_mode"] = "full"
        return Credentials(found, (now + _LIFE).timestamp())


def _quote_mode(values: Mapping[str, str]) -> str:
    chosen = values.get("quote_mode", "").strip().lower()
    if chosen not in ("", "quote", "full"):
        raise LoginFailed("the quote mode is `quote` or `full`: leave it empty if in doubt")
    return chosen


def _token(response: httpx.Response) -> str:
    """The token in the answer, or the LoginFailed that says what to do about a refusal."""
    try:
        answer = msgspec.json.decode(response.content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        answer = None
    if response.is_success and isinstance(answer, dict):
        data = answer.get("data")
        for holder in (data if isinstance(data, dict) else {}, answer):
            token = holder.get("token")
            if isinstance(token, str) and token.strip():
                return token
    said = answer.get("message") if isinstance(answer, dict) else None
    raise LoginFailed(_advice(response.status_code, said.lower() if isinstance(said, str) else ""))


def _advice(status: int, said: str) -> str:
    """What the user should do. The broker's own words stay out: they may repeat what was sent."""
    if status == 429:
        return "INDmoney makes one token a minute: wait 60 seconds, then log in again"
    if status >= 500:
        return f"INDmoney has a problem of its own (HTTP {status}): try again in a few minutes"
    if "lock" in said:
        return "INDmoney has locked the login after wrong codes: wait 15 minutes (an hour after three locks)"
    if "totp" in said or "otp" in said:
        return (
            "INDmoney did not accept the TOTP code: wait for the next one and check the clock of this computer; "
            "five wrong codes lock the login for 15 minutes"
        )
    if "mpin" in said:
        return "INDmoney did not accept the MPIN: check it, then log in again"
    if 200 <= status < 300:
        return "INDmoney's answer holds no access token: log in again"
    return (
        f"INDmoney refused the login (HTTP {status}): check client ID, MPIN and TOTP, then log in again; "
        "five wrong codes lock the login for 15 minutes"
    )
