"""Dhan's logins against a stand-in for its authentication host; the hand-shake and what its refusals mean."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import httpx
import pyotp
import pytest

from support.rest_server import Asked, RestServer, serving
from support.web_token import jwt
from tickmux.broker.dhan import BROKER
from tickmux.broker.dhan.login import DhanLogin
from tickmux.broker.dhan.streaming.dhan_adapter import DhanAdapter
from tickmux.broker.dhan.streaming.standing import Standing
from tickmux.codec import Credentials, Event
from tickmux.login import IST, LoginFailed
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable

NOW = datetime(2025, 8, 18, 14, 30, tzinfo=IST)
TOMORROW = (NOW + timedelta(hours=24)).timestamp()
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"
APP = {"client_id": "1100000001", "api_key": "key", "api_secret": "s3cret"}
TOTP = {"client_id": "1100000001", "pin": "654321", "totp_secret": SECRET}
SESSION = {"dhanClientId": "1100000001", "accessToken": "fresh", "expiryTime": "2025-08-19T10:00:00.000"}
CONSENT = {"consentAppId": "c/1", "consentAppStatus": "GENERATED", "status": "success"}


class Dhan(RestServer):
    """Answers every request with the next of `answers`, the last one for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[tuple[int, object]] = [(200, SESSION)]
        self.asked: list[tuple[str, str, dict[str, str], Mapping[str, str]]] = []
        self.urls = {"auth": self.url}

    def answer(self, asked: Asked) -> tuple[int, object]:
        url = urlsplit(asked.target)
        self.asked.append((asked.method, url.path, dict(parse_qsl(url.query)), asked.headers))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def dhan() -> Iterator[Dhan]:
    with serving(Dhan()) as stand_in:
        yield stand_in


def log_in(urls: dict[str, str], values: dict[str, str], callback: dict[str, str] | None = None) -> Credentials:
    async def run() -> Credentials:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await DhanLogin(urls).exchange(values, callback or {}, "http://127.0.0.1:5000/", http, NOW)

    return asyncio.run(run())


def begin(urls: dict[str, str], values: dict[str, str]) -> str | None:
    async def run() -> str | None:
        async with httpx.AsyncClient(trust_env=False) as http:
            return await DhanLogin(urls).begin(values, "http://127.0.0.1:5000/", http)

    return asyncio.run(run())


# -- with the browser ----------------------------------------------------------------------------------------


def test_the_browser_is_sent_to_a_consent_that_the_api_key_has_asked_for(dhan: Dhan) -> None:
    dhan.answers = [(200, CONSENT)]
    assert begin(dhan.urls, APP) == f"{dhan.urls['auth']}/login/consentApp-login?consentAppId=c%2F1"
    ((method, path, query, headers),) = dhan.asked
    assert (method, path, query) == ("POST", "/app/generate-consent", {"client_id": "1100000001"})
    assert (headers["app_id"], headers["app_secret"]) == ("key", "s3cret")


@pytest.mark.parametrize("values", [APP, {"client_id": "1100000001:::key", "api_secret": "s3cret"}])
def test_the_redirects_token_id_buys_a_token(dhan: Dhan, values: dict[str, str]) -> None:
    credentials = log_in(dhan.urls, values, {"tokenId": "t1"})
    ((method, path, query, headers),) = dhan.asked
    assert (method, path, query) == ("GET", "/app/consumeApp-consent", {"tokenId": "t1"})
    assert (headers["app_id"], headers["app_secret"]) == ("key", "s3cret")
    assert dict(credentials.values) == {"client_id": "1100000001", "access_token": "fresh"}
    assert credentials.expires_at == datetime(2025, 8, 19, 10, 0, tzinfo=IST).timestamp()


def test_where_get_is_not_allowed_post_is_tried(dhan: Dhan) -> None:
    dhan.answers = [(405, b""), (200, SESSION)]
    assert log_in(dhan.urls, APP, {"tokenId": "t1"})["access_token"] == "fresh"
    assert [(method, query) for method, _, query, _ in dhan.asked] == [
        ("GET", {"tokenId": "t1"}),
        ("POST", {"tokenId": "t1"}),
    ]


def test_a_redirect_without_a_token_id_buys_nothing(dhan: Dhan) -> None:
    with pytest.raises(LoginFailed, match="start the login again"):
        log_in(dhan.urls, APP, {"status": "failed"})
    assert dhan.asked == []


def test_a_login_of_another_account_is_not_the_one_that_was_begun(dhan: Dhan) -> None:
    dhan.answers = [(200, {**SESSION, "dhanClientId": 1100000002})]
    with pytest.raises(LoginFailed, match="another account than 1100000001: start the login again"):
        log_in(dhan.urls, APP, {"tokenId": "t"})


