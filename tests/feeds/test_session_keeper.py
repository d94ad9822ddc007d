"""The keeper of a broker session on a virtual clock: what refusals, renewals and new sessions come to."""

import asyncio
import time
from itertools import pairwise

import pytest

from support.virtual_time import run_virtually
from tickmux.codec import Credentials
from tickmux.feeds.session_keeper import RETRY_WAITS, Session, SessionKeeper
from tickmux.login import LoginFailed, LoginUnavailable
from tickmux.websocket_proxy.base_adapter import Unavailable


class Stored:
    def __init__(self):
        self.present = Session(Credentials({"token": "a"}), 1)
        self.reads = 0
        self.failing = False

    def version(self):
        return self.present.version if self.present else 0

    async def read(self):
        self.reads += 1
        await asyncio.sleep(0.001)
        if self.failing:
            raise OSError("server closed the connection")
        return self.present

    def store(self, token="a"):
        self.present = Session(Credentials({"token": token}), self.version() + 1)


class World:
    """A keeper, and one connection that tries whenever it may; `good` is the token that the broker takes."""

    def __init__(self, renew=None, good="a", certain=False):
        self.stored = Stored()
        self.good = good
        self.certain = certain
        self.tries = []
        self.met = []
        self.loop = asyncio.get_running_loop()
        self.last_tick = 0.0
        self.living = False
        self.keeper = SessionKeeper(
            self.stored,
            "zerodha",
            renew=renew and (lambda: renew(self)),
            clock=self.loop.time,
            met=self.met.append,
            changed=lambda: None,
            last_tick=lambda: self.last_tick,
            in_use=lambda: self.living,
        )
        self.task = asyncio.create_task(self.connect())
        self.looker = asyncio.create_task(self.look())

    async def look(self):
        while True:
            await asyncio.sleep(1)
            try:
                await self.keeper.look()
            except Unavailable:
                pass

    async def connect(self):
        while True:
            try:
                credentials = await self.keeper.credentials()
            except Unavailable:
                await asyncio.sleep(1)
                continue
            self.tries.append(self.loop.time())
            if credentials["token"] == self.good:
                self.keeper.accepted()
                while credentials["token"] == self.good:
                    await asyncio.sleep(0.5)
                    self.last_tick = self.loop.time()
            await asyncio.sleep(0.01)
            self.keeper.refused(credentials, "HTTP 403", certain=self.certain)

    @property
    def state(self):
        return self.keeper.verdict.state if self.keeper.verdict else "usable"

    async def stop(self):
        for task in (self.task, self.looker):
            task.cancel()
        await asyncio.wait([self.task, self.looker])
        await self.keeper.stop()


def virtually(main):
    def runner(*args, **options):
        run_virtually(main(*args, **options))

    runner.__name__ = main.__name__
    runner.__doc__ = main.__doc__
    return runner


@virtually
async def test_a_token_that_has_worked_is_tried_again_spread_over_minutes_before_it_is_dead():
    world = World()
    await asyncio.sleep(10)
    world.good, world.tries = "", []
    began = world.loop.time()
    await asyncio.sleep(sum(RETRY_WAITS[:4]) - 5)
    assert world.state == "reconnecting"
    assert "HTTP 403; the same session is tried again in 60 s" in world.keeper.verdict.message
    await asyncio.sleep(3600)
    gaps = [later - earlier for earlier, later in zip([began, *world.tries], world.tries, strict=False)]
    assert gaps == pytest.approx(list(RETRY_WAITS), abs=0.6)
    assert world.state == "auth_expired"
    assert "tickmux broker login zerodha" in world.keeper.verdict.message
    await world.stop()


@virtually
async def test_refusals_of_six_seconds_are_over_when_the_broker_is_well_again():
    world = World()
    await asyncio.sleep(10)
    world.good = ""
    await asyncio.sleep(6)
    world.good = "a"
    await asyncio.sleep(3)
    assert world.state == "usable"
    await world.stop()


@virtually
async def test_a_token_that_never_worked_or_that_the_broker_has_named_is_dead_at_once():
    never = World(good="")
    await asyncio.sleep(1)
    assert (never.state, len(never.tries)) == ("auth_expired", 1)
    await never.stop()
    named = World(certain=True)
    await asyncio.sleep(5)
    named.good = ""
    await asyncio.sleep(1)
    assert (named.state, len(named.tries)) == ("auth_expired", 1)
    await named.stop()


@virtually
async def test_a_token_whose_known_end_has_passed_is_dead_at_once():
    world = World()
    world.stored.present = Session(Credentials({"token": "a"}, time.time() - 1), 2)
    await asyncio.sleep(5)
    world.good = ""
    await asyncio.sleep(1)
    assert world.state == "auth_expired"
    await world.stop()


