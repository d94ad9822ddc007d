"""FYERS: binary snapshots and deltas for quotes and five levels, protobuf for fifty."""

from tickmux.broker.fyers.instruments import FyersInstruments
from tickmux.broker.fyers.login import FyersLogin
from tickmux.broker.fyers.streaming.fyers_adapter import FyersAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=FyersAdapter, login=FyersLogin, instruments=FyersInstruments)