# -- without ---------------------------------------------------------------------------------------------------


def test_pin_and_one_time_password_need_no_browser(dhan: Dhan) -> None:
    assert begin(dhan.urls, TOTP) is None
    assert log_in(dhan.urls, TOTP)["access_token"] == "fresh"
    ((method, path, query, _),) = dhan.asked
    assert (method, path) == ("POST", "/app/generateAccessToken")
    assert query == {"dhanClientId": "1100000001", "pin": "654321", "totp": pyotp.TOTP(SECRET).at(NOW)}


def test_a_one_time_password_may_be_typed_in(dhan: Dhan) -> None:
    log_in(dhan.urls, {**TOTP, "totp": "12 34 56"})
    assert dhan.asked[0][2]["totp"] == "123456"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "client id is missing"),
        ({**APP, "client_id": "11/22"}, "no client id"),
        ({"client_id": "1100000001"}, "API key and API secret"),
        ({"client_id": "1100000001", "api_key": "key"}, "API key and API secret"),
        ({**APP, "api_secret": "a\nb"}, "letters and digits"),
        ({**TOTP, "totp_secret": "not base 32!"}, "beside the QR code"),
        ({**TOTP, "totp": "12345"}, "6 digits"),
    ],
)
def test_what_is_missing_or_wrong_is_said_before_anybody_is_asked(
    dhan: Dhan, values: dict[str, str], words: str
) -> None:
    with pytest.raises(LoginFailed, match=words):
        log_in(dhan.urls, values, {"tokenId": "t"})
    assert dhan.asked == []


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"errorType": "x", "errorCode": "DH-901", "errorMessage": "s3cret is invalid"}, "refused the login"),
        (403, {"errorCode": "DH-902", "errorMessage": ""}, "subscribe"),
        (400, {"errorCode": "DH-904"}, "try again later"),
        (429, b"", "try again later"),
        (200, {"status": "error", "message": "Invalid TOTP"}, "computer's clock"),
        (400, {"message": "Invalid Pin"}, "PIN"),
        (502, b"<html>Bad gateway</html>", "in a few minutes"),
        (200, b"<html>", "no access token"),
        (200, {"accessToken": 5}, "no access token"),
        (200, {"accessToken": ""}, "no access token"),
        (200, b"[" * 100_000, "no access token"),
        (418, {}, "HTTP 418"),
    ],
)
def test_a_refusal_says_what_to_do_and_no_secret(dhan: Dhan, status: int, body: object, words: str) -> None:
    dhan.answers = [(status, body)]
    for values in (APP, TOTP):
        with pytest.raises(LoginFailed, match=words) as failed:
            log_in(dhan.urls, values, {"tokenId": "t0ken"})
        assert not any(secret in str(failed.value) for secret in ("s3cret", "t0ken", "654321", SECRET))


def test_a_host_that_cannot_be_reached_is_said() -> None:
    with pytest.raises(LoginFailed, match="cannot be reached"):
        log_in({"auth": "http://127.0.0.1:1"}, TOTP)


@pytest.mark.parametrize(
    ("stated", "expires_at"),
    [
        ("2025-08-18T20:00:00+00:00", datetime(2025, 8, 19, 1, 30, tzinfo=IST).timestamp()),
        ("2025-08-18T14:00:00", TOMORROW),  # gone already: their clock or ours is wrong
        ("2035-01-01T00:00:00", TOMORROW),
        ("soon", TOMORROW),
        (None, TOMORROW),
    ],
)
def test_a_token_lives_a_day_unless_the_broker_says_less(dhan: Dhan, stated: str | None, expires_at: float) -> None:
    dhan.answers = [(200, {**SESSION, "expiryTime": stated})]
    assert log_in(dhan.urls, TOTP).expires_at == expires_at


# -- a token from elsewhere ------------------------------------------------------------------------------------


def paste(token: str, client_id: str = "1100000001") -> Credentials:
    return DhanLogin().from_token({"access_token": token, "client_id": client_id}, NOW)


def test_a_pasted_token_says_itself_when_it_expires() -> None:
    expires_at = NOW.timestamp() + 3600
    credentials = paste(f" {jwt({'exp': expires_at})}\n", "1100000001:::key")
    assert credentials.expires_at == expires_at
    assert credentials["client_id"] == "1100000001"
    assert credentials["access_token"] == jwt({"exp": expires_at})


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "a.!!.c", jwt([]), jwt({"exp": "x"}), "e.bnVsbA.x", "é.é.é"])
def test_a_token_that_says_nothing_lives_a_day(token: str) -> None:
    assert paste(token).expires_at == TOMORROW


