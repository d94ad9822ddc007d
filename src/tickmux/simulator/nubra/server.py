"""Nubra's servers: the batch feed, and as much of the REST API as logins and the instrument list need.

Section numbers are those of the broker's specification.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pyotp

from tickmux.codec import Credentials
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import Security
from tickmux.simulator.nubra.wire import (
    WORDS,
    Item,
    encode_batch,
    encode_item,
    index_rows,
    ref_id,
    refdata_row,
    stock_name,
)
from tickmux.simulator.server.base import BrokerSimulator, Packet
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

API_KEY, PHONE, MPIN, TOTP_SECRET = "simulated-key", "9000000001", "1234", "JBSWY3DPEHPK3PXPJBSWY3DPEH"
DEVICE_ID = "simulated-device"
SMS_CODE = "246810"
"""What would come by SMS to whoever logs in without a TOTP."""

_WEIGHTS = {"orderbook": 5, "index_bucket": 2, "index": 1, "greeks": 1}
_MOST_WEIGHT = 50_000
_MOST_LEVELS = 20
_HALF_WAY = "simulated-half-way"
_TOTP_ASKED, _SMS_SENT = "simulated-totp-asked", "simulated-sms-sent"
_BOOK = "orderbook"


class NubraSimulator(BrokerSimulator):
    """Kinds are the topics; that of an order book has its depth behind it (`orderbook 5`)."""

    name = "nubra"
    endpoints = {"feed": "ws:/apibatch/ws", "api": "http:/"}

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        served = [security for security in exchange.securities if security.exchange in WORDS]
        self._by_ref = {ref_id(security): security for security in served if not security.is_index}
        self._by_name = {
            (WORDS[security.exchange], stock_name(security)): security
            for security in served
            if security.is_index or security.kind == "EQ"
        }

    def make_credentials(self, number: int) -> Credentials:
        """A token as Nubra has them: a JWT, here without a true signature."""
        parts = ({"alg": "none"}, {"jti": f"simulated-{number}"})
        encoded = (base64.urlsafe_b64encode(msgspec.json.encode(part)).decode().rstrip("=") for part in parts)
        return Credentials({"session_token": f"{'.'.join(encoded)}.simulated", "device_id": DEVICE_ID})

    # -- feed --------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        bearer = request.headers.get("authorization")
        if bearer is not None and not self.knows(session_token=bearer.removeprefix("Bearer ")):
            return Response(440)
        return None  # without the header it is the commands' token that counts

    def greet(self, client: Client) -> None:
        client.session = _MOST_LEVELS  # the server's default

    def token_expired(self, client: Client) -> None:
        client.send("Invalid Token")
        client.close(1000)

    def received(self, client: Client, message: str | bytes) -> None:
        words = message.split() if isinstance(message, str) else []
        if len(words) < 3 or words[0] not in ("batch_subscribe", "batch_unsubscribe"):
            client.send("Error: invalid command")
        elif not self.knows(session_token=words[1]):
            client.send("Invalid Token")
        elif words[2] == "orderbook_depth":
            self._set_depth(client, words[3:])
        elif words[2] in ("socket_interval", "post_market"):
            client.send(f"{words[2]} accepted")
        else:
            self._perform(client, words[0] == "batch_subscribe", words[2], words[3:])

    def _perform(self, client: Client, begin: bool, topic: str, arguments: list[str]) -> None:
        chosen = self._chosen(topic, arguments)
        if chosen is None:
            client.send("Error: invalid command")
            return
        kind = f"{_BOOK} {client.session}" if topic == _BOOK else topic
        if not begin:
            self.unsubscribe(client, chosen, kind)
            return
        fresh = [security for security in chosen if kind not in client.subscriptions.get(security, ())]
        if self._weight() + _WEIGHTS[topic] * len(fresh) > _MOST_WEIGHT:
            client.send("Error: subscription weight limit reached")
            return
        client.send("Subscribed successfully")
        self.subscribe(client, fresh, kind)

    def _chosen(self, topic: str, arguments: list[str]) -> list[Security] | None:
        """The instruments of a command, each once, unknown ones left out; None where the command is wrong."""
        tail = {"index": 1, "index_bucket": 2}.get(topic, 0)
        if topic not in _WEIGHTS or len(arguments) != 1 + tail:
            return None
        try:
            wanted = msgspec.json.decode(arguments[0], type=_Wanted)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
        if topic == "index_bucket" and arguments[1] != "1d":
            return []  # another candle's, which is not made here
        if tail:
            found = [self._by_name.get((arguments[-1], name)) for name in wanted.indexes]
        else:
            found = [self._by_ref.get(number) for number in wanted.instruments]
        return [security for security in dict.fromkeys(found) if security is not None]

    def _set_depth(self, client: Client, arguments: list[str]) -> None:
        level = int(arguments[0]) if len(arguments) == 1 and arguments[0] in _LEVELS else 0
        if not level:
            client.send("Error: invalid orderbook_depth")
            return
        old, client.session = f"{_BOOK} {client.session}", level
        moved = [security for security, kinds in client.subscriptions.items() if old in kinds]
        self.unsubscribe(client, moved, old)
        self.subscribe(client, moved, f"{_BOOK} {level}")

    def _weight(self) -> int:
        kinds = (kind for client in self.clients for held in client.subscriptions.values() for kind in held)
        return sum(_WEIGHTS[kind.partition(" ")[0]] for kind in kinds)

    def encode(self, security: Security, kind: str) -> Item:
        topic, _, levels = kind.partition(" ")
        return encode_item(security, topic, int(levels or 0))

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[bytes]:
        batches: dict[str, list[Item]] = {}
        for _, kind, item in packets:
            batches.setdefault(kind.partition(" ")[0], []).append(item)
        now = max(security.updated_at for security, _, _ in packets)
        for topic, items in batches.items():
            yield encode_batch(topic, now, items)

    # -- REST --------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        route = (request.method, request.path)
        said = request.json()
        given = said if isinstance(said, dict) else {}
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        if route == ("POST", "/totp/login"):
            return _half_way(given)
        if route == ("POST", "/sendphoneotp"):
            return _send_sms(given, request.headers.get("x-temp-token"))
        if route == ("POST", "/verifyphoneotp"):
            sent = request.headers.get("x-temp-token") == _SMS_SENT and given.get("phone") == PHONE
            if not sent or given.get("otp") != SMS_CODE or not request.headers.get("x-device-id"):
                return _error(400, "Invalid OTP")
            return Response.json({"auth_token": _HALF_WAY}, 201)
        if route == ("POST", "/verifypin"):
            if bearer != _HALF_WAY or given.get("pin") != MPIN:
                return _error(400, "Invalid PIN")
            return Response.json({"session_token": self._log_in()["session_token"]})
        if route == ("POST", "/api-keys/login"):
            if given.get("api_key") != API_KEY:
                return _error(400, "Invalid API key")
            return Response.json({"session_token": self._log_in()["session_token"], "device_id": DEVICE_ID})
        if route == ("GET", "/public/indexes"):
            return Response(200, index_rows(self.exchange.securities).encode(), {"Content-Type": "text/csv"})
        if request.method != "GET" or not (request.path == "/userinfo" or request.path.startswith("/refdata/")):
            return _error(404, "Not found")
        if not self.knows(session_token=bearer):
            return _error(440, "Session expired")
        if request.path == "/userinfo":
            return Response.json({"env_info": {"market_ws_url": None, "user_ws_url": None}})
        return Response(200, self._refdata(request.query.get("exchange", "")), {"Content-Type": "application/json"})

    def _log_in(self) -> Credentials:
        self.expire_token()
        return self.new_token()

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        return [
            *((f"refdata-{word}.json", self._refdata(word)) for word in ("NSE", "BSE", "MCX")),
            ("indexes.csv", index_rows(self.exchange.securities).encode()),
        ]

    def _refdata(self, word: str) -> bytes:
        rows = [refdata_row(security) for security in self._by_ref.values() if WORDS[security.exchange] == word]
        return msgspec.json.encode({"refdata": rows})


class _Wanted(msgspec.Struct):
    instruments: list[int] = []
    indexes: list[str] = []


_LEVELS = frozenset(str(level) for level in range(1, _MOST_LEVELS + 1))


def _half_way(given: dict[str, Any]) -> Response:
    """The answer to a one-time password: a number, or text where it begins with 0."""
    code = given.get("totp")
    text = code if isinstance(code, str) else str(code)
    if given.get("phone") != PHONE or not pyotp.TOTP(TOTP_SECRET).verify(text, valid_window=1):
        return _error(400, "Invalid TOTP")
    return Response.json({"auth_token": _HALF_WAY}, 201)


def _send_sms(given: dict[str, Any], temporary: str | None) -> Response:
    """The account has TOTP, which is asked for first: the second call skips it."""
    skip = given.get("skip_totp")
    if given.get("phone") != PHONE or skip not in (True, False) or (skip and temporary != _TOTP_ASKED):
        return _error(400, "Invalid phone number")
    token, following = (_SMS_SENT, "VERIFY_MOBILE") if skip else (_TOTP_ASKED, "VERIFY_TOTP")
    return Response.json({"temp_token": token, "next": following, "expiry": 30, "attempts_left": 3})


def _error(status: int, words: str) -> Response:
    return Response.json({"error": words, "nubra_error_code": ""}, status)


SIMULATOR = NubraSimulator
