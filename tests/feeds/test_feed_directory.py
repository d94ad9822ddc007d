"""Which feed a user gets, with a real database and a simulated broker."""

import asyncio
from datetime import datetime, timedelta

import msgspec
import pytest
import uvloop

from support.asking import HALF_SESSION, PHONE
from support.servers import eventually
from tickmux.codec import Credentials
from tickmux.config import Settings
from tickmux.database.broker_sessions import BrokerSessions
from tickmux.database.engine import Database
from tickmux.database.instrument_store import InstrumentStore
from tickmux.errors import RequestError
from tickmux.feeds.feed_directory import BrokerSource, FeedDirectory, StoredInstruments
from tickmux.feeds.market_hours import MarketHours
from tickmux.feeds.stored_versions import StoredVersions
from tickmux.instrument import Instrument
from tickmux.login import IST, AnswerWanted, Field
from tickmux.simulator import load_simulator
from tickmux.simulator._xts.server import APP_KEY, SECRET_KEY
from tickmux.simulator.market.exchange import Exchange
from tickmux.tick import Mode
from tickmux.websocket_proxy.broker_factory import load_broker
from tickmux.websocket_proxy.bus import BusAddress, BusSubscriber
from tickmux.websocket_proxy.feed import Want


def run(main):
    return uvloop.run(main())


WELL = ("live", "market_closed")
"""What a feed is while all is well, whatever the hour at which the tests run."""


class World:
    """A broker's simulator, its instrument list in a database, and a bus."""

    def __init__(self, tmp_path, broker):
        self.tmp_path = tmp_path
        self.broker = broker
        self.simulator = load_simulator(broker)(Exchange(seed=2))

    async def __aenter__(self):
        await self.simulator.start()
        urls = ",".join(f"{self.broker}.{name}={url}" for name, url in self.simulator.urls.items())
        settings = Settings.load(
            {"TICKMUX_HOME": self.tmp_path, "BROKER_URLS": urls}, environ={}, folder=self.tmp_path
        )
        self.database = Database.open(settings)
        self.sessions = BrokerSessions(self.database, settings.tickmux_secret)
        self.store = store = InstrumentStore(self.database)
        parser = load_broker(self.broker).instruments()
        rows = [row for name, data in self.simulator.instrument_dump() for row in parser.parse(data, name)]
        store.replace(self.broker, rows)
        self.bus = BusSubscriber(high_water_mark=1000, on_message=lambda *_: None, on_drained=lambda: None)
        self.bus.start()
        self.versions = StoredVersions(self.sessions, store)
        self.versions.start()
        source = BrokerSource(settings, self.sessions, store, self.versions, None)
        self.directory = FeedDirectory(source, lambda: BusAddress(self.bus.endpoint))
        self.market = asyncio.create_task(self.simulator.exchange.run())
        return self

    async def __aexit__(self, *_):
        await self.directory.stop()
        await self.versions.stop()
        self.market.cancel()
        await asyncio.wait([self.market])
        self.bus.close()
        await self.simulator.stop()
        self.database.close()


def test_users_without_a_session_are_told_how_to_log_in(tmp_path):
    async def main():
        async with World(tmp_path, "zerodha") as world:
            with pytest.raises(RequestError) as refused:
                await world.directory.feed_of("bob")
            assert refused.value.code == "BROKER_ERROR"
            assert "tickmux broker login" in refused.value.message

    run(main)


def test_each_user_has_a_feed_of_his_own_and_gets_the_same_one_again(tmp_path):
    async def main():
        async with World(tmp_path, "zerodha") as world:
            for user in ("bob", "eve"):
                world.sessions.store(user, "zerodha", world.simulator.credentials)
            bob, eve = await world.directory.feed_of("bob"), await world.directory.feed_of("eve")
            assert bob is not eve
            assert bob is await world.directory.feed_of("bob")
            assert bob.id != eve.id

    run(main)


def test_a_stored_token_counts_as_tried_once_the_broker_has_taken_it(tmp_path):
    async def main():
        async with World(tmp_path, "zerodha") as world:
            world.sessions.store("bob", "zerodha", world.simulator.credentials, accepted=False)
            assert not world.sessions.list("bob")[0].accepted
            feed = await world.directory.feed_of("bob")
            await feed.subscribe([Want("SBIN", "NSE", Mode.LTP, 5)])
            await eventually(lambda: world.sessions.list("bob")[0].accepted, "taken")

    run(main)


def test_a_feed_whose_packets_omit_the_exchange_knows_which_tokens_its_list_has_once(tmp_path):
    async def main():
        async with World(tmp_path, "shoonya") as world:
            world.sessions.store("bob", "shoonya", world.simulator.credentials)
            feed = await world.directory.feed_of("bob")
            await feed.subscribe([Want("SBIN", "NSE", Mode.LTP, 5)])
            sbin = world.store.resolve("shoonya", "NSE", "SBIN")
            assert feed.adapter.lone_tokens == world.store.lone_tokens("shoonya", [sbin.token])
            twin = msgspec.structs.replace(sbin, symbol="TWIN", exchange="CDS", brexchange="CDS")
            world.store.replace("shoonya", [sbin, twin], force=True)
            await eventually(lambda: not feed.adapter.lone_tokens, "the new list's word")
            world.store.replace("shoonya", [sbin], force=True)
            await eventually(lambda: feed.adapter.lone_tokens == {sbin.token}, "the newest list's word")

    run(main)


