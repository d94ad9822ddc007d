"""A real NATS server with a WebSocket listener and JWT authentication, which is what Groww runs."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import nats
import nkeys  # type: ignore[import-untyped]
import pytest
from nats.aio.client import Client

from tickmux.simulator.groww.wire import Account, signed_token

MISSING = "nats-server is not installed, and Groww's codec is not proven against it: apt-get install nats-server"
PATIENCE = 10.0
PING_INTERVAL = 0.1

_CONFIG = """
host: 127.0.0.1
port: -1
http: "127.0.0.1:-1"
ping_interval: "{ping}s"
websocket {{ host: 127.0.0.1, port: -1, no_tls: true }}
operator: {operator}
resolver: MEMORY
resolver_preload: {{ {key}: {account} }}
"""
_NO_LIMITS = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True, "conn": -1}


class NatsServer:
    """A running server; it lets in whoever has a token of `account`."""

    def __init__(self, account: Account, ports: dict[str, list[str]]) -> None:
        self.account = account
        self._ports = ports

    @property
    def websocket_url(self) -> str:
        return self._ports["websocket"][0]

    async def subjects(self, http: httpx.AsyncClient) -> set[str]:
        """What clients over WebSockets have subscribed now, by the server's own word."""
        answer = await http.get(f"{self._ports['monitoring'][0]}/connz", params={"subs": "1"})
        connections = [one for one in answer.json()["connections"] if one.get("type") == "websocket"]
        return {subject for one in connections for subject in one.get("subscriptions_list", [])}

    @asynccontextmanager
    async def publisher(self) -> AsyncIterator[Client]:
        """A client of the same account over plain TCP, by the maintained library."""
        pair = nkeys.from_seed(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
        token = self.account.user_token(pair.public_key.decode(), 0)
        client = await nats.connect(
            self._ports["nats"][0],
            user_jwt_cb=token.encode,
            signature_cb=lambda nonce: base64.b64encode(pair.sign(nonce.encode())),
        )
        try:
            yield client
        finally:
            await client.close()


@contextmanager
def running(folder: Path) -> Iterator[NatsServer]:
    program = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        pytest.skip(MISSING)
    account = Account()
    operator = nkeys.from_seed(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_OPERATOR))
    operator_key = operator.public_key.decode()
    config = _CONFIG.format(
        ping=PING_INTERVAL,
        operator=signed_token(
            operator, operator_key, {"jti": "operator", "nats": {"type": "operator", "version": 2}}
        ),
        key=account.public_key,
        account=signed_token(
            operator,
            account.public_key,
            {"jti": "account", "nats": {"type": "account", "version": 2, "limits": _NO_LIMITS}},
        ),
    )
    (folder / "server.conf").write_text(config)
    process = subprocess.Popen(
        [program, "--config", "server.conf", "--ports_file_dir", str(folder), "--log", "server.log"], cwd=folder
    )
    try:
        yield NatsServer(account, _ports(process, folder))
    finally:
        process.kill()
        process.wait()


def _ports(process: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
    """The ports that the system chose for the server, which writes them down when it is ready."""
    file = folder / f"nats-server_{process.pid}.ports"
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            ports: dict[str, Any] = json.loads(file.read_text())
        except (OSError, ValueError):
            time.sleep(0.01)
        else:
            return ports
    log = folder / "server.log"
    raise RuntimeError(f"nats-server did not start: {log.read_text() if log.exists() else 'no log'}")


@asynccontextmanager
async def published(client: Client, messages: Callable[[], Iterable[tuple[str, bytes]]]) -> AsyncIterator[None]:
    """Publishes what `messages()` gives, subjects and payloads, over and over while the block runs."""
    ended = asyncio.Event()  # cancelling could be lost: flushing swallows it in the moment of the answer

    async def publish() -> None:
        while not ended.is_set():
            for subject, payload in messages():
                await client.publish(subject, payload)
            await client.flush()
            await asyncio.sleep(0.01)

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        ended.set()
        await task
