"""Dhan's servers: their packets against the shared vectors, their manners, and our feed's view of them."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from picows import WSInvalidStatusError

from broker import vector_cases
from simulator.wire_client import WireClient
from support.feeds import rig
from support.servers import eventually
from tickmux.broker.dhan import BROKER
from tickmux.broker.dhan.streaming.dhan_mapping import MainFeedCodec
from tickmux.codec import Credentials
from tickmux.instrument import Instrument
from tickmux.login import IST, LoginFailed
from tickmux.simulator import dhan
from tickmux.simulator.dhan import API_KEY, API_SECRET, CLIENT_ID, PIN, TOTP_SECRET, DhanSimulator, security_id
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.tick import Mode, tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected, Unavailable

NAMES = ("dhan", "dhan_sandbox")
SIZES = {2: 16, 4: 50, 5: 12, 6: 16, 7: 8, 8: 162, 50: 10}

# -- the encoder against the vectors -------------------------------------------------------------------------


def as_security(tick: dict[str, Any], token: str) -> Security:
    """A security in the state that a vector's tick tells of."""

    def price(name: str) -> int:
        return round(tick.get(name, 0) * PRICE_UNIT)

    def side(name: str) -> list[Level]:
        levels = tick.get("depth", {}).get(name, [])
        return [Level(round(level["price"] * PRICE_UNIT), level["quantity"], level["orders"]) for level in levels]

    volume = tick.get("volume", 0)
    return Security(
        symbol=tick["symbol"],
        exchange=tick["exchange"],
        name=tick["symbol"],
        kind="INDEX" if tick["exchange"].endswith("_INDEX") else "EQ",
        token=int(token),
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
        traded_at=tick.get("ltt", 0),
        updated_at=tick.get("ltt", 0),
        bids=side("buy"),
        asks=side("sell"),
    )


def packets_of(message: bytes) -> Iterator[bytes]:
    offset = 0
    while offset < len(message):
        size = SIZES[message[offset]]
        yield message[offset : offset + size]
        offset += size


