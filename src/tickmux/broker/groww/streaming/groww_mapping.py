"""Groww's wire: NATS operations out, NATS messages with protobuf payloads in (specification sections 3 to 6).

An instrument is subscribed as `price`, or as `depth`, which is two subjects, price and book; an index has no book.
What a message is about stands in its subject alone: the payload's symbol is no token, and its exchange is absent
for BSE. Every payload is complete for its own kind, so that the codec remembers no market data.
"""

import re
from collections.abc import Hashable, Sequence
from typing import Any

import msgspec

from tickmux import __version__
from tickmux.broker._wire_values import float_count, rupees
from tickmux.broker.groww.streaming.feed_schema import ParseError, parse_payload
from tickmux.broker.groww.streaming.nats_reader import NatsReader
from tickmux.broker.groww.streaming.socket_identity import Refusals, SocketIdentity
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_LTP, MODE_QUOTE, Depth, DepthLevel, Tick

PRICE, DEPTH = "price", "depth"
_BOOK = "book"

FOLDERS = {
    "NSE": "/ld/eq/nse/",
    "BSE": "/ld/eq/bse/",
    "NFO": "/ld/fo/nse/",
    "BFO": "/ld/fo/bse/",
    "NSE_INDEX": "/ld/indices/nse/",
    "BSE_INDEX": "/ld/indices/bse/",
}
"""Exchange -> the part of its subjects before `price.<token>` and `book.<token>`."""

_SUBJECTS = {f"{folder}{word}".encode(): exchange for exchange, folder in FOLDERS.items() for word in (PRICE, _BOOK)}
_PART = r"[!-)+,\-/-=?-~]+"  # no blanks, no wildcards (* and >), no dots
_TOKEN = re.compile(rf"{_PART}(?:\.{_PART})*")

_REFUSALS = (
    "authorization violation",
    "authentication timeout",
    "user authentication expired",
    "user authentication revoked",
)
_BREAKS = (
    "invalid subject",
    "unknown protocol operation",
    "parser error",
    "stale connection",
    "slow consumer",
    "maximum connections exceeded",
)
_REFUSED_SUBJECT = re.compile(r'for subscription to "([^"]*)"', re.IGNORECASE)
_GRAVITY = (None, Event.ACK, Event.HEARTBEAT, Event.ERROR, Event.MALFORMED, Event.AUTH_ERROR)

_PONG = b"PONG\r\n"
_MOST_PONGS = 16
_MOST_LEVELS = 5
_MOST_ENTRIES = 100  # of one side of a book
_SECONDS_BELOW = 1e11
_TIME_LIMIT = 253_402_300_800_000.0  # the year 10000

_NOTHING = (None,) * 11
"""The fields of a price message that has the price alone."""


