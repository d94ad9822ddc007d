"""Paytm Money's simulator: its bytes are the specification's, and our codec reads of them what the market is."""

import asyncio
import json
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from picows import WSInvalidStatusError

from broker import vector_cases
from simulator.wire_client import WireClient
from support import vector_market
from support.simulators import MORNING, running
from tickmux.broker._login_state import login_state
from tickmux.broker.paytm import BROKER
from tickmux.broker.paytm.streaming.farewells import Farewells
from tickmux.broker.paytm.streaming.paytm_adapter import PaytmAdapter
from tickmux.broker.paytm.streaming.paytm_mapping import PaytmCodec
from tickmux.codec import Credentials, Event
from tickmux.instrument import Instrument
from tickmux.login import LoginFailed
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Security
from tickmux.simulator.paytm import API_KEY, API_SECRET, PaytmSimulator, encode_packet
from tickmux.tick import tick_fields

MODES = {61: "LTP", 62: "QUOTE", 63: "FULL", 64: "LTP", 65: "QUOTE", 66: "FULL"}
SIZES = {61: 23, 62: 67, 63: 175, 64: 23, 65: 43, 66: 39}


@pytest.fixture(scope="module")
def market() -> Exchange:
    exchange = Exchange(seed=7, clock=lambda: MORNING)
    exchange.step(3000)
    return exchange


async def call(simulator: PaytmSimulator, session: Credentials | None = None) -> tuple[WireClient, PaytmCodec]:
    adapter = BROKER.adapter(simulator.urls)
    async with httpx.AsyncClient(trust_env=False) as http:
        endpoint = await adapter.endpoint("main", session or simulator.credentials, http)
    return await WireClient.connect(endpoint.url), PaytmCodec(Farewells(lambda: 0.0), PaytmAdapter().clock)


def instruments(simulator: PaytmSimulator) -> dict[tuple[str, str], Instrument]:
    reader = BROKER.instruments()
    ((filename, data),) = simulator.instrument_dump()
    rows = list(reader.parse(data, filename))
    assert not reader.skipped
    return {(row.symbol, row.exchange): row for row in rows}


# -- bytes -----------------------------------------------------------------------------------------------


def security_of(expected: dict[str, Any], token: str) -> Security:
    expiry = date(2026, 12, 29) if expected["exchange"] in ("NFO", "BFO") else None
    return vector_market.security_of(expected, int(token), expiry)


def split(frame: bytes) -> list[bytes]:
    packets = []
    while frame:
        packets.append(frame[: SIZES[frame[0]]])
        frame = frame[SIZES[frame[0]] :]
    return packets


def vector_packets() -> list[Any]:
    document = vector_cases.load("paytm")
    tokens = {(row["symbol"], row["exchange"]): row["token"] for row in document["instruments"]}
    return [
        pytest.param(packet, expected, tokens[expected["symbol"], expected["exchange"]], id=item["name"])
        for item in document["incoming"]
        if item["expect"]
        for frame in item["frames"]
        for packet, expected in zip(split(bytes.fromhex(frame["hex"])), item["expect"], strict=True)
    ]


UNDETERMINED = {
    61: range(13, 23), 62: [13, 14, *range(51, 67)], 63: [113, 114, *range(151, 167), *range(171, 175)],
    64: range(13, 23), 65: [9, 10, *range(27, 43)], 66: [9, 10, *range(27, 35)],
}  # fmt: skip
"""Bytes whose values no tick tells: flag and mode, changes, 52-week prices, change of open interest."""


@pytest.mark.parametrize(("packet", "expected", "token"), vector_packets())
def test_the_encoder_writes_the_bytes_of_the_shared_vectors(
    packet: bytes, expected: dict[str, Any], token: str
) -> None:
    made = encode_packet(security_of(expected, token), MODES[packet[0]])
    assert len(made) == len(packet)
    seen = [place for place in range(len(packet)) if place not in UNDETERMINED[packet[0]]]
    assert bytes(made[place] for place in seen) == bytes(packet[place] for place in seen)


@pytest.mark.parametrize("kind", ["LTP", "QUOTE", "FULL"])
def test_our_codec_reads_every_instrument_as_the_market_has_it(market: Exchange, kind: str) -> None:
    simulator = PaytmSimulator(market)
    codec = PaytmCodec(Farewells(lambda: 0.0), PaytmAdapter().clock)
    listed = instruments(simulator)
    codec.subscribe(list(listed.values()), kind)
    assert len(codec.routes) == len(listed) > 250
    for (symbol, exchange), instrument in listed.items():
        security = market.find(symbol, exchange)
        (tick,) = codec.decode(simulator.encode(security, kind)).ticks
        assert tick.instrument == instrument
        everything = security.fields()
        names = {"ltp", "ltt"}
        if kind != "LTP":
            names |= {"open", "high", "low", "close", "volume", "last_trade_quantity", "avg_trade_price"}
            names |= {"total_buy_quantity", "total_sell_quantity"}
        if kind == "FULL":
            names |= {"depth"}
            everything["oi"] = security.oi
            names |= {"oi"}
        if security.is_index:
            names = {"ltp"} if kind == "LTP" else {"ltp", "open", "high", "low", "close"}
            names |= set() if kind == "QUOTE" else {"timestamp"}
        found = tick_fields(tick)
        assert found.keys() == names
        for name in names:
            wanted = everything[name]
            if name in ("ltt", "timestamp"):
                wanted = int(wanted) // 1000 * 1000  # type: ignore[call-overload]
            assert vector_cases.same_value(found[name], wanted), (symbol, name)


