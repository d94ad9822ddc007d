"""The Kite server: its packets against the shared vectors, its manners, and our adapter's view of it."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picows import WSInvalidStatusError

from broker.vector_cases import load
from simulator.wire_client import WireClient
from tickmux.broker.zerodha import BROKER
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.login import LoginFailed
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.zerodha import (
    API_KEY,
    API_SECRET,
    ZerodhaSimulator,
    encode_packet,
    instrument_token,
)
from tickmux.tick import tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable

VECTORS = load("zerodha")
TOKENS = {(row["symbol"], row["exchange"]): int(row["token"]) for row in VECTORS["instruments"]}
MODES = {8: "ltp", 28: "quote", 32: "full", 44: "quote", 184: "full"}


# -- the encoder against the vectors -------------------------------------------------------------------------


def packets_of(frame: bytes) -> list[bytes]:
    packets, offset = [], 2
    while offset < len(frame):
        size = int.from_bytes(frame[offset : offset + 2], "big")
        packets.append(frame[offset + 2 : offset + 2 + size])
        offset += 2 + size
    return packets


def as_security(tick: dict[str, Any]) -> Security:
    """A security in the state that the vector's tick tells of."""

    def price(name: str) -> int:
        return round(tick.get(name, 0) * PRICE_UNIT)

    def side(name: str) -> list[Level]:
        levels = tick.get("depth", {}).get(name, [])
        return [Level(round(level["price"] * PRICE_UNIT), level["quantity"], level["orders"]) for level in levels]

    exchange = tick["exchange"]
    index = exchange.endswith("_INDEX")
    average = price("avg_trade_price")
    volume = tick.get("volume", 0)
    return Security(
        symbol=tick["symbol"],
        exchange=exchange,
        name=tick["symbol"],
        kind="INDEX" if index else "EQ",
        token=TOKENS[tick["symbol"], exchange] >> 8,
        tick=1,
        ltp=price("ltp"),
        open=price("open"),
        high=price("high"),
        low=price("low"),
        close=price("close"),
        volume=volume,
        turnover=average * volume,
        last_quantity=tick.get("last_trade_quantity", 0),
        total_buy=tick.get("total_buy_quantity", 0),
        total_sell=tick.get("total_sell_quantity", 0),
        oi=tick.get("oi", 0),
        traded_at=tick.get("ltt", 0),
        updated_at=tick.get("timestamp", 0),
        bids=side("buy"),
        asks=side("sell"),
    )


def determined(packet: bytes) -> bytes:
    """The bytes that a tick determines: not the day's range of open interest, not padding, not an index's change."""
    if len(packet) in (28, 32):
        return packet[:24] + packet[28:]
    if len(packet) == 184:
        levels = b"".join(packet[at : at + 10] for at in range(64, 184, 12))
        return packet[:52] + packet[60:64] + levels
    return packet


ENCODABLE = [
    item
    for item in VECTORS["incoming"]
    if item["expect"]
    and "event" not in item
    and all("hex" in frame for frame in item["frames"])
    and sum(len(packets_of(bytes.fromhex(frame["hex"]))) for frame in item["frames"]) == len(item["expect"])
]


def test_most_vectors_can_be_encoded() -> None:
    assert len(ENCODABLE) >= 12
    sizes = {
        len(packet)
        for item in ENCODABLE
        for frame in item["frames"]
        for packet in packets_of(bytes.fromhex(frame["hex"]))
    }
    assert sizes == set(MODES)


@pytest.mark.parametrize("item", ENCODABLE, ids=lambda item: item["name"])
def test_the_encoder_makes_the_vectors_bytes(item: dict[str, Any]) -> None:
    packets = [packet for frame in item["frames"] for packet in packets_of(bytes.fromhex(frame["hex"]))]
    for packet, tick in zip(packets, item["expect"], strict=True):
        made = encode_packet(as_security(tick), MODES[len(packet)])
        assert determined(made).hex() == determined(packet).hex()


def test_an_index_tells_its_change_and_a_derivative_its_open_interest() -> None:
    exchange = Exchange()
    exchange.step(2000)
    index, future = exchange.find("BANKNIFTY", "NSE_INDEX"), exchange.find("SENSEX", "BSE_INDEX")
    packet = encode_packet(index, "full")
    assert int.from_bytes(packet[24:28], "big", signed=True) == (index.ltp - index.close) // 100
    assert instrument_token(future) == 265
    contract = next(s for s in exchange.securities if s.exchange == "MCX" and s.kind == "FUT")
    packet = encode_packet(contract, "full")
    assert [int.from_bytes(packet[at : at + 4], "big") for at in (48, 52, 56)] == [
        contract.oi,
        contract.oi_high,
        contract.oi_low,
    ]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), steps=st.integers(0, 3000))
