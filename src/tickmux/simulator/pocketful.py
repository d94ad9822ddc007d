"""Pocketful's servers: the feed, the OAuth login and the instrument list.

Section numbers are those of the broker's specification.
"""

import base64
import io
import struct
import zipfile
from collections.abc import Sequence
from typing import Any

import msgspec

from tickmux.codec import Credentials
from tickmux.simulator.market.contract_names import monthly_name
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.server.base import BrokerSimulator
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

APP_KEY, APP_SECRET, CLIENT_ID = "simulated-app", "simulated-secret", "SIM001"
PASSWORD, PIN = "simulated-password", "1234"

_DIRECT = "/direct"
"""Where the paths of the second host begin, which has a login of its own (section 2, flow B)."""
_PIN_QUESTION = "12"
_CODES = {"NSE": 1, "NSE_INDEX": 1, "NFO": 2, "CDS": 3, "MCX": 4, "BSE": 6, "BSE_INDEX": 6, "BFO": 7}
_CURRENCY = 3
_CHANNELS = ("compact_marketdata", "marketdata", "full_snapquote")

# Section 5, big-endian.
_HEAD = struct.Struct(">bbI")
_COMPACT = struct.Struct(">IiIIIIIII")
_DETAILED = struct.Struct(">8IQQ12I")
_FIVE = struct.Struct(">5I")
_SNAP_TAIL = struct.Struct(">5IQQI")
_COLUMNS = (
    "exchange,exchange_token,trading_symbol,company_name,instrument_name,segment,expiry,strike,option_type,"
    "lot_size,tick_size"
)