class GrowwCodec(FeedCodec):
    """Kinds are `price` and `depth`. The log-in is a signature of the nonce that the server's first line brings."""

    waits_for_ready = True

    def __init__(self, identity: SocketIdentity, refusals: Refusals) -> None:
        super().__init__()
        self._identity = identity
        self._refusals = refusals
        self._reader = NatsReader()
        self._introduced = False
        self._accepted = False
        self._sids: dict[tuple[Instrument, str], int] = {}
        self._last_sid = 0

    def wire_key(self, instrument: Instrument) -> Hashable:
        if instrument.exchange not in FOLDERS:
            raise ValueError(f"{instrument.symbol}: Groww's feed does not serve {instrument.exchange}")
        if not _TOKEN.fullmatch(instrument.token):
            raise ValueError(f"{instrument.symbol}: {instrument.token!r} is no exchange token")
        return instrument.exchange, instrument.token.encode()

    # -- out ----------------------------------------------------------------------------------------------

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        """Nothing: the server speaks first. Offline, `nkey_seed`, `jwt` and the server's `info` make the answer."""
        if "nkey_seed" in credentials.values:
            self._identity = SocketIdentity(credentials["nkey_seed"], credentials["jwt"])
        info = credentials.get("info")
        return self._introduction(info.encode())[0] if info else []

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return _frames(
            [line for each in instruments for word in _words(each, kind) for line in self._sub(each, word)]
        )

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return _frames(
            [line for each in instruments for word in _words(each, kind) for line in self._unsub(each, word)]
        )

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        books = [each for each in instruments if _has_book(each)]  # prices go on as they are
        move = self._sub if new == DEPTH else self._unsub
        return _frames([line for each in books for line in move(each, _BOOK)])

    def heartbeat_frames(self) -> list[Frame]:
        return [b"PING\r\n"]

    def _sub(self, instrument: Instrument, word: str) -> list[str]:
        if (instrument, word) in self._sids:
            return []
        self._last_sid += 1
        self._sids[instrument, word] = self._last_sid
        return [f"SUB {FOLDERS[instrument.exchange]}{word}.{instrument.token} {self._last_sid}\r\n"]

    def _unsub(self, instrument: Instrument, word: str) -> list[str]:
        sid = self._sids.pop((instrument, word), None)
        return [] if sid is None else [f"UNSUB {sid}\r\n"]

    def _introduction(self, info: bytes) -> tuple[list[Frame], bool]:
        """(the answer to the server's first line, whether that line was sound)."""
        try:
            nonce = _decode_info(info).nonce
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return [], False
        if self._introduced or not self._identity.token:
            return [], True
        self._introduced = True
        answer = {
            "verbose": False,
            "pedantic": False,
            "tls_required": True,
            "lang": "python3",
            "version": __version__,
            "protocol": 1,
            "headers": True,
            "no_responders": True,
            "echo": True,
            "jwt": self._identity.token,
        }
        if nonce:
            answer["sig"] = self._identity.sign(nonce)
        return [b"CONNECT " + msgspec.json.encode(answer) + b"\r\nPING\r\n"], True

    # -- in -----------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        reader = self._reader
        decoded = Decoded(ticks=[])
        ticks, routes = decoded.ticks, self.routes
        for verb, argument, payload in reader.read(
            frame.encode(errors="replace") if isinstance(frame, str) else frame
        ):
            if verb != b"MSG":
                self._hear(verb, argument, decoded)
                continue
            subject, _, token = argument.partition(b".")
            instrument = routes.get((_SUBJECTS.get(subject), token))
            if instrument is None:
                decoded.unrouted += 1
                continue
            try:
                message = parse_payload(payload)
            except ParseError:
                _note(
                    decoded, Event.MALFORMED, f"a payload of {len(payload)} bytes is no protobuf message of Groww's"
                )
                continue
            arm = message.WhichOneof("union")
            if arm == "price":
                tick = _price_tick(message.price, instrument)
            elif arm == "index":
                tick = _index_tick(message.index, instrument)
            elif arm == "depth":
                if self.kinds.get(instrument) != DEPTH or not _has_book(instrument):  # its end is under way, perhaps
                    decoded.unrouted += 1
                    continue
                tick = _depth_tick(message.depth, instrument)
                if tick is None:
                    _note(decoded, Event.MALFORMED, "a book of more than a hundred levels")
            else:
                decoded.unknown += 1
                continue
            if tick is not None:
                ticks.append(tick)
        if reader.fault:
            _note(decoded, Event.MALFORMED, f"Groww's stream is broken: {reader.fault}")
            decoded.restart = True
        return decoded

    def _hear(self, verb: bytes, argument: bytes, decoded: Decoded) -> None:
        """An operation without market data."""
        if verb == b"PING":
            _note(decoded, Event.HEARTBEAT)
            if len(decoded.replies) < _MOST_PONGS:
                decoded.replies.append(_PONG)
        elif verb == b"PONG":
            _note(decoded, Event.ACK)
            if self._introduced and not self._accepted:
                self._accepted = decoded.ready = True
                self._refusals.in_a_row = 0
        elif verb == b"INFO":
            frames, sound = self._introduction(argument)
            decoded.replies += frames
            _note(decoded, Event.ACK if sound else Event.MALFORMED, "" if sound else "an INFO that is no JSON object")
        elif verb == b"-ERR":
            self._hear_error(argument.decode("utf-8", "replace").strip().strip("'"), decoded)
        else:
            _note(decoded, Event.ACK)

    def _hear_error(self, said: str, decoded: Decoded) -> None:
        words = " ".join("".join(c if c.isprintable() else " " for c in said[:400]).split())[:200]
        lower = said[:400].lower()
        if any(refusal in lower for refusal in _REFUSALS):
            if self._may_try_again():
                decoded.restart = True
                _note(decoded, Event.ERROR, f"{words}: asking for a new socket token")
            else:
                _note(decoded, Event.AUTH_ERROR, words)
            return
        _note(decoded, Event.ERROR, words)
        if any(fault in lower for fault in _BREAKS):
            decoded.restart = True
        refused = _REFUSED_SUBJECT.search(said[:400])
        if refused:
            subject, _, token = refused[1].encode("utf-8", "replace").partition(b".")
            instrument = self.routes.get((_SUBJECTS.get(subject), token))
            if instrument is not None:
                decoded.refused.append(instrument)

    def _may_try_again(self) -> bool:
        """Whether a new socket token may help. It ends before the access token does, and making one tells whether
        that is still good; but one that was refused before it ever worked is replaced only once (section 10)."""
        if not self._identity.token:
            return False
        if not self._accepted:
            self._refusals.in_a_row += 1
        return self._refusals.in_a_row < 2


