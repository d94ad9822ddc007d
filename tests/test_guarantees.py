"""What every feed guarantees, broker by broker, against its simulator. A broker joins by having one."""

import asyncio

import msgspec
import pytest
import uvloop

from support.feeds import rig
from support.servers import eventually
from tickmux.simulator import simulator_names
from tickmux.simulator.market.security import PRICE_UNIT
from tickmux.tick import Mode
from tickmux.websocket_proxy.feed import Want

pytestmark = [pytest.mark.parametrize("broker", simulator_names())]


def run(main):
    return uvloop.run(main)


def test_all_modes_are_live_on_every_exchange_that_is_simulated(broker):
    async def main():
        async with rig(broker, rate=20_000) as feed:
            rows = [row for exchange in feed.adapter.exchanges for row in feed.listed(2, exchange)]
            assert rows
            for mode in Mode:
                feed.bus.clear()
                grants = await feed.subscribe(rows, mode)
                await feed.ticking(grants)
                await feed.feed.unsubscribe([grant.key for grant in grants])
            assert feed.feed.counters.malformed == 0
            assert feed.feed.counters.unknown == 0

    run(main())


_PRICES = ("ltp", "open", "high", "low", "close", "upper_circuit", "lower_circuit")


@pytest.mark.parametrize("mode", Mode)
def test_what_is_published_is_what_the_exchange_made(broker, mode):
    async def main():
        async with rig(broker, rate=20_000) as feed:
            rows = [row for exchange in feed.adapter.exchanges for row in feed.listed(3, exchange)]
            grants = await feed.subscribe(rows, mode)
            await feed.ticking(grants)
            feed.running.cancel()  # the market stands still; what is under way arrives
            await asyncio.wait([feed.running])
            pairs = [
                (feed.exchange.find(row.symbol, row.exchange), grant) for row, grant in zip(rows, grants, strict=True)
            ]

            def differences():
                found = []
                for security, grant in pairs:
                    shown = feed.bus.payloads[grant.topic][-1]
                    for field in _PRICES:
                        if field in shown and shown[field] != pytest.approx(getattr(security, field) / PRICE_UNIT):
                            found.append((grant.key, field, shown[field], getattr(security, field) / PRICE_UNIT))
                    assert "ltp" in shown
                    if "volume" in shown and shown["volume"] != security.volume:
                        found.append((grant.key, "volume", shown["volume"], security.volume))
                    for side, levels in (("buy", security.bids), ("sell", security.asks)):
                        book = shown.get("depth", {}).get(side)
                        if book is not None:
                            best = [(level.price / PRICE_UNIT, level.quantity) for level in levels[: len(book)]]
                            if [(round(level["price"], 4), level["quantity"]) for level in book] != best:
                                found.append((grant.key, side, book, best))
                return found

            await eventually(lambda: not differences(), "the last published values are the exchange's")

    run(main())


@pytest.mark.parametrize("how", ["abrupt", "close frame", "mid-frame", "protocol error"])
def test_a_lost_connection_comes_back_with_all_subscriptions(broker, how):
    async def main():
        async with rig(broker) as feed:
            grants = await feed.subscribe(feed.listed(20), Mode.QUOTE)
            await feed.ticking(grants)
            connects = feed.feed.counters.connects
            if how == "abrupt":
                feed.simulator.disconnect_all()
            elif how == "close frame":
                feed.simulator.disconnect_all(1011, "going down")
            elif how == "mid-frame":
                feed.simulator.cut_mid_frame()
            else:
                feed.simulator.break_protocol()
            await eventually(lambda: feed.feed.counters.connects > connects, "a new connection")
            feed.bus.clear()
            await feed.ticking(grants)
            await feed.state("live")

    run(main())


