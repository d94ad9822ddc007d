"""Firstock's simulated servers: wire against vectors, codec and the official SDK, sessions, login, lists."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pyotp
import pytest

from broker.vector_cases import load, same_value
from simulator.wire_client import WireClient
from support.stranger import converse, stranger
from tickmux.broker.firstock import BROKER
from tickmux.broker.firstock.streaming.firstock_mapping import KIND
from tickmux.codec import Credentials, Event
from tickmux.login import LoginFailed
from tickmux.simulator.firstock import API_KEY, PASSWORD, TOTP_SECRET, USER_ID, FirstockSimulator, market_fields
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PAISA, Level, Security
from tickmux.tick import Tick, tick_fields

MORNING = 1_755_490_500.0
"""09:45 in India on a Monday, epoch seconds."""
STRANGER = Path(__file__).with_name("firstock_stranger.py")


@pytest.fixture(scope="module")
def market() -> Exchange:
    return Exchange(seed=3, clock=lambda: MORNING)


def run(market: Exchange, scenario: Callable[[FirstockSimulator], Coroutine[Any, Any, None]]) -> None:
    async def session() -> None:
        simulator = FirstockSimulator(market)
        await simulator.start()
        try:
            await scenario(simulator)
        finally:
            await simulator.stop()

    asyncio.run(session())


def listed(simulator: FirstockSimulator) -> dict[tuple[str, str], Any]:
    subject = BROKER.instruments()
    rows = [row for file, data in simulator.instrument_dump() for row in subject.parse(data, file)]
    assert not subject.skipped
    return {(row.symbol, row.exchange): row for row in rows}


async def connect(simulator: FirstockSimulator, credentials: Credentials | None = None) -> WireClient:
    async with httpx.AsyncClient() as http:
        endpoint = await BROKER.adapter(simulator.urls).endpoint("main", credentials or simulator.credentials, http)
    return await WireClient.connect(endpoint.url, endpoint.headers)


def expected(security: Security) -> dict[str, Any]:
    fields = security.fields(5)
    for name in ("timestamp", "ltt"):
        if name in fields:
            fields[name] = int(str(fields[name])) // 1000 * 1000
    if security.is_index:
        fields["last_trade_quantity"] = 0
    return fields


def test_the_encoder_writes_what_the_shared_vector_shows() -> None:
    (item,) = [item for item in load("firstock")["incoming"] if item["name"].startswith("V2 option")]
    wire = json.loads(item["frames"][0]["text"])["NFO:54957"]
    made = Security(
        symbol="X",
        exchange="NFO",
        name="X",
        kind="CE",
        token=54957,
        tick=500,
        expiry=date(2026, 2, 3),
        ltp=wire["i_last_traded_price"] * PAISA,
        open=wire["i_open_price"] * PAISA,
        high=wire["i_high_price"] * PAISA,
        low=wire["i_low_price"] * PAISA,
        close=wire["i_closing_price"] * PAISA,
        volume=wire["i_volume_traded_today"],
        turnover=wire["i_volume_traded_today"] * wire["i_average_trade_price"] * PAISA,
        oi=wire["i_open_interest"],
        last_quantity=wire["i_last_trade_quantity"],
        total_buy=wire["i_total_buy_quantity"],
        total_sell=wire["i_total_sell_quantity"],
        upper_circuit=wire["i_upper_circuit_limit"] * PAISA,
        lower_circuit=wire["i_lower_circuit_limit"] * PAISA,
        updated_at=wire["i_feed_time"] * 1000,
        traded_at=wire["i_last_trade_time"] * 1000,
        bids=[Level(level["price"] * PAISA, level["quantity"], level["orders"]) for level in wire["best_buy"]],
        asks=[Level(level["price"] * PAISA, level["quantity"], level["orders"]) for level in wire["best_sell"]],
    )
    sent = market_fields(made)
    assert {name: value for name, value in sent.items() if name != "i_total_open_interest"} == {
        name: wire[name] for name in sent if name != "i_total_open_interest"
    }


def test_what_the_codec_understands_is_what_the_exchange_made(market: Exchange) -> None:
    async def scenario(simulator: FirstockSimulator) -> None:
        wire, codec = await connect(simulator), BROKER.adapter().codec("main")
        assert codec.decode(await wire.receive()).ready
        rows = list(listed(simulator).values())
        wire.send(*codec.subscribe(rows, KIND))

        async def told() -> dict[tuple[str, str], Tick]:
            decoded = [codec.decode(frame) for frame in await wire.flush()]
            assert all(one.event is None and not one.unknown and not one.unrouted for one in decoded)
            return {(t.instrument.symbol, t.instrument.exchange): t for one in decoded for t in one.ticks}

        last = await told()
        assert len(last) == len(rows)
        for _ in range(3):
            for key, tick in last.items():
                assert same_value(tick_fields(tick), expected(market.find(*key))), key
            market.step(1500)
            last |= await told()
        wire.send(*codec.unsubscribe(rows, KIND))
        await wire.flush()
        market.step(500)
        assert await wire.flush() == []

    run(market, scenario)


def test_sessions_are_checked_and_counted(market: Exchange) -> None:
    async def scenario(simulator: FirstockSimulator) -> None:
        codec = BROKER.adapter().codec("main")
        stale = Credentials({**simulator.credentials.values, "token": "stale"})
        assert codec.decode(await (await connect(simulator, stale)).receive()).event is Event.AUTH_ERROR
        sessions = [await connect(simulator) for _ in range(3)]
        assert all([codec.decode(await one.receive()).ready for one in sessions])
        fourth = codec.decode(await (await connect(simulator)).receive())
        assert (fourth.event, fourth.restart, fourth.ready) == (Event.ERROR, True, False)

    run(market, scenario)


def test_hostile_requests_are_ignored(market: Exchange) -> None:
    async def scenario(simulator: FirstockSimulator) -> None:
        wire = await connect(simulator)
        await wire.receive()
        wire.send(
            "garbage", "[1]", b"\xff", '{"action":"subscribe","tokens":5}', '{"action":"x","tokens":"NSE:2885"}'
        )
        wire.send('{"action":"subscribe","tokens":"NSE|2885#NSE|1594"}')
        market.step(500)
        assert await wire.flush() == []

    run(market, scenario)


def test_a_login_opens_the_feed_and_a_wrong_password_does_not(market: Exchange) -> None:
    values = {"user_id": USER_ID, "password": PASSWORD, "api_key": API_KEY, "totp_secret": TOTP_SECRET}

    async def scenario(simulator: FirstockSimulator) -> None:
        login = BROKER.login(simulator.urls)
        async with httpx.AsyncClient(trust_env=False) as http:
            session = await login.exchange(values, {}, "", http, datetime.now(UTC))
            assert '"success"' in str(await (await connect(simulator, session)).receive())
            wrongs = ({"password": "x"}, {"api_key": "x"}, {"user_id": "X1"}, {"totp": f"{_other_code()}"})
            for wrong in wrongs:
                with pytest.raises(LoginFailed):
                    await login.exchange(values | wrong, {}, "", http, datetime.now(UTC))

    run(market, scenario)


def _other_code() -> str:
    """Six digits that are no code of the present minutes."""
    moment = datetime.now(UTC).timestamp()
    codes = {pyotp.TOTP(TOTP_SECRET).at(int(moment) + 30 * step) for step in range(-4, 5)}
    return next(code for code in (f"{number:06d}" for number in range(20)) if code not in codes)


def test_instrument_lists_are_served_where_they_are_looked_for(market: Exchange) -> None:
    async def scenario(simulator: FirstockSimulator) -> None:
        subject = BROKER.instruments(simulator.urls)
        found = []
        async with httpx.AsyncClient(trust_env=False) as http:
            for download in subject.downloads(None):
                found += subject.parse((await http.get(download.url)).content, download.filename)
        rows = {(row.symbol, row.exchange): row.token for row in found}
        served = [one for one in market.securities if one.exchange in BROKER.adapter.exchanges]
        assert rows == {(one.symbol, one.exchange): str(one.token) for one in served}

    run(market, scenario)


# -- the official SDK ------------------------------------------------------------------------------------


async def session(simulator: FirstockSimulator, folder: Path, jkey: str, names: list[str]) -> Any:
    """What the stranger says: that it was refused, or the fields it knows at the end."""
    (folder / "config.json").write_text(json.dumps({USER_ID: {"jKey": jkey}}))
    host = urlsplit(simulator.urls["feed"]).netloc
    async with stranger(STRANGER, host, cwd=folder, stderr=None) as process:
        return await converse(process, names, simulator, '{"norenordno":"1","status":"OPEN"}')


def test_the_sdks_merged_frames_are_what_the_exchange_made(market: Exchange, tmp_path: Path) -> None:
    async def scenario(simulator: FirstockSimulator) -> None:
        rows = [row for place, row in enumerate(listed(simulator).values()) if place % 5 == 0]
        names = {f"{row.brexchange}:{row.token}": row for row in rows}
        known = await session(simulator, tmp_path, simulator.credentials["token"], list(names))
        assert known.keys() == names.keys()
        for name, row in names.items():
            security = market.find(row.symbol, row.exchange)
            assert {field: known[name][field] for field in market_fields(security)} == market_fields(security)

    run(market, scenario)


def test_the_sdk_is_refused_with_a_wrong_key(market: Exchange, tmp_path: Path) -> None:
    async def scenario(simulator: FirstockSimulator) -> None:
        assert "unauthenticated" in await session(simulator, tmp_path, "wrong", [])

    run(market, scenario)
