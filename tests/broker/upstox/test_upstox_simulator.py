"""Upstox's simulator against its specification, our codec and adapter against the simulator."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import picows
import pytest

from broker.upstox.upstox_wire import SBIN_KEY
from simulator.wire_client import WireClient
from support.feeds import rig
from support.simulated_market import AFTERNOON, TickingClock
from support.simulators import running
from tickmux.broker._login_state import login_state
from tickmux.broker.upstox import BROKER
from tickmux.broker.upstox.streaming.upstox_adapter import UpstoxAdapter
from tickmux.broker.upstox.streaming.upstox_mapping import Account, UpstoxCodec
from tickmux.codec import Decoded, Event, Frame, HttpRequest
from tickmux.instrument import Instrument
from tickmux.login import LoginFailed
from tickmux.simulator import load_simulator
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PAISA, PRICE_UNIT, Level, Security
from tickmux.simulator.upstox import (
    API_KEY,
    API_SECRET,
    UpstoxSimulator,
    encode_feed,
    instrument_key,
)
from tickmux.tick import Mode, tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable

NOW = datetime.fromtimestamp(AFTERNOON, UTC)
VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "upstox.json").read_text())


def against(body: Callable[[UpstoxSimulator, httpx.AsyncClient], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        simulator = UpstoxSimulator(Exchange(seed=3, clock=TickingClock()))
        async with running(simulator), httpx.AsyncClient(trust_env=False) as http:
            await body(simulator, http)

    asyncio.run(run())


async def connected(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> WireClient:
    endpoint = await UpstoxAdapter(simulator.urls).endpoint("main", simulator.credentials, http)
    return await WireClient.connect(endpoint.url, endpoint.headers)


def listed(simulator: UpstoxSimulator) -> dict[Instrument, Security]:
    """The instruments of the simulator's own list, and the securities that they are."""
    parts = BROKER.instruments()
    found: dict[Instrument, Security] = {}
    for filename, content in simulator.instrument_dump():
        for instrument in parts.parse(content, filename):
            found[instrument] = simulator.exchange.find(instrument.symbol, instrument.exchange)
    return found


def wire(frames: list[Frame]) -> list[str | bytes]:
    return [frame for frame in frames if not isinstance(frame, HttpRequest)]


def decoded(codec: UpstoxCodec, frames: list[str | bytes]) -> Decoded:
    """All frames' ticks as one; none of the frames may be anything but data."""
    whole = Decoded(ticks=[])
    for frame in frames:
        part = codec.decode(frame)
        assert (part.event, part.unrouted, part.unknown) == (None, 0, 0)
        whole.ticks += part.ticks
    return whole


# -- the encoder and the specification ---------------------------------------------------------------------


def vector(start: str) -> bytes:
    (item,) = [item for item in VECTORS["incoming"] if item["name"].startswith(start)]
    return bytes.fromhex(item["frames"][0]["hex"])


def paise(rupees: float) -> int:
    return round(rupees * PRICE_UNIT)


def sbin() -> Security:
    return Security(
        symbol="SBIN", exchange="NSE", name="STATE BANK OF INDIA", kind="EQ", token=3045, tick=5 * PAISA,
        isin="INE062A01020", ltp=paise(812.35), last_quantity=12, close=paise(805.75), traded_at=1755507610770,
        updated_at=1755507611000,
    )  # fmt: skip


def test_a_price_is_encoded_to_the_vectors_bytes() -> None:
    simulator = UpstoxSimulator(Exchange(seed=3, clock=TickingClock()))
    security = sbin()
    feed = simulator.encode(security, "ltpc")
    (frame,) = simulator.pack(None, [(security, "ltpc", feed)])  # type: ignore[arg-type]
    assert frame == vector("ltpc, live, NSE equity")


