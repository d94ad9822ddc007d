"""Zerodha's servers: the Kite ticker, and as much of the REST API as a login and the instrument list need.

Section numbers are those of the broker's specification.
"""

import gzip
import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from tickmux.codec import Credentials
from tickmux.instrument import format_strike
from tickmux.simulator.market.contract_names import short_name
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.server.base import BrokerSimulator, Packet
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

API_KEY, API_SECRET, USER_ID = "simulated-key", "simulated-secret", "SIM001"

_MOST_CONNECTIONS = 3  # section 3
_MOST_INSTRUMENTS = 3000
_MODES = ("ltp", "quote", "full")
_SEGMENTS = {"NSE": 1, "NFO": 2, "CDS": 3, "BSE": 4, "BFO": 5, "BCD": 6, "MCX": 7, "NCO": 12}
_INDEX_SEGMENT = 9
_DIVISORS = {3: 10_000_000, 6: 10_000, 12: 10_000}  # section 5.3; 100 elsewhere
_INDEX_TOKENS = {
    "NIFTY": 256265, "BANKNIFTY": 260105, "FINNIFTY": 257801, "MIDCPNIFTY": 288009, "NIFTYNXT50": 270857,
    "INDIAVIX": 264969, "SENSEX": 265, "BANKEX": 274441,
}  # fmt: skip

# Section 5.4, big-endian.
_LTP = struct.Struct(">II")
_INDEX_QUOTE = struct.Struct(">6Ii")
_QUOTE = struct.Struct(">11I")
_LEVEL = struct.Struct(">IIHxx")
_U16 = struct.Struct(">H")
_U32 = struct.Struct(">I")
_TIMES = struct.Struct(">5I")
_NO_LEVEL = bytes(_LEVEL.size)
_HEARTBEAT = b"\x00"


