"""`tickmux serve`: the whole system in one process; `tickmux proxy`: the same without the web app; `tickmux feed`:
only the feeds, for a server in another process."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import typer
import uvloop
from flask import Flask
from rich.console import Console
from rich.logging import RichHandler

from tickmux import home_lock
from tickmux.cli.announce import announce_feeds, announce_server, console
from tickmux.cli.outcome import Failed, Misused
from tickmux.config import Settings, replaced_addresses
from tickmux.database.engine import Database
from tickmux.feeds.feed_directory import Upstream
from tickmux.feeds.feed_process import FeedProcess
from tickmux.runtime import Runtime
from tickmux.simulator import simulator_names
from tickmux.web.app import build_app
from tickmux.web.context import EXTENSION
from tickmux.web.http_guard import HttpLimits
from tickmux.web.server import WebServer
from tickmux.websocket_proxy.app_integration import quiet_loggers, running
from tickmux.websocket_proxy.broker_factory import UnknownBroker, broker_names

_errors = Console(stderr=True, highlight=False, soft_wrap=True)


def _broker(name: str | None) -> str | None:
    if name is not None and name not in broker_names():
        raise typer.BadParameter(str(UnknownBroker(name)))
    return name


def _simulated(name: str | None) -> str | None:
    if _broker(name) is not None and name not in simulator_names():
        raise typer.BadParameter(f"{name} cannot be simulated; these can: {', '.join(simulator_names())}")
    return name


_Simulate = Annotated[
    str | None,
    typer.Option(metavar="BROKER", callback=_simulated, help="Serve a made-up exchange behind this broker's wire."),
]
_External = Annotated[
    bool, typer.Option("--external", help="Ticks come from publishers of your own, not from a broker.")
]
_BrokerName = Annotated[
    str | None,
    typer.Option(metavar="BROKER", callback=_broker, help="Serve this broker; default: each user's last login."),
]
_Port = Annotated[int | None, typer.Option(min=0, max=65535, help="WebSocket port; 0: any free one.")]
_WebPort = Annotated[int | None, typer.Option(min=0, max=65535, help="Web port; 0: any free one.")]
_ZmqPort = Annotated[int | None, typer.Option(min=0, max=65535, help="Bus port; 0: any free one.")]
_FeedPort = Annotated[int | None, typer.Option(min=0, max=65535, help="Port for the server; 0: any free one.")]
_BusPort = Annotated[int | None, typer.Option(min=1, max=65535, help="Port of the server's bus.")]
_Rate = Annotated[float, typer.Option(min=1, max=50_000, help="Simulated ticks a second.")]
_Seed = Annotated[int, typer.Option(help="Simulated markets repeat with the same seed.")]


def serve(
    simulate: _Simulate = None,
    external: _External = False,
    broker: _BrokerName = None,
    port: _Port = None,
    web_port: _WebPort = None,
    zmq_port: _ZmqPort = None,
    rate: _Rate = 1000.0,
    seed: _Seed = 1,
) -> None:
    """Serve live market data to any number of clients, and the web pages.

    Examples:

        tickmux serve --simulate zerodha          a made-up market, no account needed

        tickmux serve --broker zerodha            after `tickmux broker login zerodha`

        tickmux serve --external                  ticks from publishers of your own

    Stop it with Ctrl-C.
    """
    _run(Upstream(broker, simulate, external, seed, rate), port, web_port, zmq_port, with_web=True)


def proxy(
    simulate: _Simulate = None,
    external: _External = False,
    broker: _BrokerName = None,
    port: _Port = None,
    zmq_port: _ZmqPort = None,
    rate: _Rate = 1000.0,
    seed: _Seed = 1,
) -> None:
    """Serve live market data without the web pages, which then run apart.

    For a web app with several worker processes: they share one proxy, and start none of their own.

    Examples:

        tickmux proxy --broker zerodha

        gunicorn -w 4 'tickmux.web:create_app(start_proxy=False)'

    Stop it with Ctrl-C.
    """
    _run(Upstream(broker, simulate, external, seed, rate), port, None, zmq_port, with_web=False)


def feed(
    simulate: _Simulate = None,
    broker: _BrokerName = None,
    port: _FeedPort = None,
    zmq_port: _BusPort = None,
    rate: _Rate = 1000.0,
    seed: _Seed = 1,
) -> None:
    """Run the feeds in a process of their own, for a server that is started with FEED_PROCESS=true.

    The server can then be restarted without losing the connections to the broker, and each has a core for itself.
    Start the two in any order; each goes on by itself when the other comes back.

    Examples:

        tickmux feed --broker zerodha

        FEED_PROCESS=true tickmux serve           in another terminal

    Stop it with Ctrl-C.
    """
    upstream = _one_of(Upstream(broker, simulate, False, seed, rate))
    settings = Settings.load({"FEED_PORT": port, "ZMQ_PORT": zmq_port})
    if not settings.zmq_port:
        raise Misused("ZMQ_PORT is 0: give --zmq-port the port of the server's bus, which its console shows")
    _go(settings, lambda database: _feed(settings, database, upstream))


def _run(upstream: Upstream, port: int | None, web_port: int | None, zmq_port: int | None, *, with_web: bool) -> None:
    _one_of(upstream)
    settings = Settings.load({"WEBSOCKET_PORT": port, "WEB_PORT": web_port, "ZMQ_PORT": zmq_port})
    if settings.feed_process and not upstream.external and not settings.feed_port:
        raise Misused("FEED_PORT is 0: set it to the port of the feed process, which its console shows")
    if settings.feed_process and upstream.chosen_by_command:
        raise Misused(f"FEED_PROCESS is on: give {upstream.chosen_by_command} to `tickmux feed`, or turn it off")
    _go(settings, lambda database: _serve(settings, database, upstream, with_web=with_web))


def _one_of(upstream: Upstream) -> Upstream:
    if sum((upstream.simulate is not None, upstream.external, upstream.broker is not None)) > 1:
        raise Misused("--simulate, --external and --broker exclude each other: choose one")
    return upstream


def _go(settings: Settings, work: Callable[[Database], Coroutine[Any, Any, None]]) -> None:
    logging.basicConfig(
        level=settings.log_level, format="%(name)s: %(message)s", handlers=[RichHandler(console=_errors)]
    )
    quiet_loggers()
    for address in replaced_addresses(settings):
        logging.getLogger("BROKER_URLS").warning("%s", address)
    try:
        with Database.open(settings) as database:
            uvloop.run(work(database))
    except OSError as error:
        raise Failed(str(error)) from error


def _stop_signal() -> asyncio.Event:
    """Set when the user or the system asks this process to end."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # of a job in the background, too, for which shells ignore SIGINT
        loop.add_signal_handler(number, stopping.set)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it, and means it
        loop.add_signal_handler(signal.SIGHUP, stopping.set)
    return stopping


