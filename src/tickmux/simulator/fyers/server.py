"""FYERS' servers: the quote feed "HSM", the depth feed "TBT", and as much REST as login, lists and SDK need.

Section numbers are those of the broker's specification. Wire formats are in `fyers_wire`, names and files in
`fyers_lists`.
"""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from tickmux.codec import Credentials
from tickmux.simulator.fyers import lists as lists
from tickmux.simulator.fyers import wire as wire
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import Security
from tickmux.simulator.server.base import BrokerSimulator, Packet
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

APP_ID, SECRET = "SIM12345-100", "simulated-secret"
ACKNOWLEDGE_EVERY = 20

_TOKEN_ENDS = 4102444800  # far away: a simulated token dies when it is told to
_MOST_CONNECTIONS = 3
_MOST_SYMBOLS_TBT = 5
_STREAM_LITE = 76


class _Change(NamedTuple):
    """What an HSM subscriber is told: all values of a topic, or those that have changed."""

    whole: bool
    values: tuple[int, ...]


class _Book(NamedTuple):
    """What was last said of a book on TBT."""

    bids: wire.BookSide
    asks: wire.BookSide
    total_buy: int
    total_sell: int


class _HsmSession:
    """One quote client's state. Channels are bits, as on the wire."""

    def __init__(self) -> None:
        self.authenticated = False
        self.lite = 0
        self.paused = 0
        self.frames = 0
        self.acknowledged = 0
        """The last message number that the client has acknowledged."""
        self.channels: dict[tuple[Security, str], int] = {}


class _TbtSession:
    """One depth client's state: what it subscribed on which channel, and which channels are on."""

    def __init__(self) -> None:
        self.channels: dict[str, dict[Security, None]] = {}
        self.resumed: set[str] = set()

    @property
    def symbols(self) -> set[Security]:
        return {security for members in self.channels.values() for security in members}


