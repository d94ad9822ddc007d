"""Motilal Oswal's servers: the broadcast, and as much REST as the login, the limit and the lists need.

Section numbers are those of the broker's specification. How the real broadcast refuses a session is not known; this
one says so in a text frame of the form that REST uses, and hangs up.
"""

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pyotp

from tickmux.codec import Credentials
from tickmux.instrument import format_strike
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.server.base import BrokerSimulator, Packet
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

API_KEY, CLIENT_CODE, PASSWORD, SECOND_FACTOR = "simulated-key", "SIM017", "simulated-password", "ABCDE1234F"
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"  # noqa: S105 - nobody's
SMS_CODE = "246810"
"""What would come by SMS to whoever logs in without a TOTP."""
BROADCAST_LIMIT = 400

EXCHANGES = {
    "NSE": ("NSE", b"N", b"C"), "BSE": ("BSE", b"B", b"C"), "NFO": ("NSEFO", b"N", b"D"),
    "BFO": ("BSEFO", b"G", b"D"), "CDS": ("NSECD", b"C", b"D"), "MCX": ("MCX", b"M", b"D"),
    "NSE_INDEX": ("NSE", b"N", b""), "BSE_INDEX": ("BSE", b"B", b""),
}  # fmt: skip
"""Our exchange -> the broker's name, exchange character, segment character (section 8)."""

_EPOCH_1980 = 315_513_000
_FRAME_BYTES = 1000
"""Packets share frames of at most so many bytes, so that one in three frames ends within a packet."""

_HEADER = struct.Struct("<ciic")
_TRADE = struct.Struct("<fIIfI")
_LEVEL = struct.Struct("<fIHfIH")
_DAY = struct.Struct("<5f")
_PRICES = struct.Struct("<2f12x")
_OPEN_INTEREST = struct.Struct("<3I8x")
_INDEX_VALUE = struct.Struct("<f16x")
_REGISTRATION = struct.Struct("<cHccib")
HEARTBEAT = b"N" + bytes(8) + b"1" + bytes(20)
_HEARTBEAT_ANSWER = b"1\x00\x00"
_REFUSED = {"status": "ERROR", "message": "Authorization is Invalid"}


class _Session:
    """One broadcast client's state."""

    def __init__(self) -> None:
        self.logged_in = False
        self.heartbeats_answered = 0


