"""5paisa's XTS instrument list: the family's, of which a segment may fail without the others."""

from tickmux.broker._xts.instruments import XtsInstruments
from tickmux.broker.fivepaisaxts.streaming.fivepaisaxts_adapter import FivepaisaXtsAdapter


class FivepaisaXtsInstruments(XtsInstruments):
    adapter = FivepaisaXtsAdapter
    spares_the_rest = True
