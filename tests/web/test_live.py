"""The web app with its proxy: keys of web sessions, choices that change under clients, numbers for the dashboard."""

import asyncio

import pytest

from support.servers import connected, eventually
from support.web import Browser, settings_in
from tickmux.web import create_app
from tickmux.websocket_proxy.app_integration import running_proxy, shutdown_websocket_proxy, start_websocket_proxy


@pytest.fixture
def user(live):
    browser = Browser(live)
    browser.set_up()
    return browser


@pytest.fixture
def proxy(live):
    return running_proxy(live).runtime.proxy


def session_key(browser):
    return browser.get("/api/websocket/apikey").json["api_key"]


def choose(browser, broker, *, simulated=True):
    answer = browser.post("/api/brokers/active", {"broker": broker, "simulated": simulated})
    assert answer.status_code == 200, answer.text


async def in_thread(function, *arguments):
    return await asyncio.to_thread(function, *arguments)


def test_a_second_start_is_none(live):
    before = running_proxy(live)
    start_websocket_proxy(live)
    assert running_proxy(live) is before


def test_a_session_key_opens_the_websocket_and_log_out_cuts_its_sockets_only(user, proxy):
    choose(user, "zerodha")
    web_key = session_key(user)
    program_key = user.post("/api/keys", {"name": "program"}).json["api_key"]

    async def main():
        async with connected(proxy, web_key) as page, connected(proxy, program_key) as program:
            await in_thread(user.log_out)
            assert (await page.closed())[0] == 4401
            assert (await program.ask(action="ping"))["type"] == "pong"
            async with connected(proxy, None) as late:
                answer = await late.ask(action="authenticate", api_key=web_key)
                assert answer["code"] == "AUTHENTICATION_ERROR"

    asyncio.run(main())


def test_a_revoked_key_loses_its_clients_and_no_others(user, proxy):
    choose(user, "zerodha")
    doomed = user.post("/api/keys", {"name": "doomed"}).json
    other = user.post("/api/keys", {"name": "other"}).json["api_key"]

    async def main():
        async with connected(proxy, doomed["api_key"]) as loser, connected(proxy, other) as keeper:
            await in_thread(user.send, "DELETE", f"/api/keys/{doomed['key']['id']}")
            assert (await loser.closed())[0] == 4401
            assert (await keeper.ask(action="ping"))["type"] == "pong"

    asyncio.run(main())


def test_subscriptions_are_carried_over_to_another_source(user, live, proxy):
    choose(user, "zerodha")
    feeds = running_proxy(live).runtime.running_feeds()

    async def main():
        async with connected(proxy, session_key(user), feed_status=True) as client:
            await client.send(action="subscribe", symbols=["NSE:SBIN", "NSE_INDEX:NIFTY"], mode="QUOTE")
            await client.send(action="subscribe", symbols=["NSE:SBIN"], mode="DEPTH", depth=5)
            assert (await client.data("SBIN", 3))["broker"] == "zerodha"
            await in_thread(choose, user, "upstox")
            for symbol, mode in (("SBIN", 2), ("SBIN", 3), ("NIFTY", 2)):
                moved = await client.until(
                    lambda message, symbol=symbol, mode=mode: (
                        (message.get("broker"), message.get("symbol"), message.get("mode"))
                        == ("upstox", symbol, mode)
                    )
                )
                assert moved["data"]["ltp"] > 0
            await client.send(action="list_subscriptions")
            listed = await client.until(lambda message: message.get("type") == "subscriptions")
            assert [(one["symbol"], one["mode"], one["broker"]) for one in listed["subscriptions"]] == [
                ("SBIN", "Quote", "upstox"),
                ("NIFTY", "Quote", "upstox"),
                ("SBIN", "Depth", "upstox"),
            ]
            await client.send(action="unsubscribe_all")
            ended = await client.until(lambda message: message.get("type") == "unsubscribe")
            assert ended["status"] == "success"
            (feed,) = feeds
            await eventually(lambda: feed.info().symbols == 0, "everything is given back")

    asyncio.run(main())


def test_what_the_new_source_does_not_serve_comes_back_with_one_that_does(user, proxy):
    choose(user, "zerodha")

    async def main():
        async with connected(proxy, session_key(user)) as client:
            await client.ask(action="subscribe", symbols=["NSE:SBIN", "NSE:TCS"], mode="LTP")
            await client.data("TCS")
            await in_thread(lambda: choose(user, "zerodha", simulated=False))  # no instrument list: nothing is served
            (feed,) = (await in_thread(user.get, "/api/feeds")).json["feeds"]
            assert (feed["broker"], feed["simulated"], feed["symbols"]) == ("zerodha", False, 0)
            await in_thread(choose, user, "upstox")
            for symbol in ("SBIN", "TCS"):
                await client.until(
                    lambda message, symbol=symbol: (
                        (message.get("broker"), message.get("symbol")) == ("upstox", symbol) and "data" in message
                    )
                )

    asyncio.run(main())


def test_without_a_choice_a_client_is_told_what_to_do(user, proxy):
    async def main():
        async with connected(proxy, None) as client:
            answer = await client.ask(action="authenticate", api_key=await in_thread(session_key, user))
            assert answer["code"] == "BROKER_ERROR"
            assert "choose a broker in the web app" in answer["message"]

    asyncio.run(main())


