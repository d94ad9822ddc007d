"""Feeds of another process: link and host over real sockets, the feed on a simulated Zerodha."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
import uvloop
import zmq

from support.feeds import rig
from support.keys import KEYS
from support.servers import eventually
from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds import local_feed
from tickmux.feeds.remote import feed_wire, remote_feed
from tickmux.feeds.remote.feed_host import FeedHost
from tickmux.feeds.remote.remote_feed import FeedLink
from tickmux.tick import Mode
from tickmux.websocket_proxy.bus_door import connect_with_keys
from tickmux.websocket_proxy.feed import Grant, Want


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(feed_wire, "ALIVE_INTERVAL", 0.02)
    monkeypatch.setattr(remote_feed, "_SILENT", 0.3)


def run(main):
    return uvloop.run(main())


@asynccontextmanager
async def hosted(feed_of, port=0):
    host = FeedHost(feed_of, "127.0.0.1", port, KEYS)
    await host.start()
    try:
        yield host
    finally:
        await host.stop()


@asynccontextmanager
async def linked(endpoint):
    link = FeedLink(endpoint, KEYS.for_feeds)
    link.start()
    try:
        await eventually(lambda: link.send(feed_wire.Alive(0)), "the feed process")
        yield link
    finally:
        await link.stop()


@asynccontextmanager
async def joined():
    """A rig, its host, a link to it, and the feed as the proxy has it."""
    async with rig("zerodha") as feed:

        async def feed_of(user):
            if user == "nobody":
                raise RequestError(ErrorCode.BROKER_ERROR, "nobody has no session with a broker")
            return feed.feed

        async with hosted(feed_of) as host, linked(host.endpoint) as link:
            yield feed, host, link, await link.open("bob")


def want(row, mode=Mode.LTP, depth=0):
    return Want(row.symbol, row.exchange, mode, depth)


def wanted(feed):
    return {one.symbol for connection in feed.feed.pool.connections() for one in connection.wanted}


def test_demand_reaches_the_feed_and_its_state_comes_back():
    async def main():
        async with joined() as (feed, _, _, remote):
            assert (remote.id, remote.broker, remote.account) == ("zerodha:test", "zerodha", "test")
            (row,) = feed.listed(1, "NSE")
            (grant,) = await remote.subscribe([want(row, Mode.DEPTH, 5)])
            assert isinstance(grant, Grant)
            assert (grant.key.mode, grant.key.depth) == (Mode.DEPTH, 5)
            await feed.ticking([grant])
            await eventually(lambda: remote.status.state == "live", "its state")
            await eventually(lambda: remote.info().symbols == 1, "its numbers")
            await remote.unsubscribe([grant.key])
            await eventually(lambda: not feed.feed.pool.connections(), "the end of the demand")

    run(main)


def test_one_of_two_holders_takes_nothing_from_the_other():
    async def main():
        async with joined() as (feed, _, link, remote):
            (row,) = feed.listed(1, "NSE")
            (first,), (second,) = [await remote.subscribe([want(row)]) for _ in range(2)]
            assert first.key == second.key
            await remote.unsubscribe([first.key])
            await link.open("bob")  # everything said before it has been heard
            assert wanted(feed) == {row.symbol}
            await remote.unsubscribe([second.key])
            await eventually(lambda: not wanted(feed), "the end of the demand")

    run(main)


def test_what_is_given_back_while_it_is_asked_for_stays():
    async def main():
        async with joined() as (feed, _, link, remote):
            (row,) = feed.listed(1, "NSE")
            (first,) = await remote.subscribe([want(row)])
            again = asyncio.create_task(remote.subscribe([want(row)]))
            await asyncio.sleep(0)  # the request has gone out, the answer is not here yet
            await remote.unsubscribe([first.key])
            (second,) = await again
            await link.open("bob")
            assert wanted(feed) == {row.symbol}
            await remote.unsubscribe([second.key])
            await eventually(lambda: not wanted(feed), "the end of the demand")

    run(main)


def test_verdicts_are_the_feeds_own():
    async def main():
        async with joined() as (feed, _, link, remote):
            (row,) = feed.listed(1, "NSE")
            refused, granted = await remote.subscribe([Want("NOPE", "NSE", Mode.LTP, 0), want(row)])
            assert refused.code == ErrorCode.SYMBOL_NOT_FOUND
            assert isinstance(granted, Grant)
            with pytest.raises(RequestError, match="nobody has no session") as failed:
                await link.open("nobody")
            assert failed.value.code == ErrorCode.BROKER_ERROR

    run(main)


def test_a_subscription_is_followed_by_the_newest_value_on_the_bus():
    async def main():
        async with joined() as (feed, _, _, remote):
            (row,) = feed.listed(1, "NSE")
            grants = await feed.subscribe([row], Mode.LTP)
            await feed.ticking(grants)
            feed.running.cancel()  # the market stands still: what comes now is a repetition
            await asyncio.wait([feed.running])
            (connection,) = feed.feed.pool.connections()
            frames = feed.feed.counters.frames
            feed.bus.clear()
            (grant,) = await remote.subscribe([want(row)])
            assert grant.snapshot is not None
            await feed.ticking([grant])
            assert feed.feed.counters.frames - frames <= feed.feed.counters.heartbeats
            assert connection.wanted

    run(main)


def test_a_host_that_comes_back_is_asked_for_everything_again():
    async def main():
        async with rig("zerodha") as feed:

            async def feed_of(user):
                return feed.feed

            (row,) = feed.listed(1, "NSE")
            seen = []
            async with hosted(feed_of) as host:
                endpoint = host.endpoint
                link = FeedLink(endpoint, KEYS.for_feeds)
                link.start()
                await eventually(lambda: link.send(feed_wire.Alive(0)))
                remote = await link.open("bob")
                remote.listen(lambda status: seen.append((status.state, status.message)))
                (grant,) = await remote.subscribe([want(row)])
                await eventually(lambda: remote.status.state == "live")
            assert not wanted(feed)
            await eventually(lambda: remote.status.state == "reconnecting", "its absence")
            assert "tickmux feed" in remote.status.message
            (failed,) = await remote.subscribe([want(row)])
            assert failed.code == ErrorCode.BROKER_CONNECTION_ERROR
            feed.bus.clear()
            async with hosted(feed_of, int(endpoint.rpartition(":")[2])):
                await eventually(lambda: wanted(feed) == {row.symbol}, "the demand")
                await feed.ticking([grant])
                await eventually(lambda: remote.status.state == "live", "its state")
                assert not remote.missing
                await link.stop()
            assert [state for state, _ in seen if state in ("live", "reconnecting")][:3] == [
                "live",
                "reconnecting",
                "live",
            ]

    run(main)


def test_a_proxy_that_is_silent_holds_nothing_after_its_lease(monkeypatch):
    monkeypatch.setattr(feed_wire, "LEASE", 0.3)

    async def main():
        async with joined() as (feed, _, link, remote):
            (row,) = feed.listed(1, "NSE")
            await remote.subscribe([want(row)])
            monkeypatch.setattr(link, "send", lambda request: True)  # says no more
            await eventually(lambda: not wanted(feed), "the end of the lease")
            monkeypatch.undo()
            await eventually(lambda: wanted(feed) == {row.symbol}, "all of it again, under a new lease")

    run(main)


def test_a_call_without_an_answer_fails_and_the_next_one_works(monkeypatch):
    monkeypatch.setattr(remote_feed, "_ANSWER_TIMEOUT", 0.2)

    async def main():
        async with rig("zerodha") as feed:
            hanging = asyncio.Event()

            async def feed_of(user):
                await hanging.wait()
                return feed.feed

            async with hosted(feed_of) as host, linked(host.endpoint) as link:
                with pytest.raises(RequestError, match="does not answer") as failed:
                    await link.open("bob")
                assert failed.value.code == ErrorCode.BROKER_CONNECTION_ERROR
                hanging.set()
                await eventually(lambda: link.send(feed_wire.Alive(0)))
                assert (await link.open("bob")).id == feed.feed.id

    run(main)


def test_without_a_feed_process_the_error_says_what_to_start():
    async def main():
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            link = FeedLink(f"tcp://127.0.0.1:{free.getsockname()[1]}", KEYS.for_feeds)
            link.start()
            with pytest.raises(RequestError, match="start it with `tickmux feed`"):
                await link.open("bob")
            await link.stop()

    run(main)


@pytest.mark.parametrize("message", [[b""], [b"\xc1"], [b"\x81\xa4type\xa4Open"], [b"a", b"b"], [b"\xff" * 1000]])
def test_garbage_is_counted_and_costs_nobody_else_anything(message):
    async def main():
        async with joined() as (feed, host, _, remote):
            stranger = zmq.Context.instance().socket(zmq.DEALER)
            connect_with_keys(stranger, host.endpoint, KEYS.for_feeds)
            stranger.send_multipart(message)
            await eventually(lambda: host.malformed == 1, "the count")
            (row,) = feed.listed(1, "NSE")
            (grant,) = await remote.subscribe([want(row)])
            assert isinstance(grant, Grant)
            stranger.close(0)

    run(main)


def test_a_call_that_waits_keeps_neither_signs_of_life_nor_other_calls_waiting(monkeypatch):
    async def main():
        async with joined() as (feed, _, link, remote):
            ready = asyncio.Event()

            async def wait_ready(timeout):
                await ready.wait()
                return True

            (row,) = feed.listed(1, "NSE")
            monkeypatch.setattr(feed.bus, "wait_ready", wait_ready)
            waiting = asyncio.create_task(remote.subscribe([want(row)]))
            heard = link._heard
            await eventually(lambda: link._heard > heard + 0.3, "signs of life")
            assert (await link.open("bob")) is remote
            assert not waiting.done()
            ready.set()
            (grant,) = await waiting
            assert isinstance(grant, Grant)

    run(main)


def test_what_the_feed_process_waits_for_in_vain_is_told_in_its_own_words(monkeypatch):
    monkeypatch.setattr(remote_feed, "_ANSWER_TIMEOUT", 30.0)

    async def main():
        async with joined() as (feed, _, _, remote):

            async def wait_ready(timeout):
                return False

            monkeypatch.setattr(feed.bus, "wait_ready", wait_ready)
            (row,) = feed.listed(1, "NSE")
            (refused,) = await remote.subscribe([want(row)])
            assert refused.code == ErrorCode.BROKER_INIT_ERROR
            assert "cannot reach the bus" in refused.message

    run(main)


def test_every_time_out_is_longer_than_the_one_below_it():
    assert remote_feed._ANSWER_TIMEOUT > local_feed.BUS_READY_TIMEOUT


def test_what_is_granted_after_its_caller_has_gone_is_given_back(monkeypatch):
    async def main():
        async with joined() as (feed, _, link, remote):
            ready = asyncio.Event()

            async def wait_ready(timeout):
                await ready.wait()
                return True

            (row,) = feed.listed(1, "NSE")
            monkeypatch.setattr(feed.bus, "wait_ready", wait_ready)
            asking = asyncio.create_task(remote.subscribe([want(row)]))
            await link.open("bob")  # everything said before it has been heard
            asking.cancel()
            await asyncio.wait([asking])
            granted = []
            original = feed.feed.demand.grant
            monkeypatch.setattr(feed.feed.demand, "grant", lambda *args: granted.append(1) or original(*args))
            ready.set()
            await eventually(lambda: granted and not wanted(feed), "it is given back")

    run(main)


def test_a_call_that_fails_in_the_feed_process_is_answered_and_the_next_one_works(monkeypatch, caplog):
    async def main():
        async with joined() as (feed, _, _, remote):
            (row,) = feed.listed(1, "NSE")
            real = feed.instruments.resolve

            async def fails(names):
                raise RuntimeError("database is locked")

            feed.instruments.resolve = fails
            (refused,) = await remote.subscribe([want(row)])
            assert refused.code == ErrorCode.SERVER_ERROR
            feed.instruments.resolve = real
            (grant,) = await remote.subscribe([want(row)])
            assert isinstance(grant, Grant)

    run(main)
    assert "database is locked" in caplog.text


def test_the_states_of_instruments_cross_the_border():
    async def main():
        async with joined() as (feed, _, _, remote):
            row, other = feed.listed(2, "NSE")
            heard = []
            remote.listen_to_instruments(heard.extend)
            await remote.subscribe([want(row), want(other)])
            del feed.instruments.rows[row.symbol, row.exchange]
            feed.instruments.version += 1
            await eventually(lambda: [one.symbol for one in heard if one.state == "expired"] == [row.symbol])
            assert remote.instrument_status(row.symbol, "NSE").state == "expired"
            await eventually(lambda: remote.info().instruments.get("expired") == 1, "its count")

    run(main)


def test_a_feed_that_the_feed_process_does_not_know_is_refused_and_nothing_else_happens():
    async def main():
        async with joined() as (feed, _, link, _):
            (row,) = feed.listed(1, "NSE")
            with pytest.raises(RequestError, match="does not know strange:feed") as refused:
                await link.call(lambda number: feed_wire.Subscribe(number, "strange:feed", [want(row)]))
            assert refused.value.code == ErrorCode.BROKER_CONNECTION_ERROR
            assert wanted(feed) == set()

    run(main)


def test_who_waits_for_an_answer_when_the_link_ends_hears_so_at_once():
    async def main():
        async with rig("zerodha") as feed:
            hanging = asyncio.Event()

            async def feed_of(user):
                await hanging.wait()
                return feed.feed

            async with hosted(feed_of) as host, linked(host.endpoint) as link:
                asked = asyncio.create_task(link.open("bob"))
                await eventually(lambda: link._calls, "the call")
                await link.stop()
                with pytest.raises(RequestError, match="does not answer"):
                    await asyncio.wait_for(asked, 2)
                hanging.set()

    run(main)


def test_what_was_given_back_while_it_was_asked_for_again_is_not_kept():
    async def main():
        async with joined() as (feed, _, link, remote):
            (row,) = feed.listed(1, "NSE")
            (grant,) = await remote.subscribe([want(row)])
            again = asyncio.create_task(remote.restore())
            await asyncio.sleep(0)  # everything has been asked for again
            await remote.unsubscribe([grant.key])
            await again
            await link.open("bob")
            await eventually(lambda: not wanted(feed), "the end of the demand")

    run(main)


def test_an_answer_of_another_length_grants_nothing(monkeypatch):
    async def main():
        async with joined() as (feed, host, _, remote):
            send = host._send

            def short(proxy, answer):
                send(proxy, feed_wire.Granted(answer.call, []) if isinstance(answer, feed_wire.Granted) else answer)

            monkeypatch.setattr(host, "_send", short)
            (row,) = feed.listed(1, "NSE")
            (refused,) = await remote.subscribe([want(row)])
            assert refused.code == ErrorCode.SERVER_ERROR

    run(main)


def test_the_other_clock_is_read_and_a_late_answer_does_not_spoil_it():
    async def main():
        async with joined() as (_, _, link, _):
            await eventually(lambda: link.clock_offset is not None, "a reading")
            assert abs(link.clock_offset) < 5_000_000_000, "one machine, one clock"
            link._clock_doubt, link._clock_read, link.clock_offset = 1000, 10_000_000_000, 7
            link._set_clock(feed_wire.Here("x", sent=1_000_000_000, clock=99), now=11_000_000_000)
            assert link.clock_offset == 7, "under way for ten seconds"
            link._set_clock(feed_wire.Here("x", sent=10_999_000_000, clock=50_999_500_000), now=11_000_000_000)
            assert link.clock_offset == 40_000_000_000
            link.clock_offset = None
            link._set_clock(feed_wire.Here("x", sent=1_000_000_000, clock=11_000_000_099), now=11_000_000_000)
            assert link.clock_offset == 99, "a first answer that was late says how much it is at least"
            link._set_clock(feed_wire.Here("x", sent=11_000_000_000, clock=51_000_500_000), now=11_001_000_000)
            assert link.clock_offset == 40_000_000_000, "the next one is surer"

    run(main)


def test_after_ticks_were_dropped_the_newest_values_are_asked_for():
    async def main():
        async with joined() as (feed, _, link, remote):
            grants = await feed.subscribe(feed.listed(1, "NSE"), Mode.LTP)
            await feed.ticking(grants)
            (row,) = feed.listed(1, "NSE")
            (grant,) = await remote.subscribe([want(row)])
            feed.running.cancel()  # the market stands still: what comes now is a repetition
            await asyncio.wait([feed.running])
            await link.open("bob")
            feed.bus.clear()
            link.ticks_missed()
            await feed.ticking([grant])

    run(main)
