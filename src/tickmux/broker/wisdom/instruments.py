"""Wisdom Capital's instrument list: the family's."""

from tickmux.broker._xts.instruments import XtsInstruments
from tickmux.broker.wisdom.streaming.wisdom_adapter import WisdomAdapter


class WisdomInstruments(XtsInstruments):
    adapter = WisdomAdapter
