"""FYERS' login against its simulated servers, and against servers that refuse."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tickmux.broker.fyers.login import FyersLogin
from tickmux.codec import Credentials
from tickmux.login import LoginFailed
from tickmux.simulator.fyers.server import APP_ID, SECRET, FyersSimulator
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.server.http_server import HttpServer, Request, Response

NOW = datetime(2025, 8, 6, 4, 0, tzinfo=UTC)
BACK = "http://127.0.0.1:8000/callback"
VALUES = {"app_id": APP_ID, "secret": SECRET}

T = TypeVar("T")


def with_simulator(work: Callable[[FyersSimulator, FyersLogin, httpx.AsyncClient], Any]) -> Any:
    async def run() -> Any:
        simulator = FyersSimulator(Exchange(seed=3))
        await simulator.start()
        try:
            async with httpx.AsyncClient() as http:
                return await work(simulator, FyersLogin(simulator.urls), http)
        finally:
            await simulator.stop()

    return asyncio.run(run())


async def browse(login: FyersLogin, http: httpx.AsyncClient) -> dict[str, str]:
    """What the browser brings back."""
    page = await login.begin(VALUES, BACK, http)
    assert page is not None
    answer = await http.get(page)
    assert answer.status_code == 302
    location = answer.headers["location"]
    assert location.startswith(f"{BACK}?")
    return dict(parse_qsl(urlsplit(location).query))


def test_the_page_is_the_brokers_with_the_apps_data() -> None:
    page = asyncio.run(FyersLogin().begin(VALUES, BACK, httpx.AsyncClient()))
    parts = urlsplit(page or "")
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://api-t1.fyers.in/api/v3/generate-authcode"
    query = dict(parse_qsl(parts.query))
    assert len(query.pop("state")) == 32
    assert query == {"client_id": APP_ID, "redirect_uri": BACK, "response_type": "code"}
    assert SECRET not in (page or "")


def test_an_auth_code_buys_a_session_that_knows_its_end() -> None:
    async def work(simulator: FyersSimulator, login: FyersLogin, http: httpx.AsyncClient) -> Credentials:
        session = await login.exchange(VALUES, await browse(login, http), BACK, http, NOW)
        assert dict(session.values) == dict(simulator.credentials.values)
        with pytest.raises(LoginFailed, match="good for one use"):
            await login.exchange(VALUES, {"auth_code": "simulated-code-1", "state": state}, BACK, http, NOW)
        return session

    state = dict(parse_qsl(urlsplit(asyncio.run(FyersLogin().begin(VALUES, BACK, httpx.AsyncClient())) or "").query))[
        "state"
    ]
    session = with_simulator(work)
    assert session.expires_at == 4102444800
    assert set(session.values) == {"app_id", "access_token", "hsm_key"}


def test_a_wrong_secret_is_refused() -> None:
    async def work(simulator: FyersSimulator, login: FyersLogin, http: httpx.AsyncClient) -> None:
        other = {**VALUES, "secret": "wrong-secret"}
        page = await login.begin(other, BACK, http)
        location = (await http.get(page or "")).headers["location"]
        with pytest.raises(LoginFailed, match="check App ID and Secret ID") as caught:
            await login.exchange(other, dict(parse_qsl(urlsplit(location).query)), BACK, http, NOW)
        assert "wrong-secret" not in str(caught.value)

    with_simulator(work)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "somebody-elses"}, "another login"),
        ({"state": ""}, "another login"),
        ({"state": "स्थिति"}, "another login"),
        ({"auth_code": ""}, "did not confirm"),
        ({"s": "error"}, "did not confirm"),
    ],
)
def test_a_redirect_that_is_not_ours_buys_nothing(change: Mapping[str, str], words: str) -> None:
    async def work(simulator: FyersSimulator, login: FyersLogin, http: httpx.AsyncClient) -> None:
        before = simulator.credentials
        with pytest.raises(LoginFailed, match=words):
            await login.exchange(VALUES, {**await browse(login, http), **change}, BACK, http, NOW)
        assert simulator.credentials is before

    with_simulator(work)


@pytest.mark.parametrize(
    ("response", "words"),
    [
        (Response.json({"s": "error", "code": -16, "message": SECRET}, 401), "code -16.*log in again"),
        (Response.json({"s": "error", "code": -413, "message": SECRET}), "check App ID and Secret ID"),
        (Response(403), "check App ID and Secret ID"),
        (Response(429), "wait a minute"),
        (Response(502, b"<html>"), "a problem of its own"),
        (Response(200, b"<html>"), "no access token"),
        (Response.json({"s": "ok"}), "no access token"),
        (Response.json({"s": "ok", "access_token": "no-jwt"}), "three parts"),
        (Response.json({"s": "ok", "access_token": "a.eyJleHAiOiAxfQ.b"}), "hsm_key"),
    ],
)
def test_a_refusal_says_what_to_do_and_no_secret(response: Response, words: str) -> None:
    asked: list[Request] = []

    def answer(request: Request) -> Response:
        asked.append(request)
        return response

    async def run() -> None:
        server = HttpServer(answer)
        await server.start("127.0.0.1", 0)
        try:
            login = FyersLogin({"api": f"http://127.0.0.1:{server.port}"})
            async with httpx.AsyncClient() as http:
                page = await login.begin(VALUES, BACK, http)
                callback = dict(parse_qsl(urlsplit(page or "").query)) | {"s": "ok", "auth_code": "the-code"}
                await login.exchange(VALUES, callback, BACK, http, NOW)
        finally:
            await server.stop()

    with pytest.raises(LoginFailed, match=words) as caught:
        asyncio.run(run())
    assert SECRET not in str(caught.value)
    (request,) = asked
    assert (request.method, request.path) == ("POST", "/api/v3/validate-authcode")
    assert request.json() == {
        "grant_type": "authorization_code",
        "appIdHash": "74cd32500920a0f56c6a382d24c7b736483f2dab86d0aef20049c4e8fbf0c12f",
        "code": "the-code",
    }


def test_a_server_that_is_not_there_is_a_failed_login() -> None:
    async def work(simulator: FyersSimulator, login: FyersLogin, http: httpx.AsyncClient) -> None:
        callback = await browse(login, http)
        await simulator.stop()
        with pytest.raises(LoginFailed, match="cannot be reached"):
            await login.exchange(VALUES, callback, BACK, http, NOW)

    with_simulator(work)


def pasted(**values: str) -> Credentials:
    return FyersLogin().from_token(values, NOW)


TOKEN = FyersSimulator.make_credentials(None, 1)["access_token"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"access_token": f"{APP_ID}:{TOKEN}"},
        {"access_token": f" {TOKEN}\n", "app_id": APP_ID},
        {"access_token": f"{APP_ID}:{TOKEN}", "app_id": "other"},
    ],
)
def test_a_pasted_token_is_a_session(values: dict[str, str]) -> None:
    session = pasted(**values)
    assert (session["app_id"], session["access_token"]) == (APP_ID, TOKEN)
    assert session["hsm_key"]
    assert session.expires_at == 4102444800


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "access token is missing"),
        ({"access_token": TOKEN}, "App ID is missing"),
        ({"access_token": f"{APP_ID}:secret"}, "three parts"),
        ({"access_token": f"{APP_ID}:e30.eyJoc21fa2V5IjoiYSIsImV4cCI6MTAwMDAwMDAwMH0.x"}, "has expired"),
    ],
)
def test_what_cannot_be_a_session_is_refused(values: dict[str, str], words: str) -> None:
    with pytest.raises(LoginFailed, match=words):
        pasted(**values)


def test_a_login_without_its_data_asks_nobody() -> None:
    for values in ({"app_id": APP_ID}, {"secret": SECRET}):
        with pytest.raises(LoginFailed, match="is missing"):
            asyncio.run(FyersLogin().begin(values, BACK, httpx.AsyncClient()))
