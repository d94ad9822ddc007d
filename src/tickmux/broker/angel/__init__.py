"""Angel One (SmartAPI): a little-endian binary feed, one instrument a frame."""

from tickmux.broker.angel.instruments import AngelInstruments
from tickmux.broker.angel.login import AngelLogin
from tickmux.broker.angel.streaming.angel_adapter import AngelAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=AngelAdapter, login=AngelLogin, instruments=AngelInstruments)
