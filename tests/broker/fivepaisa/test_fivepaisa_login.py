"""5paisa's login against a stand-in for its servers."""

import asyncio
from datetime import datetime
from typing import Any

import httpx
import pyotp
import pytest

from tickmux.broker.fivepaisa.login import FivepaisaLogin
from tickmux.codec import Credentials
from tickmux.login import IST, LoginFailed
from tickmux.simulator.fivepaisa import jwt
from tickmux.simulator.server.http_server import HttpServer, Request, Response

NOW = datetime(2025, 8, 18, 14, 30, tzinfo=IST)
END = NOW.timestamp() + 36_000
TOKEN = jwt({"exp": END, "RedirectServer": "A"}, "sig")
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
VALUES = {
    "user_key": "us3rkey", "encryption_key": "encrk3y", "user_id": "AppUser", "client_code": "58008888",
    "pin": "4711", "totp_secret": SECRET,
}  # fmt: skip
HEAD = {"responseCode": "5P", "status": "0", "statusDescription": "Success"}


def answered(head: Any = None, **body: Any) -> Response:
    return Response.json({"head": HEAD if head is None else head, "body": body})


ASKED = answered(Status=0, Message="Success", RequestToken="r3quest")
SOLD = answered(Status=0, Message="Success", AccessToken=TOKEN, ClientCode="58008888")


def log_in(
    first: Response = ASKED, second: Response = SOLD, values: dict[str, str] = VALUES
) -> tuple[Credentials, list[Request]]:
    requests: list[Request] = []

    def handle(request: Request) -> Response:
        requests.append(request)
        return (first, second)[len(requests) - 1]

    async def run() -> Credentials:
        server = HttpServer(handle)
        await server.start("127.0.0.1", 0)
        try:
            login = FivepaisaLogin({"api": f"http://127.0.0.1:{server.port}/VendorsAPI/Service1.svc"})
            async with httpx.AsyncClient(trust_env=False) as http:
                assert await login.begin(values, "", http) is None
                return await login.exchange(values, {}, "", http, NOW)
        finally:
            await server.stop()

    try:
        return asyncio.run(run()), requests
    except LoginFailed as failed:
        paths = [request.path.rpartition("/")[2] for request in requests]
        assert paths in ([], ["TOTPLogin"], ["TOTPLogin", "GetAccessToken"]), "a code is never tried again"
        secrets = [VALUES[name] for name in ("user_key", "encryption_key", "pin", "totp_secret")]
        assert not any(secret in str(failed) for secret in secrets)
        raise


def test_two_calls_buy_a_session_that_ends_when_its_token_says() -> None:
    session, (login, purchase) = log_in()
    assert session.values == {"access_token": TOKEN, "client_code": "58008888"}
    assert session.expires_at == END
    assert login.path == "/VendorsAPI/Service1.svc/TOTPLogin"
    assert login.json() == {
        "head": {"Key": "us3rkey"},
        "body": {"Email_ID": "58008888", "TOTP": pyotp.TOTP(SECRET).at(NOW), "PIN": "4711"},
    }
    assert purchase.path == "/VendorsAPI/Service1.svc/GetAccessToken"
    assert purchase.json() == {
        "head": {"Key": "us3rkey"},
        "body": {"RequestToken": "r3quest", "EncryKey": "encrk3y", "UserId": "AppUser"},
    }
    assert login.headers["content-type"] == "application/json"
    assert TOKEN not in repr(session)


def test_the_account_is_the_answers_and_a_token_that_cannot_be_read_has_no_known_end() -> None:
    session, _ = log_in(second=answered(AccessToken="opaque", ClientCode="58009999"))
    assert (session.values, session.expires_at) == ({"access_token": "opaque", "client_code": "58009999"}, None)
    session, _ = log_in(second=answered(AccessToken="opaque", ClientCode=None))
    assert session["client_code"] == "58008888"


def test_a_typed_code_goes_before_the_stored_secret() -> None:
    _, (login, _) = log_in(values=VALUES | {"totp": " 012 345 "})
    assert login.json()["body"]["TOTP"] == "012345"


