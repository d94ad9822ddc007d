"""Upstox's login against a stand-in for its servers."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from support.web_token import jwt
from tickmux.broker._login_state import login_state
from tickmux.broker.upstox.login import UpstoxLogin
from tickmux.codec import Credentials
from tickmux.login import IST, LoginFailed, LoginKind
from tickmux.simulator.server.http_server import HttpServer, Request, Response

NOW = datetime(2025, 8, 18, 20, 0, tzinfo=IST)
HALF_PAST_THREE = datetime(2025, 8, 18, 22, 0, tzinfo=UTC).timestamp()
KEYS = {"api_key": "k3y", "api_secret": "s3cret"}
REDIRECT = "http://127.0.0.1:5001/upstox/callback"
STATE = login_state(KEYS["api_key"], KEYS["api_secret"], REDIRECT)
ACCEPTED = Response.json(
    {
        "email": "x", "exchanges": ["NSE"], "broker": "UPSTOX", "user_id": "AB1234", "user_name": "Name",
        "access_token": "fresh", "extended_token": "other", "is_active": True,
    }
)  # fmt: skip


def exchange(
    answer: Response, callback: dict[str, str], values: dict[str, str] = KEYS
) -> tuple[Credentials, list[Request]]:
    requests: list[Request] = []

    def handle(request: Request) -> Response:
        requests.append(request)
        return answer

    async def run() -> Credentials:
        server = HttpServer(handle)
        await server.start("127.0.0.1", 0)
        try:
            login = UpstoxLogin({"token": f"http://127.0.0.1:{server.port}/v2/login/authorization/token"})
            async with httpx.AsyncClient(trust_env=False) as http:
                return await login.exchange(values, {"state": STATE, **callback}, REDIRECT, http, NOW)
        finally:
            await server.stop()

    return asyncio.run(run()), requests


def begin(values: dict[str, str]) -> str | None:
    async def run() -> str | None:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await UpstoxLogin().begin(values, REDIRECT, http)

    return asyncio.run(run())


def test_the_browser_is_sent_to_the_login_dialog_with_key_and_redirect() -> None:
    page = urlsplit(begin({"api_key": "a&b", "api_secret": "s3cret"}) or "")
    assert f"{page.scheme}://{page.netloc}{page.path}" == "https://api.upstox.com/v2/login/authorization/dialog"
    assert parse_qs(page.query) == {
        "response_type": ["code"],
        "client_id": ["a&b"],
        "redirect_uri": [REDIRECT],
        "state": [login_state("a&b", "s3cret", REDIRECT)],
    }


def test_an_answer_of_another_login_is_refused() -> None:
    for state in ("", "another"):
        with pytest.raises(LoginFailed, match="another login"):
            exchange(ACCEPTED, {"code": "once", "state": state})
    assert UpstoxLogin.kind is LoginKind.REDIRECT


def test_a_code_is_exchanged_for_a_session_until_half_past_three() -> None:
    session, (request,) = exchange(ACCEPTED, {"code": "once"})
    assert session.values == {"api_key": "k3y", "access_token": "fresh", "user_id": "AB1234"}
    assert session.expires_at == HALF_PAST_THREE
    assert (request.method, request.path) == ("POST", "/v2/login/authorization/token")
    assert request.headers["accept"] == "application/json"
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.form() == {
        "code": "once",
        "client_id": "k3y",
        "client_secret": "s3cret",
        "redirect_uri": REDIRECT,
        "grant_type": "authorization_code",
    }


def test_a_token_of_the_small_hours_ends_the_same_morning() -> None:
    login = UpstoxLogin()
    at_half_past_two = datetime(2025, 8, 19, 2, 30, tzinfo=IST)
    assert login.from_token({"access_token": "opaque"}, at_half_past_two).expires_at == HALF_PAST_THREE


@pytest.mark.parametrize("callback", [{}, {"code": " "}, {"error": "access_denied"}])
def test_a_login_that_the_browser_did_not_confirm_is_said_so(callback: dict[str, str]) -> None:
    with pytest.raises(LoginFailed, match="start the login again"):
        exchange(ACCEPTED, callback)


@pytest.mark.parametrize("name", ["api_key", "api_secret"])
def test_keys_are_needed(name: str) -> None:
    with pytest.raises(LoginFailed, match=name.replace("_", " ").replace("api", "API")):
        exchange(ACCEPTED, {"code": "once"}, KEYS | {name: " "})


def refusal(code: str, key: str = "error_code") -> dict[str, Any]:
    return {"status": "error", "errors": [{key: code, "message": "s3cret once", "property_path": None}]}


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (401, refusal("UDAPI100068"), "does not know this API key"),
        (401, refusal("UDAPI100069"), "did not accept the API secret"),
        (400, refusal("UDAPI100070"), "redirect URL is not the one"),
        (401, refusal("UDAPI100057"), "good for one use only"),
        (401, refusal("UDAPI100057", "errorCode"), "good for one use only"),
        (401, refusal("UDAPI100016"), "did not accept API key and secret"),
        (403, refusal("UDAPI100073"), "inactive"),
        (400, refusal("UDAPI999999"), "UDAPI999999"),
        (429, {}, "wait a minute"),
        (503, {}, "problem of its own"),
        (200, {"access_token": ""}, "no access token"),
        (200, {"access_token": 5}, "no access token"),
        (200, {"access_token": "two\r\nlines"}, "no access token"),
        (200, [], "no access token"),
    ],
)
def test_a_refused_login_says_what_to_do_and_no_secret(status: int, body: object, advice: str) -> None:
    with pytest.raises(LoginFailed, match=advice) as caught:
        exchange(Response.json(body, status), {"code": "once"})
    assert "s3cret" not in str(caught.value)


def test_an_answer_that_is_no_json_is_a_refusal() -> None:
    with pytest.raises(LoginFailed, match="HTTP 403"):
        exchange(Response(403, b"<html>forbidden</html>"), {"code": "once"})


def test_an_unreachable_broker_is_said_so() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
            await UpstoxLogin().exchange(KEYS, {"code": "once", "state": STATE}, REDIRECT, http, NOW)

    with pytest.raises(LoginFailed, match="check the network"):
        asyncio.run(run())


def test_a_pasted_token_lives_as_long_as_it_says_itself() -> None:
    in_a_year = NOW.timestamp() + 365 * 86400
    session = UpstoxLogin().from_token({"access_token": f" Bearer {jwt({'exp': in_a_year})} "}, NOW)
    assert session.values == {"access_token": jwt({"exp": in_a_year})}
    assert session.expires_at == in_a_year


@pytest.mark.parametrize(
    "token",
    ["opaque", "a.b.c", "a.!!!.c", jwt({}), jwt([1]), jwt({"exp": "soon"}), jwt({"exp": True}), jwt({"exp": 1e300})],
)
def test_a_token_that_does_not_say_ends_at_half_past_three(token: str) -> None:
    assert UpstoxLogin().from_token({"access_token": token}, NOW).expires_at == HALF_PAST_THREE


def test_a_token_that_has_ended_is_not_stored() -> None:
    with pytest.raises(LoginFailed, match="ended on 18 Aug 2025 at 03:30 IST"):
        UpstoxLogin().from_token({"access_token": jwt({"exp": HALF_PAST_THREE - 86400})}, NOW)


@pytest.mark.parametrize("token", ["", "   ", "Bearer ", "two words", "tökén", "a\nb"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(LoginFailed, match="access token"):
        UpstoxLogin().from_token({"access_token": token}, NOW)


@pytest.mark.parametrize(
    ("answer", "kept"), [("", {}), ("no", {}), (" N ", {}), ("yes", {"plus": "yes"}), ("Y", {"plus": "yes"})]
)
def test_a_plus_account_is_what_the_user_says(answer: str, kept: dict[str, str]) -> None:
    session, _ = exchange(ACCEPTED, {"code": "once"}, {**KEYS, "plus": answer})
    assert session.values == {"api_key": "k3y", "access_token": "fresh", "user_id": "AB1234", **kept}
    pasted = UpstoxLogin().from_token({"access_token": "opaque", "plus": answer}, NOW)
    assert pasted.values == {"access_token": "opaque", **kept}


def test_an_answer_that_is_neither_yes_nor_no_is_asked_again_before_the_code_is_spent() -> None:
    with pytest.raises(LoginFailed, match="say yes or no"):
        exchange(ACCEPTED, {"code": "once"}, {**KEYS, "plus": "gold"})
    with pytest.raises(LoginFailed, match="say yes or no"):
        UpstoxLogin().from_token({"access_token": "opaque", "plus": "gold"}, NOW)
