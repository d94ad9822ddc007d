"""A stand-in for a broker's REST server, on loopback and in a thread: answers as told, remembers what is asked."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs


class Asked(NamedTuple):
    """A request; `target` is the path with its query, header names have any case, `body` is the JSON's or form's."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: Any


class RestServer:
    """Answers every request with `status` and `body`; brokers that need more override `answer`."""

    def __init__(self, body: object = b"") -> None:
        self.status = 200
        self.body = body
        self.requests: list[Asked] = []
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def reply(self) -> None:
                sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                is_json = self.headers.get_content_subtype() == "json"
                content = json.loads(sent) if is_json else parse_qs(sent.decode())
                asked = Asked(self.command, self.path, self.headers, content)
                stand_in.requests.append(asked)
                status, answer = stand_in.answer(asked)
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = reply

            def log_message(self, *args: object) -> None:
                pass

        self.listener = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.listener.server_port}"

    def answer(self, asked: Asked) -> tuple[int, object]:
        """Status and body: bytes, or what becomes JSON."""
        return self.status, self.body


Server = TypeVar("Server", bound=RestServer)


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.listener.shutdown()
        thread.join()
        server.listener.server_close()


def url_of_nobody() -> str:
    """An address at which nobody listens."""
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        return f"http://127.0.0.1:{closed.server_port}"
