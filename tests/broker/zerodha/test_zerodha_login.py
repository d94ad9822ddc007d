"""Zerodha's login and hand-shake against a stand-in for Kite's servers."""

import asyncio
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from support.rest_server import RestServer, serving, url_of_nobody
from tickmux.broker._login_state import login_state
from tickmux.broker.zerodha import BROKER
from tickmux.broker.zerodha.login import ZerodhaLogin
from tickmux.codec import Credentials
from tickmux.login import IST, LoginFailed
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable

NOW = datetime(2025, 8, 18, 14, 30, tzinfo=IST)
SIX_NEXT_MORNING = datetime(2025, 8, 19, 0, 30, tzinfo=UTC).timestamp()
KEYS = {"api_key": "kitekey", "api_secret": "s3cret"}
REDIRECT = "http://127.0.0.1:5000/"
STATE = login_state("kitekey", "s3cret", REDIRECT)
ACCEPTED = {"status": "success", "data": {"access_token": "fresh", "user_id": "AB1234", "login_time": "2025-08-18"}}


@pytest.fixture
def kite() -> Iterator[RestServer]:
    with serving(RestServer(ACCEPTED)) as stand_in:
        yield stand_in


def exchange(url: str, callback: dict[str, str], values: dict[str, str] = KEYS) -> Credentials:
    async def run() -> Credentials:
        async with httpx.AsyncClient(trust_env=False) as http:
            login = ZerodhaLogin({"api": url})
            return await login.exchange(values, {"tickmux_state": STATE, **callback}, REDIRECT, http, NOW)

    return asyncio.run(run())


def begin(values: dict[str, str]) -> str | None:
    async def run() -> str | None:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await ZerodhaLogin().begin(values, REDIRECT, http)

    return asyncio.run(run())


def test_the_browser_is_sent_to_kites_login_page_with_the_key_and_a_state_that_comes_back() -> None:
    page = begin({"api_key": "a&b", "api_secret": "s3cret"})
    state = login_state("a&b", "s3cret", REDIRECT)
    assert page == (
        f"https://kite.zerodha.com/connect/login?v=3&api_key=a%26b&redirect_params=tickmux_state%3D{state}"
    )


@pytest.mark.parametrize("state", ["", "another", login_state("kitekey", "other", REDIRECT)])
def test_an_answer_of_another_login_asks_nobody(kite: RestServer, state: str) -> None:
    with pytest.raises(LoginFailed, match="another login"):
        exchange(kite.url, {"request_token": "once", "status": "success", "tickmux_state": state})
    assert kite.requests == []


def test_a_request_token_is_exchanged_with_a_checksum_for_a_session_until_six(kite: RestServer) -> None:
    session = exchange(kite.url, {"request_token": "once", "status": "success", "action": "login"})
    assert session.values == {"api_key": "kitekey", "access_token": "fresh", "user_id": "AB1234"}
    assert session.expires_at == SIX_NEXT_MORNING
    ((method, path, headers, form),) = kite.requests
    assert (method, path) == ("POST", "/session/token")
    assert headers["X-Kite-Version"] == "3"
    assert form == {
        "api_key": ["kitekey"],
        "request_token": ["once"],
        "checksum": [hashlib.sha256(b"kitekeyonces3cret").hexdigest()],
    }


@pytest.mark.parametrize("callback", [{}, {"status": "success"}, {"request_token": "once", "status": "cancelled"}])
def test_a_login_that_the_browser_did_not_confirm_asks_nobody(kite: RestServer, callback: dict[str, str]) -> None:
    with pytest.raises(LoginFailed, match="start the login again"):
        exchange(kite.url, callback)
    assert kite.requests == []


