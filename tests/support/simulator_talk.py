"""A running simulator, what its instrument lists say, and a client that tells it what our codec says."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from simulator.wire_client import WireClient
from support.simulators import running
from tickmux.codec import Credentials, FeedCodec
from tickmux.instrument import Instrument
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.server.base import BrokerSimulator
from tickmux.tick import Tick
from tickmux.websocket_proxy.broker_factory import load_broker

Simulator = TypeVar("Simulator", bound=BrokerSimulator)


class Talk:
    """A client that has sent what comes right after a connect, and the codec beside it."""

    def __init__(self, link: WireClient, codec: FeedCodec) -> None:
        self.link = link
        self.codec = codec

    @classmethod
    async def begin(cls, simulator: BrokerSimulator, credentials: Credentials | None = None, url: str = "") -> "Talk":
        """`url` is where the adapter's endpoint sends one, where that is not the feed's."""
        codec = load_broker(simulator.name).adapter(simulator.urls).codec("main")
        talk = cls(await WireClient.connect(url or simulator.urls["feed"]), codec)
        talk.send(*codec.open_frames(credentials or simulator.credentials))
        return talk

    def send(self, *frames: Any) -> None:
        self.link.send(*frames)

    async def tell(self, *frames: Any) -> list[Tick]:
        """The ticks of the answers to these frames."""
        self.send(*frames)
        return [tick for message in await self.link.flush() for tick in self.codec.decode(message).ticks]


def listed(simulator: BrokerSimulator) -> dict[tuple[str, str], Instrument]:
    """(symbol, exchange) -> what the simulator's instrument lists say of it; none of their rows may be skipped."""
    reader = load_broker(simulator.name).instruments()
    rows = [row for name, data in simulator.instrument_dump() for row in reader.parse(data, name)]
    assert not reader.skipped
    return {(row.symbol, row.exchange): row for row in rows}


def play(simulator_type: Callable[[Exchange], Simulator], scenario: Callable[[Simulator], Awaitable[None]]) -> None:
    """Runs the scenario with a simulator of its own."""

    async def main() -> None:
        async with running(simulator_type(Exchange(seed=3))) as simulator:
            await scenario(simulator)

    asyncio.run(main())
