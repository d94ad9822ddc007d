"""Kotak Neo: its SFeed, JSON requests out, batches of packed little-endian packets in."""

from tickmux.broker.kotak.instruments import KotakInstruments
from tickmux.broker.kotak.login import KotakLogin
from tickmux.broker.kotak.streaming.kotak_adapter import KotakAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=KotakAdapter, login=KotakLogin, instruments=KotakInstruments)
