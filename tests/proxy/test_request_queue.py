"""The queue of one client's requests, on a virtual clock."""

import asyncio

import pytest

from support.virtual_time import run_virtually
from tickmux.websocket_proxy.request_queue import ITEMS, QUEUE_BYTES, RequestQueue


class World:
    def __init__(self, **limits):
        self.done = []
        self.room = asyncio.Event()
        self.room.set()
        self.idle = 0
        self.cost = 0
        self.queue = RequestQueue(
            self.carry_out, self.room.wait, self.on_idle, **{"rate": 10, "burst": 3, "longest": 100, **limits}
        )

    def on_idle(self):
        self.idle += 1

    async def carry_out(self, message):
        self.done.append((round(asyncio.get_running_loop().time(), 3), message))
        self.queue.spend(self.cost)


def test_the_burst_goes_at_once_and_the_rest_at_the_rate_in_order():
    async def main():
        world = World()
        for number in range(6):
            assert world.queue.put(b"%d" % number)
        assert world.queue.busy
        await asyncio.sleep(1)
        assert [message for _, message in world.done] == [b"0", b"1", b"2", b"3", b"4", b"5"]
        assert [at for at, _ in world.done] == pytest.approx([0, 0, 0, 0.1, 0.2, 0.3], abs=0.005)
        assert (world.queue.busy, world.idle) == (False, 1)

    run_virtually(main())


def test_instruments_cost_and_the_next_request_pays():
    async def main():
        world = World()
        world.cost = 10 * ITEMS + ITEMS - 1
        for _ in range(2):
            world.queue.put(b"x")
        await asyncio.sleep(5)
        assert [at for at, _ in world.done] == pytest.approx([0, 0.9], abs=0.005)

    run_virtually(main())


def test_what_was_not_used_is_saved_up_to_the_burst_only():
    async def main():
        world = World()
        await asyncio.sleep(100)
        for _ in range(4):
            world.queue.put(b"x")
        await asyncio.sleep(1)
        assert [at for at, _ in world.done] == pytest.approx([100, 100, 100, 100.1], abs=0.005)

    run_virtually(main())


def test_it_is_full_in_requests_and_in_bytes():
    async def main():
        world = World(longest=10)
        world.room.clear()
        assert [world.queue.put(b"x") for _ in range(11)] == [True] * 10 + [False]
        assert world.queue.crowded
        world = World()
        world.room.clear()
        assert world.queue.put(bytes(QUEUE_BYTES - 1))
        assert not world.queue.put(b"xx")
        assert world.queue.put(b"x")
        assert world.queue.crowded
        world.queue.close()

    run_virtually(main())


def test_nothing_is_carried_out_while_there_is_no_room_for_an_answer():
    async def main():
        world = World()
        world.room.clear()
        world.queue.put(b"x")
        await asyncio.sleep(5)
        assert world.done == []
        world.room.set()
        await asyncio.sleep(0.1)
        assert len(world.done) == 1

    run_virtually(main())


def test_closed_it_forgets_what_waits_and_ends_at_once():
    async def main():
        world = World(rate=0.01, burst=1)
        for _ in range(5):
            world.queue.put(b"x")
        await asyncio.sleep(1)
        world.queue.close()
        await world.queue.ended()
        assert asyncio.get_running_loop().time() < 2
        assert len(world.done) == 1
        assert world.idle == 0
        await world.queue.ended()

    run_virtually(main())


def test_what_is_being_carried_out_when_it_is_closed_is_finished():
    async def main():
        world = World()
        finished = []

        async def slow(message):
            await asyncio.sleep(3)
            finished.append(message)

        world.queue._carry_out = slow
        world.queue.put(b"a")
        world.queue.put(b"b")
        await asyncio.sleep(1)
        world.queue.close()
        await world.queue.ended()
        assert finished == [b"a"]

    run_virtually(main())
