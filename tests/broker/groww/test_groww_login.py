"""Groww's login against a stand-in for its token service."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import httpx
import pyotp
import pytest

from tickmux.broker.groww import BROKER
from tickmux.broker.groww.login import GrowwLogin
from tickmux.codec import Credentials
from tickmux.login import LoginFailed, LoginKind
from tickmux.simulator.server.http_server import HttpServer, Request, Response

NOW = datetime(2024, 7, 1, 4, 0, 0, tzinfo=UTC)  # 09:30 in India; 1719806400
SIX_TOMORROW = datetime(2024, 7, 2, 0, 30, tzinfo=UTC).timestamp()
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
KEY = {"api_key": "the-key"}
GRANTED = {"token": "t0ken", "tokenRefId": "r", "sessionName": "s", "expiry": "2024-07-02T06:00:00", "isActive": True}


class Service:
    """Plays the token service with `answer`; keeps the requests."""

    def __init__(self, answer: Callable[[Request], Response] | None = None) -> None:
        self.answer = answer or (lambda request: Response.json(GRANTED))
        self.requests: list[Request] = []

    def _handle(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answer(request)

    def log_in(self, values: Mapping[str, str], now: datetime = NOW) -> Credentials:
        async def run() -> Credentials:
            server = HttpServer(self._handle)
            await server.start("127.0.0.1", 0)
            try:
                login = GrowwLogin({"token": f"http://127.0.0.1:{server.port}/v1/token/api/access"})
                async with httpx.AsyncClient(trust_env=False) as http:
                    return await login.exchange(values, {}, "", http, now)
            finally:
                await server.stop()

        return asyncio.run(run())


def test_a_stored_totp_secret_makes_the_code_of_the_moment() -> None:
    service = Service()
    session = service.log_in(KEY | {"totp_secret": "jbsw y3dp-ehpk3pxpjbswy3dpeh"})
    assert dict(session.values) == {"access_token": "t0ken"}
    assert session.expires_at == SIX_TOMORROW
    (request,) = service.requests
    assert (request.method, request.path) == ("POST", "/v1/token/api/access")
    assert request.headers["authorization"] == "Bearer the-key"
    assert request.headers["x-client-id"] == "growwapi"
    assert request.json() == {"key_type": "totp", "totp": pyotp.TOTP(TOTP_SECRET).at(NOW)}


def test_a_typed_code_wins_over_everything_stored() -> None:
    service = Service()
    service.log_in(KEY | {"totp_secret": TOTP_SECRET, "totp": "12 34 56", "api_secret": "s"})
    assert service.requests[0].json() == {"key_type": "totp", "totp": "123456"}


def test_a_key_with_a_secret_proves_it_with_a_checksum() -> None:
    service = Service()
    service.log_in(KEY | {"api_secret": "testsecret"}, datetime.fromtimestamp(1719830400, UTC))
    assert service.requests[0].json() == {
        "key_type": "approval",
        "checksum": "6b31954891d285078dd0d78abda56bbcd28c6da5b8e37335ca45d7fd66269ee8",
        "timestamp": "1719830400",
    }


@pytest.mark.parametrize(
    ("stated", "ends"),
    [
        ("2024-07-01T23:00:00", datetime(2024, 7, 1, 17, 30, tzinfo=UTC).timestamp()),
        ("2024-07-01T23:00:00+00:00", datetime(2024, 7, 1, 23, 0, tzinfo=UTC).timestamp()),
        ("2024-07-09T06:00:00", SIX_TOMORROW),
        ("2024-07-01T06:00:00", SIX_TOMORROW),
        ("0001-01-01T00:00:00", SIX_TOMORROW),
        ("tomorrow", SIX_TOMORROW),
        (1719890000, SIX_TOMORROW),
        (None, SIX_TOMORROW),
    ],
)
def test_a_session_ends_when_the_answer_says_but_by_six(stated: object, ends: float) -> None:
    session = Service(lambda request: Response.json({**GRANTED, "expiry": stated})).log_in(KEY | {"totp": "123456"})
    assert session.expires_at == ends


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"totp": "123456"}, "API key is missing"),
        ({"api_key": "two words", "totp": "123456"}, "no API key"),
        ({"api_key": "a\nb", "totp": "123456"}, "no API key"),
        (KEY, "TOTP code is missing"),
        (KEY | {"totp": "12345"}, "6 digits"),
        (KEY | {"totp": "١٢٣٤٥٦"}, "6 digits"),
        (KEY | {"totp_secret": "123456"}, "TOTP secret is not one"),
    ],
)
def test_what_cannot_be_a_login_is_not_sent(values: dict[str, str], words: str) -> None:
    service = Service()
    with pytest.raises(LoginFailed, match=words):
        service.log_in(values)
    assert service.requests == []


def failure(status: int, code: str) -> Response:
    error = {"code": code, "message": "secret words", "displayMessage": "secret words", "metadata": None}
    return Response.json({"status": "FAILURE", "error": error}, status)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (failure(400, "GA001"), "wait for the next code"),
        (failure(401, "GA005"), "GA005.*subscription"),
        (failure(403, "GA005"), "subscription"),
        (Response(403, b"<html>"), "HTTP 403"),
        (failure(200, "GA001"), "refused the login"),
        (failure(500, "GA000"), "problem of its own"),
        (failure(400, "GA003"), "problem of its own"),
        (Response(504), "problem of its own"),
        (Response(429), "too many requests"),
        (Response.json({**GRANTED, "isActive": False}), "not active"),
        (Response.json({"expiry": "x"}), "no access token"),
        (Response.json({**GRANTED, "token": "a b"}), "no access token"),
        (Response.json({**GRANTED, "token": 5}), "no access token"),
        (Response(200, b"[]"), "no access token"),
        (Response(200, b"\xff"), "no access token"),
    ],
)
def test_a_refusal_says_what_to_do_without_the_brokers_words(answer: Response, words: str) -> None:
    with pytest.raises(LoginFailed, match=words) as caught:
        Service(lambda request: answer).log_in(KEY | {"totp": "123456"})
    assert not any(secret in str(caught.value) for secret in ("secret words", "the-key", "123456"))


def test_a_refused_secret_asks_for_the_daily_approval() -> None:
    with pytest.raises(LoginFailed, match="approve the key"):
        Service(lambda request: failure(400, "GA001")).log_in(KEY | {"api_secret": "s"})


def test_an_unreachable_broker_is_told_from_a_refusal() -> None:
    async def run() -> None:
        async with httpx.AsyncClient(trust_env=False) as http:
            server = HttpServer(lambda request: Response(404))
            await server.start("127.0.0.1", 0)
            url = f"http://127.0.0.1:{server.port}/"
            await server.stop()
            await GrowwLogin({"token": url}).exchange(KEY | {"totp": "123456"}, {}, "", http, NOW)

    with pytest.raises(LoginFailed, match="cannot be reached"):
        asyncio.run(run())


@pytest.mark.parametrize("pasted", ["t0ken", " t0ken\n", "Bearer t0ken"])
def test_a_pasted_token_is_a_session_until_six(pasted: str) -> None:
    session = GrowwLogin().from_token({"access_token": pasted}, NOW)
    assert (dict(session.values), session.expires_at) == ({"access_token": "t0ken"}, SIX_TOMORROW)


@pytest.mark.parametrize("pasted", ["", "  ", "Bearer", "a b", "é"])
def test_what_is_no_token_is_refused(pasted: str) -> None:
    with pytest.raises(LoginFailed):
        GrowwLogin().from_token({"access_token": pasted}, NOW)


def test_the_login_needs_no_browser() -> None:
    assert BROKER.login.kind == LoginKind.TOTP
    assert asyncio.run(GrowwLogin().begin(KEY, "", httpx.AsyncClient())) is None
    assert [field.name for field in GrowwLogin.fields if not field.optional] == ["api_key"]
