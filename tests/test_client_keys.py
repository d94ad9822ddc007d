"""A key that is revoked, by whichever process and at whatever moment, loses its clients within two seconds."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest
import websockets

from support.web import settings_in
from tickmux.database import ApiKeys, Database, Users, WebSessions
from tickmux.errors import CloseCode
from tickmux.feeds.feed_directory import Upstream
from tickmux.runtime import Runtime
from tickmux.web.session_keys import SessionKeys

LATEST = 2.0
"""Seconds after which a revoked key must have no clients; a busy machine gets as much again."""


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path)


@pytest.fixture
def elsewhere(settings):
    """Another process's view of the database."""
    with Database.open(settings) as database:
        yield database


@asynccontextmanager
async def running(settings, *more_keys):
    with Database.open(settings) as database:
        runtime = Runtime(settings, database, Upstream(simulate="zerodha"), more_keys)
        await runtime.start()
        try:
            yield runtime
        finally:
            await runtime.stop()


@asynccontextmanager
async def client(runtime, key):
    async with websockets.connect(f"ws://127.0.0.1:{runtime.proxy.port}", compression=None) as socket:
        await socket.send(json.dumps({"action": "authenticate", "api_key": key}))
        yield socket


async def closed(socket):
    """Reads until the server hangs up: the close code, and the answers before it."""
    answers = []
    try:
        async with asyncio.timeout(2 * LATEST):
            while True:
                answers.append(json.loads(await socket.recv()))
    except websockets.ConnectionClosed as error:
        return error.rcvd.code, answers


def test_a_key_that_another_process_revokes_loses_its_clients_and_no_others(settings, elsewhere):
    async def main():
        async with running(settings) as runtime:
            api_keys = ApiKeys(elsewhere, settings.api_key_pepper)
            revoked, kept = api_keys.create("trader"), api_keys.create("trader")
            async with client(runtime, revoked) as first, client(runtime, revoked) as second:
                async with client(runtime, kept) as third:
                    for socket in (first, second, third):
                        assert json.loads(await socket.recv())["status"] == "success"
                    await asyncio.to_thread(api_keys.revoke, revoked.split("_")[1])
                    for socket in (first, second):
                        assert await closed(socket) == (CloseCode.NOT_AUTHENTICATED, [])
                    await third.send('{"action":"ping"}')
                    assert json.loads(await third.recv())["type"] == "pong"

    asyncio.run(main())


@pytest.mark.parametrize("here", [True, False])
def test_a_key_that_is_revoked_while_its_feed_is_made_gets_no_success(settings, elsewhere, here):
    async def main():
        async with running(settings) as runtime:
            api_keys = ApiKeys(elsewhere, settings.api_key_pepper)
            key = api_keys.create("trader")
            made, making = runtime.proxy.feed_of, asyncio.Event()

            async def slow(user):
                making.set()
                await asyncio.sleep(1.5)
                return await made(user)

            runtime.proxy.feed_of = slow
            async with client(runtime, key) as socket:
                await making.wait()
                await asyncio.to_thread(api_keys.revoke, key.split("_")[1])
                if here:
                    runtime.disconnect(key.split("_")[1])
                code, answers = await closed(socket)
                assert (code, answers) == (CloseCode.NOT_AUTHENTICATED, [])

    asyncio.run(main())


def test_a_key_that_is_revoked_at_the_end_of_a_long_wait_is_looked_at_once_more(settings, elsewhere):
    async def main():
        async with running(settings) as runtime:
            await runtime.client_keys.stop()  # what the watch would notice a moment later
            api_keys = ApiKeys(elsewhere, settings.api_key_pepper)
            key = api_keys.create("trader")
            made = runtime.proxy.feed_of

            async def slow(user):
                await asyncio.sleep(0.6)
                await asyncio.to_thread(api_keys.revoke, key.split("_")[1])
                return await made(user)

            runtime.proxy.feed_of = slow
            async with client(runtime, key) as socket:
                answer = json.loads(await socket.recv())
                assert (answer["type"], answer["code"]) == ("auth", "AUTHENTICATION_ERROR")

    asyncio.run(main())


def test_the_key_of_a_web_session_ends_with_it_in_every_process(settings, elsewhere):
    async def main():
        sessions = WebSessions(elsewhere)
        keys = SessionKeys(sessions, settings.api_key_pepper)
        token = sessions.begin(Users(elsewhere).create_first("asha", "correct horse"))
        session = sessions.find(token)
        async with running(settings, keys) as runtime, client(runtime, keys.issue(session.id).key) as socket:
            assert json.loads(await socket.recv())["status"] == "success"
            await asyncio.to_thread(sessions.end, session.id)
            assert await closed(socket) == (CloseCode.NOT_AUTHENTICATED, [])

    asyncio.run(main())


def test_while_the_database_cannot_be_asked_clients_stay_and_newcomers_are_told(settings, elsewhere, caplog):
    async def main():
        async with running(settings) as runtime:
            key = ApiKeys(elsewhere, settings.api_key_pepper).create("trader")
            async with client(runtime, key) as socket:
                assert json.loads(await socket.recv())["status"] == "success"
                (settings.tickmux_home / "tickmux.db").rename(settings.tickmux_home / "moved.db")
                began = time.monotonic()
                while time.monotonic() - began < LATEST:
                    async with client(runtime, key) as newcomer:
                        answer = json.loads(await newcomer.recv())
                    assert (answer["type"], answer["code"]) == ("auth", "SERVER_ERROR")
                    assert str(settings.tickmux_home) not in answer["message"]
                    await asyncio.sleep(0.1)
                await socket.send('{"action":"ping"}')
                assert json.loads(await socket.recv())["type"] == "pong"
                (settings.tickmux_home / "moved.db").rename(settings.tickmux_home / "tickmux.db")
                async with client(runtime, key) as newcomer:
                    assert json.loads(await newcomer.recv())["status"] == "success"

    asyncio.run(main())
    failures = [record for record in caplog.records if "cannot be used" in record.message]
    assert len(failures) == 1
