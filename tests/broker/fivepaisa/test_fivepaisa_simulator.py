"""5paisa's simulator: its objects are the vectors', its market is what our codec reads, its manners suit the SDK."""

import asyncio
import importlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pyotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picows import WSError

from broker import vector_cases
from simulator.wire_client import WireClient
from support.sdk import import_path
from tickmux.broker.fivepaisa import BROKER
from tickmux.codec import Credentials, FeedCodec
from tickmux.instrument import Instrument
from tickmux.login import LoginFailed
from tickmux.simulator.fivepaisa import (
    CLIENT_CODE,
    ENCRYPTION_KEY,
    PIN,
    TOTP_SECRET,
    USER_ID,
    USER_KEY,
    FivepaisaSimulator,
    frame_object,
)
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.tick import Mode, tick_fields

VECTORS = vector_cases.load("fivepaisa")
ROWS = {(row["symbol"], row["exchange"]): row for row in VECTORS["instruments"]}
LOGIN = {
    "user_key": USER_KEY, "encryption_key": ENCRYPTION_KEY, "user_id": USER_ID, "client_code": CLIENT_CODE,
    "pin": PIN, "totp_secret": TOTP_SECRET,
}  # fmt: skip


@pytest.fixture
def market() -> Exchange:
    return Exchange(seed=3, clock=lambda: 1_755_490_500.0)


@asynccontextmanager
async def running(exchange: Exchange) -> AsyncIterator[FivepaisaSimulator]:
    simulator = FivepaisaSimulator(exchange)
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()


def run(scenario: Callable[[FivepaisaSimulator], Awaitable[None]], exchange: Exchange) -> None:
    async def session() -> None:
        async with running(exchange) as simulator:
            await scenario(simulator)

    asyncio.run(session())


async def address(simulator: FivepaisaSimulator, credentials: Credentials | None = None) -> str:
    async with httpx.AsyncClient(trust_env=False) as http:
        adapter = BROKER.adapter(simulator.urls)
        return (await adapter.endpoint("main", credentials or simulator.credentials, http)).url


def wish(method: str, *scrips: tuple[str, str, int], operation: str = "Subscribe") -> str:
    data = [{"Exch": exchange, "ExchType": segment, "ScripCode": code} for exchange, segment, code in scrips]
    return json.dumps({"Method": method, "Operation": operation, "ClientCode": CLIENT_CODE, "MarketFeedData": data})


def listed(simulator: FivepaisaSimulator) -> list[Instrument]:
    parser = BROKER.instruments()
    ((name, data),) = simulator.instrument_dump()
    rows = list(parser.parse(data, name))
    assert not parser.skipped
    return rows


SBIN = ("N", "C", 3045)

# -- the encoder against the vectors -----------------------------------------------------------------------


def as_security(tick: dict[str, Any], moment: int) -> Security:
    """A security in the state that a vector's tick tells of."""

    def price(name: str) -> int:
        units: int = round(tick.get(name, 0) * PRICE_UNIT)
        return units

    def side(name: str) -> list[Level]:
        levels = tick.get("depth", {}).get(name, [])
        return [Level(round(level["price"] * PRICE_UNIT), level["quantity"], level["orders"]) for level in levels]

    exchange, volume = tick["exchange"], tick.get("volume", 0)
    derivative = exchange not in ("NSE", "BSE", "NSE_INDEX", "BSE_INDEX")
    return Security(
        symbol=tick["symbol"],
        exchange=exchange,
        name=tick["symbol"],
        kind="INDEX" if exchange.endswith("_INDEX") else "FUT" if derivative else "EQ",
        token=int(ROWS[tick["symbol"], exchange]["token"]),
        expiry=datetime(2025, 8, 28, tzinfo=UTC).date() if derivative else None,
        tick=1,
        ltp=price("ltp"),
        open=price("open"),
        high=price("high"),
        low=price("low"),
        close=price("close"),
        volume=volume,
        turnover=price("avg_trade_price") * volume,
        last_quantity=tick.get("last_trade_quantity", 0),
        total_buy=tick.get("total_buy_quantity", 0),
        total_sell=tick.get("total_sell_quantity", 0),
        oi=tick.get("oi", 0),
        updated_at=moment,
        bids=side("buy"),
        asks=side("sell"),
    )


_UNTOLD = {"BidQty", "BidRate", "OffQty", "OffRate", "ChgPcnt", "DayHiOI", "DayLoOI"}
"""What a vector's tick does not determine."""


@pytest.mark.parametrize(
    "item", [item for item in VECTORS["incoming"] if item["expect"]], ids=lambda item: item["name"]
)
def test_objects_are_those_of_the_vectors(item: dict[str, Any]) -> None:
    meant = []
    for frame in item["frames"]:
        value = json.loads(frame["text"])
        meant += value if isinstance(value, list) else [value]
    for wanted, tick in zip(meant, item["expect"], strict=True):
        method = (
            "MarketDepthService"
            if "Details" in wanted
            else "GetScripInfoForFuture"
            if "OpenInterest" in wanted
            else "MarketFeedV3"
        )
        security = as_security(tick, tick.get("timestamp", 0))
        made = frame_object(security, wanted["Token"], method)
        assert made is not None
        if "Details" in wanted:
            wanted = wanted | {"Details": [level for level in wanted["Details"] if level["Quantity"]]}
            made["Details"] = [level for level in made["Details"] if level["Quantity"]]
        compared = wanted.keys() - _UNTOLD
        assert {name: made[name] for name in compared} == {name: wanted[name] for name in compared}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 2000))
