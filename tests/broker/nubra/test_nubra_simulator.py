"""Nubra's simulator against its specification, our codec and adapter against the simulator."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import picows
import pyotp
import pytest

from simulator.wire_client import WireClient
from support.simulated_market import SimulatedMarket
from tickmux.broker.nubra import BROKER
from tickmux.broker.nubra.streaming.nubra_adapter import NubraAdapter
from tickmux.codec import Decoded, Event, FeedCodec
from tickmux.instrument import Instrument
from tickmux.login import AnswerWanted, LoginFailed
from tickmux.simulator import load_simulator
from tickmux.simulator.market.security import PAISA, PRICE_UNIT, Level, Security
from tickmux.simulator.nubra.server import API_KEY, MPIN, PHONE, SMS_CODE, TOTP_SECRET, NubraSimulator
from tickmux.simulator.nubra.wire import Item, encode_batch, encode_item, ref_id
from tickmux.simulator.server.protobuf_wire import integer, varint
from tickmux.tick import Mode, tick_fields
from tickmux.websocket_proxy.base_adapter import AuthRejected

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "nubra.json").read_text())


class Market(SimulatedMarket[NubraSimulator]):
    broker = BROKER

    def one_of_each(self) -> list[Instrument]:
        """An instrument of every exchange and kind."""
        found: dict[tuple[str, str], Instrument] = {}
        for one in self.listed:
            found.setdefault((one.exchange, one.instrumenttype), one)
        return list(found.values())

    async def connect(self, channel: str = "main") -> tuple[WireClient, FeedCodec]:
        adapter = NubraAdapter(self.simulator.urls)
        codec = adapter.codec(channel)
        endpoint = await adapter.endpoint(channel, self.simulator.credentials, self.http)
        client = await WireClient.connect(endpoint.url, endpoint.headers)
        client.send(*codec.open_frames(self.simulator.credentials))  # type: ignore[arg-type]
        return client, codec


on_market = Market.play


async def read(client: WireClient, codec: FeedCodec) -> Decoded:
    """All that has come, as one; nothing but data and remarks may be among it."""
    whole = Decoded(ticks=[])
    for frame in await client.flush():
        part = codec.decode(frame)
        assert part.event in (None, Event.ACK)
        assert (part.unrouted, part.unknown) == (0, 0)
        whole.ticks += part.ticks
    return whole


# -- the encoder and the specification ---------------------------------------------------------------------


def vector(start: str) -> bytes:
    (item,) = [item for item in VECTORS["incoming"] if item["name"].startswith(start)]
    return bytes.fromhex(item["frames"][0]["hex"])


def meaning(frame: bytes) -> list[tuple[str, dict[str, Any]]]:
    codec = NubraAdapter().codec("main")
    rows = VECTORS["instruments"]
    codec.subscribe([Instrument(**row) for row in rows], "full")
    return [(tick.instrument.symbol, tick_fields(tick)) for tick in codec.decode(frame).ticks]


def units(rupees: float) -> int:
    return round(rupees * PRICE_UNIT)


def levels(*wanted: tuple[float, int, int]) -> list[Level]:
    return [Level(units(price), quantity, orders) for price, quantity, orders in wanted]


def test_an_order_book_is_byte_for_byte_that_of_the_vectors() -> None:
    share = Security(
        symbol="SBIN", exchange="NSE", name="STATE BANK", kind="EQ", token=3045, tick=5 * PAISA,
        ltp=units(812.35), last_quantity=9, volume=6565771, updated_at=1756266300118,
        bids=levels((812.3, 142, 3), (812.25, 167, 4), (812.2, 192, 5), (812.15, 217, 6), (812.1, 242, 7)),
        asks=levels((812.35, 79, 2), (812.4, 104, 3), (812.45, 129, 4), (812.5, 154, 5), (812.55, 179, 6)),
    )  # fmt: skip
    ours = encode_batch("orderbook", 1756266300123, [_with_ref(encode_item(share, "orderbook", 5), share, 70115)])
    theirs = vector("order book batch, one equity")
    assert meaning(ours) == meaning(theirs)
    # The vector's times have fractions of a millisecond, which the simulator's have not.
    for exact, whole in (("95cae4aed1dce0af18", 1756266300123), ("d5b3b3acd1dce0af18", 1756266300118)):
        theirs = theirs.replace(bytes.fromhex(exact), varint(whole * 1_000_000))
    assert ours == theirs


def _with_ref(item: Item, security: Security, ref: int) -> Item:
    """The item with the ref_id of the vectors in place of the simulator's own."""
    return Item(item.field, item.content.removesuffix(integer(8, ref_id(security))) + integer(8, ref))


