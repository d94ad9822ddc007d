"""m.Stock's servers: the Type B feed, and as much of REST and documentation as a login and the instrument list need.

Section numbers are those of the broker's specification. How the feed answers LOGIN is not documented: this one says
a word, or complains and closes. Currency contracts are not offered: how their prices are scaled is not confirmed, and
the scale of all others has no room for a tick of a quarter paisa.
"""

import struct
from html import escape
from typing import Any

import msgspec
import pyotp

from tickmux.codec import Credentials
from tickmux.instrument import format_strike
from tickmux.simulator._smartapi import UNSUBSCRIBE, chosen, read_request
from tickmux.simulator.market.contract_names import MONTHS, monthly_name
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security
from tickmux.simulator.server.base import BrokerSimulator
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

API_KEY, CLIENT_CODE, PASSWORD, TOTP_SECRET = "simulated-key@1=", "SIM123", "pass-word", "JBSWY3DPEHPK3PXPJBSWY3DPEH"
SMS_CODE = "246810"
"""What would come by SMS to whoever logs in without a TOTP."""

_MOST_TOKENS = 1000
_EXCHANGE_TYPES = {"NSE": 1, "NSE_INDEX": 1, "NFO": 2, "BSE": 3, "BSE_INDEX": 3, "BFO": 4}
_INDEX_WORDS = {
    "NIFTY": "NIFTY50", "BANKNIFTY": "NIFTYBANK", "FINNIFTY": "NIFTYFINSERVICE", "NIFTYNXT50": "NIFTYNEXT50",
    "MIDCPNIFTY": "NIFTYMIDSELECT",
}  # fmt: skip
_NOT_LISTED = frozenset({"NSE_INDEX", "NCO", "CDS"})
_DUMP_SEGMENTS = {"BCD": "BSE", "BSE_INDEX": "BSE"}
_PAGE_PATH = "/docs/v1/Annexure/"
_LOGIN_PATH = "/openapi/typeb/connect/login"
_VERIFY_PATH = "/openapi/typeb/session/verifytotp"
_SMS_PATH = "/openapi/typeb/session/token"
_LOGOUT_PATH = "/openapi/typeb/logout"
_DUMP_PATH = "/openapi/typeb/instruments/OpenAPIScripMaster"

# Section 5, little-endian.
_HEAD = struct.Struct("<BB25sQQq")  # mode, exchange type, token, sequence, exchange time, last price
_QUOTE = struct.Struct("<qqqddqqqq")
_TIMES = struct.Struct("<Qqd")
_LEVEL = struct.Struct("<HqqH")
_LIMITS = struct.Struct("<qqqq")
_BUY, _SELL = 1, 0
_OI_CHANGE = 0.125
_DECADE = 3652 * 86_400
"""Seconds from 1970 to 1980."""
_IST = 19_800


