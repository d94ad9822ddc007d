"""Pocketful: JSON requests, and fixed big-endian frames of one instrument each."""

from tickmux.broker.pocketful.instruments import PocketfulInstruments
from tickmux.broker.pocketful.login import PocketfulLogin
from tickmux.broker.pocketful.streaming.pocketful_adapter import PocketfulAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=PocketfulAdapter, login=PocketfulLogin, instruments=PocketfulInstruments)