def test_an_index_and_its_day_mean_what_the_vectors_mean() -> None:
    nifty = Security(
        symbol="NIFTY", exchange="NSE_INDEX", name="NIFTY 50", kind="INDEX", token=26000, tick=5 * PAISA,
        ltp=units(24698.35), open=units(24780.0), high=units(24812.65), low=units(24650.1), close=units(24801.95),
        updated_at=1756266300000,
    )  # fmt: skip
    share = Security(
        symbol="SBIN", exchange="NSE", name="STATE BANK", kind="EQ", token=3045, tick=5 * PAISA,
        ltp=units(812.35), open=units(810.5), high=units(818.9), low=units(806.15), close=units(807.35),
        volume=6565771, updated_at=1756266300100,
    )  # fmt: skip
    batch = [encode_item(share, "index", 0), encode_item(nifty, "index", 0)]
    assert meaning(encode_batch("index", 1756266300123, batch)) == meaning(vector("index batch, index and equity"))
    nifty.updated_at = share.updated_at = 1756266300123
    batch = [encode_item(share, "index_bucket", 0), encode_item(nifty, "index_bucket", 0)]
    assert meaning(encode_batch("index_bucket", 1756266300123, batch)) == meaning(vector("index bucket 1d"))


def test_an_options_greeks_mean_what_the_vectors_mean() -> None:
    option = Security(
        symbol="NIFTY28AUG2525000CE", exchange="NFO", name="NIFTY", kind="CE", token=52800, tick=5 * PAISA,
        ltp=units(96.4), oi=8123400, volume=81234000, strike=units(25000), updated_at=1756266300123,
    )  # fmt: skip
    item = encode_item(option, "greeks", 0)
    moved = Item(item.field, item.content.removesuffix(integer(14, ref_id(option))) + integer(14, 1120040))
    assert meaning(encode_batch("greeks", 1756266300123, [moved])) == meaning(vector("greeks batch"))


# -- the feed ----------------------------------------------------------------------------------------------

_PROMISED = {
    "EQ": ("ltp", "open", "high", "low", "close", "volume", "last_trade_quantity", "timestamp", "depth"),
    "FUT": ("ltp", "volume", "last_trade_quantity", "timestamp", "depth"),
    "CE": ("ltp", "volume", "last_trade_quantity", "timestamp", "depth", "oi"),
    "PE": ("ltp", "volume", "last_trade_quantity", "timestamp", "depth", "oi"),
    "INDEX": ("ltp", "open", "high", "low", "close", "timestamp"),
}


@pytest.mark.parametrize(("channel", "depth"), [("main", 5), ("deep", 20)])
def test_all_that_the_wire_carries_is_read_back_as_it_is(channel: str, depth: int) -> None:
    async def body(here: Market) -> None:
        client, codec = await here.connect(channel)
        chosen = here.one_of_each()
        client.send(*codec.subscribe(chosen, "full"))  # type: ignore[arg-type]
        ticks = (await read(client, codec)).ticks
        here.simulator.exchange.step(3000)
        ticks += (await read(client, codec)).ticks
        for instrument in chosen:
            merged: dict[str, Any] = {}
            for tick in ticks:
                if tick.instrument == instrument:
                    merged |= tick_fields(tick)
            wanted = here.security(instrument).fields(depth)
            promised = _PROMISED[instrument.instrumenttype]
            # What is zero (an option that never traded) is absent.
            assert merged == {name: wanted[name] for name in promised if wanted[name]}, instrument

    on_market(body)


