"""INDmoney's login against a stand-in for its servers."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pyotp
import pytest

from tickmux.broker.indmoney.login import IndmoneyLogin
from tickmux.codec import Credentials
from tickmux.login import IST, LoginFailed
from tickmux.simulator.server.http_server import HttpServer, Request, Response

NOW = datetime(2025, 8, 18, 14, 30, tzinfo=IST)
TOMORROW = (NOW + timedelta(hours=24)).timestamp()
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
VALUES = {"client_id": "cl13nt", "mpin": "4711", "totp_secret": SECRET}
ACCEPTED = Response.json({"status": "success", "data": {"token": "fr3sh"}})


def log_in(answer: Response, values: dict[str, str] = VALUES) -> tuple[Credentials, list[Request]]:
    requests: list[Request] = []

    def handle(request: Request) -> Response:
        requests.append(request)
        return answer

    async def run() -> Credentials:
        server = HttpServer(handle)
        await server.start("127.0.0.1", 0)
        try:
            login = IndmoneyLogin({"api": f"http://127.0.0.1:{server.port}"})
            async with httpx.AsyncClient(trust_env=False) as http:
                assert await login.begin(values, "", http) is None
                return await login.exchange(values, {}, "", http, NOW)
        finally:
            await server.stop()

    try:
        return asyncio.run(run()), requests
    except LoginFailed as failed:
        assert len(requests) <= 1, "a refused code is never tried again"
        assert not any(secret in str(failed) for secret in VALUES.values())
        raise


@pytest.mark.parametrize("body", [{"status": "success", "data": {"token": "fr3sh"}}, {"token": "fr3sh"}])
def test_mpin_and_the_code_of_the_moment_buy_a_token_for_a_day(body: Any) -> None:
    session, (request,) = log_in(Response.json(body))
    assert (session.values, session.expires_at) == ({"access_token": "fr3sh"}, TOMORROW)
    assert (request.method, request.path) == ("POST", "/generate/token")
    assert request.json() == {"mpin": "4711", "totp": pyotp.TOTP(SECRET).at(NOW)}
    assert request.headers["x-api-key"] == "cl13nt"
    assert request.headers["content-type"] == "application/json"
    assert "authorization" not in request.headers
    assert "fr3sh" not in repr(session)


def test_a_typed_code_goes_before_the_stored_secret() -> None:
    _, (request,) = log_in(ACCEPTED, VALUES | {"totp": " 012 345 "})
    assert request.json()["totp"] == "012345"


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"client_id": ""}, "client ID is missing"),
        ({"client_id": "a\nb"}, "no client ID"),
        ({"mpin": " "}, "MPIN is missing"),
        ({"totp_secret": ""}, "TOTP code is missing"),
        ({"totp": "12345a"}, "6 digits"),
        ({"totp_secret": "123456"}, "beside the QR code"),
        ({"quote_mode": "depth"}, "`quote` or `full`"),
    ],
)
def test_what_cannot_log_in_asks_nobody(values: dict[str, str], advice: str) -> None:
    with pytest.raises(LoginFailed, match=advice):
        log_in(Response(500), VALUES | values)


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (Response(429), "wait 60 seconds"),
        (Response(500), "problem of its own"),
        (Response.json({"status": "error", "message": "Invalid TOTP"}, 401), "TOTP code"),
        (Response.json({"status": "error", "message": "Invalid mpin 4711"}, 400), "did not accept the MPIN"),
        (Response.json({"status": "error", "message": "Account locked"}, 403), "wait 15 minutes"),
        (Response.json({"status": "error", "message": "cl13nt unknown"}, 403), "HTTP 403"),
        (Response.json({"status": "success", "data": {}}), "no access token"),
        (Response.json({"token": 5}), "no access token"),
        (Response.json([1]), "no access token"),
        (Response(200, b"<html>"), "no access token"),
        (Response(200, b"[" * 100_000), "no access token"),
        (Response.json({"token": "a b"}), "no access token"),
    ],
)
def test_a_refusal_says_what_to_do_and_no_secret(answer: Response, advice: str) -> None:
    with pytest.raises(LoginFailed, match=advice):
        log_in(answer)


def test_a_server_that_is_not_there_is_a_failed_login() -> None:
    async def run() -> None:
        server = HttpServer(lambda _: Response(500))
        await server.start("127.0.0.1", 0)
        port = server.port
        await server.stop()
        async with httpx.AsyncClient(trust_env=False) as http:
            await IndmoneyLogin({"api": f"http://127.0.0.1:{port}"}).exchange(VALUES, {}, "", http, NOW)

    with pytest.raises(LoginFailed, match="check the network"):
        asyncio.run(run())


@pytest.mark.parametrize("pasted", ["fr3sh", " fr3sh\n", "Bearer fr3sh"])
def test_a_pasted_token_is_a_session_for_a_day_at_most(pasted: str) -> None:
    session = IndmoneyLogin().from_token({"access_token": pasted}, NOW)
    assert (session.values, session.expires_at) == ({"access_token": "fr3sh"}, TOMORROW)


@pytest.mark.parametrize("pasted", ["", "Bearer ", "a b", "ä"])
def test_what_cannot_be_a_token_is_refused(pasted: str) -> None:
    with pytest.raises(LoginFailed, match="token"):
        IndmoneyLogin().from_token({"access_token": pasted}, NOW)


def test_the_full_mode_is_part_of_the_session_only_when_chosen() -> None:
    session, _ = log_in(ACCEPTED, VALUES | {"quote_mode": "FULL"})
    assert session.values == {"access_token": "fr3sh", "quote_mode": "full"}
    for chosen in ("", "quote"):
        assert "quote_mode" not in IndmoneyLogin().from_token({"access_token": "x", "quote_mode": chosen}, NOW).values
    assert {field.name for field in IndmoneyLogin.token_fields} == {"access_token", "quote_mode"}
    assert json.dumps([field.name for field in IndmoneyLogin.fields if field.secret]) == json.dumps(
        ["client_id", "mpin", "totp_secret", "totp"]
    )
