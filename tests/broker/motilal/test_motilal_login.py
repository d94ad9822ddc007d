"""Motilal Oswal's login and the question before every connect, against a stand-in for its servers."""

import asyncio
import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pyotp
import pytest

from support.rest_server import Asked, RestServer, serving, url_of_nobody
from tickmux.broker.motilal import BROKER
from tickmux.broker.motilal.login import MotilalLogin
from tickmux.broker.motilal.streaming.motilal_adapter import MotilalAdapter
from tickmux.codec import Credentials
from tickmux.login import IST, AnswerWanted, LoginFailed
from tickmux.websocket_proxy.base_adapter import AuthRejected

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=IST)
SIX = datetime(2026, 11, 24, 6, 0, tzinfo=IST).timestamp()
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
VALUES = {
    "api_key": "key-1", "client_code": "aa017", "password": "hunter2", "second_factor": "abcde1234f",
    "totp_secret": SECRET,
}  # fmt: skip
ACCEPTED = {"status": "SUCCESS", "message": "", "errorcode": "", "AuthToken": "tok-1", "isAuthTokenVerified": "TRUE"}
SESSION = {"client_code": "AA017", "api_key": "key-1", "auth_token": "tok-1"}
HEADERS = (
    "user-agent", "apikey", "clientlocalip", "clientpublicip", "macaddress", "sourceid", "vendorinfo", "osname",
    "osversion", "devicemodel", "manufacturer", "productname", "productversion", "browsername", "browserversion",
)  # fmt: skip


@pytest.fixture
def motilal() -> Iterator[RestServer]:
    with serving(RestServer(ACCEPTED)) as stand_in:
        yield stand_in


def log_in(url: str, values: dict[str, str] = VALUES) -> Credentials:
    async def run() -> Credentials:
        login = MotilalLogin({"api": url})
        async with httpx.AsyncClient(trust_env=False) as http:
            assert await login.begin(values, "", http) is None
            return await login.exchange(values, {}, "", http, NOW)

    return asyncio.run(run())


def test_password_second_factor_and_the_code_of_the_moment_buy_a_session_until_six(motilal: RestServer) -> None:
    session = log_in(motilal.url)
    assert (session.values, session.expires_at) == (SESSION, SIX)
    ((method, path, headers, body),) = motilal.requests
    assert (method, path) == ("POST", "/rest/login/v7/authdirectapi")
    assert body == {
        "userid": "AA017",
        "password": hashlib.sha256(b"hunter2key-1").hexdigest(),
        "2FA": "ABCDE1234F",
        "totp": pyotp.TOTP(SECRET).at(NOW),
    }
    assert all(headers.get(name) for name in HEADERS)
    assert (headers["user-agent"], headers["vendorinfo"], headers["apisecretkey"]) == ("MOSL/V.1.1.0", "AA017", "")
    assert "authorization" not in headers


@pytest.mark.parametrize("typed", ["05/11/1990", "05-11-1990", "05.11.1990"])
def test_a_date_of_birth_is_sent_with_slashes(motilal: RestServer, typed: str) -> None:
    session = log_in(motilal.url, VALUES | {"second_factor": typed, "totp": "012 345", "api_secret": "sec-1"})
    (asked,) = motilal.requests
    assert (asked.body["2FA"], asked.body["totp"]) == ("05/11/1990", "012345")
    assert asked.headers["apisecretkey"] == session["api_secret"] == "sec-1"


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"api_key": ""}, "API key is missing"),
        ({"api_key": "a b"}, "no API key"),
        ({"api_secret": "a b"}, "no API secret"),
        ({"client_code": ""}, "client code is missing"),
        ({"client_code": "A" * 16}, "no client code"),
        ({"password": ""}, "password is missing"),
        ({"second_factor": "1990"}, "dd/mm/yyyy"),
        ({"totp_secret": "123456"}, "TOTP secret is not one"),
        ({"totp": "1"}, "6 digits"),
    ],
)
def test_what_is_missing_or_misspelt_is_said_before_anything_is_sent(
    motilal: RestServer, values: dict[str, str], advice: str
) -> None:
    with pytest.raises(LoginFailed, match=advice):
        log_in(motilal.url, VALUES | values)
    assert motilal.requests == []


