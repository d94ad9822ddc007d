"""A user's subscriptions while his source changes: real feeds on a virtual clock, and a real index."""

import asyncio

import pytest

from support.quiet_feed import PlainAdapter, SlowList, quiet_feed, want
from support.virtual_time import run_virtually
from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds.user_feed import UserFeed
from tickmux.tick import Mode
from tickmux.websocket_proxy.feed import Grant
from tickmux.websocket_proxy.subscription_index import LaneKey, SubscriptionIndex


class Upstox(PlainAdapter):
    name = "upstox"


class Client:
    paused = False

    def append(self, frame):
        pass


class World:
    """A user whose source is zerodha, with one client that holds `symbols`; he is about to change to upstox."""

    def __init__(self, *symbols, upstox=()):
        self.index = SubscriptionIndex()
        self.old_list, self.new_list = SlowList(*symbols), SlowList(*(upstox or symbols))
        self.old = quiet_feed(self.old_list)
        self.new = quiet_feed(self.new_list, Upstox())
        self.feed = UserFeed(self.old, "zerodha", self.move)
        self.client = Client()
        self.symbols = symbols

    async def begin(self):
        for symbol in self.symbols:
            await self.subscribe(self.client, symbol)
        return self

    async def subscribe(self, client, symbol):
        (grant,) = await self.feed.subscribe([want(symbol)])
        assert isinstance(grant, Grant)
        self.index.add(client, grant.key, grant.topic, self.feed.broker, LaneKey())

    async def unsubscribe(self, client, symbol):
        key = self.index.remove(client, (symbol, "NSE", Mode.LTP))
        await self.feed.unsubscribe([key])

    def move(self, feed, moves):
        grants = {move.old: move.grant for move in moves}
        for client, _, held in self.index.holders(grants.keys()):
            grant = grants[held.topic.key]
            self.index.add(client, grant.key, grant.topic, feed.broker, held.lane.key)

    def held(self, client=None):
        return {slot[0]: held.topic.key.feed for slot, held in self.index.held(client or self.client).items()}

    def served(self, feed):
        return {
            symbol: sum(feed.demand.references(one).values()) for (symbol, _), one in feed.demand.instruments.items()
        }

    async def stop(self):
        await self.feed.stop()
        if self.old.status.state != "stopped":
            await self.old.stop()
        if self.new.status.state != "stopped":
            await self.new.stop()


def virtually(main):
    def runner():
        run_virtually(main())

    runner.__name__ = main.__name__
    return runner


@virtually
async def test_subscriptions_go_over_and_the_old_source_ends():
    world = await World("SBIN", "TCS").begin()
    heard = []
    world.feed.listen(heard.append)
    await world.feed.switch(world.new, "upstox")
    assert world.held() == {"SBIN": "upstox:u", "TCS": "upstox:u"}
    assert world.served(world.new) == {"SBIN": 1, "TCS": 1}
    assert (world.feed.broker, world.old.status.state) == ("upstox", "stopped")
    assert heard
    await world.unsubscribe(world.client, "SBIN")
    assert world.served(world.new) == {"TCS": 1}
    await world.stop()


@virtually
async def test_a_caller_that_gives_up_changes_nothing_about_the_change():
    world = await World("SBIN").begin()
    world.new_list.delay = 1.0
    switching = asyncio.create_task(world.feed.switch(world.new, "upstox"))
    await asyncio.sleep(0.3)
    assert world.feed.broker == "zerodha", "adopted last"
    switching.cancel()
    await asyncio.wait([switching])
    await asyncio.sleep(2)
    assert world.held() == {"SBIN": "upstox:u"}
    assert world.old.status.state == "stopped"
    await world.stop()


@virtually
async def test_a_database_that_fails_once_loses_nothing():
    world = await World("SBIN").begin()
    world.new_list.failing = True
    await world.feed.switch(world.new, "upstox")
    assert world.feed.broker == "upstox"
    status = world.feed.instrument_status("SBIN", "NSE")
    assert (status.state, "tried again" in status.message) == ("refused", True)
    world.new_list.failing = False
    world.feed.ask_again()
    await asyncio.sleep(1)
    assert world.held() == {"SBIN": "upstox:u"}
    assert world.served(world.new) == {"SBIN": 1}
    await world.stop()


@virtually
async def test_what_is_denied_is_asked_for_again_when_the_list_has_come():
    world = await World("SBIN", "TCS", upstox=["TCS"]).begin()
    told = []
    world.feed.listen_to_instruments(told.extend)
    await world.feed.switch(world.new, "upstox")
    assert world.held() == {"SBIN": "zerodha:u", "TCS": "upstox:u"}
    assert [(one.symbol, one.state) for one in told if one.state == "refused"] == [("SBIN", "refused")]
    world.new_list.replace(SBIN="S", TCS="TCS")
    world.feed.ask_again()
    await asyncio.sleep(1)
    assert world.held() == {"SBIN": "upstox:u", "TCS": "upstox:u"}
    assert told[-1].symbol == "SBIN"
    assert told[-1].state != "refused"
    await world.stop()