class PocketfulSimulator(BrokerSimulator):
    """Kinds are the broker's channels; an instrument may be on several."""

    name = "pocketful"
    endpoints = {
        "feed": "ws:/ws/v1/feeds",
        "api": "http:/",
        "direct_feed": f"ws:{_DIRECT}/ws/v1/feeds",
        "direct_api": f"http:{_DIRECT}",
    }

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._code = ""
        self._codes_made = 0
        self._half_session = ""
        self._by_key = {(_CODES[s.exchange], s.token): s for s in exchange.securities if s.exchange in _CODES}

    def make_credentials(self, number: int) -> Credentials:
        return Credentials({"client_id": CLIENT_ID, "access_token": f"simulated-token-{number}"})

    # -- feed --------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        given = {
            "client_id": request.query.get("login_id", ""),
            "access_token": request.query.get("access_token", ""),
        }
        return None if self.knows(**given) else Response(401, b"unauthorized")

    def token_expired(self, client: Client) -> None:
        client.hang_up()  # nothing is documented but the next handshake's refusal

    def received(self, client: Client, message: str | bytes) -> None:
        try:
            request = _decode_request(message)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return
        if request.m not in _CHANNELS:
            return  # the heartbeat, or a channel that is no market data
        pairs = [tuple(pair) for pair in request.v if isinstance(pair, list) and len(pair) == 2]
        hashable = [pair for pair in pairs if all(type(part) is int for part in pair)]
        chosen = list(dict.fromkeys(self._by_key[pair] for pair in hashable if pair in self._by_key))
        if request.a == "subscribe":
            fresh = [one for one in chosen if request.m not in client.subscriptions.get(one, ())]
            self.subscribe(client, fresh, request.m)
        elif request.a == "unsubscribe":
            self.unsubscribe(client, chosen, request.m)

    def encode(self, security: Security, kind: str) -> bytes | None:
        if kind == "full_snapquote" and security.is_index:
            return None
        return encode_frame(security, kind)

    # -- REST --------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        match (request.method, request.path):
            case ("GET", "/oauth2/auth"):
                return self._login_page(request)
            case ("POST", "/oauth2/token"):
                return self._exchange_code(request)
            case ("GET", "/api/v1/user/trading_info"):
                scheme, _, token = request.headers.get("authorization", "").partition(" ")
                if scheme != "Bearer" or not self.knows(access_token=token):
                    return Response.json({"status": "error", "error_type": "TokenException"}, 401)
                return Response.json({"status": "success", "data": {"client_id": CLIENT_ID}})
            case ("POST", "/direct/api/v3/user/login"):
                return self._take_password(request)
            case ("POST", "/direct/api/v3/user/twofa"):
                return self._take_second_factor(request)
            case ("GET", "/api/v1/contract/Compact"):
                return Response(200, self.instrument_dump()[0][1], {"Content-Type": "application/zip"})
            case _:
                return Response(404)

    def _login_page(self, request: Request) -> Response:
        query = request.query
        if query.get("client_id") != APP_KEY or len(query.get("state", "")) < 8:
            return Response.json({"error": "invalid_request"}, 400)
        self._codes_made += 1
        self._code = f"simulated-code-{self._codes_made}"
        return Response.redirect(query.get("redirect_uri", ""), {"code": self._code, "state": query["state"]})

    def _exchange_code(self, request: Request) -> Response:
        basic = base64.b64encode(f"{APP_KEY}:{APP_SECRET}".encode()).decode()
        if request.headers.get("authorization") != f"Basic {basic}":
            return Response.json({"error": "invalid_client"}, 401)
        form = request.form()
        code, self._code = self._code, ""  # any attempt uses it up
        if not code or form.get("code") != code or form.get("grant_type") != "authorization_code":
            return Response.json({"error": "invalid_grant"}, 400)
        return Response.json({"access_token": self.new_token()["access_token"], "token_type": "bearer"})

    def _take_password(self, request: Request) -> Response:
        if (given := _from_the_web(request)) is None:
            return _refusal("missing headers")
        if (given.get("channel_id"), given.get("channel_secret")) != (CLIENT_ID, PASSWORD):
            return _refusal("invalid credentials")
        self._codes_made += 1
        self._half_session = f"simulated-half-{self._codes_made}"
        asked = {"twofa_token": self._half_session, "questions": [{"question_id": _PIN_QUESTION}]}
        return Response.json({"status": "success", "data": {"twofa": asked}})

    def _take_second_factor(self, request: Request) -> Response:
        if (given := _from_the_web(request)) is None:
            return _refusal("missing headers")
        half, self._half_session = self._half_session, ""  # any attempt uses it up
        wanted = {
            "login_id": CLIENT_ID,
            "twofa": [{"question_id": _PIN_QUESTION, "answer": PIN}],
            "twofa_token": half,
            "type": "PIN",
            "device_type": "web",
        }
        if not half or given != wanted:
            return _refusal("invalid second factor")
        return Response.json({"status": "success", "data": {"auth_token": self.new_token()["access_token"]}})

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        """Without currency, which the published list lacks (section 8)."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for exchange in ("NSE", "BSE", "NFO", "BFO", "MCX"):
                places = (exchange, f"{exchange}_INDEX")
                rows = [instrument_row(s) for s in self._by_key.values() if s.exchange in places]
                archive.writestr(f"{exchange}CompactScrip.csv", "\n".join((_COLUMNS, *rows, "")))
        return [("CompactScrip.zip", packed.getvalue())]


def _from_the_web(request: Request) -> dict[str, Any] | None:
    """The body of a request with the headers of flow B (section 2)."""
    marks = {"p-devicetype": "WEB", "x-device-type": "web", "x-usertype": "USER", "x-sourceid": "WEB"}
    others = ("x-clientlocalip", "x-clientpublicip", "x-macaddress")
    body = request.json()
    if not isinstance(body, dict) or not all(request.headers.get(name) for name in others):
        return None
    return body if all(request.headers.get(name) == value for name, value in marks.items()) else None


def _refusal(words: str) -> Response:
    return Response.json({"status": "error", "message": words, "error_type": "LoginException", "data": None}, 400)


class _ClientRequest(msgspec.Struct):
    a: str = ""
    v: list[Any] = []
    m: str = ""


_decode_request = msgspec.json.Decoder(_ClientRequest).decode


def encode_frame(security: Security, channel: str) -> bytes:
    """A frame of section 5."""
    code = _CODES[security.exchange]
    divisor = 10_000_000 if code == _CURRENCY else 100

    def raw(price: int) -> int:
        return price * divisor // PRICE_UNIT

    bid = security.bids[0] if security.bids else None
    ask = security.asks[0] if security.asks else None
    limits = (raw(security.lower_circuit), raw(security.upper_circuit))
    interest = (security.oi, security.oi_low)
    day = (raw(security.open), raw(security.high), raw(security.low), raw(security.close))
    traded = 0 if security.is_index else security.traded_at // 1000
    if channel == "compact_marketdata":
        return _HEAD.pack(2, code, security.token) + _COMPACT.pack(
            raw(security.ltp),
            max(-(2**31), min(2**31 - 1, raw(security.ltp) - raw(security.close))),
            traded,
            *limits,
            *interest,
            raw(bid.price) if bid else 0,
            raw(ask.price) if ask else 0,
        )
    if channel == "marketdata":
        return _HEAD.pack(1, code, security.token) + _DETAILED.pack(
            raw(security.ltp),
            traded,
            security.last_quantity,
            security.volume,
            *((raw(bid.price), bid.quantity) if bid else (0, 0)),
            *((raw(ask.price), ask.quantity) if ask else (0, 0)),
            security.total_buy,
            security.total_sell,
            raw(security.average),
            security.updated_at // 1000,
            *day,
            raw(security.year_high),
            raw(security.year_low),
            *limits,
            *interest,
        )
    tail = _SNAP_TAIL.pack(raw(security.average), *day, security.total_buy, security.total_sell, security.volume)
    book = _side(security.bids, divisor) + _side(security.asks, divisor)
    return _HEAD.pack(4, code, security.token) + book + tail


def _side(levels: Sequence[Level], divisor: int) -> bytes:
    rows = [(level.orders, level.price * divisor // PRICE_UNIT, level.quantity) for level in levels[:5]]
    rows += [(0, 0, 0)] * (5 - len(rows))
    return b"".join(_FIVE.pack(*column) for column in zip(*rows, strict=True))


def instrument_row(security: Security) -> str:
    """A row of section 9."""
    exchange = security.exchange.removesuffix("_INDEX")
    tick = f"{security.tick / PRICE_UNIT:g}"
    if security.is_index:
        segment = "INDICES" if exchange == "NSE" else "IDX"
        name = security.name if exchange == "NSE" else security.symbol.replace("SENSEX50", "SNSX50")
        return f"{exchange},{security.token},{name},{security.name},,{segment},,,,1,{tick}"
    if security.kind == "EQ":
        suffix, kind = ("-EQ", "EQ") if exchange == "NSE" else ("-A", "A")
        return f"{exchange},{security.token},{security.symbol}{suffix},{security.name},{kind},Capital,,,,1,{tick}"
    option = "XX" if security.kind == "FUT" else security.kind
    kind = {"NFO": "OPTIDX", "BFO": "IO", "MCX": "OPTFUT"}[exchange]
    if option == "XX":
        kind = {"NFO": "FUTIDX", "BFO": "IF", "MCX": "FUTCOM"}[exchange]
        option = "" if exchange == "BFO" else option
    strike = f"{float(security.strike / PRICE_UNIT)}" if security.kind != "FUT" else "0"
    return (
        f"{exchange},{security.token},{monthly_name(security)},{security.name},{kind},FutOpt,{security.expiry},"
        f"{strike},{option},{security.lot_size},{tick}"
    )


SIMULATOR = PocketfulSimulator
