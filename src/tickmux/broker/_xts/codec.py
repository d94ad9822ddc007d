"""The XTS feed's wire protocol: a Socket.IO stream, subscribed over REST (specification sections 3 to 7).

Pure and stateful: instruments' states belong to one connection, so nothing of an old session reaches a new one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tickmux.broker._xts.binary import read_packet
from tickmux.broker._xts.market import InstrumentState
from tickmux.broker._xts.messages import (
    CODES,
    DEPTH,
    LTP,
    OPEN_INTEREST,
    QUOTE,
    SEGMENT_OF,
    SEGMENTS,
    Full,
    Key,
    Message,
    Properties,
    digits,
)
from tickmux.broker._xts.rest import (
    BINARY_PREFIX,
    LOGIN,
    LOGOUT,
    QUOTES,
    SUBSCRIPTION,
    Verdict,
    error_words,
    keys_of,
    login_body,
    read_answer,
    says_token_is_dead,
    shown,
)
from tickmux.broker._xts.socketio import CONNECT, GOODBYE, PING, Kind, Packet, SocketIo
from tickmux.broker._xts.subscriptions import Subscriptions
from tickmux.broker._xts.text import PROPERTY_CHANGE, Malformed, NoInstrument, read_payload
from tickmux.codec import Credentials, Decoded, Event, FeedCodec, Frame, HttpRequest
from tickmux.instrument import Instrument

BINARY_EVENT = "xts-binary-packet"
_READ_CODES = CODES | {PROPERTY_CHANGE}
_KNOWN_CODES = frozenset({1504, 1505, 1507, 5018})
"""Candles, indices by name, market status, 100 levels: nothing that is subscribed here."""
_GREETINGS = frozenset({"joined", "success", "warning"})


class XtsCodec(FeedCodec):
    """One connection. Kinds are `ltp`, `quote` and `depth`; the session's prefix decides on LTP's code.

    prefix:     where the stream comes from unless the session says otherwise.
    ltp_code:   what LTP subscribes on the JSON prefix; on the binary one there is no 1512.
    source:     what a login says of its client, "" for nothing.
    generation: of Engine.IO; see `socketio`.
    """

    waits_for_ready = True

    def __init__(self, prefix: str, ltp_code: int = LTP, source: str = "", generation: int = 3) -> None:
        super().__init__()
        self.heartbeat_interval: float | None = None
        """Seconds between pings as the server's open packet wants them."""
        self._prefix = prefix
        self._ltp_code = ltp_code
        self._source = source
        self._socket = SocketIo(generation)
        self._subscriptions = Subscriptions()
        self._states: dict[Key, InstrumentState] = {}
        self._readers: dict[Kind, Callable[[Packet], Decoded]] = {
            Kind.EVENT: self._event,
            Kind.ATTACHMENT: self._attachment,
            Kind.OPEN: self._opened,
            Kind.CONNECTED: lambda _: Decoded(event=Event.ACK, ready=True),
            Kind.PING: lambda packet: Decoded(event=Event.HEARTBEAT, replies=[packet.payload]),
            Kind.PONG: lambda _: Decoded(event=Event.HEARTBEAT),
            Kind.REFUSED: lambda packet: self._dead("the broker refused the session", packet.payload),
            Kind.CLOSED: lambda _: Decoded(event=Event.ERROR, message="the broker ended the session", restart=True),
            Kind.IGNORED: lambda _: Decoded(),
            Kind.MALFORMED: lambda _: Decoded(event=Event.MALFORMED),
        }

    # -- out -----------------------------------------------------------------------------------------------

    def wire_key(self, instrument: Instrument) -> Key:
        segment, number = SEGMENTS.get(SEGMENT_OF.get(instrument.exchange, "")), digits(instrument.token)
        if segment is None or number is None:
            raise ValueError(f"XTS has no segment for {instrument.exchange}, or no number in {instrument.token!r}")
        return segment, number

    def code_of(self, kind: str) -> int:
        """The message code that serves a kind."""
        if kind == "ltp":
            return QUOTE if self._prefix == BINARY_PREFIX else self._ltp_code
        return DEPTH if kind == "depth" else QUOTE

    def _keys(self, instruments: Iterable[Instrument]) -> list[Key]:
        return [self.wire_key(instrument) for instrument in instruments]

    def subscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        return [*self._subscriptions.calls("POST", self._keys(instruments), self.code_of(kind))]

    def unsubscribe_frames(self, instruments: Sequence[Instrument], kind: str) -> list[Frame]:
        keys = self._keys(instruments)
        calls = self._subscriptions
        return [*calls.calls("PUT", keys, self.code_of(kind)), *calls.end_open_interest(keys)]

    def change_frames(self, instruments: Sequence[Instrument], old: str, new: str) -> list[Frame]:
        keys, old_code, new_code = self._keys(instruments), self.code_of(old), self.code_of(new)
        calls = self._subscriptions
        frames: list[Frame] = []
        if old_code != new_code:
            for key in keys:
                if (state := self._states.get(key)) is not None:
                    state.change(old_code, new_code)
            frames += [*calls.calls("POST", keys, new_code), *calls.calls("PUT", keys, old_code)]
        elif old == "ltp":
            frames += calls.want_open_interest(keys)
        if new == "ltp":
            frames += self._end_open_interest(keys)
        return frames

    def _end_open_interest(self, keys: Sequence[Key]) -> list[HttpRequest]:
        for key in keys:
            if (state := self._states.get(key)) is not None:
                state.forget_open_interest()
        return self._subscriptions.end_open_interest(keys)

    def open_frames(self, credentials: Credentials) -> list[Frame]:
        self._subscriptions.token = credentials.get("token")
        self._prefix = credentials.get("prefix") or self._prefix
        return []

    def heartbeat_frames(self) -> list[Frame]:
        return [PING] if self._socket.generation == 3 else []

    def close_frames(self) -> list[Frame]:
        """What is subscribed outlives the socket and counts against the key's limit: it is dropped, if possible."""
        by_kind: dict[str, list[Instrument]] = {}
        for instrument, kind in self.kinds.items():
            by_kind.setdefault(kind, []).append(instrument)
        drops = [frame for kind, held in by_kind.items() for frame in self.unsubscribe_frames(held, kind)]
        return [*drops, *GOODBYE]

    def call_frames(self, call: Mapping[str, Any]) -> list[Frame]:
        instruments = call.get("instruments", ())
        match call.get("op"), call.get("mode"):
            case "login", _:
                body = login_body(str(call.get("app_key", "")), str(call.get("secret_key", "")), self._source)
                return [HttpRequest("POST", LOGIN, {}, body)]
            case "logout", _:
                return [HttpRequest("DELETE", LOGOUT, {"Authorization": self._subscriptions.token})]
            case "subscribe", "OI":
                return [*self._subscriptions.calls("POST", self._keys(instruments), OPEN_INTEREST)]
            case "unsubscribe", "OI":
                return [*self._subscriptions.calls("PUT", self._keys(instruments), OPEN_INTEREST)]
            case (("quotes" | "snapshot"), mode):
                (request,) = self._subscriptions.calls(
                    "POST", self._keys(instruments), self.code_of(str(mode).lower())
                )
                body = {**request.body, "publishFormat": "JSON"}
                return [HttpRequest("POST", QUOTES, request.headers, body)]
        return super().call_frames(call)

    # -- in: the socket --------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Decoded:
        packet = self._socket.read(frame)
        return self._readers[packet.kind](packet)

    def _opened(self, packet: Packet) -> Decoded:
        self.heartbeat_interval = packet.payload
        return Decoded(event=Event.ACK, replies=[CONNECT] if self._socket.generation == 4 else [])

    def _event(self, packet: Packet) -> Decoded:
        name = packet.name
        code = digits(name[:4]) if name[4:9] == "-json" else None
        if code in _READ_CODES:
            return self._read(packet.payload, code)
        if code in _KNOWN_CODES:
            return Decoded()
        if name in _GREETINGS:
            return Decoded(event=Event.ACK)
        if name == "message":
            return self._generic(packet.payload)
        if name == "logout":
            return self._dead("the broker ended the session", packet.payload)
        if name == "error":
            if says_token_is_dead(packet.payload):
                return self._dead("the broker no longer accepts the token", packet.payload)
            return Decoded(event=Event.ERROR, message=self._shown(error_words(packet.payload)))
        return Decoded(unknown=1)

    def _attachment(self, packet: Packet) -> Decoded:
        if packet.name != BINARY_EVENT:
            return Decoded(unknown=1)
        messages, unknown, malformed = read_packet(packet.payload)
        decoded = self._ticks(messages)
        decoded.unknown = unknown
        if malformed:
            decoded.event = Event.MALFORMED
        return decoded

    def _read(self, payload: object, code: int) -> Decoded:
        messages: list[Message] = []
        malformed = False
        try:
            messages.extend(read_payload(payload, code))
        except Malformed:
            malformed = True
        decoded = self._ticks(messages)
        if malformed:
            decoded.event = Event.MALFORMED
        return decoded

    def _generic(self, payload: object) -> Decoded:
        """Some builds send market data under the name `message`; everything else under it is talk."""
        try:
            return self._ticks(list(read_payload(payload, 0)))
        except NoInstrument:
            return Decoded(event=Event.MALFORMED)
        except Malformed:
            return Decoded()

    def _ticks(self, messages: Iterable[Message]) -> Decoded:
        decoded = Decoded()
        for message in messages:
            state = self._states.get(message.key)
            if state is None:
                # Property changes come unasked for instruments that nobody ever subscribed.
                decoded.unrouted += not isinstance(message, Properties)
                continue
            tick = state.apply(message)
            if tick is not None:
                decoded.ticks.append(tick)
        return decoded

    def _dead(self, what: str, payload: object) -> Decoded:
        words = self._shown(error_words(payload)) if payload else ""
        return Decoded(event=Event.AUTH_ERROR, message=f"{what}: {words}" if words else what)

    def _shown(self, words: str) -> str:
        return shown(words, self._subscriptions.token)

    # -- in: REST --------------------------------------------------------------------------------------------

    def decode_http(self, request: HttpRequest, status: int, body: bytes) -> Decoded:
        answer = read_answer(status, body)
        words = self._shown(answer.words)
        if answer.verdict is Verdict.AUTH_ERROR:
            return Decoded(
                event=Event.AUTH_ERROR,
                message=f"the broker no longer accepts the token: {words}",
                guessed=not says_token_is_dead(answer.words),
            )
        if request.url != SUBSCRIPTION:
            accepted = answer.verdict is Verdict.ACCEPTED
            return Decoded(event=Event.ACK) if accepted else Decoded(event=Event.ERROR, message=words)
        keys = keys_of(request)
        with_open_interest = [key for key in keys if (held := self.routes.get(key)) and self.kinds.get(held) != "ltp"]
        outcome = self._subscriptions.answered(request, answer, with_open_interest)
        decoded = Decoded()
        if answer.verdict is Verdict.ACCEPTED:
            decoded = self._snapshot(answer.result.get("listQuotes"), int(request.body["xtsMessageCode"]))
            decoded.event = Event.ACK
        elif outcome.words:
            decoded.event = Event.ERROR
            decoded.message = self._shown(outcome.words)
        decoded.replies = [*outcome.follow]
        decoded.restart = outcome.failed
        decoded.refused = [self._give_up(self.routes[key]) for key in outcome.refused if key in self.routes]
        return decoded

    def _snapshot(self, quotes: object, code: int) -> Decoded:
        messages: list[Message] = []
        for quote in quotes if isinstance(quotes, list) else ():
            try:
                messages.extend(read_payload(quote, code))
            except Malformed:
                continue
        decoded = Decoded()
        for message in messages:
            state = self._states.get(message.key)
            tick = state.snapshot(message) if state is not None and isinstance(message, Full) else None
            if tick is not None:
                decoded.ticks.append(tick)
        return decoded

    def _give_up(self, instrument: Instrument) -> Instrument:
        """The broker will not have it: it counts as not subscribed, so that it may be tried again later."""
        self._release(instrument)
        self.kinds.pop(instrument, None)
        return instrument

    # -- routes ----------------------------------------------------------------------------------------------

    def _reroute(self, key: Any, claims: list[Instrument]) -> None:
        super()._reroute(key, claims)
        routed = self.routes.get(key)
        state = self._states.get(key)
        if routed is None:
            self._states.pop(key, None)
        elif state is None or state.instrument is not routed:
            self._states[key] = InstrumentState(routed)
