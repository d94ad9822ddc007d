"""Kotak's official SDK as a stranger: it logs in and subscribes at our simulator, and reads what our codec reads."""

import asyncio
import importlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest

from broker.kotak.test_kotak_simulator import connected
from support.sdk import official_sdk
from support.simulator_talk import listed
from support.simulators import running
from tickmux.instrument import Instrument
from tickmux.simulator.kotak import KotakSimulator
from tickmux.simulator.market.exchange import Exchange
from tickmux.tick import Tick, tick_fields

SDK = "kotakneoapi==3.0.9"
PATIENCE = 20.0


class _Logger:
    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: None


@pytest.fixture
def sdk() -> Iterator[Any]:
    """The SDK's feed package; its top package, which imports all its pins, is passed by, its logger stood in for."""
    folder = official_sdk(SDK)
    before = set(sys.modules)
    for name in ("neo_api_client", "neo_api_client.websocket"):
        package = types.ModuleType(name)
        package.__path__ = [str(folder.joinpath(*name.split(".")))]
        sys.modules[name] = package
    logger: Any = types.ModuleType("neo_api_client.logger")
    logger.get_logger = lambda *args: _Logger()
    sys.modules["neo_api_client.logger"] = logger
    try:
        yield importlib.import_module("neo_api_client.websocket.feed")
    finally:
        for name in set(sys.modules) - before:
            if name.startswith("neo_api_client"):
                del sys.modules[name]


_PRICES = {
    "ltp": "last_traded_price", "open": "open_price", "high": "high_price", "low": "low_price",
    "close": "close_price", "avg_trade_price": "average_trade_price", "upper_circuit": "upper_circuit_limit",
    "lower_circuit": "lower_circuit_limit",
}  # fmt: skip
_QUANTITIES = {
    "volume": "volume_traded_today", "last_trade_quantity": "last_trade_qty", "oi": "open_interest",
    "total_buy_quantity": "total_buy_quantity", "total_sell_quantity": "total_sell_quantity",
}  # fmt: skip


def theirs(message: Any) -> dict[str, Any]:
    """A message of the SDK in our terms."""
    values = message.model_dump()
    index = type(message).__name__ == "SFeedIndex"
    times = {"timestamp": "last_trade_time"} if index else {"ltt": "last_trade_time", "timestamp": "last_update_time"}
    fields: dict[str, Any] = {ours: values[name] for ours, name in _PRICES.items() if values.get(name)}
    fields |= {ours: values[name] * 1000 for ours, name in times.items() if values.get(name)}
    fields |= {ours: values[name] for ours, name in _QUANTITIES.items() if name in values}
    if values.get("level", 0) >= 8:
        fields["depth"] = {side: [level for level in values[side] if level["price"]] for side in ("buy", "sell")}
    return {"who": (message.exchange_segment, message.instrument_token), **fields}


def ours(tick: Tick) -> dict[str, Any]:
    return {"who": (tick.instrument.brexchange, tick.instrument.token), **tick_fields(tick)}


def chosen(rows: dict[tuple[str, str], Instrument]) -> list[Instrument]:
    """One instrument of every exchange."""
    return list({row.exchange: row for row in reversed(rows.values())}.values())


@pytest.mark.parametrize("kind", ["lite", "scrips", "depth", "full_depth"])
def test_the_sdk_reads_what_we_read(sdk: Any, kind: str) -> None:
    async def main() -> None:
        async with running(KotakSimulator(Exchange(seed=3))) as simulator:
            picked = chosen(listed(simulator))
            scrips = [row for row in picked if not row.is_index]
            indices = [row for row in picked if row.is_index]
            talk = await connected(simulator)
            found = await talk.tell(*talk.codec.subscribe(indices, "index"), *talk.codec.subscribe(scrips, kind))
            values = simulator.credentials
            client = sdk.SFeedWebSocket(user=values["ucc"], auth=values["sid"], url=simulator.urls["feed"])
            await asyncio.wait_for(client.connect(), PATIENCE)
            assert client.dividers[3] == 10_000_000
            subscribe = {
                "lite": client.subscribe_scrips_lite,
                "scrips": client.subscribe_scrips,
                "depth": client.subscribe_depth,
                "full_depth": client.subscribe_full_depth,
            }[kind]
            try:
                await client.subscribe_index([sdk.WsToken(row.brexchange, row.brsymbol) for row in indices])
                await subscribe([sdk.WsToken(row.brexchange, row.token) for row in scrips])
                heard = [await asyncio.wait_for(anext(client), PATIENCE) for _ in found]
                assert {message.trading_symbol for message in heard if hasattr(message, "level")} <= {
                    row.brsymbol for row in scrips
                }
                for _ in range(30):
                    simulator.exchange.step(200)
                    found += await talk.tell()
                    while len(heard) < len(found):
                        heard.append(await asyncio.wait_for(anext(client), PATIENCE))
            finally:
                await client.close()
                await talk.link.close()
            assert len(found) > 5 * len(picked)
            assert [theirs(message) for message in heard] == [ours(tick) for tick in found]

    asyncio.run(main())