def test_a_silent_connection_is_replaced(broker):
    async def main():
        async with rig(broker, stall_after=0.4, ping_interval=0.1) as feed:
            grants = await feed.subscribe(feed.listed(5), Mode.QUOTE)
            await feed.ticking(grants)
            feed.simulator.go_silent()
            await eventually(lambda: feed.feed.counters.stalls >= 1, "the stall")
            await feed.state("reconnecting", "connecting")
            feed.simulator.resume()
            feed.bus.clear()
            await feed.ticking(grants)
            await feed.state("live")

    run(main())


def test_an_expired_token_stops_the_knocking_until_a_new_one_is_stored(broker):
    async def main():
        async with rig(broker, retry_waits=()) as feed:
            grants = await feed.subscribe(feed.listed(10), Mode.QUOTE)
            await feed.ticking(grants)
            feed.simulator.expire_token()
            await feed.state("auth_expired")
            failures = feed.feed.counters.auth_failures
            assert failures == 1
            looked = feed.sessions.looked
            await eventually(lambda: feed.sessions.looked > looked + 1, "looks for another session")
            assert feed.feed.counters.auth_failures == failures, "a dead token is tried once"
            assert feed.feed.status.state == "auth_expired"
            (refusal,) = await feed.feed.subscribe([Want("SBIN", "NSE", Mode.LTP, 5)])
            assert refusal.code == "BROKER_AUTH_EXPIRED"
            feed.simulator.new_token()
            feed.bus.clear()
            await feed.ticking(grants)
            await feed.state("live")

    run(main())


def test_one_refusal_is_no_verdict(broker):
    """Handshakes and REST answer 403 for a while, then all is well: nobody has to log in again."""

    async def main():
        async with rig(broker, retry_waits=(0.02,) * 500) as feed:
            grants = await feed.subscribe(feed.listed(5), Mode.QUOTE)
            await feed.ticking(grants)
            states = []
            feed.feed.listen(lambda status: states.append(status.state))
            feed.simulator.refuse_connections(403)
            feed.simulator.disconnect_all()
            counters = feed.feed.counters
            await eventually(lambda: counters.auth_failures + counters.reconnects >= 3, "several refusals")
            feed.simulator.accept_connections()
            feed.bus.clear()
            await feed.ticking(grants)
            await feed.state("live")
            assert "auth_expired" not in states

    run(main())


def test_the_same_session_stored_again_is_tried_again(broker):
    async def main():
        async with rig(broker, retry_waits=()) as feed:
            grants = await feed.subscribe(feed.listed(5), Mode.QUOTE)
            await feed.ticking(grants)
            feed.simulator.expire_token()
            await feed.state("auth_expired")
            feed.simulator.token_valid = True  # the broker's own fault: the token is good again
            feed.sessions.stored_again += 1
            feed.bus.clear()
            await feed.ticking(grants)
            await feed.state("live")

    run(main())


def test_a_token_that_is_given_to_another_contract_goes_with_it(broker):
    async def main():
        async with rig(broker) as feed:
            old, other = feed.listed(2)
            (held, _) = await feed.subscribe([old, other], Mode.QUOTE)
            await feed.ticking([held])
            new = msgspec.structs.replace(old, symbol=f"{old.symbol}X")
            del feed.instruments.rows[old.symbol, old.exchange]
            feed.instruments.rows[new.symbol, new.exchange] = new
            feed.instruments.version += 1
            await eventually(lambda: feed.feed.demand.expired, "the old name's end")
            granted = await feed.subscribe([new], Mode.QUOTE)
            feed.bus.clear()
            await feed.ticking(granted)
            assert not feed.bus.payloads.get(held.topic)
            (refused,) = await feed.feed.subscribe([Want(old.symbol, old.exchange, Mode.LTP, 5)])
            assert refused.code == "SYMBOL_NOT_FOUND"

    run(main())


