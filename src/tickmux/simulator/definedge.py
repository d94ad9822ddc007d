"""Definedge's servers: the Noren family's feed, a login by one-time code and one instrument file of their own."""

import pyotp

from tickmux.codec import Credentials
from tickmux.simulator._noren.lists import broker_symbol, instrument_type, list_lot, option_type, zipped
from tickmux.simulator._noren.server import USER_ID, NorenSimulator, message, sha256
from tickmux.simulator._noren.wire import wire_exchange
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PRICE_UNIT, Security
from tickmux.simulator.server.http_server import Request, Response

API_TOKEN, API_SECRET, TOTP_SECRET = "simulated-token", "simulated-secret", "JBSWY3DPEHPK3PXPJBSWY3DPEH"
SENT_CODE = "246810"
"""What comes by SMS and e-mail; the code of an authenticator with the secret above is as good."""


class DefinedgeSimulator(NorenSimulator):
    name = "definedge"
    endpoints = {"feed": "ws:/NorenWSTRTP/", "auth": "http:/dsbpkc", "instruments": "http:/public"}
    connect_type = "c"
    session_field = "susertoken"
    source = "TRTP"
    answers_heartbeats = False
    most_scrips = 500

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._otp_token = ""
        """Names the login whose code is awaited; good for one attempt."""
        self._announced = 0

    def make_credentials(self, number: int) -> Credentials:
        values = {**super().make_credentials(number).values, "api_session_key": f"simulated-rest-{number}"}
        return Credentials(values)

    def connect_answer(self, accepted: bool) -> str:
        return message(t="ck", uid=USER_ID, s="Ok" if accepted else "Not_Ok")

    def add_routes(self) -> None:
        self.route("GET", "auth", self._announce, f"/login/{API_TOKEN}")
        self.route("POST", "auth", self._exchange, "/token")

    def _announce(self, request: Request) -> Response:
        if request.headers.get("api_secret") != API_SECRET:
            return Response(401)
        self._announced += 1
        self._otp_token = f"simulated-otp-token-{self._announced}"
        return Response.json({"otp_token": self._otp_token, "message": "OTP is sent to ******0000"})

    def _exchange(self, request: Request) -> Response:
        body = request.json()
        given = {name: str(value) for name, value in body.items()} if isinstance(body, dict) else {}
        otp, (awaited, self._otp_token) = given.get("otp", ""), (self._otp_token, "")
        good = awaited and given == {"otp_token": awaited, "otp": otp, "ac": sha256(awaited + otp + API_SECRET)}
        if not good or not (otp == SENT_CODE or pyotp.TOTP(TOTP_SECRET).verify(otp, valid_window=1)):
            return Response.json({"stat": "Not_Ok", "emsg": "Invalid OTP"}, 400)
        session = self.new_token()
        return Response.json(
            {
                "stat": "Ok",
                "uid": USER_ID,
                "actid": USER_ID,
                "api_session_key": session["api_session_key"],
                "susertoken": session["token"],
            }
        )

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        return [("allmaster.zip", zipped("allmaster.csv", map(_row, self.listed)))]


def _row(security: Security) -> str:
    """The 15 columns; prices are integers of 1 / (multiplier × 10^precision)."""
    exchange = wire_exchange(security)
    precision, multiplier = (4, 1000) if exchange == "CDS" else (2, 1)
    scale = multiplier * 10**precision
    tick, strike = (price * scale // PRICE_UNIT for price in (security.tick, security.strike))
    expiry = f"{security.expiry:%d%m%Y}" if security.expiry else ""
    if security.is_derivative:
        name, kind, option = security.name, instrument_type(security), option_type(security)
    else:
        name, kind, option = security.symbol, "IDX" if security.is_index else "EQ", ""
    return (
        f"{exchange},{security.token},{name},{broker_symbol(security)},{kind},{expiry},{tick},{list_lot(security)},"
        f"{option},{strike},{precision},{multiplier},{security.isin},1.000000,{security.name}"
    )


SIMULATOR = DefinedgeSimulator