def test_every_instrument_of_any_market_survives_the_way_through_our_codec(seed: int, steps: int) -> None:
    exchange = Exchange(seed=seed)
    if steps:
        exchange.step(steps)
    codec = BROKER.adapter().codec("main")
    instruments = {s: instrument_of(s) for s in exchange.securities}
    codec.subscribe(list(instruments.values()), "full")
    for security, instrument in instruments.items():
        packet = encode_packet(security, "full")
        decoded = codec.decode(b"\x00\x01" + len(packet).to_bytes(2, "big") + packet)
        (tick,) = decoded.ticks
        assert tick.instrument is instrument
        assert tick_fields(tick) == wire_fields(security)


def instrument_of(security: Security) -> Instrument:
    return Instrument(security.symbol, security.exchange, str(instrument_token(security)))


def wire_fields(security: Security) -> dict[str, object]:
    """What the engine made, as far as Kite's full packet carries it: seconds, no circuits."""
    fields = security.fields()
    for name in ("upper_circuit", "lower_circuit"):
        fields.pop(name, None)
    for name in ("timestamp", "ltt"):
        if name in fields:
            fields[name] = int(str(fields[name])) // 1000 * 1000
    return fields


# -- the server's manners ------------------------------------------------------------------------------------


def scene(play: Callable[[ZerodhaSimulator], Awaitable[None]]) -> None:
    async def run() -> None:
        simulator = ZerodhaSimulator(Exchange(seed=5))
        await simulator.start()
        try:
            await play(simulator)
        finally:
            await simulator.stop()

    asyncio.run(run())


async def connect(simulator: ZerodhaSimulator, credentials: Credentials | None = None) -> WireClient:
    async with httpx.AsyncClient() as http:
        endpoint = await BROKER.adapter(simulator.urls).endpoint("main", credentials or simulator.credentials, http)
    return await WireClient.connect(endpoint.url, endpoint.headers)


def act(action: str, value: object) -> str:
    return json.dumps({"a": action, "v": value})


def sizes_of(frames: list[str | bytes]) -> list[int]:
    return [len(packet) for frame in frames if isinstance(frame, bytes) for packet in packets_of(frame)]


SBIN, NIFTY = 779521, 256265


def test_wrong_keys_are_refused_with_403_and_a_fourth_connection_with_429() -> None:
    async def play(simulator: ZerodhaSimulator) -> None:
        adapter = BROKER.adapter()
        for wrong in ({"access_token": "x"}, {"api_key": "x"}, {"access_token": ""}):
            with pytest.raises(WSInvalidStatusError) as refused:
                await connect(simulator, Credentials({**simulator.credentials.values, **wrong}))
            assert refused.value.response is not None
            status = refused.value.response.status
            assert status == 403
            assert isinstance(adapter.handshake_failure(status, "", {}, b""), AuthRejected)
        results = await asyncio.gather(*(connect(simulator) for _ in range(4)), return_exceptions=True)
        clients = [result for result in results if isinstance(result, WireClient)]
        (failure,) = (result for result in results if isinstance(result, WSInvalidStatusError))
        assert len(clients) == 3
        assert failure.response is not None
        assert failure.response.status == 429
        assert isinstance(adapter.handshake_failure(429, "", {}, b""), Unavailable)
        await clients[0].close()
        await clients[1].flush()
        await connect(simulator)

    scene(play)


def test_subscribe_alone_yields_quotes_and_mode_changes_them_at_once() -> None:
    async def play(simulator: ZerodhaSimulator) -> None:
        client = await connect(simulator)
        client.send(act("subscribe", [SBIN, NIFTY]))
        assert sizes_of(await client.flush()) == [44, 28]
        client.send(act("mode", ["full", [SBIN, NIFTY]]))
        assert sizes_of(await client.flush()) == [184, 32]
        client.send(act("mode", ["full", [SBIN]]), act("subscribe", [SBIN]))
        assert sizes_of(await client.flush()) == [], "nothing new was asked for"
        client.send(act("mode", ["ltp", [SBIN, NIFTY]]))
        assert sizes_of(await client.flush()) == [8, 8]
        simulator.exchange.step(4000)
        assert set(sizes_of(await client.flush())) == {8}
        client.send(act("unsubscribe", [SBIN, NIFTY]))
        simulator.exchange.step(4000)
        await client.flush()
        simulator.exchange.step(4000)
        assert await client.flush() == []

    scene(play)


