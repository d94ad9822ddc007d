"""Definedge's login: the OTP's announcement, then the exchange for two tokens."""

import hashlib
from typing import Any

import pyotp
import pytest

from broker._noren.stand_in import NEXT_DAY, NOW, SECRET, TROUBLE, StandIn
from tickmux.broker.definedge import BROKER
from tickmux.login import LoginFailed

TOTP_SECRET = "JBSWY3DPEHPK3PXP"
VALUES = {"api_token": "a/t", "api_secret": SECRET, "totp": "123456"}
ASKED = {"otp_token": "ot", "message": "OTP is sent"}
GOOD = {"stat": "Ok", "uid": "1272808", "api_session_key": "rest", "susertoken": "sus"}
BASE = "https://signin.definedgesecurities.com/auth/realms/debroking/dsbpkc"


def test_the_code_buys_the_tokens_of_feed_and_rest() -> None:
    server = StandIn(ASKED, GOOD)
    session = server.exchange(BROKER.login(), VALUES)
    first, second = server.asked
    assert (first.method, str(first.url), first.headers["api_secret"]) == ("GET", f"{BASE}/login/a%2Ft", SECRET)
    assert (second.method, str(second.url)) == ("POST", f"{BASE}/token")
    checksum = hashlib.sha256(f"ot123456{SECRET}".encode()).hexdigest()
    assert server.body() == {"otp_token": "ot", "otp": "123456", "ac": checksum}
    assert session.values == {"user_id": "1272808", "token": "sus", "api_session_key": "rest"}
    assert session.expires_at == NEXT_DAY + 6 * 3600


def test_the_code_is_made_of_the_secret_where_none_is_typed() -> None:
    server = StandIn(ASKED, GOOD)
    values = {**VALUES, "totp": "", "totp_secret": "jbsw y3dp ehpk 3pxp"}
    server.exchange(BROKER.login(), values)
    assert server.body()["otp"] == pyotp.TOTP(TOTP_SECRET).at(int(NOW.timestamp()))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({**VALUES, "totp": ""}, "authenticator"),
        ({**VALUES, "totp": "", "totp_secret": "189!"}, "no TOTP secret"),
        ({"api_token": "x", "totp": "1"}, "API secret is missing"),
        ({"api_secret": "x", "totp": "1"}, "API token is missing"),
    ],
)
def test_without_all_that_is_needed_nobody_is_asked(values: dict[str, str], words: str) -> None:
    server = StandIn()
    with pytest.raises(LoginFailed, match=words):
        server.exchange(BROKER.login(), values)
    assert server.asked == []


@pytest.mark.parametrize("answer", [{}, {"otp_token": ""}, (401, b""), (400, b"{}"), *TROUBLE])
def test_an_announcement_that_fails_ends_the_login(answer: Any) -> None:
    with pytest.raises(LoginFailed) as failed:
        StandIn(answer).exchange(BROKER.login(), VALUES)
    assert SECRET not in str(failed.value)


@pytest.mark.parametrize(
    "answer", [{**GOOD, "stat": "Not_Ok"}, {**GOOD, "susertoken": ""}, {**GOOD, "uid": None}, (401, b"{}"), *TROUBLE]
)
def test_what_is_no_session_says_what_to_do_and_no_secret(answer: Any) -> None:
    with pytest.raises(LoginFailed) as failed:
        StandIn(ASKED, answer).exchange(BROKER.login(), VALUES)
    assert SECRET not in str(failed.value)
    assert "123456" not in str(failed.value)
