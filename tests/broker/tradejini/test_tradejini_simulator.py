"""Tradejini's servers: their packets against the shared vectors, their manners, and our feed's view of them."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.tradejini.tradejini_wire import SIZES, VECTORS
from simulator.wire_client import WireClient
from tickmux.broker.tradejini import BROKER
from tickmux.broker.tradejini.streaming.packets import body_of, packets
from tickmux.instrument import Instrument
from tickmux.login import IST, LoginFailed
from tickmux.simulator import tradejini
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.tradejini import API_KEY, API_SECRET, PIN, TOTP_SECRET, TradejiniSimulator
from tickmux.tick import Tick, tick_fields

MODES = ("QUOTE", "DEPTH")
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=IST)

# -- the encoder against the vectors -------------------------------------------------------------------------


def as_security(tick: dict[str, Any]) -> Security:
    """A security in the state that a vector's tick tells of."""
    row = next(
        row
        for row in VECTORS["instruments"]
        if (row["symbol"], row["exchange"]) == (tick["symbol"], tick["exchange"])
    )

    def price(name: str) -> int:
        return round(float(tick.get(name, 0)) * PRICE_UNIT)

    def side(name: str) -> list[Level]:
        levels = tick.get("depth", {}).get(name, [])
        return [Level(round(level["price"] * PRICE_UNIT), level["quantity"], level["orders"]) for level in levels]

    volume = tick.get("volume", 0)
    return Security(
        symbol=tick["symbol"],
        exchange=tick["exchange"],
        name=tick["symbol"],
        kind="INDEX" if tick["exchange"].endswith("_INDEX") else "EQ",
        token=abs(int(row["token"])),
        tick=25 if tick["exchange"] == "CDS" else 500,
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
        upper_circuit=price("upper_circuit"),
        lower_circuit=price("lower_circuit"),
        traded_at=tick.get("ltt", 0),
        bids=side("buy"),
        asks=side("sell"),
    )


_MEANT = {26, 27, 29, 30, 31, 32, 33, 36, 39, 40, 42, 43, 44, 46}
"""Keys of an L1 packet that a tick determines."""


def sent(content: bytes, wanted: int) -> list[bytes]:
    """The whole packets of a type."""
    body = body_of(content)
    return [body[start - 3 : end] for kind, start, end in packets(body) if kind == wanted]


def by_key(packet: bytes) -> dict[int, bytes]:
    """The fields of a packet, each with its key."""
    found, place = {}, 3
    while place < len(packet):
        end = place + 1 + struct.calcsize("<" + SIZES[packet[place]])
        found[packet[place]] = packet[place:end]
        place = end
    return found


_WHOLE = [
    item
    for item in VECTORS["incoming"]
    if item["expect"] and len(item["frames"]) == 1 and "unsubscribed" not in item["name"]
]


@pytest.mark.parametrize("item", _WHOLE, ids=lambda item: item["name"])
def test_packets_are_those_of_the_vectors(item: dict[str, Any]) -> None:
    content = bytes.fromhex(item["frames"][0]["hex"])
    states = {mode: [as_security(tick) for tick in item["expect"] if tick["mode"] == mode] for mode in MODES}
    for packet, security in zip(sent(content, 10), states["QUOTE"], strict=True):
        theirs = {key: field for key, field in by_key(packet).items() if key in _MEANT}
        made = tradejini.quote_fields(security)
        assert {key: made[key] for key in theirs} == theirs
    assert [tradejini.book_packet(security) for security in states["DEPTH"]] == sent(content, 11)


def test_notices_are_those_of_the_vectors() -> None:
    frames = {item["name"]: bytes.fromhex(item["frames"][0]["hex"]) for item in VECTORS["incoming"]}
    for name, kind, key in (("authentication accepted", 13, 25), ("pong", 16, 62)):
        made = tradejini.packet(kind, bytes([key, 1]))
        assert body_of(tradejini.frame_of([made])) == body_of(frames[name]) == made


# -- the servers ---------------------------------------------------------------------------------------------


def listed(simulator: TradejiniSimulator) -> dict[tuple[str, str], Instrument]:
    reader = BROKER.instruments()
    rows = [row for name, data in simulator.instrument_dump() for row in reader.parse(data, name)]
    assert not reader.skipped
    return {(row.symbol, row.exchange): row for row in rows}


def test_the_list_names_every_instrument_of_its_exchanges() -> None:
    simulator = TradejiniSimulator(Exchange(seed=3))
    assert listed(simulator).keys() == {
        (security.symbol, security.exchange)
        for security in simulator.exchange.securities
        if security.exchange in BROKER.adapter.exchanges
    }


@asynccontextmanager
async def running() -> AsyncIterator[TradejiniSimulator]:
    simulator = TradejiniSimulator(Exchange(seed=3))
    await simulator.start()
    try:
        yield simulator
    finally:
        await simulator.stop()


async def connected(simulator: TradejiniSimulator) -> WireClient:
    async with httpx.AsyncClient(trust_env=False) as http:
        endpoint = await BROKER.adapter(simulator.urls).endpoint("main", simulator.credentials, http)
    client = await WireClient.connect(endpoint.url)
    assert BROKER.adapter().codec("main").decode(await client.receive()).event == "ack"
    return client


def request(feed: str, action: str, *symbols: str) -> str:
    body: dict[str, Any] = {"type": feed, "action": action}
    if symbols:
        body["tokens"] = [{"t": symbol} for symbol in symbols]
    return json.dumps(body)


