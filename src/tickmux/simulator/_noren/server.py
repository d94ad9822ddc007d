"""The servers of the Noren family: feed, OAuth login, instrument files. A member sets what differs.

Section numbers are those of the family's specification.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec

from tickmux.codec import Credentials
from tickmux.simulator._noren.lists import broker_symbol, family_files
from tickmux.simulator._noren.wire import DEPTH, TOUCHLINE, Fields, about, identity, market_fields, wire_exchange
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import Security
from tickmux.simulator.server.base import BrokerSimulator
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

USER_ID, CLIENT_ID, SECRET_KEY = "SIM001", "SIM001_U", "simulated-secret"

_TOKEN_LIFE = 12 * 3600
_KINDS = {"t": TOUCHLINE, "u": TOUCHLINE, "d": DEPTH, "ud": DEPTH}
_ENDS = {"u": "uk", "ud": "udk"}
_SNAPSHOTS = {TOUCHLINE: "tk", DEPTH: "dk"}
_DELTAS = {TOUCHLINE: "tf", DEPTH: "df"}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def message(**fields: str) -> str:
    return msgspec.json.encode(fields).decode()


class NorenSimulator(BrokerSimulator):
    """Kinds are the channels. Only the latest connection lives: a new one of the same user evicts the one before.

    A connection that has not said who it is is told nothing (section 3).
    """

    exchanges: ClassVar[tuple[str, ...]] = ("NSE", "BSE", "NFO", "BFO", "CDS", "MCX", "NSE_INDEX", "BSE_INDEX")
    connect_type: ClassVar[str] = "a"
    session_field: ClassVar[str] = "accesstoken"
    source: ClassVar[str] = "API"
    accepted_word: ClassVar[str] = "Ok"
    answers_heartbeats: ClassVar[bool] = True
    answers_unsubscribing: ClassVar[bool] = True
    most_scrips: ClassVar[int | None] = None
    ticks_in_paise: ClassVar[bool] = False
    callback_name: ClassVar[str] = "code"

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.redirect_url = ""
        """Where the login page sends the browser; empty: it shows the code."""
        self._code = ""
        self._codes_made = 0
        self._said: dict[tuple[Security, str], Fields] = {}
        self._files: dict[str, bytes] | None = None
        self._by_key: dict[tuple[str, str], Security] = {}
        for security in exchange.securities:
            if security.exchange in self.exchanges:
                self._by_key[wire_exchange(security), str(security.token)] = security
        self._routes: dict[tuple[str, str], Callable[[Request], Response]] = {}
        self.add_routes()

    @property
    def listed(self) -> Iterable[Security]:
        """What the broker has of the exchange."""
        return self._by_key.values()

    def make_credentials(self, number: int) -> Credentials:
        return Credentials({"user_id": USER_ID, "token": f"simulated-token-{number}"})

    # -- what members change -----------------------------------------------------------------------------

    def expected_connect(self) -> Fields:
        """The connect message that is accepted now."""
        user = self.credentials["user_id"]
        return {
            "t": self.connect_type,
            "uid": user,
            "actid": user,
            "source": self.source,
            self.session_field: self.credentials["token"],
        }

    def connect_answer(self, accepted: bool) -> str:
        kind = "ak" if self.connect_type == "a" else "ck"
        return message(t=kind, uid=USER_ID, s=self.accepted_word if accepted else "Not_Ok")

    def snapshot_extras(self, security: Security, kind: str) -> Fields:
        """Fields of snapshots that only this member sends."""
        return {}

    def token_answer(self, token: str) -> Fields:
        """What the login's code buys."""
        return {
            "stat": "Ok",
            "access_token": token,
            "refresh_token": f"{token}-r",
            "susertoken": f"{token}-s",
            "expires_in": str(int(time.time()) + _TOKEN_LIFE),
            "USERID": USER_ID,
            "actid": USER_ID,
            "uname": "Simulated User",
        }

    def add_routes(self) -> None:
        """Fills the table of REST routes."""
        self.route("GET", "login", self._login_page)
        self.route("POST", "token", self._give_token)

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        return family_files(self.listed, paise=self.ticks_in_paise)

    # -- feed --------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        return None

    def token_expired(self, client: Client) -> None:
        client.hang_up()  # only the next connect message is refused

    def received(self, client: Client, text: str | bytes) -> None:
        try:
            request = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, ValueError, RecursionError):
            return
        verb = request.get("t")
        if not isinstance(verb, str):
            return
        if verb in ("a", "c"):
            self._connect(client, request)
        elif client.session is None:
            return
        elif verb == "h":
            if self.answers_heartbeats:
                client.send(message(t="hk", hk=str(int(time.time()))))
        elif verb in _KINDS:
            self._change(client, verb, request.get("k"))

    def _connect(self, client: Client, request: Mapping[str, Any]) -> None:
        good = self.token_valid and request == self.expected_connect()
        client.send(self.connect_answer(good))
        if not good:
            return  # the socket stays open
        client.session = USER_ID
        for other in tuple(self.clients):
            if other is not client and other.session is not None:
                other.close(1000)

    def _change(self, client: Client, verb: str, names: object) -> None:
        kind = _KINDS[verb]
        chosen = self._securities(names)
        if verb in _ENDS:
            self.unsubscribe(client, chosen, kind)
            if self.answers_unsubscribing:
                client.send(message(t=_ENDS[verb], k=str(names)))
            return
        if self.most_scrips is not None:
            held = sum(map(len, client.subscriptions.values()))
            fresh = [one for one in chosen if kind not in client.subscriptions.get(one, ())]
            if held + len(fresh) > self.most_scrips:
                return  # beyond the limit nothing is said
        self.subscribe(client, chosen, kind)

    def _securities(self, names: object) -> list[Security]:
        """The scrips of `NSE|22#BSE|508123`, each once; unknown ones are ignored."""
        keys = (name.partition("|") for name in names.split("#")) if isinstance(names, str) else ()
        found = (self._by_key.get((exchange, token)) for exchange, _, token in keys)
        return list(dict.fromkeys(security for security in found if security is not None))

    def snapshot(self, client: Client, security: Security, kind: str) -> str:
        fields = self._said[security, kind] = market_fields(security, kind)
        return message(
            t=_SNAPSHOTS[kind],
            **identity(security),
            **about(security, broker_symbol(security)),
            **fields,
            **self.snapshot_extras(security, kind),
        )

    def encode(self, security: Security, kind: str) -> str | None:
        """Only what has changed since the last frame of this channel."""
        fields = market_fields(security, kind)
        said = self._said.get((security, kind), {})
        self._said[security, kind] = fields
        changed = {name: text for name, text in fields.items() if said.get(name) != text}
        return message(t=_DELTAS[kind], **identity(security), **changed) if changed else None

    # -- REST --------------------------------------------------------------------------------------------

    def route(self, method: str, endpoint: str, answer: Callable[[Request], Response], more: str = "") -> None:
        """Answers requests to the endpoint of this name, with `more` at the end of its path."""
        path = self.endpoints[endpoint].partition(":")[2].rstrip("/")
        self._routes[method, (path + more) or "/"] = answer

    def answer(self, request: Request) -> Response:
        handler = self._routes.get((request.method, request.path)) or self._routes.get(
            (request.method, request.path.rstrip("/"))
        )
        if handler is not None:
            return handler(request)
        return self._file(request) if request.method == "GET" else Response(404)

    def _file(self, request: Request) -> Response:
        """An instrument file, below its endpoint."""
        if self._files is None:
            self._files = dict(self.instrument_dump())
        base = self.endpoints["instruments"].partition(":")[2].rstrip("/")
        content = self._files.get(request.path.removeprefix(base).lstrip("/"))
        return Response(404) if content is None else Response(200, content)

    def new_code(self) -> str:
        """What the browser brings back from the login page: good for one exchange; a newer one replaces it."""
        self._codes_made += 1
        self._code = f"simulated-code-{self._codes_made}"
        return self._code

    def use_code(self) -> str:
        """The code that is good now; any attempt uses it up."""
        code, self._code = self._code, ""
        return code

    def send_browser(self, **query: str) -> Response:
        """The redirect at the end of a login page."""
        if not self.redirect_url:
            return Response(200, urlencode(query).encode(), {"Content-Type": "text/plain"})
        return Response.redirect(self.redirect_url, query)

    def _login_page(self, request: Request) -> Response:
        if request.query.get("client_id") != CLIENT_ID:
            return Response(400, b"Invalid client")
        return self.send_browser(code=self.new_code())

    def _give_token(self, request: Request) -> Response:
        head, _, text = request.body.decode("utf-8", "replace").partition("jData=")
        try:
            asked = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, ValueError, RecursionError):
            asked = {}
        code = self.use_code()
        if head or not code or asked.get("checksum") != sha256(CLIENT_ID + SECRET_KEY + code):
            return Response.json({"stat": "Not_Ok", "emsg": "Invalid Input : INVALID_VERIFIER"})
        return Response.json(self.token_answer(self.new_token()["token"]))
