"""Flattrade's instrument lists: CSV files of its own, by product (specification section 9)."""

from tickmux.broker._noren.instruments import NorenInstruments
from tickmux.broker.flattrade.streaming.flattrade_adapter import FlattradeAdapter


class FlattradeInstruments(NorenInstruments):
    """The files have no tick sizes: they are the defaults."""

    broker = "Flattrade"
    default_urls = FlattradeAdapter.default_urls
    files = (
        "NSE_Equity.csv",
        "BSE_Equity.csv",
        "Nfo_Equity_Derivatives.csv",
        "Nfo_Index_Derivatives.csv",
        "Bfo_Equity_Derivatives.csv",
        "Bfo_Index_Derivatives.csv",
        "Currency_Derivatives.csv",
        "Commodity.csv",
    )
    missing_indices = {}
