"""INDmoney's servers: the price socket, and as much of REST as a login and the instrument lists need.

Section numbers are those of the broker's specification.
"""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pyotp

from tickmux.codec import Credentials
from tickmux.instrument import format_strike
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Security
from tickmux.simulator.server.base import BrokerSimulator
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

CLIENT_ID, MPIN, TOTP_SECRET = "simulated-client", "1234", "JBSWY3DPEHPK3PXPJBSWY3DPEH"

SEGMENTS = {"NSE": "NSE", "BSE": "BSE", "NFO": "NFO", "BFO": "BFO", "NSE_INDEX": "NIDX", "BSE_INDEX": "BIDX"}
_MODES = ("ltp", "quote", "full")
_MOST_CONNECTIONS, _MOST_INSTRUMENTS = 3, 3000
_FIRST_INDEX_ID = 40_000_001
_INDEX_LABELS = {
    "NIFTY": "NIFTY 50",
    "BANKNIFTY": "BANK NIFTY",
    "FINNIFTY": "Nifty Financial",
    "MIDCPNIFTY": "Nifty Midcap Sel",
    "NIFTYNXT50": "Nifty Next 50",
    "INDIAVIX": "India VIX",
    "BANKEX": "S&P BSE BANKEX",
    "SENSEX50": "S&P BSE SENSEX 50",
}
"""How the list names indices whose name there is not our symbol."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_COLUMNS = (
    "EXCH,SEGMENT,SECURITY_ID,INSTRUMENT_NAME,EXPIRY_CODE,TRADING_SYMBOL,LOT_UNITS,CUSTOM_SYMBOL,EXPIRY_DATE,"
    "STRIKE_PRICE,OPTION_TYPE,TICK_SIZE,EXPIRY_FLAG,SEM_EXCH_INSTRUMENT_TYPE,SERIES,SYMBOL_NAME"
)
_DEAD_TOKEN = {"status": "error", "message": "Access token is invalid or expired", "error_type": "TokenException"}


class IndmoneySimulator(BrokerSimulator):
    """Kinds are the broker's modes; an instrument may have several, each with deltas of its own."""

    name = "indmoney"
    endpoints = {"feed": "ws:/api/v1/ws/prices", "api": "http:/"}

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._said: dict[tuple[Security, str], dict[str, float | int]] = {}
        self._listed = [security for security in exchange.securities if security.exchange in SEGMENTS]
        indices = [security for security in self._listed if security.is_index]
        self._ids = {
            security: str(_FIRST_INDEX_ID + indices.index(security) if security.is_index else security.token)
            for security in self._listed
        }
        self._by_name = {
            f"{SEGMENTS[security.exchange]}:{self._ids[security]}": security for security in self._listed
        }

    def make_credentials(self, number: int) -> Credentials:
        return Credentials({"access_token": f"simulated-token-{number}"})

    # -- feed --------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        if not self.knows(access_token=request.headers.get("authorization", "")):
            return Response(513, b"Unauthorized")
        return Response(429) if len(self.clients) >= _MOST_CONNECTIONS else None

    def token_expired(self, client: Client) -> None:
        client.send(json.dumps(_DEAD_TOKEN))
        client.hang_up()

    def received(self, client: Client, message: str | bytes) -> None:
        try:
            wish = _decode_request(message)
        except (msgspec.DecodeError, ValueError, RecursionError):
            client.send('{"status":"error","message":"Invalid request","error_type":"InputException"}')
            return
        if wish.mode not in _MODES or wish.action not in ("subscribe", "unsubscribe") or not wish.instruments:
            return  # accepted in silence, and nothing comes (section 4)
        served = wish.instruments[0].partition(":")[0]
        chosen = [
            self._by_name[name]
            for name in wish.instruments
            if name in self._by_name and name.partition(":")[0] == served  # of a mixed frame the first segment only
        ]
        if wish.action == "unsubscribe":
            self.unsubscribe(client, chosen, wish.mode)
        elif len(client.subscriptions.keys() | set(chosen)) > _MOST_INSTRUMENTS:
            client.send('{"status":"error","message":"Too many instruments","error_type":"InputException"}')
        else:
            client.send('{"status":"success","message":"subscribed"}')
            self.subscribe(client, chosen, wish.mode)

    def snapshot(self, client: Client, security: Security, kind: str) -> str | None:
        """All fields: nobody else has to hear of it, so that what was said last stays as it was."""
        return update_line(self._ids[security], kind, security.updated_at, mode_data(security, kind))

    def encode(self, security: Security, kind: str) -> str | None:
        """The fields that have changed since the last update of this mode, all of them in the first."""
        data = mode_data(security, kind)
        said = self._said.get((security, kind), {})
        self._said[security, kind] = data
        changed = {key: value for key, value in data.items() if said.get(key) != value}
        return update_line(self._ids[security], kind, security.updated_at, changed) if changed else None

    # -- REST --------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        route = (request.method, request.path)
        if route == ("POST", "/generate/token"):
            return self._log_in(request)
        if not self.knows(access_token=request.headers.get("authorization", "")):
            return Response.json(_DEAD_TOKEN, 403)
        if route == ("GET", "/user/profile"):
            return Response.json({"status": "success", "data": {"first_name": "Simulated"}})
        if route == ("GET", "/market/instruments"):
            files = dict(self.instrument_dump())
            content = files.get(f"{request.query.get('source', '')}.csv")
            if content is not None:
                return Response(200, content, {"Content-Type": "text/csv"})
            return _refusal(400, "Invalid source")
        return _refusal(404, "Not found")

    def _log_in(self, request: Request) -> Response:
        body = request.json()
        given: dict[str, Any] = body if isinstance(body, dict) else {}
        if request.headers.get("x-api-key") != CLIENT_ID:
            return _refusal(401, "Invalid client id")
        if given.get("mpin") != MPIN:
            return _refusal(401, "Invalid MPIN")
        if not pyotp.TOTP(TOTP_SECRET).verify(str(given.get("totp", "")), valid_window=1):
            return _refusal(401, "Invalid TOTP")
        self.expire_token()  # there is one live token at a time
        return Response.json({"status": "success", "data": {"token": self.new_token()["access_token"]}})

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        files: dict[str, list[str]] = {"equity": [_COLUMNS], "fno": [_COLUMNS], "index": ["EXCH,SEGMENT,SECURITY_ID"]}
        for security in self._listed:
            source = "index" if security.is_index else "fno" if security.is_derivative else "equity"
            files[source].append(list_row(security, self._ids[security]))
        return [(f"{name}.csv", "\n".join((*lines, "")).encode()) for name, lines in files.items()]


