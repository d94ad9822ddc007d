"""The depth feed "TBT": JSON requests, protobuf books of 50 levels as snapshots and differences (4.4 and 5.3).

What is kept: one book of twice 50 levels for each subscribed instrument that the broker has sent.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import msgspec

from tickmux.broker._wire_values import count, epoch_ms, moment_ms, wide_price
from tickmux.broker.fyers.streaming.tbt_schema import PING, ParseError, parse_socket_message
from tickmux.codec import Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, Depth, DepthLevel, Tick

EXCHANGES = ("NSE", "NFO")
LEVELS = 50
_CHANNEL = "1"
_PAISE = 100
_MICROSECONDS_FROM = 10**14
_MILLISECONDS_FROM = 10**11
_encode = msgspec.json.encode


class _Side:
    """One side of a book; a level shows once it has both price and quantity."""

    __slots__ = ("levels", "raw")

    def __init__(self) -> None:
        self.raw: list[tuple[int, int, int | None]] = [(0, 0, None)] * LEVELS
        self.levels: list[DepthLevel | None] = [None] * LEVELS

    def apply(self, changes: Sequence[Any]) -> None:
        """A wrapper that is absent leaves its value, one that is present sets it, be it to 0."""
        for change in changes:
            if not change.HasField("num") or (i := change.num.value) >= LEVELS:
                continue
            price, quantity, orders = self.raw[i]
            if change.HasField("price"):
                price = change.price.value
            if change.HasField("qty"):
                quantity = change.qty.value
            if change.HasField("nord"):
                orders = change.nord.value
            self.raw[i] = price, quantity, orders
            rupees = wide_price(price, _PAISE)
            if rupees is None or not count(quantity):
                self.levels[i] = None
            else:
                self.levels[i] = DepthLevel(rupees, quantity, None if orders is None else count(orders))

    def shown(self) -> list[DepthLevel]:
        return [level for level in self.levels if level is not None]


class _Book:
    __slots__ = ("asks", "bids", "total_buy", "total_sell")

    def __init__(self) -> None:
        self.bids = _Side()
        self.asks = _Side()
        self.total_buy: int | None = None
        self.total_sell: int | None = None

    def apply(self, depth: Any) -> None:
        self.bids.apply(depth.bids)
        self.asks.apply(depth.asks)
        if depth.HasField("tbq"):
            self.total_buy = count(depth.tbq.value)
        if depth.HasField("tsq"):
            self.total_sell = count(depth.tsq.value)

    def tick(self, instrument: Instrument, timestamp: int | None) -> Tick:
        return Tick(
            instrument=instrument,
            mode=MODE_DEPTH,
            timestamp=timestamp,
            total_buy_quantity=self.total_buy,
            total_sell_quantity=self.total_sell,
            depth=Depth(buy=self.bids.shown(), sell=self.asks.shown()),
        )


class _TextMessage(msgspec.Struct):
    s: str = ""
    error: object = None
    msg: object = ""
    message: object = ""


_decode_text = msgspec.json.Decoder(_TextMessage).decode


class TbtCodec(FeedCodec):
    """The only kind is `depth50`. Instruments are named by their ticker, `NSE:SBIN-EQ`."""

    def __init__(self) -> None:
        super().__init__()
        self._books: dict[str, _Book] = {}
        self._resumed = False
        self._last_request: Sequence[Instrument] = ()

    def wire_key(self, instrument: Instrument) -> Hashable:
        """The ticker, which contains the exchange. Raises ValueError for what this feed does not carry."""
        if instrument.exchange not in EXCHANGES or not instrument.brsymbol.startswith("NSE:"):
            raise ValueError(f"{instrument.symbol} of {instrument.exchange}: 50 levels exist for NSE and NFO only")
        return instrument.brsymbol

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        self._forget(instruments)
        self._last_request = tuple(instruments)
        frames: list[Frame] = [_request(1, instruments)]
        if not self._resumed:  # a channel is silent until it is resumed
            self._resumed = True
            resume = {"type": 2, "data": {"resumeChannels": [_CHANNEL], "pauseChannels": []}}
            frames.append(_encode(resume).decode())
        return frames

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        self._forget(instruments)
        return [_request(-1, instruments)]

    def heartbeat_frames(self) -> list[Frame]:
        return ["ping"]

    def decode(self, frame: bytes | str) -> Decoded:
        if isinstance(frame, str):
            return self._decode_words(frame)
        try:
            message = parse_socket_message(frame)
        except ParseError:
            return Decoded(event=Event.MALFORMED, message="binary frame is no message of the depth feed")
        if message.error:
            return self._refusal(message.msg)
        if not message.feeds:
            heartbeat = message.type == PING and not message.msg
            return Decoded(event=Event.HEARTBEAT if heartbeat else Event.ACK)
        decoded = Decoded(ticks=[])
        for entry in message.feeds:
            feed = entry.value
            if not feed.HasField("depth"):
                continue
            instrument = self.routes.get(feed.ticker)
            if instrument is None:
                decoded.unrouted += 1
                continue
            book = self._books.get(feed.ticker)
            if book is None or message.snapshot:
                book = self._books[feed.ticker] = _Book()
            book.apply(feed.depth)
            decoded.ticks.append(book.tick(instrument, _feed_time(feed)))
        return decoded

    def _decode_words(self, text: str) -> Decoded:
        if text == "pong":
            return Decoded(event=Event.HEARTBEAT)
        try:
            message = _decode_text(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return Decoded(event=Event.ACK)  # the feed's acknowledgements have no fixed form
        if message.error or message.s == "error":
            return self._refusal(str(message.msg or message.message))
        return Decoded(event=Event.ACK)

    def _refusal(self, words: str) -> Decoded:
        # An error names no instrument; it is about the latest request, unless that one has succeeded.
        refused = [i for i in self._last_request if i in self.kinds and self.wire_key(i) not in self._books]
        return Decoded(event=Event.ERROR, message=words[:200], refused=refused)

    def _forget(self, instruments: Sequence[Instrument]) -> None:
        for instrument in instruments:
            self._books.pop(instrument.brsymbol, None)


def _request(subscription: int, instruments: Sequence[Instrument]) -> str:
    symbols = [instrument.brsymbol for instrument in instruments]
    data = {"subs": subscription, "symbols": symbols, "mode": "depth", "channel": _CHANNEL}
    return _encode({"type": 1, "data": data}).decode()


def _feed_time(feed: Any) -> int | None:
    """Epoch milliseconds; the feed counts seconds, likely, and the size tells when it does not (section 6)."""
    raw: int = feed.feed_time.value  # 0 if it is absent
    if not raw:
        return None
    if raw > _MICROSECONDS_FROM:
        return moment_ms(raw // 1000)
    return moment_ms(raw) if raw > _MILLISECONDS_FROM else epoch_ms(raw)
