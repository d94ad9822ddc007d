"""Groww's simulator against its specification, our codec and adapter against the simulator."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyotp
import pytest

from broker.groww.groww_wire import PUBLIC_KEY, SEED, msg
from simulator.wire_client import WireClient
from support.simulated_market import SimulatedMarket
from tickmux.broker.groww import BROKER
from tickmux.broker.groww.streaming.groww_adapter import GrowwAdapter
from tickmux.codec import Decoded, Event, FeedCodec
from tickmux.instrument import Instrument
from tickmux.login import LoginFailed
from tickmux.simulator import load_simulator
from tickmux.simulator.groww.server import API_KEY, API_SECRET, TOTP_SECRET, GrowwSimulator
from tickmux.simulator.groww.wire import encode_payload, has_signed, is_user_key, subject
from tickmux.simulator.market.security import PAISA, PRICE_UNIT, Level, Security
from tickmux.tick import Mode, tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "groww.json").read_text())


class Market(SimulatedMarket[GrowwSimulator]):
    broker = BROKER

    def one_of_each(self) -> list[Instrument]:
        return [next(one for one in self.listed if one.exchange == name) for name in GrowwAdapter.exchanges]

    async def connect(self) -> tuple[WireClient, FeedCodec]:
        """A client that the server has accepted, and its codec."""
        adapter = GrowwAdapter(self.simulator.urls)
        codec = adapter.codec("main")
        endpoint = await adapter.endpoint("main", self.simulator.credentials, self.http)
        client = await WireClient.connect(endpoint.url, endpoint.headers)
        client.send(*codec.decode(await client.receive()).replies)  # type: ignore[arg-type]
        assert codec.decode(await client.receive()).ready
        return client, codec


on_market = Market.play


async def read(client: WireClient, codec: FeedCodec) -> Decoded:
    """All that has come, as one; nothing but data may be among it."""
    whole = Decoded(ticks=[])
    for frame in await client.flush():
        part = codec.decode(frame)
        assert (part.event, part.unrouted, part.unknown) == (None, 0, 0)
        whole.ticks += part.ticks
    return whole


# -- the encoder and the specification ---------------------------------------------------------------------


def vector(start: str) -> bytes:
    (item,) = [item for item in VECTORS["incoming"] if item["name"].startswith(start)]
    return bytes.fromhex(item["frames"][0]["hex"])


def payload(frame: bytes) -> bytes:
    return frame.partition(b"\r\n")[2][:-2]


def units(rupees: float) -> int:
    return round(rupees * PRICE_UNIT)


def sbin(**more: Any) -> Security:
    return Security(symbol="SBIN", exchange="NSE", name="STATE BANK", kind="EQ", token=3045, tick=5 * PAISA, **more)


def test_a_whole_price_message_is_that_of_the_vectors() -> None:
    share = sbin(
        ltp=units(812.35), open=units(810.5), high=units(818.9), low=units(806.15), close=units(807.35),
        volume=8321455, turnover=units(6772604600.0), total_buy=412350, total_sell=512098,
        upper_circuit=units(888.05), lower_circuit=units(726.65), updated_at=1756266300123,
        year_low=0, year_high=0,
    )  # fmt: skip
    theirs = payload(vector("live price with all 16 fields"))
    # The encoder says everything that the vector says but for turnover, average and the two unused ranges.
    ours = BROKER.adapter().codec("main")
    ours.subscribe([Instrument(symbol="SBIN", exchange="NSE", token="3045")], "depth")
    both = [
        tick_fields(ours.decode(msg(subject(share, "price"), each)).ticks[0])
        for each in (theirs, encode_payload(share, "price"))
    ]
    assert both[0].pop("avg_trade_price") == 813.8725
    assert both[1].pop("avg_trade_price") == share.average / PRICE_UNIT
    assert both[0] == both[1]


def test_an_indexs_message_is_byte_for_byte_that_of_the_vectors() -> None:
    for name, number, symbol, exchange, value, time in (
        ("index value, NSE", 26000, "NIFTY", "NSE_INDEX", 24698.35, 1756266304295),
        ("index value, BSE", 1, "SENSEX", "BSE_INDEX", 80792.14, 1756266304310),
    ):
        index = Security(
            symbol=symbol, exchange=exchange, name=symbol, kind="INDEX", token=number, tick=PAISA,
            ltp=units(value), updated_at=time,
        )  # fmt: skip
        frame = vector(name)
        assert encode_payload(index, "price") == payload(frame)
        assert frame.split(b" ")[1].decode() == subject(index, "price")


def test_a_book_is_that_of_the_vectors_but_for_the_order_of_its_map() -> None:
    sides = (
        [(812.3, 113), (812.25, 23), (812.2, 206), (812.15, 774), (812.1, 1055)],
        [(812.35, 3), (812.4, 472), (812.45, 212), (812.5, 138), (812.55, 895)],
    )
    bids, asks = ([Level(units(price), quantity, 1) for price, quantity in side] for side in sides)
    theirs = payload(vector("market depth, five levels"))
    ours = encode_payload(sbin(bids=bids, asks=asks, updated_at=1756266300000), "book")
    assert ours[:20] == theirs[:20]
    assert sorted(ours) == sorted(theirs)


def test_the_exchange_of_bse_is_not_on_the_wire() -> None:
    share = Security(
        symbol="X", exchange="BSE", name="X", kind="EQ", token=500325, tick=5 * PAISA, ltp=units(1389.05)
    )
    assert encode_payload(share, "price") == b"\x0a\x01X\x22\x09\x69" + bytes.fromhex("3333333333b49540")
    assert subject(share, "book") == "/ld/eq/bse/book.500325"


def test_signatures_are_checked_in_both_alphabets_of_base64() -> None:
    (item,) = [item for item in VECTORS["outgoing"] if item["call"]["op"] == "connect"]
    said = json.loads(bytes.fromhex(item["frames"][0]["hex"]).partition(b" ")[2])
    key, nonce = item["call"]["public_nkey"], "dGVzdG5vbmNl"
    assert is_user_key(key)
    assert has_signed(key, nonce, said["sig"])
    assert has_signed(key, nonce, said["sig"].translate(str.maketrans("+/", "-_")).rstrip("="))
    assert not has_signed(key, "other", said["sig"])
    for hostile in ("", "é", "x", "A" * 88, None, 5):
        assert not has_signed(key, nonce, hostile)


@pytest.mark.parametrize("key", [None, 5, "", "U" * 56, SEED, "é" * 56, f"{PUBLIC_KEY[:-1]}A"])
def test_only_a_users_public_key_gets_a_socket_token(key: object) -> None:
    async def body(here: Market) -> None:
        headers = {"Authorization": f"Bearer {here.simulator.credentials['access_token']}"}
        answer = await here.http.post(here.simulator.urls["socket_token"], json={"socketKey": key}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "GA001")

    on_market(body)


# -- the feed ----------------------------------------------------------------------------------------------


def test_all_that_the_wire_carries_is_read_back_as_it_is() -> None:
    async def body(here: Market) -> None:
        client, codec = await here.connect()
        chosen = here.one_of_each()
        client.send(*codec.subscribe([one for one in chosen if not one.is_index], "depth"))  # type: ignore[arg-type]
        client.send(*codec.subscribe([one for one in chosen if one.is_index], "price"))  # type: ignore[arg-type]
        here.simulator.exchange.step(3000)
        ticks = (await read(client, codec)).ticks
        for instrument in chosen:
            security = here.security(instrument)
            wanted = security.fields()
            mine = [tick for tick in ticks if tick.instrument == instrument]
            last = {tick.mode: tick_fields(tick) for tick in mine}
            if security.is_index:
                assert last == {Mode.LTP: {"ltp": wanted["ltp"], "timestamp": wanted["timestamp"]}}
                continue
            unsaid = ("ltt", "last_trade_quantity", "depth")
            assert last[Mode.QUOTE] == {k: v for k, v in wanted.items() if k not in unsaid and v}
            book: Any = wanted["depth"]
            levels = {side: [{k: v for k, v in e.items() if k != "orders"} for e in book[side]] for side in book}
            assert last[Mode.DEPTH] == {"timestamp": wanted["timestamp"], "depth": levels}

    on_market(body)


def test_operations_are_cut_between_frames_and_read_all_the_same() -> None:
    async def body(here: Market) -> None:
        client, codec = await here.connect()
        shares = [one for one in here.listed if one.exchange == "NSE"]
        client.send(*codec.subscribe(shares, "depth"))  # type: ignore[arg-type]
        frames = await client.flush()
        here.simulator.exchange.step(500)
        frames += await client.flush()
        assert 4096 in {len(frame) for frame in frames}
        ticks = [tick for frame in frames for tick in codec.decode(frame).ticks]
        assert {tick.instrument for tick in ticks} == set(shares)

    on_market(body)


def test_an_ended_subscription_is_silent() -> None:
    async def body(here: Market) -> None:
        client, codec = await here.connect()
        share = here.find("SBIN", "NSE")
        client.send(*codec.subscribe([share], "depth"))  # type: ignore[arg-type]
        assert {tick.mode for tick in (await read(client, codec)).ticks} == {Mode.QUOTE, Mode.DEPTH}
        client.send(*codec.change([share], "depth", "price"))  # type: ignore[arg-type]
        await read(client, codec)
        here.simulator.exchange.step(2000)
        assert {tick.mode for tick in (await read(client, codec)).ticks} == {Mode.QUOTE}
        client.send(*codec.unsubscribe([share], "price"))  # type: ignore[arg-type]
        await read(client, codec)
        here.simulator.exchange.step(2000)
        assert (await read(client, codec)).ticks == []
        assert here.simulator.clients

    on_market(body)


@pytest.mark.parametrize(
    "change",
    [
        lambda connect: b"PING\r\n",
        lambda connect: b"SUB /ld/eq/nse/price.3045 1\r\n",
        lambda connect: connect.replace(b'"sig":"', b'"sig":"AA'),
        lambda connect: connect.replace(b'"jwt":"', b'"jwt":"x'),
        lambda connect: b"CONNECT {}\r\n",
        lambda connect: b"CONNECT [1]\r\n",
        lambda connect: b"CONNECT \xff\r\n",
        lambda connect: b"\r\n",
    ],
)
def test_without_a_good_log_in_there_is_an_error_and_an_end(change: Callable[[bytes], bytes]) -> None:
    async def body(here: Market) -> None:
        adapter = GrowwAdapter(here.simulator.urls)
        codec = adapter.codec("main")
        endpoint = await adapter.endpoint("main", here.simulator.credentials, here.http)
        client = await WireClient.connect(endpoint.url)
        (connect,) = codec.decode(await client.receive()).replies
        assert isinstance(connect, bytes)
        client.send(change(connect))
        refused = codec.decode(await client.receive())
        assert (refused.event, refused.restart) == (Event.ERROR, True)  # the first time a new token may help
        assert await client.ended() == 1008

    on_market(body)


def test_a_dead_access_token_gets_no_socket_token_and_ends_the_connection() -> None:
    async def body(here: Market) -> None:
        client, codec = await here.connect()
        here.simulator.expire_token()
        assert codec.decode(await client.receive()).restart
        await client.ended()
        adapter = GrowwAdapter(here.simulator.urls)
        with pytest.raises(AuthRejected):
            await adapter.endpoint("main", here.simulator.credentials, here.http)
        here.simulator.new_token()
        await here.connect()

    on_market(body)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"PING", b"PONG\r\n"),
        (b"SUB /ld/eq/nse/> 1", b"-ERR 'Permissions Violation for Subscription to \"/ld/eq/nse/>\"'\r\n"),
        (b"PUB x 0", b"-ERR 'Unknown Protocol Operation'\r\n"),
        (b"x" * 70_000, b"-ERR 'Maximum Control Line Exceeded'\r\n"),
    ],
)
def test_the_server_answers_as_a_nats_server_does(line: bytes, answer: bytes) -> None:
    async def body(here: Market) -> None:
        client, _ = await here.connect()
        client.send(line if len(line) > 1000 else line + b"\r\n")
        assert await client.receive() == answer

    on_market(body)


def test_unknown_subjects_and_numbers_are_silent() -> None:
    async def body(here: Market) -> None:
        client, _ = await here.connect()
        client.send(b"SUB /ld/eq/nse/price.0  1\r\nUNSUB 9 \r\nPONG\r\nUNSUB 1\r\n")
        assert await client.flush() == []

    on_market(body)


def test_the_servers_ping_is_answered() -> None:
    async def body(here: Market) -> None:
        client, codec = await here.connect()
        here.simulator.beat()
        decoded = codec.decode(await client.receive())
        assert (decoded.event, decoded.replies) == (Event.HEARTBEAT, [b"PONG\r\n"])

    on_market(body)


# -- login and REST ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values", [{"totp_secret": TOTP_SECRET}, {"totp": "of the moment"}, {"api_secret": API_SECRET}]
)
def test_each_way_of_logging_in_goes_through_to_a_feed(values: dict[str, str]) -> None:
    async def body(here: Market) -> None:
        login = BROKER.login(here.simulator.urls)
        old = here.simulator.credentials
        if "totp" in values:  # made now: one of the collection's time would have run out
            values["totp"] = pyotp.TOTP(TOTP_SECRET).now()
        session = await login.exchange({"api_key": API_KEY, **values}, {}, "", here.http, datetime.now(UTC))
        assert session.values == here.simulator.credentials.values != old.values
        assert session.expires_at is not None
        await here.connect()

    on_market(body)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"api_key": "wrong", "totp": "123456"}, "GA005"),
        ({"api_key": API_KEY, "totp": "000000"}, "next code"),
        ({"api_key": API_KEY, "api_secret": "wrong"}, "approve the key"),
    ],
)
def test_a_wrong_login_is_refused_and_the_old_session_lives(values: dict[str, str], words: str) -> None:
    async def body(here: Market) -> None:
        if values.get("totp") == pyotp.TOTP(TOTP_SECRET).now():
            values["totp"] = "999999"
        with pytest.raises(LoginFailed, match=words):
            await BROKER.login(here.simulator.urls).exchange(values, {}, "", here.http, datetime.now(UTC))
        await here.connect()

    on_market(body)


def test_an_old_checksum_is_refused() -> None:
    async def body(here: Market) -> None:
        login = BROKER.login(here.simulator.urls)
        with pytest.raises(LoginFailed):
            await login.exchange(
                {"api_key": API_KEY, "api_secret": API_SECRET}, {}, "", here.http, datetime(2024, 1, 1, tzinfo=UTC)
            )

    on_market(body)


def test_the_trailing_slash_of_the_socket_token_service_matters() -> None:
    async def body(here: Market) -> None:
        answer = await here.http.post(here.simulator.urls["socket_token"].rstrip("/"))
        assert answer.status_code == 404
        assert answer.json()["status"] == "FAILURE"

    on_market(body)


def test_the_instrument_list_is_served_and_has_commodities_without_a_feed() -> None:
    async def body(here: Market) -> None:
        (download,) = BROKER.instruments(here.simulator.urls).downloads(None)
        answer = await here.http.get(download.url)
        assert [(download.filename, answer.content)] == here.simulator.instrument_dump()
        assert {one.exchange for one in here.listed} == {*GrowwAdapter.exchanges, "MCX"}
        assert here.find("MIDCPNIFTY", "NSE_INDEX").token == "NIFTYMIDSELECT"

    on_market(body)


def test_the_simulator_is_found_by_its_brokers_name() -> None:
    assert load_simulator("groww") is GrowwSimulator
