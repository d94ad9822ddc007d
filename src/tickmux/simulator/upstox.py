"""Upstox's servers: Market Data Feed V3, and as much of the REST API as a login and the instrument list need.

Section numbers are those of the broker's specification. The encoder writes the protobuf wire format by hand.
"""

import gzip
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from typing import Any

import msgspec

from tickmux.codec import Credentials
from tickmux.instrument import format_expiry, format_strike
from tickmux.login import IST
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PAISA, PRICE_UNIT, Security
from tickmux.simulator.server.base import BrokerSimulator, Packet
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response
from tickmux.simulator.server.protobuf_wire import double, integer, message, text

API_KEY, API_SECRET, USER_ID = "simulated-key", "simulated-secret", "SIM001"

_CONNECTIONS, _CONNECTIONS_PLUS = 2, 5  # section 3
_MODES = {"ltpc": (5000, 2000), "option_greeks": (3000, 2000), "full": (2000, 1500), "full_d30": (50, 1500)}
"""Mode -> instruments of one connection: when it is the only mode, and when there are others."""
_REQUEST_MODES = {"ltpc": 0, "full": 1, "option_greeks": 2, "full_d30": 3}
_SEGMENTS = {
    "NSE": "NSE_EQ", "BSE": "BSE_EQ", "NFO": "NSE_FO", "BFO": "BSE_FO", "CDS": "NCD_FO", "BCD": "BCD_FO",
    "MCX": "MCX_FO", "NCO": "NSE_COM", "NSE_INDEX": "NSE_INDEX", "BSE_INDEX": "BSE_INDEX",
}  # fmt: skip
_HOMES = {"BSE": "BSE", "BFO": "BSE", "BCD": "BSE", "BSE_INDEX": "BSE", "MCX": "MCX"}
_INDEX_KEYS = {
    "NIFTY": "Nifty 50",
    "BANKNIFTY": "Nifty Bank",
    "FINNIFTY": "Nifty Fin Service",
    "NIFTYNXT50": "Nifty Next 50",
    "INDIAVIX": "India VIX",
}
_LIVE_FEED, _MARKET_INFO = 1, 2
_NORMAL_OPEN = 2
_MOST_CODES = 256
_MINUTE = 60_000
_PING = b"\x89\x00"


class _Initial(bytes):
    """A feed that is the first one after a subscribe."""


