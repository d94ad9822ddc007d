"""The proxy inside a Flask app: a daemon thread with an event loop of its own.

`start_websocket_proxy(app)` works for tickmux' own web app and for any other. Owns the thread, its loop and, unless
the app brings one, the database. It ends with the interpreter, on SIGINT and SIGTERM, and when it is told to.

One proxy a home: a lock on `TICKMUX_HOME/proxy.lock` keeps a second worker process from starting another one, whose
clients would see nothing of the first one's feeds. A lock that is held is waited for `_HANDOVER` seconds, since a
server that replaces its worker starts the new one before the old one has gone.
"""

import asyncio
import atexit
import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import uvloop
from flask import Flask

from tickmux import home_lock
from tickmux.client_keys import Keys
from tickmux.config import Settings
from tickmux.database.engine import Database
from tickmux.feeds.feed_directory import Upstream
from tickmux.home_lock import HomeTaken
from tickmux.runtime import Runtime
from tickmux.websocket_proxy.wsgi_host import refuse_unfit_host

log = logging.getLogger(__name__)

EXTENSION = "tickmux"
"""`app.extensions` has the running proxy under this name."""
PARTS = "tickmux.parts"
"""`app.extensions` may have `ProxyParts` under this name, before the start."""

_START_TIMEOUT = 30.0
_STOP_TIMEOUT = 5.0
_HANDOVER = 5.0
_LAST_BREATH = 2.0
"""Seconds that a server which has freed its ports may take to end."""
_CALL_TIMEOUT = 15.0

T = TypeVar("T")


class ProxyParts(NamedTuple):
    """What the app wants the proxy to run with; without it the settings in effect."""

    settings: Settings
    database: Database
    upstream: Upstream = Upstream()
    more_keys: Sequence[Keys] = ()


class SecondProxy(RuntimeError):
    """Another process runs the proxy of this home already; `holder` is what it says of itself."""

    def __init__(self, home: Path, holder: str) -> None:
        whose = f" ({holder.partition(':')[0]})" if holder else ""
        super().__init__(
            f"the proxy of {home} is running in another process{whose} already, and each worker process would start "
            "one of its own, with its own connections to the broker: run one worker (`gunicorn -w 1 --threads 8 …`), "
            "or run the proxy apart with `tickmux proxy` and this app without one "
            "(`tickmux.web:create_app(start_proxy=False)`)"
        )


class RunningProxy:
    """A runtime at work in the event loop of another thread."""

    def __init__(self, runtime: Runtime, loop: asyncio.AbstractEventLoop) -> None:
        self.runtime = runtime
        self.loop = loop
        self._pid = os.getpid()

    @property
    def here(self) -> bool:
        """Whether it runs in this process: a forked one has only a copy, without the thread."""
        return self._pid == os.getpid() and self.loop.is_running()

    def call(self, work: Coroutine[Any, Any, T], timeout: float = _CALL_TIMEOUT) -> T:
        """Carries a coroutine out in the proxy's loop. Raises TimeoutError, and what the coroutine raises."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise

    def soon(self, work: Callable[[], object]) -> None:
        """Has the proxy's loop call `work` next."""
        with suppress(RuntimeError):  # the loop has ended
            self.loop.call_soon_threadsafe(work)


