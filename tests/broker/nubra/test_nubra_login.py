"""Nubra's login against a stand-in for its REST service."""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import httpx
import pyotp
import pytest

from tickmux.broker.nubra import BROKER
from tickmux.broker.nubra.login import NubraLogin
from tickmux.codec import Credentials
from tickmux.login import AnswerWanted, LoginFailed, LoginKind
from tickmux.simulator.server.http_server import HttpServer, Request, Response

NOW = datetime(2025, 8, 27, 3, 30, tzinfo=UTC)
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
USER = {"phone": "+91 90000 00001", "mpin": "1234", "totp": "123456"}


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{payload}.c2ln"


SESSION_TOKEN = jwt(exp=1756339200)


class Service:
    """Plays the REST service: `answers` by path replace the good ones; keeps the requests."""

    def __init__(self, **answers: Callable[[Request], Response]) -> None:
        self.answers = {
            "totp": lambda request: Response.json({"auth_token": "half-way"}, 201),
            "verifypin": lambda request: Response.json({"session_token": SESSION_TOKEN}),
            "send": lambda request: Response.json({"temp_token": "sent", "next": "VERIFY_MOBILE", "expiry": 30}),
            "sms": lambda request: Response.json({"auth_token": "half-way"}, 201),
            "keys": lambda request: Response.json({"session_token": SESSION_TOKEN, "device_id": "theirs"}),
            **answers,
        }
        self.requests: list[Request] = []

    def _handle(self, request: Request) -> Response:
        self.requests.append(request)
        paths = {
            "/totp/login": "totp",
            "/verifypin": "verifypin",
            "/api-keys/login": "keys",
            "/sendphoneotp": "send",
            "/verifyphoneotp": "sms",
        }
        return self.answers[paths[request.path]](request)

    def log_in(self, values: Mapping[str, str]) -> Credentials:
        async def run() -> Credentials:
            server = HttpServer(self._handle)
            await server.start("127.0.0.1", 0)
            try:
                login = NubraLogin({"api": f"http://127.0.0.1:{server.port}"})
                async with httpx.AsyncClient(trust_env=False) as http:
                    return await login.exchange(values, {}, "", http, NOW)
            finally:
                await server.stop()

        return asyncio.run(run())


def test_phone_totp_and_mpin_make_a_session_in_two_calls() -> None:
    service = Service()
    session = service.log_in({**USER, "totp": "", "totp_secret": "jbsw y3dp-ehpk3pxpjbswy3dpeh"})
    first, second = service.requests
    assert (first.path, second.path) == ("/totp/login", "/verifypin")
    assert first.json() == {"phone": "9000000001", "totp": int(pyotp.TOTP(TOTP_SECRET).at(NOW)), "otp": ""}
    assert second.json() == {"pin": "1234"}
    assert "authorization" not in first.headers
    assert second.headers["authorization"] == "Bearer half-way"
    device = session["device_id"]
    assert {one.headers["x-device-id"] for one in service.requests} == {device}
    assert first.headers["cookie"] == f"deviceId={device}"
    assert first.headers["x-device-os"] == "sdk"
    assert (session["session_token"], session.expires_at) == (SESSION_TOKEN, 1756339200.0)
    assert Service().log_in(USER)["device_id"] == device  # the same account is the same device every day


def test_an_api_key_needs_nothing_else_and_brings_its_device() -> None:
    service = Service()
    session = service.log_in({"api_key": " k3y "})
    assert dict(session.values) == {"session_token": SESSION_TOKEN, "device_id": "theirs"}
    assert [(one.path, one.json()) for one in service.requests] == [("/api-keys/login", {"api_key": "k3y"})]


@pytest.mark.parametrize("named", [None, 5, "", "two words"])
def test_without_a_device_in_the_answer_the_one_that_was_sent_stays(named: object) -> None:
    service = Service(keys=lambda request: Response.json({"session_token": "t", "device_id": named}))
    assert service.log_in({"api_key": "k"})["device_id"] == service.requests[0].headers["x-device-id"]