def test_an_ended_topic_is_silent() -> None:
    async def body(here: Market) -> None:
        client, codec = await here.connect()
        share = here.find("SBIN", "NSE")
        client.send(*codec.subscribe([share], "full"))  # type: ignore[arg-type]
        assert {tick.mode for tick in (await read(client, codec)).ticks} == {Mode.QUOTE, Mode.DEPTH}
        client.send(*codec.change([share], "full", "ltp"))  # type: ignore[arg-type]
        await read(client, codec)
        here.simulator.exchange.step(2000)
        assert {tick.mode for tick in (await read(client, codec)).ticks} == {Mode.DEPTH}
        client.send(*codec.unsubscribe([share], "ltp"))  # type: ignore[arg-type]
        await read(client, codec)
        here.simulator.exchange.step(2000)
        assert (await read(client, codec)).ticks == []

    on_market(body)


def test_a_new_depth_counts_for_what_is_subscribed_already() -> None:
    async def body(here: Market) -> None:
        client, codec = await here.connect()
        client.send(*codec.subscribe([here.find("SBIN", "NSE")], "ltp"))  # type: ignore[arg-type]
        await read(client, codec)
        client.send(f"batch_subscribe {here.simulator.credentials['session_token']} orderbook_depth 7")
        (tick,) = (await read(client, codec)).ticks
        assert tick.depth is not None
        assert (len(tick.depth.buy), len(tick.depth.sell)) == (7, 7)

    on_market(body)


@pytest.mark.parametrize(
    "command",
    [
        "hello",
        "batch_subscribe {t}",
        "batch_subscribe {t} orderbook",
        "batch_subscribe {t} orderbook [1]",
        "batch_subscribe {t} orderbook {{}} NSE",
        "batch_subscribe {t} elsewhere {{}}",
        "batch_subscribe {t} index {{}}",
        "batch_subscribe {t} orderbook_depth 0",
        "batch_subscribe {t} orderbook_depth 21",
        "batch_subscribe {t} orderbook_depth five",
    ],
)
def test_a_wrong_command_is_an_error_and_the_connection_lives(command: str) -> None:
    async def body(here: Market) -> None:
        client, codec = await here.connect()
        client.send(command.format(t=here.simulator.credentials["session_token"]))
        (remark,) = await client.flush()
        assert codec.decode(remark).event == Event.ERROR

    on_market(body)


def test_unknown_instruments_and_other_candles_are_left_out() -> None:
    async def body(here: Market) -> None:
        client, _ = await here.connect()
        token = here.simulator.credentials["session_token"]
        client.send(
            f'batch_subscribe {token} orderbook {{"instruments":[1],"indexes":[]}}',
            f'batch_subscribe {token} index {{"instruments":[],"indexes":["NIFTY"]}} BSE',
            f'batch_subscribe {token} index_bucket {{"instruments":[],"indexes":["NIFTY"]}} 1m NSE',
            f"batch_subscribe {token} socket_interval index 1s",
        )
        remarks = await client.flush()
        assert len(remarks) == 4
        assert all(isinstance(remark, str) for remark in remarks)

    on_market(body)


def test_a_command_beyond_the_weight_of_the_session_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickmux.simulator.nubra.server._MOST_WEIGHT", 12)

    async def body(here: Market) -> None:
        client, codec = await here.connect()
        share, future = here.find("SBIN", "NSE"), next(one for one in here.listed if one.instrumenttype == "FUT")
        client.send(*codec.subscribe([share], "full"))  # type: ignore[arg-type]  # 8
        assert (await read(client, codec)).ticks
        client.send(*codec.subscribe([future], "ltp"))  # type: ignore[arg-type]
        (remark,) = await client.flush()
        decoded = codec.decode(remark)
        assert decoded.event == Event.ERROR
        assert decoded.message == (
            f"Error: subscription weight limit reached (last command: batch_subscribe orderbook of 1: {future.token})"
        )

    on_market(body)


