"""What keys cost on the bus of a feed process: `python -m benchmarks.bus_cost`.

Sends batches of ticks from one process to another over loopback, in the clear and with CURVE, and prints the CPU
(user and system, all threads) that each of the two processes spends a batch and a tick.
"""

import asyncio
import resource
import sys
import tempfile
from pathlib import Path
from subprocess import PIPE

import zmq

from tickmux.websocket_proxy.bus import BusPublisher, BusReader, BusSubscriber, RemoteBus
from tickmux.websocket_proxy.bus_keys import bus_keys

_PAYLOAD = (
    b'{"symbol":"S0001","exchange":"NSE","mode":"ltp","ltp":812.35,"ltt":1764500000000,"timestamp":1764500000000}'
)
_TOPIC = b"zerodha:benchmark\x1fNSE\x1fS0001\x1f1\x1f0"
_TICKS = 200_000
_WINDOW = 500
"""Batches in a burst: bursts keep the queue short, as a market does."""


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _publish(endpoint: str, home: str, batch: int) -> None:
    keys = bus_keys(Path(home)).for_feeds if home else None
    bus = BusPublisher(endpoint, "zerodha:benchmark", high_water_mark=100_000, keys=keys)
    await bus.wait_ready(10)
    parts = [_TOPIC, _PAYLOAD] * batch
    began = _cpu()
    for number in range(_TICKS // batch):
        bus.send(parts)
        if number % _WINDOW == 0:
            await asyncio.sleep(0.02)
    await asyncio.sleep(2)  # until all has gone out
    print(_cpu() - began, bus.dropped, flush=True)
    bus.close()


async def _measure(home: str, batch: int) -> tuple[float, float]:
    taken = 0

    def take(topic: bytes, body: bytes) -> None:
        nonlocal taken
        taken += 1

    ends = {"on_message": take, "on_drained": lambda: None}
    if home:
        keys = bus_keys(Path(home))
        bus = RemoteBus(
            "127.0.0.1", 0, keys, high_water_mark=100_000, offset=lambda: None, on_stale=lambda: None, **ends
        )
        bus.start()
        endpoint = bus.endpoint
    else:
        socket = zmq.Context.instance().socket(zmq.SUB)
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        socket.setsockopt(zmq.RCVHWM, 100_000)
        socket.bind("tcp://127.0.0.1:*")
        endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        reader = BusReader(socket, drain=BusSubscriber.DRAIN, **ends)
        reader.start()
    began = _cpu()
    command = [sys.executable, "-m", "benchmarks.bus_cost", endpoint, home, str(batch)]
    sender = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    printed, _ = await sender.communicate()
    sent, dropped = map(float, printed.split())
    async with asyncio.timeout(30):
        while taken < _TICKS // batch - dropped:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return sent, _cpu() - began


def main() -> None:
    if len(sys.argv) == 4:
        asyncio.run(_publish(sys.argv[1], sys.argv[2], int(sys.argv[3])))
        return
    with tempfile.TemporaryDirectory() as home:
        for batch in (1, 10):
            for keys in ("", home):
                sent, received = asyncio.run(_measure(keys, batch))
                batches = _TICKS // batch
                how = f"{batch:4} ticks a batch, {'CURVE' if keys else 'clear'}"
                each = f"feed process {sent / batches * 1e6:.1f} µs, server {received / batches * 1e6:.1f} µs a batch"
                print(f"{how}: {each}; together {(sent + received) / _TICKS * 1e6:.2f} µs a tick", flush=True)


if __name__ == "__main__":
    main()
