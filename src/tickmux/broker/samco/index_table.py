"""Samco's indices, which its instrument list does not have: the names that its REST API knows (section 9)."""

from collections.abc import Iterator

from tickmux.broker._index_names import bse_index_symbol
from tickmux.instrument import Instrument, nse_index_symbol

_NSE = (
    "NIFTY 50", "NIFTY BANK", "NIFTY FIN SERVICE", "NIFTY MID SELECT", "NIFTY NEXT 50", "INDIA VIX", "NIFTY 100",
    "NIFTY 200", "NIFTY 500", "NIFTY MIDCAP 50", "NIFTY IT", "NIFTY AUTO", "NIFTY PHARMA", "NIFTY METAL",
    "NIFTY FMCG", "NIFTY REALTY", "NIFTY ENERGY", "NIFTY MEDIA", "NIFTY INFRA", "NIFTY CPSE", "NIFTY MNC",
    "NIFTY PSE", "NIFTY COMMODITIES", "NIFTY CONSUMPTION", "NIFTY PSU BANK", "NIFTY PVT BANK", "NIFTY SERV SECTOR",
    "NIFTY DIV OPPS 50", "NIFTY50 VALUE 20", "NIFTY Mid LIQ 15", "NIFTY100 LIQ 15",
)  # fmt: skip
_BSE = (
    "SENSEX", "BANKEX", "SNSX50", "SNXT50", "BSE IT", "BSE HC", "BSE CG", "BSE CD", "BSEPSU", "BSEFMC", "BSEIPO",
    "METAL", "OILGAS", "AUTO", "POWER", "REALTY", "TECK", "ALLCAP", "LRGCAP", "MIDSEL", "SMLSEL", "GREENX", "CARBON",
    "DOL30", "DOL100", "DOL200", "SMEIPO",
)  # fmt: skip
_MORE_BSE = {"ALLCAP": "BSEALLCAP"}


def indices() -> Iterator[Instrument]:
    """All indices; the token is the name until the feed has learned the listing id of the day."""
    for name in _NSE:
        yield _index(name, nse_index_symbol(name), "NSE")
    for name in _BSE:
        yield _index(name, bse_index_symbol(name, _MORE_BSE), "BSE")


def _index(name: str, symbol: str, exchange: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        exchange=f"{exchange}_INDEX",
        token=name,
        brexchange=exchange,
        brsymbol=name,
        name=name,
        lotsize=1,
        instrumenttype="INDEX",
        tick_size=0.05,
    )
