"""Dhan's servers: main feed, both depth sockets, and as much of its REST side as a login and the list need.

Section numbers are those of the broker's specification.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from pyotp.totp import TOTP

from tickmux.codec import Credentials
from tickmux.instrument import format_strike
from tickmux.login import IST
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.server.base import BrokerSimulator, Packet
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

CLIENT_ID, API_KEY, API_SECRET = "1100000001", "simulated-key", "simulated-secret"
PIN, TOTP_SECRET = "123456", "JBSWY3DPEHPK3PXPJBSWY3DPEH"

_MOST_CONNECTIONS = 5  # section 3
_MOST_INSTRUMENTS = {"main": 5000, "depth20": 50, "depth200": 1, "depth200_other": 1}
_MOST_IN_A_MESSAGE = {"main": 100, "depth20": 50, "depth200": 1, "depth200_other": 1}
_REQUESTS = {15: "ltp", 17: "quote", 21: "full"}
_DEPTH_REQUEST, _DEPTH_ENDS, _LEAVE = 23, (24, 25), 12
_TOO_MANY_INSTRUMENTS, _TOO_MANY_CONNECTIONS, _EXPIRED, _REFUSED = 804, 805, 807, 808
_PING = b"\x89\x00"

_SEGMENTS = {"NSE": 1, "NFO": 2, "CDS": 3, "BSE": 4, "MCX": 5, "BCD": 7, "BFO": 8, "NSE_INDEX": 0, "BSE_INDEX": 0}
_SEGMENT_NAMES = {
    "IDX_I": 0, "NSE_EQ": 1, "NSE_FNO": 2, "NSE_CURRENCY": 3, "BSE_EQ": 4, "MCX_COMM": 5, "BSE_CURRENCY": 7,
    "BSE_FNO": 8,
}  # fmt: skip
_INDEX_IDS = {
    "NIFTY": 13, "BANKNIFTY": 25, "FINNIFTY": 27, "NIFTYNXT50": 38, "MIDCPNIFTY": 442, "INDIAVIX": 21, "SENSEX": 51,
    "BANKEX": 69,
}  # fmt: skip
_IST_SHIFT = 19_800  # section 5.4

# Sections 5.2 and 5.3, little-endian.
_HEADER = struct.Struct("<BHBI")
_TICKER = struct.Struct("<fI")
_QUOTE = struct.Struct("<fHIfIII")
_INTEREST = struct.Struct("<III")
_DAY = struct.Struct("<ffff")
_LEVEL = struct.Struct("<IIHHff")
_CLOSE = struct.Struct("<fI")
_U32 = struct.Struct("<I")
_REASON = struct.Struct("<H")
_DEPTH_HEADER = struct.Struct("<HBBII")
_ROW = struct.Struct("<dII")
_NO_PRICE = -0.01


class DhanSimulator(BrokerSimulator):
    """Kinds are `ltp`, `quote`, `full`, `depth20` and `depth200`; on the main feed an instrument may have several.

    A packet is a message of its own unless `stacked`, when those of one moment share one, as the protocol allows.
    With `refuses_by_packet` a wrong token is let in and told so by a disconnect packet, which Dhan may do, too.
    Without `deep_books` the depth sockets are open and stay silent.
    """

    name = "dhan"
    endpoints = {
        "main": "ws:/feed",
        "depth20": "ws:/twentydepth",
        "depth200": "ws:/",
        "depth200_other": "ws:/twohundreddepth",
        "auth": "http:/",
        "instruments": "http:/api-data/api-scrip-master.csv",
    }
    heartbeat_interval = 10.0

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.stacked = False
        self.refuses_by_packet = False
        self.deep_books = True
        self.redirect_url = ""
        """Where the login page sends the browser, as an API key's registration says; empty: it shows the token."""
        self._consents = 0
        self._open_consents: set[str] = set()
        self._token_ids: set[str] = set()
        self._by_id = {
            (_SEGMENTS[security.exchange], security_id(security)): security
            for security in exchange.securities
            if security.exchange in _SEGMENTS
        }

    def make_credentials(self, number: int) -> Credentials:
        return Credentials({"client_id": CLIENT_ID, "access_token": f"simulated-token-{number}"})

    # -- sockets -----------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        query = request.query
        if query.get("authType") != "2" or (endpoint == "main" and query.get("version") != "2"):
            return Response(400)
        return None if self._authorized(request) or self.refuses_by_packet else Response(401)

    def _authorized(self, request: Request) -> bool:
        query = request.query
        return self.knows(access_token=query.get("token", ""), client_id=query.get("clientId", ""))

    def greet(self, client: Client) -> None:
        if not self._authorized(client.request):
            self._end(client, _REFUSED)
        elif len(self.clients) > _MOST_CONNECTIONS:
            self._end(next(iter(self.clients)), _TOO_MANY_CONNECTIONS)

    def token_expired(self, client: Client) -> None:
        self._end(client, _EXPIRED)

    def _end(self, client: Client, reason: int) -> None:
        client.send(disconnect_packet(client.endpoint, reason))
        client.hang_up()

    def heartbeat(self, client: Client) -> None:
        if not self.silent:
            client.send_raw(_PING)  # section 7: the server pings; nothing else beats

    def received(self, client: Client, message: str | bytes) -> None:
        if not isinstance(message, str):
            return
        try:
            request = _decode_request(message)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return
        code = request.RequestCode
        if code == _LEAVE:
            client.close()
        elif client.endpoint == "main":
            securities = self._securities(request.InstrumentList)
            if code in _REQUESTS:
                self._subscribe(client, request.InstrumentList, securities, _REQUESTS[code])
            elif code - 1 in _REQUESTS:
                self.unsubscribe(client, securities, _REQUESTS[code - 1])
        else:
            self._depth_request(client, request)

    def _depth_request(self, client: Client, request: "_ClientRequest") -> None:
        deep = client.endpoint != "depth20"
        listed = [{"ExchangeSegment": request.ExchangeSegment, "SecurityId": request.SecurityId}]
        entries: Any = listed if deep else request.InstrumentList
        securities = [s for s in self._securities(entries) if s.exchange in ("NSE", "NFO")]
        kind = "depth200" if deep else "depth20"
        if request.RequestCode == _DEPTH_REQUEST:
            self._subscribe(client, entries, securities, kind)
        elif request.RequestCode in _DEPTH_ENDS:
            self.unsubscribe(client, securities, kind)

    def _subscribe(self, client: Client, entries: Any, securities: list[Security], kind: str) -> None:
        if kind == "full":  # not served for indices (section 4)
            securities = [security for security in securities if not security.is_index]
        fresh = sum(security not in client.subscriptions for security in securities)
        too_long = isinstance(entries, list) and len(entries) > _MOST_IN_A_MESSAGE[client.endpoint]
        if too_long or len(client.subscriptions) + fresh > _MOST_INSTRUMENTS[client.endpoint]:
            self._end(client, _TOO_MANY_INSTRUMENTS)
            return
        self.subscribe(client, securities, kind)

    def _securities(self, entries: Any) -> list[Security]:
        """The instruments of a request's list, each once; wrong ids are ignored."""
        found: dict[Security, None] = {}
        for entry in entries if isinstance(entries, list) else ():
            if not isinstance(entry, dict):
                continue
            segment, number = entry.get("ExchangeSegment"), entry.get("SecurityId")
            if isinstance(segment, str) and isinstance(number, str) and number.isdecimal() and len(number) <= 10:
                security = self._by_id.get((_SEGMENT_NAMES.get(segment, -1), int(number)))
                if security is not None:
                    found[security] = None
        return list(found)

    def snapshot(self, client: Client, security: Security, kind: str) -> list[bytes]:
        packets = self.encode(security, kind)
        return packets if kind.startswith("depth") else [previous_close_packet(security), *packets]

    def encode(self, security: Security, kind: str) -> list[bytes]:
        if kind == "ltp":
            return [ticker_packet(security)]
        if kind == "quote":
            packets = [quote_packet(security)]
            return [*packets, interest_packet(security)] if security.is_derivative else packets
        if kind == "full":
            return [full_packet(security)]
        if not self.deep_books:
            return []
        return [b"".join(depth_packets(security, 200 if kind == "depth200" else 20))]

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[bytes]:
        frames = [frame for _, _, made in packets for frame in made]
        return [b"".join(frames)] if self.stacked else frames

    # -- REST (section 2) --------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        route = (request.method, request.path)
        if route == ("POST", "/app/generateAccessToken"):
            return self._totp_login(request)
        if route == ("POST", "/app/generate-consent"):
            return self._consent(request)
        if route == ("GET", "/login/consentApp-login"):
            return self._login_page(request)
        if route == ("GET", "/app/consumeApp-consent"):
            return self._consume(request)
        if route == ("GET", "/api-data/api-scrip-master.csv"):
            return Response(200, self._list(), {"Content-Type": "text/csv"})
        return Response(405 if request.path == "/app/consumeApp-consent" else 404)

    def new_token_id(self) -> str:
        """What the browser brings back from the login page: good for one exchange."""
        token_id = f"simulated-token-id-{len(self._token_ids) + self._consents}"
        self._token_ids.add(token_id)
        return token_id

    def _totp_login(self, request: Request) -> Response:
        query = request.query
        if query.get("dhanClientId") != CLIENT_ID or query.get("pin") != PIN:
            return _error("DH-901", "Invalid client id or pin")
        if not TOTP(TOTP_SECRET).verify(query.get("totp", ""), valid_window=1):
            return _error("DH-901", "Invalid TOTP")
        return self._session()

    def _consent(self, request: Request) -> Response:
        if not _is_app(request) or request.query.get("client_id") != CLIENT_ID:
            return _error("DH-901", "Invalid app")
        self._consents += 1
        consent = f"simulated-consent-{self._consents}"
        self._open_consents = {consent}
        return Response.json({"consentAppId": consent, "consentAppStatus": "GENERATED", "status": "success"})

    def _login_page(self, request: Request) -> Response:
        if request.query.get("consentAppId", "") not in self._open_consents:
            return _error("DH-901", "Invalid consent")
        self._open_consents.clear()
        token_id = self.new_token_id()
        if not self.redirect_url:
            return Response(200, f"tokenId: {token_id}".encode(), {"Content-Type": "text/plain"})
        return Response.redirect(self.redirect_url, {"tokenId": token_id})

    def _consume(self, request: Request) -> Response:
        token_id = request.query.get("tokenId", "")
        if not _is_app(request) or token_id not in self._token_ids:
            return _error("DH-901", "Invalid token id")
        self._token_ids.discard(token_id)
        return self._session()

    def _session(self) -> Response:
        self.expire_token()
        session = self.new_token()
        expiry = datetime.now(IST).replace(tzinfo=None) + timedelta(hours=24)
        return Response.json(
            {
                "dhanClientId": CLIENT_ID,
                "accessToken": session["access_token"],
                "expiryTime": expiry.isoformat(timespec="milliseconds"),
            }
        )

    # -- instrument list (section 9) ---------------------------------------------------------------------

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        return [("api-scrip-master.csv", self._list())]

    def _list(self) -> bytes:
        rows = (_list_row(s) for s in self.exchange.securities if s.exchange in _SEGMENTS)
        return "\n".join((_COLUMNS, *rows, "")).encode()