@pytest.mark.parametrize("name", [name for name in VALUES if name != "totp_secret"])
def test_a_missing_value_is_named_and_nobody_asked(name: str) -> None:
    with pytest.raises(LoginFailed, match="is missing"):
        log_in(values=VALUES | {name: " "})


@pytest.mark.parametrize(
    ("values", "advice"),
    [
        ({"totp_secret": ""}, "TOTP code is missing"),
        ({"totp": "12345a"}, "6 digits"),
        ({"totp_secret": "123456"}, "beside the QR code"),
    ],
)
def test_what_is_no_code_asks_nobody(values: dict[str, str], advice: str) -> None:
    with pytest.raises(LoginFailed, match=advice):
        log_in(Response(500), values=VALUES | values)


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (answered(Status=1, Message="Invalid TOTP", RequestToken=None), r"\(Invalid TOTP\)"),
        (answered(Status=2, Message="us3rkey and 4711\nare wrong"), r"\(… and …are wrong\)"),
        (answered({"status": "9", "statusDescription": "No access"}, Status=0, RequestToken="x"), "No access"),
        (answered({"status": 2}, Status=0, RequestToken="x"), "HTTP 200"),
        (answered(Status=0, Message="Success", RequestToken=""), "no request token"),
        (answered(Status=0, RequestToken=5), "no request token"),
        (answered(), "HTTP 200"),
        (Response(401), "HTTP 401"),
        (Response(429), "wait a minute"),
        (Response(503), "problem of its own"),
        (Response(200, b"<html>"), "refused the login"),
        (Response(200, b"[1]"), "refused the login"),
        (Response(200, b"[" * 100_000), "refused the login"),
        (Response.json({"head": [], "body": "x"}), "refused the login"),
    ],
)
def test_a_refusal_says_why_and_no_secret(answer: Response, advice: str) -> None:
    with pytest.raises(LoginFailed, match=advice):
        log_in(answer)


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (answered(Status=1, Message="Invalid encrk3y"), r"\(Invalid …\)"),
        (answered(Status=0, Message="Success", AccessToken="", ClientCode="58008888"), "no access token"),
        (answered(Status=0, AccessToken=jwt({"exp": 5}, "s")), "expired"),
    ],
)
def test_the_purchase_may_be_refused_too(answer: Response, advice: str) -> None:
    with pytest.raises(LoginFailed, match=advice):
        log_in(second=answer)


def test_a_server_that_is_not_there_is_a_failed_login() -> None:
    async def run() -> None:
        server = HttpServer(lambda _: Response(500))
        await server.start("127.0.0.1", 0)
        port = server.port
        await server.stop()
        async with httpx.AsyncClient(trust_env=False) as http:
            await FivepaisaLogin({"api": f"http://127.0.0.1:{port}"}).exchange(VALUES, {}, "", http, NOW)

    with pytest.raises(LoginFailed, match="check the network"):
        asyncio.run(run())


@pytest.mark.parametrize("pasted", [TOKEN, f" bearer {TOKEN}\n", f"Bearer {TOKEN}"])
def test_a_pasted_token_is_a_session(pasted: str) -> None:
    session = FivepaisaLogin().from_token({"access_token": pasted, "client_code": "58008888"}, NOW)
    assert (session["access_token"], session.expires_at) == (TOKEN, END)
    assert {field.name for field in FivepaisaLogin.token_fields} == session.values.keys()


@pytest.mark.parametrize(
    "values",
    [
        {"access_token": ""},
        {"access_token": "bearer "},
        {"access_token": "a b"},
        {"access_token": "ä"},
        {"access_token": jwt({"exp": 5}, "s")},
        {"client_code": ""},
        {"client_code": "5 8"},
    ],
)
def test_what_cannot_be_a_session_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(LoginFailed, match=r"token|client code"):
        FivepaisaLogin().from_token({"access_token": TOKEN, "client_code": "58008888"} | values, NOW)
