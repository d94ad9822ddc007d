"""CompositEdge's market-data login: the family's."""

from tickmux.broker._xts.login import XtsLogin
from tickmux.broker.compositedge.streaming.compositedge_adapter import CompositEdgeAdapter


class CompositEdgeLogin(XtsLogin):
    adapter = CompositEdgeAdapter