class UpstoxSimulator(BrokerSimulator):
    """Kinds are the broker's modes. `plus` says whether the account has 30 levels and 5 connections."""

    name = "upstox"
    endpoints = {
        "authorize": "http:/v3/feed/market-data-feed/authorize",
        "feed": "ws:/v3/feed/market-data-feed",
        "authorized": "ws:/market-data-feeder/v3/upstox-developer-api/feeds",
        "login": "http:/v2/login/authorization/dialog",
        "token": "http:/v2/login/authorization/token",
        "instruments": "http:/market-quote/instruments/exchange/complete.json.gz",
    }
    heartbeat_interval = 5.0

    def __init__(self, exchange: Exchange) -> None:
        self.plus = True
        super().__init__(exchange)
        self._codes: dict[str, None] = {}
        """Codes of authorized URLs that were not used yet."""
        self._codes_made = 0
        self._login_codes: dict[str, str] = {}
        """Codes of the login page -> the redirect URL that they were made for."""
        self._by_key = {instrument_key(security): security for security in exchange.securities}

    def make_credentials(self, number: int) -> Credentials:
        plus = {"plus": "yes"} if self.plus else {}
        return Credentials(
            {"api_key": API_KEY, "access_token": f"simulated-token-{number}", "user_id": USER_ID, **plus}
        )

    # -- feed --------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        if endpoint == "feed":
            if not self._authorized(request):
                return _INVALID_TOKEN
            return Response(302, b"", {"Location": self.authorized_url()})
        code = request.query.get("code", "")
        if code not in self._codes:
            return Response(403)
        del self._codes[code]
        if not self.token_valid:
            return Response(401)
        if len(self.clients) >= (_CONNECTIONS_PLUS if self.plus else _CONNECTIONS):
            return Response(429)
        return None

    def authorized_url(self) -> str:
        """A feed URL that is good for one connect."""
        self._codes_made += 1
        code = f"{self._token_number}.{self._codes_made}"
        self._codes[code] = None
        while len(self._codes) > _MOST_CODES:
            del self._codes[next(iter(self._codes))]
        return f"{self.urls['authorized']}?requestId=simulated-{self._codes_made}&code={code}"

    def expire_token(self) -> None:
        self._codes.clear()
        super().expire_token()

    def token_expired(self, client: Client) -> None:
        client.hang_up()  # the next authorize says why

    def heartbeat(self, client: Client) -> None:
        if client.idle and not self.silent:
            client.send_raw(_PING)

    def received(self, client: Client, message: str | bytes) -> None:
        if isinstance(message, str):
            return  # requests are binary frames (section 4)
        try:
            request = _decode_request(message)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return
        chosen = self._securities(request.data.instrumentKeys)
        if request.method == "unsub":
            self.unsubscribe(client, chosen)
            return
        mode = request.data.mode or ("ltpc" if request.method == "sub" else "")
        if request.method not in ("sub", "change_mode") or mode not in _MODES:
            _refuse(client, request.method, "Invalid method or mode")
            return
        if request.method == "change_mode":
            chosen = [security for security in chosen if security in client.subscriptions]
        refusal = self._refusal_of(client, chosen, mode)
        if refusal:
            _refuse(client, request.method, refusal)
            return
        if client.session is None:
            client.session = "subscribed"
            client.send(self._market_info())
        self.replace(client, chosen, mode)

    def _securities(self, keys: Sequence[str]) -> list[Security]:
        """The instruments of a list of keys, each once; unknown keys are ignored."""
        found = (self._by_key.get(key) for key in keys)
        return list(dict.fromkeys(security for security in found if security is not None))

    def _refusal_of(self, client: Client, chosen: Sequence[Security], mode: str) -> str:
        """Why the account may not have these in this mode; empty if it may."""
        if mode == "full_d30" and not self.plus:
            return "full_d30 is available to Plus accounts only"
        modes = {security: kind for security, kinds in client.subscriptions.items() for kind in kinds}
        load = Counter((modes | dict.fromkeys(chosen, mode)).values())
        if any(count > _MODES[kind][len(load) > 1] for kind, count in load.items()):
            return "instrument keys limit exceeded"
        return ""

    def _market_info(self) -> bytes:
        segments = sorted(set(_SEGMENTS.values()) - {"NSE_INDEX", "BSE_INDEX"})
        statuses = b"".join(message(1, text(1, segment) + integer(2, _NORMAL_OPEN)) for segment in segments)
        now = max(security.updated_at for security in self.exchange.securities)
        return integer(1, _MARKET_INFO) + integer(3, now) + message(4, statuses)

    def encode(self, security: Security, kind: str) -> bytes:
        return encode_feed(security, kind)

    def snapshot(self, client: Client, security: Security, kind: str) -> bytes:
        return _Initial(encode_feed(security, kind))

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[bytes]:
        # One message for all that changed at the same time, since the time is the message's.
        messages: dict[tuple[bool, int], list[bytes]] = {}
        for security, _, feed in packets:
            entry = text(1, instrument_key(security)) + message(2, feed)
            messages.setdefault((isinstance(feed, _Initial), security.updated_at), []).append(message(2, entry))
        for (initial, now), feeds in messages.items():
            yield b"".join((b"" if initial else integer(1, _LIVE_FEED), *feeds, integer(3, now)))

    # -- REST --------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        match request.method, request.path.rstrip("/"):
            case "GET", "/v2/login/authorization/dialog":
                return self._login_page(request)
            case "POST", "/v2/login/authorization/token":
                return self._exchange_code(request)
            case "GET", "/market-quote/instruments/exchange/complete.json.gz":
                ((_, content),) = self.instrument_dump()
                return Response(200, content, {"Content-Type": "application/gzip"})
            case "GET", "/v3/feed/market-data-feed/authorize":
                if not self._authorized(request):
                    return _INVALID_TOKEN
                url = self.authorized_url()
                return _success({"authorized_redirect_uri": url, "authorizedRedirectUri": url})
            case "GET", "/v2/user/profile":
                if not self._authorized(request):
                    return _INVALID_TOKEN
                return _success({"user_id": USER_ID, "user_name": "Simulated User", "broker": "UPSTOX"})
        return _error(404, "UDAPI100060", "Resource not Found.")

    def _authorized(self, request: Request) -> bool:
        _, _, token = request.headers.get("authorization", "").partition("Bearer ")
        return self.knows(access_token=token)

    def new_login_code(self, redirect_uri: str) -> str:
        """What the browser brings back from the login page: good for one exchange; a newer one replaces it."""
        self._codes_made += 1
        self._login_codes = {f"simulated-code-{self._codes_made}": redirect_uri}
        return next(iter(self._login_codes))

    def _login_page(self, request: Request) -> Response:
        query = request.query
        redirect_uri = query.get("redirect_uri", "")
        if query.get("client_id") != API_KEY or query.get("response_type") != "code":
            return _error(401, "UDAPI100068", "Check your 'client_id' and 'redirect_uri'.")
        if not redirect_uri.isprintable() or not redirect_uri.startswith(("http://", "https://")):
            return _error(400, "UDAPI100070", "Invalid 'redirect_uri'.")
        answer = {"code": self.new_login_code(redirect_uri)}
        if "state" in query:
            answer["state"] = query["state"]
        return Response.redirect(redirect_uri, answer)

    def _exchange_code(self, request: Request) -> Response:
        form = request.form()
        redirect_uri = self._login_codes.pop(form.get("code", ""), None)  # any attempt uses it up
        if form.get("client_id") != API_KEY or form.get("client_secret") != API_SECRET:
            return _error(401, "UDAPI100069", "Check your 'client_id' and 'client_secret'.")
        if redirect_uri is None or form.get("grant_type") != "authorization_code":
            return _error(401, "UDAPI100057", "Invalid Auth code.")
        if form.get("redirect_uri") != redirect_uri:
            return _error(400, "UDAPI100070", "Invalid 'redirect_uri'.")
        self.expire_token()
        session = self.new_token()
        return Response.json(
            {
                "broker": "UPSTOX",
                "exchanges": ["NSE", "NFO", "BSE", "BFO", "CDS", "BCD", "MCX"],
                "user_id": USER_ID,
                "user_name": "Simulated User",
                "access_token": session["access_token"],
                "extended_token": None,
                "is_active": True,
            }
        )

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        rows = [_instrument_row(security) for security in self.exchange.securities]
        return [("complete.json.gz", gzip.compress(msgspec.json.encode(rows), 1, mtime=0))]


