"""5paisa's XTS instrument list: the family's."""

from tickmux.broker._xts.instruments import XtsInstruments
from tickmux.broker.fivepaisaxts.streaming.fivepaisaxts_adapter import FivepaisaXtsAdapter


class FivepaisaXtsInstruments(XtsInstruments):
    adapter = FivepaisaXtsAdapter
