"""Debian's Chromium in front of the whole system, which runs in this process so that a test can command it."""

import os
import re
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from support.web import PASSWORD, settings_in
from tickmux.database import Database
from tickmux.feeds.feed_directory import Upstream
from tickmux.runtime import Runtime
from tickmux.simulator.server.base import BrokerSimulator
from tickmux.web.app import build_app
from tickmux.web.pages import STATIC
from tickmux.web.server import WebServer
from tickmux.websocket_proxy.app_integration import EXTENSION, PARTS, ProxyThread, RunningProxy

_FRONTEND = Path(__file__).parents[2] / "frontend"
AXE = _FRONTEND / "node_modules" / "axe-core" / "axe.min.js"
CHROMIUM = next(
    (
        found
        for name in (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome")
        if name and (found := shutil.which(name))
    ),
    None,
)
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing() -> str | None:
    """How to get what the browser tests need; None when all is there."""
    ways = []
    if CHROMIUM is None:
        ways.append("`apt-get install chromium` (or name a browser in CHROMIUM)")
    if not (STATIC / "index.html").exists() or not AXE.exists():
        ways.append("`cd frontend && npm ci && npm run build`")
    return f"NO BROWSER TESTS: they need {' and '.join(ways)}" if ways else None


class System:
    """tickmux as `tickmux serve` runs it. After `stop`, `start` comes back on the same ports with the same data."""

    def __init__(self, home: Path, upstream: Upstream, **settings: str) -> None:
        self._home = home
        self._upstream = upstream
        self._settings = {"WEBSOCKET_PORT": "0", **settings}
        self._web_port = 0
        self._parts: tuple[Database, ProxyThread, WebServer, RunningProxy] | None = None

    def start(self) -> "System":
        settings = settings_in(self._home, **self._settings)
        database = Database.open(settings)
        app = build_app(settings, database, self._upstream)
        thread = ProxyThread(app.extensions[PARTS], owns_database=False)
        running = app.extensions[EXTENSION] = thread.start()
        web = WebServer(app, "127.0.0.1", self._web_port)
        running.call(web.start())
        self._parts = database, thread, web, running
        self._web_port = web.port
        self._settings["WEBSOCKET_PORT"] = str(running.runtime.proxy.port)
        return self

    def stop(self) -> None:
        """Does nothing where it is not running."""
        if self._parts is None:
            return
        database, thread, web, running = self._parts
        self._parts = None
        running.call(web.stop())
        thread.stop()
        database.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._web_port}"

    @property
    def _running(self) -> RunningProxy:
        assert self._parts is not None, "the system is not running"
        return self._parts[3]

    @property
    def runtime(self) -> Runtime:
        return self._running.runtime

    @property
    def simulator(self) -> BrokerSimulator:
        assert self.runtime.simulator is not None, "the system was started without --simulate"
        return self.runtime.simulator

    def do(self, work: Callable[[], Any]) -> None:
        """Has `work` done in the system's event loop, and waits for it."""
        done: Future[None] = Future()

        def run() -> None:
            try:
                work()
            except BaseException as error:
                done.set_exception(error)
            else:
                done.set_result(None)

        self._running.soon(run)
        done.result(10)

    def simulated_urls(self) -> str:
        """`BROKER_URLS` of a system that takes this one's simulator for the broker."""
        return ",".join(f"{self.simulator.name}.{name}={url}" for name, url in self.simulator.urls.items())

    @property
    def clients(self) -> int:
        """Sockets that are open to the proxy."""
        return len(self.runtime.proxy.clients)


class Complaints:
    """What the browser's console says of a page's faults, apart from what a test has allowed."""

    def __init__(self, page: Any) -> None:
        self._heard: list[str] = []
        self._allowed: list[re.Pattern[str]] = []
        self._lock = threading.Lock()
        page.on("console", lambda message: self._hear(message.type, message.text))
        page.on("pageerror", lambda error: self._hear("error", str(error)))

    def allow(self, pattern: str) -> None:
        self._allowed.append(re.compile(pattern))

    def unexpected(self) -> list[str]:
        with self._lock:
            return [text for text in self._heard if not any(allowed.search(text) for allowed in self._allowed)]

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            with self._lock:
                self._heard.append(text)


def log_in(page: Any, url: str) -> None:
    """A user, made where there is none, and his session in the page's browser."""
    api = page.context.request
    session = api.get(f"{url}/api/session").json()
    path = "setup" if session["setup_required"] else "login"
    made = api.post(
        f"{url}/api/{path}",
        data={"username": "trader", "password": PASSWORD},
        headers={"X-CSRF-Token": session["csrf_token"]},
    )
    assert made.ok, made.text()
