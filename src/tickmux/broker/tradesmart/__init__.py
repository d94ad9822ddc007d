"""TradeSmart: a member of the Noren family."""

from tickmux.broker.tradesmart.instruments import TradeSmartInstruments
from tickmux.broker.tradesmart.login import TradeSmartLogin
from tickmux.broker.tradesmart.streaming.tradesmart_adapter import TradeSmartAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=TradeSmartAdapter, login=TradeSmartLogin, instruments=TradeSmartInstruments)
