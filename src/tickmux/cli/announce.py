"""What `serve`, `proxy` and `feed` say when they have started.

Every command that is printed works as it is printed, in another terminal and from any folder: the program by a path
that leads to it, `--url` and the folder of the data where they are not the usual ones, quoted for a shell.
"""

import os
import shlex
import shutil
import sys
import time
from pathlib import Path

from rich.console import Console

from tickmux import __version__
from tickmux.config import Settings, reachable
from tickmux.feeds.feed_directory import Upstream
from tickmux.feeds.feed_process import FeedProcess
from tickmux.runtime import Runtime

_USUAL_URL = f"ws://{Settings.websocket_host}:{Settings.websocket_port}"

console = Console(highlight=False, soft_wrap=True, markup=False)


def announce_server(runtime: Runtime, web_url: str | None, key: str | None, setup_code: str | None = None) -> None:
    """Addresses, what is still missing, and a command to try.

    `key` is the API key that was made just now, if any; `setup_code` creates the first user of the web pages, as long
    as there is none.
    """
    upstream, settings = runtime.upstream, runtime.settings
    elsewhere = settings.feed_process and not upstream.external
    _heading("feeds of another process" if elsewhere else _source(upstream))
    if web_url is not None:
        _line("web", web_url, "cyan")
    if setup_code is not None:
        _line("setup code", setup_code, "green")
        console.print("             creates the web pages' first user from another machine, or through a proxy")
    _line("WebSocket", client_url(runtime), "cyan")
    if runtime.bus_endpoint:
        _line("bus", runtime.bus_endpoint, "cyan")
        console.print(f"             {_who_publishes(settings, upstream, runtime.bus_endpoint)}")
    more = command(settings, "apikey", "create", "--user", settings.tickmux_user)
    if key is not None:
        _line("API key", key, "green")
        console.print(f"             of user {settings.tickmux_user}; shown this once, more with `{more}`")
    else:
        console.print(f"  API key    made earlier; more with `{more}`")
    if not elsewhere and (missing := _missing_session(runtime, web_url)) is not None:
        console.print(f"\n  {missing}", style="yellow")
    if key is not None:
        console.print(f"\nTry, in another terminal:\n\n  export TICKMUX_API_KEY={key}")
    else:
        console.print("\nTry, in another terminal that has an API key in TICKMUX_API_KEY:\n")
    watched = ["watch", "SBIN", "NIFTY@NSE_INDEX", "--mode", "QUOTE"]
    url = client_url(runtime)
    if not url == _USUAL_URL == Settings.load().websocket_url:
        watched += ["--url", url]
    console.print(f"  {shlex.join([*_program(), *watched])}\n")


def announce_feeds(settings: Settings, process: FeedProcess, upstream: Upstream) -> None:
    """Addresses, and the command that serves these feeds."""
    _heading(f"feeds: {_source(upstream)}")
    _line("feeds at", process.endpoint, "cyan")
    _line("ticks to", f"{process.bus}  the bus of the server", "cyan")
    variables = {"FEED_PROCESS": "true"}
    if settings.feed_host != Settings.feed_host:
        variables["FEED_HOST"] = settings.feed_host
    if settings.zmq_host != Settings.zmq_host:
        variables["ZMQ_HOST"] = settings.zmq_host
    if (port := process.endpoint.rpartition(":")[2]) != str(Settings.feed_port):
        variables["FEED_PORT"] = port
    serve = ["serve"]
    if settings.zmq_port != Settings.zmq_port:
        serve += ["--zmq-port", str(settings.zmq_port)]
    console.print(f"\nServe them, in another terminal:\n\n  {command(settings, *serve, **variables)}\n")


def _who_publishes(settings: Settings, upstream: Upstream, endpoint: str) -> str:
    if not upstream.external:
        words = ["feed"]
        if (port := endpoint.rpartition(":")[2]) != str(Settings.zmq_port):
            words += ["--zmq-port", port]
        variables = {} if settings.zmq_host == Settings.zmq_host else {"ZMQ_HOST": settings.zmq_host}
        if settings.feed_port != Settings.feed_port:
            words += ["--port", str(settings.feed_port)]
        return f"for `{command(settings, *words, **variables)}`"
    if settings.zmq_plain:
        return "publishers on this machine"
    return f"publishers with keys: `{command(settings, 'bus-keys')}`"


def client_url(runtime: Runtime) -> str:
    """Where a client on this machine connects."""
    return f"ws://{reachable(runtime.settings.websocket_host)}:{runtime.proxy.port}"


def command(settings: Settings, *words: str, **variables: str) -> str:
    """A command line of this program, for a shell, about the same data as this process."""
    if settings.tickmux_home != Settings.usual_home():
        variables = {"TICKMUX_HOME": str(settings.tickmux_home), **variables}
    return " ".join(
        [*(f"{name}={shlex.quote(value)}" for name, value in variables.items()), shlex.join([*_program(), *words])]
    )


def _program() -> list[str]:
    """How the user reaches this program."""
    here = Path(sys.argv[0])
    if here.name == "__main__.py":
        return [sys.executable, "-m", "tickmux"]
    found = shutil.which("tickmux")
    if found is not None and Path(found).resolve() == here.resolve():
        return ["tickmux"]
    return [os.path.abspath(here)]  # noqa: PTH100 - a link to the program is not followed


def _heading(what: str) -> None:
    console.print(f"\n[bold]tickmux {__version__}[/]  ", end="", markup=True)
    console.print(f"{what}\n")


def _line(name: str, value: str, colour: str) -> None:
    console.print(f"  {name:<10} ", end="")
    console.print(value, style=colour)


def _source(upstream: Upstream) -> str:
    if upstream.simulate:
        return f"a made-up exchange behind {upstream.simulate}'s wire protocol, {upstream.rate:g} ticks a second"
    if upstream.external:
        return "publishers of your own, in OpenAlgo's form"
    return upstream.broker or "each user's broker session"


def _missing_session(runtime: Runtime, web_url: str | None) -> str | None:
    """What to do where nobody is logged in to the broker that is to be served; clients get no data before."""
    upstream, settings = runtime.upstream, runtime.settings
    if upstream.simulate is not None or upstream.external:
        return None
    stored = runtime.sessions.list()
    browser = f", or open {web_url}" if web_url is not None else ""
    if upstream.broker is None:
        if stored or runtime.sessions.active(settings.tickmux_user) is not None:
            return None
        return (
            f"No broker is chosen, so there is no data yet: `{command(settings, 'broker', 'login', 'NAME')}`{browser}"
        )
    login = command(settings, "broker", "login", upstream.broker)
    of_broker = [one for one in stored if one.broker == upstream.broker]
    if not of_broker:
        return f"Nobody is logged in to {upstream.broker}, so there is no data yet: `{login}`{browser}"
    if all(one.expires_at is not None and one.expires_at <= time.time() for one in of_broker):
        return f"The session with {upstream.broker} has expired, so there is no data yet: `{login}`{browser}"
    return None
