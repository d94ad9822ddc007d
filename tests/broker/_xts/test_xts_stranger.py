"""Real strangers from npm: socket.io servers that our codec talks to, and the official SDK at our simulator."""

import asyncio
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker import vector_cases
from broker._xts.xts_wire import RELIANCE, fields, run
from tickmux.broker.wisdom.streaming.wisdom_adapter import WisdomAdapter
from tickmux.codec import Credentials, Decoded, Event, HttpRequest
from tickmux.feeds.upstream import WebSocketLink, connect
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.wisdom import WisdomSimulator
from tickmux.websocket_proxy.base_adapter import Unavailable

PACKAGES = ("socket.io@2.5.1", "socket.io-4@npm:socket.io@4.8.1", "xts-marketdata-api@3.0.7")
HERE = Path(__file__).parent
PATIENCE = 10.0
pytestmark = pytest.mark.timeout(300)  # the first run fetches the packages


@pytest.fixture(scope="module")
def modules(request: pytest.FixtureRequest) -> Path:
    """Where the packages are; installed into pytest's cache once."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("NO STRANGER HAS BEEN MET: these tests need node and npm")
    assert request.config.cache is not None
    home = request.config.cache.mkdir("xts-npm")
    done = home / "installed.json"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test processes share the cache
        if not done.exists() or json.loads(done.read_text()) != list(PACKAGES):
            (home / "package.json").write_text('{"private":true}')
            command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", *PACKAGES]
            made = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=240, check=False)
            if made.returncode:
                pytest.skip(f"NO STRANGER HAS BEEN MET: npm has no packages: {made.stderr.strip()[-300:]}")
            done.write_text(json.dumps(PACKAGES))
    return home / "node_modules"


class Stranger:
    """A node process and the JSON lines that it prints."""

    def __init__(self, process: asyncio.subprocess.Process, prefix: str) -> None:
        self._process = process
        self._prefix = prefix

    async def says(self, key: str) -> Any:
        """The next line with `key`; others are passed over."""
        assert self._process.stdout is not None
        while line := (await asyncio.wait_for(self._process.stdout.readline(), PATIENCE)).decode():
            if line.startswith(self._prefix):
                found = json.loads(line.removeprefix(self._prefix))
                if key in found:
                    return found[key] if len(found) == 1 else found
        raise AssertionError(f"the stranger ended without saying {key!r}")

    def tell(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")


@asynccontextmanager
async def node(modules: Path, script: str, *arguments: str, prefix: str = "") -> AsyncIterator[Stranger]:
    process = await asyncio.create_subprocess_exec(
        "node",
        str(HERE / script),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "NODE_PATH": str(modules), "TZ": "Asia/Kolkata"},
        limit=1 << 22,
    )
    try:
        yield Stranger(process, prefix)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Client:
    """Our adapter and codec on a real WebSocket, with what they read."""

    def __init__(self, adapter: WisdomAdapter, token: str) -> None:
        self.adapter = adapter
        self.session = Credentials({"token": token, "user_id": "USER 1"})
        self.codec = adapter.codec("main")
        self.codec.open_frames(self.session)
        self.codec.subscribe([RELIANCE], "quote")
        self.read: list[Decoded] = []
        self.link: WebSocketLink | None = None
        self._early: list[str | bytes] = []
        self._came = asyncio.Event()

    async def open(self) -> WebSocketLink:
        async with httpx.AsyncClient() as http:
            endpoint = await self.adapter.endpoint("main", self.session, http)
        self.link = await connect(endpoint, self._message, lambda: None)
        for reply in self._early:  # to what came with the handshake's answer
            self.link.send(reply)
        return self.link

    def _message(self, message: bytes | str) -> None:
        decoded = self.codec.decode(message)
        for reply in decoded.replies:
            assert not isinstance(reply, HttpRequest)
            if self.link is None:
                self._early.append(reply)
            else:
                self.link.send(reply)
        self.read.append(decoded)
        self._came.set()

    async def until(self, wanted: Callable[[list[Decoded]], Any]) -> None:
        async def wait() -> None:
            while not wanted(self.read):
                self._came.clear()
                await self._came.wait()

        await asyncio.wait_for(wait(), PATIENCE)

    async def ready(self) -> None:
        await self.until(lambda read: any(each.ready for each in read))

    def ping(self) -> None:
        for frame in self.codec.heartbeat_frames():
            assert isinstance(frame, str)
            self.link.send(frame)


def beats(read: list[Decoded]) -> int:
    return sum(each.event is Event.HEARTBEAT for each in read)


def server(modules: Path, module: str = "socket.io", **options: Any) -> Any:
    settings = {"path": "/apimarketdata/socket.io", "pingInterval": 25_000, "pingTimeout": 20_000, **options}
    return node(modules, "socketio_server.js", module, json.dumps(settings))


def with_server(
    modules: Path, use: Callable[[Stranger, Client], Awaitable[None]], token: str = "GOOD", **options: Any
) -> None:
    """Runs `use` with a server and a client that has its address."""

    async def main() -> None:
        async with server(modules, **options) as stranger:
            port = await stranger.says("port")
            client = Client(WisdomAdapter({"api": f"http://127.0.0.1:{port}/apimarketdata"}), token)
            await use(stranger, client)

    run(main())


def burst() -> tuple[str, list[dict[str, Any]]]:
    """The command that makes the server send, and the ticks that are to be read."""
    items = {item["name"]: item for item in vector_cases.load("_xts")["incoming"]}
    text = next(item for name, item in items.items() if name.startswith("1512-json-full"))
    packet = next(item for name, item in items.items() if "1501, layout A" in name)
    payload = json.loads(text["frames"][0]["text"][2:])[1]
    assert " " not in payload
    ltp = {name: value for name, value in text["expect"][0].items() if name not in ("symbol", "exchange")}
    quote = {name: value for name, value in packet["expect"][0].items() if name not in ("symbol", "exchange")}
    return f"burst {payload} {packet['frames'][1]['hex'][2:]}", [ltp, ltp, quote, ltp]


def test_a_server_of_the_second_generation_is_understood(modules: Path) -> None:
    async def use(stranger: Stranger, client: Client) -> None:
        await client.open()
        await client.ready()
        assert await stranger.says("connected") == "USER 1"
        await client.until(lambda read: sum(each.event is Event.ACK for each in read) == 3)  # open, 40, joined
        command, expected = burst()
        stranger.tell(command)
        await client.until(lambda read: sum(len(each.ticks) for each in read) == len(expected))
        found = [field for each in client.read for field in fields(each)]
        assert found == expected
        assert not any(each.event is Event.MALFORMED for each in client.read)
        assert sum(each.unknown for each in client.read) == 2  # the picture's two attachments
        for frame in client.codec.close_frames():
            if isinstance(frame, str):
                client.link.send(frame)
        assert await stranger.says("gone") == "client namespace disconnect"
        client.link.close()

    with_server(modules, use)


def test_a_client_that_pings_is_kept_and_one_that_does_not_is_dropped(modules: Path) -> None:
    async def use(stranger: Stranger, client: Client) -> None:
        link = await client.open()
        await client.ready()
        loop = asyncio.get_running_loop()
        ends = loop.time() + 1.5  # far more than the server waits for a ping
        while loop.time() < ends:
            pongs = beats(client.read)
            client.ping()
            await client.until(lambda read, pongs=pongs: beats(read) > pongs)
            await asyncio.wait({link.closed}, timeout=0.1)
        assert not link.closed.done()
        assert (await asyncio.wait_for(link.closed, PATIENCE)).code in (1005, 1006)
        assert await stranger.says("gone") == "ping timeout"

    with_server(modules, use, pingInterval=300, pingTimeout=300)


def test_a_refused_token_is_an_authentication_failure(modules: Path) -> None:
    async def use(stranger: Stranger, client: Client) -> None:
        await client.open()
        await client.until(lambda read: any(each.event is Event.AUTH_ERROR for each in read))
        assert "Invalid Token" in client.read[-1].message
        client.link.close()

    with_server(modules, use, token="BAD")


@pytest.mark.parametrize("command", ["leave", "hangup"])
def test_a_goodbye_of_the_server_ends_the_session(modules: Path, command: str) -> None:
    async def use(stranger: Stranger, client: Client) -> None:
        link = await client.open()
        await client.ready()
        stranger.tell(command)
        if command == "leave":
            await client.until(lambda read: any(each.restart for each in read))
            link.close()
        else:
            await asyncio.wait_for(link.closed, PATIENCE)

    with_server(modules, use)


def test_a_server_of_the_fourth_generation_is_met_in_its_own(modules: Path) -> None:
    async def use(stranger: Stranger, client: Client) -> None:
        # Over a WebSocket such a server just hangs up on the old generation; over HTTP it says why.
        url = client.adapter.urls["api"] + "/socket.io/?transport=polling&EIO=3"
        async with httpx.AsyncClient(trust_env=False) as http:
            refusal = await http.get(url)
        failure = client.adapter.handshake_failure(refusal.status_code, "", {}, refusal.content)
        assert isinstance(failure, Unavailable)
        again = Client(client.adapter, "GOOD")
        await again.open()
        await again.ready()
        command, expected = burst()
        stranger.tell(command)
        await again.until(lambda read: sum(len(each.ticks) for each in read) == len(expected))
        assert [field for each in again.read for field in fields(each)] == expected
        await again.until(lambda read: beats(read) >= 2)  # its pings, which are answered
        again.link.close()

    with_server(modules, use, module="socket.io-4", pingInterval=200, pingTimeout=500)


def test_the_official_sdk_reads_of_the_simulator_what_the_market_is(modules: Path) -> None:
    async def main() -> None:
        exchange = Exchange(seed=11, clock=lambda: 1_755_837_930.0)
        exchange.step(2000)
        simulator = WisdomSimulator(exchange)
        await simulator.start()
        future = next(one for one in exchange.securities if one.kind == "FUT" and one.exchange == "NFO")
        chosen = [exchange.find("RELIANCE", "NSE"), future]
        keys = [
            {"exchangeSegment": 1 if one.exchange == "NSE" else 2, "exchangeInstrumentID": one.token}
            for one in chosen
        ]
        stream = simulator.urls["feed"].replace("ws:", "http:").removesuffix("/socket.io/")
        arguments = (simulator.urls["api"], stream, json.dumps(keys), "[1502, 1510]")
        try:
            async with node(modules, "xts_sdk_client.js", *arguments, prefix="SAID ") as stranger:
                login = await stranger.says("login")
                assert login == {"login": "success", "userID": simulator.credentials["user_id"]}
                for security in chosen:
                    data = await stranger.says("depth")
                    wanted = security.fields()
                    assert data["ExchangeInstrumentID"] == security.token
                    line = data["Touchline"]
                    names = {
                        "ltp": "LastTradedPrice",
                        "high": "High",
                        "close": "Close",
                        "volume": "TotalTradedQuantity",
                    }
                    assert {name: line[theirs] for name, theirs in names.items()} == {
                        name: wanted[name] for name in names
                    }
                    # The SDK's dates are local times of its machine, which stands in India here.
                    assert line["LastTradedTime"] == iso(wanted["ltt"])
                    books = [
                        [
                            {"price": row["Price"], "quantity": row["Size"], "orders": row["TotalOrders"]}
                            for row in side
                        ]
                        for side in (data["Bids"], data["Asks"])
                    ]
                    assert books == [wanted["depth"]["buy"], wanted["depth"]["sell"]]  # type: ignore[index]
                assert (await stranger.says("interest"))["OpenInterest"] == future.oi
        finally:
            await simulator.stop()

    run(main())


def iso(epoch_ms: object) -> str:
    assert isinstance(epoch_ms, int)
    return datetime.fromtimestamp(epoch_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
