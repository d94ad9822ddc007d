"""A server and its feed process at random on a virtual clock: restarts, deaths, late messages; nothing is lost.

What crosses between them are the real messages of `feed_wire`, over a wire of the test's own. `STRESS_ROUNDS=500
pytest tests/feeds/test_stress_restarts.py` tries more; a failure names the seed that shows it again.
"""

import asyncio
import os
import random
from collections import Counter
from types import SimpleNamespace

import pytest

from support.keys import KEYS
from support.quiet_feed import SlowList, quiet_feed
from support.virtual_time import run_virtually
from tickmux import owned_task
from tickmux.errors import RequestError
from tickmux.feeds.remote import remote_feed
from tickmux.feeds.remote.feed_host import FeedHost
from tickmux.feeds.remote.remote_feed import FeedLink
from tickmux.tick import Mode
from tickmux.websocket_proxy.feed import Grant, Want

ROUNDS = int(os.environ.get("STRESS_ROUNDS", "15"))
SYMBOLS = [f"S{number}" for number in range(8)]
STEPS = 80


class End:
    """One end of the wire, as `FeedSocket` is one: keeps the order, and takes its time."""

    def __init__(self, wire, identity=None):
        self.wire = wire
        self.identity = identity
        self.queue = asyncio.Queue()

    async def receive(self):
        message = await self.queue.get()
        await asyncio.sleep(self.wire.random.choice((0.0, 0.0, 0.01, self.wire.slowness)))
        return message

    def send(self, *parts):
        if self.identity is None:  # the host's end: to the one that is named
            dealer = self.wire.dealers.get(parts[0])
            if dealer is None:
                return False
            dealer.queue.put_nowait(list(parts[1:]))
        elif self.wire.host is None:
            return False
        else:
            self.wire.host.queue.put_nowait([self.identity, *parts])
        return True

    def release(self):
        if self.wire.host is self:
            self.wire.host = None

    def close(self, linger_ms=0):
        self.wire.dealers.pop(self.identity, None)


class Wire:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.host = None
        self.dealers = {}
        self.slowness = 0.1

    def dial(self):
        end = End(self, self.random.randbytes(8))
        self.dealers[end.identity] = end
        return end

    def listen(self):
        self.host = End(self)
        return self.host


class Chaos:
    def __init__(self, seed):
        self.wire = Wire(seed)
        self.random = self.wire.random
        self.list = SlowList(*SYMBOLS)
        self.host = self.feed = self.link = self.remote = None
        self.clients = []
        self.tasks = set()

    # -- the feed process ----------------------------------------------------------------------------------

    async def start_feeds(self):
        self.feed = feed = quiet_feed(self.list)

        async def feed_of(user):
            await asyncio.sleep(self.random.choice((0.0, 0.5)))
            return feed

        self.host = FeedHost(feed_of, "127.0.0.1", 0, KEYS)
        self.host._listen = self.wire.listen
        await self.host.start()

    async def stop_feeds(self, *, killed):
        host, feed = self.host, self.feed
        self.host = self.feed = None
        if killed:
            self.wire.host = None
            host._socket.send = lambda *parts: False
        await host.stop()
        await feed.stop()

    # -- the server ----------------------------------------------------------------------------------------

    async def start_server(self):
        self.link = FeedLink("virtual", KEYS.for_feeds)
        self.link._dial = self.wire.dial
        self.link.start()
        self.clients = [[] for _ in range(4)]
        self.remote = None

    async def stop_server(self):
        await owned_task.end(*self.tasks)
        await self.link.stop()

    async def subscribe(self, held):
        if self.remote is None:
            try:
                self.remote = await self.link.open("bob")
            except RequestError:
                return
        wants = [
            Want(self.random.choice(SYMBOLS), "NSE", mode, 5 if mode is Mode.DEPTH else 0)
            for mode in self.random.choices(list(Mode)[:2], k=self.random.randint(1, 4))
        ]
        for verdict in await self.remote.subscribe(wants):
            if isinstance(verdict, Grant):
                held.append(verdict.key)

    async def unsubscribe(self, held):
        if self.remote is not None:
            gone = self.random.sample(held, self.random.randint(0, len(held)))
            for key in gone:
                held.remove(key)
            await self.remote.unsubscribe(gone)

    def begin(self, work, held):
        task = owned_task.start(work(held), "a client's request")
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def run(self):
        await self.start_feeds()
        await self.start_server()
        for _ in range(STEPS):
            act = self.random.random()
            if act < 0.8:
                held = self.random.choice(self.clients)
                self.begin(self.subscribe if self.random.random() < 0.6 else self.unsubscribe, held)
            elif act < 0.88:
                if self.host is None:
                    await self.start_feeds()
                else:
                    await self.stop_feeds(killed=self.random.random() < 0.5)
            elif act < 0.91:
                await self.stop_server()
                await self.start_server()
            elif act < 0.94:  # the client has gone, or its key was revoked: all that it holds is given back
                held = self.random.choice(self.clients)
                gone = held[:]
                held.clear()
                if self.remote is not None:
                    await self.remote.unsubscribe(gone)
            else:
                self.wire.slowness = self.random.choice((0.0, 0.1, 1.0))
                self.list.delay = self.random.choice((0.0, 0.5, 2.0))
                self.list.replace(**{name: f"{name}{act}" for name in SYMBOLS})
            await asyncio.sleep(self.random.choice((0.0, 0.0, 0.05, 0.5, 3.0, 12.0)))
        self.wire.slowness = self.list.delay = 0.0
        if self.host is None:
            await self.start_feeds()
        while self.tasks:
            await asyncio.wait(self.tasks)
        await asyncio.sleep(60)

    def check(self):
        held = Counter(key for client in self.clients for key in client)
        if self.remote is None:
            assert not held
            return
        assert +self.remote._held == held, "each reference has a holder, and each holder a reference"
        assert not self.remote.missing
        assert not self.link._calls
        (proxy,) = self.host._proxies.values()
        assert proxy.held.get(self.remote.id, set()) == set(held), "the feed process holds what clients hold, once"
        served = {
            (level.symbol, level.mode, level.depth): count
            for one in self.feed.demand.instruments.values()
            for level, count in self.feed.demand.references(one).items()
        }
        assert served == {(key.symbol, key.mode, key.depth): 1 for key in held}, "no topic without an owner"
        wanted = Counter(one for connection in self.feed.pool.connections() for one in connection.wanted)
        assert wanted == Counter(set(self.feed.demand.instruments.values()))
        for task in (self.link._beater, self.link._reader, self.host._reader, proxy.lease_watch):
            assert not task.done(), "no task is missing"

    async def end(self):
        await self.stop_server()
        await asyncio.sleep(12)
        assert not self.host._proxies, "a server that has gone holds nothing"
        assert not self.feed.demand.instruments
        await self.stop_feeds(killed=False)
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        assert len(left) <= 1, left  # the one that bounds the test's time


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_no_restart_loses_or_keeps_a_subscription(seed, monkeypatch):
    async def main():
        clock = asyncio.get_running_loop().time
        virtual = SimpleNamespace(monotonic=clock, monotonic_ns=lambda: int(clock() * 1_000_000_000))
        monkeypatch.setattr(remote_feed, "time", virtual)
        chaos = Chaos(seed)
        await chaos.run()
        chaos.check()
        await chaos.end()

    run_virtually(main())