def test_a_session_that_keys_alone_make_is_renewed_and_stored(tmp_path):
    async def main():
        async with World(tmp_path, "wisdom") as world:
            dead = Credentials({**world.simulator.credentials.values, "token": "dead"})
            world.sessions.store("bob", "wisdom", dead, {"app_key": APP_KEY, "secret_key": SECRET_KEY})
            feed = await world.directory.feed_of("bob")
            await feed.subscribe([Want("SBIN", "NSE", Mode.LTP, 5)])
            await eventually(lambda: feed.status.state in WELL, f"well, not {feed.status}")
            stored = world.sessions.get("bob", "wisdom")
            assert stored.credentials["token"] == world.simulator.credentials["token"]
            assert feed.counters.auth_failures == 1

    run(main)


def test_a_broker_that_asks_a_person_something_waits_for_a_login(tmp_path, monkeypatch):
    async def asks(*_):
        raise AnswerWanted(PHONE, Field(name="code", label="Code"), {"half": HALF_SESSION})

    async def main():
        async with World(tmp_path, "wisdom") as world:
            monkeypatch.setattr(load_broker("wisdom").login, "exchange", asks)
            dead = Credentials({**world.simulator.credentials.values, "token": "dead"})
            world.sessions.store("bob", "wisdom", dead, {"app_key": APP_KEY, "secret_key": SECRET_KEY})
            feed = await world.directory.feed_of("bob")
            await feed.subscribe([Want("SBIN", "NSE", Mode.LTP, 5)])
            await eventually(
                lambda: "only a person can answer" in feed.status.message, f"the refusal, not {feed.status}"
            )
            assert feed.status.state == "auth_expired"
            assert "tickmux broker login wisdom" in feed.status.message
            world.sessions.store("bob", "wisdom", world.simulator.credentials)
            await eventually(lambda: feed.status.state in WELL, f"well, not {feed.status}")

    run(main)


FRIDAY = datetime(2026, 12, 4, 12, 0, tzinfo=IST)


def listed(tmp_path, rows, now):
    """A list that was stored just now, seen at another moment."""
    settings = Settings.load({"TICKMUX_HOME": tmp_path}, environ={}, folder=tmp_path)
    database = Database.open(settings)
    store = InstrumentStore(database)
    store.replace("zerodha", rows)
    versions = StoredVersions(BrokerSessions(database, settings.tickmux_secret), store)
    return StoredInstruments(
        store, "zerodha", "tickmux instruments update zerodha", MarketHours(), versions, lambda: now
    )


def contract(symbol, expiry):
    return Instrument(symbol, "NFO", symbol, expiry=expiry)


def test_an_expired_contract_is_refused_whatever_the_list_says_and_the_next_one_is_named(tmp_path):
    rows = [contract("NIFTY01DEC2624550CE", "01-DEC-26"), contract("NIFTY08DEC2624550CE", "08-DEC-26")]
    instruments = listed(tmp_path, rows, FRIDAY)

    async def main():
        names = [("NIFTY01DEC2624550CE", "NFO"), ("NIFTY24NOV2624550CE", "NFO"), ("NIFTY08DEC2624550CE", "NFO")]
        listed_still, gone, alive = (await instruments.resolve(names)).found
        for refused, day in ((listed_still, "01-DEC-26"), (gone, "24-NOV-26")):
            assert refused.code == "SYMBOL_NOT_FOUND"
            assert f"expired on {day}" in refused.message
            assert "the next such contract is NIFTY08DEC2624550CE" in refused.message
        assert alive == rows[1]

    run(main)


def test_a_contract_is_served_until_midnight_of_its_expiry_day(tmp_path):
    rows = [contract("NIFTY04DEC26FUT", "04-DEC-26")]
    evening, next_day = FRIDAY.replace(hour=23, minute=59), FRIDAY + timedelta(hours=12)

    async def main():
        (alive,) = (await listed(tmp_path, rows, evening).resolve([("NIFTY04DEC26FUT", "NFO")])).found
        (ended,) = (await listed(tmp_path, rows, next_day).resolve([("NIFTY04DEC26FUT", "NFO")])).found
        assert alive == rows[0]
        assert ended.code == "SYMBOL_NOT_FOUND"

    run(main)


def test_a_list_older_than_the_last_trading_day_is_warned_of(tmp_path):
    stored = datetime.now(IST)
    weekday = stored.weekday()
    saturday = stored + timedelta(days=5 - weekday)
    monday = stored + timedelta(days=7 - weekday)

    async def main():
        rows = [contract("NIFTY29DEC26FUT", "29-DEC-26")]
        assert await listed(tmp_path, rows, stored).warning() == ""
        if weekday == 4:  # Friday's list is good for the weekend
            assert await listed(tmp_path, rows, saturday).warning() == ""
        warning = await listed(tmp_path, rows, monday).warning()
        assert "older than the last trading day" in warning
        assert "tickmux instruments update zerodha" in warning

    run(main)
