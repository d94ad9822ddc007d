"""What each instrument is said to do, and when the feed as a whole is no longer live: a feed on a virtual clock."""

import asyncio

from support.quiet_feed import PlainAdapter, SlowList, quiet_feed, want
from support.virtual_time import run_virtually
from tickmux.feeds.feed_connection import LinkState
from tickmux.tick import Mode, Tick
from tickmux.websocket_proxy.base_adapter import Channel


class Pooled(PlainAdapter):
    channels = {"main": Channel(symbols=20, connections=2)}


class World:
    """A feed of `count` instruments, all of which tick, on one or two connections."""

    def __init__(self, count, adapter=None):
        self.names = [f"S{number:02}" for number in range(count)]
        self.feed = quiet_feed(SlowList(*self.names), adapter or Pooled())
        self.told = []
        self.feed.listen_to_instruments(self.told.extend)

    async def __aenter__(self):
        self.grants = await self.feed.subscribe([want(name) for name in self.names])
        await asyncio.sleep(2)
        self.tick(self.names)
        await asyncio.sleep(2)
        return self

    async def __aexit__(self, *_):
        await self.feed.stop()

    def tick(self, names):
        for name in names:
            instrument = self.feed.demand.instruments[name, "NSE"]
            self.rhythm(name).last_tick = asyncio.get_running_loop().time()
            self.feed.on_ticks("main", [Tick(instrument=instrument, mode=Mode.LTP, ltp=1.0)])

    def rhythm(self, name):
        return self.feed.instrument_states.rhythm("main", self.feed.demand.instruments[name, "NSE"])

    def mute(self, names):
        """As the watch over a connection does when these are missed: they have been subscribed again."""
        for name in names:
            rhythm = self.rhythm(name)
            rhythm.missed()
            rhythm.asked_at = asyncio.get_running_loop().time()

    def state(self, name):
        return self.feed.instrument_status(name, "NSE").state.value


def virtually(main):
    def runner():
        run_virtually(main())

    runner.__name__ = main.__name__
    return runner


@virtually
async def test_a_pool_of_which_one_connection_is_mute_is_not_live():
    async with World(40) as world:
        assert world.feed.status.state == "live"
        assert world.feed.info().instruments == {"live": 40}
        world.mute(world.names[20:])
        world.tick(world.names[:20])
        await asyncio.sleep(2)
        status = world.feed.status
        assert (status.state, status.silent) == ("stalled", 20)
        assert "20 of 40 instruments ought to tick and do not: NSE:S20, NSE:S21" in status.message
        assert status.silent_names == ("NSE:S20", "NSE:S21", "NSE:S22", "NSE:S23", "NSE:S24")
        assert world.feed.info().instruments == {"live": 20, "silent": 20}
        assert (world.state("S19"), world.state("S20")) == ("live", "silent")


@virtually
async def test_one_silent_instrument_of_many_is_named_though_the_feed_is_live():
    async with World(20) as world:
        statuses = []
        world.feed.listen(statuses.append)
        world.told.clear()
        world.mute(["S03"])
        await asyncio.sleep(2)
        assert (world.feed.status.state, world.feed.status.silent_names) == ("live", ("NSE:S03",))
        assert [one.silent for one in statuses] == [1]
        assert [(one.symbol, one.state.value) for one in world.told] == [("S03", "silent")]
        world.tick(["S03"])
        await asyncio.sleep(2)
        assert [(one.symbol, one.state.value) for one in world.told] == [("S03", "silent"), ("S03", "live")]
        assert world.feed.status.silent == 0


@virtually
async def test_the_only_instrument_of_a_connection_matters():
    async with World(21) as world:
        world.mute(["S20"])
        await asyncio.sleep(2)
        assert world.feed.status.state == "stalled"


@virtually
async def test_what_rarely_trades_is_quiet():
    async with World(3) as world:
        world.tick(["S00"])
        await asyncio.sleep(59)
        world.tick(["S00"])
        await asyncio.sleep(5)
        assert [world.state(name) for name in world.names] == ["live", "quiet", "quiet"]
        assert world.feed.status.state == "live"


@virtually
async def test_what_has_no_connection_is_silent_and_live_again_with_it():
    async with World(2) as world:
        (connection,) = world.feed.pool.connections()
        connection._enter(LinkState.WAITING, "the broker is down")
        await asyncio.sleep(4)
        assert (world.state("S00"), world.feed.status.state) == ("silent", "reconnecting")
        connection._enter(LinkState.LIVE, "")
        world.tick(world.names)
        await asyncio.sleep(2)
        assert world.state("S00") == "live"


@virtually
async def test_what_the_broker_refuses_is_refused():
    async with World(2) as world:
        (connection,) = world.feed.pool.connections()
        connection._session.refused.add(world.feed.demand.instruments["S01", "NSE"])
        await asyncio.sleep(2)
        assert world.state("S01") == "refused"
        assert world.feed.info().instruments == {"live": 1, "refused": 1}


@virtually
async def test_what_nobody_holds_any_more_is_forgotten():
    async with World(3) as world:
        await world.feed.unsubscribe([grant.key for grant in world.grants])
        await asyncio.sleep(2)
        assert world.feed.instrument_status("S00", "NSE") is None
        assert world.feed.info().instruments == {}
        assert list(world.feed.instrument_states) == []
