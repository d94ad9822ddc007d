"""The official SDK against the simulator: what it reads is what our codec reads, and what the exchange made."""

import json
from pathlib import Path

import uvloop

from support.sdk import official_sdk
from support.stranger import line, stranger, tell
from tickmux.broker.pocketful.streaming.pocketful_mapping import EXCHANGE_CODES
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT
from tickmux.simulator.pocketful import PocketfulSimulator

SDK = "pocketful==0.1.2"
SCRIPT = Path(__file__).with_name("pocketful_sdk_client.py")


async def ask(simulator, token, securities):
    base = simulator.urls["feed"].replace("ws://", "http://").removesuffix("/ws/v1/feeds")
    arguments = (str(official_sdk(SDK)), base, simulator.credentials["client_id"], token)
    async with stranger(SCRIPT, *arguments) as process:
        said = await tell(process, [[EXCHANGE_CODES[one.exchange], one.token] for one in securities])
        while not said.startswith(("READ", "REFUSED")):
            said = await line(process)
    return said


def simulated(play):
    async def main():
        simulator = PocketfulSimulator(Exchange(seed=9))
        simulator.exchange.step(3000)
        await simulator.start()
        try:
            return await play(simulator)
        finally:
            await simulator.stop()

    return uvloop.run(main())


def test_the_sdk_reads_what_the_exchange_made_on_all_channels():
    async def play(simulator):
        tradable = [
            one for one in simulator.exchange.securities if one.exchange in EXCHANGE_CODES and not one.is_index
        ]
        said = await ask(simulator, simulator.credentials["access_token"], tradable)
        return tradable, json.loads(said.removeprefix("READ "))

    tradable, read = simulated(play)
    assert {one.exchange for one in tradable} >= {"NSE", "BSE", "NFO", "BFO", "MCX", "CDS"}
    for one in tradable:
        code = EXCHANGE_CODES[one.exchange]
        key, divisor = f"{one.token}_{code}", 10_000_000 if code == 3 else 100

        def raw(price, divisor=divisor):
            return price * divisor // PRICE_UNIT

        compact, quote, book = (read[name][key] for name in ("compact_marketdata", "marketdata", "full_snapquote"))
        assert compact["last_traded_price"] == quote["last_traded_price"] == raw(one.ltp)
        assert (quote["open_price"], quote["close_price"]) == (raw(one.open), raw(one.close))
        assert (quote["highDPR"], quote["lowDPR"]) == (raw(one.upper_circuit), raw(one.lower_circuit))
        assert quote["trade_volume"] == one.volume
        assert quote["total_buy_quantity"] == one.total_buy
        assert compact["currentOpenInterest"] == one.oi
        assert [price for price in book["bidPrices"] if price] == [raw(level.price) for level in one.bids[:5]]
        assert [size for size in book["askQtys"] if size] == [level.quantity for level in one.asks[:5]]


def test_the_sdk_is_refused_with_a_wrong_token():
    async def play(simulator):
        return await ask(simulator, "wrong", [simulator.exchange.find("SBIN", "NSE")])

    assert simulated(play) == "REFUSED"
