"""Upstox's wire: JSON requests in binary frames, one protobuf `FeedResponse` a frame back (sections 4 to 6).

Proto3 does not tell zero from absent and parts of a feed may be missing, so a value that is not on the wire
keeps what it was. The state lives as long as the subscription: a new one, or another mode, begins with nothing.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import msgspec

from tickmux.broker._wire_values import DEAREST, PLAIN, PLAIN_RUPEES, count, float_count, rupees
from tickmux.broker.upstox.errors import error_codes, is_auth_failure, quotable
from tickmux.broker.upstox.streaming.feed_schema import ParseError, parse_feed_response
from tickmux.codec import BinaryText, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_LTP, MODE_QUOTE, Depth, DepthLevel, Tick

DEPTH_30 = "full_d30"

_INITIAL_FEED, _MARKET_INFO = 0, 2
_REQUEST_MODE_D5, _REQUEST_MODE_D30 = 1, 3
# A connection has at most 5000 instruments, and no instrument more than some hundred bytes, levels and candles:
# what is beyond these is no feed of Upstox, and must not keep the event loop busy.
_MOST_BYTES, _MOST_ENTRIES = 4 << 20, 10_000
_MOST_LEVELS, _MOST_CANDLES = 30, 32

_FINE_SCALES = frozenset({"CDS", "BCD", "NCO"})
_OI_EXCHANGES = frozenset({"NFO", "BFO", "CDS", "BCD", "MCX", "NCO"})

_TIME_LIMIT = 253_402_300_800_000  # the year 10000


class _Known:
    """What the session has said about one instrument; None: nothing yet, or a value that was taken back."""

    __slots__ = (
        "average", "buy_total", "close", "depth", "high", "is_index", "lost", "low", "ltp", "ltq", "ltt", "oi",
        "open", "plain", "sell_total", "volume",
    )  # fmt: skip

    def __init__(self, instrument: Instrument) -> None:
        self.is_index = instrument.is_index
        self.plain = PLAIN_RUPEES if instrument.exchange in _FINE_SCALES else DEAREST
        """Rupees below which there is no sentinel."""
        self.lost: tuple[str, ...] = ()
        """What was taken back since the last tick."""
        self.ltp: float | None = None
        self.ltt: int | None = None
        self.ltq: int | None = None
        self.close: float | None = None
        self.open: float | None = None
        self.high: float | None = None
        self.low: float | None = None
        self.average: float | None = None
        self.volume: int | None = None
        self.oi: int | None = None
        self.buy_total: int | None = None
        self.sell_total: int | None = None
        self.depth: Depth | None = None

    def judged(self, name: str, raw: float) -> float | None:
        """The price of the tick's field `name` that was told; what is none takes the old one along."""
        value = rupees(raw, self.is_index)
        if value is None:
            self.lost += (name,)
        return value

    def counted(self, name: str, raw: float) -> int | None:
        """The same of a count."""
        value = count(raw) if isinstance(raw, int) else float_count(raw)
        if value is None:
            self.lost += (name,)
        return value


class Account:
    """Whether the account has 30 levels: all that is known of it, shared by its connections.

    stated: what its owner says at the login; None before any session of it is known.
    shown:  what the feed has shown since: True by a book of 30 levels, False by a refusal or by 5 in place of 30.
    """

    __slots__ = ("shown", "stated")

    def __init__(self, stated: bool | None = None) -> None:
        self.stated = stated
        self.shown: bool | None = None

    @property
    def has_30(self) -> bool:
        """What is seen counts more than what is said; of an account that nobody knows yet, all is offered."""
        return self.stated is not False if self.shown is None else self.shown

    def show(self, has_30: bool) -> None:
        if has_30 or self.shown is None:  # once 30 have come, a refusal is about something else, such as their number
            self.shown = has_30 if self.stated is not None else None


