"""Nubra: plain-text commands out, batches of protobuf messages in; several topics make one instrument's quote."""

from tickmux.broker.nubra.instruments import NubraInstruments
from tickmux.broker.nubra.login import NubraLogin
from tickmux.broker.nubra.streaming.nubra_adapter import NubraAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=NubraAdapter, login=NubraLogin, instruments=NubraInstruments)
