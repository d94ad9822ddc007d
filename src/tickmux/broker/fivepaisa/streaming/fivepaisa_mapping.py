"""5paisa's wire: JSON requests out, JSON objects with Microsoft dates in (specification sections 4 to 6 and 10).

Every object is read by itself: what an earlier one said is the publisher's business. Kept per connection: which
subscriptions have not been answered yet, since 5paisa ignores a wrong request in silence.
"""

import re
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec

from tickmux.broker._noren.unanswered import Unanswered, report_silence
from tickmux.broker._wire_values import float_count, rupees
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import MODE_DEPTH, MODE_LTP, MODE_QUOTE, Depth, DepthLevel, Tick

SEGMENTS = {
    "NSE": ("N", "C"),
    "BSE": ("B", "C"),
    "NFO": ("N", "D"),
    "BFO": ("B", "D"),
    "CDS": ("N", "U"),
    "BCD": ("B", "U"),
    "MCX": ("M", "D"),
    "NSE_INDEX": ("N", "C"),
    "BSE_INDEX": ("B", "C"),
}
"""Our exchange -> Exch and ExchType (section 8); the codes of indices are a range of their own."""

_FEED, _DEPTH, _OPEN_INTEREST = "MarketFeedV3", "MarketDepthService", "GetScripInfoForFuture"
_METHODS = {
    "feed": (_FEED,),
    "feed+oi": (_FEED, _OPEN_INTEREST),
    "depth": (_DEPTH, _FEED),
    "depth+oi": (_DEPTH, _FEED, _OPEN_INTEREST),
}
"""Kind -> the broker's methods. A depth frame holds no last price, so the feed stands beside it."""
_MOST_IN_A_FRAME = 50

_LARGEST = 1e15
_LAST_MOMENT = 253_402_300_800_000
"""Epoch milliseconds of the year 10000."""
_DATE = re.compile(r"/Date\(([0-9]{1,15})(?:[+-][0-9]{4})?\)/")
"""Epoch milliseconds in UTC; the zone after them shifts nothing. A negative number is no time."""
_BUY, _SELL = (66, "B"), (83, "S")
_NO_QUOTE = (None,) * 6

_Key = tuple[str, str, int]
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode
_price_of = attrgetter("price")


class FivepaisaCodec(FeedCodec):
    """Kinds: `feed`, `depth`, and both with `+oi` for derivatives."""

    def __init__(self) -> None:
        super().__init__()
        self._client_code = ""
        self._secret = ""
        self._missing: Unanswered[_Key] = Unanswered()
        self._ticked = False
        """Whether a tick came since the last beat: only then is silence of one instrument conspicuous."""

    # -- out ---------------------------------------------------------------------------------------------

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        """Nothing is sent: the session is in the URL."""
        self._client_code = credentials.get("client_code")
        self._secret = credentials.get("access_token")
        return []

    def wire_key(self, instrument: Instrument) -> _Key:
        """(Exch, ExchType, code): codes repeat across segments."""
        segment = SEGMENTS.get(instrument.exchange)
        if segment is None:
            raise ValueError(f"{instrument.symbol}: 5paisa's feed has no exchange {instrument.exchange}")
        code = _code(instrument.token)
        if not code:
            raise ValueError(f"{instrument.symbol}: {instrument.token!r} is no scrip code of 5paisa's, a number")
        return *segment, code

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        for instrument in instruments:
            self._missing.asked(self.wire_key(instrument))
        return self._requests("Subscribe", _METHODS[kind], instruments)

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        for instrument in instruments:
            self._missing.settled(self.wire_key(instrument))
        return self._requests("Unsubscribe", _METHODS[kind], instruments)

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        before, after = _METHODS[old], _METHODS[new]
        return [
            *self._requests("Subscribe", [method for method in after if method not in before], instruments),
            *self._requests("Unsubscribe", [method for method in before if method not in after], instruments),
        ]

    def heartbeat_frames(self) -> list[Frame]:
        """There is no heartbeat; what stays silent while others tick is asked for again, once."""
        if not self._ticked:
            return []
        self._ticked = False
        late = [self.routes[key] for key in self._missing.beat() if key in self.routes]
        kinds = {instrument: self.kinds[instrument] for instrument in late}
        return [
            frame
            for kind in dict.fromkeys(kinds.values())
            for frame in self._requests("Subscribe", _METHODS[kind], [one for one in late if kinds[one] == kind])
        ]

    def _requests(self, operation: str, methods: Sequence[str], instruments: Sequence[Instrument]) -> list[Frame]:
        """One frame for each method; the order of the keys is part of the protocol."""
        scrips = [
            {"Exch": exchange, "ExchType": segment, "ScripCode": code}
            for exchange, segment, code in map(self.wire_key, instruments)
        ]
        return [
            _encode(
                {
                    "Method": method,
                    "Operation": operation,
                    "ClientCode": self._client_code,
                    "MarketFeedData": scrips[start : start + _MOST_IN_A_FRAME],
                }
            ).decode()
            for method in methods
            for start in range(0, len(scrips), _MOST_IN_A_FRAME)
        ]

    # -- in ----------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        try:
            message = _decode(frame)
        except (msgspec.DecodeError, ValueError, RecursionError):
            if frame.strip() in ("PONG", "PING", b"PONG", b"PING"):
                return Decoded(event=Event.HEARTBEAT)
            return Decoded(event=Event.MALFORMED, message="no JSON")
        decoded = Decoded(ticks=[])
        for each in message if isinstance(message, list) else (message,):
            if isinstance(each, dict):
                self._object(each, decoded)
            else:
                decoded.unknown += 1
        if decoded.ticks:
            self._ticked = True
        if self._missing.silent:
            report_silence(decoded, [self.routes[key] for key in self._missing.silent if key in self.routes])
            self._missing.silent.clear()
        return decoded

    def _object(self, fields: dict[str, Any], decoded: Decoded) -> None:
        if "ReqType" in fields:
            return  # a confirmation of an order
        exchange, segment, code = fields.get("Exch"), fields.get("ExchType"), _code(fields.get("Token"))
        if not (isinstance(exchange, str) and isinstance(segment, str) and code):
            self._remark(fields, decoded)
            return
        key = (exchange, segment, code)
        instrument = self.routes.get(key)
        if instrument is None:
            decoded.unrouted += 1
            return
        self._missing.settled(key)
        if "Details" in fields:
            tick = _depth_tick(fields, instrument)
        elif "LastRate" in fields:
            tick = _feed_tick(fields, instrument)
        elif "OpenInterest" in fields:
            oi = _count(fields["OpenInterest"])
            tick = None if oi is None else Tick(instrument=instrument, mode=MODE_QUOTE, oi=oi)
        else:
            decoded.unknown += 1
            return
        if tick is not None:
            decoded.ticks.append(tick)

    def _remark(self, fields: dict[str, Any], decoded: Decoded) -> None:
        """An object that names no instrument: the server's words, or an instrument that cannot be read."""
        if "Exch" in fields or "ExchType" in fields or "Token" in fields:
            decoded.unknown += 1
            return
        words = fields.get("Message")
        if not isinstance(words, str) or not words:
            words = "an error without words"
        decoded.event = Event.ERROR
        decoded.message = (words.replace(self._secret, "…") if self._secret else words)[:200]