class FyersSimulator(BrokerSimulator):
    """Kinds are `sf` (an index's `if`, too), `dp`, and `tbt` on the depth feed."""

    name = "fyers"
    endpoints = {"hsm": "ws:/hsm/v1-5/prod", "tbt": "ws:/versova", "api": "http:/", "lists": "http:/sym_details"}

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.symbol_limit = 5000
        """Symbols on one quote connection; a plan may allow less."""
        offered = [security for security in exchange.securities if security.exchange in lists.SEGMENTS]
        self._by_ticker = {lists.ticker(security): security for security in offered}
        self._topics: dict[str, tuple[Security, str]] = {}
        self._ids: dict[tuple[Security, str], int] = {}
        for security in offered:
            topic = lists.quote_topic(security)
            self._add_topic(topic, security, "sf")
            if not security.is_index:
                self._add_topic(f"dp{topic[2:]}", security, "dp")
        self._names = {owner: topic for topic, owner in self._topics.items()}
        self._said: dict[tuple[Security, str], Any] = {}
        self._sequence = 0
        self._auth_code = ""
        self._auth_codes_made = 0

    def _add_topic(self, topic: str, security: Security, kind: str) -> None:
        self._topics[topic] = security, kind
        self._ids[security, kind] = len(self._ids) + 1

    def make_credentials(self, number: int) -> Credentials:
        key = hashlib.sha256(f"simulated feed key {number}".encode()).hexdigest()[:28]
        parts = ({"alg": "none", "typ": "JWT"}, {"sub": "access_token", "exp": _TOKEN_ENDS, "hsm_key": key})
        token = ".".join(urlsafe_b64encode(msgspec.json.encode(part)).decode().rstrip("=") for part in parts)
        return Credentials({"app_id": APP_ID, "access_token": f"{token}.simulated{number}", "hsm_key": key})

    # -- both feeds --------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        if endpoint == "tbt" and not self._is_logged_in(request):
            return Response(401, b"invalid token")
        if sum(client.endpoint == endpoint for client in self.clients) >= _MOST_CONNECTIONS:
            return Response(429, b"too many connections")
        return None

    def greet(self, client: Client) -> None:
        client.session = _TbtSession() if client.endpoint == "tbt" else _HsmSession()

    def received(self, client: Client, message: str | bytes) -> None:
        if client.endpoint == "tbt":
            self._received_tbt(client, message)
        elif isinstance(message, bytes) and (request := wire.read_request(message)) is not None:
            self._received_hsm(client, *request)

    def encode(self, security: Security, kind: str) -> Any:
        if kind == "tbt":
            return self._encode_book(security)
        values = _values(security, kind)
        old = self._said.get((security, kind))
        self._said[security, kind] = values
        if old is None:
            return _Change(True, values)
        changed = wire.changes(old, values)
        return _Change(False, changed) if changed is not None else None

    def snapshot(self, client: Client, security: Security, kind: str) -> Any:
        self._said.pop((security, kind), None)
        return self.encode(security, kind)

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[str | bytes]:
        return self._pack_tbt(packets) if client.endpoint == "tbt" else self._pack_hsm(client.session, packets)

    # -- HSM (sections 4.1 to 5.2) -----------------------------------------------------------------------

    def _received_hsm(self, client: Client, kind: int, fields: dict[int, bytes]) -> None:
        session: _HsmSession = client.session
        if kind == 1:
            key = fields.get(1, b"").decode("latin-1")
            session.authenticated = self.knows(hsm_key=key)
            interval = ACKNOWLEDGE_EVERY if session.authenticated else 0
            client.send(wire.response(1, (1, _status(session.authenticated)), (2, interval.to_bytes(4, "big"))))
        elif kind == 3:
            session.acknowledged = int.from_bytes(fields.get(1, b""), "big")
        elif kind == 4:
            self._subscribe_topics(client, fields)
        elif kind == 5:
            owners = self._owners(fields)
            known = session.authenticated and owners is not None
            client.send(wire.response(5, (1, _status(known))))
            for security, topic_kind in owners or ():
                self.unsubscribe(client, (security,), topic_kind)
                session.channels.pop((security, topic_kind), None)
        elif kind in (7, 8, 12):
            client.send(wire.response(kind, (1, _status(session.authenticated))))
            self._set_channels(client, kind, int.from_bytes(fields.get(1, b"")[:8], "big"), fields.get(2, b""))

    def _subscribe_topics(self, client: Client, fields: dict[int, bytes]) -> None:
        session: _HsmSession = client.session
        owners = self._owners(fields)
        if not session.authenticated or owners is None:
            client.send(wire.response(4, (1, _status(False))))
            return
        symbols = {security for security, _ in owners} | client.subscriptions.keys()
        if len(symbols) > self.symbol_limit:
            words = b"Symbol subscription limit exceeded"
            client.send(wire.response(51, (1, (51001).to_bytes(4, "big")), (2, words), (3, b"\x04")))
            client.send(wire.response(4, (1, _status(False))))
            return
        client.send(wire.response(4, (1, _status(True))))
        channel = 1 << (fields.get(2, b"\x00")[:1] or b"\x00")[0] % 64
        for owner in owners:
            session.channels[owner] = channel
        for kind in ("sf", "dp"):
            self.subscribe(client, [security for security, topic_kind in owners if topic_kind == kind], kind)

    def _owners(self, fields: dict[int, bytes]) -> list[tuple[Security, str]] | None:
        """Whom the topics of a request are about; None where one of them does not exist."""
        topics = wire.read_topics(fields.get(1, b""))
        if not topics or any(topic not in self._topics for topic in topics):
            return None
        return [self._topics[topic] for topic in topics]

    def _set_channels(self, client: Client, kind: int, channels: int, mode: bytes) -> None:
        session: _HsmSession = client.session
        if kind == 7:
            session.paused |= channels
        elif kind == 12:
            lite = mode[:1] == bytes((_STREAM_LITE,))
            session.lite = session.lite | channels if lite else session.lite & ~channels
        elif session.paused & channels:
            session.paused &= ~channels
            missed = [owner for owner, channel in session.channels.items() if channel & channels]
            self._deliver(client, [(s, topic_kind, self.snapshot(client, s, topic_kind)) for s, topic_kind in missed])

    def _pack_hsm(self, session: _HsmSession, packets: Sequence[Packet]) -> Iterable[bytes]:
        items = []
        for security, kind, change in packets:
            owner = (security, kind)
            channel = session.channels.get(owner, 0)
            if channel & session.paused:
                continue
            if change.whole:
                multiplier, precision = wire.scale(security)
                names = lists.frame_names(security)
                items.append(
                    wire.snapshot_item(
                        self._ids[owner], self._names[owner], change.values, multiplier, precision, names
                    )
                )
            elif not channel & session.lite:
                items.append(wire.update_item(self._ids[owner], change.values))
            elif kind == "sf" and change.values[0] != wire.UNCHANGED:
                items.append(wire.lite_item(self._ids[owner], change.values[0]))
        for batch in wire.item_batches(items):
            session.frames += 1
            yield wire.data_frame(session.frames, batch)

    # -- TBT (sections 4.4 and 5.3) ----------------------------------------------------------------------

    def _received_tbt(self, client: Client, message: str | bytes) -> None:
        if message == "ping":
            client.send("pong")
            return
        try:
            request = _decode_request(message)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            client.send(wire.error_message("invalid request"))
            return
        if request.type == 1:
            self._subscribe_books(client, request.data)
        elif request.type == 2:
            self._switch_channels(client, request.data)

    def _subscribe_books(self, client: Client, data: "_RequestData") -> None:
        session: _TbtSession = client.session
        chosen = [self._by_ticker.get(name) for name in data.symbols]
        securities = [s for s in chosen if s is not None and s.exchange in ("NSE", "NFO")]
        if len(securities) < len(chosen):
            client.send(wire.error_message("invalid symbol"))
        elif data.subs < 0:
            members = session.channels.get(data.channel, {})
            for security in securities:
                members.pop(security, None)
            self.unsubscribe(client, [s for s in securities if s not in session.symbols], "tbt")
        elif len(session.symbols | set(securities)) > _MOST_SYMBOLS_TBT:
            client.send(wire.error_message(f"at most {_MOST_SYMBOLS_TBT} symbols on one connection"))
        else:
            session.channels.setdefault(data.channel, {}).update(dict.fromkeys(securities))
            if data.channel in session.resumed:
                self.subscribe(client, securities, "tbt")

    def _switch_channels(self, client: Client, data: "_RequestData") -> None:
        session: _TbtSession = client.session
        for channel in data.pause_channels:
            session.resumed.discard(channel)
            self.unsubscribe(client, list(session.channels.get(channel, ())), "tbt")
        for channel in data.resume_channels:
            if channel not in session.resumed and len(session.resumed) < 50:
                session.resumed.add(channel)
                self.subscribe(client, list(session.channels.get(channel, ())), "tbt")

    def _encode_book(self, security: Security) -> tuple[bool, bytes] | None:
        """Whether it is a snapshot, and the MarketFeed."""
        old: _Book | None = self._said.get((security, "tbt"))
        book = _Book(
            wire.book_side(security.bids), wire.book_side(security.asks), security.total_buy, security.total_sell
        )
        if book == old:
            return None
        self._said[security, "tbt"] = book
        levels = (
            wire.level_changes(old and old.bids, book.bids),
            wire.level_changes(old and old.asks, book.asks),
        )
        depth = wire.depth_message(
            levels,
            None if old and old.total_buy == book.total_buy else book.total_buy,
            None if old and old.total_sell == book.total_sell else book.total_sell,
        )
        self._sequence += 1
        feed = wire.feed_message(
            depth,
            security.updated_at // 1000,
            lists.fytoken(security),
            self._sequence,
            lists.ticker(security),
            snapshot=old is None,
        )
        return old is None, feed

    def _pack_tbt(self, packets: Sequence[Packet]) -> Iterable[bytes]:
        for snapshot in (True, False):
            feeds = [(lists.fytoken(security), feed) for security, _, (whole, feed) in packets if whole is snapshot]
            if feeds:
                yield wire.socket_message(feeds, snapshot=snapshot)

    # -- REST --------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        route = (request.method, request.path.rstrip("/"))
        if route == ("GET", "/api/v3/generate-authcode"):
            return self._login_page(request)
        if route == ("POST", "/api/v3/validate-authcode"):
            return self._exchange_code(request)
        if route == ("GET", "/indus/home/tbtws"):
            if not self._is_logged_in(request):
                return _error(401, -16, "Could not authenticate the user")
            return Response.json({"s": "ok", "code": 200, "data": {"socket_url": self.urls["tbt"]}})
        if route == ("POST", "/data/symbol-token"):
            return self._symbol_tokens(request)
        folder, _, filename = route[1].rpartition("/")
        if route[0] == "GET" and folder == "/sym_details":
            content = lists.instrument_files(self.exchange.securities).get(filename)
            if content is not None:
                return Response(200, content)
        return _error(404, -1, "not found")

    def new_auth_code(self) -> str:
        """What the browser brings back from the login page: good for one exchange; a newer one replaces it."""
        self._auth_codes_made += 1
        self._auth_code = f"simulated-code-{self._auth_codes_made}"
        return self._auth_code

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        return list(lists.instrument_files(self.exchange.securities).items())

    def _is_logged_in(self, request: Request) -> bool:
        app_id, _, token = request.headers.get("authorization", "").partition(":")
        return self.knows(app_id=app_id, access_token=token)

    def _login_page(self, request: Request) -> Response:
        query = request.query
        target = query.get("redirect_uri", "")
        if query.get("client_id") != APP_ID or query.get("response_type") != "code" or not target:
            return _error(400, -5, "invalid app id or redirect uri")
        back = {"s": "ok", "code": "200", "auth_code": self.new_auth_code(), "state": query.get("state", "")}
        return Response.redirect(target, back)

    def _exchange_code(self, request: Request) -> Response:
        body = request.json()
        code, self._auth_code = self._auth_code, ""  # any attempt uses it up
        if not isinstance(body, dict) or body.get("grant_type") != "authorization_code":
            return _error(400, -50, "invalid input")
        if body.get("appIdHash") != hashlib.sha256(f"{APP_ID}:{SECRET}".encode()).hexdigest():
            return _error(401, -5, "invalid app id hash")
        if not code or body.get("code") != code:
            return _error(401, -437, "invalid auth code")
        self.expire_token()
        token = self.new_token()["access_token"]
        return Response.json({"s": "ok", "code": 200, "message": "", "access_token": token, "refresh_token": "none"})

    def _symbol_tokens(self, request: Request) -> Response:
        if not self.knows(access_token=request.headers.get("authorization", "")):
            return _error(401, -16, "Could not authenticate the user")
        body = request.json()
        names = body.get("symbols") if isinstance(body, dict) else None
        if not isinstance(names, list) or len(names) > 500:
            return _error(400, -50, "invalid input")
        known = {name: self._by_ticker[name] for name in names if isinstance(name, str) and name in self._by_ticker}
        # Not in the order of the request, as in reality (section 4.2).
        valid = {name: lists.fytoken(known[name]) for name in sorted(known, reverse=True)}
        invalid = [name for name in names if not isinstance(name, str) or name not in known]
        return Response.json({"s": "ok", "validSymbol": valid, "invalidSymbol": invalid})


def _values(security: Security, kind: str) -> tuple[int, ...]:
    return wire.depth_values(security) if kind == "dp" else wire.quote_values(security)


def _status(done: bool) -> bytes:
    return b"K" if done else b"N"


def _error(status: int, code: int, message: str) -> Response:
    return Response.json({"s": "error", "code": code, "message": message}, status)


class _RequestData(msgspec.Struct):
    subs: int = 1
    symbols: list[str] = []
    channel: str = ""
    resume_channels: list[str] = msgspec.field(default_factory=list, name="resumeChannels")
    pause_channels: list[str] = msgspec.field(default_factory=list, name="pauseChannels")


class _Request(msgspec.Struct):
    type: int = 0
    data: _RequestData = msgspec.field(default_factory=_RequestData)


_decode_request = msgspec.json.Decoder(_Request).decode

SIMULATOR = FyersSimulator
