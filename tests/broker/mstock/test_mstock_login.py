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
from tickmux.login import IST, AnswerWanted, LoginFailed

NOW = datetime(2025, 8, 18, 9, 30, tzinfo=IST)
NIGHT = datetime(2025, 8, 19, 3, 0, tzinfo=IST).timestamp()
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
VALUES = {"api_key": "apikey@1=", "client_code": "MA123456", "password": "pass word", "totp_secret": SECRET}
SESSION = {"api_key": "apikey@1=", "access_token": "j.w.t", "client_code": "MA123456"}
LOGIN, VERIFY = "/openapi/typeb/connect/login", "/openapi/typeb/session/verifytotp"
VERIFY_SMS = "/openapi/typeb/session/token"


def accepted(status: object = "true", **data: object) -> dict[str, object]:
    return {"status": status, "message": "SUCCESS", "errorcode": "", "data": data}


class MStock(RestServer):
    """Answers each path with its status and body."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, tuple[int, object]] = {
            LOGIN: (200, accepted(refreshToken="refresh-1")),
            VERIFY: (200, accepted(True, jwtToken="j.w.t", feedToken="f", refreshToken="r")),
            VERIFY_SMS: (200, accepted(True, jwtToken="j.w.t", feedToken="f", refreshToken="r")),
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
    assert first.body == {"clientcode": "MA123456", "password": "pass word", "totp": "", "state": ""}
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
    assert [asked.body["totp"] for asked in mstock.requests] == ["", "012345"], "a code of one use is used once"


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"api_key": " "}, "API key is missing"),
        ({"api_key": "a\nb"}, "no API key"),
        ({"client_code": ""}, "client code is missing"),
        ({"password": ""}, "password is missing"),
        ({"totp": "12345"}, "6 digits"),
        ({"totp_secret": "not base32: 189"}, "beside the QR code"),
    ],
)
def test_what_cannot_log_in_asks_nobody(mstock: MStock, values: dict[str, str], advice: str) -> None:
    with pytest.raises(LoginFailed, match=advice):
        log_in(mstock.url, VALUES | values)
    assert mstock.requests == []


BY_SMS = {name: value for name, value in VALUES.items() if name != "totp_secret"}


def asked_for_a_code(mstock: MStock) -> dict[str, str]:
    """What the login keeps between its question and the answer."""
    with pytest.raises(AnswerWanted, match="code to your phone") as wanted:
        log_in(mstock.url, BY_SMS)
    assert "refresh-1" not in str(wanted.value)
    assert wanted.value.field.name == "otp"
    return dict(wanted.value.kept)


def test_without_a_totp_a_code_by_sms_buys_the_session(mstock: MStock) -> None:
    session = log_in(mstock.url, BY_SMS | asked_for_a_code(mstock) | {"otp": " 246 810 "})
    assert (session.values, session.expires_at) == (SESSION, NIGHT)
    first, second = mstock.requests
    assert first.body == {"clientcode": "MA123456", "password": "pass word", "totp": "", "state": ""}
    assert (second.target, second.body) == (VERIFY_SMS, {"refreshToken": "refresh-1", "otp": "246810"})
    assert (second.headers["x-privatekey"], second.headers["x-mirae-version"]) == ("apikey@1=", "1")


def test_no_code_is_asked_for_where_none_was_sent(mstock: MStock) -> None:
    mstock.answers[LOGIN] = (200, refused("Invalid password"))
    with pytest.raises(LoginFailed, match="client code and password"):
        log_in(mstock.url, BY_SMS)


@pytest.mark.parametrize(
    ("otp", "status", "body", "advice"),
    [
        ("", 200, {}, "consists of digits"),
        ("12", 200, {}, "consists of digits"),
        (
            "246810",
            200,
            {"status": "false", "message": "Invalid OTP 246810"},
            "did not accept the code by SMS: log in",
        ),
        (
            "246810",
            401,
            {"status": False, "message": "refresh-1"},
            r"refused the login \(HTTP 401\).*the code by SMS",
        ),
        ("246810", 502, b"", "problem of its own"),
    ],
)
def test_a_code_by_sms_that_is_refused_says_what_to_do(
    mstock: MStock, otp: str, status: int, body: object, advice: str
) -> None:
    kept = asked_for_a_code(mstock)
    mstock.answers[VERIFY_SMS] = (status, body)
    with pytest.raises(LoginFailed, match=advice) as failure:
        log_in(mstock.url, BY_SMS | kept | {"otp": otp})
    assert not any(secret in str(failure.value) for secret in (*VALUES.values(), "246810", "refresh-1"))


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
    code = pyotp.TOTP(SECRET).at(NOW)
    assert not any(secret in str(failure.value) for secret in (*VALUES.values(), code, "refresh-1"))


def test_a_server_that_is_not_there_is_a_failed_login() -> None:
    with pytest.raises(LoginFailed, match="check the network"):
        log_in(url_of_nobody())


@pytest.mark.parametrize("token", ["j.w.t", " j.w.t\n", "Bearer j.w.t", "bearer  j.w.t"])
def test_a_pasted_token_is_a_session_for_the_day(token: str) -> None:
    session = MStockLogin().from_token({"api_key": "k@=", "access_token": token}, NOW)
    assert (session.values, session.expires_at) == ({"api_key": "k@=", "access_token": "j.w.t"}, NIGHT)
    assert "j.w.t" not in repr(session)


def test_a_currency_divisor_that_the_user_has_set_goes_with_the_session(mstock: MStock) -> None:
    assert log_in(mstock.url, VALUES | {"currency_divisor": " 10000000 "})["currency_divisor"] == "10000000"
    pasted = {"api_key": "k", "access_token": "j.w.t", "currency_divisor": "1000"}
    assert MStockLogin().from_token(pasted, NOW).values == pasted


@pytest.mark.parametrize("divisor", ["0", "-100", "1e7", "0.5", "x", "99999999999"])
def test_a_currency_divisor_that_is_none_costs_no_login(mstock: MStock, divisor: str) -> None:
    with pytest.raises(LoginFailed, match="leave it empty if in doubt"):
        log_in(mstock.url, VALUES | {"currency_divisor": divisor})
    assert mstock.requests == []


@pytest.mark.parametrize(
    "values", [{"access_token": ""}, {"access_token": "a b"}, {"access_token": "ä"}, {"api_key": ""}]
)
def test_what_cannot_be_a_session_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(LoginFailed, match=r"token|API key"):
        MStockLogin().from_token({"api_key": "k", "access_token": "j.w.t"} | values, NOW)
