"""OpenAlgo's publishers as a feed, on a clock of the test's own."""

import asyncio
import json
from itertools import pairwise

import pytest

from support.virtual_time import run_virtually
from tickmux.feeds.external_feed import ExternalFeed
from tickmux.feeds.foreign import Named, NoTick, Other, fields_of, topic_of
from tickmux.tick import Mode
from tickmux.websocket_proxy.feed import Want


class Bus:
    def __init__(self):
        self.sent = []

    async def wait_ready(self, timeout):
        return True

    def send(self, parts):
        self.sent.append(list(parts))

    def close(self):
        pass


class World:
    """A feed, and what it has sent."""

    def __init__(self):
        self.open = True
        self.bus = Bus()
        loop = asyncio.get_running_loop()
        self.feed = ExternalFeed(self.bus, loop.time, lambda: int(loop.time() * 1000), lambda exchange: self.open)
        self.told = []
        self.feed.listen_to_instruments(self.told.extend)

    async def want(self, *modes, symbol="SBIN", exchange="NSE", depth=5):
        grants = await self.feed.subscribe([Want(symbol, exchange, mode, depth) for mode in modes])
        return [grant.key for grant in grants]

    def publish(self, topic, **fields):
        self.feed.on_message(topic.encode(), json.dumps(fields).encode())
        self.feed.on_drained()
        parts = self.bus.sent.pop() if self.bus.sent else []
        return [json.loads(payload) for payload in parts[1::2]]


def run(main):
    async def lived():
        world = World()
        await main(world)
        await world.feed.stop()

    run_virtually(lived())


BOOK = {"buy": [{"price": 1, "quantity": 2}], "sell": []}
TICK = {"ltp": 625.5, "ltt": 1, "timestamp": 2, "volume": 10, "depth": BOOK}


@pytest.mark.parametrize(
    ("published", "reached"), [("DEPTH", ["ltp", "quote", "depth"]), ("QUOTE", ["ltp", "quote"]), ("LTP", ["ltp"])]
)
def test_the_richest_mode_reaches_the_poorer_ones_too(published, reached):
    async def main(world):
        await world.want(Mode.LTP, Mode.QUOTE, Mode.DEPTH)
        found = {data["mode"]: data for data in world.publish(f"NSE_SBIN_{published}", **TICK)}
        assert list(found) == reached
        assert published == "LTP" or found["ltp"] == {
            "symbol": "SBIN", "exchange": "NSE", "mode": "ltp", "ltp": 625.5, "ltt": 1, "timestamp": 2,
        }  # fmt: skip
        if published == "DEPTH":
            assert "depth" not in found["quote"]
            assert found["quote"]["volume"] == 10
            assert found["depth"]["depth"] == BOOK

    run(main)


def test_a_mode_that_is_published_itself_gets_nothing_trimmed():
    async def main(world):
        await world.want(Mode.LTP)
        assert len(world.publish("NSE_SBIN_LTP", ltp=1)) == 1
        assert world.publish("NSE_SBIN_QUOTE", ltp=2) == []
        await asyncio.sleep(31)
        assert len(world.publish("NSE_SBIN_QUOTE", ltp=3)) == 1, "it has ended"

    run(main)


def test_a_book_without_a_price_is_nothing_for_ltp():
    async def main(world):
        await world.want(Mode.LTP)
        assert world.publish("NSE_SBIN_DEPTH", depth={"buy": [], "sell": []}) == []
        assert world.feed.counters.malformed == 0

    run(main)


def test_two_instruments_of_one_topic_name_are_told_apart_by_the_payload():
    async def main(world):
        await world.want(Mode.LTP, symbol="NIFTY", exchange="NSE_INDEX")
        await world.want(Mode.LTP, symbol="INDEX_NIFTY", exchange="NSE")
        (data,) = world.publish("NSE_INDEX_NIFTY_LTP", ltp=1, symbol="NIFTY", exchange="NSE_INDEX")
        assert (data["symbol"], data["exchange"]) == ("NIFTY", "NSE_INDEX")
        assert world.publish("NSE_INDEX_NIFTY_LTP", ltp=1, symbol="TCS") == []
        assert world.feed.counters.malformed == 1

    run(main)


