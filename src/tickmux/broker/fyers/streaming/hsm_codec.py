"""The quote feed "HSM": snapshots and updates of topics, acknowledged by the client (specification 4, 5.1 and 5.2).

What is kept, and its bound: the values of every topic the broker has sent a snapshot of (topic ids are 16 bits,
values of a topic at most 30), and the last `_MOST_REQUESTS` subscribe frames that await their verdict.
"""

import struct
from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tickmux.broker.fyers.access_token import read_claims
from tickmux.broker.fyers.streaming import hsm_frames as wire
from tickmux.broker.fyers.streaming.fyers_mapping import (
    DEPTH_LAYOUT,
    UNAVAILABLE,
    Field,
    book,
    depth_topic,
    quote_topic,
    topic_layout,
)
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_QUOTE, Tick

_SNAPSHOT, _UPDATE, _LITE = 83, 85, 76
_IGNORED = frozenset({2, 3, 9, 10, 13})  # throttling, acknowledgement, snapshot, option chain, master data
_STATUS = frozenset({wire.SUBSCRIBE, wire.UNSUBSCRIBE, wire.PAUSE, wire.RESUME, wire.DATA_MODE})
_SYMBOL_LIMIT = 51001

_HEADER = struct.Struct(">IH").unpack_from  # message number, items
_TOPIC_ID = struct.Struct(">H").unpack_from
_SCALE = struct.Struct(">HB").unpack_from  # multiplier, precision
_LITE_VALUE = struct.Struct(">i").unpack_from
_VALUES = tuple(struct.Struct(f">{count}i").unpack_from for count in range(256))
_MOST_PRECISE = 18
_MOST_REQUESTS = 1024


class _Topic:
    """One topic's values as of now, raw and converted, and how to convert the next ones."""

    __slots__ = ("divisor", "fields", "is_book", "layout", "lost", "name", "raw", "route")

    def __init__(self, name: str, layout: tuple[Field | None, ...], divisor: int) -> None:
        self.name = name
        self.layout = layout
        self.divisor = divisor
        self.is_book = layout is DEPTH_LAYOUT
        self.route = f"sf{name[2:]}" if self.is_book else name
        self.raw = [UNAVAILABLE] * len(layout)
        self.fields: dict[str, Any] = {}
        self.lost: tuple[str, ...] = ()
        """What was taken back since the last tick."""

    def apply(self, values: Sequence[int]) -> bool:
        """Takes the values over; False when nothing is new in them. Values beyond the known ones are ignored."""
        changed = False
        raw = self.raw
        for i, value in enumerate(values[: len(raw)]):
            if value != UNAVAILABLE and value != raw[i]:
                raw[i] = value
                changed = True
                field = self.layout[i]
                if field is not None:
                    converted = self.fields[field.name] = field.convert(value, self.divisor)
                    if converted is None:
                        self.lost += (field.name,)
        return changed

    def tick(self, instrument: Instrument) -> Tick:
        if self.is_book:
            return Tick(instrument=instrument, mode=MODE_DEPTH, depth=book(self.raw, self.divisor))
        tick = Tick(instrument=instrument, mode=MODE_QUOTE, **self.fields)
        if self.lost:
            tick.taken_back, self.lost = self.lost, ()
        return tick


class _Wish(NamedTuple):
    """One topic of a subscribe frame, and for whom."""

    topic: str
    instrument: Instrument


