"""Kotak's servers: their packets against the shared vectors, their manners, and our feed's view of them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import httpx
import pyotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.kotak import kotak_wire as wire
from simulator.wire_client import WireClient
from support.feeds import rig
from support.servers import eventually
from support.simulator_talk import Talk, listed, play
from support.vector_market import security_of
from tickmux.broker.kotak import BROKER
from tickmux.codec import Credentials, Event
from tickmux.login import IST, LoginFailed
from tickmux.simulator import kotak
from tickmux.simulator.kotak import ACCESS_TOKEN, MOBILE, MPIN, TOTP_SECRET, UCC, KotakSimulator
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import Security
from tickmux.tick import Mode, Tick, tick_fields

LEVELS = {"LTP": 1, "QUOTE": 4, "DEPTH": 8}

# -- the encoder against the vectors -------------------------------------------------------------------------


def as_security(tick: dict[str, Any]) -> Security:
    """A security in the state that a vector's tick tells of."""
    return security_of(tick, int(wire.BY_NAME[tick["symbol"], tick["exchange"]].token), None)


_MEANT = {
    1: ((0, 5), (6, 7), (9, 37)),  # neither sequence number nor percent, change, lot and scale
    4: ((2, 5), (6, 7), (9, 85), (89, 97), (103, 107), (119, 127)),
    8: ((0, 5), (6, 7), (9, 85), (89, 97), (103, 107), (119, 127), (144, None)),
    0: ((0, 5), (9, 41), (66, None)),
}
"""Level (0 an index) -> the ranges of a packet that a tick determines."""


def meant(packet: bytes) -> list[bytes]:
    level = 0 if packet[2:4] == (7207).to_bytes(2, "little") else packet[5]
    return [packet[start:end] for start, end in _MEANT[level]]


def packets_of(frame: bytes) -> list[bytes]:
    found = []
    while len(frame) >= 9 and len(frame) >= (length := int.from_bytes(frame[:2], "little")) > 8:
        found.append(frame[:length])
        frame = frame[length:]
    return found


@pytest.mark.parametrize("item", [i for i in wire.VECTORS["incoming"] if i["expect"]], ids=lambda item: item["name"])
def test_packets_are_those_of_the_vectors(item: dict[str, Any]) -> None:
    frames = [bytes.fromhex(frame["hex"]) for frame in item["frames"] if "hex" in frame]
    sent = [packet for frame in frames for packet in packets_of(frame)]
    for packet, tick in zip(sent, item["expect"], strict=True):
        level = 0 if tick["exchange"].endswith("_INDEX") else LEVELS[tick["mode"]]
        assert meant(kotak.encode_packet(as_security(tick), level)) == meant(packet)
        assert len(kotak.encode_packet(as_security(tick), level)) == len(packet) or level == 4


def test_the_login_answer_has_the_vectors_scales() -> None:
    told = json.loads(wire.LOGIN)["exchanges"]
    assert (
        told.items()
        <= {
            segment: {"value": number, "divider": kotak.DIVISORS.get(segment, 100)}
            for segment, number in kotak.SEGMENTS.values()
        }.items()
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 3000))
def test_what_is_encoded_is_read_back_as_the_exchange_has_it(seed: int, steps: int) -> None:
    exchange = Exchange(seed=seed, clock=lambda: 1_795_400_000.0)
    simulator = KotakSimulator(exchange)
    exchange.step(steps)
    codec = BROKER.adapter().codec("main")
    rows = listed(simulator)
    for row in rows.values():
        codec.subscribe([row], "index" if row.is_index else "depth")
    codec.decode(
        wire.login_answer(
            exchanges={s: {"value": n, "divider": kotak.DIVISORS.get(s, 100)} for s, n in kotak.SEGMENTS.values()}
        )
    )
    for name in rows:
        security = exchange.find(*name)
        (tick,) = codec.decode(kotak.encode_packet(security, 8)).ticks
        assert comparable(tick) == expected(security)


