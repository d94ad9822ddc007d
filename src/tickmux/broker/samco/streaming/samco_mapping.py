"""Samco's wire: JSON texts that end in a line feed, two streams of complete frames (specification sections 4 to 6).

A subscription is taken to replace its stream's list, so the whole list is sent at every change. An index whose
listing id is not known is asked for over REST first, and subscribed when the last such answer is there.
"""

import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import msgspec

from tickmux.broker._symbol_list import SymbolList
from tickmux.broker.samco.streaming.listing_ids import (
    SESSION_WORDS,
    ListingIds,
    SessionRefused,
    Unresolved,
    index_request,
    is_failure,
    read_listing_id,
    requested_index,
    session_headers,
)
from tickmux.broker.samco.streaming.samco_fields import book, price, quantity, tells_something, trade_time
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame, HttpRequest
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_LTP, MODE_QUOTE, QUOTE_FIELDS, Tick

_STREAMS = {"quote": ("quote",), "depth": ("quote", "quote2")}
_DEPTH_STREAMS = frozenset({"quote2", "marketDepth", "marketdata"})  # two of them are never sent (section 4)

_FEED_SYMBOL = re.compile(r"\d+_[A-Z]+", re.ASCII)
_LISTING_ID = re.compile(r"-\d+", re.ASCII)
_MOST_WORDS = 200

_TOLD = {
    "o": "open", "h": "high", "l": "low", "c": "close", "vol": "volume", "ltq": "last_trade_quantity",
    "avgPr": "avg_trade_price", "tBQ": "total_buy_quantity", "tSQ": "total_sell_quantity", "oI": "oi",
}  # fmt: skip

_SEVERITY = {None: 0, Event.ACK: 1, Event.MALFORMED: 2, Event.ERROR: 3, Event.AUTH_ERROR: 4}

_read = msgspec.json.Decoder().decode


