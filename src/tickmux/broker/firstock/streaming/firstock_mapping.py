"""Firstock's JSON: lists of tokens out, bundles of full or partial market objects in (specification sections 4 to 6).

Kept per connection: one merged state for each subscribed instrument, and which first frames are still missing.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import msgspec

from tickmux.broker._noren.unanswered import Unanswered, report_silence
from tickmux.broker.firstock.streaming.market_state import MarketState
from tickmux.codec import Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument

KIND = "feed"
"""There is one feed for all modes."""
EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "NSE_INDEX", "BSE_INDEX")
REFUSAL = (
    "Firstock refused the session: log in again (at most two addresses are registered with a key: if a fresh login "
    "does not help, check that this computer's is one of them)"
)

_Key = tuple[str, str]
_decode = msgspec.json.Decoder().decode

_SESSION_LIMIT_WAIT = 30.0
"""Seconds until another session of the user may have died (section 3)."""


class FirstockCodec(FeedCodec):
    """The session is in the URL; the server's first frame says whether it is good."""

    waits_for_ready = True

    def __init__(self) -> None:
        super().__init__()
        self._states: dict[Hashable, MarketState] = {}
        self._missing: Unanswered[_Key] = Unanswered()

    # -- out ---------------------------------------------------------------------------------------------

    def wire_key(self, instrument: Instrument) -> _Key:
        """(exchange, token): tokens repeat across exchanges."""
        token = instrument.token
        if instrument.exchange not in EXCHANGES:
            raise ValueError(f"{instrument.symbol}: Firstock's feed has no exchange {instrument.exchange}")
        if not 0 < len(token) <= 20 or not token.isascii() or not token.isdecimal():
            raise ValueError(f"{instrument.symbol}: {token!r} is no token of Firstock's, which is a number")
        return instrument.exchange.removesuffix("_INDEX"), token

    def heartbeat_frames(self) -> list[Frame]:
        """There is no heartbeat; what has not been answered is asked for again."""
        late = self._missing.beat()
        return [_request("subscribe", late)] if late else []

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        keys = [self.wire_key(instrument) for instrument in instruments]
        for key in keys:
            self._missing.asked(key)
        return [_request("subscribe", keys)] if keys else []

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        keys = [self.wire_key(instrument) for instrument in instruments]
        # An index and a share of one key share the subscription.
        ending = [key for key in keys if len(self._claims.get(key, ())) < 2]
        for key in keys:
            self._states.pop(key, None)
        for key in ending:
            self._missing.settled(key)
        return [_request("unsubscribe", ending)] if ending else []

    # -- in ----------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        try:
            message = _decode(frame)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return Decoded(event=Event.MALFORMED, message="no JSON")
        if not isinstance(message, dict) or not message:
            return Decoded(event=Event.MALFORMED, message="no JSON object")
        # An order update has a status of its own, so orders and positions come first (section 5).
        if "norenordno" in message or "brkname" in message:
            return Decoded()
        status = message.get("status")
        if status == "success":
            return Decoded(event=Event.ACK, ready=True)
        if status == "failed":
            return _failed(message.get("message"))
        decoded = Decoded(ticks=[])
        if "c_symbol" in message:  # version 1: one flat object a frame
            self._market(_text(message.get("c_exch_seg")), _text(message["c_symbol"]), message, decoded)
        else:
            self._bundle(message, decoded)
        if self._missing.silent:
            silent = [one for key in self._missing.silent for one in self._claims.get(key, ())]
            self._missing.silent.clear()
            report_silence(decoded, silent)
        return decoded

    def _bundle(self, message: Mapping[str, Any], decoded: Decoded) -> None:
        is_market = False
        for name, inner in message.items():
            exchange, colon, token = name.partition(":")
            if colon and isinstance(inner, dict):
                is_market = True
                if "gamma" not in inner:  # option greeks
                    self._market(exchange, token, inner, decoded)
        if not is_market:
            decoded.unknown = 1

    def _market(self, exchange: str, token: str, fields: Mapping[str, Any], decoded: Decoded) -> None:
        key = (exchange, token)
        instrument = self.routes.get(key)
        if instrument is None:
            decoded.unrouted += 1
            return
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = MarketState(instrument)
            self._missing.settled(key)
        state.merge(fields)
        tick = state.tick()
        if tick is not None:
            decoded.ticks.append(tick)


def _failed(words: object) -> Decoded:
    message = words if isinstance(words, str) else ""
    said = message.lower()
    if "unauth" in said or "invalid" in said:
        return Decoded(event=Event.AUTH_ERROR, message=REFUSAL)
    wait = _SESSION_LIMIT_WAIT if "limit" in said else 0.0
    return Decoded(
        event=Event.ERROR, message=message[:200] or "an error without words", restart=True, retry_after=wait
    )


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**20:
        return str(value)
    return value if isinstance(value, str) else ""


def _request(action: str, keys: Sequence[_Key]) -> str:
    tokens = "|".join(f"{exchange}:{token}" for exchange, token in dict.fromkeys(keys))
    return msgspec.json.encode({"action": action, "tokens": tokens}).decode()