async def _feed(settings: Settings, database: Database, upstream: Upstream) -> None:
    stopping = _stop_signal()
    process = FeedProcess(settings, database, upstream)
    await process.start()
    try:
        with home_lock.held(settings.tickmux_home):
            announce_feeds(settings, process, upstream)
            await stopping.wait()
    finally:
        await process.stop()
    console.print("stopped")


async def _serve(settings: Settings, database: Database, upstream: Upstream, *, with_web: bool) -> None:
    stopping = _stop_signal()
    app = build_app(settings, database, upstream)
    web = _web_server(app, settings) if with_web else None
    async with running(app) as runtime:
        if web is not None:
            await web.start()
        try:
            code = app.extensions[EXTENSION].setup_code if web is not None else None
            announce_server(runtime, web.url if web is not None else None, _first_key(runtime), code)
            await stopping.wait()
        finally:
            if web is not None:
                await web.stop()
    console.print("stopped")


def _web_server(app: Flask, settings: Settings) -> WebServer:
    most = settings.web_max_connections
    return WebServer(app, settings.web_host, settings.web_port, HttpLimits(connections=most, per_address=most // 4))


def _first_key(runtime: Runtime) -> str | None:
    """The key that is made when there is none at all; it cannot be shown again."""
    if any(key.revoked is None for key in runtime.api_keys.list()):
        return None
    return runtime.api_keys.create(runtime.settings.tickmux_user, "made at the first start")
