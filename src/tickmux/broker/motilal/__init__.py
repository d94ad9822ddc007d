"""Motilal Oswal: packed requests out, 30-byte packets in, each with a part of what is known."""

from tickmux.broker.motilal.instruments import MotilalInstruments
from tickmux.broker.motilal.login import MotilalLogin
from tickmux.broker.motilal.streaming.motilal_adapter import MotilalAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=MotilalAdapter, login=MotilalLogin, instruments=MotilalInstruments)
