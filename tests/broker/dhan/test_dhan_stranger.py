"""The official SDK drives the simulator: what it parses is what our codec makes of the same packets."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from simulator.wire_client import WireClient
from support.servers import eventually
from support.stranger import line, stranger, tell
from tickmux.broker.dhan.streaming.dhan_adapter import DhanAdapter
from tickmux.instrument import Instrument
from tickmux.simulator.dhan import CLIENT_ID, DhanSimulator, security_id
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import Security
from tickmux.tick import Tick

STRANGER = Path(__file__).with_name("dhan_stranger.py")
SEGMENTS = {"NSE_INDEX": 0, "BSE_INDEX": 0, "NSE": 1, "NFO": 2, "CDS": 3, "BSE": 4, "MCX": 5, "BCD": 7, "BFO": 8}
KINDS = {15: "ltp", 17: "quote", 21: "full"}
END = bytes((7, 8, 0, 0, 0, 0, 0, 0))

Key = tuple[int, int]


def key(security: Security) -> Key:
    return SEGMENTS[security.exchange], security_id(security)


def instrument_of(security: Security) -> Instrument:
    return Instrument(security.symbol, security.exchange, str(security_id(security)))


class Ours:
    """Our adapter's codec on a connection of its own to the same simulator."""

    def __init__(self, simulator: DhanSimulator, channel: str) -> None:
        self.channel = channel
        self.simulator = simulator
        self.adapter = DhanAdapter(simulator.urls)
        self.codec = self.adapter.codec(channel)
        self.last: dict[Key, Tick] = {}
        self._client: WireClient

    async def subscribe(self, kinds: Mapping[Security, str]) -> None:
        async with httpx.AsyncClient() as http:
            endpoint = await self.adapter.endpoint(self.channel, self.simulator.credentials, http)
        self._client = await WireClient.connect(endpoint.url)
        for security, kind in kinds.items():
            for frame in self.codec.subscribe([instrument_of(security)], kind):
                self._client.send(str(frame))
        await self.read()

    async def read(self) -> None:
        for frame in await self._client.flush():
            for tick in self.codec.decode(frame).ticks:
                number = int(tick.instrument.token)
                self.last[SEGMENTS[tick.instrument.exchange], number] = tick


def test_marketfeed_understands_every_instrument_in_every_mode_as_we_do() -> None:
    async def run() -> tuple[list[dict[str, Any]], dict[Key, Tick]]:
        exchange = Exchange(seed=11)
        simulator = DhanSimulator(exchange)
        await simulator.start()
        served = [security for security in exchange.securities if security.exchange in SEGMENTS]
        codes = {
            security: 17 if security.is_index and number % 3 == 2 else (15, 17, 21)[number % 3]
            for number, security in enumerate(served)
        }
        ours = Ours(simulator, "main")
        await ours.subscribe({security: KINDS[code] for security, code in codes.items()})
        wanted = [(SEGMENTS[s.exchange], str(security_id(s)), code) for s, code in codes.items()]
        token = simulator.credentials["access_token"]
        async with stranger(STRANGER, "main", simulator.urls["main"], CLIENT_ID, token) as process:
            assert await tell(process, wanted) == "open"
            await eventually(lambda: sum(len(c.subscriptions) for c in simulator.clients) == 2 * len(served))
            for _ in range(50):
                exchange.step(100)
            simulator.send_garbage(END)
            parsed = json.loads(await line(process))
        await ours.read()
        await simulator.stop()
        assert ours.last.keys() == {key(security) for security in served}
        return parsed, ours.last

    parsed, ours = asyncio.run(run())
    theirs: dict[tuple[int, int, str], dict[str, Any]] = {}
    for packet in parsed:
        theirs[packet["exchange_segment"], packet["security_id"], packet["type"]] = packet
    assert {kind for _, _, kind in theirs} == {
        "Ticker Data",
        "Quote Data",
        "Full Data",
        "OI Data",
        "Previous Close",
    }
    for (segment, number, kind), packet in theirs.items():
        assert_same(packet, kind, ours[segment, number], 4 if segment in (3, 7) else 2)
    assert {(segment, number) for segment, number, _ in theirs} == ours.keys()


