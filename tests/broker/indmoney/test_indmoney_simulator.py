"""INDmoney's simulator: its lines are the vectors', and our codec reads of them what the market is."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picows import WSError

from broker import vector_cases
from simulator.wire_client import WireClient
from support.feeds import rig
from support.servers import eventually
from tickmux.broker.indmoney import BROKER
from tickmux.instrument import Instrument
from tickmux.login import LoginFailed
from tickmux.simulator.indmoney import (
    CLIENT_ID,
    MPIN,
    SEGMENTS,
    TOTP_SECRET,
    IndmoneySimulator,
    mode_data,
    update_line,
)
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.tick import Mode, tick_fields

VECTORS = vector_cases.load("indmoney")
ITEMS = {item["name"]: item for item in VECTORS["incoming"]}


@pytest.fixture
def market() -> Exchange:
    return Exchange(seed=3, clock=lambda: 1_755_490_500.0)


@asynccontextmanager
async def running(exchange: Exchange) -> AsyncIterator[IndmoneySimulator]:
    simulator = IndmoneySimulator(exchange)
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()


def run(scenario: Callable[[IndmoneySimulator], Awaitable[None]], exchange: Exchange) -> None:
    async def session() -> None:
        async with running(exchange) as simulator:
            await scenario(simulator)

    asyncio.run(session())


def dial(simulator: IndmoneySimulator, token: str | None = None) -> Any:
    known = simulator.credentials["access_token"] if token is None else token
    return WireClient.connect(simulator.urls["feed"], {"Authorization": known})


def wish(mode: str, *names: str, action: str = "subscribe") -> str:
    return json.dumps({"action": action, "mode": mode, "instruments": names})


def updates(frames: Any) -> list[dict[str, Any]]:
    found = []
    for frame in frames:
        value = json.loads(frame)
        if isinstance(value, str):
            assert frame.endswith("\n")
            found.append(json.loads(value))
    return found


def listed(simulator: IndmoneySimulator) -> list[Instrument]:
    parser = BROKER.instruments()
    rows = [row for name, data in simulator.instrument_dump() for row in parser.parse(data, name)]
    assert not parser.skipped
    return rows


# -- the encoder against the vectors -----------------------------------------------------------------------


def test_an_ltp_line_is_the_vectors_to_the_byte() -> None:
    (frame,) = ITEMS["ltp frame (JSON inside a JSON string, newline at the end)"]["frames"]
    assert update_line("2885", "ltp", 1756266300123, {"ltp": 1389}) == frame["text"]


def test_a_full_update_holds_what_the_vectors_does() -> None:
    item = ITEMS["full frame, NSE future, then a delta"]
    tick = item["expect"][0]
    units = {name: round(tick[name] * PRICE_UNIT) for name in ("ltp", "open", "high", "low")}
    security = Security(
        symbol=tick["symbol"], exchange="NFO", name="NIFTY", kind="FUT", token=51011, tick=1000,
        expiry=datetime(2025, 8, 28, tzinfo=UTC).date(), volume=tick["volume"], oi=tick["oi"],
        total_buy=tick["total_buy_quantity"], total_sell=tick["total_sell_quantity"], traded_at=tick["ltt"],
        bids=[Level(247120000, 75, 1)], asks=[Level(247129000, 75, 1)], **units,
    )  # fmt: skip
    meant = json.loads(json.loads(item["frames"][0]["text"]))["data"]
    assert meant.items() <= mode_data(security, "full").items()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 2000))
def test_what_is_encoded_is_read_back_as_the_exchange_has_it(seed: int, steps: int) -> None:
    exchange = Exchange(seed=seed, clock=lambda: 1_755_490_500.0)
    simulator = IndmoneySimulator(exchange)
    rows = listed(simulator)
    codec = BROKER.adapter().codec("main")
    codec.subscribe(rows, "quote")
    assert len(rows) > 250
    for count in (1, steps):
        exchange.step(count)
        for row in rows:
            security = exchange.find(row.symbol, row.exchange)
            decoded = codec.decode(simulator.encode(security, "full") or "")
            for tick in decoded.ticks:
                wanted: dict[str, Any] = {
                    name: value for name, value in security.fields(1).items() if name not in UNTOLD and value
                }
                found = tick_fields(tick)
                for side in ("buy", "sell"):
                    for level in wanted.get("depth", {}).get(side, []):
                        del level["orders"]
                if not (security.bids and security.asks) and not security.is_index:
                    found.pop("depth", None), wanted.pop("depth", None)  # the feed cannot say that a side emptied
                assert found == pytest.approx(wanted) if "depth" not in wanted else found == wanted


UNTOLD = ("close", "upper_circuit", "lower_circuit")


# -- manners -----------------------------------------------------------------------------------------------


def test_a_quote_has_no_last_price_and_its_deltas_only_what_changed(market: Exchange) -> None:
    async def scenario(simulator: IndmoneySimulator) -> None:
        client = await dial(simulator)
        client.send(wish("quote", "NSE:3045"), wish("ltp", "NSE:3045"))
        first, last = updates(await client.flush())
        assert (first["instrument"], first["mode"], last["data"].keys()) == ("3045", "quote", {"ltp"})
        assert "ltp" not in first["data"]
        assert {"open", "volume", "bid_price"} <= first["data"].keys()
        market.step(3000)
        await client.flush()
        market.step(3000)
        deltas = [one["data"] for one in updates(await client.flush()) if one["mode"] == "quote"]
        assert deltas
        assert all("open" not in data and "volume" in data for data in deltas)

    run(scenario, market)


def test_a_mixed_frame_serves_its_first_segment_and_unknown_modes_nothing(market: Exchange) -> None:
    async def scenario(simulator: IndmoneySimulator) -> None:
        client = await dial(simulator)
        client.send(wish("ltp", "NSE:3045", "BSE:500325", "NSE:2885", "NSE:1"))
        assert [one["instrument"] for one in updates(await client.flush())] == ["3045", "2885"]
        client.send(wish("depth", "NSE:11536"), wish("snapquote", "NSE:11536"), "{", "[]", wish("ltp"))
        assert updates(await client.flush()) == []
        client.send(wish("ltp", "NSE:3045", "NSE:2885", action="unsubscribe"))
        await client.flush()
        market.step(3000)
        assert await client.flush() == []

    run(scenario, market)


def test_a_wrong_token_and_a_fourth_connection_are_refused(market: Exchange) -> None:
    async def scenario(simulator: IndmoneySimulator) -> None:
        with pytest.raises(WSError):
            await dial(simulator, "wrong")
        with pytest.raises(WSError):
            await dial(simulator, f"Bearer {simulator.credentials['access_token']}")
        for _ in range(3):
            await dial(simulator)
        with pytest.raises(WSError):
            await dial(simulator)

    run(scenario, market)


def test_another_login_ends_the_session_before_it(market: Exchange) -> None:
    values = {"client_id": CLIENT_ID, "mpin": MPIN, "totp_secret": TOTP_SECRET}

    async def scenario(simulator: IndmoneySimulator) -> None:
        client = await dial(simulator)
        login = BROKER.login(simulator.urls)
        async with httpx.AsyncClient(trust_env=False) as http:
            session = await login.exchange(values, {}, "", http, datetime.now(UTC))
            assert json.loads(await client.receive())["error_type"] == "TokenException"
            await client.ended()
            assert session["access_token"] == simulator.credentials["access_token"]
            await dial(simulator)
            for wrong in ({"mpin": "0000"}, {"client_id": "other"}, {"totp": "abcdef"}):
                with pytest.raises(LoginFailed):
                    await login.exchange(values | wrong, {}, "", http, datetime.now(UTC))
            api = simulator.urls["api"]
            good = {"Authorization": session["access_token"]}
            assert (await http.get(f"{api}/user/profile", headers=good)).status_code == 200
            refused = await http.get(f"{api}/user/profile", headers={"Authorization": "old"})
            assert (refused.status_code, refused.json()["error_type"]) == (403, "TokenException")

    run(scenario, market)


def test_the_instrument_lists_are_served_where_they_are_looked_for(market: Exchange) -> None:
    async def scenario(simulator: IndmoneySimulator) -> None:
        async with httpx.AsyncClient(trust_env=False) as http:
            served = []
            for download in BROKER.instruments(simulator.urls).downloads(simulator.credentials):
                answer = await http.get(download.url, headers=dict(download.headers))
                served.append((download.filename, answer.content))
        assert served == simulator.instrument_dump()
        names = {(row.symbol, row.exchange) for row in listed(simulator)}
        assert names == {(one.symbol, one.exchange) for one in market.securities if one.exchange in EXCHANGES}

    run(scenario, market)


EXCHANGES = BROKER.adapter.exchanges


@pytest.mark.parametrize("quote_mode", ["quote", "full"])
def test_both_ways_of_asking_for_quotes_are_live(quote_mode: str) -> None:
    async def scenario() -> None:
        async with rig("indmoney", rate=20_000) as feed:
            simulator = feed.simulator
            if quote_mode == "full":
                plain = simulator.credentials
                simulator.credentials = type(plain)({**plain.values, "quote_mode": "full"})
            grants = await feed.subscribe(feed.listed(3, "NFO"), Mode.DEPTH)
            assert [grant.key.depth for grant in grants] == [1, 1, 1]

            def complete() -> bool:
                last = [feed.bus.payloads.get(grant.topic, [{}])[-1] for grant in grants]
                return all({"ltp", "open", "volume", "oi", "depth"} <= shown.keys() for shown in last)

            await eventually(complete, "full quotes")
            kinds = {
                kind for client in simulator.clients for kinds in client.subscriptions.values() for kind in kinds
            }
            assert kinds == ({"full"} if quote_mode == "full" else {"ltp", "quote"})

    asyncio.run(scenario())


class Namesakes(IndmoneySimulator):
    """The first shares and the first contracts have the same ids."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        shares, contracts = ([one for one in self._listed if one.exchange == name] for name in ("NSE", "NFO"))
        self._ids |= {contract: self._ids[share] for share, contract in zip(shares[:4], contracts, strict=False)}
        self._by_name = {f"{SEGMENTS[one.exchange]}:{self._ids[one]}": one for one in self._listed}


def test_equal_ids_of_two_segments_tick_each_with_its_own_price(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickmux.simulator.indmoney.SIMULATOR", Namesakes)

    async def scenario() -> None:
        async with rig("indmoney", rate=20_000) as feed:
            shares = feed.listed(4, "NSE")
            contracts = [row for row in feed.listed(9999, "NFO") if row.token in {one.token for one in shares}]
            assert len(contracts) == 4
            await feed.ticking(await feed.subscribe([*shares, *contracts], Mode.LTP))
            assert [one.symbols for one in feed.feed.info().connections] == [4, 4]
            for payloads in feed.bus.payloads.values():
                security = feed.exchange.find(payloads[0]["symbol"], payloads[0]["exchange"])
                low, high = security.low / PRICE_UNIT, security.high / PRICE_UNIT
                assert all(low <= shown["ltp"] <= high for shown in payloads)
            assert feed.feed.counters.unrouted == 0

    asyncio.run(scenario())
