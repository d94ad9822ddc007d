import asyncio
import threading
from concurrent.futures import Future

import pytest

from support.web import Browser, settings_in
from tickmux.database import Database
from tickmux.feeds.feed_directory import Upstream
from tickmux.simulator import load_simulator
from tickmux.simulator.market.exchange import Exchange
from tickmux.web.app import build_app, create_app
from tickmux.websocket_proxy.app_integration import running_proxy, shutdown_websocket_proxy


@pytest.fixture
def settings(tmp_path):
    return settings_in(tmp_path)


@pytest.fixture
def make_app(settings):
    """Apps without a proxy, all of one database."""
    with Database.open(settings) as database:
        yield lambda **upstream: build_app(settings, database, Upstream(**upstream), expects_proxy=False)


@pytest.fixture
def app(make_app):
    return make_app()


@pytest.fixture
def browser(app):
    made = Browser(app)
    made.set_up()
    return made


@pytest.fixture
def live(settings):
    """An app with a proxy in this process; the user chooses where ticks come from."""
    made = create_app(settings)
    yield made
    shutdown_websocket_proxy()
    assert running_proxy(made) is None


@pytest.fixture(scope="module")
def simulated_brokers():
    """Zerodha's and Angel's simulators, with their REST side, in a loop of their own: (zerodha, BROKER_URLS)."""

    async def main():
        exchange = Exchange(rate=200.0)
        simulators = [load_simulator(name)(exchange) for name in ("zerodha", "angel")]
        for simulator in simulators:
            await simulator.start()
        stopping = asyncio.Event()
        market = asyncio.create_task(exchange.run())
        started.set_result((simulators, asyncio.get_running_loop(), stopping))
        await stopping.wait()
        market.cancel()
        for simulator in simulators:
            await simulator.stop()

    started = Future()
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    simulators, loop, stopping = started.result(30)
    urls = ",".join(f"{one.name}.{name}={url}" for one in simulators for name, url in one.urls.items())
    yield simulators[0], urls
    loop.call_soon_threadsafe(stopping.set)
    thread.join(10)