def test_the_session_may_be_in_an_envelope() -> None:
    service = Service(verifypin=lambda request: Response.json({"data": {"token": "inner"}}))
    session = service.log_in(USER)
    assert (session["session_token"], session.expires_at) == ("inner", None)


def test_a_code_that_begins_with_zero_goes_as_text_when_the_number_is_refused() -> None:
    def answer(request: Request) -> Response:
        good = request.json()["totp"] == "012345"
        return Response.json({"auth_token": "half-way"}, 201) if good else Response.json({"error": "bad"}, 400)

    service = Service(totp=answer)
    service.log_in({**USER, "totp": "012345"})
    assert [one.json()["totp"] for one in service.requests[:2]] == [12345, "012345"]
    with pytest.raises(LoginFailed, match="next code"):
        Service(totp=answer).log_in({**USER, "totp": "123450"})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "phone number is missing"),
        ({**USER, "phone": "90x"}, "digits only"),
        ({**USER, "mpin": " "}, "MPIN is missing"),
        ({**USER, "totp": "12345"}, "6 digits"),
        ({**USER, "totp": "", "totp_secret": "123456"}, "TOTP secret is not one"),
    ],
)
def test_what_cannot_be_a_login_is_not_sent(values: dict[str, str], words: str) -> None:
    service = Service()
    with pytest.raises(LoginFailed, match=words):
        service.log_in(values)
    assert service.requests == []


BY_SMS = USER | {"totp": ""}


def asked_for_a_code(service: Service) -> dict[str, str]:
    """What the login keeps between its question and the answer."""
    with pytest.raises(AnswerWanted, match="30 seconds") as wanted:
        service.log_in(BY_SMS)
    assert wanted.value.field.name == "otp"
    return dict(wanted.value.kept)


def test_without_a_totp_a_code_by_sms_and_the_mpin_make_a_session() -> None:
    service = Service()
    session = service.log_in(BY_SMS | asked_for_a_code(service) | {"otp": "012 345"})
    assert (session["session_token"], session.expires_at) == (SESSION_TOKEN, 1756339200.0)
    send, verify, pin = service.requests
    assert [one.path for one in service.requests] == ["/sendphoneotp", "/verifyphoneotp", "/verifypin"]
    assert send.json() == {"phone": "9000000001", "flow": "", "skip_totp": False}
    assert not {"x-device-id", "x-temp-token", "authorization"} & set(send.headers)
    assert verify.json() == {"phone": "9000000001", "otp": "012345"}
    assert (verify.headers["x-temp-token"], verify.headers["x-device-id"]) == ("sent", session["device_id"])
    assert pin.headers["authorization"] == "Bearer half-way"
    assert "x-temp-token" not in pin.headers


def test_an_account_with_totp_is_sent_a_code_when_it_skips_that() -> None:
    def send(request: Request) -> Response:
        if request.headers.get("x-temp-token") == "first" and request.json()["skip_totp"] is True:
            return Response.json({"temp_token": "second", "next": "VERIFY_MOBILE"})
        return Response.json({"temp_token": "first", "next": "VERIFY_TOTP"})

    service = Service(send=send)
    service.log_in(BY_SMS | asked_for_a_code(service) | {"otp": "246810"})
    assert service.requests[1].json() == {"phone": "9000000001", "flow": "", "skip_totp": True}
    assert service.requests[2].headers["x-temp-token"] == "second"


@pytest.mark.parametrize("answer", [{}, {"temp_token": 5}, {"temp_token": "a b"}, [1]])
def test_no_code_is_asked_for_where_none_was_sent(answer: object) -> None:
    service = Service(send=lambda request: Response.json(answer))
    with pytest.raises(LoginFailed, match="has not sent a code"):
        service.log_in(BY_SMS)
    with pytest.raises(LoginFailed, match="check the phone number"):
        Service(send=refusal(400)).log_in(BY_SMS)


