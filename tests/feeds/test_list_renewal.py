"""Lists in use are renewed when they are stale at the start, and every trading morning, until it has worked."""

import asyncio
import random
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from time import monotonic, sleep

import pytest
from sqlalchemy import text

from support.rest_server import RestServer, serving
from support.running import served
from support.servers import PATIENCE
from support.virtual_time import run_virtually
from tickmux.codec import Credentials
from tickmux.config import Settings
from tickmux.database import BrokerSessions, Database, InstrumentStore, ListInfo, ListRefused
from tickmux.database.instrument_update import DownloadFailed, Update
from tickmux.feeds.list_renewal import ListRenewal, NoSession, StoredLists
from tickmux.feeds.market_hours import MarketHours
from tickmux.instrument import Instrument
from tickmux.login import IST
from tickmux.simulator import load_simulator
from tickmux.simulator.market.exchange import Exchange

FRIDAY = datetime(2026, 12, 4, tzinfo=IST)
MONDAY = FRIDAY + timedelta(days=3)


class World:
    """Lists of one broker, a clock that runs with the loop, and what happens at each download."""

    def __init__(self, begins: datetime, updated: datetime | None, *outcomes: Exception | Update) -> None:
        self.begins = begins
        self.updated = updated
        self.outcomes = list(outcomes)
        self.downloads: list[datetime] = []

    def now(self) -> datetime:
        return self.begins + timedelta(seconds=asyncio.get_running_loop().time())

    async def in_use(self) -> list[ListInfo]:
        return [] if self.updated is None else [ListInfo("zerodha", 1, 5, 0, self.updated.timestamp(), 0.0)]

    async def download(self, broker: str) -> Update:
        assert broker == "zerodha"
        self.downloads.append(self.now())
        outcome = self.outcomes.pop(0) if self.outcomes else Update(5, {})
        if isinstance(outcome, Exception):
            raise outcome
        self.updated = self.now()
        return outcome

    def run(self, lasts: timedelta, at: time = time(8), holidays: frozenset[date] = frozenset()) -> list[datetime]:
        async def main() -> None:
            self.renewal = ListRenewal(self, MarketHours(holidays), at, rng=random.Random(1), now=self.now)
            self.renewal.start()
            await asyncio.sleep(lasts.total_seconds())
            await self.renewal.stop()

        run_virtually(main(), limit=30 * 86_400.0)
        return self.downloads


def soon_after(moment: datetime, when: datetime, within: float) -> bool:
    return moment <= when <= moment + timedelta(seconds=within)


def test_a_stale_list_is_renewed_at_the_start_and_then_every_trading_morning_once() -> None:
    begins = FRIDAY.replace(hour=10)
    world = World(begins, begins - timedelta(days=20))
    first, monday, tuesday = world.run(timedelta(days=4, hours=3))
    assert soon_after(begins, first, 1)
    assert soon_after(MONDAY.replace(hour=8), monday, 330)
    assert soon_after(MONDAY.replace(hour=8) + timedelta(days=1), tuesday, 330)


def test_a_list_of_this_morning_and_one_of_friday_at_the_weekend_are_fresh() -> None:
    assert World(FRIDAY.replace(hour=10), FRIDAY.replace(hour=8, minute=1)).run(timedelta(hours=12)) == []
    assert World(FRIDAY + timedelta(days=1), FRIDAY.replace(hour=9)).run(timedelta(days=2)) == []


def test_a_holiday_has_no_morning_and_the_time_is_a_setting() -> None:
    world = World(MONDAY, FRIDAY.replace(hour=9))
    (tuesday,) = world.run(timedelta(days=1, hours=9), time(8, 30), frozenset({MONDAY.date()}))
    assert soon_after(MONDAY.replace(hour=8, minute=30) + timedelta(days=1), tuesday, 330)


def test_what_fails_is_tried_again_after_longer_and_longer_pauses_until_it_works() -> None:
    begins = FRIDAY.replace(hour=10)
    world = World(begins, begins - timedelta(days=2), *[DownloadFailed("no network")] * 7)
    downloads = world.run(timedelta(hours=3))
    assert len(downloads) == 8
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(downloads)]
    assert pauses[0] < 100
    assert max(pauses) < 1200
    assert pauses[0] < pauses[2] < pauses[4]
    assert world.renewal.problem("zerodha") == ""


