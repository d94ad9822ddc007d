"""The official KiteTicker and a tickmux client watch one market: what both say is what the engine made."""

import asyncio
import json

import pytest
import uvloop

from simulator.test_zerodha_stranger import expected
from simulator.test_zerodha_stranger import kite as kite_ticker
from support.servers import connected, eventually
from support.stranger import tell
from tickmux.config import Settings
from tickmux.database.engine import Database
from tickmux.feeds.feed_directory import Upstream
from tickmux.runtime import Runtime
from tickmux.simulator.zerodha import instrument_token

PAIRS = {
    "ltp": "last_price",
    "volume": "volume_traded",
    "last_trade_quantity": "last_traded_quantity",
    "avg_trade_price": "average_traded_price",
    "total_buy_quantity": "total_buy_quantity",
    "total_sell_quantity": "total_sell_quantity",
    "timestamp": "exchange_timestamp",
    "ltt": "last_trade_time",
}
DERIVATIVES = {"FUT", "CE", "PE"}


def as_kite_says(data, security):
    """A client's data in the SDK's words, as far as both have them."""
    said = {theirs: data[ours] for ours, theirs in PAIRS.items() if ours in data}
    said["ohlc"] = {name: data.get(name) for name in ("open", "high", "low", "close")}
    if "depth" in data:
        said["depth"] = data["depth"]
    if security.kind in DERIVATIVES:
        said["oi"] = data.get("oi")
    return said


def agrees(said, made):
    """Whether the words of a client, in the SDK's names, are what the engine has made."""
    for name, value in said.items():
        if name == "depth":
            shown = {side: [level for level in made["depth"][side] if level["price"]] for side in ("buy", "sell")}
            if value != shown:
                return False
        elif value != pytest.approx(made[name], rel=1e-9):
            return False
    return True


def test_kite_ticker_engine_and_client_agree_on_every_instrument_in_full(tmp_path):
    async def main():
        settings = Settings.load(
            {"TICKMUX_HOME": tmp_path, "WEBSOCKET_PORT": 0, "ZMQ_PORT": 0}, environ={}, folder=tmp_path
        )
        with Database.open(settings) as database:
            runtime = Runtime(settings, database, Upstream(simulate="zerodha", seed=5))
            await runtime.start()
            runtime.market.cancel()
            key = await asyncio.to_thread(runtime.api_keys.create, "bob")
            exchange, simulator = runtime.simulator.exchange, runtime.simulator
            securities = list(exchange.securities)
            latest = {}
            async with (
                connected(runtime.proxy, key, throttle_ms=0) as client,
                kite_ticker(simulator, simulator.credentials["access_token"]) as kite,
            ):
                names = [f"{one.exchange}:{one.symbol}" for one in securities]
                answer = await client.ask(action="subscribe", symbols=names, mode="DEPTH")
                assert answer["status"] == "success", [e for e in answer["subscriptions"] if e["status"] == "error"]
                tokens = [instrument_token(one) for one in securities]
                assert await tell(kite, {"full": tokens}) == "snapshots"

                async def read():
                    while True:
                        message = await client.receive()
                        if message["type"] == "market_data":
                            latest[message["symbol"], message["exchange"]] = message["data"]

                reading = asyncio.create_task(read())
                for _ in range(50):
                    exchange.step(100)
                    await asyncio.sleep(0)
                simulator.send_garbage('{"type":"order","data":{"order_id":"1"}}')
                parsed = json.loads(await kite.stdout.readline())

                def disagreements():
                    """What has not arrived: a trade's price may stay as it was while volume and book go on."""
                    return [
                        security
                        for security in securities
                        if "timestamp" not in (data := latest.get((security.symbol, security.exchange), {}))
                        or not agrees(as_kite_says(data, security), expected(security, "full"))
                    ]

                await eventually(lambda: not disagreements(), "the client's last messages")
                reading.cancel()
            for security in securities:
                theirs = parsed[str(instrument_token(security))]
                ours = as_kite_says(latest[security.symbol, security.exchange], security)
                made = expected(security, "full")
                for name, value in ours.items():
                    if name == "depth":
                        for side in ("buy", "sell"):
                            shown = [level for level in theirs["depth"][side] if level["price"]]
                            assert value[side] == shown, security
                            assert shown == [level for level in made["depth"][side] if level["price"]]
                    else:
                        assert value == pytest.approx(theirs[name], rel=1e-9), (security, name)
                        assert value == pytest.approx(made[name], rel=1e-9), (security, name)
            await runtime.stop()

    uvloop.run(main())
