"""Groww's streams, limits, and the socket token that every connection asks for."""

import asyncio
import json
from collections.abc import Callable

import httpx
import pytest

from broker.groww.groww_wire import FUTURE, NIFTY, SBIN, SEED
from tickmux.broker.groww import BROKER
from tickmux.broker.groww.streaming.groww_adapter import GrowwAdapter
from tickmux.broker.groww.streaming.socket_identity import SocketIdentity
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.simulator.groww.wire import is_user_key
from tickmux.simulator.server.http_server import HttpServer, Request, Response
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import AuthRejected, Endpoint, Stream, Unavailable

SESSION = Credentials({"access_token": "t0ken"})
INFO = b'INFO {"nonce":"abc"}\r\n'


@pytest.mark.parametrize(
    ("instrument", "mode", "kind"),
    [
        (SBIN, Mode.LTP, "price"),
        (SBIN, Mode.QUOTE, "price"),
        (FUTURE, Mode.DEPTH, "depth"),
        (NIFTY, Mode.LTP, "price"),
        (NIFTY, Mode.DEPTH, "depth"),  # in one call with the others; the codec knows that an index has no book
    ],
)
def test_depth_alone_needs_a_second_subject(instrument: Instrument, mode: Mode, kind: str) -> None:
    assert GrowwAdapter().streams(instrument, mode, 5) == (Stream("main", kind),)


def test_the_broker_is_complete_and_has_no_feed_for_commodities() -> None:
    assert BROKER.name == "groww"
    (channel,) = BROKER.adapter.channels.values()
    assert (channel.symbol_limit, channel.connection_limit, channel.ping_interval) == (1000, 1, None)
    assert BROKER.adapter.exchanges == ("NSE", "BSE", "NFO", "BFO", "NSE_INDEX", "BSE_INDEX")
    assert BROKER.adapter().depth_levels("NFO") == (5,)
    assert BROKER.adapter().depth_levels("NSE_INDEX") == ()


class Service:
    """The socket token service; `connect` makes a connection's codec and endpoint as a feed does."""

    def __init__(self, answer: Callable[[Request], Response]) -> None:
        self.answer = answer
        self.requests: list[Request] = []

    def _handle(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answer(request)

    def connect(self) -> tuple[Endpoint, list[bytes]]:
        """The endpoint, and what the codec answers to the server's INFO."""

        async def run() -> tuple[Endpoint, list[bytes]]:
            server = HttpServer(self._handle)
            await server.start("127.0.0.1", 0)
            try:
                adapter = GrowwAdapter({"socket_token": f"http://127.0.0.1:{server.port}/create/"})
                codec = adapter.codec("main")
                async with httpx.AsyncClient(trust_env=False) as http:
                    endpoint = await adapter.endpoint("main", SESSION, http)
                return endpoint, [frame for frame in codec.decode(INFO).replies if isinstance(frame, bytes)]
            finally:
                await server.stop()

        return asyncio.run(run())


@pytest.mark.parametrize("envelope", [lambda body: body, lambda body: {"status": "SUCCESS", "payload": body}])
def test_the_codec_of_a_connection_has_the_socket_token_of_its_own_key(envelope: Callable[[object], object]) -> None:
    def answer(request: Request) -> Response:
        return Response.json(envelope({"token": "jwt-of-" + request.json()["socketKey"], "subscriptionId": "s"}))

    service = Service(answer)
    endpoint, frames = service.connect()
    assert (endpoint.url, dict(endpoint.headers)) == ("wss://socket-api.groww.in", {})
    (request,) = service.requests
    key = request.json()["socketKey"]
    assert is_user_key(key)
    assert f'"jwt":"jwt-of-{key}"'.encode() in frames[0]
    assert (request.method, request.path) == ("POST", "/create/")
    assert request.headers["authorization"] == "Bearer t0ken"
    assert request.headers["x-api-version"] == "1.0"
    assert len(request.headers["x-request-id"]) == 36


def test_connections_that_open_at_the_same_time_do_not_mix_their_tokens() -> None:
    async def run() -> tuple[list[bytes], list[str]]:
        arrived = asyncio.Event()
        keys: list[str] = []

        async def handle(request: httpx.Request) -> httpx.Response:
            key = json.loads(request.content)["socketKey"]
            keys.append(key)
            if len(keys) == 2:
                arrived.set()
            await arrived.wait()  # both have asked before either is answered
            return httpx.Response(200, json={"token": f"jwt-of-{key}"})

        adapter = GrowwAdapter()
        async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:

            async def connect() -> bytes:
                codec = adapter.codec("main")
                await adapter.endpoint("main", SESSION, http)
                (frame,) = codec.decode(INFO).replies
                assert isinstance(frame, bytes)
                return frame

            return await asyncio.gather(connect(), connect()), keys

    frames, keys = asyncio.run(run())
    assert len(set(keys)) == 2
    for frame, key in zip(frames, keys, strict=True):
        assert f'"jwt":"jwt-of-{key}"'.encode() in frame


def test_every_connection_has_a_key_pair_of_its_own() -> None:
    service = Service(lambda request: Response.json({"token": "jwt"}))
    service.connect()
    service.connect()
    assert len({request.json()["socketKey"] for request in service.requests}) == 2


def failure(status: int, code: str) -> Response:
    return Response.json({"status": "FAILURE", "error": {"code": code, "message": "no", "metadata": None}}, status)


@pytest.mark.parametrize(
    "answer", [Response(401), Response(403, b"<html>"), failure(403, "GA005"), failure(400, "GA005")]
)
def test_a_dead_access_token_needs_a_login(answer: Response) -> None:
    with pytest.raises(AuthRejected, match="log in again") as caught:
        Service(lambda request: answer).connect()
    assert "t0ken" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "pause"),
    [
        (Response(429), 60.0),
        (failure(500, "GA000"), 0.0),
        (failure(400, "GA001"), 0.0),
        (Response(504), 0.0),
        (Response(200, b"<html>"), 0.0),
        (Response.json({"token": ""}), 0.0),
        (Response.json({"token": 5}), 0.0),
        (Response.json([1]), 0.0),
    ],
)
def test_other_failures_are_tried_again(answer: Response, pause: float) -> None:
    with pytest.raises(Unavailable) as caught:
        Service(lambda request: answer).connect()
    assert caught.value.retry_after == pause


def test_an_unreachable_service_is_tried_again() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(refuse)) as http:
            await GrowwAdapter().endpoint("main", SESSION, http)

    with pytest.raises(Unavailable, match="ConnectError"):
        asyncio.run(run())


@pytest.mark.parametrize(("status", "pause"), [(401, 60.0), (403, 60.0), (429, 60.0), (502, 0.0)])
def test_no_answer_to_the_handshake_is_about_the_session(status: int, pause: float) -> None:
    found = GrowwAdapter().handshake_failure(status, "", {}, b"")
    assert isinstance(found, Unavailable)
    assert found.retry_after == pause


def test_an_identity_shows_its_public_key_alone() -> None:
    assert "secret" not in repr(SocketIdentity(SEED, "secret"))
