"""The family's official SDK drives the simulator: what it makes of the frames is what our codec does."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from NorenRestApiPy.NorenApi import NorenApi

from broker._noren.test_noren_simulator import MORNING, expected, instruments
from broker.vector_cases import same_value
from support.stranger import converse, stranger
from tickmux.simulator import load_simulator
from tickmux.simulator._noren import server as _noren
from tickmux.simulator.market.exchange import Exchange
from tickmux.tick import Mode

STRANGER = Path(__file__).with_name("noren_stranger.py")
FIELDS = {
    "lp": "ltp", "o": "open", "h": "high", "l": "low", "c": "close", "ap": "avg_trade_price", "v": "volume",
    "oi": "oi", "ltq": "last_trade_quantity", "tbq": "total_buy_quantity", "tsq": "total_sell_quantity",
    "uc": "upper_circuit", "lc": "lower_circuit",
}  # fmt: skip


async def session(simulator: Any, token: str, wanted: dict[str, list[str]]) -> Any:
    """What the stranger says of its session: `refused`, or the fields it knows at the end."""
    async with stranger(
        STRANGER, simulator.urls["feed"], simulator.credentials["user_id"], token, stderr=None
    ) as process:
        return await converse(process, wanted, simulator, '{"t":"om","norenordno":"1"}')


@pytest.mark.parametrize("name", ["shoonya", "zebu"])
def test_the_sdks_merged_frames_are_what_the_exchange_made(name: str) -> None:
    async def main() -> None:
        market = Exchange(seed=5, clock=lambda: MORNING)
        simulator = load_simulator(name)(market)
        await simulator.start()
        try:
            rows = [row for place, row in enumerate(instruments(name, simulator).values()) if place % 5 == 0]
            scrips = {f"{row.brexchange}|{row.token}": row for row in rows}
            wanted = {"t": list(scrips), "d": list(scrips)}
            known = await session(simulator, simulator.credentials["token"], wanted)
            for channel, mode in (("t", Mode.QUOTE), ("d", Mode.DEPTH)):
                assert known[channel].keys() == scrips.keys()
                for scrip, row in scrips.items():
                    frame, wanted_fields = (
                        known[channel][scrip],
                        expected(market.find(row.symbol, row.exchange), mode),
                    )
                    found = {ours: float(frame[theirs]) for theirs, ours in FIELDS.items() if theirs in frame}
                    for ours, value in found.items():
                        assert same_value(value, float(wanted_fields[ours])), (scrip, ours)
                    assert int(frame["ft"]) * 1000 == wanted_fields["timestamp"]
                    levels = wanted_fields.get("depth", {}).get("buy", [])
                    assert [float(frame[f"bp{n}"]) for n in range(1, len(levels) + 1)] == [
                        level["price"] for level in levels
                    ]
        finally:
            await simulator.stop()

    asyncio.run(main())


def test_the_sdk_is_refused_with_a_wrong_token() -> None:
    async def main() -> None:
        market = Exchange(seed=5, clock=lambda: MORNING)
        simulator = load_simulator("shoonya")(market)
        await simulator.start()
        try:
            assert await session(simulator, "wrong", {"t": [], "d": []}) == "refused"
        finally:
            await simulator.stop()

    asyncio.run(main())


@pytest.mark.parametrize("name", ["shoonya", "zebu", "tradesmart"])
def test_the_sdk_finds_all_that_it_looks_for_in_the_answer_to_a_login(name: str) -> None:
    async def main() -> None:
        simulator = load_simulator(name)(Exchange(seed=5, clock=lambda: MORNING))
        await simulator.start()
        try:
            api = NorenApi(host=simulator.urls["token"].removesuffix("/GenAcsTok"), websocket=simulator.urls["feed"])
            user, client, secret = _noren.USER_ID, _noren.CLIENT_ID, _noren.SECRET_KEY
            bought = await asyncio.to_thread(api.getAccessToken, simulator.new_code(), secret, client, user)
            token = simulator.credentials["token"]
            assert bought == (token, user, f"{token}-r", user)
            assert await asyncio.to_thread(api.getAccessToken, "stale", secret, client, user) is None
        finally:
            await simulator.stop()

    asyncio.run(main())
