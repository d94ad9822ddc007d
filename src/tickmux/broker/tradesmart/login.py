"""TradeSmart's login: the family's OAuth code flow (specification section 2)."""

from tickmux.broker._noren.login import NorenOAuthLogin
from tickmux.broker.tradesmart.streaming.tradesmart_adapter import TradeSmartAdapter


class TradeSmartLogin(NorenOAuthLogin):
    broker = "TradeSmart"
    default_urls = TradeSmartAdapter.default_urls
