"""Catches the redirect that ends a login in the browser: on a loopback port, or pasted into the terminal.

`RedirectCatcher` owns one listening socket; connections are closed after one answer and read at most
`_MAX_REQUEST` bytes for `_PATIENCE` seconds. The reader of pasted lines is a daemon thread that ends with the
process, since a blocked read cannot be stopped.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import TextIO
from urllib.parse import parse_qsl, urlsplit

LOOPBACK = "127.0.0.1"

_MAX_REQUEST = 32 * 1024
_PATIENCE = 10.0
_DONE = "<h1>tickmux</h1><p>The login has arrived. You may close this page and go back to the terminal.</p>"
# Some brokers put their answer behind `#`, which a browser does not send: the page sends it as a query.
_NOTHING = (
    "<h1>tickmux</h1><p>This address carries no login.</p>"
    "<script>if (location.hash.length > 1) "
    "location.replace(location.pathname + '?' + location.hash.slice(1))</script>"
)


class RedirectCatcher:
    """Waits for one redirect. Port 0 lets the system choose one: `port` is what it chose, after `listen`.

    Without listening (the port is taken), `paste` works all the same.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._server: asyncio.Server | None = None
        self._caught: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._later: asyncio.Queue[str] = asyncio.Queue(1)

    async def listen(self) -> None:
        """Begins to listen; raises OSError when the port is taken."""
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port, limit=_MAX_REQUEST)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def wait(self, timeout: float) -> dict[str, str]:
        """The query of the redirect; raises TimeoutError."""
        async with asyncio.timeout(timeout):
            return await self._caught

    def paste(self, address: str) -> bool:
        """Takes a redirect address that the user has copied; False when it carries nothing."""
        query = redirect_query(address)
        if query and not self._caught.done():
            self._caught.set_result(query)
        return bool(query)

    def listen_to(self, stream: TextIO, complain: Callable[[], None]) -> None:
        """Tries every line of `stream` as a pasted address, in a thread; `complain` when one is none.

        Lines after the redirect are for `next_line`.
        """
        loop = asyncio.get_running_loop()

        async def take(line: str) -> None:
            if self._caught.done() or not line:
                await self._later.put(line)
            elif line.strip() and not self.paste(line):
                complain()

        def read() -> None:
            line = "more"
            while line:
                line = stream.readline(_MAX_REQUEST)
                taking = take(line)
                try:
                    asyncio.run_coroutine_threadsafe(taking, loop).result()
                except (RuntimeError, CancelledError):
                    taking.close()
                    return  # the login is over

        threading.Thread(target=read, name="pasted-redirect", daemon=True).start()

    async def next_line(self) -> str:
        """The next line of the stream that `listen_to` reads, after the redirect; empty at its end."""
        return await self._later.get()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                method, _, rest = head.partition(b" ")
                target = rest.partition(b" ")[0].decode("ascii", "replace")
                found = method == b"GET" and _is_visit(head) and self.paste(target)
                page = (_DONE if found else _NOTHING).encode()
                status = b"200 OK" if found else b"404 Not Found"
                writer.write(
                    b"HTTP/1.1 %b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n"
                    b"Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n%b"
                    % (status, len(page), page)
                )
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a browser that looked and left, or no browser at all
        finally:
            writer.close()


def _is_visit(head: bytes) -> bool:
    """Whether a page is opened by this request, as far as the browser tells (Fetch Metadata).

    Where a broker brings no `state` back, any page that is open meanwhile could otherwise hand in a login of its own,
    by a picture or a script that nobody sees.
    """
    fields = (line.partition(b":") for line in head.lower().split(b"\r\n")[1:])
    told = {name.strip(): value.strip() for name, _, value in fields}
    mode, into = told.get(b"sec-fetch-mode", b"navigate"), told.get(b"sec-fetch-dest", b"document")
    return (mode, into) == (b"navigate", b"document")


def redirect_query(address: str) -> dict[str, str]:
    """What a redirect address carries behind `?` and `#`; empty for anything else."""
    try:
        parts = urlsplit(address.strip())
    except ValueError:
        return {}
    return dict(parse_qsl(parts.query) + parse_qsl(parts.fragment))
