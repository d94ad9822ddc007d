"""What one client holds: subscriptions granted by its feed, entered into the index, and given back.

Every granted subscription is one reference of the feed's. Whatever happens in between (the client has gone, it held
the same thing before), each is given back once.

Requests of many items are carried out `_SLICE` at a time, and others get their turn in between; the answer is one
message. Nobody else changes what the client holds meanwhile, except the feed when it moves subscriptions to another
source.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from tickmux.errors import ErrorCode, RequestError
from tickmux.tick import Mode
from tickmux.websocket_proxy.dispatcher import NOTHING_YET, Client
from tickmux.websocket_proxy.feed import Feed, Grant, Want
from tickmux.websocket_proxy.feed_state import InstrumentState
from tickmux.websocket_proxy.mapping import ANSWER_MODES
from tickmux.websocket_proxy.protocol import Addressed, Item, Options, Subscribe, answer, overall
from tickmux.websocket_proxy.rendering import encode_part, joined
from tickmux.websocket_proxy.session_host import SessionHost
from tickmux.websocket_proxy.subscription_index import LaneKey, Slot, TopicKey

_SLICE = 100
"""Items that are carried out in one go: one or two milliseconds."""
_FLUSH = 20
"""Snapshots that are written together: after that the client may have as much as it can take."""


class News(Protocol):
    """Who tells the client of instruments that cannot be expected to tick."""

    def subscribed(self, slots: Iterable[Slot]) -> None: ...


class Holder(Client, Protocol):
    """What subscriptions need of the session that holds them."""

    options: Options
    closing: bool
    paused: bool
    marks: dict[Slot, int]
    pending: list[bytes]

    @property
    def news(self) -> News: ...

    def send(self, message: dict[str, Any]) -> None: ...

    def expect_data(self) -> None: ...


H = TypeVar("H", bound=Holder)


class _Entries:
    """The entries of a long answer, encoded a slice at a time."""

    def __init__(self, encoding: str) -> None:
        self.count = 0
        self._encoding = encoding
        self._parts: list[bytes] = []

    def add(self, entries: list[dict[str, Any]]) -> None:
        self.count += len(entries)
        self._parts.append(encode_part(entries, self._encoding))

    def value(self) -> Any:
        return joined(self._parts, self.count, self._encoding)


class ClientSubscriptions(Generic[H]):
    """The subscriptions of `client`."""

    def __init__(self, client: H, proxy: SessionHost[H]) -> None:
        self._client = client
        self._proxy = proxy

    async def subscribe(self, request: Subscribe, feed: Feed) -> None:
        """Data comes behind the answer, also when it takes several slices to get there."""
        entries = _Entries(self._client.options.encoding)
        granted: list[tuple[Slot, Grant]] = []
        failures: list[str] = []
        try:
            for start in range(0, len(request.entries), _SLICE):
                await self._subscribe_some(request, start, feed, entries, granted, failures)
                if self._client.closing:
                    return
                await asyncio.sleep(0)
        except BaseException:
            for slot, _ in granted:
                self._let_in(slot)
            raise
        self._answer_subscribe(request, feed, entries, len(granted), failures)
        if granted:
            self._client.expect_data()
        await self._show_snapshots(granted)
        self._client.news.subscribed([slot for slot, _ in granted])

    async def _subscribe_some(
        self,
        request: Subscribe,
        start: int,
        feed: Feed,
        entries: _Entries,
        granted: list[tuple[Slot, Grant]],
        failures: list[str],
    ) -> None:
        items = request.take(start, start + _SLICE)
        try:
            verdicts = await self._granted(items, feed)
        except RequestError as error:
            if not start:
                raise
            verdicts = [item.error or error for item in items]
        shown = []
        returned = []
        for item, verdict in zip(items, verdicts, strict=True):
            shown.append(_subscribed(item, verdict, feed))
            if not isinstance(verdict, Grant):
                failures.append(verdict.message)
                continue
            returned.append(self._hold(item, verdict, feed))
            slot = (item.symbol, verdict.key.exchange, verdict.key.mode)
            granted.append((slot, verdict))
            self._proxy.index.withhold(self._client, slot)
        entries.add(shown)
        await feed.unsubscribe([key for key in returned if key is not None])

    async def _granted(self, items: Sequence[Item], feed: Feed) -> list[Grant | RequestError]:
        held = self._proxy.index.held(self._client)
        room = self._proxy.limits.max_subscriptions - len(held)
        verdicts: list[Grant | RequestError] = []
        wants: list[Want] = []
        for item in items:
            mode = item.mode or Mode.QUOTE
            new = (item.symbol, item.exchange, mode) not in held
            if item.error is not None:
                verdicts.append(item.error)
            elif room <= 0 and new:
                verdicts.append(self._no_room())
            else:
                room -= new
                wants.append(Want(item.instrument, item.exchange, mode, item.depth))
                verdicts.append(_PENDING)
        granted = iter(await feed.subscribe(wants) if wants else ())
        return [next(granted) if verdict is _PENDING else verdict for verdict in verdicts]

    def _answer_subscribe(
        self, request: Subscribe, feed: Feed, entries: _Entries, good: int, failures: list[str]
    ) -> None:
        bad = len(failures)
        self._proxy.counters.errors += bad
        status = overall([True] * bool(good) + [False] * bool(bad))
        message = {
            "success": "Subscription processing complete",
            "partial": f"{bad} of {entries.count} subscriptions failed, see subscriptions",
            "error": failures[0] if bad == 1 else "all subscriptions failed, see subscriptions",
        }[status]
        self._client.send(
            answer(
                request.request_id,
                type="subscribe",
                status=status,
                subscriptions=entries.value(),
                message=message,
                broker=feed.broker,
            )
        )

    async def _show_snapshots(self, granted: list[tuple[Slot, Grant]]) -> None:
        """The last known values, behind the answer; from then on each subscription gets what comes."""
        index = self._proxy.index
        for number, (slot, grant) in enumerate(granted, 1):
            found = index.held(self._client).get(slot)
            if found is not None:  # the feed may have moved it to another topic meanwhile
                if found.topic.payload is None:
                    found.topic.payload = grant.snapshot
                if self._client.paused:
                    self._client.marks.setdefault(slot, NOTHING_YET)  # in its turn
                else:
                    self._proxy.dispatcher.snapshot(self._client, found.lane.key, found.topic.name)
                    self._let_in(slot)
            if number % _FLUSH == 0:
                self._client.flush()
            if number % _SLICE == 0 and number < len(granted):
                await asyncio.sleep(0)
                if self._client.closing:
                    return
        if self._client.pending:
            self._client.flush()

    def _let_in(self, slot: Slot) -> None:
        """From now on the subscription gets what comes, or its turn among the others of a client that is behind."""
        index = self._proxy.index
        found = index.held(self._client).get(slot)
        if found is None:
            return
        if self._client.paused:
            self._client.marks.setdefault(slot, found.topic.count)
        else:
            index.admit(self._client, slot)

    def _hold(self, item: Item, verdict: Grant, feed: Feed) -> TopicKey | None:
        """Enters a granted subscription into the index; the key whose reference has to be given back, if any: the
        one that this client held before, or the granted one when the client has gone meanwhile."""
        key = verdict.key
        if self._client.closing:
            return key
        index = self._proxy.index
        slot = (item.symbol, key.exchange, key.mode)
        before = index.held(self._client).get(slot)
        returned = before.topic.key if before is not None else None
        index.add(self._client, key, verdict.topic, feed.broker, self._lane(item))
        # One lane, not `pause`: with thousands of them that would be thousands of times all.
        if self._client.paused and (sent := index.withhold(self._client, slot)) is not None:
            self._client.marks[slot] = sent
        return returned

    def _lane(self, item: Item) -> LaneKey:
        options = self._client.options
        throttle = item.throttle_ms if item.throttle_ms is not None else options.throttle_ms
        milliseconds = self._proxy.limits.throttle_ms if throttle is None else throttle
        alias = item.symbol if item.symbol != item.instrument else ""
        return LaneKey(options.format, options.encoding, options.sequence, milliseconds / 1000, alias)

    def _no_room(self) -> RequestError:
        self._proxy.counters.rate_limited += 1
        return RequestError(
            ErrorCode.SUBSCRIPTION_LIMIT,
            f"this client holds {self._proxy.limits.max_subscriptions} subscriptions, the most that it may: "
            "unsubscribe some, or open another connection",
        )

    async def unsubscribe(self, request: Addressed, feed: Feed) -> None:
        """What was not held is a success, too: clients of OpenAlgo's making try again otherwise."""
        encoding = self._client.options.encoding
        successful, failed = _Entries(encoding), _Entries(encoding)
        for start in range(0, len(request.entries), _SLICE):
            items = request.take(start, start + _SLICE)
            good: list[dict[str, Any]] = []
            bad: list[dict[str, Any]] = []
            released = []
            for item in items:
                if item.error is not None:
                    bad.append(_failure(item.symbol, item.exchange, item.error))
                    continue
                held = self._proxy.index.slots(self._client, item.symbol, item.exchange)
                slots = held if item.mode is None else [slot for slot in held if slot[2] == item.mode]
                if not slots:
                    good.append(_released((item.symbol, item.exchange, item.mode or Mode.QUOTE), feed, held=False))
                for slot in slots:
                    released.append(self._proxy.index.remove(self._client, slot))
                    good.append(_released(slot, feed))
            successful.add(good)
            failed.add(bad)
            await feed.unsubscribe([key for key in released if key is not None])
            if self._client.closing:
                return
            await asyncio.sleep(0)
        self._answer_unsubscribe(request.request_id, feed, successful, failed)

    async def unsubscribe_all(self, request_id: Any, feed: Feed) -> None:
        successful = _Entries(self._client.options.encoding)
        slots = tuple(self._proxy.index.held(self._client))
        for start in range(0, len(slots), _SLICE):
            some = slots[start : start + _SLICE]
            await self._release(some, feed)
            successful.add([_released(slot, feed) for slot in some])
            if self._client.closing:
                return
            await asyncio.sleep(0)
        self._answer_unsubscribe(request_id, feed, successful, _Entries(self._client.options.encoding))

    def _answer_unsubscribe(self, request_id: Any, feed: Feed, successful: _Entries, failed: _Entries) -> None:
        good, bad = successful.count, failed.count
        self._client.send(
            answer(
                request_id,
                type="unsubscribe",
                status="success" if not bad else "partial" if good else "error",
                message=f"{good} unsubscribed" + (f", {bad} failed" if bad else ""),
                successful=successful.value(),
                failed=failed.value(),
                broker=feed.broker,
            )
        )

    async def listing(self, feed: Feed) -> Any:
        """All that is held, as a value of an answer."""
        entries = _Entries(self._client.options.encoding)
        all_held = tuple(self._proxy.index.held(self._client).items())
        for start in range(0, len(all_held), _SLICE):
            if start:
                await asyncio.sleep(0)
            entries.add(
                [
                    {
                        "symbol": symbol,
                        "exchange": exchange,
                        "mode": ANSWER_MODES[mode],
                        "depth": held.topic.key.depth,
                        "throttle_ms": round(held.lane.throttle * 1000),
                        "broker": feed.broker,
                        **_state_of(held.topic.key, feed),
                    }
                    for (symbol, exchange, mode), held in all_held[start : start + _SLICE]
                ]
            )
        return entries.value()

    async def release_all(self, feed: Feed | None) -> None:
        """Gives everything back that this client holds."""
        slots = tuple(self._proxy.index.held(self._client))
        for start in range(0, len(slots), _SLICE):
            if start:
                await asyncio.sleep(0)
            await self._release(slots[start : start + _SLICE], feed)

    async def _release(self, slots: Sequence[Slot], feed: Feed | None) -> None:
        released = [self._proxy.index.remove(self._client, slot) for slot in slots]
        if feed is not None:
            await feed.unsubscribe([key for key in released if key is not None])


