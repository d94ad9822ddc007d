"""What Dhan's three sockets share: segments, requests, disconnect reasons (specification sections 4, 5.6 and 8).

The main feed's packets are in `dhan_mapping`, those of the depth sockets in `depth_mapping`.
"""

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar

import msgspec

from tickmux.broker.dhan.streaming.standing import Standing
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument

SEGMENTS: Mapping[str, tuple[int, str]] = {
    "NSE_INDEX": (0, "IDX_I"),
    "BSE_INDEX": (0, "IDX_I"),
    "NSE": (1, "NSE_EQ"),
    "NFO": (2, "NSE_FNO"),
    "CDS": (3, "NSE_CURRENCY"),
    "BSE": (4, "BSE_EQ"),
    "MCX": (5, "MCX_COMM"),
    "BCD": (7, "BSE_CURRENCY"),
    "BFO": (8, "BSE_FNO"),
}
"""Our exchange -> (number in packets, name in requests); both index exchanges share segment 0."""

DERIVATIVES = frozenset({"NFO", "BFO", "CDS", "BCD", "MCX"})

_REQUEST_CODES = {"ltp": (15, 16), "quote": (17, 18), "full": (21, 22), "depth20": (23, 25), "depth200": (23, 25)}
"""What is subscribed -> codes to subscribe and to unsubscribe it."""
LATE_UNSUBSCRIBE = 24
"""The official SDK's code to unsubscribe depth, for a server that has not heeded the documented 25."""
_DISCONNECT = '{"RequestCode":12}'

_TRANSIENT = "the broker reports an internal error"
_REASONS = {
    800: _TRANSIENT,
    804: "the request exceeds the number of instruments allowed",
    805: "too many requests or connections of this user; another program may hold some",
    806: "the Data APIs are not subscribed: activate the Data API plan on web.dhan.co, then log in again",
    807: "the access token has expired: log in again",
    808: "authentication failed, client id or access token is invalid: log in again",
    809: "the access token is invalid: log in again",
    810: "the client id is invalid: check it, then log in again",
    811: "the request has an invalid expiry date",
    812: "the request has an invalid date format",
    813: "the request has an invalid security id",
    814: "the request is invalid",
}
_AUTH_REASONS = range(806, 811)
_REQUEST_REASONS = frozenset({804, 811, 812, 813, 814})

_encode = msgspec.json.encode


def security_id(instrument: Instrument) -> int:
    """The number that names the instrument within its segment; raises ValueError where there is none."""
    token = instrument.token
    number = int(token) if token.isascii() and token.isdigit() and len(token) <= 10 else -1
    if not 0 <= number <= 0xFFFFFFFF:
        raise ValueError(f"{instrument.symbol}: {token!r} is no security id of Dhan's")
    return number


class DhanCodec(FeedCodec):
    """Requests, routing and disconnects of all sockets; a subclass reads the packets of one."""

    auth_hint: ClassVar[str] = ""
    """What to add to the words of an authentication failure."""

    def __init__(self, standing: Standing) -> None:
        super().__init__()
        self._standing = standing
        self._last_request: list[Instrument] = []

    def wire_key(self, instrument: Instrument) -> Hashable:
        """Segment and security id in one number: the id alone repeats across segments (section 5.4)."""
        segment = SEGMENTS.get(instrument.exchange)
        if segment is None:
            raise ValueError(f"Dhan has no segment for {instrument.exchange}")
        return segment[0] << 32 | security_id(instrument)

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        self._standing.accepted()
        return []  # the query of the URL has authorized us

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        self._last_request = list(instruments)
        return request_frames(instruments, _REQUEST_CODES[kind][0], kind)

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return request_frames(instruments, _REQUEST_CODES[kind][1], kind)

    def close_frames(self) -> list[Frame]:
        return [_DISCONNECT]

    def decode(self, frame: bytes | str) -> Decoded:
        if isinstance(frame, str):
            return Decoded(unknown=1)  # no text is expected of Dhan (section 10)
        return self.decode_packets(frame)

    @abstractmethod
    def decode_packets(self, frame: bytes) -> Decoded:
        """What a binary message says: any number of packets."""

    def disconnected(self, decoded: Decoded, reason: int) -> None:
        """Puts a disconnect packet's meaning into `decoded` (sections 5.6 and 10)."""
        words = _REASONS.get(reason, "the broker has ended the session")
        if reason in _AUTH_REASONS:
            decoded.event = Event.AUTH_ERROR
            decoded.message = f"{words} (reason {reason}){self.auth_hint}"
            return
        if decoded.event is not Event.AUTH_ERROR:
            decoded.event = Event.ERROR
            decoded.message = f"{words} (reason {reason})"
        if reason in _REQUEST_REASONS:
            decoded.refused = self._last_request
            self._last_request = []
        else:
            decoded.restart = True
            if reason == 805:
                self._standing.crowded()


def malformed(decoded: Decoded, message: str) -> Decoded:
    """`decoded` with the mark of a malformed frame, unless it has a worse one already."""
    if decoded.event not in (Event.AUTH_ERROR, Event.ERROR):
        decoded.event = Event.MALFORMED
        decoded.message = message
    return decoded


def request_frames(instruments: Sequence[Instrument], code: int, kind: str) -> list[Frame]:
    """Section 4: one message with a list, but for 200 levels, where each instrument is a message."""
    entries = [
        {"ExchangeSegment": SEGMENTS[instrument.exchange][1], "SecurityId": instrument.token}
        for instrument in instruments
    ]
    if kind == "depth200":
        return [_encode({"RequestCode": code, **entry}).decode() for entry in entries]
    if not entries:
        return []
    return [_encode({"RequestCode": code, "InstrumentCount": len(entries), "InstrumentList": entries}).decode()]