class MStockSimulator(BrokerSimulator):
    """Kinds are the broker's modes, `1` to `3`; a token may have several. `session` is True after LOGIN."""

    name = "mstock"
    endpoints = {"feed": "ws:/", "api": "http:/", "annexure": f"http:{_PAGE_PATH}"}

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._refresh_token = ""
        self._by_sms = False
        self._by_key = {
            (_EXCHANGE_TYPES[security.exchange], wire_token(security)): security
            for security in exchange.securities
            if security.exchange in _EXCHANGE_TYPES
        }

    def make_credentials(self, number: int) -> Credentials:
        return Credentials(
            {"api_key": API_KEY, "access_token": f"simulated.jwt/{number}+=", "client_code": CLIENT_CODE}
        )

    # -- feed --------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        # A dead token is noticed at LOGIN only.
        if request.query.get("API_KEY") != API_KEY or not request.query.get("ACCESS_TOKEN"):
            return Response(401, b"Unauthorized")
        return None

    def token_expired(self, client: Client) -> None:
        client.hang_up()

    def received(self, client: Client, message: str | bytes) -> None:
        if isinstance(message, str) and message.startswith("LOGIN:"):
            self._log_on(client, message.removeprefix("LOGIN:"))
            return
        if not client.session:
            return
        request = read_request(message)
        if request is None or not request.asks_for(range(1, 4)):
            client.send(_error("Invalid request"))
            return
        params = request.params
        kind = str(params.mode)
        securities = chosen(params.groups, self._by_key)
        if request.action == UNSUBSCRIBE:
            self.unsubscribe(client, securities, kind)
            return
        fresh = [security for security in securities if kind not in client.subscriptions.get(security, ())]
        if len(client.subscriptions.keys() | set(fresh)) > _MOST_TOKENS:
            client.send(_error("Subscription limit exceeded"))
            return
        self.subscribe(client, fresh, kind)

    def _log_on(self, client: Client, token: str) -> None:
        client.session = self.knows(access_token=token)
        if client.session:
            client.send("LOGIN SUCCESS")
        else:
            client.send(_error("Invalid access token"))
            client.close(1008, "login failed")

    def encode(self, security: Security, kind: str) -> bytes:
        return encode_packet(security, int(kind))

    # -- REST and documentation ------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        route = (request.method, request.path)
        if route == ("GET", _PAGE_PATH):
            return Response(200, self._page(), {"Content-Type": "text/html"})
        if request.headers.get("x-mirae-version") != "1":
            return _refusal("Invalid version", 400)
        body = request.json()
        given = {name: str(value) for name, value in body.items()} if isinstance(body, dict) else {}
        if route == ("POST", _LOGIN_PATH):
            return self._log_in(given)
        if request.headers.get("x-privatekey") != API_KEY:
            return _refusal("API key is invalid", 401)
        if route in (("POST", _VERIFY_PATH), ("POST", _SMS_PATH)):
            return self._verify(given, by_sms=request.path == _SMS_PATH)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not self.knows(access_token=token):
            return _refusal("Invalid request token", 401)
        if route == ("GET", _DUMP_PATH):
            return Response(200, self._dump(), {"Content-Type": "application/json"})
        if route == ("POST", _LOGOUT_PATH):
            self.expire_token()
            return _success(None)
        return _refusal("Not found", 404)

    def _log_in(self, given: dict[str, str]) -> Response:
        if given.get("clientcode") != CLIENT_CODE or given.get("password") != PASSWORD:
            return _refusal("Invalid client code or password")
        self._by_sms = given.get("totp") == ""
        if not self._by_sms and not _is_good(given.get("totp")):
            return _refusal("Invalid totp")
        self._refresh_token = f"refresh-{self.exchange.steps}-{self.credentials['access_token']}"
        return _success({"refreshToken": self._refresh_token})

    def _verify(self, given: dict[str, str], *, by_sms: bool) -> Response:
        refresh, self._refresh_token = self._refresh_token, ""  # any attempt uses it up
        if not refresh or given.get("refreshToken") != refresh:
            return _refusal("Invalid refresh token")
        if by_sms and not (self._by_sms and given.get("otp") == SMS_CODE):
            return _refusal("Please enter valid OTP")
        if not by_sms and not _is_good(given.get("totp")):
            return _refusal("Invalid totp")
        self.expire_token()
        session = self.new_token()
        return _success({"jwtToken": session["access_token"], "refreshToken": refresh, "feedToken": "unused"})

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        return [("Annexure.html", self._page()), ("OpenAPIScripMaster.json", self._dump())]

    def _dump(self) -> bytes:
        rows = [
            instrument_row(security) for security in self.exchange.securities if security.exchange not in _NOT_LISTED
        ]
        return msgspec.json.encode(rows)

    def _page(self) -> bytes:
        rows = "".join(
            f"<tr><td>{_INDEX_WORDS.get(security.symbol, security.symbol)}</td><td>{wire_token(security)}</td>"
            f"<td>{escape(security.name.title())}</td><td>{security.exchange.removesuffix('_INDEX')}</td></tr>\n"
            for security in self.exchange.securities
            if security.is_index
        )
        head = "<thead><tr><th>Script</th><th>Token</th><th>Name</th><th>Exchange</th></tr></thead>"
        table = f"<table>{head}<tbody>{rows}</tbody></table>"
        return f"<!DOCTYPE html><html><body><h2>Index tokens</h2>{table}</body></html>".encode()