def test_orders_and_notes_to_caches_are_known_and_ignored():
    async def main(world):
        await world.want(Mode.LTP)
        for topic in ("bob_orders", "CACHE_INVALIDATE_AUTH_bob", "what", ""):
            assert world.publish(topic, ltp=1) == []
        assert (world.feed.counters.ignored, world.feed.counters.unknown) == (2, 2)
        assert topic_of(b"NSE_FOO_DEPTH_LTP") == Named(b"NSE_FOO_DEPTH", Mode.LTP)
        assert topic_of(b"x_orders") is Other.ORDERS

    run(main)


@pytest.mark.parametrize(
    "payload",
    [b"{}", b'{"ltp":-3.5}', b'{"ltp":1,"volume":9007199254740992}', b'{"name":"' + "ü".encode() * 99 + b'"}'],
)
def test_what_every_client_can_take_is_taken(payload):
    assert isinstance(fields_of(payload), dict)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"volume":9007199254740993}',
        b'{"ltp":1e13}',
        b'{"a":[[[[[1]]]]]}',
        b'{"a":' + b"[" * 100_000,
        b'{"ltp":null,"close":"x"}',
    ],
)
def test_what_some_client_cannot_take_is_refused(payload):
    with pytest.raises(NoTick):
        fields_of(payload)


def test_a_publisher_that_dies_is_noticed_for_each_of_its_instruments():
    async def main(world):
        await world.want(Mode.LTP)
        await world.want(Mode.LTP, symbol="TCS")
        states = []
        world.feed.listen(lambda status: states.append(status.state.value))
        for second in range(20):
            world.publish("NSE_SBIN_LTP", ltp=second)
            world.publish("NSE_TCS_LTP", ltp=second)
            await asyncio.sleep(1)
        assert world.feed.info().instruments == {"live": 2}
        for second in range(20):  # SBIN's publisher is dead
            world.publish("NSE_TCS_LTP", ltp=second)
            await asyncio.sleep(1)
        assert world.feed.instrument_status("SBIN", "NSE").state == "silent"
        assert (world.feed.status.state, world.feed.status.silent_names) == ("live", ("NSE:SBIN",))
        await asyncio.sleep(20)
        assert states == ["stalled"]
        world.publish("NSE_SBIN_LTP", ltp=1)
        await asyncio.sleep(2)
        assert states == ["stalled", "live"]
        told = [one.state.value for one in world.told if one.symbol == "SBIN"]
        assert told == ["live", "silent", "live"]
        assert all(first != second for first, second in pairwise(told))

    run(main)


def test_nothing_is_missed_while_the_market_is_closed():
    async def main(world):
        await world.want(Mode.LTP)
        for second in range(10):
            world.publish("NSE_SBIN_LTP", ltp=second)
            await asyncio.sleep(1)
        world.open = False
        await asyncio.sleep(3600)
        assert world.feed.instrument_status("SBIN", "NSE").state == "quiet"
        assert world.feed.status.state == "live"

    run(main)


def test_what_nobody_holds_leaves_nothing_behind():
    async def main(world):
        keys = await world.want(Mode.LTP, Mode.LTP, Mode.DEPTH)
        world.publish("NSE_SBIN_DEPTH", **TICK)
        await asyncio.sleep(2)
        await world.feed.unsubscribe(keys[:1])
        assert world.publish("NSE_SBIN_LTP", ltp=1)
        await world.feed.unsubscribe([*keys[1:], *keys])
        assert world.feed.status.symbols == 0
        assert world.feed.instrument_status("SBIN", "NSE") is None
        assert world.publish("NSE_SBIN_LTP", ltp=1) == []
        assert world.feed.counters.unrouted == 1
        assert not world.feed._wanted and not world.feed._named and not world.feed._states._rhythms

    run(main)
