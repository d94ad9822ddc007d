"""Motilal Oswal's servers: their packets against the shared vectors, their manners, and our feed's view of them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import httpx
import pyotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.motilal import motilal_wire as wire
from simulator.wire_client import WireClient
from support.feeds import rig
from support.servers import eventually
from support.simulator_talk import Talk, listed, play
from support.vector_market import security_of
from tickmux.broker.motilal import BROKER
from tickmux.codec import Credentials, Event
from tickmux.login import IST, AnswerWanted, LoginFailed
from tickmux.simulator import motilal
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Security
from tickmux.simulator.motilal import (
    API_KEY,
    BROADCAST_LIMIT,
    CLIENT_CODE,
    HEARTBEAT,
    PASSWORD,
    SECOND_FACTOR,
    SMS_CODE,
    TOTP_SECRET,
    MotilalSimulator,
)
from tickmux.tick import Mode, Tick, tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected

# -- the encoder against the vectors -------------------------------------------------------------------------


def as_security(tick: dict[str, Any]) -> Security:
    """A security in the state that a vector's tick tells of."""
    return security_of(tick, int(wire.BY_NAME[tick["symbol"], tick["exchange"]].token), None)


TOLD = [
    pytest.param(item, id=item["name"])
    for item in wire.VECTORS["incoming"]
    if item["expect"] and "incomplete" not in item["name"]
]


@pytest.mark.parametrize("item", TOLD)
def test_packets_are_those_of_the_vectors(item: dict[str, Any]) -> None:
    stream = b"".join(bytes.fromhex(frame["hex"]) for frame in item["frames"])
    sent = [stream[at : at + 30] for at in range(0, len(stream) - 29, 30)]
    known = [packet for packet in sent if packet[9:10] not in (b"g", b"z", b"1") and not ignored(packet)]
    for packet, tick in zip(known, item["expect"], strict=True):
        ours = {each[9:10]: each for each in motilal.encode_packets(as_security(tick))}
        if packet[9:10] == b"m":
            assert packet[10:14] == tick["oi"].to_bytes(4, "little")  # the day's range is in no tick
        else:
            assert ours[packet[9:10]] == packet


def ignored(packet: bytes) -> bool:
    tokens = {int(each.token) for each in wire.INSTRUMENTS}
    return int.from_bytes(packet[1:5], "little") not in tokens


def test_the_heartbeat_is_the_vectors() -> None:
    (item,) = (item for item in wire.VECTORS["incoming"] if item.get("event") == "heartbeat")
    assert item["frames"][0]["hex"] == HEARTBEAT.hex()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 3000))
def test_what_is_encoded_is_read_back_as_the_exchange_has_it(seed: int, steps: int) -> None:
    exchange = Exchange(seed=seed, clock=lambda: 1_795_400_000.0)
    rows = listed(MotilalSimulator(exchange))
    exchange.step(steps)
    codec = BROKER.adapter().codec("main")
    codec.subscribe(list(rows.values()), "scrip")
    for name in rows:
        security = exchange.find(*name)
        packets = motilal.encode_packets(security)
        ticks = codec.decode(b"".join(packets)).ticks
        assert len(ticks) == len(packets)
        books = [tick.depth for tick in ticks if tick.depth is not None]
        fields = tick_fields(ticks[-1])
        if not security.is_index:
            assert books
            fields["depth"] = tick_fields(Tick(instrument=rows[name], mode=Mode.DEPTH, depth=books[-1]))["depth"]
        assert fields == expected(security)


