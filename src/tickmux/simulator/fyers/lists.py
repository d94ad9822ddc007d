"""How FYERS names the made-up instruments, and its instrument files (specification sections 4.2, 8 and 9). Pure."""

from collections.abc import Iterable
from datetime import datetime, time

import msgspec

from tickmux.login import IST
from tickmux.simulator.market.contract_names import short_name
from tickmux.simulator.market.security import PRICE_UNIT, Security

SEGMENTS = {
    "NSE": ("1010", "nse_cm"),
    "NSE_INDEX": ("1010", "nse_cm"),
    "NFO": ("1011", "nse_fo"),
    "CDS": ("1012", "cde_fo"),
    "MCX": ("1120", "mcx_fo"),
    "BSE": ("1210", "bse_cm"),
    "BSE_INDEX": ("1210", "bse_cm"),
    "BFO": ("1211", "bse_fo"),
}
"""Our exchange to the fytoken's prefix and the feed's segment; what is not listed, FYERS does not offer."""

_INDICES = {
    "NIFTY": ("NIFTY50", "Nifty 50"),
    "BANKNIFTY": ("NIFTYBANK", "Nifty Bank"),
    "FINNIFTY": ("FINNIFTY", "Nifty Fin Service"),
    "MIDCPNIFTY": ("MIDCPNIFTY", "NIFTY MID SELECT"),
    "NIFTYNXT50": ("NIFTYNXT50", "Nifty Next 50"),
    "INDIAVIX": ("INDIAVIX", "India VIX"),
    "SENSEX": ("SENSEX", "SENSEX"),
    "BANKEX": ("BANKEX", "BANKEX"),
    "SENSEX50": ("SNSX50", "SNSX50"),
}
"""Index symbol to its ticker and the feed's name."""

_CSV_FILES = {
    "NSE_CM.csv": ("NSE", "NSE_INDEX"),
    "NSE_FO.csv": ("NFO",),
    "BSE_CM.csv": ("BSE", "BSE_INDEX"),
    "BSE_FO.csv": ("BFO",),
}
_JSON_FILES = {"NSE_CD_sym_master.json": "CDS", "MCX_COM_sym_master.json": "MCX"}
_CLOSING = {"NFO": time(15, 30), "BFO": time(15, 30), "CDS": time(12, 0), "MCX": time(23, 30)}


def fytoken(security: Security) -> str:
    expiry = f"{security.expiry:%y%m%d}" if security.expiry else "000000"
    return f"{SEGMENTS[security.exchange][0]}{expiry}{security.token}"


def ticker(security: Security) -> str:
    if security.is_index:
        return f"{security.exchange.removesuffix('_INDEX')}:{_INDICES[security.symbol][0]}-INDEX"
    if security.exchange in ("NSE", "BSE"):
        return f"{security.exchange}:{security.symbol}-{'EQ' if security.exchange == 'NSE' else 'A'}"
    home = {"NFO": "NSE", "CDS": "NSE", "BFO": "BSE"}.get(security.exchange, security.exchange)
    return f"{home}:{short_name(security)}"


def quote_topic(security: Security) -> str:
    segment = SEGMENTS[security.exchange][1]
    if security.is_index:
        return f"if|{segment}|{_INDICES[security.symbol][1]}"
    return f"sf|{segment}|{security.token}"


def frame_names(security: Security) -> tuple[str, str, str]:
    """Segment, token and symbol as a snapshot ends with them."""
    segment = SEGMENTS[security.exchange][1]
    if security.is_index:
        name = _INDICES[security.symbol][1]
        return segment, name, name
    return segment, str(security.token), ticker(security).partition(":")[2]


def instrument_files(securities: Iterable[Security]) -> dict[str, bytes]:
    """The files of the public folder, by name."""
    offered = [security for security in securities if security.exchange in SEGMENTS]
    names = {ticker(s): _INDICES[s.symbol][1] for s in offered if s.is_index}
    files = {"index_hsm_mapping.json": msgspec.json.encode(names)}
    for filename, exchanges in _CSV_FILES.items():
        rows = [_csv_row(security) for security in offered if security.exchange in exchanges]
        files[filename] = "\n".join((*rows, "")).encode()
    for filename, exchange in _JSON_FILES.items():
        records = {ticker(s): _record(s) for s in offered if s.exchange == exchange}
        files[filename] = msgspec.json.encode(records)
    return files


def _csv_row(security: Security) -> str:
    code, name = fytoken(security), ticker(security)
    option = security.kind if security.kind in ("CE", "PE") else "XX"
    root = security.symbol if security.expiry is None else security.name
    kind = {"EQ": "0", "INDEX": "10", "FUT": "11"}.get(security.kind, "14")
    described = security.name if security.kind == "EQ" else name.partition(":")[2]
    underlying = security.underlying or security
    cells = (
        code, described, kind, str(security.lot_size), f"{security.tick / PRICE_UNIT:g}", security.isin,
        "0915-1530|1815-1915:", "2025-08-05", _expiry_seconds(security), name,
        "12" if code.startswith("12") else "10", "11" if security.expiry else "10", str(security.token), root,
        str(underlying.token), _strike(security), option, "", "None", "0", "0.0",
    )  # fmt: skip
    return ",".join(cells)


def _record(security: Security) -> dict[str, object]:
    return {
        "fyToken": fytoken(security),
        "symTicker": ticker(security),
        "symDetails": ticker(security).partition(":")[2],
        "underSym": security.name,
        "expiryDate": _expiry_seconds(security),
        "strikePrice": float(_strike(security)),
        "optType": security.kind if security.kind in ("CE", "PE") else "XX",
        "qtyMultiplier": float(security.multiplier),
        "minLotSize": security.lot_size,
        "tickSize": security.tick / PRICE_UNIT,
        "exToken": security.token,
        "tradeStatus": 1,
    }


def _strike(security: Security) -> str:
    return str(security.strike / PRICE_UNIT) if security.kind in ("CE", "PE") else "-1.0"


def _expiry_seconds(security: Security) -> str:
    if security.expiry is None:
        return ""
    closing = datetime.combine(security.expiry, _CLOSING[security.exchange], IST)
    return str(int(closing.timestamp()))
