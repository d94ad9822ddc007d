"""Alice Blue's servers: the Noren family's feed behind WebSocket sessions, a login and lists of their own."""

import base64

import msgspec

from tickmux.codec import Credentials
from tickmux.simulator._noren.lists import (
    broker_symbol,
    instrument_type,
    list_lot,
    option_type,
    rupees,
    strike_text,
)
from tickmux.simulator._noren.server import USER_ID, NorenSimulator, message, sha256
from tickmux.simulator._noren.wire import Fields, wire_exchange
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import Security
from tickmux.simulator.server.http_server import Request, Response

APP_CODE, API_SECRET = "simulated-app", "simulated-secret"

_EXPIRES = 4_102_444_800
"""The first second of 2100."""
_SEGMENTS = {"NSE": "nse_cm", "BSE": "bse_cm", "NFO": "nse_fo", "BFO": "bse_fo", "CDS": "cde_fo", "MCX": "mcx_fo"}
_CASH = (
    "Exch,Exchange Segment,Group Name,Symbol,Token,Instrument Type,Instrument Name,Formatted Ins Name,"
    "Trading Symbol,Lot Size,Tick Size"
)
_CONTRACTS = (
    "Exch,Exchange Segment,Symbol,Token,Instrument Type,Option Type,Strike Price,Instrument Name,"
    "Formatted Ins Name,Trading Symbol,Expiry Date,Lot Size,Tick Size"
)
_BUCKETS = {"SENSEX": "BSX", "BANKEX": "BKX"}


class AliceBlueSimulator(NorenSimulator):
    """A connection needs a WebSocket session, which REST makes, and which every making ends."""

    name = "aliceblue"
    endpoints = {
        "feed": "ws:/NorenWS/",
        "login": "http:/login",
        "api": "http:/open-api/od/v1",
        "instruments": "http:/contract_master/V2",
    }
    exchanges = (*NorenSimulator.exchanges, "BCD")
    connect_type = "c"
    session_field = "susertoken"
    answers_heartbeats = False
    answers_unsubscribing = False

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self.socket_session = False
        """Whether a connection may be made; `drop_socket_session` ends it."""

    def make_credentials(self, number: int) -> Credentials:
        claims = msgspec.json.encode({"ucc": USER_ID, "exp": _EXPIRES, "jti": str(number)})
        payload = base64.urlsafe_b64encode(claims).decode().rstrip("=")
        return Credentials({"user_id": USER_ID, "token": f"simulated.{payload}.{number}"})

    def expected_connect(self) -> Fields:
        user, session = f"{USER_ID}_API", self.credentials["token"]
        expected = {**super().expected_connect(), "uid": user, "actid": user, "susertoken": sha256(sha256(session))}
        return expected if self.socket_session else {}

    def connect_answer(self, accepted: bool) -> str:
        return message(t="cf", k="OK" if accepted else "failed")

    def snapshot_extras(self, security: Security, kind: str) -> Fields:
        return {"ml": "1", "cv": "0.00"}

    # -- REST --------------------------------------------------------------------------------------------

    def add_routes(self) -> None:
        self.route("GET", "login", self._page)
        self.route("POST", "api", self._details, "/vendor/getUserDetails")
        self.route("POST", "api", self._invalidate, "/profile/invalidateWsSess")
        self.route("POST", "api", self._create, "/profile/createWsSess")

    def _page(self, request: Request) -> Response:
        if request.query.get("appcode") != APP_CODE:
            return Response(400, b"Invalid app code")
        return self.send_browser(authCode=self.new_code(), userId=USER_ID)

    def _details(self, request: Request) -> Response:
        code = self.use_code()
        if not code or request.json() != {"checkSum": sha256(USER_ID + code + API_SECRET)}:
            return Response.json({"stat": "Not_ok", "emsg": "Invalid auth code"})
        session = self.new_token()
        return Response.json({"stat": "Ok", "clientId": USER_ID, "userSession": session["token"]})

    def _is_known(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        asked = {"source": "API", "userId": USER_ID}
        return scheme == "Bearer" and self.knows(token=token) and request.json() == asked

    def _invalidate(self, request: Request) -> Response:
        if not self._is_known(request):
            return Response(401)
        if not self.socket_session:
            return Response.json({"status": "Not_Ok", "message": "no session", "result": []})
        self.drop_socket_session()
        return Response.json({"status": "Ok", "message": "Success", "result": [{"Status": "OK"}]})

    def _create(self, request: Request) -> Response:
        if not self._is_known(request):
            return Response(401)
        self.socket_session = True
        return Response.json({"status": "Ok", "message": "Success", "result": [{"Status": "OK"}]})

    def drop_socket_session(self) -> None:
        """Ends the WebSocket session, and with it what is connected."""
        self.socket_session = False
        self.disconnect_all(1000)

    # -- lists -------------------------------------------------------------------------------------------

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        files = {name: [_CASH if name in ("NSE", "BSE") else _CONTRACTS] for name in (*_SEGMENTS, "BCD")}
        files["INDICES"] = ["exch,symbol,token"]
        for security in self.listed:
            exchange = wire_exchange(security)
            if security.is_index:
                files["INDICES"].append(f"{exchange},{security.name},{security.token}")
            else:
                files[exchange].append(_row(security))
        return [(f"{name}.csv", "\n".join((*lines, "")).encode()) for name, lines in files.items()]


def _row(security: Security) -> str:
    exchange, expiry, symbol = security.exchange, security.expiry, broker_symbol(security)
    head = f"{exchange},{_SEGMENTS.get(exchange, 'bcs_fo')}"
    tail = f"{list_lot(security)},{rupees(security.tick)}"
    if expiry is None:
        group = "EQ" if exchange == "NSE" else "A"
        words = f"{security.name},{security.symbol} {group}"
        return f"{head},{group},{security.symbol},{security.token},{group},{words},{symbol},{tail}"
    future = security.kind == "FUT"
    name, kind = security.name, instrument_type(security)
    if exchange == "BFO":
        name, kind = f"{_BUCKETS[name]}{'FUT' if future else 'OPT'}", "IF" if future else "IO"
    option = "" if future else option_type(security)
    strike = "" if future else strike_text(security)
    day = f"{expiry:%d-%m-%Y}" if exchange == "CDS" else f"{expiry:%Y-%m-%d}"
    words = f"{security.name} {expiry:%d%b%y} {strike} {option}".upper().strip()
    return f"{head},{name},{security.token},{kind},{option},{strike},{kind},{words},{symbol},{day},{tail}"


SIMULATOR = AliceBlueSimulator