class _Info(msgspec.Struct):
    nonce: str = ""


_decode_info = msgspec.json.Decoder(_Info).decode


def _has_book(instrument: Instrument) -> bool:
    return not instrument.is_index


def _words(instrument: Instrument, kind: str) -> tuple[str, ...]:
    return (PRICE, _BOOK) if kind == DEPTH and _has_book(instrument) else (PRICE,)


def _frames(lines: list[str]) -> list[Frame]:
    return ["".join(lines).encode()] if lines else []


def _note(decoded: Decoded, event: Event, message: str = "") -> None:
    """The worst event in a frame is the frame's."""
    if _GRAVITY.index(event) >= _GRAVITY.index(decoded.event):
        decoded.event = event
        decoded.message = message


# -- normalization (section 6) -----------------------------------------------------------------------------


def _price_tick(price: Any, instrument: Instrument) -> Tick | None:
    ltp = rupees(price.ltp)
    if ltp is None:
        return None
    fields = (
        rupees(price.open),
        rupees(price.high),
        rupees(price.low),
        rupees(price.close),
        _quantity(price.volume),
        rupees(price.avgPrice),
        _quantity(price.bidQty),
        _quantity(price.offerQty),
        _quantity(price.openInterest),
        rupees(price.highPriceRange),
        rupees(price.lowPriceRange),
    )
    time = _time(price.tsInMillis)
    if fields == _NOTHING:
        return Tick(instrument=instrument, mode=MODE_LTP, ltp=ltp, timestamp=time)
    first, high, low, close, volume, average, buy_total, sell_total, oi, upper, lower = fields
    return Tick(
        instrument=instrument,
        mode=MODE_QUOTE,
        ltp=ltp,
        timestamp=time,
        open=first,
        high=high,
        low=low,
        close=close,
        volume=volume,
        avg_trade_price=average,
        total_buy_quantity=buy_total,
        total_sell_quantity=sell_total,
        oi=oi,
        upper_circuit=upper,
        lower_circuit=lower,
        taken_back=_taken_back(price, fields) if None in fields else (),
    )


_TOLD = {
    "open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume", "avg_trade_price": "avgPrice",
    "total_buy_quantity": "bidQty", "total_sell_quantity": "offerQty", "oi": "openInterest",
    "upper_circuit": "highPriceRange", "lower_circuit": "lowPriceRange",
}  # fmt: skip
"""Our field -> the message's, in the order of `_NOTHING`."""


def _taken_back(price: Any, fields: Sequence[object]) -> tuple[str, ...]:
    """What the message says to be none; zero is what it does not say."""
    pairs = zip(_TOLD.items(), fields, strict=True)
    return tuple(name for (name, theirs), value in pairs if value is None and getattr(price, theirs))


def _index_tick(index: Any, instrument: Instrument) -> Tick | None:
    value = rupees(index.value, True)
    if value is None:
        return None
    return Tick(instrument=instrument, mode=MODE_LTP, ltp=value, timestamp=_time(index.tsInMillis))


def _depth_tick(depth: Any, instrument: Instrument) -> Tick | None:
    """None for what is no book of Groww's."""
    if len(depth.buyBook) > _MOST_ENTRIES or len(depth.sellBook) > _MOST_ENTRIES:
        return None
    book = Depth(_side(depth.buyBook), _side(depth.sellBook))
    return Tick(instrument=instrument, mode=MODE_DEPTH, timestamp=_time(depth.tsInMillis), depth=book)


def _side(entries: Any) -> list[DepthLevel]:
    # Entries come in any order; of two with one key the later counts, as in every protobuf map.
    levels = {entry.key: entry.value for entry in entries}
    side: list[DepthLevel] = []
    for number in sorted(levels):
        price, quantity = rupees(levels[number].price), _quantity(levels[number].qty)
        if number >= 0 and price is not None and quantity is not None:
            side.append(DepthLevel(price, quantity))
    return side[:_MOST_LEVELS]


def _quantity(value: float) -> int | None:
    """None also for 0, which proto3 does not tell from nothing; what a message leaves out keeps its value."""
    return float_count(value) or None


def _time(value: float) -> int | None:
    """Epoch milliseconds; books were seen to have seconds."""
    if not 1.0 <= value < _TIME_LIMIT:
        return None
    return round(value * 1000.0 if value < _SECONDS_BELOW else value)