_PENDING = RequestError(ErrorCode.SERVER_ERROR, "no verdict")


def _subscribed(item: Item, verdict: Grant | RequestError, feed: Feed) -> dict[str, Any]:
    if not isinstance(verdict, Grant):
        return _failure(item.symbol, item.exchange, verdict)
    return {
        "symbol": item.symbol,
        "exchange": item.exchange,
        "status": "success",
        "mode": ANSWER_MODES[verdict.key.mode],
        "depth": verdict.key.depth,
        "broker": feed.broker,
    }


def _state_of(key: TopicKey, feed: Feed) -> dict[str, Any]:
    """What the instrument is doing, where the feed knows; `status` for what is served no more."""
    status = feed.instrument_status(key.symbol, key.exchange)
    if status is None:
        return {}
    shown = {"state": status.state.value, "since": status.since, "message": status.message}
    return {**shown, "status": "expired"} if status.state is InstrumentState.EXPIRED else shown


def _released(slot: Slot, feed: Feed, *, held: bool = True) -> dict[str, Any]:
    symbol, exchange, mode = slot
    entry = {
        "symbol": symbol,
        "exchange": exchange,
        "status": "success",
        "mode": ANSWER_MODES[mode],
        "broker": feed.broker,
    }
    return entry if held else {**entry, "message": "was not subscribed by this client"}


def _failure(symbol: str, exchange: str, error: RequestError) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "exchange": exchange,
        "status": "error",
        "code": error.code.value,
        "message": error.message,
    }