def error(kind: str, message: str) -> dict[str, str]:
    return {"status": "error", "error_type": kind, "message": message}


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (403, error("TokenException", "Token is invalid or has expired."), "one use within a few minutes"),
        (403, error("TokenException", "Invalid `checksum`."), "did not accept the API secret"),
        (400, error("InputException", "Invalid `api_key`."), "does not know the API key"),
        (400, error("InputException", "Something else"), "InputException"),
        (403, b"<html>forbidden</html>", "one use within a few minutes"),
        (429, error("NetworkException", "Too many requests"), "wait a minute"),
        (503, b"", "problem of its own"),
        (200, {"status": "success", "data": {}}, "no access token"),
        (200, {"status": "success", "data": None}, "no access token"),
        (200, b"not json", "no access token"),
        (200, b'{"data":' + b"[" * 100_000, "no access token"),
    ],
)
def test_a_refusal_says_what_to_do_and_no_secret(kite: RestServer, status: int, body: object, advice: str) -> None:
    kite.status, kite.body = status, body
    with pytest.raises(LoginFailed, match=advice) as refused:
        exchange(kite.url, {"request_token": "once", "status": "success"})
    assert not any(secret in str(refused.value) for secret in ("kitekey", "s3cret", "once,"))


def test_a_server_that_is_not_there_is_a_failed_login() -> None:
    with pytest.raises(LoginFailed, match="check the network"):
        exchange(url_of_nobody(), {"request_token": "once"})


@pytest.mark.parametrize("missing", ["api_key", "api_secret"])
def test_a_missing_key_is_named(kite: RestServer, missing: str) -> None:
    with pytest.raises(LoginFailed, match=missing.replace("api_", "API ")):
        exchange(kite.url, {"request_token": "once"}, {**KEYS, missing: " "})
    assert kite.requests == []


@pytest.mark.parametrize(
    ("values", "key", "token"),
    [
        ({"access_token": " abc ", "api_key": "kitekey"}, "kitekey", "abc"),
        ({"access_token": "kitekey:abc"}, "kitekey", "abc"),
        ({"access_token": "kitekey:a:b", "api_key": "another"}, "kitekey", "a:b"),
    ],
)
def test_a_pasted_token_is_a_session_until_six(values: dict[str, str], key: str, token: str) -> None:
    session = ZerodhaLogin().from_token(values, NOW)
    assert session.values == {"api_key": key, "access_token": token}
    assert session.expires_at == SIX_NEXT_MORNING
    assert token not in repr(session)


@pytest.mark.parametrize("values", [{}, {"access_token": "abc"}, {"access_token": "k:"}, {"access_token": "k:a b"}])
def test_what_cannot_be_a_token_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(LoginFailed):
        ZerodhaLogin().from_token(values, NOW)


def test_a_token_after_midnight_lives_until_six_of_the_same_day() -> None:
    session = ZerodhaLogin().from_token({"access_token": "k:abc"}, datetime(2025, 8, 19, 1, 0, tzinfo=IST))
    assert session.expires_at == SIX_NEXT_MORNING


@pytest.mark.parametrize("stored", ["a+b/c", "kite key:a+b/c"])
def test_the_feed_address_carries_key_and_token_percent_encoded(stored: str) -> None:
    async def run() -> str:
        async with httpx.AsyncClient(trust_env=False) as http:
            session = Credentials({"api_key": "kite key", "access_token": stored})
            endpoint = await BROKER.adapter({"feed": "ws://127.0.0.1:1"}).endpoint("main", session, http)
        assert endpoint.headers["X-Kite-Version"] == "3"
        assert "a+b" not in repr(endpoint)
        return endpoint.url

    url = asyncio.run(run())
    assert url == "ws://127.0.0.1:1?api_key=kite%20key&access_token=a%2Bb%2Fc"
    assert dict(parse_qsl(urlsplit(url).query)) == {"api_key": "kite key", "access_token": "a+b/c"}


def test_refused_handshakes_and_goodbyes_are_told_apart() -> None:
    adapter = BROKER.adapter()
    assert isinstance(adapter.handshake_failure(403, "Forbidden", {}, b""), AuthRejected)
    assert isinstance(adapter.handshake_failure(401, "", {}, b""), AuthRejected)
    busy = adapter.handshake_failure(429, "Too Many Requests", {}, b"")
    assert isinstance(busy, Unavailable)
    assert busy.retry_after == 60
    assert isinstance(adapter.handshake_failure(502, "Bad Gateway", {}, b""), Unavailable)
    assert isinstance(adapter.close_failure(1006, "403 Forbidden"), AuthRejected)
    assert isinstance(adapter.close_failure(1008, "TokenException"), AuthRejected)
    assert adapter.close_failure(1001, "going away") is None
