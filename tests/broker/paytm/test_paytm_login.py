"""Paytm Money's login against a stand-in for its servers."""

import asyncio
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from support.rest_server import RestServer, serving, url_of_nobody
from support.web_token import jwt
from tickmux.broker._login_state import login_state
from tickmux.broker.paytm.login import PaytmLogin
from tickmux.codec import Credentials
from tickmux.login import IST, LoginFailed

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=IST)
NIGHT = datetime(2026, 11, 24, 3, 0, tzinfo=IST).timestamp()
VALUES = {"api_key": "apikey12", "api_secret": "top secret"}
CALLBACK = {"success": "true", "requestToken": "request-1", "state": login_state("apikey12", "top secret", "")}
TOKENS = {"access_token": "acc-9", "public_access_token": "pub", "read_access_token": "read"}


@pytest.fixture
def paytm() -> Iterator[RestServer]:
    with serving(RestServer(TOKENS)) as stand_in:
        yield stand_in


def exchange(url: str, values: dict[str, str] = VALUES, callback: dict[str, str] = CALLBACK) -> Credentials:
    async def run() -> Credentials:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await PaytmLogin({"api": url}).exchange(values, callback, "", http, NOW)

    return asyncio.run(run())


def test_the_browser_opens_the_login_page_with_the_key() -> None:
    async def begin(values: dict[str, str]) -> str | None:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await PaytmLogin().begin(values, "http://127.0.0.1:5001/paytm/callback", http)

    page = urlsplit(asyncio.run(begin(VALUES | {"api_key": "a&b "})) or "")
    assert (page.netloc, page.path) == ("login.paytmmoney.com", "/merchant-login")
    query = parse_qs(page.query)
    assert query.keys() == {"apiKey", "state"}
    assert query["apiKey"] == ["a&b"]
    with pytest.raises(LoginFailed, match="API key is missing"):
        asyncio.run(begin({}))


@pytest.mark.parametrize("name", ["requestToken", "request_token"])
def test_the_request_token_buys_the_feeds_token(paytm: RestServer, name: str) -> None:
    session = exchange(paytm.url, callback={name: " request-1 ", "state": CALLBACK["state"]})
    assert (session.values, session.expires_at) == ({"public_access_token": "pub"}, NIGHT)
    ((method, path, headers, body),) = paytm.requests
    assert (method, path, headers["Content-Type"]) == ("POST", "/accounts/v2/gettoken", "application/json")
    assert body == {"api_key": "apikey12", "api_secret_key": "top secret", "request_token": "request-1"}


@pytest.mark.parametrize(
    ("values", "callback", "advice"),
    [
        (VALUES | {"api_secret": " "}, CALLBACK, "API secret is missing"),
        (VALUES, {}, "did not confirm"),
        (VALUES, {"requestToken": " ", "success": "false"}, "did not confirm"),
    ],
)
def test_what_cannot_log_in_asks_nobody(
    paytm: RestServer, values: dict[str, str], callback: dict[str, str], advice: str
) -> None:
    with pytest.raises(LoginFailed, match=advice):
        exchange(paytm.url, values, callback)
    assert paytm.requests == []


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (400, {"errors": [{"message": "Invalid api_secret_key top secret"}]}, r"API secret \(HTTP 400\)"),
        (400, {"message": "Invalid api_key apikey12"}, r"API key \(HTTP 400\)"),
        (401, {"message": "Request token request-1 is invalid"}, "good for one use"),
        (403, b"<html>", "good for one use"),
        (404, b"", r"refused the login \(HTTP 404\)"),
        (429, b"", "wait a minute"),
        (500, {"message": "oops"}, "problem of its own"),
        (200, {"access_token": "acc-9"}, "no public access token"),
        (200, {"public_access_token": 5}, "no public access token"),
        (200, {"public_access_token": ""}, "no public access token"),
        (200, b"not json", "no public access token"),
        (200, [1], "no public access token"),
        (200, b'{"errors":' + b"[" * 100_000, "no public access token"),
    ],
)
def test_a_refusal_says_what_to_do_and_no_secret(paytm: RestServer, status: int, body: object, advice: str) -> None:
    paytm.status, paytm.body = status, body
    with pytest.raises(LoginFailed, match=advice) as refused:
        exchange(paytm.url)
    assert not any(secret in str(refused.value) for secret in (*VALUES.values(), "request-1", "acc-9"))


def test_a_server_that_is_not_there_is_a_failed_login() -> None:
    with pytest.raises(LoginFailed, match="check the network"):
        exchange(url_of_nobody())


LATER = NOW.timestamp() + 5 * 3600


@pytest.mark.parametrize(
    ("token", "expires"),
    [
        (jwt({"exp": LATER}), LATER),
        (jwt({"exp": int(LATER), "iss": "x"}), int(LATER)),
        (jwt({"exp": LATER * 1000}), NIGHT),
        (jwt({"exp": "soon"}), NIGHT),
        (jwt({"exp": -1}), NIGHT),
        (jwt({}), NIGHT),
        (jwt([1]), NIGHT),
        ("a.!!!.c", NIGHT),
        ("a.W.c", NIGHT),
        ("opaque", NIGHT),
    ],
)
def test_a_token_lives_as_long_as_it_says_else_for_the_day(token: str, expires: float) -> None:
    session = PaytmLogin().from_token({"public_access_token": f" {token}\n"}, NOW)
    assert (session.values, session.expires_at) == ({"public_access_token": token}, expires)
    assert token not in repr(session)


@pytest.mark.parametrize(
    ("token", "advice"),
    [("", "missing"), ("a b", "no public access token"), ("ä", "no public"), (jwt({"exp": 1}), "has expired")],
)
def test_what_cannot_be_a_token_is_refused(token: str, advice: str) -> None:
    with pytest.raises(LoginFailed, match=advice):
        PaytmLogin().from_token({"public_access_token": token}, NOW)
