"""Tradejini's login and hand-shake against a stand-in for its servers."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl

import httpx
import pyotp
import pytest

from tickmux.broker._login_state import login_state
from tickmux.broker.tradejini import BROKER
from tickmux.broker.tradejini.login import TradejiniLogin
from tickmux.codec import Credentials
from tickmux.login import IST, LoginFailed
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=IST)
TOMORROW = NOW.timestamp() + 86_400
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
PIN = {"api_key": "jinikey", "pin": "4321", "totp_secret": SECRET}
BROWSER = {"api_key": "jinikey", "api_secret": "s3cret"}
BACK = "http://127.0.0.1:5000/tradejini/callback"
STATE = login_state("jinikey", "s3cret", BACK)
ACCEPTED = {"access_token": "fresh", "token_type": "bearer", "expires_in": 86_400, "scope": "general"}


class Tradejini:
    """Answers every POST with `status` and `body`, remembers the requests."""

    def __init__(self) -> None:
        self.status = 200
        self.body: object = ACCEPTED
        self.requests: list[tuple[str, str | None, dict[str, str]]] = []
        broker = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
                broker.requests.append((self.path, self.headers["Authorization"], form))
                body = broker.body if isinstance(broker.body, bytes) else json.dumps(broker.body).encode()
                self.send_response(broker.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v2"


@pytest.fixture
def broker() -> Iterator[Tradejini]:
    stand_in = Tradejini()
    thread = threading.Thread(target=stand_in.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield stand_in
    stand_in.server.shutdown()
    thread.join()
    stand_in.server.server_close()


def exchange(url: str, values: dict[str, str] = PIN, callback: dict[str, str] | None = None) -> Credentials:
    async def run() -> Credentials:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await TradejiniLogin({"api": url}).exchange(values, callback or {}, BACK, http, NOW)

    return asyncio.run(run())


def begin(values: dict[str, str]) -> str | None:
    async def run() -> str | None:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await TradejiniLogin().begin(values, BACK, http)

    return asyncio.run(run())


def test_pin_and_totp_secret_make_a_session_without_a_browser(broker: Tradejini) -> None:
    assert begin(PIN) is None
    session = exchange(broker.url)
    assert session.values == {"api_key": "jinikey", "access_token": "fresh"}
    assert session.expires_at == TOMORROW
    form = {"password": "4321", "twoFa": pyotp.TOTP(SECRET).at(NOW), "twoFaTyp": "totp"}
    assert broker.requests == [("/v2/api-gw/oauth/individual-token-v2", "Bearer jinikey", form)]


@pytest.mark.parametrize(
    ("typed", "kind"),
    [({"totp": "123 456"}, "totp"), ({"otp": "123456"}, "otp"), ({"totp": "123456", "otp": "9"}, "totp")],
)
def test_a_typed_code_goes_before_the_stored_secret(broker: Tradejini, typed: dict[str, str], kind: str) -> None:
    exchange(broker.url, {**PIN, **typed})
    ((_, _, form),) = broker.requests
    assert (form["twoFa"], form["twoFaTyp"]) == ("123456", kind)


def test_the_secret_of_a_public_app_leads_to_the_browser_whose_code_makes_a_session(broker: Tradejini) -> None:
    assert begin(BROWSER) == (
        "https://api.tradejini.com/v2/api-gw/oauth/authorize?client_id=jinikey"
        "&redirect_uri=http%3A%2F%2F127.0.0.1%3A5000%2Ftradejini%2Fcallback&response_type=code&scope=general"
        f"&state={STATE}"
    )
    session = exchange(broker.url, BROWSER, {"code": "once", "state": STATE})
    assert session.values == {"api_key": "jinikey", "access_token": "fresh"}
    form = {
        "code": "once",
        "client_id": "jinikey",
        "client_secret": "s3cret",
        "redirect_uri": BACK,
        "grant_type": "authorization_code",
    }
    assert broker.requests == [("/v2/api-gw/oauth/token", None, form)]


@pytest.mark.parametrize(
    "callback", [{}, {"error": "denied"}, {"code": "once"}, {"code": "once", "state": "another"}]
)
def test_a_login_that_the_browser_did_not_confirm_asks_nobody(broker: Tradejini, callback: dict[str, str]) -> None:
    with pytest.raises(LoginFailed, match="start the login again"):
        exchange(broker.url, BROWSER, callback)
    assert broker.requests == []


@pytest.mark.parametrize(
    ("stated", "life"), [(3600, 3600), (1e9, 86_400), (0, 86_400), ("soon", 86_400), (None, 86_400), (True, 86_400)]
)
def test_a_session_lives_as_long_as_stated_and_a_day_at_most(broker: Tradejini, stated: object, life: int) -> None:
    broker.body = {"access_token": "fresh", "expires_in": stated}
    assert exchange(broker.url).expires_at == NOW.timestamp() + life


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (401, {"s": "error", "msg": "Unauthorized 4321"}, "static IP address"),
        (200, {"s": "error", "msg": "jinikey"}, "fresh one-time password"),
        (429, b"", "wait a minute"),
        (502, b"<html>", "problem of its own"),
        (200, {}, "no access token"),
        (200, {"access_token": 5}, "no access token"),
        (200, {"access_token": "two words"}, "no access token"),
        (200, b"not json", "no access token"),
        (200, b'{"access_token":' + b"[" * 100_000, "no access token"),
    ],
)
def test_a_refusal_says_what_to_do_and_no_secret(broker: Tradejini, status: int, body: object, advice: str) -> None:
    broker.status, broker.body = status, body
    with pytest.raises(LoginFailed, match=advice) as refused:
        exchange(broker.url)
    assert not any(secret in str(refused.value) for secret in ("jinikey", "4321", SECRET))


def test_a_server_that_is_not_there_is_a_failed_login() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        port = closed.server_port
    with pytest.raises(LoginFailed, match="check the network"):
        exchange(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"api_key": ""}, "API key is missing"),
        ({"api_key": "a b"}, "no API key"),
        ({"api_key": "a\r\nb"}, "no API key"),
        ({"pin": ""}, "PIN of an individual app, or the API secret"),
        ({"totp_secret": ""}, "one-time password is missing"),
        ({"totp_secret": "not base32!"}, "TOTP secret is not one"),
        ({"totp": "12345"}, "6 digits"),
        ({"otp": "１２３４５６"}, "6 digits"),
    ],
)
def test_what_is_missing_or_wrong_is_named_before_anybody_is_asked(
    broker: Tradejini, change: dict[str, str], message: str
) -> None:
    with pytest.raises(LoginFailed, match=message):
        exchange(broker.url, {**PIN, **change})
    assert broker.requests == []


@pytest.mark.parametrize(
    ("values", "key", "token"),
    [
        ({"access_token": " abc ", "api_key": "jinikey"}, "jinikey", "abc"),
        ({"access_token": "jinikey:abc"}, "jinikey", "abc"),
        ({"access_token": "jinikey:a:b", "api_key": "another"}, "jinikey", "a:b"),
    ],
)
def test_a_pasted_token_is_a_session_for_a_day(values: dict[str, str], key: str, token: str) -> None:
    session = TradejiniLogin().from_token(values, NOW)
    assert session.values == {"api_key": key, "access_token": token}
    assert session.expires_at == TOMORROW


@pytest.mark.parametrize("token", ["", "abc", "k:", ":abc", "k:a b", "k:ä", "k:a\nb"])
def test_what_cannot_be_a_token_is_refused(token: str) -> None:
    with pytest.raises(LoginFailed):
        TradejiniLogin().from_token({"access_token": token}, NOW)


def test_the_feeds_address_carries_both_and_prints_neither() -> None:
    async def run() -> str:
        session = Credentials({"api_key": "jini key", "access_token": "a+b&c"})
        async with httpx.AsyncClient(trust_env=False) as http:
            found = await BROKER.adapter({"feed": "ws://127.0.0.1:1/v2.1/stream"}).endpoint("main", session, http)
        assert "jini" not in repr(found)
        return found.url

    assert asyncio.run(run()) == "ws://127.0.0.1:1/v2.1/stream?token=jini%20key:a%2Bb%26c&version=3.1"


def test_refused_handshakes_and_goodbyes_are_told_apart() -> None:
    adapter = BROKER.adapter()
    assert isinstance(adapter.handshake_failure(401, "", {}, b""), AuthRejected)
    assert isinstance(adapter.handshake_failure(403, "", {}, b""), AuthRejected)
    assert isinstance(adapter.handshake_failure(502, "", {}, b""), Unavailable)
    assert isinstance(adapter.close_failure(4001, ""), AuthRejected)
    assert isinstance(adapter.close_failure(401, ""), AuthRejected)
    assert isinstance(adapter.close_failure(1006, "Unauthorized Access"), AuthRejected)
    assert adapter.close_failure(1006, "") is None
    assert adapter.close_failure(4000, "going away") is None