class SamcoCodec(FeedCodec):
    """Kinds: `quote`, and `depth`, which is both streams. `listing_ids` is shared by an adapter's codecs."""

    def __init__(self, listing_ids: ListingIds) -> None:
        super().__init__()
        self._listing_ids = listing_ids
        self._learned: dict[str, str] = {}
        """What all connections of this session have learned."""
        self._ids: dict[str, str] = {}
        """This connection's copy: the key of an instrument must not change while it is subscribed."""
        self._headers: dict[str, str] = {}
        self._asked: dict[Instrument, None] = {}
        """Indices whose listing id is on its way."""
        self._lists = {"quote": SymbolList(), "quote2": SymbolList()}
        self._untold = False
        """Whether answers have changed the list of `quote` since it was sent."""

    # -- out ---------------------------------------------------------------------------------------------

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        """Nothing is sent; the session is kept for the questions about indices."""
        self._headers = session_headers(credentials)
        self._learned = self._listing_ids.of(credentials["session_token"])
        self._ids = dict(self._learned)
        return []

    def wire_key(self, instrument: Instrument) -> Hashable:
        """The whole feed symbol, `3045_NSE` or `-23`; the number alone repeats. No frame can name a pair."""
        return self._symbol(instrument) or (instrument.exchange, instrument.token)

    def _symbol(self, instrument: Instrument) -> str:
        """The feed symbol; empty while an index's is not known. Raises ValueError where there can be none."""
        token = instrument.token
        if instrument.is_index and token:
            return token if _LISTING_ID.fullmatch(token) else self._ids.get(token, "")
        if _FEED_SYMBOL.fullmatch(token):
            return token
        raise ValueError(f"{instrument.symbol}: {token!r} is no feed symbol")

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        unknown = [instrument for instrument in instruments if not self._symbol(instrument)]
        self._asked.update(dict.fromkeys(unknown))
        names = dict.fromkeys(instrument.token for instrument in unknown)
        return [*self._add(instruments, kind), *(index_request(name, self._headers) for name in names)]

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        for instrument in instruments:
            self._asked.pop(instrument, None)
        return [*self._remove(instruments, _STREAMS[kind]), *self._tell_late()]

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        ended = [stream for stream in _STREAMS[old] if stream not in _STREAMS[new]]
        return [*self._add(instruments, new), *self._remove(instruments, ended)]

    def _add(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        frames: list[Frame] = []
        for stream in _STREAMS[kind]:
            carried = self._lists[stream]
            if carried.add(self._pairs(instruments, stream)):
                frames.append(_request(stream, "subscribe", carried.symbols))
        return frames

    def _remove(self, instruments: Sequence[Instrument], streams: Iterable[str]) -> list[Frame]:
        frames: list[Frame] = []
        for stream in streams:
            carried = self._lists[stream]
            if gone := carried.remove(self._pairs(instruments, stream)):
                frames.append(_request(stream, "unsubscribe", gone))
                if carried:
                    frames.append(_request(stream, "subscribe", carried.symbols))
        return frames

    def _pairs(self, instruments: Sequence[Instrument], stream: str) -> list[tuple[str, Instrument]]:
        """What of the instruments belongs on the list of `stream`: an index has no book."""
        wanted = [one for one in instruments if stream == "quote" or not one.is_index]
        return [(symbol, one) for one in wanted if (symbol := self._symbol(one))]

    def _tell_late(self) -> list[Frame]:
        """The list of `quote`, once no answer is awaited that will change it again."""
        if self._asked or not self._untold:
            return []
        self._untold = False
        return [_request("quote", "subscribe", self._lists["quote"].symbols)]

    # -- answers about indices -----------------------------------------------------------------------------

    def decode_http(self, request: HttpRequest, status: int, body: bytes) -> Decoded:
        name = requested_index(request)
        waiting = [instrument for instrument in self._asked if instrument.token == name]
        for instrument in waiting:
            del self._asked[instrument]
        try:
            listing_id = read_listing_id(status, body)
        except SessionRefused as refusal:
            return Decoded(event=Event.AUTH_ERROR, message=str(refusal), guessed=status in (401, 403))
        except Unresolved as reason:
            for instrument in waiting:
                self._release(instrument)
                self.kinds.pop(instrument, None)
            words = f"{name} cannot be subscribed: {reason}"[:_MOST_WORDS]
            return Decoded(event=Event.ERROR, message=words, refused=waiting, replies=self._tell_late())
        for instrument in waiting:
            self._release(instrument)
        self._ids.setdefault(name, listing_id)
        self._learned.setdefault(name, listing_id)
        for instrument in waiting:
            self._claim(instrument)
        if self._lists["quote"].add(self._pairs(waiting, "quote")):
            self._untold = True
        return Decoded(replies=self._tell_late())

    # -- in ------------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        decoded = Decoded(ticks=[])
        pieces: Iterable[bytes | str] = frame.split("\n") if isinstance(frame, str) else frame.split(b"\n")
        for piece in pieces:
            if piece and not piece.isspace():
                self._read_piece(piece, decoded)
        return decoded

    def _read_piece(self, piece: bytes | str, decoded: Decoded) -> None:
        try:
            message = _read(piece)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            _note(decoded, Event.MALFORMED, "a piece that is no JSON text")
            return
        if type(message) is not dict:
            decoded.unknown += 1
            _note(decoded, Event.ACK)
            return
        response = message.get("response")
        body = response if type(response) is dict else message
        if is_failure(body) or is_failure(message):
            self._read_failure(body if "statusMessage" in body else message, decoded)
            return
        data = body.get("data")
        fields = data if type(data) is dict else body
        stream = body.get("streaming_type")
        if stream == "quote":
            tick = self._quote(fields, decoded)
        elif type(stream) is str and stream in _DEPTH_STREAMS:
            tick = self._book(fields, decoded)
        else:
            decoded.unknown += stream is not None
            _note(decoded, Event.ACK)
            return
        if tick is not None:
            decoded.ticks.append(tick)

    def _read_failure(self, body: dict[str, Any], decoded: Decoded) -> None:
        said = body.get("statusMessage")
        words = said if isinstance(said, str) else "a failure without words"
        event = Event.AUTH_ERROR if SESSION_WORDS.search(words) else Event.ERROR
        if token := self._headers.get("x-session-token"):
            words = words.replace(token, "…")
        _note(decoded, event, words[:_MOST_WORDS])

    def _route(self, symbol: Any, decoded: Decoded) -> Instrument | None:
        instrument = self.routes.get(symbol) if type(symbol) is str else None
        if instrument is None:
            decoded.unrouted += 1
        return instrument

    def _quote(self, fields: dict[str, Any], decoded: Decoded) -> Tick | None:
        instrument = self._route(fields.get("sym"), decoded)
        index = instrument is not None and instrument.is_index
        last = price(fields.get("ltp"), index)
        if instrument is None or last is None:
            return None
        get = fields.get
        tick = Tick(
            instrument=instrument,
            mode=MODE_QUOTE,
            ltp=last,
            ltt=trade_time((get("lttUTC"), True), (get("ltt"), False), (get("lTrdT"), False)),
            open=price(get("o"), index),
            high=price(get("h"), index),
            low=price(get("l"), index),
            close=price(get("c"), index),
            volume=quantity(get("vol")),
            last_trade_quantity=quantity(get("ltq")),
            avg_trade_price=price(get("avgPr")),
            total_buy_quantity=quantity(get("tBQ")),
            total_sell_quantity=quantity(get("tSQ")),
            oi=quantity(get("oI")),
        )
        if all(getattr(tick, name) is None for name in QUOTE_FIELDS):
            tick.mode = MODE_LTP
        # Frames are complete, but zero is what the broker sends of all that it does not know (section 5).
        tick.taken_back = tuple(
            name for key, name in _TOLD.items() if getattr(tick, name) is None and tells_something(get(key))
        )
        return tick

    def _book(self, fields: dict[str, Any], decoded: Decoded) -> Tick | None:
        instrument = self._route(fields.get("symbol"), decoded)
        if instrument is None:
            return None
        get = fields.get
        levels = book(get("bidValues"), get("askValues"))
        traded = trade_time((get("lttUTC"), True), (get("ltt"), False))
        buy, sell = quantity(get("tbq")), quantity(get("taq"))
        if levels is None and traded is None and buy is None and sell is None:
            return None
        return Tick(
            instrument=instrument,
            mode=MODE_DEPTH,
            ltt=traded,
            total_buy_quantity=buy,
            total_sell_quantity=sell,
            depth=levels,
        )


def _note(decoded: Decoded, event: Event, words: str = "") -> None:
    """The most severe event of a frame's pieces is the frame's."""
    if _SEVERITY[event] > _SEVERITY[decoded.event]:
        decoded.event = event
        decoded.message = words


def _request(stream: str, request_type: str, symbols: Sequence[str]) -> str:
    """One request and its line feed, in one frame (section 4)."""
    request = {
        "streaming_type": stream,
        "data": {"symbols": [{"symbol": symbol} for symbol in symbols]},
        "request_type": request_type,
        "response_format": "json",
    }
    return msgspec.json.encode({"request": request}).decode() + "\n"
