"""Tradejini's servers: the Nxtrad stream, and as much of the REST API as a login and the instrument list need.

Section numbers are those of the broker's specification.
"""

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
import pyotp

from tickmux.codec import Credentials
from tickmux.instrument import format_strike
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.server.base import BrokerSimulator, Packet
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

API_KEY, API_SECRET, PIN = "simulated-key", "simulated-secret", "1234"
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"  # noqa: S105

_MOST_CONNECTIONS = 5  # section 3
_MOST_INSTRUMENTS = 3000
_VERSION = "3.1"
_LEVELS = 5
_MOST_WAITING = 1 << 20
"""Characters of a request whose line feed has not come yet."""
_SMALL = 120
"""Bytes of a body that are not worth compressing."""

SEGMENTS = {
    "NSE": 1, "NSE_INDEX": 1, "BSE": 2, "BSE_INDEX": 2, "NFO": 3, "BFO": 4, "CDS": 5, "BCD": 6, "MCX": 8,
}  # fmt: skip
DIVISORS = {5: 10_000_000, 6: 10_000}  # section 5; 100 elsewhere
_INDEX_TOKENS = {"NIFTY": -1, "SENSEX": -100}
_AUTH, _L1, _L5, _PONG = 13, 10, 11, 16
_STORE = "/v2/api/mkt-data/scrips/symbol-store"

# Section 5, little-endian: key and value.
_U8 = struct.Struct("<BB").pack
_I32 = struct.Struct("<Bi").pack
_U32 = struct.Struct("<BI").pack
_F64 = struct.Struct("<Bd").pack
_HEADER = struct.Struct("<iBB").pack
_PACKET = struct.Struct("<HB").pack


class TradejiniSimulator(BrokerSimulator):
    """Kinds are the feeds. `client.session` is what has come of a request whose line feed has not."""

    name = "tradejini"
    endpoints = {"feed": "ws:/v2.1/stream", "api": "http:/v2"}

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._code = ""
        self._codes_made = 0
        self._said: dict[Security, dict[int, bytes]] = {}
        listed = [security for security in exchange.securities if security.exchange in SEGMENTS]
        self._by_symbol = {wire_symbol(security): security for security in listed}

    def make_credentials(self, number: int) -> Credentials:
        return Credentials({"api_key": API_KEY, "access_token": f"simulated-token-{number}"})

    # -- stream ------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        if len(self.clients) >= _MOST_CONNECTIONS:
            return Response(429, b"Too many connections")
        return None if request.query.get("version") == _VERSION else Response(400, b"Unknown version")

    def greet(self, client: Client) -> None:
        client.session = ""
        key, _, token = client.request.query.get("token", "").partition(":")
        if self.knows(api_key=key, access_token=token):
            client.send(frame_of([packet(_AUTH, _U8(25, 1))]))
        else:
            self.token_expired(client)

    def token_expired(self, client: Client) -> None:
        client.close(4001, "Unauthorized Access")

    def received(self, client: Client, message: str | bytes) -> None:
        text = message if isinstance(message, str) else message.decode("utf-8", "replace")
        *lines, rest = (client.session + text).split("\n")
        client.session = rest[:_MOST_WAITING]
        for line in lines:
            self._request(client, line)

    def _request(self, client: Client, line: str) -> None:
        try:
            request = msgspec.json.decode(line, type=_ClientRequest)
        except (msgspec.DecodeError, ValueError, RecursionError):
            return
        feed = request.type
        if feed == "PING":
            client.send(frame_of([packet(_PONG, _U8(62, 1))]))
        elif feed in ("L1", "L5") and request.action in ("sub", "unsub"):
            asked = [one.t for one in request.tokens] if request.action == "sub" else []
            found = (self._by_symbol.get(symbol) for symbol in dict.fromkeys(asked[:_MOST_INSTRUMENTS]))
            chosen = [security for security in found if security is not None]
            held = [security for security, kinds in client.subscriptions.items() if feed in kinds]
            self.unsubscribe(client, [security for security in held if security not in chosen], feed)
            self.subscribe(client, [security for security in chosen if security not in held], feed)

    def snapshot(self, client: Client, security: Security, kind: str) -> bytes | None:
        if kind == "L5":
            return book_packet(security)
        fields = self._said[security] = quote_fields(security)  # whoever watches already has been told the same
        return packet(_L1, *fields.values())

    def encode(self, security: Security, kind: str) -> bytes | None:
        """L1: what has changed since it was last told to anybody; L5: the book."""
        if kind == "L5":
            return book_packet(security)
        fields = quote_fields(security)
        said = self._said.get(security, {})
        self._said[security] = fields
        changed = {key: value for key, value in fields.items() if said.get(key) != value}
        if not changed:
            return None
        return packet(_L1, fields[26], fields[27], *(value for key, value in changed.items() if key not in (26, 27)))

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[bytes]:
        return (frame_of([payload for _, _, payload in packets]),)

    # -- REST --------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        oauth = "/v2/api-gw/oauth/"
        if request.method == "POST" and request.path == f"{oauth}individual-token-v2":
            return self._log_in(request)
        if request.method == "POST" and request.path == f"{oauth}token":
            return self._take_code(request)
        if request.method == "GET" and request.path == f"{oauth}authorize":
            return self._consent(request)
        if request.method == "GET" and request.path.startswith(_STORE):
            name = request.path.removeprefix(_STORE).lstrip("/")
            content = dict(self.instrument_dump()).get(f"{name}.csv" if name else "symbol-store.json")
            if content is not None:
                return Response(200, content, {"Content-Type": "text/plain" if name else "application/json"})
        return Response.json({"s": "error", "msg": "Not found"}, 404)

    def _log_in(self, request: Request) -> Response:
        form = request.form()
        code = form.get("twoFa", "")
        good = (
            request.headers.get("authorization") == f"Bearer {API_KEY}"
            and form.get("password") == PIN
            and form.get("twoFaTyp") == "totp"
            and pyotp.TOTP(TOTP_SECRET).verify(code, valid_window=1)
        )
        return self._session() if good else _unauthorized()

    def _consent(self, request: Request) -> Response:
        query = request.query
        target = query.get("redirect_uri", "")
        if query.get("client_id") != API_KEY or query.get("response_type") != "code" or not target:
            return _unauthorized()
        self._codes_made += 1
        self._code = f"simulated-code-{self._codes_made}"
        mark = "&" if "?" in target else "?"
        location = f"{target}{mark}code={self._code}&state={quote(query.get('state', ''))}"
        return Response(302, b"", {"Location": location})

    def _take_code(self, request: Request) -> Response:
        form = request.form()
        code, self._code = self._code, ""  # any attempt uses it up
        good = (
            code
            and form.get("code") == code
            and form.get("client_id") == API_KEY
            and form.get("client_secret") == API_SECRET
            and form.get("grant_type") == "authorization_code"
        )
        return self._session() if good else _unauthorized()

    def _session(self) -> Response:
        self.expire_token()
        token = self.new_token()["access_token"]
        return Response.json(
            {"access_token": token, "token_type": "bearer", "expires_in": 86_400, "scope": "general"}
        )

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        files: dict[str, list[str]] = {name: [columns] for name, (_, columns) in _GROUPS.items()}
        for security in self._by_symbol.values():
            files[_group(security)].append(_row(security))
        groups = [
            {"name": name, "idFormat": parts, "sortOrder": place}
            for place, (name, (parts, _)) in enumerate(_GROUPS.items())
        ]
        table = {"s": "ok", "d": {"version": 1, "updated": True, "symbolStore": groups}}
        return [
            ("symbol-store.json", msgspec.json.encode(table)),
            *((f"{name}.csv", "\n".join((*lines, "")).encode()) for name, lines in files.items()),
        ]


