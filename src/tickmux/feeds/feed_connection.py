"""One upstream connection's whole life: connect, run a session, come back.

Written once for all brokers. The pool says what is wanted (`want`, `drop`); a session (`feed_session`) compares that
with what its server has been told, and sends the difference in batches. A new session has been told nothing, so that
re-subscription after a reconnect is the same step.

Owns one task, `_run`. Retries for ever, at most once in `Channel.backoff[1]` seconds; after a refusal when the feed's
`credentials` returns. No lock; nothing here waits while it holds anything.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from enum import Enum, auto
from typing import Protocol

import httpx

from tickmux import owned_task
from tickmux.codec import Credentials, HttpRequest
from tickmux.feeds.backoff import Backoff
from tickmux.feeds.feed_session import FeedSession, SessionHost, SessionOver, ask
from tickmux.feeds.mute_watch import MuteWatch
from tickmux.feeds.upstream import HandshakeRefused, Link, OnAlive, OnMessage, connect
from tickmux.feeds.wishes import Wishes
from tickmux.instrument import Instrument
from tickmux.websocket_proxy.base_adapter import AuthRejected, Endpoint, Unavailable

log = logging.getLogger(__name__)

HEALTHY_AFTER = 30.0
"""Seconds of a session after which the backoff starts afresh."""
_FAREWELL = 1.5
"""Seconds that REST requests may take which end the subscriptions of a session that is over."""


class LinkState(Enum):
    """What a connection is doing."""

    CONNECTING = auto()
    LIVE = auto()
    WAITING = auto()  # for the next attempt
    AUTH_EXPIRED = auto()
    STOPPED = auto()


class Host(SessionHost, Protocol):
    """What a connection needs of the feed that it belongs to."""

    async def credentials(self) -> Credentials:
        """The session's credentials as they are now; waits, with `auth_expired` said, while there are none that
        have not been refused already."""

    def credentials_refused(self, credentials: Credentials, message: str, *, certain: bool) -> None:
        """The broker has refused them; `certain` as in `AuthRejected`."""

    def connection_changed(self, connection: "FeedConnection") -> None:
        """`connection.state` or `connection.message` has changed."""


Connect = Callable[[Endpoint, OnMessage, OnAlive], Awaitable[Link]]


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
        self.since = time.time()
        """When `state` was entered, epoch seconds."""
        self.reconnects = 0
        self._clock = clock
        self._connect = connect
        self._wishes = Wishes(clock)
        self._watch = MuteWatch(host.instrument_states, channel, self.channel.quiet_after)
        self._backoff = Backoff(*self.channel.backoff, rng, pause=self.channel.pause)
        self._session: FeedSession | None = None
        self._last_sign = 0.0
        self._farewell: list[HttpRequest] = []
        """What ends the last session's subscriptions where they outlive the socket; sent by `stop` only."""
        self._rest_base = ""
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return (
            f"<FeedConnection {self.host.adapter.name}/{self.channel_name}#{self.number} "
            f"{self.state.name.lower()}, {len(self.wanted)} wanted, {self.subscribed} subscribed>"
        )

    @property
    def wanted(self) -> Mapping[Instrument, str]:
        """What the pool wants of this connection: instrument -> kind."""
        return self._wishes.wanted

    @property
    def load(self) -> Mapping[str, int]:
        """How many instruments are wanted of each kind."""
        return self._wishes.load

    @property
    def subscribed(self) -> int:
        """Instruments that this session's server has been told of."""
        return len(self._session.codec.kinds) if self._session is not None else 0

    @property
    def last_sign(self) -> float:
        """When the broker last gave a sign of life, by `clock`; 0 before the first."""
        return self._session.last_sign if self._session is not None else self._last_sign

    @property
    def last_tick(self) -> float:
        """When the last tick of this session came, by `clock`; 0 before the first."""
        return self._session.last_tick if self._session is not None else 0.0

    @property
    def refused(self) -> Collection[Instrument]:
        """What the broker would not subscribe in this session, or cannot be named to it."""
        return self._session.refused if self._session is not None else ()

    # -- the pool's side ----------------------------------------------------------------------------------

    def want(self, instrument: Instrument, kind: str) -> None:
        """Subscribes, or changes the kind of what is subscribed, as soon as the session allows."""
        if self._session is not None:
            self._session.allow(instrument)
        self._wishes.want(instrument, kind)

    def drop(self, instrument: Instrument) -> None:
        """Unsubscribes as soon as the session allows."""
        self.host.instrument_states.leave(self.channel_name, instrument)
        self._wishes.drop(instrument)

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
                        await ask(self.host.http, request, self._rest_base)
        self._enter(LinkState.STOPPED, "")

    # -- life ---------------------------------------------------------------------------------------------

    async def _run(self, after: Collection[asyncio.Task[None]]) -> None:
        if after:
            await asyncio.wait(after)
        while True:
            try:
                await self._hold_session()
            except asyncio.CancelledError:
                raise
            except AuthRejected:
                continue  # the host has been told; its `credentials` waits for new ones
            except Unavailable as error:
                await self._pause(str(error), error.retry_after)
            except SessionOver as error:
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

    async def _hold_session(self) -> None:
        credentials = await self.host.credentials()
        self._enter(LinkState.CONNECTING, "")
        self._farewell = []
        session = FeedSession(
            self.host,
            self.channel_name,
            self.channel,
            self._wishes,
            self._watch,
            clock=self._clock,
            said=self._complain,
            became_live=lambda: self._enter(LinkState.LIVE, ""),
        )
        self._session = session
        try:
            endpoint, link = await self._open(credentials, session)
            self._rest_base = endpoint.rest_base
            began = self._clock()
            try:
                await session.attend(link, credentials, endpoint.rest_base)
            finally:
                self._farewell = session.farewell
                if session.last_tick:
                    self._backoff.had_ticks()
                if self._clock() - began >= HEALTHY_AFTER:
                    self._backoff.reset()
        except AuthRejected as error:
            self.host.counters.auth_failures += 1
            self._enter(LinkState.AUTH_EXPIRED, str(error))
            self.host.credentials_refused(credentials, str(error), certain=error.certain)
            raise
        finally:
            self._last_sign = session.last_sign or self._last_sign
            self._session = None

    async def _open(self, credentials: Credentials, session: FeedSession) -> tuple[Endpoint, Link]:
        adapter = self.host.adapter
        try:
            endpoint = await adapter.endpoint(self.channel_name, credentials, self.host.http)
            return endpoint, await self._connect(endpoint, session.on_message, session.on_alive)
        except HandshakeRefused as error:
            failure = adapter.handshake_failure(error.status, error.reason, error.headers, error.body)
            raise adapter.channel_failure(self.channel_name, error.status, failure) from None
        except httpx.HTTPError as error:
            raise Unavailable(f"REST: {type(error).__name__}") from None

    def _complain(self, words: str) -> None:
        self.message = words
        self.host.connection_changed(self)

    def _enter(self, state: LinkState, message: str) -> None:
        if (state, message) == (self.state, self.message):
            return
        if state != self.state:
            self.since = time.time()
            log.info(
                "connection broker=%s channel=%s number=%d state=%s wanted=%d reconnects=%d reason=%r",
                self.host.adapter.name,
                self.channel_name,
                self.number,
                state.name.lower(),
                len(self.wanted),
                self.reconnects,
                message,
            )
        self.state, self.message = state, message
        self.host.connection_changed(self)
