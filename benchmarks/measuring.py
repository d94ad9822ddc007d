"""One run: a server, its source of ticks, the load client, and one window of even load."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from benchmarks.processes import Child

_SAMPLE_EVERY = 61  # a prime, so that samples walk over all clients and instruments


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Every client subscribes to all `symbols` with throttle_ms 0 and so gets all `rate` ticks a second;
    `batch` of them reach the server together, as in one wire frame of a broker."""

    name: str
    clients: int
    symbols: int
    rate: float
    batch: int

    @property
    def deliveries(self) -> float:
        """Frames a second, all clients together."""
        return self.clients * self.rate


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds to settle, and seconds that are measured."""

    settle: float
    measure: float


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one window held. `cpu_us` is the server's for one delivery, `client_cores` the load client's cost;
    `complete` is the share of the offered frames that the worst-served client got."""

    cpu_us: float
    cores: float
    deliveries: float
    complete: float
    frames_a_send: float
    bytes_a_frame: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    samples: float
    client_cores: float


def bare(load: Load, window: Window, join: float) -> Run:
    """The C program: `join` ticks in one send() to a client."""
    with (
        Child.program("bare_server", load.clients, load.symbols, load.rate, load.batch, join) as server,
        _clients(load, server.answer()["port"], "LTP", "ltt") as clients,
    ):
        server.tell("start")
        return _measure(load, window, server, clients)


def from_bus(load: Load, window: Window) -> Run:
    """tickmux, with a publisher of another process on its bus."""
    with Child.module("proxy_process") as server:
        ports = server.answer()
        with (
            Child.module("bus_publisher", ports["bus"], load.symbols, load.rate, load.batch) as publisher,
            _clients(load, ports["port"], "LTP", "ltt") as clients,
        ):
            publisher.answer()
            publisher.tell("start")
            return _measure(load, window, server, clients)


def from_broker(load: Load, window: Window) -> Run:
    """tickmux with its Zerodha feed, whose broker sends binary quote packets."""
    with (
        Child.module("kite_stub", load.symbols, load.rate, load.batch) as broker,
        Child.module("proxy_process", broker.answer()["url"]) as server,
        _clients(load, server.answer()["port"], "QUOTE", "volume") as clients,
    ):
        broker.tell("start")
        return _measure(load, window, server, clients)


@contextmanager
def _clients(load: Load, port: int, mode: str, field: str) -> Iterator[Child]:
    """The load client, once all are subscribed; `field` of the payload carries the time of sending."""
    with Child.program("load_client", port, load.clients, load.symbols, mode, field, _SAMPLE_EVERY) as clients:
        clients.answer()
        yield clients


def _measure(load: Load, window: Window, server: Child, clients: Child) -> Run:
    time.sleep(window.settle)
    clients.tell("start")
    clients.answer()
    began = server.cpu_seconds()
    time.sleep(window.measure)
    clients.tell("stop")
    clients.answer()
    used = server.cpu_seconds() - began
    counts = clients.answer()
    seconds, frames = counts["seconds"], counts["frames"]
    return Run(
        cpu_us=used * 1e6 / max(frames, 1),
        cores=used / seconds,
        deliveries=frames / seconds,
        complete=counts["least"] / (load.rate * seconds),
        frames_a_send=frames / max(counts["segments"], 1),
        bytes_a_frame=counts["bytes"] / max(frames, 1),
        p50_ms=counts["p50_us"] / 1000,
        p99_ms=counts["p99_us"] / 1000,
        max_ms=counts["max_us"] / 1000,
        samples=counts["samples"],
        client_cores=counts["cpu_us"] / 1e6 / seconds,
    )