def expected(security: Security) -> dict[str, Any]:
    fields: dict[str, Any] = security.fields()
    fields |= {name: fields[name] // 1000 * 1000 for name in ("ltt", "timestamp") if name in fields}
    if security.is_index:
        return {name: fields[name] for name in ("ltp", "timestamp")}
    del fields["total_buy_quantity"], fields["total_sell_quantity"]
    return fields | {"oi": security.oi}


# -- the servers ---------------------------------------------------------------------------------------------


def run(scenario: Callable[[MotilalSimulator], Awaitable[None]]) -> None:
    play(MotilalSimulator, scenario)


def test_a_registration_brings_everything_then_what_changes() -> None:
    async def scenario(simulator: MotilalSimulator) -> None:
        rows = listed(simulator)
        talk = await Talk.begin(simulator)
        assert await talk.tell() == [], "indices come unasked, yet nobody wants them"
        share, future = rows["SBIN", "NSE"], next(row for row in rows.values() if row.exchange == "NFO")
        first = await talk.tell(*talk.codec.subscribe([share, future], "scrip"))
        assert [tick.instrument for tick in first] == [share] * 8 + [future] * 9
        assert await talk.tell() == []
        simulator.exchange.step(3000)
        later = await talk.tell()
        assert {tick.instrument for tick in later} == {share, future}
        assert len(later) < 17, "what has not changed is not said again"
        assert await talk.tell(*talk.codec.unsubscribe([share], "scrip")) == []
        simulator.exchange.step(3000)
        assert {tick.instrument for tick in await talk.tell()} == {future}
        await talk.link.close()

    run(scenario)


def test_indices_reach_whoever_has_logged_in() -> None:
    async def scenario(simulator: MotilalSimulator) -> None:
        index = listed(simulator)["NIFTY", "NSE_INDEX"]
        talk = await Talk.begin(simulator)
        assert talk.codec.subscribe([index], "index") == []
        ticks = await talk.tell()
        assert [(tick.instrument, tick.mode) for tick in ticks] == [(index, Mode.LTP)]
        await talk.link.close()

    run(scenario)


def test_heartbeats_come_and_are_answered() -> None:
    async def scenario(simulator: MotilalSimulator) -> None:
        talk = await Talk.begin(simulator)
        await talk.link.flush()
        simulator.beat()
        decoded = talk.codec.decode(await talk.link.receive())
        assert decoded.event is Event.HEARTBEAT
        await talk.tell(*decoded.replies)
        (client,) = simulator.clients
        assert client.session.heartbeats_answered == 1
        await talk.link.close()

    run(scenario)


def test_scrips_beyond_the_limit_are_not_served() -> None:
    async def scenario(simulator: MotilalSimulator) -> None:
        rows = [row for row in listed(simulator).values() if not row.is_index]
        simulator_limit = min(BROADCAST_LIMIT, len(rows))
        talk = await Talk.begin(simulator)
        await talk.tell(*talk.codec.subscribe(rows, "scrip"))
        (client,) = simulator.clients
        assert sum(not security.is_index for security in client.subscriptions) == simulator_limit
        await talk.link.close()

    run(scenario)


@pytest.mark.parametrize(
    "message",
    [
        "hello", b"", b"Q", b"q" * 114, b"Q" + bytes(113), b"D", b"D" * 10, b"D\x07\x00NC\xe5\x0b\x00\x00\x01",
        b"D\x07\x00NC\x01\x00\x00\x00\x05", b"\xff" * 30,
    ],
)  # fmt: skip
def test_what_is_no_request_harms_nothing(message: str | bytes) -> None:
    async def scenario(simulator: MotilalSimulator) -> None:
        stranger = await WireClient.connect(simulator.urls["feed"])
        stranger.send(message)
        talk = await Talk.begin(simulator)
        assert await talk.tell(*talk.codec.subscribe([listed(simulator)["SBIN", "NSE"]], "scrip"))
        held = [len(client.subscriptions) for client in simulator.clients if not client.session.logged_in]
        assert held in ([0], []), "who has not logged in gets nothing"
        await talk.link.close()

    run(scenario)


def test_a_wrong_client_code_is_told_and_hung_up_on() -> None:
    async def scenario(simulator: MotilalSimulator) -> None:
        wrong = Credentials({**simulator.credentials.values, "client_code": "OTHER"})
        talk = await Talk.begin(simulator, wrong)
        assert talk.codec.decode(await talk.link.receive()).event is Event.AUTH_ERROR
        assert await talk.link.ended() == 1000

    run(scenario)


# -- REST ----------------------------------------------------------------------------------------------------

VALUES = {
    "api_key": API_KEY, "client_code": CLIENT_CODE, "password": PASSWORD, "second_factor": SECOND_FACTOR,
    "totp_secret": TOTP_SECRET,
}  # fmt: skip


async def log_in(simulator: MotilalSimulator, **changes: str) -> Credentials:
    async with httpx.AsyncClient(trust_env=False) as http:
        return await BROKER.login(simulator.urls).exchange(VALUES | changes, {}, "", http, datetime.now(IST))


def test_a_login_over_http_buys_the_session_that_the_feed_and_the_limit_want() -> None:
    async def scenario(simulator: MotilalSimulator) -> None:
        old = simulator.credentials
        session = await log_in(simulator)
        assert session["auth_token"] == simulator.credentials["auth_token"] != old["auth_token"]
        adapter = BROKER.adapter(simulator.urls)
        reader = BROKER.instruments(simulator.urls)
        async with httpx.AsyncClient(trust_env=False) as http:
            await adapter.endpoint("main", session, http)
            assert adapter.fits("main", {"scrip": BROADCAST_LIMIT}, 1000)
            assert not adapter.fits("main", {"scrip": BROADCAST_LIMIT + 1}, 1000)
            with pytest.raises(AuthRejected):
                await adapter.endpoint("main", old, http)
            files = [(one.filename, (await http.get(one.url)).content) for one in reader.downloads(None)]
        assert files == simulator.instrument_dump()

    run(scenario)


def test_a_login_without_a_totp_is_confirmed_by_the_code_of_an_sms() -> None:
    async def scenario(simulator: MotilalSimulator) -> None:
        with pytest.raises(AnswerWanted) as wanted:
            await log_in(simulator, totp_secret="")
        assert not simulator.token_valid, "not before the code has come back"
        with pytest.raises(LoginFailed, match="did not accept the code"):
            await log_in(simulator, **wanted.value.kept, totp_secret="", otp="000000")
        session = await log_in(simulator, **wanted.value.kept, totp_secret="", otp=SMS_CODE)
        assert session["auth_token"] == simulator.credentials["auth_token"] == "simulated-auth-token-2"
        async with httpx.AsyncClient(trust_env=False) as http:
            await BROKER.adapter(simulator.urls).endpoint("main", session, http)
        with pytest.raises(LoginFailed, match="did not accept the code"):
            await log_in(simulator, **wanted.value.kept, totp_secret="", otp=SMS_CODE)

    run(scenario)


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"api_key": "wrong"}, "MO2005"),
        ({"client_code": "OTHER"}, "Invalid user id"),
        ({"password": "wrong"}, "Invalid user id"),
        ({"second_factor": "01/01/1990"}, "Invalid user id"),
        ({"totp_secret": pyotp.random_base32()}, "Invalid TOTP"),
    ],
)
def test_a_wrong_login_is_refused(changes: dict[str, str], advice: str) -> None:
    async def scenario(simulator: MotilalSimulator) -> None:
        with pytest.raises(LoginFailed, match=advice):
            await log_in(simulator, **changes)
        assert simulator.credentials["auth_token"] == "simulated-auth-token-1"

    run(scenario)


def test_a_stream_out_of_step_is_replaced_and_shows_no_wrong_price() -> None:
    async def main() -> None:
        async with rig("motilal") as feed:
            grants = await feed.subscribe(feed.listed(5), Mode.DEPTH)
            await feed.ticking(grants)
            connects = feed.feed.counters.connects
            feed.simulator.send_garbage(b"\x00" * 7)  # from now on every packet begins seven bytes too early
            await eventually(lambda: feed.feed.counters.connects > connects, "a new connection")
            feed.bus.clear()
            await feed.ticking(grants)
            for payloads in feed.bus.payloads.values():
                for shown in payloads:
                    security = next(s for s in feed.exchange.securities if s.symbol == shown["symbol"])
                    assert 0.5 < shown.get("ltp", security.ltp / PRICE_UNIT) * PRICE_UNIT / security.close < 2

    asyncio.run(main())
