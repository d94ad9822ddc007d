"""The bus over real ZeroMQ sockets on loopback."""

import asyncio
import time

import psutil
import pytest
import uvloop
import zmq

from support.keys import KEYS
from support.servers import PATIENCE, eventually
from tickmux.websocket_proxy.bus import BusPublisher, BusSubscriber, RemoteBus, unpack_batch
from tickmux.websocket_proxy.port_check import PortTaken


def run(main):
    return uvloop.run(main())


class Receiver:
    """The proxy's end: for feeds of this process, or with `keys` for those of another one."""

    def __init__(self, keys=None, port=0, offset=lambda: 0):
        self.messages = []
        self.drains = 0
        self.stale = 0
        ends = {
            "high_water_mark": 100_000,
            "on_message": lambda topic, body: self.messages.append((topic, body)),
            "on_drained": self._drained,
        }
        if keys is None:
            self.bus = BusSubscriber(**ends)
        else:
            self.bus = RemoteBus("127.0.0.1", port, keys, offset=offset, on_stale=self._stale, **ends)

    def _drained(self):
        self.drains += 1

    def _stale(self):
        self.stale += 1

    @property
    def values(self):
        return [unpack_batch(body)[1] for _, body in self.messages]


def publisher(receiver, keys=None, feed="f:a", mark=100_000):
    return BusPublisher(
        receiver.bus.endpoint, feed, high_water_mark=mark, keys=None if keys is None else keys.for_feeds
    )


@pytest.mark.parametrize("remote", [False, True])
def test_nothing_is_lost_when_a_publisher_floods_as_soon_as_it_is_ready(remote):
    async def main():
        receiver = Receiver(KEYS if remote else None, offset=lambda: None)
        receiver.bus.start()
        source = publisher(receiver, KEYS if remote else None)
        assert await source.wait_ready(5)
        for number in range(50_000):
            source.send([b"t", b"%d" % number])
        await eventually(lambda: len(receiver.messages) == 50_000, "all messages")
        assert receiver.values == [b"%d" % n for n in range(50_000)]
        assert source.dropped == 0
        assert receiver.drains > 50_000 / BusSubscriber.DRAIN / 2, "clients get their turn in between"
        source.close()
        receiver.bus.close()

    run(main)


def test_a_publisher_is_not_ready_before_the_proxy_polls():
    async def main():
        receiver = Receiver()
        source = publisher(receiver)
        assert not await source.wait_ready(0.2)
        receiver.bus.start()
        assert await source.wait_ready(5)
        source.close()
        receiver.bus.close()

    run(main)


def test_all_who_wait_for_the_bus_hear_that_it_is_there():
    async def main():
        receiver = Receiver()
        source = BusPublisher(receiver.bus.endpoint, "f:a", high_water_mark=10)
        early = [asyncio.create_task(source.wait_ready(PATIENCE)) for _ in range(5)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in early)
        receiver.bus.start()
        late = [asyncio.create_task(source.wait_ready(PATIENCE)) for _ in range(5)]
        assert all(await asyncio.wait_for(asyncio.gather(*early, *late), PATIENCE / 2))
        assert await source.wait_ready(0)
        source.close()
        receiver.bus.close()

    run(main)


def test_one_who_stops_waiting_takes_nothing_from_the_others():
    async def main():
        receiver = Receiver()
        source = BusPublisher(receiver.bus.endpoint, "f:a", high_water_mark=10)
        first, second = [asyncio.create_task(source.wait_ready(PATIENCE)) for _ in range(2)]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        receiver.bus.start()
        assert await asyncio.wait_for(second, PATIENCE / 2)
        source.close()
        receiver.bus.close()

    run(main)


def test_what_is_sent_while_somebody_waits_takes_no_wake_up_from_him():
    async def main():
        receiver = Receiver()
        source = BusPublisher(receiver.bus.endpoint, "f:a", high_water_mark=10)
        waiting = asyncio.create_task(source.wait_ready(PATIENCE))
        await asyncio.sleep(0)
        receiver.bus.start()
        for _ in range(100):  # each takes notice of what has arrived, and so may take the edge away
            source.send([b"t", b"1"])
        assert await asyncio.wait_for(waiting, PATIENCE / 2)
        source.close()
        receiver.bus.close()

    run(main)


def test_a_publisher_whose_bus_has_gone_is_not_ready_until_it_is_back():
    async def main():
        receiver = Receiver(KEYS)
        receiver.bus.start()
        source = publisher(receiver, KEYS)
        assert await source.wait_ready(PATIENCE)
        port = int(receiver.bus.endpoint.rpartition(":")[2])
        receiver.bus.close()
        while await source.wait_ready(0):
            await asyncio.sleep(0)
        source.send([b"t", b"old"])
        back = Receiver(KEYS, port)
        back.bus.start()
        assert await source.wait_ready(PATIENCE)
        source.send([b"t", b"new"])
        await eventually(lambda: back.messages)
        assert [unpack_batch(body) for _, body in back.messages] == [[b"t", b"new"]], (
            "nobody gets what was sent to nobody"
        )
        source.close()
        back.bus.close()

    run(main)


