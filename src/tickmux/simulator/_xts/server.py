"""The servers of the XTS family: REST for session, subscriptions and lists, Socket.IO for the stream.

Section numbers are those of the family's specification. Subscriptions belong to the session's token and outlive the
socket: a client that comes back finds its stream running, and is refused when it subscribes the same again.
A member sets what differs: its prefix, and for a binary stream the layout.
"""

import asyncio
import base64
import hmac
import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import msgspec

from tickmux.codec import Credentials
from tickmux.simulator._xts import wire as wire
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import Security
from tickmux.simulator.server.base import BrokerSimulator, Packet
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

APP_KEY, SECRET_KEY = "simulated-key", "simulated-secret"
USER_ID = f"SIM001_{APP_KEY}"

_CODES = (1501, 1502, 1510, 1512)
_BINARY_CODES = (1501, 1502, 1510)
_PING_INTERVAL, _PING_TIMEOUT = 25.0, 20.0
_MOST_IN_ONE_CALL = 50
_ANNOUNCEMENT = '451-["xts-binary-packet",{"_placeholder":true,"num":0}]'
_ENGINE_MESSAGE = b"\x04"

_OK, _JOINED = "s-session-0001", "s-socket-0001"
_ALREADY, _LIMIT, _INVALID_TOKEN = "e-session-0002", "e-session-0004", "e-session-0007"


def xts_endpoints(prefix: str) -> dict[str, str]:
    return {"api": f"http:{prefix}", "feed": f"ws:{prefix}/socket.io/"}


