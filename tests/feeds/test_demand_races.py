"""Subscriptions while others come and go, lists are replaced and databases fail: a real feed on a virtual clock."""

import asyncio
import sys
import threading

import pytest

from support.quiet_feed import PlainAdapter, SlowList, quiet_feed, want
from support.virtual_time import run_virtually
from tickmux.errors import ErrorCode
from tickmux.feeds import local_feed
from tickmux.websocket_proxy.base_adapter import Channel
from tickmux.websocket_proxy.feed import Grant


def tokens(feed):
    return {one.symbol: one.token for one in feed.demand.instruments.values()}


def test_another_clients_unsubscribing_during_a_look_up_makes_no_symbol_unknown():
    async def main():
        instruments = SlowList("SBIN", "RELIANCE")
        feed = quiet_feed(instruments)
        (first,) = await feed.subscribe([want("SBIN")])
        instruments.delay = 0.05
        asking = asyncio.create_task(feed.subscribe([want("SBIN"), want("RELIANCE")]))
        await asyncio.sleep(0.01)
        await feed.unsubscribe([first.key])
        assert all(isinstance(verdict, Grant) for verdict in await asking)
        assert tokens(feed) == {"SBIN": "SBIN", "RELIANCE": "RELIANCE"}
        await feed.stop()

    run_virtually(main())


def test_a_list_that_is_replaced_during_a_look_up_leaves_no_old_token():
    async def main():
        instruments = SlowList("SBIN", "X")
        feed = quiet_feed(instruments)
        await feed.subscribe([want("X")])
        instruments.delay = 2.5
        asking = asyncio.create_task(feed.subscribe([want("SBIN")]))
        await asyncio.sleep(0.05)
        instruments.delay = 0.0
        instruments.replace(SBIN="NEWSBIN", X="NEWX")
        await asking
        assert tokens(feed) == {"SBIN": "NEWSBIN", "X": "NEWX"}
        (connection,) = feed.pool.connections()
        assert {one.token for one in connection.wanted} == {"NEWSBIN", "NEWX"}
        await feed.stop()

    run_virtually(main())


def test_what_is_granted_while_a_new_list_is_read_is_of_the_new_list_too():
    async def main():
        instruments = SlowList("A", "B")
        feed = quiet_feed(instruments)
        await feed.subscribe([want("A")])
        instruments.delay = 3.0
        instruments.replace(A="A2", B="B2")
        await asyncio.sleep(1.5)  # the feed has begun to read it
        await feed.subscribe([want("B")])
        await asyncio.sleep(10)
        assert tokens(feed) == {"A": "A2", "B": "B2"}
        await feed.stop()

    run_virtually(main())


def test_tokens_that_are_exchanged_between_two_names_follow_the_names():
    async def main():
        instruments = SlowList("A", "B")
        feed = quiet_feed(instruments)
        await feed.subscribe([want("A"), want("B")])
        instruments.replace(A="B", B="A")
        await asyncio.sleep(3)
        assert tokens(feed) == {"A": "B", "B": "A"}
        (connection,) = feed.pool.connections()
        assert {one.symbol: one.token for one in connection.wanted} == {"A": "B", "B": "A"}
        await feed.stop()

    run_virtually(main())


def test_an_adapters_defect_fails_one_subscription_and_no_reference_is_lost(caplog):
    async def main():
        feed = quiet_feed(SlowList("SBIN", "ODD", "TCS"))
        good, odd, other = await feed.subscribe([want("SBIN"), want("ODD"), want("TCS")])
        assert odd.code == ErrorCode.SERVER_ERROR
        assert set(tokens(feed)) == {"SBIN", "TCS"}
        await feed.unsubscribe([good.key, other.key])
        assert len(feed.demand) == 0
        assert not feed.pool.connections()
        await feed.stop()

    run_virtually(main())
    assert "no such segment" in caplog.text


@pytest.mark.parametrize("after", [0.0, 0.02, 0.06])
def test_a_subscription_that_is_cancelled_holds_nothing(after):
    async def main():
        instruments = SlowList("SBIN")
        feed = quiet_feed(instruments)
        instruments.delay = 0.05
        asking = asyncio.create_task(feed.subscribe([want("SBIN")]))
        await asyncio.sleep(after)
        granted = asking.done()
        asking.cancel()
        await asyncio.wait([asking])
        assert len(feed.demand) == granted
        await feed.stop()

    run_virtually(main())


def test_a_full_pool_keeps_what_a_new_list_moves_where_there_is_room_and_lets_go_of_the_rest():
    class Narrow(PlainAdapter):
        channels = {"main": Channel(symbols=2, connections=1)}

    async def main():
        instruments = SlowList("A", "B")
        feed = quiet_feed(instruments, Narrow())
        grants = await feed.subscribe([want("A"), want("B")])
        instruments.replace(A="A2", B="B2")
        await asyncio.sleep(3)
        assert tokens(feed) == {"A": "A2", "B": "B2"}
        await feed.unsubscribe([grant.key for grant in grants])
        assert len(feed.demand) == 0
        await feed.stop()

    run_virtually(main())


def test_a_database_that_is_away_for_a_while_ends_no_watch(caplog):
    async def main():
        instruments = SlowList("SBIN")
        feed = quiet_feed(instruments)
        await feed.subscribe([want("SBIN")])
        instruments.failing = True
        instruments.version += 1
        await asyncio.sleep(60)
        instruments.failing = False
        instruments.replace(SBIN="NEW")
        await asyncio.sleep(3)
        assert tokens(feed) == {"SBIN": "NEW"}
        await feed.stop()

    run_virtually(main())
    assert caplog.text.count("cannot read its database") == 1


