"""Nubra's wire: text commands out, protobuf batches in an envelope back (specification sections 4 to 6, 10).

What a client wants of one instrument is made of topics: `orderbook` for whatever trades, `index` for values,
`index_bucket` for the day's candle, `greeks` for an option's open interest. Kinds are `ltp` and `full`; which topics
they stand for depends on the instrument. Every message is complete for its own topic: nothing is remembered.
"""

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any

import msgspec

from tickmux.broker._wire_values import count, wide_price
from tickmux.broker.nubra.streaming.feed_schema import (
    ParseError,
    parse_envelope,
    parse_greeks,
    parse_index,
    parse_index_bucket,
    parse_orderbook,
)
from tickmux.broker.nubra.streaming.names import NameTable, stock_name
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_LTP, MODE_QUOTE, Depth, DepthLevel, Tick

LTP, FULL = "ltp", "full"
MOST_LEVELS = 20

WORDS = {
    "NSE": "NSE",
    "NFO": "NSE",
    "NSE_INDEX": "NSE",
    "BSE": "BSE",
    "BFO": "BSE",
    "BSE_INDEX": "BSE",
    "MCX": "MCX",
}
"""Our exchange -> Nubra's word for it."""

_ORDERBOOK, _GREEKS, _INDEX, _BUCKET = "orderbook", "greeks", "index", "index_bucket"
_TOPICS = (_ORDERBOOK, _INDEX, _BUCKET, _GREEKS)
_DAY = 13
"""The interval of a candle that is the day's."""
_IGNORED = "WebSocketMsgOptionChainUpdate"
_TROUBLE = re.compile(r"error|exception|failed", re.IGNORECASE)
_TOKEN_LIKE = re.compile(r"eyJ[\w.~+/=-]+")
_BLANK = re.compile(r"\s")

# Bounds: what is beyond is no frame, no price, no quantity and no time of Nubra's.
_MOST_BYTES = 4 << 20
_MOST_ITEMS = 20_000
_PAISE = 100
_TIME_LIMIT = 253_402_300_800_000  # the year 10000
_NANOSECONDS_ABOVE, _MICROSECONDS_ABOVE, _MILLISECONDS_ABOVE = 10**17, 10**14, 10**11

_Key = tuple[str, str, str | int]
"""What a command is about: topic, exchange word where the topic has one, ref_id or name."""