class XtsSimulator(BrokerSimulator):
    """Kinds are message codes as text. `client.session` is when the client last sent anything."""

    prefixes: ClassVar[tuple[str, ...]] = ("/apimarketdata",)
    """What REST is served under; the first is the stream's."""
    layout: ClassVar[str] = ""
    """Of binary packets; "" for a stream of JSON."""
    heartbeat_interval = 1.0

    def __init__(self, exchange: Exchange) -> None:
        self.subscription_limit = 1000
        """Of a session: a pair of message code and instrument counts once."""
        self.subscribed: dict[tuple[int, Security], None] = {}
        """What the present session has subscribed."""
        self.logins = 0
        super().__init__(exchange)
        self._by_key = {wire.wire_key(s): s for s in exchange.securities if s.exchange in wire.SEGMENTS}

    def make_credentials(self, number: int) -> Credentials:
        return Credentials({"token": self._token(number), "user_id": USER_ID, "prefix": self.prefixes[0]})

    def _token(self, number: int) -> str:
        """Section 2: a JWT that lives for a day."""
        issued = max(security.updated_at for security in self.exchange.securities) // 1000
        claims = {"userID": USER_ID, "publicKey": APP_KEY, "iat": issued, "exp": issued + 86_400, "number": number}
        parts = [
            json.dumps(part, separators=(",", ":")).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)
        ]
        signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
        signature = base64.urlsafe_b64encode(hmac.digest(SECRET_KEY.encode(), signed, "sha256")).rstrip(b"=")
        return (signed + b"." + signature).decode()

    def expire_token(self) -> None:
        self.subscribed.clear()
        super().expire_token()

    def new_token(self) -> Credentials:
        self.subscribed.clear()
        return super().new_token()

    # -- the stream ------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        if request.query.get("transport") != "websocket" or not request.query.get("EIO", "").isdecimal():
            return Response.json({"code": 3, "message": "Bad request"}, 400)
        return None

    def greet(self, client: Client) -> None:
        client.session = asyncio.get_running_loop().time()
        intervals = {"pingInterval": int(_PING_INTERVAL * 1000), "pingTimeout": int(_PING_TIMEOUT * 1000)}
        socket_id = f"simulated{id(client):x}"
        client.send("0" + json.dumps({"sid": socket_id, "upgrades": [], **intervals}, separators=(",", ":")))
        query = client.request.query
        if not self.knows(token=query.get("token", ""), user_id=query.get("userID", "")):
            client.send('44"Invalid Token"')
            client.hang_up()
            return
        client.send("40")
        words = f"Socket joined successfully! SocketId={socket_id}"
        client.send(wire.event("joined", {"type": "success", "code": _JOINED, "description": words}))
        for code, security in self.subscribed:
            self.subscribe(client, (security,), str(code))

    def received(self, client: Client, message: str | bytes) -> None:
        client.session = asyncio.get_running_loop().time()
        if isinstance(message, bytes):
            return
        if message[:1] == "2":
            client.send("3" + message[1:])
        elif message[:1] == "1":
            client.hang_up()

    def heartbeat(self, client: Client) -> None:
        """The server sends none; it hangs up on a client that does not ping, without a close code."""
        if asyncio.get_running_loop().time() - client.session > _PING_INTERVAL + _PING_TIMEOUT:
            client.hang_up()

    def token_expired(self, client: Client) -> None:
        client.send(wire.event("logout", {"type": "error", "code": _INVALID_TOKEN, "description": "Invalid Token"}))
        client.hang_up()

    def encode(self, security: Security, kind: str) -> str | bytes | None:
        code = int(kind)
        if code == 1510 and not security.is_derivative:
            return None
        if not self.layout:
            return wire.json_event(security, code)
        # Both forms of message occur on one stream: books are worth compressing.
        return wire.binary_message(security, code, self.layout, compressed=code == 1502)

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[str | bytes]:
        if not self.layout:
            return [payload for _, _, payload in packets]
        return (_ANNOUNCEMENT, _ENGINE_MESSAGE + b"".join(payload for _, _, payload in packets))

    # -- REST ------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        prefix = next((each for each in self.prefixes if request.path.startswith(f"{each}/")), None)
        if prefix is None:
            return _page_not_found(request)
        match request.method, request.path.removeprefix(prefix):
            case "POST", "/auth/login":
                return self._log_in(request)
            case "POST", "/instruments/master":
                return self._master(request)
            case "GET", "/instruments/indexlist":
                return self._index_list(request)
        if not self.knows(token=request.headers.get("authorization", "")):
            return _error(400, _INVALID_TOKEN, "Invalid Token")
        match request.method, request.path.removeprefix(prefix):
            case "POST", "/instruments/subscription":
                return self._subscribe(request)
            case "PUT", "/instruments/subscription":
                return self._unsubscribe(request)
            case "POST", "/instruments/quotes":
                return self._quotes(request)
            case "DELETE", "/auth/logout":
                self.expire_token()
                return _success(_OK, "Logged out", {})
        return _page_not_found(request)

    def _log_in(self, request: Request) -> Response:
        """A login ends the session before it at once."""
        body = request.json()
        if not isinstance(body, dict) or (body.get("appKey"), body.get("secretKey")) != (APP_KEY, SECRET_KEY):
            return _error(400, "e-login-0001", "Entered invalid credentials")
        self.logins += 1
        self.expire_token()
        session = self.new_token()
        result = {"token": session["token"], "userID": session["user_id"], "appVersion": "2.0"}
        return _success("s-user-0001", "Valid User.", {**result, "application_expiry_date": "2099-03-31"})

    def _subscribe(self, request: Request) -> Response:
        chosen = self._chosen(request)
        if isinstance(chosen, Response):
            return chosen
        code, securities = chosen
        if any((code, security) in self.subscribed for security in securities):
            return _error(400, _ALREADY, "Instrument Already Subscribed !", self._remaining())
        if len(self.subscribed) + len(securities) > self.subscription_limit:
            return _error(400, _LIMIT, "Subscription limit exceeded", self._remaining())
        self.subscribed.update(dict.fromkeys((code, security) for security in securities))
        if not self.layout or code in _BINARY_CODES:  # the binary stream has no 1512
            for client in tuple(self.clients):
                for security in securities:
                    if security.upper_circuit:
                        client.send(wire.limits_event(security))
                self.subscribe(client, securities, str(code))
        result = {
            "mdp": code,
            "quotesList": [_named(security) for security in securities],
            "listQuotes": [wire.json_payload(security, code) for security in securities],
            **self._remaining(),
        }
        return _success(_OK, "Instrument subscribed successfully!", result)

    def _unsubscribe(self, request: Request) -> Response:
        chosen = self._chosen(request)
        if isinstance(chosen, Response):
            return chosen
        code, securities = chosen
        for security in securities:
            self.subscribed.pop((code, security), None)
        for client in tuple(self.clients):
            self.unsubscribe(client, securities, str(code))
        names = [_named(security) for security in securities]
        return _success(_OK, "Instrument unsubscribed successfully!", {"mdp": code, "unsubList": names})

    def _quotes(self, request: Request) -> Response:
        chosen = self._chosen(request)
        if isinstance(chosen, Response):
            return chosen
        code, securities = chosen
        found = [wire.json_payload(security, code) for security in securities]
        return _success("s-quotes-0001", "Get quotes successfully!", {"mdp": code, "listQuotes": found})

    def _chosen(self, request: Request) -> tuple[int, list[Security]] | Response:
        """Code and instruments of a call; numbers have to be JSON integers (section 4)."""
        try:
            call = msgspec.json.decode(request.body, type=_Call)
            if call.code not in _CODES or not 0 < len(call.instruments) <= _MOST_IN_ONE_CALL:
                raise LookupError
            securities = [self._by_key[each.segment, each.number] for each in call.instruments]
        except (msgspec.DecodeError, UnicodeError, LookupError):
            return _error(400, "e-instrument-0001", "Bad Request")
        return call.code, list(dict.fromkeys(securities))

    def _remaining(self) -> dict[str, int]:
        return {"Remaining_Subscription_Count": self.subscription_limit - len(self.subscribed)}

    # -- lists (section 9) -----------------------------------------------------------------------------------

    def _master(self, request: Request) -> Response:
        body = request.json()
        wanted = body.get("exchangeSegmentList") if isinstance(body, dict) else None
        if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
            return _error(400, "e-instrument-0001", "Bad Request")
        return Response(200, self._master_dump(wanted), {"Content-Type": "application/json"})

    def _index_list(self, request: Request) -> Response:
        segment = request.query.get("exchangeSegment", "")
        if segment not in ("1", "11"):
            return _error(400, "e-instrument-0001", "Bad Request")
        return Response(200, self._index_dump(int(segment)), {"Content-Type": "application/json"})

    def _master_dump(self, names: list[str]) -> bytes:
        """NSE's indices are in the list of indices only, BSE's in both."""
        rows = [
            wire.master_row(security)
            for security in self.exchange.securities
            if wire.SEGMENTS.get(security.exchange, (0, ""))[1] in names and security.exchange != "NSE_INDEX"
        ]
        return _success("s-rds-0", "Get master successfully!", "\n".join(rows)).body

    def _index_dump(self, segment: int) -> bytes:
        exchange = "NSE_INDEX" if segment == 1 else "BSE_INDEX"
        indices = [f"{s.name}_{s.token}" for s in self.exchange.securities if s.exchange == exchange]
        result = {"exchangeSegment": segment, "indexList": indices}
        return _success("s-instrument-0001", "Index List successfully fetched!", result).body

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        names = dict.fromkeys(name for _, name in wire.SEGMENTS.values())
        masters = [(f"{name}.json", self._master_dump([name])) for name in names]
        return masters + [(f"indexlist-{segment}.json", self._index_dump(segment)) for segment in (1, 11)]


class _Named(msgspec.Struct):
    segment: int = msgspec.field(name="exchangeSegment")
    number: int = msgspec.field(name="exchangeInstrumentID")


class _Call(msgspec.Struct):
    instruments: list[_Named]
    code: int = msgspec.field(name="xtsMessageCode")


def _named(security: Security) -> dict[str, int]:
    segment, number = wire.wire_key(security)
    return {"exchangeSegment": segment, "exchangeInstrumentID": number}


def _success(code: str, description: str, result: Any) -> Response:
    return Response.json({"type": "success", "code": code, "description": description, "result": result})


def _error(status: int, code: str, description: str, result: Any = None) -> Response:
    return Response.json({"type": "error", "code": code, "description": description, "result": result or {}}, status)


def _page_not_found(request: Request) -> Response:
    page = f"<!DOCTYPE html><html><body><pre>Cannot {request.method}</pre></body></html>"
    return Response(404, page.encode(), {"Content-Type": "text/html"})