class UpstoxCodec(FeedCodec):
    """Kinds are the broker's modes: `ltpc`, `full`, `full_d30`."""

    def __init__(self, account: Account | None = None) -> None:
        super().__init__()
        self._account = account or Account()
        self._known: dict[str, _Known] = {}
        self._requests = 0
        self._last: tuple[str, str, list[str]] = ("", "", [])
        """Method, mode and keys of the last request: an error reply names none of them for sure."""
        self._unconfirmed: dict[str, str] = {}
        """Instrument key -> the method that asked for it with 30 levels, until such a feed has come."""

    def wire_key(self, instrument: Instrument) -> Hashable:
        """The instrument key, which contains the segment (section 8)."""
        segment, bar, rest = instrument.token.partition("|")
        if not (segment and bar and rest):
            raise ValueError(f"{instrument.symbol}: {instrument.token!r} is no instrument key of Upstox")
        return instrument.token

    # -- out ----------------------------------------------------------------------------------------------

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [self._request("sub", kind, [instrument.token for instrument in instruments])]

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [self._request("unsub", "", [instrument.token for instrument in instruments])]

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        keys = [instrument.token for instrument in instruments]
        # What the old mode said of a book or a candle may be long out of date when the new one brings them back.
        self._forget(keys)
        return [self._request("change_mode", new, keys)]

    def unsubscribe(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        frames = super().unsubscribe(instruments, kind)
        self._forget(instrument.token for instrument in instruments)
        return frames

    def _forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._known.pop(key, None)
            self._unconfirmed.pop(key, None)

    def _request(self, method: str, mode: str, keys: list[str]) -> BinaryText:
        if mode == DEPTH_30 and self._account.shown is False:
            mode = "full"  # refused before: a reconnect asks at once for what there is
        self._requests += 1
        self._last = (method, mode, keys)
        if mode == DEPTH_30:
            self._unconfirmed |= dict.fromkeys(keys, method)
        data: dict[str, object] = {"mode": mode} if mode else {}
        data["instrumentKeys"] = keys
        # Any id that is unique on its connection will do; 20 characters, as in Upstox's documentation.
        return BinaryText(
            msgspec.json.encode({"guid": f"tickmux{self._requests:013d}", "method": method, "data": data})
        )

    # -- in -----------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        if isinstance(frame, str):
            return self._decode_text(frame)
        try:
            message = parse_feed_response(frame) if len(frame) <= _MOST_BYTES else None
        except ParseError:
            message = None
        if message is None or len(message.feeds) > _MOST_ENTRIES:
            return Decoded(event=Event.MALFORMED, message=f"frame of {len(frame)} bytes is no FeedResponse")
        decoded = Decoded(ticks=[])
        kind = message.type
        if kind == _MARKET_INFO:
            return decoded
        now = message.currentTs
        stamp = now if 0 < now < _TIME_LIMIT else None
        ticks = decoded.ticks
        routes, states, unconfirmed = self.routes, self._known, self._unconfirmed
        for entry in message.feeds:
            key = entry.key
            instrument = routes.get(key)
            if instrument is None:
                decoded.unrouted += 1
                continue
            known = states.get(key)
            if known is None or kind == _INITIAL_FEED:
                known = states[key] = _Known(instrument)
            feed = entry.value
            if key in unconfirmed:
                self._learn(key, feed.requestMode)
            tick = _tick(feed, known, instrument, stamp)
            if tick is not None:
                if known.lost:
                    tick.taken_back, known.lost = known.lost, ()
                ticks.append(tick)
        return decoded

    def _learn(self, key: str, mode: int) -> None:
        """Takes in which feed comes where 30 levels were asked for."""
        if mode == _REQUEST_MODE_D30:
            del self._unconfirmed[key]
            self._account.show(True)
        elif mode == _REQUEST_MODE_D5 and self._unconfirmed[key] == "sub":
            # Behind a `change_mode` this may be the old mode's last message.
            self._account.show(False)

    def _decode_text(self, text: str) -> Decoded:
        """An error reply in JSON (section 5.6); every other text is ignored."""
        try:
            reply = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return Decoded(unknown=1)
        if not isinstance(reply, dict) or reply.get("status") not in ("failed", "error"):
            return Decoded(unknown=1)
        words = quotable(reply)
        if is_auth_failure(error_codes(reply)):
            return Decoded(event=Event.AUTH_ERROR, message=words)
        method, mode, keys = self._last
        shown = ", ".join(keys[:3]) + (", …" if len(keys) > 3 else "")
        message = f"{words} (last request: {method} {mode} {len(keys)} keys: {shown})" if method else words
        replies = self._fall_back(reply.get("method"))
        if replies:
            message += "; 30 levels are a Plus account's, asking for 5"
        return Decoded(event=Event.ERROR, message=message, replies=replies)

    def _fall_back(self, refused: object) -> list[Frame]:
        """Only Plus accounts have 30 levels: what was asked for and never came is asked for with 5 (section 4).

        A refusal may come after later requests; it names its method at most. Asking for too little now and then is
        better than an instrument without any data.
        """
        if self._account.stated is None:  # frames outside a session: there is no server to ask
            return []
        waiting = {key: method for key, method in self._unconfirmed.items() if refused in (None, method)}
        if waiting:
            self._account.show(False)
        methods: dict[str, list[str]] = {}
        for key, method in waiting.items():
            del self._unconfirmed[key]
            methods.setdefault(method, []).append(key)
        return [self._request(method, "full", keys) for method, keys in methods.items()]


def _tick(feed: Any, known: _Known, instrument: Instrument, stamp: int | None) -> Tick | None:
    """Merges a feed into what is known; the tick holds the fields of the feed's kind (section 6)."""
    kind = feed.WhichOneof("union")
    if kind == "ltpc":
        _merge_ltpc(known, feed.ltpc)
        if known.ltp is None:
            return None
        return _ltp_fields(Tick(instrument=instrument, mode=MODE_LTP, timestamp=stamp), known)
    if kind == "fullFeed":
        full = feed.fullFeed
        kind = full.WhichOneof("union")
        if kind == "marketFF":
            return _market_tick(full.marketFF, known, instrument, stamp)
        if kind == "indexFF":
            return _index_tick(full.indexFF, known, instrument, stamp)
        return None
    if kind == "firstLevelWithGreeks":
        return _greeks_tick(feed.firstLevelWithGreeks, known, instrument, stamp)
    return None


def _market_tick(feed: Any, known: _Known, instrument: Instrument, stamp: int | None) -> Tick:
    if feed.HasField("ltpc"):
        _merge_ltpc(known, feed.ltpc)
    if feed.HasField("marketOHLC"):
        _merge_day(known, feed.marketOHLC.ohlc)
    average, volume, buy_total, sell_total = feed.atp, feed.vtt, feed.tbq, feed.tsq
    if average:
        known.average = average if 0.0 < average < known.plain else known.judged("avg_trade_price", average)
    if volume:
        known.volume = volume if 0 < volume < PLAIN else known.counted("volume", volume)
    if buy_total:
        known.buy_total = (
            int(buy_total) if 0.0 < buy_total < PLAIN else known.counted("total_buy_quantity", buy_total)
        )
    if sell_total:
        known.sell_total = (
            int(sell_total) if 0.0 < sell_total < PLAIN else known.counted("total_sell_quantity", sell_total)
        )
    if feed.HasField("marketLevel"):
        depth = known.depth = _depth(feed.marketLevel.bidAskQuote, known.plain)
        # An empty side of a book has no quantity: the zero that is not on the wire is one here (section 5.5).
        if not buy_total and not depth.buy:
            known.buy_total = 0
        if not sell_total and not depth.sell:
            known.sell_total = 0
    return _ltp_fields(
        Tick(
            instrument=instrument,
            mode=MODE_DEPTH,
            timestamp=stamp,
            open=known.open,
            high=known.high,
            low=known.low,
            volume=known.volume,
            avg_trade_price=known.average,
            total_buy_quantity=known.buy_total,
            total_sell_quantity=known.sell_total,
            oi=_merge_oi(known, feed.oi, instrument),
            depth=known.depth,
        ),
        known,
    )


def _index_tick(feed: Any, known: _Known, instrument: Instrument, stamp: int | None) -> Tick | None:
    if feed.HasField("ltpc"):
        _merge_ltpc(known, feed.ltpc)
    if feed.HasField("marketOHLC"):
        _merge_day(known, feed.marketOHLC.ohlc)
    if known.ltp is None and known.open is None:
        return None
    tick = Tick(
        instrument=instrument, mode=MODE_QUOTE, timestamp=stamp, open=known.open, high=known.high, low=known.low
    )
    return _ltp_fields(tick, known)


def _greeks_tick(feed: Any, known: _Known, instrument: Instrument, stamp: int | None) -> Tick | None:
    if feed.HasField("ltpc"):
        _merge_ltpc(known, feed.ltpc)
    if feed.vtt:
        known.volume = known.counted("volume", feed.vtt)
    oi = _merge_oi(known, feed.oi, instrument)
    if known.ltp is None and known.volume is None:
        return None
    tick = Tick(instrument=instrument, mode=MODE_QUOTE, timestamp=stamp, volume=known.volume, oi=oi)
    return _ltp_fields(tick, known)


def _ltp_fields(tick: Tick, known: _Known) -> Tick:
    tick.ltp = known.ltp
    tick.ltt = known.ltt
    tick.last_trade_quantity = known.ltq
    tick.close = known.close
    return tick


def _merge_ltpc(known: _Known, ltpc: Any) -> None:
    price, time, quantity, close = ltpc.ltp, ltpc.ltt, ltpc.ltq, ltpc.cp
    if price:
        known.ltp = price if 0.0 < price < known.plain else known.judged("ltp", price)
    if 0 < time < _TIME_LIMIT:
        known.ltt = time
    if quantity:
        known.ltq = quantity if 0 < quantity < PLAIN else known.counted("last_trade_quantity", quantity)
    if close:
        known.close = close if 0.0 < close < known.plain else known.judged("close", close)


def _merge_day(known: _Known, candles: Any) -> None:
    # The day's candle only. Its close is the running one, not the previous close; its ts is midnight (section 5.4).
    for candle in candles if len(candles) <= _MOST_CANDLES else candles[:_MOST_CANDLES]:
        if candle.interval == "1d":
            first, high, low = candle.open, candle.high, candle.low
            plain = known.plain
            if first:
                known.open = first if 0.0 < first < plain else known.judged("open", first)
            if high:
                known.high = high if 0.0 < high < plain else known.judged("high", high)
            if low:
                known.low = low if 0.0 < low < plain else known.judged("low", low)
            return


def _merge_oi(known: _Known, oi: float, instrument: Instrument) -> int | None:
    if instrument.exchange not in _OI_EXCHANGES:
        return None
    if oi:
        known.oi = known.counted("oi", oi)
    return known.oi


def _depth(quotes: Any, plain: float) -> Depth:
    buy: list[DepthLevel] = []
    sell: list[DepthLevel] = []
    most = PLAIN
    for quote in quotes if len(quotes) <= _MOST_LEVELS else quotes[:_MOST_LEVELS]:
        price, quantity = quote.bidP, quote.bidQ
        if (0.0 < price < plain or rupees(price)) and (0 < quantity < most or count(quantity)):
            buy.append(DepthLevel(price, quantity))
        price, quantity = quote.askP, quote.askQ
        if (0.0 < price < plain or rupees(price)) and (0 < quantity < most or count(quantity)):
            sell.append(DepthLevel(price, quantity))
    return Depth(buy, sell)
