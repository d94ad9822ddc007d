"""Nubra's streams, limits, and the address of the feed."""

import asyncio
from collections.abc import Callable

import httpx
import pytest

from broker.nubra.nubra_wire import FUTURE, NIFTY, SBIN
from tickmux.broker.nubra import BROKER
from tickmux.broker.nubra.streaming.nubra_adapter import NubraAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import AuthRejected, Endpoint, Stream, Unavailable

SESSION = Credentials({"session_token": "t0ken", "device_id": "device"})


@pytest.mark.parametrize(
    ("instrument", "mode", "depth", "stream"),
    [
        (SBIN, Mode.LTP, 5, ("main", "ltp")),
        (SBIN, Mode.QUOTE, 5, ("main", "full")),
        (FUTURE, Mode.DEPTH, 5, ("main", "full")),
        (FUTURE, Mode.DEPTH, 20, ("deep", "full")),
        (FUTURE, Mode.QUOTE, 20, ("main", "full")),
        (NIFTY, Mode.LTP, 5, ("main", "ltp")),
        (NIFTY, Mode.DEPTH, 20, ("main", "full")),
    ],
)
def test_deep_books_have_a_connection_of_their_own(
    instrument: Instrument, mode: Mode, depth: int, stream: tuple[str, str]
) -> None:
    assert NubraAdapter().streams(instrument, mode, depth) == (Stream(*stream),)


def test_each_connection_asks_for_its_own_depth() -> None:
    opened = {name: NubraAdapter().codec(name).open_frames(SESSION) for name in NubraAdapter.channels}
    assert opened == {
        "main": ["batch_subscribe t0ken orderbook_depth 5"],
        "deep": ["batch_subscribe t0ken orderbook_depth 20"],
    }


def test_the_broker_is_complete_and_its_pool_stays_below_the_limit_by_weight() -> None:
    assert BROKER.name == "nubra"
    main = NubraAdapter.channels["main"]
    assert (main.symbols, main.connections, NubraAdapter.total_connections) == (1000, 3, 3)
    heaviest = 5 + 1 + 2  # a share in QUOTE
    assert main.symbol_limit * main.connection_limit * heaviest <= 50_000
    assert NubraAdapter().depth_levels("MCX") == (5, 20)
    assert NubraAdapter().depth_levels("BSE_INDEX") == ()


def endpoint(answer: Callable[[httpx.Request], httpx.Response], urls: dict[str, str] | None = None) -> Endpoint:
    async def run() -> Endpoint:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
            return await NubraAdapter(urls).endpoint("main", SESSION, http)

    return asyncio.run(run())


def assigned(url: object, envelope: bool = False) -> httpx.Response:
    body: dict[str, object] = {"env_info": {"market_ws_url": url}}
    return httpx.Response(200, json={"data": body} if envelope else body)


def test_the_session_is_in_the_headers_and_never_in_the_address() -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return assigned(None)

    found = endpoint(answer)
    assert (found.url, dict(found.headers)) == (
        "wss://api.nubra.io/apibatch/ws",
        {"Authorization": "Bearer t0ken", "x-device-id": "device"},
    )
    (request,) = requests
    assert (request.method, str(request.url)) == ("GET", "https://api.nubra.io/userinfo")
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["x-device-id"] == "device"
    assert request.headers["x-app-version"] == "0.5.4"


@pytest.mark.parametrize("envelope", [False, True])
def test_an_assigned_address_replaces_the_usual_one(envelope: bool) -> None:
    assert endpoint(lambda request: assigned("wss://other.nubra.io/ws", envelope)).url == "wss://other.nubra.io/ws"


@pytest.mark.parametrize(
    "url", [None, "", 5, "ws://other.nubra.io/ws", "https://x/", "wss://", "wss://a b/", "wss://é/", "wss://[x/"]
)
def test_an_address_that_is_no_encrypted_socket_is_not_used(url: object) -> None:
    assert endpoint(lambda request: assigned(url)).url == NubraAdapter.default_urls["feed"]


def test_a_plain_socket_is_good_enough_where_the_service_is_plain_too() -> None:
    urls = {"api": "http://127.0.0.1:1", "feed": "ws://127.0.0.1:2"}
    assert endpoint(lambda request: assigned("ws://127.0.0.1:3/ws"), urls).url == "ws://127.0.0.1:3/ws"


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(404),
        httpx.Response(403),
        httpx.Response(429),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, json=[1]),
        httpx.Response(200, json={"env_info": [], "data": 5}),
    ],
)
def test_without_a_good_answer_the_usual_address_is_tried(answer: httpx.Response) -> None:
    assert endpoint(lambda request: answer).url == NubraAdapter.default_urls["feed"]


def test_an_unreachable_service_does_not_keep_from_trying() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    assert endpoint(refuse).url == NubraAdapter.default_urls["feed"]


@pytest.mark.parametrize("status", [401, 440])
def test_an_ended_session_is_found_before_connecting(status: int) -> None:
    with pytest.raises(AuthRejected, match="log in again"):
        endpoint(lambda request: httpx.Response(status))


@pytest.mark.parametrize(("status", "expected"), [(401, AuthRejected), (403, AuthRejected), (440, AuthRejected)])
def test_a_refused_handshake_is_a_refused_session(status: int, expected: type[Exception]) -> None:
    assert isinstance(NubraAdapter().handshake_failure(status, "", {}, b""), expected)


@pytest.mark.parametrize(("status", "pause"), [(429, 60.0), (500, 0.0), (502, 0.0)])
def test_a_busy_broker_is_tried_again(status: int, pause: float) -> None:
    found = NubraAdapter().handshake_failure(status, "", {}, b"")
    assert isinstance(found, Unavailable)
    assert found.retry_after == pause
