"""Dhan's depth sockets, 20 and 200 levels: 12-byte header, one side of a book a packet (specification section 5.3).

Both sides of an instrument come one after the other; only together they are a book.
"""

import struct
from collections.abc import Hashable, Sequence
from operator import attrgetter

from tickmux.broker._wire_values import PLAIN, count, rupees
from tickmux.broker.dhan.streaming.standing import Standing
from tickmux.broker.dhan.streaming.wire import LATE_UNSUBSCRIBE, DhanCodec, malformed, request_frames
from tickmux.codec import Decoded, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, Depth, DepthLevel, Tick

# Little-endian. The first two fields are in another order and of other sizes than on the main feed.
_HEADER = struct.Struct("<HBBII").unpack_from  # length, code, segment, security id, rows or sequence
_ROW = struct.Struct("<dII")
_U32 = struct.Struct("<I").unpack_from
_U16 = struct.Struct("<H").unpack_from

_HEADER_SIZE = 12
_BIDS, _ASKS, _DISCONNECT = 41, 51, 50
_price_of = attrgetter("price")


class _Book:
    """The sides of one instrument that wait for each other."""

    __slots__ = ("asks", "bids", "instrument")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.bids: list[DepthLevel] | None = None
        self.asks: list[DepthLevel] | None = None


class DepthCodec(DhanCodec):
    """The kind is `depth20` or `depth200`, the same for all instruments of a socket: `levels` is 20 or 200."""

    def __init__(self, levels: int, standing: Standing) -> None:
        super().__init__(standing)
        self._levels = levels
        self._counts_rows = levels == 200  # on the 20-level socket the field is a message sequence
        self._books: dict[Hashable, _Book] = {}
        self._left: dict[Hashable, tuple[int, Instrument]] = {}
        """What was unsubscribed lately: key -> (heartbeats since then, instrument)."""

    def decode_packets(self, frame: bytes) -> Decoded:
        decoded = Decoded()
        books = self._books
        size = len(frame)
        offset = 0
        while size - offset >= _HEADER_SIZE:
            length, code, segment, security, rows = _HEADER(frame, offset)
            if length < _HEADER_SIZE or offset + length > size:
                break
            if code in (_BIDS, _ASKS):
                key = segment << 32 | security
                book = books.get(key)
                if book is None:
                    self._unwanted(key, decoded)
                else:
                    count = min((length - _HEADER_SIZE) // _ROW.size, self._levels)
                    if self._counts_rows and rows < count:
                        count = rows
                    start = offset + _HEADER_SIZE
                    side = _side(frame[start : start + count * _ROW.size], falling=code == _BIDS)
                    if code == _BIDS:
                        book.bids = side
                    else:
                        book.asks = side
                    if book.bids is not None and book.asks is not None:
                        depth = Depth(book.bids, book.asks)
                        book.bids = book.asks = None
                        decoded.ticks.append(Tick(instrument=book.instrument, mode=MODE_DEPTH, depth=depth))
                        self._standing.deep_books.add(key)
            elif code == _DISCONNECT:
                # The documentation puts the reason after the header, the official SDK into its last field.
                reason = _U16(frame, offset + 12)[0] if length >= 14 else _U32(frame, offset + 8)[0]
                self.disconnected(decoded, reason)
            else:
                decoded.unknown += 1
            offset += length
        else:
            if offset == size and size:
                return decoded
        return malformed(decoded, f"message of {size} bytes ends within the packet at {offset}")

    def _reroute(self, key: Hashable, claims: list[Instrument]) -> None:
        super()._reroute(key, claims)
        instrument = self.routes.get(key)
        if instrument is None:
            self._books.pop(key, None)
            self._standing.deep_books.discard(key)
        else:
            self._left.pop(key, None)
            if key not in self._books or self._books[key].instrument is not instrument:
                self._books[key] = _Book(instrument)

    def close_frames(self) -> list[Frame]:
        self._standing.deep_books -= self._books.keys()  # the session is over: no book comes any more
        return super().close_frames()

    # -- unsubscribing, whose request code is disputed (section 4) ---------------------------------------

    def unsubscribe(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        frames = super().unsubscribe(instruments, kind)
        for instrument in instruments:
            self._left[self.wire_key(instrument)] = (0, instrument)
        return frames

    def heartbeat_frames(self) -> list[Frame]:
        """Nothing is sent, but time passes: one heartbeat is five seconds."""
        self._standing.goes_on()
        self._left = {key: (beats + 1, each) for key, (beats, each) in self._left.items() if beats < 4}
        return []

    def _unwanted(self, key: Hashable, decoded: Decoded) -> None:
        decoded.unrouted += 1
        beats, instrument = self._left.get(key, (0, None))
        if beats >= 2 and instrument is not None:  # it left at least five seconds ago
            del self._left[key]
            decoded.replies += request_frames([instrument], LATE_UNSUBSCRIBE, f"depth{self._levels}")


def _side(rows: bytes, *, falling: bool) -> list[DepthLevel]:
    plain = PLAIN
    side = [
        DepthLevel(rounded, quantity, orders if orders < plain else count(orders))
        for price, quantity, orders in _ROW.iter_unpack(rows)
        if (0 < quantity < plain or count(quantity)) and rupees(price) is not None and (rounded := round(price, 4))
    ]
    side.sort(key=_price_of, reverse=falling)
    return side