class HsmCodec(FeedCodec):
    """Kinds are `quote` (the `sf` or `if` topic) and `depth` (`sf` and `dp`; an index has its `if` topic only)."""

    waits_for_ready = True

    def __init__(self) -> None:
        super().__init__()
        self._topics: dict[int, _Topic] = {}
        self._ids: dict[str, int] = {}
        self._acknowledge_every = 0
        self._unacknowledged = 0
        self._accepted = False
        self._requests: deque[Sequence[_Wish]] = deque(maxlen=_MOST_REQUESTS)
        self._limited = False
        self._suspects: list[Instrument] = []
        self._suspects_are_due = False

    # -- outgoing ------------------------------------------------------------------------------------------

    def wire_key(self, instrument: Instrument) -> Hashable:
        """The quote topic: segment and exchange token, or segment and name of an index."""
        return quote_topic(instrument)

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        key = credentials.get("hsm_key") or read_claims(credentials["access_token"]).hsm_key
        return [wire.authenticate(key, credentials.get("source", "tickmux")), wire.full_mode()]

    def heartbeat_frames(self) -> list[Frame]:
        self._suspects_are_due = bool(self._suspects)
        return [wire.PING_FRAME]

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return self._subscribe(_wishes(instruments, kind))

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return self._unsubscribe(_wishes(instruments, kind))

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        books = _wishes(instruments, "depth")[len(instruments) :]
        return self._subscribe(books) if new == "depth" else self._unsubscribe(books)

    def call_frames(self, call: Mapping[str, Any]) -> list[Frame]:
        if call.get("op") == "ack":
            return [wire.acknowledge(int(call["message_number"]))]
        return super().call_frames(call)

    def _subscribe(self, wishes: Sequence[_Wish]) -> list[Frame]:
        # A fresh subscription starts with a snapshot. What an earlier one left behind is not continued: nobody
        # knows what has happened since.
        self._forget(wish.topic for wish in wishes)
        frames = _frames(wire.SUBSCRIBE, wishes)
        self._requests.extend(_batches(wishes))
        return frames

    def _unsubscribe(self, wishes: Sequence[_Wish]) -> list[Frame]:
        self._forget(wish.topic for wish in wishes)
        return _frames(wire.UNSUBSCRIBE, wishes)

    def _forget(self, topics: Iterable[str]) -> None:
        for name in topics:
            number = self._ids.pop(name, None)
            if number is not None:
                self._topics.pop(number, None)

    # -- incoming ------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        decoded = self._decode(frame)
        if self._suspects_are_due:
            self._judge_suspects(decoded)
        return decoded

    def _decode(self, frame: bytes | str) -> Decoded:
        if isinstance(frame, str):
            return Decoded(unknown=1)  # this feed is binary
        if len(frame) < 3:
            return _malformed("frame without a type")
        kind = frame[2]
        if kind == wire.DATA:
            return self._decode_data(frame)
        if kind in _IGNORED:
            return Decoded()
        if kind == wire.PING:
            return Decoded(event=Event.HEARTBEAT)
        if kind != wire.AUTHENTICATE and kind != wire.CUSTOM_MESSAGE and kind not in _STATUS:
            return Decoded(unknown=1)
        fields = wire.response_fields(frame)
        if fields is None:
            return _malformed(f"response of type {kind} ends inside its fields")
        if kind == wire.CUSTOM_MESSAGE:
            return self._decode_custom(fields)
        if 1 not in fields:
            return _malformed(f"response of type {kind} has no status")
        if kind == wire.AUTHENTICATE:
            return self._decode_authentication(fields)
        return self._decode_status(kind, fields[1])

    def _decode_authentication(self, fields: Mapping[int, bytes]) -> Decoded:
        if fields[1] != b"K":
            return Decoded(event=Event.AUTH_ERROR, message=f"the feed refused the token ({_word(fields[1])})")
        self._accepted = True
        self._acknowledge_every = int.from_bytes(fields.get(2, b"")[:8], "big")
        self._unacknowledged = 0
        return Decoded(event=Event.ACK, ready=True)

    def _decode_status(self, kind: int, status: bytes) -> Decoded:
        request = self._requests.popleft() if kind == wire.SUBSCRIBE and self._requests else ()
        if status == b"K":
            return Decoded(event=Event.ACK)
        name = _REQUEST_NAMES[kind]
        decoded = Decoded(event=Event.ERROR, message=f"the feed refused to {name} ({_word(status)})")
        if self._accepted:  # a verdict before the log-in's is not about what we have sent
            self._isolate(request, decoded)
        return decoded

    def _isolate(self, request: Sequence[_Wish], decoded: Decoded) -> None:
        # A refusal names no topic: halves are tried again until the culprit stands alone (section 4.3). When the
        # plan's limit is the reason, one half is given up each time: there is room for a few, but never for all.
        wishes = [wish for wish in request if self._is_wanted(wish)]
        middle = len(wishes) // 2
        if not middle:
            decoded.refused = [wish.instrument for wish in wishes]
        elif self._limited:
            decoded.replies = self._subscribe(wishes[:middle])
            decoded.refused = list(dict.fromkeys(wish.instrument for wish in wishes[middle:]))
        else:
            decoded.replies = [*self._subscribe(wishes[:middle]), *self._subscribe(wishes[middle:])]

    def _is_wanted(self, wish: _Wish) -> bool:
        kind = self.kinds.get(wish.instrument)
        return kind is not None and (kind == "depth" or not wish.topic.startswith("dp"))

    def _decode_custom(self, fields: Mapping[int, bytes]) -> Decoded:
        code = int.from_bytes(fields[1], "big", signed=True) if len(fields.get(1, b"")) == 4 else 0
        words = fields.get(2, b"")[:200].decode("utf-8", "replace")
        message = f"{words} ({code})".lstrip()
        if fields.get(3) == bytes((wire.AUTHENTICATE,)):
            return Decoded(event=Event.AUTH_ERROR, message=message)
        if code == _SYMBOL_LIMIT:
            self._limited = True
            self._suspects = [instrument for instrument in self.kinds if self.wire_key(instrument) not in self._ids]
        return Decoded(event=Event.ERROR, message=message)

    def _judge_suspects(self, decoded: Decoded) -> None:
        # The plan's limit does not say whom it hit. A subscription that was taken begins with a snapshot, so who
        # has none a heartbeat later, and no answer to wait for, counts as refused.
        waiting = {wish.instrument for request in self._requests for wish in request}
        out = [
            instrument
            for instrument in self._suspects
            if instrument in self.kinds and instrument not in waiting and self.wire_key(instrument) not in self._ids
        ]
        self._suspects, self._suspects_are_due = [], False
        if out:
            decoded.refused = [*decoded.refused, *out]
            decoded.event = decoded.event or Event.ERROR
            decoded.message = decoded.message or f"{len(out)} symbols are beyond the limit of the FYERS plan"

    def _decode_data(self, frame: bytes) -> Decoded:
        decoded = Decoded(ticks=[])
        if len(frame) < 9:
            return _malformed("data frame without a header")
        number, count = _HEADER(frame, 3)
        if self._acknowledge_every:
            self._unacknowledged += 1
            if self._unacknowledged >= self._acknowledge_every:
                self._unacknowledged = 0
                decoded.replies = [wire.acknowledge(number)]
        try:
            self._read_items(frame, count, decoded)
        except (struct.error, IndexError):
            decoded.event = Event.MALFORMED
            decoded.message = f"data frame of {len(frame)} bytes ends before its {count} items do"
        return decoded

    def _read_items(self, frame: bytes, count: int, decoded: Decoded) -> None:
        """Reads item by item, each whole before it counts; raises struct.error or IndexError at a cut."""
        offset = 9
        topics = self._topics
        for _ in range(count):
            kind = frame[offset]
            if kind == _UPDATE:
                (topic_id,) = _TOPIC_ID(frame, offset + 1)
                size = frame[offset + 3]
                values = _VALUES[size](frame, offset + 4)
                offset += 4 + 4 * size
                topic = topics.get(topic_id)
            elif kind == _LITE:
                (topic_id,) = _TOPIC_ID(frame, offset + 1)
                values = _LITE_VALUE(frame, offset + 3)
                offset += 7
                topic = topics.get(topic_id)
                if topic is not None and topic.is_book:
                    decoded.unknown += 1  # a book has no last price
                    continue
            elif kind == _SNAPSHOT:
                offset = self._read_snapshot(frame, offset, decoded)
                continue
            else:
                decoded.unknown += 1  # its length is unknown, and with it where the next item begins
                return
            if topic is None:
                decoded.unrouted += 1
            elif topic.apply(values):
                self._emit(topic, decoded)

    def _read_snapshot(self, frame: bytes, offset: int, decoded: Decoded) -> int:
        """Reads one snapshot item at `offset`, returns where it ends."""
        (topic_id,) = _TOPIC_ID(frame, offset + 1)
        start = offset + 4
        offset = start + frame[offset + 3]
        name = frame[start:offset].decode("latin-1")
        size = frame[offset]
        values = _VALUES[size](frame, offset + 1)
        offset += 1 + 4 * size + 2  # two bytes without a known meaning
        multiplier, precision = _SCALE(frame, offset)
        offset += 3
        for _ in range(3):  # segment, token, symbol: the topic's name says it already
            offset += 1 + frame[offset]
        if offset > len(frame):
            raise IndexError
        old = self._topics.pop(topic_id, None)
        if old is not None and self._ids.get(old.name) == topic_id:
            del self._ids[old.name]
        layout = topic_layout(name)
        if layout is None:
            decoded.unknown += 1
            return offset
        self._forget((name,))
        if not multiplier or precision > _MOST_PRECISE:
            decoded.event = Event.MALFORMED
            decoded.message = f"a snapshot has no price scale (multiplier {multiplier}, precision {precision})"
            return offset
        topic = _Topic(name, layout, 10**precision * multiplier)
        topic.apply(values)
        self._topics[topic_id] = topic
        self._ids[name] = topic_id
        self._emit(topic, decoded)
        return offset

    def _emit(self, topic: _Topic, decoded: Decoded) -> None:
        instrument = self.routes.get(topic.route)
        if instrument is None or (topic.is_book and self.kinds.get(instrument) != "depth"):
            decoded.unrouted += 1
        else:
            decoded.ticks.append(topic.tick(instrument))


