"""IIFL (XTS, Blaze), a member of the XTS family."""

from tickmux.broker.iifl.instruments import IiflInstruments
from tickmux.broker.iifl.login import IiflLogin
from tickmux.broker.iifl.streaming.iifl_adapter import IiflAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=IiflAdapter, login=IiflLogin, instruments=IiflInstruments)
