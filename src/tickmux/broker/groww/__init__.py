"""Groww: NATS in a WebSocket, a key pair and a token of its own for every connection, protobuf payloads."""

from tickmux.broker.groww.instruments import GrowwInstruments
from tickmux.broker.groww.login import GrowwLogin
from tickmux.broker.groww.streaming.groww_adapter import GrowwAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=GrowwAdapter, login=GrowwLogin, instruments=GrowwInstruments)