class ZerodhaSimulator(BrokerSimulator):
    """Kinds are the broker's modes."""

    name = "zerodha"
    endpoints = {"feed": "ws:/", "api": "http:/", "login": "http:/connect/login"}
    heartbeat_interval = 1.0

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.redirect_url = ""
        """Where the login page sends the browser, as an app's registration says; empty: it shows the token."""
        self._request_token = ""
        self._request_tokens_made = 0
        self._by_token = {instrument_token(security): security for security in exchange.securities}

    def make_credentials(self, number: int) -> Credentials:
        return Credentials({"api_key": API_KEY, "access_token": f"simulated-token-{number}", "user_id": USER_ID})

    # -- ticker ------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        query = request.query
        if not self.knows(api_key=query.get("api_key", ""), access_token=query.get("access_token", "")):
            return Response(403, b"Authentication failed")
        if len(self.clients) >= _MOST_CONNECTIONS:
            return Response(429, b"Too many connections")
        return None

    def token_expired(self, client: Client) -> None:
        client.hang_up()  # the ticker says why only at the next handshake

    def received(self, client: Client, message: str | bytes) -> None:
        try:
            request = _decode_request(message)
        except (msgspec.DecodeError, UnicodeError):
            return
        if request.a == "subscribe":
            self._subscribe(client, self._securities(request.v))
        elif request.a == "unsubscribe":
            self.unsubscribe(client, self._securities(request.v))
        elif request.a == "mode" and isinstance(request.v, list) and len(request.v) == 2:
            mode, tokens = request.v
            if mode in _MODES:
                chosen = [s for s in self._securities(tokens) if client.subscriptions.get(s, {mode}) != {mode}]
                self.replace(client, chosen, mode)

    def _subscribe(self, client: Client, securities: list[Security]) -> None:
        fresh = [security for security in securities if security not in client.subscriptions]
        if len(client.subscriptions) + len(fresh) > _MOST_INSTRUMENTS:
            words = f"Too many tokens: at most {_MOST_INSTRUMENTS} instruments on one connection"
            client.send(msgspec.json.encode({"type": "error", "data": words}).decode())
            return
        self.subscribe(client, fresh, "quote")

    def _securities(self, tokens: Any) -> list[Security]:
        """The instruments of a list of tokens, each once; wrong tokens are ignored (section 4)."""
        if not isinstance(tokens, list):
            return []
        found = (self._by_token.get(token) for token in tokens if type(token) is int)
        return list(dict.fromkeys(security for security in found if security is not None))

    def heartbeat(self, client: Client) -> bytes | None:
        return _HEARTBEAT if client.idle else None

    def encode(self, security: Security, kind: str) -> bytes:
        return encode_packet(security, kind)

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[bytes]:
        frame = [_U16.pack(len(packets))]
        for _, _, packet in packets:
            frame += (_U16.pack(len(packet)), packet)
        return (b"".join(frame),)

    # -- REST --------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        route = (request.method, request.path.rstrip("/"))
        if route == ("GET", "/connect/login"):
            return self._login_page(request)
        if route == ("POST", "/session/token"):
            return self._exchange_token(request)
        if route == ("DELETE", "/session/token"):
            return self._log_out(request)
        if route[0] != "GET" or not (route[1] == "/user/profile" or route[1].startswith("/instruments")):
            return _error(404, "GeneralException", "Route not found")
        _, _, session = request.headers.get("authorization", "").partition("token ")
        api_key, _, access_token = session.partition(":")
        if not self.knows(api_key=api_key, access_token=access_token):
            return _error(403, "TokenException", "Incorrect `api_key` or `access_token`.")
        if route[1] == "/user/profile":
            return _success({"user_id": USER_ID, "user_name": "Simulated User", "broker": "ZERODHA"})
        content = self._instruments_csv(route[1].removeprefix("/instruments").strip("/"))
        headers = {"Content-Type": "text/csv"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            content, headers["Content-Encoding"] = gzip.compress(content, 1), "gzip"
        return Response(200, content, headers)

    def new_request_token(self) -> str:
        """What the browser brings back from the login page: good for one exchange; a newer one replaces it."""
        self._request_tokens_made += 1
        self._request_token = f"simulated-request-{self._request_tokens_made}"
        return self._request_token

    def _login_page(self, request: Request) -> Response:
        if request.query.get("api_key") != API_KEY:
            return _error(400, "InputException", "Invalid `api_key`.")
        token = self.new_request_token()
        if not self.redirect_url:
            return Response(200, f"request_token: {token}".encode(), {"Content-Type": "text/plain"})
        answer = {"action": "login", "type": "login", "status": "success", "request_token": token}
        answer |= dict(parse_qsl(request.query.get("redirect_params", "")))
        return Response.redirect(self.redirect_url, answer)

    def _exchange_token(self, request: Request) -> Response:
        form = request.form()
        token, self._request_token = self._request_token, ""  # any attempt uses it up
        checksum = hashlib.sha256(f"{API_KEY}{token}{API_SECRET}".encode()).hexdigest()
        if not token or form.get("request_token") != token:
            return _error(403, "TokenException", "Token is invalid or has expired.")
        if form.get("api_key") != API_KEY or form.get("checksum") != checksum:
            return _error(403, "TokenException", "Invalid `checksum`.")
        self.expire_token()
        session = self.new_token()
        return _success({**session.values, "login_time": f"{self.exchange.today} 09:00:00", "broker": "ZERODHA"})

    def _log_out(self, request: Request) -> Response:
        query = request.query
        if not self.knows(api_key=query.get("api_key", ""), access_token=query.get("access_token", "")):
            return _error(403, "TokenException", "Incorrect `api_key` or `access_token`.")
        self.expire_token()
        return _success(True)

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        return [("instruments.csv", self._instruments_csv(""))]

    def _instruments_csv(self, exchange: str) -> bytes:
        rows = (_instrument_row(s) for s in self.exchange.securities if exchange in ("", _kite_exchange(s)))
        return "\n".join((_COLUMNS, *rows, "")).encode()


class _ClientRequest(msgspec.Struct):
    a: str = ""
    v: Any = None


_decode_request = msgspec.json.Decoder(_ClientRequest).decode


def instrument_token(security: Security) -> int:
    """Section 5.3: the exchange's token and the segment in one number."""
    if security.is_index:
        return _INDEX_TOKENS.get(security.symbol, security.token << 8 | _INDEX_SEGMENT)
    return security.token << 8 | _SEGMENTS[security.exchange]


def encode_packet(security: Security, mode: str) -> bytes:
    """One packet of section 5.4, without its length."""
    token = instrument_token(security)
    divisor = _DIVISORS.get(token & 0xFF, 100)
    if mode == "ltp":
        return _LTP.pack(token, _raw(security.ltp, divisor))
    last, open_, high, low, close = (
        _raw(price, divisor) for price in (security.ltp, security.open, security.high, security.low, security.close)
    )
    updated = security.updated_at // 1000
    if security.is_index:
        packet = _INDEX_QUOTE.pack(token, last, high, low, open_, close, last - close)
        return packet if mode == "quote" else packet + _U32.pack(updated)
    packet = _QUOTE.pack(
        token,
        last,
        security.last_quantity,
        _raw(security.average, divisor),
        security.volume,
        security.total_buy,
        security.total_sell,
        open_,
        high,
        low,
        close,
    )
    if mode == "quote":
        return packet
    times = _TIMES.pack(security.traded_at // 1000, security.oi, security.oi_high, security.oi_low, updated)
    return b"".join((packet, times, _side(security.bids, divisor), _side(security.asks, divisor)))


def _side(levels: list[Level], divisor: int) -> bytes:
    packed = b"".join(_LEVEL.pack(level.quantity, _raw(level.price, divisor), level.orders) for level in levels[:5])
    return packed + _NO_LEVEL * (5 - min(len(levels), 5))


def _raw(price: int, divisor: int) -> int:
    return price * divisor // PRICE_UNIT


# -- instrument list (section 9) ---------------------------------------------------------------------------

_COLUMNS = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
    "instrument_type,segment,exchange"
)


def _instrument_row(security: Security) -> str:
    token = instrument_token(security)
    exchange = _kite_exchange(security)
    if security.is_index:
        return f'{token},{token >> 8},{security.name},"{security.name}",0,,0,0,0,EQ,INDICES,{exchange}'
    kind = security.kind
    segment = exchange if kind == "EQ" else f"{exchange}-{'FUT' if kind == 'FUT' else 'OPT'}"
    expiry = security.expiry.isoformat() if security.expiry else ""
    return (
        f'{token},{token >> 8},{short_name(security)},"{security.name}",0,{expiry},'
        f"{format_strike(security.strike / PRICE_UNIT)},{security.tick / PRICE_UNIT:g},{security.lot_size},"
        f"{kind},{segment},{exchange}"
    )


def _kite_exchange(security: Security) -> str:
    return security.exchange.removesuffix("_INDEX")


def _success(data: object) -> Response:
    return Response.json({"status": "success", "data": data})


def _error(status: int, error_type: str, message: str) -> Response:
    return Response.json({"status": "error", "error_type": error_type, "message": message}, status)


SIMULATOR = ZerodhaSimulator
