"""The web server of `tickmux serve`: uvicorn in the proxy's event loop, Flask behind it on a few threads.

It lives in that loop since a server of its own thread would need `select`, which fails beyond 1,024 descriptors, or
a second event loop, whose work would take the interpreter from the stream just the same.

`WebServer` owns the listening socket and the task that runs uvicorn and starts it again, logged, should it end.
Bounds: `http_guard.py` (connections), `wsgi_bridge.py` (requests).
"""

import asyncio
import functools
import logging
import resource
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from flask import Flask
from uvicorn.config import Config
from uvicorn.server import Server

from tickmux import owned_task
from tickmux.config import reachable
from tickmux.web.http_guard import GuardedConnection, HttpGuard, HttpLimits
from tickmux.web.routes_state import SERVER_NUMBERS
from tickmux.web.wsgi_bridge import WsgiBridge
from tickmux.websocket_proxy.port_check import PortTaken, check_port, describe_taken

log = logging.getLogger(__name__)

_BACKLOG = 128
_KEEP_ALIVE = 15
_LAST_ANSWERS = 1
_STOP_TIMEOUT = 1.6
_RESTART_AFTER = 1.0
_START_TIMEOUT = 10.0
_SHARE_OF_DESCRIPTORS = 8
_SWITCH_INTERVAL = 0.0005
"""Seconds. A thread of Flask gives the interpreter back to the loop after this time; Python's own 5 ms, for each of
several threads, would be seen in the stream's latency."""


class WebServer:
    """Serves `app` on one socket. Port 0 lets the system choose: `port` is what it chose, after `start`."""

    def __init__(self, app: Flask, host: str, port: int, limits: HttpLimits | None = None) -> None:
        self.host = host
        self.port = port
        self.guard = HttpGuard(_affordable(limits or HttpLimits()))
        self.bridge = WsgiBridge(app)
        app.extensions[SERVER_NUMBERS] = self._numbers
        self._listening: socket.socket | None = None
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where a browser on this machine reaches it."""
        return f"http://{reachable(self.host)}:{self.port}"

    async def start(self) -> None:
        """Listens and serves. Raises PortTaken, OSError."""
        check_port("WEB_PORT", self.host, self.port)
        self._listening = self._listen()
        self.port = self._listening.getsockname()[1]
        # What clients do wrong is answered and counted, and the app's failures are logged by the bridge.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        sys.setswitchinterval(min(_SWITCH_INTERVAL, sys.getswitchinterval()))
        self.bridge.start()
        serving = asyncio.Event()
        self._task = owned_task.start(self._serve(self._listening, serving), "web server")
        async with asyncio.timeout(_START_TIMEOUT):
            await serving.wait()

    async def stop(self) -> None:
        """Frees the port; requests under way have a moment to end. May be called twice."""
        task, self._task = self._task, None
        listening, self._listening = self._listening, None
        if task is None or listening is None:
            return
        listening.close()
        if self._server is not None:
            self._server.should_exit = True
        await asyncio.wait([task], timeout=_STOP_TIMEOUT)
        await owned_task.end(task)
        self.bridge.stop()

    def _numbers(self) -> dict[str, tuple[str, int]]:
        counters = self.guard.counters
        return {
            "evicted": ("Idle connections that made room for new ones.", counters.evicted),
            "refused": ("Connections for which there was no room.", counters.refused),
            "timed_out": ("Connections that sent a request, or read an answer, too slowly.", counters.timed_out),
            "busy": ("Requests refused because too many waited.", self.bridge.refused),
        }

    async def _serve(self, listening: socket.socket, serving: asyncio.Event) -> None:
        while True:
            failure: Exception | None = None
            self._server = _Server(self._config(), self.guard, serving)
            try:
                await self._server.serve(sockets=[listening.dup()])
            except Exception as error:
                failure = error
            if self._task is None:
                return
            log.error("the web server has ended; it starts again in %g s", _RESTART_AFTER, exc_info=failure)
            await asyncio.sleep(_RESTART_AFTER)

    def _config(self) -> Config:
        return Config(
            cast(Any, self.bridge),
            http=cast(Any, functools.partial(GuardedConnection, self.guard)),
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the app decides whom it believes
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_LAST_ANSWERS,
        )

    def _listen(self) -> socket.socket:
        family, kind, protocol, _, address = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError as error:
            listening.close()
            raise PortTaken("WEB_PORT", self.host, self.port, describe_taken(self.host, self.port)) from error
        listening.listen(_BACKLOG)
        return listening


class _Server(Server):
    """uvicorn without its signal handlers, which are ours, and with a look at its sockets and connections."""

    def __init__(self, config: Config, guard: HttpGuard, serving: asyncio.Event) -> None:
        super().__init__(config)
        self._guard = guard
        self._serving = serving

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        ends = await super().on_tick(counter)
        self._serving.set()
        if counter % 10 == 0:
            self._guard.sweep()
        if not ends and not all(server.is_serving() for server in self.servers):
            raise RuntimeError("the listening socket has been closed")
        return ends


def _affordable(limits: HttpLimits) -> HttpLimits:
    """Fewer connections where this process may not open so many descriptors: most are for clients of the stream."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return limits
    return limits._replace(connections=max(16, min(limits.connections, soft // _SHARE_OF_DESCRIPTORS)))