@pytest.mark.parametrize(
    ("status", "answer", "advice"),
    [
        (200, {"status": "ERROR", "message": "Bad key", "errorcode": "MO2005"}, r"MO2005 Bad key.*check API key,"),
        (200, {"status": "FAILURE", "message": "Invalid user", "errorcode": "MO1"}, "MO1 Invalid user"),
        (200, {"status": "ERROR", "message": "no hunter2 here", "errorcode": "MO1"}, r"\(MO1\)"),
        (400, {"status": "ERROR", "message": None, "errorcode": ["x"]}, "HTTP 400"),
        (401, b"<html>", "HTTP 401"),
        (429, {}, "wait a minute"),
        (503, b"", "problem of its own"),
        (200, b"[" * 10_000, "HTTP 200"),
        (200, ACCEPTED | {"AuthToken": ""}, "holds no session"),
        (200, ACCEPTED | {"AuthToken": "a b"}, "holds no session"),
        (200, ACCEPTED | {"AuthToken": 5}, "holds no session"),
    ],
)
def test_a_refusal_says_what_to_do_and_repeats_no_secret(
    motilal: RestServer, status: int, answer: Any, advice: str
) -> None:
    motilal.status, motilal.body = status, answer
    with pytest.raises(LoginFailed, match=advice) as failed:
        log_in(motilal.url)
    assert not any(secret in str(failed.value) for secret in ("key-1", "hunter2", SECRET, "ABCDE1234F"))


@pytest.mark.parametrize("verified", ["FALSE", "false", False])
def test_without_a_totp_a_code_by_sms_makes_the_session_good(motilal: RestServer, verified: object) -> None:
    by_sms = VALUES | {"totp_secret": " ", "api_secret": "sec-1"}
    motilal.body = ACCEPTED | {"isAuthTokenVerified": verified}
    with pytest.raises(AnswerWanted, match="code to your phone") as wanted:
        log_in(motilal.url, by_sms)
    assert "tok-1" not in str(wanted.value)
    assert "totp" not in motilal.requests[0].body
    motilal.body = {"status": "SUCCESS", "message": "", "errorcode": ""}
    given = {**wanted.value.kept, wanted.value.field.name: " 246 810 "}
    session = log_in(motilal.url, by_sms | given)
    assert (session.values, session.expires_at) == (SESSION | {"api_secret": "sec-1"}, SIX)
    _, (method, path, headers, body) = motilal.requests
    assert (method, path, body) == ("POST", "/rest/login/v5/verifyotp", {"otp": "246810"})
    assert (headers["authorization"], headers["apisecretkey"], headers["apikey"]) == ("tok-1", "sec-1", "key-1")


def test_who_needs_no_second_code_is_logged_in_at_once_and_who_needs_one_in_spite_of_totp_is_asked(
    motilal: RestServer,
) -> None:
    assert log_in(motilal.url, VALUES | {"totp_secret": ""}).values == SESSION
    motilal.body = ACCEPTED | {"isAuthTokenVerified": "FALSE"}
    with pytest.raises(AnswerWanted):
        log_in(motilal.url)


@pytest.mark.parametrize(
    ("status", "answer", "otp", "advice"),
    [
        (200, {"status": "ERROR", "message": "Invalid OTP 246810 tok-1"}, "246810", "did not accept the code by SMS"),
        (401, b"", "246810", "log in again"),
        (429, b"", "246810", "wait a minute"),
        (500, b"", "246810", "problem of its own"),
        (200, b"<html>", "246810", "did not accept the code by SMS"),
        (200, ACCEPTED, "", "consists of digits"),
        (200, ACCEPTED, "24x810", "consists of digits"),
    ],
)
def test_a_code_by_sms_that_is_refused_says_what_to_do(
    motilal: RestServer, status: int, answer: Any, otp: str, advice: str
) -> None:
    motilal.body = ACCEPTED | {"isAuthTokenVerified": "FALSE"}
    with pytest.raises(AnswerWanted) as wanted:
        log_in(motilal.url, VALUES | {"totp_secret": ""})
    motilal.status, motilal.body = status, answer
    with pytest.raises(LoginFailed, match=advice) as failed:
        log_in(motilal.url, {**VALUES, **wanted.value.kept, "totp_secret": "", "otp": otp})
    assert not any(secret in str(failed.value) for secret in ("key-1", "hunter2", "tok-1", "246810"))