def test_a_broker_that_is_down_is_tried_again_until_it_is_back(broker):
    async def main():
        async with rig(broker) as feed:
            feed.simulator.refuse_connections(503)
            grants = await feed.subscribe(feed.listed(5), Mode.QUOTE)
            await eventually(lambda: feed.feed.counters.reconnects >= 3, "several attempts")
            assert feed.feed.status.state == "reconnecting"
            assert feed.feed.counters.auth_failures == 0
            feed.simulator.accept_connections()
            await feed.ticking(grants)

    run(main())


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 64, b"", b"\x00\x01", bytes(range(256)), "{", "\x00", "[1,2", "42[" * 50]
)
def test_garbage_is_counted_and_loses_nothing_else(broker, garbage):
    async def main():
        async with rig(broker) as feed:
            grants = await feed.subscribe(feed.listed(5), Mode.QUOTE)
            await feed.ticking(grants)
            frames = feed.feed.counters.frames
            prices = {row.symbol for row in feed.listed(5)}
            for _ in range(3):
                feed.simulator.send_garbage(garbage)
            await eventually(lambda: feed.feed.counters.frames >= frames + 3)
            feed.bus.clear()
            await feed.ticking(grants)
            published = {payload["symbol"] for payloads in feed.bus.payloads.values() for payload in payloads}
            assert published <= prices

    run(main())


def test_a_flood_is_survived(broker):
    async def main():
        async with rig(broker) as feed:
            grants = await feed.subscribe(feed.listed(5), Mode.QUOTE)
            await feed.ticking(grants)
            frames = feed.feed.counters.frames
            feed.simulator.flood(2000)
            await eventually(lambda: feed.feed.counters.frames >= frames + 2000, "the flood")
            assert feed.feed.status.state == "live"

    run(main())


def test_what_is_no_longer_wanted_is_unsubscribed_and_the_connection_closed(broker):
    async def main():
        async with rig(broker) as feed:
            rows = feed.listed(6)
            grants = await feed.subscribe(rows, Mode.QUOTE)
            await feed.ticking(grants)
            await feed.feed.unsubscribe([grant.key for grant in grants[:3]])
            await eventually(lambda: all(one.subscribed == 3 for one in feed.feed.pool.connections()))
            assert feed.feed.info().symbols == 3
            await feed.feed.unsubscribe([grant.key for grant in grants[3:]])
            await eventually(lambda: not feed.simulator.clients, "the connection's end")
            assert not feed.feed.pool.connections()

    run(main())


def test_modes_go_up_and_down_with_demand(broker):
    async def main():
        async with rig(broker) as feed:
            rows = feed.listed(3, "NSE")
            low = await feed.subscribe(rows, Mode.LTP)
            await feed.ticking(low)
            high = await feed.subscribe(rows, Mode.DEPTH)
            await feed.ticking(high)
            await eventually(lambda: all(feed.bus.payloads[grant.topic][-1].get("depth") for grant in high), "books")
            await feed.feed.unsubscribe([grant.key for grant in high])
            feed.bus.clear()
            await feed.ticking(low)
            assert set(feed.modes()) == {"ltp"}

    run(main())


def test_a_thousand_instruments_are_back_within_seconds(broker):
    async def main():
        async with rig(broker, rate=50_000) as feed:
            main_channel = next(iter(feed.adapter.channels))
            symbols, connections = feed.feed.pool.sizes[main_channel]
            rows = feed.listed(min(1000, symbols * connections))
            grants = await feed.subscribe(rows, Mode.LTP)
            told = lambda: sum(one.subscribed for one in feed.feed.pool.connections())  # noqa: E731
            await eventually(lambda: told() == len(grants), "all subscribed")
            feed.simulator.disconnect_all()
            await eventually(lambda: told() == 0, "the connection's end")
            await eventually(lambda: told() == len(grants), "all subscribed again")

    run(main())


def test_stopping_leaves_no_task_behind(broker):
    async def main():
        before = asyncio.all_tasks()
        async with rig(broker) as feed:
            await feed.ticking(await feed.subscribe(feed.listed(5), Mode.QUOTE))
        await eventually(lambda: asyncio.all_tasks() == before, f"tasks left: {asyncio.all_tasks() - before}")

    run(main())
