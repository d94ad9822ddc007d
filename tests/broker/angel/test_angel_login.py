"""Angel One's login and hand-shake against a stand-in for its servers."""

import asyncio
from collections.abc import Iterator
from datetime import datetime

import httpx
import pyotp
import pytest

from support.rest_server import RestServer, serving, url_of_nobody
from tickmux.broker.angel import BROKER
from tickmux.broker.angel.login import AngelLogin
from tickmux.codec import Credentials
from tickmux.login import IST, LoginFailed
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable

NOW = datetime(2025, 8, 18, 14, 30, tzinfo=IST)
MIDNIGHT = datetime(2025, 8, 19, 0, 0, tzinfo=IST).timestamp()
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
VALUES = {"api_key": "apikey12", "client_code": "A123456", "pin": "4711", "totp_secret": SECRET}
SESSION = {"api_key": "apikey12", "client_code": "A123456", "jwt": "j.w.t", "feed_token": "feed-1"}
DATA = {"jwtToken": "j.w.t", "refreshToken": "r", "feedToken": "feed-1", "state": "live"}
ACCEPTED = {"status": True, "message": "SUCCESS", "errorcode": "", "data": DATA}


@pytest.fixture
def angel_one() -> Iterator[RestServer]:
    with serving(RestServer(ACCEPTED)) as stand_in:
        yield stand_in


def log_in(url: str, values: dict[str, str] = VALUES) -> Credentials:
    async def run() -> Credentials:
        login = AngelLogin({"api": url})
        async with httpx.AsyncClient(trust_env=False) as http:
            assert await login.begin(values, "", http) is None
            return await login.exchange(values, {}, "", http, NOW)

    return asyncio.run(run())


def test_client_code_pin_and_the_code_of_the_moment_buy_a_session_until_midnight(angel_one: RestServer) -> None:
    session = log_in(angel_one.url)
    assert session.values == SESSION
    assert session.expires_at == MIDNIGHT
    ((method, path, headers, body),) = angel_one.requests
    assert method == "POST"
    assert path == "/rest/auth/angelbroking/user/v1/loginByPassword"
    assert body == {"clientcode": "A123456", "password": "4711", "totp": pyotp.TOTP(SECRET).at(NOW)}
    assert {name: headers[name] for name in ("x-usertype", "x-sourceid", "x-privatekey", "accept")} == {
        "x-usertype": "USER",
        "x-sourceid": "WEB",
        "x-privatekey": "apikey12",
        "accept": "application/json",
    }
    assert headers["content-type"] == "application/json"
    assert all(headers[name] for name in ("x-clientlocalip", "x-clientpublicip", "x-macaddress"))
    assert "authorization" not in headers


def test_a_typed_code_goes_before_the_stored_secret(angel_one: RestServer) -> None:
    log_in(angel_one.url, VALUES | {"totp": " 012 345 "})
    assert angel_one.requests[0].body["totp"] == "012345"


@pytest.mark.parametrize(
    "secret", ["jbsw y3dp ehpk 3pxp jbsw y3dp eh", "JBSWY3DP-EHPK3PXP-JBSWY3DPEH", f" {SECRET}== "]
)
def test_a_secret_may_be_written_as_pages_show_it(angel_one: RestServer, secret: str) -> None:
    log_in(angel_one.url, VALUES | {"totp_secret": secret})
    assert angel_one.requests[0].body["totp"] == pyotp.TOTP(SECRET).at(NOW)


def test_a_token_that_comes_with_its_scheme_is_stored_without(angel_one: RestServer) -> None:
    angel_one.body = ACCEPTED | {"data": DATA | {"jwtToken": "Bearer j.w.t"}}
    assert log_in(angel_one.url).values == SESSION


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"api_key": " "}, "API key is missing"),
        ({"client_code": ""}, "client code is missing"),
        ({"pin": ""}, "PIN is missing"),
        ({"totp_secret": ""}, "TOTP code is missing"),
        ({"totp": "12345"}, "6 digits"),
        ({"totp": "12345a"}, "6 digits"),
        ({"totp_secret": "not base32: 189"}, "beside the QR code"),
        ({"totp_secret": "123456"}, "beside the QR code"),
        ({"totp_secret": "पप"}, "beside the QR code"),
        ({"api_key": "a\nb"}, "no API key"),
        ({"client_code": "A 1"}, "no client code"),
    ],
)
def test_what_cannot_log_in_asks_nobody(angel_one: RestServer, values: dict[str, str], advice: str) -> None:
    with pytest.raises(LoginFailed, match=advice):
        log_in(angel_one.url, VALUES | values)
    assert angel_one.requests == []


