"""5paisa's servers: the Xstream feed on its four addresses, and as much of REST as a login and the scrip master need.

Section numbers are those of the broker's specification.
"""

import base64
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
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

USER_KEY, ENCRYPTION_KEY, USER_ID = "simulated-key", "simulated-encryption-key", "SIMUSER"
CLIENT_CODE, PIN, TOTP_SECRET = "58008888", "1234", "JBSWY3DPEHPK3PXPJBSWY3DPEH"

SEGMENTS = {
    "NSE": ("N", "C"),
    "BSE": ("B", "C"),
    "NFO": ("N", "D"),
    "BFO": ("B", "D"),
    "CDS": ("N", "U"),
    "BCD": ("B", "U"),
    "MCX": ("M", "D"),
    "NSE_INDEX": ("N", "C"),
    "BSE_INDEX": ("B", "C"),
}
_FIRST_INDEX = {"NSE_INDEX": 999_920_000, "BSE_INDEX": 999_901}
_INDEX_ROOTS = {
    "BANKNIFTY": "NIFTY BANK",
    "FINNIFTY": "NIFTY FIN SERVICE",
    "MIDCPNIFTY": "NIFTY MID SELECT",
    "NIFTYNXT50": "NIFTY NEXT 50",
    "INDIAVIX": "INDIA VIX",
    "SENSEX50": "SNSX50",
    "BANKEX": "BSE-BANKEX",
}
"""How the list names indices whose name there is not our symbol."""
_FEED, _LITE, _DEPTH, _OPEN_INTEREST = (
    "MarketFeedV3",
    "MarketFeedLite",
    "MarketDepthService",
    "GetScripInfoForFuture",
)
_METHODS = (_FEED, _LITE, _DEPTH, _OPEN_INTEREST)
_LEVELS, _BUY, _SELL = 5, 66, 83
_IN_AN_ARRAY = 20
"""Feed objects that share a frame; the real number is not published."""
_INDIA = 19_800
_SERVERS = {"A": "feed_a", "B": "feed_b", "C": "feed_c"}
_TOKENS_END = 4_102_444_800
"""The year 2100: a simulated token dies when told to, and not before."""
_BASE = "/VendorsAPI/Service1.svc"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_COLUMNS = (
    "Exch,ExchType,ScripCode,Name,Expiry,ScripType,StrikeRate,FullName,TickSize,LotSize,QtyLimit,Multiplier,"
    "SymbolRoot,BOCOAllowed,ISIN,ScripData,Series"
)