def told(item: dict[str, Any]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The packets of a main-feed item, each with the tick in which its content first shows."""
    expected = iter(item["expect"])
    seen, waiting = set(), []
    for frame in item["frames"]:
        for packet in packets_of(bytes.fromhex(frame["hex"])):
            if packet[0] in (5, 6) and packet[3:8] not in seen:
                waiting.append(packet)
                continue
            seen.add(packet[3:8])
            tick = next(expected)
            yield packet, tick
            for early in waiting:
                yield early, tick
            waiting.clear()


VECTORS = {name: vector_cases.load(name) for name in NAMES}
MAIN = [
    pytest.param(name, item, id=f"{name}: {item['name']}")
    for name, document in VECTORS.items()
    for item in document["incoming"]
    if item["channel"] == "main" and item["expect"]
]
DEPTH = [
    pytest.param(name, item, id=f"{name}: {item['name']}")
    for name, document in VECTORS.items()
    for item in document["incoming"]
    if item["channel"] != "main" and item["expect"]
]


def token_of(name: str, tick: dict[str, Any]) -> str:
    rows = {(row["symbol"], row["exchange"]): row["token"] for row in VECTORS[name]["instruments"]}
    return str(rows[tick["symbol"], tick["exchange"]])


def determined(packet: bytes) -> bytes:
    """The bytes that a tick determines: not the day's range of open interest, not yesterday's."""
    if packet[0] == 8:
        interest = packet[34:38] if packet[3] not in (0, 1, 4) else b""
        return packet[:34] + interest + packet[46:]
    return packet[:12] if packet[0] == 6 else packet


@pytest.mark.parametrize(("name", "item"), MAIN)
def test_the_encoder_makes_the_vectors_packets(name: str, item: dict[str, Any]) -> None:
    encoders = {
        2: dhan.ticker_packet,
        4: dhan.quote_packet,
        5: dhan.interest_packet,
        6: dhan.previous_close_packet,
        8: dhan.full_packet,
    }
    pairs = list(told(item))
    assert len(pairs) == sum(1 for frame in item["frames"] for _ in packets_of(bytes.fromhex(frame["hex"])))
    for packet, tick in pairs:
        made = encoders[packet[0]](as_security(tick, token_of(name, tick)))
        assert len(made) == len(packet)
        assert determined(made).hex() == determined(packet).hex()


def test_every_kind_of_packet_is_among_the_vectors() -> None:
    assert {packet[0] for param in MAIN for packet, _ in told(param.values[1])} == {2, 4, 5, 6, 8}


@pytest.mark.parametrize(("name", "item"), DEPTH)
def test_the_encoder_makes_the_vectors_books(name: str, item: dict[str, Any]) -> None:
    rows = 200 if item["channel"] == "depth200" else 20
    message = b"".join(bytes.fromhex(frame["hex"]) for frame in item["frames"])
    offset = 0
    for tick in item["expect"]:
        for made in dhan.depth_packets(as_security(tick, token_of(name, tick)), rows):
            packet = message[offset : offset + len(made)]
            offset += len(made)
            body = 12 if rows == 20 else 8  # what counts 200 levels' rows, is a mere sequence with 20
            assert (made[:8] + made[body:]).hex() == (packet[:8] + packet[body:]).hex()
    assert offset == len(message)


@pytest.mark.parametrize(
    ("endpoint", "reason", "packet"),
    [
        ("main", 807, "320a0000000000002703"),
        ("main", 805, "320a0000000000002503"),
        ("depth20", 808, "0e00320000000000000000002803"),
        ("depth200", 808, "0e00320000000000000000002803"),
    ],
)
def test_a_disconnect_has_the_form_of_its_socket(endpoint: str, reason: int, packet: str) -> None:
    assert dhan.disconnect_packet(endpoint, reason).hex() == packet


def instrument_of(security: Security) -> Instrument:
    return Instrument(security.symbol, security.exchange, str(security_id(security)))


def wire_fields(security: Security) -> dict[str, object]:
    """What the engine made, as far as full packets and the previous close carry it; quotes for an index."""
    fields = security.fields()
    for name in ("upper_circuit", "lower_circuit", "timestamp"):
        fields.pop(name, None)
    if security.is_index:
        zero = dict.fromkeys(("volume", "last_trade_quantity", "total_buy_quantity", "total_sell_quantity"), 0)
        return {**fields, **zero, "ltt": security.updated_at // 1000 * 1000}
    fields["ltt"] = security.traded_at // 1000 * 1000
    fields["last_trade_quantity"] = min(security.last_quantity, 65_535)  # 16 bits
    return fields


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), steps=st.integers(0, 3000))
def test_every_instrument_of_any_market_survives_the_way_through_our_codec(seed: int, steps: int) -> None:
    exchange = Exchange(seed=seed)
    if steps:
        exchange.step(steps)
    simulator = DhanSimulator(exchange)
    codec = MainFeedCodec(BROKER.adapter().standing)  # type: ignore[attr-defined]
    instruments = {s: instrument_of(s) for s in exchange.securities if s.exchange in BROKER.adapter.exchanges}
    codec.subscribe(list(instruments.values()), "full")
    for security, instrument in instruments.items():
        codec.decode(dhan.previous_close_packet(security))
        message = b"".join(simulator.encode(security, "quote" if security.is_index else "full"))
        (tick,) = codec.decode(message).ticks
        assert tick.instrument is instrument
        assert tick_fields(tick) == wire_fields(security)


def test_the_instrument_list_names_all_that_dhan_serves() -> None:
    exchange = Exchange(seed=2)
    parser = BROKER.instruments()
    found = {
        (row.symbol, row.exchange, row.token): row
        for name, data in DhanSimulator(exchange).instrument_dump()
        for row in parser.parse(data, name)
    }
    served = [security for security in exchange.securities if security.exchange in BROKER.adapter.exchanges]
    assert found.keys() == {(s.symbol, s.exchange, str(security_id(s))) for s in served}
    assert not parser.skipped
    for security in served:
        row = found[security.symbol, security.exchange, str(security_id(security))]
        assert row.tick_size == (0 if security.is_index else pytest.approx(security.tick / PRICE_UNIT))
        assert row.strike == security.strike / PRICE_UNIT


# -- the servers' manners ------------------------------------------------------------------------------------


def scene(play: Callable[[DhanSimulator], Awaitable[None]]) -> None:
    async def run() -> None:
        simulator = DhanSimulator(Exchange(seed=5))
        await simulator.start()
        try:
            await play(simulator)
        finally:
            await simulator.stop()

    asyncio.run(run())


async def connect(simulator: DhanSimulator, channel: str = "main", **wrong: str) -> WireClient:
    session = Credentials({**simulator.credentials.values, **wrong})
    async with httpx.AsyncClient() as http:
        endpoint = await BROKER.adapter(simulator.urls).endpoint(channel, session, http)
    return await WireClient.connect(endpoint.url)


def ask(code: int, *entries: tuple[str, str]) -> str:
    listed = [{"ExchangeSegment": segment, "SecurityId": number} for segment, number in entries]
    return json.dumps({"RequestCode": code, "InstrumentCount": len(listed), "InstrumentList": listed})


def codes(frames: list[str | bytes], place: int = 0) -> list[int]:
    return [frame[place] for frame in frames if isinstance(frame, bytes)]


SBIN, NIFTY, FUTURE = ("NSE_EQ", "3045"), ("IDX_I", "13"), ("NSE_FNO", "53002")


@pytest.mark.parametrize("channel", ["main", "depth20", "depth200"])
def test_a_wrong_token_is_refused_at_the_handshake_or_by_a_packet(channel: str) -> None:
    async def play(simulator: DhanSimulator) -> None:
        adapter = BROKER.adapter()
        for wrong in ({"access_token": "x"}, {"client_id": "1"}, {"access_token": ""}):
            with pytest.raises(WSInvalidStatusError) as refused:
                await connect(simulator, channel, **wrong)
            assert refused.value.response is not None
            status = refused.value.response.status
            assert status == 401
            assert isinstance(adapter.handshake_failure(status, "", {}, b""), AuthRejected)
        simulator.refuses_by_packet = True
        client = await connect(simulator, channel, access_token="x")
        decoded = adapter.codec(channel).decode(await client.receive())
        assert decoded.event == "auth_error"
        assert "808" in decoded.message
        await client.ended()

    scene(play)


def test_subscriptions_of_one_instrument_are_independent_and_begin_with_the_previous_close() -> None:
    async def play(simulator: DhanSimulator) -> None:
        client = await connect(simulator)
        client.send(ask(15, SBIN, NIFTY))
        assert codes(await client.flush()) == [6, 2, 6, 2]
        client.send(ask(17, FUTURE), ask(21, SBIN))
        assert codes(await client.flush()) == [6, 4, 5, 6, 8]
        simulator.exchange.step(4000)
        assert set(codes(await client.flush())) == {2, 4, 5, 8}
        client.send(ask(16, SBIN, NIFTY), ask(18, FUTURE))
        await client.flush()
        simulator.exchange.step(4000)
        assert set(codes(await client.flush())) == {8}
        client.send(ask(22, SBIN))
        await client.flush()
        simulator.exchange.step(4000)
        assert await client.flush() == []

    scene(play)


def test_full_packets_of_an_index_are_not_served() -> None:
    async def play(simulator: DhanSimulator) -> None:
        client = await connect(simulator)
        client.send(ask(21, NIFTY))
        assert await client.flush() == []

    scene(play)


def test_packets_of_one_moment_may_share_a_message() -> None:
    async def play(simulator: DhanSimulator) -> None:
        simulator.stacked = True
        client = await connect(simulator)
        client.send(ask(17, SBIN, NIFTY, FUTURE))
        (message,) = await client.flush()
        assert isinstance(message, bytes)
        assert [packet[0] for packet in packets_of(message)] == [6, 4, 6, 4, 6, 4, 5]

    scene(play)


def test_depth_sockets_serve_books_of_two_exchanges_and_heed_both_unsubscribe_codes() -> None:
    async def play(simulator: DhanSimulator) -> None:
        for leave in (24, 25):
            client = await connect(simulator, "depth20")
            client.send(ask(23, SBIN, FUTURE, ("BSE_EQ", "500112"), NIFTY))
            frames = await client.flush()
            assert [len(frame) for frame in frames] == [664, 664]
            assert codes(frames, 2) == [41, 41]
            client.send(ask(leave, SBIN, FUTURE))
            await client.flush()
            simulator.exchange.step(3000)
            assert await client.flush() == []
            await client.close()

    scene(play)


def test_the_200_level_socket_takes_one_instrument_at_either_address() -> None:
    async def play(simulator: DhanSimulator) -> None:
        adapter = BROKER.adapter(simulator.urls)
        adapter.channel_failure("depth200", 404, Unavailable("gone"))
        async with httpx.AsyncClient() as http:
            other = (await adapter.endpoint("depth200", simulator.credentials, http)).url
        assert urlsplit(other).path == "/twohundreddepth"
        for client in (await connect(simulator, "depth200"), await WireClient.connect(other)):
            short = {"RequestCode": 23, "ExchangeSegment": "NSE_EQ", "SecurityId": "3045"}
            client.send(json.dumps(short))
            (frame,) = await client.flush()
            assert isinstance(frame, bytes)
            assert frame[8] == 50, "the rows of a book of 50 levels"
            client.send(json.dumps({**short, "SecurityId": "1594"}))
            assert await client.receive() == dhan.disconnect_packet("depth200", 804)
            await client.ended()

    scene(play)


def test_what_is_not_understood_is_ignored() -> None:
    async def play(simulator: DhanSimulator) -> None:
        client = await connect(simulator)
        client.send("", "}{", "[]", "null", "[" * 5000, '{"RequestCode":"15"}', b"\x00\xff", b"")
        client.send(ask(19, SBIN), ask(23, SBIN), ask(16, SBIN), '{"RequestCode":15,"InstrumentList":[5,null,{}]}')
        client.send(ask(15, ("NSE_EQ", "999999"), ("NSE_EQ", ""), ("MOON", "3045"), ("NSE_EQ", "9" * 5000)))
        assert await client.flush() == []
        client.send(ask(15, SBIN, SBIN))
        assert codes(await client.flush()) == [6, 2]

    scene(play)


@pytest.mark.parametrize(("channel", "code", "most"), [("main", 15, 100), ("depth20", 23, 50)])
def test_a_message_of_too_many_instruments_ends_the_session(channel: str, code: int, most: int) -> None:
    async def play(simulator: DhanSimulator) -> None:
        client = await connect(simulator, channel)
        client.send(ask(code, *[SBIN] * most))
        assert len(await client.flush()) == (2 if channel == "main" else 1)
        client.send(ask(code, *[SBIN] * (most + 1)))
        assert await client.receive() == dhan.disconnect_packet(channel, 804)
        await client.ended()

    scene(play)


def test_the_sixth_connection_ends_the_oldest() -> None:
    async def play(simulator: DhanSimulator) -> None:
        clients = [await connect(simulator, channel) for channel in ("main", "main", "main", "depth20", "depth200")]
        newest = await connect(simulator)
        assert await clients[0].receive() == dhan.disconnect_packet("main", 805)
        await clients[0].ended()
        newest.send(ask(15, SBIN))
        assert len(await newest.flush()) == 2

    scene(play)


def test_leaving_in_good_order_closes_the_socket() -> None:
    async def play(simulator: DhanSimulator) -> None:
        client = await connect(simulator)
        client.send('{"RequestCode":12}')
        assert await client.ended() == 1000

    scene(play)


def test_a_token_that_dies_is_told_by_a_packet() -> None:
    async def play(simulator: DhanSimulator) -> None:
        main, deep = await connect(simulator), await connect(simulator, "depth20")
        simulator.expire_token()
        assert await main.receive() == dhan.disconnect_packet("main", 807)
        assert await deep.receive() == dhan.disconnect_packet("depth20", 807)

    scene(play)


# -- login -----------------------------------------------------------------------------------------------------

APP = {"client_id": CLIENT_ID, "api_key": API_KEY, "api_secret": API_SECRET}


def test_our_browser_login_works_against_it_once_for_each_token_id() -> None:
    async def play(simulator: DhanSimulator) -> None:
        simulator.redirect_url = "http://127.0.0.1:5000/dhan/callback"
        login = BROKER.login(simulator.urls)
        async with httpx.AsyncClient(trust_env=False) as http:
            page = await login.begin(APP, simulator.redirect_url, http)
            assert page
            answer = await http.get(page)
            query = {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}
            now = datetime.now(IST)
            session = await login.exchange(APP, query, "", http, now)
            assert session.expires_at == pytest.approx(now.timestamp() + 86_400, abs=60)
            with pytest.raises(LoginFailed):
                await login.exchange(APP, query, "", http, now)
            with pytest.raises(LoginFailed):
                await login.begin({**APP, "api_secret": "x"}, "", http)
        assert session.values == simulator.credentials.values
        await connect(simulator)

    scene(play)


def test_our_login_with_a_one_time_password_works_against_it() -> None:
    async def play(simulator: DhanSimulator) -> None:
        login = BROKER.login(simulator.urls)
        keys = {"client_id": CLIENT_ID, "pin": PIN, "totp_secret": TOTP_SECRET}
        wrong = f"{(int(pyotp.TOTP(TOTP_SECRET).now()) + 1) % 1_000_000:06d}"
        async with httpx.AsyncClient(trust_env=False) as http:
            now = datetime.now(IST)
            session = await login.exchange(keys, {}, "", http, now)
            for bad, words in (({"pin": "0"}, "PIN"), ({"totp": wrong}, "one-time password")):
                with pytest.raises(LoginFailed, match=words):
                    await login.exchange({**keys, **bad}, {}, "", http, now)
            (download,) = BROKER.instruments(simulator.urls).downloads(None)
            answer = await http.get(download.url)
        assert session.values == simulator.credentials.values
        assert [("api-scrip-master.csv", answer.content)] == simulator.instrument_dump()

    scene(play)


# -- two sockets, one tick stream ------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "levels", "count"), [(20, 20, 10), (200, 50, 1)])
@pytest.mark.parametrize("broker", NAMES)
def test_a_deep_book_and_its_quotes_look_like_one_feed(broker: str, depth: int, levels: int, count: int) -> None:
    async def main() -> None:
        async with rig(broker, rate=20_000) as feed:
            rows = feed.listed(count, "NSE")
            grants = await feed.subscribe(rows, Mode.DEPTH, depth)
            assert {grant.key.depth for grant in grants} == {depth}

            def whole(payload: dict[str, Any]) -> bool:
                book = payload.get("depth", {})
                return "volume" in payload and min(len(book.get(side, ())) for side in ("buy", "sell")) >= levels - 5

            await eventually(
                lambda: all(any(map(whole, feed.bus.payloads.get(grant.topic, ()))) for grant in grants),
                "prices and deep books in one message",
            )
            channels = {one.channel_name for one in feed.feed.pool.connections()}
            assert channels == {"main", f"depth{depth}"}
            await feed.feed.unsubscribe([grant.key for grant in grants])
            await eventually(lambda: not feed.simulator.clients, "both connections' end")
            assert feed.feed.counters.malformed == feed.feed.counters.unknown == 0

    uvloop.run(main())


def test_a_deeper_book_than_an_exchange_has_is_answered_with_what_it_has() -> None:
    async def main() -> None:
        async with rig("dhan", rate=20_000) as feed:
            for exchange, granted in (("BSE", 5), ("MCX", 5), ("NFO", 20)):
                (grant,) = await feed.subscribe(feed.listed(1, exchange), Mode.DEPTH, 50)
                assert grant.key.depth == granted

    uvloop.run(main())


def test_a_token_refused_by_a_packet_stops_the_feed_and_a_new_one_revives_both_sockets() -> None:
    async def main() -> None:
        async with rig("dhan", rate=20_000) as feed:
            feed.simulator.refuses_by_packet = True  # type: ignore[attr-defined]
            grants = await feed.subscribe(feed.listed(3, "NSE"), Mode.DEPTH, 20)
            await feed.ticking(grants)
            feed.simulator.expire_token()
            await feed.state("auth_expired")
            feed.simulator.new_token()
            feed.bus.clear()
            await eventually(
                lambda: all(
                    any("depth" in payload and "ltp" in payload for payload in feed.bus.payloads.get(grant.topic, ()))
                    for grant in grants
                ),
                "whole ticks again",
            )
            await feed.state("live")

    uvloop.run(main())
