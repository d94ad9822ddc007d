"""Which feed a user gets, with a real database and a simulated broker."""

import asyncio

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
from tickmux.feeds.feed_directory import BrokerSource, FeedDirectory
from tickmux.login import AnswerWanted, Field
from tickmux.simulator import load_simulator
from tickmux.simulator._xts.server import APP_KEY, SECRET_KEY
from tickmux.simulator.market.exchange import Exchange
from tickmux.tick import Mode
from tickmux.websocket_proxy.broker_factory import load_broker
from tickmux.websocket_proxy.bus import BusSubscriber
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
        store = InstrumentStore(self.database)
        parser = load_broker(self.broker).instruments()
        rows = [row for name, data in self.simulator.instrument_dump() for row in parser.parse(data, name)]
        store.replace(self.broker, rows)
        self.bus = BusSubscriber(
            "127.0.0.1", 0, high_water_mark=1000, on_message=lambda *_: None, on_drained=lambda: None
        )
        self.bus.start(asyncio.get_running_loop())
        source = BrokerSource(settings, self.sessions, store, None)
        self.directory = FeedDirectory(source, lambda: self.bus.local_endpoint)
        self.market = asyncio.create_task(self.simulator.exchange.run())
        return self

    async def __aexit__(self, *_):
        await self.directory.stop()
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
