"""Feeds of another process, as the proxy sees them (`feed_wire`).

`FeedLink` is the way to one feed process: one DEALER socket, a task that reads it and one that tells that we are
here. `RemoteFeed` is one feed behind it; it knows what is held there, and asks for all of it again whenever the feed
process has begun a new lease: after a restart, or when it had not heard of us for too long.

A feed process that does not answer makes its feeds `reconnecting`: silence is never taken for a quiet market.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count

import msgspec
import zmq

from tickmux import owned_task
from tickmux.errors import ErrorCode, RequestError
from tickmux.feeds.local_feed import BUS_READY_TIMEOUT
from tickmux.feeds.remote import feed_wire as wire
from tickmux.feeds.remote.feed_socket import FeedSocket
from tickmux.websocket_proxy.bus_door import connect_with_keys
from tickmux.websocket_proxy.bus_keys import ClientKeys
from tickmux.websocket_proxy.feed import Grant, Want
from tickmux.websocket_proxy.feed_state import (
    FeedInfo,
    FeedState,
    FeedStatus,
    InstrumentListener,
    InstrumentStatus,
    Listeners,
    StatusListener,
    epoch_ms,
)
from tickmux.websocket_proxy.subscription_index import TopicKey

_SILENT = 3 * wire.ALIVE_INTERVAL
_ANSWER_TIMEOUT = BUS_READY_TIMEOUT + 5.0
"""Longer than anything that the feed process waits for itself: its own word for what is wrong arrives first."""
_MOST_LATE = 10_000
_FAREWELL_MS = 200
_REPEAT_INTERVAL = 3.0
_MOST_DOUBT = 1_000_000_000
"""Nanoseconds under way after which an answer says too little about the other clock."""
_DRIFT = 20
"""One reading of the other clock replaces another that was surer by a second, after so many seconds."""
_RETRY = 5
"""Beats between two tries to get back what a new lease has denied."""


Called = wire.Opened | wire.Granted | wire.Refused


class FeedLink:
    """The way to the feed process at `endpoint`."""

    def __init__(self, endpoint: str, keys: ClientKeys) -> None:
        self.endpoint = endpoint
        self.clock_offset: int | None = None
        """By how many nanoseconds the feed process' monotonic clock is ahead of ours, as far as is known."""
        self._clock_doubt = 0
        """How far off `clock_offset` may be (nanoseconds), at `_clock_read`."""
        self._clock_read = 0
        self._keys = keys
        self._missed = False
        self._repeated = 0.0
        self.malformed = 0
        self._feeds: dict[str, RemoteFeed] = {}
        self._users: dict[str, str] = {}
        """Feed -> a user whose feed it is: how it is opened again."""
        self._calls: dict[int, asyncio.Future[Called]] = {}
        self._late: dict[int, Callable[[wire.Granted], None]] = {}
        """Calls that nobody waits for any more: what they bring is given back."""
        self._numbers = count(1)
        self._lease = ""
        self._heard = 0.0
        self._socket: FeedSocket | None = None
        self._reader: asyncio.Task[None] | None = None
        self._beater: asyncio.Task[None] | None = None
        self._restoring: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._connect()
        self._beater = owned_task.keep_running(self._beat, f"beat to {self.endpoint}")

    async def stop(self) -> None:
        await owned_task.end(self._beater, self._reader, self._restoring)
        self._fail_calls()
        if self._socket is not None:
            self._socket.close(_FAREWELL_MS)

    # -- what feeds use -----------------------------------------------------------------------------------

    async def open(self, user: str) -> "RemoteFeed":
        """The user's feed. Raises RequestError."""
        answer = await self.call(lambda number: wire.Open(number, user))
        if not isinstance(answer, wire.Opened):
            raise self._not_there()
        self._users[answer.feed] = user
        feed = self._feeds.get(answer.feed)
        if feed is None:
            feed = self._feeds[answer.feed] = RemoteFeed(self, answer)
        else:
            feed.take_state(answer.status, answer.info)
        return feed

    def forget(self, feed: "RemoteFeed") -> None:
        self._feeds.pop(feed.id, None)
        self._users.pop(feed.id, None)

    async def call(
        self, request: Callable[[int], wire.Request], late: Callable[[wire.Granted], None] | None = None
    ) -> wire.Opened | wire.Granted:
        """The answer to a request, which is made of the call's number. Raises RequestError.

        `late` gets what is granted after this call was cancelled, or has waited for too long.
        """
        number = next(self._numbers)
        answer: asyncio.Future[Called] = asyncio.get_running_loop().create_future()
        self._calls[number] = answer
        try:
            if not self.send(request(number)):
                raise self._not_there()
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                found = await answer
        except TimeoutError:
            if self._is_silent():
                # Whatever it has done of this call, it shall not hold: it forgets the identity that asked.
                self._connect()
                raise self._not_there() from None
            raise RequestError(
                ErrorCode.BROKER_CONNECTION_ERROR,
                f"the feed process at {self.endpoint} is there, but does not answer: its log says what it waits for",
            ) from None
        finally:
            self._calls.pop(number, None)
            if late is not None and (not answer.done() or answer.cancelled()):
                self._late[number] = late
                if len(self._late) > _MOST_LATE:
                    del self._late[next(iter(self._late))]
        if isinstance(found, wire.Refused):
            raise RequestError(found.code, found.message)
        return found

    def send(self, request: wire.Request) -> bool:
        """Whether the feed process can be reached."""
        return self._socket is not None and self._socket.send(wire.encode(request))

    # -- the link -----------------------------------------------------------------------------------------

    def _dial(self) -> FeedSocket:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        socket.setsockopt(zmq.IDENTITY, secrets.token_bytes(16))
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_MESSAGE)
        socket.setsockopt(zmq.IMMEDIATE, 1)  # what cannot be said now is not said later, when it may be wrong
        connect_with_keys(socket, self.endpoint, self._keys)
        return FeedSocket(socket)

    def _connect(self) -> None:
        new = self._dial()
        if self._socket is not None and self._reader is not None:
            self._reader.cancel()
            self._socket.close()
            self._fail_calls()
            self._late.clear()  # of an identity that is forgotten
        self._socket = new
        self._reader = owned_task.keep_running(partial(self._read, self._socket), f"answers of {self.endpoint}")

    def _fail_calls(self) -> None:
        for call in self._calls.values():
            if not call.done():
                call.set_exception(self._not_there())

    def _not_there(self) -> RequestError:
        return RequestError(ErrorCode.BROKER_CONNECTION_ERROR, self.silence)

    @property
    def silence(self) -> str:
        return (
            f"the feed process at {self.endpoint} does not answer: start it with `tickmux feed`, with the same "
            "TICKMUX_HOME or a copy of its bus-keys"
        )

    async def _read(self, socket: FeedSocket) -> None:
        while True:
            message = await socket.receive()
            try:
                (body,) = message
                answer = wire.decode_answer(body)
            except (ValueError, msgspec.MsgspecError):
                self.malformed += 1
                continue
            self._heard = time.monotonic()
            self._take(answer)

    def _take(self, answer: wire.Answer) -> None:
        match answer:
            case wire.Here(lease=lease):
                self._set_clock(answer, time.monotonic_ns())
                new, self._lease = lease != self._lease, lease
                if new:
                    self._restore()
            case wire.Instruments(feed=name, changed=changed):
                if (feed := self._feeds.get(name)) is not None:
                    feed.take_instruments(changed)
            case wire.State(feed=name, status=status, info=info):
                if (feed := self._feeds.get(name)) is not None:
                    feed.take_state(status, info)
            case _:
                call = self._calls.get(answer.call)
                late = self._late.pop(answer.call, None)
                if call is not None and not call.done():
                    call.set_result(answer)
                elif late is not None and isinstance(answer, wire.Granted):
                    late(answer)

    async def _beat(self) -> None:
        for beat in count():
            self.send(wire.Alive(time.monotonic_ns()))
            if self._is_silent():
                for feed in self._feeds.values():
                    feed.lost()
            elif beat % _RETRY == 0 and any(feed.missing for feed in self._feeds.values()):
                self._restore()
            if self._missed and time.monotonic() - self._repeated > _REPEAT_INTERVAL:
                self._missed, self._repeated = False, time.monotonic()
                for feed in self._feeds.values():
                    feed.repeat()
            await asyncio.sleep(wire.ALIVE_INTERVAL)

    def _is_silent(self) -> bool:
        return time.monotonic() - self._heard > _SILENT

    def ticks_missed(self) -> None:
        """Ticks of the feed process were too old and have been dropped: the newest values are asked for again."""
        self._missed = True

    def _set_clock(self, answer: wire.Here, now: int) -> None:
        """Takes the reading if it is surer than the last one, whose clocks may have drifted or stood still since."""
        doubt = now - answer.sent
        if doubt > _MOST_DOUBT:
            if self.clock_offset is None:  # at least this much, so that nothing fresh is dropped
                self.clock_offset = answer.clock - now
                self._clock_doubt, self._clock_read = doubt, now
                self.send(wire.Alive(time.monotonic_ns()))  # a start keeps answers waiting; the next one is surer
            return
        if self.clock_offset is None or doubt <= self._clock_doubt + (now - self._clock_read) // _DRIFT:
            self.clock_offset = answer.clock - answer.sent - doubt // 2
            self._clock_doubt, self._clock_read = doubt, now

    def _restore(self) -> None:
        """Gets back, under a new lease, what clients hold."""
        if self._restoring is not None:
            self._restoring.cancel()
        self._restoring = owned_task.start(self._open_again(), f"demand anew at {self.endpoint}")

    async def _open_again(self) -> None:
        for feed in tuple(self._feeds.values()):
            with suppress(RequestError):  # `missing` says so, and it is tried again
                feed.missing = True
                answer = await self.call(lambda number, user=self._users[feed.id]: wire.Open(number, user))  # type: ignore[misc]
                if isinstance(answer, wire.Opened) and answer.feed == feed.id:
                    await feed.restore()
                    feed.take_state(answer.status, answer.info)