@virtually
async def test_what_is_denied_is_asked_for_again_after_a_while_though_nothing_is_heard():
    world = await World("SBIN", upstox=["TCS"]).begin()
    await world.feed.switch(world.new, "upstox")
    world.new_list.replace(SBIN="S")
    await asyncio.sleep(35)
    assert world.held() == {"SBIN": "upstox:u"}
    await world.stop()


@virtually
async def test_what_is_denied_and_given_up_is_forgotten():
    world = await World("SBIN", upstox=["TCS"]).begin()
    await world.feed.switch(world.new, "upstox")
    await world.unsubscribe(world.client, "SBIN")
    world.new_list.replace(SBIN="S")
    await asyncio.sleep(120)
    assert world.served(world.new) == {}
    assert world.feed.instrument_status("SBIN", "NSE") is None
    await world.stop()


@virtually
async def test_clients_subscribe_and_leave_while_the_new_source_is_asked():
    world = await World("SBIN", "TCS", "INFY").begin()
    other = Client()
    world.new_list.delay = 1.0
    switching = asyncio.create_task(world.feed.switch(world.new, "upstox"))
    await asyncio.sleep(0.5)
    await world.subscribe(other, "INFY")
    await world.unsubscribe(world.client, "SBIN")
    await world.unsubscribe(world.client, "INFY")
    await switching
    assert world.held() == {"TCS": "upstox:u"}
    assert world.held(other) == {"INFY": "upstox:u"}
    assert world.served(world.new) == {"TCS": 1, "INFY": 1}
    await world.stop()


@virtually
async def test_a_subscription_that_was_under_way_is_made_at_the_new_source():
    world = await World("SBIN", "TCS").begin()
    await world.unsubscribe(world.client, "TCS")
    world.old_list.delay = 2.0
    asking = asyncio.create_task(world.feed.subscribe([want("TCS")]))
    await asyncio.sleep(0.5)
    await world.feed.switch(world.new, "upstox")
    (grant,) = await asking
    assert grant.key.feed == "upstox:u"
    assert world.served(world.new) == {"SBIN": 1, "TCS": 1}
    await world.stop()


@virtually
async def test_a_source_that_bears_the_old_ones_name_is_begun_anew():
    world = await World("SBIN").begin()
    again = quiet_feed(world.old_list)
    await world.feed.switch(again, "zerodha")
    assert world.served(again) == {"SBIN": 1}
    await world.unsubscribe(world.client, "SBIN")
    assert world.served(again) == {}
    await world.stop()


@virtually
async def test_two_changes_at_a_time_end_with_the_later_one():
    world = await World("SBIN").begin()
    world.new_list.delay = 1.0
    back = quiet_feed(world.old_list)
    first = asyncio.create_task(world.feed.switch(world.new, "upstox"))
    await asyncio.sleep(0.1)
    await world.feed.switch(back, "zerodha")
    await first
    assert (world.feed.choice, world.held()) == ("zerodha", {"SBIN": "zerodha:u"})
    assert world.new.status.state == "stopped"
    assert world.served(back) == {"SBIN": 1}
    await world.stop()


@virtually
async def test_a_feed_that_is_stopped_while_its_source_changes_leaves_nothing_behind():
    world = await World("SBIN").begin()
    world.new_list.delay = 1.0
    switching = asyncio.create_task(world.feed.switch(world.new, "upstox"))
    await asyncio.sleep(0.1)
    await world.feed.stop()
    await switching
    assert (world.old.status.state, world.new.status.state) == ("stopped", "stopped")


@virtually
async def test_clients_of_one_topic_are_one_reference_of_the_source():
    world = await World("SBIN").begin()
    other = Client()
    await world.subscribe(other, "SBIN")
    assert world.served(world.old) == {"SBIN": 1}
    await world.unsubscribe(world.client, "SBIN")
    assert world.served(world.old) == {"SBIN": 1}
    await world.unsubscribe(other, "SBIN")
    assert world.served(world.old) == {}
    await world.stop()


@virtually
async def test_a_refusal_of_the_source_reaches_the_client():
    world = await World("SBIN").begin()
    (refused,) = await world.feed.subscribe([want("NOPE")])
    assert isinstance(refused, RequestError)
    assert refused.code == ErrorCode.SYMBOL_NOT_FOUND
    with pytest.raises(KeyError):
        world.index.held(world.client)["NOPE", "NSE", Mode.LTP]
    await world.stop()
