"""5paisa's XTS market-data login: the family's."""

from tickmux.broker._xts.login import XtsLogin
from tickmux.broker.fivepaisaxts.streaming.fivepaisaxts_adapter import FivepaisaXtsAdapter


class FivepaisaXtsLogin(XtsLogin):
    adapter = FivepaisaXtsAdapter
