"""Kotak's two-step login and where the feed is, against a stand-in for its servers."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pyotp
import pytest

from support.rest_server import Asked, RestServer, serving, url_of_nobody
from tickmux.broker._login_record import LoginRecord
from tickmux.broker.kotak import BROKER
from tickmux.broker.kotak.login import KotakLogin
from tickmux.broker.kotak.streaming.kotak_adapter import KotakAdapter
from tickmux.codec import Credentials
from tickmux.login import IST, LoginFailed
from tickmux.websocket_proxy.base_adapter import AuthRejected

NOW = datetime(2026, 11, 23, 8, 30, tzinfo=IST)
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
VALUES = {
    "access_token": "ac-1", "ucc": "AB123", "mobile": "98765 43210", "mpin": "471147", "totp_secret": SECRET,
}  # fmt: skip
VIEW = {"data": {"token": "view-token", "sid": "view-sid", "kType": "View", "status": "success"}}
SESSION = {"token": "t-1", "sid": "s-1", "ucc": "AB123", "status": "success", "dataCenter": "E21", "hsServerId": ""}
TOTP_STEP, MPIN_STEP = "/login/1.0/tradeApiLogin", "/login/1.0/tradeApiValidate"
FILES, CONFIG = "/script-details/1.0/masterscrip/file-paths", "/5config/config"


class Kotak(RestServer):
    """Answers by path, whatever the query."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, tuple[int, object]] = {
            TOTP_STEP: (200, VIEW),
            MPIN_STEP: (200, {"data": {**SESSION, "baseUrl": self.url, "feedUrl": "https://feed.example/x"}}),
            FILES: (200, {"data": {"filesPaths": ["https://files.example/nse_cm-v1.csv", "javascript:x", 5]}}),
        }

    def answer(self, asked: Asked) -> tuple[int, object]:
        return self.answers.get(asked.target.partition("?")[0], (404, {}))


@pytest.fixture
def kotak() -> Iterator[Kotak]:
    with serving(Kotak()) as stand_in:
        yield stand_in


def log_in(url: str, values: dict[str, str] = VALUES) -> Credentials:
    async def run() -> Credentials:
        login = KotakLogin({"login": url})
        async with httpx.AsyncClient(trust_env=False) as http:
            assert await login.begin(values, "", http) is None
            return await login.exchange(values, {}, "", http, NOW)

    return asyncio.run(run())


def test_a_one_time_password_and_the_mpin_make_a_session(kotak: Kotak) -> None:
    session = log_in(kotak.url)
    assert session.values == {
        "ucc": "AB123", "sid": "s-1", "token": "t-1", "access_token": "ac-1", "base_url": kotak.url,
        "data_center": "E21", "feed_url": "https://feed.example/x", "list_files": "https://files.example/nse_cm-v1.csv",
    }  # fmt: skip
    assert session.expires_at is None
    first, second, files = kotak.requests
    assert (first.method, first.target) == ("POST", TOTP_STEP)
    assert first.body == {"mobileNumber": "+919876543210", "ucc": "AB123", "totp": pyotp.TOTP(SECRET).at(NOW)}
    assert {
        name: first.headers.get(name) for name in ("authorization", "neo-fin-key", "content-type", "sid", "auth")
    } == {
        "authorization": "ac-1",
        "neo-fin-key": "neotradeapi",
        "content-type": "application/json",
        "sid": None,
        "auth": None,
    }
    assert (second.target, second.body) == (MPIN_STEP, {"mpin": "471147"})
    assert [second.headers[name] for name in ("sid", "auth", "authorization", "neo-fin-key")] == [
        "view-sid",
        "view-token",
        "ac-1",
        "neotradeapi",
    ]
    assert (files.method, files.target, files.headers["authorization"]) == ("GET", FILES, "ac-1")


@pytest.mark.parametrize("ucc", [None, 5, "", "A B"])
def test_a_client_code_that_the_session_does_not_name_is_the_users(kotak: Kotak, ucc: object) -> None:
    kotak.answers[MPIN_STEP] = (200, {"data": {**SESSION, "ucc": ucc}})
    assert log_in(kotak.url)["ucc"] == "AB123"


