"""One upstream connection's whole life: connect, log in, subscribe, keep alive, notice silence, come back.

Written once for all brokers. The pool says what is wanted (`want`, `drop`); a *reconcile* step compares that with
what this session's server has been told, and sends the difference in batches. A new session has been told nothing,
so that re-subscription after a reconnect is the same step.

Owns one task, `run`. Bounded: outgoing frames by what is wanted, the rest by the codec. Retries for ever, at
most once in `Channel.backoff[1]` seconds; after an authentication failure not before the credentials have changed.
No lock; nothing here waits while it holds anything.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import Protocol

import httpx

from tickmux import owned_task
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame, HttpRequest
from tickmux.feeds.backoff import Backoff
from tickmux.feeds.upstream import Closed, HandshakeRefused, Link, OnAlive, OnMessage, connect
from tickmux.instrument import Instrument
from tickmux.tick import Tick
from tickmux.websocket_proxy.base_adapter import (
    AuthRejected,
    BaseBrokerWebSocketAdapter,
    Endpoint,
    Unavailable,
)
from tickmux.websocket_proxy.feed_state import FeedCounters

log = logging.getLogger(__name__)

HEALTHY_AFTER = 30.0
"""Seconds of a session after which the backoff starts afresh."""
_FAREWELL = 1.5
"""Seconds that REST requests may take which end the subscriptions of a session that is over."""
_SHORTEST_NAP = 0.001
"""A deadline that rounding puts into the past must not become a busy loop."""
_RATE_LIMIT_WAITS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_MAX_HTTP_ANSWER = 8 << 20


class LinkState(Enum):
    """What a connection is doing."""

    CONNECTING = auto()
    LIVE = auto()
    WAITING = auto()  # for the next attempt
    AUTH_EXPIRED = auto()
    STOPPED = auto()


class Host(Protocol):
    """What a connection needs of the feed that it belongs to."""

    adapter: BaseBrokerWebSocketAdapter
    counters: FeedCounters
    http: httpx.AsyncClient

    async def credentials(self) -> Credentials:
        """The session's credentials as they are now; waits, with `auth_expired` said, while there are none that
        have not been refused already."""

    def credentials_refused(self, credentials: Credentials, message: str, *, certain: bool) -> None:
        """The broker has refused them; `certain` as in `AuthRejected`."""

    def session_begins(self, channel: str, instruments: Sequence[Instrument]) -> None:
        """A new session carries these instruments from now on."""

    def on_ticks(self, channel: str, ticks: Sequence[Tick]) -> None:
        """Ticks of one wire frame."""

    def connection_changed(self, connection: "FeedConnection") -> None:
        """`connection.state` or `connection.message` has changed."""

    def any_market_open(self, instruments: Sequence[Instrument]) -> bool:
        """Whether one of these instruments trades now."""


Connect = Callable[[Endpoint, OnMessage, OnAlive], Awaitable[Link]]


class _SessionOver(Exception):
    """The session has ended in a way that calls for a new connection."""


class FeedConnection:
    """One connection of one channel. `repr` shows its state."""

    def __init__(
        self,
        host: Host,
        channel: str,
        number: int,
        *,
        clock: Callable[[], float],
        rng: random.Random,
        connect: Connect = connect,
    ) -> None:
        self.host = host
        self.channel_name = channel
        self.channel = host.adapter.channels[channel]
        self.number = number
        self.state = LinkState.CONNECTING
        self.message = ""
        self.wanted: dict[Instrument, str] = {}
        """What the pool wants of this connection: instrument -> kind."""
        self.load: dict[str, int] = {}
        """How many instruments are wanted of each kind."""
        self.last_tick = 0.0
        """When the last tick came, by `clock`; 0 before the first of a session."""
        self._clock = clock
        self._connect = connect
        self._backoff = Backoff(*self.channel.backoff, rng)
        self._changed = asyncio.Event()
        self._codec: FeedCodec | None = None
        self._link: Link | None = None
        self._outbox: deque[list[Frame]] = deque()
        """Groups of frames; those of one call go out back to back, the channel's gap lies between calls."""
        self._refused: set[Instrument] = set()
        self._wished_at = 0.0
        """When something was last asked for that the broker has not been told."""
        self._first_wish: float | None = None
        """When the first of that was."""
        self._farewell: list[HttpRequest] = []
        """What ends the last session's subscriptions where they outlive the socket; sent by `stop` only."""
        self._ready = False
        self._failure: Exception | None = None
        self.last_sign = 0.0
        """When the broker last gave a sign of life, by `clock`; 0 before the first."""
        self.since = time.time()
        """When `state` was entered, epoch seconds."""
        self.reconnects = 0
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return (
            f"<FeedConnection {self.host.adapter.name}/{self.channel_name}#{self.number} "
            f"{self.state.name.lower()}, {len(self.wanted)} wanted, {self.subscribed} subscribed>"
        )

    @property
    def subscribed(self) -> int:
        """Instruments that this session's server has been told of."""
        return len(self._codec.kinds) if self._codec is not None else 0

    @property
    def refused(self) -> Collection[Instrument]:
        """What the broker would not subscribe in this session, or cannot be named to it."""
        return self._refused

    # -- the pool's side ----------------------------------------------------------------------------------

    def want(self, instrument: Instrument, kind: str) -> None:
        """Subscribes, or changes the kind of what is subscribed, as soon as the session allows."""
        self._count(self.wanted.get(instrument), -1)
        self._count(kind, +1)
        self.wanted[instrument] = kind
        self._refused.discard(instrument)
        self._wish()

    def drop(self, instrument: Instrument) -> None:
        """Unsubscribes as soon as the session allows."""
        self._count(self.wanted.pop(instrument, None), -1)
        self._wish()

    def _wish(self) -> None:
        self._wished_at = self._clock()
        if self._first_wish is None:
            self._first_wish = self._wished_at
        self._changed.set()

    def _count(self, kind: str | None, by: int) -> None:
        if kind is not None:
            self.load[kind] = self.load.get(kind, 0) + by

    def start(self, after: Collection[asyncio.Task[None]] = ()) -> None:
        """Begins, once the connections that `after` is closing have gone."""
        self._task = owned_task.start(
            self._run(after), f"connection {self.host.adapter.name}/{self.channel_name}#{self.number}"
        )

    async def stop(self) -> None:
        """Ends the session in good order; returns within two seconds."""
        task, self._task = self._task, None
        if task is not None:
            await owned_task.end(task)
            with suppress(httpx.HTTPError, TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    for request in self._farewell:
                        await self._ask(request)
        self._enter(LinkState.STOPPED, "")

    # -- life ---------------------------------------------------------------------------------------------

    async def _run(self, after: Collection[asyncio.Task[None]]) -> None:
        if after:
            await asyncio.wait(after)
        while True:
            try:
                await self._session()
            except asyncio.CancelledError:
                raise
            except AuthRejected:
                continue  # the host has been told; its `credentials` waits for new ones
            except Unavailable as error:
                await self._pause(str(error), error.retry_after)
            except _SessionOver as error:
                await self._pause(str(error), 0.0)
            except Exception:
                # A defect of ours must not silence a feed: it is reported, and the connection made anew.
                log.exception("%r: session failed", self)
                await self._pause("internal error, see the log", 0.0)

    async def _pause(self, why: str, at_least: float) -> None:
        delay = self._backoff.next(at_least)
        self.reconnects += 1
        self.host.counters.reconnects += 1
        self._enter(LinkState.WAITING, f"{why}; next attempt in {delay:.0f} s")
        await asyncio.sleep(delay)

    async def _session(self) -> None:
        credentials = await self.host.credentials()
        self._enter(LinkState.CONNECTING, "")
        self._codec = codec = self.host.adapter.codec(self.channel_name)
        self._outbox.clear()
        self._refused.clear()
        self._farewell.clear()
        self._failure = None
        self._ready = not codec.waits_for_ready
        self.last_tick = 0.0
        try:
            link = await self._open(credentials)
            began = self.last_sign = self._clock()
            self._link = link
            try:
                self.host.counters.connects += 1
                self._outbox.append(codec.open_frames(credentials))
                await self._attend(link, codec, began)
            finally:
                self._part(link, codec)
                if self._clock() - began >= HEALTHY_AFTER:
                    self._backoff.reset()
        except AuthRejected as error:
            self.host.counters.auth_failures += 1
            self._enter(LinkState.AUTH_EXPIRED, str(error))
            self.host.credentials_refused(credentials, str(error), certain=error.certain)
            raise
        finally:
            self._codec = None
            self._link = None

    async def _open(self, credentials: Credentials) -> Link:
        adapter = self.host.adapter
        try:
            self._endpoint = await adapter.endpoint(self.channel_name, credentials, self.host.http)
            return await self._connect(self._endpoint, self._on_message, self._on_alive)
        except HandshakeRefused as error:
            raise adapter.handshake_failure(error.status, error.reason, error.headers, error.body) from None
        except httpx.HTTPError as error:
            raise Unavailable(f"REST: {type(error).__name__}") from None

    def _part(self, link: Link, codec: FeedCodec) -> None:
        for frame in codec.close_frames():
            if isinstance(frame, HttpRequest):
                self._farewell.append(frame)
            else:
                link.send(frame)
        link.close()

    async def _attend(self, link: Link, codec: FeedCodec, began: float) -> None:
        """Everything that happens while the session lives; ends by raising."""
        channel = self.channel
        ping_at = began + channel.ping_interval if channel.ping_interval else float("inf")
        beat_at = float("inf")
        live = False
        while True:
            if self._failure is not None:
                raise self._failure
            link.check()
            if link.closed.done():
                self._closed(link.closed.result())
            now = self._clock()
            if self._ready and not live:
                live = True
                beat_at = now + self._heartbeat_interval(codec)
                self.host.session_begins(self.channel_name, tuple(self.wanted))
                self._enter(LinkState.LIVE, "")
            if not self._ready and now - began >= channel.ready_timeout:
                raise _SessionOver(f"no answer to the log-in within {channel.ready_timeout:g} s")
            self._check_silence(now)
            if now >= ping_at:
                link.ping()
                ping_at = now + (channel.ping_interval or 0.0)
            if now >= beat_at:
                self._outbox.appendleft(codec.heartbeat_frames())
                beat_at = now + self._heartbeat_interval(codec)
            # Cleared in every round: reconciling compares everything, so that no wish is lost by it, and what
            # changes before the session may subscribe must not keep this loop awake.
            self._changed.clear()
            settled_at = self._settled_at()
            if live and not self._outbox and now >= settled_at:
                self._first_wish = None
                self._reconcile(codec)
            if self._outbox:
                for frame in self._outbox.popleft():
                    await self._send(link, codec, frame)
                await self._nap(link, channel.frame_gap if self._outbox else 0.0)
                continue
            deadline = min(ping_at, beat_at, self.last_sign + channel.stall_after, now + 1.0)
            if now < settled_at:
                deadline = min(deadline, settled_at)
            await self._nap(link, max(_SHORTEST_NAP, deadline - now))

    def _settled_at(self) -> float:
        """When what is asked for may be told: after a pause, but a steady trickle does not put it off for ever."""
        settle = self.channel.settle
        settled = self._wished_at + settle
        return settled if self._first_wish is None else min(settled, self._first_wish + 4 * settle)

    def _heartbeat_interval(self, codec: FeedCodec) -> float:
        return codec.heartbeat_interval or self.channel.heartbeat_interval or float("inf")

    async def _nap(self, link: Link, seconds: float) -> None:
        """Sleeps, but wakes when something is wanted, or the link has closed."""
        if seconds <= 0.0:
            await asyncio.sleep(0)
            return
        gap = bool(self._outbox)  # between two frames new wishes have to wait for their turn
        waiter = owned_task.start(self._changed.wait(), "wake-up") if not gap else None
        watched: set[asyncio.Future[object]] = {link.closed}  # type: ignore[arg-type]
        if waiter is not None:
            watched.add(waiter)  # type: ignore[arg-type]
        try:
            await asyncio.wait(watched, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if waiter is not None:
                waiter.cancel()

    def _closed(self, closed: Closed) -> None:
        failure = self.host.adapter.close_failure(closed.code, closed.reason)
        if failure is not None:
            raise failure
        raise _SessionOver(f"the broker closed the connection ({closed.code} {closed.reason})".replace(" )", ")"))

    def _check_silence(self, now: float) -> None:
        channel = self.channel
        if now - self.last_sign >= channel.stall_after:
            self.host.counters.stalls += 1
            raise _SessionOver(f"silent for {channel.stall_after:g} s")
        if channel.quiet_after is not None and self.last_tick and now - self.last_tick >= channel.quiet_after:
            if self.wanted and self.host.any_market_open(tuple(self.wanted)):
                self.host.counters.stalls += 1
                raise _SessionOver(f"no tick for {channel.quiet_after:g} s while the market is open")
            self.last_tick = now  # the market is closed: look again after another interval

    # -- out ----------------------------------------------------------------------------------------------

    def _reconcile(self, codec: FeedCodec) -> None:
        """Queues the frames that bring the server from what it has been told to what is wanted."""
        told = codec.kinds
        gone: dict[str, list[Instrument]] = {}
        fresh: dict[str, list[Instrument]] = {}
        other: dict[tuple[str, str], list[Instrument]] = {}
        for instrument, kind in told.items():
            if instrument not in self.wanted:
                gone.setdefault(kind, []).append(instrument)
        for instrument, kind in self.wanted.items():
            old = told.get(instrument)
            if old is None:
                if self._can_be_named(codec, instrument):
                    fresh.setdefault(kind, []).append(instrument)
            elif old != kind:
                other.setdefault((old, kind), []).append(instrument)
        batch = self.channel.batch
        for kind, instruments in gone.items():  # first, so that the limits are never exceeded
            for part in _batches(instruments, batch):
                self._outbox.append(codec.unsubscribe(part, kind))
        for (old, kind), instruments in other.items():
            for part in _batches(instruments, batch):
                self._outbox.append(codec.change(part, old, kind))
        for kind, instruments in fresh.items():
            for part in _batches(instruments, batch):
                self._outbox.append(codec.subscribe(part, kind))
        if fresh and not self.last_tick:
            self.last_tick = self._clock()  # from now on a tick may be expected

    def _can_be_named(self, codec: FeedCodec, instrument: Instrument) -> bool:
        """Whether the instrument can be subscribed in this session; what cannot is counted once."""
        if instrument in self._refused:
            return False
        try:
            codec.wire_key(instrument)
        except ValueError as error:
            log.warning("%s cannot be subscribed at %s: %s", instrument.symbol, self.host.adapter.name, error)
            self._refused.add(instrument)
            self.host.counters.refused += 1
            return False
        return True

    async def _send(self, link: Link, codec: FeedCodec, frame: Frame) -> None:
        if not isinstance(frame, HttpRequest):
            link.send(frame)
            return
        for wait in (*_RATE_LIMIT_WAITS, None):
            try:
                answer = await self._ask(frame)
            except httpx.HTTPError as error:
                raise _SessionOver(f"REST: {type(error).__name__}") from None
            if answer.status_code != 429 or wait is None:
                break
            await self._nap(link, wait)
        self._take(codec.decode_http(frame, answer.status_code, answer.content[:_MAX_HTTP_ANSWER]))

    async def _ask(self, request: HttpRequest) -> httpx.Response:
        url = request.url if "://" in request.url else self._endpoint.rest_base + request.url
        return await self.host.http.request(
            request.method, url, headers=dict(request.headers), json=request.body, timeout=10.0
        )

    # -- in: the hot path ---------------------------------------------------------------------------------

    def _on_alive(self) -> None:
        self.last_sign = self._clock()

    def _on_message(self, message: bytes | str) -> None:
        codec = self._codec
        if codec is None:
            return
        self.last_sign = self._clock()
        counters = self.host.counters
        counters.frames += 1
        counters.bytes += len(message)
        try:
            decoded = codec.decode(message)
        except Exception:
            # Codecs promise not to raise; should one do so, this frame is lost and nothing else.
            counters.malformed += 1
            log.exception("%r: the codec failed on a frame of %d bytes", self, len(message))
            return
        if decoded.ticks:
            self.last_tick = self.last_sign
            counters.ticks += len(decoded.ticks)
            self.host.on_ticks(self.channel_name, decoded.ticks)
            if decoded.event is None and not (
                decoded.unrouted or decoded.unknown or decoded.replies or decoded.refused or decoded.restart
            ):
                return
        self._notice(decoded)

    def _take(self, decoded: Decoded) -> None:
        """What came as the answer to a REST request."""
        if decoded.ticks:
            self.last_tick = self._clock()
            self.host.counters.ticks += len(decoded.ticks)
            self.host.on_ticks(self.channel_name, decoded.ticks)
        self._notice(decoded)

    def _notice(self, decoded: Decoded) -> None:
        """Everything about a frame but its ticks."""
        counters = self.host.counters
        counters.unrouted += decoded.unrouted
        counters.unknown += decoded.unknown
        if decoded.ready and not self._ready:
            self._ready = True
            self._changed.set()
        later: list[Frame] = []
        for reply in decoded.replies:
            if self._link is not None and not isinstance(reply, HttpRequest):
                self._link.send(reply)
            else:
                later.append(reply)
        if later:
            self._outbox.appendleft(later)
        match decoded.event:
            case Event.HEARTBEAT:
                counters.heartbeats += 1
            case Event.MALFORMED:
                counters.malformed += 1
            case Event.ERROR:
                counters.broker_errors += 1
                self.message = f"the broker says: {decoded.message}"
                self.host.connection_changed(self)
            case Event.AUTH_ERROR:
                self._fail(
                    AuthRejected(decoded.message or "the broker refused the session", certain=not decoded.guessed)
                )
        if decoded.refused:
            counters.refused += len(decoded.refused)
            self._refused.update(decoded.refused)
        if decoded.restart:
            self._fail(Unavailable(decoded.message or "the broker ended the session", decoded.retry_after))

    def _fail(self, failure: Exception) -> None:
        if self._failure is None:
            self._failure = failure
            self._changed.set()

    def _enter(self, state: LinkState, message: str) -> None:
        if (state, message) != (self.state, self.message):
            if state != self.state:
                self.since = time.time()
            self.state, self.message = state, message
            self.host.connection_changed(self)


def _batches(instruments: list[Instrument], size: int) -> list[list[Instrument]]:
    return [instruments[start : start + size] for start in range(0, len(instruments), size)]
