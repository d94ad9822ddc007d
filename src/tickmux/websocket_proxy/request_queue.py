"""One client's requests on their way: a queue, a rate, and one task that carries them out in order.

A request costs one, and one more for each `ITEMS` instruments that it is about. Who spends more than his rate waits;
who has more waiting than fits is refused. Owns one task while requests wait. Bounds: the queue in requests and bytes.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from tickmux import owned_task

ITEMS = 50
"""Instruments that cost as much as a request."""
QUEUE_BYTES = 4 << 20


class RequestQueue:
    """`carry_out` does a request; `ready` is waited for before each one (the client's socket has room for an answer).

    `rate` is requests a second, `burst` how many may be carried out at once.
    """

    def __init__(
        self,
        carry_out: Callable[[bytes], Awaitable[None]],
        ready: Callable[[], Awaitable[None]],
        on_idle: Callable[[], None],
        *,
        rate: float,
        burst: float,
        longest: int,
    ) -> None:
        self._carry_out = carry_out
        self._ready = ready
        self._on_idle = on_idle
        self._rate = rate
        self._burst = burst
        self._longest = longest
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._worker: asyncio.Task[None] | None = None
        self._tokens = burst
        self._tokens_at = self._loop.time()
        self._carrying_out = False
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a request waits or is being carried out."""
        return self._worker is not None

    @property
    def crowded(self) -> bool:
        """Whether it is so full that nothing more should be read."""
        return len(self._queue) > 0.9 * self._longest or self._bytes > 0.9 * QUEUE_BYTES

    def put(self, message: bytes) -> bool:
        """Takes a request in; False when there is no room for it."""
        if len(self._queue) >= self._longest or self._bytes + len(message) > QUEUE_BYTES:
            return False
        self._queue.append(message)
        self._bytes += len(message)
        if self._worker is None and not self._closed:
            self._worker = owned_task.start(self._work(), "requests of a client")
        return True

    def spend(self, instruments: int) -> None:
        """What the request that is being carried out costs beyond one; later ones wait the longer."""
        self._tokens -= instruments // ITEMS

    def close(self) -> None:
        """Forgets what waits; what is being carried out goes on."""
        self._closed = True
        self._queue.clear()
        self._bytes = 0
        if self._worker is not None and not self._carrying_out:
            self._worker.cancel()

    async def ended(self) -> None:
        """Waits for the request that is being carried out."""
        if self._worker is not None:
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        try:
            while self._queue:
                await self._afford()
                await self._ready()
                message = self._queue.popleft()
                self._bytes -= len(message)
                self._tokens -= 1.0
                self._carrying_out = True
                try:
                    await self._carry_out(message)
                finally:
                    self._carrying_out = False
                await asyncio.sleep(0)  # others' turn: a request may have taken no time at all, and thousands follow
        finally:
            self._worker = None
            if not self._closed:
                self._on_idle()

    async def _afford(self) -> None:
        """Waits until the next request may be carried out."""
        while True:
            now = self._loop.time()
            self._tokens = min(self._burst, self._tokens + (now - self._tokens_at) * self._rate)
            self._tokens_at = now
            if self._tokens >= 1.0 or self._closed:
                return
            await asyncio.sleep(max(0.001, (1.0 - self._tokens) / self._rate))