def test_an_expired_session_is_told_and_the_handshake_refused() -> None:
    async def body(here: Market) -> None:
        client, codec = await here.connect()
        old = here.simulator.credentials
        here.simulator.expire_token()
        assert codec.decode(await client.receive()).event == Event.AUTH_ERROR
        await client.ended()
        adapter = NubraAdapter(here.simulator.urls)
        with pytest.raises(AuthRejected):
            await adapter.endpoint("main", old, here.http)
        # picows knows no such status as 440 and says only what it saw; that is why the adapter asks REST first.
        with pytest.raises(picows.WSError, match="440"):
            await WireClient.connect(here.simulator.urls["feed"], {"Authorization": f"Bearer {old['session_token']}"})
        here.simulator.new_token()
        await here.connect()

    on_market(body)


def test_without_the_header_the_commands_token_counts() -> None:
    async def body(here: Market) -> None:
        client = await WireClient.connect(here.simulator.urls["feed"])
        client.send("batch_subscribe wrong orderbook_depth 5")
        assert await client.receive() == "Invalid Token"

    on_market(body)


# -- login and REST ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [{"phone": PHONE, "mpin": MPIN, "totp_secret": TOTP_SECRET}, {"api_key": API_KEY}])
def test_each_way_of_logging_in_goes_through_to_a_feed(values: dict[str, str]) -> None:
    async def body(here: Market) -> None:
        old = here.simulator.credentials
        session = await BROKER.login(here.simulator.urls).exchange(values, {}, "", here.http, datetime.now(UTC))
        assert session["session_token"] == here.simulator.credentials["session_token"] != old["session_token"]
        await here.connect()

    on_market(body)


def test_a_login_without_a_totp_goes_on_with_the_code_of_an_sms() -> None:
    async def body(here: Market) -> None:
        login, values = BROKER.login(here.simulator.urls), {"phone": PHONE, "mpin": MPIN}
        with pytest.raises(AnswerWanted) as wanted:
            await login.exchange(values, {}, "", here.http, datetime.now(UTC))
        kept = {**values, **wanted.value.kept}
        with pytest.raises(LoginFailed, match="did not accept the code"):
            await login.exchange(kept | {"otp": "000000"}, {}, "", here.http, datetime.now(UTC))
        session = await login.exchange(kept | {"otp": SMS_CODE}, {}, "", here.http, datetime.now(UTC))
        assert session["session_token"] == here.simulator.credentials["session_token"]
        await here.connect()

    on_market(body)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"phone": PHONE, "mpin": MPIN, "totp": "000000"}, "next code"),
        ({"phone": "1", "mpin": MPIN, "totp_secret": TOTP_SECRET}, "next code"),
        ({"phone": PHONE, "mpin": "0", "totp_secret": TOTP_SECRET}, "check the MPIN"),
        ({"api_key": "wrong"}, "check the API key"),
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


def test_the_instrument_lists_are_served_to_the_session_alone() -> None:
    async def body(here: Market) -> None:
        downloads = BROKER.instruments(here.simulator.urls).downloads(here.simulator.credentials)
        served = []
        for file in downloads:
            answer = await here.http.get(file.url, headers=dict(file.headers))
            served.append((file.filename, answer.content))
        assert served == here.simulator.instrument_dump()
        assert (await here.http.get(downloads[0].url)).status_code == 440
        assert (await here.http.get(f"{here.simulator.urls['api']}/nowhere")).status_code == 404
        assert {one.exchange for one in here.listed} == set(NubraAdapter.exchanges)
        assert here.find("INDIAVIX", "NSE_INDEX").token == "INDIA_VIX"

    on_market(body)


def test_the_exchanges_numbers_repeat_and_nubras_do_not() -> None:
    async def body(here: Market) -> None:
        traded = [here.security(one) for one in here.listed if not one.is_index]
        assert len({security.token for security in traded}) < len(traded)
        assert len({one.token for one in here.listed if not one.is_index}) == len(traded)

    on_market(body)


def test_the_simulator_is_found_by_its_brokers_name() -> None:
    assert load_simulator("nubra") is NubraSimulator
