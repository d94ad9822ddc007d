"""Flattrade's login: page, token call, refusals."""

import hashlib
from typing import Any

import pytest

from broker._noren.stand_in import NEXT_DAY, SECRET, TROUBLE, StandIn
from tickmux.broker.flattrade import BROKER
from tickmux.login import LoginFailed

VALUES = {"api_key": "ak1", "api_secret": SECRET}
GOOD = {"token": "tok", "client": "fz00781", "status": "Ok", "emsg": ""}


def test_the_browser_is_sent_to_the_brokers_page() -> None:
    assert StandIn().page(BROKER.login(), VALUES) == "https://auth.flattrade.in/?app_key=ak1"


@pytest.mark.parametrize("name", ["request_code", "code"])
def test_the_code_buys_a_session_until_five(name: str) -> None:
    server = StandIn(GOOD)
    session = server.exchange(BROKER.login(), VALUES, {name: "rc2"})
    assert str(server.asked[0].url) == "https://authapi.flattrade.in/trade/apitoken"
    checksum = hashlib.sha256(f"ak1rc2{SECRET}".encode()).hexdigest()
    assert server.body() == {"api_key": "ak1", "request_code": "rc2", "api_secret": checksum}
    assert session.values == {"user_id": "FZ00781", "token": "tok"}
    assert session.expires_at == NEXT_DAY + 5 * 3600


def test_the_word_for_success_varies_and_the_client_may_come_with_the_redirect() -> None:
    session = StandIn({"token": "tok", "stat": "OK"}).exchange(
        BROKER.login(), VALUES, {"request_code": "rc2", "client": "fz1"}
    )
    assert session["user_id"] == "FZ1"


@pytest.mark.parametrize(
    "answer",
    [
        {**GOOD, "status": "Not_Ok", "emsg": SECRET},
        {**GOOD, "token": ""},
        {**GOOD, "client": ""},
        {"token": "tok", "client": "x"},
        *TROUBLE,
    ],
)
def test_what_is_no_session_says_what_to_do_and_no_secret(answer: Any) -> None:
    with pytest.raises(LoginFailed) as failed:
        StandIn(answer).exchange(BROKER.login(), VALUES, {"request_code": "rc2"})
    assert SECRET not in str(failed.value)


def test_without_a_code_nobody_is_asked() -> None:
    server = StandIn()
    with pytest.raises(LoginFailed, match="did not confirm"):
        server.exchange(BROKER.login(), VALUES, {"client": "x"})
    assert server.asked == []