class FivepaisaSimulator(BrokerSimulator):
    """Kinds are the broker's methods; an instrument may have several. Tokens name one of three hosts in turn."""

    name = "fivepaisa"
    endpoints = {
        "feed": "ws:/Feeds/api/chat",
        "feed_a": "ws:/a/feeds/api/chat",
        "feed_b": "ws:/b/feeds/api/chat",
        "feed_c": "ws:/c/feeds/api/chat",
        "api": f"http:{_BASE}",
    }

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._request_token = ""
        self._listed = [security for security in exchange.securities if security.exchange in SEGMENTS]
        self._codes = dict(self._numbered())
        self._by_key = {(*SEGMENTS[security.exchange], self._codes[security]): security for security in self._listed}

    def _numbered(self) -> Iterator[tuple[Security, int]]:
        following = dict(_FIRST_INDEX)
        for security in self._listed:
            if security.is_index:
                yield security, following[security.exchange]
                following[security.exchange] += 1
            else:
                yield security, security.token

    def make_credentials(self, number: int) -> Credentials:
        claims = {"unique_name": CLIENT_CODE, "exp": _TOKENS_END, "RedirectServer": "ABC"[number % 3]}
        return Credentials({"access_token": jwt(claims, f"{number:08d}"), "client_code": CLIENT_CODE})

    # -- feed --------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        token, _, client_code = request.query.get("Value1", "").partition("|")
        if not self.knows(access_token=token, client_code=client_code):
            return Response(401, b"Unauthorized")
        return None

    def greet(self, client: Client) -> None:
        token = self.credentials["access_token"]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        client.session = client.endpoint == _SERVERS[claims["RedirectServer"]]  # elsewhere nothing is answered

    def token_expired(self, client: Client) -> None:
        client.hang_up()  # only the next handshake says why

    def received(self, client: Client, message: str | bytes) -> None:
        if message == "PING":
            client.send("PONG")
            return
        try:
            wish = _decode_wish(message)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return  # a wrong request is ignored in silence (section 4)
        if wish.Method not in _METHODS or wish.ClientCode != CLIENT_CODE or not client.session:
            return
        keys = [(scrip.Exch, scrip.ExchType, scrip.ScripCode) for scrip in wish.MarketFeedData]
        chosen = [self._by_key[key] for key in dict.fromkeys(keys) if key in self._by_key]
        if wish.Operation == "Subscribe":
            self.subscribe(client, chosen, wish.Method)
        elif wish.Operation == "Unsubscribe":
            self.unsubscribe(client, chosen, wish.Method)

    def encode(self, security: Security, kind: str) -> dict[str, Any] | None:
        return frame_object(security, self._codes[security], kind)

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[str]:
        """Feed objects share arrays; every other one is a frame of its own."""
        feed = [payload for _, kind, payload in packets if kind in (_FEED, _LITE)]
        for start in range(0, len(feed), _IN_AN_ARRAY):
            yield _text(feed[start : start + _IN_AN_ARRAY])
        for _, kind, payload in packets:
            if kind in (_DEPTH, _OPEN_INTEREST):
                yield _text(payload)

    # -- REST --------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        call = request.path.removeprefix(f"{_BASE}/")
        if (request.method, call) == ("GET", "ScripMaster/segment/all"):
            return Response(200, self._master(), {"Content-Type": "text/csv"})
        if request.method == "GET" and call.startswith("ScripMaster/segment/"):
            return Response(200, b"Invalid segment", {"Content-Type": "text/plain"})
        envelope = request.json()
        if request.method != "POST" or not isinstance(envelope, dict):
            return Response(404)
        head, body = (part if isinstance(part, dict) else {} for part in (envelope.get("head"), envelope.get("body")))
        if head.get("Key") != USER_KEY:
            return _envelope({"Status": 2, "Message": "Invalid user key"})
        if call == "TOTPLogin":
            return self._log_in(body)
        if call == "GetAccessToken":
            return self._sell_token(body)
        return Response(404)

    def _log_in(self, body: dict[str, Any]) -> Response:
        self._request_token = ""
        if body.get("Email_ID") != CLIENT_CODE or body.get("PIN") != PIN:
            return _envelope({"Status": 1, "Message": "Invalid PIN", "RequestToken": None})
        if not pyotp.TOTP(TOTP_SECRET).verify(str(body.get("TOTP", "")), valid_window=1):
            return _envelope({"Status": 1, "Message": "Invalid TOTP", "RequestToken": None})
        self._request_token = secrets.token_hex(16)
        return _envelope({"Status": 0, "Message": "Success", "RequestToken": self._request_token})

    def _sell_token(self, body: dict[str, Any]) -> Response:
        token, self._request_token = self._request_token, ""  # good for one use
        if not token or body.get("RequestToken") != token:
            return _envelope({"Status": 1, "Message": "Invalid request token", "AccessToken": ""})
        if body.get("EncryKey") != ENCRYPTION_KEY or body.get("UserId") != USER_ID:
            return _envelope({"Status": 1, "Message": "Invalid encryption key", "AccessToken": ""})
        self.expire_token()
        session = self.new_token()
        sold = {"AccessToken": session["access_token"], "ClientCode": CLIENT_CODE}
        return _envelope({"Status": 0, "Message": "Success", **sold})

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        return [("scripmaster.csv", self._master())]

    def _master(self) -> bytes:
        rows = [master_row(security, code) for security, code in self._codes.items()]
        return "\n".join((_COLUMNS, *rows, "")).encode()


class _Scrip(msgspec.Struct):
    Exch: str
    ExchType: str
    ScripCode: int


class _Wish(msgspec.Struct):
    Method: str
    Operation: str
    ClientCode: str
    MarketFeedData: list[_Scrip]


_decode_wish = msgspec.json.Decoder(_Wish).decode


def jwt(claims: dict[str, Any], signature: str) -> str:
    """A token as 5paisa's look; nobody checks this signature."""
    parts = ({"alg": "HS256", "typ": "JWT"}, claims)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, signature))


