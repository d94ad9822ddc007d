"""Groww's servers: a NATS server behind a WebSocket, and as much of the REST API as a login and a feed need.

Section numbers are those of the broker's specification. It speaks NATS itself, so that it needs no other program
and can misbehave on command; that what it wants is what a real NATS server wants is for the tests to show.
"""

import base64
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pyotp

from tickmux.codec import Credentials
from tickmux.login import IST, next_ist
from tickmux.simulator.groww.wire import (
    COLUMNS,
    FOLDERS,
    Account,
    approval_checksum,
    encode_payload,
    has_signed,
    instrument_row,
    is_listed,
    is_user_key,
    subject,
)
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import Security
from tickmux.simulator.server.base import BrokerSimulator, Packet
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

API_KEY, API_SECRET, TOTP_SECRET = "simulated-key", "simulated-secret", "JBSWY3DPEHPK3PXPJBSWY3DPEH"

_MOST_INSTRUMENTS = 1000
_MOST_TOKENS = 256
_LONGEST_LINE = 65_536
_FRAME = 4096
"""Bytes of a frame: operations are cut wherever this falls."""
_CHECKSUM_LIFE = timedelta(minutes=10)


class _Session:
    """One client as the NATS server sees it."""

    def __init__(self) -> None:
        self.nonce = base64.urlsafe_b64encode(os.urandom(11)).decode().rstrip("=")
        self.received = bytearray()
        self.accepted = False
        self.sids: dict[str, tuple[Security, str]] = {}
        self.topics: dict[tuple[Security, str], list[str]] = {}


