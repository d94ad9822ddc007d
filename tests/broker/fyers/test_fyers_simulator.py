"""FYERS' simulated servers: their bytes are those of the shared vectors, and our codecs read the market from them."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import msgspec
import pytest
from picows import WSInvalidStatusError

from broker.vector_cases import load
from simulator.wire_client import WireClient
from support.feeds import rig
from support.servers import eventually
from tickmux.broker.fyers.instruments import FyersInstruments
from tickmux.broker.fyers.streaming.fyers_adapter import FyersAdapter
from tickmux.codec import Event, FeedCodec
from tickmux.instrument import Instrument
from tickmux.simulator import load_simulator
from tickmux.simulator.fyers import wire as wire
from tickmux.simulator.fyers.server import ACKNOWLEDGE_EVERY, FyersSimulator
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import Security
from tickmux.tick import Mode, Tick, tick_fields

VECTORS = {item["name"]: item for item in load("fyers")["incoming"]}
NONE = wire.UNCHANGED


# -- the encoder and the vectors -----------------------------------------------------------------------------


def frames(name: str) -> list[str]:
    return [each["hex"] for each in VECTORS[name]["frames"]]


def price(value: float) -> int:
    return round(value * 100)


def test_a_quote_snapshot_has_the_vectors_bytes() -> None:
    (tick,) = VECTORS["sf snapshot, NSE equity"]["expect"]
    values = [
        price(tick["ltp"]), tick["volume"], tick["ltt"] // 1000, tick["timestamp"] // 1000, 520, 310, 81230, 81235,
        tick["last_trade_quantity"], tick["total_buy_quantity"], tick["total_sell_quantity"],
        price(tick["avg_trade_price"]), 0, price(tick["low"]), price(tick["high"]), 91200, 68000, NONE, NONE,
        price(tick["open"]), price(tick["close"]),
    ]  # fmt: skip
    item = wire.snapshot_item(7, "sf|nse_cm|3045", values, 1, 2, ("nse_cm", "3045", "SBIN-EQ"))
    assert [wire.data_frame(1, [item]).hex()] == frames("sf snapshot, NSE equity")


def test_an_index_and_its_update_have_the_vectors_bytes() -> None:
    first, second = VECTORS["index snapshot and update"]["expect"]

    def values(tick: dict[str, Any]) -> list[int]:
        prices = [price(tick[name]) for name in ("ltp", "close", "high", "low", "open")]
        return [*prices[:2], tick["timestamp"] // 1000, *prices[2:]]

    topic = "if|nse_cm|Nifty 50"
    item = wire.snapshot_item(2, topic, values(first), 1, 2, ("nse_cm", "Nifty 50", "Nifty 50"))
    changed = wire.changes(values(first), values(second))
    assert changed is not None
    assert [
        wire.data_frame(1, [item]).hex(),
        wire.data_frame(2, [wire.update_item(2, changed)]).hex(),
    ] == frames("index snapshot and update")


def test_a_book_has_the_vectors_bytes() -> None:
    name = "depth snapshot, then an update that moves one level, clears one ask level and leaves the rest"
    depth = VECTORS[name]["expect"][0]["depth"]
    levels = [*depth["buy"], *depth["sell"]]
    values = [
        *(price(level["price"]) for level in levels),
        *(level["quantity"] for level in levels),
        *(level["orders"] for level in levels),
    ]
    item = wire.snapshot_item(3, "dp|nse_cm|3045", values, 1, 2, ("nse_cm", "3045", "SBIN-EQ"))
    assert wire.data_frame(1, [item]).hex() == frames(name)[0]


def test_a_lite_update_and_the_answers_have_the_vectors_bytes() -> None:
    lite = "lite update (data type 76) carries only the last price"
    assert wire.data_frame(2, [wire.lite_item(7, 81240)]).hex() == frames(lite)[1]
    login = wire.response(1, (1, b"K"), (2, (3).to_bytes(4, "big")))
    assert [login.hex()] == frames("authentication accepted, ack every 3 data messages")
    answers = [wire.response(kind, (1, b"K")).hex() for kind in (12, 4, 5)]
    assert answers == frames("mode, subscribe and unsubscribe acknowledgements")
    words = b"Symbol subscription limit exceeded"
    limit = wire.response(51, (1, (51001).to_bytes(4, "big")), (2, words), (3, b"\x04"))
    assert [limit.hex()] == frames("custom message: symbol limit of the plan")


@pytest.mark.parametrize(
    "name",
    ["50-level snapshot", "two symbols in one message: one tick each, in the order of the entries on the wire"],
)
def test_deep_books_have_the_vectors_bytes(name: str) -> None:
    rows = {row["symbol"]: row for row in load("fyers")["instruments"]}
    feeds = []
    for tick in VECTORS[name]["expect"]:
        row = rows[tick["symbol"]]
        bids, asks = (
            wire.level_changes(
                None, [(price(each["price"]), each["quantity"], each["orders"]) for each in tick["depth"][side]]
            )
            for side in ("buy", "sell")
        )
        depth = wire.depth_message((bids, asks), tick["total_buy_quantity"], tick["total_sell_quantity"])
        number = 1 if len(VECTORS[name]["expect"]) > 1 else 1001
        seconds = tick["timestamp"] // 1000
        feed = wire.feed_message(depth, seconds, row["token"], number, row["brsymbol"], snapshot=True)
        feeds.append((row["token"], feed))
    (data,) = frames(name)
    ours = wire.socket_message(feeds, snapshot=True).hex()
    # Protobuf fields have no order: this vector's `snapshot` stands before its feeds.
    assert ours == (f"{data[:4]}{data[8:]}{data[4:8]}" if data[4:8] == "1801" else data)


def test_a_deep_difference_has_the_vectors_bytes() -> None:
    name = "snapshot, then a diff: levels are addressed by num, absent wrappers stay, zero wrappers clear"
    old, new = (
        [
            [(price(each["price"]), each["quantity"], each["orders"]) for each in tick["depth"][side]]
            for side in ("buy", "sell")
        ]
        for tick in VECTORS[name]["expect"]
    )
    new[1].append((0, 0, 0))
    bids, asks = (wire.level_changes(before, now) for before, now in zip(old, new, strict=True))
    depth = wire.depth_message((bids, asks), 612600, None)
    row = load("fyers")["instruments"][4]
    feed = wire.feed_message(depth, 1754453724, row["token"], 1002, row["brsymbol"], snapshot=False)
    assert wire.socket_message([(row["token"], feed)], snapshot=False).hex() == frames(name)[1]


def test_an_error_has_the_vectors_bytes() -> None:
    assert [wire.error_message("invalid symbol").hex()] == frames("error message in protobuf")


# -- the servers ---------------------------------------------------------------------------------------------


class Market:
    """A running simulator with its instruments in our terms."""

    def __init__(self, simulator: FyersSimulator) -> None:
        self.simulator = simulator
        self.adapter = FyersAdapter(simulator.urls)
        reader = FyersInstruments(simulator.urls)
        self.listed = [
            instrument for name, data in simulator.instrument_dump() for instrument in reader.parse(data, name)
        ]
        self.skipped = reader.skipped

    def find(self, symbol: str, exchange: str) -> Instrument:
        (found,) = (each for each in self.listed if (each.symbol, each.exchange) == (symbol, exchange))
        return found

    def security(self, instrument: Instrument) -> Security:
        return self.simulator.exchange.find(instrument.symbol, instrument.exchange)

    async def connect(self, channel: str) -> tuple[WireClient, FeedCodec]:
        async with httpx.AsyncClient() as http:
            endpoint = await self.adapter.endpoint(channel, self.simulator.credentials, http)
        client = await WireClient.connect(endpoint.url, endpoint.headers)
        codec = self.adapter.codec(channel)
        client.send(*codec.open_frames(self.simulator.credentials))
        return client, codec


@asynccontextmanager
async def market() -> AsyncIterator[Market]:
    now = 1754453723.0

    def clock() -> float:
        nonlocal now
        now += 0.25
        return now

    simulator = FyersSimulator(Exchange(seed=7, clock=clock))
    await simulator.start()
    try:
        yield Market(simulator)
    finally:
        await simulator.stop()


async def read(client: WireClient, codec: FeedCodec) -> list[Tick]:
    """The ticks of all that was sent; what has to be answered is answered."""
    ticks: list[Tick] = []
    for message in await client.flush():
        decoded = codec.decode(message)
        assert decoded.event not in (Event.MALFORMED, Event.ERROR, Event.AUTH_ERROR), decoded
        assert not decoded.unknown
        ticks += decoded.ticks
        client.send(*decoded.replies)
    return ticks


def in_whole_seconds(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value // 1000 * 1000 if name in ("ltt", "timestamp") else value
        for name, value in fields.items()
        if value not in (0, None) or name not in ("ltt", "timestamp")
    }


def merged(ticks: Iterable[Tick]) -> dict[Instrument, dict[str, Any]]:
    state: dict[Instrument, dict[str, Any]] = {}
    for tick in ticks:
        state.setdefault(tick.instrument, {}).update(tick_fields(tick))
    return state


def test_the_simulator_is_found_by_name() -> None:
    assert load_simulator("fyers") is FyersSimulator


def test_every_instrument_that_is_offered_is_listed() -> None:
    async def run() -> None:
        async with market() as here:
            offered = {
                (security.symbol, security.exchange)
                for security in here.simulator.exchange.securities
                if security.exchange in FyersAdapter.exchanges
            }
            assert {(each.symbol, each.exchange) for each in here.listed} == offered
            assert here.skipped == {}
            fetched = []
            async with httpx.AsyncClient() as http:
                for download in FyersInstruments(here.simulator.urls).downloads(None):
                    response = await http.get(download.url)
                    fetched.append((download.filename, response.content))
            assert fetched == here.simulator.instrument_dump()

    asyncio.run(run())


def test_the_whole_market_arrives_as_it_is() -> None:
    async def run() -> None:
        async with market() as here:
            client, codec = await here.connect("hsm")
            assert await read(client, codec) == []
            client.send(*codec.subscribe(here.listed, "depth"))
            ticks = await read(client, codec)
            for _ in range(20):
                here.simulator.exchange.step(100)
                ticks += await read(client, codec)
            state = merged(ticks)
            assert len(state) == len(here.listed)
            for instrument, fields in state.items():
                true = in_whole_seconds(here.security(instrument).fields())
                assert fields == pytest.approx(true, rel=1e-12) if instrument.is_index else fields == true
            (server_side,) = here.simulator.clients
            assert server_side.session.frames > 20
            assert server_side.session.frames - server_side.session.acknowledged < 2 * ACKNOWLEDGE_EVERY
            await client.close()

    asyncio.run(run())


def test_a_change_of_depth_takes_and_gives_the_book_only() -> None:
    async def run() -> None:
        async with market() as here:
            sbin = here.find("SBIN", "NSE")
            client, codec = await here.connect("hsm")
            client.send(*codec.subscribe([sbin], "quote"))
            assert [tick.mode.name for tick in await read(client, codec)] == ["QUOTE"]
            client.send(*codec.change([sbin], "quote", "depth"))
            assert [tick.mode.name for tick in await read(client, codec)] == ["DEPTH"]
            client.send(*codec.change([sbin], "depth", "quote"))
            here.simulator.exchange.step(2000)
            assert {tick.mode.name for tick in await read(client, codec)} <= {"QUOTE"}
            client.send(*codec.unsubscribe([sbin], "quote"))
            await read(client, codec)
            here.simulator.exchange.step(2000)
            assert await read(client, codec) == []
            await client.close()

    asyncio.run(run())


def test_a_wrong_key_is_refused_and_gets_nothing() -> None:
    async def run() -> None:
        async with market() as here:
            client, codec = await here.connect("hsm")
            await client.flush()
            here.simulator.new_token()
            stale, codec = await here.connect("hsm")
            assert codec.decode((await stale.flush())[0]).ready
            here.simulator.expire_token()
            assert await stale.ended() == 1008
            late, codec = await here.connect("hsm")
            login, _ = (codec.decode(message) for message in await late.flush())
            assert (login.event, login.ready) == (Event.AUTH_ERROR, False)
            late.send(*codec.subscribe([here.find("SBIN", "NSE")], "quote"))
            (refusal,) = (codec.decode(message) for message in await late.flush())
            assert refusal.event is Event.ERROR
            await late.close()

    asyncio.run(run())


def test_an_unknown_topic_refuses_its_frame_and_is_found_out() -> None:
    async def run() -> None:
        async with market() as here:
            wrong = Instrument("GONE", "NSE", "1010000000999999", brsymbol="NSE:GONE-EQ")
            known = [here.find("SBIN", "NSE"), here.find("INFY", "NSE"), here.find("TCS", "NSE")]
            client, codec = await here.connect("hsm")
            await read(client, codec)
            client.send(*codec.subscribe([known[0], wrong, *known[1:]], "depth"))
            refused: list[Instrument] = []
            ticks: list[Tick] = []
            for _ in range(8):
                for message in await client.flush():
                    decoded = codec.decode(message)
                    client.send(*decoded.replies)
                    refused += decoded.refused
                    ticks += decoded.ticks
            assert set(refused) == {wrong}
            assert {tick.instrument for tick in ticks} == set(known)
            await client.close()

    asyncio.run(run())


def test_the_plans_limit_is_told() -> None:
    async def run() -> None:
        async with market() as here:
            here.simulator.symbol_limit = 2
            client, codec = await here.connect("hsm")
            await read(client, codec)
            client.send(*codec.subscribe(here.listed[:4], "quote"))
            refused: list[Instrument] = []
            ticks: list[Tick] = []
            for _ in range(3):
                for message in await client.flush():
                    decoded = codec.decode(message)
                    client.send(*decoded.replies)
                    refused += decoded.refused
                    ticks += decoded.ticks
            assert refused == here.listed[2:4]
            assert {tick.instrument for tick in ticks} == set(here.listed[:2])
            await client.close()

    asyncio.run(run())


def test_a_paused_channel_is_silent_and_catches_up_when_it_is_resumed() -> None:
    async def run() -> None:
        async with market() as here:
            sbin = here.find("SBIN", "NSE")
            client, codec = await here.connect("hsm")
            client.send(*codec.subscribe([sbin], "depth"))
            await read(client, codec)
            bits = (1 << 11).to_bytes(8, "big")
            client.send(wire.response(7, (1, bits)))
            here.simulator.exchange.step(2000)
            await read(client, codec)
            here.simulator.exchange.step(2000)
            assert await read(client, codec) == []
            client.send(wire.response(8, (1, bits)))
            (fields,) = merged(await read(client, codec)).values()
            assert fields == in_whole_seconds(here.security(sbin).fields())
            await client.close()

    asyncio.run(run())


def test_lite_mode_sends_last_prices_alone() -> None:
    async def run() -> None:
        async with market() as here:
            sbin = here.find("SBIN", "NSE")
            client, codec = await here.connect("hsm")
            client.send(*codec.subscribe([sbin], "depth"))
            client.send(wire.response(12, (1, (1 << 11).to_bytes(8, "big")), (2, b"L")))
            first = merged(await read(client, codec))[sbin]
            for _ in range(40):
                here.simulator.exchange.step(200)
            ticks = await read(client, codec)
            assert len(ticks) > 3
            assert {tick.mode.name for tick in ticks} == {"QUOTE"}
            now = in_whole_seconds(here.security(sbin).fields())
            assert tick_fields(ticks[-1]) == {name: value for name, value in first.items() if name != "depth"} | {
                "ltp": now["ltp"]
            }
            await client.close()

    asyncio.run(run())


def test_fifty_levels_arrive_as_they_are() -> None:
    async def run() -> None:
        async with market() as here:
            future = next(each for each in here.listed if each.exchange == "NFO" and each.instrumenttype == "FUT")
            wanted = [future, *(here.find(name, "NSE") for name in ("SBIN", "INFY", "TCS", "RELIANCE"))]
            client, codec = await here.connect("tbt")
            client.send(*codec.subscribe(wanted[:2], "depth50"), *codec.subscribe(wanted[2:], "depth50"))
            ticks = await read(client, codec)
            for _ in range(30):
                here.simulator.exchange.step(300)
                ticks += await read(client, codec)
            for instrument, fields in merged(ticks).items():
                true = in_whole_seconds(here.security(instrument).fields(50))
                names = ("depth", "total_buy_quantity", "total_sell_quantity")
                assert {name: fields[name] for name in names} == {name: true[name] for name in names}
                assert len(fields["depth"]["buy"]) > 5
            assert set(merged(ticks)) == set(wanted)

            client.send(*codec.subscribe([here.find("WIPRO", "NSE")], "depth50"))
            (refusal,) = (codec.decode(message) for message in await client.flush())
            assert (refusal.event, refusal.refused) == (Event.ERROR, [here.find("WIPRO", "NSE")])
            client.send(*codec.heartbeat_frames())
            assert await client.flush() == ["pong"]
            client.send(*codec.unsubscribe(wanted, "depth50"))
            await client.flush()
            here.simulator.exchange.step(2000)
            assert await client.flush() == []
            await client.close()

    asyncio.run(run())


def test_quotes_and_fifty_levels_of_two_sockets_are_one_stream() -> None:
    async def run() -> None:
        async with rig("fyers", rate=20_000) as feed:
            rows = [row for row in feed.listed(500) if row.exchange in ("NSE", "NFO")][:5]
            grants = await feed.subscribe(rows, Mode.DEPTH, 50)
            assert {grant.key.depth for grant in grants} == {50}
            await feed.ticking(grants)

            def complete() -> bool:
                shown = [feed.bus.payloads[grant.topic][-1] for grant in grants]
                return all("ltp" in each and len(each.get("depth", {}).get("buy", ())) > 20 for each in shown)

            await eventually(complete, "quotes and deep books together")
            assert {client.endpoint for client in feed.simulator.clients} == {"hsm", "tbt"}
            (quotes,) = (client for client in feed.simulator.clients if client.endpoint == "hsm")
            assert all(kinds == {"sf"} for kinds in quotes.subscriptions.values())
            assert feed.feed.counters.malformed == feed.feed.counters.unknown == 0

    asyncio.run(run())


def test_a_depth_channel_is_silent_until_it_is_resumed() -> None:
    async def run() -> None:
        async with market() as here:
            client, codec = await here.connect("tbt")
            request, resume = codec.subscribe([here.find("SBIN", "NSE")], "depth50")
            client.send(request)
            here.simulator.exchange.step(1000)
            assert await client.flush() == []
            client.send(resume)
            assert len(await read(client, codec)) == 1
            client.send('{"type":2,"data":{"resumeChannels":[],"pauseChannels":["1"]}}')
            await client.flush()
            here.simulator.exchange.step(2000)
            assert await client.flush() == []
            await client.close()

    asyncio.run(run())


def test_handshakes_are_refused_as_the_broker_refuses_them() -> None:
    async def run() -> None:
        async with market() as here:
            with pytest.raises(WSInvalidStatusError) as caught:
                await WireClient.connect(here.simulator.urls["tbt"], {"authorization": "SIM:wrong"})
            assert caught.value.response.status == 401
            clients = [(await here.connect("hsm"))[0] for _ in range(3)]
            with pytest.raises(WSInvalidStatusError) as caught:
                await here.connect("hsm")
            assert caught.value.response.status == 429
            for client in clients:
                await client.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        ("hsm", "text"),
        ("hsm", b""),
        ("hsm", b"\x00\x01"),
        ("hsm", bytes.fromhex("000404 03 010001")),
        ("hsm", wire.response(4)),
        ("hsm", wire.response(4, (1, b"\xff\xff\x05abc"))),
        ("hsm", wire.response(4, (1, b"\x00\x01\x03abc"), (2, b""))),
        ("hsm", wire.response(5, (1, b"\x00"))),
        ("hsm", wire.response(7, (1, bytes(9) + b"\xff"))),
        ("hsm", wire.response(3)),
        ("hsm", wire.response(99, (1, b"x"))),
        ("tbt", b"\x00"),
        ("tbt", "{"),
        ("tbt", "[" * 10_000),
        ("tbt", '{"type":1,"data":{"symbols":[7]}}'),
        ("tbt", '{"type":1,"data":{"symbols":["NSE:NOBODY-EQ"],"channel":"1"}}'),
        ("tbt", '{"type":9,"data":{}}'),
        ("tbt", '{"type":2}'),
    ],
)
def test_a_hostile_client_breaks_nothing(channel: str, message: str | bytes) -> None:
    async def run() -> None:
        async with market() as here:
            client, codec = await here.connect(channel)
            await read(client, codec)
            client.send(message)
            await client.flush()
            client.send(*codec.subscribe([here.find("SBIN", "NSE")], "depth50" if channel == "tbt" else "quote"))
            answers = [codec.decode(each) for each in await client.flush()]
            assert sum(len(decoded.ticks) for decoded in answers) == 1
            await client.close()

    asyncio.run(run())


def test_symbols_are_converted_for_who_is_logged_in() -> None:
    async def run() -> None:
        async with market() as here, httpx.AsyncClient() as http:
            url = f"{here.simulator.urls['api']}/data/symbol-token"
            body = {"symbols": ["NSE:INFY-EQ", "NSE:NIFTY50-INDEX", "NSE:NOBODY-EQ"]}
            assert (await http.post(url, json=body)).status_code == 401
            headers = {"Authorization": here.simulator.credentials["access_token"]}
            answer = msgspec.json.decode((await http.post(url, json=body, headers=headers)).content)
            assert answer == {
                "s": "ok",
                "validSymbol": {"NSE:INFY-EQ": "10100000001594", "NSE:NIFTY50-INDEX": "101000000026000"},
                "invalidSymbol": ["NSE:NOBODY-EQ"],
            }

    asyncio.run(run())


def test_rest_is_refused_to_a_dead_token() -> None:
    async def run() -> None:
        async with market() as here, httpx.AsyncClient() as http:
            headers = {"Authorization": "SIM12345-100:" + here.simulator.credentials["access_token"]}
            url = f"{here.simulator.urls['api']}/indus/home/tbtws"
            assert (await http.get(url, headers=headers)).json()["data"]["socket_url"] == here.simulator.urls["tbt"]
            here.simulator.expire_token()
            assert (await http.get(url, headers=headers)).status_code == 401

    asyncio.run(run())
