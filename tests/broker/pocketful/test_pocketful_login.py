"""Pocketful's two logins: against the simulator, and against a stand-in that answers what it should not."""

import asyncio
import base64
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from support.rest_server import Asked, RestServer, serving, url_of_nobody
from support.simulators import running
from tickmux.broker._login_state import login_state
from tickmux.broker.pocketful import BROKER
from tickmux.broker.pocketful.login import PocketfulLogin
from tickmux.codec import Credentials
from tickmux.login import AnswerWanted, LoginFailed
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.pocketful import APP_KEY, APP_SECRET, CLIENT_ID, PASSWORD, PIN, PocketfulSimulator

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
THREE_AT_NIGHT = datetime(2026, 11, 23, 21, 30, tzinfo=UTC).timestamp()
BACK = "http://127.0.0.1:5001/callback"
APP = {"app_key": APP_KEY, "app_secret": APP_SECRET}
ACCOUNT = {"channel_id": CLIENT_ID, "channel_secret": PASSWORD}
CONFIRMED = {"code": "code-1", "state": login_state(APP_KEY, APP_SECRET, BACK)}


def exchange(
    urls: Mapping[str, str], values: Mapping[str, str], callback: Mapping[str, str] | None = None
) -> Credentials:
    async def run() -> Credentials:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await PocketfulLogin(urls).exchange(values, callback or {}, BACK, http, NOW)

    return asyncio.run(run())


# -- the simulator -----------------------------------------------------------------------------------------


def test_the_browser_gives_account_token_and_expiry() -> None:
    async def main() -> None:
        async with (
            running(PocketfulSimulator(Exchange(seed=3))) as simulator,
            httpx.AsyncClient(trust_env=False) as http,
        ):
            login = PocketfulLogin(simulator.urls)

            async def walk(values: Mapping[str, str], **spoilt: str) -> Credentials:
                page = await login.begin(values, BACK, http)
                assert page is not None
                answer = await http.get(page)
                callback = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
                return await login.exchange(values, {**callback, **spoilt}, BACK, http, NOW)

            session = await walk(APP)
            assert session.values == simulator.credentials.values
            assert session.expires_at == THREE_AT_NIGHT
            with pytest.raises(LoginFailed, match="good for one use"):
                await walk(APP, code="used")
            with pytest.raises(LoginFailed, match="check app key, app secret") as failed:
                await walk({**APP, "app_secret": "wrong-secret"})
            assert "wrong-secret" not in str(failed.value)

    asyncio.run(main())


def test_password_and_second_factor_give_a_session_of_the_other_host() -> None:
    async def main() -> None:
        async with (
            running(PocketfulSimulator(Exchange(seed=3))) as simulator,
            httpx.AsyncClient(trust_env=False) as http,
        ):
            login = PocketfulLogin(simulator.urls)

            async def walk(values: Mapping[str, str], answer: str) -> Credentials:
                assert await login.begin(values, BACK, http) is None
                with pytest.raises(AnswerWanted, match="second factor") as asked:
                    await login.exchange(values, {}, BACK, http, NOW)
                assert (asked.value.field.label, asked.value.field.secret) == ("PIN", True)
                given = {**values, **asked.value.kept, asked.value.field.name: answer}
                return await login.exchange(given, {}, BACK, http, NOW)

            session = await walk(ACCOUNT, PIN)
            assert session.values == {**simulator.credentials.values, "flow": "direct"}
            assert session.expires_at == THREE_AT_NIGHT
            endpoint = await BROKER.adapter(simulator.urls).endpoint("main", session, http)
            assert endpoint.url.startswith(simulator.urls["direct_feed"])
            with pytest.raises(LoginFailed, match="check the PIN") as failed:
                await walk(ACCOUNT, "9999")
            assert "9999" not in str(failed.value)
            with pytest.raises(LoginFailed, match="check client ID and password"):
                await login.exchange({**ACCOUNT, "channel_secret": "wrong"}, {}, BACK, http, NOW)

    asyncio.run(main())


# -- the stand-in ------------------------------------------------------------------------------------------


