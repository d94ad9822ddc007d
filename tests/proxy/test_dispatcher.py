"""Throttle and fan-out on a virtual clock, without sockets."""

import asyncio
import itertools
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.virtual_time import run_virtually
from tickmux.tick import Mode
from tickmux.websocket_proxy.bus import batch_topic
from tickmux.websocket_proxy.dispatcher import NOTHING_YET, Dispatcher
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


SLOW = "SLOW"
"""A symbol that moves with each tick, and that a bystander watches with a throttle of its own."""


class World:
    """Every test has two throttles: its own, and that of a bystander who must make no difference."""

    def __init__(self, bystander=15.0):
        self.index = SubscriptionIndex()
        self.dispatcher = Dispatcher(self.index, asyncio.get_running_loop().time)
        self.bystander = Client()
        self.subscribe(self.bystander, SLOW, throttle=bystander)

    def subscribe(self, client, symbol="A", throttle=0.05, **lane):
        key = TopicKey(FEED, "NSE", symbol, Mode.LTP, 0)
        self.index.add(client, key, symbol.encode(), "b", LaneKey(throttle=throttle, **lane))

    def send(self, *ticks):
        """One bus message with the ticks (symbol, price) of one wire frame."""
        moves = ((SLOW, price) for _, price in ticks[-1:])
        parts = [part for symbol, price in (*moves, *ticks) for part in (symbol.encode(), b'{"ltp":%d}' % price)]
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
async def test_another_clients_long_throttle_delays_nobody():
    world, quick, slow = World(), Client(), Client()
    world.subscribe(slow, "RELIANCE", throttle=15.0)
    world.subscribe(quick, "SBIN", throttle=0.05)
    for price in range(2500):
        world.send(("RELIANCE", price), ("SBIN", price))
        world.drained()
        await asyncio.sleep(0.01)
    times = [at for at, _ in quick.seen]
    assert len(times) >= 490, "25 s of one frame in 50 ms"
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 0.07
    assert [round(at) for at, _ in slow.seen] == [0, 15]


@virtually
async def test_the_timer_follows_the_earliest_lane_whatever_the_order_in_which_they_begin_to_wait():
    world = World()
    throttles = {"A": 9.0, "B": 0.5, "C": 3.0, "D": 0.05}
    clients = {symbol: Client() for symbol in throttles}
    for symbol, throttle in throttles.items():
        world.subscribe(clients[symbol], symbol, throttle=throttle)
    for symbol in throttles:
        world.send((symbol, 1), (symbol, 2))
        world.drained()
    await asyncio.sleep(20)
    ends = {symbol: round(client.seen[-1][0], 6) for symbol, client in clients.items()}
    assert ends == throttles
    assert all(client.prices() == [1, 2] for client in clients.values())


@virtually
async def test_lanes_that_were_left_while_they_waited_do_not_pile_up():
    world, client, stays = World(), Client(), Client()
    world.subscribe(stays, "B", throttle=60.0)
    world.send(("B", 1), ("B", 2))
    for _ in range(5000):
        world.subscribe(client, throttle=60.0)
        world.send(("A", 1), ("A", 2))
        world.drained()
        world.index.remove(client, ("A", "NSE", Mode.LTP))
    assert len(world.dispatcher._due) <= 1025
    await asyncio.sleep(61)
    assert stays.prices() == [1, 2], "what somebody still holds was kept"


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
    assert (world.dispatcher.unrouted, world.dispatcher.received) == (1, 1), "the bystander's was received"


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
    world.dispatcher.catch_up(client, marks, 1 << 30)
    client.flush()
    assert client.prices() == [1, 1, 99]


@virtually
async def test_a_client_that_is_behind_gets_portions_and_everything_has_its_turn():
    world, client = World(), Client()
    for symbol in "ABCD":
        world.subscribe(client, symbol, throttle=0.0)
    marks = world.index.pause(client)
    shown = []
    for price in range(1, 9):
        world.send(*((symbol, price) for symbol in "ABCD"))
        world.drained()
        sent, everything = world.dispatcher.catch_up(client, marks, 100)
        assert 100 <= sent < 300, "a portion, and not more than the one message that exceeds it"
        assert not everything
        shown.append([json.loads(frame[2 if frame[1] < 126 else 4 :])["symbol"] for frame in client.pending])
        client.pending.clear()
    assert [symbol for part in shown for symbol in part][:8] == list("ABCDABCD"), "each in its turn"
    sent, everything = world.dispatcher.catch_up(client, marks, 1 << 30)
    assert everything
    client.pending.clear()
    assert world.dispatcher.catch_up(client, marks, 1 << 30) == (0, True), "nothing twice"
    assert client.pending == []


@virtually
async def test_of_what_a_client_has_never_seen_the_last_known_value_is_marked_as_such():
    world, client, other = World(), Client(), Client()
    world.subscribe(other, "A", throttle=0.0)
    world.send(("A", 1))
    world.drained()
    world.subscribe(client, "A", throttle=0.0)
    world.index.pause(client)
    marks = {("A", "NSE", Mode.LTP): NOTHING_YET, ("GONE", "NSE", Mode.LTP): 0}
    world.dispatcher.catch_up(client, marks, 1 << 30)
    world.send(("A", 2))
    world.drained()
    world.dispatcher.catch_up(client, marks, 1 << 30)
    client.flush()
    assert [message.get("snapshot") for _, message in client.seen] == [True, None]
    assert client.prices() == [1, 2]
    assert list(marks) == [("A", "NSE", Mode.LTP)], "what is not held any more is forgotten"


