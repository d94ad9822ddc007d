"""What XTS servers send, made of the exchange's state (family specification sections 3, 5 and 9). Pure."""

import json
import struct
import zlib
from typing import Any

from tickmux.simulator.market.contract_names import MONTHS
from tickmux.simulator.market.security import PRICE_UNIT, Level, Security

SEGMENTS = {
    "NSE": (1, "NSECM"), "NSE_INDEX": (1, "NSECM"), "NFO": (2, "NSEFO"), "CDS": (3, "NSECD"), "BSE": (11, "BSECM"),
    "BSE_INDEX": (11, "BSECM"), "BFO": (12, "BSEFO"), "MCX": (51, "MCXFO"),
}  # fmt: skip
"""Exchange -> number and name of its segment (section 8)."""

_NSE_SEGMENTS = (1, 2, 3)
_IST, _1980 = 19_800, 315_532_800

# Section 5.5, little-endian: layout -> level row, last traded price to last traded time, open interest.
_COMMON = struct.Struct("<HHHqqihiq")
_ROWS = {"A": struct.Struct("<idih"), "B": struct.Struct("<qdih")}
_TRADES = {"A": struct.Struct("<qdiIIIdq"), "B": struct.Struct("<qdqqqqdq")}
_DAY = struct.Struct("<d4dd4h")
_OPEN_INTEREST = {"A": struct.Struct("<hihQBi"), "B": struct.Struct("<hqhQBq")}
_HEADER = struct.Struct("<BHhihhH")
_U16 = struct.Struct("<H")
_I32 = struct.Struct("<i")


def wire_key(security: Security) -> tuple[int, int]:
    return SEGMENTS[security.exchange][0], security.token


def wire_time(epoch_ms: int, segment: int) -> int:
    """Seconds since midnight IST of 1980 on NSE, of 1970 elsewhere (section 5.6)."""
    return epoch_ms // 1000 + _IST - (_1980 if segment in _NSE_SEGMENTS else 0)


def _rupees(price: int) -> float:
    return price / PRICE_UNIT


def _text(price: int) -> str:
    """Rupees without trailing zeros."""
    return f"{_rupees(price):.4f}".rstrip("0").rstrip(".")


# -- JSON (sections 5.2 to 5.4) ----------------------------------------------------------------------------


def event(name: str, payload: Any) -> str:
    return "42" + json.dumps([name, payload], separators=(",", ":"))


def json_event(security: Security, code: int) -> str:
    return event(f"{code}-json-full", json_payload(security, code))


def json_payload(security: Security, code: int) -> str:
    """The payload as the text that it is: 1512 and 1501 flat, 1502 with a touchline."""
    segment, number = wire_key(security)
    head = {"MessageCode": code, "ExchangeSegment": segment, "ExchangeInstrumentID": number}
    long_head = {**head, "MessageVersion": 4, "ApplicationType": 0, "TokenID": 0}
    updated = wire_time(security.updated_at, segment)
    if code == 1510:
        found: dict[str, Any] = {**long_head, "ExchangeTimeStamp": updated, "XTSMarketType": 1}
        found["OpenInterest"] = security.oi
    elif code == 1512:
        found = {
            **long_head,
            "LastTradedPrice": _rupees(security.ltp),
            "LastTradedQunatity": security.last_quantity,
            "LastTradedTime": wire_time(security.traded_at, segment),
            "LastUpdateTime": updated,
        }
    elif code == 1501:
        found = {**head, **_touchline(security, segment)}
    else:
        found = {
            **long_head,
            "ExchangeTimeStamp": updated,
            "Bids": [_json_level(level) for level in security.bids[:5]],
            "Asks": [_json_level(level) for level in security.asks[:5]],
            "Touchline": _touchline(security, segment),
        }
    return json.dumps(found, separators=(",", ":"))


def _touchline(security: Security, segment: int) -> dict[str, Any]:
    return {
        "BidInfo": _json_level(security.bids[0]) if security.bids else None,
        "AskInfo": _json_level(security.asks[0]) if security.asks else None,
        "LastTradedPrice": _rupees(security.ltp),
        "LastTradedQunatity": security.last_quantity,
        "TotalBuyQuantity": security.total_buy,
        "TotalSellQuantity": security.total_sell,
        "TotalTradedQuantity": security.volume,
        "AverageTradedPrice": _rupees(security.average),
        "LastTradedTime": wire_time(security.traded_at, segment),
        "LastUpdateTime": wire_time(security.updated_at, segment),
        "PercentChange": _percent_change(security),
        "Open": _rupees(security.open),
        "High": _rupees(security.high),
        "Low": _rupees(security.low),
        "Close": _rupees(security.close),
        "TotalValueTraded": None,
        "BuyBackTotalBuy": 0,
        "BuyBackTotalSell": 0,
    }


def _percent_change(security: Security) -> float:
    return round(100 * (security.ltp - security.close) / security.close, 2)


