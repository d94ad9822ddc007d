"""Angel One's servers: the SmartStream feed, and as much of the REST API as a login and the instrument list need.

Section numbers are those of the broker's specification.
"""

import struct
from typing import Any

import msgspec
import pyotp

from tickmux.codec import Credentials
from tickmux.simulator._smartapi import UNSUBSCRIBE, chosen, read_request
from tickmux.simulator.market.contract_names import MONTHS, WEEKLY_MONTHS, ending, monthly_name
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.server.base import BrokerSimulator
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

API_KEY, CLIENT_CODE, PIN, TOTP_SECRET = "simulated-key", "S123456", "1234", "JBSWY3DPEHPK3PXPJBSWY3DPEH"

_MOST_CONNECTIONS = 3  # section 3
_MOST_TOKENS = 1000
_MOST_DEPTH20_TOKENS = 50
_EXCHANGE_TYPES = {
    "NSE": 1, "NSE_INDEX": 1, "NFO": 2, "BSE": 3, "BSE_INDEX": 3, "BFO": 4, "MCX": 5, "CDS": 13,
}  # fmt: skip
_CURRENCY = 13
_LIST_PATH = "/OpenAPI_File/files/OpenAPIScripMaster.json"
_LOGIN_PATH = "/rest/auth/angelbroking/user/v1/loginByPassword"
_REFRESH_PATH = "/rest/auth/angelbroking/jwt/v1/generateTokens"
_LOGOUT_PATH = "/rest/secure/angelbroking/user/v1/logout"
_NEEDED_HEADERS = (
    "x-usertype", "x-sourceid", "x-clientlocalip", "x-clientpublicip", "x-macaddress", "x-privatekey",
)  # fmt: skip

# Section 5, little-endian.
_HEAD = struct.Struct("<BB25sqqq")  # mode, exchange type, token, sequence, exchange time, last price
_QUOTE = struct.Struct("<qqqddqqqq")
_TIMES = struct.Struct("<qqd")
_LEVEL = struct.Struct("<HqqH")
_LIMITS = struct.Struct("<qqqq")
_DEPTH20_HEAD = struct.Struct("<BB25sqq")
_DEPTH20_LEVEL = struct.Struct("<iih")
_BUY, _SELL = 1, 0
_GARBAGE = 2.2022960906430553
"""What stands in the field for the change of open interest."""


