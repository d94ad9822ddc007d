"""Who wants what: topic -> subscribers, and subscriber -> what it holds; pure.

A *topic* is one stream of payloads: (feed, exchange, symbol, mode, depth level), spelled as the bytes under which
it travels on the bus, so that the dispatcher finds its subscribers with one dictionary look-up. A *lane* is the set
of a topic's subscribers that get the very same bytes at the very same times: same format, encoding, sequence
option and throttle. Almost always a topic has one lane.

Everything here is bounded by the number of subscriptions that clients hold.
"""

from collections.abc import Callable, Container
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from tickmux.tick import Mode


class TopicKey(NamedTuple):
    """What a topic is about; `depth` is 0 except in DEPTH mode."""

    feed: str
    exchange: str
    symbol: str
    mode: Mode
    depth: int


class LaneKey(NamedTuple):
    """How its subscribers want a topic; `throttle` is seconds.

    `alias` is the symbol by which they know the instrument, where that is not the topic's (`SBIN:50`).
    """

    format: str = "envelope"
    encoding: str = "json"
    sequence: bool = False
    throttle: float = 0.05
    alias: str = ""


class Subscriber(Protocol):
    """What a lane needs of a client session."""

    @property
    def append(self) -> Callable[[bytes], object]:
        """Appends a frame to the outgoing buffer."""


S = TypeVar("S", bound=Subscriber)


class Lane(Generic[S]):
    """The subscribers of one topic that share their bytes. `due` is when the next frame may go out."""

    __slots__ = ("appends", "due", "holders", "key", "plain", "sent", "throttle", "topic", "waiting")

    def __init__(self, topic: "Topic[S]", key: LaneKey) -> None:
        self.topic = topic
        self.key = key
        self.throttle = key.throttle
        self.plain = (key.format, key.encoding, key.sequence, key.alias) == ("envelope", "json", False, "")
        """Whether a payload goes out as it comes from the bus, in the usual envelope."""
        self.appends: dict[S, Callable[[bytes], object]] = {}
        """Where to put a frame, of every subscriber that is reading."""
        self.holders = 0
        """All subscribers, those too that are paused."""
        self.due = 0.0
        self.waiting = False
        self.sent = 0
        """`topic.count` when this lane's newest frame went out; tells a resumed session what it missed."""


class Topic(Generic[S]):
    """One topic with its lanes, its last payload and how many payloads it has carried."""

    __slots__ = ("broker", "count", "key", "lane_list", "lanes", "name", "payload", "prefix")

    def __init__(self, key: TopicKey, name: bytes, broker: str) -> None:
        self.key = key
        self.name = name
        self.broker = broker
        self.prefix = envelope_prefix(key, broker)
        self.payload: bytes | None = None
        self.count = 0
        self.lanes: dict[LaneKey, Lane[S]] = {}
        self.lane_list: list[Lane[S]] = []


class Held(NamedTuple):
    """One subscription of one subscriber."""

    topic: "Topic[Any]"
    lane: "Lane[Any]"


Slot = tuple[str, str, Mode]
"""A subscriber's own view of a subscription: (symbol as it calls it, exchange, mode)."""


class SubscriptionIndex(Generic[S]):
    """All subscriptions of all clients."""

    def __init__(self) -> None:
        self.by_name: dict[bytes, Topic[S]] = {}
        self._held: dict[S, dict[Slot, Held]] = {}
        self.subscriptions = 0

    def add(self, subscriber: S, key: TopicKey, name: bytes, broker: str, lane: LaneKey) -> None:
        """Subscribes; an existing subscription of the same (symbol, exchange, mode) is moved, not doubled."""
        slot = (lane.alias or key.symbol, key.exchange, key.mode)
        held = self._held.setdefault(subscriber, {})
        old = held.get(slot)
        if old is not None:
            if old.topic.name == name and old.lane.key == lane:
                return
            self._leave(subscriber, old)
            self.subscriptions -= 1
        topic = self.by_name.get(name)
        if topic is None:
            topic = self.by_name[name] = Topic(key, name, broker)
        found = topic.lanes.get(lane)
        if found is None:
            found = topic.lanes[lane] = Lane(topic, lane)
            topic.lane_list = list(topic.lanes.values())
        found.appends[subscriber] = subscriber.append
        found.holders += 1
        held[slot] = Held(topic, found)
        self.subscriptions += 1

    def remove(self, subscriber: S, slot: Slot) -> TopicKey | None:
        """Unsubscribes; the topic that was held, or None when it was not."""
        held = self._held.get(subscriber)
        found = held.pop(slot, None) if held else None
        if held is not None and not held:
            del self._held[subscriber]
        if found is None:
            return None
        self._leave(subscriber, found)
        self.subscriptions -= 1
        return found.topic.key

    def held(self, subscriber: S) -> dict[Slot, Held]:
        """What a subscriber holds, in the order of its first subscription."""
        return self._held.get(subscriber, {})

    def slots(self, subscriber: S, symbol: str, exchange: str) -> list[Slot]:
        """All modes of one instrument that a subscriber holds."""
        held = self._held.get(subscriber, {})
        return [slot for mode in Mode if (slot := (symbol, exchange, mode)) in held]

    def holders(self, keys: Container[TopicKey]) -> list[tuple[S, Slot, Held]]:
        """Who holds these topics."""
        return [
            (subscriber, slot, held)
            for subscriber, all_held in self._held.items()
            for slot, held in all_held.items()
            if held.topic.key in keys
        ]

    def pause(self, subscriber: S) -> dict[Slot, int]:
        """Takes a subscriber out of all its lanes, so that it costs nothing until `resume`.

        The result says, for each subscription, which of its topic's payloads went out last.
        """
        marks = {}
        for slot, (_, lane) in self.held(subscriber).items():
            if lane.appends.pop(subscriber, None) is not None:
                marks[slot] = lane.sent
        return marks

    def resume(self, subscriber: S) -> None:
        """Puts a paused subscriber back into its lanes."""
        for _, lane in self.held(subscriber).values():
            lane.appends[subscriber] = subscriber.append

    def withhold(self, subscriber: S, slot: Slot) -> int | None:
        """Takes a subscriber out of one lane until `admit`; which payload went out last, None if it was not in it."""
        found = self.held(subscriber).get(slot)
        if found is None or found.lane.appends.pop(subscriber, None) is None:
            return None
        return found.lane.sent

    def admit(self, subscriber: S, slot: Slot) -> None:
        """Puts a subscriber back into one lane."""
        found = self.held(subscriber).get(slot)
        if found is not None:
            found.lane.appends[subscriber] = subscriber.append

    def _leave(self, subscriber: S, held: Held) -> None:
        topic, lane = held
        lane.appends.pop(subscriber, None)
        lane.holders -= 1
        if lane.holders:
            return
        topic.lanes.pop(lane.key, None)
        topic.lane_list = list(topic.lanes.values())
        if not topic.lanes and self.by_name.get(topic.name) is topic:
            del self.by_name[topic.name]


def envelope_prefix(key: TopicKey, broker: str) -> bytes:
    """A market-data message up to its `data`, which is spliced in as it comes from the bus."""
    head = msgspec.json.encode(
        {"type": "market_data", "symbol": key.symbol, "exchange": key.exchange, "mode": key.mode, "broker": broker}
    )
    return head[:-1] + b',"data":'
