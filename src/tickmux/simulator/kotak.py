"""Kotak's servers: the SFeed, and as much REST as the login, the address look-up and the instrument files need.

Section numbers are those of the broker's specification. How the real server words the refusal of a log-in is not
known but for this: it is no message 1117 or 1119.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import datetime, time
from typing import Any

import msgspec
import pyotp

from tickmux.codec import Credentials
from tickmux.instrument import format_strike
from tickmux.login import IST
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.server.base import BrokerSimulator, Packet
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

ACCESS_TOKEN, UCC, MOBILE, MPIN = "simulated-access-token", "SIM01", "+919876543210", "123456"
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEH"  # noqa: S105 - nobody's
DATA_CENTER = "E21"

SEGMENTS = {
    "NSE": ("nse_cm", 1), "NSE_INDEX": ("nse_cm", 1), "NFO": ("nse_fo", 2), "CDS": ("cde_fo", 3),
    "BSE": ("bse_cm", 5), "BSE_INDEX": ("bse_cm", 5), "BFO": ("bse_fo", 6), "MCX": ("mcx_fo", 9),
}  # fmt: skip
DIVISORS = {"cde_fo": 10_000_000}
_FEED_NAMES = {
    "NIFTY": "Nifty 50", "BANKNIFTY": "Nifty Bank", "FINNIFTY": "Nifty Fin Service",
    "MIDCPNIFTY": "NIFTY MID SELECT", "NIFTYNXT50": "Nifty Next 50", "INDIAVIX": "INDIA VIX",
}  # fmt: skip
_KINDS = {"ScripsLite": 1, "Scrips": 4, "Depth": 8, "FullDepth": 16, "Indices": 0}
"""What an event ends with -> the packet level; 0 for an index."""
_MOST_TOKENS = 3000
_LONGEST_BATCH = 200
_FULL_ROWS = 20

# Section 5.2: little-endian, packed.
_HEADER = struct.Struct("<HHbBBBB")  # length, message code, exchange id, level, auction, sequence, bitmask length
_INDEX = struct.Struct("<IiiiiiQiiidBi21s")
_MINI = struct.Struct("<IqIqIiiIBI")
_PICTURE = struct.Struct("<IqqqqqIIIIIqIIIIhiIdiIIIIIBI")
_ROW = struct.Struct("<qii")
_STATUS = struct.Struct("<H5s")
_PICTURE_CODE, _INDEX_CODE, _STATUS_CODE = 7208, 7207, 105
_SEQUENCE_AT = 7
_BITMASK_LENGTH = 0

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKLY_MONTHS = "123456789OND"
_EPOCH_1980 = 315_513_000
_LIST_ROOT = "/wso2-scripmaster/v1/prod"


class _Session:
    """One feed client's state."""

    def __init__(self) -> None:
        self.logged_in = False
        self.sequence = 0


