"""Samco's servers: the stream, and as much of the REST API as login, indices and the instrument list need.

Section numbers are those of the broker's specification.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, unquote

import msgspec

from tickmux.codec import Credentials
from tickmux.instrument import format_strike
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.server.base import BrokerSimulator, Packet
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

API_KEY, API_SECRET = "simulated-key", "simulated-secret"

_SEGMENTS = {"NSE": "NSE", "BSE": "BSE", "NFO": "NFO", "BFO": "BFO", "CDS": "CDS", "MCX": "MFO"}
_SEGMENT_NAMES = {
    "NSE": "NSE_CM", "BSE": "BSE_CM", "NFO": "NSE_FO", "BFO": "BSE_FO", "CDS": "NSE_CD", "MFO": "MCX_FO",
}  # fmt: skip
_LISTING_IDS = {"NIFTY": -23, "SENSEX": -53}
_INDEX_EXCHANGES = ("NSE_INDEX", "BSE_INDEX")
_STREAMS = ("quote", "quote2")
_LEVELS = 5
_MOST_WAITING = 1 << 20
"""Characters of a request whose line feed has not come yet."""

_INDIA = timezone(timedelta(hours=5, minutes=30))
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_COLUMNS = (
    "exchange,exchangeSegment,symbolCode,tradingSymbol,name,lastPrice,instrument,lotSize,strikePrice,expiryDate,"
    "tickSize"
)

Fields = dict[str, Any]


class SamcoSimulator(BrokerSimulator):
    """Kinds are the streams. `client.session` is what has come of a request whose line feed has not."""

    name = "samco"
    endpoints = {
        "feed": "ws:/",
        "api": "http:/",
        "login": "http:/oauth/authorize",
        "master": "http:/doc/ScripMaster.csv",
    }

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.redirect_url = ""
        """Where the consent page sends the browser when the request names no address."""
        self._code = ""
        self._codes_made = 0
        listed = [s for s in exchange.securities if s.exchange in _SEGMENTS or s.exchange in _INDEX_EXCHANGES]
        self._by_symbol = {feed_symbol(security): security for security in listed}
        self._indices = {security.name: security for security in listed if security.is_index}

    def make_credentials(self, number: int) -> Credentials:
        return Credentials({"session_token": quote(f"simulated/session+{number}==", safe="")})

    def _knows(self, request: Request) -> bool:
        return self.token_valid and request.headers.get("x-session-token") == unquote(
            self.credentials["session_token"]
        )

    # -- stream ------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        return None if self._knows(request) else Response(401, b"Unauthorized")

    def greet(self, client: Client) -> None:
        client.session = ""

    def token_expired(self, client: Client) -> None:
        client.send('{"status":"Failure","statusMessage":"Session Expired. Please login again"}\n')
        client.hang_up()

    def received(self, client: Client, message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        *lines, rest = (client.session + text).split("\n")  # without its line feed a request stays in the buffer
        client.session = rest[:_MOST_WAITING]
        for line in lines:
            self._request(client, line)

    def _request(self, client: Client, line: str) -> None:
        try:
            request = msgspec.json.decode(line, type=_Envelope).request
        except (msgspec.DecodeError, ValueError, RecursionError):
            return
        stream, data = request.streaming_type, request.data
        if stream not in _STREAMS or request.response_format != "json":
            _refuse(client, "Invalid streaming type")
            return
        asked = [one.symbol for one in data.symbols]
        chosen = [self._by_symbol[symbol] for symbol in dict.fromkeys(asked) if symbol in self._by_symbol]
        if len(chosen) < len(set(asked)):
            _refuse(client, "Invalid symbol")
        if request.request_type == "subscribe":
            held = [security for security, kinds in client.subscriptions.items() if stream in kinds]
            self.unsubscribe(client, [security for security in held if security not in chosen], stream)
            self.subscribe(client, [security for security in chosen if security not in held], stream)
        elif request.request_type == "unsubscribe":
            self.unsubscribe(client, chosen, stream)

    def encode(self, security: Security, kind: str) -> str | None:
        if kind == "quote":
            return _text({**quote_fields(security), "streaming_type": "quote"})
        if security.is_index:
            return None
        return _text({"response": {"data": book_fields(security), "streaming_type": "quote2"}})

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[str]:
        return ("".join(f"{text}\n" for _, _, text in packets),)

    # -- REST --------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        route = (request.method, request.path)
        if route == ("POST", "/session/token"):
            return self._log_in(request)
        if route == ("GET", "/oauth/authorize"):
            return self._consent(request)
        if route == ("POST", "/oauth/token"):
            return self._take_code(request)
        if route == ("GET", "/doc/ScripMaster.csv"):
            return Response(200, self.instrument_dump()[0][1], {"Content-Type": "text/csv"})
        if route == ("GET", "/quote/indexQuote"):
            return self._index_quote(request)
        return Response(404)

    def _log_in(self, request: Request) -> Response:
        given = request.json()
        if not isinstance(given, dict) or given.get("apiKey") != API_KEY:
            return _failure("EOAUTH001", "Invalid api key")
        if given.get("apiSecret") != API_SECRET:
            return _failure("EOAUTH008", "Invalid api secret")
        return self._session("sessionToken")

    def _consent(self, request: Request) -> Response:
        query = request.query
        if query.get("api_key") != API_KEY:
            return _failure("EOAUTH001", "Invalid api key")
        self._codes_made += 1
        self._code = f"simulated-code-{self._codes_made}"
        target = query.get("redirect_url") or self.redirect_url
        if not target:
            return Response(200, f"code: {self._code}".encode(), {"Content-Type": "text/plain"})
        return Response.redirect(target, {"code": self._code, "state": query.get("state", "")})

    def _take_code(self, request: Request) -> Response:
        given = request.json()
        code, self._code = self._code, ""  # any attempt uses it up
        if not code or not isinstance(given, dict) or given.get("code") != code:
            return _failure("EOAUTH004", "Invalid code")
        return self._session("accessToken")

    def _session(self, name: str) -> Response:
        self.expire_token()
        token = self.new_token()["session_token"]
        return Response.json({"status": "Success", name: token, "accountID": "SIM001", "validity": "08:00"})

    def _index_quote(self, request: Request) -> Response:
        if not self._knows(request):
            return Response.json({"status": "Failure", "statusMessage": "Session Expired"}, 401)
        index = self._indices.get(request.query.get("indexName", ""))
        if index is None:
            return Response.json({"status": "Failure", "statusMessage": "Invalid index name"})
        details = {"indexName": index.name, "listingId": feed_symbol(index), "spotPrice": _rupees(index, index.ltp)}
        return Response.json({"status": "Success", "indexDetails": [details]})

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        rows = (_row(security) for security in self._by_symbol.values() if not security.is_index)
        return [("ScripMaster.csv", "\n".join((_COLUMNS, *rows, "")).encode())]


class _Symbol(msgspec.Struct):
    symbol: str


class _Symbols(msgspec.Struct):
    symbols: list[_Symbol]


class _StreamRequest(msgspec.Struct):
    streaming_type: str
    data: _Symbols
    request_type: str
    response_format: str


class _Envelope(msgspec.Struct):
    request: _StreamRequest


def feed_symbol(security: Security) -> str:
    """Section 4: number and segment, or an index's listing id alone."""
    if security.is_index:
        return str(_LISTING_IDS.get(security.symbol, -1000 - security.token))
    return f"{security.token}_{_SEGMENTS[security.exchange]}"


