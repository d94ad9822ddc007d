"""What every simulated broker inherits, seen through a broker of one-line texts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
from picows import WSError, WSInvalidStatusError, WSMsgType

from simulator.wire_client import WireClient
from tickmux.codec import Credentials
from tickmux.simulator import load_simulator, simulator_names
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import Security
from tickmux.simulator.server.base import BrokerSimulator
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response
from tickmux.websocket_proxy.broker_factory import UnknownBroker


class TextSimulator(BrokerSimulator):
    """`+SBIN ltp`, `-SBIN ltp`, `=SBIN ltp` in, `SBIN ltp 812.0` out."""

    name = "text"
    endpoints = {"feed": "ws:/", "depth": "ws:/deep/feed/", "api": "http:/", "login": "http:/log/in"}
    heartbeat_interval = 3600.0

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.encoded = 0
        self.events: list[str] = []

    def make_credentials(self, number: int) -> Credentials:
        return Credentials({"user": "u", "token": f"t{number}"})

    def accept(self, request: Request, endpoint: str) -> Response | None:
        if self.knows(token=request.query.get("token", "")):
            return None
        return Response(513, b"no such session", {"X-Why": "token"})

    def received(self, client: Client, message: str | bytes) -> None:
        if isinstance(message, bytes):
            client.send(message[::-1])
            return
        symbol, _, kind = message[1:].partition(" ")
        securities = [self.exchange.find(symbol, "NSE")]
        {"+": self.subscribe, "-": self.unsubscribe, "=": self.replace}[message[0]](client, securities, kind)

    def encode(self, security: Security, kind: str) -> str | None:
        self.encoded += 1
        return (
            None
            if kind == "mute"
            else f"{security.symbol} {kind} {security.ltp if kind == 'ltp' else security.fields()}"
        )

    def heartbeat(self, client: Client) -> str | None:
        return "beat" if client.idle else None

    def greet(self, client: Client) -> None:
        client.send(f"hello {client.endpoint}")

    def left(self, client: Client) -> None:
        assert client.subscriptions == {}
        self.events.append("left")

    def answer(self, request: Request) -> Response:
        return Response.json({"path": request.path})

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        return [("list.txt", b"SBIN")]


@asynccontextmanager
async def started() -> AsyncIterator[TextSimulator]:
    simulator = TextSimulator(Exchange(seed=4))
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()


async def client_of(simulator: TextSimulator, endpoint: str = "feed") -> WireClient:
    client = await WireClient.connect(f"{simulator.urls[endpoint]}?token={simulator.credentials['token']}")
    assert await client.receive() == f"hello {endpoint}"
    return client


def scene(play: Callable[[TextSimulator], Awaitable[None]]) -> None:
    async def run() -> None:
        async with started() as simulator:
            await play(simulator)

    asyncio.run(run())


def move(simulator: TextSimulator, symbol: str = "SBIN") -> Security:
    """Steps until the last price of `symbol` has changed and was announced."""
    security = simulator.exchange.find(symbol, "NSE")
    last = security.ltp
    while security.ltp == last:
        simulator.exchange.step(20)
    return security


def test_urls_name_the_endpoints_with_their_paths() -> None:
    async def play(simulator: TextSimulator) -> None:
        urls = simulator.urls
        assert urls["feed"] == f"ws://127.0.0.1:{simulator.port}"
        assert urls["depth"] == f"ws://127.0.0.1:{simulator.port}/deep/feed/"
        assert urls["login"] == f"{urls['api']}/log/in"
        await client_of(simulator, "feed")
        await client_of(simulator, "depth")
        async with httpx.AsyncClient() as http:
            assert (await http.get(urls["login"])).json() == {"path": "/log/in"}
        with pytest.raises(WSInvalidStatusError) as refused:
            await WireClient.connect(f"{urls['feed']}/elsewhere?token=t1")
        assert refused.value.response is not None
        assert refused.value.response.status == 404

    scene(play)


def test_a_refused_handshake_carries_the_brokers_own_status_and_body() -> None:
    async def play(simulator: TextSimulator) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port)
        writer.write(b"GET /?token=wrong HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        writer.write(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 513 ")
        assert b"X-Why: token" in answer
        assert answer.endswith(b"no such session")
        assert simulator.clients == {}

    scene(play)


def test_a_subscriber_gets_a_snapshot_and_then_changes_of_what_it_shows() -> None:
    async def play(simulator: TextSimulator) -> None:
        client = await client_of(simulator)
        client.send("+SBIN ltp")
        first = simulator.exchange.find("SBIN", "NSE").ltp
        assert await client.receive() == f"SBIN ltp {first}"
        security = move(simulator)
        assert f"SBIN ltp {security.ltp}" in await client.flush()
        frames = simulator.encoded
        simulator.exchange.step(5)
        received = await client.flush()
        assert len(received) == len(set(received)), "nothing is repeated that did not change"
        assert simulator.encoded >= frames

    scene(play)


def test_a_change_is_encoded_once_however_many_watch() -> None:
    async def play(simulator: TextSimulator) -> None:
        clients = [await client_of(simulator) for _ in range(5)]
        for client in clients:
            client.send("+SBIN ltp")
            await client.flush()
        simulator.encoded = 0
        security = simulator.exchange.find("SBIN", "NSE")
        while security not in simulator.exchange.step(1):
            pass
        assert simulator.encoded == 1
        security = move(simulator)
        for client in clients:
            assert (await client.flush())[-1] == f"SBIN ltp {security.ltp}"

    scene(play)


def test_unsubscribing_ends_one_kind_or_all_and_replacing_leaves_one() -> None:
    async def play(simulator: TextSimulator) -> None:
        client = await client_of(simulator)
        security = simulator.exchange.find("SBIN", "NSE")
        (server_side,) = simulator.clients
        client.send("+SBIN ltp", "+SBIN full", "-SBIN nothing", "-TCS ltp")
        await client.flush()
        assert server_side.subscriptions == {security: {"ltp", "full"}}
        client.send("-SBIN ltp")
        await client.flush()
        assert server_side.subscriptions == {security: {"full"}}
        client.send("=SBIN mute")
        assert await client.flush() == []
        assert server_side.subscriptions == {security: {"mute"}}
        simulator.unsubscribe(server_side, [security])
        assert server_side.subscriptions == {}
        move(simulator)
        assert await client.flush() == []

    scene(play)


def test_a_client_that_leaves_is_forgotten() -> None:
    async def play(simulator: TextSimulator) -> None:
        client, other = await client_of(simulator), await client_of(simulator)
        client.send("+SBIN ltp")
        await client.flush()
        await client.close()
        await other.flush()
        assert len(simulator.clients) == 1
        assert simulator.events == ["left"]
        simulator.encoded = 0
        move(simulator)
        assert simulator.encoded == 0

    scene(play)


def test_heartbeats_go_to_those_who_heard_nothing_since_the_last() -> None:
    async def play(simulator: TextSimulator) -> None:
        client = await client_of(simulator)
        simulator.beat()  # the greeting was sent since
        assert await client.flush() == []
        simulator.beat()
        assert await client.flush() == ["beat"]

    scene(play)


def test_heartbeats_come_by_themselves() -> None:
    class Beating(TextSimulator):
        heartbeat_interval = 0.01

    async def run() -> None:
        simulator = Beating(Exchange())
        await simulator.start()
        client = await client_of(simulator)
        assert await client.receive() == "beat"
        await simulator.stop()

    asyncio.run(run())


def test_fragments_make_one_message_and_bad_text_ends_the_connection() -> None:
    async def play(simulator: TextSimulator) -> None:
        client = await client_of(simulator)
        raw = client._transport
        raw.send(WSMsgType.BINARY, b"ab", fin=False)
        raw.send(WSMsgType.CONTINUATION, b"cd", fin=False)
        raw.send_ping(b"between")
        raw.send(WSMsgType.CONTINUATION, b"ef", fin=True)
        assert await client.receive() == b"fedcba"
        raw.send(WSMsgType.TEXT, b"\xff\xfe")
        assert await client.ended() == 1007

    scene(play)


def test_a_message_without_end_is_cut_off() -> None:
    async def play(simulator: TextSimulator) -> None:
        client = await client_of(simulator)
        client._transport.send(WSMsgType.BINARY, bytes(900_000), fin=False)
        client._transport.send(WSMsgType.CONTINUATION, bytes(900_000), fin=False)
        assert await client.ended() == 1009

    scene(play)


def test_disconnecting_everybody_abruptly_or_with_a_code() -> None:
    async def play(simulator: TextSimulator) -> None:
        one, two = await client_of(simulator), await client_of(simulator)
        simulator.disconnect_all()
        assert (await one.ended(), await two.ended()) == (None, None)
        three = await client_of(simulator)
        simulator.disconnect_all(4001, "Unauthorized")
        assert await three.ended() == 4001

    scene(play)


def test_cutting_in_the_middle_of_a_frame() -> None:
    async def play(simulator: TextSimulator) -> None:
        client, bare = await client_of(simulator), await client_of(simulator)
        client.send("+SBIN ltp")
        await client.receive()
        simulator.cut_mid_frame()
        assert await client.ended() is None
        assert await bare.ended() is None
        assert client.received() == bare.received() == []

    scene(play)


def test_forgotten_subscriptions_come_back_when_they_are_asked_for_again() -> None:
    async def play(simulator: TextSimulator) -> None:
        client = await client_of(simulator)
        client.send("+SBIN ltp")
        await client.receive()
        simulator.forget_subscriptions()
        simulator.beat()
        move(simulator)
        simulator.beat()
        assert await client.flush() == ["beat"], "the heartbeat came, the market did not"
        client.send("+SBIN ltp")
        assert "SBIN" in str(await client.receive())

    scene(play)


def test_a_mute_connection_gets_heartbeats_only_and_a_new_one_is_served() -> None:
    async def play(simulator: TextSimulator) -> None:
        client = await client_of(simulator)
        client.send("+SBIN ltp")
        await client.receive()
        simulator.go_mute()
        simulator.beat()
        client.send("+SBIN ltp")
        move(simulator)
        simulator.beat()
        assert await client.flush() == ["beat"]
        other = await client_of(simulator)
        other.send("+SBIN ltp")
        assert "SBIN" in str(await other.receive())

    scene(play)


def test_a_server_that_takes_only_a_part_says_nothing_of_the_rest() -> None:
    async def play(simulator: TextSimulator) -> None:
        simulator.take_only(1)
        client = await client_of(simulator)
        client.send("+SBIN ltp")
        await client.receive()
        client.send("+INFY ltp")
        client.send("+SBIN ltp")
        simulator.beat()
        (session,) = simulator.clients
        await client.receive()
        assert [security.symbol for security in session.subscriptions] == ["SBIN"]

    scene(play)


def test_silence_keeps_the_connection_and_says_nothing_at_all() -> None:
    async def play(simulator: TextSimulator) -> None:
        client = await client_of(simulator)
        client.send("+SBIN ltp")
        await client.receive()
        simulator.go_silent()
        move(simulator)
        simulator.beat()
        client._transport.send_ping(b"?")
        client.send(b"echo")
        async with httpx.AsyncClient() as http:  # by its answer the server has read what was sent before
            await http.get(simulator.urls["api"])
        assert client.received() == []
        assert not client._ponged.is_set()
        simulator.resume()
        security = move(simulator)
        assert f"SBIN ltp {security.ltp}" in await client.flush()

    scene(play)


def test_refusing_connections_leaves_open_ones_alone() -> None:
    async def play(simulator: TextSimulator) -> None:
        client = await client_of(simulator)
        simulator.refuse_connections(502)
        with pytest.raises(WSInvalidStatusError) as refused:
            await client_of(simulator)
        assert refused.value.response is not None
        assert refused.value.response.status == 502
        async with httpx.AsyncClient() as http:
            assert (await http.get(simulator.urls["api"])).status_code == 502
        assert await client.flush() == []
        simulator.accept_connections()
        await client_of(simulator)

    scene(play)


def test_a_token_dies_and_a_new_one_is_accepted() -> None:
    async def play(simulator: TextSimulator) -> None:
        client = await client_of(simulator)
        simulator.expire_token()
        assert await client.ended() == 1008
        with pytest.raises(WSError):
            await client_of(simulator)
        old = simulator.credentials
        assert simulator.new_token() is simulator.credentials
        assert simulator.credentials["token"] != old["token"]
        assert not simulator.knows(token=old["token"])
        assert not simulator.knows(unknown="")
        await client_of(simulator)

    scene(play)


def test_a_flood_and_garbage() -> None:
    async def play(simulator: TextSimulator) -> None:
        client, bare = await client_of(simulator), await client_of(simulator)
        client.send("+SBIN ltp", "+TCS ltp")
        await client.flush()
        simulator.flood(1000)
        assert len(await client.flush()) == 1000
        assert await bare.flush() == []
        simulator.send_garbage(b"\xde\xad")
        simulator.send_garbage("}{")
        assert await bare.flush() == await client.flush() == [b"\xde\xad", "}{"]

    scene(play)


def test_a_client_that_does_not_read_is_cut_off_and_counted() -> None:
    async def play(simulator: TextSimulator) -> None:
        slow, quick = await client_of(simulator), await client_of(simulator)
        slow.pause()
        (server_side, _) = simulator.clients
        for _ in range(100):
            server_side.send(bytes(1_000_000))
        assert simulator.slow_clients == 1
        while len(simulator.clients) > 1:
            await quick.flush()
        assert simulator.events == ["left"]

    scene(play)


def test_stopping_hangs_up_and_frees_the_ports() -> None:
    async def run() -> None:
        simulator = TextSimulator(Exchange())
        await simulator.start()
        port = simulator.port
        client = await client_of(simulator)
        await simulator.stop()
        await simulator.stop()
        assert await client.ended() is None
        await simulator.start(port=port)
        assert simulator.port == port
        await client_of(simulator)
        await simulator.stop()
        simulator.exchange.step()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_a_taken_port_leaves_nothing_behind() -> None:
    async def run() -> None:
        async with started() as first:
            second = TextSimulator(Exchange())
            taken = int(first.urls["api"].rpartition(":")[2])
            with pytest.raises(OSError, match="in use"):
                await second.start(http_port=taken)
            with pytest.raises(OSError, match="in use"):
                await second.start(port=first.port)
            await second.start()
            await second.stop()

    asyncio.run(run())


def test_simulators_are_found_by_the_brokers_name() -> None:
    assert "zerodha" in simulator_names()
    assert not {"base", "exchange", "client"} & set(simulator_names())
    for name in simulator_names():
        assert load_simulator(name).name == name
    with pytest.raises(UnknownBroker):
        load_simulator("nobody")
    with pytest.raises(UnknownBroker):
        load_simulator("exchange")


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x0f\xa1bye", b"\x00", b"\x00\x01", b"\x03\xe8\xff\xfe"])
def test_a_goodbye_of_any_form_ends_the_connection(payload: bytes) -> None:
    async def play(simulator: TextSimulator) -> None:
        client = await client_of(simulator)
        client._transport.send(WSMsgType.CLOSE, payload)
        await client.ended()
        other = await client_of(simulator)
        await other.flush()
        assert len(simulator.clients) == 1

    scene(play)