class KotakSimulator(BrokerSimulator):
    """Kinds are what the subscribing event ends with: `ScripsLite`, `Scrips`, `Depth`, `FullDepth`, `Indices`."""

    name = "kotak"
    endpoints = {
        "feed": "ws:/apifeed",
        "config": "http:/5config/config",
        "login": "http:/",
        "files": f"http:{_LIST_ROOT}",
    }

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._view = ("", "")
        """Token and id of the session that a TOTP has opened; the MPIN uses it up."""
        self._views_made = 0
        self._offered = [security for security in exchange.securities if security.exchange in SEGMENTS]
        self._by_token: dict[str, Security] = {}
        self._indices: dict[str, Security] = {}
        for security in self._offered:
            segment = SEGMENTS[security.exchange][0]
            if security.is_index:
                self._indices[f"{segment}|{feed_name(security)}"] = security
            else:
                self._by_token[f"{segment}|{security.token}"] = security

    def make_credentials(self, number: int) -> Credentials:
        return Credentials(
            {
                "ucc": UCC,
                "sid": f"simulated-sid-{number}",
                "token": f"simulated-token-{number}",
                "access_token": ACCESS_TOKEN,
                "data_center": DATA_CENTER,
            }
        )

    # -- feed (section 4.2) ------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        return None  # the first message logs in

    def greet(self, client: Client) -> None:
        client.session = _Session()

    def received(self, client: Client, message: str | bytes) -> None:
        request = _json_object(message) if isinstance(message, str) else {}
        session: _Session = client.session
        if not session.logged_in:
            self._log_in(client, request)
            return
        event = request.get("event")
        if event == "subscribeExchange":
            client.send(b"".join(status_packet(number) for _, number in dict.fromkeys(SEGMENTS.values())))
            return
        if not isinstance(event, str):
            return
        for verb in ("subscribe", "unsubscribe", "snapshot"):
            if event.startswith(verb) and (kind := event.removeprefix(verb)) in _KINDS:
                names = request.get("inputtoken")
                self._carry_out(client, verb, kind, names if isinstance(names, str) else "")
                if request.get("ack_symbol") is True:
                    client.send(_text({"message_code": 1109, "trading_symbols": self._trading_symbols(names)}))

    def _log_in(self, client: Client, request: dict[str, Any]) -> None:
        known = self.knows(ucc=str(request.get("user")), sid=str(request.get("auth")))
        if not known or request.get("format") != "native_batch" or type(request.get("conn_req_time")) is not int:
            client.send(_text({"message_code": 1118, "message": "login failed"}))
            return
        exchanges = {
            segment: {"value": number, "divider": DIVISORS.get(segment, 100)} for segment, number in SEGMENTS.values()
        }
        client.session.logged_in = True
        client.send(_text({"message_code": 1119, "format": "native_batch", "exchanges": exchanges}))

    def _carry_out(self, client: Client, verb: str, kind: str, names: str) -> None:
        known = self._indices if kind == "Indices" else self._by_token
        chosen = list(dict.fromkeys(known[name] for name in names.split(",") if name in known))
        if verb == "unsubscribe":
            self.unsubscribe(client, chosen, kind)
        elif verb == "snapshot":
            self._deliver(client, [(security, kind, self.encode(security, kind)) for security in chosen])
        else:
            room = _MOST_TOKENS - sum(len(kinds) for kinds in client.subscriptions.values())
            fresh = [security for security in chosen if kind not in client.subscriptions.get(security, ())]
            self.subscribe(client, fresh[: max(0, room)], kind)

    def _trading_symbols(self, names: object) -> dict[str, str]:
        found = {}
        for name in names.split(",") if isinstance(names, str) else ():
            security = self._by_token.get(name) or self._indices.get(name)
            if security is not None:
                found[name] = trading_symbol(security)
        return found

    def encode(self, security: Security, kind: str) -> bytes:
        return encode_packet(security, _KINDS[kind])

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[bytes]:
        session: _Session = client.session
        for first in range(0, len(packets), _LONGEST_BATCH):
            frame = bytearray()
            for _, _, packet in packets[first : first + _LONGEST_BATCH]:
                start = len(frame)
                frame += packet
                frame[start + _SEQUENCE_AT] = session.sequence = (session.sequence + 1) % 256
            yield bytes(frame)

    # -- REST (sections 2, 3.2 and 9) --------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        route = (request.method, request.path)
        if route == ("POST", "/login/1.0/tradeApiLogin"):
            return self._open_view(request)
        if route == ("POST", "/login/1.0/tradeApiValidate"):
            return self._open_session(request)
        if route == ("GET", "/script-details/1.0/masterscrip/file-paths"):
            if request.headers.get("authorization") != ACCESS_TOKEN:
                return _refusal(401, "Invalid access token")
            files = [f"{self.urls['login']}{_LIST_ROOT}/{self.exchange.today}/{name}" for name in _FILES.values()]
            return Response.json({"data": {"filesPaths": files}})
        if route == ("GET", "/5config/config"):
            feed = self.urls["feed"].replace("ws://", "http://")
            return Response.json(
                {
                    "data": {
                        "configs": {
                            f"{DATA_CENTER}_broadcast_source": "sfeed",
                            f"{DATA_CENTER}_sfeed_broadcast_endpoint": feed,
                        }
                    }
                }
            )
        if request.method == "GET" and request.path.startswith(f"{_LIST_ROOT}/"):
            day, _, name = request.path.removeprefix(f"{_LIST_ROOT}/").partition("/")
            segment = next((segment for segment, file in _FILES.items() if file == name), None)
            if segment is not None and day == str(self.exchange.today):
                return Response(200, self._csv(segment), {"Content-Type": "text/csv"})
        return _refusal(404, "Not found")

    def _open_view(self, request: Request) -> Response:
        if not _is_app(request):
            return _refusal(401, "Invalid access token")
        given = _body(request)
        if given.get("mobileNumber") != MOBILE or given.get("ucc") != UCC:
            return _refusal(422, "Invalid mobile number or ucc")
        if not pyotp.TOTP(TOTP_SECRET).verify(str(given.get("totp")), valid_window=1):
            return _refusal(401, "Invalid TOTP")
        self._views_made += 1
        self._view = (f"view-token-{self._views_made}", f"view-sid-{self._views_made}")
        token, sid = self._view
        return Response.json({"data": {"token": token, "sid": sid, "kType": "View", "status": "success", "ucc": UCC}})

    def _open_session(self, request: Request) -> Response:
        if not _is_app(request):
            return _refusal(401, "Invalid access token")
        view = (request.headers.get("auth", ""), request.headers.get("sid", ""))
        if not self._view[0] or view != self._view:
            return _refusal(403, "Invalid session")
        if _body(request).get("mpin") != MPIN:
            return _refusal(401, "Invalid MPIN")
        self._view = ("", "")
        self.expire_token()
        session = self.new_token()
        return Response.json(
            {
                "data": {
                    "token": session["token"],
                    "sid": session["sid"],
                    "kType": "Trade",
                    "status": "success",
                    "ucc": UCC,
                    "baseUrl": self.urls["login"],
                    "dataCenter": DATA_CENTER,
                    "hsServerId": "",
                }
            }
        )

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        return [(f"{segment}.csv", self._csv(segment)) for segment in _FILES]

    def _csv(self, segment: str) -> bytes:
        rows = (instrument_row(each) for each in self._offered if SEGMENTS[each.exchange][0] == segment)
        return "\n".join((_COLUMNS, *rows, "")).encode()


