"""Paytm Money's servers: the broadcast feed, and as much of REST as a login and the instrument list need.

Section numbers are those of the broker's specification.
"""

import secrets
import struct
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from tickmux.codec import Credentials
from tickmux.instrument import format_strike
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.server.base import BrokerSimulator, Packet
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

API_KEY, API_SECRET = "simulated-key", "simulated-secret"

_MODES = ("LTP", "QUOTE", "FULL")
_WIRE_EXCHANGES = {
    "NSE": "NSE", "BSE": "BSE", "NFO": "NSE", "BFO": "BSE", "NSE_INDEX": "NSE", "BSE_INDEX": "BSE",
}  # fmt: skip
_SCRIP_TYPES = {"EQ": "EQUITY", "INDEX": "INDEX", "FUT": "FUTURE", "CE": "OPTION", "PE": "OPTION"}
_INDEX_IDS = {"NIFTY": 13, "BANKNIFTY": 25, "FINNIFTY": 27, "INDIAVIX": 21, "SENSEX": 51}
_INDEX_LABELS = {"MIDCPNIFTY": "Nifty Mid Select", "NIFTYNXT50": "Nifty Next 50", "SENSEX50": "Snsx50"}
"""How the list names indices whose name there is not our symbol."""
_TOKEN_PATH, _LOGOUT_PATH = "/accounts/v2/gettoken", "/accounts/v1/logout"
_LIST_PATH = "/data/v1/scrips/security_master.csv"
_LOGIN_PATH = "/merchant-login"

# Section 5, little-endian, after the type byte.
_LTP = struct.Struct("<BfIIBBff")
_TRADED = struct.Struct("<fIIBBIfIII8f")  # the block that quote and full packets share
_OI = struct.Struct("<Ii")
_INDEX_QUOTE = struct.Struct("<BfIBB8f")
_INDEX_FULL = struct.Struct("<BfIBB6fI")
_LEVEL = struct.Struct("<IIhhff")
_MODE_BYTES = {"LTP": 1, "QUOTE": 2, "FULL": 3}
_SINCE_1980 = 315_532_800
_IST = 19_800
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NO_LEVEL = Level(0, 0, 0)


class PaytmSimulator(BrokerSimulator):
    """Kinds are the broker's mode types; an instrument may have several."""

    name = "paytm"
    endpoints = {
        "feed": "ws:/broadcast/user/v1/data",
        "api": "http:/",
        "login": f"http:{_LOGIN_PATH}",
        "instruments": f"http:{_LIST_PATH}",
    }

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.redirect_url = ""
        """Where the login page sends the browser, as an app's registration says; empty: it shows the token."""
        self._request_token = ""
        self._listed = [security for security in exchange.securities if security.exchange in _WIRE_EXCHANGES]
        self._by_key = {
            (_SCRIP_TYPES[one.kind], _WIRE_EXCHANGES[one.exchange], str(security_id(one))): one
            for one in self._listed
        }

    def make_credentials(self, number: int) -> Credentials:
        return Credentials({"public_access_token": f"simulated.public/{number}+="})

    # -- feed --------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        if not self.knows(public_access_token=request.query.get("x_jwt_token", "")):
            return Response(401, b"Unauthorized")
        return None

    def token_expired(self, client: Client) -> None:
        client.hang_up()  # only the next handshake says why

    def received(self, client: Client, message: str | bytes) -> None:
        try:
            preferences = _decode_preferences(message)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            client.send(_notice("Invalid preference"))
            return
        for wish in preferences:
            security = self._by_key.get((wish.scrip_type, wish.exchange_type, wish.scrip_id))
            if security is None or wish.mode not in _MODES or wish.action not in ("ADD", "REMOVE"):
                client.send(_notice("Invalid preference"))
            elif wish.action == "REMOVE":
                self.unsubscribe(client, [security], wish.mode)
            elif wish.mode not in client.subscriptions.get(security, ()):
                self.subscribe(client, [security], wish.mode)

    def encode(self, security: Security, kind: str) -> bytes:
        return encode_packet(security, kind)

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[bytes]:
        return (b"".join(packet for _, _, packet in packets),)

    # -- REST --------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        route = (request.method, request.path)
        if route == ("GET", _LIST_PATH):
            return Response(200, self._master(), {"Content-Type": "text/csv"})
        if route == ("GET", _LOGIN_PATH):
            return self._login_page(request)
        if route == ("POST", _TOKEN_PATH):
            return self._exchange_token(request)
        if route == ("DELETE", _LOGOUT_PATH):
            if not self.knows(public_access_token=request.headers.get("x-jwt-token", "")):
                return _refusal(401, "Token invalid or expired")
            self.expire_token()
            return Response.json({"status": "success"})
        return _refusal(404, "Not found")

    def new_request_token(self) -> str:
        """What the browser brings back from the login page: good for one exchange; a newer one replaces it."""
        self._request_token = secrets.token_hex(16)
        return self._request_token

    def _login_page(self, request: Request) -> Response:
        if request.query.get("apiKey") != API_KEY:
            return _refusal(400, "Invalid apiKey")
        token = self.new_request_token()
        if not self.redirect_url:
            return Response(200, f"requestToken: {token}".encode(), {"Content-Type": "text/plain"})
        answer = {"success": "true", "requestToken": token, "state": request.query.get("state", "")}
        return Response.redirect(self.redirect_url, answer)

    def _exchange_token(self, request: Request) -> Response:
        body = request.json()
        given: dict[str, Any] = body if isinstance(body, dict) else {}
        token, self._request_token = self._request_token, ""  # any attempt uses it up
        if given.get("api_key") != API_KEY:
            return _refusal(400, "Invalid api_key")
        if given.get("api_secret_key") != API_SECRET:
            return _refusal(400, "Invalid api_secret_key")
        if not token or given.get("request_token") != token:
            return _refusal(401, "Request token is invalid or has expired")
        self.expire_token()
        session = self.new_token()
        public = session["public_access_token"]
        others = {"access_token": f"access-{public}", "read_access_token": f"read-{public}"}
        return Response.json({**session.values, **others})

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        return [("security_master.csv", self._master())]

    def _master(self) -> bytes:
        return "\n".join((_COLUMNS, *map(master_row, self._listed), "")).encode()


