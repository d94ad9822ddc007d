"""The production WSGI server of `tickmux serve`: waitress, in a daemon thread.

Owns the listening socket, the server's thread and its `_THREADS` workers. Bounded by waitress: connections, and the
size of headers and bodies.
"""

import logging
import socket
import threading
from typing import Any

import waitress.server
from flask import Flask
from waitress import wasyncore

from tickmux.websocket_proxy.port_check import PortTaken, check_port, describe_taken

_THREADS = 8
_BACKLOG = 128
_STOP_TIMEOUT = 1.5
_LAST_ANSWERS = 0.2


class WebServer:
    """Serves `app` on one socket. Port 0 lets the system choose: `port` is what it chose, after `start`."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._app = app
        self._server: Any = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where a browser on this machine reaches it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def start(self) -> None:
        """Listens and serves. Raises PortTaken, OSError."""
        check_port("WEB_PORT", self.host, self.port)
        listening = self._listen()
        self.port = listening.getsockname()[1]
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a full queue is a slow moment, not a fault
        self._server = waitress.server.create_server(
            self._app,
            sockets=[listening],
            threads=_THREADS,
            ident="",
            clear_untrusted_proxy_headers=False,  # the app decides whom it believes
            max_request_header_size=64 * 1024,
            max_request_body_size=1024 * 1024,
            channel_timeout=30,
        )
        self._thread = threading.Thread(target=self._server.run, name="web server", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Frees the port; requests under way have a moment to end. May be called twice."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        server.task_dispatcher.shutdown(cancel_pending=True, timeout=_LAST_ANSWERS)
        # The sockets are closed in the server's own thread, whose loop then has nothing left to do.
        server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map))
        self._thread.join(_STOP_TIMEOUT)

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
