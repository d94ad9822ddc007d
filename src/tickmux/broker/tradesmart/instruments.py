"""TradeSmart's instrument lists: the family's, with fewer indices (specification section 9)."""

from tickmux.broker._noren.instruments import NorenInstruments
from tickmux.broker.tradesmart.streaming.tradesmart_adapter import TradeSmartAdapter


class TradeSmartInstruments(NorenInstruments):
    broker = "TradeSmart"
    default_urls = TradeSmartAdapter.default_urls
    missing_indices = {**NorenInstruments.missing_indices, "NSE": {"INDIAVIX": "26017", "NIFTYNXT50": "26013"}}