def expected(security: Security) -> dict[str, Any]:
    fields: dict[str, Any] = security.fields()
    seconds = {name: fields[name] // 1000 * 1000 for name in ("ltt", "timestamp") if name in fields}
    return fields | seconds | ({} if security.is_index else {"oi": security.oi})


def comparable(tick: Tick) -> dict[str, Any]:
    return tick_fields(tick)


# -- the servers ---------------------------------------------------------------------------------------------


async def connected(simulator: KotakSimulator) -> Talk:
    adapter = BROKER.adapter(simulator.urls)
    async with httpx.AsyncClient(trust_env=False) as http:
        endpoint = await adapter.endpoint("main", simulator.credentials, http)
    talk = await Talk.begin(simulator, url=endpoint.url)
    assert talk.codec.decode(await talk.link.receive()).ready
    return talk


def run(scenario: Callable[[KotakSimulator], Awaitable[None]]) -> None:
    play(KotakSimulator, scenario)


def test_every_kind_brings_a_snapshot_and_an_acknowledgement_then_changes() -> None:
    async def scenario(simulator: KotakSimulator) -> None:
        rows = listed(simulator)
        talk = await connected(simulator)
        share, index = rows["SBIN", "NSE"], rows["NIFTY", "NSE_INDEX"]
        (tick,) = await talk.tell(*talk.codec.subscribe([index], "index"))
        assert (tick.instrument, tick.mode) == (index, Mode.QUOTE)
        for kind, mode in {
            "lite": Mode.LTP,
            "scrips": Mode.QUOTE,
            "depth": Mode.DEPTH,
            "full_depth": Mode.DEPTH,
        }.items():
            talk.send(*talk.codec.subscribe([share], kind))
            data, acknowledgement = await talk.link.flush()
            (tick,) = talk.codec.decode(data).ticks
            assert (tick.instrument, tick.mode) == (share, mode)
            assert json.loads(acknowledgement)["trading_symbols"] == {"nse_cm|3045": "SBIN-EQ"}
            if kind == "full_depth":
                assert tick.depth is not None
                assert len(tick.depth.buy) == len(tick.depth.sell) == 20
            simulator.exchange.step(2000)
            assert {tick.mode for tick in await talk.tell() if tick.instrument == share} == {mode}
            assert await talk.tell(*talk.codec.unsubscribe([share], kind)) == []
        await talk.link.close()

    run(scenario)


def test_a_snapshot_request_subscribes_nothing_and_the_market_status_is_told() -> None:
    async def scenario(simulator: KotakSimulator) -> None:
        rows = listed(simulator)
        talk = await connected(simulator)
        talk.codec.subscribe([rows["SBIN", "NSE"]], "lite")
        request = {"event": "snapshotScripsLite", "inputtoken": "nse_cm|3045", "ack_symbol": True}
        assert len(await talk.tell(json.dumps(request))) == 1
        (client,) = simulator.clients
        assert not client.subscriptions
        talk.link.send('{"event":"subscribeExchange"}')
        (status,) = await talk.link.flush()
        assert talk.codec.decode(status).event is Event.MARKET_STATUS
        await talk.link.close()

    run(scenario)


def test_tokens_beyond_the_limit_are_not_served() -> None:
    async def scenario(simulator: KotakSimulator) -> None:
        talk = await connected(simulator)
        names = ",".join(simulator._by_token)
        for event in ("ScripsLite", "Scrips", "Depth", "FullDepth") * 3:
            await talk.tell(json.dumps({"event": f"subscribe{event}", "inputtoken": names}))
        (client,) = simulator.clients
        assert sum(len(kinds) for kinds in client.subscriptions.values()) == min(3000, 4 * len(simulator._by_token))
        await talk.link.close()

    run(scenario)


@pytest.mark.parametrize(
    "message",
    [
        b"\x00\x01", "", "{", "[]", '"x"', "[" * 10_000, "{}", '{"event":5}', '{"event":"subscribe"}',
        '{"event":"subscribeScrips"}', '{"event":"subscribeScrips","inputtoken":7,"ack_symbol":true}',
        '{"event":"subscribeScrips","inputtoken":"nse_cm|0,,|"}',
        '{"event":"unsubscribeDepth","inputtoken":"nse_cm|1"}',
    ],
)  # fmt: skip
def test_a_request_that_is_none_harms_nothing(message: str | bytes) -> None:
    async def scenario(simulator: KotakSimulator) -> None:
        talk = await connected(simulator)
        await talk.tell(message)
        assert len(await talk.tell(*talk.codec.subscribe([listed(simulator)["SBIN", "NSE"]], "lite"))) == 1
        stranger = await WireClient.connect(simulator.urls["feed"])
        stranger.send(message)
        (answer,) = await stranger.flush()
        assert BROKER.adapter().codec("main").decode(answer).event is Event.AUTH_ERROR
        await stranger.close()
        await talk.link.close()

    run(scenario)


# -- REST ----------------------------------------------------------------------------------------------------

VALUES = {"access_token": ACCESS_TOKEN, "ucc": UCC, "mobile": MOBILE, "mpin": MPIN, "totp_secret": TOTP_SECRET}


async def log_in(simulator: KotakSimulator, **changes: str) -> Credentials:
    async with httpx.AsyncClient(trust_env=False) as http:
        login = BROKER.login(simulator.urls)
        return await login.exchange(VALUES | changes, {}, "", http, datetime.now(IST))


def test_a_login_over_http_opens_the_feed_and_names_the_instrument_files() -> None:
    async def scenario(simulator: KotakSimulator) -> None:
        session = await log_in(simulator)
        assert session["sid"] == simulator.credentials["sid"]
        reader = BROKER.instruments(simulator.urls)
        downloads = reader.downloads(session)
        assert len(downloads) == 6
        async with httpx.AsyncClient(trust_env=False) as http:
            rows = [row for one in downloads for row in reader.parse((await http.get(one.url)).content, one.filename)]
            # The address of the feed is looked up where it has not been set.
            adapter = BROKER.adapter({"config": simulator.urls["config"]})
            assert (await adapter.endpoint("main", session, http)).url == simulator.urls["feed"]
        assert len(rows) == len(listed(simulator))
        await (await connected(simulator)).link.close()

    run(scenario)


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"access_token": "wrong"}, "access token"),
        ({"ucc": "OTHER"}, "client code"),
        ({"mpin": "654321"}, "MPIN"),
        ({"totp_secret": pyotp.random_base32()}, "TOTP"),
    ],
)
def test_a_wrong_login_is_refused(changes: dict[str, str], advice: str) -> None:
    async def scenario(simulator: KotakSimulator) -> None:
        with pytest.raises(LoginFailed, match=advice):
            await log_in(simulator, **changes)
        assert simulator.credentials["sid"] == "simulated-sid-1"

    run(scenario)


def test_full_depth_reaches_the_client() -> None:
    async def main() -> None:
        async with rig("kotak", rate=20_000) as feed:
            grants = await feed.subscribe(feed.listed(3, "NSE"), Mode.DEPTH, 20)
            assert [grant.key.depth for grant in grants] == [20] * 3

            def complete() -> bool:
                books = [feed.bus.payloads.get(grant.topic, [{}])[-1].get("depth", {}) for grant in grants]
                return all(len(book.get(side, ())) == 20 for book in books for side in ("buy", "sell"))

            await eventually(complete, "books of twenty levels")

    asyncio.run(main())


def test_a_session_that_is_hung_up_on_after_every_login_ends_as_expired() -> None:
    async def main() -> None:
        async with rig("kotak") as feed:
            feed.simulator.subscribe = lambda client, *_: client.close(1000)  # it accepts, then hangs up
            await feed.subscribe(feed.listed(1), Mode.LTP)
            await feed.state("auth_expired")
            assert feed.feed.counters.auth_failures == 1
            assert feed.feed.counters.reconnects == 2

    asyncio.run(main())
