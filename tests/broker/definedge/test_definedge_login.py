"""Definedge's login: the OTP's announcement, then the exchange for two tokens."""

import hashlib
from typing import Any

import pyotp
import pytest

from broker._noren.stand_in import NEXT_DAY, NOW, SECRET, TROUBLE, StandIn
from tickmux.broker.definedge import BROKER
from tickmux.login import AnswerWanted, LoginFailed

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


WITHOUT_TOTP = {**VALUES, "totp": "", "totp_secret": " "}


def question() -> AnswerWanted:
    with pytest.raises(AnswerWanted) as asked:
        StandIn(ASKED).exchange(BROKER.login(), WITHOUT_TOTP)
    return asked.value


def test_without_an_authenticator_the_code_that_was_sent_is_asked_for() -> None:
    asked = question()
    assert "sent a code" in str(asked)
    assert (asked.field.remember, asked.field.secret, asked.field.optional) == (False, True, False)
    assert "ot" in asked.kept.values()
    server = StandIn(GOOD)
    answered = {**WITHOUT_TOTP, **asked.kept, asked.field.name: " 24 68 10 "}
    assert server.exchange(BROKER.login(), answered)["token"] == "sus"
    (request,) = server.asked
    assert str(request.url) == f"{BASE}/token", "no second code is sent"
    checksum = hashlib.sha256(f"ot246810{SECRET}".encode()).hexdigest()
    assert server.body() == {"otp_token": "ot", "otp": "246810", "ac": checksum}


@pytest.mark.parametrize("typed", ["", "abc", "२४६८१०", "1" * 20])
def test_an_answer_that_is_no_code_is_not_sent(typed: str) -> None:
    asked, server = question(), StandIn()
    with pytest.raises(LoginFailed, match="digits"):
        server.exchange(BROKER.login(), {**WITHOUT_TOTP, **asked.kept, asked.field.name: typed})
    assert server.asked == []


def test_a_code_that_was_sent_and_is_refused_ends_the_login() -> None:
    asked = question()
    with pytest.raises(LoginFailed, match="new one"):
        StandIn((400, b'{"stat":"Not_Ok"}')).exchange(
            BROKER.login(), {**WITHOUT_TOTP, **asked.kept, asked.field.name: "246810"}
        )


@pytest.mark.parametrize("answer", [{}, (401, b""), *TROUBLE])
def test_nothing_is_asked_where_no_code_was_sent(answer: Any) -> None:
    with pytest.raises(LoginFailed) as failed:
        StandIn(answer).exchange(BROKER.login(), WITHOUT_TOTP)
    assert SECRET not in str(failed.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({**VALUES, "totp": "12345"}, "6 digits"),
        ({**VALUES, "totp": "", "totp_secret": "189!"}, "TOTP secret is not one"),
        ({"api_token": "x", "totp": "1"}, "API secret is missing"),
        ({**VALUES, "api_secret": "sé cret"}, "this is no API secret"),
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
