"""Upstox (Market Data Feed V3): JSON requests in binary frames, protobuf messages back."""

from tickmux.broker.upstox.instruments import UpstoxInstruments
from tickmux.broker.upstox.login import UpstoxLogin
from tickmux.broker.upstox.streaming.upstox_adapter import UpstoxAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=UpstoxAdapter, login=UpstoxLogin, instruments=UpstoxInstruments)