@virtually
async def test_a_throttle_holds_for_a_client_that_is_behind_too():
    world, client = World(), Client()
    world.subscribe(client, "A", throttle=1.0)
    marks = world.index.pause(client)
    for price in range(100):
        world.send(("A", price))
        world.drained()
        world.dispatcher.catch_up(client, marks, 1 << 30)
        if client.pending:
            client.flush()
        await asyncio.sleep(0.03)
    assert [round(at, 1) for at, _ in client.seen] == pytest.approx([0, 1, 2], abs=0.1)


def stand_still(world, seconds):
    """The process is stopped: timers are late by so much when it goes on."""
    clock = world.dispatcher._clock
    world.dispatcher._clock = lambda: clock() + seconds


@virtually
async def test_what_a_throttle_held_back_while_the_process_stood_still_makes_way_for_what_came_meanwhile():
    world, client = World(), Client()
    for symbol in "AB":
        world.subscribe(client, symbol)
        for price in (1, 2):
            world.send((symbol, price))
            world.drained()
    stand_still(world, 20)
    await asyncio.sleep(0.06)
    world.send(("A", 3))
    world.drained()
    await asyncio.sleep(0.2)
    shown = {symbol: [m["data"]["ltp"] for _, m in client.seen if m["symbol"] == symbol] for symbol in "AB"}
    assert shown == {"A": [1, 3], "B": [1, 2]}, "where nothing came it is the newest"


@virtually
async def test_nothing_is_held_back_for_ever_where_every_timer_is_late():
    world, client = World(), Client()
    world.subscribe(client)
    for price in range(1, 7):
        world.send(("A", price))
        world.drained()
        stand_still(world, 5)
        await asyncio.sleep(0.12)
    await asyncio.sleep(1)
    assert client.prices()[-1] == 6
    assert len(client.prices()) >= 3


@virtually
async def test_a_value_that_was_held_back_while_the_process_stood_still_ends_with_its_session():
    world, client = World(), Client()
    world.subscribe(client)
    for price in (1, 2):
        world.send(("A", price))
        world.drained()
    stand_still(world, 20)
    take_back(world)
    world.drained()
    await asyncio.sleep(1)
    assert client.prices() == [1]


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
@given(_steps, st.sampled_from([0.0, 0.02, 0.05]), st.sampled_from([0.01, 0.03, 0.4, 15.0]))
def test_the_newest_value_is_never_lost_and_nothing_comes_too_often_or_out_of_order(steps, throttle, bystander):
    async def main():
        world, client = World(bystander), Client()
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
                world.dispatcher.catch_up(client, marks, 1 << 30)
                marks = None
                if client.pending:
                    client.flush()
        if marks is not None:
            world.index.resume(client)
            world.dispatcher.catch_up(client, marks, 1 << 30)
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
@given(
    st.lists(st.tuples(st.sampled_from("AB"), st.floats(0.0, 0.03)), max_size=60), st.sampled_from([0.01, 0.4, 15.0])
)
def test_without_pauses_two_frames_of_a_topic_are_an_interval_apart_and_the_last_is_not_late(ticks, bystander):
    async def main():
        world, client = World(bystander), Client()
        last = {}
        for symbol in "AB":
            world.subscribe(client, symbol, throttle=0.05)
        for price, (symbol, wait) in enumerate(ticks):
            world.send((symbol, price))
            world.drained()
            last[symbol] = asyncio.get_running_loop().time()
            await asyncio.sleep(wait)
        await asyncio.sleep(1)
        for symbol in last:
            times = [at for at, m in client.seen if m["symbol"] == symbol]
            assert times[-1] <= last[symbol] + 0.05 + 1e-9
            assert all(later - earlier >= 0.05 - 1e-9 for earlier, later in itertools.pairwise(times))

    run_virtually(main())


def take_back(world, symbol="A"):
    world.dispatcher.on_message(batch_topic(FEED), msgspec.msgpack.encode([symbol.encode(), b""]))


@virtually
async def test_what_a_session_said_is_shown_to_nobody_once_it_has_ended():
    world, early, late = World(), Client(), Client()
    world.subscribe(early)
    world.send(("A", 1))
    world.drained()
    take_back(world)
    world.drained()
    world.subscribe(late)
    world.dispatcher.snapshot(late, LaneKey(throttle=0.05), b"A")
    late.flush()
    assert early.prices() == [1], "nothing is sent for it"
    assert late.seen == []


@virtually
async def test_a_value_that_a_throttle_holds_back_goes_out_before_its_session_is_forgotten():
    world, client = World(), Client()
    world.subscribe(client, throttle=5.0)
    for price in (1, 2):
        world.send(("A", price))
        world.drained()
    take_back(world)
    world.drained()
    await asyncio.sleep(10)
    assert client.prices() == [1, 2]
    world.send(("A", 3))
    world.drained()
    assert client.prices() == [1, 2, 3]
