"""INDmoney's wire: JSON requests out, lines of JSON inside JSON in (specification sections 4 to 6 and 10).

Kept per connection: one merged record for each subscribed instrument that was heard of.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import cast

import msgspec

from tickmux.broker.indmoney.streaming.market_record import MarketRecord, number
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument

PREFIXES = {
    "NSE": "NSE",
    "BSE": "BSE",
    "NFO": "NFO",
    "BFO": "BFO",
    "NSE_INDEX": "NIDX",
    "BSE_INDEX": "BIDX",
}
"""Our exchange -> its prefix on the socket (section 8)."""

_MODES: Mapping[str, tuple[str, ...]] = {"ltp": ("ltp",), "quote": ("ltp", "quote")}
_FULL_MODES: Mapping[str, tuple[str, ...]] = {"ltp": ("ltp",), "quote": ("full",)}
"""Our kind -> the broker's modes. A `quote` update has no last price, so `ltp` stands beside it; the undocumented
`full` has everything in one."""
_MOST_IN_A_FRAME = 1000
_LAST_MOMENT = 253_402_300_800_000
"""Epoch milliseconds of the year 10000."""

_GRAVITY = {Event.HEARTBEAT: 1, Event.ACK: 2, Event.ERROR: 3, Event.MALFORMED: 4, Event.AUTH_ERROR: 5}
"""One frame may hold several lines: its event is the worst of theirs."""
_DEAD_TOKEN = re.compile(r"invalid|expired|not valid|revoked|missing", re.IGNORECASE)
_TOKEN = re.compile(r"(?<!instrument )(?<!security )(?<!instrument_)\btoken\b", re.IGNORECASE)

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.encode


class IndmoneyCodec(FeedCodec):
    """Kinds: `ltp`, and `quote`, which is sent as what the session's `quote_mode` says (`quote` or `full`)."""

    def __init__(self) -> None:
        super().__init__()
        self._modes = _MODES
        self._secret = ""
        self._records: dict[Instrument, MarketRecord] = {}
        self._namesakes: dict[str, dict[str, Instrument | None]] = {}
        """id -> segment -> its instrument: updates name an instrument by the bare id (section 4)."""

    # -- out ---------------------------------------------------------------------------------------------

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        """Nothing is sent: the session is in the handshake."""
        self._modes = _FULL_MODES if credentials.get("quote_mode") == "full" else _MODES
        self._secret = credentials.get("access_token")
        return []

    def wire_key(self, instrument: Instrument) -> tuple[str, str]:
        """(segment prefix, security id): ids repeat across segments."""
        prefix = PREFIXES.get(instrument.exchange)
        if prefix is None:
            raise ValueError(f"{instrument.symbol}: INDmoney's feed has no exchange {instrument.exchange}")
        token = instrument.token
        if not (0 < len(token) <= 20 and token.isascii() and token.isdecimal()):
            raise ValueError(f"{instrument.symbol}: {token!r} is no security id of INDmoney's, which is a number")
        return prefix, token

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return self._requests("subscribe", self._modes[kind], instruments)

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return self._requests("unsubscribe", self._modes[kind], instruments)

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        before, after = self._modes[old], self._modes[new]
        if new == "ltp":
            for instrument in instruments:
                if record := self._records.get(instrument):
                    record.forget_quote()
        return [
            *self._requests("subscribe", [mode for mode in after if mode not in before], instruments),
            *self._requests("unsubscribe", [mode for mode in before if mode not in after], instruments),
        ]

    def _requests(self, action: str, modes: Sequence[str], instruments: Sequence[Instrument]) -> list[Frame]:
        """One frame for each mode and segment: of a mixed one the server serves the first segment only."""
        segments: dict[str, list[str]] = {}
        for prefix, token in map(self.wire_key, instruments):
            segments.setdefault(prefix, []).append(f"{prefix}:{token}")
        return [
            _encode({"action": action, "mode": mode, "instruments": names[at : at + _MOST_IN_A_FRAME]}).decode()
            for mode in modes
            for names in segments.values()
            for at in range(0, len(names), _MOST_IN_A_FRAME)
        ]

    # -- routing -----------------------------------------------------------------------------------------

    def _reroute(self, key: Hashable, claims: list[Instrument]) -> None:
        """Keeps the routes of bare ids beside those of (segment, id): only an id of one segment has one."""
        super()._reroute(key, claims)
        prefix, token = cast(tuple[str, str], key)
        segments = self._namesakes.setdefault(token, {})
        if claims:
            segments[prefix] = self.routes.get(key)
        else:
            segments.pop(prefix, None)
        (only,) = segments.values() if len(segments) == 1 else (None,)
        if only is not None:
            self.routes[token] = only
        else:
            self.routes.pop(token, None)
        if not segments:
            del self._namesakes[token]

    def _release(self, instrument: Instrument) -> None:
        super()._release(instrument)
        self._records.pop(instrument, None)

    # -- in ----------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
        decoded = Decoded(ticks=[])
        for line in text.split("\n"):
            if line := line.strip():
                self._line(line, decoded)
        return decoded

    def _line(self, line: str, decoded: Decoded) -> None:
        # Strings hold JSON, arrays hold values, in any nesting: a list of what is left bounds the depth.
        left: list[object] = []
        self._parse(line, left, decoded)
        while left:
            value = left.pop()
            if isinstance(value, dict):
                self._object(value, decoded)
            elif isinstance(value, str):
                self._parse(value.strip(), left, decoded)
            elif isinstance(value, list):
                left += reversed(value)
            else:
                decoded.unknown += 1

    def _parse(self, text: str, left: list[object], decoded: Decoded) -> None:
        if text.lower() in ("ping", "pong"):
            _note(decoded, Event.HEARTBEAT)
            return
        try:
            left.append(_decode(text))
        except (msgspec.DecodeError, ValueError, RecursionError):
            _note(decoded, Event.MALFORMED, "no JSON")

    def _object(self, message: dict[str, object], decoded: Decoded) -> None:
        data, name = message.get("data"), message.get("instrument")
        if not isinstance(data, dict) or name is None:
            self._remark(message, decoded)
            return
        if not isinstance(name, str | int):
            decoded.unknown += 1
            return
        name = str(name)
        prefix, colon, token = name.partition(":")
        instrument = self.routes.get((prefix, token) if colon else name)
        if instrument is None:
            decoded.unrouted += 1
            return
        mode = message.get("mode")
        if mode not in ("ltp", "quote", "full"):
            decoded.unknown += 1
            return
        record = self._records.get(instrument)
        if record is None:
            record = self._records[instrument] = MarketRecord(instrument)
        record.merge(data)
        moment = int(number(message.get("timestamp")))
        timestamp = moment if 0 < moment < _LAST_MOMENT else None
        tick = record.last_price(timestamp) if mode == "ltp" else record.quote(timestamp)
        if tick is not None:
            decoded.ticks.append(tick)

    def _remark(self, message: dict[str, object], decoded: Decoded) -> None:
        words = _words(message)
        if self._secret:
            words = words.replace(self._secret, "…")
        if message.get("error_type") == "TokenException" or (_TOKEN.search(words) and _DEAD_TOKEN.search(words)):
            _note(decoded, Event.AUTH_ERROR, words or "the access token is no longer good")
        elif message.get("error") or str(message.get("status")).lower() == "error":
            _note(decoded, Event.ERROR, words or "an error without words")
        else:
            _note(decoded, Event.ACK)
            decoded.unknown += "data" in message and "instrument" in message  # an update of an unknown shape


def _note(decoded: Decoded, event: Event, words: str = "") -> None:
    if decoded.event is None or _GRAVITY[event] > _GRAVITY[decoded.event]:
        decoded.event = event
        decoded.message = words[:200]


def _words(message: dict[str, object]) -> str:
    """What an error says of itself: `message`, `error`, or the `message` inside `error`."""
    error = message.get("error")
    found = (message.get("message"), error.get("message") if isinstance(error, dict) else error)
    return "; ".join(one for one in found if isinstance(one, str))
