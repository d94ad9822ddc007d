"""A feed of another process: `python -m benchmarks.bus_publisher ENDPOINT SYMBOLS RATE BATCH`.

Publishes RATE LTP ticks a second over SYMBOLS instruments in tickmux's own format, BATCH of them in one message, as
a feed does with the ticks of one wire frame. `ltt` carries the time of sending. Prints a JSON line when the proxy
has subscribed, begins with a line on standard input, and runs until it is killed.
"""

import asyncio
import json
import sys
import time

from benchmarks.market import FEED_ID, bus_topic, symbol
from benchmarks.pacing import batches, stamp
from tickmux.websocket_proxy.bus import BusPublisher


def main(endpoint: str, symbols: int, rate: float, batch: int) -> None:
    bus = BusPublisher(endpoint, FEED_ID, high_water_mark=100_000)
    if not asyncio.run(bus.wait_ready(10.0)):
        sys.exit("the proxy's bus does not answer")
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.readline()
    topics = [bus_topic(number) for number in range(symbols)]
    heads = [
        f'{{"symbol":"{symbol(number)}","exchange":"NSE","mode":"ltp","ltp":{100 + number}.{5 + number % 90:02d},'
        '"ltt":%d,"timestamp":%d}'
        for number in range(symbols)
    ]
    for numbers in batches(rate, batch):
        now_ms = time.time_ns() // 1_000_000
        parts: list[bytes] = []
        for number in numbers:
            which = number % symbols
            parts += topics[which], (heads[which] % (stamp(), now_ms)).encode()
        bus.send(parts)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