class Pocketful(RestServer):
    """Answers by path; `answers` are changed by tests."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, tuple[int, object]] = {
            "/oauth2/token": (200, {"access_token": "token-1"}),
            "/api/v1/user/trading_info": (200, {"status": "success", "data": {"client_id": "C1"}}),
            "/api/v3/user/login": (
                200,
                {
                    "status": "success",
                    "data": {"twofa": {"twofa_token": "half", "questions": [{"question_id": "100"}]}},
                },
            ),
            "/api/v3/user/twofa": (200, {"status": "success", "data": {"auth_token": "token-2"}}),
        }

    def answer(self, asked: Asked) -> tuple[int, object]:
        return self.answers[asked.target]


@pytest.fixture
def broker() -> Iterator[Pocketful]:
    with serving(Pocketful()) as stand_in:
        yield stand_in


def browsed(broker: Pocketful, callback: Mapping[str, str] = CONFIRMED) -> Credentials:
    return exchange({"api": broker.url}, APP, callback)


def direct(broker: Pocketful, **more: str) -> Credentials:
    return exchange({"direct_api": broker.url}, {**ACCOUNT, **more})


def test_the_code_buys_the_token_that_tells_the_account(broker: Pocketful) -> None:
    assert browsed(broker).values == {"client_id": "C1", "access_token": "token-1"}
    bought, told = broker.requests
    basic = base64.b64encode(f"{APP_KEY}:{APP_SECRET}".encode()).decode()
    assert (bought.method, bought.target, bought.headers["Authorization"]) == (
        "POST",
        "/oauth2/token",
        f"Basic {basic}",
    )
    assert bought.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert bought.body == {"grant_type": ["authorization_code"], "code": ["code-1"], "redirect_uri": [BACK]}
    assert (told.method, told.target) == ("GET", "/api/v1/user/trading_info")
    assert told.headers["Authorization"] == "Bearer token-1"


def test_the_page_of_the_login_is_the_documented_one() -> None:
    async def main() -> str | None:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await PocketfulLogin().begin({**APP, "app_key": "a&b "}, BACK, http)

    page = urlsplit(asyncio.run(main()) or "")
    assert (page.scheme, page.netloc, page.path) == ("https", "trade.pocketful.in", "/oauth2/auth")
    query = dict(parse_qsl(page.query))
    assert len(query.pop("state")) >= 8
    assert query == {
        "client_id": "a&b",
        "redirect_uri": BACK,
        "response_type": "code",
        "scope": "orders holdings",
    }


@pytest.mark.parametrize(
    ("values", "callback", "words"),
    [
        (APP, {}, "did not confirm"),
        (APP, {**CONFIRMED, "code": " "}, "did not confirm"),
        (APP, {**CONFIRMED, "state": "another"}, "another login"),
        (APP, {"code": "code-1"}, "another login"),
        (APP, {"error": "access_denied", "error_description": "no"}, "start it again and agree"),
        (APP, {"error": "invalid_client", "error_description": "x"}, "redirect URL of your app"),
        ({"app_key": APP_KEY}, CONFIRMED, "app secret is missing"),
        ({"app_secret": APP_SECRET}, CONFIRMED, "app key is missing"),
        ({}, {}, "app key is missing"),
        ({"channel_id": "C1"}, {}, "password is missing"),
        ({"channel_id": "C 1", "channel_secret": "x"}, {}, "no client ID"),
        ({**ACCOUNT, "twofa_token": "half", "question_id": "100", "answer": " "}, {}, "TOTP code is missing"),
        ({**ACCOUNT, "twofa_token": "half", "question_id": "7"}, {}, "PIN is missing"),
    ],
)
def test_what_cannot_log_in_asks_nobody(
    broker: Pocketful, values: dict[str, str], callback: dict[str, str], words: str
) -> None:
    with pytest.raises(LoginFailed, match=words):
        exchange({"api": broker.url, "direct_api": broker.url}, values, callback)
    assert broker.requests == []


REFUSALS = [
    (400, {"error": "invalid_grant", "error_description": f"bad {APP_SECRET}"}, r"\(HTTP 400\): check"),
    (401, b"<html>", r"\(HTTP 401\): check"),
    (403, {"error_type": "TokenException", "message": PASSWORD}, r"\(HTTP 403\): check"),
    (429, b"", "wait a minute"),
    (503, b"", "try again in a few minutes"),
    (200, b"not json", "not the documented one"),
    (200, [1], "not the documented one"),
    (200, b"[" * 100_000, "not the documented one"),
]
NO_SUCCESS = [
    (200, {"status": "error", "data": None, "message": PASSWORD}, "refused the login: check"),
    (200, {"status": 1, "data": {}}, "not the documented one"),
]


@pytest.mark.parametrize(
    ("path", "status", "body", "words"),
    [
        *(("/oauth2/token", *refusal) for refusal in REFUSALS),
        ("/oauth2/token", 200, {"access_token": ""}, "not the documented one"),
        ("/oauth2/token", 200, {"access_token": "a\r\nX: y"}, "not the documented one"),
        ("/oauth2/token", 200, {"access_token": "ä"}, "not the documented one"),
        ("/oauth2/token", 200, {"access_token": 5}, "not the documented one"),
        *(("/api/v1/user/trading_info", *refusal) for refusal in [*REFUSALS, *NO_SUCCESS]),
        ("/api/v1/user/trading_info", 200, {"status": "success", "data": None}, "not the documented one"),
        ("/api/v1/user/trading_info", 200, {"status": "success", "data": {"client_id": ""}}, "not the documented"),
        ("/api/v1/user/trading_info", 200, {"status": "error", "data": {"client_id": "C1"}}, "refused the login"),
    ],
)
def test_a_refusal_in_the_browsers_flow_says_what_to_do_and_no_secret(
    broker: Pocketful, path: str, status: int, body: object, words: str
) -> None:
    broker.answers[path] = status, body
    with pytest.raises(LoginFailed, match=words) as refused:
        browsed(broker)
    assert not any(secret in str(refused.value) for secret in (APP_SECRET, "code-1", "token-1", PASSWORD))


@pytest.mark.parametrize(
    ("path", "status", "body", "words"),
    [
        *(("/api/v3/user/login", *refusal) for refusal in [*REFUSALS, *NO_SUCCESS]),
        ("/api/v3/user/login", 200, {"status": "success", "data": {}}, "names no second factor"),
        (
            "/api/v3/user/login",
            200,
            {"status": "success", "data": {"twofa": {"twofa_token": "half", "questions": []}}},
            "names no second factor",
        ),
        *(("/api/v3/user/twofa", *refusal) for refusal in [*REFUSALS, *NO_SUCCESS]),
        ("/api/v3/user/twofa", 200, {"status": "success", "data": {}}, "not the documented one"),
    ],
)
def test_a_refusal_of_password_or_second_factor_says_what_to_do_and_no_secret(
    broker: Pocketful, path: str, status: int, body: object, words: str
) -> None:
    broker.answers[path] = status, body
    with pytest.raises(LoginFailed, match=words) as refused:
        if path.endswith("login"):
            direct(broker)
        direct(broker, twofa_token="half", question_id="100", answer="271828")
    assert not any(secret in str(refused.value) for secret in (PASSWORD, "271828", "half"))


@pytest.mark.parametrize(
    ("question", "label", "kind"), [("100", "TOTP code", "TOTP"), (100, "TOTP code", "TOTP"), ("12", "PIN", "PIN")]
)
def test_the_question_says_which_second_factor_it_is(
    broker: Pocketful, question: object, label: str, kind: str
) -> None:
    asked_for = {"twofa": {"twofa_token": "half", "questions": [{"question_id": question, "question": "?"}]}}
    broker.answers["/api/v3/user/login"] = 200, {"status": "success", "data": asked_for}
    with pytest.raises(AnswerWanted) as wanted:
        direct(broker)
    assert wanted.value.field.label == label
    session = direct(broker, **wanted.value.kept, **{wanted.value.field.name: " 271828 "})
    assert session.values == {"client_id": CLIENT_ID, "access_token": "token-2", "flow": "direct"}
    first, second = broker.requests
    assert first.body == ACCOUNT
    assert second.body == {
        "login_id": CLIENT_ID,
        "twofa": [{"question_id": str(question), "answer": "271828"}],
        "twofa_token": "half",
        "type": kind,
        "device_type": "web",
    }
    for asked in (first, second):
        assert asked.headers["Content-Type"] == "application/json"
        headers = {
            name: asked.headers[name] for name in ("P-DeviceType", "x-device-type", "X-UserType", "X-SourceID")
        }
        assert headers == {"P-DeviceType": "WEB", "x-device-type": "web", "X-UserType": "USER", "X-SourceID": "WEB"}
        assert all(asked.headers[name] for name in ("X-ClientLocalIP", "X-ClientPublicIP", "X-MACAddress"))


def test_a_server_that_is_not_there_is_a_failed_login() -> None:
    nobody = url_of_nobody()
    for values in (APP, ACCOUNT):
        with pytest.raises(LoginFailed, match="check the network"):
            exchange({"api": nobody, "direct_api": nobody}, values, CONFIRMED)


@pytest.mark.parametrize("token", [" t ", "Bearer t", "bearer  t\n"])
def test_a_pasted_token_makes_a_session(token: str) -> None:
    session = PocketfulLogin().from_token({"access_token": token, "client_id": "C1"}, NOW)
    assert session.values == {"client_id": "C1", "access_token": "t"}
    assert session.expires_at == THREE_AT_NIGHT


@pytest.mark.parametrize(
    ("token", "account", "words"),
    [("", "C1", "access token is missing"), ("a b", "C1", "no access token"), ("t", "", "client ID is missing")],
)
def test_what_cannot_be_a_session_is_refused(token: str, account: str, words: str) -> None:
    with pytest.raises(LoginFailed, match=words):
        PocketfulLogin().from_token({"access_token": token, "client_id": account}, NOW)