class _Wish(msgspec.Struct):
    action: str
    mode: str
    instruments: list[str]


_decode_request = msgspec.json.Decoder(_Wish).decode


def _refusal(status: int, message: str) -> Response:
    return Response.json({"status": "error", "message": message, "error_type": "InputException"}, status)


# -- updates (section 5) -----------------------------------------------------------------------------------


def mode_data(security: Security, mode: str) -> dict[str, float | int]:
    """The `data` of an update of this moment, all fields."""
    data: dict[str, float | int] = {}
    if mode != "quote":
        data["ltp"] = _rupees(security.ltp)
    if mode == "ltp":
        return data
    data |= {
        "open": _rupees(security.open),
        "high": _rupees(security.high),
        "low": _rupees(security.low),
        "close": _rupees(security.ltp),  # follows the last price
    }
    if security.is_index:
        return data
    bids, asks = security.bids, security.asks
    data |= {
        "volume": security.volume,
        "average_price": _rupees(security.average),
        "total_buy_qty": security.total_buy,
        "total_sell_qty": security.total_sell,
        "ltq": security.last_quantity,
        "ltt": security.traded_at,
        "bid_price": _rupees(bids[0].price) if bids else 0,
        "bid_qty": bids[0].quantity if bids else 0,
        "ask_price": _rupees(asks[0].price) if asks else 0,
        "ask_qty": asks[0].quantity if asks else 0,
    }
    if security.is_derivative:
        data |= {"oi": security.oi}
    return data


def update_line(token: str, mode: str, timestamp: int, data: dict[str, float | int]) -> str:
    """JSON inside a JSON string, and a line feed."""
    update = {"mode": mode, "instrument": token, "timestamp": timestamp, "data": data}
    return json.dumps(json.dumps(update, separators=(",", ":"))) + "\n"


def _rupees(price: int) -> float | int:
    """Whole rupees are written without a point."""
    rupees = price / PRICE_UNIT
    return int(rupees) if rupees == int(rupees) else rupees


# -- instrument lists (section 9) --------------------------------------------------------------------------


def list_row(security: Security, token: str) -> str:
    exchange = "BSE" if security.exchange in ("BSE", "BFO", "BSE_INDEX") else "NSE"
    if security.is_index:
        return f"{exchange},{_INDEX_LABELS.get(security.symbol, security.symbol)},{token}"
    expiry, tick = security.expiry, f"{security.tick / PRICE_UNIT:g}"
    if expiry is None:
        company = security.name.replace(",", "")
        return f"{exchange},E,{token},EQUITY,0,{security.symbol},1,{company.title()},,,,{tick},,ES,EQ,{company}"
    month = f"{_MONTHS[expiry.month - 1]}{expiry.year}"
    if security.kind == "FUT":
        contract = f"{security.name}-{month}-FUT"
        row: Sequence[str] = ("FUTIDX", contract, "", "", "FUT")
    else:
        strike = format_strike(security.strike / PRICE_UNIT)
        contract = f"{security.name}-{month}-{strike}-{security.kind}"
        row = ("OPTIDX", contract, strike, security.kind, "OP")
    kind, symbol, strike, option, broker_type = row
    return (
        f"{exchange},FNO,{token},{kind},0,{symbol},{security.lot_size},{symbol},{expiry.isoformat()},{strike},"
        f"{option},{tick},M,{broker_type},,{symbol}"
    )


SIMULATOR = IndmoneySimulator
