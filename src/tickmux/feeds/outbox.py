"""What goes out on one upstream session, in order and no faster than the broker allows.

Groups of frames go out back to back with the channel's gap between groups. A frame that is a REST request holds up
what comes after it until it is answered; after HTTP 429 it is repeated, and what is urgent (heartbeats) overtakes it.

Owns one task while a REST request is under way; `close` ends it. Bounded by what the session puts in.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import httpx

from tickmux import owned_task
from tickmux.codec import Frame, HttpRequest

RATE_LIMIT_WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before a request that was answered 429 is repeated; then the answer is taken as it is."""
_LONGEST_WAIT = 60.0
_NEVER = float("inf")


class Outbox:
    """`send` writes to the socket, `ask` makes a REST request, `answered` takes its answer, `wake` is called when one
    has come. `pump` does the work: call it when woken, and when the time that it returned has come."""

    def __init__(
        self,
        gap: float,
        *,
        send: Callable[[str | bytes], None],
        ask: Callable[[HttpRequest], Awaitable[httpx.Response]],
        answered: Callable[[HttpRequest, httpx.Response], None],
        wake: Callable[[], None],
    ) -> None:
        self._gap = gap
        self._send = send
        self._ask = ask
        self._answered = answered
        self._wake = wake
        self._urgent: deque[list[str | bytes]] = deque()
        self._groups: deque[deque[Frame]] = deque()
        self._request: asyncio.Task[httpx.Response | httpx.HTTPError] | None = None
        self._tries = 0
        self._free_at = 0.0
        self._held_until = 0.0

    @property
    def empty(self) -> bool:
        """Whether everything has gone out and every request has been answered."""
        return not (self._urgent or self._groups or self._request)

    def put(self, frames: Iterable[Frame]) -> None:
        """One group, after all others."""
        if group := deque(frames):
            self._groups.append(group)

    def put_first(self, frames: Iterable[Frame]) -> None:
        """One group, before all that waits, except a request that is under way or being repeated."""
        if not (group := deque(frames)):
            return
        if self._request is not None or self._tries:
            self._groups.insert(1, group)
        else:
            self._groups.appendleft(group)

    def put_urgent(self, frames: Iterable[Frame]) -> None:
        """Heartbeats: they wait for the gap only, and for no REST request."""
        plain: list[str | bytes] = []
        requests: list[Frame] = []
        for frame in frames:
            if isinstance(frame, HttpRequest):
                requests.append(frame)
            else:
                plain.append(frame)
        if plain:
            self._urgent.append(plain)
        if requests:
            self.put_first(requests)

    def pump(self, now: float) -> float:
        """Sends what may go out at `now`; returns when it is to be called again, infinity for not before `wake`.

        Raises httpx.HTTPError when a request could not be made.
        """
        while self._urgent:
            if now < self._free_at:
                return self._free_at
            for frame in self._urgent.popleft():
                self._send(frame)
            self._free_at = now + self._gap
        if self._request is not None:
            if not self._request.done():
                return _NEVER
            self._collect(now)
        while self._groups:
            at = max(self._free_at, self._held_until)
            if now < at:
                return at
            group = self._groups[0]
            while group:
                first = group[0]
                if isinstance(first, HttpRequest):
                    self._begin(first)
                    return _NEVER
                group.popleft()
                self._send(first)
            self._groups.popleft()
            self._free_at = now + self._gap
        return _NEVER

    def _begin(self, request: HttpRequest) -> None:
        async def make() -> httpx.Response | httpx.HTTPError:
            try:
                return await self._ask(request)
            except httpx.HTTPError as error:
                return error  # it is the session's, which raises it from `pump`
            finally:
                self._wake()

        self._request = owned_task.start(make(), f"{request.method} {request.url.partition('?')[0]}")

    def _collect(self, now: float) -> None:
        task, self._request = self._request, None
        if task is None:
            return
        response = task.result()
        if isinstance(response, httpx.HTTPError):
            raise response
        if response.status_code == 429 and self._tries < len(RATE_LIMIT_WAITS):
            self._held_until = now + max(RATE_LIMIT_WAITS[self._tries], _retry_after(response))
            self._tries += 1
            return  # the request is still the first
        self._tries = 0
        request = self._groups[0].popleft()
        self._answered(request, response)  # type: ignore[arg-type]  # only a request is begun

    async def close(self) -> None:
        """Gives up the request that is under way, and forgets what has not gone out."""
        self._urgent.clear()
        self._groups.clear()
        task, self._request = self._request, None
        await owned_task.end(task)


def _retry_after(response: httpx.Response) -> float:
    told = response.headers.get("Retry-After", "")
    return min(float(told), _LONGEST_WAIT) if told.isascii() and told.isdigit() and len(told) < 9 else 0.0
