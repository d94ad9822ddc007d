"""Definedge Securities: a member of the Noren family with session tokens and a list of its own."""

from tickmux.broker.definedge.instruments import DefinedgeInstruments
from tickmux.broker.definedge.login import DefinedgeLogin
from tickmux.broker.definedge.streaming.definedge_adapter import DefinedgeAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=DefinedgeAdapter, login=DefinedgeLogin, instruments=DefinedgeInstruments)