@pytest.mark.parametrize(
    ("token", "client_id", "words"),
    [
        ("", "1100000001", "no access token"),
        ("two words", "1100000001", "no access token"),
        ("token", "", "client id is missing"),
        (jwt({"exp": 1}), "1100000001", "has expired"),
    ],
)
def test_what_cannot_be_a_session_is_refused(token: str, client_id: str, words: str) -> None:
    with pytest.raises(LoginFailed, match=words):
        paste(token, client_id)


# -- the hand-shake --------------------------------------------------------------------------------------------


def endpoint_of(adapter: DhanAdapter, channel: str = "main", client_id: str = "1100000001") -> str:
    async def run() -> str:
        async with httpx.AsyncClient() as http:
            session = Credentials({"client_id": client_id, "access_token": "e.y+/="})
            return (await adapter.endpoint(channel, session, http)).url

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("channel", "url"),
    [
        ("main", "wss://api-feed.dhan.co?version=2&token=e.y%2B%2F%3D&clientId=1100000001&authType=2"),
        ("depth20", "wss://depth-api-feed.dhan.co/twentydepth?token=e.y%2B%2F%3D&clientId=1100000001&authType=2"),
        (
            "depth200",
            "wss://full-depth-api.dhan.co/?token=e.y%2B%2F%3D&clientId=1100000001&authType=2",
        ),
    ],
)
def test_the_query_authorizes(channel: str, url: str) -> None:
    assert endpoint_of(DhanAdapter(), channel) == url
    assert endpoint_of(DhanAdapter(), channel, "1100000001:::key") == url


def test_the_200_level_socket_is_looked_for_at_both_of_its_addresses() -> None:
    adapter = DhanAdapter()
    for path, status in (("/", 404), ("/twohundreddepth", 403), ("/", 404), ("/twohundreddepth", 404)):
        assert urlsplit(endpoint_of(adapter, "depth200")).path == path
        assert adapter.channel_failure("depth200", status, failure := Exception()) is failure


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_of_the_200_level_socket_is_no_dead_token_while_others_live(status: int) -> None:
    adapter = DhanAdapter()
    clock = Clock()
    adapter.standing = Standing(clock)
    refusal = adapter.handshake_failure(status, "", {}, b"")
    assert adapter.channel_failure("depth200", status, refusal) is refusal, "nothing says that the token is good"
    adapter.codec("main").heartbeat_frames()
    assert isinstance(adapter.channel_failure("depth200", status, refusal), Unavailable)
    assert adapter.channel_failure("main", status, refusal) is refusal
    clock.now += 60
    assert adapter.channel_failure("depth200", status, refusal) is refusal


@pytest.mark.parametrize("status", [400, 401, 403])
def test_these_refusals_mean_the_token(status: int) -> None:
    assert isinstance(DhanAdapter().handshake_failure(status, "", {}, b""), AuthRejected)


@pytest.mark.parametrize("status", [404, 500, 503])
def test_these_refusals_mean_try_again(status: int) -> None:
    failure = DhanAdapter().handshake_failure(status, "", {}, b"")
    assert isinstance(failure, Unavailable)
    assert failure.retry_after == 0


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def blocked(adapter: DhanAdapter) -> Exception:
    return adapter.handshake_failure(429, "", {}, b"")


def adapter_with(clock: Clock) -> DhanAdapter:
    adapter = DhanAdapter()
    adapter.standing._clock = clock
    return adapter


def test_a_blocked_client_waits_five_minutes_three_times_and_then_stops() -> None:
    clock = Clock()
    adapter = adapter_with(clock)
    for _ in range(3):
        for _ in range(4):  # all its sockets are refused at the same time
            failure = blocked(adapter)
            assert isinstance(failure, Unavailable)
            assert failure.retry_after == 300
        clock.now += 300
    assert isinstance(blocked(adapter), AuthRejected)
    assert isinstance(blocked(adapter), Unavailable), "a new login is tried afresh"


def test_a_connection_that_opens_ends_the_count_of_blocks() -> None:
    clock = Clock()
    adapter = adapter_with(clock)
    for _ in range(5):
        assert isinstance(blocked(adapter), Unavailable)
        adapter.codec("main").open_frames(Credentials({}))
        clock.now += 300


def test_one_connection_too_many_makes_the_next_attempt_wait_a_minute() -> None:
    adapter = DhanAdapter()
    decoded = adapter.codec("main").decode(bytes.fromhex("320a0000000000002503"))
    assert (decoded.event, decoded.restart) == (Event.ERROR, True)
    with pytest.raises(Unavailable) as waits:
        endpoint_of(adapter)
    assert waits.value.retry_after == 60
    assert endpoint_of(adapter)


def test_the_package_offers_all_parts() -> None:
    assert BROKER.name == "dhan"
    assert BROKER.login is DhanLogin