# -- conversation ----------------------------------------------------------------------------------------


def test_a_subscription_yields_a_tick_at_once_and_every_change_until_it_ends(market: Exchange) -> None:
    async def scenario() -> None:
        async with running(PaytmSimulator(market)) as simulator:
            client, codec = await call(simulator)
            listed = instruments(simulator)
            chosen = [listed["ADANIENT", "NSE"], listed["BANKNIFTY", "NSE_INDEX"]]
            assert chosen[0].token == chosen[1].token
            client.send(*map(str, codec.subscribe(chosen, "QUOTE")))
            first = [tick for _ in chosen for tick in codec.decode(await client.receive()).ticks]
            assert [tick.instrument for tick in first] == chosen
            for tick in first:
                security = market.find(tick.instrument.symbol, tick.instrument.exchange)
                assert tick.ltp == security.ltp / PRICE_UNIT
            market.step(2000)
            (frame,) = await client.flush()
            assert {tick.instrument for tick in codec.decode(frame).ticks} == set(chosen)
            client.send(*map(str, codec.change(chosen, "QUOTE", "FULL")))
            await client.flush()
            assert {kind for one in simulator.clients for kinds in one.subscriptions.values() for kind in kinds} == {
                "FULL"
            }
            client.send(*map(str, codec.unsubscribe(chosen, "FULL")))
            await client.flush()
            market.step(2000)
            assert await client.flush() == []

    asyncio.run(scenario())


RIGHT = {"actionType": "ADD", "modeType": "LTP", "scripType": "EQUITY", "exchangeType": "NSE", "scripId": "3045"}


@pytest.mark.parametrize(
    "wrong",
    [
        "hello",
        b"\xff\xfe",
        "{}",
        "[" * 5000,
        [RIGHT | {"scripType": "ETF"}],
        [RIGHT | {"exchangeType": "NFO"}],
        [RIGHT | {"modeType": "DEPTH"}],
        [RIGHT | {"actionType": "SUBSCRIBE"}],
        [RIGHT | {"scripId": 3045}],
    ],
)
def test_a_preference_that_is_none_gets_a_notice_and_costs_nothing(market: Exchange, wrong: Any) -> None:
    async def scenario() -> None:
        async with running(PaytmSimulator(market)) as simulator:
            client, codec = await call(simulator)
            client.send(wrong if isinstance(wrong, str | bytes) else json.dumps(wrong))
            assert codec.decode(await client.receive()).event is Event.ERROR
            client.send(json.dumps([RIGHT]))
            codec.subscribe([instruments(simulator)["SBIN", "NSE"]], "LTP")
            assert codec.decode(await client.receive()).ticks

    asyncio.run(scenario())


def test_a_dead_token_is_refused_at_the_handshake(market: Exchange) -> None:
    async def scenario() -> None:
        async with running(PaytmSimulator(market)) as simulator:
            client, _ = await call(simulator)
            simulator.expire_token()
            assert await client.ended() is None
            with pytest.raises(WSInvalidStatusError):
                await call(simulator)
            simulator.new_token()
            await call(simulator)

    asyncio.run(scenario())


@pytest.mark.parametrize("redirect_url", ["http://127.0.0.1:5001/paytm/callback", "http://127.0.0.1/?x=1"])
def test_a_login_through_the_browser_opens_the_feed_and_wrong_values_do_not(
    market: Exchange, redirect_url: str
) -> None:
    async def scenario() -> None:
        async with running(PaytmSimulator(market)) as simulator, httpx.AsyncClient(trust_env=False) as http:
            simulator.redirect_url = redirect_url
            login = BROKER.login(simulator.urls)
            values = {"api_key": API_KEY, "api_secret": API_SECRET}

            async def browse() -> dict[str, str]:
                page = await login.begin(values, redirect_url, http)
                assert page is not None
                answer = await http.get(page)
                assert answer.status_code == 302
                return dict(httpx.URL(answer.headers["location"]).params)

            callback = await browse()
            assert callback["state"] == login_state(API_KEY, API_SECRET, redirect_url)
            session = await login.exchange(values, callback, redirect_url, http, datetime.now(UTC))
            assert session.values == simulator.credentials.values
            await call(simulator, session)
            for wrong in ({"api_key": "x"}, {"api_secret": "x"}):
                tried = values | wrong
                answered = await browse() | {
                    "state": login_state(tried["api_key"], tried["api_secret"], redirect_url)
                }
                with pytest.raises(LoginFailed, match="check"):
                    await login.exchange(tried, answered, redirect_url, http, datetime.now(UTC))
            with pytest.raises(LoginFailed):  # a request token is good for one use
                await login.exchange(values, callback, redirect_url, http, datetime.now(UTC))
            await call(simulator, session)

            logout = {"x-jwt-token": session["public_access_token"]}
            url = f"{simulator.urls['api']}/accounts/v1/logout"
            assert (await http.delete(url, headers=logout)).status_code == 200
            assert (await http.delete(url, headers=logout)).status_code == 401
            with pytest.raises(WSInvalidStatusError):
                await call(simulator, session)

    asyncio.run(scenario())


def test_the_instrument_list_is_served_where_the_list_is_looked_for(market: Exchange) -> None:
    async def scenario() -> None:
        async with running(PaytmSimulator(market)) as simulator, httpx.AsyncClient(trust_env=False) as http:
            (download,) = BROKER.instruments(simulator.urls).downloads(None)
            data = (await http.get(download.url)).content
            assert [(download.filename, data)] == simulator.instrument_dump()

    asyncio.run(scenario())