def test_what_is_encoded_is_read_back_as_the_exchange_has_it(seed: int, steps: int) -> None:
    exchange = Exchange(seed=seed, clock=lambda: 1_755_490_500.0)
    simulator = FivepaisaSimulator(exchange)
    exchange.step(steps)
    rows = listed(simulator)
    codec = BROKER.adapter().codec("main")
    codec.subscribe(rows, "depth+oi")
    assert len(rows) > 290
    for row in rows:
        security = exchange.find(row.symbol, row.exchange)
        found: dict[str, Any] = {}
        for method in ("MarketFeedV3", "MarketDepthService", "GetScripInfoForFuture"):
            payload = simulator.encode(security, method)
            decoded = codec.decode(json.dumps(payload)) if payload else None
            for tick in decoded.ticks if decoded else ():
                assert tick.instrument == row
                found |= tick_fields(tick)
        fields = security.fields(5)
        assert found == {name: fields[name] for name in fields if fields[name] and name not in _NOT_IN_THE_FEED}


_NOT_IN_THE_FEED = ("ltt", "upper_circuit", "lower_circuit")

# -- manners -----------------------------------------------------------------------------------------------


def test_feed_objects_share_arrays_and_books_and_open_interest_come_alone(market: Exchange) -> None:
    future = next(
        one for one in market.securities if (one.symbol[:5], one.exchange, one.kind) == ("NIFTY", "NFO", "FUT")
    )

    async def scenario(simulator: FivepaisaSimulator) -> None:
        client = await WireClient.connect(await address(simulator))
        scrips = [SBIN, ("N", "C", 2885), ("N", "D", future.token)]
        for method in ("MarketFeedV3", "MarketDepthService", "GetScripInfoForFuture"):
            client.send(wish(method, *scrips))
        frames = [json.loads(frame) for frame in await client.flush()]
        assert [len(frame) for frame in frames if isinstance(frame, list)] == [3]
        alone = [frame for frame in frames if isinstance(frame, dict)]
        assert [(frame["Token"], "Details" in frame) for frame in alone] == [
            (3045, True), (2885, True), (future.token, True), (future.token, False),
        ]  # fmt: skip
        client.send(*[wish(method, *scrips, operation="Unsubscribe") for method in ("MarketFeedV3",)])
        await client.flush()
        market.step(3000)
        assert all(isinstance(json.loads(frame), dict) for frame in await client.flush())

    run(scenario, market)


def test_a_wrong_request_or_the_wrong_host_is_answered_with_silence(market: Exchange) -> None:
    async def scenario(simulator: FivepaisaSimulator) -> None:
        client = await WireClient.connect(await address(simulator))
        wrong = (
            "{", "[]", wish("Other", SBIN), wish("MarketFeedV3", SBIN).replace(CLIENT_CODE, "1"),
            wish("MarketFeedV3", SBIN).replace("3045", '"3045"'), wish("MarketFeedV3", ("N", "C", 1)),
        )  # fmt: skip
        client.send(*wrong)
        assert await client.flush() == []
        client.send("PING")
        assert await client.flush() == ["PONG"]
        query = (await address(simulator)).partition("?")[2]
        for name in ("feed", "feed_a", "feed_b", "feed_c"):
            other = await WireClient.connect(f"{simulator.urls[name]}?{query}")
            other.send(wish("MarketFeedV3", SBIN))
            assert bool(await other.flush()) == ((await address(simulator)).startswith(simulator.urls[name] + "?"))

    run(scenario, market)


def test_a_wrong_token_or_client_is_refused(market: Exchange) -> None:
    async def scenario(simulator: FivepaisaSimulator) -> None:
        good = simulator.credentials.values
        for wrong in ({"access_token": "x.y.z"}, {"client_code": "1"}):
            with pytest.raises(WSError):
                await WireClient.connect(await address(simulator, Credentials({**good, **wrong})))
        simulator.expire_token()
        with pytest.raises(WSError):
            await WireClient.connect(await address(simulator))

    run(scenario, market)