def _json_level(level: Level) -> dict[str, Any]:
    return {
        "Size": level.quantity,
        "Price": _rupees(level.price),
        "TotalOrders": level.orders,
        "BuyBackMarketMaker": 0,
    }


def limits_event(security: Security) -> str:
    """The circuit limits, as the property change that comes unasked."""
    segment, number = wire_key(security)
    limits = f"88:{_text(security.upper_circuit)},87:{_text(security.lower_circuit)}"
    return event("1105-json-partial", f"t:{segment}_{number},{limits}")


# -- binary (section 5.5) ----------------------------------------------------------------------------------


def binary_message(security: Security, code: int, layout: str, *, compressed: bool) -> bytes:
    """One message of a packet, with its header."""
    segment, number = wire_key(security)
    body = _body(security, code, layout)
    header = _HEADER.pack(int(compressed), code, segment, number, 1, 1, len(body))
    if not compressed:
        return header + body
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(body) + packer.flush()
    return header + _U16.pack(len(packed)) + packed


def _body(security: Security, code: int, layout: str) -> bytes:
    segment, number = wire_key(security)
    updated = wire_time(security.updated_at, segment)
    common = _COMMON.pack(code, 4, 0, 0, 1001, 0, segment, number, updated)
    if code == 1510:
        return common + _OPEN_INTEREST[layout].pack(1, security.oi, 0, 0, 0, 0)
    row = _ROWS[layout]
    bids, asks = ([_packed(row, level) for level in side[:5]] for side in (security.bids, security.asks))
    none = row.pack(0, 0.0, 0, 0)
    best = (bids[0] if bids else none) + (asks[0] if asks else none)
    book = b""
    if code == 1502:
        book = b"".join((_I32.pack(len(bids)), *bids, _I32.pack(len(asks)), *asks))
    trades = _TRADES[layout].pack(
        updated,
        _rupees(security.ltp),
        security.last_quantity,
        security.total_buy,
        security.total_sell,
        security.volume,
        _rupees(security.average),
        wire_time(security.traded_at, segment),
    )
    prices = (security.open, security.high, security.low, security.close)
    day = _DAY.pack(_percent_change(security), *map(_rupees, prices), 0.0, 0, 0, 1, 1)
    return common + book + best + trades + day


def _packed(row: struct.Struct, level: Level) -> bytes:
    return row.pack(level.quantity, _rupees(level.price), level.orders, 0)


# -- instrument master (section 9) -------------------------------------------------------------------------


def master_row(security: Security) -> str:
    """22 columns for cash, 21 for futures, 23 for options."""
    segment, brexchange = SEGMENTS[security.exchange]
    kind = security.kind
    series, description = _series(security), broker_symbol(security)
    number = 10_000_000_000_000 * (security.token % 9 + 1) + security.token
    limits = (_text(security.upper_circuit), _text(security.lower_circuit))
    instrument_type = {"EQ": "8", "INDEX": "16", "FUT": "1"}.get(kind, "2")
    name = security.symbol if kind == "EQ" else security.name
    head = (brexchange, security.token, instrument_type, name, description, series, f"{name}-{series}", number)
    tail = (*limits, 1801, _text(security.tick), max(security.lot_size, 1), security.multiplier)
    if security.expiry is None:
        rest: tuple[Any, ...] = (name, security.isin, 1, 1, description, 0, -1, -1)
        return "|".join(map(str, (*head, *tail, *rest)))
    day = f"{security.expiry.day:02d}{MONTHS[security.expiry.month - 1]}{security.expiry.year}"
    expires = f"{security.expiry.isoformat()}T{'23:30:00' if segment == 51 else '14:30:00'}"
    rest = (-1, name, expires)
    if kind == "FUT":
        # A numerator that is not 1 must not be taken for an option's type.
        rest = (*rest, f"{name} {day}", 872_604, 5892, description)
    else:
        strike = _text(security.strike)
        rest = (*rest, strike, 3 if kind == "CE" else 4, f"{name} {day} {kind} {strike}", 1, 1, description)
    return "|".join(map(str, (*head, *tail, *rest)))


def _series(security: Security) -> str:
    if security.kind == "INDEX":
        return "SPOT"
    if security.kind == "EQ":
        return "EQ" if security.exchange == "NSE" else "A"
    what = {"NFO": "IDX", "CDS": "CUR", "MCX": "COM"}.get(security.exchange)
    future = security.kind == "FUT"
    if what is None:
        return "IF" if future else "IO"
    return f"{'FUT' if future else 'OPT'}{what}"


def broker_symbol(security: Security) -> str:
    """The description column."""
    expiry = security.expiry
    if expiry is None:
        return f"{security.symbol}-{_series(security)}"
    stem = f"{security.name}{expiry.year % 100:02d}{MONTHS[expiry.month - 1]}"
    return f"{stem}FUT" if security.kind == "FUT" else f"{stem}{_text(security.strike)}{security.kind}"
