"""Flattrade's servers: the Noren family's feed, a login and instrument files of their own."""

from tickmux.simulator._noren.lists import (
    broker_symbol,
    expiry_text,
    instrument_type,
    list_lot,
    option_type,
    strike_text,
)
from tickmux.simulator._noren.server import USER_ID, NorenSimulator, sha256
from tickmux.simulator._noren.wire import DEPTH, Fields, wire_exchange
from tickmux.simulator.market.security import Security
from tickmux.simulator.server.http_server import Request, Response

API_KEY, API_SECRET = "simulated-key", "simulated-secret"

_HEAD = "Exchange,Token,Lotsize,Symbol,Tradingsymbol,Instrument,Expiry,Strike,Optiontype"
_FILES = {
    "NSE": "NSE_Equity.csv",
    "BSE": "BSE_Equity.csv",
    "NFO": "Nfo_Index_Derivatives.csv",
    "BFO": "Bfo_Index_Derivatives.csv",
    "CDS": "Currency_Derivatives.csv",
    "MCX": "Commodity.csv",
}
_EMPTY_FILES = ("Nfo_Equity_Derivatives.csv", "Bfo_Equity_Derivatives.csv")
"""The made-up exchange has no derivatives of shares."""


class FlattradeSimulator(NorenSimulator):
    name = "flattrade"
    endpoints = {
        "feed": "ws:/PiConnectWSAPI/",
        "login": "http:/login",
        "token": "http:/trade/apitoken",
        "instruments": "http:/scripmaster",
    }

    def snapshot_extras(self, security: Security, kind: str) -> Fields:
        return {"cp": "0.00", "ue": "0.00", "le": "0.00"} if kind == DEPTH else {"ord_msg": ""}

    def add_routes(self) -> None:
        self.route("GET", "login", self._page)
        self.route("POST", "token", self._token)

    def _page(self, request: Request) -> Response:
        if request.query.get("app_key") != API_KEY:
            return Response(400, b"Invalid app key")
        return self.send_browser(request_code=self.new_code(), client=USER_ID)

    def _token(self, request: Request) -> Response:
        body = request.json()
        code = self.use_code()
        expected = {"api_key": API_KEY, "request_code": code, "api_secret": sha256(API_KEY + code + API_SECRET)}
        if not code or body != expected:
            return Response.json({"token": "", "client": "", "status": "Not_Ok", "emsg": "Invalid Input"})
        return Response.json({"token": self.new_token()["token"], "client": USER_ID, "status": "Ok", "emsg": ""})

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        files: dict[str, list[str]] = {name: [_HEAD] for name in (*_FILES.values(), *_EMPTY_FILES)}
        for security in self.listed:
            files[_FILES[wire_exchange(security)]].append(_row(security))
        return [(name, "\n".join((*lines, "")).encode()) for name, lines in files.items()]


def _row(security: Security) -> str:
    exchange = wire_exchange(security)
    if security.is_index:
        kind = "INDEX" if exchange == "NSE" else "UNDIND"
        return f"{exchange},{security.token},1,{security.symbol},{security.name.title()},{kind},,0,"
    if not security.is_derivative:
        series = "EQ" if exchange == "NSE" else "A"
        return f"{exchange},{security.token},1,{security.symbol},{broker_symbol(security)},{series},,,"
    strike = f"{strike_text(security)}.00" if exchange == "NFO" and security.strike else strike_text(security)
    return (
        f"{exchange},{security.token},{list_lot(security)},{security.name},{broker_symbol(security)},"
        f"{instrument_type(security)},{expiry_text(security)},{strike},{option_type(security)}"
    )


SIMULATOR = FlattradeSimulator