def kinds(messages: list[str | bytes]) -> list[tuple[int, int]]:
    """Type and token of every packet."""
    found = []
    for message in messages:
        assert isinstance(message, bytes)
        body = body_of(message)
        for kind, start, _ in packets(body):
            found.append((kind, int.from_bytes(body[start + 3 : start + 7], "little", signed=True)))
    return found


def test_a_list_replaces_the_one_before_and_each_feed_has_its_own() -> None:
    async def main() -> None:
        async with running() as simulator:
            client = await connected(simulator)
            client.send(request("L1", "sub", "3045_NSE", "-1_NSE"))
            assert await client.flush() == []
            client.send("\n")
            assert kinds(await client.flush()) == [(10, 3045), (10, -1)]
            client.send(request("L1", "sub", "2885_NSE", "3045_NSE") + "\n" + request("L5", "sub", "2885_NSE") + "\n")
            assert kinds(await client.flush()) == [(10, 2885), (11, 2885)]
            simulator.exchange.step(4000)
            assert {token for _, token in kinds(await client.flush())} == {2885, 3045}
            client.send(request("L1", "unsub") + "\n")
            await client.flush()
            simulator.exchange.step(4000)
            assert set(kinds(await client.flush())) == {(11, 2885)}
            client.send('{"type":"PING"}\n')
            assert [kind for kind, _ in kinds(await client.flush())] == [16]

    asyncio.run(main())


@pytest.mark.parametrize("text", ["{}", "[]", '{"type":"L1","action":"sub","tokens":5}', "\x00", "[" * 90_000, "L1"])
def test_hostile_requests_change_nothing(text: str) -> None:
    async def main() -> None:
        async with running() as simulator:
            client = await connected(simulator)
            client.send(request("L1", "sub", "3045_NSE") + "\n", text + "\n", b"\xff\n")
            await client.flush()
            assert len(next(iter(simulator.clients)).subscriptions) == 1

    asyncio.run(main())


def test_a_dead_token_is_told_by_the_close_code_also_at_the_door() -> None:
    async def main() -> None:
        async with running() as simulator:
            client = await connected(simulator)
            simulator.expire_token()
            assert await client.ended() == 4001
            late = await WireClient.connect(f"{simulator.urls['feed']}?token={API_KEY}:simulated-token-1&version=3.1")
            assert await late.ended() == 4001

    asyncio.run(main())


def test_both_logins_make_sessions_that_the_feed_takes() -> None:
    async def main() -> None:
        async with running() as simulator, httpx.AsyncClient(trust_env=False) as http:
            login = BROKER.login(simulator.urls)
            keys = {"api_key": API_KEY, "pin": PIN, "totp_secret": TOTP_SECRET}
            session = await login.exchange(keys, {}, "", http, datetime.now(IST))
            assert session.values == simulator.credentials.values
            browser = {"api_key": API_KEY, "api_secret": API_SECRET}
            back = "http://127.0.0.1:9/tradejini/callback"
            page = await login.begin(browser, back, http)
            assert page is not None
            target = httpx.URL((await http.get(page)).headers["location"])
            session = await login.exchange(browser, dict(target.params), back, http, NOW)
            assert session.values == simulator.credentials.values
            await connected(simulator)
            with pytest.raises(LoginFailed):
                await login.exchange({**keys, "pin": "0"}, {}, "", http, datetime.now(IST))
            with pytest.raises(LoginFailed):
                await login.exchange(browser, dict(target.params), back, http, NOW)
            reader = BROKER.instruments(simulator.urls)
            for download, (name, content) in zip(reader.downloads(None), simulator.instrument_dump(), strict=True):
                answer = await http.get(download.url, headers=dict(download.headers))
                assert (download.filename, answer.content) == (name, content)

    asyncio.run(main())


# -- what is made is what is read ----------------------------------------------------------------------------


def meant(security: Security) -> dict[str, Any]:
    fields: dict[str, Any] = security.fields()
    fields["ltt"] = security.traded_at // 1000 * 1000
    del fields["timestamp"]
    if not security.is_index:
        fields["oi"] = security.oi
    return fields


def comparable(tick: Tick, security: Security) -> dict[str, Any]:
    """A far option's circuit may be too large for the wire; then the tick has none."""
    fields = tick_fields(tick)
    if security.exchange == "CDS" and "upper_circuit" not in fields:
        fields["upper_circuit"] = security.upper_circuit / PRICE_UNIT
    return fields


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16), st.lists(st.integers(1, 600), min_size=1, max_size=5))
def test_changes_add_up_to_what_the_exchange_has(seed: int, rounds: list[int]) -> None:
    exchange = Exchange(seed=seed, clock=lambda: 1_795_400_000.0)
    simulator = TradejiniSimulator(exchange)
    client: Any = None
    codec = BROKER.adapter().codec("main")
    rows = listed(simulator)
    last: dict[Instrument, Tick] = {}
    for name, row in rows.items():
        codec.subscribe([row], "L1" if row.is_index else "L5")
        parts = [simulator.snapshot(client, exchange.find(*name), feed) for feed in ("L1", "L5")]
        for tick in codec.decode(tradejini.frame_of([part for part in parts if part])).ticks:
            last[row] = tick
    for steps in rounds:
        changed = [one for one in exchange.step(steps) if (one.symbol, one.exchange) in rows]
        parts = [simulator.encode(one, feed) for one in changed for feed in ("L1", "L5")]
        decoded = codec.decode(tradejini.frame_of([part for part in parts if part]))
        assert decoded.event is None
        for tick in decoded.ticks:
            last[tick.instrument] = tick
    for name, row in rows.items():
        security = exchange.find(*name)
        assert comparable(last[row], security) == meant(security)