@pytest.mark.parametrize("mobile", ["9876543210", "+91 98765-43210", "919876543210", "09876543210", "+919876543210"])
def test_a_mobile_number_may_be_written_in_many_ways(kotak: Kotak, mobile: str) -> None:
    log_in(kotak.url, VALUES | {"mobile": mobile, "totp": " 012 345 "})
    assert kotak.requests[0].body == {"mobileNumber": "+919876543210", "ucc": "AB123", "totp": "012345"}


@pytest.mark.parametrize(
    "answer", [(500, b""), (200, b"<html>"), (200, {}), (200, {"data": None}), (200, {"data": {"filesPaths": "x"}})]
)
def test_a_session_stands_without_the_addresses_of_the_files(kotak: Kotak, answer: tuple[int, Any]) -> None:
    kotak.answers[FILES] = answer
    assert "list_files" not in log_in(kotak.url).values


@pytest.mark.parametrize("base_url", [None, 5, "", "ftp://x", "http://127.0.0.1:99999", "https://[", "http://"])
def test_a_base_address_that_is_none_costs_nothing(kotak: Kotak, base_url: object) -> None:
    kotak.answers[MPIN_STEP] = (200, {"data": {**SESSION, "baseUrl": base_url}})
    assert log_in(kotak.url)["sid"] == "s-1"


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"access_token": ""}, "access token is missing"),
        ({"access_token": "a b"}, "no access token"),
        ({"ucc": " "}, "UCC.* is missing"),
        ({"mobile": ""}, "mobile number is missing"),
        ({"mobile": "123"}, "10 digits"),
        ({"mobile": "98765432x0"}, "10 digits"),
        ({"mpin": "12"}, "MPIN has 6 digits"),
        ({"totp_secret": ""}, "TOTP code is missing"),
        ({"totp_secret": "123456"}, "TOTP secret is not one"),
        ({"totp": "12"}, "6 digits"),
    ],
)
def test_what_is_missing_or_misspelt_is_said_before_anything_is_sent(
    kotak: Kotak, values: dict[str, str], advice: str
) -> None:
    with pytest.raises(LoginFailed, match=advice):
        log_in(kotak.url, VALUES | values)
    assert kotak.requests == []


@pytest.mark.parametrize(
    ("path", "status", "answer", "advice"),
    [
        (TOTP_STEP, 401, {"error": [{"message": "Invalid TOTP ac-1"}]}, "did not accept the TOTP"),
        (TOTP_STEP, 401, {"errMsg": "Invalid access ac-1"}, "check access token"),
        (TOTP_STEP, 422, {"message": "ucc"}, "client code and mobile number"),
        (TOTP_STEP, 424, {}, "problem of its own"),
        (TOTP_STEP, 429, {}, "wait a minute"),
        (TOTP_STEP, 502, b"<html>", "problem of its own"),
        (TOTP_STEP, 200, {"errMsg": "ac-1"}, "refused the log-in"),
        (TOTP_STEP, 200, {"data": {**VIEW["data"], "status": "failure"}}, "refused the log-in"),
        (TOTP_STEP, 200, {"data": {"status": "success"}}, "holds no session"),
        (TOTP_STEP, 200, b"[" * 10_000, "refused the log-in"),
        (MPIN_STEP, 401, {"message": "471147 is wrong"}, "MPIN"),
        (MPIN_STEP, 403, {}, "log in again"),
        (MPIN_STEP, 200, {"data": {**SESSION, "sid": ""}}, "holds no session"),
        (MPIN_STEP, 200, {"data": {**SESSION, "token": "a\nb"}}, "holds no session"),
    ],
)
def test_a_refusal_says_what_to_do_and_repeats_no_secret(
    kotak: Kotak, path: str, status: int, answer: Any, advice: str
) -> None:
    kotak.answers[path] = (status, answer)
    with pytest.raises(LoginFailed, match=advice) as failed:
        log_in(kotak.url)
    assert not any(secret in str(failed.value) for secret in ("ac-1", "471147", SECRET, "view-token"))


def test_a_server_that_cannot_be_reached_is_said_so() -> None:
    with pytest.raises(LoginFailed, match="cannot be reached"):
        log_in(url_of_nobody())


def test_a_pasted_session() -> None:
    login = BROKER.login()
    session = login.from_token({"ucc": "AB123", "sid": " s-1 ", "data_center": "E41"}, NOW)
    assert session.values == {"ucc": "AB123", "sid": "s-1", "data_center": "E41"}
    with pytest.raises(LoginFailed, match="session id"):
        login.from_token({"ucc": "AB123"}, NOW)


