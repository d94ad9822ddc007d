"""A real feed against a simulated broker, with patience shortened, and a bus that remembers."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import msgspec

from support.servers import PATIENCE, eventually
from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds import local_feed
from tickmux.feeds.feed_directory import SimulatedSessions
from tickmux.feeds.local_feed import Listed, LocalFeed
from tickmux.feeds.market_hours import MarketHours
from tickmux.feeds.session_keeper import Session
from tickmux.instrument import Instrument
from tickmux.simulator import load_simulator
from tickmux.simulator.market.exchange import Exchange
from tickmux.tick import Mode
from tickmux.websocket_proxy.broker_factory import load_broker
from tickmux.websocket_proxy.connection_manager import PoolLimits
from tickmux.websocket_proxy.feed import Grant, Want


class RecordingBus:
    """What a feed has published: topic -> payloads."""

    def __init__(self) -> None:
        self.payloads: dict[bytes, list[dict[str, Any]]] = {}
        self.dropped = 0
        self.closed = False

    async def wait_ready(self, timeout: float) -> bool:
        return True

    def send(self, parts: Sequence[bytes]) -> None:
        for topic, payload in zip(parts[::2], parts[1::2], strict=True):
            if payload:  # an empty one takes the last one back
                self.payloads.setdefault(topic, []).append(json.loads(payload))

    def close(self) -> None:
        self.closed = True

    def clear(self) -> None:
        self.payloads.clear()


class ListedInstruments:
    """A fixed instrument list."""

    def __init__(self, rows: Sequence[Instrument]) -> None:
        self.rows = {(row.symbol, row.exchange): row for row in rows}
        self.version = 1

    async def resolve(self, names: Sequence[tuple[str, str]]) -> Listed:
        missing = RequestError(ErrorCode.SYMBOL_NOT_FOUND, "not listed")
        return Listed(self.version, [self.rows.get(name, missing) for name in names])

    def generation(self) -> int:
        return self.version

    async def warning(self) -> str:
        return ""


class SessionsOfRig(SimulatedSessions):
    """The session that the rig's simulator accepts; `asked` counts how often the feed has read it."""

    asked = 0
    looked = 0
    """How often the feed has asked whether there is another one."""
    stored_again = 0
    """Add to it what somebody stores without changing it."""

    def version(self) -> int:
        self.looked += 1
        return super().version() + self.stored_again

    async def read(self) -> Session | None:
        self.asked += 1
        return await super().read()


def impatient(adapter: Any, **changes: Any) -> Any:
    """The adapter with short delays, so that a test of silence or of a reconnect takes no time."""
    quick = {"backoff": (0.01, 0.05), "ready_timeout": 2.0, **changes}
    adapter.channels = {name: msgspec.structs.replace(channel, **quick) for name, channel in adapter.channels.items()}
    return adapter


class Rig:
    """A simulator, a feed on it, and what the feed has published."""

    def __init__(self, name: str, rate: float, changes: dict[str, Any], *, patient: bool = False) -> None:
        self.name = name
        self.patient = patient
        """Keeps the broker's own delays."""
        self.exchange = Exchange(seed=7, rate=rate)
        self.simulator = load_simulator(name)(self.exchange)
        self.retry_waits: tuple[float, ...] = changes.pop("retry_waits", (0.01, 0.01))
        self.changes = changes
        self.bus = changes.pop("bus", None) or RecordingBus()

    async def start(self, limits: PoolLimits) -> None:
        await self.simulator.start()
        self.running = asyncio.create_task(self.exchange.run())
        broker = load_broker(self.name)
        parser = broker.instruments()
        rows = [row for file, data in self.simulator.instrument_dump() for row in parser.parse(data, file)]
        self.instruments = ListedInstruments(rows)
        self.sessions = SessionsOfRig(self.simulator)
        self.adapter = broker.adapter(self.simulator.urls)
        if not self.patient:
            impatient(self.adapter, **self.changes)
        self.feed = LocalFeed(
            self.adapter,
            "test",
            bus=self.bus,  # type: ignore[arg-type]
            instruments=self.instruments,
            sessions=self.sessions,
            limits=limits,
            hours=MarketHours(always_open=True),
            rng=random.Random(1),
            retry_waits=self.retry_waits,
        )

    async def stop(self) -> None:
        # The market first: it may fill the loop that the feed shares with it here.
        self.running.cancel()
        await asyncio.wait([self.running])
        began = time.monotonic()
        await self.feed.stop()
        took = time.monotonic() - began
        await self.simulator.stop()
        assert took < min(2.0, PATIENCE), "a feed stops within two seconds"

    def listed(self, count: int = 5, exchange: str | None = None) -> list[Instrument]:
        """Some instruments that the broker and the exchange both have, tradable ones first."""
        rows = [
            row
            for row in self.instruments.rows.values()
            if self.adapter.serves(row.exchange) and exchange in (None, row.exchange)
        ]
        return sorted(rows, key=lambda row: (row.is_index, row.exchange != "NSE"))[:count]

    async def subscribe(self, rows: Sequence[Instrument], mode: Mode, depth: int = 5) -> list[Grant]:
        """Subscribes; every one must be granted."""
        grants = await self.feed.subscribe([Want(row.symbol, row.exchange, mode, depth) for row in rows])
        refused = [grant for grant in grants if not isinstance(grant, Grant)]
        assert not refused, refused
        return grants  # type: ignore[return-value]

    async def ticking(self, grants: Sequence[Grant]) -> None:
        """Waits until every granted topic has been published since the bus was cleared."""
        topics = {grant.topic for grant in grants}
        await eventually(
            lambda: topics <= self.bus.payloads.keys(),
            f"ticks of {len(topics)} topics ({len(topics & self.bus.payloads.keys())} came; {self.feed.info()})",
        )

    async def state(self, *wanted: str) -> None:
        await eventually(lambda: self.feed.status.state in wanted, f"state {wanted}, still {self.feed.status}")

    def modes(self) -> Counter[str]:
        return Counter(payload["mode"] for payloads in self.bus.payloads.values() for payload in payloads)


@asynccontextmanager
async def rig(
    name: str, *, rate: float = 2000.0, limits: PoolLimits | None = None, **changes: Any
) -> AsyncIterator[Rig]:
    """A running rig; `changes` are applied to the adapter's channels."""
    made = Rig(name, rate, changes)
    with patch.object(local_feed, "_WATCH_INTERVAL", 0.05):
        await made.start(limits or PoolLimits())
        try:
            yield made
        finally:
            await made.stop()