def test_a_feed_stops_whole_whatever_fails(monkeypatch):
    async def main():
        feed = quiet_feed(SlowList("SBIN"))
        await feed.subscribe([want("SBIN")])
        (connection,) = feed.pool.connections()

        async def fails():
            raise RuntimeError("a defect")

        monkeypatch.setattr(feed.keeper, "stop", fails)
        with pytest.raises(RuntimeError):
            await feed.stop()
        assert feed.status.state == "stopped"
        assert feed.http.is_closed
        assert feed._bus.closed
        assert connection.state.name == "STOPPED"
        assert not [task for task in asyncio.all_tasks() if "zerodha" in task.get_name()]

    run_virtually(main())


def test_a_loop_of_the_feed_that_fails_is_begun_again(monkeypatch, caplog):
    async def main():
        feed = quiet_feed(SlowList("SBIN"))
        await feed.subscribe([want("SBIN")])
        real, fail = feed.instruments.look, [True]

        async def look():
            if fail.pop() if fail else False:
                raise ZeroDivisionError
            await real()

        monkeypatch.setattr(feed.instruments, "look", look)
        await asyncio.sleep(1.5 * local_feed.STALLED_AFTER)
        assert feed.status.state == "stalled", "silence is noticed all the same"
        await feed.stop()

    run_virtually(main())
    assert "watch over zerodha:u has failed" in caplog.text


def test_a_stopped_feed_grants_nothing_and_opens_nothing():
    async def main():
        instruments = SlowList("SBIN", "TCS")
        feed = quiet_feed(instruments)
        (grant,) = await feed.subscribe([want("SBIN")])
        instruments.delay = 1.0
        asking = asyncio.create_task(feed.subscribe([want("TCS")]))
        await asyncio.sleep(0.5)
        await feed.stop()
        (refused,) = await asking
        assert refused.code == ErrorCode.BROKER_CONNECTION_ERROR
        await feed.unsubscribe([grant.key])
        assert not feed.pool.connections()

    run_virtually(main())


def test_thousands_of_subscriptions_on_a_live_feed_cost_each_of_them_the_same():
    """Once each of them went through all the others: 9,000 stopped the loop for 0.7 s."""

    async def cost(count):
        names = [f"S{number}" for number in range(count)]
        feed = quiet_feed(SlowList("FIRST", *names))
        await feed.subscribe([want("FIRST")])
        await asyncio.sleep(5)
        looked = 0
        original = feed._hours.any_open

        def any_open(exchanges, when):
            nonlocal looked
            exchanges = list(exchanges)
            looked += len(exchanges)
            return original(exchanges, when)

        feed._hours.any_open = any_open
        grants = await feed.subscribe([want(name) for name in names])
        await feed.unsubscribe([grant.key for grant in grants])
        await feed.stop()
        return looked

    async def main():
        assert await cost(3000) <= await cost(10) + 4

    run_virtually(main())


def test_thousands_of_subscriptions_give_others_their_turn_in_between():
    async def main():
        names = [f"S{number}" for number in range(3000)]
        feed = quiet_feed(SlowList("FIRST", *names))
        await feed.subscribe([want("FIRST")])
        turns = 0

        async def other():
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        task = asyncio.create_task(other())
        grants = await feed.subscribe([want(name) for name in names])
        assert turns >= 11
        turns = 0
        await feed.unsubscribe([grant.key for grant in grants])
        assert turns >= 11
        assert len(feed.demand) == 1
        task.cancel()
        await feed.stop()

    run_virtually(main())


def test_thousands_that_are_cancelled_in_the_middle_hold_nothing_and_leave_nothing():
    async def main():
        names = [f"S{number}" for number in range(1000)]
        feed = quiet_feed(SlowList(*names))
        asking = asyncio.create_task(feed.subscribe([want(name) for name in names]))
        while len(feed.demand) < 500:
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        assert len(feed.demand) == 0
        grants = await feed.subscribe([want(name) for name in names])
        leaving = asyncio.create_task(feed.unsubscribe([grant.key for grant in grants]))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        assert len(feed.demand) == 0
        await feed.stop()

    run_virtually(main())


def test_a_list_that_is_too_old_is_told_in_the_feeds_status():
    async def main():
        instruments = SlowList("SBIN")

        async def warning():
            return "the instrument list is of 02-NOV-26: run `tickmux instruments update zerodha`"

        instruments.warning = warning
        feed = quiet_feed(instruments)
        await feed.subscribe([want("SBIN")])
        await asyncio.sleep(5)
        assert feed.status.state == "live"
        assert "tickmux instruments update" in feed.status.message
        await feed.stop()

    run_virtually(main())


def test_the_numbers_of_a_feed_may_be_read_from_threads_while_it_works():
    async def main():
        names = [f"S{number}" for number in range(60)]

        class Narrow(PlainAdapter):
            channels = {"main": Channel(symbols=1, connections=60)}

        feed = quiet_feed(SlowList(*names), Narrow())
        stopped = threading.Event()
        failures = []
        reads = 0

        def read():
            nonlocal reads
            while not stopped.is_set():
                try:
                    feed.info()
                except Exception as error:
                    failures.append(error)
                reads += 1

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        thread = threading.Thread(target=read)
        thread.start()
        try:
            for _ in range(30):
                grants = await feed.subscribe([want(name) for name in names])
                await feed.unsubscribe([grant.key for grant in grants])
        finally:
            stopped.set()
            thread.join()
            sys.setswitchinterval(interval)
        assert reads
        assert not failures
        await feed.stop()

    run_virtually(main())
