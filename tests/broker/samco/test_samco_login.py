"""Samco's login and hand-shake against a stand-in for its servers."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

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


class Samco:
    """Answers every POST with `status` and `body`, remembers the requests."""

    def __init__(self) -> None:
        self.status = 200
        self.body: object = ACCEPTED
        self.requests: list[tuple[str, object]] = []
        samco = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                samco.requests.append((self.path, given))
                body = samco.body if isinstance(samco.body, bytes) else json.dumps(samco.body).encode()
                self.send_response(samco.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def samco() -> Iterator[Samco]:
    stand_in = Samco()
    thread = threading.Thread(target=stand_in.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield stand_in
    stand_in.server.shutdown()
    thread.join()
    stand_in.server.server_close()


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


def test_key_and_secret_make_a_session_until_eight_without_a_browser(samco: Samco) -> None:
    assert begin(KEYS) is None
    session = exchange(samco.url)
    assert session.values == {"session_token": "fresh%2Ftoken"}
    assert session.expires_at == EIGHT_NEXT_MORNING
    assert samco.requests == [("/session/token", {"apiKey": "samcokey", "apiSecret": "s3cret"})]


def test_the_key_alone_leads_to_the_browser_whose_code_makes_a_session(samco: Samco) -> None:
    assert begin(BROWSER) == (
        "https://tradeapi.samco.in/oauth/authorize?api_key=samcokey"
        "&redirect_url=http%3A%2F%2F127.0.0.1%3A5000%2Fsamco%2Fcallback"
        f"&state={STATE}"
    )
    samco.body = {"status": "Success", "accessToken": "of the browser".replace(" ", "-"), "refreshToken": "r"}
    session = exchange(samco.url, BROWSER, {"code": "once", "state": STATE})
    assert session.values == {"session_token": "of-the-browser"}
    assert samco.requests == [("/oauth/token", {"code": "once", "redirect_url": BACK})]


@pytest.mark.parametrize(
    "callback", [{}, {"error": "denied"}, {"code": "once"}, {"code": "once", "state": "another"}]
)
def test_a_login_that_the_browser_did_not_confirm_asks_nobody(samco: Samco, callback: dict[str, str]) -> None:
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
def test_a_refusal_says_what_to_do_and_no_secret(samco: Samco, status: int, body: object, advice: str) -> None:
    samco.status, samco.body = status, body
    with pytest.raises(LoginFailed, match=advice) as refused:
        exchange(samco.url)
    assert not any(secret in str(refused.value) for secret in ("samcokey", "s3cret"))


def test_a_server_that_is_not_there_is_a_failed_login() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        port = closed.server_port
    with pytest.raises(LoginFailed, match="check the network"):
        exchange(f"http://127.0.0.1:{port}")


def test_a_missing_key_is_named(samco: Samco) -> None:
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
    assert isinstance(adapter.handshake_failure(401, "Unauthorized", {}, b""), AuthRejected)
    assert isinstance(adapter.handshake_failure(403, "Forbidden", {}, b""), AuthRejected)
    assert isinstance(adapter.handshake_failure(502, "Bad Gateway", {}, b""), Unavailable)
    assert adapter.close_failure(1000, "") is None