def test_a_book_and_a_day_are_encoded_to_the_vectors_bytes() -> None:
    security = sbin()
    security.ltp, security.open, security.high, security.low = map(paise, (24987.15, 24890.0, 25012.35, 24862.2))
    security.volume, security.updated_at = 4512375, 1755507611011
    bids = [(24987.0, 225), (24986.5, 600), (24986.1, 300), (24986.0, 1125), (24985.55, 450)]
    asks = [(24987.9, 150), (24988.0, 900), (24988.45, 375), (24989.0, 1275), (24989.3, 525)]
    security.bids = [Level(paise(price), quantity, 1) for price, quantity in bids]
    security.asks = [Level(paise(price), quantity, 1) for price, quantity in asks]
    wanted = vector("full, NFO future")
    feed = encode_feed(security, "full")
    book_at = wanted.index(bytes.fromhex("1282010a18"))
    book = wanted[book_at : book_at + 3 + 0x82]
    assert book in feed
    candle_at = wanted.index(bytes.fromhex("0a340a02316411"))
    day = wanted[candle_at : candle_at + 2 + 0x34]
    assert day in feed


# -- round trip --------------------------------------------------------------------------------------------

LTPC = {"ltp", "close", "ltt", "timestamp"}
DAY = {"open", "high", "low"}
TRADED = {"last_trade_quantity"}
FULL = {"volume", "avg_trade_price", "total_buy_quantity", "total_sell_quantity", "depth"}


@pytest.mark.parametrize(("kind", "levels"), [("ltpc", 0), ("full", 5), ("full_d30", 30), ("option_greeks", 0)])
def test_every_instrument_is_read_back_as_it_is(kind: str, levels: int) -> None:
    simulator = UpstoxSimulator(Exchange(seed=3, clock=TickingClock()))
    simulator.exchange.step(2000)
    instruments = listed(simulator)
    assert len(instruments) > 200
    codec = UpstoxCodec()
    codec.subscribe(list(instruments), kind)
    for instrument, security in instruments.items():
        payload = simulator.encode(security, kind)
        ((tick,)) = decoded(codec, list(simulator.pack(None, [(security, kind, payload)]))).ticks  # type: ignore[arg-type]
        assert tick.instrument == instrument
        found, meant = tick_fields(tick), security.fields(levels)
        expected = LTPC | (set() if security.is_index else TRADED)
        if kind.startswith("full"):
            expected = expected | DAY | (set() if security.is_index else FULL)
        elif kind == "option_greeks" and not security.is_index:
            expected = expected | {"volume"}
        if security.is_derivative and kind != "ltpc":
            expected = expected | {"oi"}
        assert found.keys() == expected
        if security.is_index:
            assert found.pop("ltt") == security.updated_at
        if "depth" in found:
            for side in meant["depth"].values():  # type: ignore[attr-defined]
                for level in side:
                    del level["orders"]
        assert found == {name: meant[name] for name in found}


def test_a_market_is_followed_from_the_snapshot_on() -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        instruments = listed(simulator)
        chosen = [one for one in instruments if one.exchange in ("NSE", "NFO", "NSE_INDEX")][:150]
        codec = UpstoxCodec()
        client = await connected(simulator, http)
        client.send(*wire(codec.subscribe(chosen, "full")))
        snapshot = decoded(codec, await client.flush()).ticks
        assert [tick.instrument for tick in snapshot] == chosen
        assert {tick.instrument: tick.ltp for tick in snapshot} == {
            one: instruments[one].ltp / PRICE_UNIT for one in chosen
        }
        for _ in range(5):
            changed = {security.symbol for security in simulator.exchange.step(20)}
            ticks = decoded(codec, await client.flush()).ticks
            assert {tick.instrument.symbol for tick in ticks} <= changed
            for tick in ticks:
                security = instruments[tick.instrument]
                assert (tick.ltp, tick.timestamp) == (security.ltp / PRICE_UNIT, security.updated_at)
        client.send(*wire(codec.change(chosen[:1], "full", "ltpc")), *wire(codec.unsubscribe(chosen[1:], "full")))
        (tick,) = decoded(codec, await client.flush()).ticks
        assert (tick.instrument, tick.mode) == (chosen[0], Mode.LTP)
        simulator.exchange.step(500)
        assert {tick.instrument for tick in decoded(codec, await client.flush()).ticks} <= {chosen[0]}

    against(body)