class _Preference(msgspec.Struct):
    action: str = msgspec.field(name="actionType")
    mode: str = msgspec.field(name="modeType")
    scrip_type: str = msgspec.field(name="scripType")
    exchange_type: str = msgspec.field(name="exchangeType")
    scrip_id: str = msgspec.field(name="scripId")


_decode_preferences = msgspec.json.Decoder(list[_Preference]).decode


def _notice(message: str) -> str:
    return msgspec.json.encode({"message": message, "code": 400}).decode()


def _refusal(status: int, message: str) -> Response:
    return Response.json({"errors": [{"message": message}]}, status)


# -- packets (section 5) -----------------------------------------------------------------------------------


def security_id(security: Security) -> int:
    """The id of the list; indices count in a space of their own."""
    return _INDEX_IDS.get(security.symbol, security.token) if security.is_index else security.token


def encode_packet(security: Security, mode: str) -> bytes:
    """One packet, with its type byte."""
    number, flag, mode_byte = security_id(security), int(not security.is_index), _MODE_BYTES[mode]
    last, close = _rupees(security.ltp), _rupees(security.close)
    change = last - close
    percent = change / close * 100 if close else 0.0
    moment = _clock(security.updated_at if security.is_index else security.traded_at)
    if mode == "LTP":
        kind = 64 if security.is_index else 61
        return _LTP.pack(kind, last, moment, number, flag, mode_byte, change, percent)
    year = (_rupees(security.year_high), _rupees(security.year_low))
    prices = [_rupees(price) for price in (security.open, security.close, security.high, security.low)]
    if security.is_index:
        if mode == "QUOTE":
            return _INDEX_QUOTE.pack(65, last, number, flag, mode_byte, *prices, percent, change, *year)
        return _INDEX_FULL.pack(66, last, number, flag, mode_byte, *prices, percent, change, moment)
    traded = _TRADED.pack(
        last, moment, number, flag, mode_byte,
        security.last_quantity,
        _rupees(security.average),
        security.volume,
        security.total_buy,
        security.total_sell,
        *prices,
        percent,
        change,
        *year,
    )  # fmt: skip
    if mode == "QUOTE":
        return b"\x3e" + traded
    return b"".join((b"\x3f", _book(security), traded, _OI.pack(security.oi, security.oi - security.oi_low)))


def _book(security: Security) -> bytes:
    packed = []
    for place in range(5):
        bid, ask = (side[place] if place < len(side) else _NO_LEVEL for side in (security.bids, security.asks))
        packed.append(
            _LEVEL.pack(bid.quantity, ask.quantity, bid.orders, ask.orders, _rupees(bid.price), _rupees(ask.price))
        )
    return b"".join(packed)


def _rupees(price: int) -> float:
    return price / PRICE_UNIT


def _clock(milliseconds: int) -> int:
    """Seconds since 1980 as a clock in India counts them; 0 for no time."""
    return milliseconds // 1000 - _SINCE_1980 + _IST if milliseconds else 0


# -- instrument list (section 9) ---------------------------------------------------------------------------

_COLUMNS = (
    "security_id,symbol,name,series,tick_size,lot_size,instrument_type,segment,exchange,upper_limit,lower_limit,"
    "expiry_date,strike_price,freeze_quantity"
)


def master_row(security: Security) -> str:
    expiry = security.expiry
    symbol, name, segment, broker_kind = security.symbol, security.name, "E", "ES"
    if security.is_index:
        name, segment, broker_kind = _INDEX_LABELS.get(symbol, symbol.title()), "I", "I"
    elif expiry:
        segment, future = "D", security.kind == "FUT"
        broker_kind = "FUTIDX" if future else "OPTIDX"
        strike = format_strike(security.strike / PRICE_UNIT)
        month = f"{_MONTHS[expiry.month - 1]}{expiry.year}"
        day = f"{expiry.day:02d} {_MONTHS[expiry.month - 1].upper()}"
        symbol = f"{name}-{month}-FUT" if future else f"{name}-{month}-{strike}-{security.kind}"
        name = (
            f"{name} {day} FUT" if future else f"{name} {day} {strike} {'CALL' if security.kind == 'CE' else 'PUT'}"
        )
    series = "EQ" if broker_kind == "ES" else ""
    return (
        f'{security_id(security)},{symbol},"{name}",{series},{security.tick / PRICE_UNIT:g},'
        f"{max(1, security.lot_size)},"
        f"{broker_kind},{segment},{_WIRE_EXCHANGES[security.exchange]},{_rupees(security.upper_circuit):g},"
        f"{_rupees(security.lower_circuit):g},{expiry.isoformat() if expiry else ''},"
        f"{format_strike(security.strike / PRICE_UNIT)},0"
    )


SIMULATOR = PaytmSimulator
