"""The family's login, each member against a stand-in for its server."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest

from broker import vector_cases
from broker._xts.xts_wire import BINARY, JSON, MEMBERS, run
from support.rest_server import Asked, RestServer, serving
from support.web_token import jwt
from tickmux.broker._xts.login import XtsLogin
from tickmux.broker._xts.rest import prefix_of
from tickmux.codec import Credentials
from tickmux.login import IST, LoginFailed, LoginKind
from tickmux.websocket_proxy.broker_factory import Broker

NOW = datetime(2025, 8, 18, 8, 30, tzinfo=IST)
KEYS = {"app_key": "APPKEY1", "secret_key": "SECRET1"}
BY_NAME = {member.name: member for member in MEMBERS}


class Server(RestServer):
    """Answers what is asked under `prefix`, all else with a page not found."""

    def __init__(self) -> None:
        super().__init__({"type": "success", "result": {"token": "TOKEN1", "userID": "USER1"}})
        self.prefix = JSON

    def answer(self, asked: Asked) -> tuple[int, object]:
        if asked.method == "POST" and asked.target.startswith(f"{self.prefix}/"):
            return self.status, self.body
        return 404, b"<html>Cannot POST</html>"


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server()) as stand_in:
        yield stand_in


def login(member: Broker, url: str, values: dict[str, str] = KEYS) -> Credentials:
    async def main() -> Credentials:
        async with httpx.AsyncClient(trust_env=False) as http:
            flow = member.login({"api": url})
            assert await flow.begin(values, "", http) is None
            return await flow.exchange(values, {}, "", http, NOW)

    found: Credentials = run(main())
    return found


def refusal(member: Broker, url: str, values: dict[str, str] = KEYS) -> str:
    with pytest.raises(LoginFailed) as caught:
        login(member, url, values)
    text = str(caught.value)
    assert "SECRET1" not in text
    assert "APPKEY1" not in text
    return text


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_the_keys_make_a_session_with_the_request_that_the_vectors_say(member: Broker, server: Server) -> None:
    (item,) = [each for each in vector_cases.load(member.name)["outgoing"] if each["call"]["op"] == "login"]
    wanted = item["frames"][0]["http"]
    server.prefix = prefix_of(member.adapter.default_urls["api"])
    made = login(member, server.url + server.prefix)
    assert dict(made.values) == {"token": "TOKEN1", "user_id": "USER1", "prefix": server.prefix}
    assert made.expires_at == NOW.timestamp() + 86_400
    ((_, path, headers, body),) = server.requests
    assert wanted["url"].endswith(path)
    assert body == wanted["json"]
    assert headers["content-type"] == "application/json"
    assert "authorization" not in headers
    assert member.login.kind is LoginKind.KEYS


def test_the_shared_vectors_login_answer_is_understood(server: Server) -> None:
    (item,) = [each for each in vector_cases.load("_xts")["rest"] if each["request"]["op"] == "login"]
    server.status, server.body = item["response"]["status"], item["response"]["json"]
    made = login(BY_NAME["wisdom"], server.url + JSON)
    assert (made["token"], made["user_id"]) == (item["token"], item["user_id"])


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_a_page_not_found_is_followed_by_one_try_under_the_other_prefix(member: Broker, server: Server) -> None:
    own = prefix_of(member.adapter.default_urls["api"])
    server.prefix = JSON if own == BINARY else BINARY
    if member.name == "jainamxts":
        assert "HTTP 404" in refusal(member, server.url + own)
        assert len(server.requests) == 1
    else:
        assert login(member, server.url + own)["prefix"] == server.prefix
        assert len(server.requests) == 2
    assert member.login.default_urls == member.adapter.default_urls


def test_an_address_under_which_nothing_is_found_is_a_matter_of_configuration(server: Server) -> None:
    server.prefix = "/elsewhere"
    assert "wisdom.api" in refusal(BY_NAME["wisdom"], server.url + JSON + "/")
    assert [asked.target for asked in server.requests] == [f"{JSON}/auth/login", f"{BINARY}/auth/login"]


@pytest.mark.parametrize("status", [200, 400, 401])
def test_refused_keys_are_reported_in_the_brokers_words(server: Server, status: int) -> None:
    server.status = status
    server.body = {"type": "error", "code": "e-x", "description": "Entered invalid credentials APPKEY1/SECRET1"}
    text = refusal(BY_NAME["iifl"], server.url + JSON)
    assert "Entered invalid credentials" in text
    assert "market-data" in text


@pytest.mark.parametrize(("status", "words"), [(429, "wait a minute"), (500, "its own"), (503, "its own")])
def test_a_busy_or_broken_server_is_not_the_keys_fault(server: Server, status: int, words: str) -> None:
    server.status, server.body = status, b"<html>"
    assert words in refusal(BY_NAME["iifl"], server.url + JSON)


@pytest.mark.parametrize(
    "result",
    [None, {}, [], {"token": "T"}, {"userID": "U"}, {"token": 5, "userID": "U"}, {"token": "", "userID": "U"}],
)
def test_a_success_without_a_session_is_none(server: Server, result: Any) -> None:
    server.body = {"type": "success", "result": result}
    assert "holds no session" in refusal(BY_NAME["iifl"], server.url + JSON)


@pytest.mark.parametrize("body", [b"", b"<html>hello</html>", b"[1]", b'{"type":5}', b"[" * 100_000])
def test_an_answer_that_is_none_is_a_refusal(server: Server, body: bytes) -> None:
    server.body = body
    assert "refused the login" in refusal(BY_NAME["iifl"], server.url + JSON)


def test_a_server_that_is_not_there_is_a_matter_of_the_network() -> None:
    assert "cannot be reached" in refusal(BY_NAME["iifl"], "http://127.0.0.1:1/apimarketdata")


@pytest.mark.parametrize("missing", ["app_key", "secret_key"])
def test_a_missing_key_is_named(missing: str) -> None:
    label = "app key" if missing == "app_key" else "secret key"
    assert f"{label} is missing" in refusal(BY_NAME["iifl"], "http://127.0.0.1:1", {**KEYS, missing: " "})


def test_the_token_says_itself_when_it_ends(server: Server) -> None:
    ends = int(NOW.timestamp()) + 3600
    server.body = {"type": "success", "result": {"token": jwt({"userID": "x", "exp": ends}), "userID": "USER1"}}
    assert login(BY_NAME["iifl"], server.url + JSON).expires_at == ends


def flow() -> XtsLogin:
    made = BY_NAME["ibulls"].login()
    assert isinstance(made, XtsLogin)
    return made


@pytest.mark.parametrize(
    "token",
    [
        "bare",
        "a.b.c",
        "..",
        "a.!!!.c",
        jwt({"exp": 5}),
        jwt({"exp": "soon"}),
        jwt({"exp": 1e300}),
        jwt({}),
        jwt({"exp": -1}),
    ],
)
def test_a_token_without_a_sensible_end_is_good_for_a_day(token: str) -> None:
    made = flow().from_token({"token": token, "user_id": "USER1"}, NOW)
    assert made.expires_at == NOW.timestamp() + 86_400
    assert dict(made.values) == {"token": token, "user_id": "USER1", "prefix": BINARY}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"user_id": "U"}, "token is missing"),
        ({"token": "T"}, "user ID is missing"),
        ({"token": "T T", "user_id": "U"}, "copy them again"),
        ({"token": "Tö", "user_id": "U"}, "copy them again"),
    ],
)
def test_what_cannot_be_a_session_is_refused(values: dict[str, str], words: str) -> None:
    with pytest.raises(LoginFailed, match=words):
        flow().from_token(values, NOW)