def test_changes_of_one_moment_share_a_frame_and_clients_have_modes_of_their_own() -> None:
    async def play(simulator: ZerodhaSimulator) -> None:
        full, ltp = await connect(simulator), await connect(simulator)
        tokens = [instrument_token(s) for s in simulator.exchange.securities]
        full.send(act("subscribe", tokens), act("mode", ["full", tokens]))
        ltp.send(act("subscribe", [NIFTY]), act("mode", ["ltp", [NIFTY]]))
        await full.flush()
        await ltp.flush()
        changed = simulator.exchange.step(500)
        (frame,) = await full.flush()
        assert isinstance(frame, bytes)
        assert [packet[:4] for packet in packets_of(frame)] == [
            instrument_token(s).to_bytes(4, "big") for s in changed
        ]
        assert set(sizes_of(await ltp.flush())) <= {8}

    scene(play)


def test_what_is_not_subscribed_or_not_understood_is_ignored() -> None:
    async def play(simulator: ZerodhaSimulator) -> None:
        client = await connect(simulator)
        client.send(act("mode", ["full", [SBIN]]))
        client.send(act("unsubscribe", [SBIN]))
        client.send(act("subscribe", [1, -5, 10**30, "779521", True, None, [SBIN], {"a": 1}]))
        client.send(act("subscribe", SBIN), act("subscribe", None), act("mode", ["full"]), act("mode", "full"))
        client.send(act("mode", ["huge", [SBIN]]), act("mode", [["full"], [SBIN]]), act("dance", [SBIN]))
        client.send("", "}{", "[]", "null", "[" * 5000, '{"a":1}', b"\x00\xff", b"")
        assert await client.flush() == []
        client.send(act("subscribe", [SBIN, SBIN]))
        assert sizes_of(await client.flush()) == [44]

    scene(play)


def test_more_than_3000_instruments_are_refused_by_an_error_text() -> None:
    async def play(simulator: ZerodhaSimulator) -> None:
        pattern = simulator.exchange.find("SBIN", "NSE")
        for number in range(3001):
            simulator._by_token[number << 8 | 1] = Security(
                symbol=f"S{number}", exchange="NSE", name="", kind="EQ", token=number, tick=pattern.tick, ltp=100
            )
        client = await connect(simulator)
        client.send(act("subscribe", [number << 8 | 1 for number in range(3000)]))
        assert len(sizes_of(await client.flush())) == 3000
        client.send(act("subscribe", [3000 << 8 | 1]))
        (text,) = await client.flush()
        assert isinstance(text, str)
        message = json.loads(text)
        assert message["type"] == "error"
        assert message["data"].startswith("Too many")
        client.send(act("unsubscribe", [1 << 8 | 1]), act("subscribe", [3000 << 8 | 1]))
        assert sizes_of(await client.flush()) == [44]

    scene(play)


def test_heartbeats_are_single_bytes_on_idle_connections() -> None:
    async def play(simulator: ZerodhaSimulator) -> None:
        client = await connect(simulator)
        simulator.beat()
        assert await client.flush() == [b"\x00"]
        client.send(act("subscribe", [SBIN]))
        await client.flush()
        simulator.beat()
        assert await client.flush() == []
        assert simulator.heartbeat_interval == 1.0

    scene(play)


def test_an_expired_token_hangs_up_and_is_refused_until_the_new_one_comes() -> None:
    async def play(simulator: ZerodhaSimulator) -> None:
        client = await connect(simulator)
        old = simulator.credentials
        simulator.expire_token()
        assert await client.ended() is None
        with pytest.raises(WSInvalidStatusError):
            await connect(simulator)
        simulator.new_token()
        with pytest.raises(WSInvalidStatusError):
            await connect(simulator, old)
        await connect(simulator)

    scene(play)


# -- REST ----------------------------------------------------------------------------------------------------


def test_our_instrument_list_reads_the_dump_completely() -> None:
    simulator = ZerodhaSimulator(Exchange())
    reader = BROKER.instruments()
    ((filename, content),) = simulator.instrument_dump()
    instruments = {(i.symbol, i.exchange): i for i in reader.parse(content, filename)}
    assert not reader.skipped
    assert instruments.keys() == {(s.symbol, s.exchange) for s in simulator.exchange.securities}
    for security in simulator.exchange.securities:
        found = instruments[security.symbol, security.exchange]
        assert int(found.token) == instrument_token(security)
        assert found.strike == security.strike / PRICE_UNIT
        assert found.instrumenttype == security.kind
        if not security.is_index:
            assert found.tick_size == security.tick / PRICE_UNIT
            assert found.lotsize == security.lot_size
    assert len({i.token for i in instruments.values()}) == len(instruments)
    assert len({i.brsymbol + i.brexchange for i in instruments.values()}) == len(instruments)