def _is_good(totp: str | None) -> bool:
    return totp is not None and pyotp.TOTP(TOTP_SECRET).verify(totp, valid_window=1)


def _error(words: str) -> str:
    return msgspec.json.encode({"type": "error", "data": words}).decode()


def _success(data: Any) -> Response:
    return Response.json({"status": "true", "message": "SUCCESS", "errorcode": "", "data": data})


def _refusal(message: str, status: int = 200) -> Response:
    return Response.json({"status": "false", "message": message, "errorcode": "", "data": None}, status)


# -- packets (section 5) -----------------------------------------------------------------------------------


def wire_token(security: Security) -> str:
    """The token of the instrument list; BSE's indices have numbers above those of its shares."""
    return f"9999{security.token:02d}" if security.exchange == "BSE_INDEX" else str(security.token)


def encode_packet(security: Security, mode: int) -> bytes:
    """A packet of mode 1, 2 or 3."""
    head = _HEAD.pack(
        mode,
        _EXCHANGE_TYPES[security.exchange],
        wire_token(security).encode(),
        security.volume,  # a sequence number: it grows with every trade, and is 0 for an index
        _clock(security.updated_at),
        _paise(security.ltp),
    )
    if mode == 1:
        return head
    prices = (security.open, security.high, security.low, security.close)
    quote = _QUOTE.pack(
        security.last_quantity,
        _paise(security.average),
        security.volume,
        security.total_buy,
        security.total_sell,
        *map(_paise, prices),
    )
    if mode == 2:
        return head + quote
    times = _TIMES.pack(0 if security.is_index else _clock(security.traded_at), security.oi, _OI_CHANGE)
    limits = (security.upper_circuit, security.lower_circuit, security.year_high, security.year_low)
    book = _side(security.bids, _BUY) + _side(security.asks, _SELL)
    return b"".join((head, quote, times, book, _LIMITS.pack(*map(_paise, limits))))


def _side(levels: list[Level], flag: int) -> bytes:
    shown = [_LEVEL.pack(flag, level.quantity, _paise(level.price), level.orders) for level in levels[:5]]
    return b"".join(shown + [_LEVEL.pack(flag, 0, 0, 0)] * (5 - len(shown)))


def _clock(milliseconds: int) -> int:
    """Seconds since 1980 as a clock in India counts them; 0 for no time."""
    return milliseconds // 1000 - _DECADE + _IST if milliseconds else 0


def _paise(price: int) -> int:
    return price * 100 // PRICE_UNIT


# -- instrument list (section 9) ---------------------------------------------------------------------------


def instrument_row(security: Security) -> dict[str, str]:
    expiry = security.expiry
    return {
        "token": wire_token(security),
        "symbol": security.name if expiry else security.symbol,
        "name": _broker_symbol(security),
        "expiry": f"{expiry:%d}{MONTHS[expiry.month - 1]}{expiry:%Y}" if expiry else "",
        "strike": format_strike(security.strike / PRICE_UNIT) if security.strike else "",
        "lotsize": str(max(1, security.lot_size * security.multiplier)),
        "instrumenttype": _instrument_type(security),
        "exch_seg": _DUMP_SEGMENTS.get(security.exchange, security.exchange),
        "tick_size": f"{security.tick / PRICE_UNIT:g}",
    }


def _instrument_type(security: Security) -> str:
    if security.is_index:
        return ""
    if security.kind == "EQ":
        return "EQ"
    future = security.kind == "FUT"
    if security.exchange == "MCX":
        return "FUTCOM" if future else "OPTFUT"
    return ("FUT" if future else "OPT") + ("CUR" if security.exchange == "BCD" else "IDX")


def _broker_symbol(security: Security) -> str:
    return f"{security.symbol}-EQ" if security.exchange == "NSE" else monthly_name(security)


SIMULATOR = MStockSimulator