def quote_fields(security: Security) -> Fields:
    """Section 5, stream `quote`: texts, zero and empty where there is nothing."""

    def money(price: int) -> str:
        return _rupees(security, price)

    moment = datetime.fromtimestamp(security.traded_at / 1000, UTC)
    traded = _twelve_hours(moment.astimezone(_INDIA))
    best_ask, best_bid = _best(security.asks), _best(security.bids)
    return {
        "aPr": money(best_ask.price),
        "aSz": str(best_ask.quantity),
        "avgPr": money(security.average),
        "bPr": money(best_bid.price),
        "bSz": str(best_bid.quantity),
        "c": money(security.close),
        "ch": money(security.ltp - security.close),
        "h": money(security.high),
        "l": money(security.low),
        "lTrdT": traded,
        "ltp": money(security.ltp),
        "ltq": str(security.last_quantity),
        "ltt": traded,
        "lttUTC": _twelve_hours(moment),
        "o": money(security.open),
        "oI": f"{security.oi}.00" if security.is_derivative else "",
        "tBQ": str(security.total_buy),
        "tSQ": str(security.total_sell),
        "vol": f"{security.volume:,}" if security.is_derivative else str(security.volume),
        "yH": money(security.year_high),
        "yL": money(security.year_low),
        "sym": feed_symbol(security),
    }