class RemoteFeed:
    """A feed of the process behind `link`."""

    def __init__(self, link: FeedLink, opened: wire.Opened) -> None:
        self.id = opened.feed
        self.broker = opened.broker
        self.account = opened.account
        self.has_orders = opened.has_orders
        self.missing = False
        """Whether clients hold what the feed process does not (yet)."""
        self._link = link
        self._status = opened.status
        self._info = opened.info
        self._held: Counter[TopicKey] = Counter()
        self._asking: Counter[tuple[str, str]] = Counter()
        """(symbol, exchange) of subscriptions that are under way: not given back before their answer."""
        self._idle: set[TopicKey] = set()
        """What nobody holds any more, of those."""
        self._listeners = Listeners[FeedStatus]()
        self._instruments: dict[tuple[str, str], InstrumentStatus] = {}
        """As the feed process has told them, of what is held here."""
        self._instrument_listeners = Listeners[Sequence[InstrumentStatus]]()

    @property
    def status(self) -> FeedStatus:
        return self._status

    async def subscribe(self, wants: Sequence[Want]) -> list[Grant | RequestError]:
        names = [(want.symbol, want.exchange) for want in wants]
        self._asking.update(names)
        try:
            verdicts = await self._ask(wants)
        except RequestError as error:
            verdicts = [error] * len(wants)
        finally:
            self._asking.subtract(names)
        granted = [verdict.key for verdict in verdicts if isinstance(verdict, Grant)]
        self._held.update(granted)
        self._release(self._idle)
        # After the caller has entered them into its index: ticks may have come before that, newer than the snapshot.
        asyncio.get_running_loop().call_soon(self._link.send, wire.Repeat(self.id, granted))
        return verdicts

    async def unsubscribe(self, keys: Sequence[TopicKey]) -> None:
        for key in keys:
            if self._held[key] > 1:
                self._held[key] -= 1
            elif self._held.pop(key, 0):
                self._idle.add(key)
        self._release(self._idle)

    def listen(self, listener: StatusListener) -> Callable[[], None]:
        return self._listeners.add(listener)

    def instrument_status(self, symbol: str, exchange: str) -> InstrumentStatus | None:
        return self._instruments.get((symbol, exchange))

    def listen_to_instruments(self, listener: InstrumentListener) -> Callable[[], None]:
        return self._instrument_listeners.add(listener)

    def info(self) -> FeedInfo:
        return self._info

    async def stop(self) -> None:
        if self._held:
            self._link.send(wire.Unsubscribe(self.id, list(self._held)))
        self._held.clear()
        self._link.forget(self)
        self._set_status(FeedStatus(FeedState.STOPPED, epoch_ms(), "", 0))

    # -- the link's side ----------------------------------------------------------------------------------

    def take_state(self, status: FeedStatus, info: FeedInfo) -> None:
        """What the feed process says of it."""
        self._info = info
        if status.state == FeedState.STOPPED:
            self.lost()
        else:
            self._set_status(status)

    def take_instruments(self, changed: Sequence[InstrumentStatus]) -> None:
        """What the feed process says of its instruments; other proxies hold other ones."""
        held = self._names()
        self._instruments = {name: one for name, one in self._instruments.items() if name in held}
        news = [one for one in changed if (one.symbol, one.exchange) in held]
        self._instruments.update({(one.symbol, one.exchange): one for one in news})
        if news:
            self._instrument_listeners.tell(news)

    def lost(self) -> None:
        """The feed process is gone, or silent."""
        if self._status.message != self._link.silence:
            since = epoch_ms()
            self._set_status(FeedStatus(FeedState.RECONNECTING, since, self._link.silence, len(self._names())))

    def repeat(self) -> None:
        """Asks for the newest value of everything that is held."""
        if self._held:
            self._link.send(wire.Repeat(self.id, list(self._held)))

    async def restore(self) -> None:
        """Asks again for everything that is held. Raises RequestError."""
        held = list(self._held)
        verdicts = await self._ask([Want(key.symbol, key.exchange, key.mode, key.depth) for key in held])
        back = {verdict.key for verdict in verdicts if isinstance(verdict, Grant)}
        self.missing = any(key in self._held and key not in back for key in held)
        self._idle |= back - self._held.keys()
        self._release(self._idle)
        self._link.send(wire.Repeat(self.id, list(back)))

    # -- both ---------------------------------------------------------------------------------------------

    async def _ask(self, wants: Sequence[Want]) -> list[Grant | RequestError]:
        answer = await self._link.call(lambda number: wire.Subscribe(number, self.id, list(wants)), self._too_late)
        verdicts = answer.verdicts if isinstance(answer, wire.Granted) else []
        if len(verdicts) != len(wants):
            raise RequestError(ErrorCode.SERVER_ERROR, "the feed process gave another answer than the one asked for")
        return [
            Grant(verdict.key, verdict.topic, verdict.snapshot)
            if isinstance(verdict, wire.Served)
            else RequestError(verdict.code, verdict.message)
            for verdict in verdicts
        ]

    def _too_late(self, answer: wire.Granted) -> None:
        """Nobody has waited for this answer: what it grants is given back unless it is held all the same."""
        self._idle.update(one.key for one in answer.verdicts if isinstance(one, wire.Served))
        self._release(self._idle)

    def _release(self, keys: Iterable[TopicKey]) -> None:
        """Gives back those of `keys` that nobody holds and nobody is asking for."""
        settled = [key for key in keys if not self._asking[key.symbol, key.exchange]]
        self._idle.difference_update(settled)
        unused = [key for key in settled if key not in self._held]
        self._asking = +self._asking
        if unused:
            self._link.send(wire.Unsubscribe(self.id, unused))

    def _names(self) -> set[tuple[str, str]]:
        return {(key.symbol, key.exchange) for key in self._held}

    def _set_status(self, status: FeedStatus) -> None:
        old, self._status = self._status, status
        if (old.state, old.message) != (status.state, status.message):
            self._listeners.tell(status)