class MotilalSimulator(BrokerSimulator):
    """Kinds are `scrip` and, sent to everybody who has logged in, `index`."""

    name = "motilal"
    endpoints = {"feed": "ws:/jwebsocket/jwebsocket", "api": "http:/"}
    heartbeat_interval = 10.0

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        offered = [security for security in exchange.securities if security.exchange in EXCHANGES]
        self._indices = [security for security in offered if security.is_index]
        self._scrips = [security for security in offered if not security.is_index]
        self._by_place = {(*EXCHANGES[security.exchange][1:], security.token): security for security in self._scrips}
        self._unconfirmed = False
        """Whether the present token waits for the code by SMS."""
        self._said: dict[Security, dict[bytes, bytes]] = {}
        """The body of the last packet of each type."""

    def make_credentials(self, number: int) -> Credentials:
        return Credentials(
            {"client_code": CLIENT_CODE, "api_key": API_KEY, "auth_token": f"simulated-auth-token-{number}"}
        )

    # -- feed (sections 4 and 5) -------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        return None  # the first packet logs in

    def greet(self, client: Client) -> None:
        client.session = _Session()

    def received(self, client: Client, message: str | bytes) -> None:
        session: _Session = client.session
        if isinstance(message, str):
            return
        if message[:1] in (b"Q", b"q"):
            session.logged_in = self.knows(client_code=_client_code(message))
            if session.logged_in:
                self.subscribe(client, self._indices, "index")
            else:
                self._refuse(client)
        elif message == _HEARTBEAT_ANSWER:
            session.heartbeats_answered += 1
        elif session.logged_in and len(message) == _REGISTRATION.size:
            letter, size, character, segment, code, action = _REGISTRATION.unpack(message)
            security = self._by_place.get((character, segment, code))
            if letter != b"D" or size != 7 or security is None:
                return
            if action == 0:
                self.unsubscribe(client, (security,), "scrip")
            elif action == 1 and security not in client.subscriptions and self._has_room(client):
                self.subscribe(client, (security,), "scrip")

    def _has_room(self, client: Client) -> bool:
        return len(client.subscriptions) - len(self._indices) < BROADCAST_LIMIT

    def _refuse(self, client: Client) -> None:
        client.send(msgspec.json.encode(_REFUSED).decode())
        client.close(1000)

    def token_expired(self, client: Client) -> None:
        self._refuse(client)

    def heartbeat(self, client: Client) -> bytes | None:
        return HEARTBEAT if client.session.logged_in else None

    def encode(self, security: Security, kind: str) -> bytes | None:
        """The packets whose content has changed."""
        said = self._said.setdefault(security, {})
        packets = encode_packets(security)
        changed = [packet for packet in packets if said.get(packet[9:10]) != packet[10:]]
        said.update((packet[9:10], packet[10:]) for packet in packets)
        return b"".join(changed) or None

    def snapshot(self, client: Client, security: Security, kind: str) -> bytes | None:
        self._said.pop(security, None)
        return self.encode(security, kind)

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[bytes]:
        stream = b"".join(payload for _, _, payload in packets)
        return [stream[start : start + _FRAME_BYTES] for start in range(0, len(stream), _FRAME_BYTES)]

    # -- REST (sections 2 and 9) -------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        route = (request.method, request.path)
        if route == ("GET", "/getscripmastercsv"):
            return self._file(request.query.get("name", ""), self._csv)
        if route == ("GET", "/getindexdatacsv"):
            return self._file(request.query.get("name", ""), self._index_csv)
        if route == ("POST", "/rest/login/v7/authdirectapi"):
            return self._log_in(request)
        if route == ("POST", "/rest/login/v5/verifyotp"):
            return self._confirm(request)
        if route == ("POST", "/rest/report/v1/getbroadcastmaxlimit"):
            if not self.knows(auth_token=request.headers.get("authorization", "")):
                return Response.json(_REFUSED, 401)
            return Response.json(
                {"status": "SUCCESS", "message": "", "errorcode": "", "data": {"MaxBroadcastLimit": BROADCAST_LIMIT}}
            )
        return Response.json({"status": "ERROR", "message": "No such service", "errorcode": ""}, 404)

    def _log_in(self, request: Request) -> Response:
        if request.headers.get("apikey") != API_KEY:
            return _failure("MO2005", "Invalid API key")
        if any(not request.headers.get(name) for name in _NEEDED_HEADERS):
            return _failure("MO1001", "A header is missing")
        body = request.json()
        given: dict[str, Any] = body if isinstance(body, dict) else {}
        hashed = hashlib.sha256(f"{PASSWORD}{API_KEY}".encode()).hexdigest()
        known = given.get("userid") == CLIENT_CODE == request.headers.get("vendorinfo")
        if not known or given.get("password") != hashed or given.get("2FA") != SECOND_FACTOR:
            return _failure("MO1066", "Invalid user id, password or 2FA")
        by_sms = "totp" not in given
        if not by_sms and not pyotp.TOTP(TOTP_SECRET).verify(str(given["totp"]), valid_window=1):
            return _failure("MO1067", "Invalid TOTP")
        self.expire_token()
        session = self.new_token()
        self._unconfirmed = by_sms
        self.token_valid = not by_sms
        return Response.json(
            {
                "status": "SUCCESS",
                "message": "Login successful",
                "errorcode": "",
                "AuthToken": session["auth_token"],
                "isAuthTokenVerified": "FALSE" if by_sms else "TRUE",
            }
        )

    def _confirm(self, request: Request) -> Response:
        """The code by SMS makes the token good that the login has given."""
        body = request.json()
        code = body.get("otp") if isinstance(body, dict) else None
        known = request.headers.get("authorization") == self.credentials["auth_token"]
        if not self._unconfirmed or not known or code != SMS_CODE:
            return _failure("MO1068", "Invalid OTP")
        self._unconfirmed = False
        self.token_valid = True
        return Response.json({"status": "SUCCESS", "message": "OTP verified", "errorcode": ""})

    def _file(self, name: str, write: Any) -> Response:
        if name not in _FILES:
            return Response.json({"status": "ERROR", "message": "Invalid exchange name", "errorcode": ""}, 400)
        return Response(200, write(name), {"Content-Type": "text/csv"})

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        return [
            *((f"{name}.csv", self._csv(name)) for name in _FILES),
            *((f"{name}-index.csv", self._index_csv(name)) for name in ("NSE", "BSE")),
        ]

    def _csv(self, name: str) -> bytes:
        rows = (scrip_row(security) for security in self._scrips if EXCHANGES[security.exchange][0] == name)
        return "\n".join((_COLUMNS, *rows, "")).encode()

    def _index_csv(self, name: str) -> bytes:
        rows = (
            f"{security.token},{_index_name(security)},{name}"
            for security in self._indices
            if EXCHANGES[security.exchange][0] == name
        )
        return "\n".join(("indexcode,indexname,exchangename", *rows, "")).encode()


_NEEDED_HEADERS = (
    "user-agent", "clientlocalip", "clientpublicip", "macaddress", "sourceid", "vendorinfo", "osname", "osversion",
    "devicemodel", "manufacturer", "productname", "productversion", "browsername", "browserversion",
)  # fmt: skip


def _failure(code: str, message: str) -> Response:
    return Response.json({"status": "ERROR", "message": message, "errorcode": code, "data": None})