def book_fields(security: Security) -> Fields:
    """Section 5, stream `quote2`: five levels a side, empty ones zero."""
    moment = datetime.fromtimestamp(security.traded_at / 1000, UTC)
    return {
        "askValues": _levels(security, security.asks),
        "bidValues": _levels(security, security.bids),
        "symbol": feed_symbol(security),
        "ltt": f"{moment.astimezone(_INDIA):%d/%m/%Y %H:%M:%S}",
        "lttUTC": f"{moment:%d/%m/%Y %H:%M:%S}",
        "taq": str(security.total_sell),
        "tbq": str(security.total_buy),
    }


def _levels(security: Security, levels: list[Level]) -> list[dict[str, str]]:
    shown = [
        {"no": str(level.orders), "price": _rupees(security, level.price), "qty": str(level.quantity)}
        for level in levels[:_LEVELS]
    ]
    empty = {"no": "0", "price": _rupees(security, 0), "qty": "0"}
    return shown + [empty] * (_LEVELS - len(shown))


def _best(levels: list[Level]) -> Level:
    return levels[0] if levels else Level(0, 0, 0)


def _rupees(security: Security, price: int) -> str:
    return f"{price / PRICE_UNIT:.{4 if security.exchange == 'CDS' else 2}f}"


def _twelve_hours(moment: datetime) -> str:
    """`27 Aug 2025, 09:15:02 AM`."""
    hour = moment.hour % 12 or 12
    half = "PM" if moment.hour >= 12 else "AM"
    return f"{moment.day:02d} {_MONTHS[moment.month - 1]} {moment.year}, {hour:02d}:{moment:%M:%S} {half}"


def _text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _refuse(client: Client, words: str) -> None:
    client.send(_text({"status": "Failure", "statusMessage": words}) + "\n")


def _failure(code: str, words: str) -> Response:
    return Response.json({"status": "Failure", "statusMessage": words, "errorCode": code})


# -- instrument list (section 9) ---------------------------------------------------------------------------


def _row(security: Security) -> str:
    segment = _SEGMENTS[security.exchange]
    expiry = f"{security.expiry:%d/%m/%y}" if security.expiry else ""
    strike = f"{security.strike / PRICE_UNIT}" if security.strike else ""
    name = security.name if security.is_derivative else security.symbol
    return (
        f"{segment},{_SEGMENT_NAMES[segment]},{feed_symbol(security)},{_trading_symbol(security)},{name},"
        f"{_rupees(security, security.close)},{_instrument_code(security)},{security.lot_size},{strike},{expiry},"
        f"{security.tick / PRICE_UNIT:g}"
    )


def _instrument_code(security: Security) -> str:
    future = security.kind == "FUT"
    match security.exchange:
        case "NSE" | "BSE":
            return "EQ"
        case "NFO":
            return "FUTIDX" if future else "OPTIDX"
        case "BFO":
            return "IF" if future else "IO"
        case "CDS":
            return "FUTCUR" if future else "OPTCUR"
        case _:
            return "FUTCOM" if future else "OPTFUT"


def _trading_symbol(security: Security) -> str:
    expiry = security.expiry
    if expiry is None:
        return f"{security.symbol}-EQ" if security.exchange == "NSE" else security.symbol
    if security.kind == "FUT":
        return f"{security.name}{_month(expiry)}FUT"
    day = f"{expiry.year % 100}{expiry.month}{expiry.day:02d}" if security.exchange == "BFO" else _month(expiry)
    return f"{security.name}{day}{format_strike(security.strike / PRICE_UNIT)}{security.kind}"


def _month(expiry: date) -> str:
    return f"{expiry.year % 100:02d}{_MONTHS[expiry.month - 1].upper()}"


SIMULATOR = SamcoSimulator