def test_a_server_that_cannot_be_reached_is_said_so() -> None:
    with pytest.raises(LoginFailed, match="cannot be reached"):
        log_in(url_of_nobody())


def test_a_pasted_session() -> None:
    session = BROKER.login().from_token(SESSION | {"client_code": "aa017 "}, NOW)
    assert (session.values, session.expires_at) == (SESSION, SIX)
    with pytest.raises(LoginFailed, match="auth token is missing"):
        BROKER.login().from_token({"client_code": "AA017", "api_key": "k"}, NOW)


# -- before every connect --------------------------------------------------------------------------------


def ask(url: str, **changes: str) -> MotilalAdapter:
    async def run() -> MotilalAdapter:
        adapter = MotilalAdapter({"api": url, "feed": "ws://feed"})
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await adapter.endpoint("main", Credentials(SESSION | changes), http)).url == "ws://feed"
        return adapter

    return asyncio.run(run())


def room(adapter: MotilalAdapter) -> int:
    return next(n for n in range(1001) if not adapter.fits("main", {"scrip": n + 1, "index": 50}, 1000))


@pytest.mark.parametrize(
    ("status", "answer", "limit"),
    [
        (200, {"status": "SUCCESS", "data": {"MaxBroadcastLimit": 500}}, 500),
        (200, {"status": "SUCCESS", "data": {"MaxBroadcastLimit": "50"}}, 50),
        (200, {"status": "SUCCESS", "data": {"MaxBroadcastLimit": 10**30}}, 200),
        (200, {"status": "SUCCESS", "data": {"MaxBroadcastLimit": 0}}, 200),
        (200, {"status": "SUCCESS", "data": {"MaxBroadcastLimit": -1}}, 200),
        (200, {"status": "SUCCESS", "data": {"MaxBroadcastLimit": True}}, 200),
        (200, {"status": "SUCCESS", "data": []}, 200),
        (200, {"status": "ERROR", "message": "Server busy"}, 200),
        (403, b"<html>", 200),
        (500, b"", 200),
    ],
)
def test_the_broker_says_how_many_scrips_may_be_registered(
    motilal: RestServer, status: int, answer: Any, limit: int
) -> None:
    motilal.status, motilal.body = status, answer
    assert room(ask(motilal.url)) == limit
    (asked,) = motilal.requests
    assert (asked.method, asked.target) == ("POST", "/rest/report/v1/getbroadcastmaxlimit")
    assert (asked.headers["authorization"], asked.body) == ("tok-1", {"clientcode": ""})


def test_without_an_answer_or_a_token_the_usual_limit_holds(motilal: RestServer) -> None:
    assert room(ask(url_of_nobody())) == 200
    assert room(ask(motilal.url, auth_token="")) == 200
    assert motilal.requests == []


@pytest.mark.parametrize(
    ("status", "answer"), [(401, b""), (200, {"status": "ERROR", "message": "Authorization is Invalid AuthToken"})]
)
def test_a_session_that_rest_refuses_is_not_tried_on_the_feed(motilal: RestServer, status: int, answer: Any) -> None:
    motilal.status, motilal.body = status, answer
    with pytest.raises(AuthRejected, match="log in again"):
        ask(motilal.url)


def test_three_early_closes_in_a_row_are_a_refusal() -> None:
    adapter = BROKER.adapter()
    for code, verdict in ((1006, None), (1000, None), (1000, None), (1006, None), (1000, AuthRejected)):
        adapter.codec("main").open_frames(Credentials(SESSION))
        found = adapter.close_failure(code, "")
        assert (type(found) if found else None) is verdict
    for _ in range(5):
        codec = adapter.codec("main")
        codec.open_frames(Credentials(SESSION))
        codec.decode(b"x")
        assert adapter.close_failure(1000, "") is None


class OldMotilal(RestServer):
    """Knows the address of the SDKs of 2024 only."""

    def answer(self, asked: Asked) -> tuple[int, object]:
        return (200, ACCEPTED) if asked.target.startswith("/rest/login/v4/") else (404, {})


def test_where_the_present_address_is_gone_the_older_one_is_asked() -> None:
    with serving(OldMotilal()) as motilal:
        assert log_in(motilal.url).values == SESSION
    assert [asked.target for asked in motilal.requests] == [
        "/rest/login/v7/authdirectapi", "/rest/login/v4/authdirectapi",
    ]  # fmt: skip