@virtually
async def test_storing_a_session_starts_afresh_also_when_it_is_the_same_one():
    world = World(certain=True)
    await asyncio.sleep(5)
    world.good = ""
    await asyncio.sleep(5)
    assert world.state == "auth_expired"
    world.good = "a"
    await asyncio.sleep(60)
    assert world.state == "auth_expired", "nobody has stored anything"
    world.stored.store("a")
    await asyncio.sleep(2)
    assert world.state == "usable"
    assert len(world.met) == 2
    await world.stop()


@virtually
async def test_while_another_connection_of_the_session_lives_it_is_not_dead():
    world = World()
    await asyncio.sleep(5)
    world.good, world.living = "", True
    await asyncio.sleep(7200)
    assert world.state == "reconnecting"
    assert world.tries[-1] - world.tries[-2] == pytest.approx(300, abs=1)
    await world.stop()


@virtually
async def test_without_a_session_it_waits_and_reads_the_database_only_when_something_is_stored():
    world = World()
    world.stored.present = None
    await asyncio.sleep(60)
    assert "no session" in world.keeper.verdict.message
    assert world.stored.reads == 1
    world.stored.store()
    await asyncio.sleep(2)
    assert world.state == "usable"
    await world.stop()


@virtually
async def test_a_database_that_cannot_be_read_is_no_verdict():
    world = World()
    world.stored.failing = True
    await asyncio.sleep(10)
    assert (world.state, world.tries) == ("usable", [])
    world.stored.failing = False
    await asyncio.sleep(2)
    assert len(world.tries) == 1
    await world.stop()


# -- renewals -----------------------------------------------------------------------------------------------


@virtually
async def test_keys_that_log_in_but_are_refused_by_the_feed_do_not_log_in_without_a_pause():
    logins = []

    async def renew(world):
        logins.append(world.loop.time())
        await asyncio.sleep(0.01)
        world.stored.store(f"new {len(logins)}")

    world = World(renew=renew, good="none")
    await asyncio.sleep(50)
    assert len(logins) == 1
    assert world.state == "auth_expired"
    assert "the next login is in" in world.keeper.verdict.message
    await asyncio.sleep(3 * 3600)
    gaps = [later - earlier for earlier, later in pairwise(logins)]
    assert gaps[:4] == pytest.approx([60, 300, 900, 1800], abs=1)
    assert len(logins) < 12
    await world.stop()


@virtually
async def test_a_broker_that_cannot_be_reached_is_asked_again_until_it_can():
    tries = []

    async def renew(world):
        tries.append(world.loop.time())
        if len(tries) < 4:
            raise LoginUnavailable("IIFL cannot be reached (ConnectError): check the network")
        world.stored.store("b")
        world.good = "b"

    world = World(renew=renew, good="")
    await asyncio.sleep(3)
    assert world.state == "reconnecting"
    assert "cannot be reached" in world.keeper.verdict.message
    await asyncio.sleep(60)
    assert world.state == "usable"
    assert len(tries) == 4
    await world.stop()


@virtually
async def test_keys_that_are_refused_are_not_tried_again_until_a_session_is_stored():
    tries = []

    async def renew(world):
        tries.append(1)
        raise LoginFailed("the keys are no longer valid")

    world = World(renew=renew, good="")
    await asyncio.sleep(3600)
    assert len(tries) == 1
    assert (world.state, world.keeper.verdict.message) == ("auth_expired", "the keys are no longer valid")
    world.stored.store("c")
    await asyncio.sleep(3600)
    assert len(tries) == 2
    await world.stop()


@virtually
async def test_a_login_that_fails_by_a_defect_is_told_and_does_not_loop():
    async def renew(world):
        raise ZeroDivisionError

    world = World(renew=renew, good="")
    await asyncio.sleep(3600)
    assert world.state == "auth_expired"
    assert "a defect of ours" in world.keeper.verdict.message
    await world.stop()


@virtually
async def test_of_two_readings_at_a_time_the_one_that_began_later_counts():
    world = World()
    await asyncio.sleep(1)
    release = asyncio.Event()
    old = world.stored.present

    async def slow():
        await release.wait()
        return old

    world.stored.store("b")
    real, world.stored.read = world.stored.read, slow
    world.keeper._seen = None
    first = asyncio.create_task(world.keeper.look())
    await asyncio.sleep(0.1)
    world.stored.read = real
    world.keeper._seen = None
    await world.keeper.look()
    release.set()
    await first
    assert (await world.keeper.credentials())["token"] == "b"
    await world.stop()