class _ClientRequest(msgspec.Struct):
    RequestCode: int = 0
    InstrumentList: Any = None
    ExchangeSegment: Any = None
    SecurityId: Any = None


_decode_request = msgspec.json.Decoder(_ClientRequest).decode


def _is_app(request: Request) -> bool:
    return request.headers.get("app_id") == API_KEY and request.headers.get("app_secret") == API_SECRET


def _error(code: str, message: str) -> Response:
    return Response.json({"errorType": "Invalid_Authentication", "errorCode": code, "errorMessage": message}, 401)


# -- packets (section 5) -----------------------------------------------------------------------------------


def security_id(security: Security) -> int:
    """Dhan's number of a security, unique within its segment only."""
    return _INDEX_IDS.get(security.symbol, security.token) if security.is_index else security.token


def ticker_packet(security: Security) -> bytes:
    return _head(security, 2, 16) + _TICKER.pack(_rupees(security.ltp), _traded(security))


def quote_packet(security: Security) -> bytes:
    return _head(security, 4, 50) + _common(security) + _day(security)


def interest_packet(security: Security) -> bytes:
    return _head(security, 5, 12) + _U32.pack(security.oi)


def previous_close_packet(security: Security) -> bytes:
    return _head(security, 6, 16) + _CLOSE.pack(_rupees(security.close), 0)