def test_the_instrument_list_is_downloaded_with_the_session_only() -> None:
    async def play(simulator: ZerodhaSimulator) -> None:
        reader = BROKER.instruments(simulator.urls)
        (download,) = reader.downloads(simulator.credentials)
        async with httpx.AsyncClient() as http:
            answer = await http.get(download.url, headers=dict(download.headers))
            assert answer.content == simulator.instrument_dump()[0][1]
            assert answer.headers["content-encoding"] == "gzip"
            plain = await http.get(download.url + "/MCX", headers={**download.headers, "Accept-Encoding": "identity"})
            assert {row.rpartition(",")[2] for row in plain.text.splitlines()[1:]} == {"MCX"}
            refused = await http.get(download.url)
            assert refused.status_code == 403
            assert refused.json()["error_type"] == "TokenException"
            profile = await http.get(f"{simulator.urls['api']}/user/profile", headers=dict(download.headers))
            assert profile.json()["data"]["user_id"] == simulator.credentials["user_id"]
            assert (await http.get(f"{simulator.urls['api']}/quote")).status_code == 404

    scene(play)


def test_our_login_walks_through_and_the_old_token_dies() -> None:
    async def play(simulator: ZerodhaSimulator) -> None:
        login = BROKER.login(simulator.urls)
        values = {"api_key": API_KEY, "api_secret": API_SECRET}
        simulator.redirect_url = "http://127.0.0.1:9/callback"
        old = await connect(simulator)
        async with httpx.AsyncClient() as http:
            page = await login.begin(values, simulator.redirect_url, http)
            assert page is not None
            answer = await http.get(page)
            assert answer.status_code == 302
            target = urlsplit(answer.headers["location"])
            callback = {name: value for name, (value, *_) in parse_qs(target.query).items()}
            session = await login.exchange(values, callback, simulator.redirect_url, http, datetime.now(UTC))
            assert session["access_token"] == simulator.credentials["access_token"] == "simulated-token-2"
            assert await old.ended() is None
            await connect(simulator, session)
            with pytest.raises(LoginFailed):  # a request token is good once
                await login.exchange(values, callback, simulator.redirect_url, http, datetime.now(UTC))

    scene(play)


def test_a_login_with_a_wrong_secret_or_key_is_refused() -> None:
    async def play(simulator: ZerodhaSimulator) -> None:
        login = BROKER.login(simulator.urls)
        values = {"api_key": API_KEY, "api_secret": "wrong"}
        async with httpx.AsyncClient() as http:
            page = await login.begin(values, "", http)
            assert page is not None
            token = (await http.get(page)).text.partition(": ")[2]
            callback = {"request_token": token, "status": "success", "tickmux_state": page.rpartition("%3D")[2]}
            with pytest.raises(LoginFailed, match="API secret"):
                await login.exchange(values, callback, "", http, datetime.now(UTC))
            assert (await http.get(page.replace(API_KEY, "other"))).status_code == 400
            assert simulator.credentials["access_token"] == "simulated-token-1"

    scene(play)


def test_a_logout_kills_the_session() -> None:
    async def play(simulator: ZerodhaSimulator) -> None:
        url = f"{simulator.urls['api']}/session/token"
        client = await connect(simulator)
        async with httpx.AsyncClient() as http:
            assert (await http.delete(url, params={"api_key": "a", "access_token": "b"})).status_code == 403
            session = {name: simulator.credentials[name] for name in ("api_key", "access_token")}
            assert (await http.delete(url, params=session)).json()["status"] == "success"
        assert await client.ended() is None

    scene(play)


def test_the_checksum_is_the_documented_one() -> None:
    async def play(simulator: ZerodhaSimulator) -> None:
        token = simulator.new_request_token()
        checksum = hashlib.sha256((API_KEY + token + API_SECRET).encode()).hexdigest()
        form = {"api_key": API_KEY, "request_token": token, "checksum": checksum}
        async with httpx.AsyncClient() as http:
            answer = await http.post(f"{simulator.urls['api']}/session/token", data=form)
        assert answer.json()["data"]["access_token"] == "simulated-token-2"

    scene(play)