class AngelSimulator(BrokerSimulator):
    """Kinds are the broker's modes, `1` to `4`; a token may have several."""

    name = "angel"
    endpoints = {"feed": "ws:/smart-stream", "api": "http:/", "instruments": f"http:{_LIST_PATH}"}

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._refresh_token = ""
        self._by_key = {
            (_EXCHANGE_TYPES[security.exchange], wire_token(security)): security
            for security in exchange.securities
            if security.exchange in _EXCHANGE_TYPES
        }

    def make_credentials(self, number: int) -> Credentials:
        return Credentials(
            {
                "api_key": API_KEY,
                "client_code": CLIENT_CODE,
                "jwt": f"simulated.jwt.{number}",
                "feed_token": f"simulated-feed-{number}",
            }
        )

    # -- feed --------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        headers = request.headers
        checks = (
            ("jwt", headers.get("authorization", "").removeprefix("Bearer "), "Invalid Auth token"),
            ("client_code", headers.get("x-client-code", ""), "Invalid Client Code"),
            ("api_key", headers.get("x-api-key", ""), "Invalid API Key"),
            ("feed_token", headers.get("x-feed-token", ""), "Invalid Feed Token"),
        )
        for name, value, fault in checks:
            if not self.knows(**{name: value}):
                return Response(401, b"", {"x-error-message": f"Invalid Header - {fault}"})
        if len(self.clients) >= _MOST_CONNECTIONS:
            return Response(429, b"Too many connections")
        return None

    def token_expired(self, client: Client) -> None:
        client.hang_up()  # only the next handshake says why

    def received(self, client: Client, message: str | bytes) -> None:
        if message == "ping":
            client.send("pong")
            return
        request = read_request(message)
        if request is None:
            client.send(_error("", "E1001", "Invalid Request Payload."))
            return
        params = request.params
        correlation = request.correlation or ""
        book_elsewhere = params.mode == 4 and any(group.exchange_type != 1 for group in params.groups)
        if book_elsewhere or not request.asks_for(range(1, 5)):
            client.send(_error(correlation, "E1001", "Invalid Request Payload."))
            return
        kind = str(params.mode)
        securities = chosen(params.groups, self._by_key)
        if request.action == UNSUBSCRIBE:
            self.unsubscribe(client, securities, kind)
            return
        fresh = [security for security in securities if kind not in client.subscriptions.get(security, ())]
        held = [one for kinds in client.subscriptions.values() for one in kinds]
        full = len(held) + len(fresh) > _MOST_TOKENS
        if full or (kind == "4" and held.count("4") + len(fresh) > _MOST_DEPTH20_TOKENS):
            client.send(_error(correlation, "E1002", "Invalid Request. Subscription Limit Exceeded"))
            return
        self.subscribe(client, fresh, kind)

    def encode(self, security: Security, kind: str) -> bytes | None:
        if kind != "4":
            return encode_packet(security, int(kind))
        return None if security.is_index else encode_depth20(security)

    # -- REST --------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        route = (request.method, request.path)
        if route == ("GET", _LIST_PATH):
            return Response(200, self._instruments_json(), {"Content-Type": "application/json"})
        if request.method != "POST" or request.path not in (_LOGIN_PATH, _REFRESH_PATH, _LOGOUT_PATH):
            return _refusal("AB1004", "Something Went Wrong, Please Try After Sometime", 404)
        if any(not request.headers.get(name) for name in _NEEDED_HEADERS):
            return _refusal("AB1004", "A required header is missing", 400)
        if request.headers["x-privatekey"] != API_KEY:
            return _refusal("AG8004", "Invalid API Key")
        body = request.json()
        given = {name: str(value) for name, value in body.items()} if isinstance(body, dict) else {}
        if request.path == _LOGIN_PATH:
            return self._log_in(given)
        scheme, _, jwt = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not self.knows(jwt=jwt):
            return _refusal("AG8001", "Invalid Token")
        if request.path == _REFRESH_PATH:
            if not self._refresh_token or given.get("refreshToken") != self._refresh_token:
                return _refusal("AB8050", "Invalid Refresh Token")
            return self._session()
        self.expire_token()
        return _success(None)

    def _log_in(self, given: dict[str, str]) -> Response:
        if given.get("clientcode") != CLIENT_CODE or given.get("password") != PIN:
            return _refusal("AB1000", "Invalid email or password")
        if not pyotp.TOTP(TOTP_SECRET).verify(given.get("totp", ""), valid_window=1):
            return _refusal("AB1050", "Invalid totp")
        return self._session()

    def _session(self) -> Response:
        session = self.new_token()
        self._refresh_token = f"refresh-{session['jwt']}"
        return _success(
            {"jwtToken": session["jwt"], "refreshToken": self._refresh_token, "feedToken": session["feed_token"]}
        )

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        return [("OpenAPIScripMaster.json", self._instruments_json())]

    def _instruments_json(self) -> bytes:
        return msgspec.json.encode([instrument_row(security) for security in self._by_key.values()])


def _error(correlation: str, code: str, message: str) -> str:
    return msgspec.json.encode({"correlationID": correlation, "errorCode": code, "errorMessage": message}).decode()


def _success(data: Any) -> Response:
    return Response.json({"status": True, "message": "SUCCESS", "errorcode": "", "data": data})


def _refusal(code: str, message: str, status: int = 200) -> Response:
    return Response.json({"status": False, "message": message, "errorcode": code, "data": None}, status)


# -- packets (section 5) -----------------------------------------------------------------------------------


def wire_token(security: Security) -> str:
    """The token of the instrument list; indices have a range of their own (section 9)."""
    if security.exchange == "NSE_INDEX":
        return f"999{security.token}"
    if security.exchange == "BSE_INDEX":
        return f"99919{0 if security.symbol == 'SENSEX' else security.token:03d}"
    return str(security.token)


