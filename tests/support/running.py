"""tickmux as a user starts it: a process of its own, found by what its console says."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Served(NamedTuple):
    url: str
    bus: str
    """Empty where it is not open."""
    key: str
    home: Path
    process: "subprocess.Popen[str]"
    web: str
    said: str
    """What the console showed until the command to try."""


@contextmanager
def served(
    home: Path,
    *arguments: str,
    command: str = "serve",
    program: Sequence[str] = (sys.executable, "-m", "tickmux"),
    **environment: str,
) -> Iterator[Served]:
    """`tickmux serve` (or `proxy`) with free ports; ends it by SIGINT and checks that it ended well."""
    ports = ["--port", "0", "--zmq-port", "0", *(["--web-port", "0"] if command == "serve" else [])]
    process = subprocess.Popen(
        [*program, command, *ports, *arguments],
        env={**os.environ, "TICKMUX_HOME": str(home), "COLUMNS": "200", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    found: dict[str, str] = {}
    for line in process.stdout:
        lines.append(plain := _ANSI.sub("", line))
        for name, pattern in (
            ("url", r"WebSocket\s+(ws://\S+)"),
            ("bus", r"bus\s+(tcp://\S+)"),
            ("web", r"web\s+(http://\S+)"),
            ("key", r"API key\s+(tmx_\S+|made earlier)"),
        ):
            if match := re.search(pattern, plain):
                found[name] = match[1]
        if " watch " in plain:
            break
    else:
        raise AssertionError(f"serve ended with {process.wait()}:\n{''.join(lines)}")
    drain = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
    drain.start()
    try:
        yield Served(
            found["url"], found.get("bus", ""), found["key"], home, process, found.get("web", ""), "".join(lines)
        )
    finally:
        process.send_signal(2)
        code = process.wait(10)
        drain.join(5)
        assert code == 0, f"serve ended with {code}:\n{''.join(lines)}"


@contextmanager
def feeds(home: Path, bus: str, port: str = "0") -> Iterator[str]:
    """`tickmux feed` behind zerodha's wire, for a server whose bus is at the port `bus`; gives its own port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tickmux", "feed", "--simulate", "zerodha", "--port", port, "--zmq-port", bus],
        env={**os.environ, "TICKMUX_HOME": str(home), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield next(match[1] for line in process.stdout if (match := re.search(r"FEED_PORT=(\d+)", line)))
    finally:
        process.send_signal(2)
        assert process.wait(10) == 0


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])