class ProxyThread:
    """The thread, from its start to its end."""

    def __init__(self, parts: ProxyParts, *, owns_database: bool) -> None:
        self._parts = parts
        self._owns_database = owns_database
        self._lock = -1
        self._stop: Callable[[], object] = lambda: None
        self._started: Future[RunningProxy] = Future()
        self._thread = threading.Thread(target=self._run, name="tickmux proxy", daemon=True)

    def start(self) -> RunningProxy:
        """Raises SecondProxy, PortTaken, and whatever else keeps the proxy from starting."""
        try:
            self._lock = home_lock.take(self._parts.settings.tickmux_home, _HANDOVER)
        except HomeTaken as error:
            raise SecondProxy(error.home, error.holder) from None
        self._thread.start()
        try:
            return self._started.result(_START_TIMEOUT)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the proxy and frees its ports; waits for it."""
        self._stop()
        if self._thread.ident is not None:
            self._thread.join(_STOP_TIMEOUT)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _run(self) -> None:
        try:
            uvloop.run(self._serve())
        except BaseException as error:
            if not self._started.done():
                self._started.set_exception(error)
            else:
                log.exception("the proxy has ended")
        finally:
            if self._owns_database:
                self._parts.database.close()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()

        def stop() -> None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(stopping.set)

        self._stop = stop
        async with _started(self._parts) as runtime:
            self._started.set_result(RunningProxy(runtime, loop))
            await stopping.wait()


@asynccontextmanager
async def running(app: Flask) -> AsyncIterator[Runtime]:
    """Runs the proxy beside `app`, which has its `ProxyParts`, in the present event loop instead of a thread.

    Raises what `Runtime.start` does, and HomeTaken: no feed has been made by then.
    """
    parts: ProxyParts = app.extensions[PARTS]
    async with _started(parts) as runtime:
        # Where feeds run in a process of their own, that one has the lock, and any number of servers may use them.
        lock = -1
        if not parts.settings.feed_process:
            lock = await asyncio.to_thread(home_lock.take, parts.settings.tickmux_home, _LAST_BREATH)
        try:
            app.extensions[EXTENSION] = RunningProxy(runtime, asyncio.get_running_loop())
            yield runtime
        finally:
            if lock >= 0:
                os.close(lock)


@asynccontextmanager
async def _started(parts: ProxyParts) -> AsyncIterator[Runtime]:
    runtime = Runtime(parts.settings, parts.database, parts.upstream, parts.more_keys)
    await runtime.start()
    try:
        yield runtime
    finally:
        await runtime.stop()


_thread: ProxyThread | None = None


def start_websocket_proxy(app: Flask) -> None:
    """Starts the proxy of this process beside `app`, which may be any Flask app; a second call does nothing.

    Under Flask's debugger with its reloader only the process that serves gets one: the reloader's parent does not,
    nor does a process whose part is not clear yet, until its first request. Ends the process, with one line on
    standard error, under a server that the proxy cannot run in (`wsgi_host.py`). Raises SecondProxy, PortTaken,
    ConfigError, DatabaseFailed.
    """
    refuse_unfit_host()
    if app.debug and not _is_reloaders_child():
        _start_with_first_request(app)
        return
    _stop_before_reloader(app)
    _start(app)


def shutdown_websocket_proxy() -> None:
    """Ends the proxy of this process and frees its ports; does nothing where there is none."""
    global _thread
    thread, _thread = _thread, None
    if thread is not None:
        thread.stop()


def running_proxy(app: Flask) -> RunningProxy | None:
    """The proxy beside `app`, if it runs in this process."""
    found = app.extensions.get(EXTENSION)
    return found if isinstance(found, RunningProxy) and found.here else None


def quiet_loggers() -> None:
    """Silences what other packages would log of tokens, or of clients' faults."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("picows").setLevel(logging.CRITICAL)  # what clients do wrong is counted, not logged
    for name in ("httpx", "httpcore"):  # they print URLs and headers, which carry tokens
        logging.getLogger(name).setLevel(logging.WARNING)


def _start(app: Flask) -> None:
    global _thread
    if running_proxy(app) is not None:
        return
    quiet_loggers()
    parts = app.extensions.get(PARTS)
    owns_database = not isinstance(parts, ProxyParts)
    if not isinstance(parts, ProxyParts):
        settings = Settings.load()
        parts = ProxyParts(settings, Database.open(settings))
    thread = ProxyThread(parts, owns_database=owns_database)
    app.extensions[EXTENSION] = thread.start()
    _thread = thread
    pid = os.getpid()
    atexit.register(lambda: shutdown_websocket_proxy() if os.getpid() == pid else None)
    _leave_in_order_on_sigterm()


def _is_reloaders_child() -> bool:
    return os.environ.get("WERKZEUG_RUN_MAIN") == "true"


def _start_with_first_request(app: Flask) -> None:
    """The reloader's parent loads the app like its child does, but never serves."""
    once = threading.Lock()

    @app.before_request
    def start() -> None:
        with once:
            if EXTENSION not in app.extensions:
                _start(app)


def _stop_before_reloader(app: Flask) -> None:
    """`app.run(debug=True)` comes after the start: what would be the reloader's parent gives the ports up to its
    child, which starts a proxy of its own."""
    run = app.run

    @functools.wraps(run)
    def run_without_proxy(*args: Any, **options: Any) -> None:
        debug = options.get("debug", args[2] if len(args) > 2 else None)
        reloads = options.get("use_reloader", app.debug if debug is None else debug)
        if reloads and not _is_reloaders_child():
            shutdown_websocket_proxy()
        run(*args, **options)

    app.run = run_without_proxy  # type: ignore[method-assign]


def _leave_in_order_on_sigterm() -> None:
    """SIGTERM ends a Python program without its exit handlers, unless it is handled."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
