"""Our side of a wire to Angel One's simulator, for its tests."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import httpx

from support.simulators import running
from tickmux.broker.angel import BROKER
from tickmux.codec import Credentials
from tickmux.feeds.upstream import HandshakeRefused, WebSocketLink, connect
from tickmux.instrument import Instrument
from tickmux.simulator.angel import AngelSimulator
from tickmux.simulator.market.exchange import Exchange


def run(scenario: Callable[[AngelSimulator], Coroutine[Any, Any, None]], exchange: Exchange) -> None:
    async def session() -> None:
        async with running(AngelSimulator(exchange)) as simulator:
            await scenario(simulator)

    asyncio.run(session())


class Caller:
    """One of our upstream connections to the simulator, and all that it was told."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes | str] = asyncio.Queue()
        self.link: WebSocketLink

    async def call(self, simulator: AngelSimulator, credentials: Credentials | None = None) -> "Caller":
        adapter = BROKER.adapter(simulator.urls)
        async with httpx.AsyncClient(trust_env=False) as http:
            endpoint = await adapter.endpoint("main", credentials or simulator.credentials, http)
        try:
            self.link = await connect(endpoint, self.inbox.put_nowait, lambda: None)
        except HandshakeRefused as refused:
            raise adapter.handshake_failure(
                refused.status, refused.reason, refused.headers, refused.body
            ) from refused
        return self

    async def hear(self) -> bytes | str:
        return await asyncio.wait_for(self.inbox.get(), 5)

    async def ask(self, request: object) -> bytes | str:
        self.link.send(request if isinstance(request, str) else json.dumps(request))
        return await self.hear()


def request(action: int, mode: int, groups: dict[int, list[str]], correlation: str = "abc") -> dict[str, Any]:
    tokens = [{"exchangeType": number, "tokens": tokens} for number, tokens in groups.items()]
    return {"correlationID": correlation, "action": action, "params": {"mode": mode, "tokenList": tokens}}


def instruments(simulator: AngelSimulator) -> dict[tuple[str, str], Instrument]:
    ((filename, data),) = simulator.instrument_dump()
    return {(found.symbol, found.exchange): found for found in BROKER.instruments().parse(data, filename)}
