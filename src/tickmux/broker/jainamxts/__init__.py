"""Jainam (XTS), a member of the XTS family."""

from tickmux.broker.jainamxts.instruments import JainamXtsInstruments
from tickmux.broker.jainamxts.login import JainamXtsLogin
from tickmux.broker.jainamxts.streaming.jainamxts_adapter import JainamXtsAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=JainamXtsAdapter, login=JainamXtsLogin, instruments=JainamXtsInstruments)
