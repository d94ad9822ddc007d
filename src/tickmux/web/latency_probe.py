"""How long a tick takes through the proxy now, measured by ticks of our own.

The probe is a publisher and a subscriber at once: it sends a payload on the bus as a feed does, and notes when the
dispatcher takes it and when it writes. It costs the real ticks nothing, and what makes them wait makes it wait too.

Owns one task and one bus socket, for as long as somebody looks (`_IDLE` seconds after the last look). Bounded:
one probe under way at a time, the measurements of the last `_WINDOW` seconds.
"""

import asyncio
import time
from collections import deque
from contextlib import suppress
from typing import NamedTuple, cast

from tickmux import owned_task
from tickmux.tick import Mode
from tickmux.web.shapes import Latency
from tickmux.websocket_proxy.bus import BusPublisher
from tickmux.websocket_proxy.client_session import ClientSession
from tickmux.websocket_proxy.server import WebSocketProxy
from tickmux.websocket_proxy.subscription_index import LaneKey, TopicKey

_INTERVAL = 0.05
_WINDOW = 5.0
_IDLE = 10.0
_LOST_AFTER = 2.0
_NAME = b"\x1fprobe"
_KEY = TopicKey("\x1fprobe", "", "", Mode.LTP, 0)


class _Measured(NamedTuple):
    at: float
    full: float
    proxy: float


class LatencyProbe:
    """Measures while looked at. `look` may be called from any thread, the rest belongs to the proxy's loop."""

    def __init__(self, proxy: WebSocketProxy) -> None:
        self._proxy = proxy
        self._measured: deque[_Measured] = deque(maxlen=int(_WINDOW / _INTERVAL))
        self._looked = 0.0
        self._task: asyncio.Task[None] | None = None
        self._sent = 0.0
        self._taken = 0.0
        self.pending: list[bytes] = []
        self.count = 0
        """Frames that were delivered to the probe, to be taken off the proxy's own counts."""

    # -- as a subscriber ----------------------------------------------------------------------------------

    def append(self, frame: bytes) -> None:
        self.pending.append(frame)
        self._taken = time.perf_counter()

    def flush(self) -> None:
        now = time.perf_counter()
        self.pending.clear()
        self.count += 1
        if self._sent:
            self._measured.append(_Measured(now, now - self._sent, now - self._taken))
            self._sent = 0.0

    # -- looking ------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    def look(self, loop: asyncio.AbstractEventLoop) -> tuple[Latency | None, Latency | None]:
        """The full way, and the proxy's part of it, over the last seconds; None before there is anything."""
        self._looked = time.perf_counter()
        if not self.running:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(self._start)
        since = time.perf_counter() - _WINDOW
        recent = [one for one in tuple(self._measured) if one.at >= since]
        return _spread([one.full for one in recent]), _spread([one.proxy for one in recent])

    def _start(self) -> None:
        if not self.running:
            self._task = owned_task.start(self._run(), "latency probe")

    async def _run(self) -> None:
        bus = self._proxy.bus
        if bus is None:
            return
        index = self._proxy.index
        subscriber = cast("ClientSession", self)
        publisher = BusPublisher(bus.endpoint, _KEY.feed, high_water_mark=16)
        index.add(subscriber, _KEY, _NAME, "", LaneKey(throttle=0.0))
        try:
            if not await publisher.wait_ready(_LOST_AFTER):
                return
            while time.perf_counter() - self._looked < _IDLE:
                if not self._sent or time.perf_counter() - self._sent > _LOST_AFTER:
                    self._sent = time.perf_counter()
                    publisher.send((_NAME, b"{}"))
                await asyncio.sleep(_INTERVAL)
        finally:
            index.remove(subscriber, ("", "", Mode.LTP))
            self.pending.clear()
            self._sent = 0.0
            publisher.close()


def _spread(seconds: list[float]) -> Latency | None:
    if not seconds:
        return None
    ordered = sorted(one * 1000 for one in seconds)
    last = len(ordered) - 1
    return Latency(
        p50=round(ordered[last // 2], 3), p99=round(ordered[round(last * 0.99)], 3), max=round(ordered[last], 3)
    )
