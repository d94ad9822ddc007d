"""Throttle and fan-out on a virtual clock, without sockets."""

import asyncio
import itertools
import json

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from support.virtual_time import run_virtually
from tickmux.tick import Mode
from tickmux.websocket_proxy.bus import batch_topic
from tickmux.websocket_proxy.dispatcher import Dispatcher
from tickmux.websocket_proxy.subscription_index import LaneKey, SubscriptionIndex, TopicKey

FEED = "f:a"


class Client:
    """Takes frames apart again: server frames below 64 KiB, unmasked."""

    def __init__(self):
        self.pending = []
        self.append = self.pending.append
        self.seen = []
        self.writes = 0

    def flush(self):
        self.writes += 1
        for frame in self.pending:
            size = 2 if frame[1] < 126 else 4
            self.seen.append((asyncio.get_running_loop().time(), json.loads(frame[size:])))
        self.pending.clear()

    def prices(self):
        return [message["data"]["ltp"] for _, message in self.seen]


class World:
    def __init__(self):
        self.index = SubscriptionIndex()
        self.dispatcher = Dispatcher(self.index, asyncio.get_running_loop().time)

    def subscribe(self, client, symbol="A", throttle=0.05, **lane):
        key = TopicKey(FEED, "NSE", symbol, Mode.LTP, 0)
        self.index.add(client, key, symbol.encode(), "b", LaneKey(throttle=throttle, **lane))

    def send(self, *ticks):
        """One bus message with the ticks (symbol, price) of one wire frame."""
        parts = [part for symbol, price in ticks for part in (symbol.encode(), b'{"ltp":%d}' % price)]
        self.dispatcher.on_message(batch_topic(FEED), msgspec.msgpack.encode(parts))

    def drained(self):
        self.dispatcher.flush()


def virtually(test):
    def runner():
        run_virtually(test())

    runner.__name__ = test.__name__
    return runner


@virtually
async def test_a_drain_writes_each_client_once_however_many_ticks_it_holds():
    world, a, b, idle = World(), Client(), Client(), Client()
    for symbol in "ABC":
        world.subscribe(a, symbol)
        world.subscribe(b, symbol)
    world.subscribe(idle, "Z")
    world.send(("A", 1), ("B", 2))
    world.send(("C", 3))
    world.drained()
    assert a.prices() == b.prices() == [1, 2, 3]
    assert (a.writes, b.writes, idle.writes) == (1, 1, 0)


@virtually
async def test_the_first_goes_out_at_once_and_the_newest_at_the_end_of_the_interval():
    world, client = World(), Client()
    world.subscribe(client, throttle=0.05)
    for price in range(4):
        world.send(("A", price))
        world.drained()
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    assert client.prices() == [0, 3]
    assert [round(at, 3) for at, _ in client.seen] == [0.0, 0.05]


@virtually
async def test_after_a_quiet_interval_the_next_goes_out_at_once_again():
    world, client = World(), Client()
    world.subscribe(client)
    for price in range(3):
        world.send(("A", price))
        world.drained()
        await asyncio.sleep(0.2)
    assert client.prices() == [0, 1, 2]


@virtually
async def test_a_lane_that_everybody_has_left_sends_nothing_at_its_end():
    world, client = World(), Client()
    world.subscribe(client)
    world.send(("A", 1), ("A", 2))
    world.drained()
    world.index.remove(client, ("A", "NSE", Mode.LTP))
    await asyncio.sleep(1)
    assert client.prices() == [1]


@virtually
async def test_what_nobody_subscribes_to_is_counted():
    world = World()
    world.send(("A", 1))
    world.drained()
    assert (world.dispatcher.unrouted, world.dispatcher.received) == (1, 0)


@virtually
async def test_a_client_that_pauses_catches_up_with_the_newest_of_what_changed_only():
    world, client = World(), Client()
    world.subscribe(client, "A", throttle=0.0)
    world.subscribe(client, "B", throttle=0.0)
    world.send(("A", 1), ("B", 1))
    world.drained()
    marks = world.index.pause(client)
    for price in range(2, 100):
        world.send(("A", price))
    world.drained()
    assert client.pending == []
    world.index.resume(client)
    world.dispatcher.catch_up(client, marks)
    client.flush()
    assert client.prices() == [1, 1, 99]


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.sampled_from("ABC")),
        st.tuples(st.just("wait"), st.floats(0.001, 0.12)),
        st.tuples(st.just("pause"), st.none()),
        st.tuples(st.just("resume"), st.none()),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(_steps, st.sampled_from([0.0, 0.02, 0.05]))
def test_the_newest_value_is_never_lost_and_nothing_comes_too_often_or_out_of_order(steps, throttle):
    async def main():
        world, client = World(), Client()
        newest, marks, price = {}, None, 0
        for symbol in "ABC":
            world.subscribe(client, symbol, throttle=throttle)
        for what, value in steps:
            if what == "tick":
                price += 1
                newest[value] = price
                world.send((value, price))
                world.drained()
            elif what == "wait":
                await asyncio.sleep(value)
            elif what == "pause" and marks is None:
                marks = world.index.pause(client)
            elif what == "resume" and marks is not None:
                world.index.resume(client)
                world.dispatcher.catch_up(client, marks)
                marks = None
                if client.pending:
                    client.flush()
        if marks is not None:
            world.index.resume(client)
            world.dispatcher.catch_up(client, marks)
            if client.pending:
                client.flush()
        await asyncio.sleep(1)
        for symbol in "ABC":
            mine = [(at, m["data"]["ltp"]) for at, m in client.seen if m["symbol"] == symbol]
            prices = [shown for _, shown in mine]
            assert (prices[-1] if prices else None) == newest.get(symbol)
            assert prices == sorted(prices)
        world.dispatcher.close()

    run_virtually(main())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("AB"), st.floats(0.0, 0.03)), max_size=60))
def test_without_pauses_two_frames_of_a_topic_are_an_interval_apart(ticks):
    async def main():
        world, client = World(), Client()
        for symbol in "AB":
            world.subscribe(client, symbol, throttle=0.05)
        for price, (symbol, wait) in enumerate(ticks):
            world.send((symbol, price))
            world.drained()
            await asyncio.sleep(wait)
        await asyncio.sleep(1)
        for symbol in "AB":
            times = [at for at, m in client.seen if m["symbol"] == symbol]
            assert all(later - earlier >= 0.05 - 1e-9 for earlier, later in itertools.pairwise(times))

    run_virtually(main())