def test_a_login_over_http_opens_the_feed_and_ends_the_session_before_it(market: Exchange) -> None:
    async def scenario(simulator: FivepaisaSimulator) -> None:
        client = await WireClient.connect(await address(simulator))
        login = BROKER.login(simulator.urls)
        async with httpx.AsyncClient(trust_env=False) as http:
            session = await login.exchange(LOGIN, {}, "", http, datetime.now(UTC))
            await client.ended()
            assert await WireClient.connect(await address(simulator, session))
            for wrong in ("user_key", "encryption_key", "user_id", "client_code", "pin"):
                with pytest.raises(LoginFailed):
                    await login.exchange(LOGIN | {wrong: "0000"}, {}, "", http, datetime.now(UTC))
            moment = datetime.now(UTC).timestamp()
            good = {pyotp.TOTP(TOTP_SECRET).at(moment + 30 * step) for step in range(-4, 5)}
            bad = next(code for code in (f"{number:06d}" for number in range(20)) if code not in good)
            with pytest.raises(LoginFailed, match="Invalid TOTP"):
                await login.exchange(LOGIN | {"totp": bad}, {}, "", http, datetime.now(UTC))

    run(scenario, market)


def test_the_scrip_master_is_served_where_it_is_looked_for(market: Exchange) -> None:
    async def scenario(simulator: FivepaisaSimulator) -> None:
        (download,) = BROKER.instruments(simulator.urls).downloads(None)
        async with httpx.AsyncClient(trust_env=False) as http:
            assert [(download.filename, (await http.get(download.url)).content)] == simulator.instrument_dump()
            assert (await http.get(f"{download.url}x")).content == b"Invalid segment"
        names = {(row.symbol, row.exchange) for row in listed(simulator)}
        assert names == {
            (one.symbol, one.exchange) for one in market.securities if one.exchange in BROKER.adapter.exchanges
        }

    run(scenario, market)


# -- the official SDK as a stranger --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sdk() -> Any:
    """py5paisa's module; its pins (an old PyJWT) are not installed."""
    import_path("py5paisa==0.7.21.2", "loguru==0.7.3", "pbkdf2==1.3", "pycryptodome==3.23.0", "pyjwt==2.10.1")
    return importlib.import_module("py5paisa.py5paisa")


def client_of(sdk: Any) -> Any:
    return sdk.FivePaisaClient(
        cred={
            "APP_NAME": "x", "APP_SOURCE": "1", "USER_ID": USER_ID, "PASSWORD": "", "USER_KEY": USER_KEY,
            "ENCRYPTION_KEY": ENCRYPTION_KEY,
        }
    )  # fmt: skip


@pytest.mark.parametrize("server", ["A", "B", "C", "D"])
def test_the_sdk_chooses_the_same_host_by_the_token(sdk: Any, server: str) -> None:
    urls = BROKER.adapter.default_urls
    name = {"A": "feed_a", "B": "feed_b", "C": "feed_c"}.get(server, "feed")
    assert client_of(sdk).get_feed_url(server) == f"{urls[name]}?Value1="


def test_the_sdk_logs_in_and_subscribes_and_hears_what_we_hear(
    sdk: Any, market: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.step(5000)

    def stranger(simulator: FivepaisaSimulator, method: str, scrips: list[dict[str, Any]]) -> list[str]:
        api = simulator.urls["api"]
        monkeypatch.setattr(sdk, "GET_REQUEST_TOKEN_ROUTE", f"{api}/TOTPLogin")
        monkeypatch.setattr(sdk, "ACCESS_TOKEN_ROUTE", f"{api}/GetAccessToken")
        theirs = client_of(sdk)
        assert theirs.get_totp_session(CLIENT_CODE, pyotp.TOTP(TOTP_SECRET).now(), PIN)
        base = theirs.decode_token(theirs.Jwt_token)
        urls = BROKER.adapter.default_urls
        (name,) = [name for name, url in urls.items() if base == f"{url}?Value1="]
        theirs.WEBSOCKET_URL = f"{simulator.urls[name]}?Value1="
        frames: list[str] = []

        def heard(ws: Any, message: str) -> None:
            frames.append(message)
            ws.close()

        theirs.connect(theirs.Request_Feed(method, "s", scrips))
        theirs.receive_data(heard)
        return frames

    def ours(codec: FeedCodec, frames: list[str]) -> list[dict[str, Any]]:
        return [tick_fields(tick) for frame in frames for tick in codec.decode(frame).ticks]

    async def scenario(simulator: FivepaisaSimulator) -> None:
        security = market.find("SBIN", "NSE")
        scrips = [{"Exch": "N", "ExchType": "C", "ScripCode": 3045}]
        (row,) = [row for row in listed(simulator) if (row.symbol, row.exchange) == ("SBIN", "NSE")]
        for method, mode in (("mf", Mode.LTP), ("md", Mode.DEPTH)):
            frames = await asyncio.to_thread(stranger, simulator, method, scrips)
            codec = BROKER.adapter().codec("main")
            codec.open_frames(simulator.credentials)
            requests = [
                json.loads(str(frame)) for frame in codec.subscribe([row], "feed" if method == "mf" else "depth")
            ]
            sent = client_of(sdk)
            sent.client_code = CLIENT_CODE
            assert sent.Request_Feed(method, "s", scrips) in requests
            (found,) = ours(codec, frames)
            wanted = security.fields(5)
            keys = {"depth", "total_buy_quantity"} if mode is Mode.DEPTH else {"ltp", "open", "close", "volume"}
            assert keys <= found.keys()
            assert {name: wanted[name] for name in found} == found

    run(scenario, market)