@pytest.mark.parametrize(
    ("otp", "status", "words"),
    [("", 201, "digits"), ("24x810", 201, "digits"), ("246810", 400, "be quick"), ("246810", 500, "of its own")],
)
def test_a_code_by_sms_that_is_refused_says_what_to_do(otp: str, status: int, words: str) -> None:
    service = Service(sms=refusal(status))
    kept = asked_for_a_code(service)
    with pytest.raises(LoginFailed, match=words) as caught:
        service.log_in(BY_SMS | kept | {"otp": otp})
    assert "246810" not in str(caught.value)


def refusal(status: int) -> Callable[[Request], Response]:
    return lambda request: Response.json({"error": "secret words", "nubra_error_code": "X"}, status)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"totp": refusal(400)}, "wait for the next code"),
        ({"totp": refusal(440)}, "HTTP 440"),
        ({"verifypin": refusal(400)}, "check the MPIN"),
        ({"verifypin": refusal(500)}, "problem of its own"),
        ({"totp": refusal(429)}, "too many requests"),
        ({"totp": lambda request: Response.json({}, 201)}, "no token"),
        ({"totp": lambda request: Response.json({"auth_token": "a b"}, 201)}, "no token"),
        ({"verifypin": lambda request: Response.json({"session_token": 5})}, "no session token"),
        ({"verifypin": lambda request: Response(200, b"<html>")}, "no session token"),
        ({"verifypin": lambda request: Response.json([1])}, "no session token"),
    ],
)
def test_a_refusal_says_what_to_do_without_the_brokers_words(
    answers: dict[str, Callable[[Request], Response]], words: str
) -> None:
    with pytest.raises(LoginFailed, match=words) as caught:
        Service(**answers).log_in(USER)
    assert not any(secret in str(caught.value) for secret in ("secret words", "1234", "9000000001"))


def test_a_refused_api_key_says_so() -> None:
    with pytest.raises(LoginFailed, match="check the API key"):
        Service(keys=refusal(400)).log_in({"api_key": "k"})


def test_an_unreachable_broker_is_told_from_a_refusal() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
            await NubraLogin().exchange(USER, {}, "", http, NOW)

    with pytest.raises(LoginFailed, match="cannot be reached"):
        asyncio.run(run())


@pytest.mark.parametrize("pasted", [SESSION_TOKEN, f" Bearer {SESSION_TOKEN}\n"])
def test_a_pasted_token_is_a_session_for_as_long_as_it_says(pasted: str) -> None:
    session = NubraLogin().from_token({"session_token": pasted, "device_id": "d"}, NOW)
    assert dict(session.values) == {"session_token": SESSION_TOKEN, "device_id": "d"}
    assert session.expires_at == 1756339200.0


@pytest.mark.parametrize(
    "token", ["opaque", jwt(), jwt(exp="x"), jwt(exp=True), jwt(exp=1e300), "a.b.c", "a.é.c", "eyJ.W10.x"]
)
def test_a_token_that_does_not_say_when_it_ends_has_no_known_end(token: str) -> None:
    if token.isascii():
        assert NubraLogin().from_token({"session_token": token}, NOW).expires_at is None
    else:
        with pytest.raises(LoginFailed):
            NubraLogin().from_token({"session_token": token}, NOW)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "missing"),
        ({"session_token": "Bearer"}, "missing"),
        ({"session_token": "a b"}, "no session token"),
        ({"session_token": "a", "device_id": "x y"}, "no session token"),
        ({"session_token": jwt(exp=1756265400 - 1)}, "has ended"),
    ],
)
def test_what_is_no_session_is_refused(values: dict[str, str], words: str) -> None:
    with pytest.raises(LoginFailed, match=words):
        NubraLogin().from_token(values, NOW)


def test_the_login_needs_no_browser() -> None:
    assert BROKER.login.kind == LoginKind.TOTP
    assert asyncio.run(NubraLogin().begin(USER, "", httpx.AsyncClient())) is None
