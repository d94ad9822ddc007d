"""RMoney's instrument list: the family's."""

from tickmux.broker._xts.instruments import XtsInstruments
from tickmux.broker.rmoney.streaming.rmoney_adapter import RmoneyAdapter


class RmoneyInstruments(XtsInstruments):
    adapter = RmoneyAdapter