def refusal(code: str, message: str) -> dict[str, object]:
    return {"status": False, "message": message, "errorcode": code, "data": None}


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (200, refusal("AB1000", "Invalid email or password"), r"AB1000\): check client code, PIN"),
        (200, refusal("AB1007", "Invalid login A123456 4711"), r"AB1007\): check client code, PIN"),
        (200, refusal("AB1050", "Invalid totp"), r"did not accept the TOTP \(AB1050"),
        (200, refusal("AG8001", "Invalid Token"), r"did not accept the API key \(AG8001"),
        (200, {"success": False, "message": "Invalid API Key", "errorCode": "AG8004", "data": ""}, "API key"),
        (401, refusal("", "Unauthorized"), "HTTP 401"),
        (403, b"Access denied because of exceeding access rate", "wait a minute"),
        (403, b"<html>forbidden</html>", r"denied access \(HTTP 403"),
        (429, b"", "wait a minute"),
        (500, b"", "problem of its own"),
        (503, refusal("AB1004", "Something Went Wrong"), "problem of its own"),
        (200, {"status": True, "data": {"jwtToken": "j.w.t"}}, "no session"),
        (200, {"status": True, "data": {"jwtToken": 5, "feedToken": "x"}}, "no session"),
        (200, {"status": True, "data": ""}, "no session"),
        (200, {"status": "true", "data": DATA}, "refused the login"),
        (200, [1], "refused the login"),
        (200, b"not json", "refused the login"),
        (200, b'{"data":' + b"[" * 100_000, "refused the login"),
    ],
)
def test_a_refusal_says_what_to_do_and_no_secret(
    angel_one: RestServer, status: int, body: object, advice: str
) -> None:
    angel_one.status, angel_one.body = status, body
    with pytest.raises(LoginFailed, match=advice) as refused:
        log_in(angel_one.url)
    sent = angel_one.requests[0].body
    assert not any(secret in str(refused.value) for secret in (*VALUES.values(), sent["totp"]))


def test_a_server_that_is_not_there_is_a_failed_login() -> None:
    with pytest.raises(LoginFailed, match="check the network"):
        log_in(url_of_nobody())


@pytest.mark.parametrize("jwt", ["j.w.t", " j.w.t\n", "Bearer j.w.t", "bearer  j.w.t"])
def test_a_pasted_token_is_a_session_until_midnight(jwt: str) -> None:
    session = AngelLogin().from_token(SESSION | {"jwt": jwt}, NOW)
    assert (session.values, session.expires_at) == (SESSION, MIDNIGHT)
    assert "j.w.t" not in repr(session)


@pytest.mark.parametrize(
    "values", [{"jwt": ""}, {"jwt": "Bearer "}, {"jwt": "a b"}, {"feed_token": ""}, {"jwt": "ä"}]
)
def test_what_cannot_be_a_token_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(LoginFailed, match="token"):
        AngelLogin().from_token(SESSION | values, NOW)


def test_every_token_field_and_no_other_makes_the_session() -> None:
    assert {field.name for field in AngelLogin.token_fields} == SESSION.keys()


def test_the_session_travels_in_headers_and_not_in_the_address() -> None:
    async def run() -> None:
        async with httpx.AsyncClient(trust_env=False) as http:
            endpoint = await BROKER.adapter({"feed": "ws://127.0.0.1:1"}).endpoint("main", Credentials(SESSION), http)
        assert endpoint.url == "ws://127.0.0.1:1"
        assert endpoint.headers == {
            "Authorization": "j.w.t",
            "x-api-key": "apikey12",
            "x-client-code": "A123456",
            "x-feed-token": "feed-1",
        }

    asyncio.run(run())


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ("Invalid Header - Invalid Auth token", "auth token"),
        ("Invalid Header - Invalid Client Code", "client code"),
        ("Invalid Header - Invalid API Key", "api key"),
        ("Invalid Header - Invalid Feed Token", "feed token"),
        ("something new", "session"),
    ],
)
def test_a_refused_handshake_says_what_was_refused(said: str, fault: str) -> None:
    failure = BROKER.adapter().handshake_failure(401, "Unauthorized", {"X-Error-Message": said}, b"")
    assert isinstance(failure, AuthRejected)
    assert f"refused the {fault} " in str(failure)


def test_a_busy_broker_is_not_a_dead_token() -> None:
    adapter = BROKER.adapter()
    assert isinstance(adapter.handshake_failure(401, "", {}, b""), AuthRejected)
    assert isinstance(adapter.handshake_failure(403, "Forbidden", {}, b"session expired"), AuthRejected)
    for status, body in ((429, b""), (403, b"Access denied because of Exceeding access rate")):
        busy = adapter.handshake_failure(status, "", {}, body)
        assert isinstance(busy, Unavailable)
        assert busy.retry_after == 60
    assert isinstance(adapter.handshake_failure(502, "Bad Gateway", {}, b""), Unavailable)
    assert adapter.close_failure(1006, "") is None
    assert adapter.close_failure(1000, "maintenance") is None