class _RequestData(msgspec.Struct):
    mode: str = ""
    instrumentKeys: list[str] = []  # noqa: N815 - the wire's name


class _ClientRequest(msgspec.Struct):
    method: str
    data: _RequestData
    guid: str


_decode_request = msgspec.json.Decoder(_ClientRequest).decode


def instrument_key(security: Security) -> str:
    """Section 8: the segment, and within it a number, an ISIN or an index's name."""
    if security.is_index:
        return f"{security.exchange}|{_INDEX_KEYS.get(security.symbol, security.name)}"
    return f"{_SEGMENTS[security.exchange]}|{security.isin or security.token}"


# -- feeds (section 5.2) -----------------------------------------------------------------------------------


def encode_feed(security: Security, mode: str) -> bytes:
    """A `Feed` message."""
    ltpc = _ltpc(security)
    request_mode = integer(4, _REQUEST_MODES[mode])
    if mode == "ltpc":
        return message(1, ltpc) + request_mode
    if mode == "option_greeks":
        first = message(2, _quote(security, 0)) if security.bids or security.asks else b""
        rest = integer(4, security.volume) + double(5, security.oi)
        return message(3, message(1, ltpc) + first + message(3, b"") + rest) + request_mode
    if security.is_index:
        return message(2, message(2, message(1, ltpc) + message(2, _candles(security)))) + request_mode
    levels = min(30 if mode == "full_d30" else 5, max(len(security.bids), len(security.asks)))
    market = b"".join(
        (
            message(1, ltpc),
            message(2, b"".join(message(1, _quote(security, number)) for number in range(levels))),
            message(3, b""),
            message(4, _candles(security)),
            double(5, security.average / PRICE_UNIT),
            integer(6, security.volume),
            double(7, security.oi),
            double(9, security.total_buy),
            double(10, security.total_sell),
        )
    )
    return message(2, message(1, market)) + request_mode


