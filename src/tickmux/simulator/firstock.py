"""Firstock's servers: the version 2 feed, its login and instrument lists.

Section numbers are those of the broker's specification.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pyotp

from tickmux.codec import Credentials
from tickmux.simulator._noren.lists import (
    broker_symbol,
    expiry_text,
    instrument_type,
    list_lot,
    option_type,
    rupees,
    strike_text,
)
from tickmux.simulator._noren.server import sha256
from tickmux.simulator._noren.wire import wire_exchange
from tickmux.simulator.market.exchange import Exchange
from tickmux.simulator.market.security import PAISA, Level, Security
from tickmux.simulator.server.base import BrokerSimulator, Packet
from tickmux.simulator.server.client import Client
from tickmux.simulator.server.http_server import Request, Response

USER_ID, PASSWORD, API_KEY, TOTP_SECRET = "SIM001", "simulated", "simulated-key", "JBSWY3DPEHPK3PXPJBSWY3DPEH"

_MOST_SESSIONS = 3
_EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "NSE_INDEX", "BSE_INDEX")
_NO_NUMBER = 9223372036854775808
_LEVELS = 5
_BUNDLE = 50
"""Instruments in one frame; the real number is not published."""
_CASH = "Exchange,Token,LotSize,TradingSymbol,CompanyName,ISIN,TickSize,FreezeQty"
_CONTRACTS = (
    "Exchange,Token,LotSize,Symbol,TradingSymbol,CompanyName,Expiry,Instrument,OptionType,StrikePrice,TickSize,"
    "FreezeQty"
)

Market = dict[str, Any]


class FirstockSimulator(BrokerSimulator):
    """There is one kind, `feed`."""

    name = "firstock"
    endpoints = {"feed": "ws:/V2/ws", "api": "http:/V1"}

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(exchange)
        self._said: dict[Security, Market] = {}
        self._by_name = {
            key_of(security): security for security in exchange.securities if security.exchange in _EXCHANGES
        }

    def make_credentials(self, number: int) -> Credentials:
        return Credentials({"user_id": USER_ID, "token": f"simulated/jkey+{number}=="})

    # -- feed --------------------------------------------------------------------------------------------

    def accept(self, request: Request, endpoint: str) -> Response | None:
        return None  # the first frame says whether the session is good

    def greet(self, client: Client) -> None:
        query = client.request.query
        good = self.knows(user_id=query.get("userId", ""), token=query.get("jKey", ""))
        if not good or query.get("source") != "developer-api":
            _refuse(client, "unauthenticated")
        elif sum(one.session is not None for one in self.clients) >= _MOST_SESSIONS:
            _refuse(client, f"Maximum sessions limit ({_MOST_SESSIONS}) reached")
        else:
            client.session = USER_ID
            client.send('{"status":"success","message":"Authentication successful"}')

    def token_expired(self, client: Client) -> None:
        client.hang_up()  # the next connection's first frame says why

    def received(self, client: Client, text: str | bytes) -> None:
        try:
            request = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, ValueError, RecursionError):
            return
        tokens = request.get("tokens")
        if client.session is None or not isinstance(tokens, str):
            return
        found = (self._by_name.get(name) for name in tokens.split("|"))
        chosen = list(dict.fromkeys(security for security in found if security is not None))
        if request.get("action") == "subscribe":
            self.subscribe(client, chosen, "feed")
        elif request.get("action") == "unsubscribe":
            self.unsubscribe(client, chosen, "feed")

    def snapshot(self, client: Client, security: Security, kind: str) -> Market:
        market = self._said[security] = market_fields(security)
        return {**market, **_names(security)}

    def encode(self, security: Security, kind: str) -> Market | None:
        """What has changed; of the book, the keys of the levels that have."""
        market = market_fields(security)
        said = self._said.get(security, {})
        self._said[security] = market
        changed = {name: value for name, value in market.items() if said.get(name) != value}
        for side in ("best_buy", "best_sell"):
            if side in changed and side in said:
                changed[side] = [
                    {key: value for key, value in new.items() if value != old.get(key)}
                    for old, new in zip(said[side], market[side], strict=True)
                ]
        return changed or None

    def pack(self, client: Client, packets: Sequence[Packet]) -> Iterable[str]:
        for start in range(0, len(packets), _BUNDLE):
            part = packets[start : start + _BUNDLE]
            yield msgspec.json.encode({key_of(security): market for security, _, market in part}).decode()

    # -- REST --------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        if (request.method, request.path) == ("POST", "/V1/login"):
            return self._log_in(request.json())
        files = {name.removesuffix(".csv"): content for name, content in self.instrument_dump()}
        content = files.get(request.path.removeprefix("/V1/symbols/"))
        if request.method != "GET" or content is None:
            return Response(404)
        return Response(200, content, {"Content-Type": "text/csv"})

    def _log_in(self, body: Any) -> Response:
        given = {name: str(value) for name, value in body.items()} if isinstance(body, dict) else {}
        checks = (
            ("INVALID_USERID", "userId", given.get("userId") == USER_ID),
            ("INVALID_PASSWORD", "password", given.get("password") == sha256(PASSWORD)),
            ("INVALID_TOTP", "TOTP", pyotp.TOTP(TOTP_SECRET).verify(given.get("TOTP", ""), valid_window=1)),
            ("INVALID_VENDOR", "vendorCode", given.get("vendorCode") == f"{USER_ID}_API"),
            ("INVALID_API_KEY", "apiKey", given.get("apiKey") == API_KEY),
        )
        for name, field, good in checks:
            if not good:
                error = {"field": field, "message": "Invalid"}
                return Response.json({"status": "failed", "code": "401", "name": name, "error": error}, 401)
        data = {"actid": USER_ID, "userName": "Simulated User", "susertoken": self.new_token()["token"], "email": ""}
        return Response.json({"status": "success", "data": data})

    def instrument_dump(self) -> list[tuple[str, bytes]]:
        files = {"NSE": [_CASH], "BSE": [_CASH], "NFO": [_CONTRACTS], "BFO": [_CONTRACTS]}
        for security in self._by_name.values():
            files[wire_exchange(security)].append(_row(security))
        return [(f"{name}.csv", "\n".join((*lines, "")).encode()) for name, lines in files.items()]


def key_of(security: Security) -> str:
    return f"{wire_exchange(security)}:{security.token}"


def _refuse(client: Client, words: str) -> None:
    client.send(msgspec.json.encode({"status": "failed", "message": words}).decode())


def _names(security: Security) -> Market:
    """What a full frame repeats, or gives along."""
    return {
        "c_exch_seg": wire_exchange(security),
        "c_symbol": str(security.token),
        "c_net_change_indicator": "43" if security.ltp >= security.close else "45",
        "i_buy_depth_size": _LEVELS,
        "i_sell_depth_size": _LEVELS,
    }


def market_fields(security: Security) -> Market:
    """A full frame's market: prices in paise, times in seconds (section 5.1)."""
    fields: Market = {
        "i_last_traded_price": security.ltp // PAISA,
        "i_open_price": security.open // PAISA,
        "i_high_price": security.high // PAISA,
        "i_low_price": security.low // PAISA,
        "i_closing_price": security.close // PAISA,
        "close_price": security.close // PAISA,
        "i_average_trade_price": security.average // PAISA,
        "i_upper_circuit_limit": security.upper_circuit / PAISA,
        "i_lower_circuit_limit": security.lower_circuit / PAISA,
        "i_yearly_high_price": security.year_high / PAISA,
        "i_yearly_low_price": security.year_low / PAISA,
        "i_last_trade_quantity": security.last_quantity,
        "i_feed_time": security.updated_at // 1000,
        "i_last_trade_time": 0 if security.is_index else security.traded_at // 1000,
        "best_buy": _levels(security, security.bids),
        "best_sell": _levels(security, security.asks),
    }
    if security.is_index:
        return fields
    fields |= {
        "i_volume_traded_today": security.volume,
        "i_total_buy_quantity": security.total_buy,
        "i_total_sell_quantity": security.total_sell,
        "i_total_open_interest": security.oi * 37 if security.is_derivative else _NO_NUMBER,
    }
    return fields | {"i_open_interest": security.oi} if security.is_derivative else fields


def _levels(security: Security, levels: list[Level]) -> list[Market]:
    """Five levels, empty ones zero; an index has objects without anything."""
    if security.is_index:
        return [{} for _ in range(_LEVELS)]
    shown = [
        {"price": level.price // PAISA, "quantity": level.quantity, "orders": level.orders}
        for level in levels[:_LEVELS]
    ]
    return shown + [{"price": 0, "quantity": 0, "orders": 0} for _ in range(_LEVELS - len(shown))]


def _row(security: Security) -> str:
    exchange = wire_exchange(security)
    if security.is_index:
        symbol = security.symbol if exchange == "NSE" else security.name
        return f"{exchange},{security.token},0,{symbol},{security.name.title()},,0,0"
    lot, tick = list_lot(security), rupees(security.tick)
    if not security.is_derivative:
        name = security.name.replace(",", "")
        return f"{exchange},{security.token},{lot},{broker_symbol(security)},{name},{security.isin},{tick},100000"
    return (
        f"{exchange},{security.token},{lot},{security.name},{broker_symbol(security)},{security.name},"
        f"{expiry_text(security)},{instrument_type(security)},{option_type(security)},{strike_text(security)},"
        f"{tick},1800"
    )


SIMULATOR = FirstockSimulator
