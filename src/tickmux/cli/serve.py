"""`tickmux serve`: the whole system in one process, until it is interrupted."""

import asyncio
import logging
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.logging import RichHandler

from tickmux import __version__
from tickmux.config import ConfigError, Settings
from tickmux.database.engine import Database, DatabaseFailed
from tickmux.runtime import Runtime, Upstream
from tickmux.simulator import simulator_names
from tickmux.web.app import build_app
from tickmux.web.wsgi_server import WebServer
from tickmux.websocket_proxy.app_integration import quiet_loggers, running
from tickmux.websocket_proxy.broker_factory import UnknownBroker, broker_names
from tickmux.websocket_proxy.port_check import PortTaken

_FAILED, _USAGE = 1, 2
_console = Console(highlight=False, soft_wrap=True)
_errors = Console(stderr=True, highlight=False, soft_wrap=True)


def _broker(name: str | None) -> str | None:
    if name is not None and name not in broker_names():
        raise typer.BadParameter(str(UnknownBroker(name)))
    return name


def _simulated(name: str | None) -> str | None:
    if name is not None and name not in simulator_names():
        raise typer.BadParameter(f"{name} cannot be simulated; these can: {', '.join(simulator_names())}")
    return name


def serve(
    simulate: Annotated[
        str | None,
        typer.Option(
            metavar="BROKER", callback=_simulated, help="Serve a made-up exchange behind this broker's wire."
        ),
    ] = None,
    external: Annotated[
        bool, typer.Option("--external", help="No upstream: ticks come from publishers on the bus.")
    ] = False,
    broker: Annotated[
        str | None,
        typer.Option(metavar="BROKER", callback=_broker, help="Serve this broker; default: each user's last login."),
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="WebSocket port; 0: any free one.")] = None,
    web_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Web port; 0: any free one.")] = None,
    zmq_port: Annotated[int | None, typer.Option(min=0, max=65535, help="Bus port; 0: any free one.")] = None,
    rate: Annotated[float, typer.Option(min=1, max=50_000, help="Simulated ticks a second.")] = 1000.0,
    seed: Annotated[int, typer.Option(help="Simulated markets repeat with the same seed.")] = 1,
) -> None:
    """Serve live market data to any number of clients, and the web pages.

    Examples:

        tickmux serve --simulate zerodha          a made-up market, no account needed

        tickmux serve --broker zerodha            after `tickmux broker login zerodha`

        tickmux serve --external                  ticks from publishers of your own

    Stop it with Ctrl-C. Exit codes: 0 stopped, 1 could not start or failed, 2 wrong option or setting.
    """
    if sum((simulate is not None, external, broker is not None)) > 1:
        _errors.print("[red]error:[/] --simulate, --external and --broker exclude each other: choose one")
        raise typer.Exit(_USAGE)
    try:
        settings = Settings.load({"WEBSOCKET_PORT": port, "WEB_PORT": web_port, "ZMQ_PORT": zmq_port})
        logging.basicConfig(
            level=settings.log_level, format="%(name)s: %(message)s", handlers=[RichHandler(console=_errors)]
        )
        quiet_loggers()
        with Database.open(settings) as database:
            uvloop.run(_serve(settings, database, Upstream(broker, simulate, external, seed, rate)))
    except ConfigError as error:
        _errors.print(f"[red]error:[/] {error}")
        raise typer.Exit(_USAGE) from None
    except (PortTaken, DatabaseFailed, OSError) as error:
        _errors.print(f"[red]error:[/] {error}")
        raise typer.Exit(_FAILED) from None


async def _serve(settings: Settings, database: Database, upstream: Upstream) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    app = build_app(settings, database, upstream)
    web = WebServer(app, settings.web_host, settings.web_port)
    async with running(app) as runtime:
        await asyncio.to_thread(web.start)
        try:
            _announce(runtime, web, _first_key(runtime))
            await stopping.wait()
        finally:
            await asyncio.to_thread(web.stop)
    _console.print("stopped")


def _first_key(runtime: Runtime) -> str | None:
    """The key that is made when there is none at all; it cannot be shown again."""
    if any(key.revoked is None for key in runtime.api_keys.list()):
        return None
    return runtime.api_keys.create(runtime.settings.tickmux_user, "made at the first start")


def _announce(runtime: Runtime, web: WebServer, key: str | None) -> None:
    upstream, settings = runtime.upstream, runtime.settings
    if upstream.simulate:
        what = f"a made-up exchange behind {upstream.simulate}'s wire protocol, {upstream.rate:g} ticks a second"
    elif upstream.external:
        what = "publishers on the bus (OpenAlgo's topics)"
    else:
        what = upstream.broker or "each user's broker session"
    _console.print(f"\n[bold]tickmux {__version__}[/]  {what}\n")
    _console.print(f"  web        [cyan]{web.url}[/]")
    _console.print(f"  WebSocket  [cyan]{_client_url(runtime)}[/]")
    _console.print(f"  bus        [cyan]tcp://{settings.zmq_host}:{runtime.bus_port}[/]")
    if key is not None:
        _console.print(f"  API key    [green]{key}[/]")
        _console.print(
            f"             of user {settings.tickmux_user}; shown this once, more with `tickmux apikey create`"
        )
    else:
        _console.print("  API key    made earlier; more with `tickmux apikey create --user NAME`")
    _console.print("\nTry, in another terminal:\n")
    _console.print(f"  export TICKMUX_API_KEY={key or '…'}")
    usual = _client_url(runtime) == settings.websocket_url
    _console.print(
        f"  {_program()} watch SBIN NIFTY@NSE_INDEX --mode QUOTE"
        + ("" if usual else f" --url {_client_url(runtime)}")
    )
    _console.print()


def _program() -> str:
    """How the user reaches this program from where he stands."""
    here = Path(sys.argv[0])
    found = shutil.which("tickmux")
    if found is not None and Path(found).resolve() == here.resolve():
        return "tickmux"
    return os.path.relpath(here) if here.is_relative_to(Path.cwd()) else str(here)


def _client_url(runtime: Runtime) -> str:
    return f"ws://{runtime.settings.websocket_host}:{runtime.proxy.port}"
