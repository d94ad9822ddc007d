"""The Noren feed's JSON: requests out, snapshots and deltas in (family specification, sections 3 to 7).

Every value on the wire is text. A scrip has two channels, touchline and depth, each with a state of its own.
Kept per connection: one state for each subscribed scrip and channel, and which snapshots are still missing.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from tickmux.broker._noren.orders import order_of
from tickmux.broker._noren.scrip_state import ScripState
from tickmux.broker._noren.session_memory import SessionMemory
from tickmux.broker._noren.unanswered import Unanswered, report_silence
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame
from tickmux.instrument import Instrument
from tickmux.tick import Mode

EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "CDS", "MCX", "NSE_INDEX", "BSE_INDEX")
TOUCHLINE, DEPTH = "touchline", "depth"
REFUSAL = (
    "the broker refused the session: log in again (if a fresh login does not help, check that this computer's "
    "address is among those registered with the broker)"
)

_SUBSCRIBE = {TOUCHLINE: "t", DEPTH: "d"}
_UNSUBSCRIBE = {TOUCHLINE: "u", DEPTH: "ud"}
_MODES = {TOUCHLINE: Mode.QUOTE, DEPTH: Mode.DEPTH}
_SNAPSHOTS = {"tk": TOUCHLINE, "dk": DEPTH}
_FEEDS = {**_SNAPSHOTS, "tf": TOUCHLINE, "df": DEPTH}
_CONNECT_TYPES = {"accesstoken": "a", "susertoken": "c"}
_CONNECT_ANSWERS = frozenset({"ak", "ck", "cf"})
_ACKS = frozenset({"uk", "udk", "ok", "uok", "pk", "upk"})
_HEARTBEATS = frozenset({"hk", "h"})
_NOT_OURS = frozenset({"lk", "lf", "ulk", "pm", "am", "rm", "ms"})
"""The LTP-only channel, which is never requested, positions, alerts, administrator, market status."""
_NOTHING = frozenset({"", "-", "NA"})
_CALLS_A_HEARTBEAT = 3
"""Heartbeats are due every 30 s; the calls in between, every 10 s, look after snapshots that do not come."""

_Key = tuple[str, str]
_decode = msgspec.json.Decoder().decode


def noren_json(message: Mapping[str, str]) -> str:
    return msgspec.json.encode(message).decode()


class NorenCodec(FeedCodec):
    """Kinds are the channels, `touchline` and `depth`. Credentials: `user_id`, `token`, and `variant` where a session
    of the other generation is used (`accesstoken` or `susertoken`, section 3.1).

    A snapshot that does not come is asked for once more, at the second call of `heartbeat_frames` after the
    subscription; if it still does not, the scrip is reported as refused.

    `scrip_limit`: subscriptions that a connection may hold, both channels counted.
    `lone_tokens`: those that the whole list of instruments has on one exchange only; who made the codec keeps them.
    """

    waits_for_ready = True
    variant: ClassVar[str] = "accesstoken"
    source: ClassVar[str] = "API"
    exchanges: ClassVar[tuple[str, ...]] = EXCHANGES
    heartbeat: ClassVar[str] = noren_json({"t": "h"})

    def __init__(
        self, memory: SessionMemory | None = None, scrip_limit: int = 1000, lone_tokens: Collection[str] = ()
    ) -> None:
        super().__init__()
        self._lone_tokens = lone_tokens
        self._scrip_limit = scrip_limit
        self._beats = 0
        self._memory = memory or SessionMemory()
        self._states: dict[str, dict[Hashable, ScripState]] = {TOUCHLINE: {}, DEPTH: {}}
        self._missing: Unanswered[tuple[str, _Key]] = Unanswered()
        """Subscriptions without a snapshot: (channel, key)."""

    # -- out ---------------------------------------------------------------------------------------------

    def wire_key(self, instrument: Instrument) -> _Key:
        """(exchange, token) as the wire has them: about 2,250 numbers exist both in NSE and CDS."""
        token = instrument.token
        if instrument.exchange not in self.exchanges:
            raise ValueError(f"{instrument.symbol}: this feed has no exchange {instrument.exchange}")
        if not 0 < len(token) <= 20 or not token.isascii() or not token.isdecimal():
            raise ValueError(f"{instrument.symbol}: {token!r} is no token of this feed, which is a number")
        return instrument.exchange.removesuffix("_INDEX"), token

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        user, token = self.identity(credentials)
        variant = credentials.get("variant") or self.variant
        connect = {"t": _CONNECT_TYPES[variant], "uid": user, "actid": user, "source": self.source, variant: token}
        return [noren_json(connect)]

    def identity(self, credentials: Credentials) -> tuple[str, str]:
        """User id and token as the connect message wants them."""
        return credentials["user_id"], credentials["token"]

    def heartbeat_frames(self) -> list[Frame]:
        is_due = self._beats % _CALLS_A_HEARTBEAT == 0
        self._beats += 1
        return [self.heartbeat, *self._asking_again()] if is_due else [*self._asking_again()]

    def close_frames(self) -> list[Frame]:
        self._memory.ended(by_broker=False)
        return []

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        keys = [self.wire_key(instrument) for instrument in instruments]
        for key in keys:
            self._states[kind].pop(key, None)  # a delta before the new snapshot must not revive an old state
            self._missing.asked((kind, key))
        return [_request(_SUBSCRIBE[kind], keys)] if keys else []

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        keys = [self.wire_key(instrument) for instrument in instruments]
        ending = [
            key for key, instrument in zip(keys, instruments, strict=True) if not self._shared(key, instrument, kind)
        ]
        for key in ending:
            self._missing.settled((kind, key))
        return [_request(_UNSUBSCRIBE[kind], ending)] if ending else []

    def unsubscribe(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        frames = super().unsubscribe(instruments, kind)
        for instrument in instruments:
            for states in self._states.values():
                states.pop(self.wire_key(instrument), None)
        return frames

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        # In between, the scrips count on both channels; without room for that the old one has to go first.
        if len(self.kinds) + len(instruments) > self._scrip_limit:
            return [*self.unsubscribe_frames(instruments, old), *self.subscribe_frames(instruments, new)]
        return super().change_frames(instruments, old, new)

    def _shared(self, key: _Key, instrument: Instrument, kind: str) -> bool:
        """Whether another instrument of the same key (an index beside a share) still needs the subscription."""
        return any(other != instrument and self.kinds.get(other) == kind for other in self._claims.get(key, ()))

    def _asking_again(self) -> list[str]:
        late: dict[str, list[_Key]] = {}
        for kind, key in self._missing.beat():
            late.setdefault(kind, []).append(key)
        return [_request(_SUBSCRIBE[kind], keys) for kind, keys in late.items()]

    # -- in ----------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        try:
            message = _decode(frame)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return Decoded(event=Event.MALFORMED, message="no JSON")
        if not isinstance(message, dict):
            return Decoded(event=Event.MALFORMED, message="no JSON object")
        kind = message.get("t")
        if not isinstance(kind, str):
            return self._untyped(message) if kind is None else Decoded(unknown=1)
        channel = _FEEDS.get(kind)
        decoded = self._market(message, kind, channel) if channel is not None else self._other(message, kind)
        if self._missing.silent:
            self._report_silence(decoded)
        return decoded

    def _market(self, message: Mapping[str, Any], kind: str, channel: str) -> Decoded:
        exchange, token = message.get("e"), message.get("tk")
        if type(token) is int:
            token = str(token) if -(10**20) < token < 10**20 else "-"
        if not isinstance(token, str) or token.strip() in _NOTHING:
            return Decoded(event=Event.MALFORMED, message=f"{kind} without a token")
        key = self._key(exchange, token)
        instrument = self.routes.get(key) if key is not None else None
        if instrument is None or key is None:
            return Decoded(unrouted=1)
        states = self._states[channel]
        state = states.get(key)
        if state is None or kind in _SNAPSHOTS:
            state = states[key] = ScripState(instrument, _MODES[channel])
            if kind in _SNAPSHOTS:
                self._missing.settled((channel, key))
        state.merge(message)
        tick = state.tick()
        return Decoded() if tick is None else Decoded(ticks=[tick])

    def _key(self, exchange: object, token: str) -> _Key | None:
        """Which scrip a frame is about. Without an exchange it may be any of that token, since tokens repeat across
        exchanges (section 5.7): that only one of them is subscribed does not say that the frame is about it, that
        the list has no other does."""
        if isinstance(exchange, str) and exchange.strip() not in _NOTHING:
            return exchange, token
        if token in self._lone_tokens:
            keys = ((each.removesuffix("_INDEX"), token) for each in self.exchanges)
            return next((key for key in keys if key in self.routes), None)
        return None

    def _other(self, message: Mapping[str, Any], kind: str) -> Decoded:
        if kind in _CONNECT_ANSWERS:
            status = message["s"] if "s" in message else message.get("k")
            if not isinstance(status, str) or status.strip().lower() != "ok":
                return self._refused()
            self._memory.accepted()
            return Decoded(event=Event.ACK, ready=True)
        if kind in _ACKS:
            return Decoded(event=Event.ACK)
        if kind in _HEARTBEATS:
            return Decoded(event=Event.HEARTBEAT)
        if kind == "om":
            order = order_of(message)
            if order is None:
                return Decoded(event=Event.MALFORMED, message="an order without a number")
            return Decoded(orders=[order])
        if kind in _NOT_OURS:
            return Decoded()
        return self._untyped(message) if not kind else Decoded(unknown=1)

    def _untyped(self, message: Mapping[str, Any]) -> Decoded:
        """A frame without a type: an error, or nothing that the protocol knows."""
        status, words = message.get("stat"), message.get("emsg")
        if not isinstance(status, str) or status.strip().lower() != "not_ok":
            return Decoded(event=Event.MALFORMED, message="a frame without type")
        text = words if isinstance(words, str) else ""
        if "session" in text.lower():
            return self._refused()
        return Decoded(event=Event.ERROR, message=text[:200] or "an error without words")

    def _refused(self) -> Decoded:
        if self._memory.refused():
            return Decoded(event=Event.ERROR, message="the broker refused the session for now", restart=True)
        return Decoded(event=Event.AUTH_ERROR, message=REFUSAL)

    def _report_silence(self, decoded: Decoded) -> None:
        silent = [
            instrument
            for kind, key in self._missing.silent
            for instrument in self._claims.get(key, ())
            if self.kinds.get(instrument) == kind
        ]
        report_silence(decoded, silent)
        self._missing.silent.clear()


def _request(verb: str, keys: Iterable[_Key]) -> str:
    return noren_json({"t": verb, "k": "#".join(f"{exchange}|{token}" for exchange, token in dict.fromkeys(keys))})
