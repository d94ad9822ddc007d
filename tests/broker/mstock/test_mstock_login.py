"""m.Stock's login against a stand-in for its servers."""

import asyncio
from collections.abc import Iterator
from datetime import datetime

import httpx
import pyotp
import pytest

from support.rest_server import Asked, RestServer, serving, url_of_nobody
from tickmux.broker.mstock.login import MStockLogin
from tickmux.codec import Credentials
from tickmux.login import IST, LoginFailed

NOW = datetime(2025, 8, 18, 9, 30, tzinfo=IST)
NIGHT = datetime(2025, 8, 19, 3, 0, tzinfo=IST).timestamp()
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
VALUES = {"api_key": "apikey@1=", "client_code": "MA123456", "password": "pass word", "totp_secret": SECRET}
SESSION = {"api_key": "apikey@1=", "access_token": "j.w.t", "client_code": "MA123456"}
LOGIN, VERIFY = "/openapi/typeb/connect/login", "/openapi/typeb/session/verifytotp"


def accepted(status: object = "true", **data: object) -> dict[str, object]:
    return {"status": status, "message": "SUCCESS", "errorcode": "", "data": data}


class MStock(RestServer):
    """Answers each path with its status and body."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, tuple[int, object]] = {
            LOGIN: (200, accepted(refreshToken="refresh-1")),
            VERIFY: (200, accepted(True, jwtToken="j.w.t", feedToken="f", refreshToken="r")),
        }

    def answer(self, asked: Asked) -> tuple[int, object]:
        return self.answers[asked.target]


@pytest.fixture
def mstock() -> Iterator[MStock]:
    with serving(MStock()) as stand_in:
        yield stand_in


def log_in(url: str, values: dict[str, str] = VALUES) -> Credentials:
    async def run() -> Credentials:
        login = MStockLogin({"api": url})
        async with httpx.AsyncClient(trust_env=False) as http:
            assert await login.begin(values, "", http) is None
            return await login.exchange(values, {}, "", http, NOW)

    return asyncio.run(run())


def test_password_and_the_code_of_the_moment_buy_a_session_for_the_day(mstock: MStock) -> None:
    session = log_in(mstock.url)
    assert (session.values, session.expires_at) == (SESSION, NIGHT)
    code = pyotp.TOTP(SECRET).at(NOW)
    first, second = mstock.requests
    assert [(asked.method, asked.target) for asked in (first, second)] == [("POST", LOGIN), ("POST", VERIFY)]
    assert first.body == {"clientcode": "MA123456", "password": "pass word", "totp": code, "state": ""}
    assert second.body == {"refreshToken": "refresh-1", "totp": code}
    for headers in (first.headers, second.headers):
        assert (headers["x-mirae-version"], headers["content-type"]) == ("1", "application/json")
    assert "x-privatekey" not in first.headers
    assert second.headers["x-privatekey"] == "apikey@1="


def test_the_first_answer_may_name_its_token_otherwise(mstock: MStock) -> None:
    mstock.answers[LOGIN] = (200, accepted(True, jwtToken="only-this"))
    assert log_in(mstock.url).values == SESSION
    assert mstock.requests[1].body["refreshToken"] == "only-this"


def test_a_typed_code_goes_before_the_stored_secret(mstock: MStock) -> None:
    log_in(mstock.url, VALUES | {"totp": " 012 345 "})
    assert {asked.body["totp"] for asked in mstock.requests} == {"012345"}


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"api_key": " "}, "API key is missing"),
        ({"api_key": "a\nb"}, "no API key"),
        ({"client_code": ""}, "client code is missing"),
        ({"password": ""}, "password is missing"),
        ({"totp_secret": ""}, "TOTP code is missing"),
        ({"totp": "12345"}, "6 digits"),
        ({"totp_secret": "not base32: 189"}, "beside the QR code"),
    ],
)
def test_what_cannot_log_in_asks_nobody(mstock: MStock, values: dict[str, str], advice: str) -> None:
    with pytest.raises(LoginFailed, match=advice):
        log_in(mstock.url, VALUES | values)
    assert mstock.requests == []


def refused(message: str, status: object = "false") -> dict[str, object]:
    return {"status": status, "message": message, "error_type": None, "data": None}


@pytest.mark.parametrize("path", [LOGIN, VERIFY])
@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (200, refused("Invalid client code or password MA123456 pass word"), "client code and password"),
        (200, refused("Invalid totp", False), "did not accept the TOTP"),
        (200, refused("Please enter valid OTP"), "did not accept the TOTP"),
        (401, refused("API key is invalid apikey@1="), r"API key \(HTTP 401\)"),
        (403, {"status": False, "error_type": "TokenException"}, r"refused the login \(HTTP 403\)"),
        (429, b"", "wait a minute"),
        (503, b"<html>", "problem of its own"),
        (200, b"not json", "refused the login"),
        (200, [1], "refused the login"),
        (200, {"status": 1, "data": {"jwtToken": "j", "refreshToken": "r"}}, "refused the login"),
        (200, b'{"data":' + b"[" * 100_000, "refused the login"),
        (200, accepted(), "holds no session|access token .* missing"),
        (200, {"status": True, "data": ""}, "holds no session|access token .* missing"),
        (200, accepted(refreshToken=5, jwtToken=["x"]), "holds no session|access token .* missing"),
    ],
)
def test_a_refusal_says_what_to_do_and_no_secret(
    mstock: MStock, path: str, status: int, body: object, advice: str
) -> None:
    mstock.answers[path] = (status, body)
    with pytest.raises(LoginFailed, match=advice) as failure:
        log_in(mstock.url)
    code = mstock.requests[0].body["totp"]
    assert not any(secret in str(failure.value) for secret in (*VALUES.values(), code, "refresh-1"))


def test_a_server_that_is_not_there_is_a_failed_login() -> None:
    with pytest.raises(LoginFailed, match="check the network"):
        log_in(url_of_nobody())


@pytest.mark.parametrize("token", ["j.w.t", " j.w.t\n", "Bearer j.w.t", "bearer  j.w.t"])
def test_a_pasted_token_is_a_session_for_the_day(token: str) -> None:
    session = MStockLogin().from_token({"api_key": "k@=", "access_token": token}, NOW)
    assert (session.values, session.expires_at) == ({"api_key": "k@=", "access_token": "j.w.t"}, NIGHT)
    assert "j.w.t" not in repr(session)


@pytest.mark.parametrize(
    "values", [{"access_token": ""}, {"access_token": "a b"}, {"access_token": "ä"}, {"api_key": ""}]
)
def test_what_cannot_be_a_session_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(LoginFailed, match=r"token|API key"):
        MStockLogin().from_token({"api_key": "k", "access_token": "j.w.t"} | values, NOW)