def full_packet(security: Security) -> bytes:
    future = security.exchange == "NFO"
    interest = _INTEREST.pack(security.oi, security.oi_high if future else 0, security.oi_low if future else 0)
    levels = []
    for place in range(5):
        bid, ask = _at(security.bids, place), _at(security.asks, place)
        levels.append(
            _LEVEL.pack(
                bid.quantity if bid else 0,
                ask.quantity if ask else 0,
                bid.orders if bid else 0,
                ask.orders if ask else 0,
                _rupees(bid.price) if bid else _NO_PRICE,
                _rupees(ask.price) if ask else _NO_PRICE,
            )
        )
    return b"".join((_head(security, 8, 162), _common(security), interest, _day(security), *levels))


def depth_packets(security: Security, rows: int) -> tuple[bytes, bytes]:
    """Bids and asks: 20 rows, zeros where the book ends, or for 200 as many as there are."""
    return _depth_packet(security, 41, security.bids, rows), _depth_packet(security, 51, security.asks, rows)


def _depth_packet(security: Security, code: int, levels: list[Level], rows: int) -> bytes:
    packed = [_ROW.pack(level.price / PRICE_UNIT, level.quantity, level.orders) for level in levels[:rows]]
    if rows == 20:
        packed += [bytes(_ROW.size)] * (20 - len(packed))
    last_field = 0 if rows == 20 else len(packed)  # with 20 rows a sequence, which says nothing
    size = _DEPTH_HEADER.size + len(packed) * _ROW.size
    head = _DEPTH_HEADER.pack(size, code, _SEGMENTS[security.exchange], security_id(security), last_field)
    return b"".join((head, *packed))


