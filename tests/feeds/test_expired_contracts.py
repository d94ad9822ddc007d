"""Time passes: what has left the list or is over is served no more, and its token is its new owner's."""

from datetime import datetime, timedelta

import msgspec
import uvloop

from support.feeds import rig
from support.servers import connected, eventually, running_proxy
from tickmux.login import IST
from tickmux.tick import Mode
from tickmux.websocket_proxy.feed_state import InstrumentState


def run(main):
    return uvloop.run(main())


async def told(client, symbol):
    """What the client hears next of an instrument that has expired."""
    return await client.until(lambda message: message.get("state") == "expired" and message["symbol"] == symbol)


def test_the_listed_owner_of_a_token_gets_its_ticks_and_the_old_name_is_expired():
    async def main():
        async with rig("zerodha") as feed, running_proxy(feed.feed) as proxy:
            old, other = feed.listed(2, "NFO")
            new = msgspec.structs.replace(old, symbol=f"{old.symbol}NEW")
            async with connected(proxy, instrument_status=True) as client, connected(proxy) as plain:
                for each in (client, plain):
                    await each.ask(action="subscribe", symbols=[f"NFO:{old.symbol}", f"NFO:{other.symbol}"], mode=1)
                del feed.instruments.rows[old.symbol, old.exchange]
                feed.instruments.rows[new.symbol, new.exchange] = new
                feed.instruments.version += 1
                message = await told(client, old.symbol)
                assert (message["type"], message["exchange"], message["mode"]) == ("instrument_status", "NFO", 1)
                assert "not listed" in message["message"]
                listed = await plain.ask(action="list_subscriptions")
                states = {one["symbol"]: one.get("status") for one in listed["subscriptions"]}
                assert states == {old.symbol: "expired", other.symbol: None}
                refused = await client.ask(action="subscribe", symbols=[f"NFO:{old.symbol}"], mode=2)
                assert refused["subscriptions"][0]["code"] == "SYMBOL_NOT_FOUND"
                feed.bus.clear()
                (granted,) = await feed.subscribe([new], Mode.LTP)
                await feed.ticking([granted])
                assert not any(old.symbol.encode() + b"\x1f" in topic for topic in feed.bus.payloads)
                (connection,) = feed.feed.pool.connections()
                assert {one.symbol for one in connection.wanted} == {new.symbol, other.symbol}
                gone = await plain.ask(action="unsubscribe", symbols=[f"NFO:{old.symbol}"], mode=1)
                assert gone["status"] == "success"
                await client.ask(action="unsubscribe_all")
                assert not feed.feed.demand.expired

    run(main)


def test_a_contract_ends_at_midnight_without_a_new_list():
    async def main():
        async with rig("zerodha") as feed:
            contract = next(row for row in feed.listed(50, "NFO") if row.expiry)
            share = feed.listed(1, "NSE")[0]
            day = datetime.strptime(contract.expiry, "%d-%b-%y").replace(tzinfo=IST)
            feed.feed._now = lambda: day.replace(hour=23, minute=59)
            await feed.subscribe([contract, share], Mode.LTP)
            looked = feed.sessions.looked
            await eventually(lambda: feed.sessions.looked > looked + 2, "a look at the day before")
            assert len(feed.feed.demand) == 2
            heard = []
            feed.feed.listen_to_instruments(heard.extend)
            feed.feed._now = lambda: day + timedelta(days=1)
            await eventually(lambda: [one.symbol for one in heard if one.state == InstrumentState.EXPIRED], "its end")
            assert [one.symbol for one in heard if one.state == InstrumentState.EXPIRED] == [contract.symbol]
            (connection,) = feed.feed.pool.connections()
            assert list(connection.wanted) == [share]
            assert feed.feed.instrument_status(contract.symbol, "NFO").state == InstrumentState.EXPIRED

    run(main)


def test_what_a_later_list_has_again_is_served_again_for_those_who_hold_it():
    async def main():
        async with rig("zerodha") as feed:
            row, other = feed.listed(2, "NFO")
            grants = await feed.subscribe([row, row, other], Mode.LTP)
            del feed.instruments.rows[row.symbol, row.exchange]
            feed.instruments.version += 1
            await eventually(lambda: feed.feed.demand.expired, "its end")
            feed.instruments.rows[row.symbol, row.exchange] = row
            feed.instruments.version += 1
            await eventually(lambda: not feed.feed.demand.expired, "its return")
            feed.bus.clear()
            await feed.ticking(grants)
            await feed.feed.unsubscribe([grants[0].key])
            assert len(feed.feed.demand) == 2, "somebody else holds it still"
            await feed.feed.unsubscribe([grants[0].key, grants[2].key])
            assert len(feed.feed.demand) == 0

    run(main)


def test_two_names_of_one_instrument_both_tick():
    async def main():
        async with rig("zerodha") as feed:
            (row,) = feed.listed(1, "NSE")
            alias = msgspec.structs.replace(row, symbol=f"{row.symbol}-EQ")
            feed.instruments.rows[alias.symbol, alias.exchange] = alias
            grants = await feed.subscribe([row, alias], Mode.LTP)
            await feed.ticking(grants)
            payload = feed.bus.payloads[grants[1].topic][-1]
            assert payload["symbol"] == alias.symbol
            await feed.feed.unsubscribe([grants[0].key])
            feed.bus.clear()
            await feed.ticking(grants[1:])
            assert grants[0].topic not in feed.bus.payloads
            await feed.feed.unsubscribe([grants[1].key])
            assert not feed.feed.pool.connections()

    run(main)
