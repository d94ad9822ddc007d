"""m.Stock by Mirae Asset (Type B): a little-endian binary feed, one instrument a frame."""

from tickmux.broker.mstock.instruments import MStockInstruments
from tickmux.broker.mstock.login import MStockLogin
from tickmux.broker.mstock.streaming.mstock_adapter import MStockAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=MStockAdapter, login=MStockLogin, instruments=MStockInstruments)