class NubraCodec(FeedCodec):
    """`depth` is the number of levels that the connection asks for: Nubra has one setting for all its books."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self._depth = depth
        self._token = ""
        self._holders: Counter[_Key] = Counter()
        """How many instruments need what is subscribed: two may share a name."""
        self._names: NameTable | None = None
        self._last_command = ""

    def wire_key(self, instrument: Instrument) -> Hashable:
        """Nubra's ref_id, unique over all exchanges, or an index's name on its exchange."""
        word, token = WORDS.get(instrument.exchange), instrument.token
        if word is None:
            raise ValueError(f"{instrument.symbol}: Nubra's feed does not serve {instrument.exchange}")
        if instrument.is_index:
            if not token or not token.isprintable() or _BLANK.search(token):
                raise ValueError(f"{instrument.symbol}: {token!r} is no index name of Nubra's")
            return word, token.casefold()
        if not (token.isascii() and token.isdigit() and len(token) < 19 and int(token)):
            raise ValueError(f"{instrument.symbol}: {token!r} is no ref_id")
        return int(token)

    # -- out ----------------------------------------------------------------------------------------------

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        self._token = credentials["session_token"]
        given = credentials.get("depth_level")
        if given.isascii() and given.isdigit() and 1 <= int(given[:3]) <= MOST_LEVELS:
            self._depth = int(given[:3])
        return [f"batch_subscribe {self._token} orderbook_depth {self._depth}"]

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return self._commands(instruments, "", kind)

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return self._commands(instruments, kind, "")

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        return self._commands(instruments, old, new)

    def _claim(self, instrument: Instrument) -> None:
        super()._claim(instrument)
        self._names = None

    def _release(self, instrument: Instrument) -> None:
        super()._release(instrument)
        self._names = None

    def _commands(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        """The commands that turn the topics of kind `old` into those of `new`; one for each topic and exchange."""
        begun: dict[tuple[str, str], list[_Key]] = {}
        ended: dict[tuple[str, str], list[_Key]] = {}
        for instrument in instruments:
            before, after = _keys(instrument, old), _keys(instrument, new)
            for key in after - before:
                self._holders[key] += 1
                if self._holders[key] == 1:
                    begun.setdefault(key[:2], []).append(key)
            for key in before - after:
                self._holders[key] -= 1
                if self._holders[key] <= 0:
                    del self._holders[key]
                    ended.setdefault(key[:2], []).append(key)
        return [
            self._command(verb, topic, word, [key[2] for key in commands[topic, word]])
            for verb, commands in (("batch_subscribe", begun), ("batch_unsubscribe", ended))
            for topic, word in sorted(commands, key=lambda at: (_TOPICS.index(at[0]), at[1]))
        ]

    def _command(self, verb: str, topic: str, word: str, members: list[str | int]) -> str:
        named = topic in (_INDEX, _BUCKET)
        argument = {"instruments": [] if named else members, "indexes": members if named else []}
        tail = {_INDEX: f" {word}", _BUCKET: f" 1d {word}"}.get(topic, "")
        shown = ", ".join(map(str, members[:3])) + (", …" if len(members) > 3 else "")
        self._last_command = f"{verb} {topic}{tail} of {len(members)}: {shown}"
        return f"{verb} {self._token} {topic} {msgspec.json.encode(argument).decode()}{tail}"

    # -- in -----------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        if isinstance(frame, str):
            return self._decode_text(frame)
        if not frame:
            return Decoded()
        if len(frame) > _MOST_BYTES:
            return _malformed(frame)
        decoded = Decoded(ticks=[])
        try:
            data = parse_envelope(frame).data
            name = data.type_url.rpartition(".")[2]
            if name == "BatchWebSocketOrderbookMessage":
                self._read_refs(parse_orderbook(data.value), _orderbook_tick, decoded)
            elif name == "BatchWebSocketIndexMessage":
                self._read_names(parse_index(data.value), _index_tick, decoded)
            elif name == "BatchWebSocketIndexBucketMessage":
                self._read_names(parse_index_bucket(data.value), _bucket_tick, decoded)
            elif name == "BatchWebSocketGreeksMessage":
                self._read_refs(parse_greeks(data.value), _greeks_tick, decoded)
            elif name != _IGNORED:
                decoded.unknown = 1
        except ParseError:
            return _malformed(frame)
        return decoded

    def _read_refs(self, batch: Any, make: Any, decoded: Decoded) -> None:
        routes, ticks = self.routes, decoded.ticks
        batch_time = batch.timestamp
        for item in batch.instruments[:_MOST_ITEMS]:
            # By ref_id alone: inst_id, the exchange's own number, repeats across segments.
            instrument = routes.get(item.ref_id)
            if instrument is None:
                decoded.unrouted += 1
                continue
            tick = make(item, instrument, batch_time)
            if tick is not None:
                ticks.append(tick)

    def _read_names(self, batch: Any, make: Any, decoded: Decoded) -> None:
        names = self._names
        if names is None:
            names = self._names = NameTable(self.routes.values())
        batch_time = batch.timestamp
        for items in (batch.indexes, batch.instruments):
            for item in items[:_MOST_ITEMS]:
                instrument = names.find(item.exchange, item.indexname)
                if instrument is None:
                    decoded.unrouted += 1
                    continue
                tick = make(item, instrument, batch_time)
                if tick is not None:
                    decoded.ticks.append(tick)

    def _decode_text(self, text: str) -> Decoded:
        """A remark (section 10). It may repeat a command, and with it the token."""
        if "invalid token" in text.lower():
            return Decoded(event=Event.AUTH_ERROR, message="Invalid Token")
        if _TROUBLE.search(text) is None:
            return Decoded(event=Event.ACK)
        words = text[:4096].replace(self._token, "…") if self._token else text[:4096]
        words = "".join(c if c.isprintable() else " " for c in _TOKEN_LIKE.sub("…", words))
        message = " ".join(words.split())[:200]
        if self._last_command:
            message += f" (last command: {self._last_command})"
        return Decoded(event=Event.ERROR, message=message)


def is_option(instrument: Instrument) -> bool:
    kind = instrument.instrumenttype or instrument.symbol[-2:]
    return instrument.exchange in ("NFO", "BFO", "MCX") and kind in ("CE", "PE")


def topics_of(instrument: Instrument, kind: str) -> tuple[str, ...]:
    """The topics of an instrument (section 4)."""
    if instrument.is_index:
        return (_INDEX, _BUCKET) if kind == FULL else (_INDEX,)
    if kind == FULL and instrument.exchange in ("NSE", "BSE") and not _BLANK.search(stock_name(instrument)):
        return (_ORDERBOOK, _INDEX, _BUCKET)
    if kind == FULL and is_option(instrument):
        return (_ORDERBOOK, _GREEKS)
    return (_ORDERBOOK,)


def _keys(instrument: Instrument, kind: str) -> set[_Key]:
    """What commands for the instrument are about; nothing for no kind."""
    if not kind:
        return set()
    name = instrument.token if instrument.is_index else stock_name(instrument)
    return {
        (topic, WORDS[instrument.exchange], name)
        if topic in (_INDEX, _BUCKET)
        else (topic, "", int(instrument.token))
        for topic in topics_of(instrument, kind)
    }


def _malformed(frame: bytes) -> Decoded:
    return Decoded(event=Event.MALFORMED, message=f"a frame of {len(frame)} bytes is no message of Nubra's")


# -- normalization (section 6) -----------------------------------------------------------------------------


def _orderbook_tick(item: Any, instrument: Instrument, batch_time: int) -> Tick:
    return Tick(
        instrument=instrument,
        mode=MODE_DEPTH,
        ltp=wide_price(item.ltp, _PAISE),
        timestamp=_time(item.timestamp or batch_time),
        last_trade_quantity=_quantity(item.ltq),
        volume=_quantity(item.volume),
        depth=Depth(_side(item.bids), _side(item.asks)),
    )


def _index_tick(item: Any, instrument: Instrument, batch_time: int) -> Tick | None:
    # A share may have an index topic as well, but no share is negative either.
    value = wide_price(item.index_value, _PAISE, True)
    if value is None:
        return None
    high, low, close = (
        wide_price(raw, _PAISE, True) for raw in (item.high_index_value, item.low_index_value, item.prev_close)
    )
    volume = _quantity(item.volume)
    alone = high is low is close is volume is None
    return Tick(
        instrument=instrument,
        mode=MODE_LTP if alone else MODE_QUOTE,
        ltp=value,
        timestamp=_time(item.timestamp or batch_time),
        high=high,
        low=low,
        close=close,
        volume=volume,
    )


def _bucket_tick(item: Any, instrument: Instrument, batch_time: int) -> Tick | None:
    if item.interval != _DAY:
        return None
    # Its close is the running price, not the previous close.
    first, high, low = (wide_price(raw, _PAISE, True) for raw in (item.open, item.high, item.low))
    volume = _quantity(item.cumulative_volume)
    if first is high is low is volume is None:
        return None
    return Tick(
        instrument=instrument,
        mode=MODE_QUOTE,
        timestamp=_time(item.timestamp or batch_time),
        open=first,
        high=high,
        low=low,
        volume=volume,
    )


def _greeks_tick(item: Any, instrument: Instrument, batch_time: int) -> Tick | None:
    ltp = wide_price(item.ltp, _PAISE)
    if ltp is None:
        return None
    return Tick(
        instrument=instrument,
        mode=MODE_QUOTE,
        ltp=ltp,
        timestamp=_time(item.ts or batch_time),
        volume=_quantity(item.volume),
        oi=_quantity(item.oi),
    )


def _side(levels: Any) -> list[DepthLevel]:
    side: list[DepthLevel] = []
    for level in levels if len(levels) <= MOST_LEVELS else levels[:MOST_LEVELS]:
        price, quantity = wide_price(level.price, _PAISE), _quantity(level.quantity)
        if price is not None and quantity is not None:
            side.append(DepthLevel(price, quantity, _quantity(level.orders)))
    return side


def _quantity(units: int) -> int | None:
    return count(units) or None


def _time(stamp: int) -> int | None:
    """Epoch milliseconds of a time whose unit shows in its size; nanoseconds as a rule."""
    if stamp > _NANOSECONDS_ABOVE:
        stamp //= 1_000_000
    elif stamp > _MICROSECONDS_ABOVE:
        stamp //= 1000
    elif stamp <= _MILLISECONDS_ABOVE:
        stamp *= 1000
    return stamp if 0 < stamp < _TIME_LIMIT else None
