"""Alice Blue's login: page, user session, its claims; and the WebSocket session before every connection."""

import asyncio
import hashlib
from typing import Any

import httpx
import pytest

from broker._noren.stand_in import NOW, SECRET, TROUBLE, StandIn
from support.web_token import jwt
from tickmux.broker.aliceblue import BROKER
from tickmux.codec import Credentials
from tickmux.login import LoginFailed
from tickmux.websocket_proxy.base_adapter import AuthRejected, Endpoint, Unavailable

VALUES = {"app_code": "app", "api_secret": SECRET}
CALLBACK = {"authCode": "ac", "userId": "1614986"}
END = int(NOW.timestamp()) + 60 * 86_400
OK = {"status": "Ok", "message": "Success", "result": [{"Status": "OK"}]}
NOT_OK = {"status": "Not_Ok", "message": "no session", "result": []}


TOKEN = jwt({"ucc": "1614986", "exp": END})


def test_the_browser_is_sent_to_the_brokers_page() -> None:
    assert StandIn().page(BROKER.login(), VALUES) == "https://ant.aliceblueonline.com/?appcode=app"


@pytest.mark.parametrize(
    "answer",
    [
        {"stat": "Ok", "clientId": "1614986", "userSession": TOKEN},
        {"status": "OK", "result": [{"accessToken": TOKEN}]},
        {"stat": "ok", "userSession": TOKEN},
    ],
)
def test_the_code_buys_a_session_as_long_as_its_claim_says(answer: dict[str, Any]) -> None:
    server = StandIn(answer)
    session = server.exchange(BROKER.login(), VALUES, CALLBACK)
    assert str(server.asked[0].url) == "https://a3.aliceblueonline.com/open-api/od/v1/vendor/getUserDetails"
    assert server.body() == {"checkSum": hashlib.sha256(f"1614986ac{SECRET}".encode()).hexdigest()}
    assert session.values == {"user_id": "1614986", "token": TOKEN}
    assert session.expires_at == END


@pytest.mark.parametrize(
    "token", ["abc", "a.b.c", jwt([]), jwt({"exp": "soon"}), jwt({"exp": 5}), jwt({"exp": 1e300}), "a.é.c"]
)
def test_a_session_without_a_claim_has_no_known_end(token: str) -> None:
    answer = {"stat": "Ok", "clientId": "x1", "userSession": token}
    session = StandIn(answer).exchange(BROKER.login(), VALUES, CALLBACK)
    assert (session["user_id"], session.expires_at) == ("X1", None)


@pytest.mark.parametrize(
    "answer",
    [
        {"stat": "Not_ok", "emsg": "Invalid auth code"},
        {"stat": "Ok"},
        {"status": "Ok", "result": []},
        {"status": "Ok", "result": ["x"]},
        {"userSession": TOKEN},
        *TROUBLE,
    ],
)
def test_what_is_no_session_says_what_to_do_and_no_secret(answer: Any) -> None:
    with pytest.raises(LoginFailed) as failed:
        StandIn(answer).exchange(BROKER.login(), VALUES, CALLBACK)
    assert SECRET not in str(failed.value)


@pytest.mark.parametrize("callback", [{}, {"authCode": "ac"}, {"userId": "x"}])
def test_without_a_code_nobody_is_asked(callback: dict[str, str]) -> None:
    server = StandIn()
    with pytest.raises(LoginFailed, match="did not confirm"):
        server.exchange(BROKER.login(), VALUES, callback)
    assert server.asked == []


def test_a_pasted_session_names_its_user() -> None:
    pasted = BROKER.login().from_token({"token": f"Bearer {TOKEN}"}, NOW)
    assert (pasted.values, pasted.expires_at) == ({"user_id": "1614986", "token": TOKEN}, END)
    given = BROKER.login().from_token({"token": "plain", "user_id": "ab1"}, NOW)
    assert (given["user_id"], given.expires_at) == ("AB1", None)
    for token in ("plain", "Bearer", "a b", "é"):
        with pytest.raises(LoginFailed):
            BROKER.login().from_token({"token": token, "user_id": "" if token == "plain" else "x"}, NOW)


# -- before a connection ---------------------------------------------------------------------------------


def endpoint(server: StandIn) -> Endpoint:
    async def ask() -> Endpoint:
        async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
            return await BROKER.adapter().endpoint("main", Credentials({"user_id": "1614986", "token": TOKEN}), http)

    return asyncio.run(ask())


@pytest.mark.parametrize("first", [OK, NOT_OK])
def test_a_websocket_session_is_ended_and_made_before_every_connection(first: dict[str, Any]) -> None:
    server = StandIn(first, OK)
    assert endpoint(server).url == "wss://ws1.aliceblueonline.com/NorenWS/"
    base = "https://a3.aliceblueonline.com/open-api/od/v1/profile"
    assert [str(one.url) for one in server.asked] == [f"{base}/invalidateWsSess", f"{base}/createWsSess"]
    for place, request in enumerate(server.asked):
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        assert server.body(place) == {"source": "API", "userId": "1614986"}


@pytest.mark.parametrize(
    "answers",
    [[(401, b"")], [OK, (401, b"")], [OK, (403, b"<html>")], [OK, NOT_OK], [OK, {"stat": "Not_Ok"}], [OK, {}]],
)
def test_a_refused_session_is_a_refused_login(answers: list[Any]) -> None:
    with pytest.raises(AuthRejected):
        endpoint(StandIn(*answers))


@pytest.mark.parametrize("trouble", [(500, b"<html>"), (503, b'{"status":"x"}'), (200, b"[1"), (200, b"3")])
@pytest.mark.parametrize("before", [[], [OK]])
def test_trouble_of_the_broker_is_no_refusal(before: list[Any], trouble: Any) -> None:
    with pytest.raises(Unavailable):
        endpoint(StandIn(*before, trouble))


def test_too_many_requests_are_waited_out() -> None:
    with pytest.raises(Unavailable) as busy:
        endpoint(StandIn((429, b"")))
    assert busy.value.retry_after == 60.0