def test_the_dashboard_sees_feed_clients_and_latencies(user, proxy):
    choose(user, "zerodha")
    empty = user.get("/api/feeds").json
    assert empty["proxy"]["clients"] == 0
    (idle,) = empty["feeds"]
    assert (idle["state"], idle["latency_ms"], idle["last_tick"]) == ("connecting", None, None)

    async def main():
        async with connected(proxy, session_key(user)) as client:
            await client.ask(action="subscribe", symbols=["NSE:SBIN", "NSE_INDEX:NIFTY"], mode="QUOTE")
            await client.data()

            async def measured():
                answer = (await in_thread(user.get, "/api/feeds")).json
                return answer if answer["proxy"]["latency_ms"] and answer["feeds"][0]["last_tick"] else None

            while (answer := await measured()) is None:
                await client.data()
            return answer, (await in_thread(user.get, "/api/health")).json

    answer, health = asyncio.run(main())
    shown, (feed,) = answer["proxy"], answer["feeds"]
    assert (shown["clients"], shown["subscriptions"], shown["instruments"]) == (1, 2, 2)
    assert shown["messages"] >= 1
    (client,) = shown["clients_detail"]
    assert (client["user"], client["subscriptions"]) == ("asha", 2)
    assert 0 < shown["latency_ms"]["p50"] <= shown["latency_ms"]["p99"] <= shown["latency_ms"]["max"] < 5000
    assert feed["latency_ms"]["p50"] >= shown["latency_ms"]["p50"]
    assert (feed["broker"], feed["state"], feed["simulated"], feed["market_open"]) == ("zerodha", "live", True, True)
    assert (feed["symbols"], feed["max_symbols"], feed["max_connections"]) == (2, 3000, 1)
    assert feed["ticks"] > 0
    assert feed["last_tick"] <= answer["server_time"]
    (connection,) = feed["connections"]
    assert (connection["id"], connection["state"], connection["symbols"]) == ("main-1", "live", 2)
    assert health["feed"] == {"broker": "zerodha", "state": "live"}
    assert (health["state"], health["message"]) == ("ok", "")
    assert user.get("/api/health").json["state"] == "ok", "a feed that nobody needs now is no trouble"


def test_the_last_tick_is_known_while_the_feed_reconnects_and_a_client_that_does_not_read_is_told(tmp_path):
    app = create_app(settings_in(tmp_path), simulate="zerodha")
    user = Browser(app)
    user.set_up()
    running = running_proxy(app)
    proxy, simulator = running.runtime.proxy, running.runtime.simulator

    def in_the_loop(*works):
        async def call():
            for work in works:
                work()

        running.call(call())

    async def shown():
        answer = (await in_thread(user.get, "/api/feeds")).json
        return answer["feeds"][0], answer["proxy"]["clients_detail"][0]

    async def main():
        async with connected(proxy, session_key(user), feed_status=True) as client:
            await client.ask(action="subscribe", symbols=["NSE:SBIN"], mode="QUOTE")
            await client.data()
            feed, reader = await shown()
            assert feed["last_tick"] > 0
            assert reader["behind"] == 0

            (session,) = proxy.clients
            await in_thread(in_the_loop, session.pause_writing)
            while not (await shown())[1]["behind"]:
                await asyncio.sleep(0)
            await in_thread(in_the_loop, session.resume_writing)
            while (await shown())[1]["behind"]:
                await asyncio.sleep(0)

            await in_thread(in_the_loop, simulator.refuse_connections, simulator.disconnect_all)
            await client.until(lambda message: "503" in message.get("message", ""))
            assert (await shown())[0]["last_tick"] >= feed["last_tick"]

    try:
        asyncio.run(main())
    finally:
        shutdown_websocket_proxy()


def test_the_probes_leave_the_counts_alone(user, proxy):
    choose(user, "zerodha")

    def look():
        return user.get("/api/feeds").json["proxy"]

    async def main():
        while look()["latency_ms"] is None:
            await asyncio.sleep(0)
        shown = look()
        assert (shown["messages"], shown["subscriptions"], shown["instruments"]) == (0, 0, 0)

    asyncio.run(main())


def test_the_configured_port_is_the_one_that_the_system_chose(user, proxy):
    config = user.get("/api/websocket/config").json
    assert config["websocket_url"] == f"ws://127.0.0.1:{proxy.port}"


@pytest.fixture
def broker_user(tmp_path, simulated_brokers):
    """A user of the real thing, as far as tickmux knows: Zerodha at other addresses; (browser, proxy, simulator)."""
    app = create_app(settings_in(tmp_path, BROKER_URLS=simulated_brokers[1]))
    browser = Browser(app)
    browser.set_up()
    yield browser, running_proxy(app).runtime.proxy, simulated_brokers[0]
    shutdown_websocket_proxy()


def test_a_feed_waits_for_a_session_and_resumes_with_it(broker_user):
    browser, proxy, simulator = broker_user

    def give_token():
        answer = browser.post("/api/brokers/zerodha/token", {"values": dict(simulator.credentials.values)})
        assert answer.status_code == 200, answer.text

    def instruments():
        (found,) = [one for one in browser.get("/api/brokers").json["brokers"] if one["name"] == "zerodha"]
        return found["instruments"]["count"]

    def is_state(state):
        return lambda message: message.get("type") == "feed_status" and message["state"] == state

    async def main():
        await in_thread(give_token)
        assert browser.get("/api/brokers").json["active"] == {"broker": "zerodha", "simulated": False}
        while not await in_thread(instruments):
            await asyncio.sleep(0)
        async with connected(proxy, session_key(browser), feed_status=True) as client:
            await client.send(action="subscribe", symbols=["NSE:SBIN"], mode="LTP")
            await client.data("SBIN")
            await in_thread(browser.send, "DELETE", "/api/brokers/zerodha/session")
            refused = await client.until(is_state("auth_expired"))
            assert "no session" in refused["message"]
            (feed,) = (await in_thread(browser.get, "/api/feeds")).json["feeds"]
            assert feed["state"] == "auth_expired"
            await in_thread(give_token)
            await client.data("SBIN")

    asyncio.run(main())
