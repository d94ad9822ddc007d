"""IIFL's Blaze instrument list: the family's."""

from tickmux.broker._xts.instruments import XtsInstruments
from tickmux.broker.iifl.streaming.iifl_adapter import IiflAdapter


class IiflInstruments(XtsInstruments):
    adapter = IiflAdapter
