"""RMoney (XTS), a member of the XTS family."""

from tickmux.broker.rmoney.instruments import RmoneyInstruments
from tickmux.broker.rmoney.login import RmoneyLogin
from tickmux.broker.rmoney.streaming.rmoney_adapter import RmoneyAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=RmoneyAdapter, login=RmoneyLogin, instruments=RmoneyInstruments)
