"""Engine.IO 3 with Socket.IO 2 over a WebSocket, the client's side, without I/O (specification section 3).

A text message begins with its Engine.IO type; type 4 carries a Socket.IO packet. An event with binary attachments is
announced in text (`45<n>-[…]`), and the next n binary messages belong to it. In this generation the client pings, and
the server alone connects the default namespace. `generation` 4 is the successor, for a server that refuses the old
one: there the client connects the namespace, the server pings, and binary messages have no type byte.
"""

import re
from enum import Enum, auto
from typing import Any, NamedTuple

import msgspec

_MOST_ATTACHMENTS = 64
"""More than one is never sent; a wrong number must not swallow the session's binary messages for ever."""
_LONGEST_ECHO = 128
_ENGINE_MESSAGE = 4
_ADDRESS = re.compile(r"(?:/[^,\[]{0,100},)?[0-9]{0,20}(?=\[)")
"""A namespace and an acknowledgement's number, both of which an event may bear and this feed has no use for."""
_ATTACHMENTS = re.compile(r"([0-9]{1,9})-")

PING, PONG, CONNECT = "2", "3", "40"
GOODBYE = ("41", "1")
"""Leave the namespace, close the transport."""

DEFAULT_PING_INTERVAL = 25.0
"""Seconds between pings where the open packet names none."""

_decode_json = msgspec.json.Decoder().decode


class Kind(Enum):
    """What a message is."""

    OPEN = auto()  # payload: seconds between the client's pings
    CONNECTED = auto()
    EVENT = auto()  # name, payload
    ATTACHMENT = auto()  # name of the event that it belongs to, payload
    PING = auto()  # payload: the answer
    PONG = auto()
    REFUSED = auto()  # payload: the server's words
    CLOSED = auto()
    IGNORED = auto()
    MALFORMED = auto()


class Packet(NamedTuple):
    """One message: its kind, an event's name, and what it carries."""

    kind: Kind
    name: str = ""
    payload: Any = None


_CONNECTED = Packet(Kind.CONNECTED)
_PONG = Packet(Kind.PONG)
_CLOSED = Packet(Kind.CLOSED)
_IGNORED = Packet(Kind.IGNORED)
_MALFORMED = Packet(Kind.MALFORMED)


class SocketIo:
    """What one connection must remember to read its messages: which event still waits for attachments."""

    def __init__(self, generation: int = 3) -> None:
        self.generation = generation
        self._event = ""
        self._missing = 0

    def read(self, frame: bytes | str) -> Packet:
        """The packet in one WebSocket message; never raises."""
        if not isinstance(frame, str):
            return self._attachment(frame)
        kind = frame[:1]
        if kind == "4":
            return self._message(frame)
        if kind == PONG:
            return _PONG
        if kind == PING:
            return Packet(Kind.PING, payload=PONG + frame[1:]) if len(frame) <= _LONGEST_ECHO else _MALFORMED
        if kind == "0":
            return _opened(frame[1:])
        if kind == "1":
            return _CLOSED
        return _IGNORED if kind in ("5", "6") else _MALFORMED

    def _message(self, frame: str) -> Packet:
        kind = frame[1:2]
        if kind == "2":
            return _event(frame, 2)
        if kind == "5":
            return self._announced(frame)
        if kind in ("0", "1", "4") and frame[2:3] == "/" and not frame.startswith("/,", 2):
            return _IGNORED  # another namespace
        if kind == "0":
            return _CONNECTED
        if kind == "1":
            return _CLOSED
        if kind == "4":
            return Packet(Kind.REFUSED, payload=_words(frame[2:]))
        return _IGNORED if kind.isdecimal() else _MALFORMED

    def _announced(self, frame: str) -> Packet:
        found = _ATTACHMENTS.match(frame, 2)
        packet = _event(frame, found.end()) if found else _MALFORMED
        count = int(found[1]) if found else 0
        if packet.kind is not Kind.EVENT or count > _MOST_ATTACHMENTS:
            return _MALFORMED
        self._event, self._missing = packet.name, count
        return _IGNORED

    def _attachment(self, frame: bytes) -> Packet:
        if not self._missing:
            return _MALFORMED
        self._missing -= 1
        # Some gateways strip the type byte; no packet of this feed begins with a 4, so both can be told apart.
        if self.generation == 3 and frame[:1] == b"\x04":
            frame = frame[1:]
        return Packet(Kind.ATTACHMENT, self._event, frame)


def _event(frame: str, start: int) -> Packet:
    if frame[start : start + 1] != "[":
        address = _ADDRESS.match(frame, start)
        if address is None:
            return _MALFORMED
        start = address.end()
    try:
        values = _decode_json(frame[start:])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _MALFORMED
    if not isinstance(values, list) or not values or not isinstance(values[0], str):
        return _MALFORMED
    return Packet(Kind.EVENT, values[0], values[1] if len(values) > 1 else None)


def _words(text: str) -> Any:
    """A refusal's reason: JSON, or what else the server says."""
    try:
        return _decode_json(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text


def _opened(text: str) -> Packet:
    """The open packet; a missing or senseless interval is the usual one, a longer one is not needed."""
    try:
        values = _decode_json(text) if text else {}
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _MALFORMED
    if not isinstance(values, dict):
        return _MALFORMED
    interval = values.get("pingInterval")
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not interval > 0:
        return Packet(Kind.OPEN, payload=DEFAULT_PING_INTERVAL)
    return Packet(Kind.OPEN, payload=min(max(interval / 1000, 1.0), DEFAULT_PING_INTERVAL))