def test_a_list_that_is_too_unlike_the_old_one_is_asked_for_once_an_hour_and_why_is_known() -> None:
    begins = FRIDAY.replace(hour=10)
    world = World(begins, begins - timedelta(days=2), *[ListRefused("zerodha", ["4 options of NFO"])] * 9)
    assert len(world.run(timedelta(hours=3, minutes=30))) == 4
    assert "4 options of NFO" in world.renewal.problem("zerodha")


def test_a_part_that_failed_is_fetched_again() -> None:
    begins = FRIDAY.replace(hour=10)
    world = World(begins, begins - timedelta(days=2), Update(5, {"BFO": "BFO.csv could not be fetched"}))
    assert len(world.run(timedelta(hours=1))) == 2
    assert world.renewal.problem("zerodha") == ""


def test_a_session_that_comes_later_is_soon_noticed() -> None:
    begins = FRIDAY.replace(hour=10)
    world = World(begins, begins - timedelta(days=2), *[NoSession("log in")] * 3)
    assert soon_after(begins, world.run(timedelta(hours=1))[3], 600)


@pytest.fixture
def settings(tmp_path):
    return Settings.load({"TICKMUX_HOME": tmp_path}, environ={}, folder=tmp_path)


def test_lists_in_use_are_those_of_brokers_with_a_session(settings) -> None:
    async def main() -> None:
        with Database.open(settings) as database:
            store, sessions = InstrumentStore(database), BrokerSessions(database, settings.tickmux_secret)
            for name in ("zerodha", "angel", "simulated zerodha"):
                store.replace(name, [Instrument("SBIN", "NSE", "1")])
            lists = StoredLists(settings, store, sessions)
            assert await lists.in_use() == []
            sessions.store("me", "zerodha", Credentials({"api_key": "k", "access_token": "t"}, 1.0))
            assert [info.broker for info in await lists.in_use()] == ["zerodha"]
            with pytest.raises(NoSession, match="tickmux broker login zerodha"):  # it has expired long ago
                await lists.download("zerodha")

    asyncio.run(main())


def test_the_settings_stop_the_renewal(tmp_path) -> None:
    def at(text: str) -> time | None:
        values = {"TICKMUX_HOME": tmp_path, "INSTRUMENTS_RENEWAL": text}
        return Settings.load(values, environ={}, folder=tmp_path).instruments_renewal

    assert (at("off"), at("07:45")) == (None, time(7, 45))


class AngelList(RestServer):
    """Angel One's list, as its simulator makes it."""

    def __init__(self) -> None:
        super().__init__(load_simulator("angel")(Exchange(seed=2)).instrument_dump()[0][1])


def test_serve_renews_a_stale_list_by_itself(tmp_path) -> None:
    settings = Settings.load({"TICKMUX_HOME": tmp_path}, environ={}, folder=tmp_path)
    with serving(AngelList()) as files, Database.open(settings) as database:
        store = InstrumentStore(database)
        store.replace("angel", [Instrument("NIFTY01DEC2624550CE", "NFO", "5", expiry="01-DEC-26")])
        BrokerSessions(database, settings.tickmux_secret).store("me", "angel", Credentials({"jwt": "t"}, None))
        with database.writing() as session:
            session.execute(text("UPDATE instrument_lists SET updated = updated - 864000"))
        url = f"angel.instruments={files.url}"
        with served(tmp_path, "--broker", "angel", BROKER_URLS=url, INSTRUMENTS_RENEWAL="off"):
            assert store.resolve("angel", "NSE", "SBIN") is None
        assert not files.requests
        with served(tmp_path, "--broker", "angel", BROKER_URLS=url):
            patience = monotonic() + PATIENCE
            while store.resolve("angel", "NSE", "SBIN") is None:
                assert monotonic() < patience
                sleep(0.05)
        assert len(files.requests) == 1