_REQUEST_NAMES = {
    wire.SUBSCRIBE: "subscribe",
    wire.UNSUBSCRIBE: "unsubscribe",
    wire.PAUSE: "pause",
    wire.RESUME: "resume",
    wire.DATA_MODE: "send full records",
}


def _wishes(instruments: Sequence[Instrument], kind: str) -> list[_Wish]:
    """The topics of `quote` or `depth`; all quote topics first, as many as instruments (section 4.3)."""
    quotes = [_Wish(quote_topic(instrument), instrument) for instrument in instruments]
    if kind == "quote":
        return quotes
    return quotes + [_Wish(depth_topic(topic), owner) for topic, owner in quotes if topic.startswith("sf")]


def _batches(wishes: Sequence[_Wish]) -> list[Sequence[_Wish]]:
    size = wire.TOPICS_A_FRAME
    return [wishes[start : start + size] for start in range(0, len(wishes), size)]


def _frames(kind: int, wishes: Sequence[_Wish]) -> list[Frame]:
    return [wire.topic_request(kind, [wish.topic for wish in batch]) for batch in _batches(wishes)]


def _word(status: bytes) -> str:
    return f"status {status[:20].decode('latin-1')!r}"


def _malformed(message: str) -> Decoded:
    return Decoded(event=Event.MALFORMED, message=message)