def _ltpc(security: Security) -> bytes:
    traded = security.updated_at if security.is_index else security.traded_at
    return b"".join(
        (
            double(1, security.ltp / PRICE_UNIT),
            integer(2, traded),
            integer(3, security.last_quantity),
            double(4, security.close / PRICE_UNIT),
        )
    )


def _quote(security: Security, number: int) -> bytes:
    bid = security.bids[number] if number < len(security.bids) else None
    ask = security.asks[number] if number < len(security.asks) else None
    return b"".join(
        (
            integer(1, bid.quantity) + double(2, bid.price / PRICE_UNIT) if bid else b"",
            integer(3, ask.quantity) + double(4, ask.price / PRICE_UNIT) if ask else b"",
        )
    )


def _candles(security: Security) -> bytes:
    """The day's candle and one of this minute, which has seen the last price alone."""
    now = security.updated_at
    midnight = datetime.combine(datetime.fromtimestamp(now / 1000, IST).date(), time(), IST)
    day = (security.open, security.high, security.low, security.ltp)
    return _candle("1d", day, security.volume, int(midnight.timestamp() * 1000)) + _candle(
        "I1", (security.ltp,) * 4, security.last_quantity, now - now % _MINUTE
    )


def _candle(interval: str, prices: Sequence[int], volume: int, start: int) -> bytes:
    doubles = b"".join(double(number, price / PRICE_UNIT) for number, price in enumerate(prices, 2))
    return message(1, text(1, interval) + doubles + integer(6, volume) + integer(7, start))


# -- answers and instrument list (section 9) ---------------------------------------------------------------


def _instrument_row(security: Security) -> dict[str, Any]:
    row: dict[str, Any] = {
        "segment": _SEGMENTS[security.exchange],
        "name": security.name,
        "exchange": _HOMES.get(security.exchange, "NSE"),
        "instrument_type": security.kind,
        "instrument_key": instrument_key(security),
        "exchange_token": str(security.token),
        "trading_symbol": security.symbol,
    }
    if security.is_index:
        return row
    row |= {"lot_size": security.lot_size, "tick_size": security.tick / PAISA}
    if security.expiry is None:
        return row | {"isin": security.isin}
    end = datetime.combine(security.expiry + timedelta(days=1), time(), IST)
    day = format_expiry(security.expiry).replace("-", " ")
    strike = format_strike(security.strike / PRICE_UNIT)
    contract = "FUT" if security.kind == "FUT" else f"{strike} {security.kind}"
    return row | {
        "weekly": False,
        "expiry": int(end.timestamp() * 1000) - 1000,
        "underlying_symbol": security.name,
        "trading_symbol": f"{security.name} {contract} {day}",
        "strike_price": security.strike / PRICE_UNIT,
        "qty_multiplier": float(security.multiplier),
    }


def _refuse(client: Client, method: str, words: str) -> None:
    client.send(msgspec.json.encode({"status": "failed", "method": method, "error": words}).decode())


def _success(data: object) -> Response:
    return Response.json({"status": "success", "data": data})


def _error(status: int, code: str, message: str) -> Response:
    error = {
        "error_code": code,
        "message": message,
        "property_path": None,
        "invalid_value": None,
        "errorCode": code,
        "propertyPath": None,
        "invalidValue": None,
    }
    return Response.json({"status": "error", "errors": [error]}, status)


_INVALID_TOKEN = _error(401, "UDAPI100050", "Invalid token used to access API")

SIMULATOR = UpstoxSimulator