def test_the_whole_list_is_served_commodities_of_nse_too() -> None:
    simulator = UpstoxSimulator(Exchange(seed=3, clock=TickingClock()))
    ((filename, content),) = simulator.instrument_dump()
    parts = BROKER.instruments()
    found = list(parts.parse(content, filename))
    assert not parts.skipped
    assert "NCO" in {instrument.exchange for instrument in found}
    for instrument in found:
        security = simulator.exchange.find(instrument.symbol, instrument.exchange)
        assert instrument.token == instrument_key(security)
        assert instrument.tick_size == pytest.approx(0 if security.is_index else security.tick / PRICE_UNIT)
        assert instrument.strike == security.strike / PRICE_UNIT


# -- hand-shake --------------------------------------------------------------------------------------------


def test_an_authorized_address_is_good_for_one_connect() -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        adapter = UpstoxAdapter(simulator.urls)
        endpoint = await adapter.endpoint("main", simulator.credentials, http)
        assert endpoint.headers == {}
        await (await WireClient.connect(endpoint.url)).close()
        with pytest.raises(picows.WSInvalidStatusError) as caught:
            await WireClient.connect(endpoint.url)
        assert caught.value.response is not None
        assert caught.value.response.status == 403
        assert isinstance(adapter.handshake_failure(403, "", {}, b""), Unavailable)
        again = await adapter.endpoint("main", simulator.credentials, http)
        await (await WireClient.connect(again.url)).close()

    against(body)


def test_the_direct_address_redirects_to_an_authorized_one() -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        adapter = UpstoxAdapter(simulator.urls | {"authorize": simulator.urls["token"] + "/elsewhere"})
        endpoint = await adapter.endpoint("main", simulator.credentials, http)
        assert endpoint.url == simulator.urls["feed"]
        client = await WireClient.connect(endpoint.url, endpoint.headers, max_redirects=3)
        await client.close()
        with pytest.raises(picows.WSInvalidStatusError) as caught:
            await WireClient.connect(endpoint.url, {"Authorization": "Bearer other"}, max_redirects=3)
        assert caught.value.response is not None
        assert caught.value.response.status == 401

    against(body)


def test_a_token_that_dies_ends_the_session_and_a_new_one_is_accepted() -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        adapter = UpstoxAdapter(simulator.urls)
        client = await connected(simulator, http)
        unused = await adapter.endpoint("main", simulator.credentials, http)
        simulator.expire_token()
        assert await client.ended() is None
        with pytest.raises(AuthRejected):
            await adapter.endpoint("main", simulator.credentials, http)
        with pytest.raises(picows.WSInvalidStatusError):
            await WireClient.connect(unused.url)
        fresh = simulator.new_token()
        await (await WireClient.connect((await adapter.endpoint("main", fresh, http)).url)).close()

    against(body)


@pytest.mark.parametrize(("plus", "connections"), [(False, 2), (True, 5)])
def test_an_account_has_its_number_of_connections(plus: bool, connections: int) -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        simulator.plus = plus
        for _ in range(connections):
            await connected(simulator, http)
        with pytest.raises(picows.WSInvalidStatusError) as caught:
            await connected(simulator, http)
        assert caught.value.response is not None
        assert caught.value.response.status == 429

    against(body)