def encode_packet(security: Security, mode: int) -> bytes:
    """A packet of mode 1, 2 or 3."""
    exchange_type = _EXCHANGE_TYPES[security.exchange]
    divisor = _divisor(exchange_type)
    head = _HEAD.pack(
        mode,
        exchange_type,
        wire_token(security).encode(),
        security.volume,  # a sequence number: it grows with every trade, and is 0 for an index
        security.updated_at,
        _raw(security.ltp, divisor),
    )
    if mode == 1:
        return head
    quote = _QUOTE.pack(
        security.last_quantity,
        _raw(security.average, divisor),
        security.volume,
        security.total_buy,
        security.total_sell,
        *(_raw(price, divisor) for price in (security.open, security.high, security.low, security.close)),
    )
    if mode == 2:
        return head + quote
    times = _TIMES.pack(
        0 if security.is_index else security.traded_at // 1000,
        security.oi if security.is_derivative else security.volume * 3,  # shares: a number that is not theirs
        _GARBAGE,
    )
    limits = _LIMITS.pack(
        *(
            _raw(price, divisor)
            for price in (security.upper_circuit, security.lower_circuit, security.year_high, security.year_low)
        )
    )
    book = _best_five(security.bids, _BUY, divisor) + _best_five(security.asks, _SELL, divisor)
    return b"".join((head, quote, times, book, limits))


def encode_depth20(security: Security) -> bytes:
    """A packet of mode 4."""
    exchange_type = _EXCHANGE_TYPES[security.exchange]
    head = _DEPTH20_HEAD.pack(
        4,
        exchange_type,
        wire_token(security).encode(),
        security.updated_at,
        security.updated_at + 5999,  # a dummy
    )
    return head + _twenty(security.bids, _divisor(exchange_type)) + _twenty(security.asks, _divisor(exchange_type))


def _best_five(levels: list[Level], side: int, divisor: int) -> bytes:
    shown = [_LEVEL.pack(side, level.quantity, _raw(level.price, divisor), level.orders) for level in levels[:5]]
    return b"".join(shown + [_LEVEL.pack(side, 0, 0, 0)] * (5 - len(shown)))


def _twenty(levels: list[Level], divisor: int) -> bytes:
    shown = [_DEPTH20_LEVEL.pack(level.quantity, _raw(level.price, divisor), level.orders) for level in levels[:20]]
    return b"".join(shown).ljust(20 * _DEPTH20_LEVEL.size, b"\0")


def _divisor(exchange_type: int) -> int:
    return 10_000_000 if exchange_type == _CURRENCY else 100


def _raw(price: int, divisor: int) -> int:
    return price * divisor // PRICE_UNIT


# -- instrument list (section 9) ---------------------------------------------------------------------------


def instrument_row(security: Security) -> dict[str, str]:
    exchange = security.exchange.removesuffix("_INDEX")
    scale = 10_000_000 if exchange == "CDS" else 100
    strike = -1.0
    if security.strike:
        strike = security.strike * scale / PRICE_UNIT
    elif security.is_index:
        strike = 0.0
    return {
        "token": wire_token(security),
        "symbol": _broker_symbol(security),
        "name": security.symbol if security.is_index or security.kind == "EQ" else security.name,
        "expiry": _day(security, "%Y") if security.expiry else "",
        "strike": f"{strike:.6f}",
        "lotsize": str(max(1, security.lot_size * security.multiplier)),
        "instrumenttype": _instrument_type(security),
        "exch_seg": exchange,
        "tick_size": f"{0 if security.is_index else security.tick * scale / PRICE_UNIT:.6f}",
    }


def _instrument_type(security: Security) -> str:
    if security.is_index:
        return "AMXIDX"
    if security.kind == "EQ":
        return ""
    future = security.kind == "FUT"
    if security.exchange == "MCX":
        return "FUTCOM" if future else "OPTFUT"
    return ("FUT" if future else "OPT") + ("CUR" if security.exchange == "CDS" else "IDX")


def _broker_symbol(security: Security) -> str:
    if security.is_index:
        return security.name.title() if security.exchange == "NSE_INDEX" else security.name
    expiry = security.expiry
    if expiry is None:
        return f"{security.symbol}-EQ" if security.exchange == "NSE" else security.symbol
    if security.exchange == "NFO":
        day = _day(security, "%y")
    elif security.exchange == "BFO" and security.kind != "FUT":
        day = f"{expiry.year % 100:02d}{WEEKLY_MONTHS[expiry.month - 1]}{expiry.day:02d}"
    else:
        return monthly_name(security)
    return f"{security.name}{day}{ending(security)}"


def _day(security: Security, year: str) -> str:
    expiry = security.expiry
    return f"{expiry:%d}{MONTHS[expiry.month - 1]}{expiry:{year}}" if expiry else ""


SIMULATOR = AngelSimulator