def _client_code(packet: bytes) -> str:
    """The client code of a login packet (section 4.1); empty where the packet is none."""
    size = packet[3] if len(packet) == 114 and packet[1:3] == b"\x6f\x00" else 0
    code = packet[4 : 4 + size]
    well_formed = (
        0 < size <= 15
        and packet[4:19] == code.ljust(15)
        and packet[19] == size
        and packet[20:50] == code.ljust(30)
        and packet[50:53] == b"\x01\x01\x01"
        and packet[54 : 54 + packet[53]] == b"VER 2.0"
    )
    return code.decode("ascii", "replace") if well_formed else ""


# -- packets (section 5) -----------------------------------------------------------------------------------


def encode_packets(security: Security) -> list[bytes]:
    """Everything about a security; of an index its value."""
    if security.is_index:
        return [packet(security, b"H", _INDEX_VALUE.pack(_rupees(security.ltp)), security.updated_at)]
    updated = security.updated_at
    found = [
        packet(
            security,
            b"A",
            _TRADE.pack(
                _rupees(security.ltp),
                security.last_quantity,
                security.volume,
                _rupees(security.average),
                security.oi,
            ),
            security.traded_at,
        )
    ]
    for number in range(5):
        bid, ask = _level(security.bids, number), _level(security.asks, number)
        found.append(packet(security, b"BCDEF"[number : number + 1], _LEVEL.pack(*bid, *ask), updated))
    prices = (security.open, security.high, security.low, security.close, 0)
    found.append(packet(security, b"G", _DAY.pack(*map(_rupees, prices)), updated))
    circuits = (security.upper_circuit, security.lower_circuit)
    found.append(packet(security, b"W", _PRICES.pack(*map(_rupees, circuits)), updated))
    if security.is_derivative:
        interest = _OPEN_INTEREST.pack(security.oi, security.oi_high, security.oi_low)
        found.append(packet(security, b"m", interest, updated))
    return found


def packet(security: Security, kind: bytes, body: bytes, at: int) -> bytes:
    """`at` in epoch milliseconds, 0 for no time."""
    time = at // 1000 - _EPOCH_1980 if at else 0
    return _HEADER.pack(EXCHANGES[security.exchange][1], security.token, time, kind) + body


def _level(levels: list[Level], number: int) -> tuple[float, int, int]:
    if number >= len(levels):
        return 0.0, 0, 0
    return _rupees(levels[number].price), levels[number].quantity, min(levels[number].orders, 65_535)


def _rupees(price: int) -> float:
    return price / PRICE_UNIT


# -- lists (section 9) -------------------------------------------------------------------------------------

_FILES = ("NSE", "BSE", "NSEFO", "NSECD", "MCX", "BSEFO")
_NUMBERS = {"NSE": 1, "NSEFO": 2, "BSE": 3, "MCX": 5, "NSECD": 6, "BSEFO": 8}
_COLUMNS = (
    "exchange,exchangename,scripcode,scripname,marketlot,scripshortname,issuspended,instrumentname,expirydate,"
    "strikeprice,optiontype,ticksize"
)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_BSE_INDICES = {"SENSEX": "SENSEX", "BANKEX": "BSE BANKEX", "SENSEX50": "BSE SENSEX 50"}
_BSE_CODES = {"SENSEX": "BSX", "BANKEX": "BKX", "SENSEX50": "SX50"}
"""What BSE's contracts on indices come under."""


def _index_name(security: Security) -> str:
    return _BSE_INDICES.get(
        security.symbol, security.name.title() if security.exchange == "NSE_INDEX" else security.name
    )


def scrip_row(security: Security) -> str:
    name = EXCHANGES[security.exchange][0]
    start = f"{_NUMBERS[name]},{name},{security.token}"
    tick = f"{security.tick / PRICE_UNIT:g}"
    expiry = security.expiry
    if expiry is None:
        series = "EQ" if name == "NSE" else "A"
        scrip = f"{security.symbol} EQ" if name == "NSE" else security.symbol
        return f"{start},{scrip},1,{security.symbol},N,EQUITY,0,0,{series},{tick}"
    future = security.kind == "FUT"
    strike = format_strike(security.strike / PRICE_UNIT) if security.strike else "0"
    day = f"{expiry.day:02d}-{_MONTHS[expiry.month - 1]}-{expiry.year}"
    end = "" if future else f" {security.kind} {strike}"
    what = {"NSECD": "CUR", "MCX": "COM"}.get(name, "IDX")
    root = _BSE_CODES.get(security.name, security.name) if name == "BSEFO" else security.name
    return (
        f"{start},{root} {day}{end},{security.lot_size * security.multiplier},{root},N,"
        f"{'FUT' if future else 'OPT'}{what},1483021800,{strike},{'XX' if future else security.kind},{tick}"
    )


SIMULATOR = MotilalSimulator
