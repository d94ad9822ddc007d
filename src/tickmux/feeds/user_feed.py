"""The feed of one user, whatever source he has chosen: what his clients hold outlives a change of the source.

It holds one reference of the present source's feed for each topic, and counts its clients' references itself. When
the source changes, the new one is asked for all of it *before* the user's clients notice anything; then the change is
made in one step: references are renamed, the proxy moves the subscribers, the listeners are told. What the new source
denies stays held, silent, and is asked for again at each new list and state, until it is granted or given up.

Owns one task that asks again, and one while the source changes. Bounded by what clients hold.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

from tickmux import owned_task
from tickmux.errors import ErrorCode, RequestError
from tickmux.tick import Mode
from tickmux.websocket_proxy.feed import Feed, Grant, Move, Mover, Want
from tickmux.websocket_proxy.feed_state import (
    FeedInfo,
    FeedStatus,
    InstrumentListener,
    InstrumentState,
    InstrumentStatus,
    Listeners,
    StatusListener,
    epoch_ms,
)
from tickmux.websocket_proxy.mapping import DEFAULT_DEPTH
from tickmux.websocket_proxy.subscription_index import TopicKey

log = logging.getLogger(__name__)

ASK_AGAIN = 30.0
"""Seconds after which what was denied is asked for again, though nothing has been heard."""

C = TypeVar("C")


class _Denied(NamedTuple):
    """A topic that is held, and that the present source does not serve: why, and since when (epoch ms)."""

    error: RequestError
    since: int


class _Inner:
    """A feed in use, and how many calls of it are under way: it must not be stopped under them."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def subscribe(self, wants: Sequence[Want]) -> list[Grant | RequestError]:
        self._calls += 1
        self._idle.clear()
        try:
            return await self.feed.subscribe(wants)
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()

    async def stop(self) -> None:
        await self._idle.wait()
        await self.feed.stop()


