"""Wisdom Capital (XTS), a member of the XTS family."""

from tickmux.broker.wisdom.instruments import WisdomInstruments
from tickmux.broker.wisdom.login import WisdomLogin
from tickmux.broker.wisdom.streaming.wisdom_adapter import WisdomAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=WisdomAdapter, login=WisdomLogin, instruments=WisdomInstruments)
