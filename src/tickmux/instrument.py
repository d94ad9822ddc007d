"""Instruments: what a client names (symbol, exchange) and what a broker calls it (token, brexchange, brsymbol)."""

from collections.abc import Mapping
from datetime import date

import msgspec

EXCHANGES = (
    "NSE",
    "BSE",
    "NFO",
    "BFO",
    "CDS",
    "BCD",
    "MCX",
    "NCO",
    "NCDEX",
    "NSE_INDEX",
    "BSE_INDEX",
    "MCX_INDEX",
    "CDS_INDEX",
    "GLOBAL_INDEX",
    "CRYPTO",
)

MAX_SYMBOL_LENGTH = 64
"""Of what clients may ask for."""
MAX_LOT_SIZE = 2**31 - 1
"""What every database takes as a whole number."""

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


class Instrument(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of a broker's instrument list in our terms.

    `symbol` and `exchange` are OpenAlgo's names, the rest is the broker's. `token` is the broker's own
    identification as text and is unique only together with `brexchange` or the segment that it implies.
    `expiry` is `28-AUG-25` or empty, `strike` rupees or 0, `tick_size` rupees or 0. `extra` holds what only
    this broker's codec needs (a feed token beside the order token, say). `series` is a share's series (`EQ`, `BE`)
    or its group on BSE, where the list tells it: `SYMBOL-SERIES` is another name of what has the bare one.
    """

    symbol: str
    exchange: str
    token: str
    brexchange: str = ""
    brsymbol: str = ""
    name: str = ""
    expiry: str = ""
    strike: float = 0.0
    lotsize: int = 0
    instrumenttype: str = ""
    tick_size: float = 0.0
    extra: str = ""
    series: str = ""

    def __hash__(self) -> int:
        # Instruments are dictionary keys on the hot path: one string's cached hash instead of twelve fields'.
        return hash(self.token)

    @property
    def is_index(self) -> bool:
        return self.exchange.endswith("_INDEX")


def derivative_symbol(name: str, expiry: date, kind: str, strike: float = 0.0) -> str:
    """The symbol of a future or option: `NIFTY28AUG25FUT`, `NIFTY28AUG2525000CE`, `EURINR26SEP25102.75CE`.

    `kind` is FUT, CE or PE; `strike` is ignored for FUT and written without a trailing `.0`.
    """
    stem = f"{name}{expiry.day:02d}{_MONTHS[expiry.month - 1]}{expiry.year % 100:02d}"
    return f"{stem}FUT" if kind == "FUT" else f"{stem}{format_strike(strike)}{kind}"


def format_strike(strike: float) -> str:
    """A strike as symbols spell it: no exponent, no trailing zeros (`25000`, `102.75`)."""
    return str(int(strike)) if strike == int(strike) else f"{strike:.4f}".rstrip("0")


def format_expiry(expiry: date) -> str:
    """The expiry as instrument rows spell it: `28-AUG-25`."""
    return f"{expiry.day:02d}-{_MONTHS[expiry.month - 1]}-{expiry.year % 100:02d}"


NSE_INDEX_NAMES: Mapping[str, str] = {
    "NIFTY 50": "NIFTY",
    "NIFTY BANK": "BANKNIFTY",
    "NIFTY FIN SERVICE": "FINNIFTY",
    "NIFTY MID SELECT": "MIDCPNIFTY",
    "NIFTY NEXT 50": "NIFTYNXT50",
    "INDIA VIX": "INDIAVIX",
    "GIFT NIFTY": "GIFTNIFTY",
}
"""Index names that do not simply lose their spaces, upper case, to our symbols."""


def nse_index_symbol(name: str) -> str:
    """Our symbol of an NSE index by its official name, in any case."""
    upper = " ".join(name.upper().split())
    return NSE_INDEX_NAMES.get(upper, upper.replace(" ", ""))