def test_a_bus_that_is_closed_with_messages_waiting_reads_no_more():
    async def main():
        receiver = Receiver()
        receiver.bus.start()
        source = BusPublisher(receiver.bus.endpoint, "f:a", high_water_mark=10_000)
        assert await source.wait_ready(PATIENCE)
        for _ in range(4 * BusSubscriber.DRAIN):
            source.send([b"t", b"1"])
        errors = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        await eventually(lambda: receiver.messages, "the first drain")
        receiver.bus.close()
        seen = len(receiver.messages)
        assert seen < 4 * BusSubscriber.DRAIN
        for _ in range(10):
            await asyncio.sleep(0)
        assert (len(receiver.messages), errors) == (seen, [])
        source.close()

    run(main)


def test_several_publishers_feed_one_proxy():
    async def main():
        receiver = Receiver()
        receiver.bus.start()
        sources = [publisher(receiver, feed=f"feed{number}") for number in range(3)]
        for number, source in enumerate(sources):
            assert await source.wait_ready(5)
            source.send([b"t", b"%d" % number])
        await eventually(lambda: len(receiver.messages) == 3)
        assert {topic for topic, _ in receiver.messages} == {b"\0feed0", b"\0feed1", b"\0feed2"}
        for source in sources:
            source.close()
        receiver.bus.close()

    run(main)


def test_what_does_not_fit_is_dropped_and_counted():
    async def main():
        receiver = Receiver()
        receiver.bus.start()
        source = publisher(receiver, mark=10)
        assert await source.wait_ready(5)
        for _ in range(200_000):  # the loop never runs meanwhile, so that nobody reads
            source.send([b"t", b"x" * 1000, b"u", b"y"])
            if source.dropped >= 20:
                break
        assert source.dropped >= 20
        await eventually(lambda: sum(len(unpack_batch(body)) // 2 for _, body in receiver.messages) == source.sent)
        source.close()
        receiver.bus.close()

    run(main)


def test_a_message_of_one_or_three_parts_is_counted_and_does_not_disturb_the_next():
    async def main():
        receiver = Receiver()
        receiver.bus.start()
        raw = zmq.Context.instance().socket(zmq.XPUB)
        raw.connect(receiver.bus.endpoint)
        await eventually(lambda: raw.poll(0))
        raw.send(b"alone")
        raw.send_multipart([b"a", b"b", b"c"])
        raw.send_multipart([b"topic", b"payload"])
        await eventually(lambda: receiver.messages)
        assert receiver.messages == [(b"topic", b"payload")]
        assert receiver.bus.malformed == 2
        raw.close(0)
        receiver.bus.close()

    run(main)


def test_a_taken_bus_port_is_named_and_leaves_nothing_behind():
    async def main():
        receiver = Receiver(KEYS)
        receiver.bus.start()
        port = int(receiver.bus.endpoint.rpartition(":")[2])
        before = psutil.Process().num_fds()
        refused = Receiver(KEYS, port)
        with pytest.raises(PortTaken, match="ZMQ_PORT"):
            refused.bus.start()
        assert refused.bus.door.socket.closed
        assert psutil.Process().num_fds() == before
        receiver.bus.close()

    run(main)


def test_what_a_stopped_server_finds_in_its_queue_is_dropped_and_told(monkeypatch):
    async def main():
        receiver = Receiver(KEYS)
        receiver.bus.start()
        source = publisher(receiver, KEYS)
        assert await source.wait_ready(PATIENCE)
        for number in range(3):
            source.send([b"t", b"old %d" % number])
        # The server stands still for 20 seconds with these in its queue.
        now = time.monotonic_ns
        monkeypatch.setattr("tickmux.websocket_proxy.bus.time.monotonic_ns", lambda: now() + 20_000_000_000)
        source.send([b"t", b"new"])
        await eventually(lambda: receiver.messages)
        assert receiver.values == [b"new"]
        assert receiver.bus.stale == 3
        assert receiver.stale == 1, "told once a drain"
        source.close()
        receiver.bus.close()

    run(main)


@pytest.mark.parametrize(("ahead", "taken"), [(0, 1), (3600, 1), (-5, 1), (None, 1)])
def test_the_feed_process_may_have_another_clock(monkeypatch, ahead, taken):
    async def main():
        offset = None if ahead is None else ahead * 1_000_000_000
        receiver = Receiver(KEYS, offset=lambda: offset)
        receiver.bus.start()
        source = publisher(receiver, KEYS)
        assert await source.wait_ready(PATIENCE)
        stamp = (time.monotonic_ns() + (offset or 0)).to_bytes(8, "big")
        monkeypatch.setattr("tickmux.websocket_proxy.bus._stamp", lambda: stamp)
        source.send([b"t", b"1"])
        await eventually(lambda: receiver.messages or receiver.bus.stale)
        assert len(receiver.messages) == taken
        source.close()
        receiver.bus.close()

    run(main)