# -- where the feed is -----------------------------------------------------------------------------------

DEFAULT = KotakAdapter.default_urls["feed"]
CONFIGS = {"E21_broadcast_source": "sf", "E21_sf_broadcast_endpoint": "https://a.example/apifeed"}


def feed_url(urls: dict[str, str], **values: str) -> str:
    async def run() -> str:
        async with httpx.AsyncClient(trust_env=False) as http:
            return (await KotakAdapter(urls).endpoint("main", Credentials(values), http)).url

    return asyncio.run(run())


def test_the_data_centers_own_address_is_looked_up(kotak: Kotak) -> None:
    kotak.answers[CONFIG] = (200, {"data": {"configs": CONFIGS}})
    urls = {"config": f"{kotak.url}{CONFIG}"}
    assert feed_url(urls, data_center="E21", feed_url="wss://other") == "wss://a.example/apifeed"
    assert "platform=api" in kotak.requests[0].target
    assert "environment=prod" in kotak.requests[0].target
    assert feed_url(urls, data_center="E99", feed_url="https://b.example/f") == "wss://b.example/f"
    assert feed_url({**urls, "feed": "ws://mine"}, data_center="E21") == "ws://mine"


@pytest.mark.parametrize(
    "answer",
    [
        (500, {"data": {"configs": CONFIGS}}),
        (200, b"<html>"),
        (200, b"[" * 10_000),
        (200, {"data": []}),
        (200, {"data": {"configs": {**CONFIGS, "E21_sf_broadcast_endpoint": 5}}}),
        (200, {"data": {"configs": {**CONFIGS, "E21_sf_broadcast_endpoint": "ftp://x"}}}),
        (200, {"data": {"configs": {**CONFIGS, "E21_sf_broadcast_endpoint": "https://[x"}}}),
        (200, {"data": {"configs": {**CONFIGS, "E21_broadcast_source": None}}}),
    ],
)
def test_without_an_answer_the_next_best_address_is_used(kotak: Kotak, answer: tuple[int, Any]) -> None:
    kotak.answers[CONFIG] = answer
    urls = {"config": f"{kotak.url}{CONFIG}"}
    assert feed_url(urls, data_center="E21") == DEFAULT
    assert feed_url(urls, data_center="E21", feed_url="wss://told.example/f") == "wss://told.example/f"
    assert feed_url({"config": url_of_nobody()}, data_center="E21") == DEFAULT


# -- sessions that are refused without a word ------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_three_early_closes_in_a_row_are_a_refusal() -> None:
    clock = Clock()
    record = LoginRecord(clock, 10.0)
    verdicts = []
    for _ in range(3):
        record.sent()
        record.answered()
        clock.now += 3
        verdicts.append(record.closed_too_often())
        clock.now += 5
    assert verdicts == [False, False, True]


def test_market_data_or_a_long_session_speaks_for_the_session() -> None:
    clock = Clock()
    record = LoginRecord(clock, 10.0)
    assert not record.closed_too_often()  # of another connection, before any login
    for proof in (True, False) * 5:
        record.sent()
        if proof:
            record.proven()
        else:
            clock.now += 60
        assert not record.closed_too_often()


def test_three_logins_without_an_answer_are_a_refusal() -> None:
    clock = Clock()
    record = LoginRecord(clock, 10.0)
    verdicts = []
    for _ in range(3):
        record.sent()
        clock.now += 5
        assert not record.silent_too_often()  # another connection opens meanwhile
        clock.now += 10
        verdicts.append(record.silent_too_often())
        assert not record.silent_too_often(), "one silence counts once"
    assert verdicts == [False, False, True]


def test_the_adapter_turns_refusals_into_authentication_failures() -> None:
    adapter = BROKER.adapter({"feed": "ws://x"})
    credentials = Credentials({"ucc": "AB123", "sid": "s"})
    for code, verdict in ((1006, None), (1000, None), (1008, None), (1006, None), (1000, AuthRejected)):
        adapter.codec("main").open_frames(credentials)
        found = adapter.close_failure(code, "")
        assert (type(found) if found else None) is verdict