class GrowwSimulator(BrokerSimulator):
    """Kinds are `price` and `book`, as in the subjects."""

    name = "groww"
    endpoints = {
        "feed": "ws:/",
        "socket_token": "http:/v1/api/apex/v1/socket/token/create/",
        "token": "http:/v1/token/api/access",
        "instruments": "http:/instruments/instrument.csv",
    }
    heartbeat_interval = 120.0

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.account = Account()
        self._socket_tokens: dict[str, str] = {}
        """Socket token -> the public key that it was made for."""
        self._tokens_made = 0
        self._by_subject = {
            subject(security, kind): (security, kind)
            for security in exchange.securities
            if security.exchange in FOLDERS
            for kind in (("price",) if security.is_index else ("price", "book"))
        }

    def make_credentials(self, number: int) -> Credentials:
        return Credentials({"access_token": f"simulated-token-{number}"})

    # -- feed --------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        return None  # the log-in is a message

    def greet(self, client: Client) -> None:
        client.session = _Session()
        info = {
            "server_id": "SIMULATED",
            "version": "2.10.18",
            "proto": 1,
            "headers": True,
            "max_payload": 1_048_576,
            "auth_required": True,
            "nonce": client.session.nonce,
        }
        client.send(b"INFO " + msgspec.json.encode(info) + b" \r\n")

    def heartbeat(self, client: Client) -> bytes:
        return b"PING\r\n"

    def token_expired(self, client: Client) -> None:
        self._refuse(client, "User Authentication Revoked")

    def expire_token(self) -> None:
        self._socket_tokens.clear()
        super().expire_token()

    def received(self, client: Client, message: str | bytes) -> None:
        session: _Session = client.session
        session.received += message.encode() if isinstance(message, str) else message
        for line in _lines(session.received):
            if not client.connected:
                return
            verb, *rest = line.split(None, 1) or [b""]
            self._perform(client, verb.upper(), rest[0] if rest else b"")
        if len(session.received) > _LONGEST_LINE:
            self._refuse(client, "Maximum Control Line Exceeded")

    def _perform(self, client: Client, verb: bytes, argument: bytes) -> None:
        session: _Session = client.session
        words = argument.decode("utf-8", "replace").split()
        if verb == b"CONNECT" and not session.accepted:
            session.accepted = self._admits(session, argument)
        if not session.accepted:
            self._refuse(client, "Authorization Violation")
        elif verb == b"PING":
            client.send(b"PONG\r\n")
        elif verb == b"SUB" and len(words) in (2, 3):
            self._subscribe(client, words[0], words[-1])
        elif verb == b"UNSUB" and len(words) in (1, 2):
            self._unsubscribe(client, words[0])
        elif verb not in (b"CONNECT", b"PONG"):
            self._refuse(client, "Unknown Protocol Operation")

    def _admits(self, session: _Session, argument: bytes) -> bool:
        try:
            said = msgspec.json.decode(argument)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return False
        token = said.get("jwt") if isinstance(said, dict) else None
        public_key = self._socket_tokens.get(token) if isinstance(token, str) else None
        return public_key is not None and has_signed(public_key, session.nonce, said.get("sig"))

    def _refuse(self, client: Client, words: str) -> None:
        client.send(f"-ERR '{words}'\r\n".encode())
        client.close(1008, words)

    def _subscribe(self, client: Client, wanted: str, sid: str) -> None:
        session: _Session = client.session
        if "*" in wanted or ">" in wanted:
            client.send(f"-ERR 'Permissions Violation for Subscription to \"{wanted}\"'\r\n".encode())
            return
        topic = self._by_subject.get(wanted)
        if topic is None or sid in session.sids:
            return  # nobody publishes there
        security, kind = topic
        if security not in client.subscriptions and len(client.subscriptions) >= _MOST_INSTRUMENTS:
            client.send(b"-ERR 'maximum subscriptions exceeded'\r\n")
            return
        session.sids[sid] = topic
        session.topics.setdefault(topic, []).append(sid)
        self.subscribe(client, [security], kind)

    def _unsubscribe(self, client: Client, sid: str) -> None:
        session: _Session = client.session
        topic = session.sids.pop(sid, None)
        if topic is None:
            return
        session.topics[topic].remove(sid)
        if not session.topics[topic]:
            del session.topics[topic]
            self.unsubscribe(client, [topic[0]], topic[1])

    def encode(self, security: Security, kind: str) -> bytes:
        return encode_payload(security, kind)

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[bytes]:
        session: _Session = client.session
        stream = b"".join(
            b"MSG %b %b %d\r\n%b\r\n" % (subject(security, kind).encode(), sid.encode(), len(payload), payload)
            for security, kind, payload in packets
            for sid in session.topics.get((security, kind), ())
        )
        return (stream[start : start + _FRAME] for start in range(0, len(stream), _FRAME))

    # -- REST --------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        match request.method, request.path:
            case "POST", "/v1/api/apex/v1/socket/token/create/":
                return self._make_socket_token(request)
            case "POST", "/v1/token/api/access":
                return self._log_in(request)
            case "GET", "/instruments/instrument.csv":
                ((_, content),) = self.instrument_dump()
                return Response(200, content, {"Content-Type": "text/csv"})
        return _failure(404, "GA004", "Requested entity does not exist")

    def _make_socket_token(self, request: Request) -> Response:
        if not self.knows(access_token=_bearer(request)):
            return _failure(401, "GA005", "User not authorised to perform this operation")
        key = _object(request).get("socketKey")
        if not isinstance(key, str) or not is_user_key(key):
            return _failure(400, "GA001", "Bad request")
        self._tokens_made += 1
        token = self.account.user_token(key, self._tokens_made)
        self._socket_tokens[token] = key
        while len(self._socket_tokens) > _MOST_TOKENS:
            del self._socket_tokens[next(iter(self._socket_tokens))]
        return Response.json({"token": token, "subscriptionId": f"simulated-{self._tokens_made}"})

    def _log_in(self, request: Request) -> Response:
        if _bearer(request) != API_KEY:
            return _failure(401, "GA005", "User not authorised to perform this operation")
        if not self._proven(_object(request)):
            error = {
                "code": "GA001",
                "message": "Bad request",
                "displayMessage": "Invalid credentials",
                "metadata": None,
            }
            return Response.json({"status": "FAILURE", "error": error}, 400)
        self.expire_token()
        session = self.new_token()
        now = _now()
        ends = datetime.fromtimestamp(next_ist(6, 0, now), IST)
        return Response.json(
            {
                "token": session["access_token"],
                "tokenRefId": "simulated",
                "sessionName": "simulated",
                "expiry": ends.replace(tzinfo=None).isoformat(),
                "isActive": True,
            }
        )

    def _proven(self, said: dict[str, Any]) -> bool:
        match said:
            case {"key_type": "totp", "totp": str(code)}:
                return pyotp.TOTP(TOTP_SECRET).verify(code, valid_window=1)
            case {"key_type": "approval", "checksum": str(checksum), "timestamp": str(timestamp)}:
                if len(timestamp) != 10 or not timestamp.isdecimal():
                    return False
                age = _now() - datetime.fromtimestamp(int(timestamp), IST)
                return abs(age) <= _CHECKSUM_LIFE and checksum == approval_checksum(API_SECRET, timestamp)
        return False

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        rows = (instrument_row(security) for security in self.exchange.securities if is_listed(security))
        return [("instrument.csv", "\n".join((COLUMNS, *rows, "")).encode())]


def _lines(received: bytearray) -> Iterator[bytes]:
    """The whole lines of what was received, which are taken out of it."""
    while (end := received.find(b"\r\n")) >= 0:
        line = bytes(received[:end])
        del received[: end + 2]
        yield line


def _now() -> datetime:
    return datetime.now(IST)


def _bearer(request: Request) -> str:
    return request.headers.get("authorization", "").partition("Bearer ")[2]


def _object(request: Request) -> dict[str, Any]:
    said = request.json()
    return said if isinstance(said, dict) else {}


def _failure(status: int, code: str, words: str) -> Response:
    error = {"code": code, "message": words, "metadata": None}
    return Response.json({"status": "FAILURE", "error": error}, status)


SIMULATOR = GrowwSimulator
