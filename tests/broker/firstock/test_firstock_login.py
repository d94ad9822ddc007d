"""Firstock's login: password, code, the broker's named refusals."""

import hashlib
from typing import Any

import pyotp
import pytest

from broker._noren.stand_in import NEXT_DAY, NOW, SECRET, TROUBLE, StandIn
from tickmux.broker.firstock import BROKER
from tickmux.login import LoginFailed

VALUES = {"user_id": "ab1234", "password": SECRET, "api_key": "key", "totp_secret": "JBSWY3DPEHPK3PXP"}
GOOD = {"status": "success", "data": {"actid": "AB1234", "susertoken": "jkey", "userName": "A B"}}


@pytest.mark.parametrize("user", ["ab1234", "AB1234_API"])
def test_password_and_code_buy_a_session_of_a_day(user: str) -> None:
    server = StandIn(GOOD)
    session = server.exchange(BROKER.login(), {**VALUES, "user_id": user})
    assert str(server.asked[0].url) == "https://api.firstock.in/V1/login"
    assert server.body() == {
        "userId": "AB1234",
        "password": hashlib.sha256(SECRET.encode()).hexdigest(),
        "TOTP": pyotp.TOTP("JBSWY3DPEHPK3PXP").at(int(NOW.timestamp())),
        "vendorCode": "AB1234_API",
        "apiKey": "key",
    }
    assert session.values == {"user_id": "AB1234", "token": "jkey"}
    assert session.expires_at == NEXT_DAY + 6 * 3600


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": "failed", "name": "INVALID_PASSWORD", "error": {"field": "password"}}, "the password"),
        ({"status": "failed", "name": "INVALID_TOTP"}, "one-time code"),
        ({"status": "failed", "name": "INVALID_API_KEY"}, "API key"),
        ({"status": "failed", "name": "X", "error": {"field": "vendorCode"}}, "API user"),
        ({"status": "failed", "name": "INVALID_USERID"}, "client code"),
        ({"status": "failed", "error": {"message": SECRET}}, "refused"),
        ({"status": "failed", "error": "x"}, "refused"),
        ({"status": "success", "data": {}}, "refused"),
        ({"status": "success", "data": None}, "refused"),
        *((trouble, "") for trouble in TROUBLE),
    ],
)
def test_what_is_no_session_says_what_to_do_and_no_secret(answer: Any, words: str) -> None:
    with pytest.raises(LoginFailed) as failed:
        StandIn(answer).exchange(BROKER.login(), VALUES)
    assert words in str(failed.value)
    assert SECRET not in str(failed.value)


@pytest.mark.parametrize("missing", ["user_id", "password", "api_key", "totp_secret"])
def test_without_all_that_is_needed_nobody_is_asked(missing: str) -> None:
    server = StandIn()
    with pytest.raises(LoginFailed):
        server.exchange(BROKER.login(), {**VALUES, missing: ""})
    assert server.asked == []
