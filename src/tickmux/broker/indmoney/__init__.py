"""INDmoney (INDstocks): JSON updates that carry changed fields only."""

from tickmux.broker.indmoney.instruments import IndmoneyInstruments
from tickmux.broker.indmoney.login import IndmoneyLogin
from tickmux.broker.indmoney.streaming.indmoney_adapter import IndmoneyAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=IndmoneyAdapter, login=IndmoneyLogin, instruments=IndmoneyInstruments)
