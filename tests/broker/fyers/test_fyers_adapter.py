"""FYERS' adapter: which socket serves what, and what it makes of the broker's answers before a connection."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Callable

import httpx
import msgspec
import pytest

from tickmux.broker.fyers.access_token import read_claims
from tickmux.broker.fyers.streaming.fyers_adapter import FyersAdapter
from tickmux.broker.fyers.streaming.hsm_codec import HsmCodec
from tickmux.broker.fyers.streaming.tbt_codec import TbtCodec
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import AuthRejected, Endpoint, Unavailable

SBIN = Instrument("SBIN", "NSE", "10100000003045", brsymbol="NSE:SBIN-EQ")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "101000000026000", brsymbol="NSE:NIFTY50-INDEX")
CRUDE = Instrument("CRUDEOIL19AUG25FUT", "MCX", "1120250819440939", brsymbol="MCX:CRUDEOIL25AUGFUT")


def token(**claims: object) -> str:
    parts = ({"alg": "HS256"}, {"hsm_key": "feedkey", "exp": 4102444800, **claims})
    return ".".join(urlsafe_b64encode(msgspec.json.encode(part)).decode().rstrip("=") for part in parts) + ".sig"


def session(**values: str) -> Credentials:
    return Credentials({"app_id": "APP-100", "access_token": token(), **values})


def connect(
    channel: str, credentials: Credentials, answer: Callable[[httpx.Request], httpx.Response] | None = None
) -> tuple[Endpoint, list[httpx.Request]]:
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        assert answer is not None
        return answer(request)

    async def run() -> Endpoint:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
            return await FyersAdapter().endpoint(channel, credentials, http)

    return asyncio.run(run()), asked


def test_quotes_and_five_levels_come_over_one_socket_and_fifty_over_another() -> None:
    adapter = FyersAdapter()
    assert adapter.streams(SBIN, Mode.LTP, 5) == (("hsm", "quote"),)
    assert adapter.streams(SBIN, Mode.QUOTE, 5) == (("hsm", "quote"),)
    assert adapter.streams(SBIN, Mode.DEPTH, 5) == (("hsm", "depth"),)
    assert adapter.streams(SBIN, Mode.DEPTH, 50) == (("hsm", "quote"), ("tbt", "depth50"))
    # In one frame with the others; it is the codec that knows of no book of an index.
    assert adapter.streams(NIFTY, Mode.DEPTH, 5) == (("hsm", "depth"),)
    assert adapter.streams(NIFTY, Mode.DEPTH, 50) == (("hsm", "depth"),)
    assert [adapter.depth_levels(exchange) for exchange in ("NSE", "NFO", "BSE", "MCX", "NSE_INDEX")] == [
        (5, 50), (5, 50), (5,), (5,), (),
    ]  # fmt: skip
    assert isinstance(adapter.codec("hsm"), HsmCodec)
    assert isinstance(adapter.codec("tbt"), TbtCodec)


def test_the_quote_feed_has_one_address_and_no_headers() -> None:
    endpoint, asked = connect("hsm", session())
    assert (endpoint, asked) == (Endpoint("wss://socket.fyers.in/hsm/v1-5/prod"), [])


@pytest.mark.parametrize(
    "credentials",
    [
        session(),
        Credentials({"access_token": f"APP-100:{token()}"}),
        Credentials({"app_id": "other", "access_token": f" APP-100 : {token()} "}),
    ],
)
def test_the_depth_feed_is_where_the_broker_says(credentials: Credentials) -> None:
    url = "wss://elsewhere.fyers.in/tbt"
    endpoint, (asked,) = connect(
        "tbt", credentials, lambda _: httpx.Response(200, json={"s": "ok", "data": {"socket_url": url}})
    )
    authorization = f"APP-100:{token()}"
    assert endpoint == Endpoint(url, {"authorization": authorization})
    assert str(asked.url) == "https://api-t1.fyers.in/indus/home/tbtws"
    assert asked.headers["authorization"] == authorization


def unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route", request=request)


@pytest.mark.parametrize(
    "answer",
    [
        unreachable,
        lambda _: httpx.Response(500, text="oops"),
        lambda _: httpx.Response(503, json={"s": "ok", "data": {"socket_url": "wss://maintenance"}}),
        lambda _: httpx.Response(200, text="<html>"),
        lambda _: httpx.Response(200, json={"s": "error", "code": -50}),
        lambda _: httpx.Response(200, json={"s": "ok", "data": {}}),
        lambda _: httpx.Response(200, json={"data": {"socket_url": "ws://in.the.clear/"}}),
        lambda _: httpx.Response(200, json={"data": {"socket_url": 7}}),
    ],
)
def test_without_a_usable_answer_the_depth_feed_is_where_it_usually_is(
    answer: Callable[[httpx.Request], httpx.Response],
) -> None:
    assert connect("tbt", session(), answer)[0].url == "wss://rtsocket-api.fyers.in/versova"


@pytest.mark.parametrize(
    "response",
    [httpx.Response(401), *(httpx.Response(200, json={"s": "error", "code": code}) for code in (-8, -15, -16, -17))],
)
def test_a_refused_token_asks_for_a_new_login(response: httpx.Response) -> None:
    with pytest.raises(AuthRejected, match="log in again"):
        connect("tbt", session(), lambda _: response)


def test_a_rate_limit_is_waited_out() -> None:
    with pytest.raises(Unavailable) as caught:
        connect("tbt", session(), lambda _: httpx.Response(429))
    assert caught.value.retry_after == 60.0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "three parts"),
        ({"access_token": "abc"}, "three parts"),
        ({"access_token": "a.b.c"}, "hsm_key"),
        ({"access_token": "a.!!!.c"}, "hsm_key"),
        ({"access_token": token(hsm_key="")}, "hsm_key is empty"),
        ({"access_token": token(hsm_key=None)}, "hsm_key"),
        ({"access_token": token(exp="soon")}, "exp"),
        ({"access_token": token(exp=1_700_000_000)}, "expired"),
    ],
)
@pytest.mark.parametrize("channel", ["hsm", "tbt"])
def test_a_token_that_is_none_or_has_expired_is_not_tried(channel: str, values: dict[str, str], words: str) -> None:
    with pytest.raises(AuthRejected, match=words) as caught:
        connect(channel, Credentials({"app_id": "APP-100", **values}))
    assert "log in again" in str(caught.value)
    assert token() not in str(caught.value)


def test_the_depth_feed_needs_an_app_id() -> None:
    with pytest.raises(AuthRejected, match="no app id"):
        connect("tbt", Credentials({"access_token": token()}))


def test_claims_do_not_show_the_key() -> None:
    claims = read_claims(f"APP-100:{token()}")
    assert (claims.hsm_key, claims.exp) == ("feedkey", 4102444800)
    assert "feedkey" not in repr(claims)
