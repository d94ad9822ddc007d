"""Clients, sources and lists at random on a virtual clock: nothing is lost, and nothing is left over.

`STRESS_ROUNDS=500 pytest tests/feeds/test_stress.py` tries more; a failure names the seed that shows it again.
"""

import asyncio
import os
import random
from collections import Counter

import pytest

from support.quiet_feed import PlainAdapter, SlowList, quiet_feed
from support.virtual_time import run_virtually
from tickmux.feeds.user_feed import UserFeed
from tickmux.tick import Mode
from tickmux.websocket_proxy.base_adapter import Channel, Stream
from tickmux.websocket_proxy.feed import Grant, Want
from tickmux.websocket_proxy.subscription_index import LaneKey, SubscriptionIndex

ROUNDS = int(os.environ.get("STRESS_ROUNDS", "20"))
SYMBOLS = [f"S{number}" for number in range(12)]
STEPS = 60


class Modal(PlainAdapter):
    """A kind for each mode, and a pool that is almost full at times."""

    channels = {"main": Channel(symbols=6, connections=2)}

    def streams(self, instrument, mode, depth):
        return (Stream("main", mode.name),)


class Other(Modal):
    name = "upstox"

    def depth_levels(self, exchange):
        return (5, 20)


class Client:
    paused = False

    def append(self, frame):
        pass


class Chaos:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.index = SubscriptionIndex()
        self.lists = {"zerodha": SlowList(*SYMBOLS), "upstox": SlowList(*SYMBOLS[:9])}
        self.made = []
        self.clients = [Client() for _ in range(4)]
        self.busy = dict.fromkeys(self.clients)
        self.feed = UserFeed(self.source("zerodha"), "zerodha", self.move)

    def source(self, name):
        made = quiet_feed(self.lists[name], Modal() if name == "zerodha" else Other())
        self.made.append(made)
        return made

    def move(self, feed, moves):
        grants = {move.old: move.grant for move in moves}
        for client, _, held in self.index.holders(grants.keys()):
            grant = grants[held.topic.key]
            self.index.add(client, grant.key, grant.topic, feed.broker, held.lane.key)

    async def subscribe(self, client):
        """As `ClientSubscriptions` does it."""
        wants = [
            Want(self.random.choice(SYMBOLS), "NSE", mode, self.random.choice((5, 20)) if mode is Mode.DEPTH else 0)
            for mode in self.random.choices(list(Mode), k=self.random.randint(1, 5))
        ]
        for verdict in await self.feed.subscribe(wants):
            if isinstance(verdict, Grant):
                key = verdict.key
                before = self.index.held(client).get((key.symbol, key.exchange, key.mode))
                self.index.add(client, key, verdict.topic, self.feed.broker, LaneKey())
                if before is not None:
                    await self.feed.unsubscribe([before.topic.key])

    async def unsubscribe(self, client):
        slots = tuple(self.index.held(client))
        for slot in self.random.sample(slots, self.random.randint(0, len(slots))):
            await self.feed.unsubscribe([self.index.remove(client, slot)])

    async def switch(self):
        name = self.random.choice(("zerodha", "upstox"))
        await self.feed.switch(self.source(name), name)

    def relist(self):
        listed = self.random.choice(list(self.lists.values()))
        names = self.random.sample(SYMBOLS, self.random.randint(6, len(SYMBOLS)))
        tokens = self.random.sample(SYMBOLS, len(names))
        listed.replace(
            **(dict(zip(names, tokens, strict=True)) if self.random.random() < 0.5 else {n: n for n in names})
        )
        if self.random.random() < 0.7:
            self.feed.ask_again()

    def disturb(self):
        listed = self.random.choice(list(self.lists.values()))
        listed.failing = self.random.random() < 0.3
        listed.delay = self.random.choice((0.0, 0.1, 1.0, 3.0))

    async def run(self):
        under_way = set()
        for _ in range(STEPS):
            free = [client for client, task in self.busy.items() if task is None or task.done()]
            act = self.random.random()
            if act < 0.7 and free:  # a client's requests are carried out one after the other
                client = self.random.choice(free)
                work = self.subscribe if self.random.random() < 0.6 else self.unsubscribe
                self.busy[client] = asyncio.create_task(work(client))
                under_way.add(self.busy[client])
            elif act < 0.8:
                task = asyncio.create_task(self.switch())
                under_way.add(task)
                if self.random.random() < 0.3:
                    asyncio.get_running_loop().call_later(self.random.random(), task.cancel)
            elif act < 0.9:
                self.relist()
            else:
                self.disturb()
            await asyncio.sleep(self.random.choice((0.0, 0.0, 0.01, 0.5, 2.0)))
        for listed in self.lists.values():
            listed.failing, listed.delay = False, 0.0
        await asyncio.wait(under_way)
        for task in under_way:
            if not task.cancelled() and isinstance(task.exception(), Exception):
                assert isinstance(task.exception(), OSError), task.exception()
        await asyncio.sleep(90)  # everything that was to be tried again has been

    def check(self):
        held = Counter(one.topic.key for client in self.clients for one in self.index.held(client).values())
        feed, inner = self.feed, self.feed.feed
        assert held == +feed._references, "each reference has a holder, and each holder a reference"
        granted = {key for key in held if key not in feed._denied}
        assert all(key.feed == inner.id for key in granted), "no topic of a source that has ended"
        served = {
            (level.symbol, level.mode, level.depth): count
            for one in inner.demand.instruments.values()
            for level, count in inner.demand.references(one).items()
        }
        for (symbol, _), gone in inner.demand.expired.items():
            served |= {(symbol, level.mode, level.depth): count for level, count in gone.references.items()}
        assert served == {(key.symbol, key.mode, key.depth): 1 for key in granted}, "demand is what clients hold"
        wanted = Counter(one for connection in inner.pool.connections() for one in connection.wanted)
        assert wanted == Counter(set(inner.demand.instruments.values())), "the pool carries the demand, once"
        assert all(
            rows.rows.get(name) == one
            for name, one in inner.demand.instruments.items()
            for rows in [inner._instruments]
        ), "tokens are those of the list in use"
        assert inner.demand.exchanges.total() == len(inner.demand)
        assert {one.token for one in wanted} == {one.token for one in inner.demand.instruments.values()}
        assert all(one.status.state == "stopped" for one in self.made if one is not inner)

    async def end(self):
        await self.feed.stop()
        left = [task.get_name() for task in asyncio.all_tasks()]
        assert not [name for name in left if "zerodha" in name or "upstox" in name or "user" in name], left


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_nothing_is_lost_and_nothing_is_left_over(seed):
    async def main():
        chaos = Chaos(seed)
        await chaos.run()
        chaos.check()
        await chaos.end()

    run_virtually(main())
