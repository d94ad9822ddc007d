"""One session on one upstream connection, from the open socket to its end. `FeedConnection` makes one a connect.

Everything in here ends with the session: the codec with its state, what the server has been told, what waits to go
out. `attend` runs it and ends by raising what ended it.

Owns no task but the outbox's REST request. Bounded: outgoing frames by what is wanted, the rest by the codec.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import httpx

from tickmux import owned_task
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame, HttpRequest
from tickmux.feeds.instrument_states import InstrumentStates
from tickmux.feeds.mute_watch import SWEEP, MuteWatch
from tickmux.feeds.outbox import Outbox
from tickmux.feeds.upstream import Closed, Link
from tickmux.feeds.wishes import Wishes, steps
from tickmux.instrument import Instrument
from tickmux.tick import Tick
from tickmux.websocket_proxy.base_adapter import AuthRejected, BaseBrokerWebSocketAdapter, Channel, Unavailable
from tickmux.websocket_proxy.feed_state import FeedCounters

log = logging.getLogger(__name__)

_SHORTEST_NAP = 0.001
"""A deadline that rounding puts into the past must not become a busy loop."""
_MAX_HTTP_ANSWER = 8 << 20
PROVEN_AFTER = 30.0
"""Seconds of a session that prove its credentials where only time and market data can."""


class SessionHost(Protocol):
    """What a session needs of the feed that it belongs to."""

    adapter: BaseBrokerWebSocketAdapter
    counters: FeedCounters
    http: httpx.AsyncClient
    instrument_states: InstrumentStates

    def session_begins(self, channel: str, instruments: Sequence[Instrument]) -> None:
        """A new session carries these instruments from now on."""

    def session_accepted(self) -> None:
        """The broker takes the session's credentials."""

    def session_ends(self, channel: str, instruments: Sequence[Instrument]) -> None:
        """It does so no more: what it said is of yesterday."""

    def on_ticks(self, channel: str, ticks: Sequence[Tick]) -> None:
        """Ticks of one wire frame."""

    def is_trading(self, instrument: Instrument) -> bool:
        """Whether the instrument's exchange trades continuously now, so that ticks may be expected."""


class SessionOver(Exception):
    """The session has ended in a way that calls for a new connection."""


