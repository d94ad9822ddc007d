"""Firstock: a JSON feed of its own, several instruments a frame, deltas by field and level."""

from tickmux.broker.firstock.instruments import FirstockInstruments
from tickmux.broker.firstock.login import FirstockLogin
from tickmux.broker.firstock.streaming.firstock_adapter import FirstockAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=FirstockAdapter, login=FirstockLogin, instruments=FirstockInstruments)
