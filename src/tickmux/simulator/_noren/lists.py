"""Trading symbols in Noren's style, and the family's own instrument files (family specification, section 9)."""

import io
import zipfile
from collections.abc import Iterable

from tickmux.instrument import format_strike
from tickmux.simulator.market.contract_names import MONTHS
from tickmux.simulator.market.security import PRICE_UNIT, Security

_BUCKETS = {"SENSEX": "BSX", "BANKEX": "BKX", "SENSEX50": "SX50"}
_HEADS = {
    "NSE": "Exchange,Token,LotSize,Symbol,TradingSymbol,Instrument,TickSize,",
    "NFO": "Exchange,Token,LotSize,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,",
    "CDS": "Exchange,Token,LotSize,Precision,Multiplier,Symbol,TradingSymbol,Expiry,Instrument,OptionType,"
    "StrikePrice,TickSize,",
    "MCX": "Exchange,Token,LotSize,GNGD,Symbol,TradingSymbol,Expiry,Instrument,OptionType,StrikePrice,TickSize,",
}
_HEADS |= {"BSE": _HEADS["NSE"], "BFO": _HEADS["NFO"]}


def broker_symbol(security: Security) -> str:
    """SBIN-EQ, NIFTY28AUG25F, NIFTY28AUG25C25000; MCX futures without the F; BFO in the exchange's own style."""
    expiry = security.expiry
    if security.is_index:
        return "NIFTY INDEX" if security.symbol == "NIFTY" else security.name
    if expiry is None:
        return f"{security.symbol}-EQ" if security.exchange == "NSE" else security.symbol
    if security.exchange == "BFO":
        year = f"{expiry.year % 100:02d}"
        if security.kind == "FUT":
            return f"{security.name}{year}{MONTHS[expiry.month - 1]}FUT"
        week = f"{year}{'123456789OND'[expiry.month - 1]}{expiry.day:02d}"
        return f"{security.name}{week}{strike_text(security)}{security.kind}"
    stem = f"{security.name}{expiry.day:02d}{MONTHS[expiry.month - 1]}{expiry.year % 100:02d}"
    if security.kind == "FUT":
        return stem if security.exchange == "MCX" else f"{stem}F"
    return f"{stem}{security.kind[0]}{strike_text(security)}"


def strike_text(security: Security) -> str:
    return format_strike(security.strike / PRICE_UNIT) if security.strike else "0"


def expiry_text(security: Security) -> str:
    """28-AUG-2025, or nothing."""
    expiry = security.expiry
    return f"{expiry.day:02d}-{MONTHS[expiry.month - 1]}-{expiry.year}" if expiry else ""


def option_type(security: Security) -> str:
    return "XX" if security.kind == "FUT" else security.kind


def instrument_type(security: Security) -> str:
    """FUTIDX, OPTCUR and the like."""
    future = security.kind == "FUT"
    if security.exchange == "MCX":
        return "FUTCOM" if future else "OPTFUT"
    return ("FUT" if future else "OPT") + ("CUR" if security.exchange in ("CDS", "BCD") else "IDX")


def list_lot(security: Security) -> int:
    """The lot size of a list: MCX names the units of a lot, CDS has them in another column."""
    return max(1, security.lot_size * (1 if security.exchange in ("CDS", "BCD") else security.multiplier))


def rupees(price: int) -> str:
    return f"{price / PRICE_UNIT:g}"


def family_files(securities: Iterable[Security], *, paise: bool) -> list[tuple[str, bytes]]:
    """The zipped files; `paise` is how the cash files write tick sizes. BSE's indices are in none of them."""
    rows: dict[str, list[str]] = {name: [head] for name, head in _HEADS.items()}
    rows["NFO"].append("NFO,1,1,,,,,XX,0,0.05,")  # the file begins with placeholders
    for security in securities:
        if security.exchange in rows or security.exchange == "NSE_INDEX":
            rows[security.exchange.removesuffix("_INDEX")].append(_row(security, paise))
    return [(f"{name}_symbols.txt.zip", zipped(f"{name}_symbols.txt", lines)) for name, lines in rows.items()]


def zipped(name: str, lines: Iterable[str]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, "".join(f"{line}\r\n" for line in lines))
    return packed.getvalue()


def _row(security: Security, paise: bool) -> str:
    exchange = security.exchange
    if security.is_index:
        return f"NSE,{security.token},1,{security.name.title()},{broker_symbol(security)},INDEX,0,"
    if not security.is_derivative:
        series = "EQ" if exchange == "NSE" else "A"
        tick = rupees(security.tick * (100 if paise else 1))
        return f"{exchange},{security.token},1,{security.symbol},{broker_symbol(security)},{series},{tick},"
    name = security.name
    if exchange == "BFO":
        name = f"{_BUCKETS[name]}{'FUT' if security.kind == 'FUT' else 'OPT'}"
    more = {"CDS": f"4,{security.multiplier},", "MCX": "1,"}.get(exchange, "")
    return (
        f"{exchange},{security.token},{list_lot(security)},{more}{name},{broker_symbol(security)},"
        f"{expiry_text(security)},{instrument_type(security)},{option_type(security)},{strike_text(security)},"
        f"{rupees(security.tick)},"
    )
