"""What all simulated broker servers share: sockets, clients, subscriptions, fan-out, heartbeats, commands.

One `BrokerSimulator` is one broker's servers: a WebSocket port and an HTTP port on loopback. It listens to an
`Exchange`, which knows nothing of it; several simulators may share one. It owns one task (heartbeats, while
started). Bounds: a client that leaves 8 MB unread is cut off; `remembered` payloads are one for each
instrument and kind. Everything runs in the event loop that called `start`; call the commands there, too.

A subclass writes: `endpoints`, `make_credentials`, `accept`, `received`, `encode`, `instrument_dump`; where its
protocol has them also `greet`, `answer` (REST), `heartbeat`, `snapshot`, `pack`, `left`, `token_expired`.
Its encoder follows the broker's specification, never our decoder.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

from tickmux import owned_task
from tickmux.codec import Credentials
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import Security
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import HttpServer, Request, Response, reason_phrase, split_target

Payload = Any
"""What `encode` makes of an instrument: usually bytes or text; anything that `pack` understands and == compares."""

Packet = tuple[Security, str, Payload]
"""A change on its way to a client: instrument, kind, payload."""


class BrokerSimulator(ABC):
    """One broker's servers. Use: `await start()`, point an adapter at `urls` with `credentials`, `await stop()`."""

    name: ClassVar[str]
    endpoints: ClassVar[Mapping[str, str]]
    """The adapter's and login's URL names -> `ws:/path` or `http:/path`; paths of one scheme differ."""
    heartbeat_interval: ClassVar[float | None] = None
    """Seconds between `heartbeat`s, None where the broker sends none."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.clients: dict[Client, None] = {}
        self.silent = False
        self.most_taken: int | None = None
        """How many instruments of a client are really subscribed; None for all."""
        self.slow_clients = 0
        """How many clients were cut off because they did not read."""
        self.token_valid = True
        self._token_number = 1
        self.credentials = self.make_credentials(1)
        self._refusal: Response | None = None
        self._watchers: dict[Security, dict[str, dict[Client, None]]] = {}
        self._remembered: dict[tuple[Security, str], Payload] = {}
        self._http = HttpServer(self._answer)
        self._server: asyncio.Server | None = None
        self._host = ""
        self._beating: asyncio.Task[None] | None = None
        self._channels = {
            url.partition(":")[2]: name for name, url in self.endpoints.items() if url.startswith("ws:")
        }

    # -- what a broker writes ----------------------------------------------------------------------------

    @abstractmethod
    def make_credentials(self, number: int) -> Credentials:
        """The session of the `number`-th token: the same account, another token for each number."""

    @abstractmethod
    def accept(self, request: Request, endpoint: str) -> Response | None:
        """Whether a WebSocket handshake is accepted: None, or the HTTP refusal (status 400 or above)."""

    @abstractmethod
    def received(self, client: Client, message: str | bytes) -> None:
        """Handles one message of a client, text or binary; hostile ones too, so it must not raise."""

    @abstractmethod
    def encode(self, security: Security, kind: str) -> Payload | None:
        """What a subscriber of `kind` is told of `security` now; None for nothing.

        Called once for each change and kind, however many clients watch. A protocol of deltas keeps here what
        it said last: nothing of the exchange changes between two calls unless a change was announced.
        """

    @abstractmethod
    def instrument_dump(self) -> list[tuple[str, bytes]]:
        """The broker's instrument files: (name as in its list's `downloads`, content)."""

    def snapshot(self, client: Client, security: Security, kind: str) -> Payload | None:
        """What a new subscriber gets at once, complete; by default `encode`, so a protocol of deltas overrides it."""
        return self.encode(security, kind)

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[str | bytes]:
        """The frames that carry `packets` to `client`; by default one frame for each."""
        return [payload for _, _, payload in packets]

    def greet(self, client: Client) -> None:  # noqa: B027 - optional
        """Called when a client has connected."""

    def left(self, client: Client) -> None:  # noqa: B027 - optional
        """Called when a client has gone; its subscriptions are already released."""

    def heartbeat(self, client: Client) -> str | bytes | None:
        """What `client` gets every `heartbeat_interval`; `client.idle` says whether anything else was sent since."""
        return None

    def answer(self, request: Request) -> Response:
        """The answer to a REST request. Must not raise for hostile ones."""
        return Response(404)

    def token_expired(self, client: Client) -> None:
        """What the broker does to an open connection when its token dies; by default it closes it."""
        client.close(1008, "session expired")

    # -- life --------------------------------------------------------------------------------------------

    async def start(self, host: str = "127.0.0.1", port: int = 0, http_port: int = 0) -> None:
        """Listens; port 0 lets the system choose. Raises OSError where a port is taken."""
        self._host = host
        self._server = await ws_create_server(
            self._handshake, host, port, enable_auto_ping=False, enable_auto_pong=False, max_frame_size=1 << 20
        )
        try:
            await self._http.start(host, http_port)
        except OSError:
            self._server.close()
            raise
        self.exchange.listen(self._distribute)
        if self.heartbeat_interval is not None:
            beat = partial(self._beat_forever, self.heartbeat_interval)
            self._beating = owned_task.keep_running(beat, f"heartbeat of the simulated {self.name}")

    async def stop(self) -> None:
        """Disconnects everybody and frees the ports. May be called twice."""
        if self._server is None:
            return
        self.exchange.forget(self._distribute)
        await owned_task.end(self._beating)
        self._beating = None
        self._server.close()
        for client in tuple(self.clients):
            client.abort()
        await self._server.wait_closed()
        self._server = None
        await self._http.stop()

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("the simulator is not running")
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def urls(self) -> dict[str, str]:
        """What to give the adapter, the login and the instrument list as `urls`."""
        ports = {"ws": self.port, "http": self._http.port}
        parts = {name: url.partition(":") for name, url in self.endpoints.items()}
        return {
            name: f"{scheme}://{self._host}:{ports[scheme]}{path if path != '/' else ''}"
            for name, (scheme, _, path) in parts.items()
        }

    # -- subscriptions -----------------------------------------------------------------------------------

    def subscribe(self, client: Client, securities: Iterable[Security], kind: str) -> None:
        """Subscribes and sends the snapshots at once; an instrument may have several kinds."""
        packets: list[Packet] = []
        for security in securities:
            if (
                self.most_taken is not None
                and security not in client.subscriptions
                and len(client.subscriptions) >= self.most_taken
            ):
                continue
            client.subscriptions.setdefault(security, set()).add(kind)
            self._watchers.setdefault(security, {}).setdefault(kind, {})[client] = None
            payload = self.snapshot(client, security, kind)
            if payload is not None:
                packets.append((security, kind, payload))
        self._deliver(client, packets)

    def unsubscribe(self, client: Client, securities: Iterable[Security], kind: str | None = None) -> None:
        """Ends `kind`, or all kinds, of the instruments; those that are not subscribed are ignored."""
        for security in securities:
            kinds = client.subscriptions.get(security, set())
            for ended in tuple(kinds) if kind is None else (kind,):
                if ended in kinds:
                    kinds.remove(ended)
                    self._release(client, security, ended)
            if not kinds:
                client.subscriptions.pop(security, None)

    def replace(self, client: Client, securities: Iterable[Security], kind: str) -> None:
        """Makes `kind` the only kind of the instruments, for brokers where an instrument has one mode."""
        chosen = list(securities)
        self.unsubscribe(client, chosen)
        self.subscribe(client, chosen, kind)

    def _release(self, client: Client, security: Security, kind: str) -> None:
        clients = self._watchers[security][kind]
        del clients[client]
        if not clients:
            del self._watchers[security][kind]
            self._remembered.pop((security, kind), None)
            if not self._watchers[security]:
                del self._watchers[security]

    # -- fan-out -----------------------------------------------------------------------------------------

    def _distribute(self, changed: Sequence[Security]) -> None:
        batches: dict[Client, list[Packet]] = {}
        remembered = self._remembered
        for security in changed:
            for kind, clients in self._watchers.get(security, _NOBODY).items():
                payload = self.encode(security, kind)
                key = (security, kind)
                if payload is None or remembered.get(key) == payload:
                    continue  # nothing that this kind shows has changed
                remembered[key] = payload
                packet = (security, kind, payload)
                for client in clients:
                    batches.setdefault(client, []).append(packet)
        for client, packets in batches.items():
            self._deliver(client, packets)

    def _deliver(self, client: Client, packets: Sequence[Packet]) -> None:
        if packets and not client.mute:
            for frame in self.pack(client, packets):
                client.send(frame)

    def beat(self) -> None:
        """Sends everybody the heartbeat that is due now."""
        for client in tuple(self.clients):
            frame = self.heartbeat(client)
            if frame is not None:
                client.send(frame)
            client.idle = True

    async def _beat_forever(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            self.beat()

    # -- connections -------------------------------------------------------------------------------------

    def _handshake(self, upgrade: WSUpgradeRequest) -> Client | WSUpgradeResponseWithListener:
        path, query = split_target(upgrade.path.decode("latin-1"))
        headers = {name.lower(): value for name, value in upgrade.headers.items()}
        request = Request(upgrade.method.decode("latin-1"), path, query, headers)
        endpoint = self._channels.get(path)
        if endpoint is None:
            return _refused(Response(404))
        refusal = self._refusal or self.accept(request, endpoint)
        return _refused(refusal) if refusal else Client(self, endpoint, request)

    def _answer(self, request: Request) -> Response:
        return self._refusal or self.answer(request)

    def client_arrived(self, client: Client) -> None:
        self.clients[client] = None
        self.greet(client)

    def client_left(self, client: Client) -> None:
        if self.clients.pop(client, 0) is None:
            self.unsubscribe(client, list(client.subscriptions))
            self.left(client)

    # -- commands ----------------------------------------------------------------------------------------

    def disconnect_all(self, code: int | None = None, reason: str = "") -> None:
        """Closes every connection: with a close frame of `code`, or abruptly without one."""
        for client in tuple(self.clients):
            if code is None:
                client.abort()
            else:
                client.close(code, reason)

    def cut_mid_frame(self) -> None:
        """Disconnects everybody in the middle of a WebSocket frame of market data; no rule is broken."""
        for client in tuple(self.clients):
            packets = [
                (security, kind, payload)
                for security, kinds in client.subscriptions.items()
                for kind in kinds
                if (payload := self.snapshot(client, security, kind)) is not None
            ]
            frame = next(iter(self.pack(client, packets)), b"") if packets else b""
            opcode = 0x81 if isinstance(frame, str) else 0x82
            body = (frame.encode() if isinstance(frame, str) else frame) or bytes(64)
            client.send_raw(_frame_head(opcode, len(body)) + body[: len(body) // 2])
            client.hang_up()

    def break_protocol(self) -> None:
        """Sends everybody bytes that are no WebSocket frame (reserved bits and opcode), and leaves the line open."""
        for client in tuple(self.clients):
            client.send_raw(b"\xf3\x04oops")

    def forget_subscriptions(self) -> None:
        """Forgets what everybody has subscribed, without a word: heartbeats go on, and asking again helps."""
        for client in tuple(self.clients):
            self.unsubscribe(client, list(client.subscriptions))

    def go_mute(self) -> None:
        """Sends the present connections no market data any more, whatever they ask: heartbeats and answers go on.

        New connections are served.
        """
        for client in self.clients:
            client.mute = True

    def take_only(self, most: int | None) -> None:
        """Subscribes only the first `most` instruments of each client from now on, without a word; None ends it."""
        self.most_taken = most

    def go_silent(self) -> None:
        """Keeps connections open but sends nothing any more: no data, no heartbeats, no pongs."""
        self.silent = True

    def resume(self) -> None:
        """Ends `go_silent`."""
        self.silent = False

    def refuse_connections(self, status: int = 503) -> None:
        """Answers every handshake and REST request with this HTTP status; open connections stay."""
        self._refusal = Response(status)

    def accept_connections(self) -> None:
        """Ends `refuse_connections`."""
        self._refusal = None

    def expire_token(self) -> None:
        """The present token dies, and with it what is connected; only a `new_token` is accepted from now on."""
        self.token_valid = False
        for client in tuple(self.clients):
            self.token_expired(client)

    def new_token(self) -> Credentials:
        """A fresh session, as after a new login: the token before it is no longer accepted."""
        self._token_number += 1
        self.token_valid = True
        self.credentials = self.make_credentials(self._token_number)
        return self.credentials

    def knows(self, **values: str) -> bool:
        """Whether these are values of the credentials that are good now."""
        good = self.credentials.values
        return self.token_valid and all(good.get(name) == value for name, value in values.items())

    def flood(self, frames: int) -> None:
        """Sends every client `frames` frames of what it subscribed, at once."""
        for client in tuple(self.clients):
            packets = [(security, kind) for security, kinds in client.subscriptions.items() for kind in kinds]
            for number in range(frames if packets else 0):
                security, kind = packets[number % len(packets)]
                payload = self.snapshot(client, security, kind)
                if payload is not None:
                    self._deliver(client, [(security, kind, payload)])

    def send_garbage(self, frame: bytes | str) -> None:
        """Sends everybody this frame as it is."""
        for client in tuple(self.clients):
            client.send(frame)


def _frame_head(opcode: int, length: int) -> bytes:
    """The shortest form, as the protocol demands it."""
    if length < 126:
        return bytes([opcode, length])
    if length < 1 << 16:
        return bytes([opcode, 126]) + length.to_bytes(2, "big")
    return bytes([opcode, 127]) + length.to_bytes(8, "big")


_NOBODY: Mapping[str, Mapping[Client, None]] = {}


class _Status(int):
    """An HTTP status of any number: brokers use some that `http.HTTPStatus` lacks."""

    @property
    def value(self) -> int:
        return int(self)

    @property
    def phrase(self) -> str:
        return reason_phrase(self)


def _refused(refusal: Response) -> WSUpgradeResponseWithListener:
    answer = WSUpgradeResponse.create_error_response(400, refusal.body, refusal.headers)
    answer.status = _Status(refusal.status)
    return WSUpgradeResponseWithListener(answer, None)