class _Token(msgspec.Struct):
    t: str


class _ClientRequest(msgspec.Struct):
    type: str
    action: str = ""
    tokens: list[_Token] = []


def wire_symbol(security: Security) -> str:
    """Section 4: `11536_NSE`, `-1_NSE`."""
    return f"{wire_token(security)}_{_exchange(security)}"


def wire_token(security: Security) -> int:
    return _INDEX_TOKENS.get(security.symbol, -security.token) if security.is_index else security.token


def _exchange(security: Security) -> str:
    return security.exchange.removesuffix("_INDEX")


# -- frames (section 5) ------------------------------------------------------------------------------------


def frame_of(packets: Iterable[bytes]) -> bytes:
    body = b"".join(packets)
    small = len(body) < _SMALL
    sent = body if small else zlib.compress(body)
    return _HEADER(len(sent) + 6, 1, 0 if small else 100) + sent


def packet(kind: int, *fields: bytes) -> bytes:
    content = b"".join(fields)
    return _PACKET(len(content) + 3, kind) + content


def quote_fields(security: Security) -> dict[int, bytes]:
    """Every field of an L1 packet by its key; an index has prices only."""
    segment = SEGMENTS[security.exchange]
    divisor = DIVISORS.get(segment, 100)
    fields = {
        26: _U8(26, segment),
        27: _I32(27, wire_token(security)),
        28: _U8(28, 4 if segment in DIVISORS else 2),
    }
    prices = {
        29: security.ltp,
        30: security.open,
        31: security.high,
        32: security.low,
        33: security.close,
        34: security.ltp - security.close,
        37: security.year_high,
        38: security.year_low,
        71: 0,
    }
    if not security.is_index:
        prices |= {
            36: security.average,
            42: _carried(security.upper_circuit, divisor),
            43: security.lower_circuit,
            74: security.average,
        }
    fields |= {key: _I32(key, _raw(price, divisor)) for key, price in sorted(prices.items())}
    fields[35] = _I32(35, (security.ltp - security.close) * 10_000 // security.close if security.close else 0)
    fields[46] = _I32(46, security.traded_at // 1000)
    if security.is_index:
        return fields
    counts = {39: security.last_quantity, 40: security.volume, 44: security.oi}
    counts |= {59: security.oi_high, 60: security.oi_low}
    fields |= {key: _U32(key, count) for key, count in counts.items()}
    fields[41] = _F64(41, security.turnover / PRICE_UNIT)
    for first, levels in ((49, security.bids), (52, security.asks)):
        best = levels[0] if levels else Level(0, 0, 0)
        fields |= dict(zip(range(first, first + 3), _level(first, best, divisor), strict=True))
    return fields


def _carried(price: int, divisor: int) -> int:
    """Zero where 32 bits cannot hold a price: a far option's circuit, in ten millionths of a rupee."""
    return price if _raw(price, divisor) < 1 << 31 else 0


def book_packet(security: Security) -> bytes | None:
    """An L5 packet: as many levels on each side, empty ones zero."""
    if security.is_index:
        return None
    segment = SEGMENTS[security.exchange]
    divisor = DIVISORS.get(segment, 100)
    fields = [
        _U8(26, segment),
        _I32(27, wire_token(security)),
        _U8(28, 4 if segment in DIVISORS else 2),
        _U32(47, security.total_buy),
        _U32(48, security.total_sell),
    ]
    shown = min(_LEVELS, max(len(security.bids), len(security.asks)))
    fields.append(_U8(55, shown))
    for first, levels in ((49, security.bids), (52, security.asks)):
        padded = levels[:shown] + [Level(0, 0, 0)] * (shown - len(levels))
        for level in padded:
            fields += _level(first, level, divisor)
    return packet(_L5, *fields)


def _level(first: int, level: Level, divisor: int) -> tuple[bytes, bytes, bytes]:
    return _I32(first, _raw(level.price, divisor)), _U32(first + 1, level.quantity), _U32(first + 2, level.orders)


def _raw(price: int, divisor: int) -> int:
    return price * divisor // PRICE_UNIT


def _unauthorized() -> Response:
    return Response.json({"s": "error", "msg": "Unauthorized"}, 401)


# -- instrument list (section 9) ---------------------------------------------------------------------------

_FUTURE_ID = "instrument_symbol_exchange_expiry"
_OPTION_ID = "instrument_symbol_exchange_expiry_strike_optType"
_CONTRACT_COLUMNS = "id,dispName,excToken,lot,tick,asset,freezeQty"
_GROUPS: dict[str, tuple[str, str]] = {
    "Securities": (
        "instrument_symbol_series_exchange",
        "id,dispName,excToken,lot,tick,asset,freezeQty,isin,desc",
    ),
    "Index": ("instrument_symbol_exchange", "id,dispName,excToken,symbol"),
    "FutureContracts": (_FUTURE_ID, _CONTRACT_COLUMNS),
    "NSEOptions": (_OPTION_ID, _CONTRACT_COLUMNS),
    "BSEOptions": (_OPTION_ID, _CONTRACT_COLUMNS),
    "CurrencyFuture": (_FUTURE_ID, _CONTRACT_COLUMNS),
    "CurrencyOptions": (_OPTION_ID, _CONTRACT_COLUMNS),
    "CommodityFuture": (_FUTURE_ID, _CONTRACT_COLUMNS),
    "CommodityOptions": (_OPTION_ID, _CONTRACT_COLUMNS),
}
_STEMS = {"NFO": "IDX", "BFO": "IDX", "CDS": "CUR", "BCD": "CUR", "MCX": "COM"}


def _group(security: Security) -> str:
    if security.is_index:
        return "Index"
    future = security.kind == "FUT"
    match security.exchange:
        case "NSE" | "BSE":
            return "Securities"
        case "CDS" | "BCD":
            return "CurrencyFuture" if future else "CurrencyOptions"
        case "MCX":
            return "CommodityFuture" if future else "CommodityOptions"
        case exchange:
            return "FutureContracts" if future else "NSEOptions" if exchange == "NFO" else "BSEOptions"


def _row(security: Security) -> str:
    exchange, token = _exchange(security), wire_token(security)
    if security.is_index:
        wire_name = security.name if exchange == "BSE" else security.symbol
        return f"IDX_{wire_name}_{exchange},{security.name.title()},{token},{wire_name}"
    tick = f"{security.tick / PRICE_UNIT:g}"
    if security.expiry is None:
        series = "EQ" if exchange == "NSE" else "A"
        return (
            f"EQT_{security.symbol}_{series}_{exchange},{security.symbol},{token},{security.lot_size},{tick},equity,"
            f'100000,{security.isin},"{security.name}"'
        )
    future = security.kind == "FUT"
    code = f"{'FUT' if future else 'OPT'}{_STEMS[exchange]}"
    parts: list[Any] = [code, security.name, exchange, security.expiry.isoformat()]
    if not future:
        parts += [format_strike(security.strike / PRICE_UNIT), security.kind]
    shown = f"{security.name} {security.expiry:%d%b} {security.kind}".upper()
    return f"{'_'.join(parts)},{shown},{token},{security.lot_size},{tick},index,1800"


SIMULATOR = TradejiniSimulator
