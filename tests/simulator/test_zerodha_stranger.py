"""The official SDK drives the simulator: what it parses is what the engine made."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from support.stranger import line, stranger, tell
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.zerodha import ZerodhaSimulator, instrument_token

STRANGER = Path(__file__).with_name("kite_stranger.py")
NO_LEVEL = {"quantity": 0, "price": 0.0, "orders": 0}


def kite(simulator: ZerodhaSimulator, token: str) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
    return stranger(STRANGER, simulator.urls["feed"], simulator.credentials["api_key"], token)


def expected(security: Security, mode: str) -> dict[str, Any]:
    """The SDK's tick for the engine's state, in the SDK's words."""
    rupees = PRICE_UNIT
    tick: dict[str, Any] = {
        "instrument_token": instrument_token(security),
        "mode": mode,
        "tradable": not security.is_index,
        "last_price": security.ltp / rupees,
    }
    if mode == "ltp":
        return tick
    tick["ohlc"] = {name: getattr(security, name) / rupees for name in ("open", "high", "low", "close")}
    if not security.is_index:
        tick |= {
            "last_traded_quantity": security.last_quantity,
            "average_traded_price": security.average / rupees,
            "volume_traded": security.volume,
            "total_buy_quantity": security.total_buy,
            "total_sell_quantity": security.total_sell,
        }
    if mode == "full":
        tick["exchange_timestamp"] = security.updated_at // 1000 * 1000
        if not security.is_index:
            tick |= {
                "last_trade_time": security.traded_at // 1000 * 1000,
                "oi": security.oi,
                "oi_day_high": security.oi_high,
                "oi_day_low": security.oi_low,
                "depth": {"buy": five(security.bids), "sell": five(security.asks)},
            }
    return tick


def five(levels: list[Level]) -> list[dict[str, Any]]:
    rows = [
        {"quantity": level.quantity, "price": level.price / PRICE_UNIT, "orders": level.orders}
        for level in levels[:5]
    ]
    return rows + [NO_LEVEL] * (5 - len(rows))


def test_kiteticker_understands_every_instrument_in_every_mode() -> None:
    async def run() -> tuple[dict[str, Any], dict[str, Any]]:
        exchange = Exchange(seed=11)
        simulator = ZerodhaSimulator(exchange)
        await simulator.start()
        modes = {s: ("full", "quote", "ltp")[number % 3] for number, s in enumerate(exchange.securities)}
        wanted: dict[str, list[int]] = {"full": [], "quote": [], "ltp": []}
        for security, mode in modes.items():
            wanted[mode].append(instrument_token(security))
        async with kite(simulator, simulator.credentials["access_token"]) as process:
            assert await tell(process, wanted) == "snapshots"
            for _ in range(100):
                exchange.step(100)
            simulator.send_garbage('{"type":"order","data":{"order_id":"1"}}')
            parsed = json.loads(await line(process))
        await simulator.stop()
        return parsed, {str(instrument_token(s)): expected(s, mode) for s, mode in modes.items()}

    parsed, made = asyncio.run(run())
    assert parsed.keys() == made.keys()
    for token, tick in made.items():
        found = parsed[token]
        found.pop("change", None)  # computed by the SDK
        assert found == approximately(tick), token


def approximately(tick: dict[str, Any]) -> dict[str, Any]:
    return {
        name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value for name, value in tick.items()
    }


def test_kiteticker_is_refused_with_a_wrong_token() -> None:
    async def run() -> str:
        simulator = ZerodhaSimulator(Exchange())
        await simulator.start()
        async with kite(simulator, "wrong") as process:
            said = await tell(process, {"ltp": [256265]})
        await simulator.stop()
        return said

    assert "403" in asyncio.run(run())