def test_an_idle_server_pings() -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        pings: list[bytes] = []

        class Listener(picows.WSListener):
            def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
                pings.append(frame.get_payload_as_bytes())
                assert frame.msg_type == picows.WSMsgType.PING
                transport.disconnect()

        endpoint = await UpstoxAdapter(simulator.urls).endpoint("main", simulator.credentials, http)
        transport, _ = await picows.ws_connect(Listener, endpoint.url, enable_auto_pong=False)
        simulator.beat()
        await asyncio.wait_for(transport.wait_disconnected(), 5)
        assert pings == [b""]

    against(body)


# -- requests ----------------------------------------------------------------------------------------------


def test_an_account_without_plus_gets_five_levels_for_thirty() -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        simulator.plus = False
        instrument = next(one for one in listed(simulator) if one.token == SBIN_KEY)
        codec = UpstoxCodec(Account(stated=True))
        client = await connected(simulator, http)
        client.send(*wire(codec.subscribe([instrument], "full_d30")))
        (refusal,) = await client.flush()
        answer = codec.decode(refusal)
        assert answer.event == Event.ERROR
        client.send(*wire(answer.replies))
        (tick,) = decoded(codec, await client.flush()).ticks
        assert tick.depth is not None
        assert len(tick.depth.buy) == 5

    against(body)


def test_a_client_is_told_the_levels_that_will_be_sent() -> None:
    async def levels(plus: bool) -> tuple[int, int]:
        async with rig("upstox") as here:
            here.simulator.plus = plus  # type: ignore[attr-defined]
            here.simulator.new_token()
            share, other = here.listed(2, "NSE")
            await here.ticking(await here.subscribe([other], Mode.LTP))  # the account is known from now on
            (grant,) = await here.subscribe([share], Mode.DEPTH, 30)
            await here.ticking([grant])
            book = here.bus.payloads[grant.topic][-1]["depth"]
            return grant.key.depth, len(book["buy"])

    assert asyncio.run(levels(True)) == (30, 30)
    assert asyncio.run(levels(False)) == (5, 5)


def test_more_keys_than_a_connection_may_have_are_refused_and_the_rest_stays() -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        instruments = [one for one in listed(simulator) if one.exchange == "NSE"][:51]
        codec = UpstoxCodec()
        client = await connected(simulator, http)
        client.send(*wire(codec.subscribe(instruments[:50], "full_d30")))
        assert len(decoded(codec, await client.flush()).ticks) == 50
        client.send(*wire(codec.subscribe(instruments[50:], "full_d30")))
        (refusal,) = await client.flush()
        assert "limit exceeded" in codec.decode(refusal).message
        client.send(*wire(codec.unsubscribe(instruments[:1], "full_d30")))
        client.send(*wire(codec.subscribe(instruments[50:], "full_d30")))
        assert len(decoded(codec, await client.flush()).ticks) == 1

    against(body)


@pytest.mark.parametrize(
    "request_frame",
    [
        '{"guid":"x","method":"sub","data":{"mode":"ltpc","instrumentKeys":["NSE_EQ|INE062A01020"]}}',
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"guid":"x","method":"sub","data":{"instrumentKeys":[5]}}',
        b'{"guid":"x","method":"change_mode","data":{"mode":"full","instrumentKeys":["NSE_EQ|INE062A01020"]}}',
        b'{"guid":"x","method":"unsub","data":{"instrumentKeys":["NSE_EQ|INE062A01020"]}}',
        b'{"guid":"x","method":"sub","data":{"mode":"ltpc","instrumentKeys":["NSE_EQ|UNKNOWN"]}}',
    ],
)
def test_requests_that_mean_nothing_bring_no_data_and_do_no_harm(request_frame: str | bytes) -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        client = await connected(simulator, http)
        client.send(request_frame)
        assert decoded(UpstoxCodec(), await client.flush()).ticks == []
        client.send(b'{"guid":"x","method":"sub","data":{"instrumentKeys":["NSE_EQ|INE062A01020"]}}')
        assert await client.flush()

    against(body)


