"""Upstox's streams, limits and the way to its feed: authorize first, one address for one connect."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tickmux.broker.upstox import BROKER
from tickmux.broker.upstox.streaming.upstox_adapter import UpstoxAdapter
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.simulator.server.http_server import HttpServer, Request, Response
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import AuthRejected, Endpoint, Stream, Unavailable

SESSION = Credentials({"access_token": "t0ken"})
SBIN = Instrument(symbol="SBIN", exchange="NSE", token="NSE_EQ|INE062A01020")
NIFTY = Instrument(symbol="NIFTY", exchange="NSE_INDEX", token="NSE_INDEX|Nifty 50")
GRANTED = "wss://feeder.example/market-data-feeder/v3/upstox-developer-api/feeds?requestId=1&code=secret"


@pytest.mark.parametrize(
    ("instrument", "mode", "depth", "kind"),
    [
        (SBIN, Mode.LTP, 0, "ltpc"),
        (SBIN, Mode.QUOTE, 0, "full"),
        (SBIN, Mode.DEPTH, 5, "full"),
        (SBIN, Mode.DEPTH, 30, "full_d30"),
        (NIFTY, Mode.LTP, 0, "ltpc"),
        (NIFTY, Mode.QUOTE, 0, "full"),
        (NIFTY, Mode.DEPTH, 30, "full"),
    ],
)
def test_each_wish_is_one_of_the_brokers_modes(instrument: Instrument, mode: Mode, depth: int, kind: str) -> None:
    assert UpstoxAdapter().streams(instrument, mode, depth) == (Stream("main", kind),)


def test_tradable_instruments_have_five_and_thirty_levels_and_indices_none() -> None:
    levels = {exchange: UpstoxAdapter().depth_levels(exchange) for exchange in UpstoxAdapter.exchanges}
    assert {exchange for exchange, offered in levels.items() if offered == (5, 30)} == {
        "NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO",
    }  # fmt: skip
    assert {exchange for exchange, offered in levels.items() if not offered} == {
        "NSE_INDEX", "BSE_INDEX", "GLOBAL_INDEX",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "levels"),
    [({"plus": "yes"}, (5, 30)), ({}, (5,)), ({"plus": "no"}, (5,))],
)
def test_thirty_levels_are_offered_to_an_account_that_is_said_to_be_plus(
    values: dict[str, str], levels: tuple[int, ...]
) -> None:
    adapter = UpstoxAdapter()
    adapter.meets(Credentials({"access_token": "t0ken", **values}))
    assert adapter.depth_levels("NSE") == levels
    assert adapter.depth_levels("NSE_INDEX") == ()


def test_what_the_feed_has_refused_is_not_offered_until_a_new_token() -> None:
    adapter = UpstoxAdapter()
    monday, tuesday = (Credentials({"access_token": day, "plus": "yes"}) for day in ("monday", "tuesday"))
    adapter.meets(monday)
    codec = adapter.codec("main")
    codec.subscribe([SBIN], "full_d30")
    codec.decode('{"status":"failed","method":"sub","error":"Plus accounts only"}')
    adapter.meets(monday)
    assert adapter.depth_levels("NSE") == (5,)
    adapter.meets(tuesday)
    assert adapter.depth_levels("NSE") == (5, 30)


@pytest.mark.parametrize(
    ("load", "fits"),
    [
        ({"ltpc": 5000}, True),
        ({"ltpc": 5001}, False),
        ({"full": 2000}, True),
        ({"full": 2001}, False),
        ({"full": 2000, "ltpc": 0}, True),
        ({"full": 1500, "ltpc": 2000}, True),
        ({"full": 1501, "ltpc": 1}, False),
        ({"full": 1, "ltpc": 2001}, False),
        ({"full_d30": 50}, True),
        ({"full_d30": 51}, False),
        ({"full_d30": 51, "ltpc": 1}, False),
        ({"full_d30": 50, "full": 1500, "ltpc": 2000}, True),
    ],
)
def test_a_connections_limits_depend_on_the_mix_of_modes(load: dict[str, int], fits: bool) -> None:
    assert UpstoxAdapter().fits("main", load, 5000) is fits


def test_the_pools_own_limit_counts_too() -> None:
    assert UpstoxAdapter().fits("main", {"full": 500, "ltpc": 500}, 1000)
    assert not UpstoxAdapter().fits("main", {"full": 500, "ltpc": 501}, 1000)


class Authorize:
    """Asks the adapter for an endpoint while `answer` plays the authorize service; keeps the requests."""

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self.answer = answer
        self.requests: list[Request] = []

    def _handle(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answer(request)

    def endpoint(self) -> Endpoint:
        async def run() -> Endpoint:
            server = HttpServer(self._handle)
            await server.start("127.0.0.1", 0)
            try:
                adapter = UpstoxAdapter({"authorize": f"http://127.0.0.1:{server.port}/v3/authorize"})
                async with httpx.AsyncClient(trust_env=False) as http:
                    return await adapter.endpoint("main", SESSION, http)
            finally:
                await server.stop()

        return asyncio.run(run())


def refusal(status: int, code: str, key: str = "error_code") -> Response:
    return Response.json({"status": "error", "errors": [{key: code, "message": "no"}]}, status)


@pytest.mark.parametrize("field", ["authorized_redirect_uri", "authorizedRedirectUri"])
def test_the_authorized_address_is_opened_as_it_is_without_headers(field: str) -> None:
    service = Authorize(lambda request: Response.json({"status": "success", "data": {field: GRANTED}}))
    endpoint = service.endpoint()
    assert (endpoint.url, dict(endpoint.headers)) == (GRANTED, {})
    assert "secret" not in repr(endpoint)
    (request,) = service.requests
    assert (request.method, request.path) == ("GET", "/v3/authorize")
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["accept"] == "application/json"


@pytest.mark.parametrize(
    "answer",
    [
        Response(404, b"gone"),
        Response.json({"status": "success", "data": {}}),
        Response.json({"status": "success", "data": {"authorized_redirect_uri": "https://elsewhere.example/"}}),
        Response(200, b"<html>"),
    ],
)
def test_without_an_authorized_address_the_direct_one_is_used(answer: Response) -> None:
    endpoint = Authorize(lambda request: answer).endpoint()
    assert endpoint.url == "wss://api.upstox.com/v3/feed/market-data-feed"
    assert dict(endpoint.headers) == {"Authorization": "Bearer t0ken", "Accept": "*/*"}


def test_an_unencrypted_address_is_never_taken_from_the_real_authorize_service() -> None:
    async def run() -> Endpoint:
        granted = httpx.Response(200, json={"data": {"authorized_redirect_uri": "ws://feeder.example/feeds"}})
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda request: granted)) as http:
            return await UpstoxAdapter().endpoint("main", SESSION, http)

    assert asyncio.run(run()).url == UpstoxAdapter.default_urls["feed"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refusal(401, "UDAPI100050"), "not valid any more"),
        (refusal(401, "UDAPI100050", "errorCode"), "not valid any more"),
        (refusal(400, "UDAPI100016"), "not valid any more"),
        (Response(401), "not valid any more"),
        (refusal(403, "UDAPI100067"), "Analytics token"),
        (refusal(401, "UDAPI100067"), "Analytics token"),
        (Response(403, b"<html>"), "no permission"),
    ],
)
def test_refused_credentials_are_told_from_a_busy_broker(answer: Response, words: str) -> None:
    with pytest.raises(AuthRejected, match=words):
        Authorize(lambda request: answer).endpoint()


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (Response(429), 60.0),
        (refusal(400, "UDAPI10005"), 60.0),
        (refusal(500, "UDAPI100500"), 0.0),
        (Response(503), 0.0),
    ],
)
def test_a_busy_broker_is_asked_again_later(answer: Response, pause: float) -> None:
    with pytest.raises(Unavailable) as caught:
        Authorize(lambda request: answer).endpoint()
    assert caught.value.retry_after == pause


def test_an_unreachable_authorize_service_is_tried_again() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
            await UpstoxAdapter().endpoint("main", SESSION, http)

    with pytest.raises(Unavailable, match="ConnectError"):
        asyncio.run(run())


def failure(adapter: UpstoxAdapter, status: int, body: bytes = b"") -> Any:
    return adapter.handshake_failure(status, "", {}, body)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_address_is_replaced_once_before_giving_up(status: int) -> None:
    adapter = UpstoxAdapter()
    assert isinstance(failure(adapter, status), Unavailable)
    assert isinstance(failure(adapter, status), AuthRejected)
    # A new session starts with two tries of its own.
    assert isinstance(failure(adapter, status), Unavailable)


def test_refusals_that_lie_far_apart_are_no_two_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    adapter = UpstoxAdapter()
    now = 1000.0
    monkeypatch.setattr("tickmux.broker.upstox.streaming.upstox_adapter.time.monotonic", lambda: now)
    assert isinstance(failure(adapter, 403), Unavailable)
    now += 3600.0
    assert isinstance(failure(adapter, 403), Unavailable)


def test_a_handshake_that_fails_for_other_reasons_is_tried_again() -> None:
    assert failure(UpstoxAdapter(), 429).retry_after == 60.0
    assert failure(UpstoxAdapter(), 400, b'{"errors":[{"errorCode":"UDAPI10005"}]}').retry_after == 60.0
    assert isinstance(failure(UpstoxAdapter(), 502), Unavailable)


def test_the_broker_is_complete() -> None:
    assert BROKER.name == "upstox"
    assert BROKER.adapter().codec("main").routes == {}
    (channel,) = BROKER.adapter.channels.values()
    assert (channel.symbols, channel.connections, channel.connection_limit) == (5000, 2, 5)