class FeedSession:
    """`said` is called with the broker's complaints, `became_live` once, when subscriptions may begin."""

    def __init__(
        self,
        host: SessionHost,
        channel_name: str,
        channel: Channel,
        wishes: Wishes,
        watch: MuteWatch,
        *,
        clock: Callable[[], float],
        said: Callable[[str], None],
        became_live: Callable[[], None],
    ) -> None:
        self.host = host
        self.codec: FeedCodec = host.adapter.codec(channel_name)
        self.last_sign = 0.0
        """When the broker last gave a sign of life, by `clock`; 0 before the first."""
        self.last_tick = 0.0
        """When the last tick came, by `clock`; 0 before the first."""
        self.live = False
        self.refused: set[Instrument] = set()
        """What the broker would not subscribe in this session, or cannot be named to it."""
        self.farewell: list[HttpRequest] = []
        """What ends this session's subscriptions where they outlive the socket."""
        self._channel_name = channel_name
        self._channel = channel
        self._wishes = wishes
        self._watch = watch
        self._rhythms = watch.rhythms
        self._clock = clock
        self._said = said
        self._became_live = became_live
        self._rest_base = ""
        self._link: Link | None = None
        self._ready = not self.codec.waits_for_ready
        self._proven = False
        self._failure: Exception | None = None
        self._outbox = Outbox(
            channel.frame_gap, send=self._write, ask=self._ask, answered=self._take, wake=wishes.changed.set
        )

    # -- life ---------------------------------------------------------------------------------------------

    async def attend(self, link: Link, credentials: Credentials, rest_base: str) -> None:
        """Everything while the session lives; ends by raising SessionOver, Unavailable or AuthRejected."""
        self._link = link
        self._rest_base = rest_base
        began = self.last_sign = self._clock()
        self._watch.begin(began)
        self.host.counters.connects += 1
        try:
            self._outbox.put(self.codec.open_frames(credentials))
            await self._live(link, began)
        finally:
            self._prove(self.last_tick > 0)
            await self._outbox.close()
            self._part(link)
            if self.live:
                self.host.session_ends(self._channel_name, tuple(self._wishes.wanted))

    async def _live(self, link: Link, began: float) -> None:
        channel, outbox, wishes = self._channel, self._outbox, self._wishes
        ping_at = began + channel.ping_interval if channel.ping_interval else float("inf")
        beat_at = look_at = float("inf")
        while True:
            if self._failure is not None:
                raise self._failure
            link.check()
            if link.closed.done():
                self._closed(link.closed.result())
            now = self._clock()
            if self._ready and not self.live:
                self.live = True
                beat_at, look_at = now + self._heartbeat_interval(), now + SWEEP
                self.host.session_begins(self._channel_name, tuple(wishes.wanted))
                self._became_live()
            if not self._proven:
                taken = not self.host.adapter.refuses_by_closing or now - began >= PROVEN_AFTER
                self._prove(self.live and (taken or self.last_tick > 0))
            if not self._ready and now - began >= channel.ready_timeout:
                raise SessionOver(f"no answer to the log-in within {channel.ready_timeout:g} s")
            if now - self.last_sign >= channel.stall_after:
                self.host.counters.stalls += 1
                raise SessionOver(f"silent for {channel.stall_after:g} s")
            if now >= ping_at:
                link.ping()
                ping_at = now + (channel.ping_interval or 0.0)
            if now >= beat_at:
                outbox.put_urgent(self.codec.heartbeat_frames())
                beat_at = now + self._heartbeat_interval()
            # Cleared in every round: reconciling compares everything, so that no wish is lost by it, and what
            # changes before the session may subscribe must not keep this loop awake.
            wishes.changed.clear()
            settled_at = wishes.settled_at(channel.settle)
            pump_at = outbox.pump(now)
            if self.live and outbox.empty:
                if now >= settled_at:
                    wishes.told()
                    self._reconcile(now)
                if now >= look_at:
                    self._look(now)
                    look_at = now + SWEEP
                pump_at = outbox.pump(now)
            deadline = min(ping_at, beat_at, self.last_sign + channel.stall_after, now + 1.0, pump_at)
            if now < settled_at:
                deadline = min(deadline, settled_at)
            await self._nap(link, max(_SHORTEST_NAP, deadline - now))

    def _prove(self, proven: bool) -> None:
        if proven and not self._proven:
            self._proven = True
            self.host.session_accepted()

    def _heartbeat_interval(self) -> float:
        return self.codec.heartbeat_interval or self._channel.heartbeat_interval or float("inf")

    async def _nap(self, link: Link, seconds: float) -> None:
        """Sleeps, but wakes when something is wanted, an answer has come, or the link has closed."""
        if self._wishes.changed.is_set():
            await asyncio.sleep(0)
            return
        waiter = owned_task.start(self._wishes.changed.wait(), "wake-up")
        watched: set[asyncio.Future[object]] = {link.closed, waiter}  # type: ignore[arg-type]
        try:
            await asyncio.wait(watched, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()

    def _closed(self, closed: Closed) -> None:
        failure = self.host.adapter.close_failure(closed.code, closed.reason)
        if failure is not None:
            raise failure
        raise SessionOver(f"the broker closed the connection ({closed.code} {closed.reason})".replace(" )", ")"))

    def _part(self, link: Link) -> None:
        for frame in self.codec.close_frames():
            if isinstance(frame, HttpRequest):
                self.farewell.append(frame)
            else:
                link.send(frame)
        link.close()

    def _look(self, now: float) -> None:
        """Does something about instruments that ought to tick and do not."""
        again, why = self._watch.look(now, self.host.is_trading)
        if why:
            self.host.counters.stalls += 1
            raise SessionOver(why)
        told = self.codec.kinds
        by_kind: dict[str, list[Instrument]] = {}
        for instrument in again:
            if instrument in told:
                by_kind.setdefault(told[instrument], []).append(instrument)
        batch = self._channel.batch
        for kind, instruments in by_kind.items():
            self.host.counters.resubscribed += len(instruments)
            log.info(
                "connection broker=%s channel=%s state=mute instruments=%d example=%s: subscribed again",
                self.host.adapter.name,
                self._channel_name,
                len(instruments),
                instruments[0].symbol,
            )
            for start in range(0, len(instruments), batch):
                part = instruments[start : start + batch]
                self._outbox.put(self.codec.unsubscribe(part, kind))
                self._outbox.put(self.codec.subscribe(part, kind))
                self._watch.asked(part, now)

    # -- out ----------------------------------------------------------------------------------------------

    def _reconcile(self, now: float) -> None:
        """Queues the frames that bring the server from what it has been told to what is wanted."""
        codec, watch = self.codec, self._watch
        wanted = {
            instrument: kind
            for instrument, kind in self._wishes.wanted.items()
            if instrument in codec.kinds or self._can_be_named(instrument)
        }
        for instruments, old, new in list(steps(codec.kinds, wanted, self._channel.batch)):
            if old is None and new is not None:
                self._outbox.put(codec.subscribe(instruments, new))
                watch.asked(instruments, now)
            elif old is not None and new is not None:
                self._outbox.put(codec.change(instruments, old, new))
                watch.changed(instruments, now)
            elif old is not None:
                self._outbox.put(codec.unsubscribe(instruments, old))
                watch.ended(instruments)

    def _can_be_named(self, instrument: Instrument) -> bool:
        """Whether the instrument can be subscribed in this session; what cannot is counted once."""
        if instrument in self.refused:
            return False
        try:
            self.codec.wire_key(instrument)
        except ValueError as error:
            log.warning("%s cannot be subscribed at %s: %s", instrument.symbol, self.host.adapter.name, error)
            self.refused.add(instrument)
            self.host.counters.refused += 1
            return False
        return True

    def allow(self, instrument: Instrument) -> None:
        """Somebody asks for the instrument anew: a refusal of it is forgotten."""
        self.refused.discard(instrument)

    def _write(self, frame: str | bytes) -> None:
        if self._link is not None:
            self._link.send(frame)

    async def _ask(self, request: HttpRequest) -> httpx.Response:
        return await ask(self.host.http, request, self._rest_base)

    # -- in: the hot path ---------------------------------------------------------------------------------

    def on_alive(self) -> None:
        self.last_sign = self._clock()

    def on_message(self, message: bytes | str) -> None:
        self.last_sign = now = self._clock()
        counters = self.host.counters
        counters.frames += 1
        counters.bytes += len(message)
        try:
            decoded = self.codec.decode(message)
        except Exception:
            # Codecs promise not to raise; should one do so, this frame is lost and nothing else.
            counters.malformed += 1
            log.exception("%s: the codec failed on a frame of %d bytes", self.host.adapter.name, len(message))
            return
        if decoded.ticks:
            self._tick(decoded.ticks, now)
            if decoded.event is None and not (
                decoded.unrouted or decoded.unknown or decoded.replies or decoded.refused or decoded.restart
            ):
                return
        self._notice(decoded)

    def _tick(self, ticks: list[Tick], now: float) -> None:
        self.last_tick = now
        self.host.counters.ticks += len(ticks)
        rhythms = self._rhythms
        for tick in ticks:
            rhythm = rhythms.get(id(tick.instrument))
            if rhythm is not None:
                rhythm.last_tick = now
        self.host.on_ticks(self._channel_name, ticks)

    def _take(self, request: HttpRequest, response: httpx.Response) -> None:
        """What came as the answer to a REST request."""
        decoded = self.codec.decode_http(request, response.status_code, response.content[:_MAX_HTTP_ANSWER])
        if decoded.ticks:
            self._tick(decoded.ticks, self._clock())
        self._notice(decoded)

    def _notice(self, decoded: Decoded) -> None:
        """Everything about a frame but its ticks."""
        counters = self.host.counters
        counters.unrouted += decoded.unrouted
        counters.unknown += decoded.unknown
        if decoded.ready and not self._ready:
            self._ready = True
            self._wishes.changed.set()
        later: list[Frame] = []
        for reply in decoded.replies:
            if self._link is None or isinstance(reply, HttpRequest):  # a server may greet before `attend` begins
                later.append(reply)
            else:
                self._link.send(reply)
        if later:
            self._outbox.put_first(later)
            self._wishes.changed.set()
        match decoded.event:
            case Event.HEARTBEAT:
                counters.heartbeats += 1
            case Event.MALFORMED:
                counters.malformed += 1
            case Event.ERROR:
                counters.broker_errors += 1
                self._said(f"the broker says: {decoded.message}")
            case Event.AUTH_ERROR:
                words = decoded.message or "the broker refused the session"
                self._fail(AuthRejected(words, certain=not decoded.guessed))
        if decoded.refused:
            counters.refused += len(decoded.refused)
            self.refused.update(decoded.refused)
            self._watch.ended(decoded.refused)
        if decoded.restart:
            self._fail(Unavailable(decoded.message or "the broker ended the session", decoded.retry_after))

    def _fail(self, failure: Exception) -> None:
        if self._failure is None:
            self._failure = failure
            self._wishes.changed.set()


async def ask(http: httpx.AsyncClient, request: HttpRequest, rest_base: str) -> httpx.Response:
    """The answer to a codec's REST request, whose URL is absolute or below `rest_base`. Raises httpx.HTTPError."""
    url = request.url if "://" in request.url else rest_base + request.url
    return await http.request(request.method, url, headers=dict(request.headers), json=request.body, timeout=10.0)