class UserFeed(Generic[C]):
    """`choice` says what `feed` is, in the caller's words; `move` is how the proxy moves subscribers."""

    def __init__(self, feed: Feed, choice: C, move: Mover) -> None:
        self._move = move
        self._listeners = Listeners[FeedStatus]()
        self._instrument_listeners = Listeners[Sequence[InstrumentStatus]]()
        self._references: Counter[TopicKey] = Counter()
        self._denied: dict[TopicKey, _Denied] = {}
        self._worth_asking = asyncio.Event()
        self._changing = asyncio.Lock()
        """One change of the source at a time, in the order of the calls."""
        self._stopped = False
        self._adopt(_Inner(feed), choice)
        self.target = choice
        """What the source is, or is about to become."""
        self._asker = owned_task.keep_running(self._ask_again, "denied subscriptions of a user")

    def _adopt(self, inner: _Inner, choice: C) -> None:
        feed = inner.feed
        self._inner = inner
        self.feed = feed
        """The feed of the present choice."""
        self.choice = choice
        self.id, self.broker, self.account = feed.id, feed.broker, feed.account
        self.has_orders = feed.has_orders
        self._listening = (feed.listen(self._heard), feed.listen_to_instruments(self._instrument_listeners.tell))

    def _unlisten(self) -> None:
        for each in self._listening:
            each()

    @property
    def status(self) -> FeedStatus:
        return self.feed.status

    async def subscribe(self, wants: Sequence[Want]) -> list[Grant | RequestError]:
        while True:
            inner = self._inner
            verdicts = await inner.subscribe(wants)
            if inner is self._inner:
                break
            # Another source meanwhile: what was granted has gone with the old one.
        surplus = []
        for verdict in verdicts:
            if isinstance(verdict, Grant):
                key = verdict.key
                if self._references[key] and self._denied.pop(key, None) is None:
                    surplus.append(key)  # one reference of the source is enough
                self._references[key] += 1
        if surplus:
            await inner.feed.unsubscribe(surplus)
        return verdicts

    async def unsubscribe(self, keys: Sequence[TopicKey]) -> None:
        released = []
        for key in keys:
            left = self._references[key] - 1  # less than none for what nobody holds
            if left > 0:
                self._references[key] = left
            elif self._references.pop(key, 0) and self._denied.pop(key, None) is None:
                released.append(key)
        if released:
            await self.feed.unsubscribe(released)

    def listen(self, listener: StatusListener) -> Callable[[], None]:
        return self._listeners.add(listener)

    def instrument_status(self, symbol: str, exchange: str) -> InstrumentStatus | None:
        for key, (error, since) in self._denied.items():
            if (key.symbol, key.exchange) == (symbol, exchange):
                return InstrumentStatus(symbol, exchange, InstrumentState.REFUSED, since, error.message)
        return self.feed.instrument_status(symbol, exchange)

    def listen_to_instruments(self, listener: InstrumentListener) -> Callable[[], None]:
        return self._instrument_listeners.add(listener)

    def info(self) -> FeedInfo:
        return self.feed.info()

    async def stop(self) -> None:
        self._stopped = True
        await owned_task.end(self._asker)
        self._unlisten()
        await self._inner.stop()

    # -- changing the source ------------------------------------------------------------------------------

    async def switch(self, feed: Feed, choice: C) -> None:
        """Goes on with another feed, which may bear the old one's name. May be cancelled: the change is made all the
        same."""
        self.target = choice
        await asyncio.shield(owned_task.start(self._switch(_Inner(feed), choice), f"change to {feed.id}"))

    async def _switch(self, new: _Inner, choice: C) -> None:
        async with self._changing:
            verdicts: dict[TopicKey, Grant | RequestError] = {}
            # Clients subscribe on while the new source is asked: it goes on until nothing is left to ask for.
            while not self._stopped and (missing := [key for key in self._references if key not in verdicts]):
                verdicts.update(zip(missing, await _asked(new, missing), strict=True))
            if self._stopped:
                await new.stop()
                return
            old = self._inner
            self._unlisten()
            self._adopt(new, choice)
            surplus = self._take(verdicts)
            denied = len(self._denied)
            log.info("feed id=%s state=chosen topics=%d denied=%d", self.id, len(self._references), denied)
            self._listeners.tell(new.feed.status)
            self._tell_denied(tuple(self._denied))
        try:
            await old.stop()
        finally:
            await new.feed.unsubscribe(surplus)

    def _take(self, verdicts: Mapping[TopicKey, Grant | RequestError]) -> list[TopicKey]:
        """Renames the references of what was granted, and has their holders moved; which grants nobody needs."""
        surplus: list[TopicKey] = []
        moves: list[Move] = []
        now = epoch_ms()
        before, self._references = self._references, Counter()
        denied = self._denied
        self._denied = {}
        for key, count in before.items():
            verdict = verdicts.get(key)
            if isinstance(verdict, Grant):
                continue
            self._references[key] += count
            if verdict is not None:
                self._denied[key] = denied.get(key, _Denied(verdict, now))._replace(error=verdict)
            elif key in denied:
                self._denied[key] = denied[key]
        for key, verdict in verdicts.items():
            if not isinstance(verdict, Grant) or key not in before:
                continue
            if self._references[verdict.key] and verdict.key not in self._denied:
                surplus.append(verdict.key)  # granted anew meanwhile, or two depths of the old source are one here
            self._denied.pop(verdict.key, None)
            self._references[verdict.key] += before[key]
            moves.append(Move(key, verdict))
        surplus += [one.key for key, one in verdicts.items() if isinstance(one, Grant) and key not in before]
        self._move(self, moves)
        return surplus

    # -- what was denied ----------------------------------------------------------------------------------

    def ask_again(self) -> None:
        """Something has changed that may let the source serve what it has denied: a new instrument list."""
        self._worth_asking.set()

    def _heard(self, status: FeedStatus) -> None:
        self._worth_asking.set()
        self._listeners.tell(status)

    async def _ask_again(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(ASK_AGAIN):
                    await self._worth_asking.wait()
            self._worth_asking.clear()
            inner, denied = self._inner, tuple(self._denied)
            if not denied:
                continue
            verdicts = dict(zip(denied, await _asked(inner, denied), strict=True))
            if inner is not self._inner:
                continue  # what was granted has gone with the old source, which the new one was asked for
            surplus = self._take(verdicts)
            self._tell_denied([key for key in denied if isinstance(verdicts[key], Grant)])
            await inner.feed.unsubscribe(surplus)

    def _tell_denied(self, keys: Sequence[TopicKey]) -> None:
        names = dict.fromkeys((key.symbol, key.exchange) for key in keys)
        states = [state for name in names if (state := self.instrument_status(*name)) is not None]
        if states:
            self._instrument_listeners.tell(states)


async def _asked(inner: _Inner, keys: Sequence[TopicKey]) -> list[Grant | RequestError]:
    """What the source says to these topics; a failure of its own denies all of them, to be asked again."""
    wants = [
        Want(key.symbol, key.exchange, key.mode, (key.depth or DEFAULT_DEPTH) if key.mode == Mode.DEPTH else 0)
        for key in keys
    ]
    try:
        return await inner.subscribe(wants)
    except Exception as error:
        log.exception("%s cannot be asked for what is held", inner.feed.id)
        failed = RequestError(ErrorCode.BROKER_ERROR, f"not granted yet ({type(error).__name__}): it is tried again")
        return [failed] * len(wants)