def _feed_tick(fields: dict[str, Any], instrument: Instrument) -> Tick | None:
    get = fields.get
    index = instrument.is_index
    ltp = _price(get("LastRate"), index)
    if ltp is None:
        return None
    tick = Tick(
        instrument=instrument,
        mode=MODE_QUOTE,
        ltp=ltp,
        timestamp=_date(get("TickDt")),
        open=_price(get("OpenRate"), index),
        high=_price(get("High"), index),
        low=_price(get("Low"), index),
        close=_price(get("PClose"), index),
        volume=_count(get("TotalQty")),
        last_trade_quantity=_count(get("LastQty")),
        avg_trade_price=_price(get("AvgRate")),
        total_buy_quantity=_count(get("TBidQ")),
        total_sell_quantity=_count(get("TOffQ")),
    )
    quote = (tick.open, tick.high, tick.low, tick.close, tick.volume, tick.avg_trade_price)
    if quote == _NO_QUOTE and tick.total_buy_quantity is tick.total_sell_quantity is None:
        tick.mode = MODE_LTP
    if None in quote or not (tick.last_trade_quantity and tick.total_buy_quantity and tick.total_sell_quantity):
        tick.taken_back = tuple([name for key, name in _TOLD if getattr(tick, name) is None and get(key)])
    return tick


_TOLD = tuple({
    "OpenRate": "open", "High": "high", "Low": "low", "PClose": "close", "TotalQty": "volume",
    "LastQty": "last_trade_quantity", "AvgRate": "avg_trade_price", "TBidQ": "total_buy_quantity",
    "TOffQ": "total_sell_quantity",
}.items())  # fmt: skip
"""A number in one of these that is neither a value nor 0 takes the old value back; 0 is what 5paisa does not know."""


def _depth_tick(fields: dict[str, Any], instrument: Instrument) -> Tick | None:
    """None where the frame holds no list of levels: that is no empty book."""
    details = fields["Details"]
    if not isinstance(details, list):
        return None
    buy: list[DepthLevel] = []
    sell: list[DepthLevel] = []
    for row in details:
        if not isinstance(row, dict):
            continue
        flag, price, quantity = row.get("BbBuySellFlag"), _price(row.get("Price")), _count(row.get("Quantity"))
        side = buy if flag in _BUY else sell if flag in _SELL else None
        if side is not None and price is not None and quantity is not None:
            side.append(DepthLevel(price, quantity, _count(row.get("NumberOfOrders"))))
    buy.sort(key=_price_of, reverse=True)
    sell.sort(key=_price_of)
    return Tick(
        instrument=instrument,
        mode=MODE_DEPTH,
        timestamp=_date(fields.get("Time")) or _moment(fields.get("TimeStamp")),
        total_buy_quantity=_count(fields.get("TBidQ")),
        total_sell_quantity=_count(fields.get("TOffQ")),
        depth=Depth(buy, sell),
    )


def _price(raw: object, is_index: bool = False) -> float | None:
    """Rupees; zero, and what is no number, is no value."""
    kind = type(raw)
    if (kind is float or kind is int) and -_LARGEST < raw < _LARGEST:  # type: ignore[operator]
        return rupees(float(raw), is_index)  # type: ignore[arg-type]
    return None


def _count(raw: object) -> int | None:
    kind = type(raw)
    if kind is int or kind is float:
        return float_count(raw) or None  # type: ignore[arg-type]
    return None


def _code(raw: object) -> int:
    """A scrip code, as a number or as text; 0 for what is none."""
    if isinstance(raw, str):
        return int(raw) if 0 < len(raw) <= 18 and raw.isascii() and raw.isdecimal() else 0
    return raw if isinstance(raw, int) and not isinstance(raw, bool) and 0 < raw < 10**18 else 0


def _date(raw: object) -> int | None:
    found = _DATE.fullmatch(raw) if isinstance(raw, str) else None
    return _moment(int(found[1])) if found else None


def _moment(raw: object) -> int | None:
    moment = _count(raw)
    return moment if moment is not None and moment < _LAST_MOMENT else None
