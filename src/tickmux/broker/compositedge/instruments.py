"""CompositEdge's instrument list: the family's."""

from tickmux.broker._xts.instruments import XtsInstruments
from tickmux.broker.compositedge.streaming.compositedge_adapter import CompositEdgeAdapter


class CompositEdgeInstruments(XtsInstruments):
    adapter = CompositEdgeAdapter
