"""The mission's list: every broker is complete, and shows live ticks to a client in all of its modes."""

import asyncio

import pytest
import uvloop

from support.servers import connected
from tickmux.config import Settings
from tickmux.database.engine import Database
from tickmux.feeds.feed_directory import Upstream
from tickmux.instrument_list import InstrumentList
from tickmux.login import LoginFlow
from tickmux.runtime import Runtime
from tickmux.simulator import simulator_names
from tickmux.websocket_proxy.base_adapter import BaseBrokerWebSocketAdapter
from tickmux.websocket_proxy.broker_factory import broker_names, load_broker

MISSION = [
    "aliceblue", "angel", "compositedge", "definedge", "dhan", "dhan_sandbox", "firstock",
    "fivepaisa", "fivepaisaxts", "flattrade", "fyers", "groww", "ibulls", "iifl",
    "indmoney", "jainamxts", "kotak", "motilal", "mstock", "nubra", "paytm",
    "pocketful", "samco", "shoonya", "tradejini", "upstox", "wisdom", "zebu",
    "zerodha",
]  # fmt: skip


def test_the_29_brokers_that_are_promised_are_there_and_every_one_has_a_simulator():
    assert len(MISSION) == 29
    assert set(MISSION) <= set(broker_names())
    assert simulator_names() == broker_names()


@pytest.mark.parametrize("broker", broker_names())
def test_every_broker_has_all_its_parts(broker):
    found = load_broker(broker)
    assert issubclass(found.adapter, BaseBrokerWebSocketAdapter)
    assert issubclass(found.login, LoginFlow)
    assert issubclass(found.instruments, InstrumentList)
    adapter = found.adapter()
    assert adapter.name == broker
    assert adapter.exchanges
    assert all(adapter.codec(channel).routes == {} for channel in adapter.channels)


@pytest.mark.parametrize("broker", broker_names())
def test_a_client_gets_ticks_in_all_modes(broker, tmp_path):
    """The whole way: simulator, adapter, codec, bus, proxy, client."""

    async def main():
        settings = Settings.load(
            {"TICKMUX_HOME": tmp_path, "WEBSOCKET_PORT": 0, "ZMQ_PORT": 0}, environ={}, folder=tmp_path
        )
        with Database.open(settings) as database:
            runtime = Runtime(settings, database, Upstream(simulate=broker, rate=20_000))
            await runtime.start()
            key = await asyncio.to_thread(runtime.api_keys.create, "bob")
            try:
                async with connected(runtime.proxy, key) as client:
                    for mode, name in ((1, "LTP"), (2, "QUOTE"), (3, "DEPTH")):
                        answer = await client.ask(
                            action="subscribe", symbols=["NSE:SBIN", "NSE_INDEX:NIFTY"], mode=name
                        )
                        assert answer["status"] == "success", answer
                        for symbol in ("SBIN", "NIFTY"):
                            data = (await client.data(symbol, mode))["data"]
                            assert data["ltp"] > 0
                            assert data["mode"] == name.lower()
                    book = None
                    while not book:
                        book = (await client.data("SBIN", 3))["data"].get("depth")
                    assert book["buy"][0]["price"] < book["sell"][0]["price"]
                    assert (await client.ask(action="get_broker_info"))["feed_state"] == "live"
            finally:
                await runtime.stop()

    uvloop.run(main())
