"""From the bus to the clients' buffers: throttle, last-value cache, one frame for many.

The hot path looks a topic up, builds one frame a lane and appends the same bytes to every reading subscriber's
buffer; a buffer is written once per drain. Nothing here parses a payload.

Owns one timer, set for the earliest of the lanes that wait. The heap of waiting lanes holds a lane at most once, and
lanes that everybody has left at most as often as those that somebody holds.
"""

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Generic, Protocol, TypeVar

import msgspec

from tickmux.websocket_proxy.bus import unpack_batch
from tickmux.websocket_proxy.frames import spliced_text_frame
from tickmux.websocket_proxy.rendering import render
from tickmux.websocket_proxy.subscription_index import (
    Lane,
    LaneKey,
    Slot,
    Subscriber,
    SubscriptionIndex,
    Topic,
)

NOTHING_YET = -1
"""The mark of a subscription of which the client has seen nothing, not even the last known value."""
_FEW_DUE = 1024
"""Waiting lanes that are never looked through for abandoned ones."""
_STOOD_STILL = 1.0
"""Seconds by which a timer is late when the process was stopped: what lanes hold back then is old."""
_HEAR_FIRST = 0.1
"""Seconds in which what came meanwhile takes its place."""


class Client(Subscriber, Protocol):
    """What the dispatcher needs of a client session."""

    def flush(self) -> None:
        """Writes what is pending, if anything, with one call."""


C = TypeVar("C", bound=Client)


class Dispatcher(Generic[C]):
    """Delivers bus messages to the subscribers in `index`; `clock` gives seconds, monotonic."""

    def __init__(self, index: SubscriptionIndex[C], clock: Callable[[], float]) -> None:
        self._index = index
        self._clock = clock
        self._touched: dict[Lane[C], None] = {}
        self._due: list[tuple[float, int, Lane[C]]] = []
        self._order = count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_for = 0.0
        """When the lane is due that `_timer` waits for."""
        self._due_bound = _FEW_DUE
        self._hears_first = False
        self._now = 0.0
        self.delivered = 0
        """Frames appended to buffers."""
        self.received = 0
        """Payloads taken from the bus."""
        self.conflated = 0
        """Payloads that a newer one replaced within a throttle interval."""
        self.unrouted = 0
        """Payloads that nobody subscribes to (any more)."""
        self.malformed = 0
        """Bus messages that are no batch."""

    # -- hot path -----------------------------------------------------------------------------------------

    def on_message(self, topic: bytes, body: bytes) -> None:
        """Takes one bus message; its frames wait in the buffers until `flush`."""
        if self._now == 0.0:
            self._now = self._clock()  # one reading a drain: its ticks arrived together
        try:
            parts = unpack_batch(body)
        except msgspec.DecodeError:
            self.malformed += 1
            return
        by_name = self._index.by_name
        names = iter(parts)
        for name, payload in zip(names, names, strict=False):
            found = by_name.get(name)
            if found is None:
                self.unrouted += 1
            else:
                self._deliver(found, payload)

    def _deliver(self, topic: Topic[C], payload: bytes) -> None:
        if not payload:  # its session has ended: nobody who comes later is shown its last value as the present one
            last, topic.payload = topic.payload, None
            for lane in topic.lane_list:
                # It holds back what would be lost now; what should have gone out long ago is no news any more.
                if lane.waiting and last is not None and self._now - lane.due < _STOOD_STILL:
                    self._send(lane, last)
            return
        self.received += 1
        topic.payload = payload
        topic.count += 1
        now = self._now
        for lane in topic.lane_list:
            if lane.throttle:
                if lane.waiting:
                    self.conflated += 1
                    continue
                if now < lane.due:
                    lane.waiting = True
                    heappush(self._due, (lane.due, next(self._order), lane))
                    continue
                lane.due = now + lane.throttle
            self._send(lane, payload)

    def _send(self, lane: Lane[C], payload: bytes) -> None:
        topic = lane.topic
        lane.sent = topic.count
        appends = lane.appends
        if not appends:
            return
        if lane.plain:
            frame = spliced_text_frame(topic.prefix, payload)
        else:
            frame = render(topic, lane.key, payload, topic.count)
        for append in appends.values():
            append(frame)
        self.delivered += len(appends)
        self._touched[lane] = None

    def flush(self) -> None:
        """Ends a drain: writes every touched buffer once, and sees to the next due lane."""
        self._now = 0.0
        touched = self._touched
        if touched:
            self._touched = {}
            # A copy: a client whose socket fills while it is flushed leaves its lanes.
            waiting: dict[C, object] = {}
            for lane in touched:
                waiting.update(lane.appends)
            for client in waiting:
                client.flush()
        due = self._due
        if due:
            if len(due) > self._due_bound:
                self._drop_abandoned()
            # A lane with a shorter interval than the one that the timer was set for comes first.
            if due and (self._timer is None or due[0][0] < self._timer_for):
                self._arm()

    # -- trailing edge ------------------------------------------------------------------------------------

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_for = self._due[0][0]
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, self._timer_for - self._clock()), self._on_due)

    def _drop_abandoned(self) -> None:
        """Forgets waiting lanes without holders; a client could pile them up by coming and going."""
        self._due[:] = [entry for entry in self._due if entry[2].holders]
        heapify(self._due)
        self._due_bound = max(_FEW_DUE, 2 * len(self._due))

    def _on_due(self) -> None:
        """The throttle intervals that have ended: the newest payload of each goes out."""
        self._timer = None
        now = self._clock()
        # Once in a row, so that nothing is held back for ever where every timer is late.
        self._hears_first = not self._hears_first and now - self._timer_for > _STOOD_STILL
        if self._hears_first:
            self._due[:] = [(max(due, now + _HEAR_FIRST), order, lane) for due, order, lane in self._due]
            heapify(self._due)
            self._arm()
            return
        while self._due and self._due[0][0] <= now:
            _, _, lane = heappop(self._due)
            lane.waiting = False
            payload = lane.topic.payload
            # A lane whose last subscriber has left is no longer in its topic.
            if payload is not None and lane.holders:
                lane.due = now + lane.throttle
                self._send(lane, payload)
        self.flush()

    # -- one client ---------------------------------------------------------------------------------------

    def snapshot(self, client: C, lane_key: LaneKey, name: bytes) -> None:
        """Shows a new subscriber the last known value, if there is one, marked as such."""
        topic = self._index.by_name[name]
        if topic.payload is not None:
            client.append(render(topic, lane_key, topic.payload, topic.count, snapshot=True))

    def catch_up(self, client: C, marks: dict[Slot, int], portion: int) -> tuple[int, bool]:
        """Gives a client that is out of its lanes the newest value of subscriptions that went on without it.

        `marks` has the number of each one's payload that went out last, those first whose turn it is; it is brought
        up to date. At most about `portion` bytes; how many there were, and whether that was everything. A lane's
        throttle holds here too: what the lane has not sent yet is not due.
        """
        held = self._index.held(client)
        sent = 0
        for slot in tuple(marks):
            found = held.get(slot)
            if found is None:
                del marks[slot]
                continue
            topic, lane = found
            mark = marks[slot]
            if topic.payload is None or lane.sent <= mark:
                continue
            if sent >= portion:
                return sent, False
            frame = render(topic, lane.key, topic.payload, topic.count, snapshot=mark == NOTHING_YET)
            client.append(frame)
            sent += len(frame)
            del marks[slot]
            marks[slot] = topic.count  # behind all others: the next portion begins with those that have waited
            self.delivered += 1
        return sent, True

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