def disconnect_packet(endpoint: str, reason: int) -> bytes:
    """The packet that ends a session, in the form of the socket called `endpoint`."""
    if endpoint == "main":
        return _HEADER.pack(50, 10, 0, 0) + _REASON.pack(reason)
    return _DEPTH_HEADER.pack(14, 50, 0, 0, 0) + _REASON.pack(reason)


def _head(security: Security, code: int, size: int) -> bytes:
    return _HEADER.pack(code, size, _SEGMENTS[security.exchange], security_id(security))


def _common(security: Security) -> bytes:
    return _QUOTE.pack(
        _rupees(security.ltp),
        min(security.last_quantity, 0xFFFF),
        _traded(security),
        _rupees(security.average),
        security.volume,
        security.total_sell,
        security.total_buy,
    )


def _day(security: Security) -> bytes:
    # Today's close is 0 before the evening, and this market has none.
    return _DAY.pack(_rupees(security.open), 0.0, _rupees(security.high), _rupees(security.low))


def _traded(security: Security) -> int:
    moment = security.updated_at if security.is_index else security.traded_at
    return moment // 1000 + _IST_SHIFT if moment else 0


def _rupees(price: int) -> float:
    return price / PRICE_UNIT


def _at(levels: list[Level], place: int) -> Level | None:
    return levels[place] if place < len(levels) else None


# -- instrument list (section 9) -----------------------------------------------------------------------------

_COLUMNS = (
    "SEM_EXM_EXCH_ID,SEM_SEGMENT,SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_EXPIRY_CODE,SEM_TRADING_SYMBOL,"
    "SEM_LOT_UNITS,SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,SEM_OPTION_TYPE,SEM_TICK_SIZE,SEM_EXPIRY_FLAG,"
    "SEM_EXCH_INSTRUMENT_TYPE,SEM_SERIES,SM_SYMBOL_NAME"
)
_PLACES = {
    "NFO": ("NSE", "D"), "BFO": ("BSE", "D"), "CDS": ("NSE", "C"), "BCD": ("BSE", "C"), "MCX": ("MCX", "M"),
}  # fmt: skip
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_INDEX_SYMBOLS = {"NIFTYNXT50": "NIFTY NEXT 50", "INDIAVIX": "INDIA VIX", "SENSEX50": "SNSX50"}


def _list_row(security: Security) -> str:
    number, tick = security_id(security), security.tick / PRICE_UNIT * 100
    if security.is_index:
        symbol = _INDEX_SYMBOLS.get(security.symbol, security.symbol)
        exchange = security.exchange.removesuffix("_INDEX")
        return f"{exchange},I,{number},INDEX,0,{symbol},1.0,{security.name},0001-01-01,,XX,0.0500,,INDEX,X,{symbol}"
    if security.expiry is None:
        series = "EQ" if security.exchange == "NSE" else "A"
        return (
            f"{security.exchange},E,{number},EQUITY,0,{security.symbol},1.0,{security.name},,,,{tick:.4f},NA,ES,"
            f"{series},{security.name}"
        )
    exchange, segment = _PLACES[security.exchange]
    symbol, custom = _derivative_names(security, security.expiry)
    option = security.kind if security.kind != "FUT" else "XX"
    strike = security.strike / PRICE_UNIT if security.kind != "FUT" else -0.01
    lot = security.lot_size * (security.multiplier if security.exchange == "MCX" else 1)
    closes = {"MCX": "23:30:00", "CDS": "12:30:00", "BCD": "12:30:00"}.get(security.exchange, "14:30:00")
    return (
        f"{exchange},{segment},{number},{_instrument_name(security)},0,{symbol},{lot}.0,{custom},"
        f"{security.expiry.isoformat()} {closes},{strike:.5f},{option},{tick:.4f},M,{option},,"
    )


def _instrument_name(security: Security) -> str:
    future = security.kind == "FUT"
    if security.exchange == "MCX":
        return "FUTCOM" if future else "OPTFUT"
    return ("FUT" if future else "OPT") + ("CUR" if security.exchange in ("CDS", "BCD") else "IDX")


def _derivative_names(security: Security, expiry: date) -> tuple[str, str]:
    """Trading symbol and display name."""
    day = f"{expiry.day:02d}" if security.exchange == "MCX" else ""
    month = _MONTHS[expiry.month - 1]
    if security.kind == "FUT":
        return f"{security.name}-{day}{month}{expiry.year}-FUT", f"{security.name} {month.upper()} FUT"
    strike = format_strike(security.strike / PRICE_UNIT)
    words = "CALL" if security.kind == "CE" else "PUT"
    return (
        f"{security.name}-{day}{month}{expiry.year}-{strike}-{security.kind}",
        f"{security.name} {expiry.day:02d} {month.upper()} {strike} {words}",
    )


SIMULATOR = DhanSimulator
