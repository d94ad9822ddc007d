"""Dhan (DhanHQ v2): JSON requests out, little-endian packets in; sockets of their own for 20 and 200 levels."""

from tickmux.broker.dhan.instruments import DhanInstruments
from tickmux.broker.dhan.login import DhanLogin
from tickmux.broker.dhan.streaming.dhan_adapter import DhanAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=DhanAdapter, login=DhanLogin, instruments=DhanInstruments)