def assert_same(packet: dict[str, Any], kind: str, tick: Tick, decimals: int) -> None:
    """The SDK's words for `kind` say what our tick says; it prints two decimals of everything."""

    def same(name: str, ours: float | None) -> None:
        allowed = 0.0051 if decimals == 4 else 1e-9
        assert float(packet[name]) == pytest.approx(ours or 0.0, abs=allowed), (name, packet, tick)

    if kind == "Previous Close":
        same("prev_close", tick.close)
        return
    if kind == "OI Data":
        assert packet["OI"] == tick.oi
        return
    same("LTP", tick.ltp)
    assert tick.ltt is not None
    indian_clock = datetime.fromtimestamp(tick.ltt / 1000 + 19_800, UTC)
    assert packet["LTT"] == indian_clock.strftime("%H:%M:%S")
    if kind == "Ticker Data":
        return
    for name, ours in (
        ("avg_price", tick.avg_trade_price),
        ("open", tick.open),
        ("high", tick.high),
        ("low", tick.low),
    ):
        same(name, ours)
    assert (packet["LTQ"], packet["volume"]) == (tick.last_trade_quantity, tick.volume)
    assert packet["total_sell_quantity"] == tick.total_sell_quantity
    assert packet["total_buy_quantity"] == tick.total_buy_quantity
    if kind == "Full Data":
        assert packet["OI"] == (tick.oi or 0)
        assert tick.depth is not None
        for word, side in (("bid", tick.depth.buy), ("ask", tick.depth.sell)):
            rows = [row for row in packet["depth"] if row[f"{word}_quantity"]]
            assert [(row[f"{word}_quantity"], row[f"{word}_orders"]) for row in rows] == [
                (level.quantity, level.orders) for level in side
            ]
            for row, level in zip(rows, side, strict=True):
                assert float(row[f"{word}_price"]) == pytest.approx(
                    level.price, abs=0.0051 if decimals == 4 else 1e-9
                )


@pytest.mark.parametrize(("levels", "socket", "most"), [(20, "depth20", 50), (200, "depth200_other", 1)])
def test_fulldepth_understands_the_books_as_we_do(levels: int, socket: str, most: int) -> None:
    async def run() -> tuple[list[dict[str, Any]], dict[Key, Tick]]:
        exchange = Exchange(seed=3)
        exchange.step(2000)
        simulator = DhanSimulator(exchange)
        await simulator.start()
        chosen = [security for security in exchange.securities if security.exchange in ("NSE", "NFO")][:most]
        ours = Ours(simulator, f"depth{levels}")
        await ours.subscribe(dict.fromkeys(chosen, f"depth{levels}"))
        wanted = [(SEGMENTS[s.exchange], str(security_id(s)), 23) for s in chosen]
        token = simulator.credentials["access_token"]
        async with stranger(STRANGER, str(levels), simulator.urls[socket], CLIENT_ID, token) as process:
            assert await tell(process, wanted) == "open"
            parsed = json.loads(await line(process))
        await simulator.stop()
        assert len(ours.last) == most
        return parsed, ours.last

    parsed, ours = asyncio.run(run())
    sides = {
        (packet["exchange_segment"], packet["security_id"], packet["type"]): packet["depth"] for packet in parsed
    }
    assert len(sides) == 2 * len(ours)
    for (segment, number), tick in ours.items():
        assert tick.depth is not None
        for word, side in (("Bid", tick.depth.buy), ("Ask", tick.depth.sell)):
            rows = [tuple(row.values()) for row in sides[segment, number, word] if row["quantity"]]
            assert rows == [(level.price, level.quantity, level.orders) for level in side]
            assert rows


@pytest.mark.parametrize("socket", ["main", "20"])
def test_the_sdk_is_refused_with_a_wrong_token(socket: str) -> None:
    async def run() -> str:
        simulator = DhanSimulator(Exchange())
        await simulator.start()
        url = simulator.urls["main" if socket == "main" else "depth20"]
        async with stranger(STRANGER, socket, url, CLIENT_ID, "wrong") as process:
            said = await tell(process, [(1, "3045", 15)])
        await simulator.stop()
        return said

    assert "401" in asyncio.run(run())