def _text(message: object) -> str:
    return msgspec.json.encode(message).decode()


def _json_object(message: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _body(request: Request) -> dict[str, Any]:
    found = request.json()
    return found if isinstance(found, dict) else {}


def _is_app(request: Request) -> bool:
    headers = request.headers
    return headers.get("authorization") == ACCESS_TOKEN and headers.get("neo-fin-key") == "neotradeapi"


def _refusal(status: int, message: str) -> Response:
    return Response.json({"stat": "Not_Ok", "errMsg": message}, status)


# -- packets (section 5.2) ---------------------------------------------------------------------------------


def feed_name(security: Security) -> str:
    """By what name an index is subscribed and told."""
    return _FEED_NAMES.get(security.symbol, security.symbol)


def status_packet(exchange_id: int, code: int = 1) -> bytes:
    """Market status; 1 is open."""
    return _packet(_STATUS_CODE, exchange_id, 0, _STATUS.pack(code, b"OPEN"))


def encode_packet(security: Security, level: int, full_rows: int = _FULL_ROWS) -> bytes:
    """The packet of a level, or of an index; the sequence number is 0."""
    segment, exchange_id = SEGMENTS[security.exchange]
    divisor = DIVISORS.get(segment, 100)

    def raw(price: int) -> int:
        return price * divisor // PRICE_UNIT

    last, close = raw(security.ltp), raw(security.close)
    change = last - close
    percent = round(10_000 * change / close) if close else 0
    precision = 4 if divisor > 100 else 2
    traded, updated = security.traded_at // 1000, security.updated_at // 1000
    if security.is_index:
        body = _INDEX.pack(
            security.token, raw(security.open), close, raw(security.high), raw(security.low), last, updated,
            raw(security.year_high), raw(security.year_low), percent, 0.0, precision, 100,
            feed_name(security).encode(),
        )  # fmt: skip
        return _packet(_INDEX_CODE, exchange_id, 0, body)
    if level == 1:
        body = _MINI.pack(
            security.token, traded, last, security.last_quantity, close, percent, change, security.lot_size,
            precision, 1,
        )  # fmt: skip
        return _packet(_PICTURE_CODE, exchange_id, level, body)
    rows = {4: 1, 8: 5, 16: full_rows}[level]
    bids, asks = _rows(security.bids, rows, divisor), _rows(security.asks, rows, divisor)
    if level == 4:  # always one and one
        bids, asks = bids or [bytes(_ROW.size)], asks or [bytes(_ROW.size)]
    body = _PICTURE.pack(
        security.token, security.total_buy, security.total_sell, security.volume, traded, updated,
        raw(security.open), close, raw(security.high), raw(security.low), last, security.last_quantity,
        raw(security.average), 0, len(bids), len(asks), 1, percent, security.oi,
        security.turnover / PRICE_UNIT, change, raw(security.upper_circuit), raw(security.lower_circuit),
        raw(security.year_high), raw(security.year_low), security.lot_size, precision, 1,
    )  # fmt: skip
    return _packet(_PICTURE_CODE, exchange_id, level, b"".join((body, *bids, *asks)))


def _rows(levels: list[Level], most: int, divisor: int) -> list[bytes]:
    return [_ROW.pack(one.quantity, one.price * divisor // PRICE_UNIT, one.orders) for one in levels[:most]]


def _packet(code: int, exchange_id: int, level: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), code, exchange_id, level, 0, 0, _BITMASK_LENGTH) + body


# -- instrument files (section 9) --------------------------------------------------------------------------

_FILES = {
    "nse_cm": "transformed-v1/nse_cm-v1.csv", "bse_cm": "transformed-v1/bse_cm-v1.csv",
    "nse_fo": "transformed/nse_fo.csv", "bse_fo": "transformed/bse_fo.csv",
    "cde_fo": "transformed/cde_fo.csv", "mcx_fo": "transformed/mcx_fo.csv",
}  # fmt: skip
_COLUMNS = (
    "pSymbol,pGroup,pExchSeg,pInstType,pSymbolName,pTrdSymbol,pOptionType,pISIN,dTickSize ,lLotSize,lExpiryDate ,"
    "dStrikePrice;,lPrecision,pDesc"
)


def instrument_row(security: Security) -> str:
    segment = SEGMENTS[security.exchange][0]
    precision = 4 if segment in DIVISORS else 2
    tick = round(security.tick / PRICE_UNIT * 10**precision)
    start = f"{security.token},{_group(security)},{segment}"
    if security.expiry is None:
        isin = "" if security.is_index else security.isin
        return (
            f"{start},,{security.symbol},{trading_symbol(security)},,{isin},{tick},1,-1,-1,{precision},"
            f"{security.name.replace(',', ' ')}"
        )
    at = int(datetime.combine(security.expiry, time(14, 30), IST).timestamp())
    if segment in ("nse_fo", "cde_fo"):
        at -= _EPOCH_1980
    option = "XX" if security.kind == "FUT" else security.kind
    strike = security.strike * 100 // PRICE_UNIT if security.strike else -1
    lot = security.lot_size * security.multiplier
    return (
        f"{start},{'FUT' if option == 'XX' else 'OPT'},{security.name},{trading_symbol(security)},{option},,{tick},"
        f"{lot},{at},{strike},{precision},{trading_symbol(security)}"
    )


def _group(security: Security) -> str:
    if security.kind != "EQ":
        return ""
    return "EQ" if security.exchange == "NSE" else "A"


def trading_symbol(security: Security) -> str:
    expiry = security.expiry
    if expiry is None:
        return f"{security.symbol}-EQ" if security.exchange == "NSE" else security.symbol
    year, month = f"{expiry:%y}", _MONTHS[expiry.month - 1]
    end = "FUT" if security.kind == "FUT" else f"{format_strike(security.strike / PRICE_UNIT)}{security.kind}"
    if security.exchange == "MCX":
        return f"{security.name}{expiry.day:02d}{month}{year}{end}"
    if security.exchange == "BFO" and security.kind != "FUT":
        return f"{security.name}{year}{_WEEKLY_MONTHS[expiry.month - 1]}{expiry.day:02d}{end}"
    return f"{security.name}{year}{month}{end}"


SIMULATOR = KotakSimulator