def _envelope(body: dict[str, Any]) -> Response:
    head = {"responseCode": "5PTOTP", "status": "0", "statusDescription": "Success"}
    return Response.json({"head": head, "body": body})


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


# -- frames (section 5) ------------------------------------------------------------------------------------


def frame_object(security: Security, code: int, method: str) -> dict[str, Any] | None:
    """What one method says of an instrument now; None where it has nothing to say."""
    exchange, segment = SEGMENTS[security.exchange]
    named = {"Exch": exchange, "ExchType": segment, "Token": code}
    if method == _OPEN_INTEREST:
        if not security.is_derivative:
            return None
        return {**named, "OpenInterest": security.oi, "DayHiOI": security.oi_high, "DayLoOI": security.oi_low}
    if method == _DEPTH:
        return None if security.is_index else {**named, **_depth(security)}
    # The zone stands in some dates only, and shifts none.
    moment = _date(security.updated_at, "+0530" if exchange == "M" else "")
    if method == _LITE:
        short = {"LastRate": _rupees(security.ltp), "LastQty": security.last_quantity, "TickDt": moment}
        return {**named, **short, "ChgPcnt": _percent(security)}
    bid, ask = (side[0] if side else Level(0, 0, 0) for side in (security.bids, security.asks))
    return {
        **named,
        "LastRate": _rupees(security.ltp),
        "LastQty": security.last_quantity,
        "TotalQty": security.volume,
        "High": _rupees(security.high),
        "Low": _rupees(security.low),
        "OpenRate": _rupees(security.open),
        "PClose": _rupees(security.close),
        "AvgRate": _rupees(security.average),
        "Time": (security.updated_at // 1000 + _INDIA) % 86_400,
        "BidQty": bid.quantity,
        "BidRate": _rupees(bid.price),
        "OffQty": ask.quantity,
        "OffRate": _rupees(ask.price),
        "TBidQ": security.total_buy,
        "TOffQ": security.total_sell,
        "TickDt": moment,
        "ChgPcnt": _percent(security),
    }


def _depth(security: Security) -> dict[str, Any]:
    details = [
        {
            "Quantity": level.quantity,
            "Price": _rupees(level.price),
            "NumberOfOrders": level.orders,
            "BbBuySellFlag": flag,
        }
        for levels, flag in ((security.bids, _BUY), (security.asks, _SELL))
        for level in [*levels[:_LEVELS], *[Level(0, 0, 0)] * (_LEVELS - len(levels))]
    ]
    return {
        "TBidQ": security.total_buy,
        "TOffQ": security.total_sell,
        "Details": details,
        "Time": _date(security.updated_at),
    }


def _date(milliseconds: int, zone: str = "") -> str:
    return f"/Date({milliseconds}{zone})/"


def _rupees(price: int) -> float:
    return price / PRICE_UNIT


def _percent(security: Security) -> float:
    return round((security.ltp - security.close) / security.close * 100, 2) if security.close else 0.0


# -- scrip master (section 9) --------------------------------------------------------------------------------


def master_row(security: Security, code: int) -> str:
    exchange, segment = SEGMENTS[security.exchange]
    expiry, root, kind = security.expiry, security.name, "EQ"
    strike = "0"
    if expiry is None:
        root = _INDEX_ROOTS.get(security.symbol, security.symbol)
        name, data, series, until = root, f"{root}_EQ", "EQ", "1980-01-01 00:00:00"
    else:
        until = f"{expiry.isoformat()} 14:30:00"
        name = f"{root} {expiry.day:02d} {_MONTHS[expiry.month - 1]} {expiry.year}"
        data = f"{root}_{expiry:%Y%m%d}"
        kind, series = "XX", "XX"
        if security.kind != "FUT":
            kind, series = security.kind, "  "
            strike = format_strike(_rupees(security.strike))
            name, data = f"{name} {kind} {_rupees(security.strike):.2f}", f"{data}_{kind}_{strike}"
    company = security.name.replace(",", "") if expiry is None else name.upper()
    return (
        f"{exchange},{segment},{code},{name},{until},{kind},{strike},{company},{security.tick / PRICE_UNIT:g},"
        f"{max(1, security.lot_size)},0,{security.multiplier},{root},Y,{security.isin},{data},{series}"
    )


SIMULATOR = FivepaisaSimulator
