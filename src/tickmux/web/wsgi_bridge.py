"""Flask behind an ASGI server: a WSGI app on a few threads, for requests that come from the event loop.

A request reaches a thread when it is complete, and its answer is sent when it is complete, so that neither a client
that sends slowly nor one that reads slowly holds a thread. (Adapters that stream hand a thread to the client for as
long as he likes: `a2wsgi` waits in its threads for every chunk to be taken, without a time-out.) Answers are as large
as the app makes them: there are no endless ones.

Owns `threads` daemon threads, which end with the process even while a request waits for a broker. Bounded: requests
that wait for a thread (`waiting`, half of them from one address), a request's body (`longest_body`; what is longer
reaches the app cut off behind that length, for the app to refuse).
"""

import asyncio
import io
import logging
import queue
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_NO_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


class Answer(NamedTuple):
    """A whole response."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def refusal(status: HTTPStatus, code: str, message: str, *more: tuple[bytes, bytes]) -> Answer:
    """An answer in the form of the API's errors."""
    body = f'{{"status":"error","code":"{code}","message":"{message}"}}'.encode()
    return Answer(status, [(b"content-type", b"application/json"), *more], body)


_BUSY = refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "BUSY", "too many requests wait already: try again", (b"retry-after", b"1")
)
_FAILED = refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "SERVER_ERROR", "a defect of ours: see the server's log")


class WsgiBridge:
    """An ASGI app. Call `start` before the first request."""

    def __init__(
        self, app: "WSGIApplication", *, threads: int = 4, waiting: int = 64, longest_body: int = 64 * 1024
    ) -> None:
        self._app = app
        self._threads = threads
        self._waiting = waiting
        self._longest_body = longest_body
        self._jobs: queue.SimpleQueue[tuple[dict[str, Any], asyncio.Future[Answer]] | None] = queue.SimpleQueue()
        self._pending: Counter[str] = Counter()
        self.refused = 0
        """Requests that found too many others waiting."""

    def start(self) -> None:
        for number in range(self._threads):
            threading.Thread(target=self._work, name=f"web {number + 1}", daemon=True).start()

    def stop(self) -> None:
        """Ends each thread after the request that it is working on."""
        for _ in range(self._threads):
            self._jobs.put(None)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        environ = _environ(scope)
        body = await self._body(environ.get("CONTENT_LENGTH", ""), receive)
        if body is None:
            return  # the client has gone
        environ["wsgi.input"] = io.BytesIO(body)
        environ.setdefault("CONTENT_LENGTH", str(len(body)))
        answer = await self._answer(environ)
        headers = answer.headers
        if answer.status not in _NO_BODY and not any(name == b"content-length" for name, _ in headers):
            headers = [*headers, (b"content-length", str(len(answer.body)).encode())]
        if len(body) > self._longest_body:
            headers = [*headers, (b"connection", b"close")]  # the rest of the body is not read
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _body(self, announced: str, receive: Receive) -> bytes | None:
        body = bytearray()
        if announced.isdigit() and int(announced) > self._longest_body:
            return bytes(self._longest_body + 1)  # refused by its announced length; nothing of it is read
        while len(body) <= self._longest_body:
            message = await receive()
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        return bytes(body)

    async def _answer(self, environ: dict[str, Any]) -> Answer:
        address = str(environ.get("REMOTE_ADDR", ""))
        if self._pending.total() >= self._waiting or self._pending[address] >= self._waiting // 2:
            self.refused += 1
            return _BUSY
        self._pending[address] += 1
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        try:
            self._jobs.put((environ, future))
            return await future
        finally:
            self._pending[address] -= 1
            if not self._pending[address]:
                del self._pending[address]

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            environ, future = job
            if future.cancelled():
                continue
            try:
                answer = _run(self._app, environ)
            except Exception:
                log.exception("%s %s failed", environ["REQUEST_METHOD"], environ["PATH_INFO"])
                answer = _FAILED
            with suppress(RuntimeError):  # the loop has ended
                future.get_loop().call_soon_threadsafe(_give, future, answer)


def _give(future: "asyncio.Future[Answer]", answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)


def _run(app: "WSGIApplication", environ: dict[str, Any]) -> Answer:
    started: list[tuple[str, list[tuple[str, str]]]] = []
    parts: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None, /) -> Any:
        started[:] = [(status, headers)]
        return parts.append

    chunks: Iterable[bytes] = app(environ, start_response)
    try:
        parts.extend(chunks)
    finally:
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    ((status, headers),) = started
    lines = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return Answer(int(status[:3]), lines, b"".join(parts))


def _environ(scope: Message) -> dict[str, Any]:
    """What PEP 3333 wants to know of a request. A header whose name has an underscore is left out: it would come
    under the same name as one with hyphens, which a reverse proxy has set."""
    address, port = scope["client"] or ("", 0)
    _, own_port = scope["server"] or ("", 0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": "tickmux.invalid",  # no name that would be believed, where a client sends no Host
        "SERVER_PORT": str(own_port),
        "REMOTE_ADDR": address,
        "REMOTE_PORT": str(port),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    for raw_name, raw_value in scope["headers"]:
        if b"_" in raw_name or raw_name == b"transfer-encoding":
            continue
        name = raw_name.decode("latin-1").upper().replace("-", "_")
        if name not in ("CONTENT_LENGTH", "CONTENT_TYPE"):
            name = f"HTTP_{name}"
        value = raw_value.decode("latin-1")
        # Cookies are joined by RFC 9113's rule, all others by RFC 9110's.
        joint = "; " if name == "HTTP_COOKIE" else ","
        environ[name] = f"{environ[name]}{joint}{value}" if name in environ else value
    return environ
