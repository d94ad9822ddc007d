"""Zebu's official SDK drives the simulator: what it makes of the frames is what the exchange made."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from broker._noren.sdk_frames import check
from broker._noren.test_noren_simulator import MORNING, instruments, run
from support.sdk import import_path, official_sdk
from support.stranger import converse, stranger
from tickmux.simulator._noren import server as _noren
from tickmux.simulator.market.exchange import Exchange

SDK = "myntapi==0.0.7"
SCRIPT = Path(__file__).with_name("zebu_sdk_client.py")


@pytest.fixture
def market() -> Exchange:
    return Exchange(seed=5, clock=lambda: MORNING)


async def session(simulator: Any, token: str, wanted: dict[str, list[str]]) -> Any:
    """What the SDK says of its session: `refused`, or the fields it knows at the end."""
    folder, user = str(official_sdk(SDK)), simulator.credentials["user_id"]
    async with stranger(SCRIPT, folder, simulator.urls["feed"], user, token, stderr=None) as process:
        return await converse(process, wanted, simulator, '{"t":"om","norenordno":"1"}')


def test_the_sdks_merged_frames_are_what_the_exchange_made(market: Exchange) -> None:
    async def scenario(simulator: Any) -> None:
        rows = [row for place, row in enumerate(instruments("zebu", simulator).values()) if place % 5 == 0]
        scrips = {f"{row.brexchange}|{row.token}": row for row in rows}
        wanted = {"t": list(scrips), "d": list(scrips)}
        known = await session(simulator, simulator.credentials["token"], wanted)
        for channel in wanted:
            assert known[channel].keys() == scrips.keys()
            for scrip, row in scrips.items():
                check(known[channel][scrip], market.find(row.symbol, row.exchange), channel)

    run("zebu", market, scenario)


def test_the_sdk_is_refused_with_a_wrong_token(market: Exchange) -> None:
    async def scenario(simulator: Any) -> None:
        assert await session(simulator, "wrong", {"t": [], "d": []}) == "refused"

    run("zebu", market, scenario)


def test_what_a_code_buys_the_sdk_opens_the_feed(market: Exchange) -> None:
    async def scenario(simulator: Any) -> None:
        import_path(SDK)
        from myntapi import NorenApi_oauth

        api = NorenApi_oauth(host="http://127.0.0.1/", websocket=simulator.urls["feed"])
        post = api.session.post
        api.session.post = lambda url, **rest: post(simulator.urls["token"], **rest)  # the address is built in
        code = simulator.new_code()
        answer = await asyncio.to_thread(api.Oauth_login_using_code, _noren.CLIENT_ID, _noren.SECRET_KEY, code)
        assert answer["uid"] == simulator.credentials["user_id"]
        known = await session(simulator, answer["susertoken"], {"t": ["NSE|26000"], "d": []})
        assert known["t"]["NSE|26000"]["t"] in ("tk", "tf")

    run("zebu", market, scenario)