@pytest.mark.parametrize("method", ["sub", "change_mode", "other"])
def test_an_unknown_mode_or_method_is_an_error(method: str) -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        client = await connected(simulator, http)
        client.send(json.dumps({"guid": "x", "method": method, "data": {"mode": "tick"}}).encode())
        (refusal,) = await client.flush()
        assert UpstoxCodec().decode(refusal).event == Event.ERROR

    against(body)


# -- login and REST ----------------------------------------------------------------------------------------


def test_a_login_goes_through_to_a_feed() -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        login = BROKER.login(simulator.urls)
        values = {"api_key": API_KEY, "api_secret": API_SECRET}
        redirect = "http://127.0.0.1:5001/upstox/callback"
        page = await login.begin(values, redirect, http)
        assert page is not None
        answer = await http.get(page)
        assert answer.status_code == 302
        location = httpx.URL(answer.headers["location"])
        assert str(location.copy_with(query=None)) == redirect
        callback = dict(location.params)
        session = await login.exchange(values, callback, redirect, http, NOW)
        assert simulator.knows(access_token=session["access_token"])
        endpoint = await UpstoxAdapter(simulator.urls).endpoint("main", session, http)
        await (await WireClient.connect(endpoint.url)).close()
        with pytest.raises(LoginFailed, match="one use only"):
            await login.exchange(values, callback, redirect, http, NOW)

    against(body)


@pytest.mark.parametrize(
    ("change", "redirect", "words"),
    [
        ({"api_secret": "wrong"}, "http://127.0.0.1:1/", "did not accept the API secret"),
        ({}, "http://127.0.0.1:2/", "redirect URL is not the one"),
    ],
)
def test_a_wrong_login_is_refused_and_uses_the_code_up(change: dict[str, str], redirect: str, words: str) -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        login = BROKER.login(simulator.urls)
        values = {"api_key": API_KEY, "api_secret": API_SECRET}
        code = simulator.new_login_code("http://127.0.0.1:1/")
        for tried, address, said in (
            (values | change, redirect, words), (values, "http://127.0.0.1:1/", "one use only"),
        ):  # fmt: skip
            callback = {"code": code, "state": login_state(API_KEY, tried["api_secret"], address)}
            with pytest.raises(LoginFailed, match=said):
                await login.exchange(tried, callback, address, http, NOW)

    against(body)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/login/authorization/dialog", 401),
        ("/v2/login/authorization/dialog?client_id=simulated-key&response_type=code&redirect_uri=x%0d%0ay", 400),
        (
            "/v2/login/authorization/dialog?client_id=simulated-key&response_type=code&redirect_uri=http://a%0d%0ab",
            400,
        ),
        ("/v2/user/profile", 401),
        ("/v3/feed/market-data-feed/authorize", 401),
        ("/nowhere", 404),
    ],
)
def test_rest_refuses_as_the_broker_does(path: str, status: int) -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        answer = await http.get(simulator.urls["login"].removesuffix("/v2/login/authorization/dialog") + path)
        assert answer.status_code == status
        assert answer.json()["status"] == "error"

    against(body)


def test_the_instrument_list_and_the_profile_are_served() -> None:
    async def body(simulator: UpstoxSimulator, http: httpx.AsyncClient) -> None:
        parts = BROKER.instruments(simulator.urls)
        (download,) = parts.downloads(None)
        answer = await http.get(download.url)
        assert len(list(parts.parse(answer.content, download.filename))) == len(simulator.exchange.securities)
        base = simulator.urls["login"].partition("/v2/")[0]
        headers = {"Authorization": f"Bearer {simulator.credentials['access_token']}"}
        profile = await http.get(f"{base}/v2/user/profile", headers=headers)
        assert profile.json()["data"]["user_id"] == simulator.credentials["user_id"]

    against(body)


def test_the_simulator_is_found_by_its_brokers_name() -> None:
    assert load_simulator("upstox") is UpstoxSimulator
