"""Samco's login and hand-shake against a stand-in for its servers."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from support.rest_server import RestServer, serving, url_of_nobody
from tickmux.broker._login_state import login_state
from tickmux.broker.samco import BROKER
from tickmux.broker.samco.login import SamcoLogin
from tickmux.codec import Credentials
from tickmux.login import IST, LoginFailed
from tickmux.websocket_proxy.base_adapter import AuthRejected, Endpoint, Unavailable

NOW = datetime(2025, 8, 18, 14, 30, tzinfo=IST)
EIGHT_NEXT_MORNING = datetime(2025, 8, 19, 8, 0, tzinfo=IST).timestamp()
KEYS = {"api_key": "samcokey", "api_secret": "s3cret"}
BROWSER = {"api_key": "samcokey", "api_secret": ""}
BACK = "http://127.0.0.1:5000/samco/callback"
STATE = login_state("samco", "samcokey", BACK)
ACCEPTED = {"status": "Success", "sessionToken": "fresh%2Ftoken", "validity": "08:00", "accountID": "AB1"}


@pytest.fixture
def samco() -> Iterator[RestServer]:
    with serving(RestServer(ACCEPTED)) as stand_in:
        yield stand_in


def asked(samco: RestServer) -> list[tuple[str, str, object]]:
    return [(request.method, request.target, request.body) for request in samco.requests]


def exchange(url: str, values: dict[str, str] = KEYS, callback: dict[str, str] | None = None) -> Credentials:
    async def run() -> Credentials:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await SamcoLogin({"api": url}).exchange(values, callback or {}, BACK, http, NOW)

    return asyncio.run(run())


def begin(values: dict[str, str]) -> str | None:
    async def run() -> str | None:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await SamcoLogin().begin(values, BACK, http)

    return asyncio.run(run())


def test_key_and_secret_make_a_session_until_eight_without_a_browser(samco: RestServer) -> None:
    assert begin(KEYS) is None
    session = exchange(samco.url)
    assert session.values == {"session_token": "fresh%2Ftoken"}
    assert session.expires_at == EIGHT_NEXT_MORNING
    assert asked(samco) == [("POST", "/session/token", {"apiKey": "samcokey", "apiSecret": "s3cret"})]


def test_the_key_alone_leads_to_the_browser_whose_code_makes_a_session(samco: RestServer) -> None:
    assert begin(BROWSER) == (
        "https://tradeapi.samco.in/oauth/authorize?api_key=samcokey"
        "&redirect_url=http%3A%2F%2F127.0.0.1%3A5000%2Fsamco%2Fcallback"
        f"&state={STATE}&scopes=read"
    )
    samco.body = {"status": "Success", "accessToken": "of the browser".replace(" ", "-"), "refreshToken": "r"}
    session = exchange(samco.url, BROWSER, {"code": "once", "state": STATE})
    assert session.values == {"session_token": "of-the-browser"}
    assert asked(samco) == [("POST", "/oauth/token", {"code": "once", "redirect_url": BACK})]


@pytest.mark.parametrize(("hour", "minute"), [(0, 5), (7, 30), (8, 0), (23, 59)])
def test_a_session_lives_until_eight_of_the_next_day_whenever_it_began(hour: int, minute: int) -> None:
    began = datetime(2025, 8, 18, hour, minute, tzinfo=IST).astimezone(UTC)
    assert SamcoLogin().from_token({"session_token": "t"}, began).expires_at == EIGHT_NEXT_MORNING


@pytest.mark.parametrize(
    ("validity", "expires"),
    [
        ("2025-08-18T20:00:00Z", datetime(2025, 8, 19, 1, 30, tzinfo=IST).timestamp()),
        ("2025-08-19T07:00:00+05:30", datetime(2025, 8, 19, 7, 0, tzinfo=IST).timestamp()),
        ("2025-08-19T07:00:00", EIGHT_NEXT_MORNING),
        ("2025-08-18T09:00:00Z", EIGHT_NEXT_MORNING),
        ("2035-08-18T20:00:00Z", EIGHT_NEXT_MORNING),
        ("0001-01-01T00:00:00+14:00", EIGHT_NEXT_MORNING),
        ("24h", EIGHT_NEXT_MORNING),
        (86400, EIGHT_NEXT_MORNING),
        (None, EIGHT_NEXT_MORNING),
    ],
)
def test_the_broker_may_say_itself_until_when(samco: RestServer, validity: object, expires: float) -> None:
    samco.body = ACCEPTED | {"validity": validity}
    assert exchange(samco.url).expires_at == expires


@pytest.mark.parametrize(
    "callback", [{}, {"error": "denied"}, {"code": "once"}, {"code": "once", "state": "another"}]
)
def test_a_login_that_the_browser_did_not_confirm_asks_nobody(samco: RestServer, callback: dict[str, str]) -> None:
    with pytest.raises(LoginFailed, match="start the login again"):
        exchange(samco.url, BROWSER, callback)
    assert samco.requests == []


def failure(code: str) -> dict[str, str]:
    return {"status": "Failure", "errorCode": code, "statusMessage": "s3cret is wrong"}


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (200, failure("EOAUTH001"), "API key, or it is not active"),
        (401, failure("EOAUTH008"), "did not accept the API secret"),
        (403, failure("EOAUTH009"), "IP address is not registered"),
        (200, failure("EOAUTH123"), "EOAUTH123"),
        (200, {"status": "Failure"}, "weekends and holidays"),
        (401, b"<html>no</html>", "HTTP 401"),
        (429, b"", "wait a minute"),
        (503, b"", "problem of its own"),
        (200, {"status": "Success"}, "holds no session token"),
        (200, {"status": "Success", "sessionToken": 5}, "holds no session token"),
        (200, b"not json", "holds no session token"),
        (200, b'{"sessionToken":' + b"[" * 100_000, "holds no session token"),
        (200, {"status": "Success", "sessionToken": "two words"}, "no session token"),
    ],
)
def test_a_refusal_says_what_to_do_and_no_secret(samco: RestServer, status: int, body: object, advice: str) -> None:
    samco.status, samco.body = status, body
    with pytest.raises(LoginFailed, match=advice) as refused:
        exchange(samco.url)
    assert not any(secret in str(refused.value) for secret in ("samcokey", "s3cret"))


def test_a_server_that_is_not_there_is_a_failed_login() -> None:
    with pytest.raises(LoginFailed, match="check the network"):
        exchange(url_of_nobody())


def test_a_missing_key_is_named(samco: RestServer) -> None:
    with pytest.raises(LoginFailed, match="API key is missing"):
        exchange(samco.url, {"api_key": " ", "api_secret": "s3cret"})
    with pytest.raises(LoginFailed, match="API key is missing"):
        begin({})
    assert samco.requests == []


@pytest.mark.parametrize("token", ["", " ", "a b", "a%20b", "a%0d%0aX: y", "ä"])
def test_what_cannot_be_a_token_is_refused(token: str) -> None:
    with pytest.raises(LoginFailed, match="session token"):
        SamcoLogin().from_token({"session_token": token}, NOW)


def endpoint(token: str) -> Endpoint:
    async def run() -> Endpoint:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await BROKER.adapter({"api": "http://rest"}).endpoint(
                "main", Credentials({"session_token": token}), http
            )

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("stored", "sent"), [("a/b+c=", "a/b+c="), ("a%2Fb%2Bc%3D", "a/b+c="), ("100%2525", "100%25")]
)
def test_the_token_is_decoded_once_and_travels_as_a_header(stored: str, sent: str) -> None:
    found = endpoint(SamcoLogin().from_token({"session_token": stored}, NOW)["session_token"])
    assert (found.url, found.rest_base) == ("wss://stream.samco.in", "http://rest")
    assert found.headers == {"x-session-token": sent}
    assert sent not in repr(found)


@pytest.mark.parametrize("stored", ["", "a%0d%0ab"])
def test_a_stored_token_that_is_none_is_never_sent(stored: str) -> None:
    with pytest.raises(AuthRejected):
        endpoint(stored)


def test_refused_handshakes_are_told_apart() -> None:
    adapter = BROKER.adapter()
    for status in (401, 403):
        refused = adapter.handshake_failure(status, "no", {}, b"")
        assert isinstance(refused, AuthRejected)
        assert "public IP address" in str(refused)
    assert isinstance(adapter.handshake_failure(502, "Bad Gateway", {}, b""), Unavailable)
    assert adapter.close_failure(1000, "") is None
