"""CompositEdge, a member of the XTS family."""

from tickmux.broker.compositedge.instruments import CompositEdgeInstruments
from tickmux.broker.compositedge.login import CompositEdgeLogin
from tickmux.broker.compositedge.streaming.compositedge_adapter import CompositEdgeAdapter
from tickmux.websocket_proxy.broker_factory import Broker

BROKER = Broker(adapter=CompositEdgeAdapter, login=CompositEdgeLogin, instruments=CompositEdgeInstruments)
